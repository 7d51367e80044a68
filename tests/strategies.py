"""Hypothesis strategies of small label documents with the quirks of real files.

``releases``, ``samples``, ``labels`` and ``attributes`` give dicts that are valid documents. Most parts of an
example are plain; with ``quirks=False`` all of them are.
"""

import json
from collections.abc import Collection, Mapping
from typing import Any

from generate import TASK_TYPES
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

Json = dict[str, Any]
Other = Mapping[str, SearchStrategy[Any]]

SENSOR_TASKS = tuple(name for name in TASK_TYPES if name.endswith("sequence") and "multi" not in name)
SHAPES = {
    "vector": ("bbox", "polygon", "polyline", "point"),
    "image-vector": ("bbox", "polygon", "polyline", "point"),
    "bboxes": ("bbox",),
    "keypoints": ("point",),
    "pointcloud-cuboid": ("cuboid", "cuboid", "cuboid-sync"),
    "pointcloud-vector": ("polygon", "polyline", "point", "cuboid"),
}
ALL_SHAPES = ("bbox", "polygon", "polyline", "point", "cuboid", "cuboid-sync", None)
POINT_COUNTS = {"bbox": 2, "polygon": 3, "polyline": 2, "point": 1}
INT64 = 2**63 - 1
TEXTS = (
    "",
    "a.b",
    'quo"te',
    "back\\slash",
    "名前 🚗",
    "with space",
    "$ref",
    "a/b~1",
    "tab\tnew\nline",
    "null",
)
DATES = (
    *("2024-03-01T08:15:12.120000+00:00", "2024-03-01T08:15:12.5Z", "2024-03-01T10:15:12+02:00"),
    *("2024-03-01T08:15:12", "2024-03-01", "2024-03-01T08:15:12.000000Z", "2024-03-01T08:15:12.123456789Z"),
    *(
        "yesterday",
        "",
        "0001-01-01T00:00:00+02:00",
        "9999-12-31T23:59:59.999999-02:00",
        "2024-02-30T00:00:00Z",
    ),
)
VALUES = (
    *('{"occlusion": "full"}', '{"parked": true, "doors": 4}', '{"speed": 1.5, "note": ""}'),
    *(
        '{"lights": ["brake", "left"]}',
        '{"size": {"x": 1.5, "y": 2, "z": 0.1}, "plate": "B-1"}',
        '{"doors": 0}',
    ),
)

_text = st.text(max_size=5) | st.sampled_from(TEXTS)
_number = st.sampled_from((0, 1, 12.5, 0.1, 319.75, 200, -3.25, 1e-3, -7, 55.123456789)) | st.floats(-1e3, 1e3)
_extreme = st.sampled_from((1e300, 5e-324, -0.0, 2**53 + 1, -(2**53) - 1, INT64, 0.1 + 0.2, 1e22, 1.0, -2.5e-8))
_any_number = _number | _extreme | st.floats(allow_nan=False, allow_infinity=False)
_scalar = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), INT64),
    st.floats(allow_nan=False, allow_infinity=False),
    _text,
)
_json = st.recursive(
    _scalar,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3),
    max_leaves=5,
)
_object = st.dictionaries(_text, _json, max_size=3)
_null = st.none()
_empty_list: SearchStrategy[list[Any]] = st.builds(list)
_empty_object: SearchStrategy[Json] = st.builds(dict)
_nothing = st.sampled_from(("null", "{}", "[]")).map(json.loads)
_extra_key = st.sampled_from(TEXTS) | st.text(max_size=3).map("~{}".format)
_values = st.sampled_from(VALUES).map(json.loads)
_id = st.integers(0, 5) | st.sampled_from((2**31 - 1, 2**31, 2**53 + 1, INT64)) | st.sampled_from((1.0, 3.0, 2.0**40))
_small_id = st.integers(0, 2**31 - 1) | st.sampled_from((1.0, 2.0))
_timestamp = st.one_of(
    st.sampled_from(
        ("00001", "1.5", "0.0001", "1e3", " 7", "1_0", "no time", "", "NaN", "Infinity", "9" * 25, "1e400")
    ),
    st.sampled_from(("1700000000123456789", "-5", "+5", "5.0", "0x10", "\u0661")),
    st.integers(-10, INT64),
    st.sampled_from((1.0, 0.5, 1.7e18, 1700000000.123456, 1e300, -0.0, 5e-324)),
)
_version = st.sampled_from(("0.1", "0.2", "", "v3", 0.1, 0.2, 1, 1.0, 2))
_date = st.sampled_from(DATES)
_how_many = st.sampled_from((0,) * 14 + (1, 1, 2))
_what = st.sampled_from(("other",) * 8 + ("extra", "absent", "null", "bare"))
_sample_counts = st.sampled_from((1, 2, 1, 2, 2, 3, 0))
_rarely = st.sampled_from((False,) * 11 + (True,))
_often = st.booleans()


def _odd(draw: DrawFn, quirks: bool, value: Json, required: Collection[str] = (), other: Other | None = None) -> Json:
    """Now and then, add an unknown key, take away or null an optional member, or put an odd value in."""
    if not quirks:
        return value
    for _ in range(draw(_how_many)):
        what = draw(_what)
        optional = [key for key in value if key not in required]
        if what == "extra" or (what == "other" and not other):
            value.setdefault(draw(_extra_key), draw(_json))
        elif what == "other" and other:
            key = draw(st.sampled_from(sorted(other)))
            value[key] = draw(other[key])
        elif what == "bare":
            value = {key: value[key] for key in value if key in required}
        elif optional and what == "absent":
            del value[draw(st.sampled_from(optional))]
        elif optional:
            value[draw(st.sampled_from(optional))] = None
    return value


def _maybe(draw: DrawFn, value: Json) -> Json:
    """Keep a part of the optional members of a plain object."""
    return {key: member for key, member in value.items() if draw(_often)}


def _numbers(draw: DrawFn, quirks: bool, names: Collection[str]) -> Json:
    """Draw {x, y, z} or {qx, qy, qz, qw}."""
    return _odd(draw, quirks, {name: draw(_number) for name in names}, other=dict.fromkeys(names, _any_number))


def _xyz(draw: DrawFn, quirks: bool) -> Json:
    return _numbers(draw, quirks, "xyz")


def _quaternion(draw: DrawFn, quirks: bool) -> Json:
    return _numbers(draw, quirks, ("qx", "qy", "qz", "qw"))


_coordinates = st.lists(_any_number, min_size=2, max_size=3)
_points = st.lists(_coordinates, max_size=4) | st.sampled_from(("null", "[]", "[[20, 5], [3, 9.5]]")).map(json.loads)
_one_xyz = st.fixed_dictionaries({"x": _any_number, "y": _any_number, "z": _any_number})
_speeds = st.sampled_from(("{}", '{"absolute": 3}', '{"relative": -1.5}', '{"absolute": 0.0, "relative": null}'))
_one_turn = st.sampled_from(('{"qx": 0, "qy": 0, "qz": 0, "qw": 1}', '{"qw": 0.5}', "{}")).map(json.loads)
_ANNOTATION: Other = {
    "attributes": _object | _empty_object,
    "category_id": st.sampled_from((0, 0.0, 2.0, 99, 2**40)),
    "is_keyframe": st.booleans(),
    "index": st.integers(0, 3) | st.just(2.0),
}
_VECTOR: Other = {**_ANNOTATION, "points": _points, "position": _one_xyz, "yaw": _any_number}
_CUBOID: Other = {
    **_ANNOTATION,
    "yaw": _any_number,
    "rotation": _one_turn,
    "velocity": _speeds.map(json.loads),
    "acceleration": _speeds.map(json.loads),
    "points": _points,
    "dimensions": _one_xyz,
}
_SEGMENT: Other = {**_ANNOTATION, "position": _one_xyz, "points": _points, "type": _null}


def _annotation(draw: DrawFn, quirks: bool, number: int, kind: str, sequence: bool) -> Json:
    """Draw an annotation of a kind of task, or now and then of another."""
    value: Json = {"id": number, "track_id": number, "category_id": draw(st.integers(0, 3))}
    if quirks and draw(_rarely):
        which = draw(st.sampled_from(("id", "track_id", "null", "differ", "same")))
        value |= {"id": draw(_id), "track_id": draw(_id)}
        if which in ("id", "track_id"):
            del value[which]
        elif which == "null":
            value[draw(st.sampled_from(("id", "track_id")))] = None
        elif which == "same":
            value["id"] = value["track_id"]
    elif not sequence and draw(_often):
        del value["track_id"]
    ids = [key for key in ("id", "track_id") if value.get(key) is not None]
    if sequence:
        value["is_keyframe"] = draw(_often)
    if draw(_often):
        value["attributes"] = draw(_values)
    shapes = ALL_SHAPES if quirks and draw(_rarely) else SHAPES.get(kind, (None,))
    shape = draw(st.sampled_from(shapes)) if len(shapes) > 1 else shapes[0]
    if shape is None:
        return _odd(draw, quirks, value, (*ids, "category_id"), _SEGMENT)
    value["type"] = shape
    if shape in POINT_COUNTS:
        size = 3 if kind == "pointcloud-vector" else 2
        points = [[draw(_number) for _ in range(size)] for _ in range(POINT_COUNTS[shape])]
        if shape == "bbox":  # the corners in order; odd points have them swapped
            points = [list(corner) for corner in zip(*map(sorted, zip(*points, strict=True)), strict=True)]
        value["points"] = points
        return _odd(draw, quirks, value, (*ids, "category_id", "type"), _VECTOR)
    value |= {
        "position": _xyz(draw, quirks),
        "dimensions": _xyz(draw, quirks),
        "yaw": draw(st.floats(-3.1, 3.1)),
    }
    if draw(_rarely):
        value["rotation"] = _quaternion(draw, quirks)
        for name in ("velocity", "acceleration"):
            value[name] = _numbers(draw, quirks, ("absolute", "relative"))
    return _odd(draw, quirks, value, (*ids, "category_id", "type"), _CUBOID)


def _link(draw: DrawFn, quirks: bool) -> Json:
    value: Json = {"from_id": draw(st.integers(1, 5)), "to_id": draw(st.integers(1, 5))}
    if draw(_often):
        value["attributes"] = draw(_values)
    frames = st.lists(st.fixed_dictionaries({"attributes": _object}) | _object, max_size=3)
    other = {"from_id": _id, "to_id": _id, "attributes": _object, "frames": frames | _null}
    return _odd(draw, quirks, value, ("from_id", "to_id"), other)


def _links(draw: DrawFn, quirks: bool) -> Json:
    return {"links": [_link(draw, quirks)]} if draw(_rarely) else {}


def _frame(draw: DrawFn, quirks: bool, task_type: str, required: Collection[str] = ()) -> Json:
    """Draw a one-frame label, or a frame of a sequence."""
    sequence, kind = task_type.endswith("-sequence"), task_type.removesuffix("-sequence")
    count = draw(st.integers(0, 3))
    made = [_annotation(draw, quirks, number + 1, kind, sequence) for number in range(count)]
    value: Json = {"annotations": made}
    if draw(_often):
        value |= {"format_version": draw(st.sampled_from(("0.1", "0.2")))}
    if draw(_rarely):
        value["image_attributes"] = draw(_values)
    if kind == "pointcloud-segmentation":
        value["point_annotations"] = draw(st.lists(st.integers(0, 4), max_size=6))
    elif "segmentation" in kind:
        url = _odd(draw, quirks, {"url": "https://example.com/a.png?sig=1"}, other={"url": st.just("") | _null})
        value["segmentation_bitmap"] = url
    if sequence and draw(_often):
        value["timestamp"] = draw(st.integers(0, 3)) * 100_000_000 + 1_700_000_000_000_000_000
    if quirks and draw(_rarely):
        value["timestamp"] = draw(_timestamp)
    other: Json = {
        "image_attributes": _object,
        "segmentation_bitmap": st.sampled_from(("null", "{}", '{"url": null}', '{"url": ""}')).map(json.loads),
        "point_annotations": st.lists(_small_id, max_size=4) | _null,
        "timestamp": _timestamp,
        "format_version": _version,
    }
    if not required:
        other["annotations"] = _empty_list | _null
    return _odd(draw, quirks, value, required, other)


def _attributes(draw: DrawFn, quirks: bool, task_type: str, lone: bool = False) -> Json:
    """Draw label attributes; ``lone`` ones can be told from other documents."""
    odd_links: Other = {"links": _empty_list | _null}
    if task_type == "multisensor-sequence":
        value = {"sensors": [_sensor(draw, quirks, place) for place in range(draw(st.integers(1, 2)))]}
        value |= _links(draw, quirks)
        sensors = _empty_list if lone else _null | _empty_list
        other: Other = {**odd_links, "sensors": sensors, "frames": _null, "format_version": _version}
        return _odd(draw, quirks, value, ("sensors",) if lone else (), other)
    if task_type.endswith("-sequence"):
        value = _maybe(draw, {"format_version": "0.1"})
        value["frames"] = [_frame(draw, quirks, task_type) for _ in range(draw(st.integers(0 if quirks else 1, 2)))]
        value |= _links(draw, quirks)
        other = {**odd_links, "format_version": _version, "sensors": _null, "annotations": _null}
        return _odd(draw, quirks, value, ("frames",) if lone else (), other)
    value = _frame(draw, quirks, task_type, ("annotations",) if lone else ()) | _links(draw, quirks)
    return _odd(draw, quirks, value, ("annotations",), {**odd_links, "frames": _null, "sensors": _null})


def _sensor(draw: DrawFn, quirks: bool, place: int) -> Json:
    task_type = draw(st.sampled_from(SENSOR_TASKS))
    value: Json = {"name": f"sensor {place}", "task_type": task_type, "attributes": {}}
    if quirks and draw(_rarely):
        task_type = task_type.removesuffix("-sequence")
    value["attributes"] = _attributes(draw, quirks, task_type)
    other = {
        "attributes": _nothing,
        "name": st.sampled_from(("sensor 0", "a/b", 'c"d.e')),
        "task_type": _null | _text,
    }
    return _odd(draw, quirks, value, ("name",), other)


def _label(draw: DrawFn, quirks: bool, task_type: str, lone: bool = False) -> Json:
    """Draw a label; a ``lone`` one keeps what tells it from other documents."""
    value: Json = {
        "label_status": draw(st.sampled_from(("LABELED", "REVIEWED", "PRELABELED"))),
        "attributes": _attributes(draw, quirks, task_type),
    }
    optional: Json = {
        "label_type": task_type,
        "score": draw(_number),
        "rating": 4.5,
        "created_at": "2024-03-01T08:15:12Z",
        "updated_at": "2024-03-01T08:15:12.250000Z",
        "created_by": "anna",
        "reviewed_by": "ben",
    }
    value |= _maybe(draw, optional)
    if lone:
        value |= {
            "sample_uuid": "uuid-1",
            "labelset": draw(st.sampled_from(("ground-truth", "model", "a/b:c"))),
        }
    other: Other = {
        **dict.fromkeys(("created_at", "updated_at", "reviewed_at"), _date),
        **dict.fromkeys(("score", "rating"), _any_number),
        **dict.fromkeys(("created_by", "updated_by", "reviewed_by", "label_status", "label_type"), _text | _null),
        "attributes": _nothing,
    }
    if not lone:
        return _odd(draw, quirks, value, (), {**other, "sample_uuid": _text, "labelset": _text})
    required = ("attributes", draw(st.sampled_from(("labelset", "sample_uuid", "label_status"))))
    return _odd(draw, quirks, value, required, {name: other[name] for name in other if name != required[1]})


def _image(draw: DrawFn, quirks: bool) -> Json:
    return {"image": _odd(draw, quirks, {"url": "https://example.com/a.jpg"}, other={"url": st.just("")})}


_matrix = st.sampled_from(("null", "[]", "[[1, 0], [0, 1]]", "[[1, 0, 0], [0, 1, 0], [0, 0, null]]", "[1, 2, 3]"))
_distortion = st.fixed_dictionaries({"model": _text, "coefficients": _object}) | _object


def _camera(draw: DrawFn, quirks: bool) -> Json:
    """Draw a camera image of a point cloud."""
    matrix = [[draw(_number), 0, 160.5], [0.0, 250, 100], [0, 0, 1]]
    intrinsics = {"intrinsic_matrix": matrix}
    extrinsics = {"translation": _xyz(draw, quirks), "rotation": _quaternion(draw, quirks)}
    distortion: Json = {"model": "fisheye", "coefficients": {"k1": 0.1, "k2": 0, "k3": 0.0, "k4": -1e-3}}
    value: Json = {"name": "front", "row": 0, "col": 1, "camera_convention": "OpenCV", "rotation": 1.5}
    value["intrinsics"] = _odd(draw, quirks, intrinsics, other={"intrinsic_matrix": _matrix.map(json.loads)})
    value["extrinsics"] = _odd(draw, quirks, extrinsics)
    value["distortion"] = _odd(draw, quirks, distortion, other={"coefficients": _object})
    other = {"row": st.just(1.0), "rotation": _any_number, "distortion": _distortion, "name": _text}
    return _odd(draw, quirks, {"url": "https://example.com/f.jpg"} | _maybe(draw, value), ("url",), other)


def _sample_frame(draw: DrawFn, quirks: bool, task_type: str) -> Json:
    """Draw the attributes of a one-frame sample, or a frame of a sequence."""
    optional: Json = {"name": "00001", "timestamp": 1_700_000_000_100_000_000}
    if "pointcloud" in task_type:
        pcd = _odd(draw, quirks, {"url": "https://example.com/a.pcd", "type": "pcd"}, other={"type": _text})
        pose = {"position": _xyz(draw, quirks), "heading": _quaternion(draw, quirks)}
        cameras = [_camera(draw, quirks) for _ in range(draw(st.sampled_from((0, 0, 1, 2))))]
        value: Json = {"pcd": pcd} | ({"images": cameras} if cameras else {})
        optional |= {
            "ego_pose": _odd(draw, quirks, pose),
            "default_z": -1.8,
            "bounds": {"min_x": -5, "max_x": 5.5},
        }
        optional["ortho_images"] = [{"url": "o.png", "corners": {"top_left": {"x": 0, "y": 1.5}}}]
        other: Other = {
            "default_z": _any_number,
            "images": _empty_list,
            "bounds": _object,
            "pcd": _empty_object,
        }
    else:
        value, other = _image(draw, quirks), {"image": _empty_object | _null}
    value |= _maybe(draw, optional) if "pointcloud" in task_type or task_type.endswith("-sequence") else {}
    return _odd(draw, quirks, value, other={**other, "timestamp": _timestamp, "name": _text})


def _sample_attributes(draw: DrawFn, quirks: bool, task_type: str) -> Json:
    if task_type == "multisensor-sequence":
        sensors = []
        for place in range(draw(st.integers(1, 2))):
            kind = draw(st.sampled_from(SENSOR_TASKS))
            sensor: Json = {"name": f"sensor {place}", "task_type": kind}
            sensor["attributes"] = _sample_attributes(draw, quirks, kind)
            sensors.append(_odd(draw, quirks, sensor, ("name",), {"attributes": _nothing}))
        return _odd(draw, quirks, {"sensors": sensors}, other={"sensors": _empty_list, "frames": _null})
    if task_type.endswith("-sequence"):
        frames = [_sample_frame(draw, quirks, task_type) for _ in range(draw(st.integers(0 if quirks else 1, 2)))]
        return _odd(draw, quirks, {"frames": frames}, other={"sensors": _null, "frames": _empty_list})
    return _sample_frame(draw, quirks, task_type)


def _sample(draw: DrawFn, quirks: bool, task_type: str, number: int = 0, lone: bool = False) -> Json:
    """Draw a sample; a ``lone`` one has labels."""
    sets = draw(st.sampled_from((("ground-truth",), ("ground-truth",), ("ground-truth", "model"), ())))
    if quirks and draw(_rarely):
        sets = ("a/b:c", "名前.x")
    labels: Json = {name: _label(draw, quirks, task_type) for name in sets}
    for name in sets if quirks else ():
        if draw(_rarely):
            labels[name] = None
    value: Json = {
        "uuid": f"uuid-{number}",
        "name": f"drive-{number}",
        "attributes": _sample_attributes(draw, quirks, task_type),
        "labels": labels,
    }
    optional: Json = {"metadata": draw(_values), "created_at": "2024-03-01T08:15:12Z", "created_by": "anna"}
    value |= _maybe(draw, optional | {"priority": draw(_number), "readme": "Rain."})
    other: Json = {
        "name": st.sampled_from(("drive-0", "a/b:c.d", "#2", "uuid-0", "uuid-0#2", "名前")),
        "uuid": st.sampled_from(("uuid-0", "uuid-1", "drive-0", "0", "uuid-0#2")),
        "attributes": _nothing,
        "metadata": _object | _empty_object,
        "created_at": _date,
        "priority": _any_number,
    }
    if not lone:
        other["labels"] = _empty_object | _null
    return _odd(draw, quirks, value, ("labels",) if lone else (), other)


_values_list = st.lists(_text, max_size=3) | st.lists(_scalar, max_size=3)
_limit = st.sampled_from(("", "0", "1.50", "-3", "many", "1e3", "NaN", "inf", 0, 2.5, 2**53 + 1, None))
_ATTRIBUTE: Other = {
    **dict.fromkeys(("min", "max", "step"), _limit),
    "default_value": _json,
    "values": _values_list | _null,
    "is_mandatory": st.booleans() | _null,
    "synced_across_sensors": st.booleans(),
    "sensor_filter": _text,
}
_inputs = ("select", "multiselect", "text", "number", "checkbox", "vector3", "quaternion", "points")


def _attribute_spec(draw: DrawFn, quirks: bool, name: str) -> Json:
    """Draw a definition of an attribute."""
    value: Json = {"name": name, "input_type": draw(st.sampled_from(_inputs))}
    if value["input_type"].endswith("select"):
        value |= {"values": ["none", "full"], "default_value": "none"}
    elif value["input_type"] == "number":
        value |= {"min": 0, "max": 10.5, "step": 0.5}
    if quirks and draw(_rarely):
        value |= {"min": draw(_limit), "max": draw(_limit), "values": draw(_values_list)}
    value |= _maybe(draw, {"is_mandatory": True, "is_track_level": False})
    return _odd(draw, quirks, value, ("name", "input_type"), _ATTRIBUTE)


def _task_attributes(draw: DrawFn, quirks: bool) -> Json:
    """Draw the categories and the definitions of a dataset."""
    categories = []
    for number in range(draw(st.integers(0, 2))):
        value: Json = {"id": number, "name": f"category {number}"}
        value |= _maybe(draw, {"color": [0, 113, 188], "has_instances": True, "dimensions": {"x": 4.5}})
        if draw(_often):
            value["attributes"] = [_attribute_spec(draw, quirks, "occlusion")]
            value["link_attributes"] = [_attribute_spec(draw, quirks, "relation")]
        other = {
            "color": st.lists(_any_number, min_size=3, max_size=4) | _empty_list,
            "id": st.sampled_from((0, 0.0, 1.0, 7, 2**40)),
            "attributes": _empty_list | _null,
            "link_attributes": _empty_list | _null,
            "name": _text,
        }
        categories.append(_odd(draw, quirks, value, ("id", "name"), other))
    value = {"format_version": "0.1", "categories": categories}
    if draw(_rarely):
        value["image_attributes"] = [_attribute_spec(draw, quirks, "weather")]
        value["warning_rules"] = [{"name": "cuboid-dimension-limits", "categories": [1], "min": {"x": 0.5}}]
    lists = dict.fromkeys(("categories", "image_attributes", "warning_rules"), _empty_list | _null)
    return _odd(draw, quirks, value, other={"format_version": _version, **lists})


def _release(draw: DrawFn, quirks: bool, task_type: str) -> Json:
    samples = [_sample(draw, quirks, task_type, number) for number in range(draw(_sample_counts))]
    sets: list[Json] = [{"name": "ground-truth", "description": ""}]
    dataset: Json = {"name": "anna/drive", "task_type": task_type, "task_attributes": {}, "labelsets": sets}
    dataset |= {"task_attributes": _task_attributes(draw, quirks), "samples": samples}
    owner = st.sampled_from(('"anna"', '{"username": "anna", "email": null}')).map(json.loads)
    other: Other = {
        "owner": owner,
        "task_attributes": _empty_object | _null,
        "task_type": _text | _null,
        "labelsets": st.lists(_object, max_size=2) | _null,
        "samples": _empty_list | _null,
        "name": _text,
    }
    value: Json = {"dataset": _odd(draw, quirks, dataset, other=other)}
    value |= _maybe(draw, {"name": "v1", "description": "", "created_at": "2024-06-01T12:00:00Z"})
    return _odd(draw, quirks, value, ("dataset",), {"created_at": _date, "name": _text, "description": _text})


def _start(draw: DrawFn, task_type: str | None, quirks: bool) -> tuple[str, bool]:
    """Choose a task type, and whether this example is plain all through."""
    chosen = draw(st.sampled_from(TASK_TYPES)) if task_type is None else task_type
    return chosen, quirks and draw(st.sampled_from((False, True, True, True)))


@st.composite
def attributes(draw: DrawFn, task_type: str | None = None, *, quirks: bool = True) -> Json:
    """Draw label attributes: documents with `annotations`, `frames` or `sensors`."""
    chosen, odd = _start(draw, task_type, quirks)
    return _attributes(draw, odd, chosen, lone=True)


@st.composite
def labels(draw: DrawFn, task_type: str | None = None, *, quirks: bool = True) -> Json:
    """Draw lone label documents, with `attributes` and something else that tells them."""
    chosen, odd = _start(draw, task_type, quirks)
    return _label(draw, odd, chosen, lone=True)


@st.composite
def samples(draw: DrawFn, task_type: str | None = None, *, quirks: bool = True) -> Json:
    """Draw lone sample documents, with `labels`."""
    chosen, odd = _start(draw, task_type, quirks)
    return _sample(draw, odd, chosen, lone=True)


@st.composite
def releases(draw: DrawFn, task_type: str | None = None, *, quirks: bool = True) -> Json:
    """Draw releases."""
    chosen, odd = _start(draw, task_type, quirks)
    return _release(draw, odd, chosen)
