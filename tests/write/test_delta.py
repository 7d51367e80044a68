"""Delta: partitions, what a commit says, and what other engines see."""

import re
from pathlib import Path
from typing import Any

import deltalake
import duckdb
import polars as pl
import pyarrow as pa
import pytest
from generate import release

import arrow_labels as al
from arrow_labels.errors import SchemaError, TargetError
from arrow_labels.schema import SCHEMAS

TABLES = al.decode_labels([release("multisensor-sequence", samples=2)])


@pytest.fixture
def lake(tmp_path: Path) -> str:
    al.write_delta(TABLES, tmp_path / "lake")
    return str(tmp_path / "lake")


@pytest.mark.parametrize("name", ["labels", "frames", "segments", "vectors", "cuboids", "samples"])
def test_engines_read_the_same_rows(name: str, lake: str) -> None:
    expected = pl.DataFrame(pl.from_arrow(TABLES[name]))
    table = deltalake.DeltaTable(f"{lake}/{name}")
    dataset = table.to_pyarrow_dataset()
    found = {
        "polars": pl.scan_delta(f"{lake}/{name}").collect(),
        "pyarrow": pl.DataFrame(pl.from_arrow(dataset.to_table())),
        "duckdb": pl.DataFrame(pl.from_arrow(duckdb.sql("SELECT * FROM dataset").to_arrow_table())),
    }
    for engine, frame in found.items():
        assert frame.columns == expected.columns, engine
        assert counted(frame) == counted(expected), engine


def counted(frame: pl.DataFrame) -> list[str]:
    # DuckDB has another name for UTC.
    return sorted(map(repr, frame.with_columns(pl.col(pl.Datetime).dt.convert_time_zone("UTC")).rows()))


def test_a_commit_says_where_rows_come_from_and_how_many_there_are(lake: str) -> None:
    al.write_delta(TABLES, lake, mode="upsert")
    for commit in deltalake.DeltaTable(f"{lake}/cuboids").history():
        assert commit["arrow_labels.source"] == "<document 0>"
        assert commit["arrow_labels.cuboids"] == str(TABLES.cuboids.num_rows)
        assert commit["arrow_labels.labels"] == str(TABLES.labels.num_rows)
        assert "arrow_labels.links" in commit or not TABLES.links.num_rows


def test_every_write_is_one_commit_a_table(lake: str) -> None:
    for version, mode in enumerate(("append", "overwrite", "upsert"), start=1):
        al.write_delta(TABLES, lake, mode=mode)
        assert deltalake.DeltaTable(f"{lake}/cuboids").version() == version
        assert deltalake.DeltaTable(f"{lake}/labels").version() == version


def test_a_merge_of_a_label_leaves_the_files_of_others_as_they_are(tmp_path: Path) -> None:
    """What is replaced is found by key, not by a scan that writes all anew."""
    first, second = (TABLES.cuboids.filter(pa.array(mask)) for mask in split(TABLES.cuboids))
    al.write_delta(al.LabelTables(cuboids=first), tmp_path)
    al.write_delta(al.LabelTables(cuboids=second), tmp_path, mode="append")
    before = {*deltalake.DeltaTable(tmp_path / "cuboids").file_uris()}
    al.write_delta(al.LabelTables(cuboids=second), tmp_path, mode="upsert")
    after = {*deltalake.DeltaTable(tmp_path / "cuboids").file_uris()}
    assert len(before & after) == 1
    assert counted(pl.DataFrame(pl.from_arrow(al.read_delta(tmp_path).cuboids))) == counted(
        pl.DataFrame(pl.from_arrow(TABLES.cuboids))
    )


def split(table: pa.Table) -> tuple[list[bool], list[bool]]:
    ids = table["sample_id"].to_pylist()
    first = min(ids)
    return [sample == first for sample in ids], [sample != first for sample in ids]


def test_order_comes_back_from_files_that_were_compacted(lake: str) -> None:
    al.write_delta(TABLES, lake, mode="upsert")
    deltalake.DeltaTable(f"{lake}/cuboids").optimize.z_order(["x"])
    assert al.read_delta(lake) == TABLES


# --- partitions


def test_partitions(tmp_path: Path) -> None:
    al.write_delta(TABLES, tmp_path, partition_by=["labelset", "dataset"])
    al.write_delta(TABLES, tmp_path, mode="upsert")
    assert al.read_delta(tmp_path) == TABLES
    divided = {name: deltalake.DeltaTable(tmp_path / name).metadata().partition_columns for name in SCHEMAS}
    assert divided["cuboids"] == ["labelset"]
    assert divided["samples"] == ["dataset"]
    assert divided["cameras"] == []
    with pytest.raises(TargetError, match="Expected a table divided by labelset, got one divided by nothing|dataset"):
        al.write_delta(TABLES, tmp_path, mode="append", partition_by="labelset")


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("labelsett", "partition_by: expected a column of the tables, got 'labelsett'"),
        ("points", "partition_by: expected a column of text, integers, bool or time, got 'points'"),
        ("x", "partition_by: expected a column of text, integers, bool or time, got 'x'"),
        (["labelset", "labelset"], "partition_by: expected each column once, got 'labelset' again"),
    ],
)
def test_columns_that_cannot_divide(column: str | list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        al.write_delta(TABLES, tmp_path, partition_by=column)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("in_parts", [False, True])
@pytest.mark.parametrize("text", ["", "__HIVE_DEFAULT_PARTITION__"])
def test_text_that_stands_for_null_cannot_divide(text: str, in_parts: bool, tmp_path: Path) -> None:
    tables = al.decode_labels([{"labelset": text, "sample_uuid": "s", "attributes": {"annotations": []}}])
    assert tables.labels["labelset"].to_pylist() == [text]
    given: Any = iter([tables]) if in_parts else tables
    with pytest.raises(SchemaError, match="Expected no text that Delta keeps as null in `labelset`"):
        al.write_delta(given, tmp_path, partition_by="labelset")
    al.write_delta(tables, tmp_path)
    assert al.read_delta(tmp_path) == tables


# --- bad input


def test_a_folder_of_parquet_tables_is_refused(tmp_path: Path) -> None:
    al.write_parquet(TABLES, tmp_path / "out")
    for place in (tmp_path / "out", (tmp_path / "out").as_uri()):
        with pytest.raises(TargetError, match="Expected a Delta table or nothing, got Parquet files"):
            al.write_delta(TABLES, place, mode="overwrite")
    assert al.read_parquet(tmp_path / "out") == TABLES


@pytest.mark.parametrize("place", ["x[y", "x]y", "x|y", "x^y", "x\\y", "x%20y/z", "x%2Fy"])
def test_paths_that_deltalake_cannot_take(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "link").symlink_to(tmp_path / place)
    found = next(part for part in ("[", "]", "|", "^", "\\", "%20", "%2F") if part in place)
    expected = rf"^Expected a place that deltalake can take, got `{re.escape(found)}` .* use another folder$"
    path = tmp_path / place
    for uri in (path, str(path), path.as_uri(), path.as_uri().replace("://", ":"), tmp_path / "link"):
        with pytest.raises(TargetError, match=expected):
            al.write_delta(iter([]), uri)
        with pytest.raises(TargetError, match=expected):
            al.read_delta(uri)
    assert [item.name for item in tmp_path.iterdir()] == ["link"]
    path.mkdir(parents=True)
    monkeypatch.chdir(path)
    with pytest.raises(TargetError, match=expected):
        al.write_delta(TABLES, "lake")
    assert not [*path.iterdir()]


@pytest.mark.parametrize("url", ["file://{}/x#y", "file://{}/x?y", "file://{}/x\\y", "s3://bucket/x[y", "s3://b/x#y"])
def test_urls_that_deltalake_cannot_take(url: str, tmp_path: Path) -> None:
    for call in (al.read_delta, lambda place: al.write_delta(TABLES, place)):
        with pytest.raises(TargetError, match=r"^Expected a place that deltalake can take, got `[\[#?\\]` "):
            call(url.format(tmp_path))
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("place", ["x y", "x#y?", "50%", "%zz", "{a}*<b>", "é"])
def test_other_paths_are_taken(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = al.decode_labels([{"annotations": []}])
    al.write_delta(tables, tmp_path / place)
    assert (tmp_path / place / "labels" / "_delta_log").is_dir()
    assert al.read_delta((tmp_path / place).as_uri()) == tables
    (tmp_path / "a[b]").symlink_to(tmp_path / place)
    assert al.read_delta(tmp_path / "a[b]") == tables


def test_a_place_that_is_no_path() -> None:
    with pytest.raises(TargetError, match="^Expected a path or URL, got embedded null byte - at 'a"):
        al.write_delta(TABLES, "a\0b")


def test_a_store_that_is_not_known(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="Expected a Delta table that can be read and written"):
        al.write_delta(TABLES, "nowhere://user:secret@host/lake")


def test_files_that_are_gone(lake: str) -> None:
    for file in Path(lake, "cuboids").glob("*.parquet"):
        file.unlink()
    with pytest.raises(TargetError, match="Expected a Delta table that can be read and written"):
        al.read_delta(lake)
