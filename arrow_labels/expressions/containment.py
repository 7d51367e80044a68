"""Which points of a point cloud lie in which cuboids."""

from __future__ import annotations

import math
from typing import Final

import polars as pl

from arrow_labels.expressions.cells import cell as cell_of
from arrow_labels.expressions.cells import covered
from arrow_labels.expressions.columns import DIMENSIONS, FRAME, POSITION, Frame, lazy, require, storage
from arrow_labels.expressions.cuboids import CUBOID, MATRIX, number, turned
from arrow_labels.expressions.overlap import IDENTITY

_POINT: Final = FRAME | dict.fromkeys(POSITION, "number")
_SLACK: Final = 1e-12


def points_in_cuboids(points: pl.LazyFrame, cuboids: Frame, *, cell: float = 2.0) -> pl.LazyFrame:
    """Pairs of a point and a cuboid of the same frame that it lies in.

    A point p lies in a cuboid where, with the cuboid's centre c and rotation R, no part of ``R* (p - c)`` is larger
    than half the length, width, or height: the surface belongs to the cuboid, as far as rounding lets a point be on it.
    R is that of `corners`: qx, qy, qz, qw, or the turn by yaw in a row where one of the four is null or their norm
    is 0. Points and cuboids are brought together by square cells of the ground, and then compared exactly.

    Parameters
    ----------
    points : pl.LazyFrame
        One row a point: sample_id, sensor_index, frame_index, x, y, z in metres, perhaps point_index.
    cuboids : pl.LazyFrame, pl.DataFrame or pa.Table
        sample_id, sensor_index, frame_index, x, y, z, length, width, height in metres, yaw in radians, perhaps
        qx, qy, qz, qw, in the same frame of reference as the points.
    cell : float
        Size of a cell in metres. It changes the time that this takes, and not the result: right is a size at which most
        cuboids are in a few cells, and most cells hold few points.

    Returns
    -------
    pl.LazyFrame
        One row a pair, in the order of the points and then of the cuboids: sample_id, sensor_index, frame_index;
        point_index, int64, that of the points, or the place of the row among all rows of `points` where they have
        none; of the columns labelset, annotation_index, id, track_id, category_id and category those that the cuboids
        have. A point with a null, NaN or infinite coordinate lies in no cuboid. Nothing lies in a cuboid where a number
        that it needs is null, NaN or infinite (the yaw only where it has no other rotation), or a dimension is
        negative.

    Raises
    ------
    SchemaError
        A column is missing, or of another kind.
    ValueError
        `cell` is not a positive number.

    Examples
    --------
    >>> import arrow_labels
    >>> place = {"sample_id": "s", "sensor_index": 0, "frame_index": 0}
    >>> points = pl.DataFrame([place | {"x": x, "y": 0.0, "z": 1.0} for x in (9.0, 20.0, 12.0)])
    >>> car = {"x": 10.0, "y": 0.0, "z": 1.0, "length": 4.0, "width": 2.0, "height": 2.0, "yaw": 0.0}
    >>> found = points.labels.points_in_cuboids(pl.DataFrame([place | {"track_id": 7} | car]))
    >>> found.select("point_index", "track_id").rows()
    [(0, 7), (2, 7)]
    """
    points, cuboids = storage(points), lazy(cuboids)
    schema = require(points, _POINT)
    names = [name for name in IDENTITY if name in require(cuboids, FRAME | CUBOID, "cuboids")]
    if "point_index" in schema:
        require(points, {"point_index": "integer"})
    points = points.with_row_index("__point")
    index = pl.col("point_index" if "point_index" in schema else "__point").cast(pl.Int64).alias("point_index")
    pairs = _inside(points.with_columns(index), cuboids.with_row_index("__cuboid"), ["point_index"], names, cell)
    return pairs.sort("__point", "__cuboid").select(*FRAME, "point_index", *names)


def count_points(frame: pl.LazyFrame, points: Frame, *, cell: float = 2.0) -> pl.LazyFrame:
    """Add `point_count`: how many points lie in each cuboid.

    Parameters
    ----------
    frame : pl.LazyFrame
        Cuboids, as `points_in_cuboids` takes them.
    points : pl.LazyFrame, pl.DataFrame or pa.Table
        One row a point: sample_id, sensor_index, frame_index, x, y, z in metres.
    cell : float
        Size of a cell in metres, as in `points_in_cuboids`: it changes the time that this takes, and not the result.

    Returns
    -------
    pl.LazyFrame
        The frame with the column point_count: int64, how many points lie in the cuboid as `points_in_cuboids` defines
        it, 0 included; null where a number that the cuboid needs is null, NaN or infinite.

    Raises
    ------
    SchemaError
        A column is missing, or of another kind.
    ValueError
        `cell` is not a positive number.

    Examples
    --------
    >>> import arrow_labels
    >>> place = {"sample_id": "s", "sensor_index": 0, "frame_index": 0}
    >>> points = pl.DataFrame([place | {"x": x, "y": 0.0, "z": 1.0} for x in (9.0, 20.0, 12.0)])
    >>> car = {"x": 10.0, "y": 0.0, "z": 1.0, "length": 4.0, "width": 2.0, "height": 2.0, "yaw": 0.0}
    >>> cars = pl.DataFrame([place | car, place | car | {"x": 30.0}])
    >>> cars.labels.count_points(points)["point_count"].to_list()
    [2, 0]
    """
    frame, points = storage(frame), lazy(points)
    require(frame, FRAME | CUBOID)
    require(points, _POINT, "points")
    cuboids = frame.with_row_index("__cuboid")
    pairs = _inside(points.with_row_index("__point"), cuboids, [], [], cell)
    sound = turned(cuboids).filter(_is_sound())
    each = pl.concat([pairs.select("__cuboid", __count=1), sound.select("__cuboid", __count=0)])
    counts = each.group_by("__cuboid").agg(pl.col("__count").sum())
    counted = cuboids.join(counts, on="__cuboid", how="left", maintain_order="left")
    return counted.with_columns(point_count=pl.col("__count").cast(pl.Int64)).drop("__cuboid", "__count")


def _inside(
    points: pl.LazyFrame, cuboids: pl.LazyFrame, point_names: list[str], names: list[str], size: float
) -> pl.LazyFrame:
    """Pairs of a point and a cuboid that it lies in: their rows, the frame, and columns of both."""
    if not (size > 0 and math.isfinite(size)):
        raise ValueError(f"cell: expected a positive number, got {size!r}")
    places = points.select(
        *FRAME,
        "__point",
        *point_names,
        *(number(axis).alias(f"__point_{axis}") for axis in POSITION),
        cell_of(number("x"), number("y"), size).alias("__cell"),
    )
    schema = points.collect_schema()
    boxes = (
        turned(cuboids)
        .filter(_is_sound())
        .select(
            *(pl.col(name).cast(schema[name], strict=False) for name in FRAME),
            "__cuboid",
            *names,
            *MATRIX,
            *(number(axis).alias(f"__{axis}") for axis in POSITION),
            *((number(side) / 2).alias(f"__{side}") for side in DIMENSIONS),
        )
    )
    boxes = boxes.with_columns(_reach(row).alias(f"__reach_{axis}") for row, axis in enumerate("xy"))
    boxes = boxes.with_columns(
        __west=pl.col("__x") - pl.col("__reach_x"),
        __east=pl.col("__x") + pl.col("__reach_x"),
        __south=pl.col("__y") - pl.col("__reach_y"),
        __north=pl.col("__y") + pl.col("__reach_y"),
    )
    boxes = covered(boxes, size).drop("__west", "__east", "__south", "__north", "__reach_x", "__reach_y")
    near = places.join(boxes, on=[*FRAME, "__cell"])
    near = near.with_columns((pl.col(f"__point_{axis}") - pl.col(f"__{axis}")).alias(f"__{axis}") for axis in POSITION)
    return near.filter(_along(column).abs() <= pl.col(f"__{side}") for column, side in enumerate(DIMENSIONS))


def _along(column: int) -> pl.Expr:
    """A coordinate of the point in the cuboid: what lies between it and the centre, along one column of the matrix."""
    return (
        pl.col("__x") * pl.col(f"__r0{column}")
        + pl.col("__y") * pl.col(f"__r1{column}")
        + pl.col("__z") * pl.col(f"__r2{column}")
    )


def _reach(row: int) -> pl.Expr:
    """How far a cuboid goes from its centre along x or y, and a little more than rounding can take away."""
    halves = (pl.col(f"__r{row}{column}").abs() * pl.col(f"__{side}") for column, side in enumerate(DIMENSIONS))
    return pl.sum_horizontal(halves) * (1 + _SLACK) + pl.col(f"__{'xy'[row]}").abs() * _SLACK


def _is_sound() -> pl.Expr:
    """Whether all numbers of a cuboid that `turned` gave its matrix are finite."""
    return pl.all_horizontal(number(name).is_finite() for name in (*POSITION, *DIMENSIONS, *MATRIX))
