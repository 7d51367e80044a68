"""Runs of equal ids in an id array, and from them every mask at once: area, box and run lengths.

Ids are those of a bitmap: 0 is unlabelled, 16,777,215 the largest. They are never wrapped or cut off.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from arrow_labels.errors import BitmapError
from arrow_labels.schema import RLE

MAX_ID: Final = (1 << 24) - 1
"""The largest id that three bytes hold."""

Ints = npt.NDArray[np.int64]


def bitmap_runs(ids: npt.ArrayLike) -> pa.Table:
    """Runs of equal ids down the columns of an id array, one column after the other.

    A run goes on from the bottom of a column at the top of the next, as COCO's runs do, so two runs that touch never
    have the same id. With `n` the height, pixel `start` is row `start % n` of column `start // n`.

    Parameters
    ----------
    ids : integer or bool array (height, width)
        Ids from 0 to 16,777,215.

    Returns
    -------
    pa.Table
        `id`, `start` and `length`, all int64, in the order of `start`; the runs of id 0 too.

    Raises
    ------
    BitmapError
        The array is not two-dimensional, not of integers, or an id does not fit.

    Examples
    --------
    >>> bitmap_runs([[7, 7], [7, 0]]).to_pydict()
    {'id': [7, 0], 'start': [0, 3], 'length': [3, 1]}
    """
    values, starts, lengths = _column_runs(checked_ids(ids))
    return pa.table({"id": values, "start": starts, "length": lengths})


def _column_runs(ids: npt.NDArray[Any]) -> tuple[Ints, Ints, Ints]:
    """Id, start and length of each run."""
    height, width = ids.shape
    # Where a run starts is found in the order of the memory: it is quicker to transpose flags than ids.
    starting = np.ones((height, width), np.bool_)
    np.not_equal(ids[1:], ids[:-1], out=starting[1:])
    starting[:1, 1:] = ids[:1, 1:] != ids[-1:, :-1]
    starts = np.flatnonzero(starting.T)
    columns, rows = np.divmod(starts, max(height, 1))
    return ids[rows, columns].astype(np.int64), starts, np.diff(starts, append=ids.size)


def mask_table(ids: npt.ArrayLike) -> pa.Table:
    """Area, box and run lengths of every id of an id array at once.

    Parameters
    ----------
    ids : integer or bool array (height, width)
        Ids from 0 to 16,777,215.

    Returns
    -------
    pa.Table
        A row for each id but 0, ascending: `id` and `area` (pixels), int64; `xmin`, `ymin`, `xmax`, `ymax`, int32,
        pixels with `xmin <= column < xmax`; `rle`, a struct of `height`, `width` and `counts` as in COCO.

    Raises
    ------
    BitmapError
        The array is not two-dimensional, not of integers, or an id does not fit, or it has 2^31 pixels and more.

    Examples
    --------
    >>> table = mask_table([[0, 7, 7], [0, 7, 0]])
    >>> table.drop_columns("rle").to_pylist()
    [{'id': 7, 'area': 3, 'xmin': 1, 'ymin': 0, 'xmax': 3, 'ymax': 2}]
    >>> table["rle"].to_pylist()
    [{'height': 2, 'width': 3, 'counts': [2, 3, 1]}]
    """
    shape = np.shape(ids)
    if math.prod(shape) >= 1 << 31:
        raise BitmapError(f"Expected fewer than 2^31 pixels, got an array of shape {shape}")
    array = checked_ids(ids)
    values, starts, lengths = _column_runs(array)
    # Sorted by id, and the runs of an id in their order: both numbers in one is what NumPy sorts fastest.
    order = np.sort((values << 32 | np.arange(len(values)))[values != 0]) & 0xFFFFFFFF
    values, starts, lengths = values[order], starts[order], lengths[order]
    ends = starts + lengths
    first = np.flatnonzero(np.diff(values, prepend=0))
    last = np.append(first[1:], len(values))[: len(first)] - 1
    return pa.table(
        {
            "id": values[first],
            "area": _reduce(np.add, lengths, first),
            **_boxes(starts, ends, first, last, array.shape[0]),
            "rle": _run_lengths(starts, ends, first, last, array.shape),
        }
    )


def _reduce(ufunc: np.ufunc, values: Ints, first: Ints) -> Ints:
    reduced: Ints = ufunc.reduceat(values, first) if len(first) else values
    return reduced


def _boxes(starts: Ints, ends: Ints, first: Ints, last: Ints, height: int) -> dict[str, npt.NDArray[np.int32]]:
    """Half-open boxes around the runs from `first` to `last` of each id."""
    columns, tops = np.divmod(starts, max(height, 1))
    end_columns, bottoms = np.divmod(ends - 1, max(height, 1))
    over = columns != end_columns  # a run over a border between columns touches the bottom and the top
    tops[over], bottoms[over] = 0, height - 1
    box = {
        "xmin": columns[first],
        "ymin": _reduce(np.minimum, tops, first),
        "xmax": end_columns[last] + 1,
        "ymax": _reduce(np.maximum, bottoms, first) + 1,
    }
    return {side: values.astype(np.int32) for side, values in box.items()}


def _run_lengths(starts: Ints, ends: Ints, first: Ints, last: Ints, shape: tuple[int, ...]) -> pa.StructArray:
    """For each id: zeros and ones by turns, and the zeros up to the end if there are any."""
    height, width = shape
    before = np.zeros_like(starts)
    before[1:] = ends[:-1]
    before[first] = 0
    rest = height * width - ends[last]
    closed = rest > 0
    pairs = np.stack([starts - before, ends - starts], axis=1).ravel().astype(np.int32)
    counts = np.insert(pairs, 2 * (last[closed] + 1), rest[closed])
    offsets = np.append(0, np.cumsum(2 * (last - first + 1) + closed)).astype(np.int32)
    lists = pa.ListArray.from_arrays(offsets, counts)
    sides = [pa.array(np.full(len(first), side, np.int32)) for side in shape]
    return pa.StructArray.from_arrays([*sides, lists], fields=list(RLE))


def checked_ids(ids: npt.ArrayLike) -> npt.NDArray[Any]:
    """An array of ids, proven to be one.

    Raises
    ------
    BitmapError
        It is not two-dimensional, not of integers, or an id does not fit.
    """
    array = np.asarray(ids)
    if array.ndim != 2 or array.dtype.kind not in "biu":
        raise BitmapError(f"Expected (height, width) integer ids, got {array.dtype} of shape {array.shape}")
    if array.size and (array.max() > MAX_ID or array.min() < 0):
        row, column = np.argwhere((array < 0) | (array > MAX_ID))[0]
        raise BitmapError(f"Expected ids from 0 to {MAX_ID}, got {array[row, column]} - at row {row}, column {column}")
    return array
