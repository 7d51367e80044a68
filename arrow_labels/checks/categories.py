"""Rules about categories."""

from __future__ import annotations

import polars as pl

from arrow_labels.checks.found import found, worded
from arrow_labels.checks.rows import Rows


def undefined_category(rows: Rows) -> pl.LazyFrame:
    """Annotations of a category that their release does not define."""
    undefined = rows.categories_used.lazy().join(
        rows.definitions.categories.lazy(), on=["dataset", "category_id"], how="anti", nulls_equal=True
    )
    kept = ["dataset_no", "category_id"]
    frame = (
        rows.annotations.lazy().with_columns(rows.at("dataset_no")).join(undefined.select(kept), on=kept, how="semi")
    )
    return found(
        frame, worded("Expected a category that the release defines, got {}", "category_id"), pl.col("category_id")
    )


def unused_category(rows: Rows) -> pl.LazyFrame:
    """Categories that a release defines and no annotation has."""
    unused = rows.definitions.categories.lazy().join(
        rows.categories_used.lazy(), on=["dataset", "category_id"], how="anti", nulls_equal=True
    )
    message = worded(
        "Expected annotations of category {} `{}`, got none",
        "category_id",
        pl.col("name").fill_null(""),
    )
    return found(unused, message, pl.col("category_id"))


def several_categories(rows: Rows) -> pl.LazyFrame:
    """Tracks with annotations of several categories, on one sensor or on several: the first of another one."""
    frame = rows.annotations.lazy().filter(pl.col("track").is_not_null()).with_columns(rows.at("label_no"))
    track = ["label_no", "track"]
    mixed = frame.group_by(track).agg(
        pl.col("category_id").min().alias("low"), pl.col("category_id").max().alias("high")
    )
    mixed = mixed.filter(pl.col("low") != pl.col("high"))
    both = frame.join(mixed.select(track), on=track, how="semi")
    both = both.with_columns(rows.at("sensor_index", "frame_index")).sort(
        "sensor_index", "frame_index", "annotation_index"
    )
    first = both.with_columns(pl.col("category_id").first().over(track).alias("first"))
    first = first.filter(pl.col("category_id") != pl.col("first")).unique(track, keep="first", maintain_order=True)
    message = worded("Expected category {} as before on track {}, got {}", "first", "track", "category_id")
    return found(first, message, pl.col("category_id"))


def no_instances(rows: Rows) -> pl.LazyFrame:
    """Annotations of a category without instances beside another object of the category on the frame."""
    merged = rows.definitions.categories.lazy().filter(~pl.col("has_instances")).select("dataset", "category_id")
    used = rows.categories_used.lazy().join(merged, on=["dataset", "category_id"], how="semi", nulls_equal=True)
    key = ["dataset_no", "category_id"]
    frame = rows.annotations.lazy().with_columns(rows.at("dataset_no")).join(used.select(key), on=key, how="semi")
    frame = frame.sort("frame", "annotation_index")
    first = frame.with_columns(pl.col("track").first().over("frame", "category_id").alias("first"))
    message = worded(
        "Expected one object of category {} on the frame, as it has no instances, got track {} beside {}",
        "category_id",
        "track",
        "first",
    )
    return found(first.filter(pl.col("track") != pl.col("first")), message, pl.col("track"))
