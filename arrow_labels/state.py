"""What a target holds, as far as it matters to what comes next: its labels and samples."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

import pyarrow as pa

from arrow_labels.errors import SchemaError
from arrow_labels.known import Known

LabelKey = tuple[str, str]
"""Sample id and labelset."""

STATE_COLUMNS: Final = {
    "labels": ("sample_id", "labelset", "content_hash", "updated_at"),
    "samples": ("sample_id",),
    "rejects": ("sample_id", "labelset"),
    "categories": ("dataset", "category_id", "name"),
}
"""The tables and columns that a state is made of."""


class _Held(NamedTuple):
    """What a target holds of a label."""

    content_hash: str | None
    updated_at: datetime | None


class _HeldRecord(NamedTuple):
    """The labels that a target holds of a sample, and how many the sample had."""

    size: int
    keys: list[LabelKey]


@dataclass(frozen=True)
class State:
    """What a target holds: its labels and samples, and those that its last run rejected.

    `names` are those of the categories of each dataset, None if they are not known. `records` finds the labels of a
    sample by the hash of its bytes, `lone` a label by that of its document, and `known` what a sample's bytes were.
    """

    labels: dict[LabelKey, _Held] = field(default_factory=dict)
    samples: frozenset[str] = frozenset()
    rejected: frozenset[tuple[str | None, str | None]] = frozenset()
    rejected_samples: frozenset[str | None] = frozenset()
    records: dict[str, _HeldRecord] = field(default_factory=dict)
    lone: dict[str, LabelKey] = field(default_factory=dict)
    known: dict[str, Known] = field(default_factory=dict)
    names: dict[str | None, dict[int, str | None]] | None = None

    def has_names(self, dataset: str | None, categories: dict[int, str | None]) -> bool:
        """Whether the categories of a dataset have the names that the target holds, as far as it is known."""
        return self.names is None or self.names.get(dataset, {}) == categories


def state(labels: pa.Table, samples: pa.Table, rejects: pa.Table, categories: pa.Table | None = None) -> State:
    """The state of a target.

    Parameters
    ----------
    labels, samples, rejects, categories : pa.Table
        Tables of the target, at least with the columns of `STATE_COLUMNS`. Without `categories`, a label that has no
        hash is not compared by their names.

    Returns
    -------
    State

    Raises
    ------
    SchemaError
        A label or a sample stands twice.

    Examples
    --------
    >>> import arrow_labels as al
    >>> tables = al.decode_labels([{"annotations": []}])
    >>> list(state(tables.labels, tables.samples, tables.rejects).labels)
    [('0', 'ground-truth')]
    """
    columns = [labels[name].to_pylist() for name in STATE_COLUMNS["labels"]]
    held = {
        (sample_id, labelset): _Held(content_hash, updated_at)
        for sample_id, labelset, content_hash, updated_at in zip(*columns, strict=True)
    }
    sample_ids = samples["sample_id"].to_pylist()
    for what, number, table in (("label", len(held), labels), ("sample", len(set(sample_ids)), samples)):
        if number < table.num_rows:
            raise SchemaError(f"Expected each {what} once, got {table.num_rows:,} rows of {number:,} {what}s")
    records: dict[str, _HeldRecord] = {}
    lone: dict[str, LabelKey] = {}
    known: dict[str, Known] = {}
    for key, (content_hash, _) in held.items():
        match (content_hash or "").split("-"):
            case [_, whole, count, *size]:
                records.setdefault(whole, _HeldRecord(int(count), [])).keys.append(key)
                if size:  # not in hashes of the first versions
                    known[key[0]] = Known(whole, int(size[0]))
            case [own]:
                lone[own] = key
    names: dict[str | None, dict[int, str | None]] | None = None
    if categories is not None:
        names = {}
        columns = [categories[name].to_pylist() for name in STATE_COLUMNS["categories"]]
        for dataset, category_id, name in zip(*columns, strict=True):
            names.setdefault(dataset, {})[category_id] = name
    rejected = list(zip(rejects["sample_id"].to_pylist(), rejects["labelset"].to_pylist(), strict=True))
    return State(
        held,
        frozenset(sample_ids),
        frozenset(rejected),
        frozenset(key[0] for key in rejected),
        records,
        lone,
        known,
        names,
    )
