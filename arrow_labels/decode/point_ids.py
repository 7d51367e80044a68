"""Long lists of point ids taken out of the JSON before it is decoded, and put back after.

A list of 100,000 ids would be scanned twice: by the JSON decoder, to find its end, and by the parser of numbers. A
list of numbers ends at the first `]`, so each is replaced by a mark that nobody can guess, and only the rest is
decoded. JSON has one reading: if the rest is valid with each mark at the place of a frame's point ids, or in text that
stays raw, the document is what it would have been; if not, it is decoded whole. (A list cut off in a text, or in a list
of its own, leaves a quote or a bracket too many.) `number_lists.ids_column` proves that what was taken out is numbers.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any, TypeVar, cast

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
    """Put each list where its mark is, and say whether all were found: as point ids of a frame, or in raw text."""
    places: list[int] = []

    def restored(raw: Raw) -> Raw | memoryview:
        start, *rest = bytes(raw).split(_MARK)
        if not rest:
            return raw
        parts: list[bytes | memoryview] = [start]
        for text in rest:
            place, _, after = text.partition(b'"')
            places.append(int(place))
            parts += [lists[places[-1]], after]
        return lists[places[-1]] if sum(map(len, parts)) == len(lists[places[-1]]) else Raw(b"".join(parts))

    _restore(document, restored)
    return sorted(places) == list(range(len(lists)))


def _restore(value: Any, restored: Callable[[Raw], Raw | memoryview]) -> Any:
    """Put point ids back into a sample, a label, label attributes, a frame, or members that are raw."""
    if isinstance(value, Raw):
        found = restored(value)
        return found if isinstance(found, Raw) else Raw(found)
    if isinstance(value, dict):
        value.update([(name, _restore(item, restored)) for name, item in value.items()])
    elif isinstance(value, list):
        value[:] = [_restore(item, restored) for item in value]
    elif isinstance(value, Sample):
        _restore(value.labels, restored)
    elif isinstance(value, Label | Sensor):
        _restore(value.attributes, restored)
    elif isinstance(value, Frame):
        # A list alone stays a memoryview: it ends at its first bracket, which is what `number_lists.ids_column` asks.
        value.point_annotations = cast(Any, restored(value.point_annotations))
        if isinstance(value, SensorAttributes):
            _restore(value.frames, restored)
        if isinstance(value, Attributes):
            _restore(value.sensors, restored)
    return value
