"""What every method of the namespace does first: take frames of any kind, and say which column is missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import polars as pl

from arrow_labels.errors import SchemaError

if TYPE_CHECKING:
    import pyarrow as pa

Frame: TypeAlias = "pl.LazyFrame | pl.DataFrame | pa.Table"
Kind: TypeAlias = Literal["number", "integer", "boolean", "text", "points"]

LABEL: Final[dict[str, Kind]] = {"sample_id": "text", "labelset": "text", "sensor_index": "integer"}
"""The columns that, with the track, name one track of one label."""
FRAME: Final[dict[str, Kind]] = {"sample_id": "text", "sensor_index": "integer", "frame_index": "integer"}
"""The columns that name a frame of a sample."""
POSITION: Final = ("x", "y", "z")
DIMENSIONS: Final = ("length", "width", "height")
QUATERNION: Final = ("qx", "qy", "qz", "qw")

POINTS: Final = pl.List(pl.Struct(dict.fromkeys(POSITION, pl.Float64)))
_EXPECTED: Final[dict[Kind, str]] = {
    "number": "a number",
    "integer": "an integer",
    "boolean": "a Boolean",
    "text": "text",
    "points": "a list of structs of x, y and z",
}


def lazy(frame: Frame) -> pl.LazyFrame:
    """A frame or table as a LazyFrame whose extension columns are their storage."""
    if isinstance(frame, pl.DataFrame | pl.LazyFrame):
        return storage(frame.lazy())
    import pyarrow as pa  # a fifth of the time of an import of the package, if it were at the top

    if not isinstance(frame, pa.Table):
        raise SchemaError(f"Expected a Polars frame or a pyarrow table, got `{type(frame).__name__}`")
    return storage(pl.DataFrame(pl.from_arrow(frame)).lazy())


def storage(frame: pl.LazyFrame) -> pl.LazyFrame:
    """A frame with each extension column as its storage; the fields of a cuboid column become columns."""
    found = {name: dtype for name, dtype in frame.collect_schema().items() if isinstance(dtype, pl.BaseExtension)}
    if not found:
        return frame
    cuboids = [name for name, dtype in found.items() if dtype.ext_name() == "arrow_labels.cuboid"]
    return frame.with_columns(pl.col(name).ext.storage() for name in found).unnest(cuboids)


def require(frame: pl.LazyFrame, columns: Mapping[str, Kind], what: str = "") -> pl.Schema:
    """The schema of a frame that has certain columns.

    Raises
    ------
    SchemaError
        A column is missing, or of another kind.
    """
    schema = frame.collect_schema()
    where = f" - in {what}" if what else ""
    missing = [name for name in columns if name not in schema]
    if missing:
        names = ", ".join(f"`{name}`" for name in missing)
        raise SchemaError(f"Expected columns {names}, got {', '.join(schema) or 'none'}{where}")
    for name, kind in columns.items():
        if not _is(schema[name], kind):
            raise SchemaError(f"Expected {_EXPECTED[kind]}, got `{schema[name]}` - in column `{name}`{where}")
    return schema


def track(schema: pl.Schema) -> pl.Expr:
    """What names one object over all frames of a label: `track_id` where there is one, else `id`.

    Raises
    ------
    SchemaError
        The frame has neither column.
    """
    names = [name for name in ("track_id", "id") if name in schema]
    if not names:
        raise SchemaError(f"Expected column `track_id` or `id`, got {', '.join(schema) or 'none'}")
    return pl.coalesce(names)


def _is(dtype: pl.DataType, kind: Kind) -> bool:
    if dtype == pl.Null:  # a column of nothing but nulls fits everywhere
        return True
    match kind:
        case "number":
            return dtype.is_numeric()
        case "integer":
            return dtype.is_integer()
        case "boolean":
            return dtype == pl.Boolean
        case "text":
            return dtype in (pl.String, pl.Categorical, pl.Enum)
        case "points":
            return dtype == POINTS
