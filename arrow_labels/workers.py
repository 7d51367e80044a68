"""Sources read by several processes, with the order and the content that one process gives.

A process decodes one span after the other as if nothing stood before it. What depends on what stood before, the `#2` of
a name and the running number of samples that are files of their own, is compared in the order of the spans; a span that
began with the wrong state is decoded again with the right one.
"""

from __future__ import annotations

import logging
import pickle
import time
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
from fsspec.implementations.local import LocalFileSystem

from arrow_labels.contents import as_room_error
from arrow_labels.decode import reader
from arrow_labels.decode.keys import LabelKeys
from arrow_labels.division import Blocks, Large, divide, plan, prove, spans_of, weight
from arrow_labels.processes import Say, Task, can_start, run
from arrow_labels.schema import SCHEMAS
from arrow_labels.sources import EXTRAS, STREAM, File, total_bytes
from arrow_labels.spans import Span, documents_before, records
from arrow_labels.tables import LabelTables

Progress = Callable[[int, int | None], None]
Sink = Callable[[Iterator[LabelTables]], Any]
"""Puts the tables of a span somewhere, and says where; it is called in another process."""

_LOG: Final = logging.getLogger(__name__)
WORTH: Final = 128 << 20
"""JSON from which on the start of processes, half a second, is won back."""
LEAST_SPAN: Final = 16 << 20


class _State(NamedTuple):
    """What a `Reader` remembers of the documents before."""

    sample_ids: dict[str, int]
    label_keys: LabelKeys
    lone_samples: int


class _Decoded(NamedTuple):
    """What a sink made of a span, and the state of the reader after it."""

    made: Any
    after: _State


def batched(
    batches: Iterable[tuple[int, Iterable[Mapping[str, pa.RecordBatch]]]],
    batch_bytes: int,
    tables: Collection[str] | None,
    mask_options: Mapping[str, Any] | None,
    progress: Callable[[int], None] | None,
) -> Iterator[LabelTables]:
    """What a `Reader` gives as tables of about `batch_bytes`, with masks if there are options for them.

    Of what was read for the masks only `tables` are kept. `progress` is called with the bytes of JSON that are done.
    """
    if mask_options is not None:
        from arrow_labels.masks import read_masks

    unwanted = set() if tables is None else set(SCHEMAS) - {*tables, "rejects"}
    parts: list[LabelTables] = []
    size, done = 0, 0
    start = time.perf_counter()
    for nbytes, found in batches:
        part = LabelTables.from_batches(found)
        size += nbytes
        done += nbytes
        if mask_options is not None:
            decoded = part.nbytes
            part = replace(read_masks(part, **mask_options), **dict.fromkeys(unwanted))
            size += max(0, part.nbytes - decoded)
        parts.append(part)
        if progress is not None:
            progress(done)
        if size >= batch_bytes:
            _LOG.info("%d bytes of JSON decoded after %.1f s", done, time.perf_counter() - start)
            yield LabelTables.concat(parts)
            parts, size = [], 0
    _LOG.info("%d bytes of JSON decoded after %.1f s, the last ones", done, time.perf_counter() - start)
    if parts:
        yield LabelTables.concat(parts)


def shareable(
    items: list[Any], workers: int, reading: Mapping[str, Any], batching: Mapping[str, Any]
) -> list[File] | None:
    """The files, if they are worth several processes and can be read there; None if one process has to do.

    Documents in memory, streams, file systems that live in this process and options that cannot be pickled stay here.
    """
    if workers < 2 or not can_start() or not all(isinstance(item, File) and item.kind != STREAM for item in items):
        return None
    systems = {id(item.fs): item.fs for item in items}.values()
    if sum(map(weight, items)) < WORTH or not all(is_everywhere(fs) for fs in systems):
        return None
    try:
        pickle.dumps((list(systems), reading, _without_progress(batching)))
    except Exception:  # whatever the classes in it raise
        return None
    return items


def is_everywhere(fs: Any) -> bool:
    """Whether a file system shows other processes the same files."""
    protocols = {fs.protocol} if isinstance(fs.protocol, str) else set(fs.protocol)
    return isinstance(fs, LocalFileSystem) or bool(protocols & EXTRAS.keys())


def shared(
    files: list[File],
    workers: int,
    span_bytes: int,
    sink: Callable[[Path, int], Sink],
    reading: Mapping[str, Any],
    batching: Mapping[str, Any],
    progress: Progress | None,
) -> Generator[Any, None, None]:
    """What the sinks of all spans made, in order.

    Parameters
    ----------
    files : list of File
        What to read.
    workers, span_bytes : int
        How many processes, and how much JSON they take at a time.
    sink : callable
        Gives the sink of a span for a temporary folder and the number of the span; the same number may come again, if
        what was made is of no use.
    reading, batching : mapping
        Arguments of `reader` and `batched`.
    progress : callable, optional
        Called with the bytes of JSON that are done and, where it is known, how many there are in all.
    """
    total = total_bytes(files)
    span_bytes = max(span_bytes, LEAST_SPAN)
    whole = sum(map(weight, files))
    large_bytes = max(2 * LEAST_SPAN, whole // (4 * workers))
    processes = max(1, min(workers, whole // LEAST_SPAN))
    state = _State({}, LabelKeys(), 0)
    done: dict[int, int] = {}
    numbers = count()
    mask_options = batching["mask_options"] or {}
    batching = _without_progress(batching)
    with as_room_error():
        place = TemporaryDirectory(prefix="arrow-labels-", ignore_cleanup_errors=True)
    with place as name:
        folder = Path(name)

        def task(span: Span, number: int, before: _State) -> Task:
            return Task(str(span), _decode, (span, number, before, sink(folder, number), reading, batching))

        def first(span: Span) -> Task:
            # The best guess of what stood before: every document was a sample.
            return task(span, next(numbers), _State({}, LabelKeys(), documents_before(span)))

        def dividing(large: Large, is_guessed: bool = True) -> Task:
            return Task(str(large), divide, (large, folder, span_bytes, processes, is_guessed), True)

        proved: list[Any] = []

        def instead(asked: Task, result: Any) -> list[Task] | None:
            if asked.function is divide:
                if isinstance(result[0], Blocks):
                    proved.clear()
                    last = len(result) - 1
                    return [
                        Task(str(blocks), prove, (blocks, place == last), True) for place, blocks in enumerate(result)
                    ]
                return [first(span) for span in result]
            if asked.function is prove:
                blocks, is_last = asked.arguments
                proved.append(result)
                if not is_last:
                    return []
                if any(places is None for places in proved):
                    return [dividing(blocks.large, False)]
                starts, lengths = (np.concatenate(parts) for parts in zip(*proved, strict=True))
                about = (blocks.file, blocks.stamp, blocks.head, blocks.dataset)
                return [first(span) for span in spans_of(*about, starts, lengths, span_bytes)]
            nonlocal state
            span, number, before, *_ = asked.arguments
            if _is_right(before, result.after, state):
                lone = state.lone_samples + result.after.lone_samples - before.lone_samples
                state.sample_ids.update(result.after.sample_ids)
                state.label_keys.update(result.after.label_keys)
                state = state._replace(lone_samples=lone)
                return None
            return [task(span, number, _seen(state, result.after))]

        def heard(said: tuple[int | None, int, int]) -> None:
            number, now, all_of_it = said
            if number is None:
                if "progress" in mask_options:
                    mask_options["progress"](now, all_of_it)
            elif progress is not None:
                done[number] = now
                progress(sum(done.values()), total)

        tasks = (
            dividing(part) if isinstance(part, Large) else first(part) for part in plan(files, span_bytes, large_bytes)
        )
        with closing(run(tasks, processes, folder, instead, heard)) as results:
            for result in results:
                yield result.made


def _without_progress(batching: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `batched` without the callable that counts masks: it stays in its process."""
    masking = batching["mask_options"]
    return {**batching, "mask_options": None if masking is None else {**masking, "progress": None}}


def _decode(
    span: Span,
    number: int,
    before: _State,
    sink: Sink,
    reading: Mapping[str, Any],
    batching: Mapping[str, Any],
    say: Say,
) -> _Decoded:
    """Decode a span: what another process does."""
    run_ = reader(**reading)
    run_.sample_ids, run_.label_keys, run_.lone_samples = before
    if batching["mask_options"] is not None:
        batching["mask_options"]["progress"] = lambda done, total: say((None, done, total))
    found = run_.columns(records(run_, span, reading["on_error"]))
    made = sink(batched(found, progress=lambda done: say((number, done, None)), **batching))
    return _Decoded(made, _State(run_.sample_ids, run_.label_keys, run_.lone_samples))


def _is_right(before: _State, after: _State, state: _State) -> bool:
    """Whether a span that began with `before` and ended with `after` gives the same when it begins with `state`."""
    return (
        (before.lone_samples == state.lone_samples or after.lone_samples == before.lone_samples)
        and state.sample_ids.keys().isdisjoint(after.sample_ids.keys() - before.sample_ids.keys())
        and state.label_keys.keys().isdisjoint(after.label_keys.keys() - before.label_keys.keys())
    )


def _seen(state: _State, after: _State) -> _State:
    """The part of a state that matters to a span: names that begin as its own do, before the `#`."""
    names = {name.partition("#")[0] for name in after.sample_ids} | {
        name.partition("#")[0] for name, _ in after.label_keys
    }
    return _State(
        {name: number for name, number in state.sample_ids.items() if name.partition("#")[0] in names},
        LabelKeys({key: number for key, number in state.label_keys.items() if key[0].partition("#")[0] in names}),
        state.lone_samples,
    )


def kept(path: Path, parts: Iterator[LabelTables]) -> tuple[Path, list[list[str]]]:
    """Write tables into a file, one Arrow stream after the other: a `Sink`."""
    names = []
    with as_room_error():
        file = pa.OSFile(str(path), "wb")
    with file:
        for part in parts:
            names.append([name for name, table in part if table.num_rows])
            for name in names[-1]:
                with as_room_error(), pa.ipc.new_stream(file, SCHEMAS[name]) as stream:
                    stream.write_table(part[name])
    return path, names


def taken(path: Path, names: list[list[str]]) -> Iterator[LabelTables]:
    """The tables that `kept` wrote, as memory that the system reads from the file, which has no name any more."""
    with pa.memory_map(str(path)) as file:
        with suppress(OSError):  # Windows deletes it with the folder.
            path.unlink()
        for part in names:
            yield LabelTables(**{name: pa.ipc.open_stream(file).read_all() for name in part})
