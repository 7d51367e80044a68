"""LabelTables -> one Delta table for each table, and back.

Every table gets one commit, that of `labels` comes last. A commit that meets another writer's is made again on top of
it. An upsert is one MERGE: a row for each key takes away what the table holds of it, and the new rows match nothing.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, Literal

import pyarrow as pa

from arrow_labels.errors import SchemaError, TargetError
from arrow_labels.redaction import hides_options, shown
from arrow_labels.schema import SCHEMAS
from arrow_labels.tables import LabelTables, chosen_tables, each_of
from arrow_labels.write.delta_tables import (
    Place,
    as_target_error,
    check,
    delta_place,
    description,
    grown,
    is_conflict,
    opened,
    stored_rows,
)
from arrow_labels.write.lakehouse import (
    COMMIT_ORDER,
    LakeMode,
    attempts,
    check_mode,
    refuse_existing,
    with_all_columns,
)
from arrow_labels.write.merge_keys import MERGE_KEYS
from arrow_labels.write.passing import Passed, Reader, note, nothing_passed, replayed
from arrow_labels.write.row_order import ORDER_COLUMNS, in_order

if TYPE_CHECKING:
    from deltalake import CommitProperties, DeltaTable, WriterProperties

_IS_NEW: Final = pa.field("_is_new", pa.bool_())
"""Column of what is merged: false in the rows that only say which key is replaced."""


_SMALL: Final = ("datasets", "categories", "attribute_specs", "samples", "labels", "rejects", "findings")
"""Tables whose order no index tells, or whose rows are few. They are written as one batch: deltalake deals out batches
to as many threads as there are cores, and so loses the order of what comes in several."""
_NULL_TEXTS: Final = frozenset(["", "__HIVE_DEFAULT_PARTITION__"])
"""What Delta writes for null where rows are divided by a text."""


@hides_options
def write_delta(
    tables: LabelTables | Iterable[LabelTables],
    uri: str | os.PathLike[str],
    *,
    mode: LakeMode = "error",
    partition_by: str | Sequence[str] | None = None,
    storage_options: dict[str, str] | None = None,
) -> None:
    """Write tables as Delta tables, one below `uri` for each: ``uri/labels``, ``uri/cuboids`` and so on.

    Needs the extra ``delta``. Nothing is written before the source has been read to its end; then every table gets one
    commit, `labels` the last one. Its metadata says which sources the rows come from and how many there are.

    Parameters
    ----------
    tables : LabelTables or iterable of LabelTables
        What to write, whole or in parts: with ``al.iter_labels(...)`` memory stays bounded, parts wait in a temporary
        folder.
    uri : str or path
        Folder: a path, or a URL of a store that ``deltalake`` knows.
    mode : {"error", "append", "overwrite", "upsert"}
        Refuse tables that are there; add rows to them; replace all their rows; or replace all rows of the labels,
        samples and datasets that are written, so that annotations that they have no more are gone, and keep the rest.
        A sample gets its place in what is written as `sample_index`: with a part of a release, an upsert mixes up the
        order of its samples.
    partition_by : str or sequence of str, optional
        Columns that divide new tables, each table by those that it has. `read_delta` gives the rows of `labels` of one
        sample, and those of `attribute_specs`, in the order of the parts then.
    storage_options : dict, optional
        Options of the store, as ``deltalake`` takes them.

    Raises
    ------
    TargetError
        There are tables (with ``mode="error"``), or they are divided by other columns, or cannot be written, or other
        writers' commits come in between again and again. ``deltalake`` takes no path with one of ``[ ] | ^``, no local
        one with a backslash or an escape such as ``%20``, and no URL with ``#`` or ``?``.
    SchemaError
        A table that is there has columns of other types, or others than `arrow_labels.schema`. Columns that this
        version has and the table has not are added.
    FetchError
        The source gives no tables.
    MissingExtraError
        ``deltalake`` is not installed.

    Examples
    --------
    >>> import tempfile
    >>> import arrow_labels as al
    >>> from arrow_labels.write.delta import read_delta, write_delta
    >>> tables = al.decode_labels([{"annotations": [{"id": 1, "category_id": 0}]}])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_delta(tables, folder)
    ...     write_delta(tables, folder, mode="upsert")
    ...     read_delta(folder) == tables
    True
    """
    check_mode(mode)
    by = partition_columns(partition_by)
    root = delta_place(uri)
    places = {name: Place(name, f"{root}/{name}", by, storage_options) for name in SCHEMAS}
    found = {name: opened(place) for name, place in places.items()}
    if mode == "error":
        refuse_existing([name for name, table in found.items() if table is not None], shown(os.fspath(uri)))
    for name, table in found.items():
        check(places[name], table)
    passed = nothing_passed()
    with replayed(_divisible(tables, by), passed, keys=mode == "upsert") as read:
        for name in COMMIT_ORDER:
            with as_target_error(places[name].uri):
                if mode == "upsert":
                    _upsert(places[name], read, passed)
                else:
                    _write(places[name], read, passed, mode)


@hides_options
def read_delta(
    uri: str | os.PathLike[str],
    *,
    tables: Collection[str] | None = None,
    storage_options: dict[str, str] | None = None,
) -> LabelTables:
    """Read the tables that `write_delta` wrote, with their rows in order.

    Needs the extra ``delta``. Samples come in the order of their `sample_index`, labels in that of their samples, and
    their rows by sensor, frame and place.

    Parameters
    ----------
    uri : str or path
        Folder that holds the Delta tables: a path, or a URL of a store that ``deltalake`` knows.
    tables : collection of str, optional
        Tables to read, the others stay empty; default: all.
    storage_options : dict, optional
        Options of the store, as ``deltalake`` takes them.

    Returns
    -------
    LabelTables

    Raises
    ------
    TargetError
        There is no Delta table, or one that cannot be read, or its path is one that `write_delta` refuses.
    SchemaError
        A table has other columns than `arrow_labels.schema`. Columns that it does not have yet are null.
    MissingExtraError
        ``deltalake`` is not installed.

    Examples
    --------
    >>> import tempfile
    >>> import arrow_labels as al
    >>> from arrow_labels.write.delta import read_delta, write_delta
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_delta(al.decode_labels([{"annotations": [{"id": 1, "category_id": 0}]}]), folder)
    ...     tables = read_delta(folder, tables=["segments"])
    >>> tables.segments.num_rows, tables.frames.num_rows
    (1, 0)
    """
    chosen = chosen_tables(tables)
    place = delta_place(uri)
    stored = {name: opened(Place(name, f"{place}/{name}", [], storage_options)) for name in {*chosen, *ORDER_COLUMNS}}
    if all(table is None for table in stored.values()):
        raise TargetError(f"Expected Delta tables such as `labels`, got none - at {shown(place)}")
    found = {name: stored_rows(name, stored[name], SCHEMAS[name].names, place) for name in chosen}
    keys = {
        name: found.get(name) or stored_rows(name, stored[name], columns, place)
        for name, columns in ORDER_COLUMNS.items()
    }
    return in_order(found, keys)


def partition_columns(partition_by: str | Sequence[str] | None) -> list[str]:
    """The columns that divide tables; a `ValueError` if there is none of that name, or it cannot divide them."""
    by = [partition_by] if isinstance(partition_by, str) else list(partition_by or ())
    for column in by:
        if by.count(column) > 1:
            raise ValueError(f"partition_by: expected each column once, got {column!r} again")
        types = {schema.field(column).type for schema in SCHEMAS.values() if column in schema.names}
        if not types:
            raise ValueError(f"partition_by: expected a column of the tables, got {column!r}")
        if any(pa.types.is_nested(type_) or pa.types.is_floating(type_) for type_ in types):
            raise ValueError(f"partition_by: expected a column of text, integers, bool or time, got {column!r}")
    return by


def _divisible(tables: LabelTables | Iterable[LabelTables], by: list[str]) -> LabelTables | Iterable[LabelTables]:
    """The tables, as long as no text to divide them by is one that Delta would keep as null."""
    if not by:
        return tables
    if isinstance(tables, LabelTables):
        return _without_null_texts(tables, by)
    return (_without_null_texts(part, by) for part in each_of(tables))


def _without_null_texts(part: LabelTables, by: list[str]) -> LabelTables:
    for name, table in part:
        for column in set(by) & set(table.column_names):
            if pa.types.is_string(table[column].type) and (
                found := _NULL_TEXTS.intersection(table[column].unique().to_pylist())
            ):
                raise SchemaError(
                    f"Expected no text that Delta keeps as null in `{column}`, which partitions divide, got "
                    f"{min(found)!r} - in table `{name}`: leave the column out of partition_by"
                )
    return part


def _write(place: Place, read: Reader, passed: Passed, mode: Literal["error", "append", "overwrite"]) -> None:
    """Add all rows, or replace all by them."""
    from deltalake import write_deltalake

    for attempt in attempts(is_conflict):
        with attempt:
            table = opened(place)
            if table is not None and mode == "error":
                refuse_existing([place.name], shown(place.uri))
            if table is not None and mode == "append" and not passed.rows[place.name]:
                continue
            write_deltalake(
                place.uri if table is None else grown(place, table),
                _rows(place.name, read),
                mode=mode,
                partition_by=place.columns or None,
                name=place.name,
                description=description(place),
                storage_options=place.options,
                writer_properties=_parquet(),
                commit_properties=_message(passed, is_first=table is None),
            )


def _upsert(place: Place, read: Reader, passed: Passed) -> None:
    """Replace all rows that have one of the keys that passed by the new ones."""
    keys, rows = passed.keys[MERGE_KEYS[place.name]], passed.rows[place.name]
    for attempt in attempts(is_conflict):
        with attempt:
            table = opened(place) or _new(place, passed)
            if rows or table.get_add_actions().num_rows:
                _merge(grown(place, table), _rows(place.name, read), keys, _message(passed))


def _new(place: Place, passed: Passed) -> DeltaTable:
    """A table without rows, or the one that another writer has made in the meantime."""
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    try:
        return DeltaTable.create(
            place.uri,
            SCHEMAS[place.name],
            mode="error",
            partition_by=place.columns or None,
            name=place.name,
            description=description(place),
            storage_options=place.options,
            commit_properties=_message(passed, is_first=True),
        )
    except DeltaError:
        if (table := opened(place)) is None:
            raise
        return table


def _rows(name: str, read: Reader) -> pa.RecordBatchReader:
    """The rows of a table to write."""
    rows = read(name)
    return rows.read_all().combine_chunks().to_reader() if name in _SMALL else rows


def _merge(table: DeltaTable, new: pa.RecordBatchReader, keys: pa.Table, message: CommitProperties) -> None:
    """Delete the rows that have a key and insert the new ones, in one commit."""
    gone = {f"_gone_{name}": column for name, column in zip(keys.column_names, keys.columns, strict=True)}
    schema = pa.schema([*new.schema, *(pa.field(name, column.type) for name, column in gone.items()), _IS_NEW])

    def batches() -> Iterator[pa.RecordBatch]:
        marked = pa.table({**gone, _IS_NEW.name: pa.repeat(False, keys.num_rows)})
        yield from with_all_columns(marked, schema).to_batches()
        for batch in new:
            nulls = [pa.nulls(batch.num_rows, column.type) for column in gone.values()]
            columns = [*batch.columns, *nulls, pa.repeat(True, batch.num_rows)]
            yield pa.RecordBatch.from_arrays(columns, schema=schema)

    # New rows carry no key to match: joined by their own, each would meet every row of its label.
    same = [
        f"(stored.{name} IS NOT DISTINCT FROM written._gone_{name}) AND NOT written.{_IS_NEW.name}"
        if keys[name].null_count
        else f"stored.{name} = written._gone_{name}"
        for name in keys.column_names
    ]
    table.merge(
        pa.RecordBatchReader.from_batches(schema, batches()),
        " AND ".join(same),
        source_alias="written",
        target_alias="stored",
        writer_properties=_parquet(),
        commit_properties=message,
    ).when_matched_delete().when_not_matched_insert(
        {name: f"written.{name}" for name in new.schema.names}, predicate=f"written.{_IS_NEW.name}"
    ).execute()


def _message(passed: Passed, *, is_first: bool = False) -> CommitProperties:
    """What a commit says of itself."""
    from deltalake import CommitProperties

    # deltalake itself puts a commit on top of another writer's where both may stand. Of two that make the table it
    # does so too, and both writers with `mode="error"` would be told that they were the first.
    return CommitProperties(custom_metadata=note(passed), max_commit_retries=0 if is_first else None)


def _parquet() -> WriterProperties:
    from deltalake import WriterProperties

    return WriterProperties(compression="ZSTD", compression_level=1)
