"""Extension types: a view over the tables that says what a column means, for Arrow and for Polars.

==========================  ===========================================  ==========================================
type                        storage                                      scalar
==========================  ===========================================  ==========================================
``arrow_labels.points``     list<struct<x, y, z: double>>                `PointsScalar`: (n, 2) or (n, 3) array
``arrow_labels.cuboid``     struct<x, y, z, length, …, qw: double>       `CuboidScalar`: array of 11, corners (8, 3)
``arrow_labels.rle``        struct<height, width: int32, counts: list>   `RleScalar`: mask (height, width)
``arrow_labels.point_ids``  list<int32>                                  `PointIdsScalar`: array (n,)
``arrow.json``              string                                       text; pyarrow's own type
==========================  ===========================================  ==========================================

`to_extension` gives the view, `to_storage` takes it away; tables are stored, written and queried without it, since many
engines refuse extension types. `register` makes pyarrow and Polars recognise the types in what they read.
"""

from __future__ import annotations

from functools import partial
from typing import Final, overload

import polars as pl
import pyarrow as pa

from arrow_labels.errors import SchemaError
from arrow_labels.extension_dtypes import DTYPES, extensions, register_dtypes, to_dtype, unregister_dtypes
from arrow_labels.extension_types import TYPES, CuboidType, LabelType, PointIdsType, PointsType, RleType
from arrow_labels.schema import CUBOID_COLUMNS, JSON_COLUMNS
from arrow_labels.tables import as_small

JSON: Final = "arrow.json"
_CUBOID: Final = "cuboid"
_COLUMNS: Final[dict[str, type[LabelType]]] = {
    "points": PointsType,
    "rle": RleType,
    "point_annotations": PointIdsType,
    _CUBOID: CuboidType,
}
_NAME: Final = b"ARROW:extension:name"
_METADATA: Final = b"ARROW:extension:metadata"


def register() -> None:
    """Make pyarrow and Polars recognise the types in what they read; twice is as good as once.

    Only then do files give them back that were written from the view. It holds for the whole process, and no import
    of this library does it: Hugging Face datasets, for one, cannot read a Parquet file with a registered type.

    Examples
    --------
    >>> import arrow_labels as al
    >>> al.register()
    >>> al.register()
    >>> al.unregister()
    """
    for type_ in TYPES:
        try:
            pa.register_extension_type(type_())
        except pa.ArrowKeyError:  # It is there already.
            continue
    register_dtypes()


def unregister() -> None:
    """Take back what `register` did; without it, nothing happens.

    Examples
    --------
    >>> import arrow_labels as al
    >>> al.unregister()
    """
    for type_ in TYPES:
        try:
            pa.unregister_extension_type(type_.NAME)
        except pa.ArrowKeyError:  # It is not there.
            continue
    unregister_dtypes()


@overload
def to_extension(table: pl.DataFrame) -> pl.DataFrame: ...
@overload
def to_extension(table: pl.LazyFrame) -> pl.LazyFrame: ...
@overload
def to_extension(table: pa.Table) -> pa.Table: ...
def to_extension(table: pl.DataFrame | pl.LazyFrame | pa.Table) -> pl.DataFrame | pl.LazyFrame | pa.Table:
    """View columns by what they mean: points, masks, point ids, JSON, and the columns of a cuboid as one.

    Parameters
    ----------
    table : pa.Table, pl.DataFrame or pl.LazyFrame
        A table of `LabelTables`, or any other with some of its columns. `points`, `rle` and `point_annotations`, the
        columns of JSON, and x … qw of `cuboids`, which become the one column `cuboid`, get extension types if they are
        stored as in `arrow_labels.schema`, with offsets of 32 or 64 bits. Other columns stay.

    Returns
    -------
    pa.Table, pl.DataFrame or pl.LazyFrame
        The view, which shares the memory of the table. Nothing needs to be registered.

    Raises
    ------
    SchemaError
        There are both a column `cuboid` and the columns of a cuboid.

    Examples
    --------
    >>> import arrow_labels as al
    >>> tables = al.decode_labels([{"annotations": [{"id": 1, "category_id": 0, "attributes": {}}]}])
    >>> view = al.to_extension(tables.segments)
    >>> str(view.schema.field("rle").type), str(view.schema.field("attributes").type)
    ('extension<arrow_labels.rle<RleType>>', 'extension<arrow.json>')
    >>> al.to_storage(view).equals(tables.segments)
    True
    """
    stored = to_storage(table)
    if isinstance(stored, pa.Table):
        return _view(stored)
    dtypes = {dtype.NAME: dtype for dtype in DTYPES}
    columns = {name: pl.col(name) for name in stored.lazy().collect_schema()}
    known = stored.lazy().select(name for name in columns if name in (*_COLUMNS, *JSON_COLUMNS, *CUBOID_COLUMNS))
    found = _view(known.head(0).collect().to_arrow()).schema
    if _CUBOID in found.names and _CUBOID not in columns:
        columns = {_CUBOID if name == "x" else name: column for name, column in columns.items()}
        columns = {name: column for name, column in columns.items() if name not in CUBOID_COLUMNS}
        columns[_CUBOID] = pl.struct(CUBOID_COLUMNS)
    for field in found:
        if isinstance(field.type, pa.BaseExtensionType) and field.name in columns:
            columns[field.name] = to_dtype(columns[field.name], dtypes[field.type.extension_name])
    return stored.select(column.alias(name) for name, column in columns.items())


@overload
def to_storage(table: pl.DataFrame) -> pl.DataFrame: ...
@overload
def to_storage(table: pl.LazyFrame) -> pl.LazyFrame: ...
@overload
def to_storage(table: pa.Table) -> pa.Table: ...
def to_storage(table: pl.DataFrame | pl.LazyFrame | pa.Table) -> pl.DataFrame | pl.LazyFrame | pa.Table:
    """Take the view away: the inverse of `to_extension`.

    Parameters
    ----------
    table : pa.Table, pl.DataFrame or pl.LazyFrame
        With extension types of this library and ``arrow.json``; also with those that were read without `register`,
        which pyarrow keeps in the metadata of the field and others drop. Other extension types stay.

    Returns
    -------
    pa.Table, pl.DataFrame or pl.LazyFrame
        The columns as they are stored. A null cuboid gives nulls.

    Raises
    ------
    SchemaError
        There are both a cuboid and a column of one of its fields.

    Examples
    --------
    >>> import arrow_labels as al
    >>> cuboids = al.LabelTables().cuboids
    >>> al.to_storage(al.to_extension(cuboids)).equals(cuboids)
    True
    """
    if isinstance(table, pa.Table):
        return _stored(table)
    if not isinstance(table, pl.DataFrame | pl.LazyFrame):
        raise SchemaError(f"Expected a pyarrow table or a Polars frame, got `{type(table).__name__}`")
    found = extensions(table)
    columns = table.lazy().collect_schema()
    plain = pl.Struct(dict.fromkeys(CUBOID_COLUMNS, pl.Float64))
    cuboids = [
        name for name in columns if found.get(name) == CuboidType.NAME or (name, columns[name]) == (_CUBOID, plain)
    ]
    _unique([*columns, *(CUBOID_COLUMNS * len(cuboids))])
    return table.with_columns(pl.col(name).ext.storage() for name in found).unnest(cuboids)


def _view(table: pa.Table) -> pa.Table:
    schema = table.schema
    if set(CUBOID_COLUMNS) <= set(schema.names) and all(
        schema.field(name).type == pa.float64() for name in CUBOID_COLUMNS
    ):
        _unique([*schema.names, _CUBOID])
        batches = table.select(CUBOID_COLUMNS).to_batches()
        cuboids = pa.chunked_array([batch.to_struct_array() for batch in batches], CuboidType.STORAGE)
        place = schema.get_field_index("x")
        table = table.add_column(place, _CUBOID, cuboids).drop_columns([*CUBOID_COLUMNS])
    for place, field in enumerate(table.schema):
        type_ = _extension(field)
        if type_ is not None:
            chunks = map(partial(pa.ExtensionArray.from_storage, type_), table.column(place).chunks)
            table = table.set_column(place, field.with_type(type_), pa.chunked_array(chunks, type_))
    return table


def _extension(field: pa.Field) -> pa.BaseExtensionType | None:
    """The extension type that a column of this name and storage has."""
    if field.name in JSON_COLUMNS and as_small(field.type) == pa.string():
        return pa.json_(field.type)
    type_ = _COLUMNS.get(field.name)
    return type_(field.type) if type_ is not None and as_small(field.type) == type_.STORAGE else None


def _stored(table: pa.Table) -> pa.Table:
    known = {JSON, *(type_.NAME for type_ in TYPES)}
    for field in list(table.schema):
        metadata = dict(field.metadata or {})
        name = getattr(field.type, "extension_name", metadata.get(_NAME, b"").decode())
        if (field.name, field.type) == (_CUBOID, CuboidType.STORAGE):
            name = CuboidType.NAME
        if name not in known:
            continue
        column = table[field.name]
        if isinstance(field.type, pa.BaseExtensionType):
            column = pa.chunked_array((chunk.storage for chunk in column.chunks), field.type.storage_type)
        place = table.schema.get_field_index(field.name)
        if name != CuboidType.NAME:
            rest = {key: value for key, value in metadata.items() if key not in (_NAME, _METADATA)}
            table = table.set_column(place, pa.field(field.name, column.type, metadata=rest or None), column)
            continue
        _unique([*table.schema.names, *(part.name for part in column.type)])
        table = table.remove_column(place)
        for part, values in zip(reversed(list(column.type)), reversed(column.flatten()), strict=True):
            table = table.add_column(place, part.name, values)
    return table


def _unique(names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SchemaError(f"Expected a cuboid as one column or as its fields, got both - in column `{twice[0]}`")
