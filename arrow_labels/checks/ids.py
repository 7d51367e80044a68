"""Rules about ids: what pixels and points refer to, and what names an object over frames."""

from __future__ import annotations

import polars as pl

from arrow_labels.checks.found import found, worded
from arrow_labels.checks.rows import Rows
from arrow_labels.schema import FRAME_KEY


def duplicate_id(rows: Rows) -> pl.LazyFrame:
    """Annotations whose pixels or points are those of an earlier annotation of the frame."""
    frame = rows.annotations.lazy()
    repeated = frame.group_by("frame", "pixel").agg(pl.len(), pl.col("id").count().alias("ids"))
    repeated = repeated.filter(pl.col("len") > 1, pl.col("ids") > 0)
    later = _later(frame.join(repeated, on=["frame", "pixel"], how="semi"), "pixel")
    return found(later, worded("Expected one annotation of id {} in the frame, got another", "pixel"), pl.col("pixel"))


def duplicate_track(rows: Rows) -> pl.LazyFrame:
    """Annotations of an object that has an earlier annotation on the frame, with another id or without one."""
    frame = rows.annotations.lazy()
    repeated = frame.group_by("frame", "track").agg(
        pl.len(), pl.col("id").count(), pl.col("pixel").min().alias("low"), pl.col("pixel").max().alias("high")
    )
    repeated = repeated.filter(pl.col("len") > 1, (pl.col("id") == 0) | (pl.col("low") != pl.col("high")))
    later = _later(frame.join(repeated, on=["frame", "track"], how="semi"), "track")
    return found(
        later, worded("Expected one annotation of track {} on the frame, got another", "track"), pl.col("track")
    )


def _later(frame: pl.LazyFrame, key: str) -> pl.LazyFrame:
    """All annotations of a frame with the same key but the first."""
    ordered = frame.filter(pl.col(key).is_not_null()).sort("frame", key, "annotation_index")
    return ordered.filter((pl.col("frame") == pl.col("frame").shift(1)) & (pl.col(key) == pl.col(key).shift(1)))


def different_ids(rows: Rows) -> pl.LazyFrame:
    """The first annotation of each track whose `id` is not its `track_id`."""
    frame = (
        rows.annotations.lazy()
        .filter(pl.col("id") != pl.col("track_id"))
        .with_columns(rows.at("sensor_no", "frame_index"))
    )
    frame = frame.sort("sensor_no", "frame_index", "annotation_index")
    first = frame.unique(["sensor_no", "track"], keep="first", maintain_order=True)
    return found(first, worded("Expected an id that is the track_id {}, got {}", "track", "id"), pl.col("id"))


def unlisted_points(rows: Rows) -> pl.LazyFrame:
    """Ids that points have, and no annotation of the frame."""
    points = rows.point_ids.lazy().filter(pl.col("pixel") != 0)
    annotated = rows.annotations.lazy().select("frame", "pixel")
    unlisted = points.join(annotated, on=["frame", "pixel"], how="anti").sort("frame", "pixel")
    return found(unlisted, worded("Expected an annotation of the point id {}, got none", "pixel"), pl.col("pixel"))


def no_points(rows: Rows) -> pl.LazyFrame:
    """Segments of frames with point ids of which no point has theirs."""
    empty = rows.segments.lazy().filter(pl.col("point_count") == 0)
    return found(empty, worded("Expected points of id {}, got none", "pixel"), pl.col("pixel"))


def point_count(rows: Rows) -> pl.LazyFrame:
    """Frames with another number of point ids than the point cloud has.

    The number is known where the sample's frame says it (`point_count` or `num_points` of `pcd`), and where several
    labelsets have ids for the same points: most of them are right, or else the first.
    """
    counts = rows.frame_sizes.lazy()
    sample = ["sample_id", "sensor_index", "frame_index"]
    usual = (
        counts.group_by(*sample, "points")
        .agg(pl.len(), pl.col("frame").min().alias("first"))
        .sort("len", "first", descending=[True, False])
        .unique(sample, keep="first", maintain_order=True)
        .select(*sample, pl.col("points").alias("usual"))
    )
    told = counts.join(usual, on=sample, how="left").join(rows.cloud_sizes.lazy(), on=sample, how="left")
    expected = pl.coalesce("cloud_points", "usual")
    other = told.filter(pl.col("points") != expected).select(*FRAME_KEY, "points", expected.alias("expected"))
    return found(other, worded("Expected {} point ids, one a point, got {}", "expected", "points"), pl.col("points"))


def unlisted_pixels(rows: Rows) -> pl.LazyFrame:
    """Ids that a bitmap has, and no annotation of the frame: what `read_masks` found."""
    return _of_masks(rows, "unlisted-pixels")


def no_pixels(rows: Rows) -> pl.LazyFrame:
    """Segments that the bitmap of their frame does not show: what `read_masks` found."""
    return _of_masks(rows, "no-pixels")


def _of_masks(rows: Rows, rule: str) -> pl.LazyFrame:
    return rows.table("findings").lazy().filter(pl.col("rule") == rule).drop("rule", "severity")
