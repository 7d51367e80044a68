"""The tables as the rules see them: numbers in place of keys, and what several rules need made once.

A frame of a label is one number, so that nothing that goes over all annotations compares text. The rows of `places` say
what a number stands for, in order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import polars as pl

from arrow_labels.checks.definitions import Definitions, read_definitions
from arrow_labels.checks.documents import documented, missing_values, values
from arrow_labels.checks.outlines import measures
from arrow_labels.checks.places import SENSOR, numbered, spaces, with_numbers
from arrow_labels.checks.sizes import SAMPLE_FRAME, cloud_sizes, image_sizes
from arrow_labels.schema import ANNOTATION_TABLES, FRAME_KEY, LABEL_KEY
from arrow_labels.tables import LabelTables

_ROW: Final = (
    *("annotation_index", "id", "track_id", "category_id", "type", "is_keyframe", "index", "attributes", "timestamp"),
)
_OWNER: Final = ("dataset", "dataset_no", "space")
_TEXTS: Final = ("attributes", "extra", "sensor", "category", "sample_id", "labelset")
_OBJECT: Final = ("sensor_no", "track", "frame_index")


@dataclass(frozen=True)
class Rows:
    """The tables of a call, and what was made of them so far."""

    tables: LabelTables

    def table(self, name: str, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """A table, or some of its columns, as Polars."""
        table = self.tables[name]
        return pl.DataFrame(pl.from_arrow(table if columns is None else table.select(list(columns))))

    @cached_property
    def definitions(self) -> Definitions:
        """What the releases define."""
        return read_definitions(self.tables)

    @cached_property
    def datasets(self) -> pl.DataFrame:
        """`sample_id`, `dataset` and `dataset_no` of each sample of a release that defines categories."""
        known = self.definitions.categories.select("dataset").unique(maintain_order=True).with_row_index("dataset_no")
        samples = self.table("samples", ["sample_id", "dataset"]).unique("sample_id", keep="first")
        return samples.join(known, on="dataset", how="inner", nulls_equal=True, maintain_order="left")

    @cached_property
    def _numbered(self) -> tuple[pl.DataFrame, dict[str, pl.Series]]:
        return numbered({name: self.table(name, FRAME_KEY) for name in (*ANNOTATION_TABLES, "frames")})

    @cached_property
    def places(self) -> pl.DataFrame:
        """One row a frame of a label: `frame` and its key, and what is the same for all annotations of the frame.

        `label_no`, `sensor_no`; `dataset` and `dataset_no`, where its release defines categories, and whether it does,
        `defined`; the frame's time in the sample, `sample_timestamp`; and `space`, "2D" or "3D".
        """
        times = self.table("sample_frames", [*SAMPLE_FRAME, "timestamp"]).unique(SAMPLE_FRAME, keep="first")
        return (
            with_numbers(self._numbered[0])
            .join(self.datasets, on="sample_id", how="left", maintain_order="left")
            .join(times, on=SAMPLE_FRAME, how="left", maintain_order="left")
            .rename({"timestamp": "sample_timestamp"})
            .join(spaces(self.table("labels", [*LABEL_KEY, "sensors"])), on=SENSOR, how="left", maintain_order="left")
            .with_columns(pl.col("dataset_no").is_not_null().alias("defined"))
        )

    def at(self, *columns: str) -> list[pl.Expr]:
        """Columns of the places, for rows that have `frame`."""
        return [pl.lit(self.places[name]).gather(pl.col("frame")).alias(name) for name in columns]

    def _block(self, name: str, columns: Sequence[str]) -> pl.DataFrame:
        _, numbers = self._numbered
        return self.table(name, columns).with_columns(
            numbers[name],
            track=pl.coalesce("track_id", "id"),
            pixel=pl.coalesce("id", "track_id"),
        )

    @cached_property
    def annotations(self) -> pl.DataFrame:
        """All annotations: `frame`, `table`, `track` (what names the object), `pixel` (what a pixel holds), columns."""
        blocks = [
            self._block(name, _ROW).with_columns(table=pl.lit(place, pl.UInt8))
            for place, name in enumerate(ANNOTATION_TABLES)
        ]
        return pl.concat(blocks, rechunk=False)

    @cached_property
    def tracks(self) -> pl.DataFrame:
        """The annotations of all tracks of sequences, in the order of sensor, track and frame."""
        columns = ("frame", "annotation_index", "track", "category_id", "is_keyframe")
        rows = self.annotations.select(columns).with_columns(self.at("sensor_no", "frame_index"))
        return rows.filter(pl.col("track").is_not_null()).sort(*_OBJECT, "annotation_index", maintain_order=True)

    @cached_property
    def cuboids(self) -> pl.DataFrame:
        """The table, with `frame` and `track`; without the text that no rule about cuboids reads."""
        names = self.tables.cuboids.column_names
        return self._block("cuboids", [name for name in names if name not in ("attributes", "extra", "sensor")])

    @cached_property
    def cuboid_tracks(self) -> pl.DataFrame:
        """Cuboids in the order of sensor, track and frame, with `time`: their timestamp, else that of the sample."""
        rows = self.cuboids.drop(*LABEL_KEY, "category", "type").with_columns(
            *self.at("sensor_no"),
            time=pl.coalesce("timestamp", *self.at("sample_timestamp")),
        )
        return rows.filter(pl.col("track").is_not_null()).sort(*_OBJECT, "annotation_index", maintain_order=True)

    @cached_property
    def vectors(self) -> pl.DataFrame:
        """The vectors with what their points measure, see `outlines.measures`; without the points."""
        rows = self._block("vectors", ["annotation_index", "id", "track_id", "type", "points"])
        return rows.drop("points").hstack(measures(rows["points"], rows["type"]))

    @cached_property
    def segments(self) -> pl.DataFrame:
        """The segments, without their run lengths."""
        return self._block("segments", ["annotation_index", "id", "track_id", "point_count"])

    def moving(self, table: str) -> pl.DataFrame | None:
        """The tracks of a table that have rows between keyframes, with numbers as keys; None if there are none."""
        block = self._block(table, [name for name in self.tables[table].column_names if name not in _TEXTS])
        times = pl.coalesce("timestamp", *self.at("sample_timestamp"))
        block = block.with_columns(*self.at("sensor_no"), timestamp=times).filter(pl.col("track").is_not_null())
        limits = self.keyframe_limits.filter("interpolated").select("sensor_no", "track", "first", "last")
        if limits.is_empty():
            return None
        block = block.join(limits, on=_OBJECT[:2], how="inner", maintain_order="left")
        nothing = pl.lit(None, pl.String)
        return (
            block.filter(pl.col("frame_index").is_between("first", "last"))
            .drop("sensor_index", "track_id", "id", "pixel", "category_id", "index", "frame", "first", "last")
            .rename({"sensor_no": "sensor_index", "track": "track_id"})
            .with_columns(nothing.alias("sample_id"), nothing.alias("labelset"))
        )

    @cached_property
    def keyframe_limits(self) -> pl.DataFrame:
        """The `first` and `last` keyframe of each track, null without one; its first and last row, `start`, `stop`.

        And whether it has rows that are `interpolated`.
        """
        frame, is_set = pl.col("frame_index"), pl.col("is_keyframe").fill_null(True)
        at_keyframe = pl.when(is_set).then(frame)
        return (
            self.tracks.lazy()
            .group_by("sensor_no", "track")
            .agg(
                start=frame.min(),
                stop=frame.max(),
                first=at_keyframe.min(),
                last=at_keyframe.max(),
                interpolated=is_set.all().not_(),
            )
            .collect()
        )

    @cached_property
    def track_categories(self) -> pl.DataFrame:
        """Each track of each label: the label's key, `track`, `category_id` where it is first, and its dataset."""
        first = self.annotations.filter(pl.col("track").is_not_null()).with_columns(self.at("label_no"))
        first = first.unique(["label_no", "track"], keep="first", maintain_order=True)
        return first.select("track", "category_id", *self.at(*LABEL_KEY, "dataset", "dataset_no", "defined"))

    @cached_property
    def categories_used(self) -> pl.DataFrame:
        """The categories that annotations of each release have: `dataset`, `dataset_no`, `category_id`."""
        used = self.tables.annotations.select("sample_id", "category_id").unique().collect()
        return (
            used.join(self.datasets, on="sample_id", how="inner")
            .select("dataset", "dataset_no", "category_id")
            .unique()
        )

    @cached_property
    def frame_sizes(self) -> pl.DataFrame:
        """Frames with point ids: `frame`, their key, and how many `points` have one."""
        _, numbers = self._numbered
        ids = pl.col("point_annotations")
        frames = self.table("frames", [*FRAME_KEY, "point_annotations"]).with_columns(numbers["frames"])
        return frames.filter(ids.list.len() > 0).select(
            "frame", *FRAME_KEY, ids.list.len().cast(pl.Int64).alias("points")
        )

    @cached_property
    def point_ids(self) -> pl.DataFrame:
        """The ids of the points of each frame: `frame` and `pixel`."""
        _, numbers = self._numbered
        ids = self.table("frames", ["point_annotations"]).with_columns(numbers["frames"])
        distinct = ids.select("frame", pl.col("point_annotations").list.unique().alias("pixel"))
        distinct = distinct.filter(pl.col("pixel").list.len() > 0).explode("pixel")
        return distinct.with_columns(pl.col("pixel").cast(pl.Int64))

    @cached_property
    def cloud_sizes(self) -> pl.DataFrame:
        """See `sizes.cloud_sizes`."""
        return cloud_sizes(self.table("sample_frames", [*SAMPLE_FRAME, "extra"]))

    @cached_property
    def image_sizes(self) -> pl.DataFrame:
        """`frame`, `width` and `height` in pixels of the frames whose image has a size that is known."""
        images = self.table("sample_frames", [*SAMPLE_FRAME, "image_url", "extra"])
        known = image_sizes(images, self.table("segments", [*SAMPLE_FRAME, "rle"]))
        return self.places.join(known, on=SAMPLE_FRAME, how="inner").select("frame", "width", "height")

    @cached_property
    def _documented(self) -> tuple[pl.DataFrame, dict[str, pl.DataFrame]]:
        """The distinct attributes of all annotations, frames and links, and which rows have them."""
        known = self.definitions.categories.select("dataset", "category_id")
        annotations = self.annotations.select(
            "frame", "annotation_index", "track", "category_id", pl.col("attributes").alias("text"), *self.at(*_OWNER)
        ).join(known, on=["dataset", "category_id"], how="semi", nulls_equal=True, maintain_order="left")
        frames = self.table("frames", ["image_attributes"]).with_columns(self._numbered[1]["frames"])
        frames = frames.select("frame", pl.col("image_attributes").alias("text"), *self.at(*_OWNER))
        links = self.table("links", [*LABEL_KEY, "from_id", "attributes"]).join(
            self.track_categories,
            left_on=[*LABEL_KEY, "from_id"],
            right_on=[*LABEL_KEY, "track"],
            how="inner",
            maintain_order="left",
        )
        links = links.rename({"from_id": "track", "attributes": "text"})
        parts = {"object": annotations, "image": frames, "link": links}
        return documented({scope: part.filter(pl.col("dataset_no").is_not_null()) for scope, part in parts.items()})

    @cached_property
    def annotation_documents(self) -> pl.DataFrame:
        """`frame`, `annotation_index`, `track` and `document` of annotations whose category is defined."""
        return self._documented[1]["object"]

    @cached_property
    def frame_documents(self) -> pl.DataFrame:
        """`frame` and `document` of the frames of labels."""
        return self._documented[1]["image"]

    @cached_property
    def link_documents(self) -> pl.DataFrame:
        """The key of the label, `track` and `document` of links."""
        return self._documented[1]["link"]

    @cached_property
    def _attributes(self) -> pl.DataFrame:
        names = self.datasets.select("dataset", "dataset_no").unique()
        return self.definitions.attributes.join(
            names, on="dataset", how="inner", nulls_equal=True, maintain_order="left"
        )

    @cached_property
    def values(self) -> pl.DataFrame:
        """See `documents.values`."""
        return values(self._documented[0], self._attributes)

    @cached_property
    def missing_values(self) -> pl.DataFrame:
        """See `documents.missing_values`."""
        return missing_values(self._documented[0], self.values, self._attributes)


def same_object(rows: int = 1) -> pl.Expr:
    """Whether the row so many rows before is of the same object, of rows in the order of `Rows.tracks`."""
    same = [pl.col(name) == pl.col(name).shift(rows) for name in _OBJECT[:2]]
    return pl.all_horizontal(same).fill_null(False)
