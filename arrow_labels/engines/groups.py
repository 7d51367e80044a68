"""Several tables in one, so that an engine can bring together the rows of a sample; and what is done with those."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pyarrow as pa

from arrow_labels.masks import read_masks
from arrow_labels.schema import FRAME_KEY, LABEL_KEY, SCHEMAS
from arrow_labels.tables import LabelTables

_IDS: Final = (*FRAME_KEY, "annotation_index", "id", "track_id")
MASK_COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "labels": (*LABEL_KEY, "source", "frame_count", "sensors"),
    "frames": (*FRAME_KEY, "sensor", "bitmap_url"),
    "segments": tuple(SCHEMAS["segments"].names),
    "vectors": _IDS,
    "cuboids": _IDS,
}
"""What `read_masks` looks at: tables, and their columns."""
MIXED: Final = pa.schema(
    [
        pa.field("sample_id", pa.string()),
        *(
            pa.field(table, pa.struct([SCHEMAS[table].field(name) for name in names]))
            for table, names in MASK_COLUMNS.items()
        ),
    ]
)
"""Rows of any of those tables: each has the column of its table, and null in the others."""
_RESULTS: Final = ("segments", "findings", "rejects")


def check(tables: Mapping[str, Any], table: str) -> None:
    """Check what `read_masks` of an engine is asked for.

    Raises
    ------
    ValueError
        Tables that it needs are missing, tables that it does not know, or a result that there is not.
    """
    missing = {"frames", "segments"} - tables.keys()
    unknown = tables.keys() - MASK_COLUMNS.keys()
    if missing or unknown:
        found = ", ".join(tables) or "none"
        raise ValueError(f"tables: expected frames and segments, and perhaps labels, vectors and cuboids, got {found}")
    if table not in _RESULTS:
        raise ValueError(f"table: expected one of {', '.join(_RESULTS)}, got {table!r}")


def mixed(table: str, rows: pa.Table) -> pa.Table:
    """Rows of one table as rows of `MIXED`."""
    names = MASK_COLUMNS[table]
    columns = {
        "sample_id": rows["sample_id"],
        table: rows.select(list(names))
        .cast(pa.schema([SCHEMAS[table].field(name) for name in names]))
        .to_struct_array(),
    }
    return pa.table([columns.get(field.name, pa.nulls(rows.num_rows, field.type)) for field in MIXED], schema=MIXED)


def fill(result: str, mask_options: dict[str, Any], rows: pa.Table) -> pa.Table:
    """What `read_masks` makes of the rows of some samples: one of its tables, without metadata.

    Raises
    ------
    FetchError, BitmapError
        As `read_masks`.
    """
    given = [table for table in MASK_COLUMNS if table in rows.column_names]
    tables = {table: _rows_of(table, rows[table]) for table in given}
    found = read_masks(LabelTables(**tables), **mask_options)[result]
    return found.replace_schema_metadata()


def _rows_of(table: str, column: pa.ChunkedArray) -> pa.Table:
    """The rows of one table, in the order of their key; columns that were left out are null."""
    values = column.drop_null().combine_chunks()
    given = pa.Table.from_struct_array(values) if len(values) else None
    schema = SCHEMAS[table]
    if given is None:
        return schema.empty_table()
    whole = pa.table(
        [
            given[field.name] if field.name in given.column_names else pa.nulls(len(values), field.type)
            for field in schema
        ],
        names=schema.names,
    )
    keys = [name for name in (*FRAME_KEY, "annotation_index") if name in schema.names]
    return whole.sort_by([(name, "ascending") for name in keys])
