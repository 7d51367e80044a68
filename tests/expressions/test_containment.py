"""Points in cuboids, against NumPy with a loop over the cuboids."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from arrow_labels.errors import SchemaError
from arrow_labels.expressions.containment import count_points, points_in_cuboids
from arrow_labels.expressions.cuboids import corners

KEY = {"sample_id": "s", "sensor_index": 0, "frame_index": 0}
GEOMETRY = ["x", "y", "z", "length", "width", "height", "yaw"]
QUATERNION = ["qx", "qy", "qz", "qw"]
CUBE = {"x": 0.0, "y": 0.0, "z": 0.0, "length": 2.0, "width": 2.0, "height": 2.0, "yaw": 0.0}


def keyed(frame: pl.DataFrame, **keys: Any) -> pl.DataFrame:
    return frame.with_columns(pl.lit(value).alias(name) for name, value in (KEY | keys).items())


def cloud(places: npt.NDArray[np.float64], **keys: Any) -> pl.DataFrame:
    return keyed(pl.DataFrame(places.reshape(-1, 3), schema=["x", "y", "z"], orient="row"), **keys)


def scene(count: int, seed: int, offset: float = 0.0, turned: bool = True) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Points and cuboids of one frame; every other cuboid has a rotation."""
    random = np.random.default_rng(seed)
    numbers = random.normal(0, 6, (count, 11))
    numbers[:, 2] = random.normal(0, 1, count)
    numbers[:, 3:6] = random.uniform(0.2, 6, (count, 3))
    frame = pl.DataFrame(numbers, schema=GEOMETRY + QUATERNION, orient="row").with_row_index("annotation_index")
    frame = frame.with_columns(pl.col("annotation_index").cast(pl.Int32), pl.col("x", "y") + offset)
    is_turned = pl.lit(turned) & (pl.col("annotation_index") % 2 == 1)
    frame = keyed(frame.with_columns(pl.when(is_turned).then(pl.col(QUATERNION))))
    places = random.normal(0, 8, (count * 40, 3)) * [1, 1, 0.3] + [offset, offset, 0]
    return cloud(places), frame


def expected(points: pl.DataFrame, frame: pl.DataFrame) -> set[tuple[int, int]]:
    places = points.select("x", "y", "z").to_numpy()
    pairs = set()
    for n, row in enumerate(frame.rows(named=True)):
        yaw = Rotation.from_euler("z", row["yaw"])
        rotation = yaw if row.get("qx") is None else Rotation.from_quat([row[name] for name in QUATERNION])
        own = rotation.inv().apply(places - [row["x"], row["y"], row["z"]])
        inside = (np.abs(own) <= np.array([row["length"], row["width"], row["height"]]) / 2).all(axis=1)
        pairs |= {(int(point), n) for point in np.flatnonzero(inside)}
    return pairs


def found(points: pl.DataFrame, frame: pl.DataFrame, **options: Any) -> list[tuple[int, int]]:
    pairs = points_in_cuboids(points.lazy(), frame, **options).select("point_index", "annotation_index").collect()
    return pairs.rows()


@pytest.mark.parametrize("offset", [0.0, -1500.3, 4.5e5])
@pytest.mark.parametrize("turned", [False, True])
def test_agrees_with_numpy(offset: float, turned: bool) -> None:
    points, frame = scene(60, 1, offset, turned)
    pairs = expected(points, frame)
    assert len(pairs) > 500
    got = found(points, frame)
    assert set(got) == pairs
    assert got == sorted(got)  # the order of the points, then of the cuboids; and each pair once
    counts = count_points(frame.lazy(), points).collect()
    assert counts.drop("point_count").equals(frame)
    assert counts["point_count"].to_list() == [sum(pair[1] == n for pair in pairs) for n in range(60)]
    assert counts.schema["point_count"] == pl.Int64


@settings(max_examples=30)
@given(st.floats(0.05, 1000), st.integers(0, 3))
def test_the_size_of_cells_changes_nothing(cell: float, seed: int) -> None:
    points, frame = scene(12, seed)
    assert found(points, frame, cell=cell) == found(points, frame)


def test_cuboids_of_all_sizes() -> None:
    """Some cover every cell there is, and places are so far apart that their cells are the same."""
    points, frame = scene(30, 4)
    points = pl.concat([points.with_columns(pl.col("x") + shift) for shift in (0, 256, -512, 25600, 1e9)])
    large = pl.when(pl.col("annotation_index") < 4).then(1000 ** (pl.col("annotation_index") + 1)).otherwise(1)
    frame = frame.with_columns(pl.col("length", "width") * large)
    got = found(points, frame)
    assert set(got) == expected(points, frame)
    assert len(got) == len(set(got)) > 1000


def test_the_surface_belongs_to_the_cuboid() -> None:
    grid = np.stack(np.meshgrid(*[np.arange(-2, 2.5, 0.5)] * 3), axis=-1).reshape(-1, 3)
    frame = keyed(pl.DataFrame([CUBE | {"annotation_index": 0}]))
    inside = np.flatnonzero((np.abs(grid) <= 1).all(axis=1)).tolist()
    assert [point for point, _ in found(cloud(grid), frame)] == inside
    next_to = np.nextafter(np.where(np.abs(grid) == 1, grid, 0), grid * 9) + np.where(np.abs(grid) == 1, 0, grid)
    inner = np.flatnonzero((np.abs(grid) < 1).all(axis=1)).tolist()
    assert [point for point, _ in found(cloud(next_to), frame)] == inner
    for side in ("length", "width", "height"):
        flat = frame.with_columns(pl.lit(0.0).alias(side))
        assert count_points(flat.lazy(), cloud(grid)).collect()["point_count"].item() == 25
        assert (
            count_points(flat.with_columns(pl.col(side) - 1).lazy(), cloud(grid)).collect()["point_count"].item() == 0
        )


@pytest.mark.parametrize("cell", [0.1, 0.25, 2.0, 7.0])
def test_points_just_within_and_just_outside_the_corners(cell: float) -> None:
    """What rounding does to corners must not put them into cells that are not looked at."""
    frame = scene(200, 6, -300.7)[1].with_columns(pl.col("length", "width", "height") * 0.1)
    at = corners(frame.lazy()).explode("corners").select("annotation_index", "x", "y", "z", corner="corners").collect()
    corner = at["corner"].struct.unnest().to_numpy()
    centre = at.select("x", "y", "z").to_numpy()
    who = at["annotation_index"].to_list()
    inner = points_in_cuboids(cloud(corner + (centre - corner) * 1e-9).lazy(), frame, cell=cell).collect()
    assert {(n, owner) for n, owner in enumerate(who)} <= set(inner.select("point_index", "annotation_index").rows())
    outer = points_in_cuboids(cloud(corner - (centre - corner) * 1e-9).lazy(), frame, cell=cell).collect()
    assert not {(n, owner) for n, owner in enumerate(who)} & set(outer.select("point_index", "annotation_index").rows())


def test_frames_do_not_mix() -> None:
    points, frame = scene(20, 7)
    keys = [{"sample_id": s, "sensor_index": n, "frame_index": f} for s in "ab" for n in (0, 1) for f in (0, 5)]
    clouds = pl.concat([keyed(points, **key) for key in keys])
    other = keyed(frame, sample_id="b", sensor_index=1, frame_index=5, labelset="prediction")
    pairs = points_in_cuboids(clouds.lazy(), other).collect()
    assert pairs.select("sample_id", "sensor_index", "frame_index").unique().rows() == [("b", 1, 5)]
    rows = {(point - 7 * len(points), n) for point, n in pairs.select("point_index", "annotation_index").rows()}
    assert rows == expected(points, frame)
    two = pl.concat([other, other.with_columns(labelset=pl.lit("ground-truth"))])
    pairs = points_in_cuboids(clouds.lazy(), two).collect()
    assert pairs["labelset"].value_counts(sort=True)["count"].to_list() == [len(rows)] * 2
    counts = count_points(pl.concat([keyed(frame, **key) for key in keys]).lazy(), keyed(points, **keys[3])).collect()
    assert counts.filter(pl.col("point_count") > 0).select(list(keys[3])).unique().row(0, named=True) == keys[3]


def test_columns() -> None:
    points, frame = scene(10, 8)
    named = frame.with_columns(
        labelset=pl.lit("ground-truth"), id=pl.lit(None, pl.Int64), track_id=7, category_id=0, category=pl.lit("car")
    )
    marked = points.with_columns(point_index=pl.int_range(pl.len(), dtype=pl.Int32).reverse(), intensity=0.5)
    pairs = points_in_cuboids(marked.lazy(), named).collect()
    who = ["labelset", "annotation_index", "id", "track_id", "category_id", "category"]
    assert pairs.columns == [*KEY, "point_index", *who]
    assert pairs.schema["point_index"] == pl.Int64
    last = len(points) - 1
    assert [(last - point, n) for point, n in pairs.select("point_index", "annotation_index").rows()] == found(
        points, frame
    )
    again = count_points(named.with_columns(point_count=-1).lazy(), marked).collect()
    assert again.columns == [*named.columns, "point_count"]
    assert again["point_count"].sum() == pairs.height


def test_cuboids_with_the_same_key_are_counted_apart() -> None:
    points, frame = scene(10, 9)
    same = frame.with_columns(annotation_index=0)
    counts = [count_points(cuboids.lazy(), points).collect()["point_count"] for cuboids in (frame, same)]
    assert counts[0].equals(counts[1])


def test_keys_and_numbers_of_other_types() -> None:
    points, frame = scene(10, 10)
    pairs = found(points, frame)
    others = [
        frame.with_columns(pl.col("frame_index", "sensor_index").cast(pl.Int64)),
        frame.with_columns(pl.col("frame_index").cast(pl.UInt8), pl.col("sample_id").cast(pl.Categorical)),
    ]
    for other in others:
        assert found(points, other) == pairs
        assert count_points(other.lazy(), points).collect()["point_count"].sum() == len(pairs)
    assert points_in_cuboids(points.lazy(), frame.to_arrow()).collect().height == len(pairs)
    single = points.with_columns(pl.col("x", "y", "z").cast(pl.Float32))
    assert set(found(single, frame)) == expected(single.with_columns(pl.col("x", "y", "z").cast(pl.Float64)), frame)
    whole = pl.DataFrame([KEY | {"x": 1, "y": -1, "z": 1}])
    assert found(whole, keyed(pl.DataFrame([CUBE | {"annotation_index": 0}]))) == [(0, 0)]


@pytest.mark.parametrize("number", [None, math.nan, math.inf, -math.inf, 1e300])
def test_points_without_a_place(number: float | None) -> None:
    frame = keyed(pl.DataFrame([CUBE | {"annotation_index": 0}]))
    point = KEY | {"x": 0.5, "y": 0.5, "z": 0.5}
    points = pl.DataFrame([point, *(point | {axis: number} for axis in "xyz"), point], strict=False)
    assert found(points, frame) == [(0, 0), (4, 0)]
    nothing = points.with_columns(pl.lit(number, pl.Float64).alias("x"))
    assert count_points(frame.lazy(), nothing).collect()["point_count"].item() == 0


@pytest.mark.parametrize("column", [*GEOMETRY, *QUATERNION])
@pytest.mark.parametrize("number", [None, math.nan, math.inf])
def test_cuboids_without_a_place_or_a_size(column: str, number: float | None) -> None:
    cube = keyed(pl.DataFrame([CUBE | dict(zip(QUATERNION, [0.5] * 4, strict=True)) | {"annotation_index": 0}]))
    strange = cube.with_columns(pl.lit(number, pl.Float64).alias(column), annotation_index=1)
    points = cloud(np.array([[0.5, 0.5, 0.5]]))
    frame = pl.concat([cube, strange], how="vertical_relaxed")
    # Without a rotation there is still the yaw, and with one the yaw is not needed.
    still = column == "yaw" or (column in QUATERNION and number is None)
    assert found(points, frame) == [(0, 0)] + [(0, 1)] * still
    assert count_points(frame.lazy(), points).collect()["point_count"].to_list() == [1, 1 if still else None]


@pytest.mark.parametrize("yaw", [None, math.nan, 0.0])
@pytest.mark.parametrize(
    "rotation", [[None] * 4, [math.nan] * 4, [0.0] * 4, [0.0, 0.0, 0.0, None], [0.0, 0.0, 0.0, 1.0]]
)
def test_a_cuboid_needs_a_rotation_or_a_yaw(rotation: list[float | None], yaw: float | None) -> None:
    row = CUBE | {"annotation_index": 0, "yaw": yaw} | dict(zip(QUATERNION, rotation, strict=True))
    frame = keyed(pl.DataFrame([row], schema_overrides=dict.fromkeys(["yaw", *QUATERNION], pl.Float64)))
    points = cloud(np.array([[0.5, 0.5, 0.5]]))
    is_turned = rotation == [0, 0, 0, 1]
    there = is_turned or (yaw == 0 and not any(part is not None and math.isnan(part) for part in rotation))
    assert found(points, frame) == [(0, 0)] * there
    assert count_points(frame.lazy(), points).collect()["point_count"].to_list() == [1 if there else None]


def test_numbers_that_overflow() -> None:
    points = cloud(np.array([[0.5, 0.5, 0.5], [1e300, 0, 0]]))
    cube = KEY | CUBE
    frame = pl.DataFrame(
        [cube | {"length": 1e308, "width": 1e308, "yaw": 0.5}, cube | {"x": 1e308}, cube | {"x": 1e17}]
    )
    counts = count_points(frame.lazy(), points).collect()["point_count"].to_list()
    assert counts[1:] == [0, 0]
    assert points_in_cuboids(points.lazy(), frame).collect().height == counts[0]


def test_empty_frames() -> None:
    points, frame = scene(5, 11)
    schema = points_in_cuboids(points.lazy(), frame).collect().schema
    for few, some in [(points[:0], frame), (points, frame[:0]), (points[:0], frame[:0])]:
        pairs = points_in_cuboids(few.lazy(), some).collect()
        assert pairs.height == 0
        assert pairs.schema == schema
        counts = count_points(some.lazy(), few).collect()
        assert counts["point_count"].to_list() == [0] * len(some)
        assert counts.drop("point_count").equals(some)


METHODS: dict[str, Callable[[pl.DataFrame, pl.DataFrame], pl.LazyFrame]] = {
    "points_in_cuboids": lambda points, frame: points_in_cuboids(points.lazy(), frame),
    "count_points": lambda points, frame: count_points(frame.lazy(), points),
}


@pytest.mark.parametrize("name", METHODS)
def test_engines_agree(name: str) -> None:
    scenes = [scene(20, n) for n in range(10)]
    points, frame = (pl.concat([keyed(s[k], frame_index=n) for n, s in enumerate(scenes)]) for k in (0, 1))
    query = METHODS[name](points, frame)
    eager = query.collect()
    assert eager.height >= 200
    assert not [column for column in eager.columns if column.startswith("__")]
    for engine in ("in-memory", "streaming"):
        assert query.collect(engine=engine).equals(eager)
    plan = query.show_graph(engine="streaming", plan_stage="physical", raw_output=True, show=False)
    assert plan is not None
    assert "equi-join" in plan
    assert 'fillcolor="0.0 0.3 1.0"' not in plan  # what falls back to the engine in memory


def test_bad_arguments() -> None:
    points, frame = scene(2, 12)
    for wrong in (0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="cell: expected a positive number, got"):
            points_in_cuboids(points.lazy(), frame, cell=wrong)
        with pytest.raises(ValueError, match="cell: expected a positive number, got"):
            count_points(frame.lazy(), points, cell=wrong)
    with pytest.raises(SchemaError, match="Expected columns `frame_index`, got"):
        points_in_cuboids(points.drop("frame_index").lazy(), frame)
    with pytest.raises(SchemaError, match="Expected columns `yaw`, got .* - in cuboids"):
        points_in_cuboids(points.lazy(), frame.drop("yaw"))
    with pytest.raises(SchemaError, match="Expected columns `z`, got .* - in points"):
        count_points(frame.lazy(), points.drop("z"))
    with pytest.raises(SchemaError, match="Expected an integer, got `Float64` - in column `point_index`"):
        points_in_cuboids(points.with_columns(point_index=0.5).lazy(), frame)
    with pytest.raises(SchemaError, match="Expected columns `qw`, got"):
        count_points(frame.drop("qw").lazy(), points)
