"""Tables -> samples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import polars as pl
from msgspec import Raw

from arrow_labels.decode.samples import nest
from arrow_labels.decode.values import time_text
from arrow_labels.encode.labels import Places, place_rows, polars_frame, span, table_frame
from arrow_labels.encode.rows import check_finite, check_json, patched, raw
from arrow_labels.errors import SchemaError
from arrow_labels.tables import LabelTables
from arrow_labels.wire import encode_json

_XYZ = ("x", "y", "z")
_XYZW = ("qx", "qy", "qz", "qw")


Row = dict[str, Any]


@dataclass
class OrderedSamples:
    """Samples in the order that they are written; a sample that only labels name has a row with only its id.

    `places` says for each row of frames and cameras which sample it belongs to.
    """

    rows: pl.DataFrame
    frames: pl.DataFrame
    cameras: pl.DataFrame
    places: dict[str, Places]

    def encode(self, first: int, last: int, labels: dict[str, Any]) -> Iterator[Any]:
        """The samples from `first` up to and with `last`, the labels in the last one."""
        for place in range(first, min(last + 1, self.rows.height)):
            start, end = span(self.places["frames"], range(place, place + 1))
            frames = self.frames[start:end].iter_rows(named=True)
            start, end = span(self.places["cameras"], range(place, place + 1))
            cameras: dict[tuple[int, int], list[Raw]] = {}
            for row in self.cameras[start:end].iter_rows(named=True):
                text = Raw(encode_json(_camera(row)))
                cameras.setdefault((row["sensor_index"], row["frame_index"]), []).append(text)
            own: dict[int, list[Any]] = {}
            for row in frames:
                of_sensor = own.setdefault(row["sensor_index"], [])
                frame = _frame(row, cameras)
                # Text takes less memory than objects. What is no sequence has one frame that more may be added to.
                of_sensor.append(Raw(encode_json(frame)) if of_sensor else frame)
            _check_places(self.rows.row(place, named=True), own, cameras)
            yield _sample(self.rows.row(place, named=True), own, labels if place == last else {})


def _check_places(row: Row, own: dict[int, list[Any]], cameras: dict[tuple[int, int], list[Raw]]) -> None:
    """Check that every frame has its place in a sample, and that no camera is left that no frame has taken."""
    sensors = row["sensors"]
    if sensors and own and max(own) >= len(sensors):
        raise SchemaError(
            f"Expected a `sensor_index` below {len(sensors)}, got {max(own)} - in table `sample_frames`, of sample "
            f"{row['sample_id']!r}"
        )
    for sensor_index, frame_index in cameras:
        raise SchemaError(
            f"Expected a row of `sample_frames` for each frame with cameras, got none of frame {frame_index} of sensor "
            f"{sensor_index} - of sample {row['sample_id']!r}"
        )


def _sample(row: Row, frames: dict[int, list[Any]], labels: dict[str, Any]) -> Any:
    sample = {
        "uuid": row["sample_id"],
        "name": row["name"],
        "attributes": _attributes(row, frames),
        "metadata": raw(row["metadata"]),
        "created_at": None if row["created_at"] is None else time_text(row["created_at"]),
        "created_by": row["created_by"],
        "priority": row["priority"],
        "readme": row["readme"],
    }
    sample = {name: value for name, value in sample.items() if value is not None}
    sample["labels"] = labels
    return patched(sample, row["extra"])


def _attributes(row: Row, frames: dict[int, list[Any]]) -> Any:
    """The attributes of a sample of its frames by sensor."""
    if row["sensors"]:
        return {"sensors": [_sensor(sensor, frames.get(index, [])) for index, sensor in enumerate(row["sensors"])]}
    every = list(chain.from_iterable(frames.values()))
    if row["frame_count"] is not None or len(every) > 1:
        return {"frames": every}
    return every[0] if every else None


def _sensor(sensor: Row, own: list[Any]) -> Any:
    result = {name: sensor[name] for name in ("name", "task_type") if sensor[name] is not None}
    if sensor["frame_count"] is not None:
        result["attributes"] = {"frames": own}
    elif own:
        result["attributes"] = own[0]
    if sensor["format_version"] is not None:
        result.setdefault("attributes", {})["format_version"] = sensor["format_version"]
    return patched(result, sensor["extra"])


def _frame(row: Row, cameras: dict[tuple[int, int], list[Raw]]) -> Any:
    frame = nest(
        {
            ("image", "url"): row["image_url"],
            ("pcd", "url"): row["pcd_url"],
            ("pcd", "type"): row["pcd_type"],
            **{("ego_pose", "position", name): row[f"ego_{name}"] for name in _XYZ},
            **{("ego_pose", "heading", name): row[f"ego_{name}"] for name in _XYZW},
            ("default_z",): row["default_z"],
            ("name",): row["name"],
            ("timestamp",): row["timestamp"],
        }
    )
    own = cameras.pop((row["sensor_index"], row["frame_index"]), None)
    if own:
        frame["images"] = own
    return patched(frame, row["extra"])


def _camera(row: dict[str, Any]) -> Any:
    matrix = row["intrinsics"]
    camera = nest(
        {
            **{(name,): row[name] for name in ("url", "name", "row", "col", "camera_convention", "rotation")},
            ("intrinsics", "intrinsic_matrix"): matrix and [matrix[:3], matrix[3:6], matrix[6:]],
            **{("extrinsics", "translation", name): row[f"t{name}"] for name in _XYZ},
            **{("extrinsics", "rotation", name): row[name] for name in _XYZW},
            ("distortion", "model"): row["distortion_model"],
            ("distortion", "coefficients"): raw(row["distortion"]),
        }
    )
    return patched(camera, row["extra"])


def ordered_samples(tables: LabelTables, samples: pl.DataFrame) -> OrderedSamples:
    """Samples by their index, then those that only labels name.

    Parameters
    ----------
    tables : LabelTables
        All tables.
    samples : pl.DataFrame
        The rows of `samples` to write.

    Raises
    ------
    SchemaError
        As `ordered_labels`; a number or a text that JSON cannot hold.
    """
    rows = samples.sort("sample_index", maintain_order=True)
    if samples.height == tables.samples.num_rows:
        named = [polars_frame(tables[table].select(["sample_id"])) for table in _NAMING]
        only = pl.concat([rows.unique(maintain_order=True) for rows in named]).unique(maintain_order=True)
        rows = pl.concat([rows, only.join(rows, on="sample_id", how="anti", maintain_order="left")], how="diagonal")
    keys = rows.select("sample_id").with_row_index("place")
    within = ("sensor_index", "frame_index")
    frames, frame_places = place_rows(table_frame(tables, "sample_frames"), keys, ("sample_id",), within)
    cameras, camera_places = place_rows(table_frame(tables, "cameras"), keys, ("sample_id",), (*within, "camera_index"))
    for table, found in (("samples", rows), ("sample_frames", frames), ("cameras", cameras)):
        check_finite(table, found)
    check_json("samples", rows, "metadata")
    check_json("cameras", cameras, "distortion")
    return OrderedSamples(rows, frames, cameras, {"frames": frame_places, "cameras": camera_places})


_NAMING = ("labels", "frames", "segments", "vectors", "cuboids", "links")
