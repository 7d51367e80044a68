"""Rows in the order of their tracks, and the segments of a track: what starts with a keyframe and has no hole."""

from __future__ import annotations

from typing import Final

import polars as pl

from arrow_labels.expressions.columns import DIMENSIONS, LABEL, POSITION, QUATERNION, Kind, require, storage, track

TRACK: Final = "__track"
"""Number of the track that a row belongs to; null where the row names no object."""
UNTIL: Final = "until_frame"

_GEOMETRY: Final = (*POSITION, *DIMENSIONS, "yaw", *QUATERNION)
_KINDS: Final[dict[str, Kind]] = {
    **LABEL,
    **dict.fromkeys(("frame_index", "timestamp", "track_id", "id", "index", UNTIL), "integer"),
    "type": "text",
    "is_keyframe": "boolean",
    **dict.fromkeys(_GEOMETRY, "number"),
    "points": "points",
}
_TYPES: Final[dict[Kind, pl.DataType]] = {
    "text": pl.String(),
    "integer": pl.Int64(),
    "boolean": pl.Boolean(),
    "number": pl.Float64(),
    "points": pl.List(pl.Struct(dict.fromkeys(POSITION, pl.Float64))),
}
_FRAME: Final = pl.col("frame_index")


def track_rows(frame: pl.LazyFrame, *needed: str) -> tuple[pl.LazyFrame, pl.Schema]:
    """Rows whose columns are of the right kind, columns of nothing but nulls too, and whose integers can be negative.

    With their schema.

    Raises
    ------
    SchemaError
        A column of the key or another needed one is missing, or a column is of another kind.
    """
    frame = storage(frame)
    found = frame.collect_schema()
    wanted = dict.fromkeys([*LABEL, "frame_index", *needed, *(name for name in _KINDS if name in found)])
    schema = require(frame, {name: _KINDS[name] for name in wanted})
    others = [name for name in wanted if schema[name] == pl.Null or schema[name].is_unsigned_integer()]
    frame = frame.with_columns(pl.col(name).cast(_TYPES[_KINDS[name]]) for name in others)
    return frame, frame.collect_schema()


def in_order(frame: pl.LazyFrame, schema: pl.Schema, *by: str) -> pl.LazyFrame:
    """Rows sorted by label, sensor, object and `by`. Of equal ones keyframes come last, and then what came last."""
    key = [*LABEL, "__object"]
    ties = [pl.col("is_keyframe").fill_null(True)] if "is_keyframe" in schema else []
    ordered = frame.with_columns(track(schema).alias("__object")).sort(*key, *by, *ties, maintain_order=True)
    number = pl.when(pl.col("__object").is_not_null()).then(pl.struct(key).rle_id())
    return ordered.with_columns(number.alias(TRACK)).drop("__object")


def same_track(rows: int) -> pl.Expr:
    """Whether the row so many rows before (after, below 0) belongs to the same track; null where nobody knows."""
    return pl.col(TRACK) == pl.col(TRACK).shift(rows)


def is_overruled() -> pl.Expr:
    """Whether another row for the same frame of the track comes after a row."""
    return (same_track(-1) & (_FRAME.shift(-1) == _FRAME)).fill_null(False)


def with_full(ordered: pl.LazyFrame) -> pl.LazyFrame:
    """Rows and whether their track has rows that are not keyframes: `__full`."""
    latest = pl.when(pl.col("is_keyframe").not_()).then(TRACK).forward_fill()  # of the tracks up to here that have some
    ordered = ordered.with_columns((latest == pl.col(TRACK)).fill_null(False).alias("__full"))
    last = same_track(-1).fill_null(False).not_()  # which has seen all of its track
    return ordered.with_columns(pl.when(last).then("__full").backward_fill().alias("__full"))


def with_starts(ordered: pl.LazyFrame) -> pl.LazyFrame:
    """Rows of full labels and whether a segment starts there: `__starts`.

    It does on keyframes, on the first row of a track, and after a hole. Rows that do not say are keyframes.
    """
    goes_on = same_track(1) & (_FRAME.shift(1) + 1 == _FRAME)
    return ordered.with_columns(
        (goes_on.fill_null(False).not_() | pl.col("is_keyframe").fill_null(True)).alias("__starts")
    )


def segments(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Of what `with_starts` gave the rows that start a segment, with the frame after the segment's last: `__until`."""
    ends = rows.with_columns(pl.col("__starts").shift(-1, fill_value=True).alias("__ends"))
    ends = ends.filter(pl.col("__starts") | pl.col("__ends"))  # each segment has one row now, or two
    last = pl.when("__ends").then(_FRAME).otherwise(_FRAME.shift(-1))
    return ends.with_columns((last + 1).alias("__until")).filter("__starts")
