"""The frames of a label -> rows of frames, and the annotations of each."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from typing import Any, NamedTuple

from msgspec import Raw

from arrow_labels.annotation import ABSENT
from arrow_labels.decode.careful import FAILURES, extra_text, frame_extras, is_null
from arrow_labels.decode.columns import NotExactError
from arrow_labels.decode.point_ids import decode_apart
from arrow_labels.decode.rows import Rows
from arrow_labels.decode.values import format_version, parse_timestamp
from arrow_labels.decode.wanted import Decoders, Wanted
from arrow_labels.wire import Frame, json_text

_NULL = Raw(b"null")
_NO_FRAME = Frame()
_HEAD = 64


class Place(NamedTuple):
    """Where a label belongs, and how to read it."""

    source: str | None
    sample_id: str
    labelset: str
    task_type: str | None
    unit: int
    content_hash: str | None = None


def members(struct: Any, *without: str) -> dict[str, Any]:
    """The members of a Struct that are there, and not null."""
    values = [(name, getattr(struct, name)) for name in struct.__struct_fields__ if name not in without]
    return {name: value for name, value in values if value not in (None, ABSENT, _NULL)}


def in_order(document: dict[str, Any], struct: Any) -> dict[str, Any]:
    """A copy of a document with its members in the order of `members`, unknown ones last.

    So `extra` is the same text whether the careful path was needed or not: that may be for what not everyone reads.
    """
    return {name: document[name] for name in struct.__struct_encode_fields__ if name in document} | document


def taken(originals: list[Any] | None, index: int) -> Any:
    """One of some plain values, which are let go one by one; None if there are none."""
    if originals is None:
        return None
    original, originals[index] = originals[index], None
    return original


def add_frames(
    out: Rows,
    place: Place,
    sensor_index: int,
    sensor: str | None,
    frames: list[Frame],
    originals: list[Any] | None,
    path: str,
) -> None:
    """Append the rows of a sequence, whose frames are let go one by one."""
    for index in kept_frames(out.wanted, sensor_index, sensor, len(frames)):
        original = taken(originals, index)
        frame, frames[index] = _decoded(frames[index], out.wanted.decoders), _NO_FRAME
        add_frame(out, place, sensor_index, sensor, index, frame, original, f"{path}.frames[{index}]")


def kept_frames(wanted: Wanted, sensor_index: int, sensor: str | None, count: int) -> Sequence[int]:
    """Which frames of a sensor may have rows that are wanted."""
    if not (wanted.frames and wanted.kept("sensor_index", [sensor_index])[0] and wanted.kept("sensor", [sensor])[0]):
        return []
    if "frame_index" not in wanted.keep:
        return range(count)
    return list(compress(range(count), wanted.kept("frame_index", range(count))))


def _decoded(frame: Frame | Raw, decoders: Decoders) -> Frame:
    if not isinstance(frame, Raw):
        return frame
    try:
        return decode_apart(decoders.frame, frame)
    except FAILURES:
        raise NotExactError from None  # the careful path says what is wrong, and where in the label


def add_frame(
    out: Rows,
    place: Place,
    sensor_index: int,
    sensor: str | None,
    frame_index: int,
    frame: Frame,
    original: dict[str, Any] | None,
    path: str,
) -> None:
    """Append the row of a frame and its annotations."""
    groups = frame.groups
    count = sum([group.length for group in groups])
    out.repeat(1 + count, place.sample_id, place.labelset, sensor)
    if out.categories:
        out.repeat_categories(groups)
    timestamp = parse_timestamp(frame.timestamp, place.unit)
    version = format_version(frame.format_version)
    bitmap = frame.segmentation_bitmap
    url = (bitmap.url or None) if bitmap is not None else None
    points = frame.point_annotations
    is_cloud = len(points) > 0 and not is_null(points)
    has_points = is_cloud and not _is_blank(points)
    if original is not None:
        for item, text in frame_extras(frame, original, path):
            out.extras[len(out.annotations), item] = text
    if original is None:
        extra = _strict_frame_extra(frame, timestamp, url, is_cloud and not has_points)
    else:
        extra = _careful_frame_extra(frame, original, timestamp, version, url, has_points)
    out.rows["frames"].append(
        (
            place.sample_id,
            place.labelset,
            sensor_index,
            sensor,
            frame_index,
            timestamp,
            version,
            frame.image_attributes,
            url,
            points if has_points else ABSENT,
            extra,
        )
    )
    out.annotations.append(groups)
    out.clouds.append(is_cloud)
    out.relieve("frames")


def _is_blank(points: Raw | memoryview) -> bool:
    """Whether point ids are an empty array, with however many spaces in it."""
    view = memoryview(points)
    if bytes(view[:_HEAD]).strip(b"[] \t\r\n"):
        return False
    text = bytes(view)
    return text.startswith(b"[") and not text[1:-1].strip()


def _strict_frame_extra(frame: Frame, timestamp: int | None, url: str | None, no_points: bool) -> str | None:
    """`extra` of a frame that the strict Structs took: the few things that its columns cannot say."""
    patch: dict[str, Any] = {}
    if frame.annotations is None:
        patch["annotations"] = None
    if frame.timestamp != timestamp:
        patch["timestamp"] = frame.timestamp
    if frame.format_version is not None and not isinstance(frame.format_version, str):
        patch["format_version"] = frame.format_version
    if frame.segmentation_bitmap is not None and url is None:
        patch["segmentation_bitmap"] = members(frame.segmentation_bitmap)
    if no_points:
        patch["point_annotations"] = []
    return json_text(patch) if patch else None


def _careful_frame_extra(
    frame: Frame,
    original: dict[str, Any],
    timestamp: int | None,
    version: str | None,
    url: str | None,
    has_points: bool,
) -> str | None:
    """Compare what the typed columns of a frame give back with its document, its rows and free JSON apart."""
    canonical: dict[str, Any] = {"annotations": []}
    if timestamp is not None:
        canonical["timestamp"] = timestamp
    if version is not None:
        canonical["format_version"] = version
    if url is not None:
        canonical["segmentation_bitmap"] = {"url": url}
    document = in_order(original, frame)
    document.pop("image_attributes", None)
    if has_points:
        del document["point_annotations"]
    if document.get("annotations") is not None:
        document["annotations"] = []
    if bitmap := document.get("segmentation_bitmap"):
        document["segmentation_bitmap"] = {name: value for name, value in bitmap.items() if value is not None}
    return extra_text(canonical, document)
