"""A source as parts that other processes read, with the rows that `read_labels` gives.

What a reader keeps from one document to the next (which sample ids and label keys stood before, how many lone samples
there were) is worked out from the names alone, and each part carries what of it concerns its own documents.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, Final, NamedTuple, TypeVar

import pyarrow as pa

from arrow_labels.decode import Wanted, reader
from arrow_labels.decode.keys import LabelKeys
from arrow_labels.masks import read_masks
from arrow_labels.pieces import PIECE_BYTES, Options, Piece
from arrow_labels.schema import ANNOTATION_TABLES, SCHEMAS
from arrow_labels.sources import File
from arrow_labels.spans import Files, Span, records
from arrow_labels.tables import LabelTables

_FILE_BYTES: Final = 256 << 10
"""Opening a file takes about as long as reading this."""

T = TypeVar("T")


class Part(NamedTuple):
    """What one task reads: spans, and what stood before them: counts of names, keys of labels, lone samples."""

    spans: tuple[Span, ...]
    nbytes: int
    sample_ids: dict[str, int]
    label_keys: LabelKeys
    lone_samples: int

    @property
    def sources(self) -> list[str]:
        """The names of the files."""
        items = chain.from_iterable(it.files if isinstance(it, Files) else [it.file] for it in self.spans)
        return list(dict.fromkeys(item.name for item in items if isinstance(item, File)))


def groups_of_items(items: Iterable[tuple[int, Any]], part_bytes: int = PIECE_BYTES) -> list[list[tuple[int, Any]]]:
    """Numbered items in groups of about `part_bytes`, for tasks that each `index` one."""
    return list(_filled(items, lambda it: (it[1].size or 0) if isinstance(it[1], File) else 0, part_bytes))


def parts_of(pieces: Iterable[Piece], part_bytes: int = PIECE_BYTES, at_least: int = 1) -> list[Part]:
    """Parts of about the same size, `part_bytes` at most, of all pieces of a source in their order.

    There are `at_least` so many, if there are as many pieces.

    Examples
    --------
    >>> from arrow_labels.pieces import index, items_of
    >>> items = items_of([{"labels": {}, "name": "a"}, {"labels": {}, "name": "a"}], None)
    >>> [part.sample_ids for part in parts_of(index(items, "raise"), part_bytes=1)]
    [{}, {'a': 1}]
    """
    ids: dict[str, int] = {}
    keys = LabelKeys()
    lone = 0
    made = []
    for group in _filled(pieces, lambda piece: piece.nbytes, part_bytes, at_least):
        before = _counts_before(ids, chain.from_iterable(piece.samples for piece in group))
        taken = _keys_before(keys, chain.from_iterable(piece.labels for piece in group))
        spans, nbytes = tuple(piece.span for piece in group), sum(piece.nbytes for piece in group)
        made.append(Part(spans, nbytes, before, taken, lone))
        lone += sum(piece.lone for piece in group)
    return made


def _filled(items: Iterable[T], nbytes: Callable[[T], int], limit: int, at_least: int = 1) -> Iterator[list[T]]:
    """Runs of items, all about as large: workers that share them end together.

    None is larger than about `limit` bytes, but for one item that is larger by itself.
    """
    costs = [(item, nbytes(item) + _FILE_BYTES) for item in items]
    most, whole = limit + _FILE_BYTES, sum(cost for _, cost in costs)
    share = whole / max(at_least, -(-whole // most), 1)
    group: list[T] = []
    size, done, end = 0, 0, share
    for item, cost in costs:
        # An item belongs to the share that its middle is in.
        if group and (size + cost > most or done + size + cost / 2 > end):
            yield group
            done += size
            group, size, end = [], 0, (round(done / share) + 1) * share
        group.append(item)
        size += cost
    if group:
        yield group


def _counts_before(ids: dict[str, int], names: Iterable[str]) -> dict[str, int]:
    """Counts the names, as `Reader` does; returns the counts before of all that it looked at."""
    before: dict[str, int] = {}
    for name in names:
        while True:
            count = ids.get(name, 0)
            before.setdefault(name, count)
            ids[name] = count + 1
            if count == 0:
                break
            name = f"{name}#{count + 1}"
    return {name: count for name, count in before.items() if count}


def _keys_before(keys: LabelKeys, labels: Iterable[tuple[str, str]]) -> LabelKeys:
    """Adds the keys of labels, as `Reader` does; returns those of before that it looked at, with their numbers."""
    before = LabelKeys()
    for first in labels:
        key = first
        while True:
            number = keys.get(key, 0)
            before.setdefault(key, number)
            if number == 0:
                break
            keys[first] += 1
            key = (f"{first[0]}#{keys[first]}", first[1])
        keys[key] = 1
    return LabelKeys({key: number for key, number in before.items() if number})


def checked(table: str, columns: Sequence[str] | None, options: Options) -> pa.Schema:
    """The schema of some columns of a table, without metadata, which other engines drop.

    Raises
    ------
    ValueError
        There is no such table, column or option.
    """
    if table not in SCHEMAS:
        raise ValueError(f"table: expected one of {', '.join(SCHEMAS)}, got {table!r}")
    reader(options.task_type, options.timestamp_unit, options.labelsets, [table], options.on_error)
    schema = SCHEMAS[table]
    unknown = [name for name in columns or () if name not in schema.names]
    if unknown:
        raise ValueError(f"columns: expected columns of `{table}`, {', '.join(schema.names)}, got {', '.join(unknown)}")
    return pa.schema([schema.field(name) for name in (schema.names if columns is None else columns)])


def read_part(
    part: Part,
    table: str,
    columns: Sequence[str] | None,
    options: Options,
    mask_options: dict[str, Any] | None = None,
) -> Iterator[pa.RecordBatch]:
    """The rows of one table that a part gives, some columns of them, as record batches without metadata.

    What some columns do not need is neither decoded nor validated, as by `scan_labels`; all columns are validated as by
    `read_labels`. With `mask_options`, be they none, bitmaps are fetched and segments filled, as by `read_masks` with
    these options.

    Raises
    ------
    FetchError, DecodeError, BitmapError
        As `read_labels`.
    """
    schema = checked(table, columns, options)
    wanted: set[str] | Wanted | None = {table}
    if mask_options is not None:
        wanted = {table, "labels", "frames", *ANNOTATION_TABLES}
    elif table in ("rejects", "findings"):
        wanted = None
    elif columns is not None and set(columns) != set(SCHEMAS[table].names):
        wanted = Wanted({table: columns})
    run = reader(options.task_type, options.timestamp_unit, options.labelsets, wanted, options.on_error)
    run.sample_ids, run.label_keys = dict(part.sample_ids), LabelKeys(part.label_keys)
    run.lone_samples = part.lone_samples
    found = chain.from_iterable(records(run, span, options.on_error) for span in part.spans)
    for _, batches in run.columns(found):
        if mask_options is None:
            made = [batch[table] for batch in batches if table in batch]
        else:
            made = read_masks(LabelTables.from_batches(batches), **mask_options)[table].to_batches()
        for rows in made:
            if rows.num_rows:
                yield pa.RecordBatch.from_arrays([rows[name] for name in schema.names], schema=schema)
