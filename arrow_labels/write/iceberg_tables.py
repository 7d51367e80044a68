"""Stored Iceberg tables: found, checked, brought up to the schema, read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from arrow_labels.errors import ArrowLabelsError, MissingExtraError, TargetError
from arrow_labels.redaction import reason
from arrow_labels.schema import DESCRIPTIONS, SCHEMAS
from arrow_labels.write.lakehouse import attempts, conflict, missing_columns, with_all_columns

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table


class Place(NamedTuple):
    """A namespace of a catalog, and its name to people."""

    catalog: Catalog
    namespace: tuple[str, ...]
    shown: str


def opened(catalog: Catalog | str, namespace: str | tuple[str, ...]) -> Place:
    """A namespace of a catalog, be it one of the configuration."""
    try:
        from pyiceberg.catalog import load_catalog
    except ImportError:
        raise MissingExtraError("pyiceberg", extra="iceberg") from None
    if isinstance(catalog, str):
        try:
            catalog = load_catalog(catalog)
        except Exception as error:
            raise TargetError(
                f"Expected a catalog of the configuration of pyiceberg, got {type(error).__name__}: {reason(error)} - "
                f"at `{catalog}`"
            ) from None
    parts = catalog.identifier_to_tuple(namespace)
    return Place(catalog, parts, f"namespace `{'.'.join(parts)}` of catalog `{catalog.name}`")


def loaded(place: Place, name: str) -> Table | None:
    """A table, if it is there."""
    from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError

    with as_target_error(place):
        try:
            return place.catalog.load_table((*place.namespace, name))
        except (NoSuchTableError, NoSuchNamespaceError):
            return None


def check(place: Place, name: str, table: Table) -> None:
    """Refuse a table that cannot take the rows."""
    missing_columns(name, table.schema().as_arrow(), place.shown)
    if not table.spec().is_unpartitioned():
        raise TargetError(
            f"Expected a table without partitions, got {table.spec()} - at `{name}` in {place.shown}: "
            "write to another namespace"
        )


def described(name: str) -> pa.Schema:
    """The schema of a table with what its columns mean."""
    return pa.schema([field.with_metadata({"doc": DESCRIPTIONS[name][field.name]}) for field in SCHEMAS[name]])


def grown(name: str, table: Table) -> Table:
    """A table that has all columns of the schema."""
    for attempt in attempts(is_conflict):
        with attempt:
            table.refresh()
            if missing_columns(name, table.schema().as_arrow(), name):
                with table.update_schema() as update:
                    update.union_by_name(described(name))
    return table


def stored_rows(place: Place, name: str, table: Table | None, columns: Sequence[str]) -> pa.Table:
    """Columns of a stored table, files in the order in which they were written."""
    wanted = pa.schema([SCHEMAS[name].field(column) for column in columns])
    if table is None:
        return wanted.empty_table()
    import pyarrow.compute as pc
    from pyiceberg.expressions import AlwaysTrue
    from pyiceberg.io.pyarrow import ArrowScan

    with as_target_error(place):
        missing_columns(name, table.schema().as_arrow(), place.shown)
        there = [column for column in columns if column in table.schema().column_names]
        scan = table.scan(selected_fields=tuple(there))
        files = sorted(scan.plan_files(), key=lambda task: task.file.file_path.rpartition("/")[2])
        found = ArrowScan(table.metadata, table.io, scan.projection(), AlwaysTrue()).to_table(files)
    if "sensors" in there:
        # pyiceberg makes empty lists of null; null is what `sensors` of one sensor are.
        empty = pc.equal(pc.list_value_length(found["sensors"]), 0)
        place_of = found.column_names.index("sensors")
        found = found.set_column(place_of, "sensors", pc.if_else(empty, None, found["sensors"]))
    return with_all_columns(found, wanted)


def is_conflict(error: BaseException) -> bool:
    """Whether a commit met another writer's."""
    from pyiceberg.exceptions import CommitFailedException, ValidationException

    return isinstance(error, CommitFailedException | ValidationException)


@contextmanager
def as_target_error(place: Place) -> Iterator[None]:
    """Turn errors of pyiceberg and of its catalogs into those of this library."""
    try:
        yield
    except ArrowLabelsError:
        raise
    except Exception as error:
        if is_conflict(error):
            raise conflict(error, place.shown) from None
        raise TargetError(
            f"Expected tables that can be read and written, got {type(error).__name__}: "
            f"{reason(error, place.catalog.properties)} - in {place.shown}"
        ) from None
