"""A slow and plain reference of decoding: one document in, the rows of the fourteen tables out.

Written from the documents that describe the label format and the tables, without the package, so that the
package can be compared with it. JSON columns are compact text; compare them as parsed values.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any

Object = dict[str, Any]
Tables = dict[str, list[Object]]
Names = dict[int, str | None]  # the name of each category id
Fields = dict[str, tuple[str, Callable[..., Any]]]  # column: where it is in its object, and how it is read
Frames = list[tuple[int, str | None, int, Object]]  # sensor index, sensor, frame index, frame

UNITS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9}
SAME = object()  # no patch is needed; None is the patch that takes everything away


class UndecodableError(ValueError):
    """The document is not one that can be decoded."""


# JSON values


def merge_patch(target: Any, patch: Any) -> Any:
    """Apply an RFC 7396 merge patch."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


def without_nulls(value: Any) -> Any:
    """Leave out the null members of an object and of the objects in it; arrays stay as they are."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return value


def same_json(a: Any, b: Any) -> bool:
    """Compare as JSON: order of members, 1 and 1.0, and null members do not matter; true is not 1."""
    if isinstance(a, dict) and isinstance(b, dict):
        return all(same_json(a.get(key), b.get(key)) for key in {*a, *b})
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(same_json(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    return bool(a == b)


def difference(canonical: Any, target: Any) -> Any:
    """The smallest merge patch that makes `target` of `canonical`, or SAME."""
    canonical, target = without_nulls(canonical), without_nulls(target)
    if not (isinstance(canonical, dict) and isinstance(target, dict)):
        return SAME if same_json(canonical, target) else target
    patch = {key: None for key in canonical if key not in target}
    for key, value in target.items():
        member = difference(canonical[key], value) if key in canonical else value
        if member is not SAME:
            patch[key] = member
    return patch or SAME


def extra_of(canonical: Any, target: Any) -> str | None:
    """The `extra` column: the text of the patch from the canonical object to the one of the document."""
    patch = difference(canonical, target)
    if patch is SAME:
        return None
    assert same_json(merge_patch(without_nulls(canonical), patch), target)
    return dumps(patch)


def dumps(value: Any) -> str:
    """Compact JSON text."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


# Document values to column values; null and absent are null


def json_text(value: Any) -> str | None:
    return None if value is None else dumps(value)


def text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise UndecodableError(f"Expected `str`, got {value!r}")


def flag(value: Any) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    raise UndecodableError(f"Expected `bool`, got {value!r}")


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def number(value: Any) -> float | None:
    if value is None or is_number(value):
        return None if value is None else float(value)
    raise UndecodableError(f"Expected `float`, got {value!r}")


def integer(value: Any, bits: int = 64) -> int | None:
    if value is None:
        return None
    if not is_number(value) or value != value // 1 or not -(2 ** (bits - 1)) <= value < 2 ** (bits - 1):
        raise UndecodableError(f"Expected `int` of {bits} bits, got {value!r}")
    return int(value)


def members(value: Any) -> dict[str, Any]:
    if value is None or isinstance(value, dict):
        return value or {}
    raise UndecodableError(f"Expected `object`, got {value!r}")


def elements(value: Any) -> list[Any]:
    if value is None or isinstance(value, list):
        return value or []
    raise UndecodableError(f"Expected `array`, got {value!r}")


def objects(value: Any) -> list[dict[str, Any]]:
    if all(isinstance(item, dict) for item in elements(value)):
        return elements(value)
    raise UndecodableError(f"Expected an array of objects, got {value!r}")


def version(value: Any) -> str | None:
    """A format version: a number becomes its JSON text."""
    return dumps(value) if is_number(value) else text(value)


def time_of(value: Any) -> datetime | None:
    """An ISO 8601 time in UTC; null for a text that is none."""
    if text(value) is None:
        return None
    try:
        time = datetime.fromisoformat(value)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def nanoseconds(value: Any, unit: str) -> int | None:
    """A timestamp as nanoseconds, rounded half to even; null for what is no number or does not fit."""
    if not is_number(value) and not isinstance(value, str):
        return None
    try:
        count = Decimal(repr(value) if isinstance(value, float) else value)
    except InvalidOperation:
        return None
    if not count.is_finite() or (count and count.adjusted() > 30):
        return None
    total = 0 if count.adjusted() < -30 else round(Fraction(count) * UNITS[unit])
    return total if -(2**63) <= total < 2**63 else None


def limit(value: Any) -> float | None:
    """A limit of an attribute: a number or a text of one; null for anything else."""
    if isinstance(value, bool):
        return None
    try:
        result = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return result if abs(result) < float("inf") else None


def matrix(value: Any) -> list[float] | None:
    """A 3 x 3 matrix by rows; null for anything else."""
    if not isinstance(value, list) or len(value) != 3:
        return None
    if not all(isinstance(line, list) and len(line) == 3 and all(map(is_number, line)) for line in value):
        return None
    return [float(item) for line in value for item in line]


def point_ids(value: Any) -> list[int] | None:
    """The ids of `point_annotations`; null for an empty list."""
    return [required(item, 32) for item in elements(value)] or None


def required(value: Any, bits: int = 64) -> int:
    result = integer(value, bits)
    if result is None:
        raise UndecodableError("Expected `int`, got null")
    return result


def numbers(value: Any) -> list[float | None] | None:
    return None if value is None else [number(item) for item in elements(value)]


def strings(value: Any) -> list[str] | None:
    """A list of strings; what is none becomes its JSON text."""
    return None if value is None else [v if isinstance(v, str) else dumps(v) for v in elements(value)]


def link_target(value: Any) -> str | None:
    """The URL of a bitmap: an empty one is none."""
    return text(value) or None


def points_of(value: Any) -> list[dict[str, float | None]]:
    points = []
    for point in elements(value):
        if not isinstance(point, list) or len(point) not in (2, 3) or not all(map(is_number, point)):
            raise UndecodableError(f"Expected a point of 2 or 3 numbers, got {point!r}")
        x, y, z = [float(item) for item in point] + [None] * (3 - len(point))
        points.append({"x": x, "y": y, "z": z})
    return points


# Column values back to JSON, where that is not the value itself

BACK: dict[Callable[..., Any], Callable[[Any], Any]] = {
    json_text: json.loads,
    time_of: lambda time: time.replace(tzinfo=None).isoformat() + "Z",
    matrix: lambda nine: [nine[0:3], nine[3:6], nine[6:9]],
    points_of: lambda points: [[p[axis] for axis in "xyz" if p[axis] is not None] for p in points],
}


def whole32(value: Any) -> int | None:
    return integer(value, 32)


def same_names(read: Callable[..., Any], names: str) -> Fields:
    """Columns that have the name of the member they hold."""
    return {name: (name, read) for name in names.split()}


def under(path: str, columns: str, names: str) -> Fields:
    """Float columns that hold the members of an object."""
    return {c: (f"{path}.{n}", number) for c, n in zip(columns.split(), names.split(), strict=True)}


# Where each column is in its object, and how it is read

ANNOTATION: Fields = {
    "id": ("id", integer),
    "track_id": ("track_id", integer),
    "category_id": ("category_id", required),
    "type": ("type", text),
    "is_keyframe": ("is_keyframe", flag),
    "index": ("index", whole32),
    "attributes": ("attributes", json_text),
}
FIELDS: dict[str, Fields] = {
    "datasets": same_names(text, "name description")
    | same_names(time_of, "created_at")
    | {
        "dataset": ("dataset.name", text),
        "task_type": ("dataset.task_type", text),
        "task_attributes": ("dataset.task_attributes", json_text),
        "labelsets": ("dataset.labelsets", json_text),
    },
    "categories": {
        "category_id": ("id", required),
        "name": ("name", text),
        "color": ("color", numbers),
        "has_instances": ("has_instances", flag),
    },
    "attribute_specs": same_names(text, "name input_type")
    | same_names(strings, "values")
    | same_names(json_text, "default_value")
    | same_names(limit, "min max step")
    | same_names(flag, "is_mandatory is_track_level"),
    "samples": same_names(text, "name created_by readme")
    | same_names(json_text, "metadata")
    | same_names(time_of, "created_at")
    | same_names(number, "priority"),
    "sensor": same_names(text, "name task_type") | {"format_version": ("attributes.format_version", version)},
    "sample_frames": same_names(text, "name")
    | same_names(nanoseconds, "timestamp")
    | {"image_url": ("image.url", text), "pcd_url": ("pcd.url", text), "pcd_type": ("pcd.type", text)}
    | under("ego_pose.position", "ego_x ego_y ego_z", "x y z")
    | under("ego_pose.heading", "ego_qx ego_qy ego_qz ego_qw", "qx qy qz qw")
    | same_names(number, "default_z"),
    "cameras": same_names(text, "name url camera_convention")
    | same_names(whole32, "row col")
    | {"intrinsics": ("intrinsics.intrinsic_matrix", matrix)}
    | under("extrinsics.translation", "tx ty tz", "x y z")
    | under("extrinsics.rotation", "qx qy qz qw", "qx qy qz qw")
    | {
        "distortion_model": ("distortion.model", text),
        "distortion": ("distortion.coefficients", json_text),
        "rotation": ("rotation", number),
    },
    "labels": same_names(text, "label_type label_status created_by updated_by reviewed_by")
    | {"format_version": ("attributes.format_version", version)}
    | same_names(number, "score rating")
    | same_names(time_of, "created_at updated_at reviewed_at"),
    "frames": {
        "timestamp": ("timestamp", nanoseconds),
        "format_version": ("format_version", version),
        "image_attributes": ("image_attributes", json_text),
        "bitmap_url": ("segmentation_bitmap.url", link_target),
        "point_annotations": ("point_annotations", point_ids),
    },
    "segments": ANNOTATION,
    "vectors": ANNOTATION | {"points": ("points", points_of)},
    "cuboids": ANNOTATION
    | under("position", "x y z", "x y z")
    | under("dimensions", "length width height", "x y z")
    | same_names(number, "yaw")
    | under("rotation", "qx qy qz qw", "qx qy qz qw")
    | under("velocity", "velocity_absolute velocity_relative", "absolute relative")
    | under("acceleration", "acceleration_absolute acceleration_relative", "absolute relative"),
    "links": same_names(integer, "from_id to_id") | same_names(json_text, "attributes frames"),
}

BLOCK = (
    "sample_id labelset sensor_index sensor frame_index timestamp annotation_index id track_id category_id "
    "category type is_keyframe index attributes extra "
)
COLUMNS = {
    "datasets": "source name description created_at dataset task_type task_attributes labelsets extra",
    "categories": "dataset category_id name color has_instances extra",
    "attribute_specs": "dataset scope category_id name input_type values default_value min max step "
    "is_mandatory is_track_level extra",
    "samples": "sample_id sample_index name dataset frame_count sensors metadata created_at created_by "
    "priority readme extra",
    "sample_frames": "sample_id sensor_index sensor frame_index name timestamp image_url pcd_url pcd_type "
    "ego_x ego_y ego_z ego_qx ego_qy ego_qz ego_qw default_z extra",
    "cameras": "sample_id sensor_index frame_index camera_index name url row col intrinsics tx ty tz "
    "qx qy qz qw distortion_model distortion camera_convention rotation extra",
    "labels": "sample_id labelset source label_type label_status format_version frame_count sensors "
    "score rating created_at created_by updated_at updated_by reviewed_at reviewed_by content_hash extra",
    "frames": "sample_id labelset sensor_index sensor frame_index timestamp format_version image_attributes "
    "bitmap_url point_annotations extra",
    "segments": BLOCK + "area xmin ymin xmax ymax rle point_count",
    "vectors": BLOCK + "points",
    "cuboids": BLOCK + "x y z length width height yaw qx qy qz qw velocity_absolute velocity_relative "
    "acceleration_absolute acceleration_relative",
    "links": "sample_id labelset link_index from_id to_id attributes frames extra",
    "rejects": "source sample_id labelset path error",
    "findings": "rule severity sample_id labelset sensor_index frame_index annotation_index track_id message value",
}


def typed(table: str, given: Object, unit: str = "ns") -> Object:
    """The columns that are read from an object."""
    row = {}
    for column, (path, read) in FIELDS[table].items():
        value: Any = given
        for name in path.split("."):
            value = members(value).get(name)
        row[column] = read(value, unit) if read is nanoseconds else read(value)
    return row


def canonical_of(table: str, row: Object, beside: Object | None = None) -> Object:
    """What the columns of a row say as JSON, added to what is always `beside` them."""
    result: Object = json.loads(json.dumps(beside or {}))
    for column, (path, read) in FIELDS[table].items():
        if row[column] is not None:
            *parents, last = path.split(".")
            inner = result
            for name in parents:
                inner = inner.setdefault(name, {})
            inner[last] = BACK[read](row[column]) if read in BACK else row[column]
    return result


def put(tables: Tables, name: str, row: Object) -> Object:
    """Add a row, its columns in order."""
    columns = COLUMNS[name].split()
    assert sorted(row) == sorted(columns), name
    tables[name].append({column: row[column] for column in columns})
    return row


def emptied(value: Object, *names: str) -> Object:
    """The object with these arrays emptied where they are there: their elements have rows of their own."""
    return {key: [] if key in names and elements(item) else item for key, item in value.items()}


def dropped(value: Object, *names: str) -> Object:
    """The object without these arrays, unless they are empty: no row gives an empty one back."""
    return {key: item for key, item in value.items() if key not in names or item == []}


# Documents


def flatten(
    document: Object,
    *,
    timestamp_unit: str = "ns",
    place: str = "0",
    source: str = "<document 0>",
    sample_index: int = 0,
) -> Tables:
    """The rows of each table for one release, sample, label or bare attributes.

    `place` is the sample id of what has none, `sample_index` the number of a sample that comes alone.
    """
    tables: Tables = {name: [] for name in COLUMNS}
    unit = timestamp_unit
    if document.get("dataset") is not None:
        put_release(tables, document, unit, place, source)
    elif "labels" in document:
        key = {"sample_id": sample_id_of(document, place), "sample_index": sample_index, "dataset": None}
        put_sample(tables, document, key, {}, unit, source)
    elif "attributes" in document and {"label_status", "sample_uuid", "labelset"} & set(document):
        key = {"sample_id": first(document.get("sample_uuid"), place)}
        key["labelset"] = first(document.get("labelset"), "ground-truth")
        put_label(tables, document, key, {}, unit, source)
    elif {"annotations", "frames", "sensors"} & set(document):
        key = {"sample_id": place, "labelset": "ground-truth"}
        put_label(tables, {"attributes": document}, key, {}, unit, source)
    else:
        raise UndecodableError("Expected a release, a sample, a label or label attributes")
    return tables


def first(*names: Any) -> str:
    return next(name for name in map(text, names) if name is not None)


def sample_id_of(sample: Object, place: str) -> str:
    return first(sample.get("uuid"), sample.get("name"), place)


def put_release(tables: Tables, release: Object, unit: str, place: str, source: str) -> None:
    dataset = members(release["dataset"])
    row: Object = {"source": source} | typed("datasets", release)
    canonical = canonical_of("datasets", row, {"dataset": {"samples": []}})
    target = {**release, "dataset": emptied(dataset, "samples")}
    put(tables, "datasets", row | {"extra": extra_of(canonical, target)})

    task = members(dataset.get("task_attributes"))
    names: Names = {}
    for category in objects(task.get("categories")):
        row = {"dataset": dataset.get("name")} | typed("categories", category)
        target = dropped(category, "attributes", "link_attributes")
        put(tables, "categories", row | {"extra": extra_of(canonical_of("categories", row), target)})
        names[row["category_id"]] = row["name"]
        put_specs(tables, category.get("attributes"), row["dataset"], "object", row["category_id"])
        put_specs(tables, category.get("link_attributes"), row["dataset"], "link", row["category_id"])
    put_specs(tables, task.get("image_attributes"), dataset.get("name"), "image", None)

    seen: set[str] = set()
    for sample_index, sample in enumerate(objects(dataset.get("samples"))):
        sample_id = wanted = sample_id_of(sample, place)
        count = 1
        while sample_id in seen:
            count += 1
            sample_id = f"{wanted}#{count}"
        seen.add(sample_id)
        key = {"sample_id": sample_id, "sample_index": sample_index, "dataset": dataset.get("name")}
        put_sample(tables, sample, key, names, unit, source)


def put_specs(tables: Tables, specs: Any, dataset: str | None, scope: str, category_id: int | None) -> None:
    for spec in objects(specs):
        row = {"dataset": dataset, "scope": scope, "category_id": category_id} | typed("attribute_specs", spec)
        put(tables, "attribute_specs", row | {"extra": extra_of(canonical_of("attribute_specs", row), spec)})


# Samples and labels: nothing, one frame, a sequence, or several sensors


def shape(attributes: Any, in_sensor: bool = False) -> str:
    """What attributes are: none, empty, sensors, frames or frame."""
    if attributes is None:
        return "none"
    if attributes == [] or not without_nulls(members(attributes)):
        return "empty"
    if attributes.get("sensors") is not None and not in_sensor:
        return "sensors"
    return "frame" if attributes.get("frames") is None else "frames"


def split(attributes: Any, is_label: bool) -> tuple[int | None, list[Object] | None, Frames]:
    """The columns `frame_count` and `sensors`, and the frames."""
    kind = shape(attributes)
    if kind == "frame":
        return None, None, [(0, None, 0, dropped_key(attributes, "links") if is_label else attributes)]
    if kind == "frames":
        frames = objects(attributes["frames"])
        return len(frames), None, [(0, None, index, frame) for index, frame in enumerate(frames)]
    if kind != "sensors":
        return None, None, []

    sensors, all_frames = [], []
    for sensor_index, sensor in enumerate(objects(attributes["sensors"])):
        inner: Any = sensor.get("attributes")
        kind = shape(inner, in_sensor=True)
        row = typed("sensor", sensor if kind in ("frame", "frames") else {**sensor, "attributes": None})
        row["frame_count"] = len(elements(inner["frames"])) if kind == "frames" else None
        beside: Object = {}
        target, inner_frames = dict(sensor), []
        if kind == "frames":
            inner_frames = objects(inner["frames"])
            beside, target["attributes"] = {"attributes": {"frames": []}}, emptied(inner, "frames")
        elif kind == "frame":
            # The rest of the attributes belongs to the row of the frame.
            inner_frames = [inner if is_label else dropped_key(inner, "format_version")]
            beside = {"attributes": {}}
            target["attributes"] = {
                "format_version": row["format_version"] if is_label else inner.get("format_version")
            }
        sensors.append(row | {"extra": extra_of(canonical_of("sensor", row, beside), target)})
        all_frames += [(sensor_index, row["name"], index, frame) for index, frame in enumerate(inner_frames)]
    return None, sensors or None, all_frames


def dropped_key(value: Object, name: str) -> Object:
    return {key: item for key, item in value.items() if key != name}


def put_sample(tables: Tables, sample: Object, key: Object, names: Names, unit: str, source: str) -> None:
    attributes: Any = sample.get("attributes")
    kind = shape(attributes)
    frame_count, sensors, frames = split(attributes, is_label=False)
    row = key | {"frame_count": frame_count, "sensors": sensors} | typed("samples", sample)
    beside: Object = {"uuid": row["sample_id"], "labels": {}}
    target = dict(sample)
    if kind == "frame":
        target["attributes"] = None
    elif kind in ("frames", "sensors"):
        beside["attributes"] = {} if kind == "sensors" and sensors is None else {kind: []}
        target["attributes"] = emptied(attributes, kind)
    if sample.get("labels") is not None:
        target["labels"] = {}
    put(tables, "samples", row | {"extra": extra_of(canonical_of("samples", row, beside), target)})

    for sensor_index, sensor, frame_index, frame in frames:
        where = {"sample_id": row["sample_id"], "sensor_index": sensor_index, "frame_index": frame_index}
        put_sample_frame(tables, frame, where, sensor, unit)
    for labelset, label in members(sample.get("labels")).items():
        where = {"sample_id": row["sample_id"], "labelset": labelset}
        put_label(tables, label, where, names, unit, source)


def put_sample_frame(tables: Tables, frame: Object, key: Object, sensor: str | None, unit: str) -> None:
    row = key | {"sensor": sensor} | typed("sample_frames", frame, unit)
    extra = extra_of(canonical_of("sample_frames", row), dropped(frame, "images"))
    put(tables, "sample_frames", row | {"extra": extra})
    for camera_index, camera in enumerate(objects(frame.get("images"))):
        row = key | {"camera_index": camera_index} | typed("cameras", camera)
        put(tables, "cameras", row | {"extra": extra_of(canonical_of("cameras", row), camera)})


def put_label(tables: Tables, label: Any, key: Object, names: Names, unit: str, source: str) -> None:
    given = members(label)
    attributes: Any = given.get("attributes")
    kind = shape(attributes)
    frame_count, sensors, frames = split(attributes, is_label=True)
    beside: Object = {}
    target = dict(given)
    links: list[Object] = []
    if kind in ("frame", "frames", "sensors"):
        row = typed("labels", given)
        links = objects(attributes.get("links"))
        beside["attributes"] = {} if kind == "frame" or (kind == "sensors" and sensors is None) else {kind: []}
        target["attributes"] = dropped(emptied(attributes, kind), "links")
    else:
        row = typed("labels", {**given, "attributes": None})
    if kind == "frame":
        # All but the links belongs to the row of the frame.
        target["attributes"] = {
            "format_version": row["format_version"],
            "links": target["attributes"].get("links"),
        }
    row |= key | {"source": source, "frame_count": frame_count, "sensors": sensors, "content_hash": None}
    extra = "null" if label is None else extra_of(canonical_of("labels", row, beside), target)
    put(tables, "labels", row | {"extra": extra})

    for sensor_index, sensor, frame_index, frame in frames:
        where = key | {"sensor_index": sensor_index, "sensor": sensor, "frame_index": frame_index}
        put_frame(tables, frame, where, names, unit)
    for link_index, link in enumerate(links):
        row = key | {"link_index": link_index} | typed("links", link)
        put(tables, "links", row | {"extra": extra_of(canonical_of("links", row), link)})


def put_frame(tables: Tables, frame: Object, key: Object, names: Names, unit: str) -> None:
    row = key | typed("frames", frame, unit)
    canonical = canonical_of("frames", row, {"annotations": []})
    put(tables, "frames", row | {"extra": extra_of(canonical, emptied(frame, "annotations"))})
    has_points = frame.get("point_annotations") is not None
    for annotation_index, annotation in enumerate(objects(frame.get("annotations"))):
        where = key | {"timestamp": row["timestamp"], "annotation_index": annotation_index}
        put_annotation(tables, annotation, where, names, (row["point_annotations"] or []) if has_points else None)


def put_annotation(tables: Tables, annotation: Object, key: Object, names: Names, ids: list[int] | None) -> None:
    kind = text(annotation.get("type"))
    if kind is None:
        table = "segments"
    elif kind in ("bbox", "polygon", "polyline", "point"):
        table = "vectors"
    elif kind in ("cuboid", "cuboid-sync"):
        table = "cuboids"
    else:
        raise UndecodableError(f"Expected a type of annotation, got {kind!r}")
    row = key | typed(table, annotation)
    own_id = row["track_id"] if row["id"] is None else row["id"]
    if own_id is None:
        raise UndecodableError("Expected an annotation with `id` or `track_id`")
    row["category"] = names.get(row["category_id"])
    row["extra"] = extra_of(canonical_of(table, row), annotation)
    if table == "segments":
        row |= dict.fromkeys(("area", "xmin", "ymin", "xmax", "ymax", "rle"))
        row["point_count"] = None if ids is None else sum(item == own_id for item in ids)
    put(tables, table, row)
