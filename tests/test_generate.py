"""The generator of test data, the data that it made, and JSON equality."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from generate import TASK_TYPES, encode_png, release, write_drive, write_street
from hypothesis import given, settings
from json_equal import difference, equal, normalise
from PIL import Image
from strategies import attributes, labels, releases, samples

DATA = Path(__file__).parent / "data"
MODELS = {
    "segmentation-bitmap": "ImageSegmentationLabelAttributes",
    "segmentation-bitmap-highres": "ImageSegmentationLabelAttributes",
    "vector": "ImageVectorLabelAttributes",
    "bboxes": "ImageVectorLabelAttributes",
    "keypoints": "ImageVectorLabelAttributes",
    "image-segmentation-sequence": "ImageSequenceSegmentationLabelAttributes",
    "image-vector-sequence": "ImageSequenceVectorLabelAttributes",
    "pointcloud-segmentation": "PointcloudSegmentationLabelAttributes",
    "pointcloud-cuboid": "PointcloudCuboidLabelAttributes",
    "pointcloud-vector": "PointcloudVectorLabelAttributes",
    "pointcloud-segmentation-sequence": "PointcloudSequenceSegmentationLabelAttributes",
    "pointcloud-cuboid-sequence": "PointcloudSequenceCuboidLabelAttributes",
    "pointcloud-vector-sequence": "PointcloudSequenceVectorLabelAttributes",
    "multisensor-sequence": "MultiSensorLabelAttributes",
}


def label_attributes(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Give the attributes of every label of a release that is not null."""
    for sample in document["dataset"]["samples"]:
        yield from (label["attributes"] for label in sample["labels"].values() if label is not None)


def frames_of(label: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Give the frames of all sensors of a label."""
    for part in [sensor["attributes"] for sensor in label.get("sensors", [])] or [label]:
        yield from part.get("frames", [part])


def pixels(png: bytes) -> Any:
    """Give the ids of an RGBA bitmap."""
    image = Image.open(io.BytesIO(png))
    assert image.mode == "RGBA"
    channels = np.asarray(image).astype(np.uint32)
    assert (channels[..., 3] == 255).all()
    return channels[..., 0] + 256 * channels[..., 1] + 65536 * channels[..., 2]


@pytest.mark.parametrize("task_type", TASK_TYPES)
def test_release_is_deterministic(task_type: str) -> None:
    first, second = release(task_type, seed=3), release(task_type, seed=3)
    assert json.dumps(first) == json.dumps(second)
    assert not equal(first, release(task_type, seed=4))
    assert first["dataset"]["task_type"] == task_type
    assert len(first["dataset"]["samples"]) == 3
    assert sum(len(frame["annotations"]) for label in label_attributes(first) for frame in frames_of(label)) > 10


@pytest.mark.filterwarnings("default")  # the warnings of somebody else's package
@pytest.mark.parametrize("task_type", TASK_TYPES)
def test_sdk_accepts_the_labels(task_type: str) -> None:
    typing = pytest.importorskip("segments.typing")
    model = getattr(typing, MODELS[task_type])
    document = release(task_type)
    for label in label_attributes(document):
        assert model.model_validate(label) is not None
    for sample in document["dataset"]["samples"]:
        typing.Sample.model_validate(
            sample | {"created_at": "2024-03-01T08:15:12Z", "created_by": "anna", "priority": 0}
        )
    typing.TaskAttributes.model_validate(document["dataset"]["task_attributes"])


def test_tracks_have_keyframes_between_frames_and_holes() -> None:
    label = next(label_attributes(release("pointcloud-cuboid-sequence")))
    found = [[item for item in frame["annotations"] if item["track_id"] == 2] for frame in label["frames"]]
    there = [len(items) for items in found]
    assert 0 in there[: len(there) - there[::-1].index(1)]
    assert {item["is_keyframe"] for items in found for item in items} == {True, False}
    assert all(abs(item["yaw"]) <= np.pi for frame in label["frames"] for item in frame["annotations"])


@pytest.mark.parametrize("name", ["drive", "street"])
def test_committed_data_is_fresh(name: str, tmp_path: Path) -> None:
    {"drive": write_drive, "street": write_street}[name](tmp_path)
    made = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    kept = {path.relative_to(DATA / name) for path in (DATA / name).rglob("*") if path.is_file()}
    assert set(made) == kept
    for path, content in made.items():
        committed = (DATA / name / path).read_bytes()
        if path.suffix == ".png":  # another build of zlib may compress the same pixels to other bytes
            assert committed == content or (pixels(committed) == pixels(content)).all(), path
        else:
            assert committed == content, path


@pytest.mark.parametrize("name", ["drive", "street"])
def test_bitmaps_hold_the_ids_of_their_frames(name: str) -> None:
    document = json.loads((DATA / name / "release.json").read_bytes())
    seen = 0
    for label in label_attributes(document):
        for frame in frames_of(label):
            ids = {annotation["id"] for annotation in frame["annotations"]}
            if "segmentation_bitmap" in frame:
                png = (DATA / name / frame["segmentation_bitmap"]["url"]).read_bytes()
                assert set(np.unique(pixels(png)).tolist()) - {0} == ids
                seen += 1
            if "point_annotations" in frame:
                assert set(frame["point_annotations"]) - {0} == ids
    assert seen == len(list((DATA / name / "bitmaps").iterdir()))


def test_png_holds_large_ids() -> None:
    ids = np.array([[0, 1, 255], [256, 65536, 2**24 - 1]], dtype=np.uint32)
    assert (pixels(encode_png(ids)) == ids).all()


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (1, 1.0),
        (-0.0, 0),
        ({"a": 1, "b": 2}, {"b": 2.0, "a": 1}),
        ({"a": None, "b": [{"c": None}]}, {"b": [{}]}),
        ({"a": {"b": None}}, {"a": {}}),
        ([None], [None]),
        (1e300, int(1e300)),
        (None, None),
    ],
)
def test_equal(a: Any, b: Any) -> None:
    assert difference(a, b) is None
    assert difference(b, a) is None
    assert json.dumps(normalise(a)) == json.dumps(normalise(b))


@pytest.mark.parametrize(
    ("a", "b", "path"),
    [
        (True, 1, "$: True != 1"),
        (0, False, "$: 0 != False"),
        ("1", 1, "$: '1' != 1"),
        (2**53 + 1, float(2**53), "$: 9007199254740993 != 9007199254740992.0"),
        ({"a": [{"b": 1}]}, {"a": [{"b": 2}]}, "$.a[0].b: 1 != 2"),
        ({"a.b": 1}, {}, '$["a.b"]: 1 != None'),
        ({}, {"c": {"d": 1}}, "$.c: None != {'d': 1}"),
        ({"a": {}}, {}, "$.a: {} != None"),
        ([1, 2], [1], "$: 2 items != 1 items"),
        ([None], [], "$: 1 items != 0 items"),
        ([None], [{}], "$[0]: None != {}"),
        ([], {}, "$: [] != {}"),
    ],
)
def test_difference(a: Any, b: Any, path: str) -> None:
    assert difference(a, b) == path
    assert not equal(b, a)
    assert json.dumps(normalise(a)) != json.dumps(normalise(b))


@settings(max_examples=50, deadline=None)
@given(releases() | samples() | labels() | attributes())
def test_strategies_give_json(document: dict[str, Any]) -> None:
    assert equal(json.loads(json.dumps(document, allow_nan=False).encode()), document)
    assert equal(normalise(document), document)


@pytest.mark.parametrize("task_type", TASK_TYPES)
def test_strategies_know_every_task_type(task_type: str) -> None:
    @settings(max_examples=10, deadline=None)
    @given(releases(task_type, quirks=False), attributes(task_type))
    def check(document: dict[str, Any], label: dict[str, Any]) -> None:
        assert document["dataset"]["task_type"] == task_type
        assert {"annotations", "frames", "sensors"} & set(label)

    check()
