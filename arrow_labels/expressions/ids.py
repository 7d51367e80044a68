"""Ids of pixels: packed integers, structs, lists and bytes of red, green and blue <-> int64 ids."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import polars as pl

from arrow_labels.errors import SchemaError

Packing: TypeAlias = Literal["packed", "struct", "array", "binary"]

_LARGEST: Final = (1 << 24) - 1
_OPAQUE: Final = 0xFF << 24
_EXPECTED: Final = "an integer, a struct of integers r, g and b, or an array, a list or a binary of 3 or 4 bytes"


def decode_ids(expr: pl.Expr) -> pl.Expr:
    r"""Ids of pixels that are stored as colours: ``red + 256 green + 65536 blue``; alpha does not count.

    Parameters
    ----------
    expr : Expr
        One pixel a row, as one of

        * an integer of any width whose low 24 bits are the id; what is above them (an alpha byte, which makes a signed
          32-bit integer negative) is dropped;
        * a struct with integer fields `r`, `g`, `b`, and perhaps others;
        * a list or array of integers, or a binary: red, green, blue and perhaps alpha.

    Returns
    -------
    Expr
        int64, 0 to 16,777,215. Null for a null, for a list or binary that is not 3 or 4 long, and for a red, green or
        blue that is not in 0 to 255.

    Raises
    ------
    SchemaError
        When the query is planned: the column is of another type.

    Examples
    --------
    >>> import polars as pl
    >>> import arrow_labels
    >>> pixels = pl.DataFrame({"packed": [-16776959, 0], "bytes": [b"\x01\x01\x00\xff", b"\x00\x00\x00"]})
    >>> pixels.select(pl.col("packed", "bytes").labels.decode_ids()).rows()
    [(257, 257), (0, 0)]
    """
    return expr.pipe_with_dtype(lambda ids, dtype: _decode(ids, dtype).alias(ids.meta.output_name()))


def encode_ids(expr: pl.Expr, to: Packing = "packed") -> pl.Expr:
    r"""Ids as the colours of opaque pixels: what `decode_ids` undoes.

    Parameters
    ----------
    expr : Expr
        Ids, of any integer type.
    to : {"packed", "struct", "array", "binary"}
        `packed`: uint32, ``id + (255 << 24)``, whose bytes in memory are red, green, blue, alpha on a little-endian
        machine. `struct`: uint8 fields `r`, `g`, `b`, `a`. `array`: 4 uint8. `binary`: 4 bytes.

    Returns
    -------
    Expr
        Null for a null, and for an id that is not in 0 to 16,777,215: no id wraps.

    Raises
    ------
    SchemaError
        When the query is planned: the column is not of integers.

    Examples
    --------
    >>> import polars as pl
    >>> import arrow_labels
    >>> ids = pl.DataFrame({"id": [257, 1 << 24, None]})
    >>> ids.select(pl.col("id").labels.encode_ids("binary"))["id"].to_list()
    [b'\x01\x01\x00\xff', None, None]
    """
    if to not in ("packed", "struct", "array", "binary"):
        raise ValueError(f"to: expected 'packed', 'struct', 'array' or 'binary', got {to!r}")
    return expr.pipe_with_dtype(lambda ids, dtype: _encode(ids, dtype, to).alias(ids.meta.output_name()))


def _decode(expr: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    if isinstance(dtype, pl.BaseExtension):
        return decode_ids(expr.ext.storage())
    if dtype == pl.Null:
        return expr.cast(pl.Int64)
    if dtype.is_integer():
        return (expr & _LARGEST).cast(pl.Int64)
    if isinstance(dtype, pl.Struct):
        fields = {field.name: field.dtype for field in dtype.fields}
        if all(fields[name].is_integer() for name in "rgb" if name in fields) and set("rgb") <= set(fields):
            red, green, blue = (_byte(expr.struct.field(name)).cast(pl.Int64) for name in "rgb")
            return red + 256 * green + 65536 * blue
    if isinstance(dtype, pl.List | pl.Array) and dtype.inner.is_integer():
        numbers = expr.arr.to_list() if isinstance(dtype, pl.Array) else expr
        # Without the alpha: one that is no byte would make the whole binary null.
        colour = pl.when(numbers.list.len().is_between(3, 4)).then(numbers.list.head(3))
        return _of_bytes(colour.cast(pl.List(pl.UInt8), strict=False).cast(pl.Binary, strict=False))
    if dtype == pl.Binary:
        return _of_bytes(expr)
    raise SchemaError(f"Expected {_EXPECTED}, got `{dtype}`")


def _byte(channel: pl.Expr) -> pl.Expr:
    return channel.cast(pl.UInt8, strict=False)


def _of_bytes(expr: pl.Expr) -> pl.Expr:
    colour = pl.when(expr.bin.size().is_between(3, 4)).then(expr.bin.slice(0, 3) + pl.lit(b"\0"))
    return colour.bin.reinterpret(dtype=pl.Int32, endianness="little").cast(pl.Int64)


def _encode(expr: pl.Expr, dtype: pl.DataType, to: Packing) -> pl.Expr:
    if isinstance(dtype, pl.BaseExtension):
        return encode_ids(expr.ext.storage(), to)
    if not (dtype.is_integer() or dtype == pl.Null):
        raise SchemaError(f"Expected integers, got `{dtype}`")
    ids = expr.cast(pl.Int64, strict=False)
    known = ids.is_between(0, _LARGEST)
    if to == "packed":
        return pl.when(known).then(ids + _OPAQUE).cast(pl.UInt32)
    channels = [(ids // scale % 256).cast(pl.UInt8) for scale in (1, 256, 65536)] + [pl.lit(255, pl.UInt8)]
    if to == "struct":
        return pl.when(known).then(pl.struct(part.alias(name) for name, part in zip("rgba", channels, strict=True)))
    if to == "array":
        return pl.when(known).then(pl.concat_arr(channels))
    return pl.when(known).then(pl.concat_arr(channels).arr.to_list().cast(pl.Binary, strict=False))
