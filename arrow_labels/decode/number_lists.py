"""Lists of numbers -> Arrow arrays: points and point ids, out of their JSON text by native parsers.

`NotExactError` is raised where that cannot be proved to lose nothing, as by `arrow_labels.decode.columns`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import chain
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import simdjson
from msgspec import Raw

from arrow_labels.annotation import PointsText, stripped
from arrow_labels.decode.columns import Bits, Ints, NotExactError, check_exact, nulls, validity
from arrow_labels.decode.shapes import planar_counts, shape_counts
from arrow_labels.decode.short_ids import LONG, short_ids
from arrow_labels.schema import POINT

_PIECE_BYTES: Final = 1 << 18
"""Text that is parsed at once: what fits into the cache several times."""
_NULL: Final = Raw(b"null")
_LOCAL = threading.local()


def points_column(parts: Sequence[PointsText], checked: bool) -> pa.Array:
    """`list<struct<x, y, z>>` from the text of lists of points; null where one is absent.

    The numbers are parsed in a few native calls. `NotExactError` if a point has not two or three of them.
    """
    lengths = np.fromiter(chain.from_iterable(part.lengths for part in parts), np.int64)
    present = lengths > 0
    if not present.any():
        return nulls(len(lengths), pa.list_(POINT))
    texts, ends = zip(*_joined(parts, lengths), strict=True)
    found, planar, is_proved = _point_counts([part for part in parts if part.text], texts, ends)
    if len(found) != present.sum():
        raise NotExactError
    counts = np.zeros(len(lengths), np.int64)
    counts[present] = found
    offsets = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(counts, out=offsets[1:])
    return pa.ListArray.from_buffers(
        pa.list_(POINT),
        len(lengths),
        [None if present.all() else validity(present), pa.py_buffer(offsets)],
        children=[_points(_coordinates(texts, is_proved, checked), planar)],
    )


def _joined(parts: Sequence[PointsText], lengths: Ints) -> Iterator[tuple[bytes, Ints]]:
    """The lists of points in texts that are worth a native call, and where in its text each list ends."""
    piece: list[bytes] = []
    size = start = end = 0
    for place, part in enumerate(parts, 1):
        end += len(part.lengths)
        if part.text:
            piece.append(part.text)
            size += len(part.text)
        if piece and (size >= _PIECE_BYTES or place == len(parts)):
            own = lengths[start:end]
            text = piece[0] if len(piece) == 1 else b"[" + b",".join([item[1:-1] for item in piece]) + b"]"
            yield text, np.cumsum(own[own > 0] + 1)
            piece, size, start = [], 0, end


def _point_counts(parts: Sequence[PointsText], texts: Sequence[bytes], ends: Sequence[Ints]) -> tuple[Ints, Bits, bool]:
    """Points in each list, which points have two numbers, and whether every bracket is where it must be for that."""
    if not any(part.shape for part in parts):
        counts = [planar_counts(text, places) for text, places in zip(texts, ends, strict=True)]
        proved = [count for count in counts if count is not None]
        if len(proved) == len(counts):
            found = np.concatenate(proved)
            return found, np.ones(found.sum(), np.bool_), True
    found_planar = shape_counts(b",".join((part.shape or stripped(part.text))[1:-1] for part in parts))
    if found_planar is None:
        raise NotExactError
    return *found_planar, False


def _coordinates(texts: Sequence[bytes], is_proved: bool, checked: bool) -> Iterator[npt.NDArray[np.float64]]:
    """The numbers of each text."""
    for text in texts:
        numbers = _flat_numbers(text) if is_proved else _parse_numbers(text, "d", np.float64)
        if checked:
            check_exact(numbers)
        yield numbers


def _flat_numbers(text: bytes) -> npt.NDArray[np.float64]:
    """The numbers of a JSON text of arrays in an array, whose brackets need no more proof.

    A parser has half as much to do where brackets are spaces. Without its two highest bits a bracket is less than a
    space, and what else numbers without exponent are made of is the same. A literal or an exponent is no number then, a
    quote stays one.
    """
    flat = np.frombuffer(text, np.uint8) & 0x3F
    np.clip(flat, ord(" "), 0x3F, out=flat)
    flat[0], flat[-1] = b"[]"
    with suppress(NotExactError):
        return _parse_numbers(flat.data, "d", np.float64)
    return _parse_numbers(text, "d", np.float64)


def _points(pieces: Iterator[npt.NDArray[np.float64]], planar: Bits) -> pa.StructArray:
    """Points of two or three numbers. Any number outside a point makes more of them than there must be."""
    if planar.all():
        x, y = np.empty(len(planar)), np.empty(len(planar))
        end = 0
        for numbers in pieces:
            start, end = end, end + len(numbers) // 2
            if len(numbers) % 2 or end > len(planar):
                raise NotExactError
            x[start:end], y[start:end] = numbers[::2], numbers[1::2]
        if end != len(planar):
            raise NotExactError
        return pa.StructArray.from_arrays([x, y, nulls(len(x), pa.float64())], fields=list(POINT))
    flat = np.concatenate(list(pieces))
    if len(flat) != 3 * len(planar) - int(planar.sum()):
        raise NotExactError
    first = np.zeros(len(planar), np.int64)
    np.cumsum(3 - planar[:-1], out=first[1:])
    z = flat[np.minimum(first + 2, len(flat) - 1)]
    return pa.StructArray.from_arrays([flat[first], flat[first + 1], pa.array(z, mask=planar)], fields=list(POINT))


def ids_column(texts: Sequence[Raw | memoryview]) -> pa.Array:
    """`list<int32>` from the text of lists of ids; null where one is absent, null or empty.

    A memoryview is known to hold no array in the array; the parser would flatten one.
    """
    counts = np.zeros(len(texts), np.int64)
    ids, end = np.empty(sum(map(len, texts)) // 2, np.int32), 0  # an id and what follows it: two bytes at least
    for place, text in enumerate(texts):
        if len(text) == 0 or text == _NULL:
            continue
        if len(text) >= LONG and (count := short_ids(text, ids[end:])):
            counts[place] = count
        else:
            numbers = _ids(text)
            counts[place] = len(numbers)
            ids[end : end + len(numbers)] = numbers
        end += counts[place]
    if not end:
        return nulls(len(texts), pa.list_(pa.int32()))
    ids.resize(end, refcheck=False)
    offsets = np.zeros(len(texts) + 1, np.int32)
    np.cumsum(counts, out=offsets[1:])
    return pa.ListArray.from_buffers(
        pa.list_(pa.int32()),
        len(texts),
        [validity(counts > 0), pa.py_buffer(offsets)],
        children=[pa.array(ids)],
    )


def _ids(text: Raw | memoryview) -> npt.NDArray[np.int64]:
    """The ids of a list, that are all int32."""
    if isinstance(text, Raw) and bytes(text).find(b"[", 1) >= 0:
        raise NotExactError
    numbers = _parse_numbers(text, "i", np.int64)
    if len(numbers) and (numbers.max() >= 2**31 or numbers.min() < -(2**31)):
        raise NotExactError
    return numbers


def _parser() -> simdjson.Parser:
    """The parser of this thread: its buffers are used again."""
    if not hasattr(_LOCAL, "parser"):
        _LOCAL.parser = simdjson.Parser()
    parser: simdjson.Parser = _LOCAL.parser
    return parser


def _parse_numbers(text: bytes | Raw | memoryview, code: Literal["d", "i"], dtype: Any) -> npt.NDArray[Any]:
    """All numbers of nested JSON arrays in one buffer; `NotExactError` if there is anything else."""
    parsed: Any = None
    try:
        parsed = _parser().parse(text)
        if not isinstance(parsed, simdjson.Array):
            raise NotExactError
        return np.frombuffer(parsed.as_buffer(of_type=code), dtype)
    except (ValueError, TypeError, RuntimeError):  # RuntimeError: an integer beyond 64 bits
        raise NotExactError from None
    finally:
        del parsed  # a parser refuses to be used again while what it parsed is alive, be it in a traceback
