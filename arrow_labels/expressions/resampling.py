"""States of tracks at given times."""

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
    is_blended,
    require_shapes,
    with_next,
    with_steps,
)
from arrow_labels.expressions.columns import Frame, Kind, lazy, require
from arrow_labels.expressions.interpolation import interpolate
from arrow_labels.expressions.tracks import TRACK, UNTIL, in_order, is_overruled, track_rows, with_full

_FRAME: Final = pl.col("frame_index")
_TIME: Final = pl.col("timestamp")
_AT: Final = pl.col("__at")
_KINDS: Final[dict[str, Kind]] = {
    "sample_id": "text",
    "labelset": "text",
    "sensor_index": "integer",
    "frame_index": "integer",
    "timestamp": "integer",
}


def resample(frame: pl.LazyFrame, times: Frame, *, shapes: Collection[Shape] = INTERPOLATED) -> pl.LazyFrame:
    """The state of each track at given times, such as another sensor's.

    Between two neighbouring rows of a track, at t0 and t1, the state at t is blended with ``u = (t - t0) / (t1 -
    t0)``, as `interpolate` does it. There is none before a track's first row, after its last one, and in a hole.

    Parameters
    ----------
    frame : LazyFrame
        Annotations, full labels or keyframes: `sample_id`, `labelset`, `sensor_index`, `frame_index`, `timestamp`
        (nanoseconds), `track_id` or `id`, and what there is of the columns that `interpolate` takes. In a track that
        has rows which are no keyframes, missing frames are a hole. Keyframes with `until_frame` are interpolated
        first (by frame index; call `interpolate` for another way). In tracks of nothing but keyframes without
        `until_frame`, neighbours are neighbours however many frames are between them.
    times : LazyFrame, DataFrame or pa.Table
        The times of each sample: `sample_id`, `timestamp` (on the same clock), and perhaps `labelset`, `frame_index`
        and `sensor_index`: the rows of `sample_frames` for the sensor of interest.
    shapes : collection of str
        The types whose rows are blended, as in `interpolate`; those of other types have the state of the row before.

    Returns
    -------
    LazyFrame
        One row for each time at which a track is there, sorted by label, sensor, object and time, with the same
        columns but `until_frame`. `timestamp` and `frame_index` (null where it has none) are those of `times`, and
        `clock` (int32, whatever it was) is its `sensor_index`: the rows belong to the frame (`sample_id`, `clock`,
        `frame_index`). `sensor_index` and `sensor` stay: they say whose pixels or coordinates these are. Where a time
        is exactly that of a row, so is the state, `is_keyframe` too; elsewhere it is false. All else is that of the row
        before. Columns that are blended are float64.

    Raises
    ------
    SchemaError
        A column is missing, or of another kind.
    ValueError
        A name in `shapes` is no shape.

    Notes
    -----
    Rows with a null timestamp count as missing frames. Of rows of a track with the same timestamp the last one counts.
    Where a later frame has an earlier timestamp, there is a hole.

    Examples
    --------
    >>> import polars as pl
    >>> import arrow_labels
    >>> cuboids = pl.DataFrame({"sample_id": "a", "labelset": "ground-truth", "sensor_index": 0, "track_id": 7,
    ...     "frame_index": [0, 1], "timestamp": [0, 100_000_000], "x": [10.0, 12.0]})
    >>> camera = pl.DataFrame({"sample_id": "a", "sensor_index": 1, "frame_index": [0, 1, 2],
    ...     "timestamp": [25_000_000, 75_000_000, 125_000_000]})
    >>> cuboids.labels.resample(camera).select("clock", "frame_index", "timestamp", "x").rows()
    [(1, 0, 25000000, 10.5), (1, 1, 75000000, 11.5)]
    """
    require_shapes(shapes)
    frame, schema = track_rows(frame, "timestamp")
    names = geometry(schema, shapes)
    clock, sample = _clock(lazy(times), schema)
    if UNTIL in schema:
        frame = interpolate(frame, shapes=shapes)
    rows = in_order(as_floats(frame, names).with_columns(_TIME.cast(pl.Int64)), schema, "timestamp", "frame_index")
    if UNTIL not in schema and "is_keyframe" in schema:
        rows = with_full(rows)
    else:
        rows = rows.with_columns(pl.lit(UNTIL in schema).alias("__full"))
    rows = rows.filter(_TIME.is_not_null(), is_overruled().not_())
    rows = _with_ticks(rows, clock, sample)
    carried = [TRACK, "frame_index", "timestamp", "__before", *(["type"] if "type" in schema else [])]
    rows = _with_stretch(with_next(rows, [*carried, *names]), schema, shapes)
    ends = rows.with_row_index("__row")
    rows = with_steps(ends, names, typed="type" in schema)
    rows = rows.join(_ticks(ends, clock), on="__row", how="inner", maintain_order="left_right")
    u = pl.when(_AT != _TIME).then((_AT - _TIME) / pl.col("__nanoseconds"))
    rows, values = blended(rows.with_columns(u.alias("__u")), names)
    values |= {"frame_index": pl.col("__frame"), "timestamp": _AT}
    if "is_keyframe" in schema:
        values["is_keyframe"] = pl.when(_AT == _TIME).then("is_keyframe").otherwise(False)
    if "index" in schema:
        values["index"] = pl.when(pl.col("index").is_not_null()).then(pl.col("__frame").cast(schema["index"]))
    made = [name for name in schema if name != UNTIL]
    if "__clock" in clock.collect_schema():
        values["clock"] = pl.col("__clock")
        made += [] if "clock" in schema else ["clock"]
    return rows.select(values.get(name, pl.col(name)).alias(name) for name in made)


def _clock(times: pl.LazyFrame, schema: pl.Schema) -> tuple[pl.LazyFrame, list[str]]:
    """The times in order, numbered by `__tick`; and the names of the columns that say which sample."""
    found = times.collect_schema()
    named = {name: kind for name, kind in _KINDS.items() if name in found or name in ("sample_id", "timestamp")}
    require(times, named, what="times")
    sample = [name for name in ("sample_id", "labelset") if name in found]
    index = pl.col("frame_index") if "frame_index" in found else pl.lit(None)
    sensor = [pl.col("sensor_index").cast(pl.Int32, strict=False).alias("__clock")] if "sensor_index" in found else []
    clock = times.filter(_TIME.is_not_null()).select(
        *(pl.col(name).cast(schema[name], strict=False) for name in sample),
        _TIME.cast(pl.Int64).alias("__at"),
        index.cast(schema["frame_index"], strict=False).alias("__frame"),
        *sensor,
    )
    order = [*sample, "__at", *(["__clock"] if sensor else []), "__frame"]
    clock = clock.sort(order).with_row_index("__tick").with_columns(pl.col("__tick").cast(pl.Int64))
    return clock, sample


def _with_ticks(rows: pl.LazyFrame, clock: pl.LazyFrame, sample: list[str]) -> pl.LazyFrame:
    """Rows with the number of ticks before their time, and up to it: `__before`, `__after`.

    Of all samples together, in the order of the clock.
    """
    own = rows.select(*sample, "timestamp", pl.lit(0, pl.Int64).alias("__count"))
    ticks = clock.select(*sample, _AT.alias("timestamp"), pl.lit(1, pl.Int64).alias("__count"))
    moments = pl.concat([own, ticks]).group_by(*sample, "timestamp").agg(pl.col("__count").sum())
    moments = moments.sort(*sample, "timestamp").with_columns(pl.col("__count").cum_sum().alias("__after"))
    moments = moments.with_columns((pl.col("__after") - pl.col("__count")).alias("__before"))
    return rows.join(moments, on=[*sample, "timestamp"], how="left", maintain_order="left")


def _ticks(rows: pl.LazyFrame, clock: pl.LazyFrame) -> pl.LazyFrame:
    """The ticks of each row, by its number `__row`."""
    ticks = rows.select("__row", pl.int_ranges("__before", "__end").alias("__tick")).explode("__tick")
    columns = [name for name in clock.collect_schema() if name in ("__tick", "__at", "__frame", "__clock")]
    return ticks.join(clock.select(columns), on="__tick", how="left", maintain_order="left")


def _with_stretch(rows: pl.LazyFrame, schema: pl.Schema, shapes: Collection[Shape]) -> pl.LazyFrame:
    """Rows with the tick at which what they know ends, `__end`, and the time to the next row of the track.

    `__nanoseconds` is null where nothing is blended.
    """
    linked = pl.col(TRACK) == following(TRACK)
    step = following("frame_index") - _FRAME
    goes_on = linked & pl.when("__full").then(step == 1).otherwise(step > 0)
    rows = rows.with_columns(goes_on.fill_null(False).alias("__goes_on"))
    reaches = pl.col("__goes_on") | (linked & (following("timestamp") == _TIME))
    end = pl.when(reaches).then(following("__before")).otherwise("__after")
    blends = pl.col("__goes_on") & is_blended(schema, shapes)
    elapsed = (following("timestamp") - _TIME).cast(pl.Float64)
    rows = rows.with_columns(end.alias("__end"), blends.fill_null(False).alias("__blends"))
    return rows.with_columns(pl.when("__blends").then(elapsed).alias("__nanoseconds"))
