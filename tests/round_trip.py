"""What must hold for every input, whatever is wrong with it: the truth, or an `ArrowLabelsError`.

Each function gives the error that the library raised, or None; it raises `BrokenError` where a promise is.
"""

import codecs
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import fsspec
from generate import TASK_TYPES, release
from json_equal import difference

import arrow_labels as al

TARGET = "memory://round-trip/release.json"
FOLDER = "memory://round-trip/tables"
MANIFEST = "_arrow_labels.json"


class BrokenError(AssertionError):
    """The library was silently wrong."""


class NotJsonError(ValueError):
    """Bytes that are not JSON in UTF-8."""


@contextmanager
def room() -> Iterator[None]:
    """Let the reference recurse deeper, and read longer numbers, than the library may."""
    limits = sys.getrecursionlimit(), sys.get_int_max_str_digits()
    sys.setrecursionlimit(10_000)
    sys.set_int_max_str_digits(0)
    try:
        yield
    finally:
        sys.setrecursionlimit(limits[0])
        sys.set_int_max_str_digits(limits[1])


def _refuse(constant: str) -> Any:
    raise NotJsonError(constant)


def reference(data: bytes, errors: str = "strict") -> Any:
    """A document as the standard library reads it: the last of duplicate keys wins."""
    try:
        return json.loads(data.removeprefix(codecs.BOM_UTF8).decode(errors=errors), parse_constant=_refuse)
    except ValueError as error:
        raise NotJsonError(str(error)) from None


def check_document(data: bytes) -> al.ArrowLabelsError | None:
    """A document: an error, or decoding and encoding give it back; the same with every record for itself."""
    failure, tables = None, None
    try:
        tables = al.decode_labels([data])
        _check_whole(data, tables)
    except al.ArrowLabelsError as error:
        failure = error
    collected = al.decode_labels([data], on_error="collect")
    if isinstance(failure, al.DecodeError):
        first = collected.rejects.to_pylist()[:1]
        # How deep JSON may be depends on how deep the stack is already.
        if "reasonable depth" not in failure.message:
            expect(
                [{"path": failure.path, "error": failure.message}],
                [{k: r[k] for k in ("path", "error")} for r in first],
            )
        try:
            _check_kept(data, collected)
        except al.SchemaError as error:  # JSON may have numbers that no float64 holds, and encoding says so
            if "Number out of range" not in str(error):
                raise
    elif not collected.rejects.num_rows:
        expect(True, collected == tables)
    else:
        raise BrokenError(f"rejects, but no error: {collected.rejects.to_pylist()}")
    return failure


def _check_whole(data: bytes, tables: al.LabelTables) -> None:
    encoded = list(al.encode_labels(tables))
    al.write_release(tables, TARGET)
    restored = fsspec.filesystem("memory").cat(TARGET)
    with room():
        document, back = reference(data), reference(restored)
        if document.get("dataset") is not None:
            expect(document, back)
            return
        (sample,) = back["dataset"]["samples"]
        if "labels" in document:
            expect(document, sample)
            return
        ((_, labelset, attributes),) = encoded
        if document.keys() & {"label_status", "sample_uuid", "labelset"}:
            expect(document, sample["labels"][labelset])
            document = document.get("attributes")
        expect(document, attributes)


def _check_kept(data: bytes, tables: al.LabelTables) -> None:
    """The labels that were kept beside rejects are those of the document, in order, and none is missing."""
    kept = [(labelset, attributes) for _, labelset, attributes in al.encode_labels(tables)]
    rejected = tables.rejects.to_pylist()
    with room():
        try:
            document = reference(data, "surrogateescape")  # a label is kept if others are not UTF-8
        except NotJsonError:
            expect([], kept)
            return
        except RecursionError:
            return  # too deep for the reference too; what is kept is beside it
        labels = _labels(document)
        left = iter(labels)
        for found in kept:
            if all(difference(list(label), list(found)) is not None for label in left):
                raise BrokenError(f"this label is not in the document, or not in this place: {str(found)[:2000]}")
        lost = sum(row["labelset"] is not None for row in rejected)
        whole = any(row["labelset"] is None and row["path"].split(".")[0].split("[")[0] == "$" for row in rejected)
        if len(labels) > len(kept) + lost and not whole:
            raise BrokenError(f"{len(labels)} labels, {len(kept)} kept and {lost} rejected")


def _labels(document: Any) -> list[tuple[str, Any]]:
    """Labelset and attributes of every label of a document that may be anything."""
    if not isinstance(document, dict):
        return []
    if document.get("dataset") is not None:
        dataset = document["dataset"]
        samples = dataset.get("samples") if isinstance(dataset, dict) else None
        return [label for sample in samples for label in _labels_of(sample)] if isinstance(samples, list) else []
    if "labels" in document:
        return _labels_of(document)
    if document.keys() & {"label_status", "sample_uuid", "labelset"}:
        return [(document.get("labelset") or "ground-truth", document.get("attributes"))]
    return [("ground-truth", document)]


def _labels_of(sample: Any) -> list[tuple[str, Any]]:
    labels = sample.get("labels") if isinstance(sample, dict) else None
    items = labels.items() if isinstance(labels, dict) else ()
    return [(name, label.get("attributes") if isinstance(label, dict) else None) for name, label in items]


def expect(wanted: Any, found: Any) -> None:
    """Raise `BrokenError` unless two JSON values are equal."""
    where = difference(wanted, found)
    if where is not None:
        raise BrokenError(where)


def check_bitmap(data: bytes) -> al.BitmapError | None:
    """A PNG: an error, or ids that a PNG of ours holds again."""
    try:
        ids = al.decode_bitmap(data, max_pixels=1 << 20)
    except al.BitmapError as error:
        return error
    if ids.dtype != "uint32" or ids.ndim != 2 or not ids.size or ids.max() > 0xFFFFFF:
        raise BrokenError(f"ids of type {ids.dtype}, shape {ids.shape}, up to {ids.max()}")
    if not (al.decode_bitmap(al.encode_bitmap(ids)) == ids).all():
        raise BrokenError("encoding changed the ids")
    return None


@cache
def table_files() -> dict[str, bytes]:
    """The files of a small folder of tables, and it lies at `FOLDER`."""
    documents = [release(name, samples=1, frames=2, objects=3) for name in TASK_TYPES[-5:]]
    al.write_parquet(al.decode_labels(documents), FOLDER, mode="overwrite", compression="none")
    memory = fsspec.filesystem("memory")
    root = memory._strip_protocol(FOLDER)
    return {name.removeprefix(f"{root}/"): memory.cat_file(name) for name in memory.find(root)}


def check_file(name: str, content: bytes) -> al.ArrowLabelsError | None:
    """A file of a folder of tables: an error, or sound tables that encode or say why they do not.

    The manifest has the right size of the file, so that it is read.
    """
    files = table_files()
    manifest = json.loads(files[MANIFEST])
    for part in (part for parts in manifest["tables"].values() for part in parts):
        if part["file"] == name:
            part["bytes"] = len(content)
    memory = fsspec.filesystem("memory")
    for changed, text in {MANIFEST: json.dumps(manifest).encode(), name: content}.items():
        memory.pipe_file(f"{FOLDER}/{changed}", text)
    try:
        tables = al.read_parquet(FOLDER, tables=None if name == MANIFEST else [name.partition("/")[0]])
        for _, table in tables:
            table.validate(full=True)
        list(al.encode_labels(tables))
    except al.ArrowLabelsError as error:
        return error
    finally:
        for changed in (name, MANIFEST):
            memory.pipe_file(f"{FOLDER}/{changed}", files[changed])
    return None
