"""Counting of points, for few and for many segments in a frame."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import arrow_labels as al


@pytest.mark.parametrize("segments", [3, 40])
@settings(max_examples=100)
@given(data=st.data())
def test_point_counts(segments: int, data: st.DataObject) -> None:
    ids = data.draw(st.lists(st.integers(-2, segments + 2) | st.integers(-(2**31), 2**31 - 1), max_size=200))
    runs = [id_ for id_ in ids for _ in range(data.draw(st.integers(1, 3)))]
    names = [*range(segments - 1), data.draw(st.sampled_from([2**40, -1, 2**31 - 1]))]
    annotations: list[dict[str, Any]] = [{"id": name, "category_id": 0} for name in names]
    tables = al.decode_labels([{"annotations": annotations, "point_annotations": runs}])
    assert tables.segments["point_count"].to_pylist() == [runs.count(name) for name in names]
