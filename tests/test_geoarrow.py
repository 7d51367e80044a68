"""GeoArrow geometries, read by shapely through geopandas, and by DuckDB."""

import json
import sys
from typing import Any

import duckdb
import geopandas as gpd
import numpy as np
import polars as pl
import pyarrow as pa
import pytest
import shapely
from generate import TASK_TYPES, release
from hypothesis import given, settings
from strategies import releases

import arrow_labels as al
from arrow_labels.schema import SCHEMAS

KINDS = {"point": "point", "polyline": "linestring", "polygon": "polygon", "bbox": "box"}
TABLES = al.LabelTables.concat(al.decode_labels([release(task, samples=1, frames=3)]) for task in TASK_TYPES)


def table(*shapes: tuple[str, list[list[float]] | None]) -> pa.Table:
    """Vectors of types and points."""
    annotations = [{"id": 1, "category_id": 0, "type": type_, "points": points} for type_, points in shapes]
    vectors = al.decode_labels([{"annotations": annotations}]).vectors
    lists = [
        None if points is None else [dict(zip("xyz", (*p, None), strict=False)) for p in points] for _, points in shapes
    ]
    place = vectors.schema.get_field_index("points")
    return vectors.set_column(place, "points", pa.array(lists, SCHEMAS["vectors"].field("points").type))


def shapes(vectors: pa.Table, kind: str, **options: Any) -> list[Any]:
    """The geometries of a kind, as shapely has them."""
    return list(gpd.GeoDataFrame.from_arrow(al.to_geoarrow(vectors, **options)[kind]).geometry)


def expected(row: dict[str, Any]) -> Any:
    """The geometry of a vector, made one at a time."""
    points = [(p["x"], p["y"]) if p["z"] is None else (p["x"], p["y"], p["z"]) for p in row["points"]]
    if row["type"] == "point":
        return shapely.Point(points[0])
    if row["type"] == "polyline":
        return shapely.LineString(points)
    if row["type"] == "polygon":
        return shapely.Polygon(points)
    return shapely.box(*shapely.MultiPoint(points).bounds)


@pytest.mark.parametrize("task_type", ["vector", "bboxes", "keypoints", "image-vector-sequence", "pointcloud-vector"])
def test_geometries_are_those_of_shapely(task_type: str) -> None:
    vectors = al.decode_labels([release(task_type, samples=2, frames=4)]).vectors
    assert vectors.num_rows > 0
    frame = pl.from_arrow(vectors)
    assert isinstance(frame, pl.DataFrame)
    assert {kind: rows.num_rows for kind, rows in al.to_geoarrow(frame).items()} == {
        kind: rows.num_rows for kind, rows in al.to_geoarrow(vectors).items()
    }
    for type_, kind in KINDS.items():
        rows = [row for row in vectors.to_pylist() if row["type"] == type_]
        options = {"boxes": "polygon"} if type_ == "bbox" else {}
        if type_ == "bbox":
            [kind, vectors] = ["polygon", vectors.filter(pa.array([t == "bbox" for t in vectors["type"].to_pylist()]))]
        found = shapes(vectors, kind, **options)
        assert len(found) == len(rows)
        for shape, row in zip(found, rows, strict=True):
            assert shape.equals(expected(row))
            assert shape.has_z is (row["points"][0]["z"] is not None)
            assert shape.is_valid


def test_other_columns_stay() -> None:
    found = al.to_geoarrow(TABLES.vectors)
    assert sum(rows.num_rows for rows in found.values()) == TABLES.vectors.num_rows
    for type_, kind in KINDS.items():
        rows = found[kind].drop_columns(["geometry"])
        frame = pl.DataFrame(TABLES.vectors).filter(pl.col("type") == type_).drop("points")
        assert pl.DataFrame(rows).equals(frame)
        assert found[kind].column_names == [n if n != "points" else "geometry" for n in TABLES.vectors.column_names]
        found[kind].validate(full=True)


def test_polygons_are_closed_once() -> None:
    triangle = [[0.0, 0.0], [4.0, 0.0], [4.0, 3.0]]
    vectors = table(("polygon", triangle), ("polygon", [*triangle, triangle[0]]), ("polygon", []), ("polygon", None))
    [one, two, empty, null] = shapes(vectors, "polygon")
    assert list(one.exterior.coords) == list(two.exterior.coords) == [tuple(p) for p in [*triangle, triangle[0]]]
    assert one.area == 6
    assert empty.is_empty
    assert null is None


def test_flat_polygons_beside_deep_ones_are_closed_once() -> None:
    flat = [[0.0, 0.0], [4.0, 0.0], [4.0, 4.0], [0.0, 4.0]]
    deep = [[0.0, 0.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 1.0]]
    vectors = table(("polygon", [*flat, flat[0]]), ("polygon", flat), ("polygon", deep), ("polygon", [*deep, [0, 0]]))
    rings = al.to_geoarrow(vectors)["polygon"]["geometry"].combine_chunks().storage
    assert [len(ring) for [ring] in rings.to_pylist()] == [5, 5, 4, 5]


def test_few_vertices_make_rings_too() -> None:
    vectors = table(("polygon", [[1.0, 2.0]]), ("polygon", [[1.0, 2.0], [3.0, 4.0]]), ("polygon", [[1.0, 2.0]] * 2))
    assert [list(shape.exterior.coords) for shape in shapes(vectors, "polygon")] == [
        [(1, 2)] * 4,
        [(1, 2), (3, 4), (1, 2), (1, 2)],
        [(1, 2)] * 4,
    ]


def test_boxes_do_not_mind_swapped_corners() -> None:
    vectors = table(("bbox", [[30.0, 5.0], [10.0, 25.0]]), ("bbox", []), ("bbox", None), ("bbox", [[1.0, 2.0]]))
    found = al.to_geoarrow(vectors)["box"]["geometry"]
    assert found.type.extension_name == "geoarrow.box"
    boxes = [row and tuple(row.values()) for row in found.combine_chunks().storage.to_pylist()]
    assert boxes == [(10, 5, 30, 25), None, None, (1, 2, 1, 2)]
    bounds = pl.DataFrame(vectors).select(pl.col("points").labels.bounds()).unnest("points").drop("zmin", "zmax")
    assert boxes[0] == bounds.row(0)
    mixed = pa.concat_tables([table(("polygon", [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])), vectors])
    [polygon, box, empty, null, dot] = shapes(mixed, "polygon", boxes="polygon")
    assert (polygon.area, box.area, box.bounds, dot.area) == (0.5, 400, (10, 5, 30, 25), 0)
    assert empty.is_empty
    assert null is None
    assert al.to_geoarrow(mixed, boxes="polygon")["box"].num_rows == 0


def test_depth() -> None:
    vectors = table(
        ("polyline", [[0, 0, 1], [1, 1, 2]]), ("polyline", [[0, 0], [1, 1]]), ("bbox", [[0, 0, 5], [1, 1, 3]])
    )
    [deep, flat] = shapes(vectors, "linestring")
    assert list(deep.coords) == [(0, 0, 1), (1, 1, 2)]
    assert np.isnan(shapely.get_coordinates(flat, include_z=True)[:, 2]).all()
    [box] = al.to_geoarrow(vectors)["box"]["geometry"].combine_chunks().storage.to_pylist()
    assert box == {"xmin": 0, "ymin": 0, "zmin": 3, "xmax": 1, "ymax": 1, "zmax": 5}
    assert [shape.has_z for shape in shapes(table(("point", [[1, 2]]), ("point", [])), "point")] == [False, False]


def test_no_rows() -> None:
    for vectors in (SCHEMAS["vectors"].empty_table(), TABLES.vectors.slice(0, 0)):
        found = al.to_geoarrow(vectors)
        assert {kind: rows.num_rows for kind, rows in found.items()} == dict.fromkeys(KINDS.values(), 0)


@settings(max_examples=60)
@given(releases())
def test_any_release(document: dict[str, Any]) -> None:
    vectors = al.decode_labels([document]).vectors
    single = [row["type"] != "point" or len(row["points"] or []) < 2 for row in vectors.to_pylist()]
    if not all(single):
        with pytest.raises(al.SchemaError, match="Expected one vertex in a point, got"):
            al.to_geoarrow(vectors)
    vectors = vectors.filter(pa.array(single, pa.bool_()))
    for kind, rows in al.to_geoarrow(vectors).items():
        rows.validate(full=True)
        types = [type_ for type_, geometry in KINDS.items() if geometry == kind]
        wanted = [row for row in vectors.to_pylist() if row["type"] in types]
        geometry = rows["geometry"].combine_chunks().storage
        assert [value is None for value in geometry.to_pylist()] == [
            row["points"] is None or (kind == "box" and not row["points"]) for row in wanted
        ]
        if kind == "linestring":
            numbers = [[[p["x"], p["y"]] for p in points or []] for points in geometry.to_pylist()]
            points = [[[np.nan if p[a] is None else p[a] for a in "xy"] for p in row["points"] or []] for row in wanted]
            np.testing.assert_array_equal(json.dumps(numbers), json.dumps(points))


def test_duckdb_takes_them_as_geometries() -> None:
    frame = gpd.GeoDataFrame.from_arrow(al.to_geoarrow(TABLES.vectors, boxes="polygon")["polygon"])
    with duckdb.connect() as connection:
        connection.register("polygons", pa.table(frame.to_arrow(geometry_encoding="WKB")))
        found = connection.execute("SELECT typeof(geometry), geometry::TEXT FROM polygons").fetchall()
    assert {kind for kind, _ in found} == {"GEOMETRY"}
    for shape, (_, text) in zip(frame.geometry, found, strict=True):
        assert shapely.from_wkt(text).equals(shape)


def test_views_and_slices_are_taken() -> None:
    whole = al.to_geoarrow(TABLES.vectors)["polygon"]
    for vectors in (al.to_extension(TABLES.vectors), pl.DataFrame(TABLES.vectors).to_arrow()):
        found = al.to_geoarrow(vectors)["polygon"]
        # As text, in which NaN is NaN.
        assert str(found["geometry"].to_pylist()) == str(whole["geometry"].to_pylist())
        assert found["id"].equals(whole["id"])
    parts = [
        al.to_geoarrow(TABLES.vectors.slice(start, 5))["polygon"] for start in range(0, TABLES.vectors.num_rows, 5)
    ]
    texts = [shapely.to_wkt(gpd.GeoDataFrame.from_arrow(part).geometry.array) for part in parts if part.num_rows]
    assert sum(map(len, texts)) == whole.num_rows


def test_what_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="boxes: expected 'box' or 'polygon', got 'wkb'"):
        al.to_geoarrow(TABLES.vectors, boxes="wkb")  # type: ignore[arg-type]
    with pytest.raises(al.SchemaError, match="Expected a pyarrow table or a Polars DataFrame, got `LazyFrame`"):
        al.to_geoarrow(pl.LazyFrame())  # type: ignore[arg-type]
    with pytest.raises(al.SchemaError, match="Expected column `points`, got sample_id"):
        al.to_geoarrow(TABLES.cuboids)
    with pytest.raises(al.SchemaError, match="Expected column `points` of type .*, got `int64`"):
        al.to_geoarrow(pa.table({"type": ["bbox"], "points": [1]}))
    with pytest.raises(al.SchemaError, match="Expected one vertex in a point, got 2 - in row 1 of the points"):
        al.to_geoarrow(table(("point", [[1.0, 2.0]]), ("bbox", []), ("point", [[1.0, 2.0]] * 2)))
    monkeypatch.setitem(sys.modules, "geoarrow.types", None)
    with pytest.raises(al.MissingExtraError, match=r"geoarrow-types is not installed: .*'arrow-labels\[geoarrow\]'"):
        al.to_geoarrow(TABLES.vectors)
