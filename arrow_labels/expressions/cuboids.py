"""Cuboids: corners, footprint, and the two ways to say how they are turned.

A cuboid's own coordinates have their origin at its centre, x forward along its length, y to the left along its width,
and z up along its height.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import polars as pl

from arrow_labels.errors import SchemaError
from arrow_labels.expressions.columns import DIMENSIONS, POSITION, QUATERNION, Kind, require, storage
from arrow_labels.expressions.rotations import about_z, matrix, normalised, quaternion, scaled, wrapped, yaw

RECTANGLE: Final[dict[str, Kind]] = dict.fromkeys(("x", "y", "length", "width", "yaw"), "number")
"""The columns of a footprint."""
CUBOID: Final[dict[str, Kind]] = dict.fromkeys((*POSITION, *DIMENSIONS, "yaw"), "number")
"""The columns of a cuboid that it must have; a rotation it may have."""
MATRIX: Final = tuple(f"__r{row}{column}" for row in range(3) for column in range(3))

_ROTATION: Final = ("__qx", "__qy", "__qz", "__qw")
_EDGES: Final = tuple(f"__{edge}_{axis}" for edge in DIMENSIONS for axis in POSITION)
_FACE: Final = ((1, 1), (-1, 1), (-1, -1), (1, -1))
"""Counter-clockwise from the front left corner: the signs of a face's corners along length and width."""


def corners(frame: pl.LazyFrame) -> pl.LazyFrame:
    """Add `corners`: the eight corners of each cuboid, in the frame of reference of its centre.

    First the bottom, then the top, each counter-clockwise seen from above, beginning at the front left. Seen from
    behind and from above::

             4-----------7
            /|          /|          0, 4  front left    (+length/2, +width/2)
           5-----------6 |          1, 5  rear left     (-length/2, +width/2)
           | |         | |          2, 6  rear right    (-length/2, -width/2)
           | |         | |          3, 7  front right   (+length/2, -width/2)
           | 0---------|-3     z  x
           |/          |/      | /           0 to 3  bottom  -height/2
           1-----------2   y---+             4 to 7  top     +height/2

    A corner is ``centre + R (±length/2, ±width/2, ±height/2)``. R is the matrix of the rotation qx, qy, qz, qw, of any
    norm but 0; in a row that has none (one of the four is null, or the norm is 0) it is the turn by yaw about z.

    Parameters
    ----------
    frame : pl.LazyFrame
        Cuboids: x, y, z, length, width, height in metres, yaw in radians, perhaps qx, qy, qz, qw.

    Returns
    -------
    pl.LazyFrame
        The frame with the column corners: list<struct<x, y, z: float64>>, metres; null where a number that it needs is
        null. The type is that of `points` in the table vectors, so that the expressions for points work on it.

    Raises
    ------
    SchemaError
        A column is missing, or not a number.

    Examples
    --------
    >>> import arrow_labels
    >>> car = {"x": 10.0, "y": 0.0, "z": 1.0, "length": 4.0, "width": 2.0, "height": 2.0, "yaw": 0.0}
    >>> found = pl.DataFrame([car]).labels.corners()
    >>> found["corners"].explode().struct.unnest().rows()[:5]
    [(12.0, 1.0, 0.0), (8.0, 1.0, 0.0), (8.0, -1.0, 0.0), (12.0, -1.0, 0.0), (12.0, 1.0, 2.0)]
    """
    frame = storage(frame)
    require(frame, CUBOID)
    # Half of an edge is half a dimension along one column of the matrix.
    edges = turned(frame).with_columns(
        (pl.col(f"__r{row}{column}") * number(edge) / 2).alias(f"__{edge}_{axis}")
        for column, edge in enumerate(DIMENSIONS)
        for row, axis in enumerate(POSITION)
    )
    return edges.with_columns(
        _shape(
            [
                {
                    axis: number(axis)
                    + ahead * pl.col(f"__length_{axis}")
                    + left * pl.col(f"__width_{axis}")
                    + up * pl.col(f"__height_{axis}")
                    for axis in POSITION
                }
                for up in (-1, 1)
                for ahead, left in _FACE
            ]
        ).alias("corners")
    ).drop(*MATRIX, *_EDGES)


def bev_polygon(frame: pl.LazyFrame) -> pl.LazyFrame:
    """Add `bev_polygon`: the footprint of each cuboid in bird's-eye view.

    The footprint is the rectangle length × width about x, y, turned by yaw: what bird's-eye benchmarks compare. A pitch
    or roll in qx, qy, qz, qw does not change it. Its corners go counter-clockwise from the front left: front left, rear
    left, rear right, front right, as the corners 0 to 3 of `corners`.

    Parameters
    ----------
    frame : pl.LazyFrame
        Cuboids: x, y, length, width in metres, yaw in radians.

    Returns
    -------
    pl.LazyFrame
        The frame with the column bev_polygon: list<struct<x, y, z: float64>> of four points, metres, z null; null
        where a number that it needs is null.

    Raises
    ------
    SchemaError
        A column is missing, or not a number.

    Examples
    --------
    >>> import arrow_labels
    >>> car = {"x": 10.0, "y": 0.0, "length": 4.0, "width": 2.0, "yaw": 0.0}
    >>> found = pl.DataFrame([car]).labels.bev_polygon()
    >>> [(point["x"], point["y"]) for point in found["bev_polygon"][0]]
    [(12.0, 1.0), (8.0, 1.0), (8.0, -1.0), (12.0, -1.0)]
    """
    frame = storage(frame)
    require(frame, RECTANGLE)
    cosine, sine = number("yaw").cos(), number("yaw").sin()
    edges = frame.with_columns(
        __length_x=cosine * number("length") / 2,
        __length_y=sine * number("length") / 2,
        __width_x=-sine * number("width") / 2,
        __width_y=cosine * number("width") / 2,
    )
    return edges.with_columns(
        _shape(
            [
                {
                    axis: number(axis) + ahead * pl.col(f"__length_{axis}") + left * pl.col(f"__width_{axis}")
                    for axis in "xy"
                }
                for ahead, left in _FACE
            ]
        ).alias("bev_polygon")
    ).drop("__length_x", "__length_y", "__width_x", "__width_y")


def yaw_to_quaternion(frame: pl.LazyFrame) -> pl.LazyFrame:
    """Fill `qx, qy, qz, qw` from the yaw where a cuboid has no rotation.

    The turn by yaw about z is ``(0, 0, sin(yaw / 2), cos(yaw / 2))``. A rotation that is there stays as it is,
    whatever its norm. One of which a component is null, or whose norm is 0, is none: it is replaced.

    Parameters
    ----------
    frame : pl.LazyFrame
        Cuboids: yaw in radians, perhaps qx, qy, qz, qw.

    Returns
    -------
    pl.LazyFrame
        The frame with qx, qy, qz, qw: float64; all four null where there is no rotation and no yaw.

    Raises
    ------
    SchemaError
        The yaw is missing, or a column is not a number.

    Examples
    --------
    >>> import arrow_labels
    >>> pl.DataFrame({"yaw": [0.0]}).labels.yaw_to_quaternion().rows(named=True)
    [{'yaw': 0.0, 'qx': 0.0, 'qy': 0.0, 'qz': 0.0, 'qw': 1.0}]
    """
    frame = storage(frame)
    require(frame, {"yaw": "number"})
    of_yaw = about_z(number("yaw"))
    if not _has_rotation(frame):
        return frame.with_columns(_named(QUATERNION, of_yaw))
    there = scaled(quaternion(QUATERNION))[3].is_not_null()
    return frame.with_columns(
        pl.when(there).then(pl.col(name).cast(pl.Float64)).otherwise(part).alias(name)
        for name, part in zip(QUATERNION, of_yaw, strict=True)
    )


def quaternion_to_yaw(frame: pl.LazyFrame) -> pl.LazyFrame:
    """Set `yaw` to the heading of the rotation, where a cuboid has one.

    The heading is the direction of the turned x axis seen from above:
    ``yaw = atan2(2 (x y + z w), w² + x² - y² - z²)``, which for a unit quaternion is
    ``atan2(2 (z w + x y), 1 - 2 (y² + z²))``. It has no meaning for a cuboid that stands on its front or its back.

    Parameters
    ----------
    frame : pl.LazyFrame
        Cuboids: qx, qy, qz, qw of any norm, perhaps yaw in radians.

    Returns
    -------
    pl.LazyFrame
        The frame with yaw: float64, in [-pi, pi]. Where a component of the rotation is null, or its norm is 0, the yaw
        stays what it was.

    Raises
    ------
    SchemaError
        A column is missing, or not a number.

    Examples
    --------
    >>> import arrow_labels
    >>> turned = {"qx": 0.0, "qy": 0.0, "qz": 1.0, "qw": 1.0}
    >>> round(pl.DataFrame([turned]).labels.quaternion_to_yaw()["yaw"].item(), 6)
    1.570796
    """
    frame = storage(frame)
    schema = require(frame, dict.fromkeys(QUATERNION, "number"))
    heading = yaw(quaternion(_ROTATION))
    if "yaw" in schema:
        require(frame, {"yaw": "number"})
        heading = pl.coalesce(heading, number("yaw"))
    rotations = frame.with_columns(_named(_ROTATION, scaled(quaternion(QUATERNION))))
    return rotations.with_columns(heading.alias("yaw")).drop(_ROTATION)


def wrap_angle(angle: pl.Expr) -> pl.Expr:
    """The same angle in [-pi, pi].

    ``angle - 2 pi round(angle / (2 pi))`` with halves to even, so that pi and -pi both stay what they are.

    Parameters
    ----------
    angle : pl.Expr
        Radians.

    Returns
    -------
    pl.Expr
        float64, radians in [-pi, pi]; null and NaN stay.

    Raises
    ------
    SchemaError
        The angles are no numbers.

    Examples
    --------
    >>> from math import pi
    >>> import arrow_labels
    >>> pl.DataFrame({"yaw": [-pi, 0.5, pi, 2 * pi]}).select(pl.col("yaw").labels.wrap_angle())["yaw"].to_list()
    [-3.141592653589793, 0.5, 3.141592653589793, 0.0]
    """
    return angle.pipe_with_dtype(_wrapped)


def _wrapped(angle: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    if not (dtype.is_numeric() or dtype == pl.Null):
        raise SchemaError(f"Expected a number, got `{dtype}`")
    return wrapped(angle.cast(pl.Float64))


def number(name: str) -> pl.Expr:
    """A column as float64, which it is in the tables and need not be in other frames."""
    return pl.col(name).cast(pl.Float64)


def turned(frame: pl.LazyFrame) -> pl.LazyFrame:
    """Add `MATRIX`: the rotation from the coordinates of each cuboid to those of its centre, row by row."""
    of_yaw = about_z(number("yaw"))
    if not _has_rotation(frame):
        rotations = frame.with_columns(_named(_ROTATION, of_yaw))
    else:
        rotations = frame.with_columns(_named(_ROTATION, scaled(quaternion(QUATERNION))))
        rotations = rotations.with_columns(_named(_ROTATION, normalised(quaternion(_ROTATION))))
        rotations = rotations.with_columns(map(pl.coalesce, _ROTATION, of_yaw))
    entries = [entry for row in matrix(quaternion(_ROTATION)) for entry in row]
    return rotations.with_columns(_named(MATRIX, entries)).drop(_ROTATION)


def _named(names: Sequence[str], parts: Sequence[pl.Expr]) -> list[pl.Expr]:
    return [part.alias(name) for name, part in zip(names, parts, strict=True)]


def _has_rotation(frame: pl.LazyFrame) -> bool:
    """Whether the frame has rotations; part of their columns is an error."""
    if not any(name in frame.collect_schema() for name in QUATERNION):
        return False
    require(frame, dict.fromkeys(QUATERNION, "number"))
    return True


def _shape(vertices: list[dict[str, pl.Expr]]) -> pl.Expr:
    """Points as one list, null where a coordinate is null. `concat_list` of structs takes a hundred times as long."""
    flat = pl.lit(None, pl.Float64)
    points = [
        pl.struct(vertex["x"].alias("x"), vertex["y"].alias("y"), vertex.get("z", flat).alias("z"))
        for vertex in vertices
    ]
    known = pl.all_horizontal(coordinate.is_not_null() for coordinate in vertices[0].values())
    return pl.when(known).then(pl.concat_arr(points).arr.to_list())
