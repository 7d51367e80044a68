"""The label format on the wire: one msgspec Struct an object, and module-level decoders.

Knows JSON, not Arrow. The Structs refuse unknown keys, so that what they accept they hold whole; a document that they
refuse goes through `arrow_labels.decode.careful`. JSON that is only passed on stays `msgspec.Raw`; the empty `ABSENT`
stands for a member that is not there. Encoding leaves out members that are absent or null.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, cast

import msgspec
from msgspec import Meta, Raw, Struct

from arrow_labels.annotation import ABSENT, Annotation, Group, Int32, Int64, Points, Quaternion, Vector3, Wire, gather

Timestamp = str | int | float
FormatVersion = str | int | float
Nothing = tuple[()]
"""The `[]` that real files hold where attributes are missing."""

PointIds = list[Int32]
Matrix = tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]]
RawPointIds = Annotated[Raw, Meta(extra={"holds": PointIds})]

TASK_TYPES: Final = (
    "segmentation-bitmap",
    "segmentation-bitmap-highres",
    "vector",
    "bboxes",
    "keypoints",
    "image-segmentation-sequence",
    "image-vector-sequence",
    "pointcloud-segmentation",
    "pointcloud-cuboid",
    "pointcloud-vector",
    "pointcloud-segmentation-sequence",
    "pointcloud-cuboid-sequence",
    "pointcloud-vector-sequence",
    "multisensor-sequence",
)


class Url(Wire):
    """`{url}`: a bitmap or an image."""

    url: str | None = None


class Frame(Wire):
    """One frame of a label."""

    annotations: list[Annotation] | None = None
    timestamp: Timestamp | None = None
    format_version: FormatVersion | None = None
    image_attributes: Raw = ABSENT
    segmentation_bitmap: Url | None = None
    point_annotations: RawPointIds = ABSENT

    def __post_init__(self) -> None:
        if self.annotations:
            self.annotations = cast(Any, gather(self.annotations))

    @property
    def groups(self) -> list[Group]:
        """The annotations, as `gather` made them."""
        return cast(list[Group], self.annotations or [])


class Link(Wire):
    """A relation between two tracks."""

    from_id: Int64 | None = None
    to_id: Int64 | None = None
    attributes: Raw = ABSENT
    frames: Raw = ABSENT


class SensorAttributes(Frame):
    """What a label says for one sensor: a frame, or `frames`."""

    frames: list[Frame] | None = None


class Sensor(Wire):
    """One sensor of a multi-sensor label."""

    name: str | None = None
    task_type: str | None = None
    attributes: SensorAttributes | Nothing | None = None


class Attributes(SensorAttributes):
    """The label proper: a frame, `frames` or `sensors`."""

    sensors: list[Sensor] | None = None
    links: list[Link] | None = None


class Label(Wire):
    """A label with what is known about it."""

    sample_uuid: str | None = None
    label_type: str | None = None
    label_status: str | None = None
    labelset: str | None = None
    attributes: Attributes | Nothing | None = None
    created_at: str | None = None
    created_by: str | None = None
    updated_at: str | None = None
    updated_by: str | None = None
    score: float | None = None
    rating: float | None = None
    reviewed_at: str | None = None
    reviewed_by: str | None = None


class Pcd(Wire):
    """A point cloud file."""

    url: str | None = None
    type: str | None = None


class EgoPose(Wire):
    """Position and heading of the ego vehicle in world coordinates."""

    position: Vector3 | None = None
    heading: Quaternion | None = None


class Intrinsics(Wire):
    """`{intrinsic_matrix}`."""

    intrinsic_matrix: Raw = ABSENT


class Extrinsics(Wire):
    """Pose of a camera relative to the ego pose."""

    translation: Vector3 | None = None
    rotation: Quaternion | None = None


class Distortion(Wire):
    """Distortion model of a camera and its coefficients."""

    model: str | None = None
    coefficients: Raw = ABSENT


class Camera(Wire):
    """A camera image that goes with a point cloud."""

    url: str | None = None
    name: str | None = None
    row: Int32 | None = None
    col: Int32 | None = None
    intrinsics: Intrinsics | None = None
    extrinsics: Extrinsics | None = None
    distortion: Distortion | None = None
    camera_convention: str | None = None
    rotation: float | None = None


class SampleFrame(Wire):
    """One frame of a sample."""

    image: Url | None = None
    name: str | None = None
    timestamp: Timestamp | None = None
    pcd: Pcd | None = None
    images: list[Camera] | None = None
    ego_pose: EgoPose | None = None
    default_z: float | None = None


class SampleSensorAttributes(SampleFrame):
    """What a sample has for one sensor: a frame, or `frames`."""

    frames: list[SampleFrame] | None = None
    format_version: FormatVersion | None = None


class SampleSensor(Wire):
    """One sensor of a multi-sensor sample."""

    name: str | None = None
    task_type: str | None = None
    attributes: SampleSensorAttributes | Nothing | None = None


class SampleAttributes(SampleSensorAttributes):
    """The data of a sample: a frame, `frames` or `sensors`."""

    sensors: list[SampleSensor] | None = None


class Sample(Wire):
    """A sample with its labels."""

    uuid: str | None = None
    name: str | None = None
    attributes: SampleAttributes | Nothing | None = None
    metadata: Raw = ABSENT
    created_at: str | None = None
    created_by: str | None = None
    priority: float | None = None
    readme: str | None = None
    labels: dict[str, Label | None] | None = None


class SampleName(Struct, gc=False):
    """What names a sample, and its labels not decoded."""

    uuid: Raw = ABSENT
    name: Raw = ABSENT
    labels: dict[str, Raw] | None = None


class LabelName(Struct, gc=False):
    """What names a label, and when it was changed last."""

    sample_uuid: str | None = None
    labelset: str | None = None
    updated_at: str | None = None


class LabelHead(Struct, gc=False):
    """A label of which no more is decoded than its status."""

    label_status: str | None = None


class Dataset(Wire):
    """The dataset of a release; its samples are split but not decoded."""

    name: str | None = None
    task_type: str | None = None
    task_attributes: Raw = ABSENT
    labelsets: Raw = ABSENT
    samples: list[Raw] | None = None


class Release(Wire):
    """A release file."""

    name: str | None = None
    description: str | None = None
    created_at: str | None = None
    dataset: Dataset | None = None


class Specification(Wire):
    """A definition of an attribute."""

    name: str | None = None
    input_type: str | None = None
    values: list[Any] | None = None
    default_value: Raw = ABSENT
    min: Any = None
    max: Any = None
    step: Any = None
    is_mandatory: bool | None = None
    is_track_level: bool | None = None


class Category(Wire):
    """A category of a dataset."""

    id: Int64
    name: str | None = None
    color: list[float] | None = None
    has_instances: bool | None = None


encode_json = msgspec.json.Encoder().encode
decode_json = msgspec.json.decode
decode_raws = msgspec.json.Decoder(list[Raw]).decode
decode_members = msgspec.json.Decoder(dict[str, Raw]).decode
decode_release = msgspec.json.Decoder(Release).decode
decode_dataset = msgspec.json.Decoder(Dataset).decode
decode_sample = msgspec.json.Decoder(Sample).decode
decode_sample_labels = msgspec.json.Decoder(dict[str, Raw] | None).decode
decode_sample_name = msgspec.json.Decoder(SampleName).decode
decode_label_name = msgspec.json.Decoder(LabelName | None).decode
decode_sample_attributes = msgspec.json.Decoder(SampleAttributes | Nothing | None).decode
decode_label = msgspec.json.Decoder(Label | None).decode
decode_label_head = msgspec.json.Decoder(LabelHead | None).decode
decode_attributes = msgspec.json.Decoder(Attributes | Nothing | None).decode
decode_category = msgspec.json.Decoder(Category).decode
decode_specification = msgspec.json.Decoder(Specification).decode
decode_matrix = msgspec.json.Decoder(Matrix).decode
decode_annotation = msgspec.json.Decoder(Annotation).decode
decode_points = msgspec.json.Decoder(Points).decode
decode_point_ids = msgspec.json.Decoder(PointIds).decode


def json_text(value: object) -> str:
    """Compact JSON of plain values, Structs and Raw."""
    return encode_json(value).decode()
