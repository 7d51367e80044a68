"""World and ego coordinates, against scipy's rotations."""

import math
from collections.abc import Callable
from typing import Any

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
from arrow_labels.expressions.ego import to_ego, to_world

Floats = npt.NDArray[np.float64]
XYZ, XYZW = ("x", "y", "z"), ("qx", "qy", "qz", "qw")
EGO_XYZ, EGO_XYZW = ("ego_x", "ego_y", "ego_z"), ("ego_qx", "ego_qy", "ego_qz", "ego_qw")
POINTS = pl.List(pl.Struct(dict.fromkeys(XYZ, pl.Float64)))
LEVEL = (0.0, 0.0, 0.0, 1.0)

seeds = st.integers(0, 2**32 - 1)


def columns(names: tuple[str, ...], values: Floats) -> dict[str, Floats]:
    return dict(zip(names, np.ascontiguousarray(values.T), strict=True))


def keys(frames: Any) -> dict[str, Any]:
    return {"sample_id": "a", "sensor_index": 0, "frame_index": frames}


def sample_frames(positions: Floats, headings: Floats) -> pl.DataFrame:
    return pl.DataFrame(
        {**keys(np.arange(len(positions))), **columns(EGO_XYZ, positions), **columns(EGO_XYZW, headings)}
    )


def random_poses(random: np.random.Generator, frames: int, tilt: float = math.pi) -> tuple[Floats, Floats]:
    """Positions, and headings of any norm that are tilted by no more than an angle."""
    angles = random.uniform([-math.pi, -tilt / 2, -tilt / 2], [math.pi, tilt / 2, tilt / 2], (frames, 3))
    headings = Rotation.from_euler("ZYX", angles).as_quat() * random.uniform(0.1, 10, (frames, 1))
    return random.normal(0, 1000, (frames, 3)), headings * random.choice([-1, 1], (frames, 1))


def numbers(frame: pl.DataFrame, names: tuple[str, ...]) -> Floats:
    return frame.select(names).to_numpy()


def turned(angles: Floats) -> Rotation:
    return Rotation.from_euler("z", angles[:, None])


def yaw_of(rotation: Rotation) -> Floats:
    heading = rotation.apply([1.0, 0.0, 0.0])
    return np.arctan2(heading[:, 1], heading[:, 0])


def same_angle(one: Floats, other: Floats, tolerance: float) -> bool:
    return bool(np.abs(np.exp(1j * one) - np.exp(1j * other)).max() < tolerance)


@given(seeds)
def test_agrees_with_scipy(seed: int) -> None:
    random = np.random.default_rng(seed)
    positions, headings = random_poses(random, 5)
    frames = random.integers(0, 5, 30)
    places, rotations = random.normal(0, 1000, (30, 3)), Rotation.random(30, rng=random)
    rows = {**keys(frames), **columns(XYZ, places), **columns(XYZW, rotations.as_quat()), "yaw": yaw_of(rotations)}
    ego = Rotation.from_quat(headings[frames])

    seen = everywhere(to_ego(pl.LazyFrame(rows), sample_frames(positions, headings)))
    np.testing.assert_allclose(numbers(seen, XYZ), ego.inv().apply(places - positions[frames]), rtol=0, atol=1e-10)
    expected = ego.inv() * rotations
    assert (Rotation.from_quat(numbers(seen, XYZW)) * expected.inv()).magnitude().max() < 1e-12
    yaws = seen["yaw"].to_numpy()
    assert np.abs(yaws).max() <= math.pi
    assert same_angle(yaws, yaw_of(expected), 1e-9)

    world = everywhere(to_world(pl.LazyFrame(rows), sample_frames(positions, headings)))
    np.testing.assert_allclose(numbers(world, XYZ), ego.apply(places) + positions[frames], rtol=0, atol=1e-10)
    assert (Rotation.from_quat(numbers(world, XYZW)) * (ego * rotations).inv()).magnitude().max() < 1e-12
    assert same_angle(world["yaw"].to_numpy(), yaw_of(ego * rotations), 1e-9)


@settings(max_examples=40)
@given(seeds)
def test_a_cuboid_without_rotation_is_upright_in_the_world(seed: int) -> None:
    random = np.random.default_rng(seed)
    positions, headings = random_poses(random, 5, tilt=1.5)
    frames, yaws = random.integers(0, 5, 30), random.uniform(-math.pi, math.pi, 30)
    rows = pl.LazyFrame({**keys(frames), **columns(XYZ, random.normal(0, 10, (30, 3))), "yaw": yaws})
    poses = sample_frames(positions, headings)
    seen = everywhere(to_ego(rows, poses))
    assert np.abs(seen["yaw"].to_numpy()).max() <= math.pi
    assert same_angle(seen["yaw"].to_numpy(), yaw_of(Rotation.from_quat(headings[frames]).inv() * turned(yaws)), 1e-12)
    assert same_angle(everywhere(to_world(seen.lazy(), poses))["yaw"].to_numpy(), yaws, 1e-12)
    # The same with columns for a rotation that is not there, and after a full rotation was made of the yaw.
    nothing = rows.with_columns(pl.lit(None, pl.Float64).alias(name) for name in XYZW)
    assert_frame_equal(everywhere(to_ego(nothing, poses)).drop(XYZW), seen)
    full = rows.with_columns(pl.Series(name, part) for name, part in columns(XYZW, turned(yaws).as_quat()).items())
    assert same_angle(everywhere(to_ego(full, poses))["yaw"].to_numpy(), seen["yaw"].to_numpy(), 1e-12)


@settings(max_examples=40)
@given(seeds)
def test_to_world_undoes_to_ego(seed: int) -> None:
    random = np.random.default_rng(seed)
    positions, headings = random_poses(random, 4, tilt=1.5)
    count = 20
    rotations = Rotation.random(count, rng=random).as_quat() * random.uniform(0.1, 10, (count, 1))
    rotations[::3] = np.nan  # null below
    shapes = [random.normal(0, 100, (length, 3)) for length in random.integers(0, 5, count)]
    rows = pl.DataFrame(
        {
            **keys(random.integers(0, 4, count)),
            **columns(XYZ, random.normal(0, 1000, (count, 3))),
            # Not that of the rotation: exports round it, and old ones have another one.
            "yaw": random.uniform(-math.pi, math.pi, count),
            **columns(XYZW, rotations),
            "points": pl.Series([[dict(zip(XYZ, p, strict=True)) for p in shape] for shape in shapes], dtype=POINTS),
        }
    ).with_columns(pl.col(XYZW).fill_nan(None))
    poses = sample_frames(positions, headings)
    back = everywhere(to_world(to_ego(rows.lazy(), poses), poses))
    apart = pl.col("yaw") - rows["yaw"]
    turns = (apart / math.tau).round() * math.tau
    assert_frame_equal(back.with_columns(pl.col("yaw") - turns), rows, rel_tol=0, abs_tol=1e-9)
    there = everywhere(to_ego(to_world(rows.lazy(), poses), poses))
    assert_frame_equal(there.with_columns(pl.col("yaw") - turns), rows, rel_tol=0, abs_tol=1e-9)


@pytest.mark.parametrize("pitch", [-0.5 * math.pi, 0.5 * math.pi])
@pytest.mark.parametrize("tilt", [0.2, 0.5 * math.pi])
def test_headings_straight_up_and_down_come_back(pitch: float, tilt: float) -> None:
    steep = np.array([[0.0, math.copysign(1.0, pitch), 0.0, 1.0], *turned(np.array([0.3, 1.0])).as_quat()])
    steep[1] = Rotation.from_euler("ZYX", [[0.3, pitch, 0.0]]).as_quat()[0]
    rows = pl.DataFrame(
        {**keys([0, 0, 0]), "x": 1.0, "y": 2.0, "z": 3.0, **columns(XYZW, steep), "yaw": [0.3, -0.7, 1.0]}
    )
    # The third heads for where the ego looks up or down.
    ego = Rotation.from_euler("ZYX", [[1.0, math.copysign(tilt, pitch), 0.0]]).as_quat()
    poses = sample_frames(np.zeros((1, 3)), ego)
    level = rows if tilt < 1 else rows.tail(1)
    assert_frame_equal(everywhere(to_world(to_ego(level.lazy(), poses), poses)), level, rel_tol=0, abs_tol=1e-12)


def test_points_agree_with_scipy() -> None:
    random = np.random.default_rng(3)
    positions, headings = random_poses(random, 4)
    frames = random.integers(0, 4, 200)
    shapes = [random.normal(0, 100, (length, 3)) for length in random.integers(0, 7, 200)]
    lists = [[dict(zip(XYZ, point, strict=True)) for point in shape] for shape in shapes]
    rows = pl.LazyFrame({**keys(frames), "points": pl.Series(lists, dtype=POINTS), "type": "polyline"})
    poses = sample_frames(positions, headings)
    for method, expected in (
        (to_ego, lambda ego, origin, shape: ego.inv().apply(shape - origin)),
        (to_world, lambda ego, origin, shape: ego.apply(shape) + origin),
    ):
        found = everywhere(method(rows, poses))
        assert found.schema == rows.collect_schema()
        for frame, shape, points in zip(frames, shapes, found["points"].to_list(), strict=True):
            moved = expected(Rotation.from_quat(headings[frame]), positions[frame], shape)
            np.testing.assert_allclose([list(p.values()) for p in points], moved.tolist(), rtol=0, atol=1e-10)


def test_points_without_z_are_no_places() -> None:
    point = {"x": 1.0, "y": 2.0, "z": 3.0}
    nothing = dict.fromkeys(XYZ)
    given_points = [[point, {**point, "z": None}], [], None, [None], [{**point, "x": None}]]
    rows = pl.LazyFrame({**keys(0), "points": pl.Series(given_points, dtype=POINTS)})
    poses = sample_frames(np.zeros((1, 3)), np.array([LEVEL]))
    for method in (to_ego, to_world):
        assert everywhere(method(rows, poses))["points"].to_list() == [[point, nothing], [], None, [nothing], [nothing]]


ROWS = pl.DataFrame(
    {
        "note": ["first", "second", "third"],
        **keys([2, 0, 1]),
        "x": [1, 2, 3],
        "y": 0.0,
        "z": 0.0,
        "yaw": 0.5,
        "qx": 0.0,
        "qy": 0.0,
        "qz": math.sin(0.25),
        "qw": math.cos(0.25),
        "points": pl.Series([[{"x": 1.0, "y": 1.0, "z": 1.0}]] * 3, dtype=POINTS),
        "length": 4,
    }
)
MOVED = (*XYZ, "yaw", *XYZW, "points")
POSES = sample_frames(np.array([[10.0, 0, 0], [20.0, 0, 0]]), np.array([LEVEL, LEVEL]))
Method = Callable[..., pl.LazyFrame]
both = pytest.mark.parametrize("method", [to_ego, to_world])


def without(frame: int, change: dict[str, Any]) -> pl.DataFrame:
    at = pl.col("frame_index") == frame
    return POSES.with_columns(
        pl.when(at).then(pl.lit(value, pl.Float64)).otherwise(name).alias(name) for name, value in change.items()
    )


@both
@pytest.mark.parametrize(
    "poses",
    [
        POSES.filter(pl.col("frame_index") == 0),
        POSES.clear(),
        without(1, {"ego_z": None}),
        without(1, {"ego_qw": None}),
        without(1, {"ego_qw": 0.0}),
        without(1, dict.fromkeys((*EGO_XYZ, *EGO_XYZW))),
        POSES.with_columns(pl.lit("b").alias("sample_id")),
        POSES.with_columns(pl.lit(1).alias("sensor_index")),
        POSES.with_columns(pl.lit(None, pl.String).alias("sample_id")),
    ],
    ids=lambda poses: "",
)
def test_a_frame_without_pose_gives_nulls_or_an_error(method: Method, poses: pl.DataFrame) -> None:
    found = everywhere(method(ROWS.lazy(), poses))
    for row in found.filter(pl.col("frame_index") > 0).select(MOVED).rows():
        assert row == (None,) * len(MOVED)
    assert found.select("note", "length").equals(ROWS.select("note", "length"))
    for engine in ("in-memory", "streaming"):
        with pytest.raises(al.SchemaError, match=r"Expected an ego pose for every row, got none - at sample_id 'a', "):
            method(ROWS.lazy(), poses, missing="error").collect(engine=engine)
        with pytest.raises(al.SchemaError, match="Expected an ego pose"):
            method(ROWS.lazy(), poses, missing="error").select("yaw").collect(engine=engine)


@both
def test_an_error_only_where_a_pose_is_missing(method: Method) -> None:
    rows = ROWS.lazy().filter(pl.col("frame_index") < 2)
    assert_frame_equal(everywhere(method(rows, POSES, missing="error")), everywhere(method(rows, POSES)))


def test_the_pose_is_that_of_the_frame_and_sensor() -> None:
    other = POSES.with_columns(pl.lit(1).alias("sensor_index"), pl.col("ego_x") + 1000)
    twice = pl.concat([POSES.with_columns(pl.col("ego_x") - 7777), other, POSES])
    narrow = twice.with_columns(pl.col("frame_index", "sensor_index").cast(pl.Int32)).sample(fraction=1, seed=1)
    late = ROWS.lazy().filter(pl.col("frame_index") == 1)
    assert everywhere(to_ego(late, twice))["x"].to_list() == [-17.0]
    assert everywhere(to_ego(late.with_columns(sensor_index=1), twice))["x"].to_list() == [-1017.0]
    first = narrow.unique(("sensor_index", "frame_index"), keep="last")
    assert everywhere(to_ego(late, narrow)).equals(everywhere(to_ego(late, first.to_arrow())))


def test_of_many_frames_given_twice_the_last_row_counts() -> None:
    frames = np.arange(50_000)
    poses = sample_frames(np.zeros((len(frames), 3)), np.tile(LEVEL, (len(frames), 1)))
    twice = pl.concat([poses.with_columns(ego_x=pl.lit(float(shift))) for shift in (3, 2, 1)])
    rows = pl.LazyFrame({**keys(frames), "x": 1.0, "y": 0.0, "z": 0.0})
    assert everywhere(to_ego(rows, twice))["x"].to_list() == [0.0] * len(frames)


@both
def test_other_columns_and_the_order_stay(method: Method) -> None:
    found = everywhere(method(ROWS.lazy(), POSES))
    assert found.columns == ROWS.columns
    assert found.select("note", "frame_index", "length").equals(ROWS.select("note", "frame_index", "length"))
    assert found.schema == {**ROWS.schema, "x": pl.Float64}
    plain = ROWS.select("frame_index", *XYZ, "sample_id", "sensor_index")
    assert everywhere(method(plain.lazy(), POSES)).equals(found.select(plain.columns))


@both
def test_columns_of_other_types(method: Method) -> None:
    expected = everywhere(method(ROWS.lazy(), POSES))
    for dtype in (pl.Categorical(), pl.Enum(["a", "b"])):
        rows = ROWS.lazy().with_columns(pl.col("sample_id").cast(dtype), pl.col("frame_index").cast(pl.UInt8))
        assert everywhere(method(rows, POSES)).select(MOVED).equals(expected.select(MOVED))
    narrow = POSES.with_columns(pl.col(EGO_XYZ).cast(pl.Int8), pl.col(EGO_XYZW).cast(pl.Float32))
    assert everywhere(method(ROWS.lazy(), narrow)).equals(expected)
    nothing = ROWS.lazy().with_columns(pl.lit(None).alias(name) for name in (*MOVED, "sample_id"))
    found = everywhere(method(nothing, POSES))
    assert found.select(MOVED).schema == expected.select(MOVED).schema
    assert found.select(MOVED).null_count().row(0) == (3,) * len(MOVED)


@both
def test_odd_rows(method: Method) -> None:
    rows = ROWS.lazy().filter(pl.col("frame_index") == 0)

    def row(**change: float | None) -> dict[str, Any]:
        changed = rows.with_columns(pl.lit(value, pl.Float64).alias(name) for name, value in change.items())
        return everywhere(method(changed, POSES)).row(0, named=True)

    normal = row()
    assert row(qx=None) == normal | dict.fromkeys(XYZW)
    assert row(**dict.fromkeys(XYZW, 0.0)) == normal | dict.fromkeys(XYZW)
    assert row(yaw=None) == normal | {"yaw": None}
    assert row(y=None)["x"] is None
    assert math.isnan(row(y=math.nan)["y"])
    assert math.isnan(row(qz=math.nan)["qz"])
    assert math.isnan(row(yaw=math.nan)["yaw"])
    assert row(yaw=0.5 + 3 * math.tau)["yaw"] == pytest.approx(0.5)
    assert abs(row(yaw=math.pi, qz=1.0, qw=0.0)["yaw"]) == math.pi


def test_an_ego_on_its_side_gives_no_yaw_back() -> None:
    poses = sample_frames(np.zeros((1, 3)), np.array([[0.5, 0.5, 0.5, 0.5]]))
    rows = pl.LazyFrame({**keys([0]), "x": 1.0, "y": 2.0, "z": 3.0, "yaw": 0.5})
    assert everywhere(to_world(rows, poses)).select(*XYZ, "yaw").row(0) == (3.0, 1.0, 2.0, None)
    assert everywhere(to_ego(rows, poses)).select(*XYZ, "yaw").row(0) == (2.0, 3.0, 1.0, 0.0)


@both
def test_empty_frames(method: Method) -> None:
    found = everywhere(method(ROWS.lazy().clear(), POSES))
    assert found.schema == {**ROWS.schema, "x": pl.Float64}
    assert everywhere(method(ROWS.lazy().clear(), POSES, missing="error")).height == 0


@both
def test_wrong_input(method: Method) -> None:
    rows = ROWS.lazy()
    with pytest.raises(al.SchemaError, match=r"Expected columns `frame_index`, got note, "):
        method(rows.drop("frame_index"), POSES)
    with pytest.raises(al.SchemaError, match=r"Expected columns `ego_qw`, got .* - in sample_frames"):
        method(rows, POSES.drop("ego_qw"))
    with pytest.raises(al.SchemaError, match=r"Expected columns `x`, `y`, `z`"):
        method(rows.drop(*XYZ, "points"), POSES)
    with pytest.raises(al.SchemaError, match=r"Expected columns `z`"):
        method(rows.drop("z"), POSES)
    with pytest.raises(al.SchemaError, match=r"Expected columns `qz`"):
        method(rows.drop("qz"), POSES)
    with pytest.raises(al.SchemaError, match=r"Expected a number, got `String` - in column `yaw`"):
        method(rows.with_columns(pl.col("yaw").cast(pl.String)), POSES)
    with pytest.raises(al.SchemaError, match=r"Expected a list of structs of x, y and z"):
        method(rows.with_columns(points=pl.lit([1.0])), POSES)
    with pytest.raises(al.SchemaError, match=r"Expected a number, got `String` - in column `ego_x` - in sample_frames"):
        method(rows, POSES.with_columns(pl.col("ego_x").cast(pl.String)))
    with pytest.raises(al.SchemaError, match=r"Expected a Polars frame or a pyarrow table, got `dict`"):
        method(rows, {})
    with pytest.raises(ValueError, match=r"missing: expected 'null' or 'error', got 'drop'"):
        method(rows, POSES, missing="drop")


@both
def test_the_plan_streams(method: Method) -> None:
    for missing in ("null", "error"):
        assert "in-memory-map" not in physical_nodes(method(ROWS.lazy(), POSES.lazy(), missing=missing))
