"""Vectors as GeoArrow geometries, for geopandas, lonboard, DuckDB and what else reads them."""

from __future__ import annotations

from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from arrow_labels.errors import MissingExtraError, SchemaError
from arrow_labels.extension import to_storage
from arrow_labels.schema import POINT
from arrow_labels.tables import as_small

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_GEOMETRIES: Final = {"point": "point", "polyline": "linestring", "polygon": "polygon", "bbox": "box"}
"""The geometry of each type of annotation."""
_RING: Final = 4
"""Fewest coordinates of a closed ring."""


def to_geoarrow(vectors: pa.Table | pl.DataFrame, *, boxes: Literal["box", "polygon"] = "box") -> dict[str, pa.Table]:
    """Vectors as GeoArrow geometries, a table for each kind of geometry.

    Polygons are closed: their first vertex comes again at the end. Boxes are those of `labels.bounds`, so corners that
    are swapped on an axis do not matter.

    Parameters
    ----------
    vectors : pa.Table or pl.DataFrame
        The table `vectors`, or rows of it; at least the columns type and points.
    boxes : {"box", "polygon"}
        What a bbox becomes: a GeoArrow box, or a rectangle among the polygons, for what knows no boxes (geopandas).

    Returns
    -------
    dict of str to pa.Table
        "point", "linestring", "polygon" and "box", each with the columns of `vectors` and ``geometry`` in place of
        ``points``; the rows keep their order. Coordinates are pixels with y down, or world metres; there is no
        coordinate reference system. A kind of which a vertex has a z has XYZ geometries, the others XY. Null points
        make a null geometry, an empty list an empty one (a null box), and a number that is null is NaN.

    Raises
    ------
    SchemaError
        A column is missing or of another type, or a point has more than one vertex.
    MissingExtraError
        geoarrow-types is not installed.

    Examples
    --------
    >>> import arrow_labels as al
    >>> lane = {"id": 1, "category_id": 0, "type": "polyline", "points": [[1, 2], [3, 4]]}
    >>> found = al.to_geoarrow(al.decode_labels([{"annotations": [lane]}]).vectors)
    >>> {kind: table.num_rows for kind, table in found.items()}
    {'point': 0, 'linestring': 1, 'polygon': 0, 'box': 0}
    >>> found["linestring"].schema.field("geometry").type.extension_name
    'geoarrow.linestring'
    """
    if boxes not in ("box", "polygon"):
        raise ValueError(f"boxes: expected 'box' or 'polygon', got {boxes!r}")
    try:
        import geoarrow.types
    except ImportError:
        raise MissingExtraError("geoarrow-types", extra="geoarrow") from None
    import pyarrow.compute as pc

    stored = to_storage(vectors)
    if not isinstance(stored, pa.Table):
        if not hasattr(stored, "to_arrow"):
            raise SchemaError(f"Expected a pyarrow table or a Polars DataFrame, got `{type(vectors).__name__}`")
        stored = stored.to_arrow(compat_level=pl.CompatLevel.oldest())
    for name, type_ in (("type", pa.string()), ("points", pa.list_(POINT))):
        if name not in stored.column_names:
            raise SchemaError(f"Expected column `{name}`, got {', '.join(stored.column_names)}")
        if as_small(stored.schema.field(name).type) != type_:
            raise SchemaError(f"Expected column `{name}` of type `{type_}`, got `{stored.schema.field(name).type}`")
    found = {}
    geometries = {**_GEOMETRIES, "bbox": boxes}
    for kind in _GEOMETRIES.values():
        types = [type_ for type_, geometry in geometries.items() if geometry == kind]
        rows = stored.filter(pc.is_in(stored["type"], pa.array(types, stored.schema.field("type").type)))
        place = rows.schema.get_field_index("points")
        is_box = pc.equal(rows["type"], "bbox").to_numpy() if kind == "polygon" else np.zeros(0, np.bool_)
        geometry = _geometry(geoarrow.types, kind, rows["points"], is_box)
        found[kind] = rows.set_column(place, pa.field("geometry", geometry.type), geometry)
    return found


def _geometry(types: Any, kind: str, points: pa.ChunkedArray, is_box: npt.NDArray[np.bool_]) -> pa.Array:
    """Lists of points as a GeoArrow array of a kind; of polygons, which are boxes."""
    lists = points.cast(pa.large_list(POINT)).combine_chunks()
    valid = np.asarray(lists.is_valid())
    lengths = np.asarray(lists.value_lengths().fill_null(0), np.int64)
    columns = [column.to_numpy(zero_copy_only=False) for column in lists.flatten().flatten()]
    dimensions = 2 if np.isnan(columns[2]).all() else 3
    vertices = np.column_stack(columns[:dimensions])
    offsets = _offsets(lengths)
    dims = types.Dimensions.XY if dimensions == 2 else types.Dimensions.XYZ
    spec = types.type_spec(types.Encoding.GEOARROW, getattr(types.GeometryType, kind.upper()), dims)
    type_ = spec.with_defaults(types.type_spec(types.CoordType.SEPARATED)).to_pyarrow()
    storage = type_.storage_type
    if kind == "point":
        made = _structs(storage, _single(vertices, offsets, lengths), ~valid)
    elif kind == "box":
        lower, upper = _bounds(vertices, offsets, lengths)
        made = _structs(storage, np.concatenate([lower, upper], axis=1), ~valid | (lengths == 0))
    elif kind == "linestring":
        made = _lists(storage, offsets, _structs(storage.value_type, vertices), ~valid)
    else:
        vertices, offsets = _rectangles(vertices, offsets, lengths, is_box & (lengths > 0))
        vertices, offsets = _closed(vertices, offsets)
        filled = np.diff(offsets) > 0
        ring = storage.value_type
        rings = _lists(ring, _offsets(np.diff(offsets)[filled]), _structs(ring.value_type, vertices))
        made = _lists(storage, _offsets(filled), rings, ~valid)
    return pa.ExtensionArray.from_storage(type_, made)


def _offsets(lengths: npt.NDArray[Any]) -> Ints:
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])


def _structs(type_: pa.StructType, columns: Floats, mask: npt.NDArray[np.bool_] | None = None) -> pa.StructArray:
    arrays = [pa.array(np.ascontiguousarray(column)) for column in columns.T]
    return pa.StructArray.from_arrays(arrays, fields=list(type_), mask=None if mask is None else pa.array(mask))


def _lists(type_: pa.ListType, offsets: Ints, values: pa.Array, mask: npt.NDArray[np.bool_] | None = None) -> pa.Array:
    if offsets[-1] >= 1 << 31:
        raise SchemaError(f"Expected fewer than 2^31 vertices, got {offsets[-1]:,}: convert the table in parts")
    places = pa.array(offsets.astype(np.int32))
    return pa.ListArray.from_arrays(places, values, type=type_, mask=None if mask is None else pa.array(mask))


def _single(vertices: Floats, offsets: Ints, lengths: Ints) -> Floats:
    """The one vertex of each list; NaN for an empty list."""
    if (lengths > 1).any():
        row = int((lengths > 1).argmax())
        raise SchemaError(f"Expected one vertex in a point, got {lengths[row]} - in row {row} of the points")
    found = np.full((len(lengths), vertices.shape[1]), np.nan)
    found[lengths == 1] = vertices[offsets[:-1][lengths == 1]]
    return found


def _bounds(vertices: Floats, offsets: Ints, lengths: Ints) -> tuple[Floats, Floats]:
    """Smallest and largest coordinates of each list; NaN for an empty list."""
    lower, upper = np.full((2, len(lengths), vertices.shape[1]), np.nan)
    filled = lengths > 0
    if filled.any():
        starts = offsets[:-1][filled]
        lower[filled], upper[filled] = np.minimum.reduceat(vertices, starts), np.maximum.reduceat(vertices, starts)
    return lower, upper


def _rectangles(vertices: Floats, offsets: Ints, lengths: Ints, is_box: npt.NDArray[np.bool_]) -> tuple[Floats, Ints]:
    """Lists of vertices in which those of boxes are the four corners of their bounds."""
    if not is_box.any():
        return vertices, offsets
    lower, upper = _bounds(vertices, offsets, lengths)
    lower, upper = lower[is_box], upper[is_box]
    corners = np.stack([lower, lower, upper, upper], axis=1)
    corners[:, 1, 0], corners[:, 3, 0] = upper[:, 0], lower[:, 0]
    new = _offsets(np.where(is_box, _RING, lengths))
    found = np.empty((new[-1], vertices.shape[1]))
    in_box = np.repeat(is_box, np.diff(new))
    found[in_box] = corners.reshape(-1, vertices.shape[1])
    found[~in_box] = vertices[~np.repeat(is_box, lengths)]
    return found, new


def _closed(vertices: Floats, offsets: Ints) -> tuple[Floats, Ints]:
    """Rings that end where they start, and have four vertices at least."""
    starts, lengths = offsets[:-1], np.diff(offsets)
    filled = lengths > 0
    is_open = np.zeros(len(lengths), np.bool_)
    first, last = vertices[starts[filled]], vertices[offsets[1:][filled] - 1]
    # Beside polygons with a z those without have NaN, which is the same on both ends.
    is_open[filled] = ((first != last) & ~(np.isnan(first) & np.isnan(last))).any(axis=1)
    wanted = np.where(filled, np.maximum(lengths + is_open, _RING), 0)
    new = _offsets(wanted)
    step = np.arange(new[-1]) - np.repeat(new[:-1], wanted)
    # Beyond the last vertex comes the first one again.
    step[step >= np.repeat(lengths, wanted)] = 0
    return vertices[np.repeat(starts, wanted) + step], new
