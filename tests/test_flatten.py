"""The reference itself, against small documents whose rows are known."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from flatten import COLUMNS, UndecodableError, flatten, merge_patch, nanoseconds

BLOCK_KEY = {
    "sample_id": "0",
    "labelset": "ground-truth",
    "sensor_index": 0,
    "sensor": None,
    "frame_index": 0,
}
NOT_MEASURED = dict.fromkeys(("area", "xmin", "ymin", "xmax", "ymax", "rle"))


def counts(tables: dict[str, list[dict[str, Any]]]) -> dict[str, int]:
    """The number of rows of the tables that have any."""
    return {name: len(rows) for name, rows in tables.items() if rows}


def extras(rows: list[dict[str, Any]]) -> list[Any]:
    """The patches, parsed; the text "null" is told apart from no patch."""
    return [row["extra"] and (json.loads(row["extra"]) or row["extra"]) for row in rows]


def test_segmentation_of_one_frame() -> None:
    tables = flatten(
        {
            "format_version": "0.1",
            "annotations": [
                {"id": 1, "category_id": 0},
                {"id": 2, "category_id": 3, "attributes": {}, "new": [None]},
            ],
            "segmentation_bitmap": {"url": "https://example.com/1.png"},
            "image_attributes": {"weather": "ré"},
        }
    )
    assert counts(tables) == {"labels": 1, "frames": 1, "segments": 2}
    label = dict.fromkeys(COLUMNS["labels"].split())
    label |= {"sample_id": "0", "labelset": "ground-truth", "source": "<document 0>", "format_version": "0.1"}
    assert tables["labels"] == [label]
    assert tables["frames"] == [
        BLOCK_KEY
        | {
            "timestamp": None,
            "format_version": "0.1",
            "image_attributes": '{"weather":"ré"}',
            "bitmap_url": "https://example.com/1.png",
            "point_annotations": None,
            "extra": None,
        }
    ]
    common = BLOCK_KEY | dict.fromkeys(("timestamp", "track_id", "category", "type", "is_keyframe", "index"))
    common |= NOT_MEASURED | {"point_count": None}
    assert tables["segments"] == [
        common | {"annotation_index": 0, "id": 1, "category_id": 0, "attributes": None, "extra": None},
        common | {"annotation_index": 1, "id": 2, "category_id": 3, "attributes": "{}", "extra": '{"new":[null]}'},
    ]
    for name, rows in tables.items():
        assert all(list(row) == COLUMNS[name].split() for row in rows)


def test_release_with_an_image_sequence() -> None:
    box = {
        "track_id": 7,
        "category_id": 1.0,
        "type": "bbox",
        "points": [[4, 5.5], [1, 2]],
        "is_keyframe": True,
    }
    frames = [
        {"annotations": [box | {"index": 0}], "timestamp": "00001", "format_version": 0.1},
        {"annotations": [], "segmentation_bitmap": {"url": ""}, "timestamp": 2},
        {},
    ]
    label = {
        "label_status": "LABELED",
        "attributes": {
            "format_version": 1,
            "frames": frames,
            "links": [{"from_id": 7, "to_id": 8, "frames": [{"attributes": {}}]}],
            "more": 1,
        },
        "created_at": "2024-01-02T03:04:05.600000Z",
        "reviewed_at": "2024-01-02T05:04:05+02:00",
    }
    sample = {
        "uuid": "u",
        "name": "a/b:c",
        "attributes": {"frames": [{"image": {"url": "1.png"}, "name": "one"}, {"image": {"url": "2.png", "w": 5}}]},
        "labels": {"ground-truth": label, "second": None},
    }
    specs = [{"name": "speed", "input_type": "number", "min": "0", "max": "", "step": 1, "values": ["a", 1]}]
    task_attributes = {
        "categories": [
            {"id": 1, "name": "old"},
            {"id": 1, "name": "car", "color": [1, 2.5, 3], "attributes": specs, "link_attributes": []},
        ],
        "image_attributes": [{"name": "weather", "default_value": False}],
    }
    dataset = {
        "name": "d",
        "task_type": "image-vector-sequence",
        "task_attributes": task_attributes,
        "owner": {"username": "x"},
        "samples": [sample, {"uuid": "u", "labels": {}}, {"name": "n"}, {"labels": {}}],
    }
    tables = flatten({"name": "v1", "dataset": dataset, "created_at": "2024"})

    assert counts(tables) == {
        "datasets": 1,
        "categories": 2,
        "attribute_specs": 2,
        "samples": 4,
        "sample_frames": 2,
        "labels": 2,
        "frames": 3,
        "vectors": 1,
        "links": 1,
    }
    assert extras(tables["datasets"]) == [{"created_at": "2024", "dataset": {"owner": {"username": "x"}}}]
    assert json.loads(tables["datasets"][0]["task_attributes"]) == task_attributes
    assert [row["color"] for row in tables["categories"]] == [None, [1.0, 2.5, 3.0]]
    assert extras(tables["categories"]) == [None, {"link_attributes": []}]
    speed, weather = tables["attribute_specs"]
    assert (speed["scope"], speed["category_id"], speed["min"], speed["max"]) == ("object", 1, 0.0, None)
    assert speed["values"] == ["a", "1"]
    assert json.loads(speed["extra"]) == {"min": "0", "max": "", "values": ["a", 1]}
    assert (weather["scope"], weather["category_id"], weather["default_value"]) == ("image", None, "false")

    assert [row["sample_id"] for row in tables["samples"]] == ["u", "u#2", "n", "0"]
    assert [row["sample_index"] for row in tables["samples"]] == [0, 1, 2, 3]
    assert extras(tables["samples"]) == [None, {"uuid": "u"}, {"uuid": None, "labels": None}, {"uuid": None}]
    assert [row["image_url"] for row in tables["sample_frames"]] == ["1.png", "2.png"]
    assert extras(tables["sample_frames"]) == [None, {"image": {"w": 5}}]

    first, second = tables["labels"]
    assert (first["frame_count"], first["format_version"], first["sensors"]) == (3, "1", None)
    assert first["created_at"] == datetime(2024, 1, 2, 3, 4, 5, 600000, UTC)
    assert first["reviewed_at"] == datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert json.loads(first["extra"]) == {
        "attributes": {"format_version": 1, "more": 1},
        "reviewed_at": "2024-01-02T05:04:05+02:00",
    }
    assert (second["labelset"], second["extra"], second["label_status"]) == ("second", "null", None)
    assert [row["timestamp"] for row in tables["frames"]] == [1, 2, None]
    assert extras(tables["frames"]) == [
        {"timestamp": "00001", "format_version": 0.1},
        {"segmentation_bitmap": {"url": ""}},
        {"annotations": None},
    ]
    vector = tables["vectors"][0]
    assert vector["points"] == [{"x": 4.0, "y": 5.5, "z": None}, {"x": 1.0, "y": 2.0, "z": None}]
    assert (vector["timestamp"], vector["category"], vector["category_id"]) == (1, "car", 1)
    assert (vector["index"], vector["is_keyframe"], vector["extra"]) == (0, True, None)
    link = tables["links"][0]
    assert (link["from_id"], link["to_id"], link["frames"]) == (7, 8, '[{"attributes":{}}]')


def test_cuboid_sequence() -> None:
    cuboid = {
        "track_id": 2**40,
        "category_id": 1,
        "type": "cuboid",
        "position": {"x": 1, "y": 2, "z": 3, "w": 4},
        "dimensions": {"x": 4, "y": 2},
        "yaw": -0.5,
        "velocity": {"absolute": 1.5},
        "acceleration": None,
        "points": [],
    }
    whole = {"rotation": {"qx": 0, "qy": 0, "qz": 0, "qw": 1}, "type": "cuboid-sync"}
    frames = [{"annotations": [cuboid], "timestamp": 1.5}, {"annotations": [cuboid | whole], "timestamp": 1}]
    document = {"label_status": "LABELED", "sample_uuid": "s", "attributes": {"frames": frames}}
    tables = flatten(document, timestamp_unit="us")
    assert counts(tables) == {"labels": 1, "frames": 2, "cuboids": 2}
    assert tables["labels"][0]["sample_id"] == "s"
    assert extras(tables["labels"]) == [{"sample_uuid": "s"}]
    assert [row["timestamp"] for row in tables["frames"]] == [1500, 1000]
    assert extras(tables["frames"]) == [{"timestamp": 1.5}, {"timestamp": 1}]
    one, two = tables["cuboids"]
    expected = {
        "track_id": 2**40,
        "x": 1.0,
        "z": 3.0,
        "length": 4.0,
        "width": 2.0,
        "height": None,
        "yaw": -0.5,
        "qw": None,
        "velocity_absolute": 1.5,
        "velocity_relative": None,
        "acceleration_absolute": None,
    }
    assert {name: one[name] for name in expected} == expected
    assert (two["qx"], two["qw"], two["type"], two["frame_index"]) == (0.0, 1.0, "cuboid-sync", 1)
    assert extras([one, two]) == [{"position": {"w": 4}, "points": []}] * 2


def test_sensors() -> None:
    frame = {"annotations": [{"track_id": 1, "category_id": 1}], "point_annotations": [1, 0, 1]}
    attributes = {
        "sensors": [
            {"name": "cam", "task_type": "image-vector-sequence", "attributes": []},
            {
                "name": "lidar",
                "task_type": "pointcloud-segmentation-sequence",
                "attributes": {
                    "format_version": 0.2,
                    "frames": [frame, frame | {"point_annotations": []}],
                    "links": [],
                },
            },
            {"name": "one", "attributes": {"format_version": 0.2, "annotations": []}, "new": 1},
        ],
        "links": [{"from_id": 1, "to_id": 2}],
    }
    tables = flatten(attributes)
    assert counts(tables) == {"labels": 1, "frames": 3, "segments": 2, "links": 1}
    assert tables["labels"][0]["sensors"] == [
        {
            "name": "cam",
            "task_type": "image-vector-sequence",
            "format_version": None,
            "frame_count": None,
            "extra": '{"attributes":[]}',
        },
        {
            "name": "lidar",
            "task_type": "pointcloud-segmentation-sequence",
            "format_version": "0.2",
            "frame_count": 2,
            "extra": '{"attributes":{"format_version":0.2,"links":[]}}',
        },
        {
            "name": "one",
            "task_type": None,
            "format_version": "0.2",
            "frame_count": None,
            "extra": '{"new":1}',
        },
    ]
    assert tables["labels"][0]["extra"] is None
    where = [(row["sensor_index"], row["sensor"], row["frame_index"]) for row in tables["frames"]]
    assert where == [(1, "lidar", 0), (1, "lidar", 1), (2, "one", 0)]
    assert [row["point_annotations"] for row in tables["frames"]] == [[1, 0, 1], None, None]
    assert extras(tables["frames"]) == [None, {"point_annotations": []}, {"format_version": 0.2}]
    assert [row["point_count"] for row in tables["segments"]] == [2, 0]
    assert [row["sensor"] for row in tables["segments"]] == ["lidar", "lidar"]


def test_point_cloud_sample() -> None:
    camera = {
        "url": "c.png",
        "row": 0,
        "intrinsics": {"intrinsic_matrix": [[1, 0, 2], [0, 3, 4], [0, 0, 1]]},
        "extrinsics": {
            "translation": {"x": 1, "y": 2, "z": 3},
            "rotation": {"qx": 0, "qy": 0, "qz": 0, "qw": 1},
        },
        "distortion": {"model": "fisheye", "coefficients": {"k1": 0.5}},
    }
    flat = {"intrinsics": {"intrinsic_matrix": [1, 0, 2, 0, 3, 4, 0, 0, 1]}}
    attributes = {
        "pcd": {"url": "p.pcd", "type": "pcd"},
        "images": [camera, flat],
        "ego_pose": {"position": {"x": 1, "y": 2, "z": 3}},
        "bounds": {"min_z": 0},
        "timestamp": 5,
    }
    tables = flatten({"name": "n", "attributes": attributes, "labels": {"a": None}, "priority": 2, "metadata": {}})
    assert counts(tables) == {"samples": 1, "sample_frames": 1, "cameras": 2, "labels": 1}
    sample = tables["samples"][0]
    assert (sample["priority"], sample["metadata"], sample["frame_count"]) == (2.0, "{}", None)
    frame = tables["sample_frames"][0]
    assert (frame["pcd_url"], frame["ego_y"], frame["ego_qw"], frame["timestamp"]) == ("p.pcd", 2.0, None, 5)
    assert extras([frame]) == [{"bounds": {"min_z": 0}}]
    one, two = tables["cameras"]
    assert one["intrinsics"] == [1.0, 0.0, 2.0, 0.0, 3.0, 4.0, 0.0, 0.0, 1.0]
    assert (one["row"], one["col"], one["tx"], one["qw"]) == (0, None, 1.0, 1.0)
    assert (one["distortion_model"], one["distortion"]) == ("fisheye", '{"k1":0.5}')
    assert (two["intrinsics"], two["camera_index"]) == (None, 1)
    assert extras([one, two]) == [None, flat]


@pytest.mark.parametrize(
    ("label", "extra"),
    [
        (None, "null"),
        ({"label_status": "UNLABELED"}, None),
        ({"label_status": "UNLABELED", "attributes": None}, None),
        ({"label_status": "UNLABELED", "attributes": {}}, '{"attributes":{}}'),
        ({"label_status": "UNLABELED", "attributes": {"annotations": None}}, '{"attributes":{}}'),
        ({"label_status": "UNLABELED", "attributes": []}, '{"attributes":[]}'),
        ({"label_status": "UNLABELED", "attributes": {"sensors": []}}, '{"attributes":{"sensors":[]}}'),
    ],
)
def test_labels_without_frames(label: Any, extra: str | None) -> None:
    tables = flatten({"uuid": "u", "labels": {"ground-truth": label}})
    assert counts(tables) == {"samples": 1, "labels": 1}
    assert tables["labels"][0]["extra"] == extra
    assert tables["labels"][0]["label_status"] == (None if label is None else "UNLABELED")


def test_legacy_ids() -> None:
    annotations = [{"id": 1, "track_id": 9, "category_id": 1}, {"track_id": 2, "category_id": 1}]
    points = {"point_annotations": [1, 1, 9, 2, 0.0], "annotations": annotations}
    tables = flatten({"frames": [points, {"annotations": annotations}]})
    ids = [(row["id"], row["track_id"], row["point_count"]) for row in tables["segments"]]
    assert ids == [(1, 9, 2), (None, 2, 1), (1, 9, None), (None, 2, None)]


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        ("00001", "ns", 1),
        (1.5, "ns", 2),
        (2.5, "ns", 2),
        (0.1, "s", 100_000_000),
        ("1712345678.123456789", "s", 1_712_345_678_123_456_789),
        (2**63 - 1, "ns", 2**63 - 1),
        (2**63, "ns", None),
        ("1e999999999", "ns", None),
        ("1e-999999999", "ns", 0),
        ("nan", "ns", None),
        ("0e99", "s", 0),
        ("frame one", "ns", None),
        ("", "ns", None),
        (True, "ns", None),
    ],
)
def test_timestamps(value: Any, unit: str, expected: int | None) -> None:
    assert nanoseconds(value, unit) == expected
    tables = flatten({"annotations": [], "timestamp": value}, timestamp_unit=unit)
    assert tables["frames"][0]["timestamp"] == expected
    same = not isinstance(value, bool) and value == expected
    assert extras(tables["frames"]) == [None if same else {"timestamp": value}]


@pytest.mark.parametrize(
    "annotation",
    [
        {"id": 1},
        {"category_id": 1},
        {"id": 2**63, "category_id": 1},
        {"id": 1.5, "category_id": 1},
        {"id": "1", "category_id": 1},
        {"id": True, "category_id": 1},
        {"id": 1, "category_id": 1, "type": "circle"},
    ],
)
def test_what_cannot_be_decoded(annotation: dict[str, Any]) -> None:
    with pytest.raises(UndecodableError):
        flatten({"annotations": [annotation]})


@pytest.mark.parametrize(
    ("original", "patch", "result"),
    [
        ('{"a":"b"}', '{"a":"c"}', '{"a":"c"}'),
        ('{"a":"b"}', '{"b":"c"}', '{"a":"b","b":"c"}'),
        ('{"a":"b"}', '{"a":null}', "{}"),
        ('{"a":"b","b":"c"}', '{"a":null}', '{"b":"c"}'),
        ('{"a":["b"]}', '{"a":"c"}', '{"a":"c"}'),
        ('{"a":"c"}', '{"a":["b"]}', '{"a":["b"]}'),
        ('{"a":{"b":"c"}}', '{"a":{"b":"d","c":null}}', '{"a":{"b":"d"}}'),
        ('{"a":[{"b":"c"}]}', '{"a":[1]}', '{"a":[1]}'),
        ('["a","b"]', '["c","d"]', '["c","d"]'),
        ('{"a":"b"}', '["c"]', '["c"]'),
        ('{"a":"foo"}', "null", "null"),
        ('{"a":"foo"}', '"bar"', '"bar"'),
        ('{"e":null}', '{"a":1}', '{"e":null,"a":1}'),
        ("[1,2]", '{"a":"b","c":null}', '{"a":"b"}'),
        ("{}", '{"a":{"bb":{"ccc":null}}}', '{"a":{"bb":{}}}'),
    ],
)
def test_merge_patch_as_in_rfc_7396(original: str, patch: str, result: str) -> None:
    assert merge_patch(json.loads(original), json.loads(patch)) == json.loads(result)
