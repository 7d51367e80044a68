"""The rows that bitmaps give: masks into `segments`, what image and label disagree on, and what failed.

Column operations only: nothing here looks at one annotation after the other, and nothing is fetched. Two columns name
things within one call: `frame`, the place of a frame among those with a bitmap, and `bitmap`, the place of its bitmap.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from arrow_labels.bitmap import mask_table
from arrow_labels.errors import BitmapError
from arrow_labels.schema import ANNOTATION_TABLES, FRAME_KEY, LABEL_KEY, RLE, SCHEMAS
from arrow_labels.tables import LabelTables

COLUMNS: Final = ("area", "xmin", "ymin", "xmax", "ymax", "rle")
"""What is known of a segment once its bitmap is read."""

_MASKS: Final = pa.schema(
    [("bitmap", pa.int64()), ("id", pa.int64()), *(SCHEMAS["segments"].field(name) for name in COLUMNS)]
)
_AREAS: Final = pa.schema([_MASKS.field(name) for name in ("bitmap", "id", "area")])
_MAX_IDS: Final = 1 << 16
"""More ids than anybody draws into an image: with more it is a photograph."""
_ROWS: Final = 8192
"""Rows of masks that become one chunk of a column: a chunk holds fewer than 2^31 counts."""
_RULES: Final = ("no-pixels", "unlisted-pixels")
_NO_URL: Final = "Expected `str"
"""How decoding rejects a bitmap's URL, at the path where bitmaps that failed are too."""
_SENSOR: Final = ("sample_id", "sensor_index", "sensor")


class BitmapRows(NamedTuple):
    """What stays of a bitmap: its size, the area of each id in it, and the masks of the ids that segments carry."""

    bitmap: int
    height: int
    width: int
    areas: pa.Table
    masks: pa.Table


def bitmap_rows(image: npt.NDArray[np.uint32], bitmap: int, ids: pa.Array, columns: Sequence[str]) -> BitmapRows:
    """The rows of one bitmap; of `ids`, those that it does not show have a mask without a pixel.

    Raises
    ------
    BitmapError
        It has more ids than a bitmap can have.
    """
    table = mask_table(image)
    if table.num_rows > _MAX_IDS:
        raise BitmapError(f"Expected a bitmap of at most {_MAX_IDS:,} ids, got {table.num_rows:,}: is it a photograph?")
    height, width = image.shape
    shown, listed = table["id"].to_numpy(), ids.to_numpy()
    carried = table.filter(np.isin(shown, listed))
    unseen = ids.filter(np.isin(listed, shown, invert=True))
    masks = pa.concat_tables([carried, _without_pixels(unseen, height, width)]).select(["id", *columns])
    areas = table.select(["id", "area"])
    return BitmapRows(
        bitmap,
        height,
        width,
        *(
            rows.add_column(0, _MASKS.field("bitmap"), pa.array(np.full(rows.num_rows, bitmap)))
            for rows in (areas, masks)
        ),
    )


def _without_pixels(ids: pa.Array, height: int, width: int) -> pa.Table:
    rows = len(ids)
    counts = pa.ListArray.from_arrays(np.arange(rows + 1, dtype=np.int32), np.full(rows, height * width, np.int32))
    sides = [pa.array(np.full(rows, side, np.int32)) for side in (height, width)]
    box = [pa.nulls(rows, pa.int32())] * 4
    rle = pa.StructArray.from_arrays([*sides, counts], fields=list(RLE))
    return pa.table([ids, pa.array(np.zeros(rows, np.int64)), *box, rle], names=["id", *COLUMNS])


def joined(found: Iterable[BitmapRows], columns: Sequence[str]) -> tuple[pl.DataFrame, pa.Table, pl.DataFrame]:
    """The sizes of all bitmaps, the masks of all, and the areas of all."""
    rows = list(found)
    sizes = pl.DataFrame(
        [(it.bitmap, it.height, it.width) for it in rows],
        schema={"bitmap": pl.Int64, "height": pl.Int64, "width": pl.Int64},
        orient="row",
    )
    areas = pa.concat_tables([_AREAS.empty_table(), *(it.areas for it in rows)])
    schema = pa.schema([_MASKS.field(name) for name in ("bitmap", "id", *columns)])
    return (
        sizes,
        pa.concat_tables([schema.empty_table(), *(it.masks for it in rows)]),
        _polars(areas, areas.column_names),
    )


def bitmap_frames(tables: LabelTables) -> pl.DataFrame:
    """The frames with a bitmap, in their order: `frame`, key, `sensor`, `bitmap_url`, and their document, `source`."""
    source = pl.col("source")
    # Of two documents with a label of one key none is the document: one may be local, and the other a stranger's.
    only = pl.when(source.n_unique() == 1).then(source.first())
    sources = _polars(tables.labels, [*LABEL_KEY, "source"]).group_by(LABEL_KEY).agg(only)
    return (
        _polars(tables.frames, [*FRAME_KEY, "sensor", "bitmap_url"])
        .filter(pl.col("bitmap_url") != "")
        .unique(FRAME_KEY, keep="first", maintain_order=True)
        .join(sources, on=LABEL_KEY, how="left", maintain_order="left")
        .with_row_index("frame")
    )


def carried_ids(tables: LabelTables, frames: pl.DataFrame) -> pl.DataFrame:
    """The annotations of frames with a bitmap: their `table` and `row`, `frame`, `bitmap`, and the `id` of pixels."""
    names = [*FRAME_KEY, "annotation_index", "id", "track_id"]
    found = [
        _polars(tables[name], names).with_row_index("row").with_columns(pl.lit(name).alias("table"))
        for name in ANNOTATION_TABLES
    ]
    return (
        pl.concat(found)
        .join(frames.select(*FRAME_KEY, "frame", "bitmap"), on=FRAME_KEY, how="inner", maintain_order="left")
        .with_columns(id=pl.coalesce("id", "track_id"), track_id=pl.coalesce("track_id", "id"))
    )


def other_sizes(frames: pl.DataFrame, sizes: pl.DataFrame) -> pl.DataFrame:
    """The frames whose bitmap has not the size of its siblings, with the `error`.

    Siblings are the bitmaps of one sample and sensor, in all labelsets. They have the size that most of them have; of
    sizes that are as frequent, that of the earliest frame.
    """
    sized = frames.select(*_SENSOR, "frame", "bitmap").join(sizes, on="bitmap", how="inner", maintain_order="left")
    usual = (
        sized.group_by(*_SENSOR, "height", "width")
        .agg(pl.len().alias("count"), pl.col("frame").min().alias("first"))
        .sort("count", "first", descending=[True, False])
        .unique(_SENSOR, keep="first", maintain_order=True)
        .select(*_SENSOR, pl.col("height").alias("usual_height"), pl.col("width").alias("usual_width"))
    )
    return (
        sized.join(usual, on=_SENSOR, how="left", nulls_equal=True, maintain_order="left")
        .filter((pl.col("height") != pl.col("usual_height")) | (pl.col("width") != pl.col("usual_width")))
        .select(
            "frame",
            error=pl.format(
                "Expected a bitmap of {} x {} pixels, as the others of its sample and sensor, got {} x {}",
                "usual_width",
                "usual_height",
                "width",
                "height",
            ),
        )
    )


def failures(tables: LabelTables, frames: pl.DataFrame, errors: pl.DataFrame) -> pl.DataFrame:
    """The frames that failed, in their order: key, `sensor`, the URL as `source`, JSON `path` and `error`."""
    labels = _polars(tables.labels, [*LABEL_KEY, "frame_count", "sensors"]).unique(LABEL_KEY, keep="first")
    several = (
        labels.filter(pl.col("sensors").list.len() > 0)
        .with_columns(sensor_index=pl.int_ranges(pl.col("sensors").list.len(), dtype=pl.Int32))
        .explode("sensors", "sensor_index")
        .select(*LABEL_KEY, "sensor_index", frame_count=pl.col("sensors").struct.field("frame_count"), several=True)
    )
    one = labels.select(*LABEL_KEY, sensor_index=pl.lit(0, pl.Int32), frame_count="frame_count", several=False)
    sensors = pl.concat([several, one]).unique([*LABEL_KEY, "sensor_index"], keep="first")
    sensor = pl.when("several").then(pl.format(".sensors[{}].attributes", "sensor_index")).otherwise(pl.lit(""))
    frame = pl.when(pl.col("frame_count").is_not_null()).then(pl.format(".frames[{}]", "frame_index"))
    return (
        frames.join(errors, on="frame", how="inner")
        .join(sensors, on=[*LABEL_KEY, "sensor_index"], how="left")
        .sort("frame")
        .with_columns(
            path=pl.concat_str(
                pl.lit("$"), sensor, frame.otherwise(pl.lit("")), pl.lit(".segmentation_bitmap.url"), ignore_nulls=True
            ),
            source="shown",
        )
    )


def filled(segments: pa.Table, columns: Sequence[str], carried: pl.DataFrame, masks: pa.Table) -> pa.Table:
    """Segments with the columns of their masks, where they have one; the others keep what they have."""
    known = pl.DataFrame(pl.from_arrow(masks.select(["bitmap", "id"]))).with_row_index("mask")
    found = carried.join(known, on=["bitmap", "id"], how="inner")
    # Before, all masks; then each row takes the one that is its own.
    values = pl.concat([_polars(segments, columns), _polars(masks, columns)], rechunk=True)
    place = pl.int_range(segments.num_rows, dtype=pl.UInt32, eager=True)
    place = place.scatter(found["row"], found["mask"] + segments.num_rows)
    schema = pa.schema([SCHEMAS["segments"].field(name) for name in columns])
    pieces = [
        values[place.slice(start, _ROWS)].to_arrow(compat_level=pl.CompatLevel.oldest()).cast(schema)
        for start in range(0, segments.num_rows, _ROWS)
    ]
    made = pa.concat_tables([schema.empty_table(), *pieces])
    for name in columns:
        segments = segments.set_column(segments.column_names.index(name), schema.field(name), made[name])
    return segments


def findings(frames: pl.DataFrame, carried: pl.DataFrame, areas: pl.DataFrame) -> pl.DataFrame:
    """What the bitmaps of these frames and their annotations do not agree on.

    Parameters
    ----------
    frames, carried : DataFrame
        What `bitmap_frames` and `carried_ids` give, of frames whose bitmap was read.
    areas : DataFrame
        `bitmap`, `id` and `area` of all that the bitmaps show.
    """
    unseen = (
        carried.filter(pl.col("table") == "segments")
        .join(areas, on=["bitmap", "id"], how="anti", maintain_order="left")
        .with_columns(
            rule=pl.lit("no-pixels"),
            message=pl.format("Expected pixels of id {} in the bitmap, got none", "id"),
            value=pl.col("id").cast(pl.String),
        )
    )
    unlisted = (
        frames.select("frame", "bitmap", *FRAME_KEY)
        .join(areas, on="bitmap", how="inner")
        .join(carried, on=["frame", "id"], how="anti")
        .sort("frame", "id")
        .with_columns(
            rule=pl.lit("unlisted-pixels"),
            message=pl.format(
                "Expected an annotation of id {}, got none: the bitmap has {} pixels of it", "id", "area"
            ),
            value=pl.col("id").cast(pl.String),
        )
    )
    return pl.concat([unseen, unlisted], how="diagonal").with_columns(severity=pl.lit("warning"))


def other_findings(table: pa.Table, frames: pl.DataFrame) -> pa.Table:
    """Findings without those that bitmaps of these frames gave before."""
    if not table.num_rows:
        return table
    rows = _polars(table, ["rule", *FRAME_KEY]).with_row_index("row").filter(pl.col("rule").is_in(_RULES))
    return _without(table, rows.join(frames, on=FRAME_KEY, how="semi", nulls_equal=True)["row"])


def other_rejects(tables: LabelTables, frames: pl.DataFrame) -> pa.Table:
    """Rejects without the bitmaps of these frames that failed before, wherever their URL led then."""
    if not tables.rejects.num_rows:
        return tables.rejects
    paths = failures(tables, frames, frames.select("frame"))
    key = [*LABEL_KEY, "path"]
    rows = _polars(tables.rejects, [*key, "error"]).with_row_index("row")
    rows = rows.filter(~pl.col("error").str.starts_with(_NO_URL))
    return _without(tables.rejects, rows.join(paths, on=key, how="semi", nulls_equal=True)["row"])


def _without(table: pa.Table, rows: pl.Series) -> pa.Table:
    kept = np.ones(table.num_rows, np.bool_)
    kept[rows.to_numpy()] = False
    return table.filter(pa.array(kept))


def appended(table: pa.Table, rows: pl.DataFrame) -> pa.Table:
    """A table with these rows after its own."""
    made = rows.select(table.column_names).to_arrow(compat_level=pl.CompatLevel.oldest())
    return pa.concat_tables([table, made.cast(table.schema)])


def _polars(table: pa.Table, columns: Sequence[str]) -> pl.DataFrame:
    return pl.DataFrame(pl.from_arrow(table.select(list(columns))))
