"""The category of each pixel of a bitmap, and of each point of frames.

The value of a pixel, or of a point in `point_annotations`, means the segment of that `id`, or, of a segment
without `id`, of that `track_id`. 0 is unlabelled.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from arrow_labels.errors import SchemaError
from arrow_labels.id_runs import checked_ids
from arrow_labels.schema import SCHEMAS
from arrow_labels.segment_columns import KEY, VALUE, Table, listed_categories, one_frame, select, valued

Ints = npt.NDArray[np.int64]

_CATEGORIES: Final = pa.schema(
    [*(SCHEMAS["frames"].field(name) for name in KEY), pa.field("categories", pa.list_(pa.int32()))]
)
_FRAMES_AT_ONCE: Final = 256
"""Frames whose points are looked up together: what an int32 counts is never reached."""


class SemanticMap(NamedTuple):
    """What `semantic_map` returns: the category of each pixel, and the ids that no segment has."""

    categories: npt.NDArray[Any]
    unlisted: Ints


def semantic_map(ids: npt.ArrayLike, segments: Table, *, unlabelled: int = -1) -> SemanticMap:
    """Category of each pixel.

    Parameters
    ----------
    ids : integer or bool array (height, width)
        Ids from 0 to 16,777,215.
    segments : pa.Table or Polars frame
        The segments of this frame: `category_id`, and `id` or `track_id` or both.
    unlabelled : int
        Category of the pixels of id 0, of an id that is not listed, and of a segment without category. It must not
        be a category of the segments: 0 often is one.

    Returns
    -------
    SemanticMap
        A pair. `categories`: integer array (height, width), of the smallest type that holds `unlabelled` and every
        category of the segments. `unlisted`: int64 array, the ids of the bitmap that no segment has, ascending.

    Raises
    ------
    BitmapError
        The array is not of ids, the segments are of several frames, or an id is listed with two categories.
    SchemaError
        The segments do not have these columns.
    ValueError
        `unlabelled` is a category of the segments.

    Examples
    --------
    >>> segments = pa.table({"id": [1, 2], "category_id": [0, 200]})
    >>> categories, unlisted = semantic_map([[0, 1], [2, 9]], segments)
    >>> categories
    array([[ -1,   0],
           [200,  -1]], dtype=int16)
    >>> unlisted
    array([9])
    """
    pixels = checked_ids(ids)
    listed = listed_categories(one_frame(segments, ["category_id"]), unlabelled).sort(VALUE)
    categories = np.append(listed["category_id"].fill_null(unlabelled).to_numpy(), unlabelled)
    categories = categories.astype(_smallest_type(int(categories.min()), int(categories.max())))
    flat = pixels.ravel()
    starts = _run_starts(flat)
    found = flat[starts].astype(np.int64)
    place, missing = _look_up(found, listed[VALUE].to_numpy())
    mapped = np.repeat(categories[place], np.diff(starts, append=len(flat)))
    return SemanticMap(mapped.reshape(pixels.shape), np.unique(found[missing & (found != 0)]))


def _run_starts(flat: npt.NDArray[Any], others: Ints | None = None) -> Ints:
    """Where a run of equal values starts: at the first, at each that differs from the one before, and at others."""
    starting = np.ones(len(flat), np.bool_)
    np.not_equal(flat[1:], flat[:-1], out=starting[1:])
    if others is not None:
        starting[others] = True
    return np.flatnonzero(starting)


def _look_up(found: Ints, known: Ints) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """The place of each number in those known, which ascend, and whether it is missing there: then one past the end."""
    place = np.searchsorted(known, found)
    missing = np.append(known, -1)[place] != found
    place[missing] = len(known)
    return place, missing


def _smallest_type(low: int, high: int) -> np.dtype[Any]:
    kind = "u" if low >= 0 else "i"
    types = [np.dtype(f"{kind}{size}") for size in (1, 2, 4, 8)]
    return next(type_ for type_ in types if np.iinfo(type_).min <= low and high <= np.iinfo(type_).max)


def point_categories(frames: Table, segments: Table, *, unlabelled: int | None = -1) -> pa.Table:
    """Category of each point, for all frames at once.

    Parameters
    ----------
    frames : pa.Table or Polars frame
        `sample_id`, `labelset`, `sensor_index`, `frame_index` and `point_annotations`.
    segments : pa.Table or Polars frame
        The same key, `category_id`, and `id` or `track_id` or both.
    unlabelled : int, optional
        Category of the points of id 0, of an id that its frame does not list, and of a segment without category. It
        must not be a category of the segments. None: null.

    Returns
    -------
    pa.Table
        A row for each frame, in their order: the key, and `categories`, list<int32>, one for each point; null or
        empty where the frame's `point_annotations` are.

    Raises
    ------
    BitmapError
        An id is listed twice in a frame, with two categories.
    SchemaError
        The tables do not have these columns, or a category does not fit into int32.
    ValueError
        `unlabelled` is a category of the segments.

    Examples
    --------
    >>> import arrow_labels as al
    >>> label = {"annotations": [{"id": 1, "category_id": 0}], "point_annotations": [0, 1, 1]}
    >>> tables = al.decode_labels([label])
    >>> point_categories(tables.frames, tables.segments)["categories"].to_pylist()
    [[-1, 0, 0]]
    """
    if unlabelled is not None and not -(1 << 31) <= unlabelled < 1 << 31:
        raise ValueError(f"unlabelled: expected a number that fits into int32, got {unlabelled}")
    given = select(frames, [*KEY, "point_annotations"]).with_row_index("frame")
    listed = listed_categories(valued(segments, [*KEY, "category_id"]), unlabelled).drop_nulls("category_id")
    large = listed["category_id"].filter(~listed["category_id"].is_between(-(1 << 31), (1 << 31) - 1))
    if len(large):
        raise SchemaError(f"Expected categories that fit into int32, got {large[0]} - in column `category_id`")
    # The ids of points are int32, so one number holds a frame and an id, and one search finds both.
    number = pl.col("frame").cast(pl.Int64) * (1 << 32) + pl.col(VALUE)
    listed = (
        listed.filter(pl.col(VALUE).is_between(-(1 << 31), (1 << 31) - 1))
        .join(given.select("frame", *KEY), on=KEY, nulls_equal=True)
        .select("category_id", number.alias(VALUE))
        .sort(VALUE)
    )
    lists = [_point_lists(part, listed, unlabelled) for part in given.iter_slices(_FRAMES_AT_ONCE)]
    categories = pa.chunked_array(lists, _CATEGORIES.field("categories").type)
    return given.select(KEY).to_arrow().append_column("categories", categories).cast(_CATEGORIES)


def _point_lists(frames: pl.DataFrame, listed: pl.DataFrame, unlabelled: int | None) -> pa.ListArray:
    """The lists of categories of some frames."""
    lists = frames["point_annotations"]
    counts = lists.list.len().fill_null(0).cast(pl.Int64).to_numpy()
    ids = lists.filter(lists.list.len() > 0).explode().fill_null(0).to_numpy()
    ends = np.cumsum(counts)
    starts = _run_starts(ids, (ends - counts)[counts > 0])
    frame = frames["frame"].cast(pl.Int64).to_numpy()[np.searchsorted(ends, starts, side="right")]
    place, missing = _look_up((frame << 32) + ids[starts], listed[VALUE].to_numpy())
    categories = np.append(listed["category_id"].to_numpy(), unlabelled or 0).astype(np.int32)
    lengths = np.diff(starts, append=len(ids))
    unknown = np.repeat(missing, lengths) if unlabelled is None else None
    values = pa.array(np.repeat(categories[place], lengths), mask=unknown)
    offsets = pa.array(np.append(0, ends).astype(np.int32))
    return pa.ListArray.from_arrays(offsets, values, mask=pa.array(lists.is_null().to_numpy()))
