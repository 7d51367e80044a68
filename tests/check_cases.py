"""For each rule a small release that breaks it and no other, and one beside it that is sound."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import arrow_labels as al

Json = dict[str, Any]
Pair = tuple[Json, Json]
"""A broken release and a sound one."""

SQUARE = [[10, 10], [20, 10], [20, 20], [10, 20]]
ATTRIBUTES: list[Json] = [
    {"name": "colour", "input_type": "select", "values": ["red", "blue"]},
    {"name": "lights", "input_type": "multiselect", "values": ["left", "right"]},
    {"name": "doors", "input_type": "number", "min": 0, "max": 5},
    {"name": "parked", "input_type": "checkbox"},
    {"name": "size", "input_type": "vector3"},
]


def release(attributes: Json | None, sample: Json | None = None, **task_attributes: Any) -> Json:
    """A release of one label, of annotations of category 1 unless `categories` says otherwise."""
    task = {"categories": [{"id": 1, "name": "car"}]} | task_attributes
    samples = [{"uuid": "s", "attributes": sample, "labels": {"ground-truth": {"attributes": attributes}}}]
    return {"dataset": {"name": "anna/cars", "task_attributes": task, "samples": samples}}


def segment(number: int, **members: Any) -> Json:
    return {"id": number, "category_id": 1} | members


def vector(kind: str, points: Any, number: int = 1, **members: Any) -> Json:
    return segment(number, type=kind, points=points) | members


def cuboid(number: int = 1, x: float = 0.0, **members: Any) -> Json:
    made = segment(number, track_id=number, type="cuboid", position={"x": x, "y": 0.0, "z": 0.0}, yaw=0.5)
    return made | {"dimensions": {"x": 4.0, "y": 2.0, "z": 1.5}} | members


def turned(angle: float, length: float = 1.0) -> Json:
    return {"qx": 0.0, "qy": 0.0, "qz": length * math.sin(angle / 2), "qw": length * math.cos(angle / 2)}


def leaning(pitch: float) -> Json:
    """A track that turns, with a rotation between its keyframes that is 5 milliradians from the yaw."""
    headings = [(0.5, {"is_keyframe": True}), (0.505, {"is_keyframe": False}), (0.5, {"is_keyframe": True})]
    lean, rest = math.sin(pitch / 2), math.cos(pitch / 2)
    states = []
    for heading, key in headings:
        sin, cos = math.sin(heading / 2), math.cos(heading / 2)
        states.append(key | {"rotation": {"qx": -sin * lean, "qy": cos * lean, "qz": sin * rest, "qw": cos * rest}})
    return release(track(*states))


def frame(*annotations: Json, **members: Any) -> Json:
    return {"annotations": list(annotations)} | members


def sequence(*frames: Json, **members: Any) -> Json:
    return {"frames": list(frames)} | members


def track(*states: Any, kind: Any = cuboid) -> Json:
    """A sequence of one track: for each frame the members of its annotation, or None where it is not."""
    return sequence(*(frame() if state is None else frame(kind(**state)) for state in states))


def category(*attributes: Json, **members: Any) -> list[Json]:
    return [{"id": 1, "name": "car", "attributes": list(attributes)} | members]


def one_value(value: Any, name: str, **definition: Any) -> Json:
    """A release of one annotation with one attribute."""
    spec = next(each for each in ATTRIBUTES if each["name"] == name) | definition
    attributes = {} if value is None else {name: value}
    return release(frame(segment(1, attributes=attributes)), categories=category(spec))


def colours(*frames: Any, **definition: Any) -> Json:
    """A release of a track whose colour changes."""
    states = [{"attributes": {"colour": colour} if colour else {}} for colour in frames]
    return release(track(*states), categories=category(ATTRIBUTES[0] | definition))


def same_on_track(*values: Any) -> Json:
    """A release of a track with an attribute that has one value on all of it."""
    spec = ATTRIBUTES[4 if isinstance(values[0], dict) else 1] | {"is_track_level": True}
    states = [{"attributes": {spec["name"]: value}} for value in values]
    return release(track(*states), categories=category(spec))


def on_sensors(*annotations: list[Json], **members: Any) -> Json:
    """Label attributes of several sensors, each with the annotations of its frames."""
    sensors = [
        {"name": name, "task_type": "pointcloud-cuboid-sequence", "attributes": sequence(*map(frame, of_sensor))}
        for name, of_sensor in zip(("front", "rear"), annotations, strict=False)
    ]
    return {"sensors": sensors} | members


def of_ids(*ids: int) -> Json:
    return sequence(frame(*map(segment, {each for each in ids if each}), point_annotations=list(ids)))


def cloud(points: int) -> Json:
    return {"frames": [{"pcd": {"url": "a.pcd", "type": "pcd", "point_count": points}}]}


def in_sample_time(*x: float) -> Json:
    """A track between two keyframes, of which only the sample says the times: 0, 1, 3 and 4."""
    states = [KEY, *(BETWEEN | {"x": each} for each in x), KEY | {"x": 4.0}]
    times = [{"timestamp": time * 10**9} for time in (0, 1, 3, 4)]
    return release(track(*states), {"frames": times})


def linked(to_id: int, **members: Any) -> Json:
    categories = [{"id": 1, "name": "car"} | members, {"id": 2, "name": "trailer"}]
    annotations = [cuboid(1), cuboid(2, x=9.0), cuboid(3, x=20.0, category_id=2)]
    return release(sequence(frame(*annotations), links=[{"from_id": 1, "to_id": to_id}]), categories=categories)


def limited(dimension: float, **rule: Any) -> Json:
    made = frame(cuboid(dimensions={"x": dimension, "y": 2.0, "z": 1.5}))
    return release(made, warning_rules=[{"name": "cuboid-dimension-limits"} | rule])


def growing(millimetres: int) -> Json:
    """A track whose length grows by less than a millimetre a frame."""
    lengths = [4.0 + 0.0003 * millimetres * at for at in range(4)]
    return release(track(*({"dimensions": {"x": length, "y": 2.0, "z": 1.5}} for length in lengths)))


def intersecting(category_id: int, **rule: Any) -> Json:
    made = frame(cuboid(1), cuboid(2, x=1.0, category_id=category_id))
    categories = [{"id": number, "name": "car"} for number in sorted({1, category_id})]
    return release(made, categories=categories, warning_rules=[{"name": "intersecting-cuboids"} | rule])


def stacked(z: float) -> Json:
    """Two cuboids, the upper one on the lower one or in it: 0.65 + 0.65 and 1.45 - 0.15 differ by rounding."""
    low = cuboid(1, position={"x": 10.0, "y": 5.0, "z": 0.65}, dimensions={"x": 6.0, "y": 2.4, "z": 1.3})
    high = cuboid(2, position={"x": 10.0, "y": 5.0, "z": z}, dimensions={"x": 6.0, "y": 2.4, "z": 0.3})
    return release(frame(low, high), warning_rules=[{"name": "intersecting-cuboids"}])


def times(*timestamps: Any) -> Json:
    return release(sequence(*(frame(cuboid(), timestamp=time) for time in timestamps)))


KEY, BETWEEN = {"is_keyframe": True}, {"is_keyframe": False}
FORMS: dict[str, list[Pair]] = {
    "duplicate-id": [(release(frame(segment(1), segment(1))), release(frame(segment(1), segment(2))))],
    "duplicate-track": [
        (
            release(frame({"track_id": 1, "category_id": 1}, {"track_id": 1, "category_id": 1})),
            release(frame({"track_id": 1, "category_id": 1}, {"track_id": 2, "category_id": 1})),
        )
    ],
    "different-ids": [(release(frame(segment(1, track_id=2))), release(frame(segment(1, track_id=1))))],
    "unlisted-points": [
        (
            release(frame(segment(1), point_annotations=[0, 1, 7])),
            release(frame(segment(1), point_annotations=[0, 1, 1])),
        )
    ],
    "no-points": [
        (
            release(frame(segment(1), segment(2), point_annotations=[0, 1])),
            release(frame(segment(1), segment(2), point_annotations=[2, 1])),
        )
    ],
    "point-count": [(release(of_ids(1, 1), cloud(3)), release(of_ids(1, 1, 0), cloud(3)))],
    "undefined-category": [
        (release(frame(segment(1), segment(2, category_id=0))), release(frame(segment(1), segment(2)))),
    ],
    "unused-category": [
        (
            release(frame(segment(1)), categories=[{"id": 0, "name": "car"}, {"id": 1, "name": "bus"}]),
            release(
                frame(segment(1), segment(2, category_id=0)),
                categories=[{"id": 0, "name": "car"}, {"id": 1, "name": "bus"}],
            ),
        )
    ],
    "several-categories": [
        (
            release(track({}, {"category_id": 2}), categories=[{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]),
            release(
                sequence(frame(cuboid(1)), frame(cuboid(2, x=9.0, category_id=2))),
                categories=[{"id": 1, "name": "a"}, {"id": 2, "name": "b"}],
            ),
        )
    ],
    "no-instances": [
        (
            release(frame(segment(1), segment(2)), categories=category(has_instances=False)),
            release(frame(segment(1), segment(2)), categories=category(has_instances=True)),
        ),
    ],
    "undefined-attribute": [
        (
            release(frame(segment(1, attributes={"colour": "red"}))),
            release(frame(segment(1, attributes={"colour": None}))),
        ),
        (
            release(frame(segment(1), image_attributes={"rain": True})),
            release(
                frame(segment(1), image_attributes={"rain": True}),
                image_attributes=[{"name": "rain", "input_type": "checkbox"}],
            ),
        ),
        (
            linked(3)
            | {
                "dataset": linked(3)["dataset"]
                | {
                    "samples": [
                        {
                            "uuid": "s",
                            "labels": {
                                "ground-truth": {
                                    "attributes": frame(
                                        cuboid(1),
                                        cuboid(3, x=9.0, category_id=2),
                                        links=[{"from_id": 1, "to_id": 3, "attributes": {"relation": "tows"}}],
                                    )
                                }
                            },
                        }
                    ]
                }
            },
            linked(3),
        ),
    ],
    "attribute-type": [
        (one_value("4", "doors"), one_value(4, "doors")),
        (one_value("true", "parked"), one_value(True, "parked")),
        (one_value(1, "colour"), one_value("red", "colour")),
        (one_value("left", "lights"), one_value(["left"], "lights")),
        (one_value([1], "lights"), one_value([], "lights")),
        (one_value({"x": 1, "y": 2}, "size"), one_value({"x": 1, "y": 2, "z": 3}, "size")),
    ],
    "attribute-choice": [
        (one_value("green", "colour"), one_value("green", "colour", values=["gr\u0065en"])),
        (one_value(["left", "up"], "lights"), one_value(["left", "right"], "lights")),
        (one_value('a"\n', "colour"), one_value('a"\n', "colour", values=['a"\n'])),
    ],
    "attribute-range": [
        (one_value(-0.5, "doors"), one_value(0, "doors")),
        (one_value(5.5, "doors"), one_value(5e0, "doors")),
        (one_value(9, "doors", min=""), one_value(-9, "doors", min="")),
    ],
    "missing-attribute": [
        (one_value(None, "colour", is_mandatory=True), one_value("red", "colour", is_mandatory=True)),
        (one_value([], "lights", is_mandatory=True), one_value([], "lights", is_mandatory=False)),
        (
            colours(None, None, is_mandatory=True, is_track_level=True),
            colours(None, "red", is_mandatory=True, is_track_level=True),
        ),
        (
            release(on_sensors([cuboid()]), categories=category(ATTRIBUTES[0] | {"is_mandatory": True})),
            release(
                on_sensors([cuboid()]),
                categories=category(ATTRIBUTES[0] | {"is_mandatory": True, "sensor_filter": "2D"}),
            ),
        ),
    ],
    "track-attribute": [
        (colours("red", None, "blue", is_track_level=True), colours("red", None, "red", is_track_level=True)),
        (colours("red", None, "blue", is_track_level=True), colours("red", None, "blue", is_track_level=False)),
        (same_on_track(["left"], ["right"]), same_on_track(["left", "right"], ["right", "left"])),
        (
            same_on_track({"x": 1, "y": 2, "z": 3}, {"x": 1, "y": 2, "z": 4}),
            same_on_track({"x": 1, "y": 2, "z": 3}, {"z": 3.0, "y": 2.0, "x": 1}),
        ),
    ],
    "synced-attribute": [
        (
            release(
                on_sensors([cuboid(attributes={"doors": 4})], [cuboid(attributes={"doors": 5})]),
                categories=category(ATTRIBUTES[2] | {"synced_across_sensors": True}),
            ),
            release(
                on_sensors([cuboid(attributes={"doors": 4})], [cuboid(attributes={"doors": 4.0})]),
                categories=category(ATTRIBUTES[2] | {"synced_across_sensors": True}),
            ),
        )
    ],
    "vertex-count": [
        (release(frame(vector("bbox", SQUARE[:1]))), release(frame(vector("bbox", SQUARE[::2])))),
        (release(frame(vector("polygon", SQUARE[:2]))), release(frame(vector("polygon", SQUARE[:3])))),
        (release(frame(vector("polyline", SQUARE[:1]))), release(frame(vector("polyline", SQUARE[:2])))),
        (release(frame(vector("point", SQUARE[:2]))), release(frame(vector("point", SQUARE[:1])))),
        (release(frame(vector("point", []))), release(frame(vector("point", SQUARE[:1])))),
    ],
    "swapped-corners": [
        (release(frame(vector("bbox", SQUARE[1::2]))), release(frame(vector("bbox", SQUARE[::2])))),
    ],
    "zero-area": [
        (release(frame(vector("bbox", SQUARE[:2]))), release(frame(vector("bbox", SQUARE[::2])))),
        (
            release(frame(vector("polygon", [[0.1, 0.1], [0.2, 0.2], [0.7, 0.7]]))),
            release(frame(vector("polygon", [[0.1, 0.1], [0.2, 0.2], [0.7, 0.8]]))),
        ),
        (
            release(frame(vector("polygon", [[0, 0, 0], [1, 0, 1], [2, 0, 2]]))),
            release(frame(vector("polygon", [[0, 0, 0], [1, 0, 1], [1, 0, 2]]))),  # a wall
        ),
    ],
    "repeated-vertices": [
        (release(frame(vector("polygon", [*SQUARE, SQUARE[0]]))), release(frame(vector("polygon", SQUARE)))),
        (
            release(frame(vector("polyline", [SQUARE[0], *SQUARE]))),
            release(frame(vector("polyline", [*SQUARE, SQUARE[0]]))),
        ),
    ],
    "self-intersection": [
        (
            release(frame(vector("polygon", [[0, 0], [2, 2], [2, 0], [0, 2]]))),
            release(frame(vector("polyline", [[0, 0], [2, 2], [2, 0], [0, 2]]))),
        ),
        (
            release(frame(vector("polygon", [[0, 0], [4, 0], [4, 4], [2, 0], [0, 4]]))),
            release(frame(vector("polygon", [[0, 0], [4, 0], [4, 4], [2, 1], [0, 4]]))),
        ),
        (
            release(frame(vector("polygon", [[0, 0, 1], [2, 1, 3], [2, 1, 1], [0, 0, 3]]))),
            # A sign with a little noise, of which above shows nothing else.
            release(frame(vector("polygon", [[10, 4.001, 1], [11.73, 5, 1], [11.72, 5.001, 2], [10.001, 4, 2]]))),
        ),
    ],
    "outside-image": [
        (
            release(frame(vector("bbox", [[10, 10], [101, 20]])), {"image": {"url": "a", "width": 100, "height": 50}}),
            release(frame(vector("bbox", [[0, 0], [100, 50]])), {"image": {"url": "a", "width": 100, "height": 50}}),
        )
    ],
    "non-finite-cuboid": [
        (release(frame(cuboid(position={"x": 1.0, "y": 2.0}))), release(frame(cuboid()))),
    ],
    "non-positive-dimensions": [
        (release(frame(cuboid(dimensions={"x": 4, "y": 0, "z": 1}))), release(frame(cuboid()))),
    ],
    "yaw-range": [(release(frame(cuboid(yaw=3.2))), release(frame(cuboid(yaw=-3.141593))))],
    "quaternion-norm": [
        (
            release(frame(cuboid(rotation=turned(0.5, length=1.01)))),
            release(frame(cuboid(rotation=turned(0.5, length=1.0001)))),
        )
    ],
    "yaw-rotation": [
        (release(frame(cuboid(rotation=turned(0.6)))), release(frame(cuboid(rotation=turned(0.5))))),
        (release(frame(cuboid(rotation=turned(0.6)))), release(frame(cuboid(rotation=turned(0.5 + math.tau))))),
        (
            release(frame(cuboid(rotation=turned(0.6)))),  # standing on its front, it has no heading
            release(frame(cuboid(rotation={"qx": 0, "qy": math.sqrt(0.5), "qz": 0, "qw": math.sqrt(0.5)}))),
        ),
        # Between keyframes it may be off by what two ways to interpolate make of it, if it leans.
        (leaning(0.0), leaning(0.3)),
    ],
    "cuboid-dimension-limits": [
        (limited(10.5, max={"x": 10}), limited(10, max={"x": 10})),
        (limited(0.5, min={"x": 1}, categories=[]), limited(0.5, min={"x": 1}, categories=[2])),
    ],
    "intersecting-cuboids": [
        (intersecting(1, excluded_categories=[]), intersecting(1, excluded_categories=[1])),
        (intersecting(2), intersecting(2, excluded_categories=[2])),
        (intersecting(1, excluded_set_of_categories=[1, 2]), intersecting(2, excluded_set_of_categories=[1, 2])),
        (stacked(1.3), stacked(1.45)),
    ],
    "changed-dimensions": [
        (
            release(track({}, {"dimensions": {"x": 4.5, "y": 2.0, "z": 1.5}})),
            release(track({}, {"dimensions": {"x": 4.0005, "y": 2.0, "z": 1.5}})),
        ),
        (growing(6), growing(1)),
    ],
    "speed": [
        (
            release(sequence(frame(cuboid(), timestamp=10**9), frame(cuboid(x=7.1), timestamp=11 * 10**8))),
            release(sequence(frame(cuboid(), timestamp=10**9), frame(cuboid(x=6.9), timestamp=11 * 10**8))),
        ),
        (
            release(
                sequence(
                    frame(cuboid(), timestamp=10**9),
                    frame(timestamp=10**9 + 1),
                    frame(cuboid(x=15), timestamp=12 * 10**8),
                )
            ),
            # In microseconds, which the times around a hole show, too.
            release(
                sequence(frame(cuboid(), timestamp=0), frame(timestamp=5 * 10**5), frame(cuboid(x=5), timestamp=10**6))
            ),
        ),
    ],
    "no-keyframe": [(release(track(BETWEEN, BETWEEN)), release(track(KEY, {})))],
    "outside-keyframes": [
        (release(track(KEY, BETWEEN, KEY, BETWEEN)), release(track(KEY, BETWEEN, KEY))),
        (release(track(BETWEEN, KEY)), release(track({}, KEY))),
    ],
    "not-interpolated": [
        (
            release(track(KEY, BETWEEN | {"x": 1.5}, KEY | {"x": 2.0})),
            release(track(KEY, BETWEEN | {"x": 1.0}, KEY | {"x": 2.0})),
        ),
        (  # what stays as it is before a hole
            release(track(KEY, BETWEEN | {"x": 1.5}, None, KEY | {"x": 3.0})),
            release(track(KEY, BETWEEN, None, KEY | {"x": 3.0})),
        ),
        (in_sample_time(1.0, 2.0), in_sample_time(1.0, 3.0)),
    ],
    "hole": [
        (
            release(track(KEY, BETWEEN, None, BETWEEN, KEY)),
            release(track(KEY, BETWEEN, None, KEY, KEY)),
        )
    ],
    "frame-index": [(release(track({"index": 0}, {"index": 2})), release(track({"index": 0}, {"index": 1})))],
    "null-timestamp": [(times(1, None), times(None, None))],
    "timestamp-order": [(times(5, 5), times(5, 6)), (times(5, 4), times(5, 6))],
    "frame-count": [
        (release(track({}, {}), {"frames": [{}]}), release(track({}), {"frames": [{}]})),
    ],
    "sensor-order": [
        (
            release(
                on_sensors([cuboid()], [cuboid(x=9.0)]),
                {"sensors": [{"name": name, "attributes": {"frames": [{}]}} for name in ("rear", "front")]},
            ),
            release(
                on_sensors([cuboid()], [cuboid(x=9.0)]),
                {"sensors": [{"name": name, "attributes": {"frames": [{}]}} for name in ("front", "rear")]},
            ),
        ),
    ],
    "link-track": [(linked(4), linked(2))],
    "link-category": [
        (linked(3, link_category_restrictions=[1]), linked(3, link_category_restrictions=[1, 2])),
        (linked(3, link_category_restrictions=[]), linked(3)),
    ],
}
"""For each rule that documents can break, some pairs."""


def infinite(table: str) -> al.LabelTables:
    """Tables with a number that JSON does not have."""
    tables = al.decode_labels([release(frame(vector("bbox", SQUARE[::2]), cuboid(2)))])
    rows = tables[table].to_pylist()
    if table == "vectors":
        rows[0]["points"][0]["x"] = math.inf
    else:
        rows[0]["yaw"] = math.nan
    made = pa.Table.from_pylist(rows, schema=tables[table].schema)
    return al.LabelTables(**{name: made if name == table else each for name, each in tables})


def tables(document: Json) -> al.LabelTables:
    return al.decode_labels([json.loads(json.dumps(document))])


def masked(folder: Path) -> al.LabelTables:
    """Tables whose masks were read: a segment without a pixel, and an id that no annotation has."""
    (folder / "a.png").write_bytes(al.encode_bitmap(np.array([[0, 1], [7, 7]], np.uint32)))
    label = release(frame(segment(1), segment(2), segmentation_bitmap={"url": "a.png"}))
    (folder / "release.json").write_text(json.dumps(label))
    return al.read_labels(str(folder / "release.json"), masks=True)


def example(rule: str, folder: Path) -> dict[str, Any]:
    """The first finding of what breaks a rule."""
    of_numbers = {"non-finite-points": "vectors", "non-finite-cuboid": "cuboids"}
    if rule in FORMS:
        read = tables(FORMS[rule][0][0])
    else:
        read = infinite(of_numbers[rule]) if rule in of_numbers else masked(folder)
    return al.check_labels(read, rules=[rule]).row(0, named=True)
