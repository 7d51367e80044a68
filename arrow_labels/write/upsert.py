"""New rows into a folder of Parquet files: all of it or nothing, and what did not change stays as it is.

New rows lie in a folder of their own when this starts. From there: which labels, samples and datasets keep the rows
that the target holds (`arrow_labels.write.owners`), the row groups that each table consists of after that
(`arrow_labels.write.merge`),
and the files: a file whose row groups all stay keeps its place in an object store, and is linked into the new folder
on a disk; the others are written anew. If all stay, nothing is touched.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pyarrow as pa

from arrow_labels.errors import TargetError
from arrow_labels.schema import OWNERS, SCHEMAS
from arrow_labels.write.folder import (
    READABLE,
    WRITABLE,
    Folder,
    Manifest,
    Part,
    as_target_error,
    complete,
    create,
)
from arrow_labels.write.merge import (
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
from arrow_labels.write.owners import Key, Tables, is_same, settle
from arrow_labels.write.replacing import replace_folder
from arrow_labels.write.splice import Group, write_spliced


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
                if OWNERS[name]:
                    found = segments(held[name], new[name], name, frame, keep)
                else:
                    found = held_rows(held[name] if _equal(table, held[name], new[name]) else new[name])
                layouts[name] = _layout(table, found, writing)
        if all(_is_held(tables[name], layouts[name]) for name in SCHEMAS):
            return False

        def write(place: Folder, file: str) -> dict[str, list[Part]]:
            refuse_others()
            written: dict[str, list[Part]] = {}
            for name, table in tables.items():
                frame = settled.get(OWNERS[name], pl.DataFrame())
                with as_target_error(WRITABLE, folder.url):
                    written[name] = _write_table(table, layouts[name], frame, folder, place, file, writing)
            return written

        refuse_others = partial(_refuse_others, folder, manifest)
        replace_folder(folder, "overwrite", write, refuse_others)
        return True


def _refuse_others(folder: Folder, manifest: Manifest) -> None:
    """Refuse to go on from tables that another write replaced in the meantime: what it added would be lost."""
    if complete(folder).write_id != manifest.write_id:
        raise TargetError(f"Expected tables that stay, got others in the meantime - at {folder.url}: try again")


def _equal(table: Opened, held: pl.DataFrame, new: pl.DataFrame) -> bool:
    """Whether the rows of two sides are the same, in order."""
    return is_same(gather(table, held_rows(held)), gather(table, held_rows(new)))


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
        before = -1
        for place, item in enumerate(layout):
            if not isinstance(item, _Stretch):
                before = _number(table.files[item].part)
                continue
            after = names[place + 1] if place + 1 < len(layout) else None
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
