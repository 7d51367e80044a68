"""The rows of a target and new rows, in the order that they shall have, as pieces of row groups.

A table is a sequence of runs: neighbouring rows of a row group that belong to one label, sample or dataset. Which runs
stay and where they go is decided for whole columns of runs; a row group that comes out whole is copied as it is
(`arrow_labels.write.splice`), and only what stands beside a change is read and written again.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import cache, lru_cache
from typing import Any, Final, NamedTuple

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from arrow_labels.schema import OWNERS, SCHEMAS
from arrow_labels.write.folder import Folder, Part, as_target_error
from arrow_labels.write.parts import open_part, readable
from arrow_labels.write.splice import Footer, Group, file_bytes, read_footer

BESIDE: Final = {
    "samples": ("sample_index",),
    "labels": ("source", "content_hash"),
}
"""Columns of tables with one row for each owner that may differ from what the target holds though the rest does not."""

_PLACE: Final = ["file", "group", "start", "rows"]
_AT_ONCE: Final = 1 << 20
"""Rows whose owners are read at once."""


class File(NamedTuple):
    """A file of a table: where it is, and whether the target has it already."""

    folder: Folder
    part: Part
    is_held: bool


class Segment(NamedTuple):
    """Rows of a row group; `is_stale`: columns of theirs get other values."""

    file: int
    group: int
    start: int
    rows: int
    is_stale: bool


class Opened(NamedTuple):
    """The files of a table, the rows of their row groups, and what reads them.

    `read` reads a row group, `read_columns` some columns of some row groups, and `footer` a footer.
    """

    name: str
    files: Sequence[File]
    rows: Sequence[Sequence[int]]
    read: Callable[[int, int], pa.Table]
    read_columns: Callable[[int, Sequence[int], Sequence[str]], pa.Table]
    footer: Callable[[int], Footer]


def open_files(stack: ExitStack, name: str, files: Sequence[File]) -> Opened:
    """Open the files of a table until the stack is closed."""
    opened = [stack.enter_context(open_part(file.folder, file.part)) for file in files]
    rows = [[file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)] for file in opened]

    @lru_cache(maxsize=4)
    def read(file: int, group: int) -> pa.Table:
        with as_target_error(readable(files[file].part), files[file].folder.url):
            found = opened[file].read_row_group(group)
            found.validate(full=True)
            return found.cast(SCHEMAS[name])

    def read_columns(file: int, groups: Sequence[int], columns: Sequence[str]) -> pa.Table:
        with as_target_error(readable(files[file].part), files[file].folder.url):
            found = opened[file].read_row_groups(list(groups), columns=list(columns))
            found.validate(full=True)
            # Polars panics over fields whose metadata is no UTF-8.
            return found.select(columns).cast(pa.schema([SCHEMAS[name].field(column) for column in columns]))

    @cache
    def footer(file: int) -> Footer:
        folder, part, _ = files[file]
        with as_target_error(readable(part), folder.url):
            return read_footer(file_bytes(folder.fs, f"{folder.path}/{part.file}"), part.bytes)

    return Opened(name, files, rows, read, read_columns, footer)


def runs(table: Opened, is_held: bool) -> pl.DataFrame:
    """The runs of the files that the target has, or of the new ones.

    Returns
    -------
    pl.DataFrame
        The owner's columns and those `BESIDE`; where the rows are: file, group, start, rows.
    """
    owner, beside = OWNERS[table.name], BESIDE.get(table.name, ())
    columns = [*owner, *beside]
    types = {name: pl.Int64() if name == "sample_index" else pl.String() for name in columns}
    schema = pl.Schema({**types, **dict.fromkeys(_PLACE, pl.Int64())})
    found = [pl.DataFrame(schema=schema)]
    for number, file in enumerate(table.files):
        for groups in _batches(table.rows[number]) if file.is_held == is_held else ():
            sizes = [table.rows[number][group] for group in groups]
            place = pl.DataFrame({"group": groups, "rows": sizes}, schema={"group": pl.Int64, "rows": pl.Int64})
            if owner:
                every = pl.int_ranges(pl.col("rows")).alias("start")
                place = place.select("group", every, size="rows").explode("start", empty_as_null=False)
                place = pl.DataFrame(table.read_columns(number, groups, columns)).select(columns).hstack(place)
                is_first = pl.any_horizontal(pl.col(owner).ne_missing(pl.col(owner).shift())) | (pl.col("start") == 0)
                after = pl.min_horizontal(pl.col("start").shift(-1), "size")
                after = pl.when(pl.col("group") == pl.col("group").shift(-1)).then(after).otherwise("size")
                place = place.filter(is_first).with_columns(rows=after - pl.col("start"))
            else:
                place = place.with_columns(start=0)
            found.append(place.select(*columns, pl.lit(number).alias("file"), "group", "start", "rows").cast(schema))
    return pl.concat(found)


def _batches(rows: Sequence[int]) -> Iterator[list[int]]:
    """The row groups of a file, as many at a time as have about a million rows."""
    batch: list[int] = []
    size = 0
    for group, count in enumerate(rows):
        if count:
            batch.append(group)
            size += count
        if size >= _AT_ONCE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def held_rows(rows: pl.DataFrame) -> list[Segment]:
    """Runs as they are."""
    return [Segment(**row, is_stale=False) for row in rows.select(_PLACE).iter_rows(named=True)]


def segments(held: pl.DataFrame, new: pl.DataFrame, name: str, owners: pl.DataFrame, keep: bool) -> list[Segment]:
    """The rows that a table shall have, whose rows have owners, in order.

    Parameters
    ----------
    held, new : pl.DataFrame
        Runs of the target, and of what was decoded.
    name : str
        Table.
    owners : pl.DataFrame
        The labels, samples or datasets: key, `place` in the order, `is_held` (its rows are those of the target), and
        wanted values of the columns `BESIDE`, where `is_wanted`.
    keep : bool
        Whether rows of the target stay whose owner is not among them.
    """
    on = [*OWNERS[name]]
    wanted = {column: f"wanted_{column}" for column in BESIDE.get(name, ())}
    joined = []
    for frame, is_held in ((held, True), (new, False)):
        rows = frame.join(owners, on=on, how="left", nulls_equal=True, maintain_order="left")
        stays = pl.col("is_held") == is_held
        joined.append(rows.filter(stays.fill_null(keep if is_held else True)))
    stale = [pl.col("is_wanted") & pl.col(column).ne_missing(pl.col(want)) for column, want in wanted.items()]
    rows = pl.concat(joined, how="vertical").with_columns(
        is_stale=pl.any_horizontal(stale).fill_null(False) if stale else pl.lit(False)
    )
    return _merged(rows.sort(pl.col("place").fill_null(owners.height), maintain_order=True))


def _merged(rows: pl.DataFrame) -> list[Segment]:
    """Runs, those that follow each other in a row group as one."""
    same = [pl.col(name) == pl.col(name).shift() for name in ("file", "group", "is_stale")]
    follows = pl.all_horizontal(*same, pl.col("start") == (pl.col("start") + pl.col("rows")).shift())
    found = (
        rows.with_columns(segment=(~follows.fill_null(False)).cum_sum())
        .group_by("segment", maintain_order=True)
        .agg(pl.col("file", "group", "start", "is_stale").first(), pl.col("rows").sum())
    )
    return [Segment(**row) for row in found.select(*Segment._fields).iter_rows(named=True)]


def gather(table: Opened, rows: Iterable[Segment]) -> pa.Table:
    """The rows of segments as a table."""
    parts = [table.read(it.file, it.group).slice(it.start, it.rows) for it in rows]
    return pa.concat_tables([SCHEMAS[table.name].empty_table(), *parts])


def copied(table: Opened, found: Sequence[Segment], small: int, schema: bytes) -> list[Group | None]:
    """For each segment its row group, if it is copied as it is: whole, of a file with this schema.

    A row group of less than `small` bytes beside rows that are written again is written with them, so that daily
    additions do not leave ever more row groups.
    """
    groups = {
        (file, group.number): group
        for file in {it.file for it in found}
        if table.footer(file).schema == schema
        for group in table.footer(file).groups
        if group.is_whole
    }
    result: list[Group | None] = []
    for it in found:
        group = groups.get((it.file, it.group))
        result.append(None if group is None or it.is_stale or it.rows < group.rows else group)
    is_small = [group is not None and group.end - group.start < small for group in result]
    is_new = [not table.files[it.file].is_held for it in found]
    merged = list(result)
    for place in range(len(found)):
        beside = [other for other in (place - 1, place + 1) if 0 <= other < len(found)]
        if is_small[place] and any(
            result[other] is None or (is_small[other] and (is_new[other] or is_new[place])) for other in beside
        ):
            merged[place] = None
    return merged


def row_groups(
    table: Opened,
    found: Sequence[Segment],
    groups: Sequence[Group | None],
    owners: pl.DataFrame,
    divided: Callable[[str, Iterable[pa.Table]], Iterator[pa.Table]],
    codec: dict[str, Any],
) -> Iterator[Group]:
    """The row groups of segments: copied ones, and between them new ones of the rows that are not."""
    waiting: list[Segment] = []

    def encoded() -> Iterator[Group]:
        tables = (_fresh(table, it, owners) for it in waiting)
        for part in divided(table.name, tables):
            yield from encode(part, codec).groups

    for it, group in zip(found, groups, strict=True):
        if group is None:
            waiting.append(it)
            continue
        yield from encoded()
        waiting.clear()
        yield group
    yield from encoded()


def encode(rows: pa.Table, codec: dict[str, Any]) -> Footer:
    """A row group in memory; of no rows, a footer alone."""
    sink = io.BytesIO()
    pq.write_table(rows, sink, row_group_size=max(1, rows.num_rows), **codec)
    data = sink.getbuffer()
    return read_footer(lambda start, end: bytes(data[start:end]), len(data))


def _fresh(table: Opened, it: Segment, owners: pl.DataFrame) -> pa.Table:
    """The rows of a segment, with the values that they get."""
    rows = table.read(it.file, it.group).slice(it.start, it.rows)
    if not it.is_stale:
        return rows
    on = [*OWNERS[table.name]]
    wanted = pl.DataFrame(rows.select(on)).join(owners, on=on, how="left", nulls_equal=True, maintain_order="left")
    for column in BESIDE[table.name]:
        field = SCHEMAS[table.name].field(column)
        values = wanted[f"wanted_{column}"].to_arrow().cast(field.type)
        rows = rows.set_column(rows.column_names.index(column), field, values)
    return rows
