"""Rows and the poses that they are seen from: joining them, and moving positions and points between the two."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from functools import partial
from typing import Final, Literal, TypeAlias

import polars as pl

from arrow_labels.errors import SchemaError
from arrow_labels.expressions.columns import FRAME, POSITION, QUATERNION, require
from arrow_labels.expressions.rotations import (
    Matrix,
    Quaternion,
    Vector,
    conjugate,
    matrix,
    normalised,
    product,
    quaternion,
    rotated,
    scaled,
    transposed,
    vector,
    wrapped,
    yaw,
)

Missing: TypeAlias = Literal["null", "error"]

_TRANSLATION: Final = ("__tx", "__ty", "__tz")
_ROTATION: Final = ("__rx", "__ry", "__rz", "__rw")
_MATRIX: Final = tuple(f"__m{row}{column}" for row in range(3) for column in range(3))
POSE: Final = (*_TRANSLATION, *_ROTATION, *_MATRIX)
"""The columns of a pose: its position, its unit quaternion, and that as a matrix, all in its parent's coordinates."""
_STEEP: Final = 1e-6
"""A heading is vertical if its horizontal part is smaller than this part of it."""
_LISTS: Final = ("__px", "__py", "__pz")


def located(frame: pl.LazyFrame) -> pl.Schema:
    """The schema of a frame whose rows have a place: `x, y, z` or `points`."""
    schema = frame.collect_schema()
    columns = dict(FRAME)
    if "points" in schema:
        columns["points"] = "points"
    if "points" not in schema or any(name in schema for name in POSITION):
        columns |= dict.fromkeys(POSITION, "number")
    if "yaw" in schema:
        columns["yaw"] = "number"
    if any(name in schema for name in QUATERNION):
        columns |= dict.fromkeys(QUATERNION, "number")
    return require(frame, columns)


def poses(
    frame: pl.LazyFrame, keys: Iterable[str], translation: Sequence[str], rotation: Sequence[str]
) -> pl.LazyFrame:
    """Keys, and one struct `__pose` of position, unit quaternion and matrix; all null if one of them is missing."""
    known = pl.all_horizontal(pl.col(name).is_not_null() for name in (*translation, *_ROTATION))
    staged = (
        frame.select(*keys, *translation, *named(_ROTATION, scaled(quaternion(rotation))))
        .with_columns(named(_ROTATION, normalised(quaternion(_ROTATION))))
        .with_columns(
            *named(_TRANSLATION, vector(translation)),
            *named(_MATRIX, [part for row in matrix(quaternion(_ROTATION)) for part in row]),
        )
    )
    return staged.select(
        *keys, pl.struct(pl.when(known).then(pl.col(name)).alias(name) for name in POSE).alias("__pose")
    )


def with_pose(
    frame: pl.LazyFrame,
    schema: pl.Schema,
    given: pl.LazyFrame,
    keys: Sequence[str],
    missing: Missing,
    what: str,
) -> pl.LazyFrame:
    """Rows with the columns of the pose that stands under their keys."""
    check_missing(missing)
    given = given.with_columns(pl.col(name).cast(schema[name], strict=False) for name in keys)
    frame = frame.join(given, on=list(keys), how="left", maintain_order="left")
    if missing == "error":
        frame = frame.with_columns(checked_pose(keys, what))
    return frame.unnest("__pose")


def check_missing(missing: str) -> None:
    """A `ValueError` for an argument `missing` that is neither."""
    if missing not in ("null", "error"):
        raise ValueError(f"missing: expected 'null' or 'error', got {missing!r}")


def checked_pose(keys: Sequence[str], what: str) -> pl.Expr:
    """The column `__pose`, as it is; an error when the query runs and a row has none."""
    dtype = pl.Struct(dict.fromkeys(POSE, pl.Float64))
    check = partial(_check_poses, what=what)
    return pl.struct(*keys, "__pose").map_batches(check, dtype, is_elementwise=True).alias("__pose")


def _check_poses(rows: pl.Series, what: str) -> pl.Series:
    pose = rows.struct.field("__pose")
    lacking = rows.filter(pose.struct.field(POSE[0]).is_null())
    if len(lacking):
        key = {name: value for name, value in lacking[0].items() if name != "__pose"}
        where = ", ".join(f"{name} {value!r}" for name, value in key.items())
        raise SchemaError(f"Expected {what} for every row, got none - at {where}")
    return pose


def pose_rotation() -> Quaternion:
    """The unit quaternion of the pose that `with_pose` put beside each row."""
    return quaternion(_ROTATION)


def pose_matrix() -> Matrix:
    """The matrix of the pose that `with_pose` put beside each row: from its coordinates to those of its parent."""
    cells = [pl.col(name) for name in _MATRIX]
    return (cells[0], cells[1], cells[2]), (cells[3], cells[4], cells[5]), (cells[6], cells[7], cells[8])


def moved_places(frame: pl.LazyFrame, schema: Container[str], into: bool) -> pl.LazyFrame:
    """Positions and points in the coordinates of the pose beside them, or out of these in its parent's."""
    if "x" in schema:
        frame = frame.with_columns(named(POSITION, _moved_vector(vector(POSITION), into)))
    if "points" in schema:
        known = pl.col(POSE[0]).is_not_null()
        lists = pl.col(_LISTS[0]), pl.col(_LISTS[1]), pl.col(_LISTS[2])
        frame = (
            frame.with_columns(listed())
            .with_columns(named(_LISTS, _moved_vector(lists, into)))
            .with_columns(pl.when(known).then(points_of(lists, POSITION)).alias("points"))
            .drop(_LISTS)
        )
    return frame


def listed() -> list[pl.Expr]:
    """The columns `__px, __py, __pz`: lists of the coordinates of `points`."""
    points = pl.col("points").cast(pl.List(pl.Struct(dict.fromkeys(POSITION, pl.Float64))))  # it may be all null
    return [points.list.eval(pl.element().struct.field(axis)).alias(f"__p{axis}") for axis in POSITION]


def points_of(lists: Vector, names: Sequence[str]) -> pl.Expr:
    """A list of structs from three lists of one length, which are its fields."""
    count = pl.len() // 3
    parts = pl.element().head(count), pl.element().slice(count, count), pl.element().tail(count)
    return pl.concat_list(lists).list.eval(pl.struct(named(names, parts)))


def _moved_vector(v: Vector, into: bool) -> Vector:
    tx, ty, tz = vector(_TRANSLATION)
    if into:
        return rotated(transposed(pose_matrix()), (v[0] - tx, v[1] - ty, v[2] - tz))
    x, y, z = rotated(pose_matrix(), v)
    return x + tx, y + ty, z + tz


def moved_headings(frame: pl.LazyFrame, schema: Container[str], into: bool) -> pl.LazyFrame:
    """Rotations and yaws in the coordinates of the pose beside them, or out of these in its parent's."""
    q, pose = quaternion(QUATERNION), pose_rotation()
    ahead = (pl.col("yaw") - yaw(q)).alias("__ahead")
    steep = _is_steep(q).alias("__steep")
    if "yaw" in schema:
        frame = frame.with_columns(_upright_yaw(into).alias("__upright"))
    if "yaw" in schema and "qx" in schema:
        frame = frame.with_columns(ahead, steep)
    if "qx" in schema:
        turned = product(conjugate(pose) if into else pose, q)
        frame = frame.with_columns(named(QUATERNION, [pl.when(has_rotation(q)).then(part) for part in turned]))
    if "yaw" in schema and "qx" in schema:
        if not into:
            frame = frame.with_columns(steep)
        follows = pl.col("qx").is_not_null() & ~pl.col("__steep")
        at = pl.when(follows).then(wrapped(yaw(q) + pl.col("__ahead"))).otherwise("__upright")
        return frame.with_columns(at.alias("yaw")).drop("__upright", "__ahead", "__steep")
    if "yaw" in schema:
        return frame.with_columns(pl.col("__upright").alias("yaw")).drop("__upright")
    return frame


def _is_steep(q: Quaternion) -> pl.Expr:
    """Whether the heading of a rotation is so near to vertical that its yaw is little more than rounding."""
    x, y, z, w = q
    along, across = w * w + x * x - y * y - z * z, 2 * (x * y + z * w)
    norm = w * w + x * x + y * y + z * z
    return along * along + across * across < (_STEEP * norm) ** 2


def has_rotation(q: Quaternion) -> pl.Expr:
    """Whether a quaternion has no nulls and is not 0."""
    return pl.all_horizontal(part.is_not_null() for part in q) & pl.any_horizontal(part != 0 for part in q)


def _upright_yaw(into: bool) -> pl.Expr:
    """The yaw of a heading that is horizontal in the parent's coordinates, as the pose sees it from above, and back.

    Into: the angle of A (cos, sin), with A the upper left 2 x 2 of the transposed matrix. Out: that of the inverse of A
    times (cos, sin); the determinant of A is the lower right cell of the matrix.
    """
    (a, b, _), (c, d, _), (_, _, upright) = pose_matrix()
    angle = pl.col("yaw").cast(pl.Float64)
    along, across = angle.cos(), angle.sin()
    if into:
        return pl.arctan2(b * along + d * across, a * along + c * across)
    sign = pl.when(upright != 0).then(upright.sign())
    return pl.arctan2(sign * (a * across - b * along), sign * (d * along - c * across))


def named(names: Sequence[str], parts: Sequence[pl.Expr]) -> list[pl.Expr]:
    """Expressions under these names."""
    return [part.alias(name) for name, part in zip(names, parts, strict=True)]
