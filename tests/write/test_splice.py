"""Row groups in other files: the same rows, whatever reads them."""

import io
from pathlib import Path
from typing import Any

import duckdb
import fsspec
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from generate import TASK_TYPES, release
from hypothesis import given, settings
from hypothesis import strategies as st

import arrow_labels as al
from arrow_labels.schema import SCHEMAS
from arrow_labels.write.splice import Footer, file_bytes, read_footer, write_spliced

LOCAL = fsspec.filesystem("file")
TABLES = [al.decode_labels([release(name)]) for name in TASK_TYPES]


def footer(path: Path) -> Footer:
    return read_footer(file_bytes(LOCAL, str(path)), path.stat().st_size)


def write(table: pa.Table, path: Path, **options: Any) -> list[pa.Table]:
    """Write a table; its row groups as they can be read."""
    pq.write_table(table, path, **options)
    with pq.ParquetFile(path) as file:
        found = [file.read_row_group(number) for number in range(file.num_row_groups)]
    return [group for group in found if group.num_rows]


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_table(name: str, tmp_path: Path) -> None:
    tables = [item[name] for item in TABLES]
    groups, expected = [], []
    for number, table in enumerate(tables):
        path = tmp_path / f"{number}.parquet"
        found = write(table, path, row_group_size=20, compression=("zstd", "snappy", "none")[number % 3])
        groups += footer(path).groups[::-1]
        expected += found[::-1]
    with (tmp_path / "out.parquet").open("wb") as sink:
        size = write_spliced(sink, groups, footer(tmp_path / "0.parquet"))
    path = tmp_path / "out.parquet"
    assert size == path.stat().st_size
    whole = pa.concat_tables(expected) if expected else pq.read_table(tmp_path / "0.parquet")
    with pq.ParquetFile(path) as file:
        assert file.schema_arrow.equals(whole.schema, check_metadata=True)
        assert file.num_row_groups == len(expected)
        for number, table in enumerate(expected):
            assert file.read_row_group(number).equals(table)
    frame = pl.from_arrow(whole)
    assert isinstance(frame, pl.DataFrame)
    assert pl.read_parquet(path).equals(frame)
    assert pl.scan_parquet(path).collect(engine="streaming").equals(frame)
    assert len(duckdb.sql(f"SELECT * FROM read_parquet('{path}')")) == whole.num_rows


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_any_row_groups_in_any_order(data: st.DataObject) -> None:
    memory = fsspec.filesystem("memory")
    kept, expected = [], []
    metas = []
    for number in range(data.draw(st.integers(1, 3))):
        rows = data.draw(st.integers(0, 60))
        table = pa.table(
            {
                "key": pa.array([f"{number} {row // 7}" for row in range(rows)], pa.string()),
                "ids": pa.array([list(range(row % 5)) or None for row in range(rows)], pa.list_(pa.int32())),
                "x": pa.array([row / 3 if row % 4 else None for row in range(rows)], pa.float64()),
            }
        )
        buffer = io.BytesIO()
        options = {"write_page_index": data.draw(st.booleans()), "use_dictionary": data.draw(st.booleans())}
        pq.write_table(table, buffer, row_group_size=data.draw(st.integers(1, 20)), **options)
        memory.pipe_file(f"/splice/{number}", buffer.getvalue())
        found = read_footer(file_bytes(memory, f"/splice/{number}"), len(buffer.getvalue()))
        metas.append(found)
        file = pq.ParquetFile(buffer)
        for group in found.groups:
            assert group.is_whole != options["write_page_index"]
            if group.is_whole:
                kept.append(group)
                expected.append(file.read_row_group(group.number))
        assert len(found.groups) == file.num_row_groups or rows == 0
    order = data.draw(st.permutations(range(len(kept))))
    order = order[: data.draw(st.integers(0, len(order)))]
    sink = io.BytesIO()
    assert write_spliced(sink, (kept[place] for place in order), metas[0]) == len(sink.getvalue())
    sink.seek(0)
    found_table = pq.read_table(sink)
    wanted = [expected[place] for place in order]
    assert found_table.equals(pa.concat_tables([found_table.schema.empty_table(), *wanted]))
    # What was spliced can be spliced again.
    memory.pipe_file("/splice/again", sink.getvalue())
    again = read_footer(file_bytes(memory, "/splice/again"), len(sink.getvalue()))
    second = io.BytesIO()
    write_spliced(second, again.groups, again)
    assert second.getvalue() == sink.getvalue()


def test_what_is_no_parquet(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"PAR1 and more")
    with pytest.raises(ValueError, match="Expected a Parquet file"):
        footer(path)
