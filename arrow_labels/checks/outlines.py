"""What the points of vectors measure, on the flat arrays of all their vertices.

A million outlines have tens of millions of vertices: they are looked at in pieces whose arrays stay in the processor's
caches.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from arrow_labels.checks.crossings import ROUNDING, Flags, Floats, Outlines, crossing, total

_PIECE: Final = 1 << 17
"""Vertices that are looked at together."""
_KINDS: Final = {"bbox": 1, "polygon": 2, "polyline": 3}


def measures(points: pl.Series, types: pl.Series) -> pl.DataFrame:
    """What rules ask of points, one row each.

    Parameters
    ----------
    points : Series
        list<struct<x, y, z: float64>>.
    types : Series
        The `type` of each.

    Returns
    -------
    DataFrame
        `vertices`; `is_flat` (no vertex has a z); `is_finite` (every vertex has an x and a y, and no number is infinite
        or NaN); `is_swapped` (of a bbox: the first corner is not the upper left one); `has_area` (of a bbox and a
        polygon with vertices enough, and true for all others); `repeats` (of a polygon and polyline: the place of the
        first vertex that equals the one after it); `crosses` (of a polygon: two of its edges have more in common than
        a corner); `xmin`, `ymin`, `xmax`, `ymax`.
    """
    counts = points.list.len().fill_null(0).cast(pl.Int64).to_numpy()
    kinds = types.replace_strict(_KINDS, default=0, return_dtype=pl.Int8).to_numpy()
    ends = np.cumsum(counts)
    cuts = np.searchsorted(ends, np.arange(_PIECE, int(counts.sum()) + _PIECE, _PIECE))
    cuts = np.unique(np.concatenate([[0], cuts, [len(counts)]]))
    pieces = [_piece(points[start:stop], counts[start:stop], kinds[start:stop]) for start, stop in pairwise(cuts)]
    return pl.concat([_piece(points.clear(), counts[:0], kinds[:0]), *pieces])


def _piece(points: pl.Series, counts: npt.NDArray[np.int64], kinds: npt.NDArray[np.int8]) -> pl.DataFrame:
    vertices = points.explode(empty_as_null=False, keep_nulls=False).struct.unnest()
    x, y, z = (vertices[axis].fill_null(np.nan).to_numpy() for axis in "xyz")
    outlines = Outlines.of(x, y, counts)
    high = ~np.isnan(z) if vertices["z"].null_count() < len(z) else np.zeros(len(z), bool)
    bad = ~(np.isfinite(x) & np.isfinite(y)) | np.isinf(z)
    bad |= np.isnan(z) & vertices["z"].is_not_null().to_numpy()
    finite = total(bad, outlines) == 0
    box, ring, line = kinds == _KINDS["bbox"], kinds == _KINDS["polygon"], kinds == _KINDS["polyline"]
    corners = box & (counts == 2)
    first, last = outlines.starts[corners], outlines.starts[corners] + 1
    swapped = np.zeros(len(counts), bool)
    has_area = np.ones(len(counts), bool)
    crosses = np.zeros(len(counts), bool)
    with np.errstate(invalid="ignore", over="ignore"):
        swapped[corners] = (x[first] > x[last]) | (y[first] > y[last])
        has_area[corners] = (x[first] != x[last]) & (y[first] != y[last])
        rings = ring & (counts > 2)
        filled = np.where(high, z, 0.0)
        areas = _areas(outlines, filled, bool(high.any()))
        has_area[rings] = (areas.max(axis=0) > 0)[rings]
        repeats = _repeats(outlines, z, ring, line)
        seen = _faced(outlines, filled, areas.argmax(axis=0)) if len(areas) > 1 else outlines
        crosses[:] = crossing(seen, rings & (counts > 3) & finite & has_area)
        limits = {
            f"{axis}{name}": _limit(values, outlines, minimum)
            for name, minimum in (("min", True), ("max", False))
            for axis, values in (("x", x), ("y", y))
        }
    return pl.DataFrame(
        {
            "vertices": counts,
            "is_flat": total(high, outlines) == 0,
            "is_finite": finite,
            "is_swapped": swapped & finite,
            "has_area": has_area | ~finite,
            "repeats": repeats,
            "crosses": crosses,
            **limits,
        }
    )


def _areas(outlines: Outlines, z: Floats, in_space: bool) -> Floats:
    """The areas of rings as they are seen along z and, in space, along x and y; 0 for what rounding may leave.

    Taken together are all triangles from the first vertex to an edge, whichever way round they go.
    """
    axes = [outlines.x, outlines.y, *([z] if in_space else [])]
    steps = [axis - axis[outlines.first] for axis in axes]
    size, extent = (np.abs(np.stack(each)).sum(axis=0) for each in (axes, steps))
    noise = ROUNDING * _limit(size, outlines, minimum=False) * total(extent, outlines)
    found = []
    for a, b in ((0, 1), (1, 2), (2, 0)) if in_space else ((0, 1),):
        cross = steps[a] * steps[b][outlines.after] - steps[a][outlines.after] * steps[b]
        area = total(np.abs(cross), outlines)
        found.append(np.where(area > noise, area, 0.0))
    return np.stack(found)


def _faced(outlines: Outlines, z: Floats, widest: npt.NDArray[np.int64]) -> Outlines:
    """Outlines as they are seen from where their area is the widest: of an upright one, above shows only noise."""
    side, (x, y) = widest[outlines.owner], outlines[:2]
    return outlines._replace(x=np.choose(side, [x, y, z]), y=np.choose(side, [y, z, x]))


def _repeats(outlines: Outlines, z: Floats, ring: Flags, line: Flags) -> pl.Series:
    """The place of the first vertex that equals the next one; of a ring the last one's next is the first."""
    equal = (outlines.x == outlines.x[outlines.after]) & (outlines.y == outlines.y[outlines.after])
    places = np.flatnonzero(equal)
    after, owner = outlines.after[places], outlines.owner[places]
    same_z = (z[places] == z[after]) | (np.isnan(z[places]) & np.isnan(z[after]))
    open_end = after == outlines.starts[owner]
    counts = same_z & (ring[owner] | (line[owner] & ~open_end)) & (outlines.counts[owner] > 1)
    owners, firsts = np.unique(owner[counts], return_index=True)
    found = np.full(len(outlines.counts), -1)
    found[owners] = places[counts][firsts] - outlines.starts[owners]
    return pl.Series(found, dtype=pl.Int64).replace(-1, None)


def _limit(values: Floats, outlines: Outlines, minimum: bool) -> Floats:
    """The least or greatest value of each outline; NaN of one without vertices, or where a value is NaN."""
    found = np.full(len(outlines.counts), np.nan)
    some = outlines.counts > 0
    if some.any():
        found[some] = (np.minimum if minimum else np.maximum).reduceat(values, outlines.starts[some])
    return found
