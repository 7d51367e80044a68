"""Cells of the ground: what lies in a box lies in a cell that the box covers."""

import math

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from arrow_labels.expressions.cells import cell, covered

places = st.floats(-1e6, 1e6)
lengths = st.floats(0, 5000)
parts = st.floats(0, 1)


def cells(west: float, east: float, south: float, north: float, size: float) -> list[int | None]:
    box = pl.LazyFrame({"__west": [west], "__east": [east], "__south": [south], "__north": [north], "name": ["box"]})
    found = covered(box, size).collect()
    assert found.drop("__cell").equals(pl.concat([box.collect()] * len(found)))
    return found["__cell"].to_list()


@given(places, places, lengths, lengths, parts, parts, st.floats(0.5, 100))
def test_a_place_in_a_box_is_in_one_of_its_cells(
    west: float, south: float, length: float, width: float, along: float, across: float, size: float
) -> None:
    east, north = west + length, south + width
    x, y = min(west + along * length, east), min(south + across * width, north)
    found = cells(west, east, south, north, size)
    assert len(set(found)) == len(found) <= (min(length / size, 127) + 2) * (min(width / size, 127) + 2)
    assert pl.select(cell(pl.lit(x), pl.lit(y), size)).item() in found
    assert all(number is not None and 0 <= number < 128**2 for number in found)


def test_neighbours_and_places_far_away() -> None:
    at = pl.DataFrame({"x": [0.0, 1.9, 2.0, -0.1, 256.0, -256.0, math.nan, math.inf, None, 1e300]})
    found = at.select(cell(pl.col("x"), pl.lit(0.0), 2.0))["x"].to_list()
    assert found[:4] == [0, 0, 128, 127 * 128]
    assert found[4:6] == [0, 0]
    assert found[6:9] == [None] * 3
    assert found[9] is not None


def test_boxes_without_a_place() -> None:
    assert cells(0, 0, 5, 5, 2) == [2]
    assert len(cells(0, 1e9, 0, 1e300, 2)) == 128**2
    for strange in (math.nan, math.inf, -math.inf):
        assert set(cells(strange, 1, 0, 1, 2)) <= {None}
        assert set(cells(-math.inf, math.inf, 0, 1, 2)) <= {None}
