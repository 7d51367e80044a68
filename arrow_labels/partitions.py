"""A source as parts that other processes read, with the rows that `read_labels` gives.

What a reader keeps from one document to the next (which sample ids and label keys stood before, how many lone samples
there were) is worked out from the names alone, and each part carries what of it concerns its own documents.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from io import BytesIO
from itertools import groupby
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa

from arrow_labels.decode import Document, Reader, reader
from arrow_labels.errors import FetchError
from arrow_labels.masks import read_masks
from arrow_labels.pieces import PIECE_BYTES, Names, Options, Piece, Span
from arrow_labels.schema import ANNOTATION_TABLES, SCHEMAS
from arrow_labels.sources import File, documents, line_documents, readable
from arrow_labels.tables import LabelTables

_FILE_BYTES: Final = 256 << 10
"""Opening a file takes about as long as reading this."""

T = TypeVar("T")


class Part(NamedTuple):
    """What one task reads: pieces, and what stood before them: counts of names, keys of labels, lone samples."""

    pieces: tuple[Piece, ...]
    nbytes: int
    sample_ids: dict[str, int]
    label_keys: frozenset[tuple[str, str]]
    lone_samples: int

    @property
    def sources(self) -> list[str]:
        """The names of the files."""
        return list(dict.fromkeys(piece.item.name for piece in self.pieces if isinstance(piece.item, File)))


def groups_of_items(items: Iterable[tuple[int, Any]], part_bytes: int = PIECE_BYTES) -> list[list[tuple[int, Any]]]:
    """Numbered items in groups of about `part_bytes`, for tasks that each `index` one."""
    return list(_filled(items, lambda it: (it[1].size or 0) if isinstance(it[1], File) else 0, part_bytes))


def parts_of(indexed: Iterable[tuple[Piece, Names]], part_bytes: int = PIECE_BYTES) -> list[Part]:
    """Parts of about `part_bytes`, of all pieces of a source in their order.

    Examples
    --------
    >>> from arrow_labels.pieces import index, items_of
    >>> items = items_of([{"labels": {}, "name": "a"}, {"labels": {}, "name": "a"}], None)
    >>> [part.sample_ids for part in parts_of(index(items, Options()), part_bytes=1)]
    [{}, {'a': 1}]
    """
    ids: dict[str, int] = {}
    keys: set[tuple[str, str]] = set()
    lone = 0
    made = []
    for group in _filled(indexed, lambda it: it[0].nbytes, part_bytes):
        before = _counts_before(ids, (name for _, names in group for name in names.samples))
        taken = _keys_before(keys, (key for _, names in group for key in names.labels))
        nbytes = sum(piece.nbytes for piece, _ in group)
        made.append(Part(tuple(piece for piece, _ in group), nbytes, before, taken, lone))
        lone += sum(names.lone for _, names in group)
    return made


def _filled(items: Iterable[T], nbytes: Callable[[T], int], limit: int) -> Iterator[list[T]]:
    """Runs of items of about `limit` bytes; one that is larger is a run of its own."""
    group: list[T] = []
    size = 0
    for item in items:
        cost = nbytes(item) + _FILE_BYTES
        if group and size + cost > limit + _FILE_BYTES:
            yield group
            group, size = [], 0
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


def _keys_before(keys: set[tuple[str, str]], labels: Iterable[tuple[str, str]]) -> frozenset[tuple[str, str]]:
    """Adds the keys of labels, as `Reader` does; returns those of before that stood in the way of one."""
    own: set[tuple[str, str]] = set()
    before = set()
    for name, labelset in labels:
        key, number = (name, labelset), 1
        while key in keys:
            if key not in own:
                before.add(key)
            number += 1
            key = (f"{name}#{number}", labelset)
        keys.add(key)
        own.add(key)
    return frozenset(before)


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

    With `mask_options`, be they none, bitmaps are fetched and segments filled, as by `read_masks` with these options.

    Raises
    ------
    FetchError, DecodeError, BitmapError
        As `read_labels`.
    """
    schema = checked(table, columns, options)
    wanted: set[str] | None = {table}
    if mask_options is not None:
        wanted = {table, "labels", "frames", *ANNOTATION_TABLES}
    elif table in ("rejects", "findings"):
        wanted = None
    run = reader(options.task_type, options.timestamp_unit, options.labelsets, wanted, options.on_error)
    run.sample_ids, run.label_keys, run.lone_samples = dict(part.sample_ids), set(part.label_keys), part.lone_samples
    for batch in _batches(part, run):
        if mask_options is None:
            made = [batch[table]] if table in batch else []
        else:
            made = read_masks(LabelTables.from_batches([batch]), **mask_options)[table].to_batches()
        for rows in made:
            if rows.num_rows:
                yield pa.RecordBatch.from_arrays([rows[name] for name in schema.names], schema=schema)


def _batches(part: Part, run: Reader) -> Iterator[dict[str, pa.RecordBatch]]:
    """Record batches of all pieces; neighbours that are not of a cut release share one."""
    for is_cut, pieces in groupby(part.pieces, lambda piece: piece.span is not None and piece.span.around is not None):
        if is_cut:
            for piece in pieces:
                yield from _samples(run, piece, *_read(piece))
        else:
            found = (document for piece in pieces for document in _documents(piece, run))
            for _, batch in run.batches(found):
                yield batch


def _documents(piece: Piece, run: Reader) -> Iterator[Document]:
    if piece.span is None:
        yield from documents([piece.item], run.on_error, piece.number)
        return
    span, data = _read(piece)
    yield from line_documents(BytesIO(data), piece.item, span.first)


def _samples(run: Reader, piece: Piece, span: Span, data: bytes) -> Iterator[dict[str, pa.RecordBatch]]:
    """Record batches of a span of samples: of a release that has no others.

    What the release itself gives belongs to its first span.
    """
    before, after = span.around or (b"", b"")
    # Seen as memory, it is taken for a release without a look for lists of point ids in the whole of it.
    release = memoryview(b"".join((before, data, after)))
    found = run.batches([Document(piece.item.name, piece.item.below, release)])
    _, definitions = next(found)
    if span.first == 0:
        yield definitions
    for _, batch in found:
        if "samples" in batch:
            place = batch["samples"].schema.get_field_index("sample_index")
            indices = pa.array(batch["samples"]["sample_index"].to_numpy() + np.int64(span.first))
            batch["samples"] = batch["samples"].set_column(place, "sample_index", indices)
        yield batch


def _read(piece: Piece) -> tuple[Span, bytes]:
    """A span and its bytes.

    Raises
    ------
    FetchError
        It cannot be read, or is not as long as it was.
    """
    span, file = piece.span, piece.item
    assert span is not None
    with readable(file.name):
        data: bytes = file.fs.cat_file(file.path, start=span.start, end=span.stop)
    if len(data) == file.size != span.stop - span.start:
        data = data[span.start : span.stop]  # a server that knows no ranges sends all
    if len(data) != span.stop - span.start:
        raise FetchError(
            f"Expected {span.stop - span.start:,} bytes at {span.start:,}, got {len(data):,}: has the file changed? "
            f"- at {file.name}"
        )
    return span, data
