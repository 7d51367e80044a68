"""Documents of every kind -> batches of tables: what a document is, its records, their keys, and their errors."""

from __future__ import annotations

import gc
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import pyarrow as pa

from arrow_labels.decode.careful import FAILURES, Buffer, is_null, problem
from arrow_labels.decode.columns import NotExactError
from arrow_labels.decode.definitions import add_release, parse_release, strict_release
from arrow_labels.decode.labels import ParsedLabel, Place, add_label, parse_attributes, parse_label
from arrow_labels.decode.point_ids import decode_apart
from arrow_labels.decode.rows import Rows
from arrow_labels.decode.samples import ParsedSample, add_sample, parse_sample, strict_sample
from arrow_labels.errors import ArrowLabelsError, DecodeError
from arrow_labels.schema import GROUND_TRUTH
from arrow_labels.wire import (
    Attributes,
    Label,
    decode_attributes,
    decode_label,
    decode_members,
    decode_release,
    decode_sample,
)

CHUNK_BYTES = 4 << 20
"""JSON that becomes one record batch: enough to pay for the batch, few enough objects to stay near the cache."""

Kind = Literal["release", "sample", "label", "attributes"]
OnError = Literal["raise", "collect"]


class Document(NamedTuple):
    """A JSON document: where it comes from, the sample id if it names none, and its bytes or why there are none.

    `check` raises if the bytes are no longer those that they were.
    """

    source: str | None
    place: str
    data: bytes | memoryview | ArrowLabelsError
    check: Callable[[], None] | None = None


def _nothing() -> None:
    pass


@dataclass
class Record:
    """A sample or a label on its way into rows; it keeps the keys that it was given."""

    kind: Kind
    source: str | None
    place: str
    raw: Buffer
    parsed: Any = None
    dataset: str | None = None
    index: int = 0
    sample_id: str | None = None


@dataclass
class Reader:
    """Decodes documents one after the other: the options, and the state that spans them."""

    task_type: str | None
    unit: int
    labelsets: Collection[str] | None
    tables: Collection[str]
    on_error: OnError
    chunk_bytes: int = CHUNK_BYTES
    sample_ids: dict[str, int] = field(default_factory=dict)
    label_keys: set[tuple[str, str]] = field(default_factory=set)
    lone_samples: int = 0
    check: Callable[[], None] = _nothing
    """Raises if the bytes that are read are no longer those that they were."""

    def batches(self, documents: Iterable[Document]) -> Iterator[tuple[int, dict[str, pa.RecordBatch]]]:
        """Record batches, each with the bytes of JSON that it came from."""
        return self.columns(self.records(documents))

    def columns(self, records: Iterable[Record | Rows]) -> Iterator[tuple[int, dict[str, pa.RecordBatch]]]:
        """`batches`, of what `records` gives."""
        categories: dict[int, str | None] = {}
        chunk: list[Record] = []
        size = 0
        for item in records:
            if isinstance(item, Rows):
                if chunk:
                    yield size, self._chunk(chunk, categories)
                    chunk, size = [], 0
                categories = item.categories
                yield 0, item.batches(self.tables, checked=False)
                continue
            chunk.append(item)
            size += len(memoryview(item.raw))
            if size >= self.chunk_bytes:
                yield size, self._chunk(chunk, categories)
                chunk, size = [], 0
        if chunk:
            yield size, self._chunk(chunk, categories)

    def records(self, documents: Iterable[Document]) -> Iterator[Record | Rows]:
        """The records of all documents; before and after those of a release, its definitions (empty after)."""
        for document in documents:
            self.check = document.check or _nothing
            try:
                if isinstance(document.data, ArrowLabelsError):
                    raise DecodeError(str(document.data))
                kind, parsed = recognise(document.data)
            except DecodeError as error:
                self.check()
                rejected = Rows()
                self._fail(rejected, error, document.source)
                yield rejected
                continue
            if kind != "release":
                record = Record(kind, document.source, document.place, document.data, parsed)
                if kind == "sample":
                    record.index = self.lone_samples
                    self.lone_samples += 1
                yield record
                self.check()
                continue
            definitions = Rows()
            try:
                add_release(definitions, document.source, parsed, self.task_type)
            except DecodeError as error:
                self._fail(definitions, error, document.source)
            yield definitions
            dataset = parsed.release.dataset
            name = None if dataset is None else dataset.name
            for index, raw in enumerate((dataset and dataset.samples) or ()):
                self.check()
                yield Record("sample", document.source, document.place, raw, None, name, index)
            yield Rows()
            self.check()
        self.check = _nothing  # the last file is closed

    def _chunk(self, records: list[Record], categories: dict[int, str | None]) -> dict[str, pa.RecordBatch]:
        try:
            with _paused_garbage_collection():
                with suppress(NotExactError):
                    return self._columns(records, categories, careful=False)
                return self._columns(records, categories, careful=True)
        except DecodeError:
            self.check()
            raise

    def _columns(
        self, records: list[Record], categories: dict[int, str | None], careful: bool
    ) -> dict[str, pa.RecordBatch]:
        rows = Rows(categories)
        for record in records:
            self._add(rows, record, careful)
        return rows.batches(self.tables, checked=not careful)

    def _add(self, rows: Rows, record: Record, careful: bool) -> None:
        parsed, record.parsed = record.parsed, None
        if parsed is None or careful:
            try:
                parsed = _PARSE[record.kind](record.raw, careful)
            except DecodeError as error:
                self._fail(rows, error, record.source, record.sample_id or record.place)
                return
        if isinstance(parsed, ParsedSample):
            self._add_sample(rows, record, parsed)
        else:
            self._add_label(rows, record, parsed)

    def _add_sample(self, rows: Rows, record: Record, parsed: ParsedSample) -> None:
        sample = parsed.sample
        if record.sample_id is None:
            record.sample_id = self._unique(_first(sample.uuid, sample.name, record.place))
        if parsed.error is not None:
            self._fail(rows, parsed.error, record.source, record.sample_id)
        else:
            add_sample(rows, record.sample_id, record.index, record.dataset, parsed, self.unit)
        for labelset, label in (parsed.labels or {}).items():
            if self.labelsets is None or labelset in self.labelsets:
                self._try_label(rows, record, record.sample_id, labelset, label)

    def _add_label(self, rows: Rows, record: Record, parsed: ParsedLabel) -> None:
        label = parsed.label
        labelset = _first(label.labelset if label else None, GROUND_TRUTH)
        if self.labelsets is not None and labelset not in self.labelsets:
            return
        if record.sample_id is None:
            name = _first(label.sample_uuid if label else None, record.place)
            record.sample_id, number = name, 1
            while (record.sample_id, labelset) in self.label_keys:
                number += 1
                record.sample_id = f"{name}#{number}"
            self.label_keys.add((record.sample_id, labelset))
        self._try_label(rows, record, record.sample_id, labelset, parsed)

    def _try_label(
        self, rows: Rows, record: Record, sample_id: str, labelset: str, label: ParsedLabel | DecodeError
    ) -> None:
        mark = rows.mark()
        try:
            if isinstance(label, DecodeError):
                raise label
            add_label(rows, Place(record.source, sample_id, labelset, self.task_type, self.unit), label)
        except DecodeError as error:
            rows.reset(mark)
            self._fail(rows, error, record.source, sample_id, labelset)

    def _unique(self, name: str) -> str:
        number = self.sample_ids.get(name, 0) + 1
        self.sample_ids[name] = number
        return name if number == 1 else self._unique(f"{name}#{number}")

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


def _first(*names: str | None) -> str:
    """The first name that is there."""
    return next(name for name in names if name is not None)


_PARSE: dict[Kind, Callable[[Buffer, bool], ParsedSample | ParsedLabel]] = {
    "sample": parse_sample,
    "label": parse_label,
    "attributes": parse_attributes,
}


def recognise(data: bytes | memoryview) -> tuple[Kind, Any]:
    """What kind of document this is, and its Structs if the strict ones take it.

    Strict decoders refuse a document of another kind at its first unknown key, so trying them in turn costs nothing.

    Raises
    ------
    DecodeError
        Not JSON, or none of the kinds.
    """
    mapped = isinstance(data, memoryview)
    for kind, decode, is_kind, parsed in _STRICT:
        try:
            document = decode(data) if mapped else decode_apart(decode, data)
        except FAILURES:
            continue
        if is_kind(document):
            return kind, parsed(document)
    try:
        members = decode_members(data)
    except FAILURES as error:
        raise problem(error) from None
    keys = members.keys()
    if "dataset" in keys and not is_null(members["dataset"]):
        return "release", parse_release(data)
    if "labels" in keys:
        return "sample", None
    if keys & {"label_status", "sample_uuid", "labelset"}:
        return "label", None
    if keys & {"annotations", "frames", "sensors"}:
        return "attributes", None
    found = ", ".join(f"`{key}`" for key in list(keys)[:8]) or "no members"
    raise DecodeError(
        "Expected a release (`dataset`), a sample (`labels`), a label (`label_status`, `sample_uuid` or `labelset`) or "
        f"label attributes (`annotations`, `frames` or `sensors`), got an object with {found}"
    )


_STRICT: tuple[tuple[Kind, Callable[[Any], Any], Callable[[Any], bool], Callable[[Any], Any]], ...] = (
    (
        "attributes",
        decode_attributes,
        lambda it: isinstance(it, Attributes) and any(x is not None for x in (it.annotations, it.frames, it.sensors)),
        lambda it: ParsedLabel(Label(attributes=it)),
    ),
    (
        "label",
        decode_label,
        lambda it: isinstance(it, Label) and any((it.label_status, it.sample_uuid, it.labelset)),
        ParsedLabel,
    ),
    ("sample", decode_sample, lambda it: it.labels is not None, strict_sample),
    ("release", decode_release, lambda it: it.dataset is not None, strict_release),
)


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
