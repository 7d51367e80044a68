"""Measures of a column of points: bounds, area, length, centroid.

A column of points is `points` of the table `vectors`: list<struct<x, y, z: float64>>, with z null in 2-D. Areas
and centres are computed relative to the first vertex, so that world coordinates, which are large, cost no digits.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from arrow_labels.errors import SchemaError
from arrow_labels.expressions.columns import POINTS

_EPSILON: Final = 2.0**-52


def vertex_count(points: pl.Expr) -> pl.Expr:
    """Number of vertices.

    Parameters
    ----------
    points : pl.Expr
        list<struct<x, y, z: float64>>.

    Returns
    -------
    pl.Expr
        int64; 0 for an empty list, null for null points.

    Raises
    ------
    SchemaError
        When the query is planned: the column is of another type.

    Examples
    --------
    >>> import arrow_labels
    >>> square = [{"x": x, "y": y, "z": None} for x, y in [(0.0, 0.0), (4.0, 0.0), (4.0, 4.0), (0.0, 4.0)]]
    >>> dtype = pl.List(pl.Struct({"x": pl.Float64, "y": pl.Float64, "z": pl.Float64}))
    >>> frame = pl.DataFrame({"points": [square, [], None]}, {"points": dtype})
    >>> frame.select(pl.col("points").labels.vertex_count())["points"].to_list()
    [4, 0, None]
    """
    return _stored(points).list.len().cast(pl.Int64)


def bounds(points: pl.Expr) -> pl.Expr:
    """The smallest axis-aligned box that holds all vertices.

    It is made with minima and maxima, so that a bounding box whose corners are swapped on an axis has the right bounds.

    Parameters
    ----------
    points : pl.Expr
        list<struct<x, y, z: float64>>, pixels or metres.

    Returns
    -------
    pl.Expr
        struct<xmin, ymin, zmin, xmax, ymax, zmax: float64>, in the frame of reference of the points. Both limits of an
        axis are null where a vertex has no number there: zmin and zmax in 2-D; they are NaN where a vertex has NaN.
        The struct is null for null points and for an empty list.

    Raises
    ------
    SchemaError
        When the query is planned: the column is of another type.

    Examples
    --------
    >>> import arrow_labels
    >>> box = [{"x": 30.0, "y": 5.0, "z": None}, {"x": 10.0, "y": 25.0, "z": None}]
    >>> dtype = pl.List(pl.Struct({"x": pl.Float64, "y": pl.Float64, "z": pl.Float64}))
    >>> frame = pl.DataFrame({"points": [box]}, {"points": dtype})
    >>> frame.select(pl.col("points").labels.bounds()).unnest("points").drop("zmin", "zmax").rows()
    [(10.0, 5.0, 30.0, 25.0)]
    """
    axes = _axes(points, "xyz").struct.with_fields(
        *(_limit(name, pl.field(name).list.min()).alias(f"{name}min") for name in "xyz"),
        *(_limit(name, pl.field(name).list.max()).alias(f"{name}max") for name in "xyz"),
    )
    box = pl.struct(pl.field(f"{name}{limit}") for limit in ("min", "max") for name in "xyz")
    return _result(axes, pl.when(pl.field("count") > 0).then(box))


def area(points: pl.Expr) -> pl.Expr:
    """Area of a polygon, or of a bounding box, seen along z.

    Three vertices or more are a ring, closed from the last vertex to the first, and the area is the absolute value of
    ``sum(x[i] y[i+1] - x[i+1] y[i]) / 2`` over its edges (the shoelace formula). Parts of a ring that crosses itself
    count with the sign of their direction. Two vertices are opposite corners of a bounding box, whichever they are,
    and the area is ``|dx dy|``. z is not used. Polylines have no area: leave them out by `type`.

    Parameters
    ----------
    points : pl.Expr
        list<struct<x, y, z: float64>>, pixels or metres.

    Returns
    -------
    pl.Expr
        float64, square pixels or square metres; 0 for a point and for an empty list, null for null points and where an
        x or y is null.

    References
    ----------
    P. Bourke, "Calculating the area and centroid of a polygon", 1988.

    Raises
    ------
    SchemaError
        When the query is planned: the column is of another type.

    Examples
    --------
    >>> import arrow_labels
    >>> triangle = [{"x": x, "y": y, "z": None} for x, y in [(0.0, 0.0), (4.0, 0.0), (4.0, 3.0)]]
    >>> box = [{"x": 30.0, "y": 5.0, "z": None}, {"x": 10.0, "y": 25.0, "z": None}]
    >>> dtype = pl.List(pl.Struct({"x": pl.Float64, "y": pl.Float64, "z": pl.Float64}))
    >>> frame = pl.DataFrame({"points": [triangle, box]}, {"points": dtype})
    >>> frame.select(pl.col("points").labels.area())["points"].to_list()
    [6.0, 400.0]
    """
    ring = _crosses(points, "xy")
    box = pl.field("x").list.last() * pl.field("y").list.last()
    polygon = pl.field("cross").list.sum() / 2
    size = pl.when(pl.field("count") == 2).then(box).otherwise(polygon).abs()
    return _result(ring, pl.when(pl.field("x_known") & pl.field("y_known")).then(size))


def length(points: pl.Expr, *, closed: bool = False) -> pl.Expr:
    """Length of a polyline, in 3-D where the points have a z; of the outline of a polygon with ``closed=True``.

    ``sum(sqrt(dx² + dy² + dz²))`` over the segments from one vertex to the next.

    Parameters
    ----------
    points : pl.Expr
        list<struct<x, y, z: float64>>, pixels or metres.
    closed : bool
        Whether a segment goes from the last vertex back to the first.

    Returns
    -------
    pl.Expr
        float64, pixels or metres; 0 for a point and for an empty list, null for null points, where an x or y is null,
        and where some vertices have a z and others have none. Two vertices are a segment, also those of a bounding box.

    Raises
    ------
    SchemaError
        When the query is planned: the column is of another type.

    Examples
    --------
    >>> import arrow_labels
    >>> path = [{"x": x, "y": y, "z": None} for x, y in [(0.0, 0.0), (4.0, 0.0), (4.0, 3.0)]]
    >>> dtype = pl.List(pl.Struct({"x": pl.Float64, "y": pl.Float64, "z": pl.Float64}))
    >>> frame = pl.DataFrame({"points": [path]}, {"points": dtype})
    >>> frame.select(open=pl.col("points").labels.length(), closed=pl.col("points").labels.length(closed=True)).rows()
    [(7.0, 12.0)]
    """
    axes = _axes(points, "xyz").struct.with_fields(
        known=pl.field("x_known") & pl.field("y_known") & (pl.field("z_known") | _is_null("z").list.all()),
        z=pl.field("z").list.eval(pl.element().fill_null(0.0)),
    )
    steps = axes.struct.with_fields(
        *((_tails(name) - _heads(name)).alias(name) for name in "xyz"),
        *(
            (pl.field(name).list.last() - pl.field(name).list.first()).fill_null(0.0).alias(f"{name}_back")
            for name in "xyz"
        ),
    )
    lengths = steps.struct.with_fields(
        way=_squares("x", "y", "z").list.eval(pl.element().sqrt()).list.sum().abs(),  # the sum of nothing is -0.0
        back=_squares("x_back", "y_back", "z_back").sqrt(),
    )
    total = pl.field("way") + pl.field("back") if closed else pl.field("way")
    return _result(lengths, pl.when(pl.field("known")).then(total))


def centroid(points: pl.Expr) -> pl.Expr:
    """Centre of area of a polygon seen along z; where there is no area, the mean of the vertices.

    With ``c[i] = x[i] y[i+1] - x[i+1] y[i]`` over the edges of the ring, relative to its first vertex, the centre is
    ``sum(c[i] (p[i] + p[i+1])) / (3 sum(c))``: the centres of the triangles from the first vertex to each edge,
    weighted with their signed areas. For z this gives the height of a plane polygon at its centre. There is no area
    where it is within what rounding of the coordinates leaves: with one or two vertices (so a bounding box gives its
    centre), with vertices in line and for a vertical polygon.

    Parameters
    ----------
    points : pl.Expr
        list<struct<x, y, z: float64>>, pixels or metres.

    Returns
    -------
    pl.Expr
        struct<x, y, z: float64>, in the frame of reference of the points; z is null where a vertex has none, as in 2-D.
        Null for null points, for an empty list, and where an x or y is null.

    References
    ----------
    P. Bourke, "Calculating the area and centroid of a polygon", 1988.

    Raises
    ------
    SchemaError
        When the query is planned: the column is of another type.

    Examples
    --------
    >>> import arrow_labels
    >>> triangle = [{"x": x, "y": y, "z": None} for x, y in [(0.0, 0.0), (6.0, 0.0), (6.0, 3.0)]]
    >>> dtype = pl.List(pl.Struct({"x": pl.Float64, "y": pl.Float64, "z": pl.Float64}))
    >>> frame = pl.DataFrame({"points": [triangle]}, {"points": dtype})
    >>> frame.select(pl.col("points").labels.centroid())["points"].to_list()
    [{'x': 4.0, 'y': 1.0, 'z': None}]
    """
    ring = _crosses(points, "xyz")
    ring = ring.struct.with_fields(
        *((pl.field("cross") * (_heads(name) + _tails(name))).list.sum().alias(f"{name}_weighted") for name in "xyz"),
        total=pl.field("cross").list.sum(),
        extent=_sum_of_sizes("x") + _sum_of_sizes("y"),
    )
    size = pl.field("x_first").abs() + pl.field("y_first").abs() + pl.field("extent")
    ring = ring.struct.with_fields(no_area=pl.field("total").abs() <= 2 * _EPSILON * size * pl.field("extent"))
    centre = pl.struct(_centre(name).alias(name) for name in "xyz")
    known = pl.field("x_known") & pl.field("y_known") & (pl.field("count") > 0)
    return _result(ring, pl.when(known).then(centre))


def _stored(points: pl.Expr) -> pl.Expr:
    """Points as the list that they are stored as; a column of another type is refused when the query is planned."""
    return points.ext.storage().pipe_with_dtype(_checked)


def _checked(points: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    if dtype == pl.Null:
        return points.cast(POINTS)
    if dtype != POINTS:
        raise SchemaError(f"Expected a list of structs of x, y and z, got `{dtype}`")
    return points


# Formulas are staged in the fields of a struct: Polars evaluates each stage once, where an expression that repeats its
# parts is evaluated over and over (centroids: five times slower).


def _axes(points: pl.Expr, names: str) -> pl.Expr:
    """A struct of coordinates as lists, which share the memory of the points, and whether each is known everywhere."""
    points = _stored(points)
    axes = pl.struct(
        points.list.len().alias("count"),
        *(points.list.eval(pl.element().struct.field(name)).alias(name) for name in names),
    )
    return axes.struct.with_fields((~_is_null(name).list.any()).alias(f"{name}_known") for name in names)


def _crosses(points: pl.Expr, names: str) -> pl.Expr:
    """Coordinates relative to the first vertex, and ``cross``: ``x[i] y[i+1] - x[i+1] y[i]`` of each edge.

    The edges that start or end at the first vertex have 0, so that the one that closes the ring need not be there.
    """
    axes = _axes(points, names)
    axes = axes.struct.with_fields(pl.field(name).list.first().alias(f"{name}_first") for name in names)
    axes = axes.struct.with_fields((pl.field(name) - pl.field(f"{name}_first")).alias(name) for name in names)
    return axes.struct.with_fields(cross=_heads("x") * _tails("y") - _tails("x") * _heads("y"))


def _is_null(name: str) -> pl.Expr:
    return pl.field(name).list.eval(pl.element().is_null())


def _heads(name: str) -> pl.Expr:
    """All numbers but the last: with `_tails` the edges of a line. Slices are 30 times as fast as `list.shift`."""
    return pl.field(name).list.slice(0, (pl.field("count").cast(pl.Int64) - 1).clip(0))


def _tails(name: str) -> pl.Expr:
    return pl.field(name).list.slice(1)


def _squares(x: str, y: str, z: str) -> pl.Expr:
    return pl.field(x) * pl.field(x) + pl.field(y) * pl.field(y) + pl.field(z) * pl.field(z)


def _sum_of_sizes(name: str) -> pl.Expr:
    return pl.field(name).list.eval(pl.element().abs()).list.sum()


def _centre(name: str) -> pl.Expr:
    weighted = pl.field(f"{name}_weighted") / (3 * pl.field("total"))
    offset = pl.when(pl.field("no_area")).then(pl.field(name).list.mean()).otherwise(weighted)
    return pl.when(pl.field(f"{name}_known")).then(pl.field(f"{name}_first") + offset)


def _limit(name: str, value: pl.Expr) -> pl.Expr:
    """The value; null where a number is null, NaN where one is NaN, both of which minima and maxima pass over."""
    has_nan = pl.field(name).list.eval(pl.element().is_nan()).list.any()
    return pl.when(pl.field(f"{name}_known")).then(pl.when(has_nan).then(float("nan")).otherwise(value))


def _result(staged: pl.Expr, result: pl.Expr) -> pl.Expr:
    """The last stage alone, under the name of the column of points."""
    return staged.struct.with_fields(result.alias("result")).struct.field("result").name.keep()
