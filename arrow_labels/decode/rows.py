"""Rows of many records on their way into tables."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, Final

import pyarrow as pa
from msgspec import Raw

from arrow_labels.annotation import Group
from arrow_labels.decode.annotations import annotation_batches, frame_columns
from arrow_labels.decode.columns import floats, json_column, nulls, to_batch
from arrow_labels.decode.number_lists import ids_column
from arrow_labels.decode.sample_frames import camera_columns, sample_frame_columns
from arrow_labels.decode.wanted import COLUMNS, Wanted
from arrow_labels.errors import DecodeError
from arrow_labels.schema import ANNOTATION_TABLES, SCHEMAS

_RAW_COLUMNS = {("samples", "metadata"), ("datasets", "task_attributes"), ("datasets", "labelsets")} | {
    ("attribute_specs", "default_value"),
    ("frames", "image_attributes"),
    ("links", "attributes"),
    ("links", "frames"),
}

_MOST_ROWS: Final = 1 << 14
"""Rows of a table, and annotations, that are Python objects at the same time."""

ROOM: Final = 1 << 25
"""Bytes of names that rows may repeat in any case."""
ROOM_A_BYTE: Final = 12
"""How many more they may repeat for each byte of JSON."""
_LEAST_ROWS: Final = 1 << 14
"""Rows of a record batch from which on no other is joined to it."""
_LONG: Final = 100
"""Bytes of the name of a category below which annotations take more as text."""
_NO_ROWS: Final = dict.fromkeys(SCHEMAS, 0)

Batches = dict[str, pa.RecordBatch]


@dataclass
class Rows:
    """Rows of what is wanted: tuples in the order of the columns, raw JSON still raw, and each frame's annotations.

    Rows of `sample_frames` and `cameras` are what `decode.sample_frames` says.

    `clouds` says which frames have point ids, be it none; `extras` holds the `extra` of annotations by place of the
    frame and of the annotation in it; `categories` names the categories of the release that the rows belong to.

    `done` holds the batches of the rows that were there before: a document of many small parts takes little memory as
    text and as columns, and a hundred times as much as rows. `start` is where the last mark was set, and how many
    batches there were then. `checked` asks for the proof that the columns hold all that the documents hold.

    `room` is how many bytes of names more rows may repeat: each row has the names of its sample, labelset and sensor,
    so that a name of a megabyte over a million annotations is a terabyte.
    """

    wanted: Wanted
    categories: dict[int, str | None] = field(default_factory=dict)
    checked: bool = False
    room: int = ROOM
    rows: dict[str, list[tuple[Any, ...]]] = field(default_factory=lambda: {table: [] for table in SCHEMAS})
    annotations: list[list[Group]] = field(default_factory=list)
    clouds: list[bool] = field(default_factory=list)
    extras: dict[tuple[int, int], str] = field(default_factory=dict)
    long_names: dict[int, int] | None = None
    done: list[Batches] = field(default_factory=list)
    start: tuple[Mapping[str, int], int, int] = (_NO_ROWS, 0, ROOM)

    def mark(self) -> None:
        """Where the rows end now, `reset` will go back to."""
        if max(map(len, self.rows.values())) >= _MOST_ROWS:
            self._finish()
        self.start = {table: len(rows) for table, rows in self.rows.items()}, len(self.done), self.room

    def reset(self) -> None:
        """Drop the rows that came after the mark."""
        lengths, batches, self.room = self.start
        del self.done[batches:]
        for table, length in lengths.items():
            del self.rows[table][length:]
        frames = lengths["frames"]
        del self.annotations[frames:]
        del self.clouds[frames:]
        self.extras = {place: text for place, text in self.extras.items() if place[0] < frames}

    def relieve(self, table: str) -> None:
        """Build the batches of all rows if a table has many.

        Raises
        ------
        NotExactError
            As `batches`.
        """
        if len(self.rows[table]) < _MOST_ROWS:
            return
        lengths, batches, room = self.start
        if any(lengths.values()):  # rows before the mark stay, whatever happens to those after it
            later = self._taken(lengths)
            self._finish()
            self.rows, self.annotations, self.clouds, self.extras = later
            self.start = _NO_ROWS, batches + 1, room
        self._finish()

    def repeat(self, times: int, *names: str | None) -> None:
        """Take note of names that some rows repeat.

        Raises
        ------
        DecodeError
            It is too much.
        """
        self.room -= times * sum([_utf8(name) for name in names if name is not None])
        if self.room < 0:
            raise DecodeError(
                "Expected names that rows can repeat, got so long ones of a sample, labelset, sensor, category, "
                f"dataset or document that they would take more than {ROOM_A_BYTE} times the JSON: shorten them"
            )

    def repeat_categories(self, groups: Sequence[Group]) -> None:
        """Take note of the names of the categories of annotations, as `repeat` does."""
        if self.long_names is None:
            found = {key: _utf8(name) for key, name in self.categories.items() if name is not None}
            self.long_names = {key: size for key, size in found.items() if size > _LONG}
        if self.long_names:
            for group in groups:
                ids = group.values("category_id")
                self.repeat(sum(self.long_names.get(key, 0) for key in ids), "x")

    def _finish(self) -> None:
        """Build the batches of all rows."""
        self.done.append(self._build())
        self._taken(_NO_ROWS)

    def _taken(
        self, lengths: Mapping[str, int]
    ) -> tuple[dict[str, list[tuple[Any, ...]]], list[list[Group]], list[bool], dict[tuple[int, int], str]]:
        """What comes after some rows of each table, which are left."""
        frames = lengths["frames"]
        rows = {table: rows[lengths[table] :] for table, rows in self.rows.items()}
        extras = {(place - frames, item): text for (place, item), text in self.extras.items() if place >= frames}
        later = rows, self.annotations[frames:], self.clouds[frames:], extras
        for table, length in lengths.items():
            del self.rows[table][length:]
        del self.annotations[frames:]
        del self.clouds[frames:]
        for place, item in extras:
            del self.extras[place + frames, item]
        return later

    def batches(self) -> list[Batches]:
        """Record batches of the wanted tables that have rows.

        Raises
        ------
        NotExactError
            `checked`, and the columns do not hold all that the documents hold.
        """
        last = self._build()
        return [*self.done, last] if last else self.done

    def _build(self) -> Batches:
        """Record batches of the rows that are not done."""
        built, checked = self.wanted.built, self.checked
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


def _utf8(name: str) -> int:
    """Bytes of a name, at most."""
    return len(name) if name.isascii() else 4 * len(name)


def _column(table: str, name: str, values: Sequence[Any], checked: bool) -> pa.Array:
    if (table, name) == ("frames", "point_annotations"):
        return ids_column(values)
    if (table, name) in _RAW_COLUMNS:
        return json_column([value if isinstance(value, Raw) else Raw(b"") for value in values])
    type_ = SCHEMAS[table].field(name).type
    if values[0] is None and values.count(None) == len(values):
        return nulls(len(values), type_)
    return floats(values, checked) if type_ == pa.float64() else pa.array(values, type_)


def joined(pieces: Iterable[Batches]) -> Iterator[Batches]:
    """Record batches of at least some rows."""
    few: list[Batches] = []
    rows = 0
    for piece in pieces:
        few.append(piece)
        rows += sum(batch.num_rows for batch in piece.values())
        if rows >= _LEAST_ROWS:
            yield _concatenated(few)
            few, rows = [], 0
    if few:
        yield _concatenated(few)


def _concatenated(pieces: list[Batches]) -> Batches:
    if len(pieces) == 1:
        return pieces[0]
    found = {table: [piece[table] for piece in pieces if table in piece] for table in SCHEMAS}
    return {table: pa.concat_batches(batches) for table, batches in found.items() if batches}
