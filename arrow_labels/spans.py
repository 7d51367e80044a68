"""Sources divided into spans, each decoded by itself: files, samples of a release, lines of a JSON lines file.

A release and a file of lines are divided by the bytes where samples and lines begin and end, so that a span is read
without what stands before it. Those that are compressed or elsewhere are copied first.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import IO, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from fsspec.implementations.local import LocalFileSystem
from msgspec import Raw

from arrow_labels.contents import LINES, Stamp, content, lines, mapped, spool, stamp, unchanged
from arrow_labels.decode import Document, OnError, Reader
from arrow_labels.decode.careful import FAILURES
from arrow_labels.decode.definitions import around_samples, parse_release
from arrow_labels.decode.records import Record
from arrow_labels.decode.rows import Rows
from arrow_labels.errors import FetchError
from arrow_labels.files import documents
from arrow_labels.processes import Say
from arrow_labels.sources import File, reason
from arrow_labels.wire import decode_members, decode_raws, decode_release

_MOST_FILES: Final = 5_000
_RATIO: Final = 8
"""How many bytes of JSON a byte of a compressed file is taken to be."""
_HEAD: Final = 16 << 20
_BLOCK: Final = 16 << 20


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


class Large(NamedTuple):
    """A file to be divided, and its place in the source."""

    file: File
    start: int

    def __str__(self) -> str:
        return f"the division of {self.file.name}"


class Blocks(NamedTuple):
    """Text between two samples of a release: where its blocks seem to end, and what they were found in."""

    large: Large
    file: File
    stamp: Stamp | None
    head: bytes
    dataset: str | None
    edges: list[int]

    def __str__(self) -> str:
        return f"the division of {self.file.name} (bytes {self.edges[0]:,} to {self.edges[-1]:,})"


Span = Files | Samples | Lines


def weight(file: File) -> int:
    """About how many bytes of JSON a file holds; 0 if that is not known."""
    return (file.size or 0) * (_RATIO if file.compression or _is_archive(file) else 1)


def documents_before(span: Span) -> int:
    """How many documents stand before those of a span, if each file of the source has one."""
    if isinstance(span, Files):
        return span.start
    return span.place + span.first - 1 if isinstance(span, Lines) else 0


def plan(files: list[File], span_bytes: int, large_bytes: int) -> Iterator[Files | Large]:
    """Files in groups, and by themselves those that are worth being divided."""
    group: list[File] = []
    size = 0
    for place, file in enumerate(files):
        is_large = weight(file) >= large_bytes and not _is_archive(file)
        if group and (is_large or size + weight(file) > span_bytes or len(group) == _MOST_FILES):
            yield Files(group, place - len(group))
            group, size = [], 0
        if is_large:
            yield Large(file, place)
        else:
            group.append(file)
            size += weight(file)
    if group:
        yield Files(group, len(files) - len(group))


def divide(
    large: Large, folder: Path, span_bytes: int, processes: int, is_guessed: bool, _: Say
) -> Sequence[Span] | list[Blocks]:
    """The spans of a large file; the file as one if it cannot be divided, and says why when it is read.

    What is not a plain local file is copied into the folder. Where samples seem to begin in a release is guessed if
    `is_guessed`: several processes find out whether they do, and where all others begin.
    """
    file, start = large
    is_lines = file.kind in LINES
    try:
        if file.compression or not isinstance(file.fs, LocalFileSystem):
            copy = folder / f"{start}{'.jsonl' if is_lines else '.json'}"
            with content(file) as stream, copy.open("wb") as target:
                spool(iter(partial(stream.read, 1 << 20), b""), target)
            file = file._replace(fs=LocalFileSystem(), path=str(copy), size=copy.stat().st_size, compression="")
        with file.fs.open(file.path, "rb") as stream:
            if is_guessed and not is_lines and (blocks := _blocks(large, file, stream, processes)):
                return blocks
            if is_lines:
                found: Sequence[Span] = _divide_lines(file, start, stream, span_bytes)
            else:
                found = divide_release(file, stamp(stream), mapped(stream), span_bytes)
    except Exception:  # whoever reads it as a whole says what is wrong, or collects it
        return [Files([file], start)]
    return found or [Files([file], start)]


def _is_archive(file: File) -> bool:
    return file.kind == ".zip"


def _divide_lines(file: File, place: int, stream: IO[bytes], span_bytes: int) -> list[Span]:
    spans: list[Span] = []
    found = stamp(stream)
    begin, first = 0, 1
    here, number = 0, 1
    while block := stream.read(_BLOCK):
        cut = block.rfind(b"\n") + 1
        number += block.count(b"\n")
        if here + cut - begin >= span_bytes and cut:
            spans.append(Lines(file, place, found, begin, here + cut, first))
            begin, first = here + cut, number
        here += len(block)
    if here > begin:
        spans.append(Lines(file, place, found, begin, here, first))
    return spans


def divide_release(file: File, found: Stamp | None, whole: bytes | memoryview, span_bytes: int) -> list[Samples]:
    """The samples of a release in spans of about `span_bytes`; nothing of what is no release.

    Raises
    ------
    DecodeError, msgspec.DecodeError
        Not JSON, or not a release.
    """
    data = whole[3:] if bytes(whole[:3]) == b"\xef\xbb\xbf" else whole
    try:
        dataset = decode_release(data).dataset
    except FAILURES:
        # Unknown members; or another kind of document, which is not worth being decoded twice.
        dataset = parse_release(data).release.dataset if "dataset" in decode_members(data) else None
    raws = None if dataset is None else dataset.samples
    if dataset is None or not raws:
        return []
    starts, lengths = _places(raws, whole)
    head = bytes(data[: starts[0] - (len(whole) - len(data))]) + bytes(whole[starts[-1] + lengths[-1] :])
    if starts.min() < 0 or (starts + lengths).max() > len(whole) or len(head) > _HEAD:
        return []
    return spans_of(file, found, head, dataset.name, starts, lengths, span_bytes)


def spans_of(
    file: File,
    found: Stamp | None,
    head: bytes,
    dataset: str | None,
    starts: npt.NDArray[np.int64],
    lengths: npt.NDArray[np.int64],
    span_bytes: int,
) -> list[Samples]:
    """The samples of a release in spans of about `span_bytes`."""
    cuts = np.flatnonzero(np.diff((lengths.cumsum() - 1) // span_bytes)) + 1
    edges = [0, *cuts.tolist(), len(starts)]
    return [
        Samples(file, found, head, dataset, begin, starts[begin:end], lengths[begin:end])
        for begin, end in pairwise(edges)
    ]


def _places(raws: list[Raw], whole: bytes | memoryview) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Where values begin in the text that they were found in, and how long they are."""
    buffers = [pa.py_buffer(raw) for raw in raws]
    starts = np.fromiter((buffer.address for buffer in buffers), np.int64, len(buffers)) - pa.py_buffer(whole).address
    return starts, np.fromiter((buffer.size for buffer in buffers), np.int64, len(buffers))


def _blocks(large: Large, file: File, stream: IO[bytes], processes: int) -> list[Blocks]:
    """Where the samples of a release stand, and where some of them seem to begin; nothing if that is not found."""
    found = stamp(stream)
    data = mapped(stream)
    around = around_samples(data)
    if around is None:
        return []
    dataset = around.parsed.release.dataset
    assert dataset is not None
    edges = [around.begin]
    while edges[-1] + _BLOCK < around.end and (guess := around.between.search(data, edges[-1] + _BLOCK, around.end)):
        edges.append(guess.end(1) + 1)  # after the comma
    edges.append(around.end + 1)
    size = -(-(len(edges) - 1) // processes)
    return [
        Blocks(large, file, found, around.head, dataset.name, edges[place : place + size + 1])
        for place in range(0, len(edges) - 1, size)
    ]


def prove(blocks: Blocks, _is_last: bool, _: Say) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] | None:
    """Where the samples between the edges begin and how long they are; None if an edge is none.

    A text of blocks is an array of samples if each block is one: there is but one way to read JSON.
    """
    places = []
    memory = bytearray(max(end - begin for begin, end in pairwise(blocks.edges)) + 1)  # one, its pages found once
    with content(blocks.file) as stream:
        for begin, end in pairwise(blocks.edges):
            stream.seek(begin)
            block = memoryview(memory)[: end - begin + 1]
            if stream.readinto(block[1:-1]) != end - begin - 1:
                return None
            block[0], block[-1] = b"[]"
            try:
                raws = decode_raws(block)
            except FAILURES:
                return None
            if not raws:
                return None
            starts, lengths = _places(raws, block)
            places.append((starts + (begin - 1), lengths))
        unchanged(stream, blocks.stamp, blocks.file.name)
    starts, lengths = (np.concatenate(parts) for parts in zip(*places, strict=True))
    return starts, lengths


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
            yield from run.records(lines(span.file, _until(stream, span.end - base), span.first, check))
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
