"""Stored Delta tables: found, checked, brought up to the schema, read."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import unquote

import pyarrow as pa

from arrow_labels.errors import MissingExtraError, TargetError
from arrow_labels.redaction import reason, shown
from arrow_labels.schema import ROWS, SCHEMAS
from arrow_labels.write.lakehouse import (
    conflict,
    local_path,
    missing_columns,
    place_of,
    refuse_parquet,
    with_all_columns,
)

if TYPE_CHECKING:
    from deltalake import DeltaTable

_URL: Final = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)
_NO_URL: Final = re.compile(r"[\[\]|^\\#?]")
_NO_PATH: Final = re.compile(r"[\[\]|^\\]|%[0-9A-Fa-f]{2}")
"""What deltalake cannot have in a URL and in a local path. With brackets, bars and carets it panics, backslashes and
escapes it reads as others than it writes, and what is behind `#` and `?` it leaves out, so all tables would be one."""


class Place(NamedTuple):
    """Where a table is, what a new one is divided by, and the options of the store."""

    name: str
    uri: str
    by: list[str]
    options: dict[str, str] | None

    @property
    def columns(self) -> list[str]:
        """The columns that divide this table."""
        return [column for column in self.by if column in SCHEMAS[self.name].names]


def delta_place(uri: str | os.PathLike[str]) -> str:
    """The path or URL that tables lie below, without a slash at its end; one that deltalake cannot take is refused."""
    place = place_of(uri).rstrip("/")
    path = local_path(place or "/")
    wrong = _NO_URL.findall(place) if _URL.match(place) else []
    # Links may lead to such a name, and it may be above the current folder: deltalake makes a path whole.
    wrong += [] if path is None else _NO_PATH.findall(path.as_posix())
    if wrong:
        where = place if path is None else path.as_posix()
        raise TargetError(
            f"Expected a place that deltalake can take, got `{wrong[0]}` in its name - at {shown(where)}: "
            "use another folder"
        )
    return place


def opened(place: Place) -> DeltaTable | None:
    """A Delta table, if it is there."""
    try:
        from deltalake import DeltaTable
        from deltalake.exceptions import TableNotFoundError
    except ImportError:
        raise MissingExtraError("deltalake", extra="delta") from None
    with as_target_error(place.uri):
        try:
            return DeltaTable(place.uri, storage_options=place.options)
        except TableNotFoundError:
            return None


def check(place: Place, table: DeltaTable | None) -> None:
    """Refuse a table that cannot take the rows."""
    if table is None:
        refuse_parquet(place.uri.rpartition("/")[0] or "/", "a Delta table")
        return
    missing_columns(place.name, schema_of(table), shown(place.uri))
    divided = table.metadata().partition_columns
    if place.by and divided != place.columns:
        expected, got = (", ".join(columns) or "nothing" for columns in (place.columns, divided))
        raise TargetError(
            f"Expected a table divided by {expected}, got one divided by {got} - at {shown(place.uri)}: "
            "leave out partition_by, or write to another place"
        )


def schema_of(table: DeltaTable) -> pa.Schema:
    """The schema of a stored table."""
    return pa.schema(table.schema().to_arrow())


def grown(place: Place, table: DeltaTable) -> DeltaTable:
    """A table that has all columns of the schema."""
    from deltalake import Schema

    if missing := missing_columns(place.name, schema_of(table), shown(place.uri)):
        fields = pa.schema([SCHEMAS[place.name].field(column) for column in missing])
        table.alter.add_columns(Schema.from_arrow(fields).fields)
    return table


def description(place: Place) -> str:
    """What a table says of itself."""
    return f"arrow_labels: one row is {ROWS[place.name]}"


def stored_rows(name: str, table: DeltaTable | None, columns: Sequence[str], where: str) -> pa.Table:
    """Columns of a stored table, files in the order in which they were written."""
    wanted = pa.schema([SCHEMAS[name].field(column) for column in columns])
    if table is None:
        return wanted.empty_table()
    with as_target_error(where):
        missing_columns(name, schema_of(table), where)
        actions = pa.table(table.get_add_actions())
        times = dict(zip(actions["path"].to_pylist(), actions["modification_time"].to_pylist(), strict=True))
        # Versions of deltalake differ in which of the two names a file has here.
        times |= {unquote(path): time for path, time in times.items()}
        dataset = table.to_pyarrow_dataset()
        there = [column for column in columns if column in dataset.schema.names]
        files = sorted(dataset.get_fragments(), key=lambda file: (times[file.path], file.path))
        pieces = [file.to_table(schema=dataset.schema, columns=there) for file in files]
    return with_all_columns(pa.concat_tables([dataset.schema.empty_table().select(there), *pieces]), wanted)


def is_conflict(error: BaseException) -> bool:
    """Whether a commit met another writer's."""
    from deltalake.exceptions import CommitFailedError

    return isinstance(error, CommitFailedError)


@contextmanager
def as_target_error(uri: str) -> Iterator[None]:
    """Turn errors of deltalake into those of this library."""
    from deltalake.exceptions import CommitFailedError, DeltaError

    try:
        yield
    except CommitFailedError as error:
        raise conflict(error, shown(uri)) from None
    except (DeltaError, OSError, pa.ArrowException) as error:
        message = f"Expected a Delta table that can be read and written, got {type(error).__name__}: {reason(error)}"
        raise TargetError(f"{message} - at {shown(uri)}") from None
