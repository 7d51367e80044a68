"""Sources -> LabelTables: files, folders, globs, archives and URLs of any fsspec file system.

A release is split by samples without being parsed whole.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from arrow_labels.decode import OnError, TimestampUnit, reader
from arrow_labels.files import documents
from arrow_labels.masks import read_masks
from arrow_labels.schema import ANNOTATION_TABLES, SCHEMAS
from arrow_labels.sources import resolve, total_bytes
from arrow_labels.tables import LabelTables

_LOG: Final = logging.getLogger(__name__)

Progress = Callable[[int, int | None], None]

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
) -> LabelTables:
    """Read labels whole, into memory.

    Parameters
    ----------
    source : str, path, file, bytes, dict, pydantic model, or a list of those
        Path, URL of any fsspec file system, glob, or folder; `.json`, `.jsonl` and `.ndjson` files, also compressed
        (`.gz`, `.zst`, `.bz2`, `.xz`) or in a `.zip`; an open binary file; or documents that are in memory.
    task_type, timestamp_unit, labelsets, tables, on_error
        As in `decode_labels`.
    storage_options : dict, optional
        Options of the fsspec file system.
    masks : bool
        Whether to fetch the bitmaps of frames, and to fill area, box and run lengths of segments.
    mask_options : mapping, optional
        Options of `read_masks`; `on_error` and `storage_options` are those above unless they are here.

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
) -> Iterator[LabelTables]:
    """Read labels a batch at a time, in bounded memory.

    Parameters
    ----------
    source
        As in `read_labels`.
    batch_bytes : int
        JSON, and masks, that make one batch; a sample is never divided.
    task_type, timestamp_unit, labelsets, tables, storage_options, on_error, masks, mask_options
        As in `read_labels`.
    progress : callable, optional
        Called with the bytes of JSON that are done and, where it is known, how many there are in all.

    Yields
    ------
    LabelTables
        Together, in order, what `read_labels` gives.

    Raises
    ------
    FetchError, DecodeError, BitmapError
        As in `read_labels`.

    Examples
    --------
    >>> import arrow_labels as al
    >>> labels = [{"annotations": [{"id": id, "category_id": 0}]} for id in range(3)]
    >>> sum(part["segments"].num_rows for part in al.iter_labels(labels, batch_bytes=1))
    3
    """
    if batch_bytes < 1:
        raise ValueError(f"batch_bytes: expected a positive number, got {batch_bytes}")
    if mask_options and not masks:
        raise ValueError("mask_options: expected them with masks=True only")
    wanted = tables if tables is None or not masks else {*tables, *_FOR_MASKS}
    run = reader(task_type, timestamp_unit, labelsets, wanted, on_error, batch_bytes)
    options = {"storage_options": storage_options, "on_error": on_error, **(mask_options or {})}
    unwanted = set() if tables is None else set(SCHEMAS) - {*tables, "rejects"}
    items = list(resolve(source, storage_options))
    total = total_bytes(items)
    parts: list[LabelTables] = []
    size, done = 0, 0
    _LOG.info("reading %d items%s", len(items), "" if total is None else f", {total:,} bytes")
    start = time.perf_counter()
    for nbytes, batch in run.batches(documents(items, on_error)):
        part = LabelTables.from_batches([batch])
        size += nbytes
        done += nbytes
        if masks:
            decoded = part.nbytes
            part = replace(read_masks(part, **options), **dict.fromkeys(unwanted))
            size += max(0, part.nbytes - decoded)
        parts.append(part)
        if progress is not None:
            progress(done, total)
        if size >= batch_bytes:
            yield LabelTables.concat(parts)
            parts, size = [], 0
            _LOG.info("%d bytes of JSON after %.1f s", done, time.perf_counter() - start)
    _LOG.info("%d bytes of JSON after %.1f s: all that there are", done, time.perf_counter() - start)
    if parts:
        yield LabelTables.concat(parts)
