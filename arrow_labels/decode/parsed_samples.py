"""The text of a sample -> the sample as Structs, its labels apart: strictly if they take it, else the careful way."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, NamedTuple, cast

from arrow_labels.decode.careful import FAILURES, Buffer, parse, problem, split
from arrow_labels.decode.point_ids import decode_apart
from arrow_labels.decode.wanted import Wanted
from arrow_labels.errors import DecodeError
from arrow_labels.wire import (
    Nothing,
    Sample,
    SampleAttributes,
    decode_json,
    decode_members,
    decode_sample,
    decode_sample_attributes,
    decode_sample_labels,
)

_ATTRIBUTES = SampleAttributes | Nothing | None


class ParsedSample(NamedTuple):
    """A sample as Structs, and as plain values where they were parsed: the careful path.

    Its labels are Structs, or raw where they are yet to be parsed; `error` is what was wrong with the sample itself.
    """

    sample: Sample
    document: dict[str, Any] | None = None
    attributes: Any = None
    careful_attributes: bool = False
    error: DecodeError | None = None


def parse_sample(raw: Buffer, wanted: Wanted, careful: bool = False) -> ParsedSample:
    """A sample as strict Structs if they take it, else the careful way, part by part.

    Raises
    ------
    DecodeError
        Not a sample at all; what is wrong with its parts is in the result, or comes when they are parsed.
    """
    if not careful:
        try:
            return ParsedSample(decode_apart(wanted.decoders.sample, raw))
        except FAILURES:
            pass
    taken, rest = split(raw, "attributes", "labels")
    try:
        labels = decode_sample_labels(taken.get("labels", b"null"))
    except FAILURES as error:
        raise problem(error, "$.labels") from None
    attributes, found = None, None
    try:
        sample, document = parse(rest, decode_sample, Sample)
        if wanted.samples:
            sample.attributes, attributes = parse(
                taken.get("attributes", b"null"), decode_sample_attributes, _ATTRIBUTES, "$.attributes"
            )
    except DecodeError as error:
        # What is wrong with the sample is said once; its labels are still labels of the same sample.
        sample, document, found = _name_only(rest), {}, error
    sample.labels = cast(Any, labels)
    return ParsedSample(sample, document, attributes, True, found)


def _name_only(raw: bytes) -> Sample:
    names: dict[str, Any] = {}
    with suppress(*FAILURES):
        members = decode_members(raw)
        for key in ("uuid", "name"):
            with suppress(*FAILURES, KeyError):
                value = decode_json(members[key])
                if isinstance(value, str):
                    names[key] = value
    return Sample(**names)
