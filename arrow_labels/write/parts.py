"""LabelTables -> Parquet files, a row group at a time, and what opens these files.

Processes that write parts of a target import this and no more: their start counts.
"""

from __future__ import annotations

import logging
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack
from typing import Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from arrow_labels.errors import TargetError
from arrow_labels.redaction import reason
from arrow_labels.schema import SCHEMAS
from arrow_labels.tables import LabelTables
from arrow_labels.write.folder import WRITABLE, Folder, Part, as_target_error, create

_LOG: Final = logging.getLogger(__name__)
_WAITING: Final = 3
"""Row groups' worth of bytes that may wait, over all tables."""


def open_part(folder: Folder, part: Part) -> pq.ParquetFile:
    """Open a file of a table; its checksums are proven when it is read, within `as_target_error(readable(part), …)`."""
    with as_target_error(readable(part), folder.url):
        path = f"{folder.path}/{part.file}"
        file = pq.ParquetFile(path, filesystem=folder.fs, page_checksum_verification=True)
        # Arrow takes memory for as many rows as are stated, before it reads one.
        check_rows(sum(file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)), folder, part)
    return file


def check_rows(rows: int, folder: Folder, part: Part) -> None:
    """Check that a file of a table has the rows that the manifest says."""
    if rows != part.rows:
        raise TargetError(f"Expected {part.rows:,} rows in `{part.file}`, got {rows:,} - in {folder.url}")


def readable(part: Part) -> str:
    """What is expected of a file of a table."""
    return f"`{part.file}` to be Parquet that can be read"


class Limits(NamedTuple):
    """Most rows and bytes of a row group."""

    rows: int
    bytes: int


def write_part(
    parts: Iterable[LabelTables],
    folder: Folder,
    file: str,
    limits: Limits,
    codec: dict[str, Any],
    always: Collection[str] = tuple(SCHEMAS),
) -> dict[str, list[Part]]:
    """Write each table as a file of this name, a row group at a time; without rows only those of `always`."""
    with ExitStack() as stack:
        files: dict[str, Any] = {}
        writers: dict[str, pq.ParquetWriter] = {}
        rows = dict.fromkeys(SCHEMAS, 0)

        def begin(name: str) -> None:
            files[name] = create(folder, f"{name}/{file}")
            stack.callback(_close, files[name])
            writers[name] = pq.ParquetWriter(files[name], SCHEMAS[name], **codec)
            stack.callback(_close, writers[name])

        with as_target_error(WRITABLE, folder.url):
            for name in always:
                begin(name)
        for name, group in row_groups(parts, limits):
            with as_target_error(WRITABLE, folder.url):
                if name not in writers:
                    begin(name)
                writers[name].write_table(group, row_group_size=group.num_rows)
            rows[name] += group.num_rows
            _LOG.info("%s: row group of %d rows, %d bytes in memory", name, group.num_rows, group.nbytes)
        written: dict[str, list[Part]] = {name: [] for name in SCHEMAS}
        with as_target_error(WRITABLE, folder.url):
            for name, writer in writers.items():
                writer.close()
                written[name].append(Part(f"{name}/{file}", rows[name], files[name].tell()))
                files[name].close()
                _LOG.info("%s/%s: %d rows, %d bytes", name, file, rows[name], written[name][0].bytes)
    return written


def _close(item: Any) -> None:
    """Close what is closed already, or what had an error that is on its way up."""
    try:
        item.close()
    except Exception as error:  # of any library below the file system
        _LOG.debug("a file of a write that failed could not be closed: %s", reason(error))


def row_groups(parts: Iterable[LabelTables], limits: Limits) -> Iterator[tuple[str, pa.Table]]:
    """The rows of all parts as row groups, each with the name of its table."""
    waiting: dict[str, list[pa.RecordBatch]] = {name: [] for name in SCHEMAS}
    rows, size = dict.fromkeys(SCHEMAS, 0), dict.fromkeys(SCHEMAS, 0)

    def take(name: str) -> tuple[str, pa.Table]:
        group = pa.Table.from_batches(waiting[name], SCHEMAS[name])
        waiting[name], rows[name], size[name] = [], 0, 0
        return name, group

    for part in parts:
        for name, batch in ((name, batch) for name, table in part for batch in table.to_batches()):
            done = 0
            while done < batch.num_rows:
                rest = batch.slice(done)
                fitting = _fitting(rest, limits.rows - rows[name], limits.bytes - size[name])
                if not fitting and waiting[name]:
                    yield take(name)
                    continue
                head = rest.slice(0, max(1, fitting))
                waiting[name].append(head)
                rows[name] += head.num_rows
                size[name] += head.nbytes
                done += head.num_rows
        while sum(size.values()) > _WAITING * limits.bytes:
            yield take(max(size, key=size.__getitem__))
    yield from (take(name) for name in SCHEMAS if waiting[name])


def _fitting(batch: pa.RecordBatch, rows: int, size: int) -> int:
    """How many of the first rows of a batch are no more than these rows and bytes."""
    if batch.num_rows <= rows and batch.nbytes <= size:
        return int(batch.num_rows)
    lengths = range(1, min(batch.num_rows, rows) + 1)
    return bisect_right(lengths, size, key=lambda length: batch.slice(0, length).nbytes)
