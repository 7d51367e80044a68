"""Labels as Ray datasets: files are read, and bitmaps fetched and decoded, over the whole cluster."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from inspect import Parameter, signature
from typing import Any, Final

import pyarrow as pa

from arrow_labels.decode import OnError, TimestampUnit
from arrow_labels.engines.groups import MASK_COLUMNS, check, fill, mixed
from arrow_labels.engines.worker import shipped
from arrow_labels.errors import MissingExtraError
from arrow_labels.partitions import Part, checked, groups_of_items, parts_of, read_part
from arrow_labels.pieces import PIECE_BYTES, Options, Piece, index, items_of
from arrow_labels.sources import File

try:
    import ray
    import ray.data
    from ray.data.block import BlockMetadata
    from ray.data.datasource import Datasource, ReadTask
    from ray.exceptions import RayTaskError
except ImportError as error:
    raise MissingExtraError("ray", extra="ray") from error

_SMALLEST: Final = 4 << 20
"""Parts are not made smaller than this to have one for each core: the overhead of a task would show."""
_LARGEST: Final = 4 * PIECE_BYTES
"""Nor larger, unless asked for; Ray loses 0.2 s between two tasks, and a task streams what it reads."""


def read_labels(
    source: Any,
    table: str,
    *,
    columns: Sequence[str] | None = None,
    task_type: str | None = None,
    timestamp_unit: TimestampUnit = "ns",
    labelsets: Collection[str] | None = None,
    storage_options: dict[str, Any] | None = None,
    on_error: OnError = "raise",
    masks: bool = False,
    mask_options: Mapping[str, Any] | None = None,
    part_bytes: int = _LARGEST,
    **read_options: Any,
) -> ray.data.Dataset:
    """Read one table of labels as a Ray dataset.

    Spans of samples of a large release, lines of a large `.jsonl` and groups of small files are tasks of their own. The
    names of all samples are looked up first, in tasks too, so that samples with the same name are told apart as
    `arrow_labels.read_labels` does; that reads the source once more, at about ten times the speed of decoding.

    Parameters
    ----------
    source : str, path, bytes, dict, or a list of those
        As for `arrow_labels.read_labels`, but no open file; every worker must be able to read the paths.
    table : str
        The table to read, of `arrow_labels.SCHEMAS`. `rejects` and `findings` decode all tables.
    columns : sequence of str, optional
        The columns to read; `Dataset.select_columns` passes its own on. What they do not need is neither decoded nor
        validated, as by `arrow_labels.scan_labels`.
    task_type, timestamp_unit, labelsets, storage_options, on_error, masks, mask_options
        As in `arrow_labels.read_labels`. What fails with ``on_error="collect"`` is in the table `rejects`.
    part_bytes : int
        JSON of one task, at most. Tasks are smaller, down to 4 MiB, where there would be fewer than four for each core.
    read_options
        Other options of `ray.data.read_datasource`, such as `concurrency`, and `override_num_blocks` for more tasks.

    Returns
    -------
    ray.data.Dataset
        The rows of ``arrow_labels.read_labels(source, tables=[table])[table]``. Ray keeps their order only if its
        `DataContext.execution_options.preserve_order` is set; the key columns give it back.

    Raises
    ------
    ValueError
        There is no such table, column or option.
    FetchError
        The source holds no document, or cannot be read.
    DecodeError, BitmapError
        As in `arrow_labels.read_labels`, from Ray when the dataset is consumed.
    MissingExtraError
        Ray is not installed.

    Examples
    --------
    >>> read_labels("s3://bucket/labels/*.json", "boxes")
    Traceback (most recent call last):
    ...
    ValueError: table: expected one of datasets, categories, ..., got 'boxes'
    """
    if part_bytes < 1:
        raise ValueError(f"part_bytes: expected a positive number, got {part_bytes}")
    if mask_options and not masks:
        raise ValueError("mask_options: expected them with masks=True only")
    if isinstance(labelsets, str):
        raise ValueError(f"labelsets: expected a collection of names, got the text {labelsets!r}")
    others = signature(ray.data.read_datasource).parameters.values()
    known = [it.name for it in others if it.kind is Parameter.KEYWORD_ONLY]
    if unknown := sorted(set(read_options) - set(known)):  # Ray itself would pass over them
        raise ValueError(f"read_options: expected options of read_datasource, {', '.join(known)}, got {unknown[0]}")
    kept = None if labelsets is None else frozenset(labelsets)
    options = Options(task_type, timestamp_unit, kept, on_error)
    checked(table, columns, options)
    with_masks = None
    if masks:
        with_masks = {"storage_options": storage_options, "on_error": on_error, **(mask_options or {})}
    labels = LabelsDatasource(items_of(source, storage_options), table, columns, options, with_masks, part_bytes)
    if read_options.get("override_num_blocks") is None:
        # Ray's own choice are two hundred: tasks so short that it loses more between them than they take.
        read_options["override_num_blocks"] = len(labels.parts)
    dataset: ray.data.Dataset = ray.data.read_datasource(labels, **read_options)
    return dataset


class LabelsDatasource(Datasource):  # type: ignore[misc]  # Ray is not typed
    """The Ray datasource behind `read_labels`."""

    def __init__(
        self,
        items: list[tuple[int, Any]],
        table: str,
        columns: Sequence[str] | None,
        options: Options,
        mask_options: dict[str, Any] | None,
        part_bytes: int,
    ) -> None:
        super().__init__()
        self._items = items
        self._table = table
        self._options = options
        self._mask_options = mask_options
        self._part_bytes = part_bytes
        self._projection_map = None if columns is None else {name: name for name in columns}

    def get_name(self) -> str:
        """What Ray calls the tasks."""
        return f"Labels({self._table})"

    def supports_projection_pushdown(self) -> bool:
        """That only the columns that are asked for leave the task."""
        return True

    @cached_property
    def _indexed(self) -> list[Piece]:
        """All pieces with their names, found in tasks; a large file gives a few pieces for each core."""
        size = sum(item.size or 0 for _, item in self._items if isinstance(item, File))
        piece_bytes = min(self._part_bytes, max(size // (4 * _cores()), _SMALLEST))
        find = ray.remote(shipped(index))
        groups = groups_of_items(self._items, min(self._part_bytes, PIECE_BYTES))
        try:
            found = ray.get([find.remote(group, self._options.on_error, piece_bytes) for group in groups])
        except RayTaskError as error:
            raise error.cause from None
        return [each for group in found for each in group]

    @cached_property
    def parts(self) -> list[Part]:
        """The source in a few parts for each core, none of them small."""
        return self._divided(4 * _cores())

    def _divided(self, at_least: int) -> list[Part]:
        not_small = self.estimate_inmemory_data_size() // _SMALLEST
        return parts_of(self._indexed, self._part_bytes, min(at_least, not_small))

    def estimate_inmemory_data_size(self) -> int:
        """Bytes of the JSON: what becomes of it depends on the table."""
        return sum(piece.nbytes for piece in self._indexed)

    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: Any = None
    ) -> list[ReadTask]:
        """One task for each part of the source."""
        columns = self._get_data_columns()
        schema = checked(self._table, columns, self._options)
        parts = self._divided(parallelism) if parallelism > len(self.parts) else self.parts
        made = []
        for part in parts:
            metadata = BlockMetadata(
                num_rows=None, size_bytes=part.nbytes, input_files=tuple(part.sources), exec_stats=None
            )
            read = shipped(blocks, part, self._table, columns, self._options, self._mask_options)
            made.append(ReadTask(read, metadata, schema=schema, per_task_row_limit=per_task_row_limit))
        return made


def blocks(
    part: Part,
    table: str,
    columns: Sequence[str] | None,
    options: Options,
    mask_options: dict[str, Any] | None,
) -> Iterator[pa.Table]:
    """What a task reads, at least an empty table: Ray takes the columns from it."""
    schema = checked(table, columns, options)
    # Rows without columns, which a count asks for, are rows of a table only.
    read = schema.names or checked(table, None, options).names[:1]
    found = False
    for batch in read_part(part, table, read, options, mask_options):
        found = True
        yield pa.Table.from_batches([batch])
    if not found:
        yield checked(table, read, options).empty_table()


def read_masks(
    tables: Mapping[str, ray.data.Dataset],
    table: str = "segments",
    *,
    num_partitions: int | None = None,
    **mask_options: Any,
) -> ray.data.Dataset:
    """Fetch the bitmaps of frames over the cluster, and fill area, box and run lengths of their segments.

    For tables that are datasets already; `read_labels` with ``masks=True`` does it while it reads. The rows are
    grouped by sample, and each group is filled as by `arrow_labels.read_masks`.

    Parameters
    ----------
    tables : mapping of str to ray.data.Dataset
        `frames` and `segments`; `labels`, which say what relative URLs are relative to; `vectors` and `cuboids`, if
        `findings` shall know the ids of their annotations.
    table : str
        What to return: `segments`, or `findings` or `rejects` of the bitmaps.
    num_partitions : int, optional
        Into how many tasks the samples are divided; four for each core unless it is given.
    mask_options
        Options of `arrow_labels.read_masks`, but `progress`.

    Returns
    -------
    ray.data.Dataset

    Raises
    ------
    ValueError
        A table is missing or of another kind.
    FetchError, BitmapError
        As `arrow_labels.read_masks`, from Ray when the dataset is consumed.

    Examples
    --------
    >>> read_masks({})
    Traceback (most recent call last):
    ...
    ValueError: tables: expected frames and segments, and perhaps labels, vectors and cuboids, got none
    """
    check(tables, table)
    datasets = [
        dataset.select_columns(list(MASK_COLUMNS[name])).map_batches(shipped(mixed, name), batch_format="pyarrow")
        for name, dataset in tables.items()
    ]
    together = datasets[0].union(*datasets[1:])
    groups = together.groupby("sample_id", num_partitions=num_partitions or 4 * _cores())
    filled: ray.data.Dataset = groups.map_groups(shipped(fill, table, mask_options), batch_format="pyarrow")
    return filled


def _cores() -> int:
    return max(1, int(ray.cluster_resources().get("CPU", 1)))
