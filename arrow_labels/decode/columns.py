"""Lists of decoded values -> Arrow arrays, a column at a time.

`NotExactError` is raised where the fast path cannot prove that nothing is lost; the caller then takes the careful path.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cache
from itertools import chain, compress
from typing import Any, Final, Literal

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import simdjson
from msgspec import Raw, Struct
from msgspec.structs import astuple

from arrow_labels.schema import METADATA, POINT, SCHEMAS
from arrow_labels.wire import decode_raws

_NUMBER_CHARACTERS: Final = b"0123456789.eE+- \t\r\n"
_PIECE_BYTES: Final = 1 << 18
"""Text that is parsed at once: what fits into the cache several times."""
_WHITESPACE: Final = (b" ", b"\t", b"\r", b"\n")
_EXACT: Final = 2.0**53
"""Beyond this an integer of the document may not be the float that it became."""

Bits = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


class NotExactError(Exception):
    """The fast path cannot prove that these columns give the documents back."""


def integers(values: Sequence[int | None], type_: pa.DataType) -> pa.Array:
    """Int column, with nulls where a value is None."""
    try:
        return pa.array(np.fromiter(values, f"i{type_.bit_width // 8}", len(values)))
    except TypeError:
        return pa.nulls(len(values), type_) if values.count(None) == len(values) else pa.array(values, type_)


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
        return pa.nulls(len(array), pa.float64())
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
        return [pa.nulls(sum(count for count, _ in parts), pa.float64()) for _ in record.names or ()]
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
        return pa.nulls(len(lengths), pa.string())
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
    nulls = lengths == 4
    nulls[nulls] = np.frombuffer(text, np.uint8)[offsets[:-1][nulls]] == ord("n")
    if nulls.any():
        kept = np.repeat(~nulls, lengths)
        return json_texts(np.frombuffer(text, np.uint8)[kept].tobytes(), np.where(nulls, 0, lengths))
    return pa.StringArray.from_buffers(
        len(lengths),
        pa.py_buffer(offsets.astype(np.int32)),
        pa.py_buffer(text),
        None if present.all() else validity(present),
    )


def validity(present: Bits) -> pa.Buffer:
    """The validity bitmap of an Arrow array."""
    return pa.py_buffer(np.packbits(present, bitorder="little"))


def points_column(raws: Sequence[Raw], checked: bool) -> pa.Array:
    """`list<struct<x, y, z>>` from raw lists of points; null where one is absent."""
    lengths = np.fromiter(map(len, raws), np.int64, len(raws))
    present = lengths > 0
    if not present.any():
        return pa.nulls(len(raws), pa.list_(POINT))
    given = list(compress(raws, present)) if not present.all() else raws
    step = max(1, _PIECE_BYTES * len(given) // int(lengths.sum()))
    pieces = [_parse_points(given[start : start + step], checked) for start in range(0, len(given), step)]
    counts = np.zeros(len(raws), np.int64)
    counts[present] = np.concatenate([counts for counts, _, _ in pieces])
    offsets = np.zeros(len(raws) + 1, np.int32)
    np.cumsum(counts, out=offsets[1:])
    return pa.ListArray.from_buffers(
        pa.list_(POINT),
        len(raws),
        [None if present.all() else validity(present), pa.py_buffer(offsets)],
        children=[_points([numbers for _, numbers, _ in pieces], [planar for _, _, planar in pieces])],
    )


def _parse_points(raws: Sequence[Raw], checked: bool) -> tuple[Ints, npt.NDArray[np.float64], Bits]:
    """Points in each list, all their numbers, and which points have two.

    The numbers are parsed in one native call. What is left of the text without its numbers shows how many points each
    list has and how many numbers each point: two or three, or `NotExactError`.
    """
    text = b",".join([b"[" + bytes(raws[0]), *raws[1:]]) + b"]"
    shape = text.translate(None, _NUMBER_CHARACTERS)[1:-1]
    counts = _planar_counts(shape)
    if counts is None:
        counts, planar = _point_counts(shape, len(raws))
    else:
        planar = np.ones(counts.sum(), np.bool_)
    numbers = _parse_numbers(text, "d", np.float64)
    # Each point stands for its two or three numbers, so any number outside a point makes more than these.
    if len(numbers) != 3 * len(planar) - int(planar.sum()):
        raise NotExactError
    if checked:
        _check_exact(numbers)
    return counts, numbers, planar


@cache
def _planar_shape(count: int) -> bytes:
    return b"[" + b",".join([b"[,]"] * count) + b"]"


def _planar_counts(shape: bytes) -> Ints | None:
    """Points in each list where every point has two numbers and no list is empty, else None."""
    marks = np.frombuffer(shape, np.uint8)
    ends = np.flatnonzero((marks[:-1] == ord("]")) & (marks[1:] == ord("]")))
    counts = (np.diff(ends, prepend=-3) - 2) // 4
    # The counts are a guess until the shape that they make is the one that is there.
    guessed = b",".join(map(_planar_shape, counts.tolist()))
    return counts if len(ends) and guessed == shape else None


def _point_counts(shape: bytes, lists: int) -> tuple[Ints, Bits]:
    """Points in each list, and which points have two numbers."""
    shape = shape.replace(b"[,]", b"2").replace(b"[,,]", b"3")
    if shape.translate(None, b",23") != b"[]" * lists:
        raise NotExactError
    marks = np.frombuffer(shape, np.uint8)
    is_point = (marks == ord("2")) | (marks == ord("3"))
    return np.diff(np.cumsum(is_point)[marks == ord("]")], prepend=0), marks[is_point] == ord("2")


def _points(numbers: Sequence[npt.NDArray[np.float64]], planar: Sequence[Bits]) -> pa.StructArray:
    """The points of all pieces."""
    if all(bits.all() for bits in planar):
        x, y = (np.concatenate([piece[axis::2] for piece in numbers]) for axis in range(2))
        return pa.StructArray.from_arrays([x, y, pa.nulls(len(x), pa.float64())], fields=list(POINT))
    flat, flags = np.concatenate(numbers), np.concatenate(planar)
    first = np.zeros(len(flags), np.int64)
    np.cumsum(3 - flags[:-1], out=first[1:])
    z = flat[np.minimum(first + 2, len(flat) - 1)]
    return pa.StructArray.from_arrays([flat[first], flat[first + 1], pa.array(z, mask=flags)], fields=list(POINT))


def ids_column(raws: Sequence[Raw]) -> pa.Array:
    """`list<int32>` from raw lists of ids; null where one is absent, null or empty."""
    counts = np.zeros(len(raws), np.int64)
    texts = {place: text for place, raw in enumerate(raws) if (text := bytes(raw)) and text != b"null"}
    most = sum(np.count_nonzero(np.frombuffer(text, np.uint8) == ord(",")) + 1 for text in texts.values())
    ids, end = np.empty(most, np.int32), 0
    for place, text in texts.items():
        if text.find(b"[", 1) >= 0:
            raise NotExactError  # the parser would flatten an array in the array
        numbers = _parse_numbers(text, "i", np.int64)
        if len(numbers):
            if numbers.max() >= 2**31 or numbers.min() < -(2**31):
                raise NotExactError
            counts[place] = len(numbers)
            ids[end : end + len(numbers)] = numbers
            end += len(numbers)
    if not end:
        return pa.nulls(len(raws), pa.list_(pa.int32()))
    offsets = np.zeros(len(raws) + 1, np.int32)
    np.cumsum(counts, out=offsets[1:])
    return pa.ListArray.from_buffers(
        pa.list_(pa.int32()),
        len(raws),
        [validity(counts > 0), pa.py_buffer(offsets)],
        children=[pa.array(ids[:end])],
    )


_LOCAL = threading.local()


def _parser() -> simdjson.Parser:
    """The parser of this thread: its buffers are used again."""
    if not hasattr(_LOCAL, "parser"):
        _LOCAL.parser = simdjson.Parser()
    parser: simdjson.Parser = _LOCAL.parser
    return parser


def _parse_numbers(text: bytes, code: Literal["d", "i"], dtype: Any) -> npt.NDArray[Any]:
    """All numbers of nested JSON arrays in one buffer; `NotExactError` if there is anything else."""
    parsed: Any = None
    try:
        parsed = _parser().parse(text)
        if not isinstance(parsed, simdjson.Array):
            raise NotExactError
        return np.frombuffer(parsed.as_buffer(of_type=code), dtype)
    except (ValueError, TypeError):
        raise NotExactError from None
    finally:
        del parsed  # a parser refuses to be used again while what it parsed is alive, be it in a traceback


def constant(value: Any, count: int, type_: pa.DataType) -> pa.Array:
    """A column that holds one value everywhere."""
    return pa.nulls(count, type_) if value is None else pa.repeat(pa.scalar(value, type_), count)


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
