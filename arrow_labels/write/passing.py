"""What is noted of tables while they pass to a lakehouse: rows, sources and keys; and how they can pass again.

A commit that meets another one is made anew, but parts come only once: `replayed` keeps them in a temporary folder of
Arrow IPC files, so memory stays bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

import pyarrow as pa

from arrow_labels.errors import FetchError
from arrow_labels.schema import SCHEMAS
from arrow_labels.tables import LabelTables, each_of
from arrow_labels.write.merge_keys import Keys, merge_keys

_SHOWN: Final = 3
"""Sources that a commit names."""

Reader = Callable[[str], pa.RecordBatchReader]
"""Reads the rows of a table from the start."""


class Passed(NamedTuple):
    """Rows of each table, documents they come from, and their keys."""

    rows: dict[str, int]
    sources: dict[str, None]
    keys: Keys


def nothing_passed() -> Passed:
    """Where `passing` notes what it sees."""
    return Passed(dict.fromkeys(SCHEMAS, 0), {}, {})


def passing(tables: LabelTables | Iterable[LabelTables], passed: Passed, *, keys: bool) -> Iterator[LabelTables]:
    """The parts of what is written; their keys are noted only where they are asked for.

    Raises
    ------
    SchemaError
        A part is something else than tables.
    FetchError
        There is no part.
    """
    part = None
    for part in each_of(tables):
        for name, table in part:
            passed.rows[name] += table.num_rows
            if "source" in table.column_names:
                passed.sources.update(dict.fromkeys(table["source"].drop_null().unique().to_pylist()))
        if keys:
            passed.keys.update(merge_keys(passed.keys, part))
        yield part
    if part is None:
        raise FetchError("Expected tables to write, got none: the source is empty (empty tables are al.LabelTables())")


def note(passed: Passed) -> dict[str, str]:
    """What a commit says: where the rows come from, and how many of what were written."""
    sources = list(passed.sources)
    more = f" and {len(sources) - _SHOWN:,} more" if len(sources) > _SHOWN else ""
    counts = {f"arrow_labels.{name}": str(rows) for name, rows in passed.rows.items() if rows}
    return {"arrow_labels.source": ", ".join(sources[:_SHOWN]) + more, **counts}


@contextmanager
def replayed(tables: LabelTables | Iterable[LabelTables], passed: Passed, *, keys: bool) -> Iterator[Reader]:
    """Let all tables pass; what is given reads a table as often as wanted."""
    parts = passing(tables, passed, keys=keys)
    if isinstance(tables, LabelTables):
        (whole,) = parts
        # A cast to their own types: fields of the schema have no metadata, which some stores take for other types.
        yield lambda name: whole[name].cast(SCHEMAS[name]).to_reader()
        return
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory(prefix="arrow-labels-"))
        with ExitStack() as files:
            options = pa.ipc.IpcWriteOptions(compression="lz4")
            writers = {}
            for name, schema in SCHEMAS.items():
                sink = files.enter_context(pa.OSFile(f"{folder}/{name}", "wb"))
                writers[name] = files.enter_context(pa.ipc.new_stream(sink, schema, options=options))
            for part in parts:
                for name, table in part:
                    writers[name].write_table(table.cast(SCHEMAS[name]))

        def read(name: str) -> pa.RecordBatchReader:
            return pa.ipc.open_stream(stack.enter_context(pa.memory_map(f"{folder}/{name}")))

        yield read
