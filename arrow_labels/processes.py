"""Processes that work for this one: tasks go out, results come back in the order of the tasks.

Each is a fresh interpreter that imports the functions of its tasks and never the caller's `__main__`: a script needs no
guard around its main part, and nothing is forked beside threads. Nor does it run the package's `__init__`, unless
something asks for what that brings: half of a process's start. Tasks and results are pickles on the standard streams of
the process, so that it notices when this one is gone.
"""

from __future__ import annotations

import logging
import os
import pickle
import shutil
import subprocess
import sys
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from logging.handlers import QueueHandler
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Final, NamedTuple, NoReturn

from arrow_labels.errors import ArrowLabelsError, WorkerError

Say = Callable[[Any], None]
"""Tells the process that waits something on the way."""

_LOG: Final = logging.getLogger(__name__)
_START: Final = (
    "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"  # Ctrl-C is for the process that waits.
    "import pickle, sys; folder, sys.path[:], level = pickle.load(sys.stdin.buffer)\n"
    "from importlib.util import find_spec, module_from_spec\n"
    "spec = find_spec('arrow_labels'); package = sys.modules['arrow_labels'] = module_from_spec(spec)\n"
    "def whole(name):\n"
    "    del package.__getattr__; spec.loader.exec_module(package); return getattr(package, name)\n"
    "package.__getattr__ = whole\n"
    "from arrow_labels.processes import work; work(folder, level)"
)
_AHEAD: Final = 2
"""Tasks for each process that are under way, or done and not taken yet."""
_ONE_THREAD: Final = {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1"}
_GLANCE: Final = 0.1
"""Seconds after which a wait looks for signals."""
_SECONDS: Final = 5
"""How long a process may take to end when it is told to."""


class Task(NamedTuple):
    """A function of a module, its arguments, and what it works on, in words for people.

    The function is called with the arguments and a `Say`. No task is taken while one `is_divided` has not given those
    that take its place.
    """

    what: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    is_divided: bool = False


class _Failure(NamedTuple):
    """What a function raised."""

    error: Exception


class _End(NamedTuple):
    """A process that is gone, and how it ended."""

    status: int


@dataclass(eq=False)
class _Job:
    """A task in its place in the line."""

    task: Task
    is_sent: bool = False
    result: Any = None
    is_done: bool = False


def cores() -> int:
    """How many cores this process may use: as many as Polars has threads, which knows of affinity and quotas."""
    import polars as pl

    return pl.thread_pool_size()


def can_start() -> bool:
    """Whether this interpreter can start another one; an application that was frozen would start itself."""
    return bool(sys.executable) and not getattr(sys, "frozen", False)


def run(
    tasks: Iterable[Task],
    processes: int,
    folder: Path,
    instead: Callable[[Task, Any], list[Task] | None],
    heard: Callable[[Any], None],
) -> Generator[Any, None, None]:
    """Results of tasks, in the order of the tasks.

    Parameters
    ----------
    tasks : iterable of Task
        Taken when there is room for them.
    processes : int
        How many to start.
    folder : Path
        A temporary folder of the tasks: the processes delete it if this one dies.
    instead : callable
        Called with each task and its result, in order: None takes the result, a list of tasks takes the task's place.
    heard : callable
        Called in this thread with what functions say on the way.

    Yields
    ------
    Any
        What the functions return; what one raises is raised when it is its turn.

    Raises
    ------
    WorkerError
        A process ended before its task was done.
    """
    todo: SimpleQueue[_Job | None] = SimpleQueue()
    events: SimpleQueue[_Job | tuple[Any]] = SimpleQueue()
    line: deque[_Job] = deque()
    rest = map(_Job, tasks)
    started: list[tuple[subprocess.Popen[bytes], Thread]] = []
    is_whole = False
    try:
        started.extend(_start(todo, events, folder) for _ in range(processes))
        while True:
            while len(line) < _AHEAD * processes and not any(job.task.is_divided for job in line):
                if (job := next(rest, None)) is None:
                    break
                line.append(job)
            for job in islice(line, _AHEAD * processes):
                if not job.is_sent:
                    job.is_sent = True
                    todo.put(job)
            if not line:
                is_whole = True
                return
            if not line[0].is_done:
                event = _first(events)
                if isinstance(event, tuple):
                    heard(*event)
                elif isinstance(event.result, _End):
                    raise WorkerError(event.task.what, event.result.status)
                continue
            job = line.popleft()
            if isinstance(job.result, _Failure):
                raise job.result.error
            others = instead(job.task, job.result)
            if others is None:
                yield job.result
            else:
                line.extendleft(map(_Job, reversed(others)))
    finally:
        _stop(started, todo, at_once=not is_whole)


def _first(events: SimpleQueue[_Job | tuple[Any]]) -> _Job | tuple[Any]:
    """The next event, in short waits: with the signal handler that Polars installs, Ctrl-C does not end a long one."""
    while True:
        with suppress(Empty):
            return events.get(timeout=_GLANCE)


def _start(
    todo: SimpleQueue[_Job | None], events: SimpleQueue[_Job | tuple[Any]], folder: Path
) -> tuple[subprocess.Popen[bytes], Thread]:
    """A process, and the thread that hands it one task after the other."""
    process = subprocess.Popen(
        [sys.executable, "-c", _START],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **_ONE_THREAD},
    )
    assert process.stdin is not None
    with suppress(BrokenPipeError):  # it is dead already: whoever hands it a task says so
        pickle.dump((str(folder), sys.path, _LOG.getEffectiveLevel()), process.stdin)
        process.stdin.flush()
    thread = Thread(target=_serve, args=(process, todo, events), daemon=True)
    thread.start()
    return process, thread


def _serve(
    process: subprocess.Popen[bytes],
    todo: SimpleQueue[_Job | None],
    events: SimpleQueue[_Job | tuple[Any]],
) -> None:
    """Hand tasks to a process, and put what it says and gives among the events."""
    requests, replies = process.stdin, process.stdout
    assert requests is not None
    assert replies is not None
    while (job := todo.get()) is not None:
        try:
            pickle.dump((job.task.function, job.task.arguments), requests)
            requests.flush()
            while not job.is_done:
                is_said, content = pickle.load(replies)
                if isinstance(content, logging.LogRecord):
                    logging.getLogger(content.name).handle(content)
                elif is_said:
                    events.put((content,))
                else:
                    job.result, job.is_done = content, True
        except (OSError, EOFError, ValueError, pickle.UnpicklingError):  # cut off in the middle, or closed
            job.result = _End(process.wait())
        events.put(job)


def _stop(started: list[tuple[subprocess.Popen[bytes], Thread]], todo: SimpleQueue[_Job | None], at_once: bool) -> None:
    """End all processes; at once, if what they do is of no use any more."""
    for process, _ in started:
        todo.put(None)
        if at_once:
            process.kill()
    for process, thread in started:
        thread.join()
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(OSError):
            process.stdin.close()  # which tells it to end
        try:
            process.wait(_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


class _Told(QueueHandler):
    """Gives log records to the process that waits, in whose log they belong."""

    def __init__(self, say: Say) -> None:
        super().__init__(SimpleQueue())
        self.say = say

    def enqueue(self, record: logging.LogRecord) -> None:
        self.say(record)


def work(folder: str, level: int) -> None:
    """Do tasks from standard input until it ends: what a process does. Logs from a level on."""
    requests, replies = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # What anything prints must not come between the replies.

    def reply(is_said: bool, content: Any) -> None:
        try:
            pickle.dump((is_said, content), replies)
            replies.flush()
        except BrokenPipeError:
            end()

    def end() -> NoReturn:
        # Nobody else tidies up if the process that waits was killed.
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(0)

    log = logging.getLogger("arrow_labels")
    log.setLevel(level)
    log.addHandler(_Told(partial(reply, True)))
    while True:
        try:
            function, arguments = pickle.load(requests)
        except EOFError:
            end()
        try:
            result = function(*arguments, partial(reply, True))
        except Exception as error:
            result = _Failure(_portable(error))
        reply(False, result)


def _portable(error: Exception) -> Exception:
    """An exception that can be pickled, with the place where it was raised if it is not one of ours."""
    if not isinstance(error, ArrowLabelsError):
        error.add_note("".join(traceback.format_exception(error)))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError("".join(traceback.format_exception(error)))
    return error
