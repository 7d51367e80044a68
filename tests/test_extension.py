"""The extension view: inverse, kept by every format, and harmless where it is not registered."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import lance
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from generate import TASK_TYPES, release
from hypothesis import given, settings
from polars.testing import assert_frame_equal
from strategies import releases

import arrow_labels as al
from arrow_labels.extension_dtypes import DTYPES, CuboidDtype, JsonDtype, PointIdsDtype, PointsDtype, RleDtype
from arrow_labels.extension_types import TYPES, CuboidType, LabelType, PointIdsType, RleType
from arrow_labels.schema import CUBOID_COLUMNS, DESCRIPTIONS, JSON_COLUMNS, SCHEMAS

RLES = [None, {"height": 2, "width": 3, "counts": [1, 3, 2]}, {"height": 0, "width": 0, "counts": []}]


def with_masks(tables: al.LabelTables) -> al.LabelTables:
    """The tables with run lengths."""
    segments = tables.segments
    rles = pa.array([RLES[row % 3] for row in range(segments.num_rows)], SCHEMAS["segments"].field("rle").type)
    place = segments.schema.get_field_index("rle")
    return al.LabelTables(**dict(tables) | {"segments": segments.set_column(place, "rle", rles)})


TABLES = with_masks(
    al.LabelTables.concat(al.decode_labels([release(task_type, samples=1)]) for task_type in TASK_TYPES)
)
NAMES = [name for name, table in TABLES if table.num_rows]


@pytest.fixture
def registered() -> Iterator[None]:
    al.register()
    yield
    al.unregister()


def extensions(schema: pa.Schema) -> dict[str, str]:
    """Which columns have which extension type."""
    return {field.name: field.type.extension_name for field in schema if isinstance(field.type, pa.BaseExtensionType)}


def same(found: Any, table: pa.Table) -> bool:
    """Whether a view holds a table's values, whatever the offsets of its lists."""
    stored = pa.table(al.to_storage(found))
    stored.validate(full=True)
    return stored.cast(table.schema).equals(table)


# --- the view


@pytest.mark.parametrize("name", SCHEMAS)
def test_view_and_storage_are_inverse(name: str) -> None:
    for table in (TABLES[name], TABLES[name].slice(1, 3), SCHEMAS[name].empty_table()):
        view = al.to_extension(table)
        view.validate(full=True)
        stored = al.to_storage(view)
        assert stored.equals(table, check_metadata=True)
        assert al.to_extension(view).equals(view)
        assert al.to_storage(stored).equals(stored)


@settings(max_examples=50)
@given(releases())
def test_view_and_storage_are_inverse_for_any_release(document: dict[str, Any]) -> None:
    tables = al.decode_labels([document])
    for _, table in tables:
        assert al.to_storage(al.to_extension(table)).equals(table, check_metadata=True)
        frame = pl.DataFrame(table)
        assert_frame_equal(al.to_storage(al.to_extension(frame)), frame)


def test_columns_of_the_view() -> None:
    found = {name: extensions(al.to_extension(table).schema) for name, table in TABLES}
    assert found["vectors"] == {
        "attributes": "arrow.json",
        "extra": "arrow.json",
        "points": "arrow_labels.points",
    }
    assert found["segments"] == {"attributes": "arrow.json", "extra": "arrow.json", "rle": "arrow_labels.rle"}
    assert found["frames"]["point_annotations"] == "arrow_labels.point_ids"
    assert found["cuboids"]["cuboid"] == "arrow_labels.cuboid"
    assert al.to_extension(TABLES.cuboids).column_names == [
        *[name for name in SCHEMAS["cuboids"].names if name not in CUBOID_COLUMNS][:-4],
        "cuboid",
        *SCHEMAS["cuboids"].names[-4:],
    ]
    assert al.to_extension(TABLES.labels).schema.metadata == TABLES.labels.schema.metadata


def test_json_columns_are_those_of_the_schema() -> None:
    kinds = ("JSON:", "JSON object", "JSON array", "JSON merge patch")
    described = {
        (table, name) for table, texts in DESCRIPTIONS.items() for name in texts if texts[name].startswith(kinds)
    }
    assert described == {(table, name) for table in SCHEMAS for name in SCHEMAS[table].names if name in JSON_COLUMNS}


def test_no_copy() -> None:
    before = pa.total_allocated_bytes()
    view = al.to_extension(TABLES.vectors)
    assert pa.total_allocated_bytes() == before
    points = view["points"].chunk(0).storage
    assert points.values.field("x").buffers()[1].address == (
        TABLES.vectors["points"].chunk(0).values.field("x").buffers()[1].address
    )


def test_only_columns_that_are_stored_so_are_viewed() -> None:
    table = pa.table({"points": [[1.0]], "extra": [1], "rle": ["a"], "x": [1.0], "y": [2.0], "sensors": ["{}"]})
    assert al.to_extension(table).equals(table)
    frame = pl.DataFrame(table)
    assert al.to_extension(frame).equals(frame)
    assert al.to_extension(frame.lazy()).collect().equals(frame)


def test_a_cuboid_and_its_fields_are_refused() -> None:
    table = TABLES.cuboids.append_column("cuboid", TABLES.cuboids["x"])
    view = al.to_extension(TABLES.cuboids).append_column("x", TABLES.cuboids["x"])
    for refused in (table, pl.DataFrame(table)):
        with pytest.raises(al.SchemaError, match="got both - in column `cuboid`"):
            al.to_extension(refused)
    for refused in (view, pl.DataFrame(view)):
        with pytest.raises(al.SchemaError, match="got both - in column `x`"):
            al.to_storage(refused)


def test_other_arguments_are_refused() -> None:
    for function in (al.to_extension, al.to_storage):
        with pytest.raises(al.SchemaError, match="Expected a pyarrow table or a Polars frame, got `list`"):
            function([])  # type: ignore[call-overload]


# --- scalars


def test_points_become_arrays() -> None:
    flat, deep = [[1, 2], [3, 4]], [[1, 2, 3], [4, 5, 6]]
    documents = [{"id": 1, "category_id": 0, "type": "polyline", "points": points} for points in (flat, deep, [])]
    view = al.to_extension(al.decode_labels([{"annotations": documents}]).vectors)
    found = [scalar.to_numpy() for scalar in view["points"]]
    np.testing.assert_array_equal(found[0], flat)
    np.testing.assert_array_equal(found[1], deep)
    type_ = view.schema.field("points").type
    odd = pa.array([[{"x": None, "y": 1.0, "z": None}, {"x": 0.0, "y": 1.0, "z": 2.0}], [], None], type_.storage_type)
    mixed, empty, null = (scalar.to_numpy() for scalar in pa.ExtensionArray.from_storage(type_, odd))
    np.testing.assert_array_equal(mixed, [[np.nan, 1, np.nan], [0, 1, 2]])
    assert empty.shape == (0, 2)
    assert null is None
    assert all(array.dtype == np.float64 for array in (*found[:2], mixed, empty))


def test_cuboids_become_numbers_and_corners() -> None:
    view = al.to_extension(TABLES.cuboids)
    stored = TABLES.cuboids.select(CUBOID_COLUMNS).to_pylist()
    assert [scalar.as_py() for scalar in view["cuboid"]] == stored
    expected = pl.DataFrame(TABLES.cuboids).labels.corners()["corners"].to_list()
    for scalar, row, corners in zip(view["cuboid"], stored, expected, strict=True):
        np.testing.assert_array_equal(scalar.to_numpy(), [np.nan if v is None else v for v in row.values()])
        np.testing.assert_array_equal(np.asarray(scalar, np.float32), scalar.to_numpy().astype(np.float32))
        np.testing.assert_allclose(scalar.corners(), [list(corner.values()) for corner in corners], atol=1e-12)


def test_rotations_of_corners() -> None:
    rows = [
        {"x": 5.0, "y": 6.0, "z": 7.0, "length": 4.0, "width": 2.0, "height": 1.0, "yaw": 0.3, **rotation}
        for rotation in (
            dict(zip(("qx", "qy", "qz", "qw"), numbers, strict=True))
            for numbers in [(0.1, -0.2, 0.5, 0.9), (0.0,) * 4, (1.0, 0.0, None, 0.0), (None,) * 4, (2.0, 0.0, 0.0, 2.0)]
        )
    ]
    frame = pl.DataFrame(rows, dict.fromkeys(CUBOID_COLUMNS, pl.Float64))
    expected = frame.labels.corners()["corners"].to_list()
    cuboids = al.to_extension(frame.to_arrow())["cuboid"]
    for scalar, corners in zip(cuboids, expected, strict=True):
        np.testing.assert_allclose(scalar.corners(), [list(corner.values()) for corner in corners], atol=1e-12)


def test_null_cuboids() -> None:
    nothing = pa.ExtensionArray.from_storage(CuboidType(), pa.nulls(1, CuboidType.STORAGE))
    assert nothing[0].to_numpy() is None
    assert nothing[0].corners() is None
    stored = al.to_storage(pa.table({"cuboid": nothing}))
    assert stored.to_pylist() == [dict.fromkeys(CUBOID_COLUMNS)]


def test_run_lengths_become_masks() -> None:
    found = [scalar.to_numpy() for scalar in al.to_extension(TABLES.segments)["rle"][:3]]
    assert found[0] is None
    np.testing.assert_array_equal(found[1], [[False, True, False], [True, True, False]])
    assert found[2].shape == (0, 0)
    wrong = pa.array([{"height": 2, "width": 2, "counts": [3]}], RleType.STORAGE)
    with pytest.raises(al.BitmapError, match="Expected counts that sum to 2 x 2"):
        pa.ExtensionArray.from_storage(RleType(), wrong)[0].to_numpy()


def test_point_ids_become_arrays() -> None:
    ids = pa.array([[1, 0, 70000], [], None], PointIdsType.STORAGE)
    some, empty, null = (scalar.to_numpy() for scalar in pa.ExtensionArray.from_storage(PointIdsType(), ids))
    np.testing.assert_array_equal(some, [1, 0, 70000])
    assert some.dtype == empty.dtype == np.int32
    assert empty.shape == (0,)
    assert null is None


# --- types


@pytest.mark.parametrize("type_", TYPES)
def test_types_are_equal_by_name_and_storage(type_: type[LabelType]) -> None:
    large = pl.DataFrame({"a": pa.nulls(1, type_.STORAGE)}).to_arrow().schema.field("a").type
    assert type_() == type_(type_.STORAGE)
    assert hash(type_()) == hash(type_(type_.STORAGE))
    assert type_.__arrow_ext_deserialize__(large, b"").storage_type == large
    assert (type_(large) == type_()) is (large == type_.STORAGE)
    assert all(type_() != other() for other in TYPES if other is not type_)
    with pytest.raises(al.SchemaError, match=f"Expected .* as storage of `{type_.NAME}`, got `int32`"):
        type_(pa.int32())


def test_equal_types_concatenate_and_others_do_not() -> None:
    one, two = (pa.array(values, pa.list_(pa.int32())) for values in ([[1, 2], None], [[], [3]]))
    both = pa.concat_tables(
        pa.table({"ids": pa.ExtensionArray.from_storage(PointIdsType(), ids)}) for ids in (one, two)
    ).combine_chunks()
    assert both["ids"].to_pylist() == [[1, 2], None, [], [3]]
    large = pa.ExtensionArray.from_storage(PointIdsType(pa.large_list(pa.int32())), two.cast(pa.large_list(pa.int32())))
    with pytest.raises(pa.ArrowInvalid, match="Schema at index 1 was different"):
        pa.concat_tables([pa.table({"ids": both["ids"]}), pa.table({"ids": large})])
    frames = pl.concat([pl.DataFrame({"ids": both["ids"]}), pl.DataFrame({"ids": large})])
    assert frames["ids"].ext.storage().to_list() == [[1, 2], None, [], [3], [], [3]]


@pytest.mark.usefixtures("registered")
def test_large_lists_from_polars_keep_their_values() -> None:
    """A type that takes its own storage for the one that is there reads 64-bit offsets as 32-bit ones."""
    for name, column in (("vectors", "points"), ("frames", "point_annotations"), ("segments", "rle")):
        view = al.to_extension(TABLES[name])
        through = pl.DataFrame(view).to_arrow()
        type_ = through.schema.field(column).type
        assert isinstance(type_, LabelType)
        assert type_.storage_type != view.schema.field(column).type.storage_type
        assert same(through, TABLES[name])
        plain = pl.DataFrame(view.select([column])).with_columns(pl.col(column).ext.storage()).to_arrow()
        assert al.to_storage(through)[column].to_pylist() == plain[column].to_pylist()


def test_the_trap_is_real() -> None:
    """Storage that is put together anew passes the validation, and has other values."""
    offsets = pa.py_buffer(np.array([0, 1, 2], np.int64))
    values = pa.array([7, 8], pa.int32())
    right = pa.Array.from_buffers(pa.large_list(pa.int32()), 2, [None, offsets], children=[values])
    wrong = pa.Array.from_buffers(pa.list_(pa.int32()), 2, [None, offsets], children=[values])
    wrong.validate(full=True)
    assert (wrong.to_pylist(), right.to_pylist()) == ([[], [7]], [[7], [8]])
    assert PointIdsType.__arrow_ext_deserialize__(right.type, b"").storage_type == right.type


# --- through formats and engines


def through_parquet(view: pa.Table, folder: Path) -> Any:
    pq.write_table(view, folder / "file.parquet")
    return pq.read_table(folder / "file.parquet")


def through_ipc(view: pa.Table, folder: Path) -> Any:
    pa.feather.write_feather(view, folder / "file.arrow", compression="zstd")
    return pa.feather.read_table(folder / "file.arrow")


def through_polars(view: pa.Table, folder: Path) -> Any:
    return pl.DataFrame(view).filter(pl.lit(True)).to_arrow()


def through_polars_lazy(view: pa.Table, folder: Path) -> Any:
    pq.write_table(view, folder / "file.parquet")
    return pl.scan_parquet(folder / "file.parquet").collect(engine="in-memory").to_arrow()


def through_polars_streaming(view: pa.Table, folder: Path) -> Any:
    pq.write_table(view, folder / "file.parquet")
    pl.scan_parquet(folder / "file.parquet").sink_parquet(folder / "sunk.parquet", engine="streaming")
    return pq.read_table(folder / "sunk.parquet")


def through_polars_rewrite(view: pa.Table, folder: Path) -> Any:
    pq.write_table(view, folder / "file.parquet")
    pl.read_parquet(folder / "file.parquet").write_parquet(folder / "again.parquet")
    pl.read_parquet(folder / "again.parquet").write_ipc(folder / "again.arrow")
    return pa.feather.read_table(folder / "again.arrow")


def through_lance(view: pa.Table, folder: Path) -> Any:
    return lance.write_dataset(view, str(folder / "file.lance")).to_table()


def as_values(way: Callable[[pa.Table, Path], pa.Table], found: pa.Table, table: pa.Table) -> tuple[pa.Table, pa.Table]:
    """What was found and what was expected; JSON by its values where Lance makes its own binary form of it."""
    found = al.to_storage(found)
    for name in JSON_COLUMNS if way is through_lance else ():
        if name in table.column_names:
            found, table = (
                replaced(each, name, [*map(sorted_json, each[name].to_pylist())]) for each in (found, table)
            )
    return found, table


def replaced(table: pa.Table, name: str, values: list[str | None]) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), name, pa.array(values, pa.string()))


def sorted_json(text: str | None) -> str | None:
    return None if text is None else json.dumps(json.loads(text), sort_keys=True)


THROUGH = [
    through_parquet,
    through_ipc,
    through_polars,
    through_polars_lazy,
    through_polars_streaming,
    through_polars_rewrite,
    through_lance,
]


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize("name", ["frames", "segments", "vectors", "cuboids", "attribute_specs"])
@pytest.mark.parametrize("way", THROUGH)
def test_views_come_back(way: Callable[[pa.Table, Path], pa.Table], name: str, tmp_path: Path) -> None:
    view = al.to_extension(TABLES[name])
    found = way(view, tmp_path)
    assert extensions(found.schema) == extensions(view.schema)
    assert same(*as_values(way, found, TABLES[name]))


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize("way", THROUGH)
def test_empty_views_come_back(way: Callable[[pa.Table, Path], pa.Table], tmp_path: Path) -> None:
    view = al.to_extension(TABLES.cuboids.slice(0, 0))
    found = way(view, tmp_path)
    assert extensions(found.schema) == extensions(view.schema)
    assert same(found, TABLES.cuboids.slice(0, 0))


@pytest.mark.parametrize("name", ["frames", "segments", "vectors", "cuboids", "attribute_specs"])
@pytest.mark.parametrize("way", THROUGH)
def test_views_that_are_not_registered_lose_no_value(
    way: Callable[[pa.Table, Path], pa.Table], name: str, tmp_path: Path
) -> None:
    found = way(al.to_extension(TABLES[name]), tmp_path)
    assert same(*as_values(way, found, TABLES[name]))
    assert not any(b"ARROW:extension:name" in (field.metadata or {}) for field in al.to_storage(found).schema)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("is_registered", [False, True])
def test_duckdb_sees_the_storage(name: str, is_registered: bool, request: pytest.FixtureRequest) -> None:
    if is_registered:
        request.getfixturevalue("registered")
    view = al.to_extension(TABLES[name])
    with duckdb.connect() as connection:
        connection.register("view", view)
        assert same(connection.sql("SELECT * FROM view").to_arrow_table(), TABLES[name])


# --- Polars


@pytest.mark.usefixtures("registered")
def test_polars_has_the_dtypes() -> None:
    frames = {name: pl.DataFrame(al.to_extension(table)) for name, table in TABLES}
    assert isinstance(frames["vectors"].schema["points"], PointsDtype)
    assert isinstance(frames["cuboids"].schema["cuboid"], CuboidDtype)
    assert isinstance(frames["segments"].schema["rle"], RleDtype)
    assert isinstance(frames["frames"].schema["point_annotations"], PointIdsDtype)
    assert isinstance(frames["labels"].schema["extra"], JsonDtype)
    for name, table in TABLES:
        frame = pl.DataFrame(table)
        assert al.to_extension(frame).equals(frames[name])
        assert al.to_extension(frame).schema == frames[name].schema
        lazy = al.to_extension(frame.lazy())
        assert isinstance(lazy, pl.LazyFrame)
        assert lazy.collect_schema() == frames[name].schema
        assert_frame_equal(al.to_storage(lazy).collect(engine="streaming"), frame)


@pytest.mark.usefixtures("registered")
def test_the_namespace_takes_the_view() -> None:
    view, frame = pl.DataFrame(al.to_extension(TABLES.cuboids)), pl.DataFrame(TABLES.cuboids)
    assert view.labels.corners()["corners"].equals(frame.labels.corners()["corners"])
    vectors = pl.DataFrame(al.to_extension(TABLES.vectors))
    area = pl.col("points").labels.area()
    assert vectors.select(area).equals(pl.DataFrame(TABLES.vectors).select(area))


# --- registration


def test_registering_twice_is_as_good_as_once() -> None:
    al.register()
    al.register()
    stream = pa.ipc.open_stream(serialized(al.to_extension(TABLES.cuboids)))
    assert isinstance(stream.schema.field("cuboid").type, CuboidType)
    al.unregister()
    al.unregister()
    stream = pa.ipc.open_stream(serialized(al.to_extension(TABLES.cuboids)))
    assert pa.types.is_struct(stream.schema.field("cuboid").type)
    assert all(pl.get_extension_type(dtype.NAME) is None for dtype in DTYPES)


def serialized(table: pa.Table) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return sink.getvalue()


def test_types_of_others_stay() -> None:
    class Other(pl.BaseExtension):
        pass

    pl.register_extension_type("arrow.json", Other)
    try:
        al.register()
        assert pl.get_extension_type("arrow.json") is Other
        al.unregister()
        assert pl.get_extension_type("arrow.json") is Other
    finally:
        pl.unregister_extension_type("arrow.json")


def test_an_import_registers_nothing() -> None:
    code = (
        "import json, arrow_labels, arrow_labels.extension, polars as pl, pyarrow as pa\n"
        "names = [f'arrow_labels.{name}' for name in ('points', 'cuboid', 'rle', 'point_ids')]\n"
        "def known(name):\n"
        "    try: pa.unregister_extension_type(name)\n"
        "    except pa.ArrowKeyError: return False\n"
        "    return True\n"
        "print(json.dumps([[known(name), pl.get_extension_type(name) is not None] for name in names]))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert json.loads(found) == [[False, False]] * 4
