"""Annotations of many frames -> the tables segments, vectors and cuboids, a column at a time."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from arrow_labels.annotation import ABSENT, RECORDS, Group
from arrow_labels.decode.careful import is_null
from arrow_labels.decode.columns import (
    Ints,
    NotExactError,
    constant,
    flags,
    integers,
    json_texts,
    members,
    points_column,
)
from arrow_labels.schema import ANNOTATION_TABLES, SCHEMAS

_FEW_IDS = 16
"""Up to here it is fastest to look for one id after the other."""


def annotation_batches(
    frames: pa.RecordBatch,
    groups: Sequence[Sequence[Group]],
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
    groups : sequence of sequences of Group
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
    result = {}
    for kind, table in enumerate(ANNOTATION_TABLES):
        mine = [(frame, group) for frame, found in enumerate(groups) for group in found if group.kind == kind]
        if not mine or table not in wanted:
            continue
        parts = [group for _, group in mine]
        counts = np.fromiter((group.length for group in parts), np.int64, len(parts))
        owner = np.repeat(np.fromiter((frame for frame, _ in mine), np.int64, len(mine)), counts)
        index = _places(parts, counts)
        block = _block(frames, owner, index, parts, categories)
        if table == "segments":
            geometry = _segments(parts, _point_counts(frames, clouds, owner, block), checked)
        else:
            geometry = _vectors(parts, checked) if table == "vectors" else _cuboids(parts, checked)
        extra = pa.nulls(len(owner), pa.string())
        if extras:
            keys = zip(owner.tolist(), index.tolist(), strict=True)
            extra = pa.array([extras.get(key) for key in keys], pa.string())
        result[table] = pa.RecordBatch.from_arrays([*block, extra, *geometry], schema=SCHEMAS[table])
    return result


def _places(groups: Sequence[Group], counts: Ints) -> Ints:
    """The place of each annotation in its frame."""
    if all(group.rows is None for group in groups):
        return np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.concatenate([np.arange(group.length) if group.rows is None else group.rows for group in groups])


def _values(groups: Sequence[Group], name: str, missing: Any = None) -> Sequence[Any]:
    """A member of all annotations."""
    parts = [group.member(name) for group in groups]
    if len(parts) == 1 and parts[0] is not None:
        return parts[0]  # type: ignore[no-any-return]
    counted = zip(parts, groups, strict=True)
    return list(chain.from_iterable([missing] * group.length if part is None else part for part, group in counted))


def _numbers(groups: Sequence[Group], name: str, checked: bool) -> list[pa.Array]:
    return members([(group.length, group.member(name)) for group in groups], RECORDS[name], checked)


def _block(
    frames: pa.RecordBatch, frame: Ints, index: Ints, groups: Sequence[Group], categories: dict[int, str | None]
) -> list[pa.Array]:
    """The annotation block without its `extra`."""
    places = pa.array(frame)
    copied = [
        _repeat(frames.column(name), places)
        for name in ("sample_id", "labelset", "sensor_index", "sensor", "frame_index", "timestamp")
    ]
    ids, tracks = (integers(_values(groups, name), pa.int64()) for name in ("id", "track_id"))
    if ids.null_count and tracks.null_count and (_nulls(ids) & _nulls(tracks)).any():
        raise NotExactError  # an annotation without any id: the careful path says where
    category_ids = np.fromiter(_values(groups, "category_id"), np.int64, len(frame))
    types = _values(groups, "type")
    single = types.count(types[0]) == len(types)
    attributes = [group.member("attributes") for group in groups]
    lengths = chain.from_iterable(lengths for _, lengths in attributes)
    return [
        *copied,
        pa.array(index.astype(np.int32)),
        ids,
        tracks,
        pa.array(category_ids),
        _names(category_ids, categories),
        constant(types[0], len(types), pa.string()) if single else pa.array(types, pa.string()),
        flags(_values(groups, "is_keyframe")),
        integers(_values(groups, "index"), pa.int32()),
        json_texts(b"".join(text for text, _ in attributes), np.fromiter(lengths, np.int64, len(frame))),
    ]


def _nulls(column: pa.Array) -> npt.NDArray[np.bool_]:
    nulls: npt.NDArray[np.bool_] = column.is_null().to_numpy(zero_copy_only=False)
    return nulls


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


def _segments(groups: Sequence[Group], point_counts: pa.Array, checked: bool) -> list[pa.Array]:
    if checked:
        _require_absent(groups, "points", *RECORDS)
    schema = SCHEMAS["segments"]
    masks = [pa.nulls(len(point_counts), schema.field(name).type) for name in "area xmin ymin xmax ymax rle".split()]
    return [*masks, point_counts]


def _vectors(groups: Sequence[Group], checked: bool) -> list[pa.Array]:
    if checked:
        _require_absent(groups, *RECORDS)
    column = points_column(_values(groups, "points", ABSENT), checked)
    if checked and column.null_count:
        raise NotExactError
    return [column]


def _cuboids(groups: Sequence[Group], checked: bool) -> list[pa.Array]:
    if checked:
        _require_absent(groups, "points")
    names = ["position", "dimensions", "yaw", "rotation", "velocity", "acceleration"]
    return [column for name in names for column in _numbers(groups, name, checked)]


def _require_absent(groups: Sequence[Group], *names: str) -> None:
    """Raise `NotExactError` if an annotation has geometry of another kind."""
    for group in groups:
        for name in names:
            part = group.member(name)
            if part is not None and not (name == "points" and all(not raw or is_null(raw) for raw in part)):
                raise NotExactError


def _point_counts(frames: pa.RecordBatch, clouds: Sequence[bool], frame: Ints, block: Sequence[pa.Array]) -> pa.Array:
    """How many points of its frame carry each segment's id; null where the frame has no point ids."""
    if not any(clouds):
        return pa.nulls(len(frame), pa.int64())
    points = frames.column("point_annotations")
    names = SCHEMAS["segments"].names
    own, track = block[names.index("id")], block[names.index("track_id")]
    ids = np.where(_nulls(own), track.fill_null(0).to_numpy(), own.fill_null(0).to_numpy())
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
