"""What Delta, Iceberg and Lance tables have in common: modes, schemas that grew, and commits that meet others."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, get_args
from urllib.parse import unquote, urlsplit

import pyarrow as pa

from arrow_labels.errors import SchemaError, TargetError
from arrow_labels.redaction import reason, shown
from arrow_labels.schema import SCHEMAS
from arrow_labels.sources import MANIFEST
from arrow_labels.tables import LabelTables

if TYPE_CHECKING:
    from tenacity import Retrying

LakeMode = Literal["error", "append", "overwrite", "upsert"]

COMMIT_ORDER: Final = (*(name for name in SCHEMAS if name != "labels"), "labels")
"""Neither store has a commit over several tables; a label that `labels` lists has all its rows."""

_ATTEMPTS: Final = 50
_FILE_URL: Final = re.compile(r"file:/", re.IGNORECASE)


def check_mode(mode: str) -> None:
    """Refuse what is not a mode, as a `ValueError`."""
    if mode not in get_args(LakeMode):
        expected = ", ".join(f'"{name}"' for name in get_args(LakeMode))
        raise ValueError(f"mode: expected one of {expected}, got {mode!r}")


def place_of(target: str | os.PathLike[str]) -> str:
    """The path or URL that tables lie below, as a text; an empty one is refused, as that would be the root."""
    place = os.fspath(target)
    if not place:
        raise TargetError("Expected a path or URL, got an empty text")
    return place


def local_path(place: str) -> Path | None:
    """The path of a local place, without links; None where a URL leads elsewhere."""
    if _FILE_URL.match(place):
        place = unquote(urlsplit(place).path)
    try:
        return None if "://" in place else Path(os.path.realpath(place))
    except (OSError, ValueError) as error:  # a current folder that is gone, a null character
        raise TargetError(f"Expected a path or URL, got {reason(error)} - at {place!r}: use another folder") from None


def refuse_parquet(place: str, expected: str) -> None:
    """Refuse a local folder that holds tables of Parquet files: others beside them would be in the way of both."""
    path = local_path(place)
    if path is not None and (path / MANIFEST).exists():
        raise TargetError(f"Expected {expected} or nothing, got Parquet files - in {shown(place)}: use another folder")


def refuse_existing(names: Collection[str], where: str) -> None:
    """Refuse tables that are there, for ``mode="error"``."""
    if names:
        some = ", ".join(f"`{name}`" for name in [*names][:3]) + (", …" if len(names) > 3 else "")
        raise TargetError(
            f"Expected no tables, got {some} - at {where}: "
            'mode="append", "upsert" or "overwrite" writes to tables that are there'
        )


def missing_columns(name: str, found: pa.Schema, where: str) -> list[str]:
    """The columns that a stored table does not have yet, since a version of this library without them made it.

    Raises
    ------
    SchemaError
        The table has a column of another type, or one that is not of the schema.
    """
    expected = SCHEMAS[name]
    if unknown := [column for column in found.names if column not in expected.names]:
        raise SchemaError(
            f"Expected no column `{unknown[0]}` - in table `{name}` of {where}: "
            "a newer version of arrow-labels or another program made it; upgrade, or write to another place"
        )
    stored = pa.schema([found.field(field.name) if field.name in found.names else field for field in expected])
    try:
        LabelTables(**{name: stored.empty_table()})
    except SchemaError as error:
        raise SchemaError(f"{error} of {where}: another program made it; write to another place") from None
    return [column for column in expected.names if column not in found.names]


def with_all_columns(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """A table with the columns of a schema in their order; those that it does not have are null."""
    columns = [
        table[field.name] if field.name in table.column_names else pa.nulls(table.num_rows, field.type)
        for field in schema
    ]
    return pa.table(columns, names=schema.names)


def attempts(is_conflict: Callable[[BaseException], bool]) -> Retrying:
    """Attempts at a commit, until one does not meet another writer's."""
    from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

    return Retrying(
        retry=retry_if_exception(is_conflict),
        wait=wait_random_exponential(multiplier=0.05, max=5),
        stop=stop_after_attempt(_ATTEMPTS),
        reraise=True,
    )


def conflict(error: Exception, where: str) -> TargetError:
    """The error when every attempt met another writer's commit."""
    return TargetError(
        f"Expected a commit, got other writers' in between {_ATTEMPTS} times: {reason(error)} - at {where}: "
        "write again when fewer write at once; nothing is written twice by an upsert"
    )
