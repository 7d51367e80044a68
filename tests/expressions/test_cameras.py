"""Camera coordinates against scipy, and pixels against OpenCV."""

import json
import math
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from engines import everywhere, physical_nodes
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from scipy.spatial.transform import Rotation

import arrow_labels as al
from arrow_labels.expressions.cameras import to_camera
from arrow_labels.expressions.ego import to_ego
from arrow_labels.expressions.projection import project

Floats = npt.NDArray[np.float64]
XYZ, XYZW = ("x", "y", "z"), ("qx", "qy", "qz", "qw")
POINTS = pl.List(pl.Struct(dict.fromkeys(XYZ, pl.Float64)))
MATRIX = np.array([[1266.4, 0, 816.2], [0, 1250.0, 491.5], [0, 0, 1]])
FISHEYE = {"k1": -0.0539, "k2": -0.0102, "k3": -0.002, "k4": 0.0012}
BROWN_CONRADY = {"k1": -0.29, "k2": 0.076, "p1": 0.0015, "p2": -0.002, "k3": 0.01}
RATIONAL = {**BROWN_CONRADY, "k4": 0.1, "k5": 0.02, "k6": 0.003}
LENSES: list[tuple[str | None, dict[str, float]]] = [
    (None, {}),
    ("fisheye", FISHEYE),
    ("brown-conrady", BROWN_CONRADY),
    ("brown-conrady", RATIONAL),
    ("brown-conrady", {"k1": -0.29, "k2": 0.076, "p1": 0.0015, "p2": -0.002}),
]
LOOKING_AHEAD = {"qx": -0.5, "qy": 0.5, "qz": -0.5, "qw": 0.5}  # OpenCV's axes, along x of the ego

seeds = st.integers(0, 2**32 - 1)
lenses = pytest.mark.parametrize(("model", "coefficients"), LENSES)


def keys(frames: Any) -> dict[str, Any]:
    return {"sample_id": "a", "sensor_index": 0, "frame_index": frames}


def columns(names: tuple[str, ...], values: Floats) -> dict[str, Floats]:
    return dict(zip(names, np.ascontiguousarray(values.T), strict=True))


TYPES = {
    **dict.fromkeys(("name", "distortion_model", "distortion", "camera_convention"), pl.String),
    **dict.fromkeys(("tx", "ty", "tz", *XYZW), pl.Float64),
    "intrinsics": pl.List(pl.Float64),
}


def camera(frames: Any = 0, index: int = 0, **others: Any) -> pl.DataFrame:
    made = {
        "name": "front",
        **{"tx": 0.0, "ty": 0.0, "tz": 0.0, **LOOKING_AHEAD},
        "intrinsics": MATRIX.ravel().tolist(),
        **{"distortion_model": None, "distortion": None, "camera_convention": "OpenCV"},
        **others,
    }
    rows = pl.DataFrame(keys(frames)).with_columns(camera_index=pl.lit(index, pl.Int32))
    return rows.with_columns(pl.lit(value, TYPES[name]).alias(name) for name, value in made.items())


def listed(points: Floats) -> list[dict[str, float]]:
    return [dict(zip(XYZ, point, strict=True)) for point in points.tolist()]


def opencv(seen: Floats, model: str | None, coefficients: dict[str, float]) -> Floats:
    """The pixels of points in OpenCV's camera coordinates."""
    nothing = np.zeros(3)
    if model == "fisheye":
        values = np.array([coefficients[name] for name in ("k1", "k2", "k3", "k4")])
        return cv2.fisheye.projectPoints(seen[:, None], nothing, nothing, MATRIX, values)[0][:, 0]
    names = [name for name in ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6") if name in coefficients]
    values = np.array([coefficients[name] for name in names])
    return cv2.projectPoints(seen, nothing, nothing, MATRIX, values if len(values) else None)[0][:, 0]


@settings(max_examples=12)
@given(seeds)
@pytest.mark.parametrize("own", ["OpenCV", "OpenGL", None])
@pytest.mark.parametrize("wanted", ["OpenCV", "OpenGL", None])
def test_coordinates_agree_with_scipy(wanted: Any, own: str | None, seed: int) -> None:
    random = np.random.default_rng(seed)
    places, points = random.normal(0, 100, (10, 3)), random.normal(0, 100, (10, 3))
    turns = Rotation.random(10, rng=random)
    extrinsics, origin = random.normal(size=4), random.normal(size=3)
    ego, ego_origin = random.normal(size=4), random.normal(0, 100, 3)
    rows = pl.DataFrame({**keys(0), **columns(XYZ, places), "yaw": 0.1, **columns(XYZW, turns.as_quat())})
    rows = rows.with_columns(points=pl.Series([listed(points)] * 10, dtype=POINTS))
    pose = dict(zip(("ego_x", "ego_y", "ego_z"), ego_origin.tolist(), strict=True))
    heading = dict(zip(("ego_qx", "ego_qy", "ego_qz", "ego_qw"), ego.tolist(), strict=True))
    sample_frames = pl.DataFrame({**keys([0]), **pose, **heading})
    pose = {**dict(zip(("tx", "ty", "tz"), origin.tolist(), strict=True)), **dict(zip(XYZW, extrinsics, strict=True))}
    cameras = camera(**pose, camera_convention=own)

    found = everywhere(to_camera(rows.lazy(), cameras, sample_frames, convention=wanted))
    flip = Rotation.from_quat([1, 0, 0, 0] if wanted not in (None, own or "OpenGL") else [0, 0, 0, 1])
    inverse = (Rotation.from_quat(ego) * Rotation.from_quat(extrinsics) * flip).inv()
    eye = Rotation.from_quat(ego).apply(origin) + ego_origin
    np.testing.assert_allclose(found.select(XYZ).to_numpy(), inverse.apply(places - eye), rtol=0, atol=1e-11)
    seen = found["points"][0].struct.unnest().to_numpy()
    np.testing.assert_allclose(seen, inverse.apply(points - eye), rtol=0, atol=1e-11)
    rotations = Rotation.from_quat(found.select(XYZW).to_numpy())
    assert (rotations * (inverse * turns).inv()).magnitude().max() < 1e-12
    forward = rotations.apply([1.0, 0, 0])
    assert (
        np.abs(np.exp(1j * found["yaw"].to_numpy()) - np.exp(1j * np.arctan2(forward[:, 1], forward[:, 0]))).max()
        < 1e-9
    )
    assert found["camera_convention"].to_list() == [wanted or own or "OpenGL"] * 10
    # From ego coordinates without the poses.
    again = everywhere(to_camera(to_ego(rows.lazy(), sample_frames), cameras, convention=wanted))
    assert_frame_equal(again.drop("yaw"), found.drop("yaw"), rel_tol=0, abs_tol=1e-10)


def test_a_yaw_becomes_a_rotation() -> None:
    yaws = np.linspace(-3, 3, 7)
    rows = pl.LazyFrame({**keys(0), **columns(XYZ, np.zeros((7, 3))), "yaw": yaws})
    found = everywhere(to_camera(rows, camera()))
    assert found.columns == [*rows.collect_schema(), "camera_index", "camera_convention", *XYZW]
    expected = Rotation.from_quat(list(LOOKING_AHEAD.values())).inv() * Rotation.from_euler("z", yaws[:, None])
    assert (Rotation.from_quat(found.select(XYZW).to_numpy()) * expected.inv()).magnitude().max() < 1e-12
    part = everywhere(to_camera(rows.with_columns(qx=0.0, qy=0.0, qz=pl.lit(None, pl.Float64), qw=0.0), camera()))
    assert_frame_equal(part.select(XYZW), found.select(XYZW))
    assert (
        everywhere(to_camera(rows.with_columns(yaw=pl.lit(None)), camera())).select(XYZW).null_count().row(0)
        == (7,) * 4
    )


@settings(max_examples=12)
@given(seeds)
@lenses
def test_pixels_agree_with_opencv(model: str | None, coefficients: dict[str, float], seed: int) -> None:
    random = np.random.default_rng(seed)
    seen = random.uniform([-1, -1, -1], [1, 1, 1], (40, 3)) * random.uniform(0.1, 100, (40, 1))
    if model == "brown-conrady":  # the polynomial and its quotient have no meaning, and no bounds, far out
        seen[:, :2] *= np.minimum(1, np.abs(seen[:, 2:]) / np.linalg.norm(seen[:, :2], axis=1, keepdims=True))
    convention = ["OpenCV", "OpenGL"][seed % 2]
    flip = np.array([1, 1, 1] if convention == "OpenCV" else [1, -1, -1])
    lens = {"distortion_model": model, "distortion": json.dumps(coefficients) if model else None}
    cameras = camera(**lens, camera_convention=convention, qx=0.0, qy=0.0, qz=0.0, qw=1.0)
    rows = pl.LazyFrame({**keys(0), **columns(XYZ, seen * flip)})
    found = everywhere(project(rows.with_columns(points=pl.concat_list(pl.struct(XYZ))), cameras))
    ahead = seen[:, 2] > 0
    assert found["u"].is_not_null().to_list() == found["v"].is_not_null().to_list() == ahead.tolist()
    np.testing.assert_allclose(found["depth"].to_numpy(), seen[:, 2], rtol=1e-12)
    expected = opencv(seen[ahead], model, coefficients)
    np.testing.assert_allclose(found.select("u", "v").drop_nulls().to_numpy(), expected, rtol=1e-12, atol=1e-9)
    # As one list of points the same, to the last bit.
    whole = rows.group_by(*keys(0)).agg(points=pl.struct(XYZ))
    pixels = everywhere(project(whole, cameras))["pixels"].explode().struct.unnest()
    assert pixels.sort("depth").equals(found.select("u", "v", "depth").sort("depth"))
    assert found.select(pl.col("pixels").list.first().struct.unnest()).equals(found.select("u", "v", "depth"))


@lenses
def test_on_and_near_the_optical_axis(model: str | None, coefficients: dict[str, float]) -> None:
    seen = np.array([[r, -r, 1.0] for r in (0.0, 1e-300, 1e-12, 1e-9, 7e-9, 1e-8, 1e-7, 1e-4)])
    lens = {"distortion_model": model, "distortion": json.dumps(coefficients) if model else None}
    rows = pl.LazyFrame({**keys(0), **columns(XYZ, seen)})
    found = everywhere(project(rows, camera(**lens, qx=0.0, qy=0.0, qz=0.0, qw=1.0)))
    np.testing.assert_allclose(found.select("u", "v").to_numpy(), opencv(seen, model, coefficients), rtol=0, atol=1e-9)


ROWS = pl.DataFrame(
    {"note": ["one", "two", "three"], **keys([1, 0, 1]), "x": [5.0, 10, 15], "y": 1.0, "z": 0.5, "yaw": 0.0}
)


def test_a_row_for_each_camera() -> None:
    cameras = pl.concat([camera([1], 2, name="left"), camera([1], 0), camera([0], 1, name="left"), camera([7], 0)])
    rows = pl.concat([ROWS, ROWS.with_columns(frame_index=pl.lit(3, pl.Int64))])
    found = everywhere(to_camera(rows.lazy(), cameras))
    assert found.select("note", "frame_index", "camera_index").rows() == [
        ("one", 1, 0),
        ("one", 1, 2),
        ("two", 0, 1),
        ("three", 1, 0),
        ("three", 1, 2),
    ]
    assert everywhere(to_camera(rows.lazy(), cameras, camera=2)).equals(found.filter(pl.col("camera_index") == 2))
    left = found.filter(pl.col("camera_index") > 0)
    assert everywhere(to_camera(rows.lazy(), cameras, camera="left")).equals(left)
    pixels = everywhere(project(rows.lazy(), cameras, camera="left"))
    assert pixels.drop("u", "v", "depth").equals(left)
    assert pixels.equals(everywhere(project(to_camera(rows.lazy(), cameras, camera="left"), cameras.to_arrow())))
    seen = to_camera(rows.lazy(), cameras)
    assert everywhere(project(seen, cameras, camera="left")).equals(pixels)
    assert everywhere(project(seen, cameras, camera=2)).equals(pixels.filter(pl.col("camera_index") == 2))
    assert everywhere(to_camera(rows.lazy(), cameras, camera="none")).height == 0
    moved = pl.concat(
        [camera([1], 0, tx=1.0), cameras.with_columns(pl.col("frame_index").cast(pl.Int16))], how="vertical_relaxed"
    )
    assert everywhere(to_camera(rows.lazy(), moved)).equals(found)


def test_other_columns_stay() -> None:
    rows = ROWS.with_columns(length=4, velocity_absolute=1.0)
    for query in (to_camera(rows.lazy(), camera([0, 1])), project(rows.lazy(), camera([0, 1]))):
        found = everywhere(query)
        assert found.columns[: rows.width] == rows.columns
        assert found.select("note", "length", "velocity_absolute").equals(
            rows.select("note", "length", "velocity_absolute")
        )


@pytest.mark.parametrize(
    "change",
    [
        {"tx": None},
        {"qz": None},
        {"qx": 0.0, "qy": 0.0, "qz": 0.0, "qw": 0.0},
        {"camera_convention": "Unity"},
    ],
    ids=str,
)
def test_a_camera_without_pose_gives_nulls_or_an_error(change: dict[str, Any]) -> None:
    cameras = pl.concat([camera([0, 1], **change), camera([0, 1], 1)])
    found = everywhere(project(ROWS.lazy(), cameras))
    nowhere = found.filter(pl.col("camera_index") == 0)
    made = (*XYZ, "yaw", *XYZW, "u", "v", "depth")
    assert nowhere.select(made).rows() == [(None,) * len(made)] * 3
    assert found.filter(pl.col("camera_index") == 1).select(made).null_count().sum_horizontal().item() == 0
    for engine in ("in-memory", "streaming"):
        with pytest.raises(al.SchemaError, match=r"Expected extrinsics for every row, got none - at .*camera_index 0"):
            to_camera(ROWS.lazy(), cameras, missing="error").collect(engine=engine)
    assert everywhere(to_camera(ROWS.lazy(), cameras, camera=1, missing="error")).height == 3


def test_a_frame_without_ego_pose() -> None:
    names = ("ego_x", "ego_y", "ego_z", "ego_qx", "ego_qy", "ego_qz")
    sample_frames = pl.DataFrame({**keys([0]), **dict.fromkeys(names, 0.0), "ego_qw": 1.0})
    found = everywhere(to_camera(ROWS.lazy(), camera([0, 1]), sample_frames))
    assert found["x"].to_list() == [None, -1.0, None]
    with pytest.raises(al.SchemaError, match=r"Expected extrinsics and an ego pose for every row, got none - at "):
        to_camera(ROWS.lazy(), camera([0, 1]), sample_frames, missing="error").collect()


@pytest.mark.parametrize(
    "change",
    [
        {"intrinsics": None},
        {"intrinsics": [1.0, 2.0]},
        {"distortion_model": "kannala-brandt", "distortion": json.dumps(FISHEYE)},
        {"distortion_model": "fisheye"},
        {"distortion_model": "fisheye", "distortion": '{"k1": 0, "k2": 0, "k3": 0}'},
        {"distortion_model": "fisheye", "distortion": '{"k1": 0, "k2": 0, "k3": 0, "k4": null}'},
        {"distortion_model": "brown-conrady", "distortion": '{"k1": 0, "k2": 0, "p1": "no", "p2": 0}'},
        {"distortion_model": "brown-conrady", "distortion": "[]"},
        {"distortion_model": "brown-conrady", "distortion": "not JSON"},
    ],
    ids=str,
)
def test_a_camera_without_lens_gives_null_pixels(change: dict[str, Any]) -> None:
    cameras = camera([0, 1], **change)
    rows = ROWS.lazy().with_columns(points=pl.concat_list(pl.struct(XYZ)))
    found = everywhere(project(rows, cameras))
    assert found.select("u", "v").rows() == [(None, None)] * 3
    assert found["depth"].to_list() == [5, 10, 15]
    assert found["pixels"].to_list() == [[{"u": None, "v": None, "depth": depth}] for depth in (5, 10, 15)]


def test_whole_numbers_and_skew() -> None:
    cameras = camera([0, 1], intrinsics=[100, 10, 50, 0, 100, 40, 0, 0, 1])
    cameras = cameras.with_columns(pl.col("intrinsics").cast(pl.List(pl.Int64)))
    rows = ROWS.lazy().with_columns(y=-2, z=-1, x=4)
    assert everywhere(project(rows, cameras)).select("u", "v").row(0) == (102.5, 65.0)
    whole = cameras.with_columns(distortion_model=pl.lit("fisheye"), distortion=pl.lit('{"k1":0,"k2":0,"k3":0,"k4":0}'))
    assert everywhere(project(rows, whole)).select("u", "v").null_count().row(0) == (0, 0)


def test_points_of_several_lengths() -> None:
    point, behind = {"x": 10.0, "y": 0.0, "z": 0.0}, {"x": -10.0, "y": 0.0, "z": 0.0}
    lists = [[point, behind, {**point, "z": None}, None], [], None]
    rows = pl.LazyFrame({**keys(0), "points": pl.Series(lists, dtype=POINTS)})
    nothing = dict.fromkeys(("u", "v", "depth"))
    seen = {"u": pytest.approx(816.2), "v": pytest.approx(491.5), "depth": 10.0}
    found = everywhere(project(rows, camera()))["pixels"].to_list()
    assert found == [[seen, {**nothing, "depth": -10.0}, nothing, nothing], [], None]


def test_what_is_null_or_not_a_number() -> None:
    rows = ROWS.lazy().with_columns(x=pl.Series([None, math.nan, 0.0]))
    found = everywhere(project(rows, camera([0, 1])))
    assert found["u"].to_list() == [None, pytest.approx(math.nan, nan_ok=True), None]


def test_empty_frames() -> None:
    for rows, cameras in ((ROWS.clear(), camera([0, 1])), (ROWS, camera([0, 1]).clear())):
        found = everywhere(project(rows.lazy(), cameras, missing="error"))
        assert found.height == 0
        assert found.schema == everywhere(project(ROWS.lazy(), camera([0, 1]))).schema


def test_wrong_input() -> None:
    rows, cameras = ROWS.lazy(), camera([0, 1])
    for method in (to_camera, project):
        with pytest.raises(al.SchemaError, match=r"Expected columns `tz`, got .* - in cameras"):
            method(rows, cameras.drop("tz"))
        with pytest.raises(al.SchemaError, match=r"Expected columns `y`"):
            method(rows.drop("y"), cameras)
        with pytest.raises(al.SchemaError, match=r"Expected columns `name`, got .* - in cameras"):
            method(rows, cameras.drop("name"), camera="front")
        with pytest.raises(ValueError, match=r"missing: expected 'null' or 'error', got 'none'"):
            method(rows, cameras, missing="none")  # type: ignore[arg-type]
    with pytest.raises(al.SchemaError, match=r"Expected rows in world or ego coordinates, got a column `camera_index`"):
        to_camera(to_camera(rows, cameras), cameras)
    with pytest.raises(al.SchemaError, match=r"Expected columns `camera_convention`, got "):
        project(to_camera(rows, cameras).drop("camera_convention"), cameras)
    with pytest.raises(ValueError, match=r"convention: expected 'OpenCV', 'OpenGL' or None, got 'opencv'"):
        to_camera(rows, cameras, convention="opencv")  # type: ignore[arg-type]
    with pytest.raises(al.SchemaError, match=r"Expected columns `distortion`, got .* - in cameras"):
        project(rows, cameras.drop("distortion"))
    with pytest.raises(al.SchemaError, match=r"Expected a list of numbers, got `String` - in column `intrinsics` - in"):
        project(rows, cameras.with_columns(intrinsics=pl.lit("")))
    with pytest.raises(al.SchemaError, match=r"Expected a list of numbers, got `List\(String\)` - in column `intrin"):
        project(rows, cameras.with_columns(pl.col("intrinsics").cast(pl.List(pl.String))))
    with pytest.raises(al.SchemaError, match=r"Expected a list of numbers, got `None` - in column `intrinsics`"):
        project(rows, cameras.drop("intrinsics"))
    nothing = everywhere(project(rows, cameras.with_columns(intrinsics=pl.lit(None))))
    assert nothing["u"].to_list() == [None] * 3


def test_the_plan_streams() -> None:
    rows, cameras = ROWS.lazy().with_columns(points=pl.concat_list(pl.struct(XYZ))), camera([0, 1]).lazy()
    for missing in ("null", "error"):
        assert "in-memory-map" not in physical_nodes(project(rows, cameras, missing=missing))
