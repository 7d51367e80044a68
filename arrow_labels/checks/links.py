"""Rules about links between tracks."""

from __future__ import annotations

import polars as pl

from arrow_labels.checks.found import found, worded
from arrow_labels.checks.rows import Rows
from arrow_labels.schema import LABEL_KEY


def link_track(rows: Rows) -> pl.LazyFrame:
    """Links from or to a track that the label does not have."""
    tracks = rows.track_categories.lazy().select(*LABEL_KEY, "track")
    ends = [
        rows.table("links", [*LABEL_KEY, "link_index", name])
        .lazy()
        .select(*LABEL_KEY, "link_index", pl.lit(name).alias("end"), pl.col(name).alias("track"))
        for name in ("from_id", "to_id")
    ]
    missing = pl.concat(ends).join(tracks, on=[*LABEL_KEY, "track"], how="anti").sort(*LABEL_KEY, "link_index", "end")
    track = pl.col("track").cast(pl.String).fill_null("null")
    return found(
        missing,
        worded("Expected a track of the label as {} of link {}, got {}", "end", "link_index", track),
        pl.col("track"),
    )


def link_category(rows: Rows) -> pl.LazyFrame:
    """Links to a category that `link_category_restrictions` of the category they come from does not list."""
    tracks = rows.track_categories.lazy().select(*LABEL_KEY, "track", "dataset", "defined", "category_id")
    targets = rows.definitions.categories.lazy().select("dataset", "category_id", "link_targets")
    ends = (
        rows.table("links", [*LABEL_KEY, "link_index", "from_id", "to_id"])
        .lazy()
        .join(
            tracks, left_on=[*LABEL_KEY, "from_id"], right_on=[*LABEL_KEY, "track"], how="inner", maintain_order="left"
        )
        .join(
            tracks.select(*LABEL_KEY, "track", pl.col("category_id").alias("to_category")),
            left_on=[*LABEL_KEY, "to_id"],
            right_on=[*LABEL_KEY, "track"],
            how="inner",
            maintain_order="left",
        )
        .filter("defined")
        .join(targets, on=["dataset", "category_id"], how="inner", nulls_equal=True, maintain_order="left")
    )
    wrong = ends.filter(~pl.col("to_category").is_in(pl.col("link_targets"))).rename({"from_id": "track"})
    message = worded(
        "Expected link {} to lead from category {} to one of [{}], got {}",
        "link_index",
        "category_id",
        pl.col("link_targets").cast(pl.List(pl.String)).list.join(", "),
        "to_category",
    )
    return found(wrong, message, pl.col("to_category"))
