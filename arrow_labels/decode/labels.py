"""A label -> rows of labels and links, and those of its frames."""

from __future__ import annotations

from typing import Any, NamedTuple

from msgspec import Raw

from arrow_labels.decode.careful import FAILURES, Buffer, extra_text, is_null, parse, split
from arrow_labels.decode.columns import NotExactError
from arrow_labels.decode.frames import Place, add_frame, add_frames, in_order, kept_frames, members, taken
from arrow_labels.decode.point_ids import decode_apart
from arrow_labels.decode.rows import Rows
from arrow_labels.decode.values import format_version, parse_time, time_text
from arrow_labels.decode.wanted import Wanted
from arrow_labels.wire import (
    Attributes,
    Label,
    Link,
    Nothing,
    Sensor,
    SensorAttributes,
    decode_attributes,
    decode_label,
    decode_label_head,
)

_TIMES = ("created_at", "updated_at", "reviewed_at")
_PLAIN = ("label_status", "score", "rating", "created_by", "updated_by", "reviewed_by")
_NO_LINK, _NO_SENSOR = Link(), Sensor()


class ParsedLabel(NamedTuple):
    """A label as Structs, and as plain values where they were parsed: the careful path."""

    label: Label | None
    document: dict[str, Any] | None = None
    attributes: Any = None
    careful_attributes: bool = False


def parse_label(raw: Buffer, wanted: Wanted, careful: bool = False) -> ParsedLabel | None:
    """A label as strict Structs if they take it, else the careful way, part by part; None if its status is not wanted.

    Raises
    ------
    DecodeError
        Not a label; the path starts at the label's `attributes`, or at the label for its other members.
    """
    if "label_status" in wanted.keep and not _has_wanted_status(raw, wanted):
        return None
    if not careful:
        try:
            return ParsedLabel(decode_apart(wanted.decoders.label, raw))
        except FAILURES:
            pass
    if is_null(raw):
        return ParsedLabel(None)
    taken, rest = split(raw, "attributes")
    label, document = parse(rest, decode_label, Label)
    parsed = parse_attributes(taken.get("attributes", Raw(b"null")), wanted, careful)
    label.attributes = parsed.label.attributes if parsed.label else None
    return ParsedLabel(label, document, parsed.attributes, parsed.careful_attributes)


def _has_wanted_status(raw: Buffer, wanted: Wanted) -> bool:
    try:
        head = decode_label_head(raw)
    except FAILURES:
        return True  # what is wrong is said when it is decoded
    return wanted.kept("label_status", [head and head.label_status])[0]


def parse_attributes(raw: Buffer, wanted: Wanted, careful: bool = False) -> ParsedLabel:
    """Label attributes, as `parse_label` does it, in a label that says nothing else."""
    if not careful:
        try:
            return ParsedLabel(Label(attributes=decode_apart(wanted.decoders.attributes, raw)))
        except FAILURES:
            pass
    attributes, document = parse(raw, decode_attributes, Attributes | Nothing | None)
    return ParsedLabel(Label(attributes=attributes), None, document, True)


SensorValue = tuple[str | None, str | None, str | None, int | None, str | None]
"""An item of the column `sensors`, its members in the order of `schema.SENSOR`."""


def add_label(out: Rows, place: Place, parsed: ParsedLabel) -> None:
    """Append the rows of a label.

    Raises
    ------
    DecodeError
        Numbers that are not what they must be (careful path only).
    NotExactError
        The strict Structs hold something that only the careful path can keep.
    """
    label = parsed.label
    key = (place.sample_id, place.labelset)
    out.repeat(1, *key, place.source)
    if label is None:
        row = (*key, place.source, place.task_type, *[None] * 12, place.content_hash, "null")
        out.rows["labels"].append(row)
        return
    document = members(label, "attributes") if parsed.document is None else in_order(parsed.document, label)
    canonical: dict[str, Any] = {name: value for name in _PLAIN if (value := getattr(label, name)) is not None}
    label_type = place.task_type or label.label_type
    if label_type is not None:
        canonical["label_type"] = label_type
    times = {name: parse_time(getattr(label, name)) for name in _TIMES}
    canonical |= {name: time_text(moment) for name, moment in times.items() if moment is not None}

    attributes = label.attributes
    version, frame_count, sensors = None, None, None
    original = parsed.attributes if parsed.careful_attributes else None
    if is_empty(attributes, original):
        document["attributes"] = empty_json(attributes)
    elif isinstance(attributes, Attributes):
        version = format_version(attributes.format_version)
        canonical["attributes"], document["attributes"] = {}, {}
        if attributes.links is not None:
            add_links(out, key, attributes.links, original and original["links"])
            if not attributes.links:
                document["attributes"]["links"] = []
        if attributes.sensors is not None:
            sensors = add_sensors(out, place, attributes.sensors, original and original["sensors"])
            if not attributes.sensors:
                del canonical["attributes"]
                document["attributes"]["sensors"] = []
            _state(canonical, document, attributes, original, ("sensors", "links"))
        elif attributes.frames is not None:
            frame_count = len(attributes.frames)
            add_frames(out, place, 0, None, attributes.frames, original and original["frames"], "$")
            _state(canonical, document, attributes, original, ("frames", "links"))
        else:
            single = original
            if original is not None and "links" in original:
                single = {name: value for name, value in original.items() if name != "links"}
            if kept_frames(out.wanted, 0, None, 1):
                add_frame(out, place, 0, None, 0, attributes, single, "$")
    out.rows["labels"].append(
        (
            *key,
            place.source,
            label_type,
            label.label_status,
            version,
            frame_count,
            sensors,
            label.score,
            label.rating,
            times["created_at"],
            label.created_by,
            times["updated_at"],
            label.updated_by,
            times["reviewed_at"],
            label.reviewed_by,
            place.content_hash,
            extra_text(canonical, document),
        )
    )


def _state(
    canonical: dict[str, Any],
    document: dict[str, Any],
    attributes: SensorAttributes,
    original: dict[str, Any] | None,
    rows: tuple[str, ...],
) -> None:
    """Enter what attributes say besides their frames or sensors on both sides of the comparison."""
    version = format_version(attributes.format_version)
    if version is not None:
        canonical.setdefault("attributes", {})["format_version"] = version
    if original is not None:
        said = {name: value for name, value in original.items() if name not in rows}
    else:
        said = members(attributes, *rows)
        if said.keys() - {"format_version"}:
            raise NotExactError
    document["attributes"] |= said


def is_empty(attributes: Any, original: Any) -> bool:
    """Whether attributes are `[]`, `{}` or null; an object of nulls is `{}`."""
    if isinstance(original, dict):
        return all(value is None for value in original.values())
    return attributes is None or attributes == () or not members(attributes)


def empty_json(attributes: Any) -> Any:
    """Empty attributes as JSON: `[]`, `{}` or null."""
    return attributes if attributes is None else [] if attributes == () else {}


def add_links(out: Rows, key: tuple[str, str], links: list[Link], originals: list[Any] | None) -> None:
    """Append the rows of a label's links, which are let go one by one."""
    out.repeat(len(links), *key)
    for place, link in enumerate(links):
        extra = None
        if originals is not None:
            original = taken(originals, place)
            canonical = {"from_id": link.from_id, "to_id": link.to_id}
            canonical |= {name: original.get(name) for name in ("attributes", "frames")}
            extra = extra_text(canonical, original)
        out.rows["links"].append((*key, place, link.from_id, link.to_id, link.attributes, link.frames, extra))
        links[place] = _NO_LINK
        out.relieve("links")


def add_sensors(out: Rows, place: Place, sensors: list[Sensor], originals: list[Any] | None) -> list[SensorValue]:
    """Append the rows of each sensor's frames; gives the `sensors` column."""
    result: list[SensorValue] = []
    for index, sensor in enumerate(sensors):
        sensors[index] = _NO_SENSOR
        original = taken(originals, index)
        canonical = members(sensor, "attributes")
        document = dict(canonical) if original is None else in_order(original, sensor)
        attributes = sensor.attributes
        path = f"$.sensors[{index}].attributes"
        version, frame_count = None, None
        said = None if original is None else original.get("attributes")
        if is_empty(attributes, said):
            document["attributes"] = empty_json(attributes)
        elif isinstance(attributes, SensorAttributes):
            version = format_version(attributes.format_version)
            if attributes.frames is not None:
                frame_count = len(attributes.frames)
                add_frames(out, place, index, sensor.name, attributes.frames, said and said["frames"], path)
                canonical["attributes"], document["attributes"] = {}, {}
                _state(canonical, document, attributes, said, ("frames",))
            else:
                document.pop("attributes", None)
                if kept_frames(out.wanted, index, sensor.name, 1):
                    add_frame(out, place, index, sensor.name, 0, attributes, said, path)
        result.append((sensor.name, sensor.task_type, version, frame_count, extra_text(canonical, document)))
    return result
