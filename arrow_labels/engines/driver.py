"""The names in a source, looked up by the process that drives an engine, before the work is divided."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any, Final

from fsspec.implementations.local import LocalFileSystem

from arrow_labels.decode import OnError
from arrow_labels.partitions import groups_of_items
from arrow_labels.pieces import Piece, index
from arrow_labels.processes import Say, Task, cores, run
from arrow_labels.sources import File
from arrow_labels.workers import shareable

_THREADS: Final = 8
_TASKS: Final = 4
"""Tasks for each process, so that all end together."""
_NEAR: Final = 16 << 20
"""JSON of a task, where files are local."""
_WORTH: Final = 1 << 29
"""JSON from which on the start of processes is won back: a core looks up the names in a gigabyte in a second."""

Group = list[tuple[int, Any]]
Share = tuple[int, list[Group]]
"""Groups that one process looks at, and their place among all."""


def index_on_all_cores(
    items: Sequence[tuple[int, Any]], on_error: OnError, part_bytes: int, processes: int | None = None
) -> list[Piece]:
    """The pieces of numbered items, as `index` gives them, found by all cores that this process may use."""
    is_near = all(isinstance(item, File) and isinstance(item.fs, LocalFileSystem) for _, item in items)
    groups = groups_of_items(items, min(part_bytes, _NEAR) if is_near else part_bytes)
    processes = min(cores() if processes is None else processes, len(groups))
    files = shareable([item for _, item in items], processes, {}, {"mask_options": None})
    # Most of the time is spent fetching, where files are elsewhere. Else threads only wait for each other.
    look = partial(_index, on_error=on_error, part_bytes=part_bytes, threads=1 if is_near else _THREADS)
    if files is None or sum(file.size or 0 for file in files) < _WORTH:
        return look(groups)
    size = 1 if is_near else min(_THREADS, max(1, len(groups) // (_TASKS * processes)))
    shares = enumerate(groups[start : start + size] for start in range(0, len(groups), size))
    return _with_helpers(look, deque(shares), processes - 1)


def _with_helpers(look: partial[list[Piece]], shares: deque[Share], helpers: int) -> list[Piece]:
    """What `look` finds in all shares: this process does its part from the start on, and others when they are there.

    Raises
    ------
    Exception
        What the first share that fails raises.
    """
    found: dict[int, list[Piece]] = {}
    failed: dict[int, Exception] = {}
    given: deque[int] = deque()

    def tasks() -> Iterator[Task]:
        for place, groups in _taken(shares):
            given.append(place)
            yield Task(f"the names in {_told(groups)}", look, (groups,))

    def hand_out() -> None:
        try:
            with TemporaryDirectory(prefix="arrow-labels-") as folder:
                results = run(tasks(), helpers, Path(folder), lambda _task, _result: None, lambda _said: None)
                for pieces in results:
                    found[given.popleft()] = pieces
        except Exception as error:
            failed[given[0] if given else -1] = error
            shares.clear()

    thread = Thread(target=hand_out)
    thread.start()
    try:
        for place, groups in _taken(shares):
            try:
                found[place] = look(groups)
            except Exception as error:
                failed[place] = error
                shares.clear()
    finally:
        shares.clear()
        thread.join()
    if failed:
        raise failed[min(failed)]
    return list(chain.from_iterable(pieces for _, pieces in sorted(found.items())))


def _taken(shares: deque[Share]) -> Iterator[Share]:
    """Takes one share after the other, while others do the same."""
    while True:
        try:
            share = shares.popleft()
        except IndexError:
            return
        yield share


def _index(
    groups: list[Group], _: Say | None = None, *, on_error: OnError, part_bytes: int, threads: int
) -> list[Piece]:
    """The pieces of all groups."""
    look = partial(index, on_error=on_error, piece_bytes=part_bytes)
    if threads == 1:
        return list(chain.from_iterable(map(look, groups)))
    with ThreadPoolExecutor(threads) as executor:
        return list(chain.from_iterable(executor.map(look, groups)))


def _told(groups: list[Group]) -> str:
    return f"{groups[0][0][1].name} to {groups[-1][-1][1].name}"
