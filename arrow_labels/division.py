"""Sources divided into spans: small files in groups, and large ones at the samples or lines in them.

A release and a file of lines are divided by the bytes where samples and lines begin and end, so that a span is read
without what stands before it. Those that are compressed or elsewhere are copied first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import IO, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from fsspec.implementations.local import LocalFileSystem

from arrow_labels.contents import LINES, Stamp, content, mapped, spool, stamp, unchanged
from arrow_labels.decode.careful import FAILURES
from arrow_labels.decode.definitions import around_samples, parse_release
from arrow_labels.decode.point_ids import places, split_apart
from arrow_labels.processes import Say
from arrow_labels.sources import File
from arrow_labels.spans import Files, Lines, Samples, Span
from arrow_labels.wire import decode_members, decode_raws, decode_release

_MOST_FILES: Final = 5_000
_RATIO: Final = 8
"""How many bytes of JSON a byte of a compressed file is taken to be."""
_HEAD: Final = 16 << 20
_BLOCK: Final = 16 << 20


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


def weight(file: File) -> int:
    """About how many bytes of JSON a file holds; 0 if that is not known."""
    return (file.size or 0) * (_RATIO if file.compression or _is_archive(file) else 1)


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
        dataset = split_apart(decode_release, data).dataset
    except FAILURES:
        # Unknown members; or another kind of document, which is not worth being decoded twice.
        dataset = parse_release(data).release.dataset if "dataset" in decode_members(data) else None
    raws = None if dataset is None else dataset.samples
    if dataset is None or not raws:
        return []
    starts, lengths = places(raws, whole)
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


def _blocks(large: Large, file: File, stream: IO[bytes], processes: int) -> list[Blocks]:
    """Where the samples of a release stand, and where some of them seem to begin; nothing if that is not found."""
    found = stamp(stream)
    data = mapped(stream)
    around = around_samples(data)
    if around is None:
        return []
    edges = [around.begin]
    while edges[-1] + _BLOCK < around.end and (guess := around.between.search(data, edges[-1] + _BLOCK, around.end)):
        edges.append(guess.end(1) + 1)  # after the comma
    edges.append(around.end + 1)
    size = -(-(len(edges) - 1) // processes)
    return [
        Blocks(large, file, found, around.head, around.dataset.name, edges[place : place + size + 1])
        for place in range(0, len(edges) - 1, size)
    ]


def prove(blocks: Blocks, _is_last: bool, _: Say) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] | None:
    """Where the samples between the edges begin and how long they are; None if an edge is none.

    A text of blocks is an array of samples if each block is one: there is but one way to read JSON.
    """
    found = []
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
            starts, lengths = places(raws, block)
            found.append((starts + (begin - 1), lengths))
        unchanged(stream, blocks.stamp, blocks.file.name)
    starts, lengths = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return starts, lengths
