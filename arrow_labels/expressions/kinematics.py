"""Speeds and accelerations along tracks."""

from __future__ import annotations

import math
from numbers import Real
from typing import Final

import polars as pl

from arrow_labels.errors import SchemaError
from arrow_labels.expressions.columns import FRAME, LABEL, POSITION, Frame, lazy, require, storage, track
from arrow_labels.expressions.ego import EGO_POSITION
from arrow_labels.expressions.rotations import vector

_EGO: Final = ("__ego_x", "__ego_y", "__ego_z")
_MOTIONS: Final = ("velocity_absolute", "velocity_relative", "acceleration_absolute", "acceleration_relative")
_COMPONENTS: Final = tuple(f"{kind}_{axis}" for kind in ("absolute", "relative") for axis in POSITION)


def kinematics(
    frame: pl.LazyFrame,
    sample_frames: Frame | None = None,
    *,
    timestamp_unit: float = 1e-9,
    fps: float | None = None,
    vectors: bool = False,
) -> pl.LazyFrame:
    """Speed and acceleration of each object, absolute and relative to the ego, by backward difference along its track.

    With p the position of a row, e the ego's position on the row's own frame, both in world coordinates, t its time,
    and ' for the row before it on the same track, however many frames back that is::

        velocity_absolute      v = (p - p') / (t - t')                  acceleration_absolute  (v - v') / (t - t')
        velocity_relative      w = ((p - e) - (p' - e')) / (t - t')     acceleration_relative  (w - w') / (t - t')

    The columns are the norms of these vectors, in m/s and m/s². Relative velocity is the object's velocity minus the
    ego's, along the axes of the world: it does not depend on how the ego turns. (The rate of change of the
    coordinates that a turning ego sees is `velocity_absolute` of the rows that `to_ego` gives.) The first row of a
    track has null velocity, the first two have null acceleration. So have rows whose position, or that of the row
    they follow, is null; what is relative is also null where one of the two frames has no ego position. Where time
    does not go forward from one row to the next, all are null. A row without `track_id` and `id` belongs to no track:
    all are null there.

    A time difference is the difference of the two integer timestamps, times `timestamp_unit`. Where one of them is
    null, it is the difference of the frame indices divided by `fps`.

    Parameters
    ----------
    frame : LazyFrame
        Cuboids, or rows with their columns `sample_id`, `labelset`, `sensor_index`, `frame_index`, `track_id` or
        `id`, and `x, y, z` in world coordinates, metres. `timestamp` is used where it is there.
    sample_frames : LazyFrame, DataFrame or pa.Table, optional
        The table `sample_frames`, for the ego's positions, and for the timestamps of rows that have none. Without it,
        what is relative is null.
    timestamp_unit : float
        Seconds in one unit of the timestamps.
    fps : float, optional
        Frames a second, for rows without a timestamp.
    vectors : bool
        Whether to add the vectors too, as `velocity_absolute_x`, `velocity_absolute_y`, and so on: 12 columns.

    Returns
    -------
    LazyFrame
        The same rows in the same order, with the four columns `velocity_absolute` to `acceleration_relative` (float64)
        set, whatever they were.

    Raises
    ------
    SchemaError
        A column is missing, or of another kind; or, when the query runs, a row that follows another one has no
        timestamp, or follows one that has none, and `fps` is not given.

    Examples
    --------
    >>> import polars as pl
    >>> import arrow_labels
    >>> key = {"sample_id": "a", "labelset": "ground-truth", "sensor_index": 0, "frame_index": [0, 1, 3], "track_id": 7}
    >>> cuboids = pl.DataFrame({**key, "x": [0.0, 1.0, 5.0], "y": 0.0, "z": 0.0})
    >>> moving = cuboids.labels.kinematics(fps=10)
    >>> moving.get_column("velocity_absolute").round(6).to_list()
    [None, 10.0, 20.0]
    >>> moving.get_column("acceleration_absolute").round(6).to_list()
    [None, None, 50.0]
    """
    for name, value in (("timestamp_unit", timestamp_unit), ("fps", fps)):
        if value is not None and not (isinstance(value, Real) and math.isfinite(value) and value > 0):
            raise ValueError(f"{name}: expected a positive number, got {value!r}")
    frame = storage(frame)
    schema = require(frame, {**LABEL, **FRAME, **dict.fromkeys(POSITION, "number")})
    frame = frame.with_columns(track(schema).alias("__track"))
    frame = _with_ego(frame, schema, sample_frames, fps is None)
    follows = pl.struct(*POSITION, *_EGO, "__time", "frame_index")
    # Rows that name no object are a group of their own here, and no track.
    frame = frame.with_columns(
        pl.when(pl.col("__track").is_not_null())
        .then(follows.shift(rows).over(*LABEL, "__track", order_by="frame_index"))
        .alias(name)
        for rows, name in ((1, "__before"), (2, "__earlier"))
    )
    frame = frame.with_columns(_seconds(timestamp_unit, fps))
    frame = frame.with_columns(
        *_velocities("__velocity", None, "__before", "__seconds"),
        *_velocities("__velocity_before", "__before", "__earlier", "__seconds_before"),
    )
    frame = frame.with_columns(
        ((pl.col(f"__velocity_{name}") - pl.col(f"__velocity_before_{name}")) / pl.col("__seconds")).alias(
            f"__acceleration_{name}"
        )
        for name in _COMPONENTS
    )
    made = {motion: _norm(motion) for motion in _MOTIONS}
    if vectors:
        made |= {f"{motion}_{axis}": pl.col(f"__{motion}_{axis}") for motion in _MOTIONS for axis in POSITION}
    names = [*schema, *(name for name in made if name not in schema)]
    return frame.with_columns(part.alias(name) for name, part in made.items()).select(names)


def _with_ego(frame: pl.LazyFrame, schema: pl.Schema, sample_frames: Frame | None, timed: bool) -> pl.LazyFrame:
    """Rows with the position of the ego on their frame, and with their time."""
    times = [pl.col("timestamp")] if "timestamp" in schema else []
    if times:
        require(frame, {"timestamp": "integer"})
    if sample_frames is None:
        frame = frame.with_columns(pl.lit(None, pl.Float64).alias(name) for name in _EGO)
    else:
        given = lazy(sample_frames)
        columns = require(given, {**FRAME, **dict.fromkeys(EGO_POSITION, "number")}, "sample_frames")
        ego = [part.alias(name) for part, name in zip(vector(EGO_POSITION), _EGO, strict=True)]
        if "timestamp" in columns:
            require(given, {"timestamp": "integer"}, "sample_frames")
            ego.append(pl.col("timestamp").alias("__frame_time"))
            times.append(pl.col("__frame_time"))
        keys = [pl.col(name).cast(schema[name], strict=False) for name in FRAME]
        given = given.unique(tuple(FRAME), keep="last").select(*keys, *ego)
        frame = frame.join(given, on=list(FRAME), how="left", maintain_order="left")
    if timed and not times:
        raise SchemaError(f"Expected column `timestamp`, or `fps`, got {', '.join(schema)}")
    time = pl.coalesce(times) if times else pl.lit(None)
    return frame.with_columns(time.cast(pl.Int64).alias("__time"))


def _seconds(timestamp_unit: float, fps: float | None) -> list[pl.Expr]:
    """Seconds from the row before to each row, and from the row before that: null where time does not go forward."""
    made = []
    for name, last, first in (("__seconds", None, "__before"), ("__seconds_before", "__before", "__earlier")):
        # The integers are subtracted first: nanoseconds since 1970 do not fit a float64.
        seconds = (_field("__time", last) - _field("__time", first)).cast(pl.Float64) * float(timestamp_unit)
        if fps is not None:
            frames = _field("frame_index", last).cast(pl.Int64) - _field("frame_index", first).cast(pl.Int64)
            seconds = pl.coalesce(seconds, frames.cast(pl.Float64) * (1 / fps))
        elif last is None:
            row = pl.struct(
                *LABEL, "frame_index", track="__track", follows=_field("frame_index", first), seconds=seconds
            )
            seconds = row.map_batches(_check_seconds, pl.Float64, is_elementwise=True)
        made.append(pl.when(seconds > 0).then(seconds).alias(name))
    return made


def _check_seconds(rows: pl.Series) -> pl.Series:
    row = rows.struct.unnest()
    lacking = row.filter(pl.col("seconds").is_null() & pl.col("follows").is_not_null())
    if len(lacking):
        where = ", ".join(
            f"{name} {value!r}" for name, value in lacking.drop("follows", "seconds").row(0, named=True).items()
        )
        raise SchemaError(
            f"Expected a timestamp on every row of a track, or `fps`, got null - at {where} or the row before it"
        )
    return row.get_column("seconds")


def _velocities(prefix: str, last: str | None, first: str, seconds: str) -> list[pl.Expr]:
    """The components of both velocities from one row of a track to the next."""
    made = []
    for axis, ego in zip(POSITION, _EGO, strict=True):
        end, start = _field(axis, last).cast(pl.Float64), _field(axis, first).cast(pl.Float64)
        relative = (end - _field(ego, last)) - (start - _field(ego, first))
        made.append(((end - start) / pl.col(seconds)).alias(f"{prefix}_absolute_{axis}"))
        made.append((relative / pl.col(seconds)).alias(f"{prefix}_relative_{axis}"))
    return made


def _field(name: str, struct: str | None) -> pl.Expr:
    return pl.col(name) if struct is None else pl.col(struct).struct.field(name)


def _norm(motion: str) -> pl.Expr:
    x, y, z = vector([f"__{motion}_{axis}" for axis in POSITION])
    return (x * x + y * y + z * z).sqrt()
