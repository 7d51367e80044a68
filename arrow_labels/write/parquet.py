"""LabelTables -> a folder of Parquet files; `arrow_labels.write.stored` reads it.

``TABLE/part-00000.parquet`` for each of the fourteen tables, empty ones too, with the schema of `arrow_labels.schema`,
so that every engine reads a table as ``TABLE/*.parquet``; `arrow_labels.write.replacing` makes it all or nothing. Row
groups are bounded by rows and bytes. Columns have dictionary pages; byte-stream split is off: it makes rounded numbers
larger. Pages have checksums: a flipped bit would be another number.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Final, Literal, get_args

import polars as pl
import pyarrow as pa

from arrow_labels.redaction import hides_options
from arrow_labels.tables import LabelTables, each_of
from arrow_labels.write.folder import (
    Folder,
    Manifest,
    current,
    is_vacant,
    open_folder,
)
from arrow_labels.write.owners import Key, Tables, given_owners
from arrow_labels.write.parts import Limits, row_groups, write_part
from arrow_labels.write.replacing import Write, replace_folder
from arrow_labels.write.upsert import Writing, insert

WriteMode = Literal["error", "overwrite", "append", "upsert"]
Removed = Literal["keep", "delete"]

ROW_GROUP_BYTES: Final = 4 << 20
"""Row groups of this size cost no more than large ones, and an update writes few of them again."""

_LOG: Final = logging.getLogger(__name__)
_CODECS: Final = ("none", "snappy", "gzip", "brotli", "lz4", "zstd")
_SMALL: Final = 32
"""A row group whose file bytes are this part of the most bytes in memory is a small one."""


@hides_options
def write_parquet(
    tables: LabelTables | Iterable[LabelTables],
    target: str | os.PathLike[str],
    *,
    mode: WriteMode = "error",
    removed: Removed = "keep",
    compression: str = "zstd",
    compression_level: int | None = None,
    row_group_rows: int = 1 << 20,
    row_group_bytes: int = 64 << 20,
    storage_options: dict[str, Any] | None = None,
) -> None:
    """Write tables as a folder of Parquet files, all or nothing.

    Parameters
    ----------
    tables : LabelTables or iterable of LabelTables
        What to write, whole or in parts: with ``al.iter_labels(...)`` memory stays bounded.
    target : str or path
        Folder: a path or any fsspec URL. It gets ``TABLE/part-00000.parquet`` for every table (with a token in the name
        where an object store has files already) and ``_arrow_labels.json``, which says that they are complete.
    mode : {"error", "overwrite", "append", "upsert"}
        Refuse a target that has something in it; replace its tables once the new ones are complete; add labels to what
        it holds, none of which may be there; or add labels and replace those that are there. With the last two, samples
        and definitions of a dataset that are there are replaced by those that are given, `rejects` are those that are
        given, and row groups without a change stay as they are: nothing is touched if nothing changes.
    removed : {"keep", "delete"}
        With ``mode="upsert"``: what becomes of labels and samples of the target that are not among the given ones.
        If they are kept, so is their place; if not, the target gets the order of the given ones.
    compression : {"zstd", "snappy", "gzip", "brotli", "lz4", "none"}
        Codec of all columns.
    compression_level : int, optional
        Level of the codec.
    row_group_rows, row_group_bytes : int
        Most rows, and most bytes of Arrow data, in a row group; a row is never divided.
    storage_options : dict, optional
        Options of the fsspec file system.

    Raises
    ------
    TargetError
        The target has something in it (with ``mode="error"``), or something that is no table (with
        ``mode="overwrite"``): both before any input is consumed. Or it cannot be written. An error of the input goes
        through as it is, and nothing is left of what was written. Or a label is there already (with ``mode="append"``).
    SchemaError
        The target is of another version of the schema, or a label stands twice (with "append" and "upsert").

    Examples
    --------
    >>> import arrow_labels as al
    >>> tables = al.decode_labels([{"annotations": [{"id": 1, "category_id": 0}]}])
    >>> al.write_parquet(tables, "memory://written")
    >>> al.read_parquet("memory://written") == tables
    True
    """
    limits, codec = checked(compression, compression_level, row_group_rows, row_group_bytes)
    parts = each_of(tables)
    write = partial(write_part, parts, limits=limits, codec=codec)
    put(write, target, storage_options, mode, removed, limits, codec)


def checked(
    compression: str, compression_level: int | None, row_group_rows: int, row_group_bytes: int
) -> tuple[Limits, dict[str, Any]]:
    """Options of `write_parquet`, as `write_part` takes them."""
    if compression not in _CODECS:
        raise ValueError(f"compression: expected one of {', '.join(_CODECS)}, got {compression!r}")
    for name, value in (("row_group_rows", row_group_rows), ("row_group_bytes", row_group_bytes)):
        if value < 1:
            raise ValueError(f"{name}: expected a positive number, got {value}")
    codec = {"compression": compression, "compression_level": compression_level, "write_page_checksum": True}
    return Limits(row_group_rows, row_group_bytes), codec


def put(
    write: Write,
    target: str | os.PathLike[str],
    storage_options: dict[str, Any] | None,
    mode: WriteMode,
    removed: Removed,
    limits: Limits,
    codec: dict[str, Any],
) -> None:
    """Put tables into a folder, as `write_parquet` does in each mode."""
    if mode not in get_args(WriteMode):
        raise ValueError(f'mode: expected "error", "overwrite", "append" or "upsert", got {mode!r}')
    if removed not in ("keep", "delete") or (removed == "delete" and mode != "upsert"):
        raise ValueError(f'removed: expected "keep", or with mode="upsert" "delete", got {removed!r}')
    folder = open_folder(target, storage_options)
    if mode in ("error", "overwrite") or is_vacant(folder):
        replace_folder(folder, "overwrite" if mode == "overwrite" else "error", write)
        return
    keep = removed == "keep"
    owners = partial(given_owners, url=folder.url, may_hold=mode == "upsert", keep=keep)
    add(write, folder, current(folder), owners, lambda: keep, limits, codec)


def add(
    write: Write,
    folder: Folder,
    manifest: Manifest,
    owners: Callable[[Tables, Tables], dict[Key, pl.DataFrame]],
    keep: Callable[[], bool],
    limits: Limits,
    codec: dict[str, Any],
) -> bool:
    """Add tables to a complete folder, as `insert` does; they wait in a temporary folder until all are there.

    `keep` is asked then.
    """

    def divided(name: str, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
        return (group for _, group in row_groups((LabelTables(**{name: table}) for table in tables), limits))

    with tempfile.TemporaryDirectory(prefix="arrow-labels-") as name:
        waiting = open_folder(name, None)
        written = write(waiting, "part-00000.parquet")
        writing = Writing(divided, limits.bytes // _SMALL, codec)
        return insert(folder, manifest, (waiting, written), owners, keep(), writing)
