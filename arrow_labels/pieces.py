"""The pieces of a source, spans of large files and whole small ones, and the names of what is in them.

Which `sample_id` a sample gets depends on the names before it, so whoever divides the work must know them all. Names
are found without decoding anything else, at about ten times the speed.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Raw, Struct

from arrow_labels.annotation import ABSENT
from arrow_labels.contents import LINES, content, lines, load, mapped, stamp
from arrow_labels.decode import Document, OnError, TimestampUnit, Wanted
from arrow_labels.decode.careful import FAILURES
from arrow_labels.decode.definitions import ParsedRelease, strict_release
from arrow_labels.decode.documents import Reader
from arrow_labels.decode.keys import first_name
from arrow_labels.decode.records import Record, names_of
from arrow_labels.decode.rows import Rows
from arrow_labels.division import divide_release
from arrow_labels.errors import ArrowLabelsError, FetchError
from arrow_labels.files import documents
from arrow_labels.schema import GROUND_TRUTH
from arrow_labels.sources import STREAM, File, resolve
from arrow_labels.spans import Files, Lines, Span
from arrow_labels.wire import Dataset, Release, encode_json

PIECE_BYTES: Final = 64 << 20
"""JSON that is read at once unless the caller says otherwise: half a second of work."""
_BLOCK: Final = 1 << 20
_BY_KEY: Final = Wanted({"labels": ("sample_id",)}).only("sample_id", ())
"""A reader that wants some samples only leaves all documents but releases undecoded."""


class _Name(Struct, gc=False, omit_defaults=True):
    """What names a sample."""

    name: Raw = ABSENT
    uuid: Raw = ABSENT


class _Dataset(Dataset):
    samples: list[_Name] | None = None  # type: ignore[assignment]


class _Release(Release):
    dataset: _Dataset | None = None


_decode_release = msgspec.json.Decoder(_Release).decode


class Options(NamedTuple):
    """The options of `read_labels` that matter to every piece."""

    task_type: str | None = None
    timestamp_unit: TimestampUnit = "ns"
    labelsets: frozenset[str] | None = None
    on_error: OnError = "raise"


class Piece(NamedTuple):
    """A span of a source, its bytes of JSON, and what pieces that come later must know of it.

    That is the names of samples, the keys of documents that are labels, and how many documents are samples.
    """

    span: Span
    nbytes: int
    samples: list[str]
    labels: list[tuple[str, str]]
    lone: int


def items_of(source: Any, storage_options: dict[str, Any] | None) -> list[tuple[int, Any]]:
    """The items of a source, each with its place: files, and documents in memory.

    Raises
    ------
    FetchError
        The source holds no document, or an open file, which other processes cannot read.
    """
    items = list(resolve(source, storage_options))
    if any(hasattr(item, "read") or (isinstance(item, File) and item.kind == STREAM) for item in items):
        raise FetchError("Expected paths, URLs or documents, which other processes can read, got an open file")
    return list(enumerate(items))


def index(items: Iterable[tuple[int, Any]], on_error: OnError, piece_bytes: int = PIECE_BYTES) -> list[Piece]:
    """The pieces of some items, larger files cut into spans of about `piece_bytes`, and the names in each.

    Raises
    ------
    FetchError, DecodeError
        An item cannot be read (with ``on_error="raise"``).

    Examples
    --------
    >>> items = items_of([{"annotations": [], "sample_uuid": "a"}, {"labels": {}, "name": "b"}], None)
    >>> [piece[2:] for piece in index(items, "raise")]
    [([], [('a', 'ground-truth')], 0), (['b'], [], 1)]
    """
    return [piece for place, item in items for piece in _pieces(place, item, on_error, piece_bytes)]


def _pieces(place: int, item: Any, on_error: OnError, piece_bytes: int) -> list[Piece]:
    if isinstance(item, File) and (item.size or 0) > piece_bytes and not item.compression and item.kind != ".zip":
        try:
            found = _of_lines(item, place, piece_bytes) if item.kind in LINES else _of_release(item, piece_bytes)
        except Exception:  # whoever reads it as a whole says what is wrong, or collects it
            found = []
        if found:
            return found
    sizes: list[int] = []

    def counted() -> Iterator[Document]:
        for document in documents([item], on_error, place):
            sizes.append(0 if isinstance(document.data, ArrowLabelsError) else len(document.data))
            yield document

    run = _reader()
    piece = _named(Files([item], place), 0, run.records(counted()), run)
    return [piece._replace(nbytes=sum(sizes))]


def _of_lines(file: File, place: int, piece_bytes: int) -> list[Piece]:
    """The pieces of a file of lines, which is streamed."""
    pieces: list[Piece] = []
    begin, first = 0, 1
    with content(file) as opened:
        found, stream = stamp(opened), io.BufferedReader(opened, _BLOCK)
        while kept := stream.readlines(piece_bytes):
            size, run = sum(map(len, kept)), _reader()
            span = Lines(file, place, found, begin, begin + size, first)
            pieces.append(_named(span, size, run.records(lines(file.name, file.below, kept, first)), run))
            begin, first = begin + size, first + len(kept)
    return pieces


def _of_release(file: File, piece_bytes: int) -> list[Piece]:
    """The pieces of a release, nothing of another document; one that is elsewhere is copied to a temporary file."""
    with content(file) as stream:
        found = stamp(stream)
        whole = memoryview(load(stream) if found is None else mapped(stream))
    pieces = []
    for span in divide_release(file, found, whole, piece_bytes):
        places = zip(span.starts.tolist(), span.lengths.tolist(), strict=True)
        samples = (Record("sample", file.name, file.below, whole[start : start + size]) for start, size in places)
        pieces.append(_named(span, int(span.lengths.sum()), samples, _reader()))
    return pieces


class _NamesOnly:
    """Reads the samples of a release, of which only the names are asked for, in the pass that finds where they are."""

    def knows(self, reader: Reader, document: Document) -> bool:
        return False

    def split(self, reader: Reader, document: Document) -> ParsedRelease | None:
        if not isinstance(document.data, memoryview):
            return None  # what is in memory may have point ids, which are taken out before
        try:
            release = _decode_release(document.data)
        except FAILURES:
            return None
        if release.dataset is None:
            return None
        release.dataset.task_attributes = release.dataset.labelsets = ABSENT
        samples: Any = release.dataset.samples
        if samples is not None:
            samples[:] = [Raw(encode_json(name)) for name in samples]
        return strict_release(release)

    def select(self, reader: Reader, record: Record, categories: dict[int, str | None]) -> Record:
        return record


def _reader() -> Reader:
    return Reader(None, 1, _BY_KEY, "collect", selects=_NamesOnly())


def _named(span: Span, nbytes: int, records: Iterable[Record | Rows | int], run: Reader) -> Piece:
    """A piece with the names of its records, those that they would have if they were decoded."""
    samples: list[str] = []
    labels: list[tuple[str, str]] = []
    for record in records:
        if not isinstance(record, Record) or record.failed is not None:
            continue
        names = names_of(record)
        if names is None:
            continue
        if record.kind == "sample":
            samples.append(first_name(*names, record.place))
        else:
            sample_uuid, labelset = names or (None, None)
            labels.append((first_name(sample_uuid, record.place), first_name(labelset, GROUND_TRUTH)))
    return Piece(span, nbytes, samples, labels, run.lone_samples)
