"""Documents without what lies deep in them, against a loop over parsed values."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arrow_labels import skeleton as module
from arrow_labels.skeleton import skeleton

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters='"'), max_size=80)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=30,
)
DOCUMENTS = st.lists(VALUES, max_size=5) | st.dictionaries(TEXTS, VALUES, max_size=5)


def pruned(value: Any, depth: int) -> Any:
    if isinstance(value, dict):
        return {name: pruned(item, depth - 1) for name, item in value.items()} if depth else {}
    if isinstance(value, list):
        return [pruned(item, depth - 1) for item in value] if depth else []
    return value


@given(DOCUMENTS, st.integers(0, 4), st.sampled_from([None, 1]), st.booleans(), st.sampled_from([64, 128, 1 << 18]))
@settings(max_examples=300)
def test_what_lies_deep_is_left_out(document: Any, depth: int, indent: int | None, is_ascii: bool, block: int) -> None:
    text = json.dumps(document, indent=indent, ensure_ascii=is_ascii).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BLOCK", block)
        found = skeleton(memoryview(text), depth)
    if found is None:
        assert b"\\" in text
    else:
        assert json.loads(found) == pruned(document, depth)


@pytest.mark.parametrize("text", [b'{"a": "\\""}', b'["\\\\"]', b"[1", b'["a]', b"]"])
def test_what_takes_more_than_to_look_at_quotes(text: bytes) -> None:
    assert skeleton(text, 1) is None


def test_brackets_in_strings_and_other_escapes() -> None:
    document = {"a]": ["[{", {"}": "\u00e9\n"}], "b": "]" * 200}
    assert json.loads(skeleton(json.dumps(document).encode(), 1) or b"") == {"a]": [], "b": "]" * 200}
