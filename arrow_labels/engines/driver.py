"""The names in a source, looked up by the process that drives an engine, before the work is divided."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from arrow_labels.decode import OnError
from arrow_labels.partitions import groups_of_items
from arrow_labels.pieces import Piece, index
from arrow_labels.processes import Say, Task, cores, run
from arrow_labels.workers import shareable

_THREADS: Final = 8
_TASKS: Final = 4
"""Tasks for each process, so that all end together."""
_WORTH: Final = 2 << 30
"""JSON from which on the start of processes is won back: a core looks up the names in a gigabyte in a second."""

Group = list[tuple[int, Any]]


def index_on_all_cores(
    items: Sequence[tuple[int, Any]], on_error: OnError, part_bytes: int, processes: int | None = None
) -> list[Piece]:
    """The pieces of numbered items, as `index` gives them, found by all cores that this process may use."""
    groups = groups_of_items(items, part_bytes)
    processes = min(cores() if processes is None else processes, len(groups))
    files = shareable([item for _, item in items], processes, {}, {"mask_options": None})
    if files is None or sum(file.size or 0 for file in files) < _WORTH:
        return list(chain.from_iterable(_index(groups, on_error, part_bytes)))
    size = min(_THREADS, max(1, len(groups) // (_TASKS * processes)))
    tasks = [
        Task(f"the names in {_told(some)}", _index, (some, on_error, part_bytes))
        for some in (groups[start : start + size] for start in range(0, len(groups), size))
    ]
    with TemporaryDirectory(prefix="arrow-labels-") as folder:
        found = run(tasks, processes, Path(folder), lambda _task, _result: None, lambda _said: None)
        return list(chain.from_iterable(chain.from_iterable(found)))


def _index(groups: list[Group], on_error: OnError, part_bytes: int, _: Say | None = None) -> list[list[Piece]]:
    """The pieces of each group, in threads: most of the time is spent fetching, where files are elsewhere."""
    with ThreadPoolExecutor(_THREADS) as threads:
        return list(threads.map(partial(index, on_error=on_error, piece_bytes=part_bytes), groups))


def _told(groups: list[Group]) -> str:
    return f"{groups[0][0][1].name} to {groups[-1][-1][1].name}"
