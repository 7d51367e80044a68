"""Keyframes of full labels, against an independent implementation."""

import random
from typing import Any

import polars as pl
import pytest
import tracks
from engines import everywhere
from hypothesis import given, settings
from hypothesis import strategies as st
from tracks import Row, assert_same, grid, one_track, random_clocks, random_label, streams, table

import arrow_labels as al
from arrow_labels.expressions.interpolation import interpolate
from arrow_labels.expressions.keyframes import duplicate_keyframes, keyframes

seeds = st.integers(0, 2**32).map(random.Random)


def found(rows: pl.LazyFrame) -> list[tuple[int, int]]:
    """The frame of each keyframe, and the end of its segment."""
    return keyframes(rows).select("frame_index", "until_frame").collect().rows()


def any_rows(rng: random.Random) -> list[Row]:
    """Rows of a label, some of them taken away, some of them twice, some that do not say whether they are keyframes."""
    rows = random_label(rng, random_clocks(rng), "frame_index")
    rows = [row for row in rows if rng.random() < 0.9]
    again = [row | {"category": "again", "is_keyframe": rng.choice((True, False, None))} for row in rows[::7]]
    return [row | {"is_keyframe": rng.choice((row["is_keyframe"],) * 9 + (None,))} for row in rows + again]


@given(seeds)
@settings(max_examples=25)
def test_agrees_with_one_row_at_a_time(rng: random.Random) -> None:
    rows = any_rows(rng)
    expected = tracks.keyframes(rows)
    assert_same(keyframes(table(rows).lazy()).collect(), expected, 0)
    kept = [row for track in tracks.by_track(rows) for row in track]
    lost = table([row for row in rows if not any(row is one for one in kept)])
    order = [*tracks.KEY, "category"]
    assert duplicate_keyframes(table(rows).lazy()).collect().sort(order).equals(lost.sort(order))


@given(seeds)
@settings(max_examples=10)
def test_keyframes_of_keyframes_are_the_same(rng: random.Random) -> None:
    once = keyframes(table(any_rows(rng)).lazy())
    assert keyframes(once).collect().equals(once.collect())


@given(seeds)
@settings(max_examples=10)
def test_keyframes_of_what_they_give_are_the_same(rng: random.Random) -> None:
    clocks = random_clocks(rng)
    once = keyframes(table(random_label(rng, clocks, "frame_index")).lazy())
    assert keyframes(interpolate(once, grid(clocks))).collect().equals(once.collect())


@pytest.mark.parametrize(
    ("frames", "is_keyframe", "expected"),
    [
        ([0, 1, 2, 3], [True, False, True, False], [(0, 2), (2, 4)]),
        ([0, 1, 5, 6], [True, False, True, True], [(0, 2), (5, 6), (6, 7)]),
        ([0, 1, 5, 6], [True, False, False, False], [(0, 2), (5, 7)]),  # no keyframe after the hole
        ([3, 4, 5], [False, False, True], [(3, 5), (5, 6)]),  # nor at the start
        ([0, 4, 8], [True, True, True], [(0, 1), (4, 5), (8, 9)]),
        ([0, 1, 2], [None, False, None], [(0, 2), (2, 3)]),
        ([0, 1, 2], [None, None, None], [(0, 1), (1, 2), (2, 3)]),
        ([7], [False], [(7, 8)]),
        ([1, 1, 1, 2], [True, True, False, False], [(1, 3)]),
        ([2, 0, 1], [False, True, False], [(0, 3)]),
        ([None, 1], [True, True], [(None, None), (1, 2)]),
    ],
)
def test_segments(frames: list[int], is_keyframe: list[bool | None], expected: list[tuple[int, int]]) -> None:
    rows = one_track(frame_index=frames, is_keyframe=is_keyframe)
    assert found(rows) == expected


def test_tracks_do_not_touch() -> None:
    rows = one_track(frame_index=[0, 1, 2, 3], is_keyframe=[True, False, False, False])
    assert found(rows.with_columns(track_id=pl.Series([1, 1, 2, 2]))) == [(0, 2), (2, 4)]
    assert found(rows.with_columns(sensor_index=pl.Series([1, 1, 2, 2]))) == [(0, 2), (2, 4)]
    assert found(rows.with_columns(labelset=pl.Series(["a", "a", "b", "b"]))) == [(0, 2), (2, 4)]
    assert found(rows.with_columns(sample_id=pl.Series(["a", "a", "b", "b"]))) == [(0, 2), (2, 4)]
    assert found(rows.with_columns(id=pl.Series([1, 1, 2, 2]))) == [(0, 4)]
    assert found(rows.with_columns(id=pl.Series([1, 1, 2, 2]), track_id=None)) == [(0, 2), (2, 4)]
    assert found(rows.with_columns(track_id=None)) == [(0, 1), (1, 2), (2, 3), (3, 4)]  # nobody knows of what


def test_the_last_keyframe_on_a_frame_wins() -> None:
    rows = one_track(frame_index=[4, 4, 4, 5], is_keyframe=[True, True, False, False], own=["a", "b", "c", "d"])
    assert keyframes(rows).collect()["own"].to_list() == ["b"]
    assert duplicate_keyframes(rows).collect()["own"].to_list() == ["c", "a"]
    assert duplicate_keyframes(rows.drop("is_keyframe")).collect()["own"].to_list() == ["a", "b"]


def test_columns() -> None:
    rows = one_track(is_keyframe=True, own=["a", "b"], x=[1, 2], extra=None)
    assert keyframes(rows).collect_schema() == {**rows.collect_schema(), "until_frame": pl.Int64}
    assert duplicate_keyframes(rows).collect_schema() == rows.collect_schema()
    rows = rows.cast({"frame_index": pl.Int32})
    assert keyframes(rows).collect_schema()["until_frame"] == pl.Int32


def test_no_rows() -> None:
    rows = one_track(is_keyframe=True).head(0)
    assert everywhere(keyframes(rows)).schema == {**rows.collect_schema(), "until_frame": pl.Int64}
    names = ("sample_id", "labelset", "sensor_index", "frame_index", "id", "is_keyframe")
    assert everywhere(keyframes(pl.LazyFrame({name: [] for name in names}))).columns == [*names, "until_frame"]


def test_wrong_columns() -> None:
    with pytest.raises(al.SchemaError, match="Expected columns `is_keyframe`, got sample_id"):
        keyframes(one_track())
    with pytest.raises(al.SchemaError, match="Expected a Boolean, got `Int32` - in column `is_keyframe`"):
        keyframes(one_track(is_keyframe=1))
    with pytest.raises(al.SchemaError, match="Expected column `track_id` or `id`"):
        duplicate_keyframes(one_track().drop("track_id"))


@pytest.mark.parametrize("method", [keyframes, duplicate_keyframes])
def test_engines_agree(method: Any) -> None:
    query = method(table(any_rows(random.Random(4))).lazy())
    assert everywhere(query).height > 0
    assert streams(query)
