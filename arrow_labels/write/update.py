"""A source into tables that may be there already: only what is new or changed is decoded and written."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from functools import partial
from typing import Any

import polars as pl
import pyarrow as pa

from arrow_labels.changes import Changes
from arrow_labels.decode import OnError, TimestampUnit
from arrow_labels.errors import FetchError, SchemaError
from arrow_labels.read import iter_labels
from arrow_labels.redaction import hides_options
from arrow_labels.schema import LABEL_KEY, SCHEMAS
from arrow_labels.state import STATE_COLUMNS, State, state
from arrow_labels.tables import LabelTables
from arrow_labels.workers import Progress
from arrow_labels.write.folder import Folder, Manifest, as_target_error, current, is_vacant, open_folder
from arrow_labels.write.owners import Key, Tables, keys
from arrow_labels.write.parquet import ROW_GROUP_BYTES, Removed, add, checked, write_parquet
from arrow_labels.write.parts import open_part, readable, write_part


@hides_options
def update_parquet(
    source: Any,
    target: str | os.PathLike[str],
    *,
    removed: Removed = "delete",
    task_type: str | None = None,
    timestamp_unit: TimestampUnit = "ns",
    labelsets: Collection[str] | None = None,
    on_error: OnError = "raise",
    masks: bool = False,
    mask_options: Mapping[str, Any] | None = None,
    batch_bytes: int = 16 << 20,
    compression: str = "zstd",
    compression_level: int | None = None,
    row_group_rows: int = 1 << 20,
    row_group_bytes: int = ROW_GROUP_BYTES,
    storage_options: dict[str, Any] | None = None,
    progress: Progress | None = None,
) -> dict[str, int]:
    """Bring a folder of Parquet files up to date with a source, all or nothing.

    Only labels that are new or changed are decoded, and only row groups with a change are written again: the others are
    copied as they are. What a label is compared by is its `content_hash`; where the target has none, its `updated_at`;
    a label without either is decoded again. Another option of reading, and other names of categories, change all
    labels; where the target has no hashes, it does not say what options it was read with, and labels that are unchanged
    stay as they are. A label that was rejected is tried again, and `rejects` are those of this run. This process does
    it alone; what `convert_labels` wrote, with all cores, is a target to go on from.

    Parameters
    ----------
    source, task_type, timestamp_unit, labelsets, on_error, masks, mask_options, batch_bytes, progress
        As in `iter_labels`. Bitmaps are fetched of labels that are decoded only.
    target : str or path
        Folder that `write_parquet` or this function wrote, or nothing yet: a path or any fsspec URL.
    removed : {"delete", "keep"}
        What becomes of labels and samples that are not in the source any more. If they are deleted, the target is
        what reading the whole source gives, in its order; if not, what the target holds keeps its place. With
        ``on_error="collect"``, nothing is deleted if a document cannot be read: what it holds is not known.
    compression, compression_level, row_group_rows, row_group_bytes
        As in `write_parquet`, for row groups that are written.
    storage_options : dict, optional
        Options of the fsspec file systems of source and target.

    Returns
    -------
    dict of str to int
        How many labels are "new", "changed", "removed" (from the source) and "unchanged". If nothing changes, no file
        is touched.

    Raises
    ------
    FetchError, DecodeError, BitmapError
        As in `iter_labels`; the target stays as it was.
    TargetError
        The target is not complete, cannot be written, or another process wrote it in the meantime.
    SchemaError
        The target is of another version of the schema, or a label stands twice in it or in the source.

    Examples
    --------
    >>> import arrow_labels as al
    >>> labels = [{"sample_uuid": name, "attributes": {"annotations": []}} for name in "abc"]
    >>> al.update_parquet(labels, "memory://daily")
    {'new': 3, 'changed': 0, 'removed': 0, 'unchanged': 0}
    >>> labels[0]["attributes"]["annotations"].append({"id": 1, "category_id": 0})
    >>> al.update_parquet(labels[:2], "memory://daily")
    {'new': 0, 'changed': 1, 'removed': 1, 'unchanged': 1}
    """
    if removed not in ("keep", "delete"):
        raise ValueError(f'removed: expected "keep" or "delete", got {removed!r}')
    limits, codec = checked(compression, compression_level, row_group_rows, row_group_bytes)
    folder = open_folder(target, storage_options)
    manifest = None if is_vacant(folder) else current(folder)
    changes = Changes(State() if manifest is None else _state(folder, manifest))
    found = iter_labels(
        source,
        batch_bytes=batch_bytes,
        task_type=task_type,
        timestamp_unit=timestamp_unit,
        labelsets=labelsets,
        storage_options=storage_options,
        on_error=on_error,
        masks=masks,
        mask_options=mask_options,
        progress=progress,
        changes=changes,
    )
    parts = _once(found, changes)
    if manifest is None:
        write_parquet(
            parts,
            target,
            compression=compression,
            compression_level=compression_level,
            row_group_rows=row_group_rows,
            row_group_bytes=row_group_bytes,
            storage_options=storage_options,
        )
    else:
        owners = partial(_owners, changes=changes)
        write = partial(write_part, parts, limits=limits, codec=codec)
        add(write, folder, manifest, owners, lambda: removed == "keep" or changes.unread, limits, codec)
    return changes.counts()


def _once(parts: Iterator[LabelTables], changes: Changes) -> Iterator[LabelTables]:
    """Parts of a source in which no label stands twice, and which holds a document."""
    yield from parts
    if not changes.documents:
        raise FetchError("Expected a document at least, got none: nothing is known of what left the source")
    if changes.repeated is not None:
        sample_id, labelset = changes.repeated
        raise SchemaError(
            f"Expected each label once, got sample {sample_id!r}, labelset {labelset!r} again: an update needs to know "
            "which one a row belongs to"
        )


def _state(folder: Folder, manifest: Manifest) -> State:
    """The state of a complete folder."""
    tables = []
    for name, columns in STATE_COLUMNS.items():
        schema = pa.schema([SCHEMAS[name].field(column) for column in columns])
        parts = [schema.empty_table()]
        for part in manifest.tables[name]:
            with open_part(folder, part) as file, as_target_error(readable(part), folder.url):
                found = file.read(columns=list(columns)).select(columns)
                found.validate(full=True)
                parts.append(found.cast(schema))
        tables.append(pa.concat_tables(parts))
    return state(*tables)


def _owners(held: Tables, new: Tables, *, changes: Changes) -> dict[Key, pl.DataFrame]:
    """The labels, samples and datasets of a source, in its order."""
    kept = [changes.kept.get(key) for key in changes.labels]
    text, number, truth = pl.String, pl.Int64, pl.Boolean
    labels = pl.DataFrame(
        {
            "sample_id": [key[0] for key in changes.labels],
            "labelset": [key[1] for key in changes.labels],
            "is_held": [it is not None for it in kept],
            "is_wanted": [it is not None for it in kept],
            "wanted_source": [it and it.source for it in kept],
            "wanted_content_hash": [it and it.content_hash for it in kept],
        },
        schema_overrides={"sample_id": text, "labelset": text, "wanted_source": text, "wanted_content_hash": text}
        | {"is_held": truth, "is_wanted": truth},
    )
    samples = pl.DataFrame(
        {
            "sample_id": list(changes.samples),
            "is_held": [sample_id in changes.kept_samples for sample_id in changes.samples],
            "is_wanted": [True] * len(changes.samples),
            "wanted_sample_index": list(changes.samples.values()),
        },
        schema={"sample_id": text, "is_held": truth, "is_wanted": truth, "wanted_sample_index": number},
    )
    datasets = keys(("dataset",), new).with_columns(is_held=False, is_wanted=False)
    return {LABEL_KEY: labels, ("sample_id",): samples, ("dataset",): datasets}
