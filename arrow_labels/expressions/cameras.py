"""The coordinates of the cameras that saw a frame."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import polars as pl

from arrow_labels.errors import SchemaError
from arrow_labels.expressions.columns import FRAME, POSITION, QUATERNION, Frame, Kind, lazy, require, storage
from arrow_labels.expressions.ego import ego_poses
from arrow_labels.expressions.poses import (
    POSE,
    Missing,
    check_missing,
    checked_pose,
    has_rotation,
    located,
    moved_headings,
    moved_places,
    named,
    pose_rotation,
    poses,
    with_pose,
)
from arrow_labels.expressions.rotations import about_z, conjugate, product, quaternion, vector, yaw

Convention: TypeAlias = Literal["OpenCV", "OpenGL"]

CAMERA: Final[dict[str, Kind]] = {**FRAME, "camera_index": "integer"}
"""The columns that name a camera image of a frame."""

_CONVENTIONS: Final = ("OpenCV", "OpenGL")
_TRANSLATION: Final = ("tx", "ty", "tz")


def to_camera(
    frame: pl.LazyFrame,
    cameras: Frame,
    sample_frames: Frame | None = None,
    *,
    camera: int | str | None = None,
    convention: Convention | None = None,
    missing: Missing = "null",
) -> pl.LazyFrame:
    """Positions, headings and points in the coordinates of each camera of their frame.

    The extrinsics of a camera, translation t and rotation R, turn camera coordinates into ego coordinates, so that a
    position becomes ``R* (p - t)`` and a rotation the product of the conjugate of R and it. The axes of a camera
    depend on its `camera_convention`: OpenGL (which a null means) has x to the right, y up and z backwards; OpenCV
    has x to the right, y down and z forwards, along the optical axis::

        OpenGL   y               OpenCV     z
                 |                         /
                 |                        /
                 +----- x                +----- x
                /                        |
               z                         y

    A cuboid with a yaw and no rotation is upright in the coordinates that it comes in, and gets a rotation. `yaw`
    becomes that of the rotation: the angle of the heading about the camera's z axis.

    Parameters
    ----------
    frame : LazyFrame
        Rows with `sample_id`, `sensor_index`, `frame_index`, and `x, y, z` or `points` or both; `yaw` and `qx, qy,
        qz, qw` are turned where they are there. In ego coordinates, or in world coordinates if `sample_frames` is
        given.
    cameras : LazyFrame, DataFrame or pa.Table
        The table `cameras`. Rotations need not have norm 1.
    sample_frames : LazyFrame, DataFrame or pa.Table, optional
        The table `sample_frames`, for the ego poses between world and ego.
    camera : int or str, optional
        Only this camera: its `camera_index`, or its `name`.
    convention : {"OpenCV", "OpenGL"}, optional
        The axes of the result. By default those of each camera's own convention.
    missing : {"null", "error"}
        What a camera without extrinsics, or on a frame without ego pose, gives: nulls, or an error when the query runs.

    Returns
    -------
    LazyFrame
        A row for each row and each camera of its frame, in this order; rows of frames without cameras are left out.
        With `camera_index`, and `camera_convention`: the axes of the row's coordinates.

    Raises
    ------
    SchemaError
        A column is missing, of another kind, or (`camera_index`, `camera_convention`) there already; or, with
        ``missing="error"``, a pose is missing.

    Examples
    --------
    >>> import polars as pl
    >>> import arrow_labels
    >>> key = {"sample_id": ["a"], "sensor_index": [0], "frame_index": [0]}
    >>> forward = {"qx": [-0.5], "qy": [0.5], "qz": [-0.5], "qw": [0.5], "camera_convention": ["OpenCV"]}
    >>> cameras = pl.DataFrame({**key, "camera_index": [0], "tx": [1.0], "ty": [0.0], "tz": [2.0], **forward})
    >>> ahead = pl.DataFrame({**key, "x": [11.0], "y": [1.0], "z": [0.0]})
    >>> ahead.labels.to_camera(cameras).select("x", "y", "z", "camera_convention").row(0)
    (-1.0, 2.0, 10.0, 'OpenCV')
    """
    frame = storage(frame)
    schema = located(frame)
    for name in ("camera_index", "camera_convention"):
        if name in schema:
            raise SchemaError(f"Expected rows in world or ego coordinates, got a column `{name}`: they are a camera's")
    check_missing(missing)
    given = _camera_poses(cameras, sample_frames, camera, convention)
    given = given.with_columns(pl.col(name).cast(schema[name], strict=False) for name in FRAME)
    frame = frame.join(given, on=list(FRAME), how="inner", maintain_order="left_right")
    if missing == "error":
        what = "extrinsics" if sample_frames is None else "extrinsics and an ego pose"
        frame = frame.with_columns(checked_pose(tuple(CAMERA), what))
    frame = moved_places(frame.unnest("__pose"), schema, into=True)
    if "qx" in schema or "yaw" in schema:
        frame = _turned(frame, schema)
    return frame.drop(*POSE)


def chosen(cameras: pl.LazyFrame, camera: int | str | None) -> pl.LazyFrame:
    """The cameras of an index or a name; all of them if it is None."""
    if isinstance(camera, str):
        require(cameras, {"name": "text"}, "cameras")
        return cameras.filter(pl.col("name") == camera)
    return cameras if camera is None else cameras.filter(pl.col("camera_index") == camera)


def _camera_poses(
    cameras: Frame, sample_frames: Frame | None, camera: int | str | None, convention: Convention | None
) -> pl.LazyFrame:
    """The keys of the cameras in order, their convention, and their pose in ego coordinates, or else in the world's."""
    given = lazy(cameras)
    numbers: dict[str, Kind] = dict.fromkeys((*_TRANSLATION, *QUATERNION), "number")
    schema = require(given, {**CAMERA, **numbers, "camera_convention": "text"}, "cameras")
    if convention is not None and convention not in _CONVENTIONS:
        raise ValueError(f"convention: expected 'OpenCV', 'OpenGL' or None, got {convention!r}")
    given = chosen(given, camera)
    own = pl.col("camera_convention").cast(pl.String).fill_null("OpenGL")
    x, y, z, w = quaternion(QUATERNION)
    given = (
        given.unique(tuple(CAMERA), keep="last")
        .select(
            *CAMERA,
            *named(POSITION, vector(_TRANSLATION)),
            *named(QUATERNION, (x, y, z, w)),
            pl.when(own.is_in(_CONVENTIONS)).then(own).alias("__own"),
            (own if convention is None else pl.lit(convention)).alias("camera_convention"),
        )
        .sort("camera_index")
    )
    # OpenCV's axes are OpenGL's after half a turn about x: q (1, 0, 0, 0) = (w, z, -y, -x).
    same = pl.col("__own") == pl.col("camera_convention")
    axes = [
        pl.when(same).then(old).when(~same).then(new) for old, new in zip((x, y, z, w), (w, z, -y, -x), strict=True)
    ]
    given = given.with_columns(named(QUATERNION, axes))
    if sample_frames is not None:
        given = with_pose(given, schema, ego_poses(sample_frames), tuple(FRAME), "null", "an ego pose")
        given = moved_places(given, POSITION, into=False)
        given = moved_headings(given, QUATERNION, into=False)
    return poses(given, (*CAMERA, "camera_convention"), POSITION, QUATERNION)


def _turned(frame: pl.LazyFrame, schema: pl.Schema) -> pl.LazyFrame:
    """Rows with the rotation and the yaw that they have in the coordinates of the pose beside them."""
    upright = about_z(pl.col("yaw").cast(pl.Float64) if "yaw" in schema else pl.lit(None, pl.Float64))
    if "qx" in schema:
        q = quaternion(QUATERNION)
        given = has_rotation(q)
        frame = frame.with_columns(
            named(QUATERNION, [pl.when(given).then(a).otherwise(b) for a, b in zip(q, upright, strict=True)])
        )
    else:
        frame = frame.with_columns(named(QUATERNION, upright))
    frame = frame.with_columns(named(QUATERNION, product(conjugate(pose_rotation()), quaternion(QUATERNION))))
    return frame.with_columns(yaw(quaternion(QUATERNION)).alias("yaw")) if "yaw" in schema else frame
