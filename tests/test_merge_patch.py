from typing import Any

import pytest
from flatten import merge_patch
from hypothesis import given
from hypothesis import strategies as st
from json_equal import equal

from arrow_labels.merge_patch import SAME, apply, difference

scalars = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from((1.0, 0.5, "a", ""))
values: Any = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(("a", "b", "c")), inner, max_size=3),
    max_leaves=12,
)
objects = st.dictionaries(st.sampled_from(("a", "b", "c")), values, max_size=3)


@given(objects, objects)
def test_a_difference_applied_is_the_other(have: Any, want: Any) -> None:
    patch = difference(have, want)
    assert equal(have if patch is SAME else apply(have, patch), want)


@given(objects, values)
def test_apply_agrees_with_the_reference(target: Any, patch: Any) -> None:
    assert apply(target, patch) == merge_patch(target, patch)


@given(objects)
def test_nothing_differs_from_itself(value: Any) -> None:
    assert difference(value, value) is SAME


@pytest.mark.parametrize(("have", "want"), [({"a": 1}, {"a": True}), ({"a": [1]}, {"a": [True]}), ({"a": {}}, {})])
def test_what_is_not_the_same(have: Any, want: Any) -> None:
    assert difference(have, want) is not SAME
