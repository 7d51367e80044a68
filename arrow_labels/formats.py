"""The formats of the command line: Parquet, Delta and Lance at a path or URL, Iceberg at ``CATALOG.NAMESPACE``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal

import pyarrow as pa
import pyarrow.compute as pc

from arrow_labels.errors import MissingExtraError, TargetError
from arrow_labels.read import iter_labels
from arrow_labels.redaction import reason, shown
from arrow_labels.schema import SCHEMAS
from arrow_labels.sources import DELTA_LOG, LANCE_LABELS, MANIFEST, file_system
from arrow_labels.tables import LabelTables
from arrow_labels.write.convert import convert_labels
from arrow_labels.write.delta import partition_columns, read_delta, write_delta
from arrow_labels.write.iceberg import read_iceberg, write_iceberg
from arrow_labels.write.lakehouse import LakeMode
from arrow_labels.write.lance import read_lance, write_lance
from arrow_labels.write.stored import iter_parquet, read_parquet

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog

Format = Literal["parquet", "delta", "iceberg", "lance"]

_MARKS: Final[dict[str, Format]] = {MANIFEST: "parquet", DELTA_LOG: "delta", LANCE_LABELS: "lance"}
"""What a folder of tables of each format has."""
_BATCH_BYTES: Final = 16 << 20
"""JSON, or tables of Parquet files, that are held at once."""


def check_options(
    to: Format,
    mode: LakeMode,
    overwrite: bool,
    compression: str,
    partition_by: Sequence[str],
    tables: Collection[str] | None,
    lake_options: Collection[str] | None,
) -> None:
    """Refuse options that do not go together, as a `ValueError`."""
    if mode == "upsert" and tables:
        raise ValueError("--table: expected all tables with --mode upsert, which replaces whole labels")
    if to == "parquet" and lake_options:
        raise ValueError("--lake-option: expected it with --to delta, iceberg or lance only, got parquet")
    if overwrite and mode not in ("error", "overwrite"):
        raise ValueError(f"--overwrite: expected it without --mode, got --mode {mode}")
    if to != "parquet" and compression != "zstd":
        raise ValueError(f"--compression: expected it with --to parquet only, got {to}")
    if to != "delta" and partition_by:
        raise ValueError(f"--partition-by: expected it with --to delta only, got {to}")
    partition_columns(partition_by)


def convert_to(
    to: Format,
    sources: Sequence[str],
    target: str,
    *,
    mode: LakeMode,
    compression: str,
    partition_by: Sequence[str],
    storage_options: dict[str, Any] | None,
    lake_options: dict[str, Any] | None,
    **reading: Any,
) -> dict[str, int]:
    """Write what sources hold in a format, and say how many rows each table has; `reading` as in `iter_labels`."""
    if to == "parquet":
        return convert_labels(
            sources, target, mode=mode, compression=compression, storage_options=storage_options, **reading
        )
    rows = Counter(dict.fromkeys(SCHEMAS, 0))
    parts = counted(iter_labels(sources, batch_bytes=_BATCH_BYTES, storage_options=storage_options, **reading), rows)
    if to == "delta":
        write_delta(parts, target, mode=mode, partition_by=partition_by, storage_options=_texts(lake_options))
    elif to == "lance":
        write_lance(parts, target, mode=mode, storage_options=_texts(lake_options))
    else:
        with _catalog(target, lake_options) as (catalog, namespace):
            write_iceberg(parts, catalog, namespace, mode=mode)
    return rows


def counted(parts: Iterable[LabelTables], rows: Counter[str]) -> Iterator[LabelTables]:
    """Parts on their way, their rows added to those of each table."""
    for part in parts:
        rows.update({name: table.num_rows for name, table in part})
        yield part


def read_tables(
    place: str, of: Format | None, *, storage_options: dict[str, Any] | None, lake_options: dict[str, Any] | None
) -> LabelTables:
    """Read tables of a format, or of that which is found there."""
    of = of or found_format(place, storage_options, lake_options)
    if of == "parquet":
        return read_parquet(place, storage_options=storage_options)
    if of == "delta":
        return read_delta(place, storage_options=_texts(lake_options))
    if of == "lance":
        return read_lance(place, storage_options=_texts(lake_options))
    with _catalog(place, lake_options) as (catalog, namespace):
        return read_iceberg(catalog, namespace)


def iter_tables(
    place: str, of: Format | None, *, storage_options: dict[str, Any] | None, lake_options: dict[str, Any] | None
) -> Iterator[LabelTables]:
    """Tables of a format, those of Parquet some samples at a time: other stores have no order of rows."""
    of = of or found_format(place, storage_options, lake_options)
    if of == "parquet":
        yield from iter_parquet(place, batch_bytes=_BATCH_BYTES, storage_options=storage_options)
    else:
        yield read_tables(place, of, storage_options=storage_options, lake_options=lake_options)


def found_format(place: str, storage_options: dict[str, Any] | None, lake_options: dict[str, Any] | None) -> Format:
    """The format of the tables at a place; Parquet where nothing speaks for another one."""
    with suppress(Exception):  # of any library below a file system: whoever reads the place says what is wrong
        if (of := folder_format(place, storage_options)) is not None:
            return of
        fs, path = file_system(place, storage_options)
        if fs.exists(path):
            return "parquet"
    if "/" not in place and "." in place and (lake_options or place.partition(".")[0] in _known_catalogs()):
        return "iceberg"
    return "parquet"


def folder_format(place: str, storage_options: dict[str, Any] | None) -> Format | None:
    """The format of the folder of tables at a place; None if there is none."""
    fs, path = file_system(place, storage_options)
    return next((of for mark, of in _MARKS.items() if fs.exists(f"{path.rstrip('/')}/{mark}")), None)


def parts_at(
    sources: Sequence[str], labelsets: Collection[str] | None, storage_options: dict[str, Any] | None
) -> Iterator[LabelTables] | None:
    """The tables of some labelsets as `iter_tables` gives them; None if the one source is no folder of tables."""
    if len(sources) != 1 or (of := folder_format(sources[0], storage_options)) is None:
        return None
    parts = iter_tables(sources[0], of, storage_options=storage_options, lake_options=None)
    return parts if labelsets is None else map(partial(_of_labelsets, pa.array(labelsets, pa.string())), parts)


def _of_labelsets(labelsets: pa.Array, part: LabelTables) -> LabelTables:
    """The rows of some labelsets, and those of no labelset at all."""
    return LabelTables(
        **{
            name: table.filter(pc.or_(pc.is_null(table["labelset"]), pc.is_in(table["labelset"], labelsets)))
            if "labelset" in table.column_names
            else table
            for name, table in part
        }
    )


def _known_catalogs() -> Sequence[str]:
    """The catalogs that the configuration of pyiceberg has."""
    try:
        from pyiceberg.utils.config import Config
    except ImportError:
        return ()
    return list(Config().get_known_catalogs())


def _texts(options: dict[str, Any] | None) -> dict[str, str] | None:
    """Options as stores of Delta take them: the command line has read numbers and flags."""
    if options is None:
        return None
    return {name: value if isinstance(value, str) else str(value).lower() for name, value in options.items()}


@contextmanager
def _catalog(place: str, options: dict[str, Any] | None) -> Iterator[tuple[Catalog, str]]:
    """The catalog and the namespace that a place names."""
    name, dot, namespace = place.partition(".")
    if not (name and dot and namespace) or "/" in place:
        raise TargetError(f"Expected CATALOG.NAMESPACE, got {shown(place)!r} - for Iceberg tables")
    try:
        from pyiceberg.catalog import load_catalog
    except ImportError:
        raise MissingExtraError("pyiceberg", extra="iceberg") from None
    try:
        catalog = load_catalog(name, **(_texts(options) or {}))
    except Exception as error:
        raise TargetError(
            f"Expected catalog `{name}`, got {type(error).__name__}: {reason(error, options)}: "
            "name it in the configuration of pyiceberg, or give its properties as options"
        ) from None
    try:
        yield catalog, namespace
    finally:
        catalog.close()
