"""An annotation on the wire, and the columns of many.

A Python object for each number is what decoding costs most, and reading those objects when they have left the
processor's caches costs twice. So a frame turns its annotations into columns as soon as it is decoded (see
`arrow_labels.wire.Frame`), and the objects are gone before the next frame comes.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, NamedTuple, cast

import msgspec
import numpy as np
from msgspec import Meta, Raw, Struct
from msgspec.structs import astuple

ABSENT: Final = Raw(b"")
_PIECE: Final = 1 << 16
"""Annotations of one frame that are gathered at once."""
_COMPACT_POINT: Final = re.compile(rb"\[\[\[[0-9.eE+-]+,[0-9.eE+-]+\]")
_NUMBER_CHARACTERS: Final = b"0123456789.eE+- \t\r\n"

Int32 = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
# Numbers that a native parser turns into a buffer later: Raw here, and these types say what must be in them.
Points = list[Annotated[list[float], Meta(min_length=2, max_length=3)]]
RawPoints = Annotated[Raw, Meta(extra={"holds": Points})]

VECTOR_TYPES: Final = frozenset({"bbox", "polygon", "polyline", "point"})
CUBOID_TYPES: Final = frozenset({"cuboid", "cuboid-sync"})
KINDS: Final[dict[str | None, int]] = {None: 0, **dict.fromkeys(VECTOR_TYPES, 1), **dict.fromkeys(CUBOID_TYPES, 2)}
"""Place of the table in `schema.ANNOTATION_TABLES` for each `type`."""


class Wire(Struct, gc=False, forbid_unknown_fields=True, omit_defaults=True):
    """An object of the label format; `gc=False` because no object can be part of a cycle."""


class Vector3(Wire):
    """`{x, y, z}`."""

    x: float | None = None
    y: float | None = None
    z: float | None = None


class Quaternion(Wire):
    """`{qx, qy, qz, qw}`, w last."""

    qx: float | None = None
    qy: float | None = None
    qz: float | None = None
    qw: float | None = None


class Motion(Wire):
    """`{absolute, relative}`: a velocity or an acceleration."""

    absolute: float | None = None
    relative: float | None = None


class Annotation(Wire):
    """Any annotation; `type` says which kind."""

    category_id: Int64
    id: Int64 | None = None
    track_id: Int64 | None = None
    type: Literal["bbox", "polygon", "polyline", "point", "cuboid", "cuboid-sync"] | None = None
    points: RawPoints = ABSENT
    position: Vector3 | None = None
    dimensions: Vector3 | None = None
    yaw: float | None = None
    rotation: Quaternion | None = None
    attributes: Raw = ABSENT
    is_keyframe: bool | None = None
    index: Int32 | None = None
    velocity: Motion | None = None
    acceleration: Motion | None = None


NESTED: Final[dict[str, tuple[str, ...]]] = {
    "position": Vector3.__struct_fields__,
    "dimensions": Vector3.__struct_fields__,
    "rotation": Quaternion.__struct_fields__,
    "velocity": Motion.__struct_fields__,
    "acceleration": Motion.__struct_fields__,
}
"""The members of an annotation that are objects of numbers, and the names of those."""


def _record(names: tuple[str, ...]) -> np.dtype[Any]:
    """How an object of numbers is laid out as MessagePack: a byte, then for each member its short name and a number.

    See the specification of the format, https://github.com/msgpack/msgpack/blob/master/spec.md.
    """
    ends = np.cumsum([1 + len(name) + 9 for name in names]) + 1
    layout: Any = {"names": names, "formats": [">f8"] * len(names), "offsets": ends - 8, "itemsize": int(ends[-1])}
    record: np.dtype[Any] = np.dtype(layout)
    return record


RECORDS: Final[dict[str, np.dtype[Any]]] = {
    **{name: _record(names) for name, names in NESTED.items()},
    "yaw": np.dtype({"names": ["yaw"], "formats": [">f8"], "offsets": [1], "itemsize": 9}),
}
"""The layout of the members that are packed as MessagePack."""

ITEMS: Final[dict[str, np.dtype[Any]]] = {
    **dict.fromkeys(("id", "track_id", "category_id", "index"), np.dtype(np.int64)),
    "is_keyframe": np.dtype(np.bool_),
}
"""The members that are packed as items of one type."""
_CODES: Final = {8: "q", 1: "b"}
"""What `struct` calls integers of so many bytes."""

_pack = msgspec.msgpack.Encoder().encode


class PointsText(NamedTuple):
    """The lists of points of some annotations as one array; its brackets and commas alone; the length of each list.

    `shape` is left empty where the first point is two numbers without spaces: then there is a faster proof (see
    `arrow_labels.decode.shapes.planar_counts`), which is tried first.
    """

    text: bytes
    shape: bytes
    lengths: list[int]


class Group(NamedTuple):
    """The annotations of one kind in a list: where they stand in it (None: they are all of it), and their members.

    A member is a tuple of values, and left out where no annotation has one: many frames have few annotations.
    `attributes` is the joined text and the length of each, `points` is `PointsText`, or None where no annotation has
    them. Where every annotation has all the numbers of a member of `RECORDS`, it is packed as MessagePack: records of
    one size, out of which NumPy takes numbers five times as fast as out of an object each. Where every annotation has a
    member of `ITEMS`, its values are bytes too, and `type` is one text where it is the same in all: what is kept has
    few objects, each of which garbage collection would look at.
    """

    kind: int
    rows: Sequence[int] | None
    length: int
    members: dict[str, Any]

    def member(self, name: str) -> Any:
        """A member by its name; None where the annotations were decoded without it."""
        return self.members.get(name)

    def values(self, name: str) -> Sequence[Any]:
        """The values of a member of `ITEMS`, or of `type`; None where an annotation has none."""
        found = self.members.get(name)
        if isinstance(found, bytes):
            values: list[Any] = np.frombuffer(found, ITEMS[name]).tolist()
            return values
        return [found] * self.length if found is None or isinstance(found, str) else cast(Sequence[Any], found)


def gather(annotations: Sequence[Annotation]) -> list[Group]:
    """The members of annotations, kind by kind; those of a long list in pieces, which take less memory on their way."""
    if len(annotations) > _PIECE:
        starts = range(0, len(annotations), _PIECE)
        return [group for start in starts for group in _gather(annotations[start : start + _PIECE], start)]
    return _gather(annotations, 0)


def _gather(annotations: Sequence[Annotation], start: int) -> list[Group]:
    """The members of the annotations of a list, or of a piece of one, that starts there."""
    columns = _columns(annotations)
    types = columns["type"]
    kinds = {KINDS[type_] for type_ in set(types)}
    if len(kinds) == 1:
        return [_group(kinds.pop(), range(start, start + len(types)) if start else None, columns)]
    rows: dict[int, list[int]] = {}
    for row, type_ in enumerate(types, start):
        rows.setdefault(KINDS[type_], []).append(row)
    return [
        _group(kind, places, _columns([annotations[row - start] for row in places]))
        for kind, places in sorted(rows.items())
    ]


def _columns(annotations: Sequence[Annotation]) -> dict[str, tuple[Any, ...]]:
    columns = zip(*map(astuple, annotations), strict=True)
    return dict(zip(annotations[0].__struct_fields__, columns, strict=True))


def _group(kind: int, rows: Sequence[int] | None, columns: dict[str, tuple[Any, ...]]) -> Group:
    types = columns["type"]
    count = len(types)
    nothing = (None,) * count
    members: dict[str, Any] = {
        name: values for name, values in columns.items() if values[0] is not None or values != nothing
    }
    if types[0] is not None and types == types[:1] * count:
        members["type"] = types[0]
    for name, record in RECORDS.items():
        if name in members:
            members[name] = packed(members[name], record.itemsize)
    for name, item in ITEMS.items():
        if name in members:
            members[name] = items(members[name], item.itemsize)
    if "attributes" in members:
        raws = members["attributes"]
        members["attributes"] = (b"".join(raws), list(map(len, raws)))
    if "points" in members:
        members["points"] = points_text(members["points"])
    return Group(kind, rows, count, members)


def points_text(raws: Sequence[Raw]) -> PointsText | None:
    """Lists of points as one text; None if all are absent."""
    absent = raws.count(ABSENT)
    if absent == len(raws):
        return None
    lists: list[Raw | bytes] = list(filter(None, raws) if absent else raws)
    lists[0] = b"[" + bytes(lists[0])
    planar = _COMPACT_POINT.match(lists[0])
    lists[-1] = bytes(lists[-1]) + b"]"
    text = b",".join(lists)
    return PointsText(text, b"" if planar else stripped(text), list(map(len, raws)))


def stripped(text: bytes) -> bytes:
    """A JSON text of numbers in arrays without its numbers and spaces."""
    return text.translate(None, _NUMBER_CHARACTERS)


def items(values: Sequence[int | None], size: int) -> bytes | Sequence[int | None]:
    """Integers or flags as items of one size; as they are if one is missing."""
    try:
        return struct.pack(f"{len(values)}{_CODES[size]}", *values)
    except struct.error:
        return values


def packed(values: Sequence[Any], size: int) -> bytes | Sequence[Any] | None:
    """Values as records of one size; as they are if one is missing or lacks a member; None if all are missing."""
    if values[0] is None:
        return None if values.count(None) == len(values) else values
    records = _pack(values)
    header = len(records) - len(values) * size
    return records[header:] if header > 0 else values
