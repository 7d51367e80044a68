"""How many points each list has, and how many numbers each point: proved on the text of many lists at once."""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

_ONE: Final = np.uint64(1)
_TOP: Final = np.uint64(63)

Bits = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


def planar_counts(text: bytes, ends: Ints) -> Ints | None:
    """Points in each list where every point has two numbers and no list is empty; None if that cannot be proved so.

    Parameters
    ----------
    text
        A JSON array of values without spaces around them, joined by commas. Only numbers and arrays may be in it, and
        that is not proved here.
    ends
        Where in the text each value ends.

    Notes
    -----
    A comma is `between` two points if it has a bracket on both sides, and else `inside` of one. Three things are
    looked at:

    1. They take turns, and an inside one is the first. So commas between cut the text into segments, each with one
       inside, and the last one perhaps with none.
    2. Each value begins with `[[` and ends with `]]`. So it begins and ends with a segment.
    3. There are twice as many brackets as one, the values and the commas inside together. A segment begins with `[` and
       ends with `]`, a value with one more, the text with one more still: that many there are at least. One more
       anywhere, be it of an empty array or of a last segment without a comma, would be too many. So no segment has any
       within: it has a comma, and on each side of it a number.

    The characters are marked as bits, since the rest then has an eighth of the text to go through.
    """
    if not hasattr(np, "bitwise_count"):  # NumPy 1
        return None
    marks = np.frombuffer(text, np.uint8)
    # Of what is in numbers, only "e" is among the brackets here, which is never next to a comma.
    commas, brackets = _words(marks == ord(",")), _words(marks > ord("E"))
    between = brackets << _ONE
    between[1:] |= brackets[:-1] >> _TOP
    between &= commas
    after = brackets >> _ONE
    after[:-1] |= brackets[1:] << _TOP
    between &= after
    inside = commas ^ between
    # A difference of binary numbers borrows from each comma inside up to the next one between. What takes turns finds
    # nothing borrowed at a comma inside, which leaves a 1 there, and something at one between, which leaves a 0. A word
    # passes on what its last comma says, and so must have one.
    turns = between - inside
    turns[1:] -= between[:-1] < inside[:-1]
    turns &= commas
    if not (commas[:-1].all() and np.array_equal(turns, inside)):
        return None
    starts = np.append(0, ends[:-1])
    if not ((marks[starts + 2] == ord("[")).all() and (marks[ends - 2] == ord("]")).all()):
        return None
    points = np.cumsum(np.bitwise_count(inside), dtype=np.int64)
    found, expected = int(np.bitwise_count(brackets).sum(dtype=np.int64)), 2 * (1 + len(ends) + int(points[-1]))
    if found != expected and found - text.count(b"e") != expected:
        return None
    word = ends >> 6
    later = np.bitwise_count(inside[word] >> (ends & 63).astype(np.uint64))
    counts: Ints = np.diff(points[word] - later, prepend=0)
    return counts


def _words(marked: Bits) -> npt.NDArray[np.uint64]:
    """Marks as bits, 64 in a word, the first one lowest; at least one is left over."""
    words = np.zeros(len(marked) // 64 + 1, np.uint64)
    packed = np.packbits(marked, bitorder="little")
    words.view(np.uint8)[: len(packed)] = packed
    return words


def shape_counts(shape: bytes) -> tuple[Ints, Bits] | None:
    """Points in each list, and which points have two numbers; None if it is not lists of points of two or three.

    `shape`: the brackets and commas of lists that are joined by commas. There must not be numbers outside of points.
    """
    counts = _planar_shape_counts(shape)
    if counts is not None:
        return counts, np.ones(counts.sum(), np.bool_)
    shape = shape.replace(b"[,]", b"2").replace(b"[,,]", b"3")
    left = shape.translate(None, b",23")
    if left != b"[]" * (len(left) // 2):
        return None
    marks = np.frombuffer(shape, np.uint8)
    is_point = (marks == ord("2")) | (marks == ord("3"))
    return np.diff(np.cumsum(is_point)[marks == ord("]")], prepend=0), marks[is_point] == ord("2")


def _planar_shape_counts(shape: bytes) -> Ints | None:
    """Points in each list where every point has two numbers and no list is empty, else None."""
    marks = np.frombuffer(shape, np.uint8)
    ends = np.flatnonzero((marks[:-1] == ord("]")) & (marks[1:] == ord("]")))
    counts = (np.diff(ends, prepend=-3) - 2) // 4
    # The counts are a guess until the shape that they make is the one that is there.
    guessed = b",".join(map(_planar_shape, counts.tolist()))
    return counts if len(ends) and guessed == shape else None


@cache
def _planar_shape(count: int) -> bytes:
    return b"[" + b",".join([b"[,]"] * count) + b"]"
