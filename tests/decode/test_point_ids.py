"""Releases split into samples with their point ids taken out, against the decoder that reads all of them."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import arrow_labels as al
from arrow_labels.decode import point_ids
from arrow_labels.decode.point_ids import split_apart
from arrow_labels.wire import Release, decode_members, decode_release

TEXTS = st.sampled_from(
    ["", "a", '"', "]", "[", '"point_annotations":[', '","point_annotations":[1]', "\\", "]}", "\u00e9"]
)
IDS = st.one_of(
    st.lists(st.integers(-1, 300), max_size=6),
    st.lists(st.lists(st.integers(0, 9), max_size=2), max_size=3),
    st.lists(TEXTS, max_size=3),
    st.none(),
    TEXTS,
)
FRAMES = st.fixed_dictionaries({"point_annotations": IDS}, optional={"timestamp": TEXTS, "annotations": st.just([])})
SAMPLES = st.recursive(
    FRAMES,
    lambda inner: st.fixed_dictionaries({}, optional={"name": TEXTS, "frames": st.lists(inner, max_size=3), "x": IDS}),
    max_leaves=6,
)
DATASETS = st.fixed_dictionaries({"samples": st.lists(SAMPLES, max_size=4)}, optional={"task_attributes": FRAMES})
RELEASES = st.fixed_dictionaries({"dataset": DATASETS}, optional={"name": TEXTS})
SEPARATORS = st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", " : ")])


def split(data: bytes) -> Any:
    """What the samples of a release are, each as its bytes, and the rest; the error if it is refused."""

    def parts(release: Release) -> Any:
        dataset = release.dataset
        raws = None if dataset is None else dataset.samples
        rest = [None if raw is None else bytes(raw) for raw in (dataset and dataset.task_attributes,)]
        return release.name, rest, None if raws is None else [bytes(raw) for raw in raws]

    def tried(decode: Any) -> Any:
        try:
            return parts(decode(memoryview(data)))
        except msgspec.DecodeError as error:
            return str(error)

    return tried(lambda text: split_apart(decode_release, text)), tried(decode_release)


def is_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


@pytest.fixture(autouse=True)
def any_text_may_hold_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(point_ids, "is_mostly_ids", lambda text: True)
    monkeypatch.setattr(point_ids, "_SHORT", 1)
    monkeypatch.setattr(point_ids, "_PART", 3)


@given(RELEASES, SEPARATORS, st.booleans())
def test_samples_are_those_of_the_decoder(release: Any, separators: tuple[str, str], is_ascii: bool) -> None:
    apart, whole = split(json.dumps(release, separators=separators, ensure_ascii=is_ascii).encode())
    assert apart == whole


@given(RELEASES, st.data())
def test_a_damaged_release_is_not_split_otherwise(release: Any, data: st.DataObject) -> None:
    """What is no JSON may be found to be none only when a sample is decoded; what is JSON is split as it must be."""
    text = bytearray(json.dumps(release, separators=(",", ":")).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(text) - 1))
        change = data.draw(
            st.sampled_from([b"", b'"', b"[", b"]", b"{", b"}", b",", b"1", b"\\", b'"point_annotations":['])
        )
        text[place : place + data.draw(st.integers(0, 2))] = change
    apart, whole = split(bytes(text))
    if not isinstance(whole, str):
        assert apart == whole
    elif not isinstance(apart, str):
        assert not all(is_json(sample) for sample in apart[2])


def test_ids_are_taken_out() -> None:
    """And not only found to be too difficult."""
    samples = [{"name": str(place), "point_annotations": [1] * place} for place in range(9)]
    data = json.dumps({"dataset": {"samples": samples}}, separators=(",", ":")).encode()
    release: Any = point_ids._split(decode_release, data)
    assert [json.loads(bytes(raw)) for raw in release.dataset.samples] == samples


@given(RELEASES, st.data())
def test_any_document_is_decoded_as_if_nothing_was_taken_out(release: Any, data: st.DataObject) -> None:
    text = bytearray(json.dumps(release, separators=(",", ":")).encode())
    if data.draw(st.booleans()):
        text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.sampled_from(b'"[]{},1\\'))

    def tried(decode: Any) -> Any:
        try:
            return {name: bytes(raw) for name, raw in decode(bytes(text)).items()}
        except msgspec.DecodeError as error:
            return str(error)

    apart, whole = tried(lambda it: point_ids.decode_apart(decode_members, it)), tried(decode_members)
    # What is no list of ids may be found to be none only when it is decoded.
    assert apart == whole or (isinstance(whole, str) and not isinstance(apart, str))


@pytest.mark.parametrize("other", ["[[1],2]", '["a]b"]', "[[]]"])
@pytest.mark.parametrize("document", ['{"x":%s,%s,"annotations":[]}', '{"annotations":[],%s,"image_attributes":%s}'])
def test_another_list_of_that_name(document: str, other: str) -> None:
    ids, free = '"point_annotations":[7,7]', f'{{"point_annotations":{other}}}'
    parts = (free, ids) if document.startswith('{"x"') else (ids, free)
    tables = al.decode_labels([(document % parts).encode()])
    assert tables.frames["point_annotations"].to_pylist() == [[7, 7]]


def test_errors_are_placed_in_the_document() -> None:
    text = b'{"point_annotations":[%s], x}' % b",".join([b"7"] * 200)
    with pytest.raises(al.DecodeError, match=rf"object keys must be strings \(byte {len(text) - 2}\)"):
        al.decode_labels([text])


def test_what_would_be_copied_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    data = json.dumps({"dataset": {"samples": [{"name": "x" * 99, "point_annotations": [1]}]}}).encode()
    assert point_ids._split(decode_release, data) is not None
    monkeypatch.setattr(point_ids, "_SKELETON", 99)
    assert point_ids._split(decode_release, data) is None


def test_short_lists_are_left_to_the_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    data = json.dumps({"dataset": {"samples": [{"point_annotations": [1, 2, 3]}] * 40}}).encode()
    assert point_ids._split(decode_release, data) is not None
    monkeypatch.setattr(point_ids, "_SHORT", 100)
    assert point_ids._split(decode_release, data) is None
