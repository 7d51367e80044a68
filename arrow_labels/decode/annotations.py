"""Annotations of many frames -> the tables segments, vectors and cuboids, a column at a time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from arrow_labels.annotation import ITEMS, RECORDS, Group, PointsText
from arrow_labels.decode.columns import (
    Ints,
    Maker,
    NotExactError,
    constant,
    flags,
    integers,
    json_texts,
    make,
    members,
    nulls,
    to_batch,
)
from arrow_labels.decode.number_lists import points_column
from arrow_labels.decode.wanted import FRAME_COLUMNS, GEOMETRY
from arrow_labels.schema import ANNOTATION_TABLES, SCHEMAS


def frame_columns(columns: Mapping[str, Collection[str]]) -> set[str]:
    """The columns of `frames` that some columns of annotation tables are made of."""
    names = {name for found in columns.values() for name in found}
    return (names & {*FRAME_COLUMNS}) | ({"point_annotations"} if "point_count" in names else set())


def annotation_batches(
    frames: Mapping[str, pa.Array],
    groups: Sequence[Sequence[Group]],
    clouds: Sequence[bool],
    categories: dict[int, str | None],
    extras: dict[tuple[int, int], str],
    wanted: Mapping[str, Collection[str]],
    checked: bool,
) -> dict[str, pa.RecordBatch]:
    """The annotation tables of some frames.

    Parameters
    ----------
    frames : mapping of pa.Array
        The columns of the `frames` rows that `frame_columns` names.
    groups : sequence of sequences of Group
        The annotations of each frame.
    clouds : sequence of bool
        Whether each frame has point ids, be it none.
    categories : dict
        Name of each category id.
    extras : dict
        `extra` of the annotations that have one, by place of the frame and of the annotation in it.
    wanted : mapping of collections of str
        The tables to build, and the columns of each.
    checked : bool
        Whether to prove that the columns of a table with `extra` hold all that the annotations hold. False where
        `extras` holds the rest.

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
        names = wanted[table]
        parts = [group for _, group in mine]
        counts = np.fromiter((group.length for group in parts), np.int64, len(parts))
        owner = np.repeat(np.fromiter((frame for frame, _ in mine), np.int64, len(mine)), counts)
        index = _places(parts, counts)
        ids = _ids(parts, names)
        makers = _block(frames, owner, index, parts, ids, categories)
        makers[("extra",)] = partial(_extras, extras, owner, index)
        proved = checked and "extra" in names
        if table == "segments":
            makers |= _segments(parts, partial(_point_counts, frames, clouds, owner, ids), proved)
        else:
            makers |= _vectors(parts, proved) if table == "vectors" else _cuboids(parts, proved)
        result[table] = to_batch(table, make(makers, names))
    return result


def _places(groups: Sequence[Group], counts: Ints) -> Ints:
    """The place of each annotation in its frame."""
    if all(group.rows is None for group in groups):
        return np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.concatenate([np.arange(group.length) if group.rows is None else group.rows for group in groups])


def _items(groups: Sequence[Group], name: str) -> npt.NDArray[Any] | list[Any]:
    """A member of all annotations, one of `ITEMS`: an array if none is missing."""
    parts = [group.member(name) for group in groups]
    if all(isinstance(part, bytes) for part in parts):
        return np.frombuffer(b"".join(parts), ITEMS[name])
    return list(chain.from_iterable(group.values(name) for group in groups))


def _numbers(groups: Sequence[Group], name: str, checked: bool) -> list[pa.Array]:
    return members([(group.length, group.member(name)) for group in groups], RECORDS[name], checked)


def _ids(groups: Sequence[Group], names: Collection[str]) -> dict[str, pa.Array]:
    """The columns `id` and `track_id`, as far as they are needed."""
    needed = [name for name in ("id", "track_id") if name in names or "point_count" in names]
    ids = {name: integers(_items(groups, name), pa.int64()) for name in needed}
    missing = [_nulls(column) for column in ids.values() if column.null_count]
    if len(missing) == 2 and (missing[0] & missing[1]).any():
        raise NotExactError  # an annotation without any id: the careful path says where
    return ids


def _nulls(column: pa.Array) -> npt.NDArray[np.bool_]:
    nulls: npt.NDArray[np.bool_] = column.is_null().to_numpy(zero_copy_only=False)
    return nulls


def _block(
    frames: Mapping[str, pa.Array],
    frame: Ints,
    index: Ints,
    groups: Sequence[Group],
    ids: Mapping[str, pa.Array],
    categories: dict[int, str | None],
) -> dict[tuple[str, ...], Maker]:
    """What makes the annotation block without its `extra`."""
    places = pa.array(frame)
    return {
        **{(name,): partial(_repeat, frames, name, places) for name in FRAME_COLUMNS},
        ("annotation_index",): lambda: [pa.array(index.astype(np.int32))],
        ("id",): lambda: [ids["id"]],
        ("track_id",): lambda: [ids["track_id"]],
        ("category_id", "category"): lambda: _categories(groups, categories),
        ("type",): lambda: [_types(groups, len(frame))],
        ("is_keyframe",): lambda: [flags(_items(groups, "is_keyframe"))],
        ("index",): lambda: [integers(_items(groups, "index"), pa.int32())],
        ("attributes",): lambda: [_attributes(groups, len(frame))],
    }


def _categories(groups: Sequence[Group], categories: dict[int, str | None]) -> list[pa.Array]:
    ids = np.asarray(_items(groups, "category_id"), np.int64)
    return [pa.array(ids), _names(ids, categories)]


def _types(groups: Sequence[Group], count: int) -> pa.Array:
    first = groups[0].member("type")
    if not isinstance(first, tuple) and all(group.member("type") == first for group in groups):
        return constant(first, count, pa.string())
    return pa.array(chain.from_iterable(group.values("type") for group in groups), pa.string(), size=count)


def _attributes(groups: Sequence[Group], count: int) -> pa.Array:
    parts = [group.member("attributes") for group in groups]
    lengths = chain.from_iterable(lengths for _, lengths in parts)
    return json_texts(b"".join(text for text, _ in parts), np.fromiter(lengths, np.int64, count))


def _extras(extras: dict[tuple[int, int], str], owner: Ints, index: Ints) -> list[pa.Array]:
    if not extras:
        return [nulls(len(owner), pa.string())]
    keys = zip(owner.tolist(), index.tolist(), strict=True)
    return [pa.array([extras.get(key) for key in keys], pa.string())]


def _repeat(frames: Mapping[str, pa.Array], name: str, places: pa.Array) -> list[pa.Array]:
    column = frames[name]
    if column.null_count == len(column):
        return [nulls(len(places), column.type)]
    return [pa.repeat(column[0], len(places)) if len(column) == 1 else column.take(places)]


def _names(ids: Ints, categories: dict[int, str | None]) -> pa.Array:
    if not categories:
        return nulls(len(ids), pa.string())
    known = np.sort(np.fromiter(categories, np.int64, len(categories)))
    place = np.minimum(np.searchsorted(known, ids), len(known) - 1)
    names = pa.array([categories[key] for key in known.tolist()], pa.string())
    return names.take(pa.array(place, mask=known[place] != ids))


def _segments(
    groups: Sequence[Group], point_counts: Callable[[], pa.Array], checked: bool
) -> dict[tuple[str, ...], Maker]:
    if checked:
        _require_absent(groups, "points", *RECORDS)
    count = sum(group.length for group in groups)
    schema = SCHEMAS["segments"]
    masks = "area xmin ymin xmax ymax rle".split()
    return {
        **{(name,): partial(_nothing, count, schema.field(name).type) for name in masks},
        ("point_count",): lambda: [point_counts()],
    }


def _nothing(count: int, type_: pa.DataType) -> list[pa.Array]:
    return [nulls(count, type_)]


def _vectors(groups: Sequence[Group], checked: bool) -> dict[tuple[str, ...], Maker]:
    if checked:
        _require_absent(groups, *RECORDS)
    return {("points",): partial(_points, groups, checked)}


def _points(groups: Sequence[Group], checked: bool) -> list[pa.Array]:
    parts = [group.member("points") or PointsText(b"", b"", [0] * group.length) for group in groups]
    column = points_column(parts, checked)
    if checked and column.null_count:
        raise NotExactError
    return [column]


def _cuboids(groups: Sequence[Group], checked: bool) -> dict[tuple[str, ...], Maker]:
    if checked:
        _require_absent(groups, "points")
    return {columns: partial(_numbers, groups, member, checked) for member, columns in GEOMETRY.items()}


def _require_absent(groups: Sequence[Group], *names: str) -> None:
    """Raise `NotExactError` if an annotation has geometry of another kind."""
    for group in groups:
        for name in names:
            part = group.member(name)
            if part is not None and not (name == "points" and set(part.text[1:-1].split(b",")) == {b"null"}):
                raise NotExactError


def _point_counts(
    frames: Mapping[str, pa.Array], clouds: Sequence[bool], frame: Ints, ids: Mapping[str, pa.Array]
) -> pa.Array:
    """How many points of its frame carry each segment's id; null where the frame has no point ids."""
    if not any(clouds):
        return nulls(len(frame), pa.int64())
    points = frames["point_annotations"]
    own, track = ids["id"], ids["track_id"]
    numbers = np.where(_nulls(own), track.fill_null(0).to_numpy(), own.fill_null(0).to_numpy())
    counts = np.zeros(len(frame), np.int64)
    for place in np.unique(frame).tolist():
        if points[place].is_valid:
            rows = np.flatnonzero(frame == place)
            counts[rows] = _occurrences(points[place].values.to_numpy(), numbers[rows])
    return pa.array(counts, mask=~np.array(clouds)[frame])


def _occurrences(values: npt.NDArray[np.int32], ids: Ints) -> Ints:
    """How often each id is among the values, which come in runs."""
    starts = np.concatenate([[0], np.flatnonzero(values[1:] != values[:-1]) + 1])
    lengths = np.diff(starts, append=len(values))
    found = values[starts]
    least, most = int(found.min()), int(found.max())
    if most - least > len(values):  # too far apart for a place each
        kinds, found = np.unique(found, return_inverse=True)
        number = np.bincount(found, lengths).astype(np.int64)
        where = np.minimum(np.searchsorted(kinds, ids), len(kinds) - 1)
        return np.where(kinds[where] == ids, number[where], 0)
    number = np.bincount(found - least, lengths).astype(np.int64)
    there = (ids >= least) & (ids <= most)
    return np.where(there, number[np.where(there, ids - least, 0)], 0)
