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
from arrow_labels.checks.documents import KEY, documents, missing_values, values
from arrow_labels.checks.outlines import measures
from arrow_labels.expressions.json_values import members
from arrow_labels.schema import ANNOTATION_TABLES, FRAME_KEY, LABEL_KEY
from arrow_labels.tables import LabelTables

_ROW: Final = (
    *("annotation_index", "id", "track_id", "category_id", "type", "is_keyframe", "index", "attributes", "timestamp"),
)
_SENSOR_KEY: Final = (*LABEL_KEY, "sensor_index")
_SAMPLE_FRAME: Final = ("sample_id", "sensor_index", "frame_index")
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
        """The places, and the number of the place of each row of the annotation tables and of `frames`."""
        names = (*ANNOTATION_TABLES, "frames")
        runs, lengths = [], {}
        for name in names:
            keys = self.table(name, FRAME_KEY)
            # Rows of a frame stand together: one key is looked up for all of them.
            new = keys.select(
                pl.any_horizontal(pl.col(key).ne_missing(pl.col(key).shift(1)) for key in FRAME_KEY)
                | (pl.int_range(pl.len()) == 0)
            ).to_series()
            runs.append(keys.filter(new))
            lengths[name] = new.cum_sum().cast(pl.UInt32) - 1
        found = pl.concat(runs)
        places = found.unique(maintain_order=True).with_row_index("frame")
        numbers = found.join(places, on=FRAME_KEY, how="left", nulls_equal=True, maintain_order="left")["frame"]
        done, made = 0, {}
        for name, run in zip(names, runs, strict=True):
            made[name] = numbers.slice(done, run.height).gather(lengths[name]).alias("frame")
            done += run.height
        return places, made

    @cached_property
    def places(self) -> pl.DataFrame:
        """One row a frame of a label: `frame` and its key, and what is the same for all annotations of the frame.

        `label_no`, `sensor_no`; `dataset` and `dataset_no`, where its release defines categories, and whether it does,
        `defined`; the frame's time in the sample, `sample_timestamp`; and `space`, "2D" or "3D".
        """
        places, _ = self._numbered
        for name, key in (("label_no", LABEL_KEY), ("sensor_no", _SENSOR_KEY)):
            numbers = places.select(key).unique(maintain_order=True).with_row_index(name)
            places = places.join(numbers, on=key, how="left", nulls_equal=True, maintain_order="left")
        sample = ["sample_id", "sensor_index", "frame_index"]
        times = self.table("sample_frames", [*sample, "timestamp"]).unique(sample, keep="first")
        return (
            places.join(self.datasets, on="sample_id", how="left", maintain_order="left")
            .join(times, on=sample, how="left", maintain_order="left")
            .rename({"timestamp": "sample_timestamp"})
            .join(self._spaces(), on=_SENSOR_KEY, how="left", maintain_order="left")
            .with_columns(pl.col("dataset_no").is_not_null().alias("defined"))
        )

    def _spaces(self) -> pl.DataFrame:
        """Whether the sensors of labels see in "2D" or in "3D", where the label says so."""
        sensors = self.table("labels", [*LABEL_KEY, "sensors"]).unique(LABEL_KEY, keep="first")
        sensors = sensors.with_columns(
            pl.int_ranges(pl.col("sensors").list.len(), dtype=pl.Int32).alias("sensor_index")
        )
        sensors = sensors.filter(pl.col("sensors").list.len() > 0).explode("sensors", "sensor_index")
        task = pl.col("sensors").struct.field("task_type")
        in_space = (
            pl.when(task.str.starts_with("pointcloud")).then(pl.lit("3D")).when(task.is_not_null()).then(pl.lit("2D"))
        )
        return sensors.select(*_SENSOR_KEY, in_space.alias("space"))

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
        return rows.filter(pl.col("track").is_not_null()).sort(_OBJECT, maintain_order=True)

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
        return rows.filter(pl.col("track").is_not_null()).sort(_OBJECT, maintain_order=True)

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
        block = block.with_columns(self.at("sensor_no")).filter(pl.col("track").is_not_null())
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
        """The `first` and the `last` keyframe of each track, null without one; whether it has rows that are `interpolated`.

        And its own first and last frames, `start` and `stop`.
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
        """The number of points of point clouds whose sample says it: key of the sample's frame, `cloud_points`."""
        frames = self.table("sample_frames", [*_SAMPLE_FRAME, "extra"])
        frames = frames.filter(pl.col("extra").str.contains("point_count|num_points").fill_null(False))
        return (
            members_of(frames, "pcd", {"point_count": pl.Int64(), "num_points": pl.Int64()})
            .select(*_SAMPLE_FRAME, pl.coalesce("point_count", "num_points").alias("cloud_points"))
            .unique(_SAMPLE_FRAME, keep="first")
        )

    @cached_property
    def image_sizes(self) -> pl.DataFrame:
        """`frame`, `width` and `height` in pixels of the frames whose image has a size that is known."""
        images = self.table("sample_frames", [*_SAMPLE_FRAME, "image_url", "extra"]).unique(_SAMPLE_FRAME, keep="first")
        told = images.filter(pl.col("extra").str.contains("width").fill_null(False))
        told = members_of(told, "image", {"width": pl.Float64(), "height": pl.Float64()})
        sizes = [told.select(*_SAMPLE_FRAME, "width", "height")]
        rle = pl.col("rle").struct
        masks = (
            self.table("segments", [*_SAMPLE_FRAME, "rle"])
            .lazy()
            .select(
                *_SAMPLE_FRAME, width=rle.field("width").cast(pl.Float64), height=rle.field("height").cast(pl.Float64)
            )
            .drop_nulls()
            .unique(_SAMPLE_FRAME, keep="first")
            .collect()
        )
        of_images = masks.join(images, on=_SAMPLE_FRAME, how="inner").select(
            "sample_id", "image_url", "width", "height"
        )
        of_images = of_images.drop_nulls().unique(["sample_id", "image_url"], keep="first")
        sizes.append(images.join(of_images, on=["sample_id", "image_url"], how="inner").select(sizes[0].columns))
        sizes.append(masks.select(sizes[0].columns))
        known = pl.concat(sizes).drop_nulls().unique(_SAMPLE_FRAME, keep="first", maintain_order=True)
        return self.places.join(known, on=_SAMPLE_FRAME, how="inner").select("frame", "width", "height")

    @cached_property
    def _documented(self) -> tuple[pl.DataFrame, dict[str, pl.DataFrame]]:
        """The distinct attributes of all annotations, frames and links, and which rows have them."""
        place = ["dataset_no", "space"]
        known = self.definitions.categories.select("dataset", "category_id", pl.lit(True).alias("known"))
        annotations = (
            self.annotations.select(
                "frame",
                "annotation_index",
                "track",
                "category_id",
                pl.col("attributes").alias("text"),
                *self.at("dataset", *place),
            )
            .join(known, on=["dataset", "category_id"], how="semi", nulls_equal=True, maintain_order="left")
            .filter(pl.col("dataset_no").is_not_null())
        )
        _, numbers = self._numbered
        nothing = pl.lit(None, pl.Int64).alias("category_id")
        frames = (
            self.table("frames", ["image_attributes"])
            .with_columns(numbers["frames"])
            .select("frame", nothing, pl.col("image_attributes").alias("text"), *self.at(*place))
            .filter(pl.col("dataset_no").is_not_null())
        )
        links = (
            self.table("links", [*LABEL_KEY, "from_id", "attributes"])
            .join(
                self.track_categories,
                left_on=[*LABEL_KEY, "from_id"],
                right_on=[*LABEL_KEY, "track"],
                how="inner",
                maintain_order="left",
            )
            .filter("defined")
            .select(
                *LABEL_KEY,
                pl.col("from_id").alias("track"),
                "dataset_no",
                pl.lit(None, pl.String).alias("space"),
                "category_id",
                pl.col("attributes").alias("text"),
            )
        )
        parts = {"object": annotations, "image": frames, "link": links}
        parts = {scope: part.with_columns(pl.lit(scope).alias("scope")) for scope, part in parts.items()}
        distinct = documents(pl.concat([part.select(KEY) for part in parts.values()]))
        made = {
            scope: part.join(distinct, on=KEY, how="left", nulls_equal=True, maintain_order="left").drop(KEY)
            for scope, part in parts.items()
        }
        return distinct, made

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


def members_of(frames: pl.DataFrame, name: str, wanted: dict[str, pl.DataType]) -> pl.DataFrame:
    """Rows with members of an object within the object `extra`."""
    inner = members(frames["extra"], {name: (name, None)})[name]
    return frames.hstack(members(inner, {column: (column, dtype) for column, dtype in wanted.items()}))


def same_object(rows: int = 1) -> pl.Expr:
    """Whether the row so many rows before is of the same object, of rows in the order of `Rows.tracks`."""
    same = [pl.col(name) == pl.col(name).shift(rows) for name in _OBJECT[:2]]
    return pl.all_horizontal(same).fill_null(False)
