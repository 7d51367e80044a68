"""Labels as Spark DataFrames: the data source `arrow_labels`, batch and streaming, and bitmaps over the whole cluster.

::

    spark.dataSource.register(LabelsSource)
    spark.read.format("arrow_labels").option("table", "cuboids").load("s3a://bucket/release.json")
"""

from __future__ import annotations

import gc
import pickle
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, lru_cache, partial, reduce
from types import SimpleNamespace
from typing import Any, Final

import pyarrow as pa

from arrow_labels.decode import OnError
from arrow_labels.engines.arrivals import NOTHING, Offset, arrived, latest
from arrow_labels.engines.driver import index_on_all_cores
from arrow_labels.engines.groups import MASK_COLUMNS, check, fill
from arrow_labels.engines.spark_options import Settings, parse
from arrow_labels.engines.worker import shipped
from arrow_labels.errors import MissingExtraError, SchemaError
from arrow_labels.partitions import Part, checked, parts_of, read_part
from arrow_labels.pieces import Options, items_of
from arrow_labels.schema import DESCRIPTIONS, SCHEMAS
from arrow_labels.sources import File

try:
    from pyspark.sql import functions
    from pyspark.sql.dataframe import DataFrame
    from pyspark.sql.datasource import DataSource, DataSourceReader, DataSourceStreamReader, InputPartition
    from pyspark.sql.types import (
        ArrayType,
        BooleanType,
        DataType,
        DoubleType,
        IntegerType,
        LongType,
        StringType,
        StructField,
        StructType,
        TimestampType,
    )
except ImportError as error:
    raise MissingExtraError("pyspark", extra="spark") from error

_TYPES: Final[dict[pa.DataType, DataType]] = {
    pa.string(): StringType(),
    pa.int32(): IntegerType(),
    pa.int64(): LongType(),
    pa.float64(): DoubleType(),
    pa.bool_(): BooleanType(),
    pa.timestamp("us", "UTC"): TimestampType(),
}


class LabelsSource(DataSource):  # type: ignore[misc]  # the types of pyspark are not looked at
    """The Spark data source `arrow_labels`: one table of labels as a DataFrame.

    Register it once in a session. The path is that of `arrow_labels.read_labels`: a file, a folder, a glob or a URL of
    any fsspec file system; `load` takes a list of them too. Spans of samples of a large release, lines of a large
    `.jsonl` and groups of small files are partitions of their own. The driver looks up the names of all samples first,
    so that samples with the same name are told apart as `read_labels` does; that reads the source once more, at about
    ten times the speed of decoding, and not again for the other tables of the same source while its files stay the
    same. The rows are those of ``read_labels(source, tables=[table])[table]``.

    `readStream` reads the files that keep arriving in a folder. A file must appear complete, as by an upload or a
    rename; every one is read once. Names are told apart within one micro-batch, not over all.

    A schema that is given reads only the columns that it names, ``….schema("yaw double").load(path)``; what they do not
    need is neither decoded nor validated, as by `scan_labels`.

    Options
    -------
    table
        The table to read, of `arrow_labels.SCHEMAS`.
    task_type, timestamp_unit, on_error
        As in `read_labels`. What fails with ``on_error="collect"`` is in the table `rejects`.
    labelsets
        Labelsets to read, with commas between them.
    storage_options
        JSON object: options of the fsspec file system.
    masks, mask_options
        Whether to fetch bitmaps and fill segments (``true`` or ``false``); JSON object: options of `read_masks`.
    part_bytes
        JSON that makes one partition; 64 MiB unless it is given.
    max_file_age
        For streams: seconds that a file may become visible later than a newer one; a week unless it is given.

    Examples
    --------
    >>> LabelsSource.name()
    'arrow_labels'
    """

    @classmethod
    def name(cls) -> str:
        """The name of the format."""
        return "arrow_labels"

    def schema(self) -> StructType:
        """The columns of the table."""
        settings = parse(self.options)
        return spark_schema(settings.table)

    def reader(self, schema: StructType) -> LabelsReader:
        """What reads the source once."""
        return LabelsReader(parse(self.options), schema)

    def streamReader(self, schema: StructType) -> LabelsStreamReader:  # noqa: N802
        """What reads the files that arrive."""
        return LabelsStreamReader(parse(self.options), schema)


def spark_schema(table: str, columns: Sequence[str] | None = None) -> StructType:
    """The Spark schema of a table, or of some columns of it; comments say what the columns mean.

    Examples
    --------
    >>> spark_schema("links", ["link_index", "from_id"]).simpleString()
    'struct<link_index:int,from_id:bigint>'
    """
    names = SCHEMAS[table].names if columns is None else columns
    return StructType(
        [
            StructField(
                name, _spark_type(SCHEMAS[table].field(name).type), True, {"comment": DESCRIPTIONS[table][name]}
            )
            for name in names
        ]
    )


def _spark_type(type_: pa.DataType) -> DataType:
    if pa.types.is_list(type_):
        return ArrayType(_spark_type(type_.value_type))
    if pa.types.is_struct(type_):
        return StructType([StructField(field.name, _spark_type(field.type)) for field in type_])
    return _TYPES[type_]


class _Reader:
    """What batch and stream share."""

    def __init__(self, settings: Settings, schema: StructType) -> None:
        self.settings = settings
        self.columns = list(schema.names)
        checked(settings.table, self.columns, settings.options)
        for field, own in zip(schema.fields, spark_schema(settings.table, self.columns).fields, strict=True):
            if field.dataType != own.dataType:
                raise SchemaError(
                    f"Expected column `{field.name}` of type `{own.dataType.simpleString()}`, got "
                    f"`{field.dataType.simpleString()}` - in table `{settings.table}`"
                )

    def planned(self, items: Sequence[tuple[int, Any]]) -> list[InputPartition]:
        """The partitions of some items."""
        on_error = self.settings.options.on_error
        # What cannot be read is not there with `on_error="collect"`, but may be there the next time.
        is_known = on_error == "raise" and all(isinstance(it, File) and it.version is not None for _, it in items)
        plan = _plan if is_known else _plan.__wrapped__
        return [InputPartition(pickle.dumps(part)) for part in plan(tuple(items), on_error, self.settings.part_bytes)]

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        """The rows of a partition."""
        settings = self.settings
        return record_batches(settings.table, self.columns, settings.options, settings.mask_options, partition)

    def __reduce__(self) -> tuple[Any, ...]:
        # What Spark sends to its executors is only `read`, and that says so if the library is not there.
        settings = self.settings
        read = shipped(record_batches, settings.table, self.columns, settings.options, settings.mask_options)
        return partial(SimpleNamespace, read=read), ()


@lru_cache(maxsize=1)
def _plan(items: tuple[tuple[int, Any], ...], on_error: OnError, part_bytes: int) -> list[Part]:
    """The parts of some items.

    The last ones are kept, in the process that plans for Spark: tables of one source are read one after the other.
    """
    return parts_of(index_on_all_cores(items, on_error, part_bytes), part_bytes)


class LabelsReader(_Reader, DataSourceReader):  # type: ignore[misc]
    """Reads a source once."""

    def partitions(self) -> list[InputPartition]:
        """One partition for each part of the source."""
        return self.planned(items_of(self.settings.paths, self.settings.storage_options))


class LabelsStreamReader(_Reader, DataSourceStreamReader):  # type: ignore[misc]
    """Reads the files that arrive in a folder."""

    def __init__(self, settings: Settings, schema: StructType) -> None:
        super().__init__(settings, schema)
        if len(settings.paths) != 1:
            raise ValueError(f"path: expected one folder or glob to stream from, got {len(settings.paths)}")

    def initialOffset(self) -> dict[str, Any]:  # noqa: N802
        """The offset before all files."""
        return {**NOTHING}

    def latestOffset(self) -> dict[str, Any]:  # noqa: N802
        """The offset after all files that are there."""
        settings = self.settings
        return {**latest(settings.paths[0], settings.storage_options, settings.max_file_age)}

    def partitions(self, start: Offset, end: Offset) -> list[InputPartition]:
        """The partitions of the files that came between two offsets."""
        settings = self.settings
        return self.planned(list(enumerate(arrived(settings.paths[0], settings.storage_options, start, end))))


def record_batches(
    table: str,
    columns: Sequence[str],
    options: Options,
    mask_options: dict[str, Any] | None,
    partition: InputPartition,
) -> Iterator[pa.RecordBatch]:
    """The rows of a partition, run by an executor."""
    part: Part = pickle.loads(partition.value)
    yield from read_part(part, table, columns, options, mask_options)
    _settle()


@cache
def _settle() -> None:
    """Once, take what a worker has imported out of the garbage collection that Spark runs after each task.

    To look through all that takes as long as to read 8 MB of JSON, and none of it is ever garbage.
    """
    gc.freeze()


def read_masks(tables: Mapping[str, DataFrame], table: str = "segments", **mask_options: Any) -> DataFrame:
    """Fetch the bitmaps of frames over the cluster, and fill area, box and run lengths of their segments.

    For tables that are DataFrames already; the data source with ``.option("masks", "true")`` does it while it reads.
    The rows are grouped by sample, and each group is filled as by `arrow_labels.read_masks`.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        `frames` and `segments`; `labels`, which say what relative URLs are relative to; `vectors` and `cuboids`, if
        `findings` shall know the ids of their annotations.
    table : str
        What to return: `segments`, or `findings` or `rejects` of the bitmaps.
    mask_options
        Options of `arrow_labels.read_masks`, but `progress`.

    Returns
    -------
    DataFrame

    Raises
    ------
    ValueError
        A table is missing or of another kind.
    FetchError, BitmapError
        As `arrow_labels.read_masks`, from Spark when the DataFrame is computed.

    Examples
    --------
    >>> read_masks({})
    Traceback (most recent call last):
    ...
    ValueError: tables: expected frames and segments, and perhaps labels, vectors and cuboids, got none
    """
    check(tables, table)
    parts = [
        frame.select("sample_id", functions.struct(*MASK_COLUMNS[name]).alias(name)) for name, frame in tables.items()
    ]
    rows = reduce(lambda one, other: one.unionByName(other, allowMissingColumns=True), parts)
    run = shipped(fill, table, mask_options)
    # Spark counts the parameters of the function.
    return rows.groupBy("sample_id").applyInArrow(lambda group: run(group), schema=spark_schema(table))
