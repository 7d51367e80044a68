"""Lists of decoded values -> Arrow arrays, a column at a time.

`NotExactError` is raised where the fast path cannot prove that nothing is lost; the caller then takes the careful path.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cache
from itertools import chain
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from msgspec import Raw, Struct
from msgspec.structs import astuple

from arrow_labels.schema import METADATA, SCHEMAS
from arrow_labels.wire import decode_raws

_SHARED_NULLS: Final = 1 << 16
_WHITESPACE: Final = (b" ", b"\t", b"\r", b"\n")
EXACT: Final = 2.0**53
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


def integers(values: Ints | Sequence[int | None], type_: pa.DataType) -> pa.Array:
    """Int column, with nulls where a value is None."""
    if isinstance(values, np.ndarray):
        return pa.array(values.astype(f"i{type_.bit_width // 8}", copy=False))
    try:
        return pa.array(np.fromiter(values, f"i{type_.bit_width // 8}", len(values)))
    except TypeError:
        return nulls(len(values), type_) if values.count(None) == len(values) else pa.array(values, type_)


def flags(values: Bits | Sequence[bool | None]) -> pa.Array:
    """Bool column, with nulls where a value is None."""
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
            check_exact(array)
        return pa.array(array)
    if missing.all():
        return nulls(len(array), pa.float64())
    if checked:
        check_exact(array[~missing])
    return pa.array(array, mask=missing)


def check_exact(array: npt.NDArray[np.float64]) -> None:
    """Raise `NotExactError` if a number is too large to be surely the one that was written."""
    if len(array) and (array.max() >= EXACT or array.min() <= -EXACT):
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
