"""Numbers for frames of labels, so that what goes over all annotations compares integers and no text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import polars as pl

from arrow_labels.schema import FRAME_KEY, LABEL_KEY

SENSOR: Final = (*LABEL_KEY, "sensor_index")
"""The columns that name a sensor of a label."""


def numbered(keys: Mapping[str, pl.DataFrame]) -> tuple[pl.DataFrame, dict[str, pl.Series]]:
    """The frames that rows of some tables are of, with their number `frame`, and that of each row of each table.

    Rows of a frame stand together in most tables: then one key is looked up for all of them.
    """
    runs, places = {}, {}
    for name, rows in keys.items():
        starts = rows.select(
            pl.any_horizontal(pl.col(key).ne_missing(pl.col(key).shift(1)) for key in FRAME_KEY)
            | (pl.int_range(pl.len()) == 0)
        ).to_series()
        runs[name] = rows.filter(starts)
        places[name] = starts.cum_sum().cast(pl.UInt32) - 1
    every = pl.concat(list(runs.values()))
    frames = every.unique(maintain_order=True).with_row_index("frame")
    numbers = every.join(frames, on=FRAME_KEY, how="left", nulls_equal=True, maintain_order="left")["frame"]
    done, made = 0, {}
    for name, rows in runs.items():
        made[name] = numbers.slice(done, rows.height).gather(places[name]).alias("frame")
        done += rows.height
    return frames, made


def with_numbers(frames: pl.DataFrame) -> pl.DataFrame:
    """Frames with the number of their label, `label_no`, and of their sensor, `sensor_no`."""
    for name, key in (("label_no", LABEL_KEY), ("sensor_no", SENSOR)):
        numbers = frames.select(key).unique(maintain_order=True).with_row_index(name)
        frames = frames.join(numbers, on=key, how="left", nulls_equal=True, maintain_order="left")
    return frames


def spaces(labels: pl.DataFrame) -> pl.DataFrame:
    """Whether the sensors of labels see in "2D" or in "3D", `space`, where the label says so."""
    count = pl.col("sensors").list.len()
    sensors = labels.unique(LABEL_KEY, keep="first").filter(count > 0)
    sensors = sensors.with_columns(pl.int_ranges(count, dtype=pl.Int32).alias("sensor_index"))
    sensors = sensors.explode("sensors", "sensor_index")
    task = pl.col("sensors").struct.field("task_type")
    in_space = pl.when(task.str.starts_with("pointcloud")).then(pl.lit("3D")).otherwise(pl.lit("2D"))
    return sensors.select(*SENSOR, pl.when(task.is_not_null()).then(in_space).alias("space"))
