"""Decoding against the slow reference, and there and back again, for documents with every quirk."""

import json
from typing import Any

import fsspec
import pyarrow as pa
import pytest
import strategies
from compare import first_difference
from flatten import flatten
from generate import TASK_TYPES, release
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from json_equal import difference

import arrow_labels as al

bounded = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
indents = st.sampled_from((None, 2, "\t"))


def as_bytes(document: Any, indent: int | str | None, ascii_only: bool) -> bytes:
    return json.dumps(document, indent=indent, ensure_ascii=ascii_only).encode()


def restored(tables: al.LabelTables) -> Any:
    al.write_release(tables, "memory://restored.json")
    return json.loads(fsspec.filesystem("memory").cat("/restored.json"))


@pytest.mark.parametrize("task_type", TASK_TYPES)
@settings(bounded, max_examples=150)
@given(data=st.data())
def test_release_round_trip(task_type: str, data: st.DataObject) -> None:
    document = data.draw(strategies.releases(task_type))
    tables = al.decode_labels([document])
    assert difference(document, restored(tables)) is None


@settings(bounded, max_examples=400)
@given(strategies.attributes())
def test_attributes_round_trip(document: dict[str, Any]) -> None:
    ((sample_id, labelset, attributes),) = al.encode_labels(al.decode_labels([document]))
    assert (sample_id, labelset) == ("0", "ground-truth")
    assert difference(document, attributes) is None


@settings(bounded, max_examples=400)
@given(strategies.labels())
def test_label_round_trip(document: dict[str, Any]) -> None:
    ((_, labelset, attributes),) = al.encode_labels(al.decode_labels([document]))
    assert labelset == (document.get("labelset") if document.get("labelset") is not None else "ground-truth")
    assert difference({"it": document.get("attributes")}, {"it": attributes}) is None
    (sample,) = restored(al.decode_labels([document]))["dataset"]["samples"]
    assert difference(document, sample["labels"][labelset]) is None


@settings(bounded, max_examples=400)
@given(strategies.samples())
def test_sample_round_trip(document: dict[str, Any]) -> None:
    (sample,) = restored(al.decode_labels([document]))["dataset"]["samples"]
    assert difference(document, sample) is None


@settings(bounded, max_examples=600)
@given(
    st.one_of(strategies.releases(), strategies.samples(), strategies.labels(), strategies.attributes()),
    st.sampled_from(("ns", "us", "ms", "s")),
)
def test_every_column_agrees_with_the_reference(document: dict[str, Any], unit: Any) -> None:
    tables = al.decode_labels([document], timestamp_unit=unit)
    assert first_difference(tables, flatten(document, timestamp_unit=unit)) is None


@settings(bounded, max_examples=200)
@given(strategies.releases(), indents, st.booleans())
def test_spelling_does_not_matter(document: dict[str, Any], indent: int | str | None, ascii_only: bool) -> None:
    plain = al.decode_labels([document])
    other = al.decode_labels([as_bytes(document, indent, ascii_only)])
    for name, table in plain:
        json_columns = [column for column in table.column_names if column in ("extra", "attributes", "metadata")]
        assert other[name].drop_columns(json_columns).num_rows == table.num_rows
    assert first_difference(other, flatten(document)) is None


@settings(bounded, max_examples=100)
@given(st.lists(strategies.samples(), min_size=2, max_size=4))
def test_documents_of_one_call_do_not_mix(documents: list[dict[str, Any]]) -> None:
    tables = al.decode_labels(documents)
    samples = restored(tables)["dataset"]["samples"]
    for document, sample in zip(documents, samples, strict=True):
        assert difference(document, sample) is None


@settings(bounded, max_examples=100)
@given(strategies.releases(), st.randoms())
def test_rows_may_come_in_any_order(document: dict[str, Any], random: Any) -> None:
    tables = al.decode_labels([document])
    shuffled = {}
    for name, table in tables:
        order = list(range(table.num_rows))
        random.shuffle(order)
        shuffled[name] = table.take(pa.array(order, pa.int64()))
    assert difference(document, restored(al.LabelTables(**shuffled))) is None


@pytest.mark.parametrize("task_type", TASK_TYPES)
def test_realistic_release(task_type: str) -> None:
    document = release(task_type, seed=7)
    tables = al.decode_labels([document])
    assert first_difference(tables, flatten(document)) is None
    assert difference(document, restored(tables)) is None


@pytest.mark.parametrize(
    "attributes",
    [
        {"sensors": [], "format_version": "0.1"},
        {"sensors": [], "format_version": 1, "links": [{"from_id": 1, "to_id": 2}]},
        {"point_annotations": None},
        {"annotations": None, "image_attributes": None},
        {"sensors": [{"name": "lidar", "attributes": {"point_annotations": None}}]},
    ],
)
def test_attributes_that_say_nearly_nothing(attributes: dict[str, Any]) -> None:
    document = {"label_status": "LABELED", "attributes": attributes}
    tables = al.decode_labels([document])
    assert first_difference(tables, flatten(document)) is None
    ((_, _, found),) = al.encode_labels(tables)
    assert difference(attributes, found) is None


def test_extra_is_the_same_whatever_else_is_read() -> None:
    """An integer that no float holds exactly makes the whole label one that is read with care."""
    label = {
        "label_status": "LABELED",
        "created_at": "2024-03-01T08:15:12.120000+00:00",
        "attributes": {"annotations": [{"track_id": 1, "category_id": 0, "type": "cuboid", "yaw": 10**300}]},
        "sample_uuid": "a",
        "labelset": "model",
    }
    whole, alone = al.decode_labels([label]), al.decode_labels([label], tables=["labels"])
    assert whole.cuboids["extra"].null_count == 0
    assert alone.labels == whole.labels
    assert whole.labels["extra"].to_pylist() == [
        '{"sample_uuid":"a","labelset":"model","created_at":"2024-03-01T08:15:12.120000+00:00"}'
    ]
