"""Pixels of what a camera sees, with the distortion of its lens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal, TypeAlias

import polars as pl

from arrow_labels.errors import SchemaError
from arrow_labels.expressions.cameras import CAMERA, chosen, to_camera
from arrow_labels.expressions.columns import POSITION, Frame, lazy, require, storage
from arrow_labels.expressions.poses import Missing, listed, located, named, points_of
from arrow_labels.expressions.rotations import vector

_FISHEYE: Final = ("k1", "k2", "k3", "k4")
_BROWN_CONRADY: Final = ("k1", "k2", "p1", "p2")
_COEFFICIENTS: Final = ("k1", "k2", "k3", "k4", "k5", "k6", "p1", "p2")
_ON_AXIS: Final = 1e-16
"""Where r² is not above this, atan(r) / r is 1 to the last bit, and could be 0 / 0."""

_CELLS: Final = ("__c0", "__c1", "__c2", "__c3", "__c4", "__c5")
_TERMS: Final = tuple(f"__{name}" for name in _COEFFICIENTS)
_LENS: Final = (*_CELLS, *_TERMS, "__model", "__forward")
_PIXEL: Final = ("u", "v", "depth")
_PROJECTED: Final = ("__u", "__v", "__depth")
_STAGES: Final = ("__a", "__b", "__r2", "__t2", "__angle", "__above", "__below", "__fisheye", "__brown")

_Each: TypeAlias = Callable[[pl.Expr, Callable[[pl.Expr], pl.Expr]], pl.Expr]
"""Applies a function to a number, or to each number of a list."""


def project(
    frame: pl.LazyFrame,
    cameras: Frame,
    sample_frames: Frame | None = None,
    *,
    camera: int | str | None = None,
    missing: Missing = "null",
) -> pl.LazyFrame:
    """Pixels of positions and points in each camera of their frame, with the distortion of the lens.

    With X, Y, Z in OpenCV's axes, a = X / Z, b = Y / Z and r² = a² + b², a point falls on ``K (a', b', 1)``, in
    pixels with the origin at the upper left, where K is the camera's intrinsic matrix and (a', b') is (a, b) without
    distortion and::

        brown-conrady   (a, b) (1 + k1 r² + k2 r⁴ + k3 r⁶) / (1 + k4 r² + k5 r⁴ + k6 r⁶)
                        + (2 p1 a b + p2 (r² + 2 a²),  p1 (r² + 2 b²) + 2 p2 a b)
        fisheye         (a, b) (t / r) (1 + k1 t² + k2 t⁴ + k3 t⁶ + k4 t⁸)    with t = atan(r)

    These are the models of OpenCV (`projectPoints` of its modules calib3d and fisheye). Coefficients k3 to k6 of
    brown-conrady that a camera does not give are 0. Far outside the image the polynomials mean nothing: compare with
    the size of the image.

    Parameters
    ----------
    frame : LazyFrame
        Rows that `to_camera` gave, or that it takes: those go through `to_camera` first.
    cameras : LazyFrame, DataFrame or pa.Table
        The table `cameras`.
    sample_frames : LazyFrame, DataFrame or pa.Table, optional
        As for `to_camera`, of rows that it did not give.
    camera : int or str, optional
        As for `to_camera`.
    missing : {"null", "error"}
        As for `to_camera`, of rows that it did not give.

    Returns
    -------
    LazyFrame
        The rows in camera coordinates, with `u, v, depth` for `x, y, z`, and with `pixels`, a list of structs of `u,
        v, depth`, for `points`: column and row in pixels, and metres along the optical axis. What is not in front of
        the camera (depth not above 0) has null u and v. So has all that a camera sees that has no intrinsics, a
        distortion model of another name, or lacks coefficients.

    Raises
    ------
    SchemaError
        A column is missing, or of another kind; or, with ``missing="error"``, a pose is missing.

    Examples
    --------
    >>> import polars as pl
    >>> import arrow_labels
    >>> key = {"sample_id": ["a"], "sensor_index": [0], "frame_index": [0]}
    >>> pose = {"tx": [0.0], "ty": [0.0], "tz": [0.0], "qx": [-0.5], "qy": [0.5], "qz": [-0.5], "qw": [0.5]}
    >>> lens = {"intrinsics": [[1000.0, 0, 800, 0, 1000, 450, 0, 0, 1]], "distortion_model": None, "distortion": None}
    >>> cameras = pl.DataFrame({**key, "camera_index": [0], **pose, **lens, "camera_convention": ["OpenCV"]})
    >>> ahead = pl.DataFrame({**key, "x": [10.0], "y": [1.0], "z": [0.0]})
    >>> ahead.labels.project(cameras).select("u", "v", "depth").row(0)
    (700.0, 450.0, 10.0)
    """
    frame = storage(frame)
    if "camera_index" not in frame.collect_schema():
        frame = to_camera(frame, cameras, sample_frames, camera=camera, missing=missing)
    schema = located(frame)
    require(frame, {**CAMERA, "camera_convention": "text"})
    given = _lenses(cameras, camera).with_columns(pl.col(name).cast(schema[name], strict=False) for name in CAMERA)
    how: Literal["left", "inner"] = "left" if camera is None else "inner"
    frame = frame.join(given, on=list(CAMERA), how=how, maintain_order="left")
    sign = pl.col("camera_convention").cast(pl.String).replace_strict({"OpenCV": 1.0, "OpenGL": -1.0}, default=None)
    frame = frame.with_columns(sign.alias("__forward"))
    if "x" in schema:
        frame = _projected(frame, vector(POSITION), lambda number, function: function(number))
        frame = frame.with_columns(named(_PIXEL, vector(_PROJECTED)))
    if "points" in schema:
        frame = _projected(frame, listed(), lambda numbers, function: numbers.list.eval(function(pl.element())))
        lists = pl.col(_PROJECTED[0]), pl.col(_PROJECTED[1]), pl.col(_PROJECTED[2])
        frame = frame.with_columns(points_of(lists, _PIXEL).alias("pixels"))
    return frame.drop(*_LENS, *_PROJECTED, *_STAGES)


def _lenses(cameras: Frame, camera: int | str | None) -> pl.LazyFrame:
    """The keys of the cameras, or of one; the first two rows of the intrinsic matrix, the distortion's coefficients."""
    given = lazy(cameras)
    schema = require(given, {**CAMERA, "distortion_model": "text", "distortion": "text"}, "cameras")
    found = schema.get("intrinsics")
    if found != pl.Null and not (isinstance(found, pl.List) and found.inner.is_numeric()):
        raise SchemaError(f"Expected a list of numbers, got `{found}` - in column `intrinsics` - in cameras")
    given = chosen(given, camera).unique(tuple(CAMERA), keep="last")
    given = given.with_columns(pl.col("intrinsics").cast(pl.List(pl.Float64)))
    matrix = pl.when(pl.col("intrinsics").list.len() == 9).then("intrinsics")
    cells = [matrix.list.get(place, null_on_oob=True) for place in range(6)]
    # What is not a number gives null, and so does text that is not JSON.
    texts = [pl.col("distortion").cast(pl.String).str.json_path_match(f"$.{name}") for name in _COEFFICIENTS]
    numbers = [text.cast(pl.Float64, strict=False) for text in texts]
    return given.select(
        *CAMERA,
        *named(_CELLS, cells),
        *named(_TERMS, numbers),
        pl.col("distortion_model").cast(pl.String).alias("__model"),
    )


def _projected(frame: pl.LazyFrame, seen: Sequence[pl.Expr], each: _Each) -> pl.LazyFrame:
    """Rows with the columns `__u, __v, __depth` of coordinates that are numbers or lists of numbers."""
    k1, k2, k3, k4, k5, k6, p1, p2 = (pl.col(name) for name in _TERMS)
    c0, c1, c2, c3, c4, c5 = (pl.col(name) for name in _CELLS)
    a, b, r2, t2 = (pl.col(name) for name in ("__a", "__b", "__r2", "__t2"))
    forward = pl.col("__forward")
    x, y, z = seen
    frame = frame.with_columns((z * forward).alias("__depth"))
    inverse = each(pl.col("__depth"), lambda depth: pl.when(depth > 0).then(1 / depth))
    frame = frame.with_columns((x * inverse).alias("__a"), (y * inverse * forward).alias("__b"))
    frame = frame.with_columns((a * a + b * b).alias("__r2"))
    frame = frame.with_columns(
        each(r2, lambda square: square.sqrt().arctan() ** 2).alias("__t2"),
        each(r2, _angle_by_radius).alias("__angle"),
        (1 + r2 * (k1 + r2 * (k2 + r2 * k3.fill_null(0.0)))).alias("__above"),
        (1 + r2 * (k4.fill_null(0.0) + r2 * (k5.fill_null(0.0) + r2 * k6.fill_null(0.0)))).alias("__below"),
    )
    fisheye = pl.col("__angle") * (1 + t2 * (k1 + t2 * (k2 + t2 * (k3 + t2 * k4))))
    frame = frame.with_columns(fisheye.alias("__fisheye"), (pl.col("__above") / pl.col("__below")).alias("__brown"))
    ab = a * b
    frame = frame.with_columns(
        _by_model(a, a * pl.col("__fisheye"), a * pl.col("__brown") + ab * (2 * p1) + (r2 + 2 * a * a) * p2).alias(
            "__u"
        ),
        _by_model(b, b * pl.col("__fisheye"), b * pl.col("__brown") + (r2 + 2 * b * b) * p1 + ab * (2 * p2)).alias(
            "__v"
        ),
    )
    u, v = pl.col("__u"), pl.col("__v")
    return frame.with_columns((u * c0 + v * c1 + c2).alias("__u"), (u * c3 + v * c4 + c5).alias("__v"))


def _angle_by_radius(square: pl.Expr) -> pl.Expr:
    """atan(r) / r of the square of r, which is 1 on the optical axis."""
    radius = square.sqrt()
    return pl.when(square > _ON_AXIS).then(radius.arctan() / radius).otherwise(1.0)


def _by_model(plain: pl.Expr, fisheye: pl.Expr, brown_conrady: pl.Expr) -> pl.Expr:
    """What the distortion model of the row says; null if it lacks coefficients or is another model."""
    model = pl.col("__model")

    def known(names: Sequence[str]) -> pl.Expr:
        return pl.all_horizontal(pl.col(f"__{name}").is_not_null() for name in names)

    return (
        pl.when(model.is_null())
        .then(plain)
        .when((model == "fisheye") & known(_FISHEYE))
        .then(fisheye)
        .when((model == "brown-conrady") & known(_BROWN_CONRADY))
        .then(brown_conrady)
        .otherwise(plain * pl.lit(None, pl.Float64))  # of a list a list of nulls
    )
