"""The Polars namespace `labels`, on expressions, LazyFrames and DataFrames; importing `arrow_labels` registers it.

Each method is a function of one of the modules here, with its documentation; its first argument is the expression or
frame. The methods of frames are lazy: on a DataFrame they are collected at once.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, Generic, ParamSpec, TypeVar

import polars as pl

from arrow_labels.expressions.attributes import attribute, unpack_attributes
from arrow_labels.expressions.cameras import to_camera
from arrow_labels.expressions.containment import count_points, points_in_cuboids
from arrow_labels.expressions.cuboids import bev_polygon, corners, quaternion_to_yaw, wrap_angle, yaw_to_quaternion
from arrow_labels.expressions.ego import to_ego, to_world
from arrow_labels.expressions.ids import decode_ids, encode_ids
from arrow_labels.expressions.interpolation import interpolate
from arrow_labels.expressions.interpolation_error import interpolation_error
from arrow_labels.expressions.keyframes import duplicate_keyframes, keyframes
from arrow_labels.expressions.kinematics import kinematics
from arrow_labels.expressions.overlap import bev_iou, iou_3d, overlapping_pairs
from arrow_labels.expressions.points import area, bounds, centroid, length, vertex_count
from arrow_labels.expressions.projection import project
from arrow_labels.expressions.resampling import resample

P = ParamSpec("P")
F = TypeVar("F", pl.DataFrame, pl.LazyFrame)


def _of_frame(
    function: Callable[Concatenate[pl.LazyFrame, P], pl.LazyFrame],
) -> Callable[Concatenate[FrameLabels[F], P], F]:
    @wraps(function)
    def method(self: FrameLabels[F], *args: P.args, **kwargs: P.kwargs) -> F:
        made = function(self._frame.lazy(), *args, **kwargs)
        return made.collect() if isinstance(self._frame, pl.DataFrame) else made

    return method  # type: ignore[return-value]


def _of_expr(function: Callable[Concatenate[pl.Expr, P], pl.Expr]) -> Callable[Concatenate[ExprLabels, P], pl.Expr]:
    @wraps(function)
    def method(self: ExprLabels, *args: P.args, **kwargs: P.kwargs) -> pl.Expr:
        return function(self._expr, *args, **kwargs)

    return method  # type: ignore[return-value]


class ExprLabels:
    """`pl.Expr.labels`: ids, attributes, and the geometry of points.

    Examples
    --------
    >>> import polars as pl
    >>> import arrow_labels
    >>> pl.select(pl.lit(0xFF000102).labels.decode_ids()).item()
    258
    """

    def __init__(self, expr: pl.Expr) -> None:
        self._expr = expr

    decode_ids = _of_expr(decode_ids)
    encode_ids = _of_expr(encode_ids)
    attribute = _of_expr(attribute)
    vertex_count = _of_expr(vertex_count)
    bounds = _of_expr(bounds)
    area = _of_expr(area)
    length = _of_expr(length)
    centroid = _of_expr(centroid)
    wrap_angle = _of_expr(wrap_angle)


class FrameLabels(Generic[F]):
    """`pl.LazyFrame.labels` and `pl.DataFrame.labels`: tracks, motion, frames of reference and cuboids.

    Examples
    --------
    >>> import polars as pl
    >>> import arrow_labels
    >>> cuboids = pl.DataFrame({"yaw": [0.0], "qx": [None], "qy": [None], "qz": [None], "qw": [None]})
    >>> cuboids.labels.yaw_to_quaternion()["qw"].item()
    1.0
    """

    _frame: F

    def __init__(self, frame: F) -> None:
        self._frame = frame

    unpack_attributes = _of_frame(unpack_attributes)
    keyframes = _of_frame(keyframes)
    duplicate_keyframes = _of_frame(duplicate_keyframes)
    interpolate = _of_frame(interpolate)
    interpolation_error = _of_frame(interpolation_error)
    resample = _of_frame(resample)
    kinematics = _of_frame(kinematics)
    to_ego = _of_frame(to_ego)
    to_world = _of_frame(to_world)
    to_camera = _of_frame(to_camera)
    project = _of_frame(project)
    corners = _of_frame(corners)
    bev_polygon = _of_frame(bev_polygon)
    yaw_to_quaternion = _of_frame(yaw_to_quaternion)
    quaternion_to_yaw = _of_frame(quaternion_to_yaw)
    bev_iou = _of_frame(bev_iou)
    iou_3d = _of_frame(iou_3d)
    overlapping_pairs = _of_frame(overlapping_pairs)
    points_in_cuboids = _of_frame(points_in_cuboids)
    count_points = _of_frame(count_points)


pl.api.register_expr_namespace("labels")(ExprLabels)
pl.api.register_lazyframe_namespace("labels")(FrameLabels)
pl.api.register_dataframe_namespace("labels")(FrameLabels)
