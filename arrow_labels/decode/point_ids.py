"""Long lists of point ids taken out of the JSON before it is decoded, and put back after.

A list of 100,000 ids would be scanned twice: by the JSON decoder, to find its end, and by the parser of numbers. A
list of numbers ends at the first `]`, so each is replaced by a mark that nobody can guess, and only the rest is
decoded. JSON has one reading: if the rest is valid with each mark at the place of a frame's point ids, or in text that
stays raw, the document is what it would have been; if not, it is decoded whole. (A list cut off in a text, or in a list
of its own, leaves a quote or a bracket too many.) `number_lists.ids_column` proves that what was taken out is numbers.

A release that is mapped is split into samples in the same way, and then each sample has its own text.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, TypeVar, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from msgspec import Raw

from arrow_labels.decode.careful import FAILURES, Buffer
from arrow_labels.wire import Attributes, Frame, Label, Release, Sample, Sensor, SensorAttributes

_KEY = b'"point_annotations":'
_ID_CHARACTERS = b"0123456789, "
_PROBES, _PROBE_BYTES = 4, 64
_MARK = f'"{secrets.token_hex(16)}'.encode()
_LIST: Final = re.compile(rb'"point_annotations": ?\[')
_SKELETON: Final = 64 << 20
"""The most of a release without its point ids that is copied."""
_SHORT: Final = 4 << 10
"""Lists up to here, on average, are skipped sooner by the decoder."""
_TRIED: Final = 16
_PART: Final = 1 << 20

T = TypeVar("T")


def decode_apart(decode: Callable[[Buffer], T], data: Buffer) -> T:
    """What `decode` makes of a document, its point ids not scanned."""
    text = data if isinstance(data, bytes) else bytes(data)
    if is_mostly_ids(text):
        skeleton, lists = _take_out(text)
        if lists:
            with suppress(*FAILURES):  # What is wrong, and where, is said of the document itself.
                document = decode(skeleton)
                if _put_back(document, lists):
                    return document
    return decode(data)


def split_apart(decode: Callable[[Buffer], Release], data: bytes | memoryview) -> Release:
    """What `decode` makes of a release, whose samples stay raw, its point ids not scanned.

    What is taken out has no quote and no bracket within, so the rest has the samples where the release has them.
    """
    if is_mostly_ids(data):
        release = _split(decode, data)
        if release is not None:
            return release
    return decode(data)


def _split(decode: Callable[[Buffer], Release], data: bytes | memoryview) -> Release | None:
    """The release, from its text with a 0 for each list of point ids; None if that cannot be, or takes much memory."""
    view = memoryview(data)
    kept: list[bytes | memoryview] = []
    begins: list[int] = []
    ends = [0]
    size = 0
    while (found := _LIST.search(data, ends[-1])) is not None:
        begin = found.end() - 1
        end = _end_of_ids(view, begin)
        size += begin - ends[-1]
        if end == 0 or size > _SKELETON or end - size < (len(begins) - _TRIED) * _SHORT:
            return None
        kept += [view[ends[-1] : begin], b"0"]
        begins.append(begin)
        ends.append(end)
    if not begins or size + len(data) - ends[-1] > _SKELETON:
        return None
    skeleton = b"".join([*kept, view[ends[-1] :]])
    try:
        release = decode(skeleton)
    except FAILURES:
        return None
    samples = release.dataset and release.dataset.samples
    if not samples:
        return None
    starts, lengths = places(samples, skeleton)
    taken = np.cumsum(np.array(ends[1:]) - begins - 1)
    marks = np.array(ends[1:]) - taken  # where in the skeleton each mark ends
    before, after = (np.searchsorted(marks, edges, side="right") for edges in (starts, starts + lengths))
    if (after - before).sum() != len(marks):
        return None  # one is not in a sample
    shift = np.append(0, taken)
    edges = zip((starts + shift[before]).tolist(), (starts + lengths + shift[after]).tolist(), strict=True)
    samples[:] = [Raw(view[start:end]) for start, end in edges]
    return release


def _end_of_ids(view: memoryview, begin: int) -> int:
    """Where a list ends that begins there; 0 if it does not, or has a quote or a bracket in it."""
    start, size = begin + 1, _SHORT
    while start < len(view):
        part = bytes(view[start : start + size])  # which is searched ten times as fast as what is mapped
        end = part.find(b"]")
        if any(part.find(mark, 0, len(part) if end < 0 else end) >= 0 for mark in (b'"', b"[")):
            return 0
        if end >= 0:
            return start + end + 1
        start, size = start + len(part), min(2 * size, _PART)
    return 0


def places(raws: Sequence[Raw], whole: bytes | memoryview) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Where values begin in the text that they were found in, and how long they are."""
    buffers = [pa.py_buffer(raw) for raw in raws]
    starts = np.fromiter((buffer.address for buffer in buffers), np.int64, len(buffers)) - pa.py_buffer(whole).address
    return starts, np.fromiter((buffer.size for buffer in buffers), np.int64, len(buffers))


def is_mostly_ids(text: bytes | memoryview) -> bool:
    """Whether one of a few places in a document is in a list of integers; looking for the lists costs a whole scan."""
    places = (len(text) * probe // _PROBES for probe in range(1, _PROBES))
    return any(not bytes(text[place : place + _PROBE_BYTES]).translate(None, _ID_CHARACTERS) for place in places)


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
