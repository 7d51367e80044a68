"""LabelTables -> Lance datasets, one for each table, and back.

``TARGET/TABLE.lance`` for each of the fourteen tables, empty ones too, with the schema of `arrow_labels.schema`. The
data of all tables are written first; then each table is one commit, within a moment of each other, that of `labels` the
last one. A commit that meets another writer's is made again on top of it. What is written without a commit, because the
process was killed, is seen by nobody.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import pyarrow as pa

from arrow_labels.errors import TargetError
from arrow_labels.redaction import hides_options, shown
from arrow_labels.schema import METADATA, SCHEMAS
from arrow_labels.tables import LabelTables, chosen_tables
from arrow_labels.write.lakehouse import (
    COMMIT_ORDER,
    LakeMode,
    attempts,
    check_mode,
    missing_columns,
    refuse_existing,
    refuse_parquet,
)
from arrow_labels.write.lance_tables import (
    ERRORS,
    as_target_error,
    check,
    dataset_place,
    is_conflict,
    lance_place,
    library,
    opened,
)
from arrow_labels.write.merge_keys import MERGE_KEYS
from arrow_labels.write.passing import nothing_passed, passing


@hides_options
def write_lance(
    tables: LabelTables | Iterable[LabelTables],
    target: str | os.PathLike[str],
    *,
    mode: LakeMode = "error",
    storage_options: Mapping[str, str] | None = None,
) -> None:
    """Write tables as Lance datasets, one commit a table.

    Parameters
    ----------
    tables : LabelTables or iterable of LabelTables
        What to write, whole or in parts: with ``al.iter_labels(...)`` memory stays bounded.
    target : str or path
        Folder: a path or a URL of an object store that Lance knows. It gets ``TABLE.lance`` for every table.
    mode : {"error", "append", "overwrite", "upsert"}
        Refuse a target that has tables; add rows; replace all rows; or replace the rows of each label, sample, dataset
        and document that is written, so that rows of an annotation that is gone go too, and keep all others. The last
        three make tables that are not there, and keep the versions before. An upsert that meets another one is made
        again on top of it.
    storage_options : mapping, optional
        Options of Lance's object store, which are not those of fsspec.

    Raises
    ------
    TargetError
        The target has tables (with ``mode="error"``, before any input is consumed), or those of `write_parquet`, or it
        cannot be written. An error of the input goes through as it is. In each case no table has changed, unless the
        error is one of a commit.
    SchemaError
        A table that is there has other columns, or a newer version of this library wrote it.
    FetchError
        There are no tables to write: an iterable gives none.
    MissingExtraError
        Lance is not installed.

    Examples
    --------
    >>> import tempfile
    >>> import arrow_labels as al
    >>> tables = al.decode_labels([{"annotations": [{"id": 1, "category_id": 0}]}])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     al.write_lance(tables, folder)
    ...     al.read_lance(folder) == tables
    True
    """
    check_mode(mode)
    url, options = lance_place(target), dict(storage_options or {}) or None
    found = {name: opened(url, name, options) for name in SCHEMAS}
    if mode == "error":
        refuse_existing([f"{name}.lance" for name, dataset in found.items() if dataset is not None], shown(url))
    if all(dataset is None for dataset in found.values()):
        refuse_parquet(url, "Lance tables")
    is_new = {name: dataset is None for name, dataset in found.items()}
    for name, dataset in found.items():
        if dataset is not None and mode == "overwrite":
            missing_columns(name, dataset.schema, shown(url))
        elif dataset is not None:
            check(dataset.schema, name, url)
    fragments: dict[str, list[Any]] = {name: [] for name in SCHEMAS}
    passed = nothing_passed()
    for part in passing(tables, passed, keys=mode == "upsert"):
        for name, table in part:
            if table.num_rows:
                with as_target_error("tables that can be written", url):
                    fragments[name] += _write(table, url, name, mode, is_new, options)
    for name in COMMIT_ORDER:
        with as_target_error("tables that can be written", url):
            for attempt in attempts(is_conflict):
                with attempt:
                    _commit(url, name, mode, fragments[name], passed.keys.get(MERGE_KEYS[name]), options)


@hides_options
def read_lance(
    target: str | os.PathLike[str],
    *,
    tables: Collection[str] | None = None,
    storage_options: Mapping[str, str] | None = None,
) -> LabelTables:
    """Read the tables that `write_lance` wrote.

    Parameters
    ----------
    target : str or path
        Folder: a path or a URL of an object store that Lance knows.
    tables : collection of str, optional
        Tables to read, the others stay empty; default: all.
    storage_options : mapping, optional
        Options of Lance's object store, which are not those of fsspec.

    Returns
    -------
    LabelTables
        The rows in the order in which they were written.

    Raises
    ------
    TargetError
        A table is not there, or cannot be read.
    SchemaError
        A table has other columns than `arrow_labels.schema`, or a newer version of this library wrote it.
    MissingExtraError
        Lance is not installed.

    Examples
    --------
    >>> import tempfile
    >>> import arrow_labels as al
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     al.write_lance(al.decode_labels([{"annotations": [{"id": 1, "category_id": 0}]}]), folder)
    ...     tables = al.read_lance(folder, tables=["segments"])
    >>> tables.segments.num_rows, tables.frames.num_rows
    (1, 0)
    """
    chosen = chosen_tables(tables)
    url, options = lance_place(target), dict(storage_options or {}) or None
    found = {}
    for name in chosen:
        dataset = opened(url, name, options)
        if dataset is None:
            raise TargetError(f"Expected Lance tables, got no `{name}.lance` - in {shown(url)}")
        check(dataset.schema, name, url)
        with as_target_error("tables that can be read", url):
            found[name] = dataset.to_table().replace_schema_metadata(METADATA)
    return LabelTables(**found)


def _predicate(keys: pa.Table | None) -> str:
    """SQL that holds for the rows of these keys: ``(labelset = … AND sample_id IN (…)) OR …``."""
    if keys is None:
        return ""
    *others, last = reversed(keys.column_names)
    groups: dict[tuple[str | None, ...], list[str | None]] = {}
    for first, *rest in zip(*(column.to_pylist() for column in keys.columns), strict=True):
        groups.setdefault(tuple(reversed(rest)), []).append(first)
    return " OR ".join(
        " AND ".join(
            [*(_among(column, [value]) for column, value in zip(others, group, strict=True)), _among(last, values)]
        )
        for group, values in groups.items()
    )


def _among(column: str, values: list[str | None]) -> str:
    texts = ", ".join("'" + value.replace("'", "''") + "'" for value in values if value is not None)
    found = [f"{column} IN ({texts})"] if texts else []
    return "(" + " OR ".join([*found, *([f"{column} IS NULL"] if None in values else [])]) + ")"


def _write(
    table: pa.Table, url: str, name: str, mode: LakeMode, is_new: dict[str, bool], options: dict[str, str] | None
) -> list[Any]:
    """Write rows of a table as data that counts from its commit on."""
    lance = library()
    rows, place = table.replace_schema_metadata(METADATA), dataset_place(url, name)
    there = "overwrite" if mode == "overwrite" else "append"
    how = "create" if is_new[name] else there
    try:
        found: list[Any] = lance.fragment.write_fragments(rows, place, mode=how, storage_options=options)
    except ERRORS:
        if not is_new[name] or opened(url, name, options) is None:
            raise
        if mode == "error":
            refuse_existing([f"{name}.lance"], shown(url))
        is_new[name] = False
        found = lance.fragment.write_fragments(rows, place, mode=there, storage_options=options)
    return found


def _commit(
    url: str,
    name: str,
    mode: LakeMode,
    fragments: list[Any],
    keys: pa.Table | None,
    options: dict[str, str] | None,
) -> None:
    """Make the fragments of a table count, on top of what others have committed."""
    lance = library()
    dataset = opened(url, name, options)
    if dataset is not None and mode == "error":
        refuse_existing([f"{name}.lance"], shown(url))
    # Two updates meet in the fragments that both change. Without any, only an overwrite notices another commit.
    if dataset is None or mode == "overwrite" or (mode == "upsert" and not dataset.get_fragments()):
        operation: Any = lance.LanceOperation.Overwrite(SCHEMAS[name], fragments)
    elif mode == "upsert":
        operation = _replacing(dataset, fragments, _predicate(keys))
    else:
        operation = lance.LanceOperation.Append(fragments)
    try:
        lance.LanceDataset.commit(
            dataset_place(url, name),
            operation,
            read_version=None if dataset is None else dataset.version,
            storage_options=options,
            max_retries=0,  # Left to try again, Lance puts an overwrite on top of other commits without a look at them.
        )
    except ERRORS as error:
        if dataset is None and opened(url, name, options) is not None:
            raise FileExistsError("another writer made the table in the meantime") from error
        raise


def _replacing(dataset: Any, fragments: list[Any], predicate: str) -> Any:
    """What deletes the rows that a predicate holds for, and adds the new ones."""
    import lance

    deleted = {fragment.fragment_id: fragment.delete(predicate) for fragment in dataset.get_fragments() if predicate}
    return lance.LanceOperation.Update(
        removed_fragment_ids=[number for number, rest in deleted.items() if rest is None],
        updated_fragments=[rest for rest in deleted.values() if rest is not None],
        new_fragments=fragments,
    )
