"""Label JSON -> a folder of Parquet files, by several processes, each of which writes files of its own."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Final

from arrow_labels.changes import Changes
from arrow_labels.decode import OnError, TimestampUnit
from arrow_labels.division import weight
from arrow_labels.read import prepare, prepared
from arrow_labels.schema import SCHEMAS
from arrow_labels.workers import Progress, Sink, is_everywhere, shared
from arrow_labels.write.folder import Folder, Part
from arrow_labels.write.parquet import ROW_GROUP_BYTES, Removed, WriteMode, checked, put
from arrow_labels.write.parts import write_part

_BATCH_BYTES: Final = 16 << 20
"""JSON that a process holds as tables at once; row groups may be larger."""
_SPANS: Final = 8
"""Spans for each process: more make better use of all, fewer make larger files."""
_MOST_SPAN: Final = 1 << 30


def convert_labels(
    source: Any,
    target: str | os.PathLike[str],
    *,
    mode: WriteMode = "error",
    removed: Removed = "keep",
    workers: int | None = None,
    compression: str = "zstd",
    compression_level: int | None = None,
    row_group_rows: int = 1 << 20,
    row_group_bytes: int = ROW_GROUP_BYTES,
    task_type: str | None = None,
    timestamp_unit: TimestampUnit = "ns",
    labelsets: Collection[str] | None = None,
    tables: Collection[str] | None = None,
    storage_options: dict[str, Any] | None = None,
    on_error: OnError = "raise",
    masks: bool = False,
    mask_options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> dict[str, int]:
    """Turn label JSON into a folder of Parquet files, all or nothing, in bounded memory.

    What ``write_parquet(iter_labels(source), target)`` does, but with `workers` each of them writes files of its own:
    `TABLE/part-00000.parquet`, `TABLE/part-00001.parquet`, …, in the order of the source. Labels have a `content_hash`,
    from which `update_parquet` goes on; row groups are as small as it makes them.

    Parameters
    ----------
    source, task_type, timestamp_unit, labelsets, tables, on_error, masks, mask_options, workers, progress
        As in `iter_labels`.
    target, mode, removed, compression, compression_level, row_group_rows, row_group_bytes
        As in `write_parquet`.
    storage_options : dict, optional
        Options of the fsspec file systems of source and target.

    Returns
    -------
    dict of str to int
        How many rows each table got from the source.

    Raises
    ------
    ValueError
        An option is wrong; or `tables` with ``mode="upsert"``, which replaces whole labels.
    TargetError, SchemaError
        As in `write_parquet`.
    FetchError, DecodeError, BitmapError, WorkerError
        As in `iter_labels`; nothing is left of what was written.

    Examples
    --------
    >>> import arrow_labels as al
    >>> label = {"annotations": [{"id": 1, "category_id": 0}]}
    >>> al.convert_labels(label, "memory://converted")["segments"]
    1
    >>> al.read_parquet("memory://converted") == al.read_labels(label)
    True
    """
    if mode == "upsert" and tables is not None:
        # All rows of a label are replaced, and those of the other tables would be gone.
        raise ValueError('tables: expected all of them with mode="upsert", which replaces whole labels')
    limits, codec = checked(compression, compression_level, row_group_rows, row_group_bytes)
    found: dict[str, list[Part]] = {name: [] for name in SCHEMAS}

    def write(folder: Folder, file: str) -> dict[str, list[Part]]:
        job = prepare(
            source,
            batch_bytes=_BATCH_BYTES,
            task_type=task_type,
            timestamp_unit=timestamp_unit,
            labelsets=labelsets,
            tables=tables,
            storage_options=storage_options,
            on_error=on_error,
            masks=masks,
            mask_options=mask_options,
            workers=workers,
            changes=Changes(),
        )
        if job.files is None or not is_everywhere(folder.fs):
            found.update(write_part(prepared(job, progress), folder, file, limits, codec))
            return found

        def sink(_: Path, number: int) -> Sink:
            name = file.replace("part-00000", f"part-{number:05}", 1)
            always = tuple(SCHEMAS) if number == 0 else ()
            return partial(write_part, folder=folder, file=name, limits=limits, codec=codec, always=always)

        span_bytes = min(sum(map(weight, job.files)) // (_SPANS * job.processes) + 1, _MOST_SPAN)
        made = shared(job.files, job.processes, span_bytes, sink, job.reading, job.batching, progress)
        with closing(made):
            for parts in made:
                for name, part in parts.items():
                    found[name] += part
        return found

    put(write, target, storage_options, mode, removed, limits, codec)
    return {name: sum(part.rows for part in parts) for name, parts in found.items()}
