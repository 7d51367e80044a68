"""What a source names -> documents: opened one after the other, small files of a remote store fetched ahead.

A large document is memory-mapped, from where it lies if that is a local file, else from a temporary copy.
"""

from __future__ import annotations

import io
import itertools
import logging
import os
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from functools import partial
from typing import Any, Final
from zipfile import ZipFile

from fsspec.implementations.local import LocalFileSystem

from arrow_labels.contents import DECOMPRESS, IN_MEMORY, LINES, lines, load, mapped, stamp, told_by_content, unchanged
from arrow_labels.decode import Document, OnError, to_bytes
from arrow_labels.errors import ArrowLabelsError, FetchError, TargetError
from arrow_labels.fetch import fetch_all
from arrow_labels.http_bytes import Limits, TooLargeError
from arrow_labels.redaction import reason
from arrow_labels.sources import STREAM, File, descriptor, file_at, is_of_labels, refuse_ways_out, suffixes, unicode

_LOG: Final = logging.getLogger(__name__)
_AHEAD: Final = Limits(max_bytes=4 << 20, timeout=120.0)
"""Remote files up to here are fetched ahead; larger ones are opened when it is their turn."""
_CONCURRENCY: Final = 16
"""Requests in flight: about what one core can decode from a store that answers in 20 ms."""


def documents(items: Iterable[Any], on_error: OnError, start: int = 0) -> Iterator[Document]:
    """The documents of resolved items, in their order, opened when it is their turn or shortly before.

    What cannot be read is an error, or with ``on_error="collect"`` a document that holds the error. No room for a
    temporary file is always an error. `start` is the place of the first item.
    """
    for index, (item, fetched) in enumerate(_fetched(items), start):
        for document in _documents(item, fetched, str(index)):
            error = document.data
            if isinstance(error, TargetError) or (on_error == "raise" and isinstance(error, ArrowLabelsError)):
                raise error
            yield document


def _fetched(items: Iterable[Any]) -> Iterator[tuple[Any, bytes | ArrowLabelsError | None]]:
    """Items, and the bytes of those that are fetched ahead or why there are none."""
    for is_small, group in itertools.groupby(items, _is_small_and_remote):
        if not is_small:
            yield from ((item, None) for item in group)
            continue
        files: deque[File] = deque()
        with closing(fetch_all(_jobs(group, files), _AHEAD, concurrency=_CONCURRENCY)) as results:
            for result in results:
                yield files.popleft(), None if isinstance(result, TooLargeError) else result


def _is_small_and_remote(item: Any) -> bool:
    return (
        isinstance(item, File)
        and item.fs.async_impl
        and not item.fs.asynchronous
        and (item.size is None or 0 < item.size <= (_AHEAD.max_bytes or 0))
    )


def _jobs(files: Iterable[File], started: deque[File]) -> Iterator[tuple[File, Callable[[bytes], bytes]]]:
    for file in files:
        started.append(file)
        yield file, bytes


def _documents(item: Any, fetched: bytes | ArrowLabelsError | None, place: str) -> Iterator[Document]:
    """The documents in one item; an error that ends them is the last."""
    if isinstance(item, File):
        name = item.name
    else:
        given = getattr(item, "name", None) if hasattr(item, "read") else None
        name = unicode(given) if isinstance(given, str) else f"<document {place}>"
    _LOG.debug("reading %s", name)
    try:
        if not isinstance(item, File) and hasattr(item, "read"):
            yield from told_by_content(name, place, load(item), suffixes(name)[0] in LINES)
        elif not isinstance(item, File):
            yield Document(name, place, to_bytes(item, name))
        elif isinstance(fetched, ArrowLabelsError):
            yield Document(name, place, FetchError(f"{fetched} - at {name}"))
        elif fetched is not None:
            yield from _content(io.BytesIO(fetched), item)
        elif not isinstance(item.fs, LocalFileSystem):
            with item.fs.open(item.path, "rb") as opened:
                yield from _content(opened, item)
        elif (data := _read_at_once(item)) is not None:
            yield Document(name, item.below, to_bytes(data, name))
        else:
            number = descriptor(item.path)
            with io.BufferedReader(io.FileIO(item.path if number is None else os.dup(number))) as opened:
                yield from _content(opened, item)
    except Exception as error:  # file systems and codecs raise errors of the libraries below them
        options = item.fs.storage_options if isinstance(item, File) else None
        yield Document(name, place, _failure(error, name, options))


def _failure(error: Exception, name: str, options: Mapping[str, Any] | None = None) -> ArrowLabelsError:
    """An error that names the file."""
    if isinstance(error, ArrowLabelsError):
        return error
    if isinstance(error, FileNotFoundError):
        return FetchError(f"Expected a file, got nothing - at {name}")
    return FetchError(f"Expected a file that can be read, got {reason(error, options)} - at {name}")


def _read_at_once(file: File) -> bytes | None:
    """A local file of one document with the fewest calls of the system, which are most of what a small one costs.

    None if it is none of these, or not as long as it was when it was listed. A pipe seems to be empty.
    """
    if not file.size or file.size > IN_MEMORY or file.compression or file.kind in (".zip", STREAM, *LINES):
        return None
    descriptor = os.open(file.path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        data = os.read(descriptor, file.size + 1)
    finally:
        os.close(descriptor)
    return data if len(data) == file.size else None


def _content(opened: Any, file: File) -> Iterator[Document]:
    """The documents in a file that is open."""
    stream = DECOMPRESS[file.compression](opened) if file.compression else opened
    if file.kind == ".zip":
        yield from _members(stream, file)
        return
    check = partial(unchanged, opened, stamp(opened), file.name)
    if file.kind in LINES:
        yield from lines(file.name, file.below, stream, 1, check)
    elif isinstance(stream, io.BufferedReader) and isinstance(stream.raw, io.FileIO):
        about = os.fstat(stream.fileno())
        is_mapped = stat.S_ISREG(about.st_mode) and about.st_size > IN_MEMORY and stream.tell() == 0
        data = mapped(stream) if is_mapped else load(stream)
        if is_mapped:
            stream.seek(0, os.SEEK_END)  # who reads on, where it is standard input, finds nothing
        check()
        if file.kind == STREAM:
            yield from told_by_content(file.name, file.below, data)
        else:
            yield Document(file.name, file.below, to_bytes(data, file.name), check if is_mapped else None)
    else:
        data = load(stream)
        check()
        yield Document(file.name, file.below, to_bytes(data, file.name))


def _members(opened: Any, file: File) -> Iterator[Document]:
    """The documents in an archive, sorted by name; a member that cannot be read does not end them."""
    with ZipFile(opened) as archive:
        refuse_ways_out(archive.NameToInfo)
        found = sorted(
            (name, about) for name, about in archive.NameToInfo.items() if not about.is_dir() and is_of_labels(name)
        )
        if not found:
            raise FetchError(f"Expected members with labels (.json, .jsonl, .ndjson), got none - at {file.name}")
        for name, about in found:
            inside = file_at(file.fs, name, f"zip://{name}::{file.name}", name, about.file_size)
            try:
                with archive.open(about) as member:
                    yield from _content(member, inside)
            except Exception as error:  # as above
                yield Document(inside.name, inside.below, _failure(error, inside.name))
