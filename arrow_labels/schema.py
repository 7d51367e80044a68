"""The fourteen tables: one ``pa.Schema`` each, and the only home of column names.

Storage types are those that every engine reads: signed integers, float64, bool, string,
timestamp[us, UTC], and list and struct of those. Every field is nullable; a key column never is null in the data.
Coordinates, angles and quaternions are as in the document: pixels with the origin at the upper left, or world
metres; radians; xyzw. JSON columns are strings of compact JSON.

`SCHEMAS` gives the schemas, `DESCRIPTIONS` what each column means, `KEYS` which columns name a row.
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa

SCHEMA_VERSION: Final = 2
METADATA: Final = {b"arrow_labels": str(SCHEMA_VERSION).encode()}

_text, _i32, _i64, _f64, _flag = pa.string(), pa.int32(), pa.int64(), pa.float64(), pa.bool_()
_time = pa.timestamp("us", "UTC")

SENSOR: Final = pa.struct(
    [("name", _text), ("task_type", _text), ("format_version", _text), ("frame_count", _i32), ("extra", _text)]
)
POINT: Final = pa.struct([("x", _f64), ("y", _f64), ("z", _f64)])
RLE: Final = pa.struct([("height", _i32), ("width", _i32), ("counts", pa.list_(_i32))])

_Column = tuple[str, pa.DataType, str]

_SAMPLE_ID: _Column = ("sample_id", _text, "Key. The sample's uuid, else its name, else the document's place.")
_LABELSET: _Column = ("labelset", _text, "Key. Labelset of the label; `ground-truth` where nothing says.")
_SENSOR_INDEX: _Column = ("sensor_index", _i32, "Key. Place of the sensor in the label; 0 for one sensor.")
_SENSOR: _Column = ("sensor", _text, "Name of the sensor; null for one sensor.")
_FRAME_INDEX: _Column = ("frame_index", _i32, "Key. Place of the frame in the sequence; 0 for one frame.")
_TIMESTAMP: _Column = ("timestamp", _i64, "Time of the frame in nanoseconds; null where the document has none.")
_EXTRA: _Column = (
    "extra",
    _text,
    "JSON merge patch (RFC 7396): whatever the typed columns cannot give back exactly; null where there is nothing.",
)
_DATASET: _Column = ("dataset", _text, "Name of the dataset.")
_FRAME_COUNT: _Column = ("frame_count", _i32, "Number of frames; null: not a sequence.")
_SENSORS: _Column = ("sensors", pa.list_(SENSOR), "The sensors in order; null: one sensor.")
_CREATED_AT: _Column = ("created_at", _time, "When it was made.")
_CREATED_BY: _Column = ("created_by", _text, "Who made it.")

_LABEL_KEY = [_SAMPLE_ID, _LABELSET]
_FRAME_KEY = [_SENSOR_INDEX, _SENSOR, _FRAME_INDEX]

_ANNOTATION: list[_Column] = [
    *_LABEL_KEY,
    *_FRAME_KEY,
    _TIMESTAMP,
    ("annotation_index", _i32, "Key. Place in the frame's array of annotations, counted over all kinds."),
    ("id", _i64, "The annotation's `id` as in the document; what a bitmap or point id refers to."),
    ("track_id", _i64, "One object over all frames, as in the document; a track is `track_id`, else `id`."),
    ("category_id", _i64, "Category of the annotation; 0 is a valid category."),
    ("category", _text, "Name of the category in the release; null where it defines none."),
    ("type", _text, "`bbox`, `polygon`, `polyline`, `point`, `cuboid`, `cuboid-sync`; null for a segment."),
    ("is_keyframe", _flag, "True: a person set this frame; false: interpolated; null: not said."),
    ("index", _i32, "The frame index again, where the document repeats it."),
    ("attributes", _text, "JSON object: values of the object-level attributes."),
    _EXTRA,
]


def _quaternion(prefix: str, what: str) -> list[_Column]:
    return [
        (f"{prefix}q{axis}", _f64, f"{axis} of the rotation quaternion (xyzw, w last) of {what}.") for axis in "xyzw"
    ]


_COLUMNS: dict[str, list[_Column]] = {
    "datasets": [
        ("source", _text, "The document that the release came from."),
        ("name", _text, "Name of the release."),
        ("description", _text, "Description of the release."),
        _CREATED_AT,
        _DATASET,
        ("task_type", _text, "Task type of the dataset."),
        ("task_attributes", _text, "JSON object: categories and attribute definitions, whole."),
        ("labelsets", _text, "JSON array: the labelsets of the dataset."),
        _EXTRA,
    ],
    "categories": [
        _DATASET,
        ("category_id", _i64, "Id of the category; 0 is valid."),
        ("name", _text, "Name of the category."),
        ("color", pa.list_(_f64), "Red, green, blue and perhaps alpha, 0 to 255."),
        ("has_instances", _flag, "Whether annotations of the category are separate objects."),
        _EXTRA,
    ],
    "attribute_specs": [
        _DATASET,
        ("scope", _text, "What the attribute belongs to: `object`, `image` or `link`."),
        ("category_id", _i64, "Category that the definition stands in; null for scope `image`."),
        ("name", _text, "Name of the attribute."),
        (
            "input_type",
            _text,
            "`select`, `multiselect`, `text`, `number`, `checkbox`, `vector3`, `quaternion` or `points`.",
        ),
        ("values", pa.list_(_text), "Values to choose from."),
        ("default_value", _text, "JSON: the default value."),
        ("min", _f64, "Smallest value of a number."),
        ("max", _f64, "Largest value of a number."),
        ("step", _f64, "Step of a number."),
        ("is_mandatory", _flag, "Whether a value must be given."),
        ("is_track_level", _flag, "Whether one value holds for the whole track."),
        _EXTRA,
    ],
    "samples": [
        _SAMPLE_ID,
        ("sample_index", _i64, "Place of the sample in the release."),
        ("name", _text, "Name of the sample."),
        _DATASET,
        _FRAME_COUNT,
        _SENSORS,
        ("metadata", _text, "JSON object: the sample's metadata."),
        _CREATED_AT,
        _CREATED_BY,
        ("priority", _f64, "Priority in the labelling queue."),
        ("readme", _text, "Readme of the sample."),
        _EXTRA,
    ],
    "sample_frames": [
        _SAMPLE_ID,
        *_FRAME_KEY,
        ("name", _text, "Name of the frame."),
        _TIMESTAMP,
        ("image_url", _text, "URL of the image."),
        ("pcd_url", _text, "URL of the point cloud."),
        ("pcd_type", _text, "File format of the point cloud."),
        *[(f"ego_{axis}", _f64, f"{axis} of the ego pose's position in world coordinates, metres.") for axis in "xyz"],
        *_quaternion("ego_", "the ego pose's heading in world coordinates"),
        ("default_z", _f64, "Height of the ground plane in world coordinates, metres."),
        _EXTRA,
    ],
    "cameras": [
        _SAMPLE_ID,
        _SENSOR_INDEX,
        _FRAME_INDEX,
        ("camera_index", _i32, "Key. Place of the camera image in the frame's array of images."),
        ("name", _text, "Name of the camera."),
        ("url", _text, "URL of the camera image."),
        ("row", _i32, "Row in which the image is shown."),
        ("col", _i32, "Column in which the image is shown."),
        ("intrinsics", pa.list_(_f64), "The nine numbers of the 3 x 3 intrinsic matrix, row-major, pixels."),
        *[(f"t{axis}", _f64, f"{axis} of the camera's position relative to the ego pose, metres.") for axis in "xyz"],
        *_quaternion("", "the camera relative to the ego pose"),
        ("distortion_model", _text, "`fisheye` or `brown-conrady`."),
        ("distortion", _text, "JSON object: the coefficients of the distortion model."),
        ("camera_convention", _text, "Axes of the camera: `OpenGL` or `OpenCV`."),
        ("rotation", _f64, "Rotation of the image when shown, as in the document."),
        _EXTRA,
    ],
    "labels": [
        *_LABEL_KEY,
        ("source", _text, "The document that the label came from."),
        ("label_type", _text, "Task type that the label states."),
        ("label_status", _text, "Status in the labelling workflow, such as `LABELED` or `REVIEWED`."),
        ("format_version", _text, "Version of the label format that the label states."),
        _FRAME_COUNT,
        _SENSORS,
        ("score", _f64, "Score of the label."),
        ("rating", _f64, "Rating of the label."),
        _CREATED_AT,
        _CREATED_BY,
        ("updated_at", _time, "When it was last changed."),
        ("updated_by", _text, "Who changed it last."),
        ("reviewed_at", _time, "When it was reviewed."),
        ("reviewed_by", _text, "Who reviewed it."),
        (
            "content_hash",
            _text,
            "Hash of the label's JSON, after a dash that of its sample's; null where none was asked for.",
        ),
        _EXTRA,
    ],
    "frames": [
        *_LABEL_KEY,
        *_FRAME_KEY,
        _TIMESTAMP,
        ("format_version", _text, "Version of the label format that the frame states."),
        ("image_attributes", _text, "JSON object: values of the frame's attributes."),
        ("bitmap_url", _text, "URL of the id bitmap; null for a frame without one."),
        ("point_annotations", pa.list_(_i32), "Id of each point, in the order of the point cloud; 0 is unlabelled."),
        _EXTRA,
    ],
    "segments": [
        *_ANNOTATION,
        ("area", _i64, "Pixels of the mask."),
        ("xmin", _i32, "Left edge of the mask's box, pixels: xmin <= column < xmax."),
        ("ymin", _i32, "Upper edge of the mask's box, pixels: ymin <= row < ymax."),
        ("xmax", _i32, "Right edge of the mask's box, exclusive, pixels."),
        ("ymax", _i32, "Lower edge of the mask's box, exclusive, pixels."),
        ("rle", RLE, "Mask as COCO run lengths: column-major, the first run counts zeros."),
        ("point_count", _i64, "Points that carry the segment's id; null where the frame has no point ids."),
    ],
    "vectors": [
        *_ANNOTATION,
        ("points", pa.list_(POINT), "Vertices in order: pixels (z null) or world metres; a bbox has two corners."),
    ],
    "cuboids": [
        *_ANNOTATION,
        ("x", _f64, "x of the centre in world coordinates, metres."),
        ("y", _f64, "y of the centre in world coordinates, metres."),
        ("z", _f64, "z of the centre in world coordinates, metres."),
        ("length", _f64, "Extent along the heading, metres."),
        ("width", _f64, "Extent across the heading, metres."),
        ("height", _f64, "Extent upwards, metres."),
        ("yaw", _f64, "Heading about z, radians in [-pi, pi], 0 along +x, counter-clockwise positive."),
        *_quaternion("", "the cuboid in world coordinates"),
        ("velocity_absolute", _f64, "Speed in world coordinates, metres per second."),
        ("velocity_relative", _f64, "Speed relative to the ego, metres per second."),
        ("acceleration_absolute", _f64, "Acceleration in world coordinates, metres per second squared."),
        ("acceleration_relative", _f64, "Acceleration relative to the ego, metres per second squared."),
    ],
    "links": [
        *_LABEL_KEY,
        ("link_index", _i32, "Key. Place in the label's array of links."),
        ("from_id", _i64, "Track that the link starts at."),
        ("to_id", _i64, "Track that the link ends at."),
        ("attributes", _text, "JSON object: values that hold for the whole sequence."),
        ("frames", _text, "JSON array: values of each frame."),
        _EXTRA,
    ],
    "rejects": [
        ("source", _text, "The document that could not be decoded, whole or in part; or the URL of a bitmap."),
        ("sample_id", _text, "The sample it belongs to."),
        ("labelset", _text, "The labelset it belongs to."),
        ("path", _text, "JSON path of the value; within a label it starts at the label's `attributes`."),
        ("error", _text, "What was expected and what was found."),
    ],
    "findings": [
        ("rule", _text, "Name of the rule that the label breaks, such as `no-pixels` and `unlisted-pixels`."),
        ("severity", _text, "`error` or `warning`."),
        *_LABEL_KEY,
        _SENSOR_INDEX,
        _FRAME_INDEX,
        ("annotation_index", _i32, "Annotation that it is about; null for a whole frame or label."),
        ("track_id", _i64, "Track that it is about."),
        ("message", _text, "What was expected and what was found."),
        ("value", _text, "JSON: the value that was found."),
    ],
}

SCHEMAS: Final[dict[str, pa.Schema]] = {
    table: pa.schema([pa.field(name, type_) for name, type_, _ in columns], metadata=METADATA)
    for table, columns in _COLUMNS.items()
}
"""The schema of each table."""

DESCRIPTIONS: Final[dict[str, dict[str, str]]] = {
    table: {name: text for name, _, text in columns} for table, columns in _COLUMNS.items()
}
"""What each column of each table means."""

ROWS: Final[dict[str, str]] = {
    "datasets": "a release",
    "categories": "a category",
    "attribute_specs": "a definition of an attribute",
    "samples": "a sample",
    "sample_frames": "a frame of a sample's sensor",
    "cameras": "a camera image of a point cloud frame",
    "labels": "a label: a sample and a labelset",
    "frames": "a frame of a label",
    "segments": "an annotation without geometry",
    "vectors": "a bounding box, polygon, polyline or point",
    "cuboids": "a cuboid",
    "links": "a link between two tracks",
    "rejects": "a document or record that could not be decoded",
    "findings": "something wrong in a label that was decoded",
}
"""What one row of each table is."""

LABEL_KEY: Final = ("sample_id", "labelset")
FRAME_KEY: Final = (*LABEL_KEY, "sensor_index", "frame_index")
KEYS: Final[dict[str, tuple[str, ...]]] = {
    "samples": ("sample_id",),
    "sample_frames": ("sample_id", "sensor_index", "frame_index"),
    "cameras": ("sample_id", "sensor_index", "frame_index", "camera_index"),
    "labels": LABEL_KEY,
    "frames": FRAME_KEY,
    "segments": (*FRAME_KEY, "annotation_index"),
    "vectors": (*FRAME_KEY, "annotation_index"),
    "cuboids": (*FRAME_KEY, "annotation_index"),
    "links": (*LABEL_KEY, "link_index"),
}
"""The columns that name a row, for the tables that have a key."""

_OF_LABEL: Final = ("labels", "frames", "segments", "vectors", "cuboids", "links", "findings")
_OF_SAMPLE: Final = ("samples", "sample_frames", "cameras")
OWNERS: Final[dict[str, tuple[str, ...]]] = {
    **dict.fromkeys(("datasets", "categories", "attribute_specs"), ("dataset",)),
    **dict.fromkeys(_OF_SAMPLE, ("sample_id",)),
    **dict.fromkeys(_OF_LABEL, LABEL_KEY),
    "rejects": (),
}
"""The columns that name the label, sample or dataset that a row belongs to, and with which it is replaced.

Rows of `rejects` belong to the run that made them.
"""

ANNOTATION_TABLES: Final = ("segments", "vectors", "cuboids")
ANNOTATION_COLUMNS: Final = tuple(name for name, _, _ in _ANNOTATION)
GROUND_TRUTH: Final = "ground-truth"
CUBOID_COLUMNS: Final = ("x", "y", "z", "length", "width", "height", "yaw", "qx", "qy", "qz", "qw")
JSON_COLUMNS: Final = (
    "attributes",
    "default_value",
    "distortion",
    "extra",
    "frames",
    "image_attributes",
    "labelsets",
    "metadata",
    "task_attributes",
    "value",
)
"""The columns of JSON text; a name means the same in every table."""
