"""States at given times, against an independent implementation."""

import random
from typing import Any

import polars as pl
import pytest
import tracks
from engines import everywhere
from hypothesis import given, settings
from hypothesis import strategies as st
from tracks import (
    START,
    Clocks,
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
from arrow_labels.expressions.resampling import resample

seeds = st.integers(0, 2**32).map(random.Random)


def random_times(rng: random.Random, clocks: Clocks) -> list[Row]:
    """Frames of other sensors, some of them at the same time as one of the sample, or as each other."""
    made = []
    for sample in {sample for sample, _ in clocks}:
        own = [at for (name, _), clock in clocks.items() if name == sample for at in clock.values() if at is not None]
        others = [rng.randrange(min(own) - 10**9, max(own) + 10**9) for _ in range(40)]
        for sensor in (5, 6):
            chosen = sorted(rng.sample(own, 3) + rng.sample(others, 20))
            made += [
                {"sample_id": sample, "sensor_index": sensor, "frame_index": frame, "timestamp": at}
                for frame, at in enumerate(chosen)
            ]
    return made


def resampled(rows: list[Row], times: list[Row], shapes: Any = tracks.DEFAULT_SHAPES) -> tuple[list[Row], list[int]]:
    """The state of each track at each time, one after the other, and whose times these are."""
    made, clocks = [], []
    for track in tracks.by_track(rows):
        full = any(row["is_keyframe"] is False for row in track)
        known = [row for row in track if row["timestamp"] is not None]
        for time in sorted(times, key=lambda time: (time["timestamp"], time["sensor_index"], time["frame_index"])):
            at = time["timestamp"]
            before = [row for row in known if row["timestamp"] <= at]
            after = [row for row in known if row["timestamp"] > at]
            if time["sample_id"] != track[0]["sample_id"] or not before:
                continue
            row = before[-1]
            new = row | {"frame_index": time["frame_index"], "timestamp": at}
            new["index"] = None if row["index"] is None else time["frame_index"]
            if at != row["timestamp"]:
                if not after or (full and after[0]["frame_index"] != row["frame_index"] + 1):
                    continue
                new["is_keyframe"] = False
                if row["type"] in shapes:
                    u = (at - row["timestamp"]) / (after[0]["timestamp"] - row["timestamp"])
                    new |= tracks.blend(row, after[0], u)
            made.append(new)
            clocks.append(time["sensor_index"])
    return made, clocks


def assert_resampled(found: pl.DataFrame, rows: list[Row], times: list[Row], **options: Any) -> None:
    expected, clocks = resampled(rows, times, **options)
    assert found["clock"].to_list() == clocks
    assert_same(found.drop("clock"), expected)


@given(seeds, st.booleans())
@settings(max_examples=25)
def test_agrees_with_one_time_after_another(rng: random.Random, full: bool) -> None:
    clocks = random_clocks(rng)
    rows = random_label(rng, clocks, "frame_index") if full else random_keyframes(rng, clocks)
    times = random_times(rng, clocks)
    assert_resampled(resample(table(rows).lazy(), pl.DataFrame(times)).collect(), rows, times)
    shapes: Any = ["polygon", "cuboid"]
    found = resample(table(rows).lazy(), pl.DataFrame(times), shapes=shapes).collect()
    assert_resampled(found, rows, times, shapes=shapes)


@given(seeds)
@settings(max_examples=10)
def test_keyframes_that_end_are_interpolated_first(rng: random.Random) -> None:
    clocks = random_clocks(rng)
    rows = random_keyframes(rng, clocks, until=True)
    times = pl.DataFrame(random_times(rng, clocks))
    between = interpolate(table(rows).lazy()).with_columns(is_keyframe=False)
    found = resample(table(rows).lazy(), times).drop("is_keyframe").collect()
    assert found.equals(resample(between, times).drop("is_keyframe").collect())


@given(seeds)
@settings(max_examples=10)
def test_the_own_clock_gives_the_same_rows(rng: random.Random) -> None:
    clocks = {("sample-0", 0): random_clocks(rng)["sample-0", 0]}
    label = table(random_label(rng, clocks, "timestamp")).with_columns(key=pl.coalesce("track_id", "id"))
    # Holes are seen in tracks that have rows between keyframes.
    label = label.filter(pl.col("is_keyframe").not_().any().over("labelset", "key")).sort(
        "labelset", "key", "frame_index"
    )
    label = label.drop("key")
    found = resample(label.lazy(), grid(clocks)).collect()
    assert found.drop("clock").equals(label)


def times(*at: int | None, **columns: Any) -> pl.DataFrame:
    return pl.DataFrame({"sample_id": "a", "timestamp": at, **columns}, schema_overrides={"timestamp": pl.Int64})


def states(rows: pl.LazyFrame, *at: int) -> dict[int, float]:
    """The x of the track at each time at which there is one."""
    return dict(resample(rows, times(*at)).select("timestamp", "x").collect().rows())


def test_a_quarter_of_the_way_is_nearer_to_the_first() -> None:
    rows = one_track(timestamp=[START, START + 4], x=[0.0, 8.0])
    assert states(rows, *range(START - 2, START + 7)) == {START + step: 2.0 * step for step in range(5)}


def test_holes() -> None:
    rows = one_track(frame_index=[0, 1, 4, 5], timestamp=[0, 10, 40, 50], x=[0.0, 1.0, 4.0, 5.0])
    seen = range(-5, 60, 5)
    assert states(rows, *seen) == {at: at / 10 for at in range(0, 55, 5)}
    full = rows.with_columns(is_keyframe=pl.Series([True, False, True, False]))
    assert states(full, *seen) == {at: at / 10 for at in (0, 5, 10, 40, 45, 50)}
    assert states(keyframes(full), *seen) == {at: at / 10 for at in (0, 5, 10, 40)}  # then the times are not known
    ends = rows.with_columns(until_frame=pl.Series([1, 2, None, None]))
    assert states(ends, *seen) == {at: at / 10 for at in (0, 10, 40, 45, 50)} | {5: 0.5}


def test_rows_without_a_time_are_missing() -> None:
    rows = one_track(
        frame_index=[0, 1, 2, 3],
        timestamp=[0, 10, None, 30],
        x=[0.0, 1.0, 2.0, 3.0],
        is_keyframe=[True, False, False, False],
    )
    assert states(rows, 0, 5, 10, 20, 25, 30) == {0: 0.0, 5: 0.5, 10: 1.0, 30: 3.0}
    assert states(rows.drop("is_keyframe"), 20) == {20: 2.0}
    assert states(rows.with_columns(timestamp=None), 0, 5) == {}


@pytest.mark.parametrize("is_keyframe", [True, [True, False, False, False]])
def test_times_that_do_not_increase(is_keyframe: Any) -> None:
    stuck = one_track(
        frame_index=[0, 1, 2, 3], timestamp=[0, 10, 10, 20], x=[0.0, 1.0, 2.0, 3.0], is_keyframe=is_keyframe
    )
    assert states(stuck, 5, 10, 15) == {5: 0.5, 10: 2.0, 15: 2.5}
    back = one_track(
        frame_index=[0, 1, 2, 3], timestamp=[0, 20, 10, 30], x=[0.0, 1.0, 2.0, 3.0], is_keyframe=is_keyframe
    )
    assert states(back, 0, 10, 15, 20) == {0: 0.0, 10: 2.0, 20: 1.0}
    apart = one_track(frame_index=[0, 5], timestamp=[10, 10], x=[0.0, 1.0])
    assert states(apart, 5, 10, 15) == {10: 1.0}
    hole = resample(apart.with_columns(is_keyframe=pl.Series([True, False])), times(10))
    assert hole.collect()["x"].to_list() == [1.0]


def test_the_last_of_two_rows_on_a_frame_wins() -> None:
    rows = one_track(frame_index=[4, 0, 4], timestamp=[40, 0, 40], x=[1.0, 0.0, 4.0])
    assert states(rows, 0, 10, 40) == {0: 0.0, 10: 1.0, 40: 4.0}


def test_columns() -> None:
    rows = one_track(
        timestamp=[0, 40],
        until_frame=[None, 5],
        is_keyframe=True,
        index=[0, None],
        own=["a", "b"],
        type="cuboid",
        x=[0, 4],
    )
    found = resample(rows, times(0, 10, 40)).collect()
    assert found.columns == [name for name in rows.collect_schema() if name != "until_frame"]
    assert found["frame_index"].to_list() == [None, None, None]
    assert found["is_keyframe"].to_list() == [True, False, True]
    assert found["own"].to_list() == ["a", "a", "b"]
    found = resample(
        rows, times(40, 10, None, 0, frame_index=[9, 8, 7, 6], sensor_index=3, other="c").to_arrow()
    ).collect()
    assert found.columns == [*(name for name in rows.collect_schema() if name != "until_frame"), "clock"]
    assert found["frame_index"].to_list() == [6, 8, 9]
    assert found["index"].to_list() == [6, 8, None]
    assert found["sensor_index"].to_list() == [0, 0, 0]
    assert found["clock"].to_list() == [3, 3, 3]


def test_another_clock_is_replaced() -> None:
    rows = one_track(timestamp=[0, 40], clock=["user's", None], x=[0, 4])
    found = resample(rows, times(0, 40, sensor_index=3)).collect()
    assert found.columns == rows.collect_schema().names()
    assert found["clock"].to_list() == [3, 3]
    assert found.schema["clock"] == pl.Int32
    again = everywhere(resample(found.with_columns(frame_index=pl.Series([0, 1])).lazy(), times(10, sensor_index=4)))
    assert again.select("clock", "x").rows() == [(4, 1.0)]
    assert resample(rows, times(0, 40)).collect()["clock"].to_list() == ["user's", None]


def test_times_of_a_labelset() -> None:
    rows = one_track(timestamp=[0, 40])
    assert resample(rows, times(10, labelset="other")).collect().height == 0
    assert resample(rows, times(10, labelset="ground-truth")).collect().height == 1
    assert resample(rows, times(10).with_columns(sample_id=pl.lit("b"))).collect().height == 0
    assert resample(rows, times(10, 10)).collect().height == 2


def test_no_rows() -> None:
    rows = one_track(timestamp=[0, 40], type="cuboid", x=[0.0, 4.0], is_keyframe=True)
    assert everywhere(resample(rows.head(0), times(1))).schema == rows.collect_schema()
    assert everywhere(resample(rows, times())).schema == rows.collect_schema()
    names = ["sample_id", "labelset", "sensor_index", "frame_index", "id", "timestamp", "x", "points", "is_keyframe"]
    assert everywhere(resample(pl.LazyFrame({name: [] for name in names}), times(1))).columns == names


def test_wrong_input() -> None:
    rows = one_track(timestamp=[0, 40])
    with pytest.raises(al.SchemaError, match="Expected columns `timestamp`, got sample_id"):
        resample(one_track(), times(1))
    with pytest.raises(al.SchemaError, match="Expected columns `timestamp`, got sample_id - in times"):
        resample(rows, times(1).drop("timestamp"))
    with pytest.raises(al.SchemaError, match="Expected an integer, got `Float64` - in column `timestamp` - in times"):
        resample(rows, times(1).cast({"timestamp": pl.Float64}))
    with pytest.raises(ValueError, match="shapes: expected a collection of 'bbox'"):
        resample(rows, times(1), shapes="cuboid")  # type: ignore[arg-type]


def test_engines_agree() -> None:
    rng = random.Random(8)
    clocks = random_clocks(rng)
    label = table(random_label(rng, clocks, "frame_index"))
    query = resample(label.lazy(), pl.DataFrame(random_times(rng, clocks)))
    assert everywhere(query).height > 0
    assert streams(query)
