"""Documents of every kind -> batches of tables: their records, chunk by chunk, and their errors."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, Protocol, cast

from msgspec import Raw

from arrow_labels.annotation import ABSENT
from arrow_labels.decode.careful import Buffer
from arrow_labels.decode.columns import NotExactError
from arrow_labels.decode.definitions import ParsedRelease, add_release
from arrow_labels.decode.frames import Place
from arrow_labels.decode.keys import LabelKeys, SampleIds, name_label, name_record, name_sample
from arrow_labels.decode.kinds import Kind, recognise
from arrow_labels.decode.labels import ParsedLabel, add_label, parse_attributes, parse_label
from arrow_labels.decode.parsed_samples import ParsedSample, parse_sample
from arrow_labels.decode.records import NAMES, Document, Record
from arrow_labels.decode.rows import ROOM, ROOM_A_BYTE, Batches, Rows, joined
from arrow_labels.decode.samples import add_sample
from arrow_labels.decode.wanted import Wanted
from arrow_labels.errors import ArrowLabelsError, DecodeError
from arrow_labels.wire import Label

CHUNK_BYTES = 4 << 20
"""JSON that becomes one record batch: enough to pay for the batch, few enough objects to stay near the cache."""
_MOST_RECORDS = 1 << 13
"""Records that become one record batch: those of a few bytes each take a hundred times as much as objects."""
_MOST_ROOM = 1 << 30
"""Bytes of names that records may have left to those that come after them: a column of text ends at 2 GiB."""
OnError = Literal["raise", "collect"]


def _nothing() -> None:
    pass


class Selects(Protocol):
    """Says which documents and records to decode, and what their content hashes are."""

    def knows(self, reader: Reader, document: Document) -> bool:
        """Whether a document need not be decoded at all."""

    def split(self, reader: Reader, document: Document) -> ParsedRelease | None:
        """A release that is split faster by what is known of it; None if the document is anything else."""

    def select(self, reader: Reader, record: Record, categories: dict[int, str | None]) -> Record | None:
        """What of a record is to be decoded."""


@dataclass
class Reader:
    """Decodes documents one after the other: the options, and the state that spans them."""

    task_type: str | None
    unit: int
    wanted: Wanted
    on_error: OnError
    chunk_bytes: int = CHUNK_BYTES
    sample_ids: SampleIds = field(default_factory=dict)
    label_keys: LabelKeys = field(default_factory=LabelKeys)
    lone_samples: int = 0
    selects: Selects | None = None
    room: int = ROOM
    """Bytes of names that rows may repeat besides those for the JSON to come."""
    check: Callable[[], None] = _nothing
    """Raises if the bytes that are read are no longer those that they were."""

    def batches(self, documents: Iterable[Document]) -> Iterator[tuple[int, list[Batches]]]:
        """Record batches of some records, with the bytes of JSON that they came from."""
        return self.columns(self.records(documents))

    def columns(self, records: Iterable[Record | Rows | int]) -> Iterator[tuple[int, list[Batches]]]:
        """`batches`, of what `records` gives."""
        categories: dict[int, str | None] = {}
        chunk: list[Record] = []
        size, known = 0, 0
        for item in records:
            if isinstance(item, int):
                known += item
                continue
            if isinstance(item, Rows):
                if chunk or known:
                    yield size + known, self._chunk(chunk, categories)
                    chunk, size, known = [], 0, 0
                categories = item.categories
                yield 0, item.batches()
                continue
            length = len(memoryview(item.raw))
            selected: Record | None = item
            if self.selects is not None:
                selected = self.selects.select(self, item, categories)
            if selected is None:
                known += length
                continue
            chunk.append(selected)
            size += length
            if size >= self.chunk_bytes or len(chunk) >= _MOST_RECORDS:
                yield size + known, self._chunk(chunk, categories)
                chunk, size, known = [], 0, 0
        if chunk or known:
            yield size + known, self._chunk(chunk, categories)

    def records(self, documents: Iterable[Document]) -> Iterator[Record | Rows | int]:
        """The records of all documents; before and after those of a release, its definitions (empty after).

        For a document that need not be decoded, its bytes.
        """
        for document in documents:
            self.check = document.check or _nothing
            if self.selects is not None and self.selects.knows(self, document):
                yield len(cast(bytes, document.data))
                self.check()
                continue
            try:
                if isinstance(document.data, DecodeError):
                    raise DecodeError(document.data.message, path=document.data.path)
                if isinstance(document.data, ArrowLabelsError):
                    raise DecodeError(str(document.data))
                with _paused_garbage_collection():
                    parsed: Any = None if self.selects is None else self.selects.split(self, document)
                    kind: Kind = "release"
                    members = None
                    if parsed is None:
                        kind, parsed, members = recognise(document.data, self.wanted)
            except DecodeError as error:
                self.check()
                yield Record("attributes", document.source, document.place, b"", failed=error)
                continue
            if kind != "release":
                names = members and {name: members[name] for name in NAMES[kind] if name in members}
                record = Record(kind, document.source, document.place, document.data, parsed, names)
                if kind == "sample":
                    record.index = self.lone_samples
                    self.lone_samples += 1
                yield record
                self.check()
                continue
            definitions = Rows(self.wanted)
            try:
                add_release(definitions, document.source, parsed, self.task_type)
            except DecodeError as error:
                self._fail(definitions, error, document.source)
            yield definitions
            dataset = parsed.release.dataset
            name = None if dataset is None else dataset.name
            samples = (dataset and dataset.samples) or []
            for index, raw in enumerate(samples):
                samples[index] = ABSENT  # an object for each of a million samples is let go when it was read
                self.check()
                yield Record("sample", document.source, document.place, raw, dataset=name, index=index)
            yield Rows(self.wanted)
            self.check()
        self.check = _nothing  # the last file is closed

    def _chunk(self, records: list[Record], categories: dict[int, str | None]) -> list[Batches]:
        try:
            with _paused_garbage_collection():
                pieces = self._pieces(self._kept(records), categories)
        except DecodeError:
            self.check()
            raise
        return list(joined(pieces))

    def _pieces(self, records: list[Record], categories: dict[int, str | None]) -> list[Batches]:
        """Record batches, those of records that are not exact apart: the careful way takes twenty times as long."""
        with suppress(NotExactError, DecodeError):  # the careful path raises the first error, this one any
            return self._columns(records, categories, careful=False)
        if len(records) <= 1:
            return self._columns(records, categories, careful=True)
        half = len(records) // 2
        return [*self._pieces(records[:half], categories), *self._pieces(records[half:], categories)]

    def _kept(self, records: list[Record]) -> list[Record]:
        """The records that may have rows that are wanted, by what can be known of them before they are decoded."""
        if not (self.wanted.samples or self.wanted.labels):
            return [record for record in records if record.failed is not None]
        if not self.wanted.by_key:
            return records
        for record in records:
            if record.kind != "sample" or "sample_id" in self.wanted.keep:
                name_record(record, self.sample_ids, self.label_keys)
        samples = self.wanted.kept("sample_id", [record.sample_id for record in records])
        labelsets = self.wanted.kept("labelset", [record.labelset for record in records])
        return [
            record
            for record, sample, labelset in zip(records, samples, labelsets, strict=True)
            if record.sample_id is None or (sample and (labelset or record.kind == "sample"))
        ]

    def _columns(self, records: list[Record], categories: dict[int, str | None], careful: bool) -> list[Batches]:
        room = min(self.room, _MOST_ROOM) + ROOM_A_BYTE * sum(len(memoryview(record.raw)) for record in records)
        rows = Rows(self.wanted, categories, checked=not careful, room=room)
        for record in records:
            self._add(rows, record, careful)
        batches = rows.batches()
        self.room = rows.room
        return batches

    def _add(self, rows: Rows, record: Record, careful: bool) -> None:
        if record.failed is not None:
            self._fail(rows, record.failed, record.source)
            return
        parsed, record.parsed = record.parsed, None
        if parsed is None or careful:
            try:
                parsed = _PARSE[record.kind](record.raw, self.wanted, careful)
            except DecodeError as error:
                name_record(record, self.sample_ids, self.label_keys)
                self._fail(rows, error, record.source, record.sample_id or record.place)
                return
        if parsed is None:
            return
        if isinstance(parsed, ParsedSample):
            self._add_sample(rows, record, parsed, careful)
            return
        label = parsed.label
        sample_id = name_label(record, self.label_keys, label and label.sample_uuid, label and label.labelset)
        self._try_label(rows, record, sample_id, record.labelset, lambda: parsed)

    def _add_sample(self, rows: Rows, record: Record, parsed: ParsedSample, careful: bool) -> None:
        sample = parsed.sample
        sample_id = name_sample(record, self.sample_ids, sample.uuid, sample.name)
        if parsed.error is not None:
            self._fail(rows, parsed.error, record.source, sample_id)
        elif self.wanted.samples:
            rows.mark()
            try:
                add_sample(rows, sample_id, record.index, record.dataset, parsed, self.unit)
            except DecodeError as error:
                rows.reset()
                self._fail(rows, error, record.source, sample_id)
        labels = (self.wanted.labels and sample.labels) or {}
        labelsets = list(labels)
        for place, kept in enumerate(self.wanted.kept("labelset", labelsets)):
            labelset, labelsets[place] = labelsets[place], ""
            label = labels.pop(labelset)
            if kept:
                self._try_label(rows, record, sample_id, labelset, partial(_parsed_label, label, self.wanted, careful))

    def _try_label(
        self, rows: Rows, record: Record, sample_id: str, labelset: str, parse: Callable[[], ParsedLabel | None]
    ) -> None:
        rows.mark()
        try:
            parsed = parse()
            if parsed is not None:
                hashed = record.hashes.get(labelset)
                place = Place(record.source, sample_id, labelset, self.task_type, self.unit, hashed)
                add_label(rows, place, parsed)
        except DecodeError as error:
            rows.reset()
            self._fail(rows, error, record.source, sample_id, labelset)

    def _fail(
        self,
        rows: Rows,
        error: DecodeError,
        source: str | None,
        sample_id: str | None = None,
        labelset: str | None = None,
    ) -> None:
        """Raise the error with what is known about its place, or keep it as a row."""
        if self.on_error == "raise":
            raise DecodeError(
                error.message, source=source, sample_id=sample_id, labelset=labelset, path=error.path
            ) from None
        rows.rows["rejects"].append((source, sample_id, labelset, error.path, error.message))


def _parsed_label(label: Label | Raw | None, wanted: Wanted, careful: bool) -> ParsedLabel | None:
    return parse_label(label, wanted, careful) if isinstance(label, Raw) else ParsedLabel(label)


_PARSE: dict[Kind, Callable[[Buffer, Wanted, bool], ParsedSample | ParsedLabel | None]] = {
    "sample": parse_sample,
    "label": parse_label,
    "attributes": parse_attributes,
}


@contextmanager
def _paused_garbage_collection() -> Iterator[None]:
    """No collection while many objects are made of which none can be part of a cycle."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
