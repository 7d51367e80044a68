"""How large images and point clouds are, where anything says so."""

from __future__ import annotations

from typing import Final

import polars as pl

from arrow_labels.expressions.json_values import members

SAMPLE_FRAME: Final = ("sample_id", "sensor_index", "frame_index")
"""The columns that name a frame of a sample."""


def cloud_sizes(frames: pl.DataFrame) -> pl.DataFrame:
    """The number of points of point clouds whose sample says it: key of the sample's frame, `cloud_points`."""
    told = frames.filter(pl.col("extra").str.contains("point_count|num_points").fill_null(False))
    told = _with_members(told, "pcd", {"point_count": pl.Int64(), "num_points": pl.Int64()})
    return told.select(*SAMPLE_FRAME, pl.coalesce("point_count", "num_points").alias("cloud_points")).unique(
        SAMPLE_FRAME, keep="first"
    )


def image_sizes(frames: pl.DataFrame, segments: pl.DataFrame) -> pl.DataFrame:
    """Key of the sample's frame, `width` and `height`: what the sample says, or a mask of the same image."""
    images = frames.unique(SAMPLE_FRAME, keep="first")
    told = images.filter(pl.col("extra").str.contains("width").fill_null(False))
    told = _with_members(told, "image", {"width": pl.Float64(), "height": pl.Float64()})
    side = {name: pl.col("rle").struct.field(name).cast(pl.Float64) for name in ("width", "height")}
    masks = segments.lazy().select(*SAMPLE_FRAME, **side).drop_nulls().unique(SAMPLE_FRAME, keep="first").collect()
    image = ["sample_id", "image_url"]
    masked = masks.join(images, on=SAMPLE_FRAME, how="inner").select(*image, *side).drop_nulls()
    same = images.join(masked.unique(image, keep="first"), on=image, how="inner")
    sizes = [size.select(*SAMPLE_FRAME, *side) for size in (told, same, masks)]
    return pl.concat(sizes).drop_nulls().unique(SAMPLE_FRAME, keep="first", maintain_order=True)


def _with_members(frames: pl.DataFrame, name: str, wanted: dict[str, pl.DataType]) -> pl.DataFrame:
    """Rows with members of an object within the object `extra`."""
    inner = members(frames["extra"], {name: (name, None)})[name]
    return frames.hstack(members(inner, {column: (column, dtype) for column, dtype in wanted.items()}))
