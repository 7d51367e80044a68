"""The area that two turned rectangles share."""

from __future__ import annotations

from typing import Final

import polars as pl

_CORNERS: Final = ((1, 1), (-1, 1), (-1, -1), (1, -1))
"""Counter-clockwise: the signs along length and width."""
_SIDES: Final = (("length", 0, 1), ("width", 1, 2), ("length", 2, 3), ("width", 3, 0))
"""What a side goes along, and the corners where it starts and ends."""


def shared_area(pairs: pl.LazyFrame) -> pl.LazyFrame:
    """Add ``__area``: the area that two turned rectangles share, good to some 1e-15 of what their sizes make.

    In the coordinates of the first one, with half sizes a and b, the area of the second one, P, within it is::

        ∬ [|x| < a] [|y| < b] over P  =  ∮ clip(x, -a, a) [|y| < b] dy  around P

    (Green's theorem: the first factor is the derivative of the clipped x). On a side of P the second factor cuts the
    range of y to that of k = clip(y, -b, b), and what is left is the difference of k times the mean of clip(x) on that
    part of the side. With s and e the x of the part's ends, c(x) = clip(x, -a, a), o(x) = max(x, a), u(x) = min(x, -a)
    and differences Δ from s to e::

        mean = (Δc (c(s) + c(e)) / 2 + a Δo - a Δu) / (Δc + Δo + Δu)

    the mean of (c(s) + c(e)) / 2, a and -a, weighted with how much of the part is inside, beyond a and beyond -a. The
    three weights have one sign, and no more than a rounding of their own size. A side without height counts for
    nothing, whatever its mean. So parallel sides, equal rectangles, and corners on sides need no cases of their own.

    The columns of the first are ``__x, __y, __length, __width, __cos, __sin``: centre, half sizes, cosine and sine of
    the heading. Those of the second have ``_other`` behind their names. All are finite, and sizes are positive.

    Each `with_columns` is one stage: as one expression the same formula takes a hundred times as long.
    """
    posed = pairs.with_columns(
        __dx=pl.col("__x_other") - pl.col("__x"),
        __dy=pl.col("__y_other") - pl.col("__y"),
        __turn_cos=pl.col("__cos") * pl.col("__cos_other") + pl.col("__sin") * pl.col("__sin_other"),
        __turn_sin=pl.col("__cos") * pl.col("__sin_other") - pl.col("__sin") * pl.col("__cos_other"),
    ).with_columns(
        __centre_x=pl.col("__dx") * pl.col("__cos") + pl.col("__dy") * pl.col("__sin"),
        __centre_y=pl.col("__dy") * pl.col("__cos") - pl.col("__dx") * pl.col("__sin"),
        __length_x=pl.col("__turn_cos") * pl.col("__length_other"),
        __length_y=pl.col("__turn_sin") * pl.col("__length_other"),
        __width_x=-pl.col("__turn_sin") * pl.col("__width_other"),
        __width_y=pl.col("__turn_cos") * pl.col("__width_other"),
    )
    corners = posed.with_columns(
        *(_corner(n, axis).alias(f"__{axis}{n}") for n in range(4) for axis in "xy"),
        *(_slope(side).alias(f"__{side}_slope") for side in ("length", "width")),
    ).with_columns(_clip(f"__y{n}", "__width").alias(f"__k{n}") for n in range(4))
    # Each corner is the end of two sides: `__length0` is the x at which the side along the length leaves corner 0 when
    # its y is cut to k.
    ends = [f"{side}{n}" for n in range(4) for side in ("length", "width")]
    cut = corners.with_columns(
        (pl.col(f"__x{n}") + (pl.col(f"__k{n}") - pl.col(f"__y{n}")) * pl.col(f"__{side}_slope")).alias(f"__{side}{n}")
        for n in range(4)
        for side in ("length", "width")
    ).with_columns(
        *(_clip(f"__{end}", "__length").alias(f"__c_{end}") for end in ends),
        *(pl.max_horizontal(pl.col(f"__{end}"), pl.col("__length")).alias(f"__o_{end}") for end in ends),
        *(pl.min_horizontal(pl.col(f"__{end}"), -pl.col("__length")).alias(f"__u_{end}") for end in ends),
    )
    weighted = cut.with_columns(
        (pl.col(f"__{part}_{side}{end}") - pl.col(f"__{part}_{side}{start}")).alias(f"__{part}{start}")
        for side, start, end in _SIDES
        for part in "cou"
    )
    return weighted.with_columns(__area=pl.sum_horizontal(_under(*side) for side in _SIDES))


def _corner(n: int, axis: str) -> pl.Expr:
    along, across = _CORNERS[n]
    return pl.col(f"__centre_{axis}") + along * pl.col(f"__length_{axis}") + across * pl.col(f"__width_{axis}")


def _slope(side: str) -> pl.Expr:
    """The change of x with y along a side; where it has no height, any number will do."""
    height = pl.col(f"__{side}_y")
    return pl.when(height != 0).then(pl.col(f"__{side}_x") / height).otherwise(0.0)


def _under(side: str, start: int, end: int) -> pl.Expr:
    """What one side adds: its mean of the clipped x, times its height."""
    inside, over, under = (pl.col(f"__{part}{start}") for part in "cou")
    first, last = pl.col(f"__c_{side}{start}"), pl.col(f"__c_{side}{end}")
    mean = (inside * (first + last) / 2 + pl.col("__length") * (over - under)) / (inside + over + under)
    return mean.fill_nan(first) * (pl.col(f"__k{end}") - pl.col(f"__k{start}"))  # 0 / 0 where all of it has one x


def _clip(name: str, limit: str) -> pl.Expr:
    """The value in [-limit, limit]; `Expr.clip` with limits that are columns takes twice as long."""
    return pl.min_horizontal(pl.max_horizontal(pl.col(name), -pl.col(limit)), pl.col(limit))
