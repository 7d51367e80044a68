"""Rotations as Polars expressions: unit quaternions (x, y, z, w), matrices, yaw.

Every function takes and gives tuples of expressions, so that a formula can be staged: put its parts into columns with
one `with_columns` and go on from these columns with the next. One deep expression is many times slower.

A quaternion turns a vector from the frame of reference that it describes into its parent: an ego heading turns ego
coordinates into world coordinates. The product `product(a, b)` turns by b first and by a then (Hamilton). Source: J.
Solà, "Quaternion kinematics for the error-state Kalman filter", 2017, sections 1 and 2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import polars as pl

Vector: TypeAlias = tuple[pl.Expr, pl.Expr, pl.Expr]
Quaternion: TypeAlias = tuple[pl.Expr, pl.Expr, pl.Expr, pl.Expr]
Matrix: TypeAlias = tuple[Vector, Vector, Vector]
"""Three rows."""


def vector(names: Sequence[str]) -> Vector:
    """Three columns as a vector of float64."""
    x, y, z = (pl.col(name).cast(pl.Float64) for name in names)
    return x, y, z


def quaternion(names: Sequence[str]) -> Quaternion:
    """Four columns, x, y, z, w, as a quaternion of float64."""
    x, y, z, w = (pl.col(name).cast(pl.Float64) for name in names)
    return x, y, z, w


def scaled(q: Quaternion) -> Quaternion:
    """The quaternion divided by its largest component; null where a component is null or all are 0.

    What comes before `normalised`: the squares of what is left neither overflow nor vanish.
    """
    largest = pl.max_horizontal(part.abs() for part in q)
    known = pl.all_horizontal(part.is_not_null() for part in q)
    known &= (largest != 0) | pl.any_horizontal(part.is_nan() for part in q)  # the largest of 0 and NaN is 0
    x, y, z, w = (pl.when(known).then(part / largest) for part in q)
    return x, y, z, w


def normalised(q: Quaternion) -> Quaternion:
    """The unit quaternion of one that `scaled` gave."""
    norm = (q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3]).sqrt()
    return q[0] / norm, q[1] / norm, q[2] / norm, q[3] / norm


def conjugate(q: Quaternion) -> Quaternion:
    """The opposite turn of a unit quaternion: (-x, -y, -z, w)."""
    return -q[0], -q[1], -q[2], q[3]


def product(a: Quaternion, b: Quaternion) -> Quaternion:
    """The Hamilton product a b: the turn by b, followed by the turn by a."""
    ax, ay, az, aw = a
    bx, by, bz, bw = b
    return (
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
        aw * bw - ax * bx - ay * by - az * bz,
    )


def about_z(angle: pl.Expr) -> Quaternion:
    """The unit quaternion of a turn about z, radians: (0, 0, sin(angle / 2), cos(angle / 2))."""
    half = 0.5 * angle
    return half * 0, half * 0, half.sin(), half.cos()


def matrix(q: Quaternion) -> Matrix:
    """The rotation matrix of a unit quaternion: `rotated(matrix(q), v)` is q v q*."""
    x, y, z, w = q
    return (
        (1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)),
        (2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)),
        (2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)),
    )


def transposed(m: Matrix) -> Matrix:
    """The transpose, which for a rotation is the inverse."""
    a, b, c = m
    return (a[0], b[0], c[0]), (a[1], b[1], c[1]), (a[2], b[2], c[2])


def rotated(m: Matrix, v: Vector) -> Vector:
    """The product of a matrix and a vector; the vector's parts may be lists of numbers, the matrix's are numbers."""
    a, b, c = (v[0] * row[0] + v[1] * row[1] + v[2] * row[2] for row in m)
    return a, b, c


def yaw(q: Quaternion) -> pl.Expr:
    """The angle about z, radians in [-pi, pi], of the x axis that a quaternion of any norm turns: its heading.

    ``atan2(2 (x y + z w), w² + x² - y² - z²)``, the angle of the first column of the matrix seen from above.
    """
    x, y, z, w = q
    return pl.arctan2(2 * (x * y + z * w), w * w + x * x - y * y - z * z)


def wrapped(angle: pl.Expr) -> pl.Expr:
    """The same angle in [-pi, pi]; pi and -pi stay what they are."""
    turns = (angle * (1 / math.tau)).round()  # half to even
    return (angle - math.tau * turns).clip(-math.pi, math.pi)
