"""Stored Lance datasets: found, checked, and what Lance raises for them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pyarrow as pa

from arrow_labels.errors import MissingExtraError, SchemaError, TargetError
from arrow_labels.redaction import reason, shown
from arrow_labels.schema import SCHEMA_VERSION
from arrow_labels.tables import LabelTables
from arrow_labels.write.lakehouse import conflict, place_of

ERRORS: Final = (OSError, ValueError, RuntimeError)
"""What Lance raises."""


def library() -> Any:
    """The package `lance`, with what writes fragments."""
    try:
        import lance.fragment
    except ImportError:
        raise MissingExtraError("pylance", extra="lance") from None
    return lance


def lance_place(target: str | os.PathLike[str]) -> str:
    """The path or URL that datasets lie below; each of Lance's stores in memory is seen by nobody else."""
    place = place_of(target)
    if place.startswith("memory:"):
        raise TargetError(f"Expected a path, or a URL of an object store that others see, got {place}")
    return place


def dataset_place(url: str, name: str) -> str:
    """Where the dataset of a table is."""
    return f"{url.rstrip('/')}/{name}.lance"


def opened(url: str, name: str, options: dict[str, str] | None) -> Any:
    """The dataset of a table; None where there is none."""
    lance = library()
    try:
        with as_target_error("tables that can be read", url):
            return lance.dataset(dataset_place(url, name), storage_options=options)
    except TargetError as error:
        if isinstance(error.__context__, ValueError) and "was not found" in str(error.__context__):
            return None
        raise


def check(schema: pa.Schema, name: str, url: str) -> None:
    """Refuse a table of another schema."""
    version = int((schema.metadata or {}).get(b"arrow_labels", SCHEMA_VERSION))
    if version > SCHEMA_VERSION:
        raise SchemaError(
            f"Expected schema version {SCHEMA_VERSION} or older, got {version} - in `{name}.lance` of {shown(url)}: "
            "upgrade arrow-labels"
        )
    try:
        LabelTables(**{name: schema.empty_table()})
    except SchemaError as error:
        raise SchemaError(f"{error} - in `{name}.lance` of {shown(url)}") from None


def is_conflict(error: BaseException) -> bool:
    """Whether another commit came in between: Lance says so in more than one way, and not by a class of its own."""
    text = f"{type(error).__name__} {error}".lower()
    signs = ("commit conflict", "commitconflict", "incompatible transaction")
    return isinstance(error, FileExistsError) or (
        not isinstance(error, TargetError) and any(sign in text for sign in signs)
    )


@contextmanager
def as_target_error(expected: str, url: str) -> Iterator[None]:
    """Turn Lance's errors into those of this library."""
    try:
        yield
    except ERRORS as error:
        if isinstance(error, TargetError | SchemaError):
            raise
        if is_conflict(error):
            raise conflict(error, shown(url)) from None
        got = f"{type(error).__name__}: {reason(error)}"
        raise TargetError(f"Expected {expected}, got {got} - at {shown(url)}") from None
