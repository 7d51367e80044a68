"""The proof that lists of points are regular, against looking at each list, each point and each number."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from arrow_labels.annotation import stripped
from arrow_labels.decode.shapes import planar_counts, shape_counts

UNPROVED = [] if hasattr(np, "bitwise_count") else [None]
"""NumPy 1 does not count bits: there everything is left to the other proof."""

Found = tuple[list[int], list[bool]] | None

spaces = st.sampled_from(["", "", "", " ", "\n\t"])
numbers = st.sampled_from(["0", "-1", "12.5", "1e5", "-2.25E-7", "662.6051515599441"])
points = st.lists(numbers, min_size=1, max_size=4)
planar_points = st.tuples(numbers, numbers).map(list)
nested: st.SearchStrategy[Any] = st.recursive(numbers, lambda inner: st.lists(inner, max_size=3), max_leaves=8)
# Most of it is regular, so that what is not has to be found; and one mistake can hide another.
regular = st.lists(planar_points, min_size=1, max_size=40)
almost = st.lists(planar_points | planar_points | points | nested, max_size=12)
values = st.lists(regular | regular | almost | nested, min_size=1, max_size=12)


def expected(texts: list[str], sizes: set[int]) -> Found:
    """Points in each list, and which have two numbers; None if these are not lists of points of such sizes."""
    lists = [json.loads(text) for text in texts]
    if not all(isinstance(item, list) and all(isinstance(point, list) for point in item) for item in lists):
        return None
    every = [point for item in lists for point in item]
    if any(len(point) not in sizes or any(isinstance(number, list) for number in point) for point in every):
        return None
    return [len(item) for item in lists], [len(point) == 2 for point in every]


def written(value: Any, draw: Any) -> str:
    """A value as JSON, the numbers as they are, with spaces that may be anywhere within."""
    if isinstance(value, str):
        return value
    items = [f"{draw(spaces)}{written(item, draw)}{draw(spaces)}" for item in value]
    return "[" + ",".join(items) + (draw(spaces) if not items else "") + "]"


def compact(value: Any) -> str:
    return value if isinstance(value, str) else "[" + ",".join(map(compact, value)) + "]"


def proved(texts: list[str]) -> list[int] | None:
    ends = np.cumsum([len(text) + 1 for text in texts])
    counts = planar_counts(f"[{','.join(texts)}]".encode(), ends)
    return None if counts is None else counts.tolist()


def by_shape(texts: list[str]) -> Found:
    found = shape_counts(stripped(",".join(texts).encode()))
    return None if found is None else (found[0].tolist(), found[1].tolist())


def counted(texts: list[str]) -> list[int] | None:
    """What must be proved: no list is empty, and each point has two numbers."""
    truth = expected(texts, {2})
    return truth[0] if truth is not None and all(truth[0]) else None


@given(values)
@example([[["1"], ["1", "2", "3"]]])
@example([[["1"], "2", ["3", "4"]]])
@example([["1", "2"]])
@example([[[["1", "2"]]]])
@example([[["1", "2"], []]])
@example([[[]]])
@example([[["1", "2"]], [["3", "4", "5"]], [["6"]]])
@example([[["1", "2", [["3", "4"]], "5", "6"]]])
@example([[["1"], "5"], [["1", "2"]]])
@example([[["1", "2"], "3", ["4"]]])
@example([[["1", "2"]], "3", [["4", "5"]]])
def test_nothing_is_proved_but_lists_of_pairs(lists: list[Any]) -> None:
    texts = [compact(value) for value in lists]
    assert proved(texts) in (counted(texts), *UNPROVED)


@pytest.mark.parametrize("digits", range(1, 140))
def test_marks_on_both_sides_of_a_border_between_words(digits: int) -> None:
    number = "1" * digits
    for place in range(4):
        one, two, three, four = ["2"] * place + [number] + ["3"] * (3 - place)
        for texts in (
            [f"[[{one},{two}],[{three},{four}]]"],
            [f"[[{one},{two}]]", f"[[{three},{four}]]"],
            [f"[[{one},{two},{three}],[{four}]]"],
            [f"[[{one}],[{two},{three},{four}]]"],
            [f"[[{one},{two},{three}]]", f"[[{four}]]"],
        ):
            wanted = counted(texts)
            # Some 64 characters without a comma are left to the other proof.
            assert proved(texts) in ([wanted, None] if digits > 40 else [wanted, *UNPROVED])


@given(values, st.data())
def test_spaces_are_refused_or_harmless(lists: list[Any], data: st.DataObject) -> None:
    texts = [written(value, data.draw) for value in lists]
    assert proved(texts) in (counted(texts), None)


def forests(nodes: int, empty: bool) -> Iterator[list[str]]:
    """All sequences of arrays and numbers that have so many of them together."""
    if not nodes:
        yield []
    for first in range(1, nodes + 1):
        trees = [f"[{','.join(inner)}]" for inner in forests(first - 1, empty)] if first > 1 or empty else []
        for rest in forests(nodes - first, empty):
            yield from ([tree, *rest] for tree in (["1", *trees] if first == 1 else trees))


@pytest.mark.parametrize(("nodes", "empty"), [(6, True), (9, False)])
def test_all_small_documents(nodes: int, empty: bool) -> None:
    documents = [texts for size in range(1, nodes + 1) for texts in forests(size, empty)]
    assert any(map(counted, documents))
    for texts in documents:
        assert proved(texts) in (counted(texts), *UNPROVED)


some_points = planar_points | st.lists(numbers, min_size=2, max_size=4)
lists_of_points = st.lists(st.lists(some_points, max_size=8), min_size=1)


@given(lists_of_points | st.lists(regular, min_size=1), st.data())
def test_shapes(lists: list[Any], data: st.DataObject) -> None:
    texts = [written(value, data.draw) for value in lists]
    assert by_shape(texts) == expected(texts, {2, 3})
