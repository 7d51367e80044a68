"""How many pixels two masks share, for many pairs of run lengths at once."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

Integers = npt.NDArray[np.int64]

_PIECE: Final = 1 << 22
"""Runs that are looked at together."""


def shared_pixels(one: pl.Series, two: pl.Series) -> Integers:
    """The pixels that are in both masks of each pair.

    Parameters
    ----------
    one, two : Series
        Lists of run lengths of images of one size, column-major, the first run counts zeros; no nulls.

    Returns
    -------
    array of int64
    """
    sizes = (one.list.len() + two.list.len()).cast(pl.Int64).cum_sum().to_numpy()
    cuts = np.searchsorted(sizes, np.arange(_PIECE, (sizes[-1] if len(sizes) else 0) + _PIECE, _PIECE))
    cuts = np.unique(np.concatenate([[0], cuts, [len(one)]]))
    found = [_shared(one[start:stop], two[start:stop]) for start, stop in pairwise(cuts)]
    return np.concatenate([np.zeros(0, np.int64), *found])


def _shared(one: pl.Series, two: pl.Series) -> Integers:
    pairs, edges, steps = zip(*(_edges(masks) for masks in (one, two)), strict=True)
    pair, edge, step = (np.concatenate(parts) for parts in (pairs, edges, steps))
    order = np.lexsort((edge, pair))
    pair, edge = pair[order], edge[order]
    covered = np.cumsum(step[order])  # All masks end, so that it is 0 again at the end of each pair.
    lengths = np.where(covered[:-1] == 2, np.diff(edge), 0) if len(edge) else np.zeros(0)
    return np.bincount(pair[:-1], lengths, minlength=len(one)).astype(np.int64)


def _edges(masks: pl.Series) -> tuple[Integers, Integers, Integers]:
    """Where masks begin and end: the place of the mask, the pixel, and 1 or -1."""
    counts = masks.list.len().cast(pl.Int64).to_numpy()
    runs = masks.explode(empty_as_null=False, keep_nulls=False).cast(pl.Int64).to_numpy()
    owner = np.repeat(np.arange(len(counts)), counts)
    starts = np.cumsum(counts) - counts
    total = np.cumsum(runs)
    before = np.where(starts > 0, total[np.maximum(starts, 1) - 1], 0) if len(runs) else starts
    end = total - before[owner]
    inside = (np.arange(len(runs)) - starts[owner]) % 2 == 1
    first, last, of_mask = (end - runs)[inside], end[inside], owner[inside]
    ones = np.ones(len(first), np.int64)
    return np.concatenate([of_mask, of_mask]), np.concatenate([first, last]), np.concatenate([ones, -ones])
