"""Comparison of tables with rows of the reference in `flatten`."""

import json
import re
from typing import Any

from flatten import same_json

from arrow_labels import SCHEMAS, LabelTables

STRINGS = re.compile(r'"(?:[^"\\]|\\.)*"')
OUTER_SPACE = re.compile(r"\s")
JSON_COLUMNS = {
    "task_attributes",
    "labelsets",
    "default_value",
    "metadata",
    "distortion",
    "image_attributes",
    "attributes",
    "frames",
    "extra",
}


def first_difference(
    tables: LabelTables, rows: dict[str, list[dict[str, Any]]], *, only_given: bool = False
) -> str | None:
    """Where tables and the reference differ, None where they do not; `only_given`: what the reference lacks is open."""
    for table in SCHEMAS:
        found = tables[table].to_pylist()
        expected = rows.get(table, [])
        if len(found) != len(expected):
            return f"{table}: {len(found)} rows, expected {len(expected)}"
        for place, (row, wanted) in enumerate(zip(found, expected, strict=True)):
            if row.keys() != wanted.keys():
                return f"{table}: columns {row.keys() ^ wanted.keys()}"
            for column, value in row.items():
                if only_given and wanted[column] is None:
                    continue
                if not same_value(column, value, wanted[column]):
                    return f"{table}[{place}].{column}: {value!r}, expected {wanted[column]!r}"
    return None


def same_value(column: str, value: Any, wanted: Any) -> bool:
    """Whether a value of a column is the reference's: JSON by value, everything else exactly."""
    if column == "sensors":
        value, wanted = value or [], wanted or []
        return len(value) == len(wanted) and all(
            same_value(name, a[name], b[name]) for a, b in zip(value, wanted, strict=True) for name in a
        )
    if column == "values" and value is not None and wanted is not None:
        return len(value) == len(wanted) and all(map(same_text, value, wanted))
    if column == "format_version" and value is not None and wanted is not None:
        return same_text(value, wanted)
    if value is None or wanted is None:
        return value is wanted or (column == "points" and not value and not wanted)
    if column in JSON_COLUMNS:
        return not OUTER_SPACE.search(STRINGS.sub('""', value)) and same_json(json.loads(value), json.loads(wanted))
    return type(value) is type(wanted) and value == wanted


def same_text(value: str, wanted: str) -> bool:
    """Whether two texts are the same, or the same number spelled differently."""
    try:
        return value == wanted or float(value) == float(wanted)
    except ValueError:
        return False
