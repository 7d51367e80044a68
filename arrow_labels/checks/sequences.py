"""Rules about sequences: keyframes and what is between them, time, and whether a label fits its sample."""

from __future__ import annotations

from typing import Final

import polars as pl

from arrow_labels.checks.found import found, listed, worded
from arrow_labels.checks.rows import Rows, same_object
from arrow_labels.expressions.interpolation_error import interpolation_error
from arrow_labels.expressions.spans import Gap
from arrow_labels.schema import FRAME_KEY, LABEL_KEY

APART: Final = 0.01
"""Pixels, metres or radians that a row between keyframes may be off: documents have rounded numbers."""
_SENSOR: Final = ("sample_id", "sensor_index")
_TRACK: Final = ["sensor_no", "track"]
_MEASURES: Final = ("position", "dimensions", "yaw", "rotation", "points")


def no_keyframe(rows: Rows) -> pl.LazyFrame:
    """Tracks of which no row is a keyframe, at their first row."""
    without = rows.keyframe_limits.lazy().filter(pl.col("first").is_null())
    ordered = rows.tracks.lazy().join(without, on=_TRACK, how="semi", maintain_order="left")
    first = ordered.unique(_TRACK, keep="first", maintain_order=True)
    return found(first, worded("Expected a keyframe on track {}, got none", "track"))


def outside_keyframes(rows: Rows) -> pl.LazyFrame:
    """Interpolated rows before the first keyframe of their track or after its last one."""
    ordered, frame = rows.tracks.lazy(), pl.col("frame_index")
    limits = rows.keyframe_limits.lazy()
    beyond = limits.filter((pl.col("start") < pl.col("first")) | (pl.col("stop") > pl.col("last")))
    outside = ordered.join(beyond, on=_TRACK, how="inner", maintain_order="left")
    outside = outside.filter((frame < pl.col("first")) | (frame > pl.col("last")))
    message = worded(
        "Expected interpolated rows between the keyframes, frames {} to {}, got one before or after", "first", "last"
    )
    return found(outside, message, frame)


def not_interpolated(rows: Rows) -> pl.LazyFrame:
    """Tracks with rows that do not follow from their keyframes, in any way that `interpolate` knows, at the worst.

    By frame index or by time; before a hole towards the next keyframe, or as they were.
    """
    ordered = rows.tracks.lazy().select(*_TRACK, "frame_index", "frame", "annotation_index")
    wrong = [_errors(moving) for moving in map(rows.moving, ("cuboids", "vectors")) if moving is not None]
    if not wrong:
        return found(rows.tracks.clear().lazy(), pl.lit(""))
    at_worst = pl.concat(wrong).rename({"sensor_index": "sensor_no", "track_id": "track"}).lazy()
    at_worst = at_worst.join(ordered, on=[*_TRACK, "frame_index"], how="left").unique(_TRACK, keep="first")
    message = worded(
        "Expected rows that follow from the keyframes, got one that is {} off (pixels, metres or radians)",
        pl.col("off").round(6),
    )
    return found(at_worst, message, pl.col("off"))


def _errors(moving: pl.DataFrame) -> pl.DataFrame:
    """Tracks whose rows follow from their keyframes in no way: how far off they are in the best one, and where most."""
    key = ["sensor_index", "track_id"]
    wrong = _off(moving, "interpolate")
    if wrong.is_empty():
        return wrong
    held = _off(moving.join(wrong, on=key, how="semi"), "hold")
    wrong = wrong.join(held.select(key), on=key, how="semi")  # what holds is not wrong
    return pl.concat([wrong, held]).sort("off", maintain_order=True).unique(key, keep="first", maintain_order=True)


def _off(moving: pl.DataFrame, gap: Gap) -> pl.DataFrame:
    """Tracks that are off, by how much, and where most."""
    errors = interpolation_error(moving.lazy(), gap=gap)
    names = errors.collect_schema().names()
    modes = [mode for mode in ("frame_index", "timestamp") if f"worst_frame_by_{mode}" in names]
    off = {
        mode: pl.max_horizontal(f"{name}_by_{mode}" for name in _MEASURES if f"{name}_by_{mode}" in names)
        for mode in modes
    }
    errors = errors.with_columns(value.alias(f"off_{mode}") for mode, value in off.items())
    least = errors.with_columns(pl.min_horizontal(f"off_{mode}" for mode in modes).alias("off"))
    worst = pl.coalesce(
        pl.when(pl.col(f"off_{mode}") == pl.col("off")).then(f"worst_frame_by_{mode}") for mode in modes
    )
    off_most = least.filter(pl.col("off") > APART).select(
        pl.col("sensor_index").cast(pl.UInt32), "track_id", worst.cast(pl.Int32).alias("frame_index"), "off"
    )
    return off_most.collect()


def hole(rows: Rows) -> pl.LazyFrame:
    """Rows after a hole in their track that are interpolated: only a keyframe can bring an object back."""
    frame = pl.col("frame_index")
    ordered = rows.tracks.lazy().with_columns(frame.shift(1).alias("before"), same_object().alias("goes_on"))
    after = ordered.filter("goes_on", ~pl.col("is_keyframe"), frame - pl.col("before") > 1)
    message = worded(
        "Expected frames {} to {} of track {}, or a keyframe after the hole, got neither",
        pl.col("before") + 1,
        frame - 1,
        "track",
    )
    return found(after, message, frame)


def frame_index(rows: Rows) -> pl.LazyFrame:
    """Annotations whose `index` is not that of their frame."""
    other = rows.annotations.lazy().filter(pl.col("index").is_not_null()).with_columns(rows.at("frame_index"))
    other = other.filter(pl.col("index") != pl.col("frame_index"))
    return found(other, worded("Expected the index of the frame, got {}", "index"), pl.col("index"))


def null_timestamp(rows: Rows) -> pl.LazyFrame:
    """Frames without a timestamp, of a sensor that has timestamps on other frames."""
    time = pl.col("timestamp")
    lacking = [frames.filter(time.is_null(), time.is_not_null().any().over(sensor)) for frames, sensor in _clocks(rows)]
    return found(pl.concat(lacking, how="diagonal"), pl.lit("Expected a timestamp as on other frames, got none"))


def timestamp_order(rows: Rows) -> pl.LazyFrame:
    """Frames whose timestamp is not after that of the frame before."""
    wrong = []
    for frames, sensor in _clocks(rows):
        timed = frames.filter(pl.col("timestamp").is_not_null()).sort(*sensor, "frame_index")
        same = pl.all_horizontal(pl.col(name).eq_missing(pl.col(name).shift(1)) for name in sensor)
        timed = timed.with_columns(pl.col("timestamp").shift(1).alias("before"))
        wrong.append(timed.filter(same, pl.col("timestamp") <= pl.col("before")))
    message = worded("Expected a timestamp after {}, got {}", "before", "timestamp")
    return found(pl.concat(wrong, how="diagonal"), message, pl.col("timestamp"))


def _clocks(rows: Rows) -> list[tuple[pl.LazyFrame, list[str]]]:
    """The frames of labels and those of samples, with the columns that say which sensor."""
    frames = rows.table("frames", [*FRAME_KEY, "timestamp"]).lazy()
    of_samples = rows.table("sample_frames", [*_SENSOR, "frame_index", "timestamp"]).lazy()
    return [(frames, [*LABEL_KEY, "sensor_index"]), (of_samples, list(_SENSOR))]


def frame_count(rows: Rows) -> pl.LazyFrame:
    """Sensors of labels with another number of frames than the sample's sensor has."""
    own = rows.table("frames", FRAME_KEY).lazy().group_by(*LABEL_KEY, "sensor_index", maintain_order=True)
    theirs = rows.table("sample_frames", [*_SENSOR]).lazy().group_by(_SENSOR).agg(pl.len().alias("expected"))
    both = own.agg(pl.len()).join(theirs, on=_SENSOR, how="inner", maintain_order="left")
    other = both.filter(pl.col("len") != pl.col("expected")).with_columns(pl.lit(None, pl.Int32).alias("frame_index"))
    return found(other, worded("Expected {} frames as in the sample, got {}", "expected", "len"), pl.col("len"))


def sensor_order(rows: Rows) -> pl.LazyFrame:
    """Labels whose sensors are not those of their sample, in the same order."""
    names = pl.col("sensors").list.eval(pl.element().struct.field("name")).alias("names")
    count = pl.col("sensors").list.len().fill_null(0)
    labels = rows.table("labels", [*LABEL_KEY, "sensors"]).lazy().select(*LABEL_KEY, names, count.alias("count"))
    framed = rows.table("frames", LABEL_KEY).lazy().unique()
    labels = labels.join(framed, on=LABEL_KEY, how="semi", maintain_order="left")
    samples = rows.table("samples", ["sample_id", "sensors"]).lazy()
    samples = samples.select("sample_id", names.alias("expected"), count.alias("expected_count"))
    known = rows.table("sample_frames", ["sample_id"]).lazy().unique().with_columns(pl.lit(True).alias("known"))
    samples = samples.unique("sample_id", keep="first").join(known, on="sample_id", how="semi")
    both = labels.join(samples, on="sample_id", how="inner", maintain_order="left")
    differ = (pl.col("count") != pl.col("expected_count")) | (listed(pl.col("names")) != listed(pl.col("expected")))
    wrong = both.filter(differ & (pl.max_horizontal("count", "expected_count") > 0))
    texts = [
        pl.when(pl.col(name).list.len() > 0).then(listed(pl.col(name))).fill_null("none")
        for name in ("expected", "names")
    ]
    return found(wrong, worded("Expected the sensors of the sample, {}, got {}", *texts), pl.col("names"))
