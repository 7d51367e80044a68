"""A table as a Polars LazyFrame: a query decodes no more than it asks for."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any, Final

import polars as pl
import pyarrow as pa
from polars.io.plugins import register_io_source

from arrow_labels.decode import COLUMNS, Keep, OnError, TimestampUnit, Wanted, is_document, reader
from arrow_labels.errors import FetchError
from arrow_labels.files import documents
from arrow_labels.schema import SCHEMAS
from arrow_labels.sources import resolve

_KEYS: Final = frozenset({"sample_id", "labelset", "label_status", "sensor_index", "sensor", "frame_index"})
"""Columns whose values are known before what they name is decoded."""
_WITHOUT_KEYS: Final = ("rejects", "findings")


def scan_labels(
    source: Any,
    table: str,
    *,
    task_type: str | None = None,
    timestamp_unit: TimestampUnit = "ns",
    labelsets: Collection[str] | None = None,
    storage_options: dict[str, Any] | None = None,
    on_error: OnError = "raise",
    batch_bytes: int = 16 << 20,
) -> pl.LazyFrame:
    """Scan one table of labels lazily, in bounded memory.

    Columns that a query does not use are neither parsed nor built. A filter on `sample_id`, `labelset`, `label_status`,
    `sensor_index`, `sensor` or `frame_index` (joined with others by ``&``, or in a `filter` of its own) passes over
    whole samples, labels and frames before they are decoded; every other filter is applied batch by batch.

    Parameters
    ----------
    source
        As in `read_labels`. Files are found and read whenever the query runs. Documents in memory are kept, not copied;
        an open file is read here and now.
    table : str
        Name of the table, one of `SCHEMAS`.
    task_type, timestamp_unit, labelsets, storage_options, on_error
        As in `read_labels`. With ``on_error="collect"`` a label that fails has no rows; a scan of the table `rejects`,
        which decodes everything, says why.
    batch_bytes : int
        JSON that makes one batch; a sample is never divided.

    Returns
    -------
    pl.LazyFrame
        The columns of `SCHEMAS[table]`; rows in the order of the documents. Running the query raises what `read_labels`
        raises: `FetchError`, `DecodeError`.

    Notes
    -----
    The result of a query is that of the same query on ``read_labels(source)[table]``, with two liberties. What a query
    does not use is not validated either: a label that `read_labels` refuses because of such a part is decoded. And the
    text of a JSON column may spell the same value in another way (``1e1`` for ``10.0``). With the column `extra`, which
    depends on all others, the table is read whole.

    A filter that calls a Python function (`map_elements`), and a scan that is pickled, need the package cloudpickle.

    This rests on an interface of Polars that is marked unstable (`polars.io.plugins.register_io_source`).

    Examples
    --------
    >>> import arrow_labels as al
    >>> import polars as pl
    >>> label = {"frames": [{"annotations": [{"track_id": 7, "category_id": 1}]}, {"annotations": []}]}
    >>> segments = al.scan_labels(label, "segments")
    >>> segments.filter(pl.col("frame_index") == 0).select("track_id", "category_id").collect().rows()
    [(7, 1)]
    """
    if table not in SCHEMAS:
        raise ValueError(f"table: expected one of {', '.join(SCHEMAS)}, got {table!r}")
    if batch_bytes < 1:
        raise ValueError(f"batch_bytes: expected a positive number, got {batch_bytes}")
    if isinstance(labelsets, Iterable) and not isinstance(labelsets, str):
        labelsets = frozenset(labelsets)
    reader(task_type, timestamp_unit, labelsets, None, on_error)  # wrong options are told now
    reopened = _reopened(source)

    def read(columns: Sequence[str], predicate: pl.Expr | None, n_rows: int | None) -> Iterator[pl.DataFrame]:
        keep = {} if predicate is None or n_rows is not None else _keys(table, predicate)
        counted = () if columns else SCHEMAS[table].names[:1]  # a query that needs no column needs to know of the rows
        columns = [*columns, *counted]
        wanted = Wanted(COLUMNS if table == "rejects" else {table: columns}, keep)
        run = reader(task_type, timestamp_unit, labelsets, wanted, on_error, batch_bytes)
        parts = run.batches(documents(resolve(reopened(), storage_options), on_error))
        left = n_rows
        for batch in _joined(parts, table, batch_bytes, n_rows):
            frame = pl.DataFrame(batch.select(columns))
            if left is not None:
                frame = frame.head(left)
                left -= frame.height
            yield (frame if predicate is None else frame.filter(predicate)).drop(counted)
            if left == 0:
                return

    return _lazy(pl.DataFrame(SCHEMAS[table].empty_table()).schema, read)


def _lazy(
    schema: pl.Schema, read: Callable[[Sequence[str], pl.Expr | None, int | None], Iterator[pl.DataFrame]]
) -> pl.LazyFrame:
    """A LazyFrame of what `read` gives: all that is known here of Polars' interface for sources.

    Polars hands over the columns that a query uses, those of the filter among them, the filter, which is of single
    rows, and how many rows it asks for, counted before the filter.
    """

    def source(
        columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        return read(schema.names() if columns is None else columns, predicate, n_rows)

    return register_io_source(source, schema=schema, validate_schema=True, is_pure=True)


def _joined(
    parts: Iterable[tuple[int, list[dict[str, pa.RecordBatch]]]], table: str, batch_bytes: int, n_rows: int | None
) -> Iterator[pa.Table]:
    """Batches of a table, each of so many bytes of JSON, or of as many rows as are asked for."""
    batches: list[pa.RecordBatch] = []
    size, rows = 0, 0
    for nbytes, found in parts:
        size += nbytes
        of_table = [piece[table] for piece in found if table in piece]
        batches += of_table
        rows += sum(batch.num_rows for batch in of_table)
        if batches and (size >= batch_bytes or (n_rows is not None and rows >= n_rows)):
            yield pa.Table.from_batches(batches)
            batches, size = [], 0
    if batches:
        yield pa.Table.from_batches(batches)


def _keys(table: str, predicate: pl.Expr) -> dict[str, Keep]:
    """For each key column, which of its values a predicate lets pass, as far as it says so of this column alone."""
    found: dict[str, list[pl.Expr]] = {}
    for condition in _conjuncts(predicate):
        names = set(condition.meta.root_names())
        if len(names) == 1 and names <= _KEYS and table not in _WITHOUT_KEYS:
            found.setdefault(names.pop(), []).append(condition)
    schema = pl.DataFrame(SCHEMAS[table].empty_table()).schema
    return {name: _keep(pl.Series(name, [], schema[name]), conditions) for name, conditions in found.items()}


def _conjuncts(predicate: pl.Expr) -> list[pl.Expr]:
    """The conditions that a predicate joins by `&`."""
    rest, found = [predicate], []
    while rest:
        condition = rest.pop()
        inputs = condition.meta.pop()
        if len(inputs) == 2 and any((a & b).meta.eq(condition) for a, b in (inputs, inputs[::-1])):
            rest += inputs
        else:
            found.append(condition)
    return found


def _keep(empty: pl.Series, conditions: Sequence[pl.Expr]) -> Keep:
    """Which of some values pass all conditions; each value is asked for once."""
    known: dict[Any, bool] = {}

    def keep(values: Sequence[Any]) -> Sequence[bool]:
        unknown = [value for value in dict.fromkeys(values) if value not in known]
        if unknown:
            frame = pl.Series(empty.name, unknown, empty.dtype).to_frame().with_row_index("")
            try:
                passed = frozenset(frame.filter(*conditions)[""])
            except Exception:  # conditions can fail in any way on values of which there may be no row
                passed = frozenset(range(len(unknown)))
            known.update((value, place in passed) for place, value in enumerate(unknown))
        return [known[value] for value in values]

    return keep


def _reopened(source: Any) -> Callable[[], Any]:
    """What gives a source again and again: what open files hold, and what iterators give, is kept."""
    if hasattr(source, "read"):
        data, name = source.read(), getattr(source, "name", None)
        if isinstance(data, str):
            raise FetchError("Expected a file that is open in binary mode, got one in text mode")
        return lambda: _Content(data, name)
    if isinstance(source, str | os.PathLike | bytes | bytearray | memoryview) or is_document(source):
        return lambda: source
    if isinstance(source, Iterable):
        parts = [_reopened(item) for item in source]
        return lambda: [part() for part in parts]
    return lambda: source


class _Content(io.BytesIO):
    """What an open file holds, under its name."""

    def __init__(self, data: bytes, name: Any) -> None:
        super().__init__(data)
        self.name = name
