import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from generate import release

import arrow_labels as al


@pytest.fixture(scope="module")
def tables() -> al.LabelTables:
    return al.decode_labels([release("multisensor-sequence", seed=2)])


def test_access(tables: al.LabelTables) -> None:
    assert tables.names == tuple(al.SCHEMAS)
    assert tables["cuboids"] is tables.cuboids
    assert dict(tables).keys() == al.SCHEMAS.keys()
    assert "cuboids" in tables
    assert "boxes" not in tables
    assert tables.nbytes == sum(table.nbytes for _, table in tables)
    with pytest.raises(KeyError, match="Expected one of datasets"):
        tables["boxes"]
    with pytest.raises(dataclasses.FrozenInstanceError):
        tables.cuboids = None  # type: ignore[misc]


@pytest.mark.parametrize("given", ["release.json", None, ["release.json"], 3])
@pytest.mark.parametrize(
    "call",
    [
        al.check_labels,
        al.encode_labels,
        al.read_masks,
        lambda given: al.compare_labels(al.LabelTables(), given),
        lambda given: al.to_datasets(given, "cuboids"),
        lambda given: al.write_parquet(given, "memory://wrong"),
        lambda given: al.write_release(given, "memory://wrong.json"),
    ],
)
def test_what_is_no_tables_is_refused(call: Any, given: Any) -> None:
    with pytest.raises(al.SchemaError, match="Expected `LabelTables`.*, got `(str|NoneType|list|int)`"):
        call(given)


@pytest.mark.parametrize("given", ["release.json", None])
@pytest.mark.parametrize("write", [al.write_delta, partial(al.write_delta, partition_by=["labelset"]), al.write_lance])
def test_a_lake_refuses_what_is_no_tables(write: Any, given: Any, tmp_path: Path) -> None:
    with pytest.raises(al.SchemaError, match="Expected `LabelTables`.*, got `(str|NoneType)`"):
        write(given, tmp_path / "lake")
    assert not (tmp_path / "lake").exists()


@pytest.mark.parametrize("name", al.SCHEMAS)
def test_columns_that_have_nothing_but_nulls(tables: al.LabelTables, name: str) -> None:
    """As Polars gives them after `reverse`, and pandas."""
    turned = al.LabelTables(**{name: pl.DataFrame(tables[name]).reverse()})
    assert turned[name].schema == al.SCHEMAS[name]
    assert pl.DataFrame(turned[name]).reverse().equals(pl.DataFrame(tables[name]))
    nulls = pl.DataFrame({column: [None] for column in al.SCHEMAS[name].names})
    assert al.LabelTables(**{name: nulls})[name].column(0).null_count == 1


def test_concat(tables: al.LabelTables) -> None:
    both = al.LabelTables.concat([tables, tables])
    assert all(both[name].num_rows == 2 * table.num_rows for name, table in tables)
    assert al.LabelTables.concat([]) == al.LabelTables()
    assert al.LabelTables.concat([tables]) == tables


def test_annotations_are_those_of_the_three_tables(tables: al.LabelTables) -> None:
    rows = tables.annotations.collect()
    assert rows.height == tables.segments.num_rows + tables.vectors.num_rows + tables.cuboids.num_rows
    assert rows["category"].null_count() == 0
    assert isinstance(tables.annotations, pl.LazyFrame)


def test_shown(tables: al.LabelTables) -> None:
    assert f"cuboids         {tables.cuboids.num_rows:>12,}" in repr(tables)
    html = tables._repr_html_()
    assert all(f"<td>{name}</td>" in html for name in tables.names)


def test_other_libraries_take_the_tables(tables: al.LabelTables) -> None:
    assert pl.from_arrow(tables.cuboids).height == tables.cuboids.num_rows  # type: ignore[union-attr]
    assert pl.DataFrame(tables.cuboids).height == tables.cuboids.num_rows
    assert pa.table(tables.cuboids).num_rows == tables.cuboids.num_rows
    assert tables.cuboids.to_pandas().shape == tables.cuboids.shape


def test_frames_become_tables(tables: al.LabelTables) -> None:
    for name, table in tables:
        frame = pl.DataFrame(table)
        for given in (frame, frame.to_arrow()):
            replaced = dataclasses.replace(tables, **{name: given})
            assert replaced == tables
            assert replaced[name].schema.equals(table.schema)


def test_instants_of_another_time_zone(tables: al.LabelTables) -> None:
    given = tables.datasets
    assert given["created_at"].null_count == 0
    moved = given["created_at"].cast(pa.timestamp("us", "America/New_York"))
    moved = given.set_column(given.schema.get_field_index("created_at"), "created_at", moved)
    replaced = dataclasses.replace(tables, datasets=moved)
    assert replaced == tables
    assert replaced.datasets.schema.equals(given.schema)


WRONG: dict[str, tuple[Any, str]] = {
    "no table": ([1], "Expected an Arrow table, got `list` - for table `links`"),
    "a column is missing": (
        al.SCHEMAS["links"].empty_table().drop_columns(["to_id"]),
        "Expected column `to_id`, got none (one without values has nulls) - in table `links`",
    ),
    "a type is another": (
        al.SCHEMAS["links"].empty_table().set_column(3, "from_id", pa.array([], pa.int32())),
        "Expected column `from_id` of type `int64`, got `int32` - in table `links`",
    ),
    "a column too many": (
        al.SCHEMAS["links"].empty_table().append_column("more", pa.array([], pa.int32())),
        "Expected no column `more`",
    ),
    "another order": (
        al.SCHEMAS["links"].empty_table().select(al.SCHEMAS["links"].names[::-1]),
        "Expected columns in the order sample_id",
    ),
}


@pytest.mark.parametrize(("table", "message"), WRONG.values(), ids=WRONG)
def test_wrong_tables(table: Any, message: str) -> None:
    with pytest.raises(al.SchemaError) as error:
        al.LabelTables(links=table)
    assert message in str(error.value)
