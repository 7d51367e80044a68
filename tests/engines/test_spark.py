"""Spark gives the rows that `read_labels` gives; it is a real one, with two workers on this machine."""

import json
import os
import pickle
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import generate
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from jvm import end_jvm
from labelled import TYPES, by_key, hide_library, one_thread, stored, unordered, write_broken, write_folder
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.datasource import InputPartition

import arrow_labels as al
from arrow_labels import pieces
from arrow_labels.engines.spark import LabelsReader, LabelsSource, LabelsStreamReader, read_masks, spark_schema
from arrow_labels.engines.spark_options import parse
from arrow_labels.pieces import Piece

DATA = Path(__file__).parents[1] / "data"
# Functions of Spark that take Arrow look for pandas, which they do not use.
PANDAS = "ignore:PySpark does not yet fully support pandas:FutureWarning"


@pytest.fixture(scope="module")
def spark() -> Iterator[SparkSession]:
    one_thread()
    session = (
        SparkSession.builder.master("local[2,3]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.extraJavaOptions", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")  # compiles less
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.log.level", "ERROR")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.sql.session.timeZone", "America/New_York")
        .config("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS")
        .getOrCreate()
    )
    session.dataSource.register(LabelsSource)
    yield session
    session.stop()
    end_jvm()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("spark") / "labels"
    write_folder(folder)
    return folder


def loaded(spark: SparkSession, source: object, table: str, **options: object) -> DataFrame:
    """A table by the data source."""
    return spark.read.format("arrow_labels").options(table=table, **options).load(str(source))  # type: ignore[arg-type]


def gathered(table: str, frame: DataFrame) -> pa.Table:
    """All rows of a DataFrame, and nothing changed in them."""
    return stored(table, frame.toArrow())


def test_rows_are_those_of_read_labels(spark: SparkSession, folder: Path) -> None:
    whole = al.read_labels(str(folder))
    for table in TYPES:
        size = 60_000 if table == TYPES[-1] else 1 << 20
        reader = spark.read.format("arrow_labels").options(table=table, part_bytes=size)
        frame = reader.schema(spark_schema(table)).load(str(folder))  # saves the process that says the schema
        assert gathered(table, frame) == whole[table], table
    assert frame.rdd.getNumPartitions() > 3


def test_tables_go_through_spark_and_its_parquet_and_back(spark: SparkSession, folder: Path, tmp_path: Path) -> None:
    whole = al.read_labels(str(folder))
    masks = al.read_labels(str(DATA / "street" / "release.json"), masks=True)
    whole = replace(whole, segments=pa.concat_tables([whole.segments, masks.segments]))
    al.write_parquet(whole, tmp_path / "ours")
    for table in TYPES:
        found = spark.read.parquet(str(tmp_path / "ours" / table))
        assert unordered(gathered(table, found)) == unordered(whole[table]), table
        one = whole[table].combine_chunks()  # createDataFrame of Spark 4.3 loses rows of a table of several chunks
        given = spark.createDataFrame(one, spark_schema(table)).coalesce(1)
        given.write.parquet(str(tmp_path / "theirs" / table))
        theirs = pa.concat_tables(pq.read_table(it) for it in (tmp_path / "theirs" / table).glob("*.parquet"))
        assert stored(table, theirs) == whole[table], table


def test_a_schema_reads_its_columns(spark: SparkSession) -> None:
    source = str(DATA / "drive" / "release.json")
    reader = spark.read.format("arrow_labels").option("table", "cuboids")
    found = reader.schema("yaw double, id bigint").load(source).toArrow()
    whole = al.read_labels(source).cuboids
    assert found == whole.select(["yaw", "id"]).replace_schema_metadata()
    with pytest.raises(Exception, match="SchemaError: Expected column `id` of type `bigint`, got `int` - in table"):
        reader.schema("id int").load(source).collect()
    with pytest.raises(Exception, match="ValueError: columns: expected columns of `cuboids`, .*, got points"):
        reader.schema("points string").load(source).collect()
    comment = loaded(spark, source, "cuboids").schema["yaw"].metadata["comment"]
    assert comment == al.schema.DESCRIPTIONS["cuboids"]["yaw"]


def test_several_paths_and_options(spark: SparkSession, tmp_path: Path) -> None:
    paths = []
    for number in range(2):
        release = generate.release("pointcloud-cuboid-sequence", samples=2, frames=2, objects=3)
        paths.append(str(tmp_path / f"{number}.json"))
        Path(paths[-1]).write_text(json.dumps(release))
    options: dict[str, Any] = {"timestamp_unit": "us", "task_type": "vector"}
    frame = spark.read.format("arrow_labels").options(table="labels", labelsets="a,model-predictions", **options)
    found = gathered("labels", frame.load(paths))
    assert found == al.read_labels(paths, labelsets=["a", "model-predictions"], **options).labels
    assert found["sample_id"].to_pylist()[-1].endswith("#2")


def test_what_fails_is_collected_or_raised(spark: SparkSession, tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    write_broken(folder)
    whole = al.read_labels(str(folder), on_error="collect")
    frame = loaded(spark, folder, "rejects", on_error="collect", part_bytes=1_000)
    assert gathered("rejects", frame) == whole.rejects
    assert whole.rejects.num_rows == 2
    with pytest.raises(Exception, match=r"DecodeError: Expected `object \| null`, got `str` - at `\$.annotations\[1\]"):
        loaded(spark, folder / "release.json", "cuboids").collect()


@pytest.mark.filterwarnings(PANDAS)
def test_masks_are_filled_while_reading_and_afterwards(spark: SparkSession) -> None:
    source = str(DATA / "street" / "release.json")
    whole = al.read_labels(source, masks=True)
    found = gathered("segments", loaded(spark, source, "segments", masks="true", part_bytes=2_000))
    assert found == whole.segments
    given = al.read_labels(source)
    names = ("frames", "segments", "labels")
    frames = {name: spark.createDataFrame(given[name].combine_chunks(), spark_schema(name)) for name in names}
    found = gathered("segments", read_masks(frames))
    assert by_key("segments", found) == by_key("segments", whole.segments)
    assert found["rle"].null_count < len(found)


@pytest.mark.filterwarnings(PANDAS)
def test_a_killed_worker_is_replaced(spark: SparkSession, tmp_path: Path) -> None:
    mark = str(tmp_path / "killed")

    def kill_once(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            try:
                os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                yield batch
            else:
                os.kill(os.getpid(), signal.SIGKILL)

    source = str(DATA / "drive" / "release.json")
    frame = loaded(spark, source, "cuboids", part_bytes=100_000)
    assert gathered("cuboids", frame.mapInArrow(kill_once, frame.schema)) == al.read_labels(source).cuboids
    assert Path(mark).exists()


MISSING = "ImportError: Expected arrow_labels on the worker, got .* halted.*: install it on every machine"


@pytest.mark.filterwarnings(PANDAS)
def test_a_worker_without_the_library_says_so(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide_library(tmp_path)
    given = al.read_labels(str(DATA / "street" / "release.json"))
    frames = {
        name: spark.createDataFrame(given[name].combine_chunks(), spark_schema(name)) for name in ("frames", "segments")
    }
    monkeypatch.setitem(spark.sparkContext.environment, "PYTHONPATH", str(tmp_path))
    with pytest.raises(Exception, match=MISSING):
        read_masks(frames).collect()


def test_what_spark_sends_to_a_worker_without_the_library_says_so(tmp_path: Path) -> None:
    hide_library(tmp_path)
    from pyspark import cloudpickle

    reader = LabelsReader(parse({"table": "labels", "path": "x"}), spark_schema("labels"))
    code = (
        "import sys, pickle; reader, partition = pickle.load(sys.stdin.buffer)\n"
        "try: reader.read(partition)\n"
        "except ImportError as error: print(f'{type(error).__name__}: {error}')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=cloudpickle.dumps((reader, InputPartition(b""))),
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        check=True,
    )
    assert re.match(MISSING, done.stdout.decode())
    sent = pickle.loads(cloudpickle.dumps(reader))
    assert not isinstance(sent, LabelsReader)


def test_files_that_arrive_are_read_once(spark: SparkSession, tmp_path: Path) -> None:
    folder, target, checkpoint = tmp_path / "arriving", tmp_path / "read", tmp_path / "checkpoint"
    folder.mkdir()

    def arrive(name: str, task_type: str, modified: int) -> None:
        release = generate.release(task_type, seed=modified, samples=2, frames=2, objects=3)
        written = tmp_path / "incomplete"
        written.write_text(json.dumps(release))
        os.utime(written, (modified, modified))
        written.rename(folder / name)

    def start(**trigger: Any) -> Any:
        rows = spark.readStream.format("arrow_labels").options(table="vectors", part_bytes=5_000).load(str(folder))
        writer = rows.writeStream.format("parquet").option("checkpointLocation", str(checkpoint))
        return writer.trigger(**trigger).start(str(target))

    def check() -> None:
        whole = al.read_labels(str(folder)).vectors
        found = gathered("vectors", spark.read.parquet(str(target)))
        assert by_key("vectors", found) == by_key("vectors", whole)

    query = start(processingTime="0 seconds")
    try:
        query.processAllAvailable()
        arrive("b.json", "vector", 1_700_000_000)
        query.processAllAvailable()
        check()
        arrive("c.json", "bboxes", 1_700_000_100)
        arrive("note.txt", "bboxes", 1_700_000_100)
        query.processAllAvailable()
        check()
    finally:
        query.stop()
    arrive("a.json", "keypoints", 1_699_999_000)  # first by name and by time, last to be seen
    start(availableNow=True).awaitTermination()
    check()
    rows = spark.read.parquet(str(target)).count()
    start(availableNow=True).awaitTermination()
    assert spark.read.parquet(str(target)).count() == rows


def test_names_are_looked_up_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tables of a source share what was looked up, until a file is another one."""
    looked: list[int] = []

    def index(items: Any, **options: Any) -> list[Piece]:
        looked.append(len(items))
        return pieces.index(items, **options)

    def counts(table: str, **options: str) -> list[dict[str, int]]:
        given = parse({"path": str(tmp_path), "table": table, **options})
        found = LabelsReader(given, spark_schema(table)).partitions()
        return [pickle.loads(partition.value).sample_ids for partition in found]

    monkeypatch.setattr("arrow_labels.engines.driver.index", index)
    for name in "ab":
        (tmp_path / f"{name}.json").write_text('{"name": "x", "labels": {}}')
    assert counts("labels", part_bytes="1") == counts("frames", part_bytes="1") == [{}, {"x": 1}]
    assert looked == [1, 1]
    (tmp_path / "new").write_text('{"name": "y", "labels": {}}')
    (tmp_path / "new").replace(tmp_path / "a.json")
    assert counts("labels", part_bytes="1") == [{}, {}]
    assert counts("labels") == [{}]  # other parts
    assert looked == [1, 1, 1, 1, 2]
    for _ in range(2):  # what cannot be read now may be read the next time
        assert counts("labels", on_error="collect") == [{}]
    assert looked == [1, 1, 1, 1, 2, 2, 2]


def test_sources_that_are_not_there(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="FetchError: Expected files with labels .*, got none - at"):
        loaded(spark, tmp_path, "cuboids").collect()
    with pytest.raises(Exception, match="ValueError: table: expected one of datasets, .*, got 'boxes'"):
        loaded(spark, tmp_path, "boxes")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"table": "boxes"}, "table: expected one of datasets, .*, got 'boxes'"),
        ({}, r'table: expected .option\("table", ...\) with one of datasets, .*, got none'),
        ({"table": "labels", "path": None}, "path: expected .load"),
        ({"table": "labels", "on_eror": "raise"}, "options: expected some of path, .*, got on_eror"),
        ({"table": "labels", "on_error": "skip"}, 'on_error: expected "raise" or "collect"'),
        ({"table": "labels", "storage_options": "{"}, "storage_options: expected JSON, got '{'"),
        ({"table": "labels", "mask_options": "[]"}, r"mask_options: expected a JSON object, got '\[\]'"),
        ({"table": "labels", "mask_options": '{"retries": 0}'}, "mask_options: expected them with masks=true only"),
        ({"table": "labels", "masks": "yes"}, 'masks: expected "true" or "false", got'),
        ({"table": "labels", "part_bytes": "-1"}, "part_bytes: expected a positive number, got '-1'"),
    ],
)
def test_wrong_options(given: dict[str, Any], message: str) -> None:
    options = {name: value for name, value in {"path": "x", **given}.items() if value is not None}
    with pytest.raises(ValueError, match=f"^{message}"):
        parse(options)


def test_wrong_use() -> None:
    two = parse({"table": "labels", "paths": '["a", "b"]'})
    with pytest.raises(ValueError, match="^path: expected one folder or glob to stream from, got 2"):
        LabelsStreamReader(two, spark_schema("labels"))
    with pytest.raises(ValueError, match="^tables: expected frames and segments, .*, got frames, labels"):
        read_masks({"frames": None, "labels": None})  # type: ignore[dict-item]
