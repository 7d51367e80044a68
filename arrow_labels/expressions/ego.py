"""Between world coordinates and the coordinates of the ego: of the sensor that saw the frame."""

from __future__ import annotations

from typing import Final

import polars as pl

from arrow_labels.expressions.columns import FRAME, Frame, lazy, require, storage
from arrow_labels.expressions.poses import POSE, Missing, located, moved_headings, moved_places, poses, with_pose

EGO_POSITION: Final = ("ego_x", "ego_y", "ego_z")
EGO_HEADING: Final = ("ego_qx", "ego_qy", "ego_qz", "ego_qw")


def to_ego(frame: pl.LazyFrame, sample_frames: Frame, *, missing: Missing = "null") -> pl.LazyFrame:
    """Positions, headings and points in the coordinates of the ego that saw their frame.

    The ego pose of a row is that of its own frame: the row of `sample_frames` with its sample_id, sensor_index and
    frame_index. With the ego's position t and heading R (ego coordinates to world coordinates), in metres and radians:

    * a position, or a point of `points`, becomes ``R* (p - t)``. A point without z (2-D) becomes a point of nulls.
    * `qx, qy, qz, qw` becomes the product of the conjugate of the heading and it. A rotation of norm 0 becomes null.
    * `yaw` is the angle, in [-pi, pi], of the heading's direction seen along the ego's z axis. It keeps its difference
      from the yaw of the row's quaternion, so that both agree after the turn where they agreed before, also when the
      ego pitches and rolls. (A rotation whose heading is vertical in the world, to 1e-6, has no yaw to agree with: the
      row's yaw is then that of an upright cuboid.)
    * A cuboid with a yaw and no rotation stands upright in the world. It keeps that form: its rotation stays null,
      and its yaw is that of its heading seen along the ego's z axis. Where the whole rotation is wanted in the ego's
      coordinates, give such rows a quaternion first.

    `to_world` is the inverse of all that. Columns that are not named here, speeds too, stay what they are.

    Parameters
    ----------
    frame : LazyFrame
        Rows in world coordinates with `sample_id`, `sensor_index`, `frame_index`, and `x, y, z` or `points` or both;
        `yaw` and `qx, qy, qz, qw` are turned where they are there.
    sample_frames : LazyFrame, DataFrame or pa.Table
        The table `sample_frames`. Headings need not have norm 1. Of a frame that it holds twice, the last row counts.
    missing : {"null", "error"}
        What a frame without a pose gives: nulls in all the columns named here, or an error when the query runs. A pose
        with a null or with a heading of norm 0 is no pose.

    Returns
    -------
    LazyFrame
        The same rows and columns in the same order.

    Raises
    ------
    SchemaError
        A column is missing, or of another kind; or, with ``missing="error"``, a frame has no pose.

    Examples
    --------
    >>> import polars as pl
    >>> import arrow_labels
    >>> key = {"sample_id": ["a"], "sensor_index": [0], "frame_index": [0]}
    >>> ego = {"ego_x": [10.0], "ego_y": [0.0], "ego_z": [0.0]}
    >>> turned_left = {"ego_qx": [0.0], "ego_qy": [0.0], "ego_qz": [1.0], "ego_qw": [1.0]}
    >>> cuboids = pl.DataFrame({**key, "x": [10.0], "y": [5.0], "z": [1.0], "yaw": [0.0]})
    >>> seen = cuboids.labels.to_ego(pl.DataFrame({**key, **ego, **turned_left}))
    >>> seen.select(pl.col("x", "y", "z", "yaw").round(6)).row(0)
    (5.0, 0.0, 1.0, -1.570796)
    """
    return _moved(frame, sample_frames, missing, into=True)


def to_world(frame: pl.LazyFrame, sample_frames: Frame, *, missing: Missing = "null") -> pl.LazyFrame:
    """Positions, headings and points in world coordinates, from those of the ego that saw their frame: undoes `to_ego`.

    A position p becomes ``R p + t``, a rotation the product of the ego's heading and it. A cuboid with a yaw and no
    rotation stands upright in the world: its yaw becomes that of the horizontal heading which the ego sees at the given
    angle. An ego that is tilted by exactly 90 degrees sees no such angle: the yaw becomes null.

    Parameters
    ----------
    frame : LazyFrame
        Rows in ego coordinates, with the columns that `to_ego` gives.
    sample_frames : LazyFrame, DataFrame or pa.Table
        The table `sample_frames`.
    missing : {"null", "error"}
        What a frame without a pose gives: nulls, or an error when the query runs.

    Returns
    -------
    LazyFrame
        The same rows and columns in the same order.

    Raises
    ------
    SchemaError
        A column is missing, or of another kind; or, with ``missing="error"``, a frame has no pose.

    Examples
    --------
    >>> import polars as pl
    >>> import arrow_labels
    >>> key = {"sample_id": ["a"], "sensor_index": [0], "frame_index": [0]}
    >>> ego = {"ego_x": [10.0], "ego_y": [0.0], "ego_z": [0.0]}
    >>> turned_left = {"ego_qx": [0.0], "ego_qy": [0.0], "ego_qz": [1.0], "ego_qw": [1.0]}
    >>> cuboids = pl.DataFrame({**key, "x": [5.0], "y": [0.0], "z": [1.0]})
    >>> world = cuboids.labels.to_world(pl.DataFrame({**key, **ego, **turned_left}))
    >>> world.select(pl.col("x", "y", "z").round(6)).row(0)
    (10.0, 5.0, 1.0)
    """
    return _moved(frame, sample_frames, missing, into=False)


def _moved(frame: pl.LazyFrame, sample_frames: Frame, missing: Missing, into: bool) -> pl.LazyFrame:
    frame = storage(frame)
    schema = located(frame)
    frame = with_pose(frame, schema, ego_poses(sample_frames), tuple(FRAME), missing, "an ego pose")
    frame = moved_places(frame, schema, into)
    frame = moved_headings(frame, schema, into)
    return frame.drop(*POSE)


def ego_poses(sample_frames: Frame) -> pl.LazyFrame:
    """The keys of the frames, each with its pose as one struct `__pose` of unit quaternion, matrix and position."""
    frames = lazy(sample_frames)
    require(frames, {**FRAME, **dict.fromkeys((*EGO_POSITION, *EGO_HEADING), "number")}, "sample_frames")
    frames = frames.select(*FRAME, *EGO_POSITION, *EGO_HEADING).unique(tuple(FRAME), keep="last")
    return poses(frames, FRAME, EGO_POSITION, EGO_HEADING)
