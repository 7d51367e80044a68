"""Annotations of many frames -> the tables segments, vectors and cuboids, a column at a time."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Raw
from msgspec.structs import astuple

from arrow_labels.decode.careful import is_null
from arrow_labels.decode.columns import (
    Ints,
    NotExactError,
    constant,
    flags,
    floats,
    integers,
    json_column,
    members,
    points_column,
)
from arrow_labels.schema import ANNOTATION_TABLES, SCHEMAS
from arrow_labels.wire import ABSENT, CUBOID_TYPES, VECTOR_TYPES, Annotation

KINDS: dict[str | None, int] = {None: 0, **dict.fromkeys(VECTOR_TYPES, 1), **dict.fromkeys(CUBOID_TYPES, 2)}
"""Place of the table in `ANNOTATION_TABLES` for each `type`."""

Values = dict[str, tuple[Any, ...]]
"""The members of many annotations, by name."""

_FEW_IDS = 16
"""Up to here it is fastest to look for one id after the other."""


def annotation_batches(
    frames: pa.RecordBatch,
    annotations: Sequence[Sequence[Annotation]],
    clouds: Sequence[bool],
    categories: dict[int, str | None],
    extras: dict[tuple[int, int], str],
    wanted: Collection[str],
    checked: bool,
) -> dict[str, pa.RecordBatch]:
    """The annotation tables of some frames.

    Parameters
    ----------
    frames : pa.RecordBatch
        The `frames` rows.
    annotations : sequence of sequences of Annotation
        The annotations of each frame.
    clouds : sequence of bool
        Whether each frame has point ids, be it none.
    categories : dict
        Name of each category id.
    extras : dict
        `extra` of the annotations that have one, by place of the frame and of the annotation in it.
    wanted : collection of str
        Tables to build.
    checked : bool
        Whether to prove that the columns hold all that the annotations hold. False where `extras` holds the rest.

    Returns
    -------
    dict of pa.RecordBatch
        The wanted tables that have rows.

    Raises
    ------
    NotExactError
        The proof failed.
    """
    counts = np.fromiter(map(len, annotations), np.int64, len(annotations))
    flat = list(chain.from_iterable(annotations))
    if not flat:
        return {}
    starts = np.cumsum(counts) - counts
    frame = np.repeat(np.arange(len(counts)), counts)
    index = np.arange(len(flat)) - np.repeat(starts, counts)
    types = [item.type for item in flat]
    if types.count(types[0]) == len(types):
        groups: dict[int, Ints | slice] = {KINDS[types[0]]: slice(None)}
    else:
        kinds = np.fromiter((KINDS[type_] for type_ in types), np.int64, len(types))
        groups = {kind: np.flatnonzero(kinds == kind) for kind in range(3) if (kinds == kind).any()}
    extra = pa.nulls(len(flat), pa.string())
    if extras:
        extra_of = {int(starts[place]) + item: text for (place, item), text in extras.items()}
        extra = pa.array([extra_of.get(row) for row in range(len(flat))], pa.string())
    result = {}
    for kind, rows in groups.items():
        table = ANNOTATION_TABLES[kind]
        if table not in wanted:
            continue
        group = flat if isinstance(rows, slice) else [flat[row] for row in rows.tolist()]
        owner = frame[rows]
        values = dict(zip(Annotation.__struct_fields__, zip(*map(astuple, group), strict=True), strict=True))
        if table == "segments":
            geometry = _segments(values, _point_counts(frames, clouds, owner, values), checked)
        else:
            geometry = _vectors(values, checked) if table == "vectors" else _cuboids(values, checked)
        own_extra = extra if isinstance(rows, slice) else extra.take(pa.array(rows))
        columns = [*_block(frames, owner, index[rows], values, categories), own_extra, *geometry]
        result[table] = pa.RecordBatch.from_arrays(columns, schema=SCHEMAS[table])
    return result


def _block(
    frames: pa.RecordBatch, frame: Ints, index: Ints, values: Values, categories: dict[int, str | None]
) -> list[pa.Array]:
    """The annotation block without its `extra`."""
    places = pa.array(frame)
    copied = [
        _repeat(frames.column(name), places)
        for name in ("sample_id", "labelset", "sensor_index", "sensor", "frame_index", "timestamp")
    ]
    ids, tracks = integers(values["id"], pa.int64()), integers(values["track_id"], pa.int64())
    if ids.null_count and tracks.null_count and pc.any(pc.and_(ids.is_null(), tracks.is_null())).as_py():
        raise NotExactError  # an annotation without any id: the careful path says where
    category_ids = np.fromiter(values["category_id"], np.int64, len(frame))
    types = values["type"]
    single = types.count(types[0]) == len(types)
    return [
        *copied,
        pa.array(index.astype(np.int32)),
        ids,
        tracks,
        pa.array(category_ids),
        _names(category_ids, categories),
        constant(types[0], len(types), pa.string()) if single else pa.array(types, pa.string()),
        flags(values["is_keyframe"]),
        integers(values["index"], pa.int32()),
        json_column(values["attributes"]),
    ]


def _repeat(column: pa.Array, places: pa.Array) -> pa.Array:
    if column.null_count == len(column):
        return pa.nulls(len(places), column.type)
    if len(column) == 1:
        return pa.repeat(column[0], len(places))
    return column.take(places)


def _names(ids: Ints, categories: dict[int, str | None]) -> pa.Array:
    if not categories:
        return pa.nulls(len(ids), pa.string())
    known = np.sort(np.fromiter(categories, np.int64, len(categories)))
    place = np.minimum(np.searchsorted(known, ids), len(known) - 1)
    names = pa.array([categories[key] for key in known.tolist()], pa.string())
    return names.take(pa.array(place, mask=known[place] != ids))


def _segments(values: Values, point_counts: pa.Array, checked: bool) -> list[pa.Array]:
    if checked:
        _require_absent(values, "points position dimensions yaw rotation velocity acceleration")
    schema = SCHEMAS["segments"]
    masks = [pa.nulls(len(point_counts), schema.field(name).type) for name in "area xmin ymin xmax ymax rle".split()]
    return [*masks, point_counts]


def _vectors(values: Values, checked: bool) -> list[pa.Array]:
    if checked:
        _require_absent(values, "position dimensions yaw rotation velocity acceleration")
    column = points_column(values["points"], checked)
    if checked and column.null_count:
        raise NotExactError
    return [column]


def _cuboids(values: Values, checked: bool) -> list[pa.Array]:
    if checked:
        _require_absent(values, "points")
    return [
        *members(values["position"], "x y z", checked),
        *members(values["dimensions"], "x y z", checked),
        floats(values["yaw"], checked),
        *members(values["rotation"], "qx qy qz qw", checked),
        *members(values["velocity"], "absolute relative", checked),
        *members(values["acceleration"], "absolute relative", checked),
    ]


def _require_absent(values: Values, names: str) -> None:
    """Raise `NotExactError` if an annotation has geometry of another kind."""
    for name in names.split():
        items = values[name]
        if items.count(ABSENT if name == "points" else None) < len(items) and not all(
            item is None or (isinstance(item, Raw) and (not item or is_null(item))) for item in items
        ):
            raise NotExactError


def _point_counts(frames: pa.RecordBatch, clouds: Sequence[bool], frame: Ints, values: Values) -> pa.Array:
    """How many points of its frame carry each segment's id; null where the frame has no point ids."""
    if not any(clouds):
        return pa.nulls(len(frame), pa.int64())
    points = frames.column("point_annotations")
    named = (track if id_ is None else id_ for id_, track in zip(values["id"], values["track_id"], strict=True))
    ids = np.fromiter(named, np.int64, len(frame))
    counts = np.zeros(len(frame), np.int64)
    for place in np.unique(frame).tolist():
        if points[place].is_valid:
            rows = np.flatnonzero(frame == place)
            counts[rows] = _occurrences(points[place].values.to_numpy(), ids[rows])
    return pa.array(counts, mask=~np.array(clouds)[frame])


def _occurrences(values: npt.NDArray[np.int32], ids: Ints) -> Ints:
    """How often each id is among the values, which come in runs."""
    if len(ids) <= _FEW_IDS:
        return np.fromiter((np.count_nonzero(values == id_) for id_ in ids.tolist()), np.int64, len(ids))
    starts = np.concatenate([[0], np.flatnonzero(values[1:] != values[:-1]) + 1])
    lengths = np.diff(starts, append=len(values))
    found, place = np.unique(values[starts], return_inverse=True)
    number = np.bincount(place, lengths).astype(np.int64)
    where = np.minimum(np.searchsorted(found, ids), len(found) - 1)
    return np.where(found[where] == ids, number[where], 0)
