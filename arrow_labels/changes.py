"""What of a source is new, changed or as a target holds it, found before anything is decoded.

A label is unchanged if its `content_hash` is that of the target, or if the target has no hash for it, its `updated_at`
and the names of the categories; a label with neither counts as changed. The hash (XXH3, 128 bits: against accidents,
not against attackers) covers the bytes of the label, and what else its rows depend on: the names of the categories and
the options of the reader. Where a label came in a sample, a hash of the whole sample and its numbers of labels and
bytes stand after it, so that a sample in which nothing changed is known by one hash of its bytes, without being parsed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any, Literal, NamedTuple

from msgspec import Raw
from xxhash import xxh3_128

from arrow_labels.decode.careful import FAILURES, Buffer
from arrow_labels.decode.definitions import ParsedRelease, add_release, around_samples
from arrow_labels.decode.documents import Reader
from arrow_labels.decode.keys import name_label, name_record, name_sample, unique_sample
from arrow_labels.decode.records import Document, Record
from arrow_labels.decode.rows import Rows
from arrow_labels.decode.values import parse_time
from arrow_labels.errors import ArrowLabelsError, DecodeError
from arrow_labels.known import split_known
from arrow_labels.schema import GROUND_TRUTH, OWNERS, SCHEMA_VERSION
from arrow_labels.state import LabelKey, State, state
from arrow_labels.wire import (
    LabelName,
    decode_json,
    decode_label_name,
    decode_members,
    decode_sample_name,
    encode_json,
)

__all__ = ["OWNERS", "Changes", "LabelKey", "State", "Status", "state"]

Status = Literal["new", "changed", "unchanged"]


class Kept(NamedTuple):
    """What of a label that is not decoded may differ from its row: its document, and its hash."""

    source: str | None
    content_hash: str | None


@dataclass
class Changes:
    """What a source is against a target, known once the source is read; decides what of it is decoded.

    Without a state everything is new, and only hashes are made.

    Parameters
    ----------
    state : State
        What the target holds.
    options, labelsets : str, list of str
        What rows depend on besides their documents and the options of the reader; `iter_labels` sets them.

    Attributes
    ----------
    labels : dict of (str, str) to str
        "new", "changed" or "unchanged" for every label of the source, by sample id and labelset, in its order.
    samples : dict of str to int
        The `sample_index` of every sample, in order.
    kept : dict of (str, str) to Kept
        The labels that are unchanged.
    kept_samples : set of str
        The samples that are unchanged: no row of theirs is decoded.
    repeated : (str, str) or None
        A label that the source has twice.
    documents : int
        How many documents the source has.
    unread : bool
        Whether one of them, or a sample, could not be read so far that it is known which labels it holds.

    Examples
    --------
    >>> import arrow_labels as al
    >>> source = [{"sample_uuid": "a", "attributes": {"annotations": []}}]
    >>> tables = al.LabelTables.concat(al.iter_labels(source, changes=Changes()))
    >>> changes = Changes(state(tables.labels, tables.samples, tables.rejects))
    >>> al.LabelTables.concat(al.iter_labels(source, changes=changes)).labels.num_rows, changes.labels
    (0, {('a', 'ground-truth'): 'unchanged'})
    """

    state: State = field(default_factory=State)
    options: str = ""
    labelsets: list[str] | None = None
    labels: dict[LabelKey, Status] = field(default_factory=dict)
    samples: dict[str, int] = field(default_factory=dict)
    kept: dict[LabelKey, Kept] = field(default_factory=dict)
    kept_samples: set[str] = field(default_factory=set)
    repeated: LabelKey | None = None
    documents: int = 0
    unread: bool = False
    _contexts: dict[Any, tuple[xxh3_128, xxh3_128]] = field(default_factory=dict)

    def removed(self) -> list[LabelKey]:
        """The labels that the target holds and the source does not have; none if that is not known."""
        return [] if self.unread else [key for key in self.state.labels if key not in self.labels]

    def counts(self) -> dict[str, int]:
        """How many labels are new, changed, removed and unchanged."""
        found = list(self.labels.values())
        return {
            "new": found.count("new"),
            "changed": found.count("changed"),
            "removed": len(self.removed()),
            "unchanged": found.count("unchanged"),
        }

    def knows(self, reader: Reader, document: Document) -> bool:
        """Whether a document is a label, or a sample, that the target holds as it is."""
        self.documents += 1
        if not self.state.labels or isinstance(document.data, ArrowLabelsError):
            return False
        if isinstance(document.data, memoryview) and not self.state.lone:
            return False  # It is a release, whose samples are looked at one by one.
        of_label, of_sample = self._context(reader, {}, None)
        key = self.state.lone.get(_lone_hash(of_label, document.place, document.data))
        if (
            key is not None
            and "#" not in key[0]
            and key not in reader.label_keys
            and key not in self.state.rejected
            and (self.labelsets is None or key[1] in self.labelsets)
        ):
            reader.label_keys.add(key)
            self._keep(key, Kept(document.source, self.state.labels[key].content_hash))
            return True
        known = self._knows_sample(reader, _hash(of_sample, document.data), document.source, reader.lone_samples)
        reader.lone_samples += known
        return known

    def split(self, reader: Reader, document: Document) -> ParsedRelease | None:
        """A release of which the target holds nearly all samples as they are; None if it is anything else."""
        data = document.data
        if not isinstance(data, memoryview) or bytes(data[:1]) != b"{" or not self.state.known:
            return None
        around = around_samples(data)
        if around is None:
            return None
        definitions = Rows(reader.wanted)
        try:
            add_release(definitions, document.source, around.parsed, reader.task_type)
        except DecodeError:
            return None  # at its turn
        _, of_sample = self._context(reader, definitions.categories, around.dataset.name)
        around.dataset.samples = split_known(data, around, self.state.known, partial(_hash, of_sample))
        return None if around.dataset.samples is None else around.parsed

    def select(self, reader: Reader, record: Record, categories: dict[int, str | None]) -> Record | None:
        """A record with what of it must be decoded, and hashes; None if that is nothing."""
        if record.failed is not None:
            self.unread = True
            return record
        of_label, of_sample = self._context(reader, categories, record.dataset)
        if record.kind != "sample":
            return self._select_label(reader, record, of_label)
        whole = _hash(of_sample, record.raw)
        if self._knows_sample(reader, whole, record.source, record.index):
            return None
        try:
            found = decode_sample_name(record.raw)
        except FAILURES:
            # At its turn, as if it were decoded; decoding says what is wrong with it.
            self.unread = True
            name_record(record, reader.sample_ids, reader.label_keys)
            return record
        names = [_text(found.uuid), _text(found.name)]
        labels = {
            labelset: raw
            for labelset, raw in (found.labels or {}).items()
            if self.labelsets is None or labelset in self.labelsets
        }
        # An id that is the sample's place may be another one tomorrow.
        size = len(memoryview(record.raw))
        whole = f"-{whole}-{len(labels)}-{size}" if any(name is not None for name in names) else ""
        sample_id = name_sample(record, reader.sample_ids, *names)
        self.samples[sample_id] = record.index
        is_named = self.state.has_names(record.dataset, categories)
        hashes = {labelset: _hash(of_label, raw) + whole for labelset, raw in labels.items()}
        unchanged = [
            labelset
            for labelset, raw in labels.items()
            if self._is_unchanged((sample_id, labelset), hashes[labelset], raw, record.source, is_named)
        ]
        selected = replace(record, hashes=hashes)
        if unchanged:
            rest = {labelset: raw for labelset, raw in labels.items() if labelset not in unchanged}
            members = decode_members(record.raw) | {"labels": Raw(encode_json(rest))}
            selected = replace(selected, raw=encode_json(members), parsed=None, members=members)
        return selected

    def _select_label(self, reader: Reader, record: Record, context: xxh3_128) -> Record | None:
        try:
            found = (decode_label_name(record.raw) if record.kind == "label" else None) or LabelName()
        except FAILURES:
            self.unread = True
            name_record(record, reader.sample_ids, reader.label_keys)
            return record
        labelset = GROUND_TRUTH if found.labelset is None else found.labelset
        if self.labelsets is not None and labelset not in self.labelsets:
            return None
        sample_id = name_label(record, reader.label_keys, found.sample_uuid, labelset)
        content_hash = _lone_hash(context, record.place, record.raw)
        if self._is_unchanged((sample_id, labelset), content_hash, record.raw, record.source):
            return None
        return replace(record, hashes={labelset: content_hash})

    def _knows_sample(self, reader: Reader, whole: str, source: str | None, index: int) -> bool:
        """Take note of a sample that the target holds as it is, with all its labels; whether it does."""
        held = self.state.records.get(whole)
        if held is None or len(held.keys) != held.size:
            return False
        sample_id = held.keys[0][0]
        # A number after an id depends on the samples before it.
        if "#" in sample_id or sample_id in reader.sample_ids or sample_id not in self.state.samples:
            return False
        if any(key[0] != sample_id for key in held.keys) or sample_id in self.state.rejected_samples:
            return False
        unique_sample(reader.sample_ids, sample_id)
        self.samples[sample_id] = index
        self.kept_samples.add(sample_id)
        for key in held.keys:
            self._keep(key, Kept(source, self.state.labels[key].content_hash))
        return True

    def _is_unchanged(
        self, key: LabelKey, content_hash: str, raw: Buffer, source: str | None, is_named: bool = True
    ) -> bool:
        """Take note of a label; whether the target holds it as it is."""
        held = self.state.labels.get(key)
        if held is None or key in self.state.rejected:
            unchanged = False
        elif held.content_hash is not None:
            unchanged = held.content_hash.partition("-")[0] == content_hash.partition("-")[0]
        else:
            unchanged = is_named and held.updated_at is not None and held.updated_at == _updated_at(raw)
        if unchanged:
            self._keep(key, Kept(source, content_hash))
        else:
            self._note(key, "new" if held is None else "changed")
        return unchanged

    def _keep(self, key: LabelKey, kept: Kept) -> None:
        self._note(key, "unchanged")
        self.kept[key] = kept

    def _note(self, key: LabelKey, status: Status) -> None:
        if key in self.labels:
            self.repeated = key
        self.labels[key] = status

    def _context(
        self, reader: Reader, categories: dict[int, str | None], dataset: str | None
    ) -> tuple[xxh3_128, xxh3_128]:
        """What hashes of labels, and of samples, start with: all that rows depend on besides the bytes."""
        place = (tuple(categories.items()), dataset)
        if place not in self._contexts:
            of_label = [SCHEMA_VERSION, reader.task_type, reader.unit, list(categories.items()), self.options]
            of_sample = [of_label, self.labelsets, dataset]
            self._contexts[place] = xxh3_128(encode_json(of_label)), xxh3_128(encode_json(of_sample))
        return self._contexts[place]


def _hash(context: xxh3_128, raw: Buffer) -> str:
    state = context.copy()
    state.update(raw)
    return state.hexdigest()


def _lone_hash(context: xxh3_128, place: str, raw: Buffer) -> str:
    """Hash of a label that is a document, whose id may be its place."""
    state = context.copy()
    state.update(encode_json(place))
    state.update(raw)
    return state.hexdigest()


def _text(raw: Raw) -> str | None:
    """A text that a member of an object is, None if it is anything else."""
    value = decode_json(raw) if bytes(memoryview(raw)[:1]) == b'"' else None
    return value if isinstance(value, str) else None


def _updated_at(raw: Buffer) -> datetime | None:
    """When a label was changed last."""
    try:
        label = decode_label_name(raw)
    except FAILURES:
        return None
    return None if label is None else parse_time(label.updated_at)
