"""Spans of a source, each read by itself: files, samples of a release, lines of a JSON lines file.

Samples and lines are known by the bytes where they begin and end, so that they are read without what stands before
them.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import IO, NamedTuple

import numpy as np
import numpy.typing as npt
from fsspec.implementations.local import LocalFileSystem

from arrow_labels.contents import Stamp, content, lines, unchanged
from arrow_labels.decode import Document, OnError, Reader
from arrow_labels.decode.records import Record
from arrow_labels.decode.rows import Rows
from arrow_labels.errors import FetchError
from arrow_labels.files import documents
from arrow_labels.redaction import reason
from arrow_labels.sources import File


class Files(NamedTuple):
    """Files that are read whole, and the place of the first one in the source."""

    files: list[File]
    start: int

    def __str__(self) -> str:
        first, last = self.files[0].name, self.files[-1].name
        return first if len(self.files) == 1 else f"{len(self.files):,} files, {first} to {last}"


class Samples(NamedTuple):
    """Samples of a release: the file, the release without its samples, and where they begin and how long they are."""

    file: File
    stamp: Stamp | None
    head: bytes
    dataset: str | None
    first: int
    starts: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]

    def __str__(self) -> str:
        begin, end = self.starts[0], self.starts[-1] + self.lengths[-1]
        last = self.first + len(self.starts) - 1
        return f"samples {self.first:,} to {last:,} (bytes {begin:,} to {end:,}) of {self.file.name}"


class Lines(NamedTuple):
    """Lines of a file: its place in the source, the bytes where they begin and end, and the number of the first."""

    file: File
    place: int
    stamp: Stamp | None
    begin: int
    end: int
    first: int

    def __str__(self) -> str:
        return f"lines from {self.first:,} on (bytes {self.begin:,} to {self.end:,}) of {self.file.name}"


Span = Files | Samples | Lines


def documents_before(span: Span) -> int:
    """How many documents stand before those of a span, if each file of the source has one."""
    if isinstance(span, Files):
        return span.start
    return span.place + span.first - 1 if isinstance(span, Lines) else 0


def records(run: Reader, span: Span, on_error: OnError) -> Iterator[Record | Rows | int]:
    """What a span holds, for `Reader.columns`."""
    if isinstance(span, Files):
        yield from run.records(documents(span.files, on_error, span.start))
        return
    with ExitStack() as stack:
        try:
            if isinstance(span.file.fs, LocalFileSystem):
                stream, base = stack.enter_context(content(span.file)), 0
            else:
                stream, base = io.BytesIO(_fetched(span)), _extent(span)[0]
        except FetchError:
            raise
        except Exception as error:  # file systems raise errors of the libraries below them
            raise FetchError(
                f"Expected a file that stays where it is, got {reason(error)} - at {span.file.name}: it was there when "
                "its reading began"
            ) from None
        check = partial(unchanged, stream, span.stamp, span.file.name)
        check()
        if isinstance(span, Lines):
            stream.seek(span.begin - base)
            rows = _until(stream, span.end - base)
            yield from run.records(lines(span.file.name, span.file.below, rows, span.first, check))
        else:
            yield from _samples(run, span, stream, base, check)
        check()


def _extent(span: Samples | Lines) -> tuple[int, int]:
    """Where the bytes of a span begin and end."""
    if isinstance(span, Lines):
        return span.begin, span.end
    return int(span.starts[0]), int(span.starts[-1] + span.lengths[-1])


def _fetched(span: Samples | Lines) -> bytes:
    """The bytes of a span of a file that is elsewhere, and of no more of it.

    Raises
    ------
    FetchError
        The file is not as long as it was.
    """
    file, (begin, end) = span.file, _extent(span)
    data: bytes = file.fs.cat_file(file.path, start=begin, end=end)
    if len(data) == file.size != end - begin:
        data = data[begin:end]  # a server that knows no ranges sends all
    if len(data) != end - begin:
        raise FetchError(
            f"Expected {end - begin:,} bytes at {begin:,}, got {len(data):,} - at {file.name}: it has changed since "
            "its reading began"
        )
    return data


def _until(stream: IO[bytes], end: int) -> Iterator[bytes]:
    while stream.tell() < end:
        yield stream.readline()


def _samples(
    run: Reader, span: Samples, stream: IO[bytes], base: int, check: Callable[[], None]
) -> Iterator[Record | Rows | int]:
    """Records of samples in a stream that begins at the byte `base` of the file."""
    file = span.file
    definitions = next(run.records([Document(file.name, file.below, span.head)]))
    assert isinstance(definitions, Rows)
    yield definitions if span.first == 0 else Rows(run.wanted, definitions.categories)
    run.check = check
    for place, (start, length) in enumerate(zip(span.starts.tolist(), span.lengths.tolist(), strict=True), span.first):
        stream.seek(start - base)
        yield Record("sample", file.name, file.below, stream.read(length), dataset=span.dataset, index=place)
    yield Rows(run.wanted)
