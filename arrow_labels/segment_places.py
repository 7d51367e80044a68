"""Where segments are: the pixels of a mask, the points of an id, and all masks of a frame as one bitmap.

A segment stands in a bitmap, and in `point_annotations`, as its `id`, or, without `id`, as its `track_id`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from arrow_labels.errors import BitmapError
from arrow_labels.id_runs import MAX_ID
from arrow_labels.rle import run_lengths
from arrow_labels.segment_columns import VALUE, Table, one_frame

Ids = npt.NDArray[np.uint32]
Ints = npt.NDArray[np.int64]


def masks_to_bitmap(
    segments: Table, *, overlap: Literal["error", "last"] = "error", shape: tuple[int, int] | None = None
) -> Ids:
    """Ids of each pixel, from the masks of the segments of one frame.

    Parameters
    ----------
    segments : pa.Table or Polars frame
        The segments of one frame: `rle`, and `id` or `track_id` or both.
    overlap : "error" or "last"
        What becomes of a pixel in two masks: refuse it, or give it to the row that comes last.
    shape : (int, int), optional
        Height and width in pixels; needed only where there may be no segment.

    Returns
    -------
    uint32 array (height, width)
        0 where there is no mask. `encode_bitmap` makes a PNG of it.

    Raises
    ------
    BitmapError
        A mask is null, damaged or of another size than its siblings, an id does not fit, the masks overlap, there is
        none and no `shape`, or the rows are of several frames.
    SchemaError
        The segments do not have these columns.

    Examples
    --------
    >>> from arrow_labels.id_runs import mask_table
    >>> masks_to_bitmap(mask_table([[0, 7, 7], [5, 7, 0]]))
    array([[0, 7, 7],
           [5, 7, 0]], dtype=uint32)
    """
    if overlap not in ("error", "last"):
        raise ValueError(f"overlap: expected 'error' or 'last', got {overlap!r}")
    masks = one_frame(segments, ["rle"]).with_row_index("row")
    height, width = _common_shape(masks, shape)
    rows, starts, ends = _inside(masks, height, width)
    values = masks[VALUE].to_numpy()
    # The borders of all runs cut the image into pieces; each run covers some of them, and the last to cover one wins.
    borders = np.unique(np.concatenate([starts, ends, [0, height * width]]))
    first, last = np.searchsorted(borders, starts), np.searchsorted(borders, ends)
    covered = _ranges(first, last - first)
    owners = np.repeat(rows, last - first)
    if overlap == "error":
        _check_apart(covered, owners, borders, values, height)
    pieces = np.zeros(len(borders) - 1, np.uint32)
    pieces[covered] = values[owners]
    columns = np.repeat(pieces, np.diff(borders)).reshape(width, height)
    return np.ascontiguousarray(columns.T)


def _common_shape(masks: pl.DataFrame, shape: tuple[int, int] | None) -> tuple[int, int]:
    """Height and width of all masks, each row of which has an id and a mask."""
    height, width = pl.col("rle").struct.field("height"), pl.col("rle").struct.field("width")
    wrong = masks.filter(~pl.col(VALUE).is_between(1, MAX_ID).fill_null(False))
    if len(wrong):
        raise BitmapError(f"Expected ids from 1 to {MAX_ID}, got {wrong[VALUE][0]} - at row {wrong['row'][0]}")
    empty = masks.filter(pl.col("rle").is_null() | height.is_null() | width.is_null())
    if len(empty):
        raise BitmapError(f"Expected a mask, got null - at row {empty['row'][0]} (id {empty[VALUE][0]})")
    if shape is None:
        if not len(masks):
            raise BitmapError("Expected at least one mask, or a `shape`, got no rows")
        shape = masks.select(height, width).row(0)
    if min(shape) < 0:
        raise BitmapError(f"Expected a height and width in pixels, got {shape[0]} and {shape[1]}")
    other = masks.filter((height != shape[0]) | (width != shape[1])).select("row", VALUE, height, width)
    if len(other):
        row, value, *found = other.row(0)
        raise BitmapError(
            f"Expected masks of {shape[0]} x {shape[1]} pixels, got {found[0]} x {found[1]} - at row {row} (id {value})"
        )
    return shape


def _inside(masks: pl.DataFrame, height: int, width: int) -> tuple[Ints, Ints, Ints]:
    """Row, start and end of each run of ones, counted in pixels down the columns."""
    counts = pl.col("rle").struct.field("counts").cast(pl.List(pl.Int64))
    sound = (counts.list.sum() == height * width) & (counts.list.min().fill_null(0) >= 0)
    whole = counts.list.eval(pl.element().is_not_null()).list.all()
    damaged = masks.filter(~(sound & whole).fill_null(False))
    for row, value, rle in damaged.select("row", VALUE, "rle").iter_rows():
        try:
            run_lengths(rle)
        except BitmapError as error:
            raise BitmapError(f"{error} - at row {row} (id {value})") from None
    runs = masks.select("row", counts.alias("length"), pl.int_ranges(counts.list.len()).alias("place"))
    runs = runs.explode("length", "place").drop_nulls()
    rows, lengths = runs["row"].cast(pl.Int64).to_numpy(), runs["length"].to_numpy()
    ends = np.cumsum(lengths) - rows * (height * width)
    inside = (runs["place"].to_numpy() % 2 == 1) & (lengths > 0)
    return rows[inside], (ends - lengths)[inside], ends[inside]


def _check_apart(covered: Ints, owners: Ints, borders: Ints, values: Ints, height: int) -> None:
    shared = np.bincount(covered) > 1
    if shared.any():
        piece = int(shared.argmax())
        one, other = values[owners[covered == piece][:2]]
        column, row = divmod(int(borders[piece]), height)
        raise BitmapError(
            f"Expected masks that do not overlap, got ids {one} and {other} - at row {row}, column {column}"
        )


def _ranges(starts: Ints, lengths: Ints) -> Ints:
    """The integers from each start, as many as its length, one range after the other."""
    before = np.cumsum(lengths) - lengths
    within: Ints = np.arange(lengths.sum()) + np.repeat(starts - before, lengths)
    return within


def mask_indices(rle: Mapping[str, Any] | pa.StructScalar) -> Ints:
    """Row and column of each pixel of a mask.

    Parameters
    ----------
    rle : mapping or pa.StructScalar
        `height`, `width` and `counts`.

    Returns
    -------
    int64 array (n, 2)
        In the order of `np.argwhere`: by row, then by column.

    Raises
    ------
    BitmapError
        The counts do not cover the image exactly, or are not run lengths.

    Examples
    --------
    >>> mask_indices({"height": 2, "width": 3, "counts": [1, 3, 2]})
    array([[0, 1],
           [1, 0],
           [1, 1]])
    """
    height, width, counts = run_lengths(rle)
    columns, rows = np.divmod(_ranges((np.cumsum(counts) - counts)[1::2], counts[1::2]), max(height, 1))
    return np.stack(np.divmod(np.sort(rows * width + columns), max(width, 1)), axis=1)


def point_indices(point_annotations: Any, value: int) -> Ints:
    """Places of the points that carry an id.

    Parameters
    ----------
    point_annotations : list, array, pa.ListScalar, pa.Array or pl.Series
        Id of each point of one frame; null: no points.
    value : int
        The id: of a segment its `id`, or its `track_id` where it has no `id`.

    Returns
    -------
    int64 array (n,)
        Indices into the point cloud of the frame, ascending.

    Examples
    --------
    >>> point_indices([0, 4, 4, 0, 4], 4)
    array([1, 2, 4])
    """
    if isinstance(point_annotations, pa.ListScalar | pa.LargeListScalar):
        point_annotations = point_annotations.values
    ids = np.asarray([] if point_annotations is None else point_annotations)
    if ids.ndim != 1 or (ids.size and ids.dtype.kind not in "iu"):
        raise BitmapError(f"Expected a list of integer ids, got {ids.dtype} of shape {ids.shape}")
    places: Ints = np.flatnonzero(ids == value)
    return places
