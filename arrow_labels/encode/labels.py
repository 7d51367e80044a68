"""Tables -> label attributes, some labels at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Raw

from arrow_labels.encode.rows import (
    annotations_json,
    check_finite,
    check_json,
    frame_json,
    label_json,
    link_json,
    patched,
)
from arrow_labels.errors import SchemaError
from arrow_labels.schema import ANNOTATION_TABLES, FRAME_KEY, KEYS, LABEL_KEY
from arrow_labels.tables import LabelTables
from arrow_labels.wire import encode_json

_BATCH_ROWS = 100_000
"""Annotations that are objects at the same time, unless one label has more."""
_POINTS_A_ROW = 100
"""Point ids that weigh as much as one annotation."""
_LABEL_ROWS = 4
"""Annotations that weigh as much as a label around them."""
_MOST_EMPTY = 200_000
"""Frames and sensors of a label that have no row: each takes memory, and a single row with a large index makes many."""

Places = npt.NDArray[np.int64]


_EMPTY_FRAME = Raw(b'{"annotations":[]}')


class PlacedFrame(NamedTuple):
    """A frame, and where it stands."""

    sensor_index: int
    sensor: str | None
    frame_index: int
    json: Any


@dataclass
class OrderedLabels:
    """Labels in the order that they are written, their frames, links and annotations in the order of the labels.

    `places` says for each row of frames and links which label, and for each annotation which frame it belongs to.
    """

    labels: pl.DataFrame
    frames: pl.DataFrame
    links: pl.DataFrame
    annotations: dict[str, pa.Table]
    places: dict[str, Places]

    def batches(self) -> Iterator[range]:
        """Ranges of labels with a bounded number of annotations."""
        frame_counts = np.zeros(self.frames.height, np.int64)
        for table in ANNOTATION_TABLES:
            frame_counts += np.bincount(self.places[table], minlength=len(frame_counts))
        frame_counts += self.frames["point_annotations"].list.len().fill_null(0).to_numpy() // _POINTS_A_ROW
        counts = np.bincount(self.places["frames"], frame_counts + 1, self.labels.height) + _LABEL_ROWS
        counts += np.bincount(self.places["links"], minlength=self.labels.height)
        start, rows = 0, 0
        for place, count in enumerate(counts.tolist()):
            if rows and rows + count > _BATCH_ROWS:
                yield range(start, place)
                start, rows = place, 0
            rows += count
        if start < self.labels.height:
            yield range(start, self.labels.height)

    def encode(self, batch: range) -> Iterator[tuple[dict[str, Any], Any]]:
        """The `labels` row and the JSON of each label of a range."""
        first, last = span(self.places["frames"], batch)
        point_ids = self.frames["point_annotations"][first:last]
        if pc.list_flatten(point_ids.to_arrow()).null_count:
            raise SchemaError("Expected an id for each point, got null - in column `point_annotations` of `frames`")
        check_json("frames", self.frames[first:last], "image_attributes")
        frame_rows = self.frames[first:last].drop("point_annotations").iter_rows(named=True)
        frames: list[list[PlacedFrame]] = [[] for _ in batch]
        by_frame = self._annotations(range(first, last))
        for row, label, items, ids in zip(
            frame_rows, self.places["frames"][first:last], by_frame, point_ids, strict=True
        ):
            frame = frame_json(row, items, ids)
            index = row["frame_index"]
            # Text takes less memory than objects. What is no sequence may have a frame 0 that more is added to.
            text = Raw(encode_json(frame)) if index else frame
            frames[label - batch.start].append(PlacedFrame(row["sensor_index"], row["sensor"], index, text))
        links: list[list[Any]] = [[] for _ in batch]
        first, last = span(self.places["links"], batch)
        check_json("links", self.links[first:last], "attributes", "frames")
        link_rows = self.links[first:last].iter_rows(named=True)
        for row, label in zip(link_rows, self.places["links"][first:last], strict=True):
            links[label - batch.start].append(Raw(encode_json(link_json(row))))
        check_finite("labels", self.labels[batch.start : batch.stop])
        rows = self.labels[batch.start : batch.stop].to_dicts()
        for row, label_frames, label_links in zip(rows, frames, links, strict=True):
            yield row, label_json(row, attributes_json(row, label_frames, label_links))

    def _annotations(self, frames: range) -> Iterator[list[Any]]:
        """The annotations of each frame of a range, of all kinds, in order."""
        items: list[Any] = []
        owners, indices = [], []
        for table in ANNOTATION_TABLES:
            first, last = span(self.places[table], frames)
            if first == last:
                continue
            rows = polars_frame(self.annotations[table].slice(first, last - first))
            items += annotations_json(table, rows)
            owners.append(self.places[table][first:last] - frames.start)
            indices.append(rows["annotation_index"].to_numpy())
        if not items:
            yield from ([] for _ in frames)
            return
        owner = np.concatenate(owners)
        if len(owners) > 1:
            order = np.lexsort((np.concatenate(indices), owner))
            items = [items[place] for place in order.tolist()]
        start = 0
        for end in np.cumsum(np.bincount(owner, minlength=len(frames))):
            yield items[start:end]
            start = end


def attributes_json(row: dict[str, Any], frames: list[PlacedFrame], links: list[Any]) -> Any:
    """Label attributes of a `labels` row, its frames and its links; None for a label without any."""
    own: dict[int, list[PlacedFrame]] = {}
    for frame in frames:
        own.setdefault(frame.sensor_index, []).append(frame)
    _check_places(row, own)
    sensors = row["sensors"] or _implied_sensors(frames)
    attributes: dict[str, Any] = {}
    if sensors:
        attributes["sensors"] = [_sensor_json(sensor, own.get(index, [])) for index, sensor in enumerate(sensors)]
    elif row["frame_count"] is not None or (frames and frames[-1].frame_index > 0):
        attributes["frames"] = _sequence(row["frame_count"], frames)
    elif frames:
        attributes = frames[0].json
    elif not links and row["format_version"] is None:
        return None
    if row["format_version"] is not None:
        attributes.setdefault("format_version", row["format_version"])
    if links:
        attributes["links"] = links
    return attributes


def _check_places(row: dict[str, Any], own: dict[int, list[PlacedFrame]]) -> None:
    """Check that the frames of each sensor have a place in a label, and that few rows do not make a large one."""
    where = f"of labelset {row['labelset']!r} of sample {row['sample_id']!r}"
    sensors = row["sensors"]
    if sensors and own and max(own) >= len(sensors):
        raise SchemaError(f"Expected a `sensor_index` below {len(sensors)}, got {max(own)} - {where}")
    stated = sensors or ([row] if row["frame_count"] is not None else [])
    lengths = {index: max(0, item["frame_count"] or 0) for index, item in enumerate(stated)}
    for index, frames in own.items():
        lengths[index] = max(lengths.get(index, 0), frames[-1].frame_index + 1)
    empty = sum(lengths.values()) - sum(map(len, own.values())) + max(lengths, default=-1) + 1 - len(lengths)
    if empty > _MOST_EMPTY:
        raise SchemaError(
            f"Expected at most {_MOST_EMPTY:,} frames and sensors without a row, got {empty:,} - {where}: look for a "
            "large `frame_index`, `sensor_index` or `frame_count`, or give them rows in `frames`"
        )


def _implied_sensors(frames: list[PlacedFrame]) -> list[dict[str, Any]]:
    """The sensors that frames name, for a label that has no row to say so."""
    names = {frame.sensor_index: frame.sensor for frame in frames}
    if set(names) <= {0} and names.get(0) is None:
        return []
    empty = {"task_type": None, "format_version": None, "frame_count": None, "extra": None}
    return [{"name": names.get(index), **empty} for index in range(max(names) + 1)]


def _sensor_json(sensor: dict[str, Any], own: list[PlacedFrame]) -> Any:
    result = {name: sensor[name] for name in ("name", "task_type") if sensor[name] is not None}
    if sensor["frame_count"] is not None or (own and own[-1].frame_index > 0):
        result["attributes"] = {"frames": _sequence(sensor["frame_count"], own)}
        if sensor["format_version"] is not None:
            result["attributes"]["format_version"] = sensor["format_version"]
    elif own:
        result["attributes"] = own[0].json
    return patched(result, sensor["extra"])


def _sequence(count: int | None, frames: list[PlacedFrame]) -> list[Any]:
    """Frames in their places; a frame without a row is one without annotations."""
    length = max(count or 0, frames[-1].frame_index + 1 if frames else 0)
    result: list[Any] = [_EMPTY_FRAME] * length
    for frame in frames:
        result[frame.frame_index] = frame.json
    return result


def ordered_labels(tables: LabelTables, sample_places: pl.DataFrame | None = None) -> OrderedLabels:
    """Labels in the order of their rows, or of their samples.

    Parameters
    ----------
    tables : LabelTables
        The tables, in any order.
    sample_places : pl.DataFrame, optional
        `sample_id` and `sample`, its place: labels of other samples are left out.

    Raises
    ------
    SchemaError
        A key is null, or two rows have the same key.
    """
    labels = table_frame(tables, "labels")
    frames = table_frame(tables, "frames")
    links = table_frame(tables, "links")
    keys = {table: _keys(tables, table) for table in ANNOTATION_TABLES}
    frames = _complete(frames, [rows.drop("annotation_index") for rows in keys.values()], FRAME_KEY)
    labels = _complete(labels, [frames.select(LABEL_KEY), links.select(LABEL_KEY)], LABEL_KEY)
    if sample_places is not None:
        labels = labels.join(sample_places, on="sample_id", how="inner", maintain_order="left").sort(
            "sample", maintain_order=True
        )
    label_keys = labels.select(LABEL_KEY).with_row_index("place")
    frames, frame_places = place_rows(frames, label_keys, LABEL_KEY, ("sensor_index", "frame_index"))
    links, link_places = place_rows(links, label_keys, LABEL_KEY, ("link_index",))
    places = {"frames": frame_places, "links": link_places}
    frame_keys = frames.select(FRAME_KEY).with_row_index("place")
    annotations = {}
    for table in ANNOTATION_TABLES:
        found = _places(keys[table], frame_keys, FRAME_KEY)
        order = np.lexsort((keys[table]["annotation_index"].to_numpy(), found))
        order = order[np.searchsorted(found[order], 0) :]
        _check_repeated(table, keys[table], order, found)
        annotations[table] = tables[table]
        if len(order) != len(found) or (np.diff(order) != 1).any():
            annotations[table] = tables[table].take(order)
        places[table] = found[order]
    return OrderedLabels(labels, frames, links, annotations, places)


def polars_frame(table: pa.Table) -> pl.DataFrame:
    """A table as a Polars frame, without a copy."""
    return cast(pl.DataFrame, pl.from_arrow(table))


def table_frame(tables: LabelTables, table: str) -> pl.DataFrame:
    """A table as a Polars frame, its keys checked."""
    frame = polars_frame(tables[table])
    keys = frame.select(KEYS[table])
    _check_keys(table, keys)
    repeated = keys.is_duplicated()
    if repeated.any():
        raise _repeated(table, keys.row(int(repeated.arg_max() or 0), named=True))
    return frame


def _keys(tables: LabelTables, table: str) -> pl.DataFrame:
    frame = polars_frame(tables[table].select([*KEYS[table], "sensor", "timestamp"]))
    _check_keys(table, frame.select(KEYS[table]))
    return frame


def _check_keys(table: str, keys: pl.DataFrame) -> None:
    for column in keys:
        if column.null_count():
            raise SchemaError(f"Expected a key, got null - in column `{column.name}` of table `{table}`")
        if column.name in ("sensor_index", "frame_index") and (column < 0).any():
            found = column.filter(column < 0)[0]
            raise SchemaError(f"Expected a place from 0, got {found} - in column `{column.name}` of table `{table}`")


def _check_repeated(table: str, keys: pl.DataFrame, order: Places, frames: Places) -> None:
    """Check that no two annotations, in order, have the same frame and index."""
    index = keys["annotation_index"].to_numpy()[order]
    same = np.flatnonzero((np.diff(frames[order]) == 0) & (np.diff(index) == 0))
    if len(same):
        raise _repeated(table, keys.select(KEYS[table]).row(int(order[same[0]]), named=True))


def _repeated(table: str, key: dict[str, Any]) -> SchemaError:
    return SchemaError(f"Expected each key once, got {key} more than once - in table `{table}`")


def _complete(rows: pl.DataFrame, naming: list[pl.DataFrame], key: tuple[str, ...]) -> pl.DataFrame:
    """`rows` and, for each key that other rows name but that has none, one with what they say."""
    missing = [named.join(rows, on=key, how="anti", maintain_order="left") for named in naming]
    return pl.concat([rows, pl.concat(missing).unique(key, keep="first", maintain_order=True)], how="diagonal")


def _places(rows: pl.DataFrame, keys: pl.DataFrame, key: tuple[str, ...]) -> Places:
    """For each row the place of its key; -1 where the key is left out."""
    joined = rows.select(key).join(keys, on=key, how="left", maintain_order="left")
    return joined["place"].cast(pl.Int64).fill_null(-1).to_numpy()


def place_rows(
    rows: pl.DataFrame, keys: pl.DataFrame, key: tuple[str, ...], within: tuple[str, ...]
) -> tuple[pl.DataFrame, Places]:
    """Rows in the order of the places of their keys, then of the columns `within`; rows that are left out dropped."""
    places = _places(rows, keys, key)
    if _are_ordered([places, *(rows[name].to_numpy() for name in within)]):
        return rows, places
    rows = rows.with_columns(pl.Series("place", places)).filter(pl.col("place") >= 0)
    rows = rows.sort("place", *within, maintain_order=True)
    return rows.drop("place"), rows["place"].to_numpy()


def _are_ordered(keys: list[npt.NDArray[Any]]) -> bool:
    """Whether rows are in the order of their places, all of which there are, and further keys: a copy less."""
    if not len(keys[0]) or keys[0][0] < 0:
        return False
    same = np.ones(len(keys[0]) - 1, np.bool_)
    for key in keys:
        if (same & (key[1:] < key[:-1])).any():
            return False
        same &= key[1:] == key[:-1]
    return True


def span(places: Places, wanted: range) -> tuple[int, int]:
    """Where the rows of a range of places start and end."""
    first, last = np.searchsorted(places, [wanted.start, wanted.stop])
    return int(first), int(last)
