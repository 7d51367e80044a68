"""Samples split by what is held of them are those that a parser finds, or none are."""

import json
import re
from typing import Any

import pytest
from generate import release
from hypothesis import given, settings
from hypothesis import strategies as st
from revisions import revisions

import arrow_labels as al
from arrow_labels import known
from arrow_labels.changes import Changes
from arrow_labels.decode.careful import FAILURES
from arrow_labels.decode.definitions import around_samples
from arrow_labels.known import Known, split_known
from arrow_labels.state import state
from arrow_labels.wire import decode_raws, decode_release

DOCUMENT = release("image-vector-sequence", seed=5, samples=12)
SAMPLES = [json.dumps(sample).encode() for sample in DOCUMENT["dataset"]["samples"]]
HEAD = json.dumps(DOCUMENT | {"dataset": DOCUMENT["dataset"] | {"samples": []}}).encode()


def text(*parts: bytes) -> memoryview:
    """A release with this text for its samples."""
    before, after = re.split(rb'(?<="samples": \[)', HEAD)
    return memoryview(before + b"".join(parts) + after)


def hashed(raw: Any) -> str:
    return str(bytes(raw))


def held(samples: list[bytes]) -> dict[str, Known]:
    return {json.loads(it)["uuid"]: Known(hashed(it), len(it)) for it in samples}


def split(data: memoryview, samples: list[bytes]) -> list[bytes] | None:
    around = around_samples(data)
    raws = None if around is None else split_known(data, around, held(samples), hashed)
    return None if raws is None else [bytes(raw) for raw in raws]


def parsed(data: memoryview) -> list[bytes] | None:
    try:
        dataset = decode_release(data).dataset
    except FAILURES:
        return None
    return None if dataset is None or dataset.samples is None else [bytes(raw) for raw in dataset.samples]


def changed(sample: bytes, **members: Any) -> bytes:
    return json.dumps(json.loads(sample) | members).encode()


@settings(max_examples=200)
@given(st.data())
def test_what_a_parser_finds(data: st.DataObject) -> None:
    """Samples that are held, changed, new, gone, moved and repeated, and text that is none between them."""
    inside = [{"uuid": json.loads(SAMPLES[0])["uuid"]}, {"a": "}, {"}] * 3
    others = [changed(SAMPLES[1], metadata=inside), changed(SAMPLES[2], uuid="new"), b'{"uuid":"x"}', b"null", b"3"]
    pieces = data.draw(st.lists(st.sampled_from([*SAMPLES[:6], *others, b"{", b"[", b"]", b""]), max_size=8))
    spaces = data.draw(st.sampled_from([b", ", b",", b" \n, \t", b"\x0c,", b" ", b",,"]))
    around = data.draw(st.sampled_from([b"", b" ", b"\n", b","]))
    found = text(around, spaces.join(pieces), around)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(known, "_UNKNOWN", 1)
        result = split(found, data.draw(st.permutations(SAMPLES[:6])))
    if result is not None:
        assert result == parsed(found)


def test_little_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def counted(data: bytes) -> Any:
        asked.append(len(data))
        return decode_raws(data)

    monkeypatch.setattr(known, "decode_raws", counted)
    one = changed(SAMPLES[7], metadata={"a": 1})
    kept = [*SAMPLES[3:7], one, *SAMPLES[8:], SAMPLES[0], SAMPLES[2]]  # some moved, one gone
    for separator in (b",", b" ,\n  "):
        data = text(separator.join(kept))
        assert split(data, SAMPLES) == parsed(data) == kept
        assert asked == [len(one) + 2]
        asked.clear()
    # Where most is new, nothing is won.
    data = text(b",".join([SAMPLES[0], *(changed(it, metadata={"a": 1}) for it in SAMPLES[1:])]))
    assert split(data, SAMPLES) is None
    assert len(asked) <= 3


@settings(max_examples=20, deadline=None)
@given(revisions(), st.sampled_from([None, 1]))
def test_it_makes_no_difference(documents: tuple[Any, Any], indent: int | None) -> None:
    old, new = (memoryview(json.dumps(it, indent=indent).encode()) for it in documents)
    target = al.LabelTables.concat(al.iter_labels(old, changes=Changes()))
    found = []
    for part in (1, 1 << 62):  # anything may be new, or nothing
        changes = Changes(state(target.labels, target.samples, target.rejects))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(known, "_UNKNOWN", part)
            tables = al.LabelTables.concat(al.iter_labels(new, changes=changes))
        found.append((tables, changes.labels, changes.samples, changes.kept, changes.kept_samples))
    assert found[0] == found[1]
    assert found[0][0].labels.equals(found[1][0].labels)


def test_hashes_of_the_first_versions() -> None:
    """They say no sizes: a target that has them is read as any other, and keeps them."""
    data = text(b",".join(SAMPLES))
    target = al.LabelTables.concat(al.iter_labels(data, changes=Changes()))
    hashes = [value.rpartition("-")[0] for value in target.labels["content_hash"].to_pylist()]
    place = target.labels.column_names.index("content_hash")
    labels = target.labels.set_column(place, target.labels.schema.field(place), [hashes])
    changes = Changes(state(labels, target.samples, target.rejects))
    assert not changes.state.known
    assert al.LabelTables.concat(al.iter_labels(data, changes=changes)).labels.num_rows == 0
    assert set(changes.labels.values()) == {"unchanged"}
    assert {it.content_hash for it in changes.kept.values()} == set(hashes)
