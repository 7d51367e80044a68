"""The careful path: documents that the strict Structs refuse, or whose columns would not give them back exactly.

A document is parsed to plain values first (the last of duplicate keys wins); a copy without unknown keys and nulls, and
with the numbers that the types ask for, goes through the strict decoders; what the typed columns cannot give back is
found by comparing canonical JSON with the document, and becomes `extra`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from operator import is_not
from typing import Any, cast

import msgspec
from msgspec import Struct, inspect

from arrow_labels.annotation import CUBOID_TYPES, KINDS, NESTED, VECTOR_TYPES, Annotation
from arrow_labels.errors import DecodeError
from arrow_labels.merge_patch import SAME, difference
from arrow_labels.wire import (
    Frame,
    decode_annotation,
    decode_json,
    decode_members,
    decode_point_ids,
    decode_points,
    encode_json,
    json_text,
)

Buffer = bytes | memoryview | msgspec.Raw

_PATH = re.compile(r" - at `(?P<path>[^`]*)`$")
_INT64 = 2**63
_SCALARS = ("category_id", "id", "track_id", "type", "is_keyframe", "index")


_PIECE = 1 << 14
_CUT_OFF = "Input data was truncated"
"""What msgspec says of a document that ends too early."""
_WORDS = [
    (re.compile("^Invalid enum value (.*)"), rf"Expected one of {', '.join(sorted(filter(None, KINDS)))}, got \1"),
    (re.compile("^Object missing required field (.*)"), r"Expected an object with \1, got one without"),
    (re.compile("^(Expected `array` of length >= .*)"), r"\1, got a shorter one"),
    (re.compile("^(Expected `array` of length <= .*)"), r"\1, got a longer one"),
    (re.compile("^(Expected `.*` >= .*)"), r"\1, got a smaller one"),
    (re.compile("^(Expected `.*` <= .*)"), r"\1, got a larger one"),
]
"""What msgspec says without what was expected, or without what was found."""


def problem(error: Exception, prefix: str = "$") -> DecodeError:
    """A `DecodeError` from what a JSON decoder raised, its path below `prefix`."""
    if isinstance(error, DecodeError):
        return DecodeError(error.message, path=prefix + error.path[1:])
    if isinstance(error, RecursionError):
        return DecodeError("Expected JSON of reasonable depth, got arrays or objects nested too deeply", path=prefix)
    text = str(error)
    if isinstance(error, UnicodeError):
        text = f"Expected UTF-8 text, got {text}"
    if text == _CUT_OFF:
        text += ": the document is cut off, get it again"
    found = _PATH.search(text)
    path = prefix if found is None else prefix + found["path"][1:]
    text = text if found is None else text[: found.start()]
    for pattern, words in _WORDS:
        text = pattern.sub(words, text)
    return DecodeError(text, path=path)


FAILURES = (msgspec.DecodeError, RecursionError, UnicodeError, DecodeError)
"""What decoding raises; `msgspec.ValidationError` is a `msgspec.DecodeError`."""


def is_null(raw: Buffer) -> bool:
    """Whether a raw value is `null`."""
    return bytes(memoryview(raw)[:4]) == b"null"


def parse(raw: Buffer, decode: Callable[[bytes], Any], type_: Any, prefix: str = "$") -> tuple[Any, Any]:
    """A document as Struct and as plain values.

    Raises
    ------
    DecodeError
        The document is not of the type even without its unknown keys.
    """
    try:
        document = decode_json(raw)
        return decode(encode_json(_coerce(document, _type_info(type_)))), document
    except FAILURES as error:
        raise problem(error, prefix) from None


def split(raw: Buffer, *names: str, prefix: str = "$") -> tuple[dict[str, msgspec.Raw], bytes]:
    """Some members of an object as they are, and the object without them."""
    try:
        members = decode_members(raw)
    except FAILURES as error:
        raise problem(error, prefix) from None
    taken = {name: members.pop(name) for name in names if name in members}
    return taken, encode_json(members)


@cache
def _type_info(type_: Any) -> inspect.Type:
    return inspect.type_info(type_)


@cache
def _fields(struct: type[Struct]) -> dict[str, inspect.Type]:
    info = cast(inspect.StructType, _type_info(struct))
    return {field.encode_name: field.type for field in info.fields}


def _coerce(value: Any, type_: inspect.Type) -> Any:
    """`value` without unknown keys and nulls, integers and floats as the type has them."""
    if isinstance(type_, inspect.UnionType):
        options = [item for item in type_.types if not isinstance(item, inspect.NoneType)]
        if isinstance(value, dict):
            options = [item for item in options if isinstance(item, inspect.StructType)]
        return _coerce(value, options[0]) if len(options) == 1 else value
    if isinstance(type_, inspect.Metadata):
        held = (type_.extra or {}).get("holds")
        return _coerce(value, type_.type if held is None else _type_info(held))
    if isinstance(type_, inspect.StructType) and isinstance(value, dict):
        fields = _fields(type_.cls)
        return {key: _coerce(item, fields[key]) for key, item in value.items() if item is not None and key in fields}
    if isinstance(type_, inspect.ListType) and isinstance(value, list):
        items = [_coerce(item, type_.item_type) for item in value]
        # A list in which nothing changes is kept: a copy of a million points takes more memory than all else.
        return items if any(map(is_not, items, value)) else value
    if isinstance(type_, inspect.IntType) and isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(type_, inspect.FloatType) and type(value) is int and not -_INT64 <= value < _INT64:
        try:
            return float(value)
        except OverflowError:
            return value
    return value


def extra_text(canonical: Any, document: Any) -> str | None:
    """The `extra` that turns canonical JSON into the document; null where there is none.

    Raises
    ------
    DecodeError
        The document is so deep that it cannot be compared.
    """
    try:
        patch = difference(canonical, document)
        return None if patch is SAME else json_text(patch)
    except RecursionError as error:
        raise problem(error) from None


def frame_extras(frame: Frame, document: dict[str, Any], prefix: str) -> Iterator[tuple[int, str]]:
    """`extra` of the annotations of a frame that have one, by their place.

    Raises
    ------
    DecodeError
        Points, point ids, or ids that are not what they must be.
    """
    try:
        if frame.point_annotations:
            decode_point_ids(frame.point_annotations)
    except FAILURES as error:
        raise problem(error, f"{prefix}.point_annotations") from None
    for place, original in enumerate(document.get("annotations") or ()):
        coerced = _coerce(original, _type_info(Annotation))
        annotation = decode_annotation(encode_json(coerced))
        path = f"{prefix}.annotations[{place}]"
        if annotation.id is None and annotation.track_id is None:
            raise DecodeError("Expected `id` or `track_id`, got neither", path=path)
        try:
            points = _exact_points(annotation.points, coerced["points"]) if annotation.points else []
        except FAILURES as error:
            raise problem(error, f"{path}.points") from None
        text = extra_text(_annotation_json(annotation, points, original.get("attributes")), original)
        if text is not None:
            yield place, text


def _exact_points(raw: msgspec.Raw, plain: Any) -> Any:
    """Points as the columns give them back: the plain values that they were made of, if these say the same.

    Many are made and compared a piece at a time: a point of five characters is three Python objects.
    """
    pieces = range(0, len(plain), _PIECE) if isinstance(plain, list) else range(0)
    try:
        if len(pieces) > 1 and all(
            decode_points(encode_json(plain[start : start + _PIECE])) == plain[start : start + _PIECE]
            for start in pieces
        ):
            return plain
    except FAILURES:
        pass  # said with its place in the whole list
    return decode_points(raw)


def _annotation_json(annotation: Annotation, points: Any, attributes: Any) -> dict[str, Any]:
    """The canonical JSON of an annotation: what its typed columns give back."""
    names: tuple[str, ...] = _SCALARS
    nested: dict[str, tuple[str, ...]] = {}
    if annotation.type in CUBOID_TYPES:
        names, nested = (*_SCALARS, "yaw"), NESTED
    result = {name: value for name in names if (value := getattr(annotation, name)) is not None}
    if attributes is not None:
        result["attributes"] = attributes
    if annotation.type in VECTOR_TYPES:
        result["points"] = points
    for name, members in nested.items():
        item = getattr(annotation, name)
        values = {member: value for member in members if (value := getattr(item, member, None)) is not None}
        if values:
            result[name] = values
    return result
