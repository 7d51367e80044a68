"""The order of rows, out of a store that has none.

Samples come by `sample_index`, labels by their sample, and the rows of a label by sensor, frame and place. Sorting
keeps the order of rows that the indices do not tell apart: definitions, rejects and the labelsets of a sample stay as
they were stored. Only where labels are out of order, as after an upsert, labelsets come as their dataset lists them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

import polars as pl
import pyarrow as pa

from arrow_labels.schema import KEYS, LABEL_KEY
from arrow_labels.tables import LabelTables

ORDER_COLUMNS: Final = {
    "datasets": ("dataset", "labelsets"),
    "samples": ("sample_id", "sample_index", "dataset"),
    "labels": LABEL_KEY,
}
"""Tables and columns that the order of all others depends on."""

_SLICE: Final = 1 << 16
"""Rows that are put in order at once."""


def in_order(found: dict[str, pa.Table], keys: dict[str, pa.Table]) -> LabelTables:
    """Tables with their rows in order.

    Parameters
    ----------
    found : dict of pa.Table
        Any tables.
    keys : dict of pa.Table
        The tables of `ORDER_COLUMNS`, with at least those columns.
    """
    datasets, samples, labels = (_frame(keys[name], columns) for name, columns in ORDER_COLUMNS.items())
    samples = _sorted_samples(datasets, samples)
    labels = _sorted_labels(datasets, samples, labels)
    ordered = {}
    for name, table in found.items():
        if name in ("samples", "labels"):
            rows = (samples if name == "samples" else labels)["_row"]
        elif "sample_id" in table.column_names and name != "rejects":
            first, rest = _split(name)
            frame = _frame(table, (*first, *rest))
            known = (labels if first == LABEL_KEY else samples).select(first)
            rows = _ranked(frame, known, first).sort("_rank", *rest, maintain_order=True)["_row"]
        else:
            rows = pl.Series([], dtype=pl.UInt32)
        ordered[name] = _taken(table, rows)
    return LabelTables(**ordered)


def _split(name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The columns that name a table's label or sample, and the indices within that."""
    key = KEYS.get(name, LABEL_KEY)
    count = len(LABEL_KEY) if "labelset" in key else 1
    return key[:count], key[count:]


def _frame(table: pa.Table, columns: Sequence[str]) -> pl.DataFrame:
    """Columns of a table, and the numbers of its rows."""
    return pl.DataFrame(pl.from_arrow(table.select(columns))).with_row_index("_row")


def _ranked(frame: pl.DataFrame, known: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """A frame with the place of its key among the known keys, and among its own ones after those."""
    keys = pl.concat([known, frame.select(columns)]).unique(maintain_order=True).with_row_index("_rank")
    return frame.join(keys, on=columns, nulls_equal=True, how="left", maintain_order="left")


def _sorted_samples(datasets: pl.DataFrame, samples: pl.DataFrame) -> pl.DataFrame:
    ranked = _ranked(samples, datasets.select("dataset"), ["dataset"])
    return ranked.sort("_rank", "sample_index", maintain_order=True).drop("_rank")


def _sorted_labels(datasets: pl.DataFrame, samples: pl.DataFrame, labels: pl.DataFrame) -> pl.DataFrame:
    places = samples.select("sample_id").unique(maintain_order=True).with_row_index("_rank")
    # A label without a sample stays behind the label that it stood behind.
    found = labels.join(places, on="sample_id", how="left", maintain_order="left")["_rank"].forward_fill()
    if found.drop_nulls().is_sorted():
        return labels
    ranked = _ranked(labels, places.select("sample_id"), ["sample_id"]).rename({"_rank": "_sample"})
    listed = pl.DataFrame({"labelset": _labelsets(datasets)}, schema={"labelset": pl.String})
    ranked = _ranked(ranked, listed, ["labelset"])
    return ranked.sort("_sample", "_rank", maintain_order=True).drop("_sample", "_rank")


def _labelsets(datasets: pl.DataFrame) -> list[str]:
    """The names of labelsets, in the order in which datasets list them."""
    listed = [json.loads(text) for text in datasets["labelsets"].drop_nulls()]
    items = [item for array in listed if isinstance(array, list) for item in array]
    return [item["name"] for item in items if isinstance(item, dict) and isinstance(item.get("name"), str)]


def _taken(table: pa.Table, rows: pl.Series) -> pa.Table:
    """A table with its rows in this order, without a copy if that is theirs."""
    if rows.is_sorted():
        return table
    # Polars counts the items of lists with 64 bits; where pyarrow joins chunks to take rows, 32 bits may overflow.
    frame = pl.DataFrame(pl.from_arrow(table))
    pieces = [frame[rows[start : start + _SLICE]].to_arrow() for start in range(0, len(rows), _SLICE)]
    return pa.concat_tables(pieces)
