"""Annotations of many frames -> the tables segments, vectors and cuboids, a column at a time."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import chain
from operator import attrgetter

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Raw

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
from arrow_labels.wire import CUBOID_TYPES, VECTOR_TYPES, Annotation

KINDS: dict[str | None, int] = {None: 0, **dict.fromkeys(VECTOR_TYPES, 1), **dict.fromkeys(CUBOID_TYPES, 2)}
"""Place of the table in `ANNOTATION_TABLES` for each `type`."""

_FEW_IDS = 1 << 20
"""Ids up to here are counted in an array instead of sorted."""


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
    frame = np.repeat(np.arange(len(counts)), counts)
    index = np.arange(len(flat)) - np.repeat(np.cumsum(counts) - counts, counts)
    extra_of = {int(counts[:place].sum()) + item: text for (place, item), text in extras.items()}
    types = [item.type for item in flat]
    result = {}
    if types.count(types[0]) == len(types):
        groups: dict[int, Ints] = {KINDS[types[0]]: np.arange(len(flat))}
    else:
        kinds = np.fromiter((KINDS[type_] for type_ in types), np.int64, len(types))
        groups = {kind: np.flatnonzero(kinds == kind) for kind in range(3) if (kinds == kind).any()}
    for kind, rows in groups.items():
        table = ANNOTATION_TABLES[kind]
        if table not in wanted:
            continue
        group = flat if len(groups) == 1 else [flat[row] for row in rows.tolist()]
        kind_types = types if len(groups) == 1 else [types[row] for row in rows.tolist()]
        extra = pa.nulls(len(rows), pa.string())
        if extra_of:
            extra = pa.array([extra_of.get(row) for row in rows.tolist()], pa.string())
        block = _block(frames, frame[rows], index[rows], group, kind_types, categories, extra)
        if table == "segments":
            geometry = _segments(group, _point_counts(frames, clouds, frame[rows], group), checked)
        elif table == "vectors":
            geometry = _vectors(group, checked)
        else:
            geometry = _cuboids(group, checked)
        result[table] = pa.RecordBatch.from_arrays(block + geometry, schema=SCHEMAS[table])
    return result


def _block(
    frames: pa.RecordBatch,
    frame: Ints,
    index: Ints,
    group: Sequence[Annotation],
    types: Sequence[str | None],
    categories: dict[int, str | None],
    extra: pa.Array,
) -> list[pa.Array]:
    places = pa.array(frame)
    copied = [
        _repeat(frames.column(name), places)
        for name in ("sample_id", "labelset", "sensor_index", "sensor", "frame_index", "timestamp")
    ]
    ids = [item.id for item in group]
    tracks = [item.track_id for item in group]
    id_column, track_column = integers(ids, pa.int64()), integers(tracks, pa.int64())
    if id_column.null_count and track_column.null_count:
        unnamed = pc.and_(id_column.is_null(), track_column.is_null())
        _require(not pc.any(unnamed).as_py())  # the careful path says where
    category_ids = np.fromiter([item.category_id for item in group], np.int64, len(group))
    single = types.count(types[0]) == len(types)
    return [
        *copied,
        pa.array(index.astype(np.int32)),
        id_column,
        track_column,
        pa.array(category_ids),
        _names(category_ids, categories),
        constant(types[0], len(types), pa.string()) if single else pa.array(types, pa.string()),
        flags([item.is_keyframe for item in group]),
        integers([item.index for item in group], pa.int32()),
        json_column([item.attributes for item in group]),
        extra,
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


def _absent(raws: Sequence[Raw]) -> bool:
    """Whether the members are all absent or null."""
    return not any(raws) or all(not raw or bytes(raw) == b"null" for raw in raws)


def _segments(group: Sequence[Annotation], point_counts: pa.Array, checked: bool) -> list[pa.Array]:
    if checked:
        _require(_absent([item.points for item in group]))
        _require_none(group, "position dimensions yaw rotation velocity acceleration")
    schema = SCHEMAS["segments"]
    empty = [pa.nulls(len(group), schema.field(name).type) for name in "area xmin ymin xmax ymax rle".split()]
    return [*empty, point_counts]


def _vectors(group: Sequence[Annotation], checked: bool) -> list[pa.Array]:
    if checked:
        _require_none(group, "position dimensions yaw rotation velocity acceleration")
    column = points_column([item.points for item in group], checked)
    if checked and column.null_count:
        raise NotExactError
    return [column]


def _cuboids(group: Sequence[Annotation], checked: bool) -> list[pa.Array]:
    if checked:
        _require(_absent([item.points for item in group]))
    return [
        *members([item.position for item in group], "x y z", checked),
        *members([item.dimensions for item in group], "x y z", checked),
        floats([item.yaw for item in group], checked),
        *members([item.rotation for item in group], "qx qy qz qw", checked),
        *members([item.velocity for item in group], "absolute relative", checked),
        *members([item.acceleration for item in group], "absolute relative", checked),
    ]


def _require_none(group: Sequence[Annotation], names: str) -> None:
    for name in names.split():
        values = list(map(attrgetter(name), group))
        _require(values.count(None) == len(values))


def _require(condition: bool) -> None:
    if not condition:
        raise NotExactError


def _point_counts(frames: pa.RecordBatch, clouds: Sequence[bool], frame: Ints, group: Sequence[Annotation]) -> pa.Array:
    """How many points of its frame carry each segment's id; null where the frame has no point ids."""
    if not any(clouds):
        return pa.nulls(len(group), pa.int64())
    points = frames.column("point_annotations")
    ids = np.fromiter((item.track_id if item.id is None else item.id for item in group), np.int64, len(group))
    counts = np.zeros(len(group), np.int64)
    for place in np.unique(frame).tolist():
        if points[place].is_valid:
            rows = np.flatnonzero(frame == place)
            counts[rows] = _occurrences(points[place].values.to_numpy(), ids[rows])
    return pa.array(counts, mask=~np.array(clouds)[frame])


def _occurrences(values: npt.NDArray[np.int32], ids: Ints) -> Ints:
    """How often each id is among the values."""
    low, high = int(values.min()), int(values.max())
    if low >= 0 and high < _FEW_IDS:
        return np.where((ids >= 0) & (ids <= high), np.bincount(values)[np.clip(ids, 0, high)], 0)
    found, number = np.unique(values, return_counts=True)
    place = np.minimum(np.searchsorted(found, ids), len(found) - 1)
    return np.where(found[place] == ids, number[place], 0)
