"""Which cuboids overlap, and by how much: intersection over union in bird's-eye view and in 3-D."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import polars as pl

from arrow_labels.expressions.cells import cell, covered
from arrow_labels.expressions.columns import DIMENSIONS, FRAME, Frame, Kind, lazy, require, storage
from arrow_labels.expressions.cuboids import CUBOID, RECTANGLE, number
from arrow_labels.expressions.rectangles import shared_area

IDENTITY: Final = ("labelset", "annotation_index", "id", "track_id", "category_id", "category")
"""The columns that say which annotation of a frame it is, as far as a frame has them."""

_TOUCHING: Final = 1e-9
"""The part of the smaller one that two cuboids share for rounding alone, when they touch."""
_CELL: Final = 16.0
"""Metres: some times the size of a vehicle, so that most cuboids are in one cell or two."""


def bev_iou(frame: pl.LazyFrame, other: Frame, *, min_iou: float = 0.0) -> pl.LazyFrame:
    """Pairs of a cuboid of this frame and one of `other` whose footprints overlap, with their intersection over union.

    Compared are all cuboids of the same sample_id, sensor_index and frame_index, whatever their labelset: predictions
    with ground truth, or this week's labels with last week's. A footprint is the rectangle length × width about x, y,
    turned by yaw (a pitch or roll does not change it), and the IoU is the area of the intersection divided by that of
    the union. Pairs that are not in the result have an IoU of 0.

    Parameters
    ----------
    frame : pl.LazyFrame
        Cuboids: sample_id, sensor_index, frame_index, x, y, length, width in metres, yaw in radians.
    other : pl.LazyFrame, pl.DataFrame or pa.Table
        Cuboids with the same columns.
    min_iou : float
        Smallest IoU of the pairs in the result. Cuboids that only touch are never a pair: they must share more than
        a billionth of the smaller footprint.

    Returns
    -------
    pl.LazyFrame
        One row a pair, in the order of the frame and then of `other`: sample_id, sensor_index, frame_index; of the
        columns labelset, annotation_index, id, track_id, category_id and category those that the frame has; those
        that `other` has, with ``_other`` behind their names; bev_iou: float64, in (0, 1]. A cuboid overlaps with
        nothing where one of its numbers is null, NaN or infinite, or where its length or width is not positive.

    Raises
    ------
    SchemaError
        A column is missing, or of another kind.
    ValueError
        `min_iou` is not between 0 and 1.

    Examples
    --------
    >>> import arrow_labels
    >>> car = {"sample_id": "s", "sensor_index": 0, "frame_index": 0, "track_id": 7,
    ...        "x": 10.0, "y": 0.0, "length": 4.0, "width": 2.0, "yaw": 0.0}
    >>> pl.DataFrame([car]).labels.bev_iou(pl.DataFrame([car | {"track_id": 9, "x": 12.0}])).rows(named=True)
    [{'sample_id': 's', 'sensor_index': 0, 'frame_index': 0, 'track_id': 7, 'track_id_other': 9,
      'bev_iou': 0.3333333333333333}]
    """
    left, right, names = _compared(frame, other, RECTANGLE)
    pairs = _overlaps(left, right, FRAME).with_columns(bev_iou=_bev_iou())
    return _result(pairs, [*names, "bev_iou"], "bev_iou", min_iou)


def iou_3d(frame: pl.LazyFrame, other: Frame, *, min_iou: float = 0.0) -> pl.LazyFrame:
    """Pairs of a cuboid of this frame and one of `other` that overlap, with their intersection over union in 3-D.

    As `bev_iou`, with heights: the intersection is that of the footprints times what the extents z ± height/2 have in
    common. Cuboids count as upright: a pitch or roll in qx, qy, qz, qw changes nothing, and the heading is the yaw.

    Parameters
    ----------
    frame : pl.LazyFrame
        Cuboids: sample_id, sensor_index, frame_index, x, y, z, length, width, height in metres, yaw in radians.
    other : pl.LazyFrame, pl.DataFrame or pa.Table
        Cuboids with the same columns.
    min_iou : float
        Smallest IoU of the pairs in the result. Cuboids that only touch are never a pair: they must share more than
        a billionth of the smaller footprint, and of the smaller height.

    Returns
    -------
    pl.LazyFrame
        One row a pair, as `bev_iou` gives them, with iou_3d: float64, in (0, 1], in place of bev_iou.

    Raises
    ------
    SchemaError
        A column is missing, or of another kind.
    ValueError
        `min_iou` is not between 0 and 1.

    Examples
    --------
    >>> import arrow_labels
    >>> car = {"sample_id": "s", "sensor_index": 0, "frame_index": 0, "track_id": 7,
    ...        "x": 10.0, "y": 0.0, "z": 1.0, "length": 4.0, "width": 2.0, "height": 2.0, "yaw": 0.0}
    >>> pl.DataFrame([car]).labels.iou_3d(pl.DataFrame([car | {"z": 2.0}]))["iou_3d"].to_list()
    [0.3333333333333333]
    """
    left, right, names = _compared(frame, other, CUBOID)
    pairs = _overlaps(left, right, FRAME).filter(_shared_height() > 0).with_columns(iou_3d=_iou_3d())
    return _result(pairs, [*names, "iou_3d"], "iou_3d", min_iou)


def overlapping_pairs(frame: pl.LazyFrame, *, min_iou: float = 0.0) -> pl.LazyFrame:
    """Pairs of cuboids of one frame of a label whose footprints overlap, each pair once.

    Parameters
    ----------
    frame : pl.LazyFrame
        Cuboids: sample_id, perhaps labelset, sensor_index, frame_index, x, y, z, length, width, height in metres, yaw
        in radians.
    min_iou : float
        Smallest bev_iou of the pairs in the result. Cuboids that only touch are never a pair: they must share more than
        a billionth of the smaller footprint.

    Returns
    -------
    pl.LazyFrame
        One row a pair, in the order of the frame: sample_id, labelset, sensor_index, frame_index; of the columns
        annotation_index, id, track_id, category_id and category those that the frame has, of the cuboid that comes
        first; the same of the other cuboid, with ``_other`` behind their names; bev_iou and iou_3d: float64, as the
        methods of these names define them. iou_3d is 0 for cuboids one above the other. A cuboid overlaps with
        nothing where one of its numbers is null, NaN or infinite, or where a dimension is not positive.

    Raises
    ------
    SchemaError
        A column is missing, or of another kind.
    ValueError
        `min_iou` is not between 0 and 1.

    Examples
    --------
    >>> import arrow_labels
    >>> car = {"sample_id": "s", "sensor_index": 0, "frame_index": 0, "track_id": 7,
    ...        "x": 10.0, "y": 0.0, "z": 1.0, "length": 4.0, "width": 2.0, "height": 2.0, "yaw": 0.0}
    >>> cars = pl.DataFrame([car, car | {"track_id": 9, "x": 12.0}, car | {"track_id": 11, "x": 20.0}])
    >>> cars.labels.overlapping_pairs().select("track_id", "track_id_other", "bev_iou").rows()
    [(7, 9, 0.3333333333333333)]
    """
    frame = storage(frame)
    schema = require(frame, FRAME | CUBOID)
    on = [name for name in ("sample_id", "labelset", "sensor_index", "frame_index") if name in schema]
    identity = [name for name in IDENTITY if name in schema and name not in on]
    cuboids = _prepared(frame, [*on, *identity], CUBOID)
    once = pl.col("__row") < pl.col("__row_other")
    pairs = _overlaps(cuboids, _as_other(cuboids, on), on, once).with_columns(bev_iou=_bev_iou(), iou_3d=_iou_3d())
    names = [*on, *identity, *(f"{name}_other" for name in identity), "bev_iou", "iou_3d"]
    return _result(pairs, names, "bev_iou", min_iou)


def _compared(
    frame: pl.LazyFrame, other: Frame, columns: dict[str, Kind]
) -> tuple[pl.LazyFrame, pl.LazyFrame, list[str]]:
    """Both sides, prepared to be joined, and the columns that name a pair."""
    frame, other = storage(frame), lazy(other)
    schema = require(frame, FRAME | columns)
    other_schema = require(other, FRAME | columns, "other")
    own, others = ([name for name in IDENTITY if name in columns] for columns in (schema, other_schema))
    right = _as_other(_prepared(other, [*FRAME, *others], columns), FRAME)
    right = right.with_columns(pl.col(name).cast(schema[name], strict=False) for name in FRAME)
    return _prepared(frame, [*FRAME, *own], columns), right, [*FRAME, *own, *(f"{name}_other" for name in others)]


def _prepared(frame: pl.LazyFrame, names: Iterable[str], columns: dict[str, Kind]) -> pl.LazyFrame:
    """The cuboids that can overlap with others: their names, row, half sizes, cosine and sine of the heading."""
    numbers = frame.with_row_index("__row").select(
        "__row", *names, *(number(column).alias(f"__{column}") for column in columns)
    )
    sizes = [f"__{column}" for column in columns if column in DIMENSIONS]
    sound = numbers.filter(
        *(pl.col(f"__{column}").is_finite() for column in columns), *(pl.col(size) > 0 for size in sizes)
    )
    halves = sound.with_columns(pl.col(size) / 2 for size in sizes)
    turned = halves.with_columns(
        __cos=pl.col("__yaw").cos(),
        __sin=pl.col("__yaw").sin(),
        __radius=(pl.col("__length") ** 2 + pl.col("__width") ** 2).sqrt(),
    )
    boxes = turned.drop("__yaw").with_columns(
        __west=pl.col("__x") - pl.col("__radius"),
        __east=pl.col("__x") + pl.col("__radius"),
        __south=pl.col("__y") - pl.col("__radius"),
        __north=pl.col("__y") + pl.col("__radius"),
    )
    return covered(boxes, _CELL).drop("__east", "__north")


def _as_other(cuboids: pl.LazyFrame, on: Iterable[str]) -> pl.LazyFrame:
    on = [*on, "__cell"]
    return cuboids.select(*on, pl.all().exclude(on).name.suffix("_other"))


def _overlaps(left: pl.LazyFrame, right: pl.LazyFrame, on: Iterable[str], also: pl.Expr | bool = True) -> pl.LazyFrame:
    """Pairs whose footprints overlap, each once, with the area that they share."""
    x, y = (pl.col(f"__{axis}_other") - pl.col(f"__{axis}") for axis in "xy")
    reach = pl.col("__radius") + pl.col("__radius_other")
    # Of the cells that two cuboids have in common, the one with the lower left corner of what their boxes share.
    corner = cell(pl.max_horizontal("__west", "__west_other"), pl.max_horizontal("__south", "__south_other"), _CELL)
    near = left.join(right, on=[*on, "__cell"]).filter(x * x + y * y <= reach * reach, also)
    # A column of its own, so that it is made of the few that are near alone.
    near = near.with_columns(__corner=corner).filter(pl.col("__cell") == pl.col("__corner"))
    smaller = pl.min_horizontal(_footprint(""), _footprint("_other"))
    return shared_area(near).filter(pl.col("__area") > _TOUCHING * smaller)


def _footprint(suffix: str) -> pl.Expr:
    return 4 * pl.col(f"__length{suffix}") * pl.col(f"__width{suffix}")


def _shared_height() -> pl.Expr:
    """Length of what two extents z ± height have in common; 0 for a gap, and for those that touch."""
    smaller = pl.min_horizontal("__height", "__height_other")
    overlap = (pl.col("__height") + pl.col("__height_other")) - (pl.col("__z_other") - pl.col("__z")).abs()
    return pl.when(overlap > _TOUCHING * 2 * smaller).then(pl.min_horizontal(2 * smaller, overlap)).otherwise(0.0)


def _bev_iou() -> pl.Expr:
    return _iou(pl.col("__area"), _footprint(""), _footprint("_other"))


def _iou_3d() -> pl.Expr:
    shared = pl.col("__area") * _shared_height()
    return _iou(shared, _footprint("") * 2 * pl.col("__height"), _footprint("_other") * 2 * pl.col("__height_other"))


def _iou(shared: pl.Expr, first: pl.Expr, second: pl.Expr) -> pl.Expr:
    return (shared / (first + second - shared)).clip(0, 1)


def _result(pairs: pl.LazyFrame, names: Sequence[str], iou: str, min_iou: float) -> pl.LazyFrame:
    if not 0 <= min_iou <= 1:
        raise ValueError(f"min_iou: expected a number from 0 to 1, got {min_iou!r}")
    kept = pairs.filter(pl.col(iou).is_between(min_iou, 1))  # NaN, of numbers that overflow, is not
    return kept.sort("__row", "__row_other").select(names)
