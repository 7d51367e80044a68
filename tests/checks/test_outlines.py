"""What points measure, against shapely."""

import numpy as np
import polars as pl
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from arrow_labels.checks import outlines
from arrow_labels.checks.outlines import measures

POINTS = pl.List(pl.Struct(dict.fromkeys("xyz", pl.Float64)))
Ring = list[tuple[float, float]]


def measured(rings: list[Ring], kind: str = "polygon", z: list[float] | None = None) -> pl.DataFrame:
    rows = [[{"x": x, "y": y, "z": None if z is None else z[place]} for place, (x, y) in enumerate(r)] for r in rings]
    return measures(pl.Series(rows, dtype=POINTS), pl.Series([kind] * len(rings), dtype=pl.String))


@settings(max_examples=120)
@given(st.lists(st.lists(st.tuples(*[st.integers(0, 6).map(float)] * 2), min_size=3, max_size=9), max_size=5))
def test_a_ring_is_valid_where_shapely_says_so(rings: list[Ring]) -> None:
    """On a small grid vertices coincide, lie on edges, and edges on each other."""
    found = measured(rings)
    valid = found["has_area"] & ~found["crosses"]
    assert valid.to_list() == [bool(shapely.Polygon(ring).is_valid) for ring in rings]


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e5])
def test_random_outlines(scale: float) -> None:
    """Wiggly rings around a middle: stars, which are simple, and those with some vertices moved across."""
    rng = np.random.default_rng(0)
    rings: list[Ring] = []
    for _ in range(400):
        count = rng.integers(4, 60)
        angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
        radius = rng.uniform(0.05, 1, count)
        ring = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1) + rng.uniform(-0.6, 0.6, 2)
        moved = rng.integers(count, size=rng.integers(0, 3))
        ring[moved] += rng.uniform(-0.5, 0.5, (len(moved), 2))
        rings.append([(float(x), float(y)) for x, y in scale * ring])
    found = measured(rings)["crosses"].to_list()
    assert found == [not shapely.Polygon(ring).is_valid for ring in rings]
    assert 0.1 < np.mean(found) < 0.9


def test_a_ring_of_many_vertices() -> None:
    """A comb: edges along y overlap all others along y, and few along x; and one that crosses at its far end."""
    teeth = 2000
    x = np.repeat(np.arange(teeth), 2)
    y = np.tile([1.0, 100.0, 100.0, 1.0], teeth // 2)
    ring = [*zip(x.tolist(), y.tolist(), strict=True), (float(teeth), 1.0), (float(teeth), 0.0), (0.0, 0.0)]
    turned = [(b, a) for a, b in ring]
    broken = [*ring[:-3], (float(teeth), 1.0), (float(teeth - 2.5), 50.0), (float(teeth), 0.0), (0.0, 0.0)]
    assert measured([ring, turned, broken])["crosses"].to_list() == [False, False, True]


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("tip", [1.5, 2.0, 2.5])
@pytest.mark.parametrize("spike", ["steep", "slanted"])
def test_a_spike_that_reaches_an_edge(spike: str, turns: int, tip: float) -> None:
    """Short of it, on it, and beyond, from each side; and of an edge that begins beyond the foot of the spike."""
    steep = [(0, 0), (2, 0), (2, 4), (0, 4), (0, 3), (tip, 2), (0, 1)]
    wide = [(4, 5), (0.2, 4.8), (3.8, 4.6), (0.2, 4.4), (3.8, 4.2)]
    slanted = [(0, 0), (1.5, 0), (2, tip), (2.5, 0), (4, 0), *wide, (3, 2.5), (1, 1.5), (0, 5)]
    ring = np.array(steep if spike == "steep" else slanted, float)
    ring = ring @ np.linalg.matrix_power(np.array([[0, 1], [-1, 0]]), turns)
    flipped = ring * [1, -1]
    for each in (ring, ring[::-1], flipped):
        found = measured([[(float(x), float(y)) for x, y in each]])
        assert found["crosses"].to_list() == [tip >= 2] == [not shapely.Polygon(each).is_valid]


def test_pieces_are_put_together(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    rings = [[(float(x), float(y)) for x, y in rng.integers(0, 5, (rng.integers(0, 8), 2))] for _ in range(100)]
    whole = measured(rings)
    monkeypatch.setattr(outlines, "_PIECE", 5)
    assert measured(rings).equals(whole)
    assert len(whole) == 100


def test_walls_have_an_area() -> None:
    """Seen along z a wall is a line; it is looked at from its side."""
    wall = [(0.0, 0.0), (4.0, 0.0), (4.0, 0.0), (0.0, 0.0)]
    found = measured([wall], z=[0.0, 0.0, 2.0, 2.0])
    assert found.select("has_area", "crosses", "is_flat").rows() == [(True, False, False)]
    assert measured([wall]).select("has_area").item() is False


@settings(max_examples=40)
@given(st.lists(st.lists(st.tuples(*[st.floats(allow_subnormal=False)] * 2), max_size=6), max_size=4))
def test_any_points_can_be_measured(rings: list[Ring]) -> None:
    for kind in ("bbox", "polygon", "polyline", "point", "other"):
        found = measured(rings, kind)
        assert found["vertices"].to_list() == [len(ring) for ring in rings]
        finite = [bool(np.isfinite(ring).all()) for ring in rings]
        assert found["is_finite"].to_list() == finite


def test_null_points() -> None:
    rows = pl.Series([None, [{"x": 1.0, "y": None, "z": None}], [None]], dtype=POINTS)
    found = measures(rows, pl.Series(["polygon", "point", "point"]))
    assert found["vertices"].to_list() == [0, 1, 1]
    assert found["is_finite"].to_list() == [True, False, False]
