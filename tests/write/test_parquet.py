"""Parquet: round trips, what other engines see, and that a target is complete or not there."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import fsspec
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from generate import TASK_TYPES, release
from hypothesis import given, settings
from json_equal import difference
from killed import Killed, in_order, kill_at
from strategies import releases

import arrow_labels as al
from arrow_labels.errors import SchemaError, TargetError
from arrow_labels.schema import SCHEMA_VERSION, SCHEMAS
from arrow_labels.write import parts, replacing
from arrow_labels.write.parquet import write_parquet
from arrow_labels.write.stored import read_parquet

MANIFEST = "_arrow_labels.json"
FILES = {f"{name}/part-00000.parquet" for name in SCHEMAS}
OLD = al.decode_labels([release("image-vector-sequence", samples=2)])
NEW = al.decode_labels([release("pointcloud-cuboid-sequence", samples=2)])


class Remote(DirFileSystem):
    """A file system with real folders, like that of an SFTP server."""

    protocol = "remote"
    cachable = False
    root = ""

    def __init__(self, **options: Any) -> None:
        super().__init__(path=self.root, fs=LocalFileSystem(), **options)


fsspec.register_implementation("remote", Remote)


@pytest.fixture(params=["local", "memory", "remote"])
def target(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A target on disk, one in an object store, and one in a store with real folders."""
    monkeypatch.setattr(Remote, "root", str(tmp_path))
    yield {"local": str(tmp_path / "out"), "memory": "memory://labels/out", "remote": "remote://labels/out"}[
        request.param
    ]
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]


def files(target: str) -> set[str]:
    """The files below a target."""
    fs, path = fsspec.core.url_to_fs(target)
    return {name[len(path) + 1 :] for name in fs.find(path)}


def put(target: str, file: str, content: bytes) -> None:
    fs, path = fsspec.core.url_to_fs(target)
    fs.makedirs(fs._parent(f"{path}/{file}"), exist_ok=True)
    fs.pipe_file(f"{path}/{file}", content)


def get(target: str, file: str) -> bytes:
    fs, path = fsspec.core.url_to_fs(target)
    content: bytes = fs.cat_file(f"{path}/{file}")
    return content


def slices(tables: al.LabelTables, rows: int) -> Iterator[al.LabelTables]:
    """The tables in parts."""
    for start in range(0, max(table.num_rows for _, table in tables), rows):
        yield al.LabelTables(**{name: table.slice(start, rows) for name, table in tables})


def point_labels(sizes: list[int]) -> al.LabelTables:
    """One frame of each size, in points."""
    labels = [{"annotations": [], "point_annotations": list(range(size))} for size in sizes]
    return al.decode_labels(labels, task_type="pointcloud-segmentation")


# --- round trips


@pytest.mark.parametrize("task_type", TASK_TYPES)
def test_round_trip(task_type: str, tmp_path: Path) -> None:
    tables = al.decode_labels([release(task_type)])
    write_parquet(tables, tmp_path / "out")
    found = read_parquet(tmp_path / "out")
    assert found == tables
    assert all(table.schema.equals(SCHEMAS[name], check_metadata=True) for name, table in found)


@settings(max_examples=300, deadline=None)
@given(releases())
def test_release_to_parquet_to_release(document: dict[str, Any]) -> None:
    write_parquet(al.decode_labels([document]), "memory://property/out", mode="overwrite")
    al.write_release(read_parquet("memory://property/out"), "memory://property/release.json")
    assert difference(json.loads(get("memory://property", "release.json")), document) is None


def test_parts_are_written_as_one(target: str) -> None:
    write_parquet(slices(NEW, 7), target)
    assert read_parquet(target) == NEW
    assert files(target) == {*FILES, MANIFEST}


def test_labels_are_read_and_written_in_one_stream(tmp_path: Path) -> None:
    source = tmp_path / "release.json"
    source.write_text(json.dumps(release("multisensor-sequence")))
    write_parquet(al.iter_labels(str(source), batch_bytes=1000), tmp_path / "out")
    assert read_parquet(tmp_path / "out") == al.read_labels(str(source))


def test_no_parts_and_no_rows(target: str) -> None:
    write_parquet(iter([]), target)
    assert read_parquet(target) == al.LabelTables()
    write_parquet(al.LabelTables(), target, mode="overwrite")
    assert read_parquet(target) == al.LabelTables()


def test_tables_that_are_asked_for(target: str) -> None:
    write_parquet(NEW, target)
    found = read_parquet(target, tables={"cuboids", "labels"})
    assert found == al.LabelTables(cuboids=NEW.cuboids, labels=NEW.labels)


@pytest.mark.parametrize("compression", ["zstd", "snappy", "gzip", "brotli", "lz4", "none"])
def test_compression(compression: str, tmp_path: Path) -> None:
    write_parquet(NEW, tmp_path / "out", compression=compression)
    column = pq.read_metadata(tmp_path / "out/cuboids/part-00000.parquet").row_group(0).column(0)
    assert column.compression.lower() == ("uncompressed" if compression == "none" else compression)
    assert read_parquet(tmp_path / "out") == NEW


def test_tables_that_another_reader_made(tmp_path: Path) -> None:
    tables = al.LabelTables.concat([OLD, point_labels([5])])
    write_parquet(tables, tmp_path / "out")
    others = al.LabelTables(**{name: pq.read_table(tmp_path / f"out/{name}/part-00000.parquet") for name in SCHEMAS})
    assert str(others.frames.schema) != str(tables.frames.schema)  # `element` in the lists
    write_parquet([others, tables], tmp_path / "again")
    assert read_parquet(tmp_path / "again") == al.LabelTables.concat([tables, tables])


def test_compression_level(tmp_path: Path) -> None:
    tables = al.LabelTables.concat([OLD, NEW] * 20)
    size = {}
    for level in (1, 19):
        write_parquet(tables, tmp_path / str(level), compression_level=level)
        size[level] = (tmp_path / f"{level}/cuboids/part-00000.parquet").stat().st_size
    assert size[19] < size[1]


# --- files


@pytest.mark.parametrize("tables", [al.LabelTables(), NEW], ids=["empty", "cuboids"])
def test_every_table_has_a_file_with_its_schema(tables: al.LabelTables, tmp_path: Path) -> None:
    write_parquet(tables, tmp_path / "out")
    assert files(str(tmp_path / "out")) == {*FILES, MANIFEST}
    for name, schema in SCHEMAS.items():
        found = pq.read_schema(tmp_path / f"out/{name}/part-00000.parquet")
        assert found.equals(schema)
        assert found.metadata == {b"arrow_labels": str(SCHEMA_VERSION).encode()}
    assert [item.name for item in tmp_path.iterdir()] == ["out"]


def test_manifest(target: str) -> None:
    write_parquet(NEW, target)
    manifest = json.loads(get(target, MANIFEST))
    assert manifest["schema_version"] == SCHEMA_VERSION
    assert manifest["tables"] == {
        name: [{"file": file, "rows": table.num_rows, "bytes": len(get(target, file))}]
        for name, table in NEW
        for file in [f"{name}/part-00000.parquet"]
    }


def test_columns_have_dictionary_pages(tmp_path: Path) -> None:
    write_parquet(NEW, tmp_path / "out")
    group = pq.read_metadata(tmp_path / "out/cuboids/part-00000.parquet").row_group(0)
    columns = {column.path_in_schema: column for column in map(group.column, range(group.num_columns))}
    assert columns["sample_id"].has_dictionary_page
    assert columns["x"].has_dictionary_page
    assert all("BYTE_STREAM_SPLIT" not in column.encodings for column in columns.values())


@pytest.mark.parametrize("in_parts", [False, True], ids=["whole", "parts"])
@pytest.mark.parametrize(("rows", "size"), [(10, 64 << 20), (1 << 20, 5000), (10, 1500), (1, 1)])
def test_row_groups_are_bounded(rows: int, size: int, in_parts: bool, tmp_path: Path) -> None:
    tables = al.LabelTables.concat([NEW, point_labels([*range(0, 100, 7), *range(3000, 3004), 0, 0, 0])])
    write_parquet(
        slices(tables, 3) if in_parts else tables, tmp_path / "out", row_group_rows=rows, row_group_bytes=size
    )
    for name, table in tables:
        file = pq.ParquetFile(tmp_path / f"out/{name}/part-00000.parquet")
        counts = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
        assert sum(counts) == table.num_rows
        assert all(0 < count <= rows for count in counts)
        starts = [sum(counts[:number]) for number in range(len(counts))]
        groups = [table.slice(start, count) for start, count in zip(starts, counts, strict=True)]
        assert all(group.num_rows == 1 or group.nbytes <= size + len(group.columns) for group in groups)
        file.close()
    assert read_parquet(tmp_path / "out") == tables


def test_row_groups_are_as_large_as_they_may_be(tmp_path: Path) -> None:
    tables = al.LabelTables.concat([NEW] * 100)
    write_parquet(slices(tables, 100), tmp_path / "out", row_group_bytes=500_000)
    file = pq.read_metadata(tmp_path / "out/cuboids/part-00000.parquet")
    assert file.num_row_groups <= tables.cuboids.nbytes // 480_000 + 2


def test_memory_is_bounded(tmp_path: Path) -> None:
    before = pa.total_allocated_bytes()
    held = []

    def parts() -> Iterator[al.LabelTables]:
        for _ in range(60):
            yield al.LabelTables(**{name: pa.concat_tables([table] * 20).combine_chunks() for name, table in NEW})
            held.append(pa.total_allocated_bytes() - before)

    write_parquet(parts(), tmp_path / "out", row_group_bytes=1 << 20)
    found = read_parquet(tmp_path / "out")
    assert found.nbytes > 60e6
    assert max(held) < 20e6


def test_other_engines_read_a_table_by_its_glob(tmp_path: Path) -> None:
    write_parquet(NEW, tmp_path / "out", row_group_rows=50)
    for name, table in NEW:
        glob = str(tmp_path / "out" / name / "*.parquet")
        expected = pl.from_arrow(table)
        assert isinstance(expected, pl.DataFrame)
        assert pl.scan_parquet(glob).collect().equals(expected)
        found = duckdb.sql(f"SELECT * FROM read_parquet('{glob}')")
        assert found.columns == table.column_names
        assert found.pl().equals(expected.select(found.columns)) or name in ("labels", "samples", "datasets")
        assert len(found) == table.num_rows


# --- what is there already


def test_tables_that_are_there_are_refused_before_any_input_is_consumed(target: str) -> None:
    write_parquet(OLD, target)
    parts = iter([NEW])
    with pytest.raises(TargetError, match=r'^Expected no folder or an empty one, got .* mode="overwrite"'):
        write_parquet(parts, target)
    assert next(parts) is NEW
    assert read_parquet(target) == OLD


@pytest.mark.parametrize("mode", ["error", "overwrite"])
def test_what_is_not_a_table_is_never_deleted(mode: Any, target: str) -> None:
    put(target, "thesis.tex", b"text")
    parts = iter([NEW])
    with pytest.raises(TargetError, match=r"thesis\.tex"):
        write_parquet(parts, target, mode=mode)
    assert next(parts) is NEW
    assert files(target) == {"thesis.tex"}


def test_delta_tables_are_never_deleted(target: str) -> None:
    put(target, "labels/_delta_log/00000000000000000000.json", b"{}")
    with pytest.raises(TargetError, match="^Expected tables of Parquet files to overwrite, got Delta tables - at "):
        write_parquet(NEW, target, mode="overwrite")
    with pytest.raises(TargetError, match="^Expected tables of Parquet files, got Delta tables - at "):
        write_parquet(NEW, target, mode="upsert")
    with pytest.raises(TargetError, match="^Expected tables of Parquet files, got Delta tables - at "):
        read_parquet(target)
    assert files(target) == {"labels/_delta_log/00000000000000000000.json"}


@pytest.mark.parametrize("mode", ["error", "overwrite"])
def test_a_file_is_refused(mode: Any, target: str) -> None:
    fs, path = fsspec.core.url_to_fs(target)
    fs.makedirs(fs._parent(path), exist_ok=True)
    fs.pipe_file(path, b"text")
    with pytest.raises(TargetError, match="NotADirectoryError"):
        write_parquet(NEW, target, mode=mode)
    with pytest.raises(TargetError, match="out"):
        read_parquet(target)


@pytest.mark.parametrize("mode", ["error", "overwrite"])
def test_an_empty_folder_is_nothing(mode: Any, target: str) -> None:
    fs, path = fsspec.core.url_to_fs(target)
    fs.makedirs(path, exist_ok=True)
    write_parquet(NEW, target, mode=mode)
    assert read_parquet(target) == NEW


def test_overwrite_leaves_only_the_new_tables(target: str) -> None:
    for tables in (OLD, NEW, OLD):
        write_parquet(tables, target, mode="overwrite")
        assert read_parquet(target) == tables
        fs, path = fsspec.core.url_to_fs(target)
        found = files(target)
        assert len(found) == len(SCHEMAS) + 1
        assert all(len(fs.glob(f"{path}/{name}/*.parquet")) == 1 for name in SCHEMAS)
        assert not any("partial" in name or "replaced" in name for name in fs.ls(fs._parent(path), detail=False))


def test_overwrite_streams_from_the_tables_that_it_replaces(tmp_path: Path) -> None:
    write_parquet(OLD, tmp_path / "out")
    write_parquet((read_parquet(tmp_path / "out") for _ in range(2)), tmp_path / "out", mode="overwrite")
    assert read_parquet(tmp_path / "out") == al.LabelTables.concat([OLD, OLD])


def test_folders_above_are_made_and_links_followed(tmp_path: Path) -> None:
    write_parquet(OLD, tmp_path / "a/b")
    (tmp_path / "link").symlink_to(tmp_path / "a/b")
    write_parquet(NEW, tmp_path / "link", mode="overwrite")
    assert read_parquet(tmp_path / "a/b") == NEW
    assert (tmp_path / "link").is_symlink()
    assert [item.name for item in (tmp_path / "a").iterdir()] == ["b"]


def test_a_mount_point_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "ismount", lambda _: True)
    with pytest.raises(TargetError, match="mount point"):
        write_parquet(NEW, tmp_path)


def test_a_folder_that_is_filled_in_the_meantime_is_kept(target: str) -> None:
    def parts() -> Iterator[al.LabelTables]:
        yield NEW
        write_parquet(OLD, target)

    with pytest.raises(TargetError):
        write_parquet(parts(), target)
    assert read_parquet(target) == OLD
    assert len(files(target)) == len(SCHEMAS) + 1


def test_of_concurrent_first_writers_one_is_the_first(tmp_path: Path) -> None:
    """On disk; an object store takes one writer at a time."""
    writers = [al.decode_labels([release("bboxes", seed=seed, samples=1)]) for seed in range(6)]
    start, done, failures = threading.Barrier(len(writers)), [], []

    def run(tables: al.LabelTables) -> None:
        start.wait(60)
        try:
            write_parquet(tables, tmp_path / "out")
            done.append(tables)
        except TargetError as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(tables,)) for tables in writers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(done), len(failures)) == (1, 5)
    assert read_parquet(tmp_path / "out") == done[0]
    assert [item.name for item in tmp_path.iterdir()] == ["out"]


def test_the_root_of_a_file_system() -> None:
    MemoryFileSystem.store.clear()
    for tables in (OLD, NEW):
        write_parquet(tables, "memory://", mode="overwrite")
        assert read_parquet("memory://") == tables
    assert len(MemoryFileSystem.store) == len(SCHEMAS) + 1
    MemoryFileSystem.store.clear()


# --- errors half-way


@pytest.mark.parametrize("error", [RuntimeError, OSError, KeyboardInterrupt])
def test_an_error_of_the_input_leaves_nothing(error: type[BaseException], target: str) -> None:
    def parts() -> Iterator[al.LabelTables]:
        yield from slices(NEW, 50)
        raise error("of the input")

    with pytest.raises(error, match="of the input"):
        write_parquet(parts(), target, row_group_rows=10)
    assert not files(target)
    assert target.startswith(("memory:", "remote:")) or not list(Path(target).parent.iterdir())

    write_parquet(OLD, target)
    before = files(target)
    with pytest.raises(error, match="of the input"):
        write_parquet(parts(), target, mode="overwrite", row_group_rows=10)
    assert read_parquet(target) == OLD
    assert files(target) == before


def test_a_part_that_is_no_tables(target: str) -> None:
    with pytest.raises(SchemaError, match="Expected `LabelTables`, got `dict`"):
        write_parquet([NEW, {}], target)  # type: ignore[list-item]
    assert not files(target)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    create = parts.create

    def create_full(folder: Any, file: str) -> Any:
        return open("/dev/full", "wb") if file.startswith("cuboids") else create(folder, file)  # noqa: PTH123

    write_parquet(OLD, target)
    before = files(target)
    monkeypatch.setattr(parts, "create", create_full)
    with pytest.raises(TargetError, match="Expected a folder that can be written, got OSError: .*No space left"):
        write_parquet(al.LabelTables.concat([NEW] * 10), target, mode="overwrite")
    assert read_parquet(target) == OLD
    assert files(target) == before


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    with pytest.raises(TargetError, match="Expected a folder that can be written, got NotADirectoryError"):
        write_parquet(NEW, tmp_path / "file/out")


# --- killed half-way


def after_each_step(
    target: str, mode: Any, places: list[tuple[Any, str]], before: Callable[[], None]
) -> Iterator[al.LabelTables | TargetError]:
    """What reading gives after a write was killed at its first step, its second, …, and after the whole write."""
    for step in range(1000):
        before()
        with pytest.MonkeyPatch.context() as monkeypatch:
            kill_at(step, monkeypatch, places)
            try:
                write_parquet(NEW, target, mode=mode)
                killed = False
            except Killed:
                killed = True
        try:
            yield read_parquet(target)
        except TargetError as error:
            yield error
        if not killed:
            return


def outcome(found: al.LabelTables | TargetError) -> str:
    if isinstance(found, TargetError):
        return "cut short" if "cut short" in str(found) else "missing"
    return "old" if found == OLD else "new" if found == NEW else "mixed"


LOCAL_STEPS = [(os, "mkdir"), (os, "rename"), (os, "rmdir"), (os, "unlink"), (os, "fsync"), (Path, "write_bytes")]
MEMORY_STEPS = [(MemoryFileSystem, "pipe_file"), (MemoryFileSystem, "rm_file"), (MemoryFileSystem, "_open")]


@pytest.mark.parametrize(("mode", "trades"), [("error", True), ("overwrite", True), ("overwrite", False)])
def test_killed_at_each_step_on_disk(mode: Any, trades: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not trades:
        monkeypatch.setattr(replacing, "_exchange", lambda *_: False)
    target = tmp_path / "place/out"
    write_parquet(OLD, tmp_path / "old")

    def before() -> None:
        shutil.rmtree(target.parent, ignore_errors=True)
        if mode == "overwrite":
            shutil.copytree(tmp_path / "old", target)

    outcomes = []
    for found in after_each_step(str(target), mode, LOCAL_STEPS, before):
        outcomes.append(outcome(found))
        if outcomes[-1] == "cut short":
            # What is whole is there, and the message names it.
            whole = [item for item in target.parent.iterdir() if (item / MANIFEST).exists()]
            assert all(str(item) in str(found) for item in whole)
            contents = {item.name.split("-")[0]: outcome(read_parquet(item)) for item in whole}
            replaced = {".out.replaced": "old"} if mode == "overwrite" else {}
            assert contents == {".out.partial": "new", **replaced}
        again = "overwrite" if outcomes[-1] == "new" else mode
        if len(outcomes) % 10 == 0 or outcomes[-1] in ("cut short", "new"):
            write_parquet(OLD, target, mode=again)
            assert read_parquet(target) == OLD
    if mode == "overwrite":
        assert in_order(outcomes, "old", "new") if trades else in_order(outcomes, "old", "cut short", "new")
    else:
        assert in_order(outcomes, "missing", "cut short", "new")


@pytest.mark.parametrize("mode", ["error", "overwrite"])
def test_killed_at_each_step_in_an_object_store(mode: Any) -> None:
    target = "memory://killed/out"

    def before() -> None:
        MemoryFileSystem.store.clear()
        if mode == "overwrite":
            write_parquet(OLD, target)

    outcomes = []
    for found in after_each_step(target, mode, MEMORY_STEPS, before):
        outcomes.append(outcome(found))
        write_parquet(OLD, target, mode="overwrite" if outcomes[-1] == "new" else mode)
        assert read_parquet(target) == OLD
        assert len(files(target)) == len(SCHEMAS) + 1
    assert in_order(outcomes, "missing" if mode == "error" else "old", "new")


WRITER = """
import json, sys, time
import arrow_labels as al
from arrow_labels.write.parquet import write_parquet
source, target, mode = sys.argv[1:]
def parts():
    for part in al.iter_labels(source, batch_bytes=1):
        time.sleep(0.005)
        yield part
print("start", flush=True)
write_parquet(parts(), target, mode=mode, row_group_rows=20)
print("end", flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL")
def test_killed_at_random_moments(tmp_path: Path) -> None:
    source = tmp_path / "release.json"
    source.write_text(json.dumps(release("image-vector-sequence", samples=10, frames=3)))
    new = al.read_labels(str(source))
    target = tmp_path / "place/out"
    write_parquet(OLD, tmp_path / "old")
    rng = random.Random(0)
    duration = 0.3
    outcomes = []
    for number in range(26):
        mode = ("error", "overwrite")[number % 2]
        shutil.rmtree(target.parent, ignore_errors=True)
        target.parent.mkdir()
        if mode == "overwrite":
            shutil.copytree(tmp_path / "old", target)
        command = [sys.executable, "-c", WRITER, str(source), str(target), mode]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": ":".join(sys.path)}
        ) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            start = time.perf_counter()
            if number < 2:
                assert writer.stdout.readline() == b"end\n"
                duration = time.perf_counter() - start
            else:
                time.sleep(rng.uniform(0, 1.1 * duration))
                writer.send_signal(signal.SIGKILL)
        try:
            found = read_parquet(target)
        except TargetError as error:
            outcomes.append((mode, "cut short" if "cut short" in str(error) else "none"))
            write_parquet(OLD, target)
        else:
            assert found == new or (mode == "overwrite" and found == OLD)
            outcomes.append((mode, "new" if found == new else "old"))
            write_parquet(OLD, target, mode="overwrite")
        assert read_parquet(target) == OLD
    assert {("error", "none"), ("error", "new"), ("overwrite", "old"), ("overwrite", "new")} <= set(outcomes)
    assert ("overwrite", "none") not in outcomes


def test_what_a_killed_process_left_is_in_nobodys_way() -> None:
    target = "memory://killed/out"
    MemoryFileSystem.store.clear()
    with pytest.MonkeyPatch.context() as monkeypatch:
        kill_at(9, monkeypatch, MEMORY_STEPS)
        with pytest.raises(Killed):
            write_parquet(NEW, target)
    left = files(target)
    assert left
    with pytest.raises(TargetError, match="its write has not finished"):
        read_parquet(target)
    with pytest.raises(SchemaError):
        write_parquet([{}], target)  # type: ignore[list-item]
    assert files(target) == left
    write_parquet(NEW, target)
    assert read_parquet(target) == NEW
    assert len(files(target)) == len(SCHEMAS) + 1


def test_tables_of_another_program_are_no_leftovers() -> None:
    target = "memory://other/out"
    MemoryFileSystem.store.clear()
    put(target, "cuboids/part-00000.parquet", b"PAR1")
    with pytest.MonkeyPatch.context() as monkeypatch:
        kill_at(9, monkeypatch, MEMORY_STEPS)
        with pytest.raises(Killed):
            write_parquet(NEW, target, mode="overwrite")
    with pytest.raises(TargetError, match="Expected no folder or an empty one"):
        write_parquet(NEW, target)
    assert get(target, "cuboids/part-00000.parquet") == b"PAR1"
    write_parquet(NEW, target, mode="overwrite")
    assert read_parquet(target) == NEW
    assert len(files(target)) == len(SCHEMAS) + 1


# --- targets that are not complete


def test_no_folder(target: str) -> None:
    with pytest.raises(TargetError, match="Expected a folder of tables, got nothing"):
        read_parquet(target)


def test_folder_without_a_manifest(target: str) -> None:
    write_parquet(NEW, target)
    fs, path = fsspec.core.url_to_fs(target)
    fs.rm_file(f"{path}/{MANIFEST}")
    with pytest.raises(TargetError, match="got one without `_arrow_labels.json`"):
        read_parquet(target)
    with pytest.raises(TargetError, match="Expected no folder or an empty one"):
        write_parquet(NEW, target)
    write_parquet(NEW, target, mode="overwrite")
    assert read_parquet(target) == NEW


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text[: len(text) // 2], "truncated"),
        (lambda text: b"[]", "Expected `object`, got `array`"),
        (lambda text: b'{"schema_version": 1}', "missing required field"),
        (lambda text: text.replace(b'"cuboids": [', b'"balls": ['), "Expected table `cuboids`, got none"),
        (lambda text: text.replace(b"cuboids/part-00000", b"../etc/part-00000"), r"`\.\./etc.*got nothing"),
    ],
)
def test_wrong_manifest(change: Callable[[bytes], bytes], message: str, target: str) -> None:
    write_parquet(NEW, target)
    put(target, MANIFEST, change(get(target, MANIFEST)))
    with pytest.raises(TargetError, match=message):
        read_parquet(target)


def test_newer_version(target: str) -> None:
    write_parquet(NEW, target)
    newer = json.dumps({"schema_version": SCHEMA_VERSION + 1, "tables": "all in one"})
    put(target, MANIFEST, newer.encode())
    with pytest.raises(SchemaError, match=f"Expected schema version {SCHEMA_VERSION} or older, got .*: upgrade"):
        read_parquet(target)


def test_missing_part(target: str) -> None:
    write_parquet(NEW, target)
    fs, path = fsspec.core.url_to_fs(target)
    fs.rm_file(f"{path}/links/part-00000.parquet")
    with pytest.raises(TargetError, match=r"Expected `links/part-00000.parquet` of [\d,]+ bytes, got nothing"):
        read_parquet(target, tables=["cuboids"])


def test_truncated_part(target: str) -> None:
    write_parquet(NEW, target)
    part = get(target, "cuboids/part-00000.parquet")
    put(target, "cuboids/part-00000.parquet", part[:-1])
    with pytest.raises(TargetError, match=f"of {len(part):,} bytes, got {len(part) - 1:,} bytes"):
        read_parquet(target)


def test_damaged_part(target: str) -> None:
    write_parquet(NEW, target)
    put(target, "cuboids/part-00000.parquet", bytes(len(get(target, "cuboids/part-00000.parquet"))))
    with pytest.raises(TargetError, match="`cuboids/part-00000.parquet`"):
        read_parquet(target)


def replace_cuboids(target: Path, table: pa.Table) -> None:
    """Write a table in the place of the cuboids, as a part that the manifest knows."""
    path = target / "cuboids/part-00000.parquet"
    pq.write_table(table, path)
    manifest = json.loads((target / MANIFEST).read_bytes())
    manifest["tables"]["cuboids"][0]["bytes"] = path.stat().st_size
    (target / MANIFEST).write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.drop_columns(["yaw"]), "Expected column `yaw`, got none"),
        (lambda table: table.set_column(0, "sample_id", table["id"]), "`sample_id` of type `string`, got `int64`"),
        (lambda table: table.append_column("roll", table["yaw"]), "Expected no column `roll`"),
    ],
)
def test_other_columns(change: Callable[[pa.Table], pa.Table], message: str, tmp_path: Path) -> None:
    write_parquet(NEW, tmp_path / "out")
    replace_cuboids(tmp_path / "out", change(NEW.cuboids))
    with pytest.raises(SchemaError, match=f"{message}.* - in table `cuboids` - in `cuboids/part-00000.parquet` of"):
        read_parquet(tmp_path / "out")


def test_other_number_of_rows(tmp_path: Path) -> None:
    write_parquet(NEW, tmp_path / "out")
    replace_cuboids(tmp_path / "out", NEW.cuboids.slice(1))
    with pytest.raises(TargetError, match=f"Expected {NEW.cuboids.num_rows} rows in `cuboids/part-00000.parquet`, got"):
        read_parquet(tmp_path / "out")


def test_tables_that_are_replaced_while_they_are_read(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write_parquet(NEW, target)
    cast = pq.ParquetFile
    done = []

    def open_part(path: str, **options: Any) -> Any:
        if "cuboids" in path and not done:
            done.append(write_parquet(NEW, target, mode="overwrite"))
        return cast(path, **options)

    monkeypatch.setattr(pq, "ParquetFile", open_part)
    with pytest.raises(TargetError):
        read_parquet(target)
    assert read_parquet(target) == NEW


# --- options


@pytest.mark.parametrize(
    "options",
    [
        {"mode": "merge"},
        {"compression": "zip"},
        {"row_group_rows": 0},
        {"row_group_bytes": -1},
    ],
)
def test_wrong_options(options: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"^{next(iter(options))}: expected"):
        write_parquet(NEW, tmp_path / "out", **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("tables", ["cuboids", ["balls"]])
def test_wrong_tables(tables: Any, tmp_path: Path) -> None:
    write_parquet(NEW, tmp_path / "out")
    with pytest.raises(ValueError, match="^tables: expected"):
        read_parquet(tmp_path / "out", tables=tables)


def test_unknown_protocol() -> None:
    with pytest.raises(TargetError, match="Protocol not known: floppy"):
        write_parquet(NEW, "floppy://a/out")


# --- S3


def test_s3(bucket: dict[str, Any]) -> None:
    fs = fsspec.filesystem("s3", **bucket)
    options: dict[str, Any] = {"storage_options": bucket}
    write_parquet(slices(OLD, 10), "s3://bucket/a/out", **options)
    assert read_parquet("s3://bucket/a/out", **options) == OLD
    assert set(fs.find("bucket/a/out")) == {f"bucket/a/out/{file}" for file in {*FILES, MANIFEST}}
    with pytest.raises(TargetError, match="Expected no folder or an empty one"):
        write_parquet(NEW, "s3://bucket/a/out", **options)

    def parts() -> Iterator[al.LabelTables]:
        yield NEW
        raise RuntimeError("of the input")

    before = fs.find("bucket")
    with pytest.raises(RuntimeError, match="of the input"):
        write_parquet(parts(), "s3://bucket/a/out", mode="overwrite", **options)
    assert fs.find("bucket", refresh=True) == before
    assert read_parquet("s3://bucket/a/out", **options) == OLD

    write_parquet(NEW, "s3://bucket/a/out", mode="overwrite", **options)
    assert read_parquet("s3://bucket/a/out", **options) == NEW
    fs.invalidate_cache()
    assert len(fs.find("bucket")) == len(SCHEMAS) + 1
    with pytest.raises(TargetError, match="got nothing"):
        read_parquet("s3://bucket/b", **options)


def test_s3_with_what_a_console_calls_a_folder(bucket: dict[str, Any]) -> None:
    fsspec.filesystem("s3", **bucket).call_s3("put_object", Bucket="bucket", Key="made/by/hand/", Body=b"")
    write_parquet(OLD, "s3://bucket/made/by/hand", storage_options=bucket)
    assert read_parquet("s3://bucket/made/by/hand/", storage_options=bucket) == OLD


def test_s3_without_a_bucket(bucket: dict[str, Any]) -> None:
    with pytest.raises(TargetError, match="FileNotFoundError: .*bucket does not exist"):
        write_parquet(NEW, "s3://no-such-bucket/out", storage_options=bucket)
    assert fsspec.filesystem("s3", **bucket).ls("", detail=False) == ["bucket"]


def test_s3_sees_what_another_process_wrote(bucket: dict[str, Any]) -> None:
    options: dict[str, Any] = {"storage_options": bucket}
    other = {"storage_options": {**bucket, "use_listings_cache": True, "version_aware": False}}
    with pytest.raises(TargetError, match="got nothing"):
        read_parquet("s3://bucket/shared", **options)
    write_parquet(OLD, "s3://bucket/shared", **other)
    assert read_parquet("s3://bucket/shared", **options) == OLD
    write_parquet(NEW, "s3://bucket/shared", mode="overwrite", **other)
    assert read_parquet("s3://bucket/shared", **options) == NEW
