"""Rules about the values of attributes: those of annotations, of frames and of links."""

from __future__ import annotations

import polars as pl

from arrow_labels.checks.found import found, listed, worded
from arrow_labels.checks.rows import Rows


def undefined_attribute(rows: Rows) -> pl.LazyFrame:
    """Attributes that the category, or for frames the dataset, does not define."""
    values = rows.values.lazy().filter(~pl.col("is_specified"))
    return _at_rows(rows, values, worded("Expected an attribute that is defined, got `{}`", "name"))


def attribute_type(rows: Rows) -> pl.LazyFrame:
    """Values of another type than the attribute's input type."""
    values = rows.values.lazy().filter("is_other_type")
    message = worded("Expected {} for `{}`, got {}", "expected", "name", "text")
    return _at_rows(rows, values, message)


def attribute_choice(rows: Rows) -> pl.LazyFrame:
    """Values that are not among those to choose from."""
    values = rows.values.lazy().filter("is_other_choice")
    message = worded("Expected one of [{}] for `{}`, got {}", listed(pl.col("values")), "name", "text")
    return _at_rows(rows, values, message)


def attribute_range(rows: Rows) -> pl.LazyFrame:
    """Numbers below `min` or above `max`."""
    values = rows.values.lazy().filter("is_out_of_range")
    low, high = (pl.col(name).cast(pl.String).fill_null("any") for name in ("min", "max"))
    return _at_rows(rows, values, worded("Expected {} to {} for `{}`, got {}", low, high, "name", "text"))


def missing_attribute(rows: Rows) -> pl.LazyFrame:
    """Mandatory attributes without a value; one that holds for a track needs a value on one of its rows."""
    missing = rows.missing_values.lazy()
    message = worded("Expected a value for the mandatory attribute `{}`, got none", "name")
    for_rows = _at_rows(rows, missing.filter(~pl.col("for_track")), message)
    track = ["label_no", "sensor_no", "track", "name"]
    lacking = _of_objects(rows, missing.filter("for_track"))
    given = _of_objects(rows, rows.values.lazy().filter("is_track_level", ~pl.col("is_empty")))
    lacking = lacking.sort("sensor_index", "frame_index", "annotation_index")
    first = lacking.join(given, on=track, how="anti", maintain_order="left").unique(
        track, keep="first", maintain_order=True
    )
    return pl.concat([for_rows, found(first, message)], how="diagonal")


def track_attribute(rows: Rows) -> pl.LazyFrame:
    """Attributes that hold for a whole track and have another value than on an earlier frame of it."""
    values = rows.values.lazy().filter("is_track_level", ~pl.col("is_empty"))
    return _changes(rows, values, ["sensor_no", "track", "name"], "on an earlier frame of the track")


def synced_attribute(rows: Rows) -> pl.LazyFrame:
    """Attributes that are synced across sensors and have another value on another sensor on the same frame."""
    values = rows.values.lazy().filter("is_synced", ~pl.col("is_empty"))
    return _changes(rows, values, ["label_no", "track", "frame_index", "name"], "on another sensor")


def _changes(rows: Rows, values: pl.LazyFrame, key: list[str], where: str) -> pl.LazyFrame:
    """The first row for each key whose value is not that of the row before it."""
    ordered = _of_objects(rows, values).sort("sensor_index", "frame_index", "annotation_index")
    mixed = ordered.group_by(key).agg(pl.col("compared").n_unique().alias("count")).filter(pl.col("count") > 1)
    both = ordered.join(mixed, on=key, how="semi", maintain_order="left")
    both = both.with_columns(pl.col("compared", "text").first().over(key).name.prefix("first_"))
    other = both.filter(pl.col("compared") != pl.col("first_compared")).unique(key, keep="first", maintain_order=True)
    message = worded("Expected {} for `{}` as {}, got {}", "first_text", "name", pl.lit(where), "text")
    return found(other, message, text=pl.col("text"))


def _of_objects(rows: Rows, values: pl.LazyFrame) -> pl.LazyFrame:
    """The annotations of tracks with these values, with the numbers of their label and sensor."""
    frame = rows.annotation_documents.lazy().filter(pl.col("track").is_not_null())
    joined = frame.join(values, on="document", how="inner", maintain_order="left")
    return joined.with_columns(rows.at("label_no", "sensor_no", "sensor_index", "frame_index"))


def _at_rows(rows: Rows, values: pl.LazyFrame, message: pl.Expr) -> pl.LazyFrame:
    """Findings at the annotations, frames and links with these values."""
    places = [rows.annotation_documents.lazy(), rows.frame_documents.lazy(), rows.link_documents.lazy()]
    named = values.with_columns(message.alias("__message"))
    return pl.concat(
        [
            found(
                place.join(named, on="document", how="inner", maintain_order="left"),
                pl.col("__message"),
                text=pl.col("text"),
            )
            for place in places
        ],
        how="diagonal",
    )
