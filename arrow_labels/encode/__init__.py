"""LabelTables -> documents: the inverse of decode.

Columns become Structs of `arrow_labels.wire` a batch at a time, those become JSON, and where a row has an `extra`, its
merge patch is applied. Rows may come in any order: the indices in the keys give the order back. Labels and frames that
have no row of their own but annotations (tables that a model made) are made up from the keys.
"""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import IO, Any, Final

import fsspec
import msgspec
import polars as pl
from fsspec.implementations.local import LocalFileSystem

from arrow_labels.contents import COMPRESS
from arrow_labels.decode.values import time_text
from arrow_labels.encode.labels import OrderedLabels, ordered_labels, polars_frame
from arrow_labels.encode.rows import check_json, patched, raw
from arrow_labels.encode.samples import OrderedSamples, ordered_samples
from arrow_labels.errors import ArrowLabelsError, FetchError, MissingExtraError, SchemaError, TargetError
from arrow_labels.redaction import hides_options, reason, shown
from arrow_labels.sources import descriptor, file_system, is_stream, suffixes
from arrow_labels.tables import LabelTables, each_of, expect_tables
from arrow_labels.wire import decode_json, encode_json

_LOG: Final = logging.getLogger(__name__)

__all__ = ["encode_labels", "write_release"]


def encode_labels(tables: LabelTables) -> Iterator[tuple[str, str, Any]]:
    """Label attributes, as the platform takes them, one label after the other.

    Parameters
    ----------
    tables : LabelTables
        Decoded labels, or tables of your own: rows in `segments`, `vectors` or `cuboids` are enough.

    Yields
    ------
    sample_id : str
    labelset : str
    attributes : dict, list or None
        Equal to what was decoded; None for a label that was null or had none.

    Raises
    ------
    SchemaError
        These are no `LabelTables`. A key is null or stands twice, a number is NaN or infinite, or a JSON column holds
        text that is no JSON, is nested too deeply, or has a number that no float64 holds. Or a frame has no place in
        its label: an index is negative, no sensor has it, or more than 200,000 frames and sensors of a label are
        there without a row.

    Notes
    -----
    `extra` is applied last: where a row has one, a change to another column may not show. Set it to null there.

    Examples
    --------
    >>> import arrow_labels as al
    >>> label = {"annotations": [{"id": 1, "category_id": 2}], "format_version": "0.1"}
    >>> for sample_id, labelset, attributes in al.encode_labels(al.decode_labels([label])):
    ...     print(sample_id, labelset, attributes == label)
    0 ground-truth True
    """
    return _encoded(ordered_labels(expect_tables(tables)))


def _encoded(ordered: OrderedLabels) -> Iterator[tuple[str, str, Any]]:
    with _readable_json():
        for batch in ordered.batches():
            for row, label in ordered.encode(batch):
                sample_id, labelset = row["sample_id"], row["labelset"]
                with _readable_json(f" - in labelset {labelset!r} of sample {sample_id!r}"):
                    attributes = decode_json(encode_json(None if label is None else label.get("attributes")))
                yield sample_id, labelset, attributes


@contextmanager
def _readable_json(where: str = "") -> Iterator[None]:
    """Turn what JSON columns raise that are no JSON, too deep, or hold numbers that no float64 holds."""
    try:
        yield
    except (msgspec.MsgspecError, RecursionError) as error:
        raise SchemaError(f"Expected JSON columns that can be read, got {error}{where}") from None


@hides_options
def write_release(
    tables: LabelTables | Iterable[LabelTables],
    target: str | os.PathLike[str],
    *,
    dataset: str | None = None,
    storage_options: dict[str, Any] | None = None,
) -> None:
    """Write a release file: the way back, streamed.

    Parameters
    ----------
    tables : LabelTables or iterable of LabelTables
        Tables of one release, or of samples or labels without one. Or parts of them, as `iter_labels` gives them: each
        with whole samples, the row of `datasets` in the first; one after the other is held in memory.
    target : str or path
        Where to write: a path or any fsspec URL; `.gz`, `.zst`, `.bz2` and `.xz` compress. A file appears when it is
        complete; what is written to a pipe or a device, such as `/dev/stdout`, cannot be taken back.
    dataset : str, optional
        Which release to write, by the name of its dataset, if the tables hold several.
    storage_options : dict, optional
        Options of the fsspec file system.

    Raises
    ------
    SchemaError
        The tables hold several releases and none is chosen, a sample is in two parts, or the tables cannot be written
        as JSON.
    TargetError
        The target cannot be written.

    Examples
    --------
    >>> import arrow_labels as al
    >>> release = {"name": "v1", "dataset": {"name": "cars", "samples": [{"uuid": "a", "labels": {}}]}}
    >>> al.write_release(al.decode_labels([release]), "memory://release.json")
    >>> al.read_labels("memory://release.json").samples["sample_id"].to_pylist()
    ['a']
    """
    header, parts = _header(each_of(tables), dataset)
    mark = secrets.token_hex(16)
    inner = header.get("dataset")
    if isinstance(inner, dict) and "samples" in inner:
        header = {**header, "dataset": {**inner, "samples": mark}}
    before, found, after = encode_json(header).partition(b'"' + mark.encode() + b'"')
    url = os.fspath(target)
    with ExitStack() as stack:
        with _as_target_error(url):
            fs, path = file_system(url, storage_options)
            if fs.isdir(path):
                raise TargetError(f"Expected a file to write, got a folder - at {shown(url)}")
            if suffixes(path)[0] == ".zip":
                raise TargetError(f"Expected .json, .json.gz or the like, got an archive - at {shown(url)}")
            file = stack.enter_context(_appears_whole(fs, path))
            stack.enter_context(_readable_json())
            file.write(before)
        count = 0
        for sample in _samples(parts, dataset) if found else ():
            piece = (b",\n" if count else b"[\n") + encode_json(sample)
            count += 1
            with _as_target_error(url):
                file.write(piece)
        with _as_target_error(url):
            if found:
                file.write((b"]" if count else b"[]") + after)
            stack.close()
    _LOG.info("wrote %s: %d samples", shown(url), count)


@contextmanager
def _as_target_error(url: str) -> Iterator[None]:
    """Turn the errors of file systems, and of the libraries below them, into one that shows no whole URL."""
    try:
        yield
    except FetchError as error:
        raise TargetError(str(error)) from None
    except (ArrowLabelsError, MissingExtraError, MemoryError):
        raise
    except Exception as error:
        raise TargetError(f"Expected a target that can be written, got {reason(error)} - at {shown(url)}") from None


@contextmanager
def _appears_whole(fs: fsspec.AbstractFileSystem, path: str) -> Iterator[IO[bytes]]:
    """A file to write, which is there when it is complete, also if the process is killed before."""
    compress = COMPRESS.get(suffixes(path)[1], nullcontext)
    if not isinstance(fs, LocalFileSystem):
        with ExitStack() as opening:
            opening.enter_context(fs.transaction)
            file = opening.enter_context(compress(opening.enter_context(fs.open(path, "wb"))))
            opened = opening.pop_all()
        try:
            yield file
        except BaseException as error:
            try:
                opened.__exit__(type(error), error, error.__traceback__)
            except Exception as other:  # of any library below the file system; what counts is what ended the write
                _LOG.warning("what was sent of a file that is not complete may be left: %s", reason(other))
            raise
        opened.close()
        return
    if is_stream(Path(path)):
        number = descriptor(path)
        with (
            Path(path).open("ab") if number is None else os.fdopen(os.dup(number), "wb") as plain,
            compress(plain) as file,
        ):
            yield file
        return
    # Not by a transaction: that moves the file from the folder of temporary files, which may be on another disk.
    place = Path(os.path.realpath(path))
    new = place.with_name(f".{place.name}.partial-{secrets.token_hex(8)}")
    try:
        with new.open("wb") as plain, compress(plain) as file:
            yield file
        with new.open("rb+") as written:
            os.fsync(written.fileno())
        new.replace(place)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def _header(parts: Iterator[LabelTables], dataset: str | None) -> tuple[dict[str, Any], Iterator[LabelTables]]:
    """The release without its samples, and its parts."""
    for first in parts:
        releases = _releases(first, dataset)
        if releases or dataset is None:
            break
    else:
        if dataset is not None:
            raise SchemaError(f"Expected a release of dataset {dataset!r}, got none")
        return {"dataset": {"samples": []}}, parts
    parts = chain([first], parts)
    if not releases:
        return {"dataset": {"samples": []}}, parts
    check_json("datasets", polars_frame(first.datasets), "task_attributes", "labelsets")
    row = releases[0]
    inner = {
        "name": row["dataset"],
        "task_type": row["task_type"],
        "task_attributes": raw(row["task_attributes"]),
        "labelsets": raw(row["labelsets"]),
        "samples": [],
    }
    header = {
        name: time_text(value) if isinstance(value, datetime) else value
        for name, value in row.items()
        if name in ("name", "description", "created_at") and value is not None
    }
    header["dataset"] = {name: value for name, value in inner.items() if value is not None}
    return patched(header, row["extra"]), parts


def _releases(part: LabelTables, dataset: str | None) -> list[dict[str, Any]]:
    """The rows of `datasets`, or that which is chosen; not more than one."""
    releases: list[dict[str, Any]] = part.datasets.to_pylist()
    if dataset is not None:
        releases = [row for row in releases if row["dataset"] == dataset]
    if len(releases) > 1:
        names = ", ".join(repr(row["dataset"]) for row in releases)
        raise SchemaError(f"Expected one release, got {len(releases)} (datasets {names}): choose with dataset=")
    return releases


def _samples(parts: Iterator[LabelTables], dataset: str | None) -> Iterator[Any]:
    """The samples of all parts."""
    written: set[str] = set()
    for place, part in enumerate(parts):
        if place and (more := _releases(part, dataset)):
            raise SchemaError(
                f"Expected one release, that of the first part, got dataset {more[0]['dataset']!r} in a later one: "
                "choose with dataset="
            )
        samples = polars_frame(part.samples)
        if dataset is not None:
            samples = samples.filter(pl.col("dataset") == dataset)
        ordered = ordered_samples(part, samples)
        labels = ordered_labels(part, ordered.rows.select("sample_id").with_row_index("sample"))
        ids = ordered.rows["sample_id"].to_list()
        if twice := written.intersection(ids):
            raise SchemaError(f"Expected all rows of a sample in one part, got {min(twice)!r} in two")
        written.update(ids)
        yield from _with_labels(ordered, labels)


def _with_labels(samples: OrderedSamples, labels: OrderedLabels) -> Iterator[Any]:
    """Each sample with its labels."""
    done = 0
    of_sample: dict[str, Any] = {}
    current: int | None = None
    for batch in labels.batches():
        for row, label in labels.encode(batch):
            if current is not None and row["sample"] != current:
                yield from samples.encode(done, current, of_sample)
                done, of_sample = current + 1, {}
            current = row["sample"]
            of_sample[row["labelset"]] = label
    if current is not None:
        yield from samples.encode(done, current, of_sample)
        done = current + 1
    yield from samples.encode(done, samples.rows.height, {})
