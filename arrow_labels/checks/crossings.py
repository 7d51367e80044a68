"""Rings that cross or touch themselves, many at once.

Two quick proofs come first. A ring that goes round its middle once, always the same way, is seen whole from there and
cannot cross itself: most outlines of objects are like that. Of all others the edges are sorted along x, or along y
where that keeps them further apart, and each is compared with those behind it that begin before it ends.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

ROUNDING: Final = 4 * 2.0**-52
"""More than what rounding does to a product of differences, relative to the sizes of what is subtracted."""

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]


class Outlines(NamedTuple):
    """Outlines one behind the other.

    For each outline where it starts and how many vertices it has; for each vertex its coordinates, its outline, the
    first vertex of that, and the one after it, which is the first one after the last one.
    """

    x: Floats
    y: Floats
    starts: Places
    counts: Places
    owner: Places
    first: Places
    after: Places

    @classmethod
    def of(cls, x: Floats, y: Floats, counts: Places) -> Outlines:
        """Outlines of coordinates and counts."""
        starts = np.cumsum(counts) - counts
        owner = np.repeat(np.arange(len(counts)), counts)
        first = starts[owner]
        after = np.arange(1, len(x) + 1)
        some = counts > 0
        after[starts[some] + counts[some] - 1] = starts[some]
        return cls(x, y, starts, counts, owner, first, after)

    def where(self, chosen: Flags) -> Outlines:
        """Some of the outlines."""
        kept = chosen[self.owner]
        return Outlines.of(self.x[kept], self.y[kept], self.counts[chosen])


def total(values: npt.NDArray[Any], outlines: Outlines) -> Floats:
    """The sum of what the vertices of each outline have."""
    if values.dtype == bool:
        return np.bincount(outlines.owner[values], minlength=len(outlines.counts)).astype(np.float64)
    found = np.zeros(len(outlines.counts))
    some = outlines.counts > 0
    if some.any():
        found[some] = np.add.reduceat(values, outlines.starts[some])
    return found


def crossing(outlines: Outlines, chosen: Flags) -> Flags:
    """Which of the chosen rings have two edges with more in common than the corner between them.

    Parameters
    ----------
    outlines : Outlines
        The vertices of chosen rings are finite.
    chosen : bool array
        Which outlines are rings to look at.
    """
    found = np.zeros(len(chosen), bool)
    open_ = np.flatnonzero(chosen)
    rings = outlines.where(chosen)
    doubtful = ~_is_star(rings)
    open_, rings = open_[doubtful], rings.where(doubtful)
    rings = _without_repeats(rings)
    found[open_] = _has_spike(rings) | _has_crossing(rings)
    return found


def _is_star(rings: Outlines) -> Flags:
    """Whether all of a ring is seen from the mean of its vertices."""
    if not len(rings.counts):
        return np.zeros(0, bool)
    x, y = (axis - (total(axis, rings) / rings.counts)[rings.owner] for axis in (rings.x, rings.y))
    left, right = x * y[rings.after], x[rings.after] * y
    turn = left - right
    certain = np.abs(turn) > ROUNDING * (np.abs(left) + np.abs(right))
    turn = np.where(certain, turn, 0.0)
    one_way = (np.minimum.reduceat(turn, rings.starts) > 0) | (np.maximum.reduceat(turn, rings.starts) < 0)
    rounds = total((y < 0) & (y[rings.after] >= 0), rings)
    star: Flags = one_way & (rounds == 1)
    return star


def _without_repeats(rings: Outlines) -> Outlines:
    """The rings without vertices that equal the one after them; they have an area, so that some are left."""
    kept = (rings.x != rings.x[rings.after]) | (rings.y != rings.y[rings.after])
    counts = np.bincount(rings.owner[kept], minlength=len(rings.counts))
    return Outlines.of(rings.x[kept], rings.y[kept], counts)


def _has_spike(rings: Outlines) -> Flags:
    """Whether an edge goes back on the one before it."""
    x, y, after = rings.x, rings.y, rings.after
    then = after[after]
    straight = _side(x, y, x[after], y[after], x[then], y[then]) == 0
    ahead = (x[after] - x) * (x[then] - x[after]) + (y[after] - y) * (y[then] - y[after])
    return total(straight & (ahead < 0), rings) > 0


def _has_crossing(rings: Outlines) -> Flags:
    """Whether two edges that are not neighbours have a point in common."""
    found = np.zeros(len(rings.counts), bool)
    ends = [(axis, axis[rings.after]) for axis in (rings.x, rings.y)]
    low = [np.minimum(start, end) for start, end in ends]
    high = [np.maximum(start, end) for start, end in ends]
    # Along the axis on which edges are shorter, compared with all of the ring, fewer of them overlap.
    spread = []
    for least, greatest in zip(low, high, strict=True):
        extent = total(greatest - least, rings)
        spread.append(extent / _extent(least, greatest, rings))
    by_x = (spread[0] <= spread[1])[rings.owner]
    begin, end = np.where(by_x, low[0], low[1]), np.where(by_x, high[0], high[1])
    below, above = np.where(by_x, low[1], low[0]), np.where(by_x, high[1], high[0])
    order = np.lexsort((begin, rings.owner))
    begin, end, below, above = begin[order], end[order], below[order], above[order]
    owner = rings.owner[order]
    active, lag = np.arange(len(order)), 0
    while len(active):
        lag += 1
        active = active[active + lag < len(order)]
        other = active + lag
        goes_on = (owner[other] == owner[active]) & (begin[other] <= end[active]) & ~found[owner[active]]
        active, other = active[goes_on], other[goes_on]
        near = (below[other] <= above[active]) & (below[active] <= above[other])
        one, two = order[active[near]], order[other[near]]
        apart = (rings.after[one] != two) & (rings.after[two] != one)
        one, two = one[apart], two[apart]
        found[rings.owner[one[_meet(rings, one, two)]]] = True
    return found


def _extent(low: Floats, high: Floats, rings: Outlines) -> Floats:
    if not len(rings.counts):
        return np.zeros(0)
    return np.maximum.reduceat(high, rings.starts) - np.minimum.reduceat(low, rings.starts)


def _meet(rings: Outlines, one: Places, two: Places) -> Flags:
    """Whether two edges whose boxes overlap have a point in common."""
    x, y, after = rings.x, rings.y, rings.after
    a, b, c, d = one, after[one], two, after[two]
    sides = [_side(x[p], y[p], x[q], y[q], x[r], y[r]) for p, q, r in ((a, b, c), (a, b, d), (c, d, a), (c, d, b))]
    return (sides[0] * sides[1] <= 0) & (sides[2] * sides[3] <= 0)


def _side(px: Floats, py: Floats, qx: Floats, qy: Floats, rx: Floats, ry: Floats) -> Floats:
    """On which side of the line from p to q the point r is: 1, -1, or 0 on it, as far as rounding lets one say."""
    left, right = (qx - px) * (ry - py), (qy - py) * (rx - px)
    side = left - right
    return np.sign(np.where(np.abs(side) > ROUNDING * (np.abs(left) + np.abs(right)), side, 0.0))
