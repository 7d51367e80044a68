"""Rows of many records on their way into tables."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

import pyarrow as pa
from msgspec import Raw

from arrow_labels.annotation import Group
from arrow_labels.decode.annotations import annotation_batches, frame_columns
from arrow_labels.decode.columns import floats, ids_column, json_column, to_batch
from arrow_labels.decode.sample_frames import camera_columns, sample_frame_columns
from arrow_labels.decode.wanted import COLUMNS, Wanted
from arrow_labels.schema import ANNOTATION_TABLES, SCHEMAS

_RAW_COLUMNS = {("samples", "metadata"), ("datasets", "task_attributes"), ("datasets", "labelsets")} | {
    ("attribute_specs", "default_value"),
    ("frames", "image_attributes"),
    ("links", "attributes"),
    ("links", "frames"),
}


@dataclass
class Rows:
    """Rows of what is wanted: tuples in the order of the columns, raw JSON still raw, and each frame's annotations.

    Rows of `sample_frames` and `cameras` are what `decode.sample_frames` says.

    `clouds` says which frames have point ids, be it none; `extras` holds the `extra` of annotations by place of the
    frame and of the annotation in it; `categories` names the categories of the release that the rows belong to.
    """

    wanted: Wanted
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

    def batches(self, checked: bool) -> dict[str, pa.RecordBatch]:
        """Record batches of the wanted tables that have rows.

        Raises
        ------
        NotExactError
            `checked`, and the columns do not hold all that the documents hold.
        """
        built = self.wanted.built
        columns = {
            table: self._columns(table, names, checked and "extra" in names)
            for table, names in built.items()
            if self.rows[table]
        }
        result = {table: to_batch(table, found) for table, found in columns.items()}
        annotations = {table: names for table, names in built.items() if table in ANNOTATION_TABLES}
        if annotations and self.rows["frames"]:
            frames = columns.get("frames", {})
            frames |= self._columns("frames", frame_columns(annotations) - frames.keys(), checked=False)
            result |= annotation_batches(
                frames, self.annotations, self.clouds, self.categories, self.extras, annotations, checked
            )
        return result

    def _columns(self, table: str, names: Collection[str], checked: bool) -> dict[str, pa.Array]:
        """Some columns of a table."""
        rows = self.rows[table]
        if table == "sample_frames":
            return sample_frame_columns(rows, names, checked)
        if table == "cameras":
            return camera_columns(rows, names, checked)
        # One column at a time: all of them at once would take as much memory again as the rows.
        return {
            name: _column(table, name, list(map(itemgetter(place), rows)), checked)
            for place, name in enumerate(COLUMNS[table])
            if name in names
        }


def _column(table: str, name: str, values: Sequence[Any], checked: bool) -> pa.Array:
    if (table, name) == ("frames", "point_annotations"):
        return ids_column(values)
    if (table, name) in _RAW_COLUMNS:
        return json_column([value if isinstance(value, Raw) else Raw(b"") for value in values])
    type_ = SCHEMAS[table].field(name).type
    return floats(values, checked) if type_ == pa.float64() else pa.array(values, type_)
