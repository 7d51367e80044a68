"""Long lists of point ids taken out of the JSON before it is decoded, and put back after.

A list of 100,000 ids would be scanned twice: by the JSON decoder, to find its end, and by the parser of numbers. A
list of numbers ends at the first `]`, so each is replaced by a mark that nobody can guess, and only the rest is
decoded. JSON has one reading: if the rest is valid with each mark at the place of a frame's point ids, and the text
that was taken out is a list of numbers (`columns.ids_column` parses it), the document is what it would have been. If
not, it is decoded whole.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from msgspec import Raw

from arrow_labels.decode.careful import Buffer
from arrow_labels.wire import Attributes, Frame, Label, Sample, Sensor, SensorAttributes

_KEY = b'"point_annotations":'
_ID_CHARACTERS = b"0123456789, "
_PROBES, _PROBE_BYTES = 4, 64
_MARK = f'"{secrets.token_hex(16)}'.encode()

T = TypeVar("T")


def decode_apart(decode: Callable[[Buffer], T], data: Buffer) -> T:
    """What `decode` makes of a document, its point ids not scanned."""
    text = data if isinstance(data, bytes) else bytes(data)
    if _is_mostly_ids(text):
        skeleton, lists = _take_out(text)
        if lists:
            document = decode(skeleton)
            if _put_back(document, lists):
                return document
    return decode(data)


def _is_mostly_ids(text: bytes) -> bool:
    """Whether one of a few places in a document is in a list of integers; looking for the lists costs a whole scan."""
    places = (len(text) * probe // _PROBES for probe in range(1, _PROBES))
    return any(not text[place : place + _PROBE_BYTES].translate(None, _ID_CHARACTERS) for place in places)


def _take_out(text: bytes) -> tuple[bytes, list[memoryview]]:
    """The document with marks, and the lists in their order."""
    found = text.find(_KEY)
    if found < 0:
        return text, []
    key = _KEY + text[found + len(_KEY) : found + len(_KEY) + 1].replace(b"[", b"")
    view, end = memoryview(text), 0
    kept: list[bytes | memoryview] = []
    lists: list[memoryview] = []
    start = text.find(key + b"[")
    while start >= 0:
        start += len(key)
        kept.append(view[end:start])
        end = text.find(b"]", start) + 1
        if end == 0:
            return text, []
        kept.append(_MARK + b'%d"' % len(lists))
        lists.append(view[start:end])
        start = text.find(key + b"[", end)
    kept.append(view[end:])
    return b"".join(kept), lists


def _put_back(document: Any, lists: list[memoryview]) -> bool:
    """Whether each list has found its frame."""
    places = []
    for frame in _frames(document):
        raw = bytes(memoryview(frame.point_annotations)[:64])
        if raw.startswith(_MARK):
            place = int(raw[len(_MARK) : -1])
            frame.point_annotations = Raw(lists[place])
            places.append(place)
    return sorted(places) == list(range(len(lists)))


def _frames(document: Any) -> Iterator[Frame]:
    """The frames of a sample, a label or label attributes."""
    if isinstance(document, Sample):
        for label in (document.labels or {}).values():
            yield from _frames(label)
    elif isinstance(document, Label | Sensor):
        yield from _frames(document.attributes)
    elif isinstance(document, SensorAttributes):
        yield document
        yield from document.frames or ()
        if isinstance(document, Attributes):
            for sensor in document.sensors or ():
                yield from _frames(sensor)
