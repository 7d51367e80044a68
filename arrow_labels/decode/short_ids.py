"""Long lists of short ids, read as columns of bytes: more than twice as fast as by a parser that knows all of JSON.

The ids of points are small numbers as a rule, two or three bytes each. All digits of a list are turned into numbers at
once, each with the digits before it, and the numbers that stand before a separator are the ids.
"""

from __future__ import annotations

import threading
from typing import Final

import numpy as np
import numpy.typing as npt

from arrow_labels.decode.careful import Buffer

LONG: Final = 32 << 10
"""Text from which on this is faster than simdjson."""
_BLOCK: Final = 512 << 10
_LOCAL = threading.local()


def short_ids(text: Buffer, ids: npt.NDArray[np.int32]) -> int:
    """Write the ids of a JSON list into an array, and return how many there are; 0 if they are not read here.

    Those that are have up to four digits, and nothing but commas between them. That is proved: each byte is a digit or
    a separator, and no separator follows another, so each id has digits; and there are as many digits as the numbers
    that were read need. An id with a zero in front or a fifth digit has more than its last four need, and none has
    fewer, so one cannot make up for another.

    Examples
    --------
    >>> ids = np.empty(3, np.int32)
    >>> short_ids(b"[7,7,1203]", ids), ids
    (3, array([   7,    7, 1203], dtype=int32))
    >>> short_ids(b"[7,07]", ids), short_ids(b"[7,-1]", ids)
    (0, 0)
    """
    whole = np.frombuffer(text, np.uint8)
    if len(whole) < 2 or whole[0] != ord("[") or whole[-1] != ord("]"):
        return 0
    memory = _memory()
    start, count = 1, 0
    while start < len(whole):
        block = whole[start : start + _BLOCK]
        is_end = np.equal(block, ord(","), out=memory[0, : len(block)].view(np.bool_))
        if start + len(block) == len(whole):
            is_end[-1] = True
        else:
            is_end = is_end[: len(block) - int(is_end[::-1].argmax())]
        found = _block_ids(block[: len(is_end)], is_end, memory)
        if found is None:
            return 0
        ids[count : count + len(found)] = found
        count, start = count + len(found), start + len(is_end)
    return count


def _memory() -> npt.NDArray[np.uint8]:
    """Columns of bytes of this thread, used again: to find new pages takes as long as the work."""
    if not hasattr(_LOCAL, "memory"):
        _LOCAL.memory = np.empty((9, _BLOCK), np.uint8)
    memory: npt.NDArray[np.uint8] = _LOCAL.memory
    return memory


def _block_ids(
    text: npt.NDArray[np.uint8], is_end: npt.NDArray[np.bool_], memory: npt.NDArray[np.uint8]
) -> npt.NDArray[np.uint16] | None:
    """The ids of a text, each with a separator after it; None if there is anything else."""
    import polars as pl  # not before it is needed: processes start sooner without it

    size = len(text)
    last, tens, flags, both = memory[1:5, :size]
    number, hundreds = (memory[row : row + 2].reshape(-1).view(np.uint16)[:size] for row in (5, 7))
    np.subtract(text, ord("0"), out=last)
    is_digit = np.less(last, 10, out=flags.view(np.bool_))
    digits = np.count_nonzero(is_digit)
    # The number of two digits that ends at each byte; what is no digit counts as 0, like what is before the text.
    np.multiply(last, is_digit, out=last)
    np.multiply(last[:-1], 10, out=tens[1:])
    last[1:] += tens[1:]
    # The number that ends before each byte: of two digits, and of two more if all between are digits.
    number[:1], number[1:] = 0, last[:-1]
    np.logical_and(is_digit[1:-2], is_digit[:-3], out=both[3:].view(np.bool_))
    last[:-3] *= both[3:]
    number[3:] += np.multiply(last[:-3], 100, out=hundreds[3:], dtype=np.uint16)
    ids = pl.Series(number).filter(pl.Series(is_end)).to_numpy()
    is_empty = is_end[0] or np.logical_and(is_end[1:], is_end[:-1], out=both[1:].view(np.bool_)).any()
    needed = len(ids) + sum(np.count_nonzero(ids >= least) for least in (10, 100, 1000))
    return None if is_empty or digits + len(ids) != size or digits != needed else ids
