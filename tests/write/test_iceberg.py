"""Iceberg: field ids, what a snapshot says, and what other engines see."""

import os
from collections.abc import Iterator
from pathlib import Path

import duckdb
import polars as pl
import pyarrow.parquet as pq
import pytest
from generate import release
from pyiceberg.catalog import Catalog
from pyiceberg.catalog.sql import SqlCatalog

import arrow_labels as al
from arrow_labels.errors import TargetError
from arrow_labels.schema import DESCRIPTIONS, SCHEMAS
from arrow_labels.write.parts import Limits

TABLES = al.decode_labels([release("multisensor-sequence", samples=2)])


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    folder = tmp_path_factory.mktemp("iceberg")
    catalog = SqlCatalog("test", uri=f"sqlite:///{folder}/catalog.db", warehouse=f"file://{folder}/warehouse")
    al.write_iceberg(TABLES, catalog, ("labels", "drive"))
    yield catalog
    catalog.close()


def test_columns_have_ids_and_descriptions(catalog: Catalog) -> None:
    for name in SCHEMAS:
        table = catalog.load_table(("labels", "drive", name))
        fields = table.schema().fields
        assert [field.name for field in fields] == SCHEMAS[name].names
        assert [field.field_id for field in fields] == [*range(1, len(fields) + 1)]
        assert [field.doc for field in fields] == [*DESCRIPTIONS[name].values()]
        for task in table.scan().plan_files():
            stored = pq.read_schema(task.file.file_path.removeprefix("file://"))
            assert [int(field.metadata[b"PARQUET:field_id"]) for field in stored] == [*range(1, len(fields) + 1)]


@pytest.mark.parametrize("name", ["labels", "frames", "segments", "vectors", "cuboids", "samples"])
def test_engines_read_the_same_rows(name: str, catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "POLARS_ICEBERG_PLANNER", "pyiceberg")
    table = catalog.load_table(("labels", "drive", name))
    expected = pl.DataFrame(pl.from_arrow(TABLES[name]))
    files = [task.file.file_path for task in table.scan().plan_files()]
    found = {
        "polars": pl.scan_iceberg(table).collect(),
        "pyiceberg": pl.DataFrame(pl.from_arrow(table.scan().to_arrow())),
        "duckdb": pl.DataFrame(pl.from_arrow(duckdb.read_parquet(files).to_arrow_table())),
    }
    for engine, frame in found.items():
        assert frame.columns == expected.columns, engine
        assert counted(frame) == counted(expected), engine


def counted(frame: pl.DataFrame) -> list[str]:
    # pyiceberg makes an empty list of a null one of structs.
    lists = [name for name, type_ in frame.schema.items() if type_ == pl.List]
    filled = [pl.when(pl.col(name).list.len() > 0).then(pl.col(name)).alias(name) for name in lists]
    # DuckDB has another name for UTC.
    frame = frame.with_columns(*filled, pl.col(pl.Datetime).dt.convert_time_zone("UTC"))
    return sorted(map(repr, frame.rows()))


def test_a_snapshot_says_where_rows_come_from_and_how_many_there_are(catalog: Catalog) -> None:
    al.write_iceberg(TABLES, catalog, "labels.drive", mode="upsert")
    snapshots = catalog.load_table("labels.drive.cuboids").snapshots()
    assert len(snapshots) >= 2
    for snapshot in snapshots:
        assert snapshot.summary is not None
        assert snapshot.summary["arrow_labels.source"] == "<document 0>"
        assert snapshot.summary["arrow_labels.cuboids"] == str(TABLES.cuboids.num_rows)


def test_an_upsert_is_one_commit(catalog: Catalog) -> None:
    before = len(catalog.load_table("labels.drive.cuboids").metadata.metadata_log)
    al.write_iceberg(TABLES, catalog, "labels.drive", mode="upsert")
    assert len(catalog.load_table("labels.drive.cuboids").metadata.metadata_log) == before + 1


def test_large_tables_are_written_as_several_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("arrow_labels.write.iceberg._FILE_BYTES", 1)
    monkeypatch.setattr("arrow_labels.write.iceberg._LIMITS", Limits(rows=50, bytes=1 << 20))
    catalog = SqlCatalog("test", uri=f"sqlite:///{tmp_path}/catalog.db", warehouse=f"file://{tmp_path}/warehouse")
    al.write_iceberg(TABLES, catalog, "labels")
    assert len([*catalog.load_table("labels.cuboids").scan().plan_files()]) == -(-TABLES.cuboids.num_rows // 50)
    assert al.read_iceberg(catalog, "labels") == TABLES
    catalog.close()


# --- bad input


def test_tables_with_partitions_are_refused(tmp_path: Path) -> None:
    catalog = SqlCatalog("test", uri=f"sqlite:///{tmp_path}/catalog.db", warehouse=f"file://{tmp_path}/warehouse")
    catalog.create_namespace("labels")
    with catalog.create_table("labels.labels", SCHEMAS["labels"]).update_spec() as spec:
        spec.add_identity("labelset")
    with pytest.raises(TargetError, match="Expected a table without partitions, got "):
        al.write_iceberg(TABLES, catalog, "labels", mode="append")
    catalog.close()


def test_a_catalog_that_is_not_configured() -> None:
    with pytest.raises(
        TargetError, match="Expected a catalog of the configuration of pyiceberg, got .* - at `nowhere`"
    ):
        al.write_iceberg(TABLES, "nowhere", "labels")
