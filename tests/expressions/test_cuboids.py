"""Corners, footprints and rotations of cuboids, against scipy."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from arrow_labels.errors import SchemaError
from arrow_labels.expressions.cuboids import bev_polygon, corners, quaternion_to_yaw, wrap_angle, yaw_to_quaternion
from arrow_labels.expressions.points import area, bounds, centroid

NUMBERS = ["x", "y", "z", "length", "width", "height", "yaw", "qx", "qy", "qz", "qw"]
QUATERNION = NUMBERS[7:]
METHODS: dict[str, Callable[[pl.LazyFrame], pl.LazyFrame]] = {
    "corners": corners,
    "bev_polygon": bev_polygon,
    "yaw_to_quaternion": yaw_to_quaternion,
    "quaternion_to_yaw": quaternion_to_yaw,
}
FACE = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]) / 2
SIGNS = np.vstack([np.hstack([FACE, np.full((4, 1), height)]) for height in (-0.5, 0.5)])


def cuboids(count: int = 500, seed: int = 0) -> pl.DataFrame:
    """Cuboids of which a third has no rotation; the others have one of any norm."""
    random = np.random.default_rng(seed)
    numbers = random.normal(size=(count, 11)) * ([1000.0] * 3 + [1.0] * 8)
    numbers[:, 3:6] = random.uniform(0.1, 15, (count, 3))
    numbers[:, 6] = random.uniform(-np.pi, np.pi, count)
    frame = pl.DataFrame(numbers, schema=NUMBERS, orient="row").with_row_index()
    turned = pl.col("index") % 3 != 0
    return frame.with_columns(pl.when(turned).then(pl.col(QUATERNION) * (pl.col("index") + 1)))


def rotations(frame: pl.DataFrame) -> npt.NDArray[np.float64]:
    yaw = Rotation.from_euler("z", frame["yaw"].to_numpy()[:, None]).as_matrix()
    quaternions = frame.select(QUATERNION).fill_null(1.0).to_numpy()
    there = frame["qx"].is_not_null().to_numpy()[:, None, None]
    matrices: npt.NDArray[np.float64] = np.where(there, Rotation.from_quat(quaternions).as_matrix(), yaw)
    return matrices


def places(points: pl.Series) -> npt.NDArray[np.float64]:
    """A column of lists of as many points each as an array: rows, points, coordinates."""
    flat = points.explode().struct.unnest().to_numpy()
    return flat.reshape(len(points), -1, 3)


def test_corners_agree_with_scipy() -> None:
    frame = cuboids()
    found = places(corners(frame.lazy()).collect()["corners"])
    own = SIGNS * frame.select("length", "width", "height").to_numpy()[:, None]
    expected = np.einsum("nij,ncj->nci", rotations(frame), own) + frame.select("x", "y", "z").to_numpy()[:, None]
    assert np.abs(found - expected).max() < 2e-12  # a few roundings at 4,000 metres


def test_the_corners_of_the_picture() -> None:
    car = {"x": 100.0, "y": 50.0, "z": 1.0, "length": 4.0, "width": 2.0, "height": 1.0, "yaw": math.pi / 2}
    found = places(corners(pl.LazyFrame([car])).collect()["corners"])[0]
    # It drives along +y: ahead is larger y, left is smaller x.
    front_left, rear_left, rear_right, front_right = [99, 52], [99, 48], [101, 48], [101, 52]
    for height, face in [(0.5, found[:4]), (1.5, found[4:])]:
        assert face.ravel() == pytest.approx(
            [*front_left, height, *rear_left, height, *rear_right, height, *front_right, height], abs=1e-12
        )


def test_corners_are_points() -> None:
    frame = cuboids()
    found = corners(frame.lazy()).select(pl.col("corners").pipe(bounds).struct.unnest()).collect()
    flat = places(corners(frame.lazy()).collect()["corners"])
    assert np.array_equal(found.select("xmin", "ymin", "zmin").to_numpy(), flat.min(axis=1))
    assert np.array_equal(found.select("xmax", "ymax", "zmax").to_numpy(), flat.max(axis=1))


def test_rows_without_a_rotation_use_the_yaw() -> None:
    frame = cuboids().drop(QUATERNION)
    expected = corners(frame.lazy()).select("corners").collect()
    for nothing in [
        [None] * 4,
        [None, 0.0, 0.0, 1.0],
        [0.0, 0.0, 0.0, None],
        [0.0] * 4,
        [0, -0.0, 0, 0],
    ]:
        rotated = frame.with_columns(
            pl.lit(part, pl.Float64).alias(name) for name, part in zip(QUATERNION, nothing, strict=True)
        )
        assert corners(rotated.lazy()).select("corners").collect().equals(expected)


def test_quaternions_of_extreme_norm() -> None:
    frame = cuboids().filter(pl.col("qx").is_not_null())
    expected = places(corners(frame.lazy()).collect()["corners"])
    for scale in (1e-300, 1e300, -1.0):
        scaled = frame.with_columns(pl.col(QUATERNION) / pl.max_horizontal(pl.col(QUATERNION).abs()) * scale)
        assert np.abs(places(corners(scaled.lazy()).collect()["corners"]) - expected).max() < 2e-12


def test_the_footprint_is_the_bottom_of_an_upright_cuboid() -> None:
    frame = cuboids().drop(QUATERNION)
    found = bev_polygon(frame.lazy()).collect()["bev_polygon"]
    assert found.explode().struct.field("z").null_count() == 4 * len(frame)
    polygon, bottom = places(found)[..., :2], places(corners(frame.lazy()).collect()["corners"])[:, :4, :2]
    assert np.abs(polygon - bottom).max() < 2e-12
    measured = found.to_frame().select(area=area(pl.col("bev_polygon")), centre=centroid(pl.col("bev_polygon")))
    assert measured["area"].to_numpy() == pytest.approx((frame["length"] * frame["width"]).to_numpy(), rel=1e-9)
    centres = measured["centre"].struct.unnest().select("x", "y").to_numpy()
    assert np.abs(centres - frame.select("x", "y").to_numpy()).max() < 1e-9
    twice = polygon[:, 0] - polygon[:, 1], polygon[:, 2] - polygon[:, 1]
    assert (twice[0][:, 0] * twice[1][:, 1] - twice[0][:, 1] * twice[1][:, 0] < 0).all()  # counter-clockwise


def test_a_rotation_does_not_change_the_footprint() -> None:
    frame = cuboids()
    assert (
        bev_polygon(frame.lazy())
        .collect()["bev_polygon"]
        .equals(bev_polygon(frame.drop(QUATERNION).lazy()).collect()["bev_polygon"])
    )


def test_yaw_of_a_quaternion() -> None:
    frame = cuboids()
    found = quaternion_to_yaw(frame.lazy()).collect()
    matrices = rotations(frame)
    heading = np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0])
    steady = np.hypot(matrices[:, 1, 0], matrices[:, 0, 0]) > 1e-3
    assert steady.mean() > 0.99
    assert np.abs(found["yaw"].to_numpy() - heading)[steady].max() < 1e-12
    kept = frame["qx"].is_null()
    assert found.filter(kept).equals(frame.filter(kept))
    assert quaternion_to_yaw(frame.drop("yaw").lazy()).collect()["yaw"].null_count() == kept.sum()


@given(st.floats(-math.pi, math.pi))
def test_yaw_to_quaternion_and_back(yaw: float) -> None:
    turned = yaw_to_quaternion(pl.LazyFrame({"yaw": [yaw]})).collect()
    assert turned.columns == ["yaw", *QUATERNION]
    quaternion = turned.row(0)[1:]
    assert quaternion == pytest.approx(tuple(Rotation.from_euler("z", yaw).as_quat()), abs=1e-15)
    back = quaternion_to_yaw(turned.lazy().with_columns(yaw=None)).collect()["yaw"].item()
    assert back == pytest.approx(yaw, abs=1e-15)
    assert -math.pi <= back <= math.pi


def test_yaw_to_quaternion_fills_and_does_not_replace() -> None:
    frame = cuboids()
    found = yaw_to_quaternion(frame.lazy()).collect()
    there = frame["qx"].is_not_null()
    assert found.columns == frame.columns
    assert found.filter(there).equals(frame.filter(there))
    assert found.select(QUATERNION).null_count().sum_horizontal().item() == 0
    assert np.abs(rotations(found) - rotations(frame)).max() < 1e-14
    part = {
        "yaw": [0.0, 0.0, None],
        "qx": [1.0, 0.0, None],
        "qy": [None, 0.0, 2.0],
        "qz": [1.0, 0.0, 2.0],
        "qw": [1.0, 0.0, 2.0],
    }
    nothing, one = (None,) * 4, (0.0, 0.0, 0.0, 1.0)
    assert yaw_to_quaternion(pl.LazyFrame(part)).select(QUATERNION).collect().rows() == [one, one, nothing]


@given(st.floats(-1e6, 1e6), st.integers(-5, 5))
def test_wrap_angle(angle: float, turns: int) -> None:
    [wrapped] = pl.select(wrap_angle(pl.lit(angle))).to_series()
    assert -math.pi <= wrapped <= math.pi
    assert math.cos(wrapped - angle) == pytest.approx(1, abs=1e-12)
    [again] = pl.select(wrap_angle(pl.lit(wrapped + turns * math.tau))).to_series()
    assert math.cos(again - wrapped) == pytest.approx(1, abs=1e-12)


def test_wrap_angle_at_the_ends() -> None:
    angles = [-math.pi, math.pi, math.nextafter(math.pi, 4), math.nextafter(-math.pi, -4), 0.0, 3, None, math.nan]
    frame = pl.DataFrame({"yaw": angles}, strict=False)
    found = frame.select(wrap_angle(pl.col("yaw")))["yaw"].to_list()
    assert found[:2] == [-math.pi, math.pi]
    assert [abs(angle) for angle in found[2:4]] == pytest.approx([math.pi] * 2, abs=1e-15)
    assert max(abs(angle) for angle in found[2:4]) <= math.pi
    assert found[4:7] == [0.0, 3.0, None]
    assert math.isnan(found[7])
    assert pl.DataFrame({"yaw": [None]}).select(wrap_angle(pl.col("yaw")))["yaw"].to_list() == [None]
    with pytest.raises(SchemaError, match="Expected a number, got `String`"):
        pl.DataFrame({"yaw": ["0.5"]}).select(wrap_angle(pl.col("yaw")))
    assert pl.select(wrap_angle(pl.lit(7))).item() == pytest.approx(7 - math.tau)


def test_nulls_and_nan() -> None:
    """A null makes null what needs it; NaN stays NaN."""
    car: dict[str, Any] = {"x": 1.0, "y": 2.0, "z": 3.0, "length": 4.0, "width": 2.0, "height": 1.0, "yaw": 0.0}
    for name in car:
        frame = pl.LazyFrame([car, car | {name: None}, car | {name: math.nan}])
        for method, needed in [(corners, car), (bev_polygon, ["x", "y", "length", "width", "yaw"])]:
            found = method(frame).select(pl.last()).collect().to_series()
            assert found.is_null().to_list() == [False, name in needed, False]
            numbers = found.filter(found.is_not_null()).explode().struct.unnest().select("x", "y")
            if method is bev_polygon:
                assert numbers.select(pl.any_horizontal(pl.all().is_nan())).to_series().any() == (name in needed)
    empty = pl.LazyFrame(schema=dict.fromkeys(car, pl.Null))
    assert corners(empty).collect().height == 0
    nothing = pl.LazyFrame({name: [None] for name in car})
    assert corners(nothing).collect()["corners"].to_list() == [None]
    assert bev_polygon(nothing).collect()["bev_polygon"].to_list() == [None]
    upright = {"x": 0.0, "y": 0.0, "z": 0.0, "length": 1.0, "width": 1.0, "height": 1.0, "yaw": None}
    turned = pl.LazyFrame([upright | dict(zip(QUATERNION, (0, 0, 0, 1.0), strict=True))])
    assert corners(turned).collect()["corners"].null_count() == 0  # the yaw is not needed


def test_whole_numbers_and_single_precision() -> None:
    car = {"x": 1, "y": 2, "z": 3, "length": 4, "width": 2, "height": 1, "yaw": 1}
    expected = pl.LazyFrame([car], schema=dict.fromkeys(car, pl.Float64))
    for dtype in (pl.Int32, pl.Float32):
        frame = pl.LazyFrame([car], schema=dict.fromkeys(car, dtype))
        for method in (corners, bev_polygon, yaw_to_quaternion):
            found, doubles = method(frame).collect(), method(expected).collect()
            assert found.drop(list(car)).equals(doubles.drop(list(car)))
            assert found.drop(list(car)).schema == doubles.drop(list(car)).schema
            assert found.select(list(car)).equals(frame.collect())


@pytest.mark.parametrize("name", METHODS)
def test_engines_agree(name: str) -> None:
    frame = cuboids().with_columns(pl.lit("car").alias("category"))
    eager = METHODS[name](frame.lazy()).collect()
    assert [column for column in eager.columns if column in frame.columns] == frame.columns
    assert not [column for column in eager.columns if column.startswith("__")]
    for engine in ("in-memory", "streaming"):
        assert METHODS[name](frame.lazy()).collect(engine=engine).equals(eager)
    assert METHODS[name](frame[:0].lazy()).collect().schema == eager.schema
    plan = METHODS[name](frame.lazy()).show_graph(
        engine="streaming", plan_stage="physical", raw_output=True, show=False
    )
    assert plan is not None
    assert "[label=" in plan
    assert 'fillcolor="0.0 0.3 1.0"' not in plan  # what falls back to the engine in memory


@pytest.mark.parametrize("name", METHODS)
def test_extension_columns(name: str) -> None:
    frame = cuboids().drop("index")
    cuboid = pl.struct(pl.all())
    dtype = frame.select(cuboid=cuboid).schema["cuboid"]
    extension = frame.select(cuboid.alias("cuboid").ext.to(pl.Extension("arrow_labels.cuboid", dtype, "")))
    assert METHODS[name](extension.lazy()).collect().equals(METHODS[name](frame.lazy()).collect())


def test_missing_and_wrong_columns() -> None:
    frame = cuboids().lazy()
    with pytest.raises(SchemaError, match="Expected columns `yaw`, got index, x, "):
        corners(frame.drop("yaw"))
    with pytest.raises(SchemaError, match="Expected columns `qw`, got "):
        corners(frame.drop("qw"))
    with pytest.raises(SchemaError, match="Expected a number, got `String` - in column `width`"):
        bev_polygon(frame.with_columns(width=pl.lit("wide")))
    with pytest.raises(SchemaError, match="Expected columns `yaw`"):
        yaw_to_quaternion(frame.drop("yaw"))
    with pytest.raises(SchemaError, match="Expected columns `qx`, `qy`"):
        quaternion_to_yaw(frame.drop("qx", "qy"))
    with pytest.raises(SchemaError, match="Expected a number, got `Boolean` - in column `yaw`"):
        quaternion_to_yaw(frame.with_columns(yaw=True))
