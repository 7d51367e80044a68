"""New rows into a folder of Parquet files: all of it or nothing, and what did not change stays as it is.

New rows lie in a folder of their own when this starts. From there: which labels, samples and datasets keep the rows
that the target holds (`settle`), the row groups that each table consists of after that (`arrow_labels.write.merge`),
and the files: a file whose row groups all stay keeps its place in an object store, and is linked into the new folder
on a disk; the others are written anew. If all stay, nothing is touched.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, NamedTuple

import polars as pl
import pyarrow as pa

from arrow_labels.errors import SchemaError, TargetError
from arrow_labels.schema import LABEL_KEY, OWNERS, SCHEMAS
from arrow_labels.write.folder import (
    READABLE,
    WRITABLE,
    Folder,
    Manifest,
    Part,
    as_target_error,
    complete,
    create,
    replace_folder,
)
from arrow_labels.write.merge import (
    BESIDE,
    File,
    Opened,
    Segment,
    copied,
    encode,
    gather,
    held_rows,
    open_files,
    row_groups,
    runs,
    segments,
)
from arrow_labels.write.splice import Group, write_spliced

Key = tuple[str, ...]
KINDS: Final[tuple[Key, ...]] = (LABEL_KEY, ("sample_id",), ("dataset",))
"""The owners of rows."""
_AT_ONCE: Final = 256
"""Labels that are compared at once."""

Tables = dict[str, pl.DataFrame]


class Writing(NamedTuple):
    """How row groups are made: what divides rows into them, the smallest to leave alone, in bytes, and the codec."""

    divided: Callable[[str, Iterable[pa.Table]], Iterator[pa.Table]]
    small: int
    codec: dict[str, Any]


def insert(
    folder: Folder,
    manifest: Manifest,
    added: tuple[Folder, dict[str, list[Part]]],
    owners: Callable[[Tables, Tables], dict[Key, pl.DataFrame]],
    keep: bool,
    writing: Writing,
) -> bool:
    """Put new rows into a complete folder.

    Parameters
    ----------
    folder, manifest
        The target, and what it holds.
    added
        The folder of the new rows, and its files.
    owners : callable
        Of the runs that are held and new, by table: the labels, samples and datasets in order, as `segments` takes
        them, without the column `place`.
    keep : bool
        Whether rows of the target stay whose owner is not among them.
    writing : Writing
        How row groups are made.

    Returns
    -------
    bool
        Whether anything changed; if not, nothing was touched.

    Raises
    ------
    TargetError
        The target cannot be read or written, or another process wrote it in the meantime.
    """
    with ExitStack() as stack:
        with as_target_error(READABLE, folder.url):
            tables: dict[str, Opened] = {}
            for name in SCHEMAS:
                files = [File(folder, part, True) for part in manifest.tables[name]]
                files += [File(added[0], part, False) for part in added[1][name] if part.rows]
                tables[name] = open_files(stack, name, files)
            held = {name: runs(table, True) for name, table in tables.items()}
            new = {name: runs(table, False) for name, table in tables.items()}
            settled = owners(held, new)
            settled = {kind: settle(kind, frame, tables, held, new, keep) for kind, frame in settled.items()}
            layouts = {}
            for name, table in tables.items():
                frame = settled.get(OWNERS[name], pl.DataFrame())
                found = segments(held[name], new[name], name, frame, keep)
                if not OWNERS[name] and _equal(table, held[name], new[name]):
                    found = segments(held[name], new[name], name, frame, keep=True)
                layouts[name] = _layout(table, found, writing)
        if all(_is_held(tables[name], layouts[name]) for name in SCHEMAS):
            return False

        def write(place: Folder, file: str) -> dict[str, list[Part]]:
            if complete(folder).write_id != manifest.write_id:
                raise TargetError(f"Expected tables that stay, got others in the meantime - at {folder.url}: try again")
            written: dict[str, list[Part]] = {}
            for name, table in tables.items():
                frame = settled.get(OWNERS[name], pl.DataFrame())
                with as_target_error(WRITABLE, folder.url):
                    written[name] = _write_table(table, layouts[name], frame, folder, place, file, writing)
            return written

        replace_folder(folder, "overwrite", write)
        return True


def given_owners(held: Tables, new: Tables, *, url: str, may_hold: bool, keep: bool) -> dict[Key, pl.DataFrame]:
    """The owners of rows that are given: labels and samples in their order.

    With `keep`, samples that are held keep their `sample_index`, and others get those after them.

    Raises
    ------
    SchemaError
        A label or a sample stands twice.
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

    Where both sides have a content hash, it says so; otherwise the rows do. With `keep`, what the target holds comes
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
        decided = pairs.filter(pl.col("held").is_not_null() & pl.col("new").is_not_null())
        same += decided.filter(pl.col("held") == pl.col("new"))["place"].to_list()
        open_ = open_.join(decided.select("place"), on="place", how="anti")
    open_ = open_.select(*kind, "place").sort("place")
    for start in range(0, open_.height, _AT_ONCE):
        some = open_[start : start + _AT_ONCE]
        differs: set[int] = set()
        for name in own:
            differs |= _different(tables[name], some, held[name], new[name])
        same += [place for place in some["place"].to_list() if place not in differs]
    is_same = pl.col("place").is_in(same)
    if main is not None and same:
        owners = _wanted(owners, is_same, held[main], new[main], kind, BESIDE[main])
    return owners.with_columns(is_held=pl.col("is_held") | is_same)


def _wanted(
    owners: pl.DataFrame, is_same: pl.Expr, held: pl.DataFrame, new: pl.DataFrame, kind: Key, columns: Sequence[str]
) -> pl.DataFrame:
    """The values that the new rows have in the columns that do not count, for owners that nothing was wanted of."""
    for label, rows in (("held", held), ("new", new)):
        renamed = {column: f"{label}_{column}" for column in columns}
        owners = owners.join(
            rows.select(*kind, *columns).rename(renamed), on=list(kind), how="left", maintain_order="left"
        )
    takes = is_same & ~pl.col("is_wanted")
    for column in columns:
        value = pl.coalesce(f"new_{column}", f"held_{column}")
        owners = owners.with_columns(pl.when(takes).then(value).otherwise(f"wanted_{column}").alias(f"wanted_{column}"))
    owners = owners.with_columns(is_wanted=pl.col("is_wanted") | is_same)
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
    if counts[0] == counts[1] and sides[0].equals(sides[1]):
        return set()
    different = set()
    starts = [0, 0]
    for place, *sizes in zip(owners["place"].to_list(), *counts, strict=True):
        one, other = (side.slice(start, size) for side, start, size in zip(sides, starts, sizes, strict=True))
        if not one.equals(other):
            different.add(place)
        starts = [start + size for start, size in zip(starts, sizes, strict=True)]
    return different


def _equal(table: Opened, held: pl.DataFrame, new: pl.DataFrame) -> bool:
    """Whether the rows of two sides are the same, in order."""
    return bool(gather(table, held_rows(held)).equals(gather(table, held_rows(new))))


class _Stretch(NamedTuple):
    """Segments that become a file, with the row groups of those that are copied."""

    found: list[Segment]
    groups: list[Group | None]
    number: int = 0


def _layout(table: Opened, found: list[Segment], writing: Writing) -> list[int | _Stretch]:
    """The files of a table: numbers of those that stay, and what becomes of the rest."""
    held = [number for number, file in enumerate(table.files) if file.is_held]
    filled = [number for number in held if any(table.rows[number])]
    whole = {
        number: [Segment(number, group, 0, rows, False) for group, rows in enumerate(table.rows[number]) if rows]
        for number in filled
    }
    if found == [it for segments in whole.values() for it in segments]:
        return [*(filled or held[:1])] or [_Stretch([], [])]
    if not found:
        return [next((number for number in held if number not in filled), _Stretch([], []))]
    schema = encode(SCHEMAS[table.name].empty_table(), writing.codec).schema
    groups = copied(table, found, writing.small, schema)
    starts = {(it.file, it.group): place for place, it in enumerate(found) if groups[place] is not None}
    stays: dict[int, int] = {}  # Where the rows of a file that stays begin.
    last = -1
    for number, own in whole.items():
        place = starts.get((number, own[0].group), -1)
        if place > last and found[place : place + len(own)] == own and None not in groups[place : place + len(own)]:
            stays[place] = number
            last = place + len(own) - 1
    while True:
        layout = _stretches(table, found, groups, stays)
        names = [_number(table.files[item].part) if isinstance(item, int) else None for item in layout]
        # A new file gets a name between those that stay; where there is none, one of them is written again with it.
        for place, item in enumerate(layout):
            if not isinstance(item, _Stretch):
                continue
            before = names[place - 1] if place else -1
            after = names[place + 1] if place + 1 < len(layout) else None
            assert before is not None
            if after is not None and after < before + 2:
                moved = layout[place - 1] if place else layout[place + 1]
                stays = {start: number for start, number in stays.items() if number != moved}
                break
            layout[place] = item._replace(number=before + 1)
        else:
            return layout


def _stretches(
    table: Opened, found: list[Segment], groups: list[Group | None], stays: dict[int, int]
) -> list[int | _Stretch]:
    layout: list[int | _Stretch] = []
    place = 0
    for start, number in [*stays.items(), (len(found), -1)]:
        if place < start:
            layout.append(_Stretch(found[place:start], groups[place:start]))
        if number >= 0:
            layout.append(number)
            place = start + sum(rows > 0 for rows in table.rows[number])
    return layout


def _number(part: Part) -> int:
    """The number in the name of a file."""
    found = re.search(r"part-(\d+)", part.file)
    return int(found[1]) if found else 0


def _is_held(table: Opened, layout: list[int | _Stretch]) -> bool:
    """Whether the files of a table stay as they are."""
    held = [number for number, file in enumerate(table.files) if file.is_held]
    filled = [number for number in held if any(table.rows[number])]
    return layout == (filled or held[:1])


def _write_table(
    table: Opened,
    layout: list[int | _Stretch],
    owners: pl.DataFrame,
    old: Folder,
    new: Folder,
    file: str,
    writing: Writing,
) -> list[Part]:
    """Write the files of a table that are new, and bring those that stay."""
    result = []
    for item in layout:
        if isinstance(item, int):
            part = table.files[item].part
            if new.path != old.path:
                _link(Path(old.path, part.file), Path(new.path, part.file))
            result.append(part)
            continue
        name = f"{table.name}/{file.replace('part-00000', f'part-{item.number:05}', 1)}"
        groups = row_groups(table, item.found, item.groups, owners, writing.divided, writing.codec)
        with create(new, name) as sink:
            size = write_spliced(sink, groups, encode(SCHEMAS[table.name].empty_table(), writing.codec))
        result.append(Part(name, sum(it.rows for it in item.found), size))
    return result


def _link(old: Path, new: Path) -> None:
    """Bring a file into another folder of its disk, without a copy where the disk can."""
    new.parent.mkdir(exist_ok=True)
    try:
        os.link(old, new)
    except OSError:
        shutil.copy2(old, new)
