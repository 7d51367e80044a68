"""What documents are divided into: records, each a sample or a label, and the members that name them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from msgspec import Raw

from arrow_labels.decode.careful import FAILURES, Buffer
from arrow_labels.decode.kinds import Kind
from arrow_labels.decode.point_ids import decode_apart
from arrow_labels.errors import ArrowLabelsError, DecodeError
from arrow_labels.schema import GROUND_TRUTH
from arrow_labels.wire import decode_json, decode_members

NAMES: dict[Kind, tuple[str, ...]] = {
    "sample": ("uuid", "name"),
    "label": ("sample_uuid", "labelset"),
    "attributes": (),
}
"""The members that name a record, in the order in which `Reader` takes them."""


class Document(NamedTuple):
    """A JSON document: where it comes from, the sample id if it names none, and its bytes or why there are none.

    `check` raises if the bytes are no longer those that they were.
    """

    source: str | None
    place: str
    data: bytes | memoryview | ArrowLabelsError
    check: Callable[[], None] | None = None


@dataclass
class Record:
    """A sample or a label on its way into rows; it keeps the keys that it was given, and the members that name it."""

    kind: Kind
    source: str | None
    place: str
    raw: Buffer
    parsed: Any = None
    members: dict[str, Raw] | None = None
    dataset: str | None = None
    index: int = 0
    sample_id: str | None = None
    labelset: str = GROUND_TRUTH
    failed: DecodeError | None = None
    hashes: Mapping[str, str] = field(default_factory=dict)
    """Hash of the label's content, by labelset; empty where none are asked for."""


def names_of(record: Record) -> list[str | None] | None:
    """The members that name a record, found without decoding it, nothing for attributes; None if it has no members."""
    try:
        members = record.members
        if members is None:
            members = decode_apart(decode_members, record.raw)
        found = [decode_json(members[name]) if name in members else None for name in NAMES[record.kind]]
    except FAILURES:
        return None
    return [name if isinstance(name, str) else None for name in found]
