"""Rows between the keyframes of tracks."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import polars as pl

from arrow_labels.expressions.blend import (
    INTERPOLATED,
    Shape,
    as_floats,
    blended,
    following,
    geometry,
    require_shapes,
    with_next,
    with_steps,
)
from arrow_labels.expressions.columns import Frame
from arrow_labels.expressions.grid import frame_grid, frames_on_grid, steps, with_clock, with_last_frame
from arrow_labels.expressions.spans import By, Gap, Tail, require_choice, with_ends, with_spans
from arrow_labels.expressions.tracks import (
    TRACK,
    UNTIL,
    in_order,
    is_overruled,
    segments,
    track_rows,
    with_full,
    with_starts,
)

_FRAME: Final = pl.col("frame_index")
_NOW: Final = pl.col("__frame")
_FIRST: Final = pl.col("__first")


def interpolate(
    frame: pl.LazyFrame,
    frames: Frame | None = None,
    *,
    by: By = "frame_index",
    tail: Tail = "drop",
    gap: Gap = "interpolate",
    shapes: Collection[Shape] = INTERPOLATED,
) -> pl.LazyFrame:
    """Fill in the rows between keyframes.

    Between a keyframe k0 on frame f0 and the next one of its track, k1 on f1, a row on frame f has ::

        u = (f - f0) / (f1 - f0)                   or by timestamp    u = (t - t0) / (t1 - t0)
        v = v0 + u (v1 - v0)                       position, dimensions and points
        yaw = wrap(yaw0 + u wrap(yaw1 - yaw0))     the short way; wrap(a) = a - 2 pi round(a / 2 pi), in [-pi, pi]
        q = q0 cos(angle u) + p sin(angle u)       slerp (Shoemake 1985), along the shorter arc; p at right angles to q0

    and in all other columns what k0 has, but for `is_keyframe` (false), `frame_index`, `index` where k0 has one,
    and `timestamp`. So `annotation_index` is not counted anew. Keyframes come back exactly as they are.

    Parameters
    ----------
    frame : LazyFrame
        Keyframes: `sample_id`, `labelset`, `sensor_index`, `frame_index`, `track_id` or `id`, and of these columns
        those that there are: `x, y, z, length, width, height` (metres), `yaw` (radians), `qx, qy, qz, qw`, `points`,
        `type`, `timestamp` (nanoseconds), `is_keyframe`, `index`. `until_frame`, as `keyframes` gives it, says where
        the object goes away; where it is null or the column is missing, the object stays until the next keyframe.
        Without `until_frame`, a track that has rows which are no keyframes is taken as a full label's: it has no rows
        where it had none, and those between keyframes are made anew.
    frames : LazyFrame, DataFrame or pa.Table, optional
        The frames of the sensors, with `sample_id`, `sensor_index`, `frame_index`, `timestamp` and perhaps
        `labelset`: the table `sample_frames`, or `frames`. Rows between keyframes get their timestamps from there,
        and there are none on frames that it does not have. Without it they are on all frame indices, and their
        timestamps in equal steps between those of the keyframes, rounded half to even; null where one of the two is.
    by : {"frame_index", "timestamp"}
        What interpolation is linear in. By timestamp, `frames` is needed; between two keyframes where the timestamps
        of all frames are not known and increasing, the frame index counts.
    tail : {"drop", "hold"}
        Where a last keyframe has no `until_frame`, whether the track ends with it, or goes on as it is to the last
        frame of the sensor in `frames`.
    gap : {"interpolate", "hold"}
        Where the object goes away before the next keyframe, whether it moves towards that until then, or stays as it
        is.
    shapes : collection of str
        The types whose rows are blended; those of other types hold. Besides what the platform interpolates, these can
        be polygon, polyline and point. Without a column `type`, what there is of a cuboid is blended, and points
        where they are two, as those of a bbox.

    Returns
    -------
    LazyFrame
        One row a frame of each track, sorted by label, sensor, object and frame, with the same columns but
        `until_frame`. Columns that are blended are float64.

    Raises
    ------
    SchemaError
        A column is missing, or of another kind.
    ValueError
        An option is wrong, or needs `frames`.

    Notes
    -----
    * Half a turn: rotations that are exactly 180 degrees apart turn from q0 to q1 as they are written (q0 to -q1
      would go the other way round), and yaws by their difference, so from 0 to pi counter-clockwise, and from 0 to
      -pi clockwise.
    * Quaternions may have any norm; what is between has norm 1. Between two of which one has norm 0 it is null.
    * A value whose next one is null holds, and so do points whose number changes, and everything where the type does.
      Null stays null, and what is between a number and NaN is NaN.
    * Where a track has two rows on one frame, a keyframe counts rather than another row, and of two keyframes the
      last one. `duplicate_keyframes` gives the others.
    * A row without `track_id` and `id` belongs to no track, and comes back as it is.

    Examples
    --------
    >>> import polars as pl
    >>> import arrow_labels
    >>> cuboids = pl.DataFrame({"sample_id": "a", "labelset": "ground-truth", "sensor_index": 0, "track_id": 7,
    ...     "frame_index": [0, 4], "x": [10.0, 12.0], "yaw": [3.0, -3.0]})
    >>> cuboids.labels.interpolate().select("frame_index", "x", pl.col("yaw").round(3)).rows()
    [(0, 10.0, 3.0), (1, 10.5, 3.071), (2, 11.0, 3.142), (3, 11.5, -3.071), (4, 12.0, -3.0)]
    """
    require_choice("by", by, By)
    require_choice("tail", tail, Tail)
    require_choice("gap", gap, Gap)
    require_shapes(shapes)
    for option, value, needs in (("by", by, "timestamp"), ("tail", tail, "hold")):
        if value == needs and frames is None:
            raise ValueError(f"{option}={needs!r}: expected frames, the frames of the sensors, got None")
    frame, schema = track_rows(frame)
    names = geometry(schema, shapes)
    timed = by == "timestamp"
    rows = in_order(as_floats(frame, names), schema, "frame_index").filter(is_overruled().not_())
    rows = _with_until(rows, schema)
    last = pl.lit(None, schema["frame_index"])
    if frames is not None:
        grid, sensor = frame_grid(frames, schema, timed=timed or "timestamp" in schema)
        if timed:
            rows = with_clock(rows, grid, sensor)
        if tail == "hold":
            rows, last = with_last_frame(rows, grid, sensor), pl.when(pl.col(TRACK).is_not_null()).then("__last")
    carried = [name for name in ("timestamp", "type") if name in schema] + ["__time", "__breaks"] * timed
    rows = with_ends(with_next(rows, [TRACK, "frame_index", *carried, *names]), last)
    # What multiplies the rows is a join, whose pieces are small, with a table of few columns. To explode the rows would
    # make pieces of all columns that are many times as large as before, and to join the grid then would copy them.
    ends = rows.with_row_index("__row").with_columns((pl.col("__end") - _FRAME).alias("__length"))
    rows = with_steps(with_spans(ends, schema, shapes, gap, timed=timed), names, typed="type" in schema)
    if frames is not None:
        on_grid = frames_on_grid(ends, grid, sensor)
        rows = rows.join(on_grid, on="__row", how="left", maintain_order="left_right")
    else:
        rows = _with_pace(rows) if "timestamp" in schema else rows
        rows = rows.join(steps(ends), on="__length", how="left", maintain_order="left_right")
        rows = rows.with_columns((_FRAME + pl.col("__step")).alias("__frame"))
        rows = _with_time(rows) if "timestamp" in schema else rows
    rows = rows.with_columns(_NOW.eq_missing(_FRAME).alias("__first"))
    u = (_NOW - _FRAME) / pl.col("__frames")
    if timed:
        u = pl.coalesce((pl.col("__at") - pl.col("__time")) / pl.col("__nanoseconds"), u)
    rows, values = blended(rows.with_columns(pl.when(_FIRST.not_()).then(u).alias("__u")), names)
    values["frame_index"] = _NOW
    if "timestamp" in schema:
        values["timestamp"] = pl.when("__first").then("timestamp").otherwise("__at")
    if "is_keyframe" in schema:
        values["is_keyframe"] = pl.when("__first").then("is_keyframe").otherwise(False)
    if "index" in schema:
        keeps = _FIRST | pl.col("index").is_null()
        values["index"] = pl.when(keeps).then("index").otherwise(_NOW.cast(schema["index"]))
    return rows.select(values.get(name, pl.col(name)).alias(name) for name in schema if name != UNTIL)


def _with_until(rows: pl.LazyFrame, schema: pl.Schema) -> pl.LazyFrame:
    """Keyframes with the frame after their segment, `__until`, where it is known."""
    if UNTIL in schema:
        return rows.with_columns(pl.when(pl.col(TRACK).is_not_null()).then(UNTIL).alias("__until"))
    if "is_keyframe" not in schema:
        return rows.with_columns(pl.lit(None, schema["frame_index"]).alias("__until"))
    rows = segments(with_starts(with_full(rows)))
    return rows.with_columns(pl.when("__full").then("__until").alias("__until"))


def _with_pace(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Rows with the number of frames to the next one, and the whole nanoseconds a frame and what is left over all."""
    rows = rows.with_columns((pl.col("__next_frame") - _FRAME).cast(pl.Int64).alias("__count"))
    elapsed = (following("timestamp") - pl.col("timestamp")).cast(pl.Int64)
    rows = rows.with_columns(elapsed.alias("__left"), (elapsed // pl.col("__count")).alias("__pace"))
    return rows.with_columns(pl.col("__left") - pl.col("__pace") * pl.col("__count"))


def _with_time(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Rows with their time `__at`, which goes from keyframe to keyframe in equal steps.

    In integers, and without a product that does not fit: ``timestamp + i * pace + i * left / count``, half to even.
    """
    passed, count = (_NOW - _FRAME).cast(pl.Int64), pl.col("__count")
    rows = rows.with_columns((passed * pl.col("__left")).alias("__product"))
    rows = rows.with_columns((pl.col("__product") // count).alias("__more"))
    rows = rows.with_columns(
        (pl.col("timestamp") + passed * pl.col("__pace") + pl.col("__more")).alias("__at"),
        (2 * (pl.col("__product") - pl.col("__more") * count)).alias("__twice"),
    )
    odd = pl.col("__at") % 2 != 0
    rounds_up = (pl.col("__twice") > count) | ((pl.col("__twice") == count) & odd)
    return rows.with_columns(pl.col("__at") + rounds_up.cast(pl.Int64))
