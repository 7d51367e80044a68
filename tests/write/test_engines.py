"""What every engine sees: no table that we write makes one fail, or changes a value in it."""

import subprocess
import sys
import venv
from collections.abc import Callable, Iterator
from pathlib import Path

import datasets
import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from generate import TASK_TYPES, release

import arrow_labels as al
from arrow_labels.schema import KEYS, SCHEMAS

BIG = 2**53 + 1
"""Numbers that are not those of a float64."""


def all_kinds() -> al.LabelTables:
    """Releases of every task type, and rows of nulls and of values that break easily."""
    tables = al.LabelTables.concat(al.decode_labels([release(task, samples=1, frames=4)]) for task in TASK_TYPES)
    found = {}
    for name, table in tables:
        rows = table.slice(0, 2).to_pylist() or [dict.fromkeys(table.column_names)]
        keys = KEYS.get(name, ())
        nothing = {column: value if column in keys else None for column, value in rows[0].items()}
        odd = dict(nothing)
        for field in table.schema:
            if field.name in keys:
                continue
            if field.type == pa.int64():
                odd[field.name] = BIG
            elif field.type == pa.float64():
                odd[field.name] = -0.1
            elif pa.types.is_list(field.type):
                odd[field.name] = []
            elif field.type == pa.string():
                odd[field.name] = "null\t'\"\n名前"
        if name == "segments":
            odd["rle"] = {"height": 2, "width": 3, "counts": [1, 3, 2]}
        if name == "vectors":
            odd["points"] = [{"x": 0.1, "y": None, "z": None}, {"x": 1e-308, "y": -0.0, "z": 1e308}]
        found[name] = pa.concat_tables([table, pa.Table.from_pylist([nothing, odd, nothing], table.schema)])
    return al.LabelTables(**found)


TABLES = all_kinds()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tables as Parquet, in several row groups."""
    target = tmp_path_factory.mktemp("matrix") / "out"
    al.write_parquet(TABLES, target, row_group_rows=17)
    return target


def file(folder: Path, name: str) -> Path:
    return folder / name / "part-00000.parquet"


def in_duckdb(folder: Path, name: str) -> pa.Table:
    with duckdb.connect() as connection:
        return connection.sql(f"FROM '{folder}/{name}/*.parquet'").to_arrow_table()


def in_duckdb_views(folder: Path, name: str) -> pa.Table:
    with duckdb.connect() as connection:
        connection.execute(al.duckdb_views(folder))
        return connection.sql(f"FROM {name}").to_arrow_table()


def in_duckdb_rewritten(folder: Path, name: str) -> pa.Table:
    again = folder.parent / "again.parquet"
    with duckdb.connect() as connection:
        connection.execute(f"COPY (FROM '{folder}/{name}/*.parquet') TO '{again}'")
    return pq.read_table(again)


def in_duckdb_over_tables(folder: Path, name: str) -> pa.Table:
    with duckdb.connect() as connection:
        connection.register("given", TABLES[name])
        connection.execute("CREATE TABLE kept AS FROM given")
        return connection.sql("FROM kept").to_arrow_table()


def in_pandas(folder: Path, name: str) -> pa.Table:
    frame = pd.read_parquet(file(folder, name), dtype_backend="pyarrow")
    return pa.Table.from_pandas(frame, preserve_index=False)


def in_pandas_over_tables(folder: Path, name: str) -> pa.Table:
    return pa.Table.from_pandas(TABLES[name].to_pandas(types_mapper=pd.ArrowDtype), preserve_index=False)


def in_pandas_rewritten(folder: Path, name: str) -> pa.Table:
    again = folder.parent / "again.parquet"
    TABLES[name].to_pandas(types_mapper=pd.ArrowDtype).to_parquet(again, index=False)
    return pq.read_table(again)


def in_pyarrow_datasets(folder: Path, name: str) -> pa.Table:
    return pa.dataset.dataset(folder / name, schema=SCHEMAS[name]).to_table()


def in_datasets(folder: Path, name: str) -> pa.Table:
    read = datasets.Dataset.from_parquet(str(file(folder, name)), cache_dir=str(folder.parent / "cache"))
    return al.from_datasets(read, name)


def in_polars(folder: Path, name: str) -> pl.DataFrame:
    return pl.read_parquet(file(folder, name))


def in_polars_streaming(folder: Path, name: str) -> pl.DataFrame:
    return pl.scan_parquet(folder / name / "*.parquet").collect(engine="streaming")


def in_polars_rewritten(folder: Path, name: str) -> pa.Table:
    again = folder.parent / "again.parquet"
    pl.scan_parquet(file(folder, name)).sink_parquet(again)
    return pq.read_table(again)


ENGINES = [found for name, found in list(globals().items()) if name.startswith("in_")]


def compared(found: pa.Table | pl.DataFrame, name: str) -> None:
    """The same rows, bit for bit, whatever the offsets of lists."""
    table = pa.table(found)
    table.validate(full=True)
    assert table.cast(SCHEMAS[name]).equals(TABLES[name])
    signs = ["x", "y", "z"] if name == "cuboids" else []
    assert all(str(table[column].to_pylist()) == str(TABLES[name][column].to_pylist()) for column in signs)


@pytest.mark.parametrize("name", SCHEMAS)
@pytest.mark.parametrize("engine", ENGINES)
def test_engines_give_the_values_back(
    engine: Callable[[Path, str], pa.Table | pl.DataFrame], name: str, folder: Path
) -> None:
    compared(engine(folder, name), name)


@pytest.fixture
def registered() -> Iterator[None]:
    al.register()
    yield
    al.unregister()


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize("engine", [in_datasets, in_pandas, in_polars, in_duckdb])
def test_engines_do_not_mind_that_types_are_registered(
    engine: Callable[[Path, str], pa.Table | pl.DataFrame], folder: Path
) -> None:
    for name in ("vectors", "cuboids", "segments", "frames"):
        compared(engine(folder, name), name)


@pytest.mark.parametrize("engine", [in_duckdb, in_duckdb_views, in_duckdb_rewritten, in_pandas, in_polars_streaming])
def test_engines_read_empty_tables(engine: Callable[[Path, str], pa.Table | pl.DataFrame], tmp_path: Path) -> None:
    al.write_parquet(al.LabelTables(), tmp_path / "out")
    for name, schema in SCHEMAS.items():
        assert pa.table(engine(tmp_path / "out", name)).cast(schema).num_rows == 0


DAFT = """
import sys
import daft, pyarrow.feather
folder, *names = sys.argv[1:]
for name in names:
    found = daft.read_parquet(f"{folder}/{name}/*.parquet").to_arrow()
    pyarrow.feather.write_feather(found, f"{folder}/../{name}.arrow", compression="uncompressed")
cuboids = daft.read_parquet(f"{folder}/cuboids/*.parquet")
print(cuboids.where(daft.col("frame_index") == 2).agg(daft.col("id").sum()).to_pydict()["id"][0])
"""


def test_daft(folder: Path, tmp_path: Path) -> None:
    """In an environment of its own: Daft wants an older pyarrow."""
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "daft>=0.7"], check=True)
    done = subprocess.run([python, "-c", DAFT, folder, *SCHEMAS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name in SCHEMAS:
        compared(pa.feather.read_table(folder.parent / f"{name}.arrow"), name)
    frame = pl.DataFrame(TABLES.cuboids).filter(pl.col("frame_index") == 2)
    assert int(done.stdout) == frame["id"].sum() > 0
