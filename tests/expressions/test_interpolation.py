"""Rows between keyframes, against an independent implementation and scipy."""

import random
from fractions import Fraction
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
from tracks import (
    QUATERNION,
    Row,
    assert_same,
    grid,
    one_track,
    random_clocks,
    random_keyframes,
    random_label,
    streams,
    table,
)

import arrow_labels as al
from arrow_labels.expressions.interpolation import interpolate
from arrow_labels.expressions.keyframes import keyframes

Options = Any
seeds = st.integers(0, 2**32).map(random.Random)
ways = st.sampled_from(["frame_index", "timestamp"])


def interpolated(name: str, rows: pl.LazyFrame, *arguments: Any, **options: Any) -> list[Any]:
    """One column of the result."""
    return everywhere(interpolate(rows, *arguments, **options))[name].to_list()


# Against the independent implementation.


@given(seeds, st.booleans(), st.sampled_from(["interpolate", "hold"]))
@settings(max_examples=25)
def test_agrees_with_one_row_at_a_time(rng: random.Random, until: bool, gap: Options) -> None:
    rows = random_keyframes(rng, random_clocks(rng), until=until)
    found = interpolate(table(rows).lazy(), gap=gap).collect()
    assert_same(found, tracks.interpolate(rows, gap=gap))


@given(seeds, st.booleans(), ways, st.sampled_from(["drop", "hold"]), st.sampled_from(["interpolate", "hold"]))
@settings(max_examples=25)
def test_agrees_with_one_row_at_a_time_on_frames(
    rng: random.Random, until: bool, by: Options, tail: Options, gap: Options
) -> None:
    clocks = random_clocks(rng, broken=True)
    rows = random_keyframes(rng, clocks, until=until)
    for clock in clocks.values():
        for frame in rng.sample(list(clock), 2):
            del clock[frame]
    found = interpolate(table(rows).lazy(), grid(clocks), by=by, tail=tail, gap=gap).collect()
    assert_same(found, tracks.interpolate(rows, clocks, by=by, tail=tail, gap=gap))


@given(seeds, ways)
@settings(max_examples=20)
def test_full_labels_come_back(rng: random.Random, by: Options) -> None:
    clocks = random_clocks(rng)
    rows = random_label(rng, clocks, by)
    expected = [row for track in tracks.by_track(rows) for row in track]
    found = interpolate(keyframes(table(rows).lazy()), grid(clocks), by=by).collect()
    assert_same(found, expected)


@given(seeds, ways)
@settings(max_examples=10)
def test_full_labels_need_no_keyframes(rng: random.Random, by: Options) -> None:
    clocks = random_clocks(rng)
    rows = random_label(rng, clocks, by)
    found = interpolate(table(rows).lazy(), grid(clocks), by=by).collect()
    assert_same(found, tracks.interpolate(rows, clocks, by=by))


@given(seeds)
@settings(max_examples=10)
def test_shapes(rng: random.Random) -> None:
    rows = random_keyframes(rng, random_clocks(rng))
    shapes: Options = rng.sample(tracks.KINDS, 3)
    assert_same(interpolate(table(rows).lazy(), shapes=shapes).collect(), tracks.interpolate(rows, shapes=shapes))


def test_a_label_of_the_platform_comes_back() -> None:
    tables = al.read_labels(Path(__file__).parent.parent / "data/drive/release.json")
    for name in ("cuboids", "vectors"):
        full = pl.DataFrame(tables[name])
        ordered = full.sort("sample_id", "labelset", "sensor_index", "track_id", "frame_index")
        # Its numbers are rounded, and places in a frame change where objects come and go.
        held = [column for column in ordered.columns if column not in (*tracks.BLENDED, "annotation_index")]
        for by in ("frame_index", "timestamp"):
            options: Options = {"by": by}
            found = interpolate(keyframes(full.lazy()), tables["sample_frames"], **options).collect()
            assert found.select(held).equals(ordered.select(held))
            for column in set(tracks.BLENDED) & set(ordered.columns) - set(QUATERNION):
                apart = tracks.flat(found, column) - tracks.flat(ordered, column)
                assert np.nanmax(np.abs(apart)) < (6e-4 if column == "points" else 1e-6)
            if name == "cuboids":
                turns = [Rotation.from_quat(frame.select(QUATERNION).to_numpy()) for frame in (found, ordered)]
                assert (turns[0] * turns[1].inv()).magnitude().max() < 1e-6


# Time.


def test_a_quarter_of_the_way_is_nearer_to_the_first() -> None:
    frames = pl.DataFrame({"sample_id": "a", "sensor_index": 0, "frame_index": [0, 1, 4], "timestamp": [0, 10, 100]})
    assert interpolated("x", one_track(x=[0.0, 8.0])) == [0.0, 2.0, 4.0, 6.0, 8.0]
    assert interpolated("x", one_track(x=[0.0, 8.0]), frames, by="timestamp") == [0.0, 0.8, 8.0]


def test_large_timestamps_lose_nothing() -> None:
    start = 2**62
    frames = pl.DataFrame(
        {"sample_id": "a", "sensor_index": 0, "frame_index": [0, 1, 4], "timestamp": [start, start + 1, start + 4]}
    )
    assert interpolated("x", one_track(x=[0.0, 8.0]), frames, by="timestamp") == [0.0, 2.0, 8.0]


@given(st.integers(-(2**61), 2**61), st.integers(-(2**61), 2**61), st.integers(1, 300))
@settings(max_examples=50)
def test_timestamps_go_in_equal_steps(first: int, last: int, count: int) -> None:
    found = interpolated("timestamp", one_track(frame_index=[3, 3 + count], timestamp=[first, last]))
    assert found == [round(first + Fraction(last - first) * step / count) for step in range(count + 1)]


@pytest.mark.parametrize(
    "times", [[0, 1, 1, 3, 100], [0, 5, 4, 50, 100], [0, None, 2, 3, 100], [None, 1, 2, 3, 100], [9, 1, 2, 3, 100]]
)
def test_times_that_do_not_increase_give_way_to_the_frame_index(times: list[int | None]) -> None:
    steady = [0, 1, 2, 3, 100]
    key = {"sample_id": "a", "sensor_index": 0, "frame_index": range(9)}
    frames = pl.DataFrame({**key, "timestamp": [*times, 101, 102, 103, 109]})
    rows = one_track(frame_index=[0, 4, 8], x=[0.0, 8.0, 0.0])
    assert interpolated("x", rows, frames, by="timestamp") == pytest.approx([0, 2, 4, 6, 8, 64 / 9, 56 / 9, 48 / 9, 0])
    frames = pl.DataFrame({**key, "timestamp": [*steady, 101, 102, 103, 109]})
    assert interpolated("x", rows, frames, by="timestamp")[:4] == [0, 0.08, 0.16, 0.24]


# Tracks and their ends.


def test_columns() -> None:
    rows = one_track(
        type="cuboid",
        until_frame=[3, None],
        is_keyframe=True,
        index=[8, None],
        own=["a", "b"],
        x=[0.0, 4.0],
        extra=None,
    )
    found = interpolate(rows).collect()
    assert found.columns == [name for name in rows.collect_schema() if name != "until_frame"]
    assert found["frame_index"].to_list() == [0, 1, 2, 4]
    assert found["is_keyframe"].to_list() == [True, False, False, True]
    assert found["index"].to_list() == [8, 1, 2, None]
    assert found["own"].to_list() == ["a", "a", "a", "b"]


def test_a_single_keyframe() -> None:
    one = one_track(x=[1.0, 2.0]).head(1)
    frames = pl.DataFrame({"sample_id": "a", "sensor_index": 0, "frame_index": range(3), "timestamp": range(3)})
    assert interpolated("frame_index", one) == [0]
    assert interpolated("frame_index", one, frames, tail="hold") == [0, 1, 2]
    assert interpolated("frame_index", one.with_columns(until_frame=2)) == [0, 1]
    assert interpolated("frame_index", one.with_columns(until_frame=2), frames, tail="hold") == [0, 1]
    assert interpolated("frame_index", one.with_columns(until_frame=-5)) == [0]
    no_track = one.with_columns(until_frame=2, track_id=pl.lit(None, pl.Int64))
    assert interpolated("frame_index", no_track) == [0]
    assert interpolated("frame_index", one, frames.head(0), tail="hold") == [0]


def test_no_keyframes() -> None:
    rows = one_track(x=[1.0, 2.0], type="cuboid", timestamp=[1, 2], is_keyframe=True).head(0)
    frames = pl.DataFrame({"sample_id": "a", "sensor_index": 0, "frame_index": range(3), "timestamp": range(3)})
    assert everywhere(interpolate(rows)).schema == rows.collect_schema()
    assert everywhere(interpolate(rows, frames, by="timestamp", tail="hold")).schema == rows.collect_schema()
    names = [
        "sample_id",
        "labelset",
        "sensor_index",
        "frame_index",
        "id",
        "timestamp",
        "x",
        "qw",
        "points",
        "is_keyframe",
    ]
    untyped = pl.LazyFrame({name: [] for name in names})
    assert everywhere(interpolate(untyped, frames, by="timestamp", tail="hold")).columns == names


def test_the_last_of_two_keyframes_on_a_frame_wins() -> None:
    rows = one_track(
        frame_index=[4, 0, 4, 4, 0], x=[8.0, 0.0, 16.0, 4.0, 12.0], is_keyframe=[True, True, True, False, True]
    )
    assert interpolated("x", rows.drop("is_keyframe")) == [12.0, 10.0, 8.0, 6.0, 4.0]
    assert interpolated("x", rows) == [12.0, 13.0, 14.0, 15.0, 16.0]
    assert interpolated("x", rows.drop("is_keyframe").with_columns(until_frame=None)) == [12.0, 10.0, 8.0, 6.0, 4.0]


def test_rows_without_an_object_come_back() -> None:
    rows = one_track(track_id=None, frame_index=[0, 0], x=[1.0, 2.0])
    frames = pl.DataFrame({"sample_id": "a", "sensor_index": 0, "frame_index": range(3), "timestamp": range(3)})
    assert interpolated("x", rows) == [1.0, 2.0]
    assert interpolated("x", rows, frames, tail="hold") == [1.0, 2.0]
    assert interpolated("x", one_track(frame_index=[None, 2], x=[1.0, 2.0])) == [1.0, 2.0]


def test_frames_of_a_labelset() -> None:
    rows = one_track(x=[0.0, 4.0])
    frames = pl.DataFrame(
        {
            "sample_id": "a",
            "labelset": ["ground-truth", "other"],
            "sensor_index": 0,
            "frame_index": [2, 3],
            "timestamp": 0,
        }
    )
    assert interpolated("frame_index", rows, frames) == [0, 2, 4]
    assert interpolated("frame_index", rows, frames.drop("labelset")) == [0, 2, 3, 4]
    assert interpolated("frame_index", rows, pl.concat([frames, frames]).to_arrow()) == [0, 2, 4]
    narrow = frames.lazy().cast({"frame_index": pl.Int16, "sensor_index": pl.UInt8, "sample_id": pl.Categorical})
    assert interpolated("frame_index", rows, narrow) == [0, 2, 4]
    beyond = pl.concat([frames, frames.with_columns(frame_index=2**40)], how="vertical_relaxed")
    small = rows.cast({"frame_index": pl.Int8, "sample_id": pl.Enum(["a"])})
    assert interpolated("frame_index", small, beyond.with_columns(sample_id=pl.Series(["a", "a", "a", "b"]))) == [
        0,
        2,
        4,
    ]


# Bad input.


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"by": "time"}, "by: expected 'frame_index' or 'timestamp', got 'time'"),
        ({"tail": "keep"}, "tail: expected 'drop' or 'hold', got 'keep'"),
        ({"gap": None}, "gap: expected 'interpolate' or 'hold', got None"),
        ({"by": "timestamp"}, "by='timestamp': expected frames, the frames of the sensors, got None"),
        ({"tail": "hold"}, "tail='hold': expected frames, the frames of the sensors, got None"),
        ({"shapes": "bbox"}, "shapes: expected a collection of 'bbox', .*, got 'bbox'"),
        ({"shapes": ["box"]}, r"shapes: expected a collection of 'bbox', .*, got \['box'\]"),
    ],
)
def test_wrong_options(options: Options, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        interpolate(one_track(), **options)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"x": "far"}, "Expected a number, got `String` - in column `x`"),
        ({"frame_index": [0.5, 1.5]}, "Expected an integer, got `Float64` - in column `frame_index`"),
        ({"track_id": "car"}, "Expected an integer, got `String` - in column `track_id`"),
        ({"timestamp": "00001"}, "Expected an integer, got `String` - in column `timestamp`"),
        ({"is_keyframe": "yes"}, "Expected a Boolean, got `String` - in column `is_keyframe`"),
        ({"type": 3}, "Expected text, got `Int32` - in column `type`"),
    ],
)
def test_wrong_columns(columns: Row, message: str) -> None:
    with pytest.raises(al.SchemaError, match=message):
        interpolate(one_track(**columns))


def test_missing_columns() -> None:
    with pytest.raises(al.SchemaError, match=r"Expected columns `labelset`, `frame_index`, got sample_id"):
        interpolate(one_track().drop("labelset", "frame_index"))
    with pytest.raises(al.SchemaError, match="Expected column `track_id` or `id`"):
        interpolate(one_track().drop("track_id"))
    frames = pl.DataFrame({"sample_id": "a", "sensor_index": 0, "frame_index": [0]})
    with pytest.raises(al.SchemaError, match="Expected columns `timestamp`, got .* - in frames"):
        interpolate(one_track(), frames, by="timestamp")
    assert interpolated("frame_index", one_track(), frames) == [0, 4]  # which needs no time
    with pytest.raises(
        al.SchemaError, match="Expected an integer, got `String` - in column `sensor_index` - in frames"
    ):
        interpolate(one_track(), frames.cast(pl.String))  # type: ignore[arg-type]


# Engines.


@pytest.mark.parametrize("by", ["frame_index", "timestamp"])
def test_engines_agree(by: Options) -> None:
    rng = random.Random(5)
    clocks = random_clocks(rng, broken=True)
    rows, frames = table(random_keyframes(rng, clocks, until=True)), grid(clocks)
    query = interpolate(rows.lazy(), frames, by=by, tail="hold")
    expected = everywhere(query)
    shuffled = rows.sample(fraction=1, shuffle=True, seed=1)
    assert interpolate(shuffled.lazy(), frames.lazy(), by=by, tail="hold").collect().equals(expected)


@pytest.mark.parametrize("options", [{}, {"by": "timestamp", "tail": "hold"}, {"shapes": ["polygon"]}])
def test_the_plan_streams(options: Options, tmp_path: Path) -> None:
    rng = random.Random(6)
    clocks = random_clocks(rng)
    table(random_keyframes(rng, clocks)).write_parquet(tmp_path / "rows.parquet")
    grid(clocks).write_parquet(tmp_path / "frames.parquet")
    frames = pl.scan_parquet(tmp_path / "frames.parquet")
    query = interpolate(pl.scan_parquet(tmp_path / "rows.parquet"), frames, **options)
    assert streams(query)
