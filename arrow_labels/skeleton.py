"""The text of a JSON document without what lies deep in it, for who needs only what lies around.

A decoder that passes over a value looks at each of its characters, one after the other. Here 64 of them are bits of a
word: quotes say by their parity what is in strings, and the brackets outside of strings how deep a word lies.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

_BLOCK: Final = 1 << 18
"""Characters that are looked at together: what stays in the cache."""
_NONE: Final = np.uint64(0)
_TOP: Final = np.uint64(63)
_STEPS: Final = [np.uint64(1 << step) for step in range(6)]

Words = npt.NDArray[np.uint64]


def skeleton(text: bytes | memoryview, depth: int) -> bytes | None:
    """A JSON text, its arrays and objects empty from some depth on; None where that takes more than to look at quotes.

    Parameters
    ----------
    text
        JSON. That it is some is not proved: what is made of another text may be JSON all the same.
    depth : int
        In how many arrays and objects a value may lie, to be left as it is; 0 for the document itself.

    Examples
    --------
    >>> skeleton(b'{"a": [1, [2], "]"], "b": {}}', 1), skeleton(b'["a", {"b": [1]}]', 2)
    (b'{"a": [], "b": {}}', b'["a", {"b": []}]')
    """
    if not hasattr(np, "bitwise_count"):  # NumPy 1
        return None
    view = memoryview(text)
    kept: list[bytes] = []
    level, is_inside = 0, _NONE
    for start in range(0, len(view), _BLOCK):
        block = bytes(view[start : start + _BLOCK])
        if b"\\" in block and (b'\\"' in block or block[-1:] == b"\\"):
            return None
        marks = np.frombuffer(block, np.uint8)
        outside, is_inside = _outside(_words(marks == ord('"')), is_inside)
        lower = marks | 0x20  # which makes braces of brackets, and of nothing else
        opened, closed = _words(lower == ord("{")) & outside, _words(lower == ord("}")) & outside
        ups, downs = (np.bitwise_count(found).astype(np.int64) for found in (opened, closed))
        after = level + np.cumsum(ups - downs)
        before = after - ups + downs
        level = int(after[-1])
        shallow = np.flatnonzero(before - downs <= depth)
        if len(shallow):
            kept.append(_shallow(marks, shallow, opened, closed, before, depth))
    return b"".join(kept) if level == 0 and not is_inside else None


def _words(marked: npt.NDArray[np.bool_]) -> Words:
    """Marks as bits, 64 in a word, the first one lowest."""
    words = np.zeros(-(-len(marked) // 64), np.uint64)
    packed = np.packbits(marked, bitorder="little")
    words.view(np.uint8)[: len(packed)] = packed
    return words


def _outside(quotes: Words, is_inside: np.uint64) -> tuple[Words, np.uint64]:
    """Which characters are in no string, and whether the last word ends in one; the first word begins in one or not."""
    odd = quotes
    for step in _STEPS:  # each bit becomes the parity of those up to it
        odd = odd ^ (odd << step)
    ends = np.bitwise_xor.accumulate(odd >> _TOP) ^ is_inside
    begins = np.append(is_inside, ends[:-1])
    return ~(odd ^ (_NONE - begins)), ends[-1]


def _shallow(
    marks: npt.NDArray[np.uint8], words: npt.NDArray[np.intp], opened: Words, closed: Words, before: Words, depth: int
) -> bytes:
    """The characters of some words that lie at most so deep; brackets lie outside of what they hold."""
    bits = (np.unpackbits(found[words].view(np.uint8), bitorder="little") for found in (opened, closed))
    ups, downs = (found.reshape(-1, 64).astype(np.int8) for found in bits)
    after = before[words, np.newaxis] + np.cumsum(ups - downs, axis=1)
    is_kept = np.minimum(after, after - ups + downs) <= depth
    padded = np.zeros((len(before), 64), np.uint8)
    padded.reshape(-1)[: len(marks)] = marks
    if words[-1] == len(before) - 1:
        is_kept[-1, (len(marks) - 1) % 64 + 1 :] = False
    kept: bytes = padded[words][is_kept].tobytes()
    return kept
