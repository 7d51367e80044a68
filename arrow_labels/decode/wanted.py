"""What is asked of documents, and decoders that pass over the rest.

A member that no wanted column needs is not in the Structs here, so that its text is skipped: no object is made of it,
and nothing in it is proved. The columns that are wanted hold what they hold when everything is decoded.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache
from types import GenericAlias
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Raw, Struct, defstruct, structs

from arrow_labels.annotation import Annotation
from arrow_labels.schema import ANNOTATION_TABLES, SCHEMAS
from arrow_labels.wire import (
    Attributes,
    Frame,
    Label,
    Nothing,
    Release,
    Sample,
    SampleAttributes,
    SampleFrame,
    SampleSensor,
    SampleSensorAttributes,
    Sensor,
    SensorAttributes,
    decode_release,
)

Keep = Callable[[Sequence[Any]], Sequence[bool]]
"""Which of some values of a key column may have rows that are wanted."""

COLUMNS: Final[dict[str, list[str]]] = {table: schema.names for table, schema in SCHEMAS.items()}
"""All columns of each table."""

FRAME_COLUMNS: Final = ("sample_id", "labelset", "sensor_index", "sensor", "frame_index", "timestamp")
"""The columns of an annotation that are those of its frame."""

GEOMETRY: Final[dict[str, tuple[str, ...]]] = {
    "position": ("x", "y", "z"),
    "dimensions": ("length", "width", "height"),
    "yaw": ("yaw",),
    "rotation": ("qx", "qy", "qz", "qw"),
    "velocity": ("velocity_absolute", "velocity_relative"),
    "acceleration": ("acceleration_absolute", "acceleration_relative"),
}
"""The columns of a cuboid that each member is made into."""

_ALL_MEMBERS: Final = frozenset(Annotation.__struct_fields__)
_MEMBERS: Final[dict[str, tuple[str, ...]]] = {
    **{name: (name,) for name in ("id", "track_id", "category_id", "is_keyframe", "index", "attributes", "points")},
    "category": ("category_id",),
    "point_count": ("id", "track_id"),
    **{column: (member,) for member, columns in GEOMETRY.items() for column in columns},
}
"""The members of an annotation that a column is made of."""


class Decoders(NamedTuple):
    """Decoders of what is wanted: they give Structs of `arrow_labels.wire`, or such with fewer members.

    Labels of a sample, and frames, are left `msgspec.Raw` where not all of them are wanted.
    """

    sample: Callable[[Any], Sample]
    label: Callable[[Any], Label | None]
    attributes: Callable[[Any], Attributes | Nothing | None]
    frame: Callable[[Any], Frame]
    release: Callable[[Any], Release] = decode_release


@dataclass(frozen=True)
class Wanted:
    """The columns of each table that are wanted, and which values of key columns.

    `extra` depends on all other columns, so with it a table is built whole. With the table `rejects` everything is
    decoded.
    """

    columns: Mapping[str, Collection[str]]
    keep: Mapping[str, Keep] = field(default_factory=dict)

    @cached_property
    def built(self) -> dict[str, list[str]]:
        """The columns of each wanted table to build, in their order."""
        return {
            table: [name for name in COLUMNS[table] if name in names or "extra" in names]
            for table, names in self.columns.items()
        }

    def only(self, column: str, values: Collection[Any]) -> Wanted:
        """The same, of rows that have one of some values in a key column."""
        allowed, before = frozenset(values), self.keep.get(column)

        def keep(found: Sequence[Any]) -> Sequence[bool]:
            rest = [True] * len(found) if before is None else before(found)
            return [value in allowed and wanted for value, wanted in zip(found, rest, strict=True)]

        return Wanted(self.columns, {**self.keep, column: keep})

    def any_of(self, *tables: str) -> bool:
        """Whether one of these tables is wanted, or everything is to be decoded."""
        return not self.columns.keys().isdisjoint((*tables, "rejects"))

    def kept(self, column: str, values: Sequence[Any]) -> Sequence[bool]:
        """Which of some values of a key column may have rows that are wanted."""
        keep = self.keep.get(column)
        return [True] * len(values) if keep is None else keep(values)

    @cached_property
    def by_key(self) -> bool:
        """Whether only some samples or labels are wanted."""
        return not self.keep.keys().isdisjoint(("sample_id", "labelset", "label_status"))

    @cached_property
    def frames(self) -> bool:
        """Whether frames of labels are wanted, or what is in them."""
        return self.any_of("frames", *ANNOTATION_TABLES)

    @cached_property
    def labels(self) -> bool:
        """Whether labels are wanted, or what is in them."""
        return self.frames or self.any_of("labels", "links")

    @cached_property
    def cameras(self) -> bool:
        """Whether cameras of samples are wanted."""
        return self.any_of("cameras")

    @cached_property
    def sample_frames(self) -> bool:
        """Whether frames of samples are wanted, or their cameras."""
        return self.cameras or self.any_of("sample_frames")

    @cached_property
    def samples(self) -> bool:
        """Whether samples are wanted, or what is in them besides labels."""
        return self.sample_frames or self.any_of("samples")

    @cached_property
    def decoders(self) -> Decoders:
        """The decoders of what is wanted."""
        everything = self.any_of()
        of_annotations = [self.built[table] for table in ANNOTATION_TABLES if table in self.built]
        members = frozenset[str]()
        if everything or any("extra" in names for names in of_annotations):
            members = _ALL_MEMBERS
        elif of_annotations:
            members = frozenset(["type", *(m for names in of_annotations for n in names for m in _MEMBERS.get(n, ()))])
        of_samples = {name for table in ("samples", "sample_frames", "cameras") for name in self.built.get(table, ())}
        attributes: Any = Raw
        if everything or not of_samples.isdisjoint(("extra", "sensors")):  # each sensor has its `extra`
            attributes = _optional(SampleAttributes | Nothing)
        elif self.samples:
            attributes = _sample_attributes(self.sample_frames, self.cameras)
        return _decoders(
            members,
            attributes,
            strict=everything or "extra" in self.built.get("frames", ()),
            frames=self.frames and self.keep.keys().isdisjoint(("sensor_index", "sensor", "frame_index")),
            labels=self.labels and self.keep.keys().isdisjoint(("labelset", "label_status")),
        )


@lru_cache(maxsize=64)
def _decoders(members: frozenset[str], sample_attributes: Any, *, strict: bool, frames: bool, labels: bool) -> Decoders:
    """Decoders of annotations with some members, or left out where they have none.

    `strict`: frames may have no unknown members. `frames`, `labels`: they are decoded with what holds them.
    """
    annotation = Raw if not members else Annotation if members == _ALL_MEMBERS else _annotation(members)
    annotations = _list(annotation)
    namespace: dict[str, Any] = {} if members else {"__post_init__": _leave_out_annotations}
    frame = _subclass(Frame, namespace, strict, annotations=annotations)
    inside = {"annotations": annotations, "frames": _list(frame if frames else Raw)}
    of_sensor = _subclass(SensorAttributes, namespace, **inside)
    sensor = _subclass(Sensor, attributes=of_sensor | Nothing)
    attributes = _subclass(Attributes, namespace, **inside, sensors=_list(sensor))
    label = _subclass(Label, attributes=attributes | Nothing)
    in_sample = _optional(label) if labels else Raw
    sample = _subclass(Sample, attributes=sample_attributes, labels=GenericAlias(dict, (str, in_sample)))
    types = (sample, _optional(label), _optional(attributes | Nothing), frame)
    return Decoders(*(msgspec.json.Decoder(type_).decode for type_ in types))


@cache
def _sample_attributes(frames: bool, cameras: bool) -> Any:
    """The type of sample attributes whose frames, or whose cameras, are left `msgspec.Raw`."""
    images = {} if cameras else {"images": _list(Raw)}
    frame = _subclass(SampleFrame, strict=False, **images)
    inside = {**images, "frames": _list(frame if frames else Raw)}
    of_sensor = _subclass(SampleSensorAttributes, **inside)
    sensor = _subclass(SampleSensor, attributes=of_sensor | Nothing)
    return _optional(_subclass(SampleAttributes, **inside, sensors=_list(sensor)) | Nothing)


def _annotation(members: Collection[str]) -> type[Struct]:
    """A Struct with some members of an annotation, which leaves out all others."""
    fields = [field for field in structs.fields(Annotation) if field.name in members]
    return defstruct(
        "Annotation",
        [(field.name, field.type) if field.required else (field.name, field.type, field.default) for field in fields],
        gc=False,
    )


def _subclass(base: type[Struct], namespace: dict[str, Any] | None = None, strict: bool = True, **members: Any) -> Any:
    """A Struct whose members have other types, and may be null."""
    fields = [(name, _optional(type_), None) for name, type_ in members.items()]
    return defstruct(base.__name__, fields, bases=(base,), namespace=namespace, forbid_unknown_fields=strict)


def _list(of: Any) -> Any:
    return GenericAlias(list, (of,))


def _optional(type_: Any) -> Any:
    return type_ if type_ is Raw else type_ | None


def _leave_out_annotations(frame: Frame) -> None:
    if frame.annotations is not None:
        frame.annotations = []
