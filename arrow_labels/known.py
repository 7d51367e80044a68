"""The samples of a release, split by how long those were that a target holds, without a look into them.

A sample whose bytes have a hash that the target holds is the JSON that it was: the text need not be scanned for its
end, which takes longer than all else that an update does. Between such samples, what is new is parsed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from msgspec import Raw

from arrow_labels.decode.careful import FAILURES, Buffer
from arrow_labels.decode.definitions import Around
from arrow_labels.wire import decode_raws

_UNKNOWN: Final = 8
"""The part of the text that may be unknown; with more, one pass over all of it is as fast."""
_GUESSES: Final = 8
"""How many ends of a sample are tried."""
_NAMED: Final = 1 << 10
"""Where in a sample its id is looked for."""
_ID: Final = re.compile(rb'"(?:uuid|name)"\s*:\s*"([^"\\]+)"')
_SPACE: Final = re.compile(rb"[ \t\r\n]*")
_COMMA: Final = re.compile(rb"[ \t\r\n]*,[ \t\r\n]*")


class Known(NamedTuple):
    """A sample that a target holds: the hash of its bytes, and how many they are."""

    whole: str
    size: int


def split_known(
    data: memoryview, around: Around, samples: Mapping[str, Known], hashed: Callable[[Buffer], str]
) -> list[Raw] | None:
    """The samples of a release; None if that is not known, or too little of it.

    Parameters
    ----------
    data : memoryview
        The text of the release.
    around : Around
        What was found around its samples.
    samples : mapping of str to Known
        What the target holds, by sample id, in the order that the samples are likely to have.
    hashed : callable
        Gives the hash of a sample's bytes.
    """
    order = list(samples.values())
    places = {sample_id.encode(): place for place, sample_id in enumerate(samples)}
    raws: list[Raw] = []
    start, expected, unknown = _end(_SPACE, data, around.begin), 0, 0
    while start < around.end:
        guesses = [places[it] for it in _ID.findall(data, start, min(start + _NAMED, around.end)) if it in places]
        for place in dict.fromkeys([*guesses[:1], *([expected] if expected < len(order) else [])]):
            end = start + order[place].size
            if end <= around.end and hashed(data[start:end]) == order[place].whole:
                raws.append(Raw(data[start:end]))
                expected = place + 1
                break
        else:
            found = _parsed(data, start, around)
            if found is None:
                return None
            more, end = found
            raws += more
            expected = guesses[0] + 1 if guesses else expected
            unknown += end - start
            if unknown > (around.end - around.begin) // _UNKNOWN:
                return None
        if (comma := _COMMA.match(data, end, around.end)) is not None:
            start = comma.end()
            if start == around.end:
                return None  # a comma with nothing after it
        elif (start := _end(_SPACE, data, end)) < around.end:
            return None
    return raws


def _end(pattern: re.Pattern[bytes], data: memoryview, start: int) -> int:
    found = pattern.match(data, start)
    assert found is not None
    return found.end()


def _parsed(data: memoryview, start: int, around: Around) -> tuple[list[Raw], int] | None:
    """What stands from a place on, and where it ends: a sample, or more of them; None if that is not found out.

    A text that is a whole object is the one that begins there.
    """
    place = start
    for _ in range(_GUESSES):
        guess = around.between.search(data, place, around.end)
        end = around.end if guess is None else guess.start() + 1
        try:
            return decode_raws(b"[" + data[start:end] + b"]"), end
        except FAILURES:
            if guess is None:
                return None
            place = guess.end()
    return None
