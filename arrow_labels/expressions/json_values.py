"""JSON objects in a text column -> typed columns of their members.

Polars' own ways are not exact: `json_decode` ends the query at the first value of another type, `json_path_match`
cannot reach every name and does not tell the text "3" from the number 3. So the text goes through msgspec, once for
each distinct text: annotations of one track repeat theirs on every frame.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import GenericAlias
from typing import Annotated, Any, Final, TypeAlias, TypedDict

import msgspec
import polars as pl
from msgspec import Raw

Wanted: TypeAlias = tuple[str, pl.DataType | None]
"""The name of a member, and the type of its column; None for the member's JSON text."""

_ABSENT: Final = Raw()
_OBJECT: Final = msgspec.json.Decoder(dict[str, Raw])
_FAILURES: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_BITS: Final[dict[pl.DataType, int]] = {
    **{pl.Int8(): 8, pl.Int16(): 16, pl.Int32(): 32, pl.Int64(): 64},
    **{pl.UInt8(): 8, pl.UInt16(): 16, pl.UInt32(): 32},
}


def as_dtype(dtype: Any) -> pl.DataType:
    """A Polars type from what stands for one.

    Raises
    ------
    ValueError
        JSON has no values of that type.
    """
    made = pl.Series([], dtype=dtype).dtype
    _json_type(made)
    return made


def members(texts: pl.Series, wanted: Mapping[str, Wanted]) -> pl.DataFrame:
    """Columns of members of JSON objects, each under the name that it is wanted by.

    Null where the text is null or no JSON object, where the member is absent or null, and where it is of another JSON
    type than that of the column. A string column takes any value: what is not a string as its JSON text.
    """
    encoded = texts.cast(pl.String).to_arrow().dictionary_encode()
    read = objects(encoded.dictionary.to_pylist())
    places = pl.Series(encoded.indices)
    made = {
        column: _column([found.get(name, _ABSENT) for found in read], dtype).gather(places)
        for column, (name, dtype) in wanted.items()
    }
    return pl.DataFrame(made)


def objects(texts: list[str]) -> list[dict[str, Raw]]:
    """The members of JSON objects; none of a text that is no JSON object."""
    lines = "\n".join(texts)
    if lines.count("\n") == len(texts) - 1:
        try:
            found = _OBJECT.decode_lines(lines)
            if len(found) == len(texts):
                return found
        except _FAILURES:
            pass
    return [_object(text) for text in texts]


def _object(text: str) -> dict[str, Raw]:
    try:
        return _OBJECT.decode(text)
    except _FAILURES:
        return {}


def _column(raws: list[Raw], dtype: pl.DataType | None) -> pl.Series:
    if dtype is None or dtype == pl.String:
        texts = _texts(raws)
        return texts if dtype is None else pl.Series([_unquoted(text) for text in texts], dtype=pl.String)
    type_ = _json_type(dtype)
    try:
        array = b"[" + b",".join([bytes(raw) or b"null" for raw in raws]) + b"]"
        values = msgspec.json.decode(array, type=GenericAlias(list, (type_,)))
    except _FAILURES:
        decoder = msgspec.json.Decoder(type_)
        values = [_value(raw, decoder, dtype) for raw in raws]
    return pl.Series(values, dtype=dtype)


def _texts(raws: list[Raw]) -> pl.Series:
    from arrow_labels.decode.columns import json_column  # brings pyarrow, and an import of the package shall not

    try:
        return pl.Series(json_column(raws), dtype=pl.String)
    except RecursionError:  # A value that is just not too deep to be read may be too deep to be made compact.
        if len(raws) == 1:
            return pl.Series([None], dtype=pl.String)
        return pl.concat([_texts([raw]) for raw in raws])


def _unquoted(text: str | None) -> str | None:
    if text is None or text[0] != '"':
        return text
    return msgspec.json.decode(text, type=str) if "\\" in text else text[1:-1]


def _value(raw: Raw, decoder: msgspec.json.Decoder[Any], dtype: pl.DataType) -> Any:
    try:
        return decoder.decode(raw)
    except _FAILURES:
        pass
    if not dtype.is_integer():
        return None
    try:
        number = msgspec.json.decode(raw, type=float)
    except _FAILURES:
        return None
    low, high = _limits(dtype)
    return int(number) if number.is_integer() and low <= number <= high else None  # 1.0 is an integer too


def _json_type(dtype: pl.DataType) -> Any:
    """What msgspec decodes to fill a column of some type: a value or null."""
    if dtype == pl.String:
        return str | None
    if dtype == pl.Boolean:
        return bool | None
    if dtype.is_float():
        return float | None
    if dtype in _BITS:
        low, high = _limits(dtype)
        return Annotated[int, msgspec.Meta(ge=low, le=high)] | None
    if isinstance(dtype, pl.List):
        return GenericAlias(list, (_json_type(as_dtype(dtype.inner)),)) | None
    if isinstance(dtype, pl.Struct):
        fields = {field.name: _json_type(as_dtype(field.dtype)) for field in dtype.fields}
        return TypedDict("Fields", fields, total=False) | None  # type: ignore[operator]
    raise ValueError(f"dtype: expected String, Boolean, a float, an integer, List or Struct, got {dtype}")


def _limits(dtype: pl.DataType) -> tuple[int, int]:
    bits = _BITS[dtype]
    return (-(1 << bits - 1), (1 << bits - 1) - 1) if dtype.is_signed_integer() else (0, (1 << bits) - 1)
