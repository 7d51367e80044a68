"""Sources -> LabelTables: files, folders, globs, archives and URLs of any fsspec file system.

A release is split by samples without being parsed whole.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing
from functools import partial
from numbers import Integral
from pathlib import Path
from typing import Any, Final, NamedTuple

from arrow_labels.changes import Changes
from arrow_labels.decode import OnError, Reader, TimestampUnit, reader
from arrow_labels.files import documents
from arrow_labels.processes import cores
from arrow_labels.schema import ANNOTATION_TABLES
from arrow_labels.sources import File, resolve, total_bytes
from arrow_labels.tables import LabelTables
from arrow_labels.workers import Progress, Sink, batched, kept, shareable, shared, taken

_LOG: Final = logging.getLogger(__name__)
_FOR_MASKS: Final = ("labels", "frames", *ANNOTATION_TABLES)
"""Tables that `read_masks` looks at."""


def read_labels(
    source: Any,
    *,
    task_type: str | None = None,
    timestamp_unit: TimestampUnit = "ns",
    labelsets: Collection[str] | None = None,
    tables: Collection[str] | None = None,
    storage_options: dict[str, Any] | None = None,
    on_error: OnError = "raise",
    masks: bool = False,
    mask_options: Mapping[str, Any] | None = None,
    workers: int | None = None,
) -> LabelTables:
    """Read labels whole, into memory.

    Parameters
    ----------
    source : str, path, file, bytes, dict, pydantic model, or a list of those
        Path, URL of any fsspec file system, glob, or folder; `.json`, `.jsonl` and `.ndjson` files, also compressed
        (`.gz`, `.zst`, `.bz2`, `.xz`) or in a `.zip`; an open binary file, compressed or a document a line if it
        looks so; or documents that are in memory. Hidden files of folders and archives are passed over.
    task_type, timestamp_unit, labelsets, tables, on_error
        As in `decode_labels`.
    storage_options : dict, optional
        Options of the fsspec file system.
    masks : bool
        Whether to fetch the bitmaps of frames, and to fill area, box and run lengths of segments.
    mask_options : mapping, optional
        Options of `read_masks`; `on_error` and `storage_options` are those above unless they are here.
    workers : int, optional
        Processes that decode; default: as many as there are cores for this process. They take files and parts of large
        files: documents in memory, archives and what is smaller than 128 MB in all are read by this process alone.
        The rows and their order are the same with any number. Scripts need no ``if __name__ == "__main__"``.

    Returns
    -------
    LabelTables
        Rows in the order of the documents; files of a folder or glob sorted by path. Small files of a remote store are
        fetched ahead, up to 16 at a time.

    Raises
    ------
    FetchError
        The source holds no document, or cannot be read.
    DecodeError
        A document is not a label (with ``on_error="raise"``).
    BitmapError
        With `masks`: as `read_masks`.
    WorkerError
        A process was killed, or died.

    Examples
    --------
    >>> import arrow_labels as al
    >>> tables = al.read_labels({"annotations": [{"id": 1, "category_id": 0}]})
    >>> tables["segments"].num_rows
    1
    """
    return LabelTables.concat(
        iter_labels(
            source,
            task_type=task_type,
            timestamp_unit=timestamp_unit,
            labelsets=labelsets,
            tables=tables,
            storage_options=storage_options,
            on_error=on_error,
            masks=masks,
            mask_options=mask_options,
            workers=workers,
        )
    )


def iter_labels(
    source: Any,
    *,
    batch_bytes: int = 64 << 20,
    task_type: str | None = None,
    timestamp_unit: TimestampUnit = "ns",
    labelsets: Collection[str] | None = None,
    tables: Collection[str] | None = None,
    storage_options: dict[str, Any] | None = None,
    on_error: OnError = "raise",
    masks: bool = False,
    mask_options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    workers: int | None = None,
    changes: Changes | None = None,
) -> Iterator[LabelTables]:
    """Read labels a batch at a time, in bounded memory.

    Parameters
    ----------
    source
        As in `read_labels`.
    batch_bytes : int
        JSON, and masks, that make one batch; a sample is never divided.
    task_type, timestamp_unit, labelsets, tables, storage_options, on_error, masks, mask_options, workers
        As in `read_labels`; each worker holds a batch.
    progress : callable, optional
        Called with the bytes of JSON that are done and, where it is known, how many there are in all.
    changes : Changes, optional
        What a target holds (`arrow_labels.changes`): only what is new or changed against it is decoded, by this
        process alone. Fills `content_hash` of `labels`, which is null without it.

    Yields
    ------
    LabelTables
        Together, in order, what `read_labels` gives.

    Raises
    ------
    FetchError, DecodeError, BitmapError, WorkerError
        As in `read_labels`.

    Examples
    --------
    >>> import arrow_labels as al
    >>> labels = [{"annotations": [{"id": id, "category_id": 0}]} for id in range(3)]
    >>> sum(part["segments"].num_rows for part in al.iter_labels(labels, batch_bytes=1))
    3
    """
    job = prepare(
        source,
        batch_bytes=batch_bytes,
        task_type=task_type,
        timestamp_unit=timestamp_unit,
        labelsets=labelsets,
        tables=tables,
        storage_options=storage_options,
        on_error=on_error,
        masks=masks,
        mask_options=mask_options,
        workers=workers if changes is None else 1,
        changes=changes,
    )
    return prepared(job, progress)


class Prepared(NamedTuple):
    """What to read and how: the items of the source, a reader and its arguments, those of `batched`, and the workers.

    `files` are the items if several processes are worth it, else None.
    """

    items: list[Any]
    run: Reader
    reading: dict[str, Any]
    batching: dict[str, Any]
    processes: int
    files: list[File] | None


def prepare(
    source: Any,
    *,
    batch_bytes: int,
    task_type: str | None,
    timestamp_unit: TimestampUnit,
    labelsets: Collection[str] | None,
    tables: Collection[str] | None,
    storage_options: dict[str, Any] | None,
    on_error: OnError,
    masks: bool,
    mask_options: Mapping[str, Any] | None,
    workers: int | None,
    changes: Changes | None = None,
) -> Prepared:
    """Check the options of `iter_labels`, and find out what the source is.

    With several processes each has a copy of `changes`: it is not filled here.
    """
    if batch_bytes < 1:
        raise ValueError(f"batch_bytes: expected a positive number, got {batch_bytes}")
    if workers is not None and not (isinstance(workers, Integral) and workers >= 1):
        raise ValueError(f"workers: expected a positive whole number, or None for all cores, got {workers!r}")
    if mask_options and not masks:
        raise ValueError("mask_options: expected them with masks=True only")
    reading: dict[str, Any] = {
        "task_type": task_type,
        "timestamp_unit": timestamp_unit,
        "labelsets": labelsets if labelsets is None or isinstance(labelsets, str) else set(labelsets),
        "tables": tables if tables is None or isinstance(tables, str) else {*tables, *(_FOR_MASKS if masks else ())},
        "on_error": on_error,
        "chunk_bytes": batch_bytes,
        "selects": changes,
    }
    run = reader(**reading)
    if changes is not None:
        asked = [f"masks {sorted((mask_options or {}).get('columns', ()))}"] if masks else []
        asked += [] if tables is None else [f"tables {sorted(set(tables))}"]
        changes.options = ", ".join(asked)
        changes.labelsets = None if labelsets is None else sorted(set(labelsets))
    options = {"storage_options": storage_options, "on_error": on_error, **(mask_options or {})}
    batching = {"batch_bytes": batch_bytes, "tables": tables, "mask_options": options if masks else None}
    items = list(resolve(source, storage_options))
    processes = cores() if workers is None else workers
    files = shareable(items, processes, reading, batching)
    many = processes if files is not None else 1
    total = total_bytes(items)
    _LOG.info("%d items, %s bytes of JSON, %d processes", len(items), "unknown" if total is None else total, many)
    return Prepared(items, run, reading, batching, processes, files)


def prepared(job: Prepared, progress: Progress | None) -> Iterator[LabelTables]:
    """What `iter_labels` gives."""
    if job.files is None:
        total = total_bytes(job.items)
        tell = None if progress is None else lambda done: progress(done, total)
        yield from batched(job.run.batches(documents(job.items, job.run.on_error)), progress=tell, **job.batching)
        return
    span_bytes = job.batching["batch_bytes"]
    made = shared(job.files, job.processes, span_bytes, _kept, job.reading, job.batching, progress)
    with closing(made):
        for path, names in made:
            yield from taken(path, names)


def _kept(folder: Path, number: int) -> Sink:
    return partial(kept, folder / f"{number}.arrow")
