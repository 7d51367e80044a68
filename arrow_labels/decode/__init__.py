"""Documents -> LabelTables: pure, no I/O."""

from __future__ import annotations

import codecs
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Literal

from arrow_labels.decode.documents import CHUNK_BYTES, OnError, Reader, Selects
from arrow_labels.decode.records import Document
from arrow_labels.decode.values import NANOSECONDS
from arrow_labels.decode.wanted import COLUMNS, Keep, Wanted
from arrow_labels.errors import DecodeError
from arrow_labels.tables import LabelTables, chosen_tables
from arrow_labels.wire import TASK_TYPES

TimestampUnit = Literal["ns", "us", "ms", "s"]

__all__ = [
    "COLUMNS",
    "Document",
    "Keep",
    "OnError",
    "Reader",
    "TimestampUnit",
    "Wanted",
    "decode_labels",
    "is_document",
    "reader",
    "to_bytes",
]


def decode_labels(
    documents: Iterable[Any],
    *,
    task_type: str | None = None,
    timestamp_unit: TimestampUnit = "ns",
    labelsets: Collection[str] | None = None,
    tables: Collection[str] | None = None,
    on_error: OnError = "raise",
) -> LabelTables:
    """Decode label documents that are in memory.

    Parameters
    ----------
    documents : iterable of bytes, str, dict or pydantic model
        Releases, samples, labels or label attributes: JSON text, or what it parses to. Also what the segments-ai SDK
        gives (its models are recognised by their `model_dump`).
    task_type : str, optional
        Task type that wins over the documents'. How a label is decoded depends on its structure alone.
    timestamp_unit : {"ns", "us", "ms", "s"}
        What the documents' timestamps count in; the tables have nanoseconds.
    labelsets : collection of str, optional
        Labelsets to decode; others are left out.
    tables : collection of str, optional
        Tables to fill; others stay empty.
    on_error : {"raise", "collect"}
        Whether the first error stops the call, or each failing label becomes a row of `rejects`.

    Returns
    -------
    LabelTables
        Rows in the order of the documents.

    Raises
    ------
    DecodeError
        A document is not a label (with ``on_error="raise"``).

    Examples
    --------
    >>> import arrow_labels as al
    >>> tables = al.decode_labels([{"annotations": [
    ...     {"id": 1, "category_id": 2, "type": "bbox", "points": [[10, 20], [30, 50]]}]}])
    >>> tables.vectors.select(["sample_id", "id", "type"]).to_pylist()
    [{'sample_id': '0', 'id': 1, 'type': 'bbox'}]
    >>> tables.vectors["points"][0].as_py()
    [{'x': 10.0, 'y': 20.0, 'z': None}, {'x': 30.0, 'y': 50.0, 'z': None}]
    """
    run = reader(task_type, timestamp_unit, labelsets, tables, on_error)
    return LabelTables.from_batches(batch for _, found in run.batches(_documents(documents)) for batch in found)


def reader(
    task_type: str | None,
    timestamp_unit: TimestampUnit,
    labelsets: Collection[str] | None,
    tables: Collection[str] | Wanted | None,
    on_error: OnError,
    chunk_bytes: int = CHUNK_BYTES,
    selects: Selects | None = None,
) -> Reader:
    """A `Reader` with these options, checked; `tables` may say what of them is wanted."""
    if task_type is not None and task_type not in TASK_TYPES:
        raise ValueError(f"task_type: expected one of {', '.join(TASK_TYPES)}, got {task_type!r}")
    if timestamp_unit not in NANOSECONDS:
        raise ValueError(f"timestamp_unit: expected one of {', '.join(NANOSECONDS)}, got {timestamp_unit!r}")
    if on_error not in ("raise", "collect"):
        raise ValueError(f'on_error: expected "raise" or "collect", got {on_error!r}')
    if isinstance(labelsets, str):
        raise ValueError(f"labelsets: expected a collection of names, got the text {labelsets!r}")
    if not isinstance(tables, Wanted):
        tables = Wanted({name: COLUMNS[name] for name in [*chosen_tables(tables), "rejects"]})
    if labelsets is not None:
        tables = tables.only("labelset", labelsets)
    size = min(chunk_bytes, CHUNK_BYTES)
    return Reader(task_type, NANOSECONDS[timestamp_unit], tables, on_error, size, selects=selects)


def _documents(documents: Iterable[Any]) -> Iterator[Document]:
    if isinstance(documents, str | bytes | bytearray | memoryview | Mapping) or is_document(documents):
        documents = [documents]
    for index, document in enumerate(documents):
        source = f"<document {index}>"
        try:
            data: bytes | memoryview | DecodeError = to_bytes(document, source)
        except DecodeError as error:
            data = error
        yield Document(source, str(index), data)


def is_document(value: Any) -> bool:
    """Whether this is a document that is parsed already: a dict or a pydantic model."""
    return isinstance(value, Mapping) or callable(getattr(value, "model_dump", None))


def to_bytes(document: Any, source: str | None) -> bytes | memoryview:
    """A document as JSON text.

    Raises
    ------
    DecodeError
        It holds what JSON cannot: NaN, infinities, bytes, half a surrogate pair, ...
    """
    if isinstance(document, str):
        document = document.encode("utf-8", "surrogatepass")
    if isinstance(document, bytes):
        return document.removeprefix(codecs.BOM_UTF8)
    if isinstance(document, bytearray | memoryview):
        view = memoryview(document).cast("B")
        return view[3:] if bytes(view[:3]) == codecs.BOM_UTF8 else view
    if hasattr(document, "model_dump"):
        document = document.model_dump(mode="json", exclude_unset=True)
    if not isinstance(document, Mapping):
        raise DecodeError(
            f"Expected JSON text, a dict or a pydantic model, got `{type(document).__name__}`", source=source
        )
    try:
        return json.dumps(dict(document), allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()
    except (ValueError, TypeError, RecursionError) as error:
        message, path = _unwritable(document, "$") or (str(error), "$")
        raise DecodeError(message, source=source, path=path) from None


def _unwritable(value: Any, path: str) -> tuple[str, str] | None:
    """What in plain values JSON cannot hold, and its path."""
    if isinstance(value, Mapping):
        items = [(item, f"{path}.{key}") for key, item in value.items()]
    elif isinstance(value, list | tuple):
        items = [(item, f"{path}[{place}]") for place, item in enumerate(value)]
    else:
        try:
            json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
        except (ValueError, TypeError) as error:
            shown = repr(value) if isinstance(value, float | str) else type(value).__name__
            return f"Expected a value that JSON can hold, got `{shown}` ({error})", path
        return None
    if path.count(".") + path.count("[") > 200:
        return "Expected JSON of reasonable depth, got objects or arrays nested too deeply", "$"
    return next((found for item in items if (found := _unwritable(*item)) is not None), None)
