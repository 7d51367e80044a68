"""What commands say beside their results: errors in one line, the log, progress. All of it goes to standard error."""

from __future__ import annotations

import itertools
import logging
import platform
import re
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final, NoReturn

import polars as pl
import pyarrow as pa
import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

import arrow_labels as al
from arrow_labels.terminal import is_terminal, printable

_Moves = Callable[[int, int | None], None]

_LOG: Final = logging.getLogger("arrow_labels.cli")
_OPTIONS: Final = {
    'mode="append", "upsert" or "overwrite"': "--mode append, upsert or overwrite",
    'mode="overwrite"': "--overwrite",
    'mode="upsert"': "--mode upsert",
    "dataset=": "--dataset",
    "partition_by": "--partition-by",
    "read_delta and write_delta take them": "--to delta and --from delta take them",
}
"""What messages of the library call options, and what they are called here."""
_QUERY: Final = re.compile(r"(?<![a-z0-9+.-])([a-z][a-z0-9+.-]*://[^\s?]*)\?\S*", re.IGNORECASE)


@contextmanager
def reported() -> Iterator[None]:
    """Turn what can go wrong with inputs and targets into one line and an exit status."""
    try:
        with _tidy_when_told_to_end():
            yield
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except (al.ArrowLabelsError, al.MissingExtraError, OSError, pa.ArrowException) as error:
        if isinstance(error.__context__, BrokenPipeError):
            raise typer.Exit(0) from None  # nobody reads any more
        # Where it was raised; what led to it may hold URLs whole.
        _LOG.debug("raised at\n%s", "".join(traceback.format_tb(error.__traceback__)).rstrip())
        message = str(error) or type(error).__name__
        for name, option in _OPTIONS.items():
            message = message.replace(name, option)
        _complain(f"error: {message}")
        raise typer.Exit(1) from None


@contextmanager
def _tidy_when_told_to_end() -> Iterator[None]:
    """Let SIGTERM, by which schedulers end processes, leave no half of a target behind."""
    before = signal.getsignal(signal.SIGTERM)
    if before is not signal.SIG_DFL or threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, _: object) -> NoReturn:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _Printed(logging.Handler):
    """Prints records as everything else for people is printed, a line of text on a line of its own."""

    def emit(self, record: logging.LogRecord) -> None:
        for line in self.format(record).splitlines():
            _complain(line)


def print_log(context: typer.Context, asked: bool) -> None:
    """Print the log of this library, and not that of others, which knows URLs whole, until the command ends."""
    if not asked or context.resilient_parsing:
        return
    log, handler = logging.getLogger("arrow_labels"), _Printed()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.DEBUG)
    context.call_on_close(lambda: log.setLevel(level))
    context.call_on_close(lambda: log.removeHandler(handler))
    python = f"Python {platform.python_version()} on {platform.platform()}"
    _LOG.info("arrow-labels %s, Polars %s, pyarrow %s, %s", al.__version__, pl.__version__, pa.__version__, python)


def _complain(message: str) -> None:
    """Print a line for people, without the queries of URLs, which may be signatures."""
    with suppress(BrokenPipeError):
        print(printable(_QUERY.sub(r"\1", message)), file=sys.stderr, flush=True)


@contextmanager
def progress_bar(what: str, quiet: bool) -> Iterator[tuple[_Moves | None, _Moves | None]]:
    """A progress bar on the terminal, and the functions that move it and count bitmaps; None without a terminal."""
    if quiet or not is_terminal(sys.stderr):
        yield None, None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[bitmaps]}"),
    )
    with Progress(*columns, console=Console(stderr=True), redirect_stdout=False) as bar:
        task = bar.add_task(what, total=None, bitmaps="")
        numbers = itertools.count(1)
        yield (
            lambda done, total: bar.update(task, completed=done, total=total),
            # How many there will be in all is not known before the last label is read.
            lambda _done, _total: bar.update(task, bitmaps=f"{next(numbers):,} bitmaps"),
        )
        # Definitions and blanks between samples are never reported as done; without a total the bar goes on moving.
        done = bar.tasks[0].total or bar.tasks[0].completed
        bar.update(task, completed=done, total=done)


def end(rejects: int, where: str = "") -> None:
    """Say how many records were rejected, and exit with 1 if there are any."""
    if rejects:
        records = "1 record was rejected" if rejects == 1 else f"{rejects} records were rejected"
        _complain(records + (f": {where}" if where else ""))
        raise typer.Exit(1)
