"""Which labels, samples and datasets keep the rows that a target holds, and in which order they come."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from arrow_labels.errors import SchemaError, TargetError
from arrow_labels.schema import LABEL_KEY, OWNERS, SCHEMAS
from arrow_labels.write.merge import BESIDE, Opened, gather, held_rows

Key = tuple[str, ...]
KINDS: Final[tuple[Key, ...]] = (LABEL_KEY, ("sample_id",), ("dataset",))
"""The owners of rows."""
_AT_ONCE: Final = 256
"""Labels that are compared at once."""

Tables = dict[str, pl.DataFrame]


def given_owners(held: Tables, new: Tables, *, url: str, may_hold: bool, keep: bool) -> dict[Key, pl.DataFrame]:
    """The owners of rows that are given: labels and samples in their order.

    With `keep`, samples that are held keep their `sample_index`, and others get those after them.

    Raises
    ------
    SchemaError
        A label or a sample stands twice; or a label that is held has no row in `labels`.
    TargetError
        A label is held though it may not be.
    """
    found = {kind: keys(kind, new) for kind in KINDS}
    for what, name in (("label", "labels"), ("sample", "samples")):
        on = list(OWNERS[name])
        for side, where in ((new, ""), (held, f" - in {url}")):
            twice = side[name].filter((pl.col("rows") > 1) | pl.struct(on).is_duplicated())
            if twice.height:
                raise SchemaError(f"Expected each {what} once, got {_shown(twice.select(on))} again{where}")
    there = found[LABEL_KEY].join(keys(LABEL_KEY, held), on=list(LABEL_KEY), how="semi", nulls_equal=True)
    if there.height and not may_hold:
        more = f" and {there.height - 1:,} more" if there.height > 1 else ""
        raise TargetError(
            f'Expected labels that are not there yet, got {_shown(there)}{more} - in {url}: mode="upsert" replaces them'
        )
    told = held["labels"].join(new["labels"], on=list(LABEL_KEY), how="anti", nulls_equal=True)
    untold = there.join(told, on=list(LABEL_KEY), how="semi", nulls_equal=True)
    if untold.height:
        raise SchemaError(
            f"Expected a row in `labels` for each label that is replaced, got none of {_shown(untold)} - in {url}: all "
            "rows of a label are replaced, in every table"
        )
    owners = {kind: frame.with_columns(is_held=False, is_wanted=False) for kind, frame in found.items()}
    owners[LABEL_KEY] = owners[LABEL_KEY].with_columns(
        wanted_source=pl.lit(None, pl.String), wanted_content_hash=pl.lit(None, pl.String)
    )
    if not keep:
        owners["sample_id",] = owners["sample_id",].with_columns(wanted_sample_index=pl.lit(None, pl.Int64))
        return owners
    index = held["samples"].select("sample_id", wanted_sample_index="sample_index")
    first = index["wanted_sample_index"].cast(pl.Int64).max()
    after = pl.lit(-1 if first is None else first, pl.Int64) + pl.col("wanted_sample_index").is_null().cum_sum()
    owners["sample_id",] = (
        owners["sample_id",]
        .join(index, on="sample_id", how="left", maintain_order="left")
        .with_columns(wanted_sample_index=pl.coalesce("wanted_sample_index", after), is_wanted=True)
    )
    return owners


def keys(kind: Key, side: Tables) -> pl.DataFrame:
    """The owners of rows, in order, those of the table that has a row for each first."""
    return pl.concat([side[name].select(kind) for name in _own(kind)]).unique(maintain_order=True)


def _own(kind: Key) -> list[str]:
    """The tables whose rows belong to owners of a kind, the one with a row for each first."""
    own = [name for name in SCHEMAS if OWNERS[name] == kind]
    return sorted(own, key=lambda name: name not in BESIDE)


def _shown(frame: pl.DataFrame) -> str:
    return ", ".join(f"{name} {value!r}" for name, value in frame.row(0, named=True).items())


def settle(
    kind: Key, owners: pl.DataFrame, tables: dict[str, Opened], held: Tables, new: Tables, keep: bool
) -> pl.DataFrame:
    """Let owners whose new rows are those that the target holds keep them, and number the owners.

    Labels with another content hash are others; else the rows are compared. With `keep`, what the target holds comes
    first, in its order.
    """
    own = _own(kind)
    main = own[0] if own[0] in BESIDE else None
    on = list(kind)
    here, there = keys(kind, held), keys(kind, new)
    if keep:
        left = here.join(owners, on=on, how="left", nulls_equal=True, maintain_order="left")
        left = left.with_columns(pl.col("is_held").fill_null(True), pl.col("is_wanted").fill_null(False))
        rest = owners.join(here, on=on, how="anti", nulls_equal=True, maintain_order="left")
        owners = pl.concat([left.select(owners.columns), rest])
    unknown = there.join(owners, on=on, how="anti", nulls_equal=True, maintain_order="left")
    owners = pl.concat([owners, unknown.with_columns(is_held=False, is_wanted=False)], how="diagonal")
    owners = owners.with_row_index("place").with_columns(pl.col("place").cast(pl.Int64))
    open_ = owners.filter(~pl.col("is_held"))
    for owned in (here, there):
        open_ = open_.join(owned, on=on, how="semi", nulls_equal=True)
    same: list[int] = []
    if kind == LABEL_KEY:
        pairs = open_.select(*kind, "place")
        for side, label in ((held, "held"), (new, "new")):
            hashes = side["labels"].select(*kind, pl.col("content_hash").str.split("-").list.first().alias(label))
            pairs = pairs.join(hashes, on=on, how="left")
        # Equal ones prove nothing: masks were read or not, and tables can be changed after they were read.
        open_ = open_.join(pairs.filter(pl.col("held") != pl.col("new")).select("place"), on="place", how="anti")
    open_ = open_.select(*kind, "place").sort("place")
    for start in range(0, open_.height, _AT_ONCE):
        some = open_[start : start + _AT_ONCE]
        differs: set[int] = set()
        for name in own:
            differs |= _different(tables[name], some, held[name], new[name])
        same += [place for place in some["place"].to_list() if place not in differs]
    stays = pl.col("place").is_in(same)
    if main is not None and same:
        owners = _wanted(owners, stays, held[main], new[main], kind, BESIDE[main])
    return owners.with_columns(is_held=pl.col("is_held") | stays)


def _wanted(
    owners: pl.DataFrame, stays: pl.Expr, held: pl.DataFrame, new: pl.DataFrame, kind: Key, columns: Sequence[str]
) -> pl.DataFrame:
    """The values that the new rows have in the columns that do not count, for owners that nothing was wanted of."""
    for label, rows in (("held", held), ("new", new)):
        renamed = {column: f"{label}_{column}" for column in columns}
        owners = owners.join(
            rows.select(*kind, *columns).rename(renamed), on=list(kind), how="left", maintain_order="left"
        )
    takes = stays & ~pl.col("is_wanted")
    for column in columns:
        value = pl.coalesce(f"new_{column}", f"held_{column}")
        owners = owners.with_columns(pl.when(takes).then(value).otherwise(f"wanted_{column}").alias(f"wanted_{column}"))
    owners = owners.with_columns(is_wanted=pl.col("is_wanted") | stays)
    return owners.drop([f"{label}_{column}" for column in columns for label in ("held", "new")])


def _different(table: Opened, owners: pl.DataFrame, held: pl.DataFrame, new: pl.DataFrame) -> set[int]:
    """The places of owners whose rows in a table are not the same, but for columns that do not count."""
    on = list(OWNERS[table.name])
    sides: list[pa.Table] = []
    counts: list[list[int]] = []
    for side in (held, new):
        found = side.join(owners, on=on, how="inner", nulls_equal=True).sort("place", maintain_order=True)
        sides.append(gather(table, held_rows(found)).drop_columns(list(BESIDE.get(table.name, ()))))
        numbers = found.group_by("place").agg(pl.col("rows").sum())
        joined = owners.join(numbers, on="place", how="left", maintain_order="left")
        counts.append(joined["rows"].fill_null(0).to_list())
    if counts[0] == counts[1] and is_same(*sides):
        return set()
    different = set()
    starts = [0, 0]
    for place, *sizes in zip(owners["place"].to_list(), *counts, strict=True):
        one, other = (side.slice(start, size) for side, start, size in zip(sides, starts, sizes, strict=True))
        if not is_same(one, other):
            different.add(place)
        starts = [start + size for start, size in zip(starts, sizes, strict=True)]
    return different


def is_same(one: pa.Table, other: pa.Table) -> bool:
    """Whether two tables hold the same values, bit for bit: to Arrow, 0.0 and -0.0 are equal."""
    return one.equals(other) and all(
        np.array_equal(sign, other_sign)
        for column, other_column in zip(one.columns, other.columns, strict=True)
        for sign, other_sign in zip(_signs(column), _signs(other_column), strict=True)
    )


def _signs(column: pa.ChunkedArray) -> Iterator[npt.NDArray[np.bool_]]:
    """The signs of all numbers with a fraction that a column holds."""
    if pa.types.is_list(column.type):
        yield from _signs(pc.list_flatten(column))
    elif pa.types.is_struct(column.type):
        for member in column.flatten():
            yield from _signs(member)
    elif pa.types.is_floating(column.type):
        yield np.signbit(column.to_numpy())
