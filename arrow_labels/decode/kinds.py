"""What kind of document this is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from msgspec import Raw

from arrow_labels.decode.careful import FAILURES, is_null, problem
from arrow_labels.decode.definitions import parse_release, strict_release
from arrow_labels.decode.labels import ParsedLabel
from arrow_labels.decode.parsed_samples import ParsedSample
from arrow_labels.decode.point_ids import decode_apart, split_apart
from arrow_labels.decode.wanted import Wanted
from arrow_labels.errors import DecodeError
from arrow_labels.wire import Attributes, Label, decode_members

Kind = Literal["release", "sample", "label", "attributes"]


def recognise(data: bytes | memoryview, wanted: Wanted) -> tuple[Kind, Any, dict[str, Raw] | None]:
    """What kind of document this is, and its Structs if the strict ones take it, or its members.

    Strict decoders refuse a document of another kind at its first unknown key, so trying them in turn costs nothing.
    Where only some samples or labelsets are wanted, nothing but a release is decoded before its keys are known.

    Raises
    ------
    DecodeError
        Not JSON, or none of the kinds.
    """
    mapped = isinstance(data, memoryview)
    for kind, is_kind, parsed in _STRICT[-1:] if wanted.by_key else _STRICT:
        decode = getattr(wanted.decoders, kind)
        try:
            if mapped:
                document = split_apart(decode, data) if kind == "release" else decode(data)
            else:
                document = decode_apart(decode, data)
        except FAILURES:
            continue
        if is_kind(document):
            return kind, parsed(document), None
    try:
        members = decode_members(data) if mapped else decode_apart(decode_members, data)
    except FAILURES as error:
        raise problem(error) from None
    keys = members.keys()
    if "dataset" in keys and not is_null(members["dataset"]):
        return "release", parse_release(data), None
    if "labels" in keys:
        return "sample", None, members
    if keys & {"label_status", "sample_uuid", "labelset"}:
        return "label", None, members
    if keys & {"annotations", "frames", "sensors"}:
        return "attributes", None, members
    found = ", ".join(f"`{key}`" for key in list(keys)[:8]) or "no members"
    raise DecodeError(
        "Expected a release (`dataset`), a sample (`labels`), a label (`label_status`, `sample_uuid` or `labelset`) or "
        f"label attributes (`annotations`, `frames` or `sensors`), got an object with {found}"
    )


_STRICT: tuple[tuple[Kind, Callable[[Any], bool], Callable[[Any], Any]], ...] = (
    (
        "attributes",
        lambda it: isinstance(it, Attributes) and any(x is not None for x in (it.annotations, it.frames, it.sensors)),
        lambda it: ParsedLabel(Label(attributes=it)),
    ),
    (
        "label",
        lambda it: isinstance(it, Label) and any((it.label_status, it.sample_uuid, it.labelset)),
        ParsedLabel,
    ),
    ("sample", lambda it: it.labels is not None, ParsedSample),
    ("release", lambda it: it.dataset is not None, strict_release),
)
