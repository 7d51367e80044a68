"""Tables -> samples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import polars as pl

from arrow_labels.decode.values import time_text
from arrow_labels.encode.rows import nest, patched, raw
from arrow_labels.tables import LabelTables

_XYZ = ("x", "y", "z")
_XYZW = ("qx", "qy", "qz", "qw")


@dataclass
class OrderedSamples:
    """Samples in the order that they are written; a sample that only labels name has a row with only its id."""

    rows: pl.DataFrame
    frames: dict[str, list[dict[str, Any]]]
    cameras: dict[tuple[str, int, int], list[dict[str, Any]]]

    @property
    def places(self) -> pl.DataFrame:
        """`sample_id` and `sample`, its place."""
        return self.rows.select("sample_id").with_row_index("sample")

    def encode(self, first: int, last: int, labels: dict[str, Any]) -> Iterator[Any]:
        """The samples from `first` up to and with `last`, the labels in the last one."""
        for row in self.rows[first : last + 1].to_dicts():
            first += 1
            yield self._sample(row, labels if first == last + 1 else {})

    def _sample(self, row: dict[str, Any], labels: dict[str, Any]) -> Any:
        sample = {
            "uuid": row["sample_id"],
            "name": row["name"],
            "attributes": self._attributes(row),
            "metadata": raw(row["metadata"]),
            "created_at": None if row["created_at"] is None else time_text(row["created_at"]),
            "created_by": row["created_by"],
            "priority": row["priority"],
            "readme": row["readme"],
        }
        sample = {name: value for name, value in sample.items() if value is not None}
        sample["labels"] = labels
        return patched(sample, row["extra"])

    def _attributes(self, row: dict[str, Any]) -> Any:
        frames = self.frames.get(row["sample_id"], [])
        if row["sensors"]:
            return {"sensors": [self._sensor(sensor, index, frames) for index, sensor in enumerate(row["sensors"])]}
        if row["frame_count"] is not None:
            return {"frames": [self._frame(frame) for frame in frames]}
        return self._frame(frames[0]) if frames else None

    def _sensor(self, sensor: dict[str, Any], index: int, frames: list[dict[str, Any]]) -> Any:
        own = [self._frame(frame) for frame in frames if frame["sensor_index"] == index]
        result = {name: sensor[name] for name in ("name", "task_type") if sensor[name] is not None}
        if sensor["frame_count"] is not None:
            result["attributes"] = {"frames": own}
        elif own:
            result["attributes"] = own[0]
        if sensor["format_version"] is not None:
            result.setdefault("attributes", {})["format_version"] = sensor["format_version"]
        return patched(result, sensor["extra"])

    def _frame(self, row: dict[str, Any]) -> Any:
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
        cameras = self.cameras.get((row["sample_id"], row["sensor_index"], row["frame_index"]))
        if cameras:
            frame["images"] = [_camera(camera) for camera in cameras]
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
    """
    rows = samples.sort("sample_index", maintain_order=True)
    if samples.height == tables.samples.num_rows:
        named = [pl.from_arrow(tables[table].select(["sample_id"])) for table in _NAMING]
        only = pl.concat([frame for frame in named if isinstance(frame, pl.DataFrame)]).unique(maintain_order=True)
        rows = pl.concat([rows, only.join(rows, on="sample_id", how="anti", maintain_order="left")], how="diagonal")
    frames: dict[str, list[dict[str, Any]]] = {}
    for row in _sorted(tables, "sample_frames"):
        frames.setdefault(row["sample_id"], []).append(row)
    cameras: dict[tuple[str, int, int], list[dict[str, Any]]] = {}
    for row in _sorted(tables, "cameras"):
        cameras.setdefault((row["sample_id"], row["sensor_index"], row["frame_index"]), []).append(row)
    return OrderedSamples(rows, frames, cameras)


_NAMING = ("labels", "frames", "segments", "vectors", "cuboids", "links")


def _sorted(tables: LabelTables, table: str) -> list[dict[str, Any]]:
    frame = pl.from_arrow(tables[table])
    assert isinstance(frame, pl.DataFrame)
    order = [name for name in ("sensor_index", "frame_index", "camera_index") if name in frame.columns]
    return frame.sort(order, maintain_order=True).to_dicts()
