"""Lists of points as columns, against Python's own JSON."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import Raw

from arrow_labels.annotation import ABSENT, points_text
from arrow_labels.decode.columns import NotExactError
from arrow_labels.decode.number_lists import points_column

numbers = st.floats(-1e6, 1e6).map(repr) | st.sampled_from(["0", "-1", "12.5", "1e5", "-2.25E-7", "5e-324", "-0.0"])
# Characters that lose what tells them from digits, signs, commas, quotes and spaces when their highest bits go.
others = st.sampled_from(
    ["null", "true", "false", '"1"', '"pqr"', '"kl"', '"\\"1"', '"¢"', '"¢,¢"', '"],["', '"é"', "{}", '{"a": 1}']
)
points = st.tuples(numbers, numbers).map(list)
lists = st.lists(st.lists(points, min_size=1, max_size=6), min_size=1, max_size=6)
mistakes = st.lists(
    st.lists(points | st.tuples(numbers, others).map(list) | others.map(lambda it: [it]), max_size=4),
    min_size=1,
    max_size=4,
)


def written(value: Any) -> str:
    return value if isinstance(value, str) else f"[{','.join(map(written, value))}]"


def column(texts: list[str]) -> list[Any]:
    found = points_text([Raw(text.encode()) for text in texts])
    assert found is not None
    return points_column([found], checked=True).to_pylist()


def as_points(texts: list[str]) -> list[Any]:
    return [[dict(zip("xyz", (*point, None), strict=False)) for point in json.loads(text)] for text in texts]


@given(lists)
@example([[["1e5", "2E5"]], [["1", "2"]]])
def test_points_are_the_numbers_that_are_written(values: list[Any]) -> None:
    texts = [written(value) for value in values]
    expected = [
        [[float(number) for number in point.values() if number is not None] for point in points]
        for points in as_points(texts)
    ]
    assert repr([[[point["x"], point["y"]] for point in points] for points in column(texts)]) == repr(expected)


@given(mistakes)
def test_what_is_no_number_is_never_taken_for_one(values: list[Any]) -> None:
    texts = [written(value) for value in values]
    try:
        found = column(texts)
    except NotExactError:
        return
    assert found == as_points(texts)


def test_an_absent_list_is_null() -> None:
    found = points_text([ABSENT, Raw(b"[[1,2]]")])
    assert found is not None
    assert points_column([found], checked=False).to_pylist() == [None, [{"x": 1.0, "y": 2.0, "z": None}]]


@pytest.mark.parametrize("text", ["[[1,null]]", '[[1,"2"]]', "[[1,2],[3,true]]", "[[9007199254740993,1]]"])
def test_refused(text: str) -> None:
    with pytest.raises(NotExactError):
        column([text])
