"""Lists of decoded values -> Arrow arrays, a column at a time.

`NotExactError` is raised where the fast path cannot prove that nothing is lost; the caller then takes the careful path.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import chain
from typing import Any, Final, Literal

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import simdjson
from msgspec import Raw, Struct
from msgspec.structs import astuple

from arrow_labels.annotation import PointsText, stripped
from arrow_labels.decode.shapes import planar_counts, shape_counts
from arrow_labels.schema import METADATA, POINT, SCHEMAS
from arrow_labels.wire import decode_raws

_PIECE_BYTES: Final = 1 << 18
"""Text that is parsed at once: what fits into the cache several times."""
_SHARED_NULLS: Final = 1 << 16
_WHITESPACE: Final = (b" ", b"\t", b"\r", b"\n")
_NULL: Final = Raw(b"null")
_EXACT: Final = 2.0**53
"""Beyond this an integer of the document may not be the float that it became."""

Bits = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


class NotExactError(Exception):
    """The fast path cannot prove that these columns give the documents back."""


def nulls(count: int, type_: pa.DataType) -> pa.Array:
    """A column of nulls; those that are not long share their memory: a table has more empty columns than others."""
    return _nulls(type_).slice(0, count) if count <= _SHARED_NULLS else pa.nulls(count, type_)


@cache
def _nulls(type_: pa.DataType) -> pa.Array:
    return pa.nulls(_SHARED_NULLS, type_)


def integers(values: Sequence[int | None], type_: pa.DataType) -> pa.Array:
    """Int column, with nulls where a value is None."""
    try:
        return pa.array(np.fromiter(values, f"i{type_.bit_width // 8}", len(values)))
    except TypeError:
        return nulls(len(values), type_) if values.count(None) == len(values) else pa.array(values, type_)


def flags(values: Sequence[bool | None]) -> pa.Array:
    """Bool column, with nulls where a value is None."""
    try:
        return pa.array(np.frombuffer(bytes(values), np.bool_))  # type: ignore[arg-type]
    except TypeError:
        return pa.array(values, pa.bool_())


def floats(values: Sequence[float | None], checked: bool) -> pa.Array:
    """Float64 column, with nulls where a value is None.

    `checked`: `NotExactError` if a value is so large that the document may have held another integer.
    """
    return _float_column(np.fromiter(values, np.float64, len(values)), checked)


def _float_column(array: npt.NDArray[np.float64], checked: bool) -> pa.Array:
    missing = np.isnan(array)  # made of None: JSON cannot hold NaN
    if not missing.any():
        if checked:
            _check_exact(array)
        return pa.array(array)
    if missing.all():
        return nulls(len(array), pa.float64())
    if checked:
        _check_exact(array[~missing])
    return pa.array(array, mask=missing)


def _check_exact(array: npt.NDArray[np.float64]) -> None:
    if len(array) and (array.max() >= _EXACT or array.min() <= -_EXACT):
        raise NotExactError


def members(parts: Sequence[tuple[int, Any]], record: np.dtype[Any], checked: bool) -> list[pa.Array]:
    """Float64 columns of the numbers in the objects of many annotations; null where one is missing.

    `parts`: how many, and what `arrow_labels.annotation.Group` has of them: None, records, or the objects.
    `checked`: `NotExactError` if an object has none of its numbers, which the columns do not tell from no object.
    """
    if all(part is None for _, part in parts):
        return [nulls(sum(count for count, _ in parts), pa.float64()) for _ in record.names or ()]
    if all(isinstance(part, bytes) for _, part in parts):
        arrays = _numbers(0, b"".join(part for _, part in parts), record, checked)
    else:
        pieces = [_numbers(count, part, record, checked) for count, part in parts]
        arrays = [np.concatenate(column) for column in zip(*pieces, strict=True)]
    return [_float_column(array, checked) for array in arrays]


def _numbers(count: int, part: Any, record: np.dtype[Any], checked: bool) -> list[npt.NDArray[np.float64]]:
    names = record.names or ()
    if part is None:
        return [np.full(count, np.nan)] * len(names)
    if isinstance(part, bytes):
        records = np.frombuffer(part, record)
        return [records[name].astype(np.float64) for name in names]
    values: Iterable[Any] = part
    if isinstance(first := next(item for item in part if item is not None), Struct):
        empty = type(first)()
        if checked and any(item == empty for item in part):
            raise NotExactError
        values = chain.from_iterable(astuple(item or empty) for item in part)
    flat = np.fromiter(values, np.float64, count * len(names))
    return list(np.ascontiguousarray(flat.reshape(count, -1).T))


def json_column(raws: Sequence[Raw]) -> pa.Array:
    """String column of compact JSON from raw members; null where one is absent or null."""
    return json_texts(b"".join(raws), np.fromiter(map(len, raws), np.int64, len(raws)))


def json_texts(text: bytes, lengths: Ints) -> pa.Array:
    """String column of compact JSON from joined JSON texts of some lengths; null where one is empty or null."""
    if not text:
        return nulls(len(lengths), pa.string())
    present = lengths > 0
    if any(space in text for space in _WHITESPACE):
        ends = np.cumsum(lengths).tolist()
        pieces = [text[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True) if end > start]
        compact = decode_raws(msgspec.json.format(b"[" + b",".join(pieces) + b"]", indent=-1))
        text = b"".join(compact)
        lengths[present] = np.fromiter(map(len, compact), np.int64, len(compact))
    if not text.isascii():
        try:
            text.decode()
        except UnicodeDecodeError:
            raise NotExactError from None
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    if offsets[-1] > np.iinfo(np.int32).max:
        raise pa.ArrowCapacityError("more than 2 GiB of JSON text in one batch")
    is_null = lengths == 4
    is_null[is_null] = np.frombuffer(text, np.uint8)[offsets[:-1][is_null]] == ord("n")
    if is_null.any():
        kept = np.repeat(~is_null, lengths)
        return json_texts(np.frombuffer(text, np.uint8)[kept].tobytes(), np.where(is_null, 0, lengths))
    return pa.StringArray.from_buffers(
        len(lengths),
        pa.py_buffer(offsets.astype(np.int32)),
        pa.py_buffer(text),
        None if present.all() else validity(present),
    )


def validity(present: Bits) -> pa.Buffer:
    """The validity bitmap of an Arrow array."""
    return pa.py_buffer(np.packbits(present, bitorder="little"))


def points_column(parts: Sequence[PointsText], checked: bool) -> pa.Array:
    """`list<struct<x, y, z>>` from the text of lists of points; null where one is absent.

    The numbers are parsed in a few native calls. `NotExactError` if a point has not two or three of them.
    """
    lengths = np.fromiter(chain.from_iterable(part.lengths for part in parts), np.int64)
    present = lengths > 0
    if not present.any():
        return nulls(len(lengths), pa.list_(POINT))
    texts, ends = zip(*_joined(parts, lengths), strict=True)
    found, planar = _point_counts([part for part in parts if part.text], texts, ends)
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
        children=[_points(_coordinates(texts, checked), planar)],
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


def _point_counts(parts: Sequence[PointsText], texts: Sequence[bytes], ends: Sequence[Ints]) -> tuple[Ints, Bits]:
    """Points in each list, and which points have two numbers."""
    if not any(part.shape for part in parts):
        counts = [planar_counts(text, places) for text, places in zip(texts, ends, strict=True)]
        proved = [count for count in counts if count is not None]
        if len(proved) == len(counts):
            found = np.concatenate(proved)
            return found, np.ones(found.sum(), np.bool_)
    found_planar = shape_counts(b",".join((part.shape or stripped(part.text))[1:-1] for part in parts))
    if found_planar is None:
        raise NotExactError
    return found_planar


def _coordinates(texts: Sequence[bytes], checked: bool) -> Iterator[npt.NDArray[np.float64]]:
    """The numbers of each text."""
    for text in texts:
        numbers = _parse_numbers(text, "d", np.float64)
        if checked:
            _check_exact(numbers)
        yield numbers


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
        if isinstance(text, Raw) and bytes(text).find(b"[", 1) >= 0:
            raise NotExactError
        numbers = _parse_numbers(text, "i", np.int64)
        if len(numbers):
            if numbers.max() >= 2**31 or numbers.min() < -(2**31):
                raise NotExactError
            counts[place] = len(numbers)
            ids[end : end + len(numbers)] = numbers
            end += len(numbers)
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


_LOCAL = threading.local()


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


def constant(value: Any, count: int, type_: pa.DataType) -> pa.Array:
    """A column that holds one value everywhere."""
    return nulls(count, type_) if value is None else pa.repeat(pa.scalar(value, type_), count)


Maker = Callable[[], Sequence[pa.Array]]
"""What makes one column, or a few that come together."""


def make(makers: Mapping[tuple[str, ...], Maker], names: Collection[str]) -> dict[str, pa.Array]:
    """Some columns of a table, in the order of their makers; what makes only others is not called."""
    return {
        name: column
        for group, maker in makers.items()
        if any(name in names for name in group)
        for name, column in zip(group, maker(), strict=True)
        if name in names
    }


@cache
def _schema(table: str, names: tuple[str, ...]) -> pa.Schema:
    return pa.schema([SCHEMAS[table].field(name) for name in names], metadata=METADATA)


def to_batch(table: str, columns: Mapping[str, pa.Array]) -> pa.RecordBatch:
    """A record batch of some columns of a table."""
    return pa.RecordBatch.from_arrays(list(columns.values()), schema=_schema(table, tuple(columns)))
