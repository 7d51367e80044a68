"""What is no label, and what is kept beside it."""

import copy
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from generate import release

import arrow_labels as al

CUBOID = {
    "id": 1,
    "category_id": 1,
    "type": "cuboid",
    "position": {"x": 1, "y": 2, "z": 3},
    "dimensions": {"x": 1, "y": 1, "z": 1},
    "yaw": 0.5,
}
POLYGON = {"id": 1, "category_id": 1, "type": "polygon", "points": [[0, 0], [1, 1], [1, 0]]}


def in_frames(annotation: dict[str, Any]) -> dict[str, Any]:
    return {"frames": [{"annotations": []}, {"annotations": [CUBOID, annotation]}]}


WRONG: dict[str, tuple[dict[str, Any], str, str]] = {
    "type of an id": ({**CUBOID, "track_id": "7"}, ".track_id", "Expected `int | null`, got `str`"),
    "fraction as an id": ({**CUBOID, "id": 1.5}, ".id", "Expected `int | null`, got `float`"),
    "bool as an id": ({**CUBOID, "id": True}, ".id", "Expected `int | null`, got `bool`"),
    "id beyond its column": ({**CUBOID, "id": 2**63}, ".id", "Expected `int` <= 9223372036854775807, got a larger one"),
    "index beyond its column": (
        {**CUBOID, "index": -(2**32)},
        ".index",
        "Expected `int` >= -2147483648, got a smaller one",
    ),
    "no category": ({"id": 1}, "", "Expected an object with `category_id`, got one without"),
    "no id at all": ({"category_id": 1}, "", "Expected `id` or `track_id`, got neither"),
    "unknown shape": (
        {**POLYGON, "type": "ellipse"},
        ".type",
        "Expected one of bbox, cuboid, cuboid-sync, point, polygon, polyline, got 'ellipse'",
    ),
    "point of one": (
        {**POLYGON, "points": [[0, 0], [1]]},
        ".points[1]",
        "Expected `array` of length >= 2, got a shorter one",
    ),
    "point of four": (
        {**POLYGON, "points": [[1, 2, 3, 4]]},
        ".points[0]",
        "Expected `array` of length <= 3, got a longer one",
    ),
    "flat points": ({**POLYGON, "points": [1, 2]}, ".points[0]", "Expected `array`, got `int`"),
    "points that hide each other": (
        {**POLYGON, "points": [[1, 2], [[3, 4]], [5, 6]]},
        ".points[1][0]",
        "Expected `float`, got `array`",
    ),
    "text as a coordinate": ({**POLYGON, "points": [["0", 1]]}, ".points[0][0]", "Expected `float`, got `str`"),
    "null as a coordinate": ({**POLYGON, "points": [[None, 1]]}, ".points[0][0]", "Expected `float`, got `null`"),
    "position as an array": ({**CUBOID, "position": [1, 2, 3]}, ".position", "Expected `object | null`, got `array`"),
    "text as a number": ({**CUBOID, "yaw": "0"}, ".yaw", "Expected `float | null`, got `str`"),
    "keyframe as a number": ({**CUBOID, "is_keyframe": 1}, ".is_keyframe", "Expected `bool | null`, got `int`"),
}


@pytest.mark.parametrize(("annotation", "path", "message"), WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("unknown", [{}, {"unknown": [1]}])
def test_wrong_annotations(annotation: dict[str, Any], path: str, message: str, unknown: dict[str, Any]) -> None:
    with pytest.raises(al.DecodeError) as error:
        al.decode_labels([{"sample_uuid": "s", "labelset": "l", "attributes": in_frames({**annotation, **unknown})}])
    assert error.value.path == f"$.frames[1].annotations[1]{path}"
    assert error.value.message.startswith(message)
    assert error.value.source == "<document 0>"
    text = f"{error.value.message} - at `{error.value.path}` in <document 0> (sample "
    assert str(error.value).startswith(text)


NOT_LABELS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "Input data was truncated"),
    "not JSON": (b"hello", "JSON is malformed: invalid character (byte 0)"),
    "cut off": (json.dumps(release("vector")).encode()[:-40], "Input data was truncated"),
    "NaN": (b'{"annotations": [{"id": NaN}]}', "JSON is malformed: invalid character (byte 24)"),
    "two documents": (b'{"annotations": []} {"annotations": []}', "JSON is malformed: trailing characters"),
    "no object": (b"[1, 2]", "Expected `object`, got `array`"),
    "no known document": (b'{"a": 1, "b": 2}', "Expected a release (`dataset`), a sample (`labels`), "),
    "no members": (b"{}", "Expected a release (`dataset`), a sample (`labels`), "),
    "not UTF-8": (b'{"annotations": [{"id": 1, "category_id": 1, "attributes": {"a": "\xff"}}]}', ""),
    "UTF-16": ('{"annotations": []}'.encode("utf-16"), "JSON is malformed"),
    "too deep": (
        b'{"annotations": [], "a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        "Expected JSON of reasonable depth",
    ),
    "a number too large": (b'{"annotations": [], "a": 1e999}', "Number out of range"),
    "half a surrogate pair": (b'{"annotations": [], "image_attributes": {"a": "\\ud800"}}', ""),
}


@pytest.mark.parametrize(("document", "message"), NOT_LABELS.values(), ids=NOT_LABELS)
def test_what_is_no_label(document: bytes, message: str) -> None:
    good = {"annotations": [{"id": 1, "category_id": 1}]}
    with pytest.raises(al.DecodeError) as error:
        al.decode_labels([document])
    assert error.value.message.startswith(message)
    tables = al.decode_labels([good, document, good], on_error="collect")
    assert tables.segments["sample_id"].to_pylist() == ["0", "2"]
    assert tables.rejects["source"].to_pylist() == ["<document 1>"]
    assert tables.rejects["error"][0].as_py().startswith(message)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), b"bytes", {1, 2}, "\ud800", object()])
def test_values_that_json_cannot_hold(value: Any) -> None:
    document = in_frames({**CUBOID, "attributes": {"a": [0, value]}})
    with pytest.raises(al.DecodeError, match="Expected a value that JSON can hold") as error:
        al.decode_labels([document])
    assert error.value.path == "$.frames[1].annotations[1].attributes.a[1]"
    good = in_frames(CUBOID)
    for tables in (read([good, document, good], on_error="collect") for read in (al.decode_labels, al.read_labels)):
        assert tables.labels["sample_id"].to_pylist() == ["0", "2"]
        assert tables.rejects.select(["source", "path"]).to_pylist() == [
            {"source": "<document 1>", "path": error.value.path}
        ]


def test_a_document_that_contains_itself() -> None:
    document: dict[str, Any] = {"annotations": []}
    document["image_attributes"] = document
    with pytest.raises(al.DecodeError):
        al.decode_labels([document])


def test_point_ids() -> None:
    for ids, path, message in (
        ([1, "2"], "[1]", "Expected `int`, got `str`"),
        ([1, 2**31], "[1]", "Expected `int` <= 2147483647, got a larger one"),
        ([1, 2.5], "[1]", "Expected `int`, got `float`"),
        ([1, None], "[1]", "Expected `int`, got `null`"),
        ({}, "", "Expected `array`, got `object`"),
        ([[1]], "[0]", "Expected `int`, got `array`"),
    ):
        with pytest.raises(al.DecodeError) as error:
            al.decode_labels([{"annotations": [], "point_annotations": ids}])
        assert error.value.path == f"$.point_annotations{path}"
        assert error.value.message == message


@pytest.mark.parametrize("short", ["1 2", "x", "01", "1,", "-"])
def test_point_ids_that_are_no_json_beside_many_that_are(short: str) -> None:
    good = b'{"annotations":[{"id":1,"category_id":0}]}'
    lists = (short, ",".join(["12"] * 4000))
    frames = ",".join('{"annotations":[],"point_annotations":[%s]}' % ids for ids in lists)  # noqa: UP031
    tables = al.decode_labels([good, b'{"frames":[%s]}' % frames.encode(), good], on_error="collect")
    assert tables.labels["sample_id"].to_pylist() == ["0", "2"]
    assert tables.rejects["source"].to_pylist() == ["<document 1>"]
    assert tables.rejects["error"][0].as_py().startswith("JSON is malformed: ")


@pytest.mark.parametrize("unknown", [{}, {"unknown": 1}], ids=["fast", "careful"])
@pytest.mark.parametrize("spaces", [0, 13, 14, 62, 63, 64, 100])
def test_empty_point_ids_of_any_length(spaces: int, unknown: dict[str, Any]) -> None:
    text = json.dumps({"annotations": [], "point_annotations": "@", **unknown})
    tables = al.decode_labels([text.replace('"@"', "[" + " " * spaces + "]").encode()])
    assert [label for *_, label in al.encode_labels(tables)] == [json.loads(text.replace('"@"', "[]"))]


@pytest.mark.parametrize("readme", [b'"\xff"', b"1e400"])
def test_a_sample_keeps_its_name_whatever_else_cannot_be_read(readme: bytes) -> None:
    labels = json.dumps({"gt": {"label_status": "LABELED", "attributes": {"annotations": []}}}).encode()
    sample = b'{"uuid":"V","readme":%s,"labels":%s}' % (readme, labels)
    release = b'{"dataset":{"name":"d","samples":[%s,{"uuid":"W","labels":%s}]}}' % (sample, labels)
    tables = al.decode_labels([release], on_error="collect")
    assert tables.labels["sample_id"].to_pylist() == ["V", "W"]
    assert tables.rejects["sample_id"].to_pylist() == ["V"]
    scanned = al.scan_labels(release, "labels", on_error="collect").filter(pl.col("sample_id") == "V").collect()
    assert scanned.height == 1


BIG = {"x": 2**53 + 1, "y": 0, "z": 0}
SAMPLES: dict[str, dict[str, Any]] = {
    "beside frames": {"frames": [], "default_z": 2**53 + 1, "ego_pose": {"position": BIG}},
    "of a sensor": {"sensors": [{"name": "a", "attributes": {"frames": [], "default_z": 2**64 + 1}}]},
    "of a camera": {"frames": [], "images": [{"name": "a", "extrinsics": {"translation": BIG}}]},
}


@pytest.mark.parametrize("attributes", SAMPLES.values(), ids=SAMPLES)
def test_large_integers_of_samples_that_no_column_has(attributes: dict[str, Any], tmp_path: Path) -> None:
    document = {"dataset": {"samples": [{"name": "s", "attributes": attributes, "labels": {}}]}}
    al.write_release(al.decode_labels([document]), tmp_path / "release.json")
    found = json.loads((tmp_path / "release.json").read_bytes())
    assert found == document
    assert "9007199254740992" not in (tmp_path / "release.json").read_text()


def test_extra_does_not_depend_on_the_tables_that_are_read() -> None:
    camera = {
        "name": "a",
        "distortion": {"coefficients": None, "model": None},
        "intrinsics": {"intrinsic_matrix": None},
    }
    frame = {"pcd": {"type": None}, "image": {"url": None}, "ego_pose": {"position": None}, "images": [camera]}
    label = {"attributes": {"annotations": [{**POLYGON, "points": [[2**53 + 1, 2]]}]}}  # the careful way
    release = {"dataset": {"samples": [{"name": "s", "attributes": frame, "labels": {"gt": label}}]}}
    whole = al.decode_labels([release])
    for table in ("sample_frames", "cameras"):
        assert al.decode_labels([release], tables=[table])[table].equals(whole[table])


def broken_release() -> dict[str, Any]:
    document = release("pointcloud-cuboid-sequence", seed=9, samples=4)
    samples = document["dataset"]["samples"]
    samples[1]["labels"]["ground-truth"] = copy.deepcopy(samples[0]["labels"]["ground-truth"])
    samples[1]["labels"]["ground-truth"]["attributes"]["frames"][2]["annotations"][0]["track_id"] = "seven"
    samples[2]["labels"]["broken"] = {"label_status": 5, "attributes": None}
    samples[3]["priority"] = "high"
    return document


def test_only_the_smallest_enclosing_label_is_rejected() -> None:
    document = broken_release()
    samples = document["dataset"]["samples"]
    tables = al.decode_labels([document], on_error="collect")
    rejects = [tuple(row.values()) for row in tables.rejects.drop_columns("source").to_pylist()]
    assert rejects == [
        (samples[1]["uuid"], "ground-truth", "$.frames[2].annotations[0].track_id", "Expected `int | null`, got `str`"),
        (samples[2]["uuid"], "broken", "$.label_status", "Expected `str | null`, got `int`"),
        (samples[3]["uuid"], None, "$.priority", "Expected `float | null`, got `str`"),
    ]
    expected = {(s["uuid"], name) for s in samples for name in s["labels"]}
    expected -= {(samples[1]["uuid"], "ground-truth"), (samples[2]["uuid"], "broken")}
    keys = tables.labels.select(["sample_id", "labelset"]).to_pylist()
    assert {tuple(key.values()) for key in keys} == expected
    whole = al.decode_labels([release("pointcloud-cuboid-sequence", seed=9, samples=4)]).cuboids
    assert 0 < tables.cuboids.num_rows < whole.num_rows
    assert {tuple(key.values()) for key in tables.frames.select(["sample_id", "labelset"]).to_pylist()} <= expected


def test_the_first_error_is_raised() -> None:
    document = broken_release()
    with pytest.raises(al.DecodeError) as error:
        al.read_labels(json.dumps(document).encode())
    uuid = document["dataset"]["samples"][1]["uuid"]
    assert (error.value.sample_id, error.value.labelset) == (uuid, "ground-truth")
    assert str(error.value) == (
        "Expected `int | null`, got `str` - at `$.frames[2].annotations[0].track_id` in <document 0> "
        f"(sample {uuid}, labelset ground-truth)"
    )


@pytest.mark.parametrize(
    ("task_attributes", "path"),
    [
        ({"categories": [{"id": "1", "name": "car"}]}, "$.dataset.task_attributes.categories[0].id"),
        ({"categories": {"1": "car"}}, "$.dataset.task_attributes.categories"),
        ({"categories": [{"id": 1, "attributes": [3]}]}, "$.dataset.task_attributes.categories[0].attributes[0]"),
        ([1], "$.dataset.task_attributes"),
    ],
)
def test_wrong_definitions_leave_the_labels(task_attributes: Any, path: str) -> None:
    document = release("vector", seed=1)
    document["dataset"]["task_attributes"] = task_attributes
    with pytest.raises(al.DecodeError) as error:
        al.decode_labels([document])
    assert error.value.path == path
    tables = al.decode_labels([document], on_error="collect")
    assert tables.rejects["path"].to_pylist() == [path]
    assert tables.vectors.num_rows == al.decode_labels([release("vector", seed=1)]).vectors.num_rows
    assert tables.datasets.num_rows == 1


def test_the_last_of_duplicate_labels_wins() -> None:
    label = b'{"label_status": "LABELED", "attributes": {"annotations": []}}'
    tables = al.decode_labels([b'{"uuid": "a", "labels": 1, "labels": {"gt": %s}}' % label])
    assert tables.labels["labelset"].to_pylist() == ["gt"]
    with pytest.raises(al.DecodeError, match=r"Expected `object \| null`, got `int` - at `\$.labels`"):
        al.decode_labels([b'{"uuid": "a", "labels": {"gt": %s}, "labels": 1}' % label])


def test_the_last_of_duplicate_keys_wins() -> None:
    document = (
        b'{"annotations": "none", "annotations": [{"id": "x", "id": 2, "category_id": 1, "category_id": 3, '
        b'"attributes": {"a": 1, "a": 2}}]}'
    )
    tables = al.decode_labels([document])
    assert tables.segments.select(["id", "category_id"]).to_pylist() == [{"id": 2, "category_id": 3}]
    ((_, _, attributes),) = al.encode_labels(tables)
    assert attributes["annotations"][0]["attributes"] == {"a": 2}
