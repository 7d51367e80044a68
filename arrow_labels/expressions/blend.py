"""States between two rows of a track: positions, dimensions and points linearly, yaw the short way, rotations by slerp.

In two stages, as there are many states between two rows: `with_steps` computes once what is constant between them, and
`blended` the states. A step of null means that the value stays as it is, and so does a null `__u`.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, Literal, TypeAlias, get_args

import polars as pl

from arrow_labels.expressions.columns import DIMENSIONS, POSITION, QUATERNION
from arrow_labels.expressions.quaternions import turned, with_arcs, with_turns
from arrow_labels.expressions.rotations import wrapped

Shape: TypeAlias = Literal["bbox", "polygon", "polyline", "point", "cuboid", "cuboid-sync"]
INTERPOLATED: Final[tuple[Shape, ...]] = ("bbox", "cuboid", "cuboid-sync")
"""The shapes that the platform interpolates."""

_CUBOIDS: Final = {"cuboid", "cuboid-sync"}
_LINEAR: Final = (*POSITION, *DIMENSIONS)


def require_shapes(shapes: Collection[Shape]) -> None:
    """Refuse what is not a collection of shapes."""
    if isinstance(shapes, str) or not set(shapes) <= set(get_args(Shape)):
        expected = ", ".join(map(repr, get_args(Shape)))
        raise ValueError(f"shapes: expected a collection of {expected}, got {shapes!r}")


def geometry(schema: pl.Schema, shapes: Collection[Shape]) -> list[str]:
    """The columns of a frame that are blended; of a rotation all four or none."""
    names = [name for name in (*_LINEAR, "yaw") if name in schema]
    names += [name for name in QUATERNION if all(part in schema for part in QUATERNION)]
    points = ["points"] if "points" in schema else []
    if "type" in schema:
        return names + points
    return names * (not _CUBOIDS.isdisjoint(shapes)) + points * ("bbox" in shapes)


def as_floats(frame: pl.LazyFrame, names: Collection[str]) -> pl.LazyFrame:
    """The columns that are blended as float64, whatever numbers they were."""
    return frame.with_columns(pl.col(name).cast(pl.Float64) for name in names if name != "points")


def with_next(frame: pl.LazyFrame, names: Collection[str]) -> pl.LazyFrame:
    """Each row with certain columns of the row after it: struct `__next`."""
    return frame.with_columns(pl.struct(*names).shift(-1).alias("__next"))


def following(name: str) -> pl.Expr:
    """A column of the row after it."""
    return pl.col("__next").struct.field(name)


def is_blended(schema: pl.Schema, shapes: Collection[Shape]) -> pl.Expr:
    """Whether a row and the one after it have one type, and that is blended."""
    if "type" not in schema:
        return pl.lit(True)
    kind = pl.col("type").cast(pl.String)
    return kind.is_in(list(shapes)) & (kind == following("type").cast(pl.String))


def with_steps(frame: pl.LazyFrame, names: Collection[str], *, typed: bool) -> pl.LazyFrame:
    """Rows with the step from each value to that of the row after it: `__step_x` and so on.

    `__blends` says for which rows. Points of unequal number have no step; where the frame has no types, nor have those
    that are not two, as in a box.
    """
    linear = [(following(name) - pl.col(name)).alias(f"__step_{name}") for name in names if name in _LINEAR]
    yaw = [wrapped(following(name) - pl.col(name)).alias(f"__step_{name}") for name in names if name == "yaw"]
    frame = frame.with_columns(*linear, *yaw)
    if "qw" in names:
        x, y, z, w = (following(name) for name in QUATERNION)
        frame = with_arcs(frame, (x, y, z, w))
    if "points" in names:
        count = pl.col("points").list.len()
        same = pl.col("__blends") & (count == following("points").list.len()) & (typed | (count == 2))
        # Lists of different lengths cannot be subtracted, not even where nobody looks at the result.
        flat = [pl.when(same).then(_flat(points)) for points in (pl.col("points"), following("points"))]
        frame = frame.with_columns(flat[0].alias("__points"), flat[1].alias("__step_points"))
        step = (pl.col("__step_points") - pl.col("__points")).list.eval(pl.element().fill_null(0.0))
        frame = frame.with_columns(step.alias("__step_points"))
    return frame


def blended(frame: pl.LazyFrame, names: Collection[str]) -> tuple[pl.LazyFrame, dict[str, pl.Expr]]:
    """Rows with what their values need, and these: `__u` says how far a row is on the way to the next one."""
    u = pl.col("__u")
    values = {name: pl.coalesce(pl.col(name) + pl.col(f"__step_{name}") * u, name) for name in names if name in _LINEAR}
    if "yaw" in names:
        values["yaw"] = pl.coalesce(wrapped(pl.col("yaw") + pl.col("__step_yaw") * u), "yaw")
    if "qw" in names:
        frame = with_turns(frame, u)
        values |= turned()
    if "points" in names:
        moved = pl.when(u.is_not_null()).then(pl.col("__points") + pl.col("__step_points") * u)
        values["points"] = pl.coalesce(_restored(moved), "points")
    return frame, values


def _flat(points: pl.Expr) -> pl.Expr:
    """A list of points as the list of all their x, then all y, then all z."""
    return pl.concat_list(points.list.eval(pl.element().struct.field(axis)) for axis in POSITION)


def _restored(flat: pl.Expr) -> pl.Expr:
    """The list of points that `_flat` made numbers of."""
    count = pl.len() // 3
    parts = [pl.element().slice(place * count, count).alias(axis) for place, axis in enumerate(POSITION)]
    return flat.list.eval(pl.struct(parts))
