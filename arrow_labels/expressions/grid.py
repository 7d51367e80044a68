"""The frames that a sensor has, and when they are."""

from __future__ import annotations

from typing import Final

import polars as pl

from arrow_labels.expressions.columns import Frame, Kind, lazy, require

_KINDS: Final[dict[str, Kind]] = {
    "sample_id": "text",
    "labelset": "text",
    "sensor_index": "integer",
    "frame_index": "integer",
    "timestamp": "integer",
}


def frame_grid(frames: Frame, schema: pl.Schema, *, timed: bool) -> tuple[pl.LazyFrame, list[str]]:
    """The frames of each sensor, `__frame`, with their time, `__at`; and the columns that say which sensor.

    Of what is there more than once the latest time counts. Keys are of the type that they have in `schema`.
    """
    grid = lazy(frames)
    found = grid.collect_schema()
    sensor = ["sample_id", *(["labelset"] if "labelset" in found else []), "sensor_index"]
    needed = [*sensor, "frame_index", *(["timestamp"] if timed else [])]
    require(grid, {name: _KINDS[name] for name in needed}, what="frames")
    # What does not fit the type of a key is the key of no row.
    key = [pl.col(name).cast(schema[name], strict=False) for name in sensor]
    number = pl.col("frame_index").cast(schema["frame_index"], strict=False).alias("__frame")
    at = pl.col("timestamp" if timed else "frame_index").cast(pl.Int64, strict=False).max().alias("__at")
    return grid.group_by(*key, number).agg(at), sensor


def with_last_frame(rows: pl.LazyFrame, grid: pl.LazyFrame, sensor: list[str]) -> pl.LazyFrame:
    """Rows with the last frame of their sensor: `__last`."""
    last = grid.group_by(sensor).agg(pl.col("__frame").max().alias("__last"))
    return rows.join(last, on=sensor, how="left", maintain_order="left")


def with_clock(rows: pl.LazyFrame, grid: pl.LazyFrame, sensor: list[str]) -> pl.LazyFrame:
    """Rows with the time of their frame, `__time`, and how often time did not go forward up to there, `__breaks`."""
    steady = pl.col("__at") > pl.col("__at").shift(1)
    clock = grid.sort(*sensor, "__frame").with_columns(steady.fill_null(False).not_().cum_sum().alias("__breaks"))
    clock = clock.rename({"__frame": "frame_index", "__at": "__time"})
    return rows.join(clock, on=[*sensor, "frame_index"], how="left", maintain_order="left")


def steps(rows: pl.LazyFrame) -> pl.LazyFrame:
    """For each length that a segment has, `__length`, the steps from its first frame: `__step`, from 0."""
    lengths = rows.select("__length").unique()
    return lengths.with_columns(pl.int_ranges(0, "__length", dtype=pl.dtype_of("__length")).alias("__step")).explode(
        "__step"
    )


def frames_on_grid(rows: pl.LazyFrame, grid: pl.LazyFrame, sensor: list[str]) -> pl.LazyFrame:
    """The frames of each row, by its number `__row`, that its sensor has, and its own; and their times, `__at`."""
    every = pl.int_ranges("frame_index", "__end", dtype=pl.dtype_of("frame_index")).alias("__frame")
    frames = rows.select("__row", "frame_index", every, *sensor).explode("__frame")
    grid = grid.with_columns(pl.lit(True).alias("__there"))
    frames = frames.join(grid, on=[*sensor, "__frame"], how="left", maintain_order="left")
    frames = frames.filter(pl.col("__there") | pl.col("__frame").eq_missing(pl.col("frame_index")))
    return frames.select("__row", "__frame", "__at")
