"""A parsed sample -> rows of samples, sample_frames and cameras."""

from __future__ import annotations

from typing import Any

from msgspec import Raw

from arrow_labels.annotation import Quaternion, Vector3
from arrow_labels.decode.careful import FAILURES, extra_text
from arrow_labels.decode.columns import EXACT, NotExactError
from arrow_labels.decode.frames import in_order, members, taken
from arrow_labels.decode.labels import SensorValue, empty_json, is_empty
from arrow_labels.decode.parsed_samples import ParsedSample
from arrow_labels.decode.rows import Rows
from arrow_labels.decode.values import format_version, parse_time, parse_timestamp, time_text
from arrow_labels.wire import (
    Camera,
    EgoPose,
    Extrinsics,
    SampleAttributes,
    SampleFrame,
    SampleSensor,
    SampleSensorAttributes,
    decode_json,
    decode_matrix,
    json_text,
)

_NO_FRAME, _NO_SENSOR, _NO_CAMERA = SampleFrame(), SampleSensor(), Camera()


def add_sample(
    out: Rows, sample_id: str, sample_index: int, dataset: str | None, parsed: ParsedSample, unit: int
) -> None:
    """Append the rows of a sample."""
    sample = parsed.sample
    out.repeat(1, sample_id, dataset)
    if parsed.document is None:
        document = members(sample, "attributes", "labels", "metadata")
    else:
        document = in_order(parsed.document, sample)
        document.pop("metadata", None)
    canonical: dict[str, Any] = {"uuid": sample_id, "labels": {}}
    if sample.labels is not None:
        document["labels"] = {}
    canonical |= {
        name: value
        for name in ("name", "created_by", "priority", "readme")
        if (value := getattr(sample, name)) is not None
    }
    created_at = parse_time(sample.created_at)
    if created_at is not None:
        canonical["created_at"] = time_text(created_at)
    attributes = sample.attributes
    frame_count, sensors = None, None
    original = parsed.attributes if parsed.careful_attributes else None
    if is_empty(attributes, original):
        document["attributes"] = empty_json(attributes)
    elif isinstance(attributes, SampleAttributes):
        if attributes.sensors is not None:
            sensors = _add_sensors(out, sample_id, attributes.sensors, original and original["sensors"], unit)
            _compare(canonical, document, attributes, original, "sensors")
            if not sensors:
                del canonical["attributes"]
                document["attributes"]["sensors"] = []
        elif attributes.frames is not None:
            frame_count = len(attributes.frames)
            _add_frames(out, sample_id, 0, None, attributes.frames, original and original["frames"], unit)
            _compare(canonical, document, attributes, original, "frames")
        else:
            _add_frame(out, sample_id, 0, None, 0, attributes, original, unit)
    out.rows["samples"].append(
        (
            sample_id,
            sample_index,
            sample.name,
            dataset,
            frame_count,
            sensors,
            sample.metadata,
            created_at,
            sample.created_by,
            sample.priority,
            sample.readme,
            extra_text(canonical, document),
        )
    )


def _compare(canonical: dict[str, Any], document: dict[str, Any], attributes: Any, original: Any, rows: str) -> None:
    """Enter what sample attributes say besides their frames or sensors on both sides of the comparison."""
    canonical["attributes"] = {}
    said = _plain(attributes, rows) if original is None else in_order(original, attributes)
    document["attributes"] = {name: value for name, value in said.items() if name != rows}


def _plain(struct: Any, *without: str) -> dict[str, Any]:
    """A Struct as plain values, without the members that are rows of their own."""
    result: dict[str, Any] = {}
    for name, value in members(struct, *without).items():
        if isinstance(value, Raw):
            result[name] = decode_json(value)
        elif hasattr(value, "__struct_fields__"):
            result[name] = _plain(value)
        elif isinstance(value, list):
            result[name] = [_plain(item) if hasattr(item, "__struct_fields__") else item for item in value]
        else:
            if isinstance(value, float) and abs(value) >= EXACT:
                raise NotExactError
            result[name] = value
    return result


def _add_sensors(
    out: Rows, sample_id: str, sensors: list[SampleSensor], originals: list[Any] | None, unit: int
) -> list[SensorValue]:
    result: list[SensorValue] = []
    for index, sensor in enumerate(sensors):
        sensors[index] = _NO_SENSOR
        original = taken(originals, index)
        canonical = members(sensor, "attributes")
        document = dict(canonical) if original is None else in_order(original, sensor)
        attributes = sensor.attributes
        said = None if original is None else original.get("attributes")
        version, frame_count = None, None
        if is_empty(attributes, said):
            document["attributes"] = empty_json(attributes)
        elif isinstance(attributes, SampleSensorAttributes):
            version = format_version(attributes.format_version)
            if attributes.frames is not None:
                frame_count = len(attributes.frames)
                _add_frames(out, sample_id, index, sensor.name, attributes.frames, said and said["frames"], unit)
                _compare(canonical, document, attributes, said, "frames")
            else:
                document["attributes"] = {"format_version": attributes.format_version}
                canonical["attributes"] = {}
                frame = said and {k: v for k, v in said.items() if k != "format_version"}
                _add_frame(out, sample_id, index, sensor.name, 0, attributes, frame, unit, "format_version")
            canonical["attributes"]["format_version"] = version
        result.append((sensor.name, sensor.task_type, version, frame_count, extra_text(canonical, document)))
    return result


def _add_frames(
    out: Rows,
    sample_id: str,
    sensor_index: int,
    sensor: str | None,
    frames: list[SampleFrame],
    originals: list[Any] | None,
    unit: int,
) -> None:
    if not out.wanted.sample_frames:
        return
    for index, frame in enumerate(frames):
        frames[index] = _NO_FRAME
        original = taken(originals, index)
        _add_frame(out, sample_id, sensor_index, sensor, index, frame, original, unit)


def _add_frame(
    out: Rows,
    sample_id: str,
    sensor_index: int,
    sensor: str | None,
    frame_index: int,
    frame: SampleFrame,
    original: dict[str, Any] | None,
    unit: int,
    *elsewhere: str,
) -> None:
    cameras = (out.wanted.cameras and frame.images) or []
    out.repeat(1 + len(cameras), sample_id, sensor)
    timestamp = parse_timestamp(frame.timestamp, unit)
    if original is None:
        extra = _strict_frame_extra(frame, timestamp, elsewhere)
    else:
        extra = _careful_frame_extra(frame, timestamp, original)
    out.rows["sample_frames"].append((sample_id, sensor_index, sensor, frame_index, timestamp, frame, extra))
    out.relieve("sample_frames")
    for index, camera in enumerate(cameras):
        cameras[index] = _NO_CAMERA
        extra = (
            _strict_camera_extra(camera)
            if original is None
            else _careful_camera_extra(camera, taken(original["images"], index))
        )
        out.rows["cameras"].append((sample_id, sensor_index, frame_index, index, camera, extra))
        out.relieve("cameras")


def _strict_frame_extra(frame: SampleFrame, timestamp: int | None, elsewhere: tuple[str, ...]) -> str | None:
    """`extra` of a frame that the strict Structs took: the few things that its columns cannot say."""
    patch: dict[str, Any] = {}
    if frame.timestamp != timestamp:
        patch["timestamp"] = frame.timestamp
    if frame.images == []:
        patch["images"] = []
    for name in ("image", "pcd", "ego_pose"):
        item = getattr(frame, name)
        if item is not None and not members(item):
            patch[name] = {}
    version = getattr(frame, "format_version", None)
    if version is not None and "format_version" not in elsewhere:
        patch["format_version"] = version
    return json_text(patch) if patch else None


def _careful_frame_extra(frame: SampleFrame, timestamp: int | None, original: dict[str, Any]) -> str | None:
    """Compare what the typed columns of a frame give back with its document, the cameras apart."""
    pose = frame.ego_pose or EgoPose()
    canonical = nest(
        {
            ("name",): frame.name,
            ("timestamp",): timestamp,
            ("image", "url"): frame.image and frame.image.url,
            ("pcd", "url"): frame.pcd and frame.pcd.url,
            ("pcd", "type"): frame.pcd and frame.pcd.type,
            **_nested(("ego_pose", "position"), pose.position),
            **_nested(("ego_pose", "heading"), pose.heading),
            ("default_z",): frame.default_z,
        }
    )
    document = _without_nulls(in_order(original, frame), "image", "pcd", "ego_pose")
    document.pop("images", None)
    if frame.images == []:
        document["images"] = []
    return extra_text(canonical, document)


def _strict_camera_extra(camera: Camera) -> str | None:
    """`extra` of a camera that the strict Structs took: members that are there but empty."""
    patch: dict[str, Any] = {}
    for name in ("intrinsics", "extrinsics", "distortion"):
        item = getattr(camera, name)
        if item is not None and not members(item):
            patch[name] = {}
    return json_text(patch) if patch else None


def _careful_camera_extra(camera: Camera, original: dict[str, Any]) -> str | None:
    """Compare what the typed columns of a camera give back with its document."""
    pose = camera.extrinsics or Extrinsics()
    distortion = original.get("distortion")
    canonical = nest(
        {
            **{(name,): getattr(camera, name) for name in ("name", "url", "row", "col")},
            ("intrinsics", "intrinsic_matrix"): _matrix(camera),
            **_nested(("extrinsics", "translation"), pose.translation),
            **_nested(("extrinsics", "rotation"), pose.rotation),
            ("distortion", "model"): camera.distortion and camera.distortion.model,
            ("distortion", "coefficients"): distortion and distortion.get("coefficients"),
            ("camera_convention",): camera.camera_convention,
            ("rotation",): camera.rotation,
        }
    )
    return extra_text(canonical, _without_nulls(in_order(original, camera), "intrinsics", "extrinsics", "distortion"))


def _without_nulls(document: dict[str, Any], *names: str) -> dict[str, Any]:
    """A copy without the nulls in some of its objects, which `extra` does not tell from what is absent."""
    found = {name: document[name] for name in names if isinstance(document.get(name), dict)}
    kept = {name: {key: item for key, item in inner.items() if item is not None} for name, inner in found.items()}
    return document | kept


def _matrix(camera: Camera) -> list[list[float]] | None:
    """A 3 x 3 matrix of numbers; null for any other."""
    if camera.intrinsics is None or not camera.intrinsics.intrinsic_matrix:
        return None
    try:
        return [list(row) for row in decode_matrix(camera.intrinsics.intrinsic_matrix)]
    except FAILURES:
        return None


def _nested(path: tuple[str, ...], item: Vector3 | Quaternion | None) -> dict[tuple[str, ...], Any]:
    return {} if item is None else {(*path, name): value for name, value in members(item).items()}


def nest(flat: dict[tuple[str, ...], Any]) -> dict[str, Any]:
    """Nested objects of the values that are not null, by path."""
    result: dict[str, Any] = {}
    for path, value in flat.items():
        if value is not None:
            inner = result
            for name in path[:-1]:
                inner = inner.setdefault(name, {})
            inner[path[-1]] = value
    return result
