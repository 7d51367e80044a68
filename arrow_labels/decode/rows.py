"""Rows of many records on their way into tables."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from msgspec import Raw

from arrow_labels.annotation import Group
from arrow_labels.decode.annotations import annotation_batches
from arrow_labels.decode.columns import floats, ids_column, json_column
from arrow_labels.decode.sample_frames import camera_batch, sample_frame_batch
from arrow_labels.schema import SCHEMAS

_RAW_COLUMNS = {("samples", "metadata"), ("datasets", "task_attributes"), ("datasets", "labelsets")} | {
    ("attribute_specs", "default_value"),
    ("frames", "image_attributes"),
    ("links", "attributes"),
    ("links", "frames"),
}


@dataclass
class Rows:
    """Rows as tuples in the order of the columns, raw JSON still raw, and the annotations of each `frames` row.

    Rows of `sample_frames` and `cameras` are what `decode.sample_frames` says.

    `clouds` says which frames have point ids, be it none; `extras` holds the `extra` of annotations by place of the
    frame and of the annotation in it; `categories` names the categories of the release that the rows belong to.
    """

    categories: dict[int, str | None] = field(default_factory=dict)
    rows: dict[str, list[tuple[Any, ...]]] = field(default_factory=lambda: {table: [] for table in SCHEMAS})
    annotations: list[list[Group]] = field(default_factory=list)
    clouds: list[bool] = field(default_factory=list)
    extras: dict[tuple[int, int], str] = field(default_factory=dict)

    def mark(self) -> tuple[dict[str, int], int]:
        """Where the rows end now, for `reset`."""
        return {table: len(rows) for table, rows in self.rows.items()}, len(self.annotations)

    def reset(self, mark: tuple[dict[str, int], int]) -> None:
        """Drop the rows that came after the mark."""
        lengths, frames = mark
        for table, length in lengths.items():
            del self.rows[table][length:]
        del self.annotations[frames:]
        del self.clouds[frames:]
        self.extras = {place: text for place, text in self.extras.items() if place[0] < frames}

    def batches(self, wanted: Collection[str], checked: bool) -> dict[str, pa.RecordBatch]:
        """Record batches of the wanted tables that have rows.

        Raises
        ------
        NotExactError
            `checked`, and the columns do not hold all that the documents hold.
        """
        result = {}
        needs_frames = bool({"frames", "segments", "vectors", "cuboids"} & set(wanted))
        for table, rows in self.rows.items():
            if not rows or not (table in wanted or (table == "frames" and needs_frames)):
                continue
            if table == "sample_frames":
                result[table] = sample_frame_batch(rows, checked)
            elif table == "cameras":
                result[table] = camera_batch(rows, checked)
            else:
                columns = zip(*rows, strict=True)
                result[table] = pa.RecordBatch.from_arrays(
                    [
                        _column(table, name, list(values), checked)
                        for name, values in zip(SCHEMAS[table].names, columns, strict=True)
                    ],
                    schema=SCHEMAS[table],
                )
        if "frames" in result:
            result |= annotation_batches(
                result["frames"], self.annotations, self.clouds, self.categories, self.extras, wanted, checked
            )
            if "frames" not in wanted:
                del result["frames"]
        return result


def _column(table: str, name: str, values: list[Any], checked: bool) -> pa.Array:
    if (table, name) == ("frames", "point_annotations"):
        return ids_column(values)
    if (table, name) in _RAW_COLUMNS:
        return json_column([value if isinstance(value, Raw) else Raw(b"") for value in values])
    type_ = SCHEMAS[table].field(name).type
    return floats(values, checked) if type_ == pa.float64() else pa.array(values, type_)
