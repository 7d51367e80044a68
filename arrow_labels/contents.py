"""What files hold: decompressed, in memory or mapped, and as it was when reading began.

A large document is memory-mapped, from where it lies if that is a local file, else from a temporary copy.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import itertools
import lzma
import mmap
import os
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import IO, Any, Final, NamedTuple

import msgspec
import pyarrow as pa

from arrow_labels.decode import Document, to_bytes
from arrow_labels.errors import FetchError, TargetError
from arrow_labels.sources import File

LINES: Final = (".jsonl", ".ndjson")
"""Suffixes of files with a document a line."""
IN_MEMORY: Final = 16 << 20
"""Documents up to here are read into memory; larger ones are mapped."""


def _open_zstd(file: IO[bytes]) -> IO[bytes]:
    return io.BufferedReader(pa.CompressedInputStream(file, "zstd"))


DECOMPRESS: Final[dict[str, Callable[[IO[bytes]], Any]]] = {
    ".gz": lambda file: gzip.GzipFile(fileobj=file),
    ".bz2": bz2.BZ2File,
    ".xz": lzma.LZMAFile,
    ".zst": _open_zstd,
}


COMPRESS: Final[dict[str, Callable[[IO[bytes]], Any]]] = {
    ".gz": lambda file: gzip.GzipFile(fileobj=file, mode="wb"),
    ".bz2": partial(bz2.BZ2File, mode="wb"),
    ".xz": partial(lzma.LZMAFile, mode="wb"),
    ".zst": lambda file: pa.CompressedOutputStream(file, "zstd"),
}
"""What writes what `DECOMPRESS` reads."""
_MAGIC: Final = {b"\x1f\x8b": ".gz", b"BZh": ".bz2", b"\xfd7zXZ\x00": ".xz", b"\x28\xb5\x2f\xfd": ".zst"}
"""How compressed files begin; no JSON does."""
_ARCHIVE: Final = b"PK\x03\x04"
_MAGIC_BYTES: Final = 8


@contextmanager
def content(file: File) -> Iterator[Any]:
    """A file's content, decompressed."""
    with file.fs.open(file.path, "rb") as opened:
        yield DECOMPRESS[file.compression](opened) if file.compression else opened


def lines(
    name: str, below: str, stream: Iterable[bytes], first: int = 1, check: Callable[[], None] | None = None
) -> Iterator[Document]:
    """The documents of a stream of lines; `first` is the number of the first."""
    for number, line in enumerate(stream, first):
        if line.removeprefix(codecs.BOM_UTF8).strip():
            yield Document(f"{name}:{number}", f"{below}:{number}", to_bytes(line, name), check)


def told_by_content(name: str, below: str, data: bytes | memoryview, are_lines: bool = False) -> Iterator[Document]:
    """The documents of a stream, for which no suffix speaks: it may be compressed, or have a document a line.

    Raises
    ------
    FetchError
        It is an archive.
    """
    start = bytes(data[:_MAGIC_BYTES])
    if start.startswith(_ARCHIVE):
        raise FetchError(f"Expected JSON, got a zip archive - at {name}: give its path instead")
    found = next((DECOMPRESS[suffix] for magic, suffix in _MAGIC.items() if start.startswith(magic)), None)
    if found is not None:
        with found(pa.BufferReader(data)) as stream:
            data = load(stream)
    if are_lines or _has_lines(data):
        yield from lines(name, below, io.BufferedReader(pa.BufferReader(data)))
    else:
        yield Document(name, below, to_bytes(data, name))


def _has_lines(data: bytes | memoryview) -> bool:
    """Whether the first line is JSON by itself, and not all: so one document cannot be written."""
    stream = io.BufferedReader(pa.BufferReader(data))
    line = next((line for line in stream if line.removeprefix(codecs.BOM_UTF8).strip()), b"")
    try:
        msgspec.json.decode(line.removeprefix(codecs.BOM_UTF8), type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return any(line.strip() for line in stream)


class Stamp(NamedTuple):
    """What changes when a file is written to."""

    size: int
    time: int


def stamp(stream: Any) -> Stamp | None:
    """The stamp of an open local file; None for any other, and for a pipe, which changes by being read."""
    try:
        found = os.fstat(stream.fileno())
    except (OSError, AttributeError):
        return None  # a file that is elsewhere has no number
    return Stamp(found.st_size, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else None


def unchanged(stream: Any, before: Stamp | None, name: str) -> None:
    """Refuse a file that was written to: what was read of it belongs to two files.

    Raises
    ------
    FetchError
        Its stamp is another one.
    """
    if before is not None and (now := stamp(stream)) != before:
        how = "changed" if now is None or now.size >= before.size else "became shorter"
        raise FetchError(
            f"Expected a file that stays as it is, got one that {how} while it was read - at {name}: read it again "
            "when nothing writes to it"
        )


def load(stream: IO[bytes]) -> bytes | memoryview:
    """A stream's content: in memory if it is small, else mapped from a temporary file."""
    start = stream.read(IN_MEMORY)
    if isinstance(start, str):
        raise FetchError("Expected a file that is open in binary mode, got one in text mode")
    rest = stream.read(1)
    if not rest:
        return start
    with tempfile.TemporaryFile() as copy:
        spool(itertools.chain((start, rest), iter(partial(stream.read, 1 << 20), b"")), copy)
        return mapped(copy)


def spool(blocks: Iterable[bytes], copy: IO[bytes]) -> None:
    """Write blocks into a temporary file.

    Raises
    ------
    TargetError
        There is no room for it.
    """
    for block in blocks:
        with as_room_error():
            copy.write(block)
    with as_room_error():
        copy.flush()


@contextmanager
def as_room_error() -> Iterator[None]:
    """Turn what the folder of temporary files refuses into an error of this library."""
    try:
        yield
    except OSError as error:
        raise TargetError(
            f"Expected room for a temporary file, got {type(error).__name__}: {error} - in {tempfile.gettempdir()}: "
            "free some, or set TMPDIR to another folder"
        ) from error


def mapped(file: Any) -> memoryview:
    """A file as memory; the map is closed when nothing refers to it any more."""
    return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
