"""The pieces of a source, spans of large files and whole small ones, and the names of what is in them.

Which `sample_id` a sample gets depends on the names before it, so whoever divides the work must know them all. Names
are found without decoding anything else, at about ten times the speed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, Final, Literal, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Raw, Struct

from arrow_labels.annotation import ABSENT
from arrow_labels.decode import Document, OnError, TimestampUnit
from arrow_labels.decode.careful import FAILURES, Buffer
from arrow_labels.decode.documents import recognise
from arrow_labels.decode.labels import ParsedLabel, parse_attributes, parse_label
from arrow_labels.decode.samples import ParsedSample, parse_sample
from arrow_labels.errors import ArrowLabelsError, DecodeError, FetchError
from arrow_labels.schema import GROUND_TRUTH
from arrow_labels.sources import File, documents, line_documents, readable, resolve, uncompressed_kind

PIECE_BYTES: Final = 64 << 20
"""JSON that is read at once unless the caller says otherwise: half a second of work."""


class Options(NamedTuple):
    """The options of `read_labels` that matter to every piece."""

    task_type: str | None = None
    timestamp_unit: TimestampUnit = "ns"
    labelsets: frozenset[str] | None = None
    on_error: OnError = "raise"


class Span(NamedTuple):
    """A run of samples, or of lines, of a file: its bytes, and the number of the first one.

    `around` is the release without its samples, before and after them; null for lines.
    """

    start: int
    stop: int
    first: int
    around: tuple[bytes, bytes] | None


class Piece(NamedTuple):
    """An item of a source, or a span of it: its place in the source, and its bytes of JSON."""

    number: int
    item: Any
    nbytes: int
    span: Span | None = None


class Names(NamedTuple):
    """What pieces that come later must know: names of samples, keys of label documents, how many lone samples."""

    samples: list[str]
    labels: list[tuple[str, str]]
    lone: int


class _Head(Struct, gc=False):
    uuid: str | None = None
    name: str | None = None
    labels: dict[str, Raw] | None = None


class _Samples(Struct, gc=False):
    samples: list[_Head] | None = None


class _Document(_Head, gc=False):
    dataset: _Samples | None = None
    label_status: str | None = None
    sample_uuid: str | None = None
    labelset: str | None = None
    annotations: Raw = ABSENT
    frames: Raw = ABSENT
    sensors: Raw = ABSENT


class _RawSamples(Struct, gc=False):
    samples: list[Raw] | None = None


class _RawRelease(Struct, gc=False):
    dataset: _RawSamples | None = None


_decode_document = msgspec.json.Decoder(_Document).decode
_decode_head = msgspec.json.Decoder(_Head).decode
_decode_raw_release = msgspec.json.Decoder(_RawRelease).decode


def items_of(source: Any, storage_options: dict[str, Any] | None) -> list[tuple[int, Any]]:
    """The items of a source, each with its place: files, and documents in memory.

    Raises
    ------
    FetchError
        The source holds no document, or an open file, which other processes cannot read.
    """
    items = list(resolve(source, storage_options))
    if any(hasattr(item, "read") for item in items):
        raise FetchError("Expected paths, URLs or documents, which other processes can read, got an open file")
    return list(enumerate(items))


def index(
    items: Iterable[tuple[int, Any]], options: Options, piece_bytes: int = PIECE_BYTES
) -> list[tuple[Piece, Names]]:
    """The pieces of some items, larger files cut into spans of about `piece_bytes`, and the names in each.

    Raises
    ------
    FetchError, DecodeError
        An item cannot be read (with ``on_error="raise"``).

    Examples
    --------
    >>> items = items_of([{"annotations": [], "sample_uuid": "a"}, {"labels": {}, "name": "b"}], None)
    >>> [names for _, names in index(items, Options())]
    [Names(samples=[], labels=[('a', 'ground-truth')], lone=0), Names(samples=['b'], labels=[], lone=1)]
    """
    found: list[tuple[Piece, Names]] = []
    for number, item in items:
        found.extend(_pieces(number, item, options, piece_bytes))
    return found


def _pieces(number: int, item: Any, options: Options, piece_bytes: int) -> Iterator[tuple[Piece, Names]]:
    kind = _cut_as(item, piece_bytes)
    if kind == "lines":
        # A file that cannot be read is a reject of the task that reads it.
        with suppress(*([FetchError] if options.on_error == "collect" else [])):
            yield from list(_line_spans(number, item, options, piece_bytes))
            return
    names, nbytes = Names([], [], 0), 0
    for document in documents([item], options.on_error, number):
        if isinstance(document.data, ArrowLabelsError):
            continue
        nbytes += len(document.data)
        if kind == "document":
            spans = list(_sample_spans(number, item, document, piece_bytes))
            if len(spans) > 1:
                yield from spans
                return
        names = _joined([names, _names(document, options)])
    yield Piece(number, item, nbytes), names


def _cut_as(item: Any, piece_bytes: int) -> Literal["lines", "document"] | None:
    """How an item may be cut: it is large, not compressed, and any part of it can be read by itself."""
    return uncompressed_kind(item) if isinstance(item, File) and (item.size or 0) > piece_bytes else None


def _line_spans(number: int, file: File, options: Options, piece_bytes: int) -> Iterator[tuple[Piece, Names]]:
    start, stop, first = 0, 0, 1
    names = Names([], [], 0)
    with readable(file.name), file.fs.open(file.path, "rb") as stream:
        for line, text in enumerate(stream, 1):
            if stop - start >= piece_bytes:
                yield Piece(number, file, stop - start, Span(start, stop, first, None)), names
                start, first, names = stop, line, Names([], [], 0)
            stop += len(text)
            for document in line_documents([text], file, line):
                names = _joined([names, _names(document, options)])
    yield Piece(number, file, stop - start, Span(start, stop, first, None)), names


def _sample_spans(number: int, file: File, document: Document, piece_bytes: int) -> Iterator[tuple[Piece, Names]]:
    """Spans of the samples of a release; nothing for other documents, which are not cut."""
    data = document.data
    assert not isinstance(data, ArrowLabelsError)
    try:
        dataset = _decode_raw_release(data).dataset
    except FAILURES:
        return
    raws = (dataset and dataset.samples) or []
    if not raws:
        return
    size = np.fromiter((len(memoryview(raw)) for raw in raws), np.int64, len(raws))
    places = (np.cumsum(size) - size) // piece_bytes
    firsts = [0, *(np.flatnonzero(np.diff(places)) + 1).tolist(), len(raws)]
    base = _address(data)
    starts = [_address(raws[first]) - base for first in firsts[:-1]]
    lasts = [_address(raws[after - 1]) - base + int(size[after - 1]) for after in firsts[1:]]
    around = bytes(data[: starts[0]]), bytes(data[lasts[-1] :])
    before = (file.size or 0) - len(data)  # a byte order mark
    for first, after, start, stop in zip(firsts[:-1], firsts[1:], starts, lasts, strict=True):
        span = Span(start + before, stop + before, first, around)
        names = [name for raw in raws[first:after] if (name := _sample_name(raw, document.place)) is not None]
        yield Piece(number, file, stop - start, span), Names(names, [], 0)


def _address(data: Buffer) -> int:
    array: npt.NDArray[np.uint8] = np.frombuffer(data, np.uint8)
    return array.ctypes.data


def _names(document: Document, options: Options) -> Names:
    """The names in a document, those that it would have if decoded."""
    place, data = document.place, document.data
    if isinstance(data, ArrowLabelsError):
        return Names([], [], 0)
    try:
        found = _decode_document(data)
    except FAILURES:
        return _parsed_names(document, data, options)
    if found.dataset is not None:
        return Names([_first(it.uuid, it.name, place) for it in found.dataset.samples or ()], [], 0)
    if found.labels is not None:
        return Names([_first(found.uuid, found.name, place)], [], 1)
    # A label that cannot be decoded takes no name from those after it: worth knowing only if they are read.
    is_label = found.label_status or found.sample_uuid or found.labelset
    if options.on_error == "raise" and (is_label or found.annotations or found.frames or found.sensors):
        return _label_names(found.sample_uuid, found.labelset, place, options)
    return _parsed_names(document, data, options)


def _parsed_names(document: Document, data: bytes | memoryview, options: Options) -> Names:
    """The names in a document that is parsed as a `Reader` parses it."""
    try:
        kind, parsed = recognise(data)
        if kind == "release":
            raws = (parsed.release.dataset and parsed.release.dataset.samples) or ()
            names = (_sample_name(raw, document.place) for raw in raws)
            return Names([name for name in names if name is not None], [], 0)
        if kind == "sample":
            name = _sample_name(data, document.place)
            return Names([] if name is None else [name], [], 1)
        label = parsed or (parse_label if kind == "label" else parse_attributes)(data, False)
    except DecodeError:
        return Names([], [], 0)
    assert isinstance(label, ParsedLabel)
    if label.label is None:
        return _label_names(None, None, document.place, options)
    return _label_names(label.label.sample_uuid, label.label.labelset, document.place, options)


def _sample_name(raw: Buffer, place: str) -> str | None:
    """The name of a sample; null if it cannot be told to be one."""
    head: _Head | Any
    try:
        head = _decode_head(raw)
    except FAILURES:
        try:
            parsed: ParsedSample = parse_sample(raw)
        except DecodeError:
            return None
        head = parsed.sample
    return _first(head.uuid, head.name, place)


def _label_names(sample_uuid: str | None, labelset: str | None, place: str, options: Options) -> Names:
    labelset = _first(labelset, GROUND_TRUTH)
    if options.labelsets is not None and labelset not in options.labelsets:
        return Names([], [], 0)
    return Names([], [(_first(sample_uuid, place), labelset)], 0)


def _first(*names: str | None) -> str:
    return next(name for name in names if name is not None)


def _joined(several: list[Names]) -> Names:
    first, *others = several
    for names in others:
        first.samples.extend(names.samples)
        first.labels.extend(names.labels)
    return first._replace(lone=sum(names.lone for names in several))
