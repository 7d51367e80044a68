"""The folder of Parquet files that `write_parquet` writes -> LabelTables, whole or some samples at a time."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from arrow_labels.errors import SchemaError, TargetError
from arrow_labels.redaction import hides_options
from arrow_labels.schema import KEYS, SCHEMAS
from arrow_labels.tables import LabelTables, chosen_tables
from arrow_labels.write.folder import Folder, Manifest, Part, as_target_error, complete, open_folder
from arrow_labels.write.parts import check_rows, open_part, readable

_LOG: Final = logging.getLogger(__name__)
_SINCE: Final = {"labels": {"content_hash": 2}}
"""The version of the schema that a column came with, where that is not the first."""


@hides_options
def read_parquet(
    target: str | os.PathLike[str],
    *,
    tables: Collection[str] | None = None,
    storage_options: dict[str, Any] | None = None,
) -> LabelTables:
    """Read the tables that `write_parquet` wrote.

    Parameters
    ----------
    target : str or path
        Folder: a path or any fsspec URL.
    tables : collection of str, optional
        Tables to read, the others stay empty; default: all.
    storage_options : dict, optional
        Options of the fsspec file system.

    Returns
    -------
    LabelTables

    Raises
    ------
    TargetError
        There is no such folder, or it is not complete: its write did not finish, or a file is not the one that was
        written.
    SchemaError
        A table has other columns than `arrow_labels.schema`, or a newer version of this library wrote it.

    Examples
    --------
    >>> import arrow_labels as al
    >>> al.write_parquet(al.decode_labels([{"annotations": [{"id": 1, "category_id": 0}]}]), "memory://labels")
    >>> tables = al.read_parquet("memory://labels", tables=["segments"])
    >>> tables.segments.num_rows, tables.frames.num_rows
    (1, 0)
    """
    chosen = chosen_tables(tables)
    folder = open_folder(target, storage_options)
    manifest = complete(folder)
    found = {name: _whole(folder, name, manifest) for name in chosen}
    _check_unchanged(folder, manifest)
    return LabelTables(**found)


@hides_options
def iter_parquet(
    target: str | os.PathLike[str],
    *,
    tables: Collection[str] | None = None,
    batch_bytes: int = 64 << 20,
    storage_options: dict[str, Any] | None = None,
) -> Iterator[LabelTables]:
    """Read the tables that `write_parquet` wrote, some samples at a time.

    Parameters
    ----------
    target : str or path
        Folder: a path or any fsspec URL.
    tables : collection of str, optional
        Tables to read, the others stay empty; default: all.
    batch_bytes : int
        About how many bytes of memory the tables of a part take; a sample is never divided.
    storage_options : dict, optional
        Options of the fsspec file system.

    Yields
    ------
    LabelTables
        Rows in the order of `read_parquet`, all of a sample in the same part. The first part has the tables that are
        not of samples, whole: `datasets`, `categories`, `attribute_specs`, `rejects` and `findings`. Where the rows of
        a sample do not stand together, or samples stand in another order than their `sample_index`, all is one part.

    Raises
    ------
    TargetError, SchemaError
        As `read_parquet`; while it reads, too.

    Examples
    --------
    >>> import arrow_labels as al
    >>> labels = [{"annotations": [], "sample_uuid": name} for name in "abc"]
    >>> al.write_parquet(al.decode_labels(labels), "memory://parts")
    >>> [part.labels["sample_id"].to_pylist() for part in al.iter_parquet("memory://parts", batch_bytes=1)]
    [['a'], ['b'], ['c']]
    """
    if batch_bytes < 1:
        raise ValueError(f"batch_bytes: expected a positive number, got {batch_bytes}")
    chosen = chosen_tables(tables)
    folder = open_folder(target, storage_options)
    return _parts(folder, complete(folder), chosen, batch_bytes)


def _check_unchanged(folder: Folder, manifest: Manifest) -> None:
    """Some tables may come from the old write and some from a new one, whose files can even have the same sizes."""
    if complete(folder).write_id != manifest.write_id:
        raise TargetError(f"Expected tables that stay, got new ones in the meantime - at {folder.url}: read them again")


def _whole(folder: Folder, name: str, manifest: Manifest) -> pa.Table:
    _LOG.debug("reading %s of %s", name, folder.url)
    return pa.concat_tables([SCHEMAS[name].empty_table(), *(group for group, _ in _groups(folder, name, manifest))])


def _groups(
    folder: Folder, name: str, manifest: Manifest, columns: list[str] | None = None
) -> Iterator[tuple[pa.Table, int]]:
    """The row groups of a table, all columns or some, and their bytes before compression."""
    for part in manifest.tables[name]:
        try:
            yield from _groups_of(folder, name, part, manifest.schema_version, columns)
        except SchemaError as error:
            raise SchemaError(f"{error} - in `{part.file}` of {folder.url}") from None


def _groups_of(
    folder: Folder, name: str, part: Part, version: int, columns: list[str] | None
) -> Iterator[tuple[pa.Table, int]]:
    """The row groups of a file; its checksums are proven, and that its text is UTF-8."""
    rows = 0
    with open_part(folder, part) as file, as_target_error(readable(part), folder.url):
        # Refuses other columns before they are read.
        LabelTables(**{name: _completed(file.schema_arrow.empty_table(), name, version)})
        # One row group after the other: a column of lists that is read whole overflows at 2**31 items.
        for number in range(file.num_row_groups):
            group = file.read_row_group(number, columns=columns)
            group.validate(full=True)
            if columns is None:
                # Parquet calls the items of lists `element`.
                group = _completed(group, name, version).cast(SCHEMAS[name])
            rows += group.num_rows
            yield group, file.metadata.row_group(number).total_byte_size
    check_rows(rows, folder, part)


def _completed(table: pa.Table, name: str, version: int) -> pa.Table:
    """A table with the columns that came after the version of the schema that it was written with; they are null."""
    schema = SCHEMAS[name]
    for column, since in _SINCE.get(name, {}).items():
        if version < since and column not in table.column_names:
            field = schema.field(column)
            table = table.add_column(schema.get_field_index(column), field, pa.nulls(table.num_rows, field.type))
    return table


def _parts(folder: Folder, manifest: Manifest, chosen: Collection[str], batch_bytes: int) -> Iterator[LabelTables]:
    """The parts that `iter_parquet` gives."""
    names = [name for name in chosen if name in KEYS]
    first = {name: _whole(folder, name, manifest) for name in chosen if name not in KEYS}
    counts = _counts(_samples(folder, manifest), {name: _runs(folder, name, manifest) for name in names}, batch_bytes)
    if counts is None:
        _LOG.info("%s: the rows of a sample do not stand together, or not in order: read as a whole", folder.url)
        yield LabelTables(**first, **{name: _whole(folder, name, manifest) for name in names})
    else:
        sliced = zip(*(_sliced(folder, name, manifest, counts[name]) for name in names), strict=True)
        rest = (dict(zip(names, found, strict=True)) for found in sliced)
        yield LabelTables(**first, **next(rest, {}))
        yield from (LabelTables(**found) for found in rest)
    _check_unchanged(folder, manifest)


def _samples(folder: Folder, manifest: Manifest) -> pl.Series:
    """The samples that have a row, by their index."""
    found = [pl.DataFrame(schema={"sample_id": pl.String, "sample_index": pl.Int64})]
    for group, _ in _groups(folder, "samples", manifest, ["sample_id", "sample_index"]):
        found.append(pl.DataFrame(pl.from_arrow(group)))
    return pl.concat(found).sort("sample_index", maintain_order=True)["sample_id"]


def _runs(folder: Folder, name: str, manifest: Manifest) -> pl.DataFrame:
    """The samples of a table's rows in their order, how many rows of one stand together, and about how many bytes."""
    found = [pl.DataFrame(schema={"sample_id": pl.String, "rows": pl.Int64, "bytes": pl.Float64})]
    # How much larger rows are in memory, where names are repeated that are stored once: as in the first row group.
    first = next(_groups(folder, name, manifest), None)
    growth = 1.0 if first is None else first[0].nbytes / max(first[1], 1)
    for group, size in _groups(folder, name, manifest, ["sample_id"]):
        for ids in group["sample_id"].chunks if group.num_rows else ():
            encoded = pc.run_end_encode(ids)
            rows = np.diff(encoded.run_ends.to_numpy(), prepend=0).astype(np.int64)
            runs = pl.DataFrame({"sample_id": encoded.values, "rows": rows})
            found.append(runs.with_columns(bytes=pl.col("rows") * (size * growth / group.num_rows)))
    runs = pl.concat(found)
    return runs.group_by(pl.col("sample_id").rle_id().alias("run"), maintain_order=True).agg(
        pl.col("sample_id").first(), pl.col("rows", "bytes").sum()
    )


def _counts(samples: pl.Series, runs: Mapping[str, pl.DataFrame], batch_bytes: int) -> dict[str, list[int]] | None:
    """How many rows of each table each part has; None if the rows of a sample are not together, in order."""
    # As `write_release` orders samples: those that have no row of their own come last.
    naming = sorted(runs, key=lambda name: name in ("sample_frames", "cameras"))
    known = pl.concat([samples, *(runs[name]["sample_id"] for name in naming)]).unique(maintain_order=True)
    ranks = known.to_frame("sample_id").with_row_index("place")
    places = {
        name: rows.join(ranks, on="sample_id", how="left", nulls_equal=True, maintain_order="left")["place"].to_numpy()
        for name, rows in runs.items()
    }
    if not all((np.diff(found.astype(np.int64)) > 0).all() for found in places.values()):
        return None
    size = np.zeros(len(known))
    for name, found in places.items():
        size[found] += runs[name]["bytes"].to_numpy()
    parts = np.unique((np.cumsum(size) - 1) // batch_bytes, return_inverse=True)[1]
    number = int(parts.max(initial=-1)) + 1
    return {
        name: np.bincount(parts[found], runs[name]["rows"].to_numpy(), number).astype(np.int64).tolist()
        for name, found in places.items()
    }


def _sliced(folder: Folder, name: str, manifest: Manifest, counts: list[int]) -> Iterator[pa.Table]:
    """The rows of a table, so many at a time."""
    groups = _groups(folder, name, manifest)
    rest = SCHEMAS[name].empty_table()
    for count in counts:
        tables = [rest]
        while sum(table.num_rows for table in tables) < count and (found := next(groups, None)):
            tables.append(found[0])
        rest = pa.concat_tables(tables)
        yield rest.slice(0, count)
        rest = rest.slice(count)
    for _ in groups:  # to the end, where the number of rows is checked
        pass
