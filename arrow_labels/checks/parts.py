"""Tables in parts of whole samples, so that what rules make of them is small however large they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import polars as pl
import pyarrow as pa

from arrow_labels.schema import ANNOTATION_TABLES, SCHEMAS
from arrow_labels.tables import LabelTables

PART_ROWS: Final = 1 << 18
"""Annotations that are looked at together, and what more there is of the last sample."""


def parts(tables: LabelTables, rows: int = PART_ROWS) -> Iterator[LabelTables]:
    """The tables of some samples after the other, with all definitions; without rows that belong to no sample.

    Parameters
    ----------
    tables : LabelTables
        In any order. Where the rows of samples stand together, and in one order in all tables, nothing is copied.
    rows : int
        Annotations that a part has, at least, but for the last one.
    """
    if sum(tables[name].num_rows for name in ANNOTATION_TABLES) <= rows:
        yield tables
        return
    keyed = [name for name, schema in SCHEMAS.items() if "sample_id" in schema.names and tables[name].num_rows]
    samples = {name: pl.Series("sample_id", tables[name]["sample_id"]) for name in keyed}
    numbers = _numbers(samples, rows)
    count = int(numbers["part"].max() or 0) + 1  # type: ignore[arg-type]
    places = {name: _places(ids, numbers) for name, ids in samples.items()}
    for part in range(count):
        chosen = {name: _rows(tables[name], of_rows, part) for name, of_rows in places.items()}
        others = {name: table for name, table in tables if "sample_id" not in SCHEMAS[name].names}
        yield LabelTables(**others, **chosen)


def _numbers(samples: dict[str, pl.Series], rows: int) -> pl.DataFrame:
    """The part of each sample, in the order in which samples come."""
    counted = [
        ids.rle()
        .struct.unnest()
        .select(pl.col("value").alias("sample_id"), pl.col("len") * (name in ANNOTATION_TABLES))
        for name, ids in samples.items()
    ]
    weights = pl.concat(counted).group_by("sample_id", maintain_order=True).agg(pl.col("len").sum().cast(pl.Int64))
    before = pl.col("len").cum_sum() - pl.col("len")
    return weights.select("sample_id", (before // rows).rle_id().alias("part"))


def _places(ids: pl.Series, numbers: pl.DataFrame) -> pl.Series:
    runs = ids.rle().struct.unnest()
    part = runs.join(
        numbers, left_on="value", right_on="sample_id", how="left", nulls_equal=True, maintain_order="left"
    )
    return part.select(pl.col("part").repeat_by("len").explode(empty_as_null=False)).to_series()


def _rows(table: pa.Table, places: pl.Series, part: int) -> pa.Table:
    if places.is_sorted():
        start, stop = places.search_sorted(part, "left"), places.search_sorted(part, "right")
        return table.slice(start, stop - start)
    return table.filter((places == part).to_arrow())
