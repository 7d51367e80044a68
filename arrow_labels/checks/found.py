"""What a rule gives: rows that say where something is wrong, what was expected and what was found."""

from __future__ import annotations

from typing import Final

import polars as pl

from arrow_labels.schema import FRAME_KEY

PLACE: Final = ("frame", *FRAME_KEY, "annotation_index")
"""The columns that say where; `frame` stands for the key of a frame, see `Rows.places`, and comes before that."""
LONGEST: Final = 400
"""Characters of a message: names and values in labels may be of any length."""


def found(
    rows: pl.LazyFrame, message: pl.Expr, value: pl.Expr | None = None, *, text: pl.Expr | None = None
) -> pl.LazyFrame:
    """Findings of rows: the columns of `PLACE` that they have, their `track` as `track_id`, `message` and `value`.

    `value` is of any type, and becomes JSON; `text` is JSON already.
    """
    names = rows.collect_schema().names()
    place = [name for name in PLACE if name in names and not ("frame" in names and name in FRAME_KEY)]
    track = [pl.col("track").alias("track_id")] if "track" in names else []
    if text is None:
        text = pl.lit(None, pl.String) if value is None else json(value)
    return rows.select(*place, *track, message.alias("message"), text.alias("value"))


def worded(template: str, *values: str | pl.Expr) -> pl.Expr:
    """A text with values in the place of each pair of braces; null where one is null.

    As `pl.format`, which in Polars 2.1 panics on some columns in chunks.
    """
    texts = [pl.lit(text) for text in template.split("{}")]
    columns = [pl.col(value) if isinstance(value, str) else value for value in values]
    between = [part for column, text in zip(columns, texts[1:], strict=True) for part in (column, text)]
    return pl.concat_str([texts[0], *between])


def json(value: pl.Expr) -> pl.Expr:
    """The JSON text of values of any type, null for null."""
    text = pl.struct(value.alias("v")).struct.json_encode().str.slice(5).str.head(-1)  # of {"v":…}
    return pl.when(value.is_not_null()).then(text)


def listed(values: pl.Expr) -> pl.Expr:
    """A list of numbers or names as text."""
    return values.cast(pl.List(pl.String)).list.join(", ")
