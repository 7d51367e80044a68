"""Numbers, angles and points between two rows."""

import math
import random
from typing import Any

import numpy as np
import polars as pl
import pytest
from engines import everywhere
from hypothesis import given, settings
from hypothesis import strategies as st
from tracks import QUATERNION, Row, one_track, points

from arrow_labels.expressions.interpolation import interpolate


def interpolated(name: str, rows: pl.LazyFrame, *arguments: Any, **options: Any) -> list[Any]:
    """One column of the result."""
    return everywhere(interpolate(rows, *arguments, **options))[name].to_list()


def test_yaw_goes_the_short_way() -> None:
    found = interpolated("yaw", one_track(yaw=[3.0, -3.0]))
    step = (math.tau - 6) / 4
    expected = [3.0, 3 + step, math.remainder(3 + 2 * step, math.tau), 3 + 3 * step - math.tau, -3.0]
    assert found == pytest.approx(expected, abs=1e-15)


def test_yaw_of_half_a_turn_goes_by_the_difference() -> None:
    pi = math.pi
    assert interpolated("yaw", one_track(yaw=[0.0, pi])) == pytest.approx(
        [0, pi / 4, pi / 2, 3 * pi / 4, pi], abs=1e-15
    )
    assert interpolated("yaw", one_track(yaw=[0.0, -pi])) == pytest.approx(
        [0, -pi / 4, -pi / 2, -3 * pi / 4, -pi], abs=1e-15
    )
    assert interpolated("yaw", one_track(yaw=[pi, -pi])) == pytest.approx([pi, pi, pi, pi, -pi], abs=1e-15)


@given(st.tuples(*[st.floats(-1e4, 1e4)] * 2))
def test_yaw_between_is_in_one_turn(yaw: tuple[float, float]) -> None:
    assert all(-math.pi <= between <= math.pi for between in interpolated("yaw", one_track(yaw=yaw))[1:4])


@given(st.lists(st.tuples(*[st.floats(-1e6, 1e6)] * 3), min_size=2, max_size=6), st.randoms())
@settings(max_examples=30)
def test_numbers_agree_with_numpy(states: list[tuple[float, ...]], rng: random.Random) -> None:
    frames = sorted(rng.sample(range(50), len(states)))
    columns = {name: [state[place] for state in states] for place, name in enumerate(("x", "length", "height"))}
    found = interpolate(one_track(frame_index=frames, **columns)).collect()
    for name, values in columns.items():
        expected = np.interp(np.arange(frames[0], frames[-1] + 1), frames, values)
        assert np.abs(found[name].to_numpy() - expected).max() <= 1e-9


def test_keyframes_come_back_bit_for_bit() -> None:
    strange = np.array([0x7FF8DEADBEEF0001, 0x8000000000000000, 1, 0x7FF0000000000000], np.uint64).view(np.float64)
    names = ("x", "y", "z", "length", "width", "height", "yaw", *QUATERNION)
    rows = one_track(frame_index=[0, 3, 4, 9], **{name: np.roll(strange, place) for place, name in enumerate(names)})
    found = interpolate(rows).filter(pl.col("frame_index").is_in([0, 3, 4, 9])).select(names).collect()
    expected = rows.select(names).collect()
    for name in names:
        assert found[name].reinterpret(signed=True).equals(expected[name].reinterpret(signed=True))


def test_integers_become_floats() -> None:
    assert interpolated("x", one_track(x=[0, 2])) == [0.0, 0.5, 1.0, 1.5, 2.0]


def test_null_numbers() -> None:
    assert interpolated("x", one_track(x=[1.0, None])) == [1.0] * 4 + [None]  # holds
    assert interpolated("x", one_track(x=[None, 1.0])) == [None] * 4 + [1.0]
    assert interpolated("x", one_track(x=[None, None])) == [None] * 5
    assert interpolated("yaw", one_track(yaw=[4.0, None])) == [4.0] * 4 + [None]


def test_one_type_at_a_time() -> None:
    assert interpolated("x", one_track(x=[0.0, 4.0], type=["cuboid", "cuboid-sync"]))[1] == 0.0
    assert interpolated("x", one_track(x=[0.0, 4.0], type=["cuboid", None]))[1] == 0.0
    assert interpolated("x", one_track(x=[0.0, 4.0], type="cuboid").cast({"type": pl.Categorical}))[1] == 1.0


def test_points() -> None:
    boxes = [points((0, 0), (10, 20)), points((4, 8), (18, 20))]
    assert interpolated("points", one_track(type="bbox", points=boxes))[1] == points((1, 2), (12, 20))
    assert interpolated("points", one_track(type="polygon", points=boxes))[1] == boxes[0]
    assert interpolated("points", one_track(type="polygon", points=boxes), shapes=["polygon"])[1] == points(
        (1, 2), (12, 20)
    )
    solid = [points((0, 0, 0), (10, 20, 4)), points((4, 8, 4), (18, 20, 0))]
    assert interpolated("points", one_track(type="bbox", points=solid))[1] == points((1, 2, 1), (12, 20, 3))


def test_points_without_a_type_are_boxes_where_they_are_two() -> None:
    two, three = points((0, 0), (4, 4)), points((0, 0), (4, 4), (8, 8))
    assert interpolated("points", one_track(points=[two, points((4, 4), (8, 8))]))[1] == points((1, 1), (5, 5))
    assert interpolated("points", one_track(points=[three, three[::-1]]))[1] == three
    assert interpolated("points", one_track(points=[two, two[::-1]]), shapes=["cuboid"])[1] == two
    assert interpolated("x", one_track(x=[0.0, 4.0]), shapes=["bbox"])[1] == 0.0


@pytest.mark.parametrize("first", [None, [], points((1, 2)), points((1, 2), (3, 4), (5, 6)), [None, None]])
@pytest.mark.parametrize("last", [None, [], points((7, 8), (9, 10), (11, 12), (13, 14))])
def test_points_that_change_their_number_hold(first: list[Row] | None, last: list[Row] | None) -> None:
    rows = one_track(type="polygon", points=[first, last, last], frame_index=[0, 3, 5])
    assert interpolated("points", rows, shapes=["polygon"]) == [first, first, first, last, last, last]


def test_null_coordinates() -> None:
    rows = one_track(type="bbox", points=[points((None, 0, 1), (0, None)), points((4, None, 5), (None, 4, 8))])
    assert interpolated("points", rows)[1] == points((None, 0, 2), (0, None, None))
    missing = one_track(type="bbox", points=[[None, *points((0, 0))], points((4, 4), (4, 4))])
    assert interpolated("points", missing)[1] == points((None, None), (1, 1))
