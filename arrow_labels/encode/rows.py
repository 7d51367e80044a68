"""Rows of tables -> the objects of the wire format, a batch at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import repeat
from typing import Any, cast

import msgspec
import polars as pl
from msgspec import Raw

from arrow_labels.annotation import ABSENT, Annotation, Motion, Quaternion, Vector3
from arrow_labels.decode.values import time_text
from arrow_labels.errors import SchemaError
from arrow_labels.merge_patch import apply
from arrow_labels.schema import OWNERS
from arrow_labels.wire import decode_json, decode_raws, encode_json


def patched(value: Any, extra: str | None) -> Any:
    """The canonical JSON of a row with its `extra` applied."""
    return value if extra is None else apply(value, decode_json(extra))


def raw(text: str | None) -> Raw | None:
    """A JSON column's text as it is."""
    return None if text is None else Raw(text.encode())


def label_json(row: dict[str, Any], attributes: Any) -> Any:
    """A label around its attributes."""
    label = {
        name: time_text(value) if isinstance(value, datetime) else value
        for name, value in row.items()
        if value is not None and name in _LABEL
    }
    if attributes is not None:
        label["attributes"] = attributes
    return patched(label, row["extra"])


_LABEL = frozenset(
    "label_type label_status score rating created_at created_by updated_at updated_by reviewed_at reviewed_by".split()
)


def frame_json(row: dict[str, Any], annotations: list[Any], point_ids: pl.Series | None) -> dict[str, Any]:
    """A frame of a label around its annotations and point ids."""
    frame: dict[str, Any] = {"annotations": annotations}
    for name in ("timestamp", "format_version"):
        if row[name] is not None:
            frame[name] = row[name]
    if row["image_attributes"] is not None:
        frame["image_attributes"] = raw(row["image_attributes"])
    if row["bitmap_url"] is not None:
        frame["segmentation_bitmap"] = {"url": row["bitmap_url"]}
    if point_ids is not None and len(point_ids):
        frame["point_annotations"] = Raw(f"[{point_ids.cast(pl.String).str.join(',').item()}]".encode())
    return cast(dict[str, Any], patched(frame, row["extra"]))


def link_json(row: dict[str, Any]) -> Any:
    """A link."""
    link = {name: row[name] for name in ("from_id", "to_id")}
    link |= {name: raw(row[name]) for name in ("attributes", "frames") if row[name] is not None}
    return patched(link, row["extra"])


def annotations_json(table: str, rows: pl.DataFrame) -> list[Any]:
    """The annotations of a table, in the order of the rows.

    Raises
    ------
    SchemaError
        A number is NaN or infinite, which JSON cannot hold; a text is no JSON; a category or a coordinate is null.
    """
    check_finite(table, rows)
    check_json(table, rows, "attributes")
    if rows["category_id"].null_count():
        raise SchemaError(f"Expected a category, got null - in column `category_id` of `{table}`")
    count = rows.height
    nothing = repeat(None)
    column: Callable[[str], list[Any]] = lambda name: rows[name].to_list()  # noqa: E731
    geometry: dict[str, Iterable[Any]] = {}
    if table == "vectors":
        geometry["points"] = _points(rows["points"])
    elif table == "cuboids":
        geometry = {
            "position": _objects(rows, Vector3, "x y z"),
            "dimensions": _objects(rows, Vector3, "length width height"),
            "yaw": column("yaw"),
            "rotation": _objects(rows, Quaternion, "qx qy qz qw"),
            "velocity": _objects(rows, Motion, "velocity_absolute velocity_relative"),
            "acceleration": _objects(rows, Motion, "acceleration_absolute acceleration_relative"),
        }
    attributes = [ABSENT if text is None else Raw(text.encode()) for text in column("attributes")]
    fields = {
        **{name: column(name) for name in ("category_id", "id", "track_id", "type", "is_keyframe", "index")},
        "points": repeat(ABSENT),
        **geometry,
        "attributes": attributes,
    }
    items: list[Any] = list(map(Annotation, *(fields.get(name, nothing) for name in Annotation.__struct_fields__)))
    if rows["extra"].null_count() < count:
        for place, extra in enumerate(column("extra")):
            if extra is not None:
                items[place] = apply(decode_json(encode_json(items[place])), decode_json(extra))
    return items


def _objects(rows: pl.DataFrame, struct: Any, names: str) -> Iterable[Any]:
    """Small objects of some columns; None where all of them are null."""
    columns = [rows[name] for name in names.split()]
    values: Sequence[list[float | None]] = [column.to_list() for column in columns]
    if all(column.null_count() == 0 for column in columns):
        return map(struct, *values)
    return [None if all(value is None for value in row) else struct(*row) for row in zip(*values, strict=True)]


def _points(column: pl.Series) -> list[list[tuple[float, ...]]]:
    lengths = column.list.len().fill_null(0)
    flat = column.filter(lengths > 0).explode()
    x, y, z = (flat.struct.field(name) for name in "xyz") if len(flat) else (pl.Series(), pl.Series(), pl.Series())
    points: list[tuple[float, ...]]
    if z.null_count() == len(z):
        points = list(zip(x.to_list(), y.to_list(), strict=True))
    else:
        points = [
            (x, y) if z is None else (x, y, z) for x, y, z in zip(x.to_list(), y.to_list(), z.to_list(), strict=True)
        ]
    ends = lengths.cum_sum().to_list()
    return [points[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def check_finite(table: str, rows: pl.DataFrame) -> None:
    """Check that the numbers of some rows are such as JSON can hold.

    Raises
    ------
    SchemaError
        One is not, or a coordinate is null.
    """
    numbers = rows.select(pl.col(pl.Float64))
    if table == "vectors":
        flat = rows["points"].filter(rows["points"].list.len() > 0).explode()
        numbers = flat.struct.unnest() if len(flat) else numbers
        if len(flat) and (numbers["x"].null_count() or numbers["y"].null_count()):
            raise SchemaError("Expected points with an x and a y, got null - in column `points` of `vectors`")
    for column in numbers:
        if not column.is_finite().all():
            place = int(column.is_finite().fill_null(True).arg_min() or 0)
            found = column[place]
            raise SchemaError(
                f"Expected numbers that JSON can hold, got {found} - in column `{column.name}` of `{table}`"
            )


def check_json(table: str, rows: pl.DataFrame, *names: str) -> None:
    """Check that the texts of some columns are one JSON value each: they go into the document as they are.

    Raises
    ------
    SchemaError
        One is not.
    """
    for name in names:
        if not _are_json(rows[name]):
            bad = next(place for place in range(rows.height) if not _are_json(rows[name][place : place + 1]))
            owner = OWNERS[table][0]
            raise SchemaError(
                f"Expected JSON columns that can be read, got {rows[name][bad][:100]!r} - in column `{name}` of "
                f"`{table}`, of {owner} {rows[owner][bad]!r}"
            )


def _are_json(column: pl.Series) -> bool:
    texts = column.drop_nulls()
    if texts.is_empty():
        return True
    try:
        found = decode_raws(f"[{texts.str.join(',').item()}]".encode())
    except (msgspec.DecodeError, RecursionError):
        return False
    # Of two wrong ones, each might be right with a part of the other.
    lengths = texts.str.strip_chars(" \t\r\n").str.len_bytes().to_list()
    return list(map(len, found)) == lengths
