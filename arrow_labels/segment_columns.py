"""The columns of segments and frames that functions on pixels and points need, of tables and frames of any kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import polars as pl
import pyarrow as pa

from arrow_labels.errors import BitmapError, SchemaError
from arrow_labels.schema import FRAME_KEY

Table: TypeAlias = pa.Table | pl.DataFrame | pl.LazyFrame

KEY: Final = list(FRAME_KEY)
VALUE: Final = "id_value"
"""What stands for a segment in a bitmap or in point ids: its `id`, or its `track_id` where it has none."""

_DTYPES: Final[dict[str, pl.DataType]] = {
    "sample_id": pl.String(),
    "labelset": pl.String(),
    "sensor_index": pl.Int32(),
    "frame_index": pl.Int32(),
    "id": pl.Int64(),
    "track_id": pl.Int64(),
    "category_id": pl.Int64(),
    "rle": pl.Struct({"height": pl.Int64, "width": pl.Int64, "counts": pl.List(pl.Int64)}),
    "point_annotations": pl.List(pl.Int32),
}


def listed_categories(segments: pl.DataFrame, unlabelled: int | None) -> pl.DataFrame:
    """The category of each id, once, in each frame if there are keys."""
    keys = [name for name in (*KEY, VALUE) if name in segments.columns]
    listed = segments.filter(pl.col(VALUE) != 0).select(*keys, "category_id").unique(maintain_order=True)
    if unlabelled is not None and (listed["category_id"] == unlabelled).any():
        raise ValueError(f"unlabelled: expected a number that is no category, got {unlabelled}")
    twice = listed.filter(pl.struct(keys).is_duplicated())
    if len(twice):
        where = twice.row(0, named=True)
        same = twice.filter(pl.all_horizontal(pl.col(name).eq_missing(where[name]) for name in keys))["category_id"]
        place = ", ".join(f"{name} {where[name]}" for name in keys[:-1])
        raise BitmapError(
            f"Expected one category of id {where[VALUE]}, got {same[0]} and {same[1]}"
            + (f" - at {place}" if place else "")
        )
    return listed


def one_frame(segments: Table, columns: Sequence[str]) -> pl.DataFrame:
    """The rows of one frame, with the value that stands for each in the bitmap."""
    frame = valued(segments, columns, optional=KEY)
    for name in frame.columns:
        if name in KEY and frame[name].n_unique() > 1:
            found = ", ".join(map(str, frame[name].unique(maintain_order=True).head(3)))
            raise BitmapError(f"Expected segments of one frame, got several - in column `{name}`: {found}")
    return frame


def valued(table: Table, columns: Sequence[str], optional: Sequence[str] = ()) -> pl.DataFrame:
    """Some columns, and `value`: the `id` of a segment, or its `track_id` where it has none."""
    frame = select(table, columns, ["id", "track_id", *optional])
    sources = [name for name in ("id", "track_id") if name in frame.columns]
    if not sources:
        raise SchemaError("Expected column `id` or `track_id`, got neither")
    return frame.with_columns(pl.coalesce(sources).alias(VALUE)).drop(sources)


def select(table: Table, columns: Sequence[str], optional: Sequence[str] = ()) -> pl.DataFrame:
    """Some columns of a table or frame, in their types."""
    if not isinstance(table, pa.Table | pl.DataFrame | pl.LazyFrame):
        raise SchemaError(f"Expected a pyarrow table or a Polars frame, got `{type(table).__name__}`")
    names = table.column_names if isinstance(table, pa.Table) else table.collect_schema().names()
    for name in columns:
        if name not in names:
            raise SchemaError(f"Expected column `{name}`, got {', '.join(names) or 'none'}")
    wanted = [*columns, *(name for name in optional if name in names)]
    frame = pl.DataFrame(table.select(wanted)) if isinstance(table, pa.Table) else table.lazy().select(wanted).collect()
    for name, dtype in frame.schema.items():
        if not _fits(dtype, _DTYPES[name]):
            raise SchemaError(f"Expected `{_DTYPES[name]}`, got `{dtype}` - in column `{name}`")
    return frame.cast({name: _DTYPES[name] for name in wanted})


def _fits(dtype: Any, wanted: Any) -> bool:
    """Whether a column is of a kind, be it of other integers or nothing but nulls."""
    if dtype == pl.Null:
        return True
    if isinstance(wanted, pl.Struct):
        found = dict(dtype) if isinstance(dtype, pl.Struct) else {}
        return all(name in found and _fits(found[name], inner) for name, inner in wanted)
    if isinstance(wanted, pl.List):
        return isinstance(dtype, pl.List) and _fits(dtype.inner, wanted.inner)
    return bool(dtype.is_integer() if wanted.is_integer() else dtype in (pl.String, pl.Categorical, pl.Enum))
