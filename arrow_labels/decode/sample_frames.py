"""Frames and cameras of many samples -> the tables sample_frames and cameras, a column at a time."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from msgspec import Raw
from msgspec.structs import astuple

from arrow_labels.annotation import RECORDS, packed, points_text
from arrow_labels.decode.careful import FAILURES
from arrow_labels.decode.columns import (
    Maker,
    NotExactError,
    floats,
    integers,
    json_column,
    make,
    members,
    nulls,
    validity,
)
from arrow_labels.decode.number_lists import points_column
from arrow_labels.schema import SCHEMAS
from arrow_labels.wire import Camera, Distortion, EgoPose, Extrinsics, Intrinsics, Pcd, SampleFrame, Url, decode_matrix

_POSE, _URL, _PCD = EgoPose(), Url(), Pcd()
_INTRINSICS, _EXTRINSICS, _DISTORTION = Intrinsics(), Extrinsics(), Distortion()

_EGO_POSITION, _EGO_HEADING = ("ego_x", "ego_y", "ego_z"), ("ego_qx", "ego_qy", "ego_qz", "ego_qw")
_POSITION, _ROTATION = ("tx", "ty", "tz"), ("qx", "qy", "qz", "qw")

FrameRow = tuple[str, int, str | None, int, int | None, SampleFrame, str | None]
"""sample_id, sensor_index, sensor, frame_index, timestamp, the frame, extra."""
CameraRow = tuple[str, int, int, int, Camera, str | None]
"""sample_id, sensor_index, frame_index, camera_index, the camera, extra."""


def sample_frame_columns(rows: Sequence[FrameRow], names: Collection[str], checked: bool) -> dict[str, pa.Array]:
    """Some columns of `sample_frames`."""
    sample_ids, sensor_indices, sensors, frame_indices, timestamps, frames, extras = zip(*rows, strict=True)
    poses = [frame.ego_pose or _POSE for frame in frames]
    clouds = [frame.pcd or _PCD for frame in frames]
    makers: dict[tuple[str, ...], Maker] = {
        ("sample_id",): lambda: [_text(sample_ids)],
        ("sensor_index",): lambda: [integers(sensor_indices, pa.int32())],
        ("sensor",): lambda: [_text(sensors)],
        ("frame_index",): lambda: [integers(frame_indices, pa.int32())],
        ("name",): lambda: [_text([frame.name for frame in frames])],
        ("timestamp",): lambda: [integers(timestamps, pa.int64())],
        ("image_url",): lambda: [_text([(frame.image or _URL).url for frame in frames])],
        ("pcd_url",): lambda: [_text([cloud.url for cloud in clouds])],
        ("pcd_type",): lambda: [_text([cloud.type for cloud in clouds])],
        _EGO_POSITION: lambda: _numbers([pose.position for pose in poses], RECORDS["position"], checked),
        _EGO_HEADING: lambda: _numbers([pose.heading for pose in poses], RECORDS["rotation"], checked),
        ("default_z",): lambda: [floats([frame.default_z for frame in frames], checked)],
        ("extra",): lambda: [_text(extras)],
    }
    return make(makers, names)


def camera_columns(rows: Sequence[CameraRow], names: Collection[str], checked: bool) -> dict[str, pa.Array]:
    """Some columns of `cameras`."""
    sample_ids, sensor_indices, frame_indices, camera_indices, cameras, extras = zip(*rows, strict=True)
    values = dict(zip(Camera.__struct_fields__, zip(*map(astuple, cameras), strict=True), strict=True))
    poses = [pose or _EXTRINSICS for pose in values["extrinsics"]]
    distortions = [distortion or _DISTORTION for distortion in values["distortion"]]
    matrices = [(intrinsics or _INTRINSICS).intrinsic_matrix for intrinsics in values["intrinsics"]]
    makers: dict[tuple[str, ...], Maker] = {
        ("sample_id",): lambda: [_text(sample_ids)],
        ("sensor_index",): lambda: [integers(sensor_indices, pa.int32())],
        ("frame_index",): lambda: [integers(frame_indices, pa.int32())],
        ("camera_index",): lambda: [integers(camera_indices, pa.int32())],
        ("name",): lambda: [_text(values["name"])],
        ("url",): lambda: [_text(values["url"])],
        ("row",): lambda: [integers(values["row"], pa.int32())],
        ("col",): lambda: [integers(values["col"], pa.int32())],
        ("intrinsics",): lambda: [_matrices(matrices, checked)],
        _POSITION: lambda: _numbers([pose.translation for pose in poses], RECORDS["position"], checked),
        _ROTATION: lambda: _numbers([pose.rotation for pose in poses], RECORDS["rotation"], checked),
        ("distortion_model",): lambda: [_text([distortion.model for distortion in distortions])],
        ("distortion",): lambda: [json_column([distortion.coefficients for distortion in distortions])],
        ("camera_convention",): lambda: [_text(values["camera_convention"])],
        ("rotation",): lambda: [floats(values["rotation"], checked)],
        ("extra",): lambda: [_text(extras)],
    }
    return make(makers, names)


def _numbers(objects: Sequence[Any], record: np.dtype[Any], checked: bool) -> list[pa.Array]:
    return members([(len(objects), packed(objects, record.itemsize))], record, checked)


def _text(values: Sequence[str | None]) -> pa.Array:
    if values[0] is None and values.count(None) == len(values):
        return nulls(len(values), pa.string())
    return pa.array(values, pa.string())


def _matrices(raws: Sequence[Raw], checked: bool) -> pa.Array:
    """The nine numbers of each 3 x 3 matrix; null for none, and for any other if not `checked`."""
    try:
        return _regular_matrices(raws, checked)
    except NotExactError:
        if checked:
            raise
    parts = [_one_matrix(raw) for raw in raws]
    return pa.array(parts, SCHEMAS["cameras"].field("intrinsics").type)


def _one_matrix(raw: Raw) -> Any:
    try:
        return [number for row in decode_matrix(raw) for number in row]
    except FAILURES:
        return None


def _regular_matrices(raws: Sequence[Raw], checked: bool) -> pa.Array:
    text = points_text(raws)
    if text is None:
        return nulls(len(raws), pa.list_(pa.float64()))
    present = np.array(text.lengths) > 0
    rows = points_column([text], checked)
    points = rows.values
    if (np.diff(rows.offsets.to_numpy())[present] != 3).any() or points.field("z").null_count:
        raise NotExactError
    numbers = np.stack([points.field(name).to_numpy() for name in "xyz"], axis=1).ravel()
    offsets = np.concatenate([[0], np.cumsum(present * 9)]).astype(np.int32)
    return pa.ListArray.from_buffers(
        pa.list_(pa.float64()),
        len(raws),
        [None if present.all() else validity(present), pa.py_buffer(offsets)],
        children=[pa.array(numbers)],
    )
