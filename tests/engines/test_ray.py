"""Ray gives the rows that `read_labels` gives; it is a real one, with two workers on this machine."""

import json
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import generate
import pyarrow as pa
import pytest
from labelled import TYPES, by_key, hide_library, one_thread, stored, unordered, write_broken, write_folder

import arrow_labels as al
from arrow_labels.engines.ray import LabelsDatasource, read_labels, read_masks
from arrow_labels.pieces import Options, items_of
from arrow_labels.schema import SCHEMAS

DATA = Path(__file__).parents[1] / "data"
# Ray sets options of its own that it has deprecated.
pytestmark = pytest.mark.filterwarnings(r"ignore:`use_\w+` is deprecated:DeprecationWarning:ray\.data\.context")


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    import ray
    import ray.data

    one_thread()
    # On a machine that has other work, workers with the low priority that Ray gives them do not start in time.
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112
    ray.init(
        num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error", object_store_memory=200 << 20
    )
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_options.preserve_order = True
    context.execution_options.verbose_progress = False
    yield
    ray.shutdown()
    del os.environ["RAY_worker_niceness"]  # noqa: SIM112


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ray") / "labels"
    write_folder(folder)
    return folder


def gathered(table: str, dataset: Any) -> pa.Table:
    """All rows of a dataset, and nothing changed in them."""
    import ray

    blocks = ray.get(dataset.to_arrow_refs())
    return stored(table, pa.concat_tables(blocks)) if blocks else SCHEMAS[table].empty_table()


def test_rows_are_those_of_read_labels(folder: Path) -> None:
    whole = al.read_labels(str(folder))
    for table in TYPES:
        dataset = read_labels(str(folder), table, part_bytes=60_000 if table == TYPES[-1] else 1 << 20)
        assert dataset.schema().names == SCHEMAS[table].names
        assert gathered(table, dataset) == whole[table], table
    assert all(whole[table].num_rows for table in SCHEMAS if table not in ("rejects", "findings"))
    assert len(dataset.to_arrow_refs()) > 2


def test_tables_go_through_ray_and_its_parquet_and_back(folder: Path, tmp_path: Path) -> None:
    import ray.data

    whole = al.read_labels(str(folder))
    masks = al.read_labels(str(DATA / "street" / "release.json"), masks=True)
    whole = replace(whole, segments=pa.concat_tables([whole.segments, masks.segments]))
    al.write_parquet(whole, tmp_path / "ours")
    for table in SCHEMAS:
        assert gathered(table, ray.data.from_arrow(whole[table])) == whole[table], table
    for table in ("labels", "frames", "segments", "vectors"):  # most types
        found = ray.data.read_parquet(str(tmp_path / "ours" / table), override_num_blocks=1)
        assert unordered(gathered(table, found)) == unordered(whole[table]), table


def test_projections_and_limits_reach_the_tasks() -> None:
    source = str(DATA / "drive" / "release.json")
    dataset = read_labels(source, "cuboids", part_bytes=100_000)
    whole = al.read_labels(source).cuboids
    assert dataset.select_columns(["yaw", "id"]).take(3) == whole.select(["yaw", "id"]).slice(0, 3).to_pylist()
    assert dataset.rename_columns({"yaw": "heading"}).select_columns(["heading"]).take(1) == [
        {"heading": whole["yaw"][0].as_py()}
    ]
    assert read_labels(source, "cuboids", columns=["x"]).schema().names == ["x"]
    assert dataset.count() == whole.num_rows
    source_ = LabelsDatasource(items_of(source, None), "cuboids", None, Options(), None, 100_000)
    projected = source_.apply_projection({"yaw": "yaw", "x": "x"})
    (block, *_) = projected.get_read_tasks(2)[0].read_fn()
    assert block.schema.names == ["yaw", "x"]


def test_tasks_are_spans_and_groups(folder: Path) -> None:
    release = folder / "multisensor-sequence.json"
    size = release.stat().st_size
    datasource = LabelsDatasource(items_of(str(release), None), "labels", None, Options(), None, size // 4)
    tasks = datasource.get_read_tasks(1)
    assert len(tasks) == 2
    assert all(task.metadata.input_files == (str(release),) for task in tasks)
    assert size * 0.9 < datasource.estimate_inmemory_data_size() <= size
    assert sum(task.metadata.size_bytes for task in tasks) == datasource.estimate_inmemory_data_size()
    assert (
        len(
            LabelsDatasource(items_of(str(folder), None), "labels", None, Options(), None, 64 << 20).get_read_tasks(200)
        )
        < 3
    )


def test_documents_in_memory_and_options() -> None:
    release = generate.release("pointcloud-cuboid-sequence", samples=2, frames=2, objects=3)
    source = [release, json.dumps(release).encode()]
    options: dict[str, Any] = {"timestamp_unit": "us", "labelsets": ["model-predictions"], "task_type": "vector"}
    found = gathered("cuboids", read_labels(source, "cuboids", **options))
    assert found == al.read_labels(source, **options).cuboids
    assert len(found)


def test_what_fails_is_collected_or_raised(tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    write_broken(folder)
    whole = al.read_labels(str(folder), on_error="collect")
    for table in ("cuboids", "rejects"):
        found = gathered(table, read_labels(str(folder), table, on_error="collect", part_bytes=1_000))
        assert found == al.read_labels(str(folder), tables=[table], on_error="collect")[table] == whole[table]
    assert whole.rejects.num_rows == 2
    with pytest.raises(
        al.DecodeError, match=r"Expected `object \| null`, got `str` - at `\$.annotations\[1\].position`"
    ):
        read_labels(str(folder / "release.json"), "cuboids").materialize()


def test_masks_are_filled_while_reading_and_afterwards() -> None:
    import ray.data

    source = str(DATA / "street" / "release.json")
    whole = al.read_labels(source, masks=True)
    found = gathered("segments", read_labels(source, "segments", masks=True, part_bytes=2_000))
    assert found == whole.segments
    given = al.read_labels(source)
    names = ("frames", "segments", "labels", "vectors", "cuboids")
    datasets = {name: ray.data.from_arrow(given[name]) for name in names}
    found = gathered("segments", read_masks(datasets, num_partitions=2))
    assert by_key("segments", found) == by_key("segments", whole.segments)
    assert found["rle"].null_count < len(found)


def test_a_killed_worker_is_replaced(tmp_path: Path) -> None:
    mark = str(tmp_path / "killed")

    def kill_once(rows: pa.Table) -> pa.Table:
        try:
            os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return rows
        os.kill(os.getpid(), signal.SIGKILL)
        return None

    source = str(DATA / "drive" / "release.json")
    dataset = read_labels(source, "cuboids", part_bytes=100_000).map_batches(kill_once, batch_format="pyarrow")
    assert gathered("cuboids", dataset) == al.read_labels(source).cuboids
    assert Path(mark).exists()


def test_a_worker_without_the_library_says_so(tmp_path: Path) -> None:
    hide_library(tmp_path)
    environment = {"env_vars": {"PYTHONPATH": str(tmp_path)}}
    dataset = read_labels(str(DATA / "drive" / "release.json"), "cuboids", runtime_env=environment)
    with pytest.raises(ImportError, match="Expected arrow_labels on the worker, got .* halted.*: install it on every"):
        dataset.materialize()


def test_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(al.FetchError, match="^Expected files with labels .*, got none - at"):
        read_labels(str(tmp_path), "cuboids")
    with pytest.raises(al.FetchError, match="^Expected a file, folder or glob, got nothing - at"):
        read_labels(str(tmp_path / "none.json"), "cuboids")
    (tmp_path / "a.json.gz").write_bytes(b"not gzip")
    with pytest.raises(al.FetchError, match="^Expected a file that can be read, got Not a gzipped file"):
        read_labels(str(tmp_path), "cuboids")
    with pytest.raises(ValueError, match="^table: expected one of"):
        read_labels(str(tmp_path), "boxes")
    with pytest.raises(ValueError, match="^columns: expected columns of `cuboids`, .*, got points"):
        read_labels(str(tmp_path), "cuboids", columns=["points"])
    with pytest.raises(ValueError, match="^labelsets: expected a collection of names, got the text 'x'"):
        read_labels(str(tmp_path), "cuboids", labelsets="x")
    with pytest.raises(ValueError, match="^mask_options: expected them with masks=True only"):
        read_labels(str(tmp_path), "cuboids", mask_options={"retries": 0})
    with pytest.raises(ValueError, match=r"^read_options: expected options of read_datasource, .*, got colums$"):
        read_labels(str(tmp_path), "cuboids", concurrency=1, colums=["x"])
    with pytest.raises(ValueError, match="^part_bytes: expected a positive number, got 0"):
        read_labels(str(tmp_path), "cuboids", part_bytes=0)
    with pytest.raises(ValueError, match="^table: expected one of segments, findings, rejects, got 'labels'"):
        read_masks({"frames": None, "segments": None}, "labels")  # type: ignore[dict-item]
