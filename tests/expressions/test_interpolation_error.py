"""What the rows between keyframes differ by, against an independent implementation."""

import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import tracks
from engines import everywhere
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from tracks import QUATERNION, Row, one_track, points, random_clocks, random_label, streams, table, track_of

import arrow_labels as al
from arrow_labels.expressions.interpolation_error import interpolation_error

Options = Any
seeds = st.integers(0, 2**32).map(random.Random)
MEASURES = ("position", "dimensions", "yaw", "rotation", "points")
EXACT = 1e-11


def worst(found: pl.DataFrame, way: str) -> list[float | None]:
    """The largest difference of each track."""
    return found.select(pl.max_horizontal(f"{name}_by_{way}" for name in MEASURES)).to_series().to_list()


@given(seeds, st.sampled_from(["frame_index", "timestamp"]))
@settings(max_examples=20)
def test_tells_which_way_an_export_used(rng: random.Random, way: str) -> None:
    label = random_label(rng, random_clocks(rng), way)
    found = interpolation_error(table(label).lazy()).collect()
    between = [row for row in label if not row["is_keyframe"]]
    assert found["in_between_rows"].sum() == len(between)
    assert found.height == len({track_of(row) for row in between})
    assert max(filter(None, worst(found, way)), default=0.0) < EXACT
    other = "timestamp" if way == "frame_index" else "frame_index"
    moving = [row for row in between if row["type"] in tracks.DEFAULT_SHAPES]
    assert not moving or max(filter(None, worst(found, other))) > 1e-3
    one: Options = {"by": way}
    assert (
        interpolation_error(table(label).lazy(), **one)
        .collect()
        .equals(found.drop([name for name in found.columns if name.endswith(f"_by_{other}")]))
    )


def differences(row: Row, given: Row) -> dict[str, float]:
    """Between what is and what should be, one row at a time."""
    made = {}
    if row["type"].startswith("cuboid"):
        made["position"] = math.dist(*([one[axis] for axis in "xyz"] for one in (row, given)))
        made["dimensions"] = max(abs(row[side] - given[side]) for side in ("length", "width", "height"))
        made["yaw"] = abs(math.remainder(row["yaw"] - given["yaw"], math.tau))
        turns = [Rotation.from_quat([one[name] for name in QUATERNION]) for one in (row, given)]
        made["rotation"] = float((turns[0] * turns[1].inv()).magnitude())
    else:
        pairs = zip(row["points"], given["points"], strict=True)
        made["points"] = max(math.dist(*([one[axis] or 0.0 for axis in "xyz"] for one in pair)) for pair in pairs)
    return made


@given(seeds)
@settings(max_examples=20)
def test_finds_rows_that_were_edited(rng: random.Random) -> None:
    clocks = random_clocks(rng)
    label = random_label(rng, clocks, "frame_index")
    expected = {}
    for place in rng.sample(range(len(label)), len(label)):
        row = label[place]
        if row["is_keyframe"] or track_of(row) in expected:
            continue
        other = tracks.random_state(rng, row["type"])
        if row["points"]:
            shifted = [{axis: at and at + rng.uniform(1, 5) for axis, at in point.items()} for point in row["points"]]
            other["points"] = shifted
        label[place] = row | other
        expected[track_of(row)] = row["frame_index"], differences(label[place], row)
    found = interpolation_error(table(label).lazy(), by="frame_index").collect()
    assert found.height == len(expected)
    for row in found.iter_rows(named=True):
        frame, apart = expected[row["sample_id"], row["labelset"], row["sensor_index"], row["track_id"]]
        assert row["worst_frame_by_frame_index"] == frame
        for name in MEASURES:
            assert row[f"{name}_by_frame_index"] == (pytest.approx(apart[name], abs=EXACT) if name in apart else None)


def test_a_label_of_the_platform() -> None:
    tables = al.read_labels(Path(__file__).parent.parent / "data/drive/release.json")
    cuboids = interpolation_error(pl.DataFrame(tables["cuboids"]).lazy()).collect()
    vectors = interpolation_error(pl.DataFrame(tables["vectors"]).lazy()).collect()
    for way in ("frame_index", "timestamp"):
        assert np.max(cuboids.select(f"^(position|dimensions|yaw|rotation)_by_{way}$").to_numpy()) < 1e-6
        assert vectors[f"points_by_{way}"].max() < 1e-3  # type: ignore[operator]


def measured(name: str, between: Any, ends: tuple[Any, Any], **options: Any) -> float | None:
    """The difference of one row, halfway between two keyframes."""
    rows = one_track(frame_index=[0, 1, 2], is_keyframe=[True, False, True], **{name: [ends[0], between, ends[1]]})
    found = interpolation_error(rows, **options).collect()
    return found.item(0, next(column for column in found.columns if column.endswith("_by_frame_index")))  # type: ignore[no-any-return]


def test_measures() -> None:
    assert measured("x", 5.0, (0.0, 4.0)) == 3.0
    assert measured("width", 1.0, (0.0, 4.0)) == 1.0
    assert measured("yaw", -3.0, (3.0, -3.0)) == pytest.approx(math.pi - 3)
    box = points((2, 2), (6, 9))
    assert measured("points", box, (points((0, 0), (4, 4)), points((4, 4), (8, 8)))) == 3.0
    flat = one_track(
        frame_index=[0, 1], is_keyframe=[True, False], type="polygon", points=[box, points((2, 2), (6, 8))]
    )
    assert interpolation_error(flat).collect()["points_by_frame_index"].to_list() == [1.0]  # holds


def test_what_cannot_be_compared_is_infinitely_far() -> None:
    assert measured("x", None, (0.0, 4.0)) == math.inf
    assert measured("x", math.nan, (0.0, 4.0)) == math.inf
    assert measured("x", 1.0, (None, 4.0)) == math.inf
    assert measured("x", None, (None, 4.0)) is None
    assert measured("yaw", None, (0.0, 4.0)) == math.inf
    assert measured("height", None, (0.0, 4.0)) == math.inf
    two = points((0, 0), (4, 4))
    assert measured("points", points((0, 0)), (two, two)) == math.inf
    assert measured("points", None, (two, two)) == math.inf
    assert measured("points", points((0, 0), (4, None)), (two, two)) == math.inf
    assert measured("points", points((0, 0), (4, math.nan)), (two, two)) == math.inf
    assert measured("points", None, (None, two)) is None
    assert measured("points", [], ([], [])) is None


@pytest.mark.parametrize(
    ("between", "expected"),
    [
        ((0.0, 0.0, 0.0, 3.0), 0.0),
        ((0.0, 0.0, 1.0, 0.0), math.pi),
        ((0.0, 0.0, 0.0, 0.0), math.inf),
        ((None,) * 4, math.inf),
    ],
)
def test_rotations(between: tuple[float | None, ...], expected: float) -> None:
    parts = {name: [float(name == "qw"), between[place], float(name == "qw")] for place, name in enumerate(QUATERNION)}
    rows = one_track(frame_index=[0, 1, 2], is_keyframe=[True, False, True], **parts)
    assert interpolation_error(rows).collect()["rotation_by_frame_index"].to_list() == pytest.approx([expected])


def test_gap() -> None:
    rows = one_track(frame_index=[0, 1, 4], is_keyframe=[True, False, True], x=[0.0, 1.0, 4.0])
    assert interpolation_error(rows).collect()["position_by_frame_index"].to_list() == [0.0]
    assert interpolation_error(rows, gap="hold").collect()["position_by_frame_index"].to_list() == [1.0]


def test_shapes() -> None:
    options: Options = {"shapes": ["polygon"]}
    ends = points((0, 0)), points((4, 4))
    rows = one_track(
        frame_index=[0, 1, 2],
        is_keyframe=[True, False, True],
        type="polygon",
        points=[ends[0], points((2, 2)), ends[1]],
    )
    assert interpolation_error(rows, **options).collect()["points_by_frame_index"].to_list() == [0.0]
    assert interpolation_error(rows).collect()["points_by_frame_index"].to_list() == [math.sqrt(8)]


@pytest.mark.parametrize("times", [[0, 0, 40], [0, None, 40], [50, 60, 40], [None, 10, 40]])
def test_times_that_do_not_increase_give_way_to_the_frame_index(times: list[int | None]) -> None:
    rows = one_track(frame_index=[0, 1, 4], is_keyframe=[True, False, True], timestamp=times, x=[0.0, 1.0, 4.0])
    assert interpolation_error(rows).collect()["position_by_timestamp"].to_list() == [0.0]


def test_columns() -> None:
    rows = one_track(frame_index=[0, 1], is_keyframe=[True, False], timestamp=[0, 1])
    key = ["sample_id", "labelset", "sensor_index", "track_id", "in_between_rows"]
    ways = ["worst_frame_by_frame_index", "worst_frame_by_timestamp"]
    assert interpolation_error(rows).collect().columns == [*key, *ways]
    assert interpolation_error(rows.drop("timestamp")).collect().columns == [*key, ways[0]]
    legacy = rows.with_columns(id=pl.lit(3), track_id=pl.lit(None, pl.Int64), x=1.0)
    assert interpolation_error(legacy).collect().row(0)[:5] == ("a", "ground-truth", 0, 3, 1)


def test_no_rows() -> None:
    rows = one_track(is_keyframe=True, x=1.0, points=None, type="bbox", timestamp=1)
    expected = everywhere(interpolation_error(rows))
    assert expected.height == 0
    assert everywhere(interpolation_error(rows.head(0))).schema == expected.schema


def test_wrong_input() -> None:
    rows = one_track(is_keyframe=True)
    with pytest.raises(al.SchemaError, match="Expected columns `is_keyframe`, got sample_id"):
        interpolation_error(one_track())
    with pytest.raises(al.SchemaError, match="Expected columns `timestamp`, got sample_id"):
        interpolation_error(rows, by="timestamp")
    wrong: Options = {"by": "time"}
    with pytest.raises(ValueError, match="by: expected 'frame_index' or 'timestamp', got 'time'"):
        interpolation_error(rows, **wrong)
    wrong = {"gap": "drop"}
    with pytest.raises(ValueError, match="gap: expected 'interpolate' or 'hold', got 'drop'"):
        interpolation_error(rows, **wrong)


def test_engines_agree() -> None:
    rng = random.Random(9)
    query = interpolation_error(table(random_label(rng, random_clocks(rng), "timestamp")).lazy())
    assert everywhere(query).height > 0
    assert streams(query)
