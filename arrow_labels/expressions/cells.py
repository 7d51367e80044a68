"""Square cells of the ground, so that a join brings together only what is near each other."""

from __future__ import annotations

from typing import Final

import polars as pl

_CELLS: Final = 128
"""Cells along each axis before they repeat: no cuboid, however large, covers more than the square of it."""


def cell(x: pl.Expr, y: pl.Expr, size: float) -> pl.Expr:
    """The cell of a place: int32 from 0 to 16,383, null for NaN and infinity.

    Cells repeat after 128 along each axis, so that places in one cell are near each other or a multiple of 128 cells
    apart: what uses cells must look at the places themselves afterwards.
    """
    return (_index(x, size) * _CELLS + _index(y, size)).cast(pl.Int32, strict=False)


def covered(boxes: pl.LazyFrame, size: float) -> pl.LazyFrame:
    """One row for each cell that a box touches, each cell once: the columns of the box and ``__cell``.

    The columns of a box are ``__west, __east, __south, __north``; its limits belong to it. A box that is longer than
    128 cells along an axis touches each of them; limits that are not finite give a null in place of a cell.
    """
    counted = boxes.with_columns(
        __across=_count(pl.col("__west"), pl.col("__east"), size),
        __along=_count(pl.col("__south"), pl.col("__north"), size),
    )
    each = counted.with_columns(__step=pl.int_ranges(0, pl.col("__across") * pl.col("__along"))).explode("__step")
    x = (_index(pl.col("__west"), size) + pl.col("__step") // pl.col("__along")) % _CELLS
    y = (_index(pl.col("__south"), size) + pl.col("__step") % pl.col("__along")) % _CELLS
    return each.with_columns(__cell=(x * _CELLS + y).cast(pl.Int32, strict=False)).drop("__across", "__along", "__step")


def _index(coordinate: pl.Expr, size: float) -> pl.Expr:
    return (coordinate / size).floor() % _CELLS


def _count(low: pl.Expr, high: pl.Expr, size: float) -> pl.Expr:
    cells = (high / size).floor() - (low / size).floor() + 1
    return cells.clip(1, _CELLS).cast(pl.Int32, strict=False)
