"""Spherical linear interpolation of rotations, in two stages: what is constant between two of them, and the rest.

With q0 and q1 the unit quaternions (x, y, z, w) of two rotations, q1 with the sign that makes a = q0 · q1 positive,
and u from 0 to 1::

    p = q1 - a q0      n = |p|      angle = atan2(n, a)      q(u) = q0 cos(angle u) + p / n sin(angle u)

This is slerp (K. Shoemake, "Animating rotation with quaternion curves", SIGGRAPH 1985), written with the unit vector
p / n, which stands at right angles to q0. It is accurate for any two rotations, however near. The usual form divides
by the sine of arccos(a), which is not a number below 1e-8 radians.

Between two rotations that are half a turn apart, a = 0, both ways are equally long: q1 is then taken as it stands.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from arrow_labels.expressions.columns import QUATERNION
from arrow_labels.expressions.rotations import Quaternion, normalised, quaternion, scaled

_FROM: Final = tuple(f"__from_{name}" for name in QUATERNION)
_TOWARDS: Final = tuple(f"__towards_{name}" for name in QUATERNION)


def with_arcs(frame: pl.LazyFrame, following: Quaternion) -> pl.LazyFrame:
    """Rows with what is constant on the way from their own rotation to the one that follows.

    Columns `__from_qx` to `__from_qw` (q0), `__towards_qx` to `__towards_qw` (p / n) and `__angle`. Where one
    of the two has norm 0, one of the quaternions is null; where a component is null, the angle is, too.
    """
    own = quaternion(QUATERNION)
    known = pl.all_horizontal(part.is_not_null() for part in (*own, *following))
    frame = frame.with_columns(*_named(_FROM, scaled(own)), *_named(_TOWARDS, scaled(following)))
    start, towards, n = quaternion(_FROM), quaternion(_TOWARDS), pl.col("__n")
    frame = frame.with_columns(*_named(_FROM, normalised(start)), *_named(_TOWARDS, normalised(towards)))
    frame = frame.with_columns(_dot(start, towards).alias("__a"))
    frame = frame.with_columns(
        pl.when(pl.col("__a") < 0).then(-1.0).otherwise(1.0).alias("__sign"), pl.col("__a").abs()
    )
    frame = frame.with_columns(
        (pl.col("__sign") * pl.col(towards) - pl.col("__a") * pl.col(start)).alias(towards)
        for start, towards in zip(_FROM, _TOWARDS, strict=True)
    )
    frame = frame.with_columns(_dot(towards, towards).sqrt().alias("__n"))
    angle = pl.when(known).then(pl.arctan2(n, pl.col("__a")).fill_null(0.0)).alias("__angle")
    return frame.with_columns(*(pl.when(n == 0).then(part).otherwise(part / n) for part in towards), angle)


def with_turns(frame: pl.LazyFrame, u: pl.Expr) -> pl.LazyFrame:
    """Rows with how far they are on their arc: `__cos` and `__sin`, null where the rotation stays as it is."""
    frame = frame.with_columns((pl.col("__angle") * u).alias("__turned"))
    return frame.with_columns(pl.col("__turned").cos().alias("__cos"), pl.col("__turned").sin().alias("__sin"))


def turned() -> dict[str, pl.Expr]:
    """The rotation on the arc."""
    cos, sin = pl.col("__cos"), pl.col("__sin")
    return {
        name: pl.when(cos.is_null()).then(name).otherwise(pl.col(start) * cos + pl.col(towards) * sin)
        for name, start, towards in zip(QUATERNION, _FROM, _TOWARDS, strict=True)
    }


def angle_between(p: Quaternion, q: Quaternion) -> pl.Expr:
    """The angle between two rotations given as unit quaternions, radians in [0, pi]; accurate for small ones, too.

    ``4 atan2(|p - q|, |p + q|)``, or with -q, which is the same rotation as q, whichever is less.
    """
    x, y, z, w = (a - b for a, b in zip(p, q, strict=True))
    difference = _dot((x, y, z, w), (x, y, z, w)).sqrt()
    x, y, z, w = (a + b for a, b in zip(p, q, strict=True))
    total = _dot((x, y, z, w), (x, y, z, w)).sqrt()
    return 4 * pl.arctan2(pl.min_horizontal(difference, total), pl.max_horizontal(difference, total))


def _dot(p: Quaternion, q: Quaternion) -> pl.Expr:
    return p[0] * q[0] + p[1] * q[1] + p[2] * q[2] + p[3] * q[3]


def _named(names: tuple[str, ...], q: Quaternion) -> list[pl.Expr]:
    return [part.alias(name) for name, part in zip(names, q, strict=True)]
