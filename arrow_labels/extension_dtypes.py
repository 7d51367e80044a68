"""The same types in Polars.

Polars marks extension types as unstable: everything that can change with it is here.
"""

from __future__ import annotations

from typing import ClassVar, Final

import polars as pl
from polars.datatypes import DataTypeClass

from arrow_labels.extension_types import CuboidType, PointIdsType, PointsType, RleType


class LabelDtype(pl.BaseExtension):
    """What the dtypes have in common."""

    NAME: ClassVar[str]

    def __init__(self, storage: pl.DataType | DataTypeClass) -> None:
        super().__init__(self.NAME, storage, "")

    @classmethod
    def ext_from_params(cls, name: str, storage: pl.DataType | DataTypeClass, metadata: str | None) -> LabelDtype:
        """The dtype over the storage that is there."""
        return cls(storage)


class PointsDtype(LabelDtype):
    """``arrow_labels.points`` in Polars."""

    NAME = PointsType.NAME


class CuboidDtype(LabelDtype):
    """``arrow_labels.cuboid`` in Polars."""

    NAME = CuboidType.NAME


class RleDtype(LabelDtype):
    """``arrow_labels.rle`` in Polars."""

    NAME = RleType.NAME


class PointIdsDtype(LabelDtype):
    """``arrow_labels.point_ids`` in Polars."""

    NAME = PointIdsType.NAME


class JsonDtype(LabelDtype):
    """``arrow.json`` in Polars."""

    NAME = "arrow.json"


DTYPES: Final[tuple[type[LabelDtype], ...]] = (PointsDtype, CuboidDtype, RleDtype, PointIdsDtype, JsonDtype)


def register_dtypes() -> None:
    """Make Polars recognise the types, except for a name that somebody else has registered."""
    for dtype in DTYPES:
        if pl.get_extension_type(dtype.NAME) is None:
            pl.register_extension_type(dtype.NAME, dtype)


def unregister_dtypes() -> None:
    """Take back what `register_dtypes` did."""
    for dtype in DTYPES:
        if pl.get_extension_type(dtype.NAME) is dtype:
            pl.unregister_extension_type(dtype.NAME)


def to_dtype(column: pl.Expr, dtype: type[LabelDtype]) -> pl.Expr:
    """A column as a dtype, over the storage that it has."""
    return column.pipe_with_dtype(lambda stored, found: stored.ext.to(dtype(found)))


def extensions(frame: pl.DataFrame | pl.LazyFrame) -> dict[str, str]:
    """The columns of these types, with the names of their types; whether they are registered or not."""
    names = {dtype.NAME for dtype in DTYPES}
    return {
        name: dtype.ext_name()
        for name, dtype in frame.lazy().collect_schema().items()
        if isinstance(dtype, pl.BaseExtension) and dtype.ext_name() in names
    }
