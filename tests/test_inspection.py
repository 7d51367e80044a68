"""Inspection against counts that plain loops over the JSON give."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import strategies
from generate import TASK_TYPES, release
from hypothesis import given, settings
from hypothesis import strategies as st

import arrow_labels as al
from arrow_labels.inspection import inspect_labels

DATA = Path(__file__).parent / "data"
SECTIONS = [
    *("summary", "datasets", "labels", "sensors", "frames", "annotations", "attributes"),
    *("unused", "undefined", "rejects"),
]
KIND = {None: "segment", "cuboid": "cuboid", "cuboid-sync": "cuboid"}
VALUE_TYPE: dict[type, str] = {str: "string", bool: "boolean", int: "integer", float: "number"} | {
    type(None): "null",
    list: "array",
    dict: "object",
}
Json = dict[str, Any]


def labels_of(document: Json) -> Iterator[tuple[str, str, Json | None]]:
    for sample in document["dataset"]["samples"]:
        for labelset, label in sample["labels"].items():
            yield sample["uuid"], labelset, label


def frames_of(label: Json | None) -> Iterator[tuple[str | None, Json]]:
    attributes = (label or {}).get("attributes") or {}
    if "sensors" in attributes:
        for sensor in attributes["sensors"]:
            yield from ((sensor["name"], frame) for frame in sensor["attributes"]["frames"])
    elif attributes:
        yield from ((None, frame) for frame in attributes.get("frames", [attributes]))


def is_sequence(label: Json | None) -> bool:
    attributes = (label or {}).get("attributes") or {}
    return "frames" in attributes or any("frames" in sensor["attributes"] for sensor in attributes.get("sensors", ()))


def expected(document: Json) -> dict[str, Counter[Any]]:
    """The rows of each section, with the numbers of a row under a name after its key."""
    found: dict[str, Counter[Any]] = {name: Counter() for name in SECTIONS[:-1]}
    dataset = document["dataset"]
    names = {category["id"]: category["name"] for category in dataset["task_attributes"]["categories"]}
    summary, tracks, used = found["summary"], set(), set()
    summary.update(releases=1, samples=len(dataset["samples"]), sequences=0, points=0, links=0, keyframes=0, rejects=0)
    found["datasets"][dataset["name"], document["name"], dataset["task_type"], "releases"] += 1
    for sample_id, labelset, label in labels_of(document):
        summary["labels"] += 1
        summary["sequences"] += is_sequence(label)
        key = (labelset, (label or {}).get("label_type"), (label or {}).get("label_status"))
        found["labels"][*key, "labels"] += 1
        found["labels"][*key, "empty"] += not any(True for _ in frames_of(label))
        attributes = (label or {}).get("attributes") or {}
        for sensor in attributes.get("sensors", ()):
            found["sensors"][labelset, sensor["name"], sensor["task_type"], "labels"] += 1
        for link in attributes.get("links", ()):
            summary["links"] += 1
            for name, value in link.get("attributes", {}).items():
                found["attributes"]["link", name, VALUE_TYPE[type(value)], "values"] += 1
                used.add(("link", None, name))
        for sensor_name, frame in frames_of(label):
            points = frame.get("point_annotations") or []
            summary["frames"] += 1
            summary["points"] += len(points)
            found["frames"][labelset, sensor_name, "frames"] += 1
            found["frames"][labelset, sensor_name, "with_timestamp"] += "timestamp" in frame
            found["frames"][labelset, sensor_name, "with_bitmap"] += "segmentation_bitmap" in frame
            found["frames"][labelset, sensor_name, "with_points"] += bool(points)
            found["frames"][labelset, sensor_name, "points"] += len(points)
            for name, value in frame.get("image_attributes", {}).items():
                found["attributes"]["image", name, VALUE_TYPE[type(value)], "values"] += 1
                used.add(("image", None, name))
            for annotation in frame["annotations"]:
                category = annotation["category_id"]
                track = (sample_id, labelset, annotation.get("track_id", annotation["id"]))
                kind = annotation.get("type")
                row = (KIND.get(kind, "vector"), kind, category, names.get(category))
                summary["annotations"] += 1
                summary["keyframes"] += annotation.get("is_keyframe") is True
                found["annotations"][*row, "annotations"] += 1
                found["annotations"][*row, "keyframes"] += annotation.get("is_keyframe") is True
                found["annotations"][*row, "interpolated"] += annotation.get("is_keyframe") is False
                found["annotations"][*row, "tracks"] += (*row, track) not in tracks
                tracks |= {track, (*row, track)}
                used.add(("category", category, None))
                for name, value in annotation["attributes"].items():
                    found["attributes"]["object", name, VALUE_TYPE[type(value)], "values"] += 1
                    used.add(("object", category, name))
    summary["tracks"] = sum(len(item) == 3 for item in tracks)
    for scope, category, name in defined(dataset["task_attributes"]) - used:
        found["unused"][dataset["name"], scope, category, names.get(category), name] = 1
    return found


def defined(task_attributes: Json) -> set[tuple[str, int | None, str | None]]:
    found: set[tuple[str, int | None, str | None]] = set()
    found |= {("image", None, item["name"]) for item in task_attributes["image_attributes"]}
    for category in task_attributes["categories"]:
        found.add(("category", category["id"], None))
        found |= {("object", category["id"], item["name"]) for item in category["attributes"]}
        found |= {("link", None, item["name"]) for item in category.get("link_attributes", ())}
    return found


def counted(name: str, rows: pl.DataFrame) -> Counter[Any]:
    """The rows of a section as `expected` has them."""
    if name == "summary":
        return Counter(dict(rows.rows()))
    if name == "unused":
        return Counter(rows.rows())
    numbers = {
        "datasets": ["releases"],
        "labels": ["labels", "empty"],
        "sensors": ["labels"],
        "frames": ["frames", "with_timestamp", "with_bitmap", "with_points", "points"],
        "annotations": ["annotations", "keyframes", "interpolated", "tracks"],
        "attributes": ["values"],
        "undefined": ["count"],
    }[name]
    keys = rows.columns[: -len(numbers)]
    return Counter(
        {(*(row[key] for key in keys), number): row[number] for row in rows.to_dicts() for number in numbers}
    )


def check(found: dict[str, pl.DataFrame], document: Json) -> None:
    assert list(found) == SECTIONS
    for name, rows in expected(document).items():
        got = counted(name, found[name])
        assert {key: count for key, count in got.items() if count} == {key: n for key, n in rows.items() if n}, name


@pytest.mark.parametrize("task_type", TASK_TYPES)
def test_counts_of_every_task_type(task_type: str) -> None:
    document = release(task_type, seed=3, samples=4, frames=6)
    check(inspect_labels(document), document)
    check(inspect_labels(document, batch_bytes=1), document)


@pytest.mark.parametrize("name", ["street", "drive"])
def test_counts_of_the_test_data(name: str) -> None:
    check(inspect_labels(DATA / name), json.loads((DATA / name / "release.json").read_text()))


def test_tables_are_a_source_too() -> None:
    document = release("multisensor-sequence", samples=2, frames=4)
    check(inspect_labels(al.read_labels(document)), document)
    with pytest.raises(ValueError, match="labelsets: expected none with LabelTables"):
        inspect_labels(al.read_labels(document), labelsets=["ground-truth"])


def same(a: dict[str, pl.DataFrame], b: dict[str, pl.DataFrame]) -> bool:
    return all(a[name].equals(b[name]) and a[name].schema == b[name].schema for name in SECTIONS)


@settings(deadline=None, max_examples=60)
@given(st.lists(strategies.releases() | strategies.samples() | strategies.attributes(), max_size=4))
def test_batches_do_not_matter(documents: list[Json]) -> None:
    whole = inspect_labels(al.read_labels(documents, on_error="collect"))
    assert same(inspect_labels(documents, batch_bytes=1), whole)


@settings(deadline=None, max_examples=60)
@given(strategies.releases())
def test_summary_agrees_with_the_tables(document: Json) -> None:
    tables = al.read_labels(document, on_error="collect")
    found = inspect_labels(document)
    summary = dict(found["summary"].rows())
    assert summary["samples"] == tables.samples.num_rows
    assert summary["labels"] == tables.labels.num_rows == found["labels"]["labels"].sum()
    assert summary["frames"] == tables.frames.num_rows == found["frames"]["frames"].sum()
    assert summary["annotations"] == tables.annotations.collect().height == found["annotations"]["annotations"].sum()
    assert summary["rejects"] == tables.rejects.num_rows == found["rejects"].height
    texts = [text for text in tables.annotations.collect()["attributes"] if text is not None]
    values = sum(len(value) if isinstance(value := json.loads(text), dict) else 1 for text in texts)
    assert found["attributes"].filter(pl.col("scope") == "object")["values"].sum() == values


def test_nothing_gives_empty_tables() -> None:
    found = inspect_labels(al.LabelTables())
    assert list(found) == SECTIONS
    assert set(found["summary"]["count"]) == {0}
    assert all(found[name].height == 0 for name in SECTIONS[1:])
    some = inspect_labels(release("vector"))
    assert all(found[name].schema == some[name].schema for name in SECTIONS)


@pytest.mark.parametrize(
    ("text", "value_type"),
    [
        *(('"1"', "string"), ("true", "boolean"), ("false", "boolean"), ("null", "null"), ("-3", "integer")),
        *(("3.0", "number"), ("1e3", "number"), ("2E1", "number"), ("[1.5]", "array"), ('{"e": 1}', "object")),
    ],
)
def test_value_types(text: str, value_type: str) -> None:
    document = b'{"annotations": [{"id": 1, "category_id": 0, "attributes": {"a" : %s }}]}' % text.encode()
    assert inspect_labels(document)["attributes"].rows() == [("object", "a", value_type, 1)]


def test_attributes_that_are_no_object_are_seen() -> None:
    label = {"annotations": [{"id": 1, "category_id": 0, "attributes": []}]}
    assert inspect_labels(label)["attributes"].rows() == [("object", None, "array", 1)]


def test_attributes_of_links_and_of_their_frames() -> None:
    links = [
        {"from_id": 1, "to_id": 2, "attributes": {"a": 1}, "frames": [{"attributes": {"b": True}}, {}]},
        {"from_id": 1, "to_id": 2, "frames": [{"attributes": {"b": False, "c": None}}]},
    ]
    found = inspect_labels({"annotations": [], "links": links})
    assert found["attributes"].rows() == [
        *(("link", "a", "integer", 1), ("link", "b", "boolean", 2), ("link", "c", "null", 1))
    ]


def small_release(annotations: list[Json], name: str | None = "d") -> Json:
    categories = [
        {"id": 0, "name": "car", "attributes": [{"name": "doors"}, {"name": "plate"}]},
        {"id": 1, "name": "bus", "attributes": [{"name": "doors"}]},
    ]
    sample = {"uuid": "s", "labels": {"ground-truth": {"attributes": {"annotations": annotations}}}}
    attributes = {"categories": categories, "image_attributes": [{"name": "weather"}]}
    dataset = {"task_attributes": attributes, "samples": [sample]}
    return {"dataset": dataset if name is None else dataset | {"name": name}}


@pytest.mark.parametrize("name", ["d", None])
def test_what_is_not_used_and_what_is_not_defined(name: str | None) -> None:
    annotations = [
        {"id": 1, "category_id": 0, "attributes": {"doors": 4, "plate": None, "roof": "open"}},
        {"id": 2, "category_id": 7, "attributes": {"wheels": 3}},
    ]
    found = inspect_labels(small_release(annotations, name))
    assert found["unused"].rows() == [
        (name, "category", 1, "bus", None),
        (name, "image", None, None, "weather"),
        (name, "object", 0, "car", "plate"),
        (name, "object", 1, "bus", "doors"),
    ]
    assert found["undefined"].rows() == [(name, "category", 7, None, 1), (name, "object", 0, "roof", 1)]


def test_definitions_belong_to_their_release() -> None:
    used = small_release([{"id": 1, "category_id": 1, "attributes": {"doors": 2}}], "a")
    other = small_release([{"id": 1, "category_id": 9}], "b")
    found = inspect_labels([used, other], batch_bytes=1)
    assert ("a", "category", 1, "bus", None) not in found["unused"].rows()
    assert ("b", "category", 1, "bus", None) in found["unused"].rows()
    assert found["undefined"].rows() == [("b", "category", 9, None, 1)]


def test_without_a_release_nothing_is_undefined() -> None:
    found = inspect_labels({"annotations": [{"id": 1, "category_id": 9, "attributes": {"a": 1}}]})
    assert found["undefined"].height == found["unused"].height == 0


@pytest.mark.parametrize("bad", [b"{", b"[]", b'{"annotations": [{"id": "x", "category_id": 0}]}'])
def test_rejects_are_kept_or_raised(bad: bytes) -> None:
    good = {"annotations": [{"id": 1, "category_id": 0}]}
    found = inspect_labels([good, bad])
    assert dict(found["summary"].rows())["rejects"] == found["rejects"].height == 1
    assert dict(found["summary"].rows())["annotations"] == 1
    with pytest.raises(al.DecodeError):
        inspect_labels([good, bad], on_error="raise")


def test_labelsets_and_progress() -> None:
    calls: list[tuple[int, int | None]] = []
    keep: Callable[[int, int | None], None] = lambda done, total: calls.append((done, total))  # noqa: E731
    found = inspect_labels(DATA / "street", labelsets=["ground-truth"], progress=keep)
    assert found["labels"]["labelset"].unique().to_list() == ["ground-truth"]
    assert calls
    assert calls[-1][1] == (DATA / "street" / "release.json").stat().st_size
