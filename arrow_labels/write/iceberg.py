"""LabelTables -> one Iceberg table for each table, in a catalog, and back.

Rows are written once, as Parquet files that carry the field ids of the table; then every table gets one commit that
adds its files, that of `labels` comes last. A commit that meets another writer's is made again with the same files.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Collection, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import pyarrow.parquet as pq

from arrow_labels.errors import TargetError
from arrow_labels.redaction import reason
from arrow_labels.schema import ROWS, SCHEMAS
from arrow_labels.tables import LabelTables, chosen_tables
from arrow_labels.write.iceberg_commits import commit
from arrow_labels.write.iceberg_tables import (
    Place,
    as_target_error,
    check,
    described,
    grown,
    loaded,
    opened,
    stored_rows,
)
from arrow_labels.write.lakehouse import (
    COMMIT_ORDER,
    LakeMode,
    check_mode,
    refuse_existing,
)
from arrow_labels.write.merge_keys import MERGE_KEYS
from arrow_labels.write.parts import Limits, row_groups
from arrow_labels.write.passing import note, nothing_passed, passing
from arrow_labels.write.row_order import ORDER_COLUMNS, in_order

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table

_LOG: Final = logging.getLogger(__name__)

_LIMITS: Final = Limits(rows=1 << 20, bytes=64 << 20)
_FILE_BYTES: Final = 256 << 20
"""A file that is larger gets no more rows: a delete reads files whole."""


def write_iceberg(
    tables: LabelTables | Iterable[LabelTables],
    catalog: Catalog | str,
    namespace: str | tuple[str, ...],
    *,
    mode: LakeMode = "error",
) -> None:
    """Write tables as Iceberg tables, one in the namespace for each: `labels`, `cuboids` and so on.

    Needs the extra ``iceberg``. Tables that are not there are made, the namespace too; columns have field ids and the
    descriptions of `arrow_labels.schema`. Once the source has been read to its end, every table gets one commit,
    `labels` the last one. Its summary says which sources the rows come from and how many there are.

    Parameters
    ----------
    tables : LabelTables or iterable of LabelTables
        What to write, whole or in parts: with ``al.iter_labels(...)`` memory stays bounded.
    catalog : pyiceberg.catalog.Catalog or str
        A catalog, or the name of one in the configuration of ``pyiceberg``.
    namespace : str or tuple of str
        Namespace, such as ``"labels.drive"``.
    mode : {"error", "append", "overwrite", "upsert"}
        Refuse tables that are there; add rows to them; replace all their rows; or replace all rows of the labels,
        samples and datasets that are written, so that annotations that they have no more are gone, and keep the rest.

    Raises
    ------
    TargetError
        There are tables (with ``mode="error"``), or they have partitions, or cannot be written, or other writers'
        commits come in between again and again. No files of the new rows are left.
    SchemaError
        A table that is there has columns of other types, or others than `arrow_labels.schema`. Columns that this
        version has and the table has not are added.
    FetchError
        The source gives no tables.
    MissingExtraError
        ``pyiceberg`` is not installed.

    Examples
    --------
    >>> import tempfile
    >>> import arrow_labels as al
    >>> from arrow_labels.write.iceberg import read_iceberg, write_iceberg
    >>> from pyiceberg.catalog.sql import SqlCatalog
    >>> tables = al.decode_labels([{"annotations": [{"id": 1, "category_id": 0}]}])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     catalog = SqlCatalog("doc", uri=f"sqlite:///{folder}/catalog.db", warehouse=f"file://{folder}")
    ...     write_iceberg(tables, catalog, "labels")
    ...     write_iceberg(tables, catalog, "labels", mode="upsert")
    ...     read_iceberg(catalog, "labels") == tables
    ...     catalog.close()
    True
    """
    check_mode(mode)
    place = opened(catalog, namespace)
    found = {name: loaded(place, name) for name in SCHEMAS}
    if mode == "error":
        refuse_existing([name for name, table in found.items() if table is not None], place.shown)
    for name, table in found.items():
        if table is not None:
            check(place, name, table)
    passed = nothing_passed()
    parts = passing(tables, passed, keys=mode == "upsert")
    files: dict[str, list[str]] = {name: [] for name in SCHEMAS}
    made: list[str] = []
    targets = {}
    try:
        with as_target_error(place):
            _make_namespace(place)
            for name, table in found.items():
                targets[name] = _made(place, name, mode, made) if table is None else grown(name, table)
        _write_files(parts, place, targets, files)
        for name in COMMIT_ORDER:
            keys = passed.keys[MERGE_KEYS[name]] if mode == "upsert" else None
            # What may have been committed must not be deleted.
            paths = files.pop(name)
            with suppress(ValueError):
                made.remove(name)
            with as_target_error(place):
                commit(targets[name], paths, mode, keys, note(passed))
    except BaseException:
        try:
            for name, paths in files.items():
                for path in paths:
                    targets[name].io.delete(path)
            for name in made:
                place.catalog.drop_table((*place.namespace, name))
        except Exception as error:  # of any catalog or store; what counts is what ended the write
            _LOG.warning("files of a write that failed are left in %s: %s", place.shown, reason(error))
        raise


def read_iceberg(
    catalog: Catalog | str, namespace: str | tuple[str, ...], *, tables: Collection[str] | None = None
) -> LabelTables:
    """Read the tables that `write_iceberg` wrote, with their rows in order.

    Needs the extra ``iceberg``. Samples come in the order of their `sample_index`, labels in that of their samples, and
    their rows by sensor, frame and place. An empty list of vertices and one that is null are the same in Iceberg: both
    come back empty; and an empty list of `sensors` comes back null.

    Parameters
    ----------
    catalog : pyiceberg.catalog.Catalog or str
        A catalog, or the name of one in the configuration of ``pyiceberg``.
    namespace : str or tuple of str
        Namespace of the tables.
    tables : collection of str, optional
        Tables to read, the others stay empty; default: all.

    Returns
    -------
    LabelTables

    Raises
    ------
    TargetError
        The namespace has none of the tables, or one that cannot be read.
    SchemaError
        A table has other columns than `arrow_labels.schema`. Columns that it does not have yet are null.
    MissingExtraError
        ``pyiceberg`` is not installed.

    Examples
    --------
    >>> import tempfile
    >>> import arrow_labels as al
    >>> from arrow_labels.write.iceberg import read_iceberg, write_iceberg
    >>> from pyiceberg.catalog.sql import SqlCatalog
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     catalog = SqlCatalog("doc", uri=f"sqlite:///{folder}/catalog.db", warehouse=f"file://{folder}")
    ...     write_iceberg(al.decode_labels([{"annotations": [{"id": 1, "category_id": 0}]}]), catalog, "labels")
    ...     tables = read_iceberg(catalog, "labels", tables=["segments"])
    ...     catalog.close()
    >>> tables.segments.num_rows, tables.frames.num_rows
    (1, 0)
    """
    chosen = chosen_tables(tables)
    place = opened(catalog, namespace)
    stored = {name: loaded(place, name) for name in {*chosen, *ORDER_COLUMNS}}
    if all(table is None for table in stored.values()):
        raise TargetError(f"Expected tables such as `labels`, got none - in {place.shown}")
    found = {name: stored_rows(place, name, stored[name], SCHEMAS[name].names) for name in chosen}
    keys = {
        name: found.get(name) or stored_rows(place, name, stored[name], columns)
        for name, columns in ORDER_COLUMNS.items()
    }
    return in_order(found, keys)


def _make_namespace(place: Place) -> None:
    try:
        place.catalog.create_namespace_if_not_exists(place.namespace)
    except Exception:
        # Another writer may have made it in the meantime; each catalog has its own error for that.
        if not place.catalog.namespace_exists(place.namespace):
            raise


def _made(place: Place, name: str, mode: LakeMode, made: list[str]) -> Table:
    """A new table, or the one that another writer has made in the meantime, unless that is to be refused."""
    from pyiceberg.exceptions import TableAlreadyExistsError

    identifier = (*place.namespace, name)
    try:
        table = place.catalog.create_table(
            identifier, described(name), properties={"comment": f"arrow_labels: one row is {ROWS[name]}"}
        )
    except TableAlreadyExistsError:
        if mode == "error":
            refuse_existing([name], place.shown)
        return place.catalog.load_table(identifier)
    made.append(name)
    return table


def _write_files(
    parts: Iterable[LabelTables], place: Place, targets: dict[str, Table], files: dict[str, list[str]]
) -> None:
    """Write all rows as Parquet files of their tables, and note their paths."""
    schemas = {name: table.schema().as_arrow() for name, table in targets.items()}
    # Names in the order in which they are written, for those who read them in the order of names.
    token = f"{time.time_ns():020}-{secrets.token_hex(8)}"
    writers: dict[str, tuple[Any, pq.ParquetWriter]] = {}
    try:
        for name, group in row_groups(parts, _LIMITS):
            with as_target_error(place):
                if name not in writers:
                    path = targets[name].location_provider().new_data_location(f"{token}-{len(files[name]):05}.parquet")
                    files[name].append(path)
                    sink = targets[name].io.new_output(path).create()
                    writers[name] = sink, pq.ParquetWriter(sink, schemas[name], compression="zstd", store_schema=False)
                sink, writer = writers[name]
                writer.write_table(group.select(schemas[name].names).cast(schemas[name]), row_group_size=group.num_rows)
                if sink.tell() > _FILE_BYTES:
                    _close(*writers.pop(name))
    finally:
        with as_target_error(place):
            for pair in writers.values():
                _close(*pair)


def _close(sink: Any, writer: pq.ParquetWriter) -> None:
    try:
        writer.close()
    finally:
        sink.close()
