"""Bounds, area, length and centroid of points, against shapely and exact fractions."""

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from arrow_labels.errors import SchemaError
from arrow_labels.expressions.points import area, bounds, centroid, length, vertex_count

POINTS = pl.List(pl.Struct(dict.fromkeys("xyz", pl.Float64)))
METHODS: dict[str, Callable[[pl.Expr], pl.Expr]] = {
    "vertex_count": vertex_count,
    "bounds": bounds,
    "area": area,
    "length": length,
    "closed length": lambda points: length(points, closed=True),
    "centroid": centroid,
}
Vertices = Sequence[Sequence[float | None]]

coordinates = st.floats(-1000, 1000).map(lambda value: round(value, 6))
rings = st.lists(st.tuples(coordinates, coordinates), min_size=1, max_size=12)
offsets = st.sampled_from([0.0, 5e5, -4.5e6])


def column(*shapes: Vertices | None) -> pl.DataFrame:
    """Each shape a row of points; a vertex of two numbers has no z."""
    rows = [shape and [dict(zip("xyz", (*vertex, None)[:3], strict=True)) for vertex in shape] for shape in shapes]
    return pl.DataFrame({"points": [[] if row == () else row for row in rows]}, {"points": POINTS})


def found(method: Callable[..., pl.Expr], *shapes: Vertices | None, **options: Any) -> list[Any]:
    return column(*shapes).select(method(pl.col("points"), **options))["points"].to_list()


def stars(count: int, seed: int, offset: float) -> list[npt.NDArray[np.float64]]:
    """Polygons that do not cross themselves: vertices in the order of their angle about a point."""
    random = np.random.default_rng(seed)
    shapes = []
    for _ in range(count):
        angle = np.sort(random.uniform(-np.pi, np.pi, random.integers(3, 30)))
        radius = random.uniform(0.5, 20, len(angle))
        shapes.append(np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1) + offset)
    return shapes


@pytest.mark.parametrize("offset", [0.0, 5e5])
def test_polygons_agree_with_shapely(offset: float) -> None:
    shapes = stars(200, 1, offset)
    near = [shape - offset for shape in shapes]  # exact, and where shapely is exact too
    polygons = [shapely.Polygon(shape) for shape in near]
    places = [shape.tolist() for shape in shapes]
    assert found(area, *places) == pytest.approx([polygon.area for polygon in polygons], rel=1e-9, abs=1e-9)
    assert found(length, *places, closed=True) == pytest.approx([polygon.length for polygon in polygons], rel=1e-12)
    lines = [shapely.LineString(shape).length for shape in near]
    assert found(length, *places) == pytest.approx(lines, rel=1e-12)
    for polygon, centre, box in zip(polygons, found(centroid, *places), found(bounds, *places), strict=True):
        expected = (polygon.centroid.x + offset, polygon.centroid.y + offset)
        assert (centre["x"], centre["y"]) == pytest.approx(expected, rel=0, abs=1e-8)
        assert centre["z"] is None
        limits = [value - offset for value in (box["xmin"], box["ymin"], box["xmax"], box["ymax"])]
        assert limits == list(polygon.bounds)
        assert box["zmin"] is box["zmax"] is None


def exact(ring: Vertices) -> tuple[Fraction, list[Fraction]]:
    """Twice the signed area, and the centre times three times that, in fractions."""
    vertices = [[Fraction(number) for number in vertex if number is not None] for vertex in ring]
    crosses = [a[0] * b[1] - b[0] * a[1] for a, b in zip(vertices, vertices[1:] + vertices[:1], strict=True)]
    pairs = list(zip(crosses, vertices, vertices[1:] + vertices[:1], strict=True))
    return sum(crosses, Fraction()), [sum((c * (a[k] + b[k]) for c, a, b in pairs), Fraction()) for k in range(2)]


@given(rings, offsets)
def test_any_ring_agrees_with_fractions(ring: list[tuple[float, float]], offset: float) -> None:
    ring = [(x + offset, y - offset) for x, y in ring]
    twice, weighted = exact(ring)
    size = max(max(abs(x - ring[0][0]), abs(y - ring[0][1])) for x, y in ring)
    [got] = found(area, ring)
    if len(ring) == 2:
        assert got == abs((ring[1][0] - ring[0][0]) * (ring[1][1] - ring[0][1]))
    else:
        assert got == pytest.approx(float(abs(twice)) / 2, rel=0, abs=1e-13 * size**2)
    [centre] = found(centroid, ring)
    if size > 0.01 and abs(twice) > 1e-4 * size**2:
        expected = [float(value / (3 * twice)) for value in weighted]
        # how much a ring that crosses itself enlarges what rounding leaves
        assert [centre["x"], centre["y"]] == pytest.approx(expected, rel=1e-15, abs=1e-7 * size)


@given(rings)
def test_direction_and_start_do_not_matter(ring: list[tuple[float, float]]) -> None:
    turned = [ring, ring[::-1], ring[len(ring) // 2 :] + ring[: len(ring) // 2]]
    for method in (area, lambda points: length(points, closed=True)):
        values = found(method, *turned)
        assert values == pytest.approx([values[0]] * 3, rel=1e-9, abs=1e-7)
    assert len({tuple(box.values()) for box in found(bounds, *turned)}) == 1


@given(st.lists(st.tuples(coordinates, coordinates, coordinates), max_size=12), st.booleans())
def test_length_in_space(line: list[tuple[float, float, float]], closed: bool) -> None:
    ends = [*line[1:], *(line[:1] if closed else [])]
    expected = sum(math.dist(a, b) for a, b in zip(line, ends, strict=False))
    assert found(length, line, closed=closed) == [pytest.approx(expected, rel=1e-12)]


@pytest.mark.parametrize(
    "corners",
    [[(10, 5), (30, 25)], [(30, 5), (10, 25)], [(10, 25), (30, 5)], [(30, 25), (10, 5)]],
)
def test_a_bounding_box_with_any_corners(corners: Vertices) -> None:
    assert found(area, corners) == [400.0]
    assert found(centroid, corners) == [{"x": 20.0, "y": 15.0, "z": None}]
    box = {"xmin": 10.0, "ymin": 5.0, "zmin": None, "xmax": 30.0, "ymax": 25.0, "zmax": None}
    assert found(bounds, corners) == [box]


def test_a_polygon_that_leans_has_its_centre_on_its_plane() -> None:
    ring = [(x, y, 3 * x - 2 * y + 7) for x, y in stars(1, 3, 1000.0)[0].tolist()]
    [centre] = found(centroid, ring)
    assert centre["z"] == pytest.approx(3 * centre["x"] - 2 * centre["y"] + 7, rel=1e-12)
    assert found(area, ring) == found(area, [vertex[:2] for vertex in ring])


@pytest.mark.parametrize("offset", [0.0, 5e5, 1e7])
def test_no_area_gives_the_mean_of_the_vertices(offset: float) -> None:
    line = [(offset + 0.1 * k, offset + 0.3 * k, 0.7 * k) for k in (0, 1, 2, 7)]
    wall = [
        (offset, offset, 0.0),
        (offset + 0.3, offset + 0.1, 0.0),
        (offset + 0.3, offset + 0.1, 5.0),
        (offset, offset, 5.0),
    ]
    eight = [(0.0, 0.0, 1.0), (2.0, 2.0, 1.0), (2.0, 0.0, 1.0), (0.0, 2.0, 1.0)]
    same = [(offset, 1.0, 2.0)] * 5
    for shape in (line, wall, eight, same):
        [centre] = found(centroid, shape)
        mean = np.mean([np.array(vertex) - shape[0] for vertex in shape], axis=0) + shape[0]
        assert list(centre.values()) == pytest.approx(mean.tolist(), rel=1e-15)


def test_counts() -> None:
    assert found(vertex_count, [(1, 2)] * 3, (), None) == [3, 0, None]
    assert column(()).select(vertex_count(pl.col("points"))).schema == {"points": pl.Int64}


def test_nothing() -> None:
    """Null points give null, an empty list has no bounds and no centre, and lengths and areas of 0."""
    for method, empty in [(bounds, None), (area, 0.0), (length, 0.0), (centroid, None)]:
        assert found(method, (), None) == [empty, None]
    assert str(found(length, ())[0]) == str(found(area, ())[0]) == "0.0"
    assert found(length, (), None, closed=True) == [0.0, None]
    assert found(length, [(3, 4)], closed=True) == [0.0]
    assert found(area, [(3, 4)]) == [0.0]
    assert found(centroid, [(3, 4)]) == [{"x": 3.0, "y": 4.0, "z": None}]


def test_null_coordinates() -> None:
    """A number that is not there makes null what needs it, and nothing else."""
    ring = [(0.0, 0.0, 1.0), (None, 0.0, 2.0), (4.0, 4.0, 3.0)]
    for method in (area, length, centroid):
        assert found(method, ring) == [None]
    assert found(bounds, ring) == [{"xmin": None, "ymin": 0.0, "zmin": 1.0, "xmax": None, "ymax": 4.0, "zmax": 3.0}]
    ring = [(0.0, 0.0, 1.0), (4.0, 0.0, None), (4.0, 4.0, 3.0)]
    assert found(length, ring) == [None]
    assert found(area, ring) == [8.0]
    assert found(centroid, ring)[0]["z"] is None
    assert found(centroid, ring)[0]["x"] == pytest.approx(8 / 3)
    whole = pl.DataFrame({"points": [[None, {"x": 1.0, "y": 1.0, "z": 1.0}]]}, {"points": POINTS})
    assert whole.select(area(pl.col("points"))).item() is None


def test_nan_stays_nan() -> None:
    ring = [(0.0, 0.0), (math.nan, 0.0), (4.0, 4.0)]
    assert math.isnan(found(area, ring)[0])
    assert math.isnan(found(length, ring)[0])
    assert math.isnan(found(centroid, ring)[0]["x"])
    box = found(bounds, ring)[0]
    assert math.isnan(box["xmin"])
    assert math.isnan(box["xmax"])
    assert (box["ymin"], box["ymax"]) == (0.0, 4.0)


def mixed() -> pl.DataFrame:
    shapes = [shape.tolist() for shape in stars(2000, 5, 100.0)]
    return column(None, (), [(1, 2, 3)], *shapes, [(1, 2), (3, 4)], [(None, 1)], None)


@pytest.mark.parametrize("name", METHODS)
def test_engines_agree(name: str) -> None:
    frame = mixed()
    query = METHODS[name](pl.col("points"))
    eager = frame.select(query)
    for engine in ("in-memory", "streaming"):
        assert eager.equals(frame.lazy().select(query).collect(engine=engine))
    for place in (0, 1, 5, -2):  # a frame of one row, where lists could be taken for literals
        assert frame[[place]].select(query).equals(eager[[place]])
    assert frame[:0].select(query).schema == eager.schema
    groups = frame.with_row_index().group_by("index", maintain_order=True).agg(query.first())
    assert groups["points"].equals(eager["points"])


@pytest.mark.parametrize("name", METHODS)
def test_the_plan_streams(name: str) -> None:
    query = mixed().lazy().with_columns(METHODS[name](pl.col("points")).alias("found"))
    plan = query.show_graph(engine="streaming", plan_stage="physical", raw_output=True, show=False)
    assert plan is not None
    assert [line.split('"')[1].split("\\n")[0] for line in plan.splitlines() if "[label=" in line] == [
        "with-columns",
        "in-memory-source",
    ]


@pytest.mark.parametrize("name", METHODS)
def test_extension_columns_and_names(name: str) -> None:
    method = METHODS[name]
    frame = mixed()
    extension = frame.select(pl.col("points").ext.to(pl.Extension("arrow_labels.points", POINTS, "")))
    expected = frame.select(method(pl.col("points")))
    assert extension.select(method(pl.col("points"))).equals(expected)
    named = frame.rename({"points": "shape"}).select(method(pl.col("shape")), other=method(pl.col("shape")))
    assert named.columns == ["shape", "other"]
    assert named["other"].equals(expected["points"])


@pytest.mark.parametrize("method", ["vertex_count", "bounds", "area", "length", "centroid"])
def test_columns_that_hold_no_points(method: str) -> None:
    frame = pl.DataFrame({"yaw": [0.5], "points": [None]})
    with pytest.raises(SchemaError, match="Expected a list of structs of x, y and z, got `Float64`"):
        frame.select(getattr(pl.col("yaw").labels, method)())
    assert frame.select(getattr(pl.col("points").labels, method)())["points"].to_list() == [None]
