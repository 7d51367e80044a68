"""What an upsert replaces: all rows that carry a key of what is written.

The rows of a label are replaced together, in every table, so the rows of an annotation that is gone go too. The same
holds for a sample, for the definitions of a dataset, and for what was rejected of a document.
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from arrow_labels.schema import OWNERS
from arrow_labels.tables import LabelTables

Keys = dict[tuple[str, ...], pa.Table]
"""For each key of `MERGE_KEYS` a table of its columns, one row a key."""

_SOURCE: Final = ("source",)

MERGE_KEYS: Final[dict[str, tuple[str, ...]]] = {**OWNERS, "rejects": _SOURCE}
"""For each table, the columns by which its rows are replaced."""

_SAYING: Final[dict[tuple[str, ...], tuple[str, ...]]] = {
    **{key: tuple(name for name in OWNERS if OWNERS[name] == key) for key in OWNERS.values() if key},
    _SOURCE: ("datasets", "labels", "rejects"),
}
"""For each of those keys, the tables whose rows say which are written."""


def merge_keys(keys: Keys, part: LabelTables) -> Keys:
    """The keys of what was written so far and of another part."""
    return {
        key: _distinct([*([keys[key]] if key in keys else []), *(part[name].select(key) for name in names)])
        for key, names in _SAYING.items()
    }


def _distinct(pieces: list[pa.Table]) -> pa.Table:
    """Each row once, in the order in which it came first."""
    rows = pa.concat_tables([piece.replace_schema_metadata(None) for piece in pieces])
    return rows.group_by(rows.column_names, use_threads=False).aggregate([])
