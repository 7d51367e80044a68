"""Frames and cameras of many samples -> the tables sample_frames and cameras, a column at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from msgspec import Raw
from msgspec.structs import astuple

from arrow_labels.annotation import RECORDS, packed
from arrow_labels.decode.columns import NotExactError, floats, integers, json_column, members, points_column, validity
from arrow_labels.schema import SCHEMAS
from arrow_labels.wire import Camera, Distortion, EgoPose, Extrinsics, Intrinsics, Pcd, SampleFrame, Url

_POSE, _URL, _PCD = EgoPose(), Url(), Pcd()
_INTRINSICS, _EXTRINSICS, _DISTORTION = Intrinsics(), Extrinsics(), Distortion()

FrameRow = tuple[str, int, str | None, int, int | None, SampleFrame, str | None]
"""sample_id, sensor_index, sensor, frame_index, timestamp, the frame, extra."""
CameraRow = tuple[str, int, int, int, Camera, str | None]
"""sample_id, sensor_index, frame_index, camera_index, the camera, extra."""


def sample_frame_batch(rows: Sequence[FrameRow], checked: bool) -> pa.RecordBatch:
    """The `sample_frames` rows of some frames."""
    sample_ids, sensor_indices, sensors, frame_indices, timestamps, frames, extras = zip(*rows, strict=True)
    poses = [frame.ego_pose or _POSE for frame in frames]
    clouds = [frame.pcd or _PCD for frame in frames]
    columns = [
        _text(sample_ids),
        integers(sensor_indices, pa.int32()),
        _text(sensors),
        integers(frame_indices, pa.int32()),
        _text([frame.name for frame in frames]),
        integers(timestamps, pa.int64()),
        _text([(frame.image or _URL).url for frame in frames]),
        _text([cloud.url for cloud in clouds]),
        _text([cloud.type for cloud in clouds]),
        *_numbers([pose.position for pose in poses], RECORDS["position"], checked),
        *_numbers([pose.heading for pose in poses], RECORDS["rotation"], checked),
        floats([frame.default_z for frame in frames], checked),
        _text(extras),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMAS["sample_frames"])


def camera_batch(rows: Sequence[CameraRow], checked: bool) -> pa.RecordBatch:
    """The `cameras` rows of some cameras."""
    sample_ids, sensor_indices, frame_indices, camera_indices, cameras, extras = zip(*rows, strict=True)
    values = dict(zip(Camera.__struct_fields__, zip(*map(astuple, cameras), strict=True), strict=True))
    poses = [pose or _EXTRINSICS for pose in values["extrinsics"]]
    distortions = [distortion or _DISTORTION for distortion in values["distortion"]]
    columns = [
        _text(sample_ids),
        integers(sensor_indices, pa.int32()),
        integers(frame_indices, pa.int32()),
        integers(camera_indices, pa.int32()),
        _text(values["name"]),
        _text(values["url"]),
        integers(values["row"], pa.int32()),
        integers(values["col"], pa.int32()),
        _matrices([(intrinsics or _INTRINSICS).intrinsic_matrix for intrinsics in values["intrinsics"]], checked),
        *_numbers([pose.translation for pose in poses], RECORDS["position"], checked),
        *_numbers([pose.rotation for pose in poses], RECORDS["rotation"], checked),
        _text([distortion.model for distortion in distortions]),
        json_column([distortion.coefficients for distortion in distortions]),
        _text(values["camera_convention"]),
        floats(values["rotation"], checked),
        _text(extras),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMAS["cameras"])


def _numbers(objects: Sequence[Any], record: np.dtype[Any], checked: bool) -> list[pa.Array]:
    return members([(len(objects), packed(objects, record.itemsize))], record, checked)


def _text(values: Sequence[str | None]) -> pa.Array:
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
        return _regular_matrices([raw], checked=False)[0].as_py()
    except NotExactError:
        return None


def _regular_matrices(raws: Sequence[Raw], checked: bool) -> pa.Array:
    present = np.fromiter(map(len, raws), np.int64, len(raws)) > 0
    if not present.any():
        return pa.nulls(len(raws), pa.list_(pa.float64()))
    rows = points_column(raws, checked)
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
