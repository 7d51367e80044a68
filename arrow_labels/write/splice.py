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

# Fields of the structs FileMetaData, RowGroup, ColumnChunk and ColumnMetaData in `parquet.thrift`.
_NUM_ROWS, _ROW_GROUPS = 3, 4
_COLUMNS, _GROUP_ROWS, _GROUP_OFFSET, _ORDINAL = 1, 3, 5, 7
_CHUNK_OFFSET, _META = 2, 3
_CHUNK_INDEXES: Final = (4, 5, 6, 7)
_COMPRESSED, _DATA_PAGE, _INDEX_PAGE, _DICTIONARY_PAGE = 7, 9, 10, 11
_BLOOM_FILTER: Final = (14, 15)

_TRUE, _FALSE, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 1, 2, 7, 8, 9, 10, 12
_INTEGERS: Final = (4, 5, 6)

Struct = dict[int, tuple[int, Any]]
"""Type and value of each field, by its id; a list is the type of its items, and the items."""


Read = Callable[[int, int], bytes]
"""Gives the bytes of a file from one place up to another."""


class Group(NamedTuple):
    """A row group: what reads its file, its range of bytes there, its number, its rows, and its struct."""

    read: Read
    start: int
    end: int
    number: int
    rows: int
    meta: Struct


class Footer(NamedTuple):
    """What a footer says: its row groups, and its struct without them."""

    groups: list[Group]
    meta: Struct

    @property
    def schema(self) -> object:
        """The columns; row groups of files in which they differ do not go together."""
        return self.meta[2]


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
    meta, _ = _read_struct(read(size - _TAIL - length, size - _TAIL), 0)
    _, (_, found) = meta.pop(_ROW_GROUPS)
    return Footer([_group(read, number, group) for number, group in enumerate(found) if group[_GROUP_ROWS][1]], meta)


def write_spliced(sink: IO[bytes], groups: Iterable[Group], meta: Struct) -> int:
    """Write a Parquet file of row groups of other files.

    Parameters
    ----------
    sink : binary file
        Empty, open for writing.
    groups : iterable of Group
        In the order of their rows; consumed one after the other.
    meta : Struct
        Footer of one of the files, without its row groups.

    Returns
    -------
    int
        How many bytes the file has.
    """
    sink.write(MAGIC)
    place = len(MAGIC)
    written: list[Struct] = []
    waiting: list[Group] = []
    for group in groups:
        written.append(_moved(group.meta, place - group.start))
        place += group.end - group.start
        if waiting and not _follows(waiting, group):
            _copy(sink, waiting)
            waiting = []
        waiting.append(group)
    if waiting:
        _copy(sink, waiting)
    rows = sum(group[_GROUP_ROWS][1] for group in written)
    footer = bytearray()
    whole = {**meta, _NUM_ROWS: (6, rows), _ROW_GROUPS: (_LIST, (_STRUCT, written))}
    _write_struct(footer, dict(sorted(whole.items())))
    tail = bytes(footer) + struct.pack("<i", len(footer)) + MAGIC
    sink.write(tail)
    return place + len(tail)


def _follows(waiting: list[Group], group: Group) -> bool:
    last = waiting[-1]
    return group.read is last.read and group.start == last.end and group.end - waiting[0].start <= _AT_ONCE


def _copy(sink: IO[bytes], groups: list[Group]) -> None:
    first, last = groups[0], groups[-1]
    found = first.read(first.start, last.end)
    if len(found) != last.end - first.start:
        raise OSError(f"expected {last.end - first.start:,} bytes of a row group, got {len(found):,}")
    sink.write(found)


def _group(read: Read, number: int, meta: Struct) -> Group:
    chunks = [chunk[_META][1] for chunk in meta[_COLUMNS][1][1]]
    starts = [
        min(chunk[name][1] for name in (_DATA_PAGE, _INDEX_PAGE, _DICTIONARY_PAGE) if chunk.get(name, (0, 0))[1])
        for chunk in chunks
    ]
    ends = [start + chunk[_COMPRESSED][1] for start, chunk in zip(starts, chunks, strict=True)]
    return Group(read, min(starts), max(ends), number, meta[_GROUP_ROWS][1], meta)


def _moved(group: Struct, by: int) -> Struct:
    """A row group whose bytes lie so many bytes further on.

    Its page indexes and Bloom filters, which lie elsewhere, and its number are left behind.
    """
    type_, (item, chunks) = group[_COLUMNS]
    moved = []
    for chunk in chunks:
        meta = {name: value for name, value in chunk[_META][1].items() if name not in _BLOOM_FILTER}
        _move(meta, (_DATA_PAGE, _INDEX_PAGE, _DICTIONARY_PAGE), by)
        chunk = {name: value for name, value in chunk.items() if name not in _CHUNK_INDEXES}
        _move(chunk, (_CHUNK_OFFSET,), by)
        moved.append(chunk | {_META: (_STRUCT, meta)})
    result = {name: value for name, value in group.items() if name != _ORDINAL}
    _move(result, (_GROUP_OFFSET,), by)
    return result | {_COLUMNS: (type_, (item, moved))}


def _move(fields: Struct, names: tuple[int, ...], by: int) -> None:
    for name in names:
        if name in fields and fields[name][1]:  # 0 says that there is no such place.
            type_, value = fields[name]
            fields[name] = (type_, value + by)


# Thrift's compact protocol


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


def _read(data: bytes, place: int, type_: int) -> tuple[Any, int]:
    """A value of a type, and where it ends."""
    if type_ in _INTEGERS:
        return _read_zigzag(data, place)
    if type_ == _BINARY:
        length, place = _read_varint(data, place)
        return data[place : place + length], place + length
    if type_ == _STRUCT:
        return _read_struct(data, place)
    if type_ in (_LIST, _SET):
        head = data[place]
        count, place = (head >> 4, place + 1) if head < 0xF0 else _read_varint(data, place + 1)
        items = []
        for _ in range(count):
            item, place = _read(data, place, head & 0x0F)
            items.append(item)
        return (head & 0x0F, items), place
    if type_ == _DOUBLE:
        return data[place : place + 8], place + 8
    return data[place : place + 1], place + 1  # a byte, or a truth value in a list


def _read_struct(data: bytes, place: int) -> tuple[Struct, int]:
    result: Struct = {}
    field = 0
    while True:
        head = data[place]
        place += 1
        if head == 0:
            return result, place
        if head >> 4:
            field += head >> 4
        else:
            field, place = _read_zigzag(data, place)
        type_ = head & 0x0F
        if type_ in (_TRUE, _FALSE):
            result[field] = (type_, None)
        else:
            value, place = _read(data, place, type_)
            result[field] = (type_, value)


def _write_varint(out: bytearray, value: int) -> None:
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


def _write_zigzag(out: bytearray, value: int) -> None:
    _write_varint(out, (value << 1) ^ (value >> 63))


def _write(out: bytearray, type_: int, value: Any) -> None:
    if type_ in _INTEGERS:
        _write_zigzag(out, value)
    elif type_ == _BINARY:
        _write_varint(out, len(value))
        out += value
    elif type_ == _STRUCT:
        _write_struct(out, value)
    elif type_ in (_LIST, _SET):
        item, items = value
        if len(items) < 15:
            out.append(len(items) << 4 | item)
        else:
            out.append(0xF0 | item)
            _write_varint(out, len(items))
        for each in items:
            _write(out, item, each)
    else:
        out += value


def _write_struct(out: bytearray, fields: Struct) -> None:
    last = 0
    for field, (type_, value) in sorted(fields.items()):
        if 0 < field - last < 16:
            out.append((field - last) << 4 | type_)
        else:
            out.append(type_)
            _write_zigzag(out, field)
        if type_ not in (_TRUE, _FALSE):
            _write(out, type_, value)
        last = field
    out.append(0)
