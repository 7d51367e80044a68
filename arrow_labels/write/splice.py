"""Row groups of Parquet files -> one Parquet file, their bytes copied as they are.

A row group is a range of bytes that knows nothing of what stands around it; only the footer says where it lies. So a
file with other row groups is a copy of ranges and a footer with other offsets: no page is decoded or compressed again.
The footer is a struct in Thrift's compact protocol, which nothing that is installed here writes with changed offsets.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import IO, Any, Final, NamedTuple, cast

import fsspec

MAGIC: Final = b"PAR1"
_TAIL: Final = 8
_AT_ONCE: Final = 32 << 20
"""Bytes that are copied at once."""

# Thrift's compact protocol: types of fields.
_TRUE, _FALSE, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 1, 2, 7, 8, 9, 10, 12
_INTEGERS: Final = (4, 5, 6)

# Fields of FileMetaData, and what counts of those of RowGroup, its ColumnChunks, and their ColumnMetaData, by their
# ids in `parquet.thrift`. Page indexes and Bloom filters lie elsewhere, so a row group that has them is not copied.
_SCHEMA, _NUM_ROWS, _ROW_GROUPS = 2, 3, 4
_OFFSET, _PAGE, _SIZE, _ROWS, _ORDINAL, _ELSEWHERE = "offset", "page", "size", "rows", "ordinal", "elsewhere"
_META: Final = {7: _SIZE, 9: _PAGE, 10: _PAGE, 11: _PAGE, 14: _ELSEWHERE}
_CHUNK: Final = {2: _OFFSET, 3: _META, 4: _ELSEWHERE, 6: _ELSEWHERE}
_GROUP: Final = {1: _CHUNK, 3: _ROWS, 5: _OFFSET, 7: _ORDINAL}

Read = Callable[[int, int], bytes]
"""Gives the bytes of a file from one place up to another."""


class Group(NamedTuple):
    """A row group: what reads its file, its range of bytes there, its number, its rows, and its struct.

    The struct is the text between its numbers that change, and those: what they are, and their values.
    """

    read: Read
    start: int
    end: int
    number: int
    rows: int
    texts: list[bytes]
    numbers: list[tuple[str, int]]
    is_whole: bool


class Footer(NamedTuple):
    """What a footer says: its row groups, its columns, and the text before and after what says how many rows."""

    groups: list[Group]
    schema: bytes
    before: bytes
    after: bytes


def file_bytes(fs: fsspec.AbstractFileSystem, path: str) -> Read:
    """What reads a file."""
    return lambda start, end: cast(bytes, fs.cat_file(path, start=start, end=end))


def read_footer(read: Read, size: int) -> Footer:
    """The footer of a Parquet file of so many bytes; row groups without rows are left out.

    Raises
    ------
    ValueError
        It is no Parquet file.
    """
    tail = read(size - _TAIL, size)
    if len(tail) != _TAIL or tail[4:] != MAGIC:
        raise ValueError("Expected a Parquet file, got one without its last bytes")
    length = struct.unpack("<i", tail[:4])[0]
    data = read(size - _TAIL - length, size - _TAIL)
    groups: list[Group] = []
    schema, before, place, field = b"", b"", 0, 0
    while data[place]:
        field, type_, place = _head(data, place, field)
        start = place
        if field == _ROW_GROUPS:
            count, place = _items(data, place)
            for number in range(count):
                group, place = _read_group(data, place, read, number)
                if group.rows:
                    groups.append(group)
            return Footer(groups, schema, before, data[place:])
        place = _skip(data, place, type_)
        if field == _SCHEMA:
            schema = data[start:place]
        if field == _NUM_ROWS:
            before = data[:start]
    raise ValueError("Expected a Parquet file, got one whose footer has no row groups")


def write_spliced(sink: IO[bytes], groups: Iterable[Group], footer: Footer) -> int:
    """Write a Parquet file of row groups of other files.

    Parameters
    ----------
    sink : binary file
        Empty, open for writing.
    groups : iterable of Group
        In the order of their rows; consumed one after the other. Each `is_whole`.
    footer : Footer
        Of one of the files: its columns and metadata.

    Returns
    -------
    int
        How many bytes the file has.
    """
    sink.write(MAGIC)
    place, rows = len(MAGIC), 0
    written: list[bytes] = []
    waiting: list[Group] = []
    for group in groups:
        written.append(_moved(group, place - group.start, len(written)))
        place += group.end - group.start
        rows += group.rows
        if waiting and not _follows(waiting, group):
            _copy(sink, waiting)
            waiting = []
        waiting.append(group)
    if waiting:
        _copy(sink, waiting)
    count = len(written)
    items = bytes([count << 4 | _STRUCT]) if count < 15 else bytes([0xF0 | _STRUCT]) + _varint(count)
    head = bytes([_ROW_GROUPS - _NUM_ROWS << 4 | _LIST])
    text = b"".join([footer.before, _zigzag(rows), head, items, *written, footer.after])
    sink.write(text + struct.pack("<i", len(text)) + MAGIC)
    return place + len(text) + _TAIL


def _follows(waiting: list[Group], group: Group) -> bool:
    last = waiting[-1]
    return group.read is last.read and group.start == last.end and group.end - waiting[0].start <= _AT_ONCE


def _copy(sink: IO[bytes], groups: list[Group]) -> None:
    first, last = groups[0], groups[-1]
    found = first.read(first.start, last.end)
    if len(found) != last.end - first.start:
        raise OSError(f"expected {last.end - first.start:,} bytes of a row group, got {len(found):,}")
    sink.write(found)


def _moved(group: Group, by: int, number: int) -> bytes:
    """The struct of a row group whose bytes lie so many bytes further on, with another number."""
    result = [group.texts[0]]
    for (what, value), text in zip(group.numbers, group.texts[1:], strict=True):
        # 0 says that there is no such place.
        result += [_zigzag(number & 0x7FFF if what == _ORDINAL else value + by if value else 0), text]
    return b"".join(result)


def _read_group(data: bytes, place: int, read: Read, number: int) -> tuple[Group, int]:
    """A row group, and where it ends."""
    found: list[tuple[str, int, int, int]] = []
    end = _walk(data, place, _GROUP, found)
    start = min((value for what, _, _, value in found if what == _PAGE and value), default=0)
    size = sum(value for what, _, _, value in found if what == _SIZE)
    rows = sum(value for what, _, _, value in found if what == _ROWS)
    is_whole = all(what != _ELSEWHERE for what, _, _, _ in found)
    texts, numbers = [], []
    for what, first, last, value in found:
        if what in (_OFFSET, _PAGE, _ORDINAL):
            texts.append(data[place:first])
            numbers.append((what, value))
            place = last
    texts.append(data[place:end])
    return Group(read, start, start + size, number, rows, texts, numbers, is_whole), end


def _walk(data: bytes, place: int, wanted: dict[int, Any], found: list[tuple[str, int, int, int]]) -> int:
    """Find integers in a struct: what they are, where they stand, and their values; gives where the struct ends."""
    field = 0
    while data[place]:
        field, type_, place = _head(data, place, field)
        what = wanted.get(field)
        if what is None:
            place = _skip(data, place, type_)
        elif isinstance(what, str):
            start = place
            value, place = _read_zigzag(data, place)
            found.append((what, start, place, value))
        elif type_ == _STRUCT:
            place = _walk(data, place, what, found)
        else:
            count, place = _items(data, place)
            for _ in range(count):
                place = _walk(data, place, what, found)
    return place + 1


# Thrift's compact protocol


def _head(data: bytes, place: int, field: int) -> tuple[int, int, int]:
    """Id and type of a field after another, and where its value stands."""
    head = data[place]
    if head >> 4:
        return field + (head >> 4), head & 0x0F, place + 1
    field, place = _read_zigzag(data, place + 1)
    return field, head & 0x0F, place


def _items(data: bytes, place: int) -> tuple[int, int]:
    """How many items a list has, and where they stand."""
    head = data[place]
    return (head >> 4, place + 1) if head < 0xF0 else _read_varint(data, place + 1)


def _skip(data: bytes, place: int, type_: int) -> int:
    """Where a value ends."""
    if type_ in _INTEGERS:
        while data[place] >= 0x80:
            place += 1
        return place + 1
    if type_ == _BINARY:
        length, place = _read_varint(data, place)
        return place + length
    if type_ == _STRUCT:
        while head := data[place]:
            place += 1
            if head < 0x10:
                place = _skip(data, place, _INTEGERS[0])  # the id of the field
            inner = head & 0x0F
            if inner in _INTEGERS:  # nearly all of a footer, so without a call
                while data[place] >= 0x80:
                    place += 1
                place += 1
            elif inner not in (_TRUE, _FALSE):
                place = _skip(data, place, inner)
        return place + 1
    if type_ in (_LIST, _SET):
        inner = data[place] & 0x0F
        count, place = _items(data, place)
        for _ in range(count):
            place = _skip(data, place, inner)
        return place
    return place + (8 if type_ == _DOUBLE else 1)


def _read_varint(data: bytes, place: int) -> tuple[int, int]:
    value, shift = 0, 0
    while True:
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7


def _read_zigzag(data: bytes, place: int) -> tuple[int, int]:
    value, place = _read_varint(data, place)
    return (value >> 1) ^ -(value & 1), place


def _varint(value: int) -> bytes:
    result = bytearray()
    while value >= 0x80:
        result.append(value & 0x7F | 0x80)
        value >>= 7
    result.append(value)
    return bytes(result)


def _zigzag(value: int) -> bytes:
    return _varint((value << 1) ^ (value >> 63))
