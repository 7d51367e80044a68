"""From each row of a track to the one after it: how far it is, and where the object goes away before."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, Literal, TypeAlias, get_args

import polars as pl

from arrow_labels.expressions.blend import Shape, following, is_blended
from arrow_labels.expressions.tracks import TRACK

By: TypeAlias = Literal["frame_index", "timestamp"]
Gap: TypeAlias = Literal["interpolate", "hold"]
Tail: TypeAlias = Literal["drop", "hold"]

_FRAME: Final = pl.col("frame_index")


def require_choice(name: str, value: object, choices: object) -> None:
    """Refuse an option that is not one of the choices, a Literal type."""
    if value not in get_args(choices):
        expected = " or ".join(map(repr, get_args(choices)))
        raise ValueError(f"{name}: expected {expected}, got {value!r}")


def with_ends(rows: pl.LazyFrame, last: pl.Expr) -> pl.LazyFrame:
    """Rows with the frame of the next keyframe of their track, `__next_frame`, and the end of their segment, `__end`.

    The end is the frame after the last one on which the object is there: `__until`, or what comes first; where that
    is null, the next keyframe; on a track's last keyframe the frame after `last`, or the keyframe's own where that is
    null, too.
    """
    next_frame = pl.when(pl.col(TRACK) == following(TRACK)).then(following("frame_index"))
    until = pl.col("__until")
    rows = rows.with_columns(
        next_frame.alias("__next_frame"),
        pl.when(until.is_not_null()).then(pl.max_horizontal(until, _FRAME + 1)).alias("__until"),
    )
    tail = pl.coalesce("__until", pl.max_horizontal(_FRAME, last) + 1)
    end = pl.when(pl.col("__next_frame").is_null()).then(tail).otherwise(pl.min_horizontal("__until", "__next_frame"))
    return rows.with_columns(end.alias("__end"))


def with_spans(
    rows: pl.LazyFrame, schema: pl.Schema, shapes: Collection[Shape], gap: Gap, *, timed: bool
) -> pl.LazyFrame:
    """Rows with the number of frames to the next keyframe, `__frames`, and nanoseconds, `__nanoseconds`.

    Both are null where nothing is blended, and nanoseconds where the times between do not all increase.
    """
    next_frame = pl.col("__next_frame")
    blends = is_blended(schema, shapes)
    if gap == "hold":
        blends &= pl.col("__end") == next_frame
    rows = rows.with_columns((blends & next_frame.is_not_null()).fill_null(False).alias("__blends"))
    blends = pl.col("__blends")
    rows = rows.with_columns(pl.when("__blends").then((next_frame - _FRAME).cast(pl.Float64)).alias("__frames"))
    if not timed:
        return rows
    steady = blends & (following("__breaks") == pl.col("__breaks"))
    elapsed = (following("__time") - pl.col("__time")).cast(pl.Float64)
    return rows.with_columns(pl.when(steady).then(elapsed).alias("__nanoseconds"))
