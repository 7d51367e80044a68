"""Decoding against the platform's own SDK, and labels that the SDK refuses."""

import json
from typing import Any

import pytest
import strategies
from compare import first_difference
from flatten import flatten
from generate import TASK_TYPES, release
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from json_equal import difference
from pydantic import BaseModel, ValidationError
from segments import typing as sdk

import arrow_labels as al

MODELS: dict[str, type[BaseModel]] = {
    "segmentation-bitmap": sdk.ImageSegmentationLabelAttributes,
    "segmentation-bitmap-highres": sdk.ImageSegmentationLabelAttributes,
    "vector": sdk.ImageVectorLabelAttributes,
    "bboxes": sdk.ImageVectorLabelAttributes,
    "keypoints": sdk.ImageVectorLabelAttributes,
    "image-segmentation-sequence": sdk.ImageSequenceSegmentationLabelAttributes,
    "image-vector-sequence": sdk.ImageSequenceVectorLabelAttributes,
    "pointcloud-segmentation": sdk.PointcloudSegmentationLabelAttributes,
    "pointcloud-cuboid": sdk.PointcloudCuboidLabelAttributes,
    "pointcloud-vector": sdk.PointcloudVectorLabelAttributes,
    "pointcloud-segmentation-sequence": sdk.PointcloudSequenceSegmentationLabelAttributes,
    "pointcloud-cuboid-sequence": sdk.PointcloudSequenceCuboidLabelAttributes,
    "pointcloud-vector-sequence": sdk.PointcloudSequenceVectorLabelAttributes,
    "multisensor-sequence": sdk.MultiSensorLabelAttributes,
}


def held(model: BaseModel) -> dict[str, list[dict[str, Any]]]:
    """The rows of what a model holds: the SDK drops what it does not know, and so all that only `extra` holds."""
    rows = flatten(model.model_dump(mode="python", exclude_unset=True))
    for table in rows.values():
        for row in table:
            row |= {name: None for name in ("extra", "sensors") if name in row}
    return rows


def assert_holds(document: dict[str, Any], model: BaseModel) -> None:
    assert first_difference(al.decode_labels([document]), held(model), only_given=True) is None


def contains(value: Any, held: Any) -> bool:
    """Whether JSON has all that a model holds; the model drops members that it does not know."""
    if isinstance(held, dict):
        return isinstance(value, dict) and all(
            item is None or contains(value.get(key), item) for key, item in held.items()
        )
    if isinstance(held, list):
        return isinstance(value, list) and len(value) == len(held) and all(map(contains, value, held))
    if isinstance(held, float) and type(value) is int:
        value = float(value)  # the model rounds integers that a float cannot hold
    return bool(value == held) and isinstance(value, bool) == isinstance(held, bool)


def test_every_task_type_has_a_model() -> None:
    assert set(MODELS) == set(TASK_TYPES)


@pytest.mark.parametrize("task_type", TASK_TYPES)
def test_realistic_labels_hold_the_same_values(task_type: str) -> None:
    for sample in release(task_type, seed=3)["dataset"]["samples"]:
        for label in sample["labels"].values():
            if label is not None:
                model = MODELS[task_type].model_validate(label["attributes"])
                assert_holds(label["attributes"], model)


@pytest.mark.parametrize("task_type", TASK_TYPES)
@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_accepted_labels_hold_the_same_values(task_type: str, data: st.DataObject) -> None:
    document = data.draw(strategies.attributes(task_type))
    try:
        model = MODELS[task_type].model_validate_json(json.dumps(document))
    except ValidationError:
        assume(False)
    ((_, _, attributes),) = al.encode_labels(al.decode_labels([document]))
    assert contains(attributes, model.model_dump(mode="python", exclude_unset=True))


def test_models_are_taken_as_they_are() -> None:
    label = release("pointcloud-cuboid-sequence", seed=1)["dataset"]["samples"][0]["labels"]["ground-truth"]
    stated = {
        "sample_uuid": "uuid",
        "label_type": "pointcloud-cuboid-sequence",
        "label_status": "LABELED",
        "labelset": "ground-truth",
        "attributes": label["attributes"],
        "created_at": "2024-03-01T08:15:12Z",
        "created_by": "anna",
        "updated_at": "2024-03-01T08:15:12Z",
    }
    model = sdk.Label.model_validate(stated)
    forgotten = ["index", "attributes"]  # the SDK drops the one and may order the members of the other anew
    cuboids = al.decode_labels([model]).cuboids.drop_columns(forgotten)
    assert cuboids.equals(al.decode_labels([stated]).cuboids.drop_columns(forgotten))
    assert al.read_labels(model).labels["sample_id"].to_pylist() == ["uuid"]


REFUSED = {
    "attributes that are vectors": {
        "annotations": [{"id": 1, "category_id": 1, "attributes": {"size": {"x": 1.0, "y": 2.0, "z": 3.0}}}],
        "segmentation_bitmap": {"url": "a.png"},
    },
    "a frame that is empty": {"frames": [{}, {"annotations": []}]},
    "a single frame with a track id alone": {"annotations": [{"track_id": 4, "category_id": 0}]},
    "a single frame of an image with links": {
        "annotations": [{"id": 1, "category_id": 1, "type": "bbox", "points": [[0, 0], [1, 1]]}],
        "links": [{"from_id": 1, "to_id": 1, "attributes": {"weights": [[1, 2], [3, 4]]}}],
    },
}


@pytest.mark.parametrize("document", REFUSED.values(), ids=REFUSED)
def test_refused_labels_decode_too(document: dict[str, Any]) -> None:
    ((_, _, attributes),) = al.encode_labels(al.decode_labels([document]))
    assert difference(document, attributes) is None


def test_colours_may_be_floats() -> None:
    categories = [{"id": 0, "name": "road", "color": [0.5, 127.25, 255, 128]}]
    document = {"dataset": {"name": "d", "task_attributes": {"categories": categories}, "samples": []}}
    with pytest.raises(ValidationError):
        sdk.TaskAttributes.model_validate({"format_version": "0.1", "categories": categories})
    assert al.decode_labels([document]).categories["color"].to_pylist() == [[0.5, 127.25, 255.0, 128.0]]
