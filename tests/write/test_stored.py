"""Parquet tables some samples at a time: the same rows, and the same release, as of all at once."""

import json
import logging
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pytest
from generate import TASK_TYPES, release
from hypothesis import given, settings
from hypothesis import strategies as st
from json_equal import difference
from strategies import releases

import arrow_labels as al
from arrow_labels.schema import KEYS

PLACE = "memory://stored/out"
TWO = al.decode_labels([release("multisensor-sequence", samples=3)])


def written(parts: Any) -> bytes:
    al.write_release(parts, "memory://stored/release.json")
    content: bytes = fsspec.filesystem("memory").cat("/stored/release.json")
    return content


def samples_of(part: al.LabelTables) -> set[str]:
    return {name for table in KEYS for name in part[table]["sample_id"].to_pylist()}


def check_parts(place: str, batch_bytes: int) -> list[al.LabelTables]:
    """The parts of stored tables, compared with the whole."""
    parts = list(al.iter_parquet(place, batch_bytes=batch_bytes))
    whole = al.read_parquet(place)
    assert al.LabelTables.concat(parts) == whole
    seen: set[str] = set()
    for part in parts:
        assert not seen & samples_of(part)
        seen |= samples_of(part)
    assert written(parts) == written(iter(parts)) == written(whole)
    return parts


@settings(max_examples=60, deadline=None)
@given(releases(), st.integers(1, 30), st.sampled_from((1, 3_000, 10_000, 1 << 30)))
def test_parts_are_the_whole(document: dict[str, Any], group: int, batch_bytes: int) -> None:
    tables = al.decode_labels([document])
    al.write_parquet(tables, PLACE, mode="overwrite", row_group_rows=group)
    parts = check_parts(PLACE, batch_bytes)
    if batch_bytes == 1:
        assert len(parts) == max(1, len(samples_of(tables)))
    if batch_bytes == 1 << 30:
        assert len(parts) == 1


@pytest.mark.parametrize("task_type", TASK_TYPES)
def test_labels_without_a_release(task_type: str, tmp_path: Path) -> None:
    """The rows of a sample are together in every table, whatever file they are in."""
    document = release(task_type, samples=4)
    labels = [sample["labels"]["ground-truth"] for sample in document["dataset"]["samples"]]
    al.convert_labels(labels, tmp_path / "out", task_type=task_type, workers=1)
    assert len(check_parts(str(tmp_path / "out"), 1)) == 4


def test_after_updates(tmp_path: Path) -> None:
    document = release("pointcloud-cuboid-sequence", samples=5)
    al.convert_labels(document, tmp_path / "out")
    labels = [sample["labels"] for sample in document["dataset"]["samples"]]
    del labels[2]["ground-truth"]["attributes"]["frames"][0]["annotations"][:1]
    document["dataset"]["samples"].append(release("pointcloud-cuboid-sequence", samples=6)["dataset"]["samples"][5])
    al.update_parquet(document, tmp_path / "out", removed="delete")
    assert al.read_parquet(tmp_path / "out") == al.decode_labels([document])
    assert len(check_parts(str(tmp_path / "out"), 1)) == 6


def test_size_of_parts() -> None:
    tables = al.decode_labels([release("pointcloud-cuboid-sequence", samples=30)])
    al.write_parquet(tables, PLACE, mode="overwrite", row_group_rows=50)
    parts = check_parts(PLACE, 100_000)
    assert len(parts) > 3
    # What a sample of these has at most comes on top, and rows are taken to be as large as those of the first group.
    assert all(part.nbytes < 200_000 for part in parts)


@pytest.mark.parametrize("table", [name for name in KEYS if len(set(TWO[name]["sample_id"].to_pylist())) > 1])
def test_rows_out_of_order(table: str, caplog: pytest.LogCaptureFixture) -> None:
    """What cannot be divided is one part, and says so."""
    rows = TWO[table].num_rows
    tables = al.LabelTables(**{**dict(TWO), table: TWO[table].take([*range(1, rows), 0])})
    al.write_parquet(tables, PLACE, mode="overwrite")
    with caplog.at_level(logging.INFO):
        parts = list(al.iter_parquet(PLACE, batch_bytes=1))
    assert parts == [tables]
    assert "the rows of a sample do not stand together, or not in order" in caplog.text
    assert difference(json.loads(written(parts)), json.loads(written(TWO))) is None


def test_samples_in_the_order_of_their_index() -> None:
    """Not of their rows: parts are in the order in which a release is written."""
    samples = TWO.samples.set_column(
        TWO.samples.column_names.index("sample_index"), "sample_index", pa.array([2, 1, 0], pa.int64())
    )
    tables = al.LabelTables(**{**dict(TWO), "samples": samples})
    al.write_parquet(tables, PLACE, mode="overwrite")
    assert len(check_parts(PLACE, 1)) == 1


def test_some_tables() -> None:
    al.write_parquet(TWO, PLACE, mode="overwrite")
    parts = list(al.iter_parquet(PLACE, tables=["cuboids", "datasets"], batch_bytes=1))
    assert len(parts) == 3
    found = al.LabelTables.concat(parts)
    assert found == al.LabelTables(cuboids=TWO.cuboids, datasets=TWO.datasets)
    (only,) = al.iter_parquet(PLACE, tables=["categories"])
    assert only == al.LabelTables(categories=TWO.categories)


def test_no_rows() -> None:
    al.write_parquet(al.LabelTables(), PLACE, mode="overwrite")
    assert list(al.iter_parquet(PLACE)) == [al.LabelTables()]


def test_what_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(al.TargetError, match="Expected a folder of tables, got nothing"):
        al.iter_parquet(tmp_path / "no")
    al.write_parquet(TWO, tmp_path / "out")
    with pytest.raises(ValueError, match="^tables: expected names out of"):
        al.iter_parquet(tmp_path / "out", tables=["balls"])
    with pytest.raises(ValueError, match="^batch_bytes: expected a positive number, got 0"):
        al.iter_parquet(tmp_path / "out", batch_bytes=0)


def test_tables_that_are_replaced_in_between(tmp_path: Path) -> None:
    al.write_parquet(TWO, tmp_path / "out")
    parts = al.iter_parquet(tmp_path / "out", batch_bytes=1)
    next(parts)
    al.write_parquet(TWO, tmp_path / "out", mode="overwrite")
    with pytest.raises(al.TargetError):
        al.write_release(parts, tmp_path / "release.json")
    assert not list(tmp_path.glob("*release*"))


def test_damage_is_found_where_it_is_read(tmp_path: Path) -> None:
    al.write_parquet(TWO, tmp_path / "out", row_group_rows=10)
    path = tmp_path / "out/cuboids/part-00000.parquet"
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(content[:middle] + bytes(64) + content[middle + 64 :])
    with pytest.raises(al.TargetError, match=r"Expected `cuboids/part-00000.parquet` to be Parquet that can be read"):
        list(al.iter_parquet(tmp_path / "out"))
