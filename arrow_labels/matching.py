"""Which annotations of two sets of labels are the same object, and how much they overlap.

The annotations of a set and kind are rows with a number, `row`: key, `track_id` (or else `id`), `pixel`, what is
compared, and `geometry`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import polars as pl

from arrow_labels.expressions.cells import cell, covered
from arrow_labels.expressions.columns import DIMENSIONS, POSITION
from arrow_labels.expressions.overlap import bev_iou, iou_3d
from arrow_labels.expressions.points import bounds
from arrow_labels.mask_overlap import shared_pixels
from arrow_labels.schema import FRAME_KEY
from arrow_labels.tables import LabelTables

_IDENTITY: Final = [
    "annotation_index",
    "id",
    "track_id",
    "category_id",
    "category",
    "type",
    "is_keyframe",
    "attributes",
]
_CELL: Final = 128.0
"""Pixels: about the size of an object in an image."""
_SIDES: Final = ("west", "south", "east", "north")
_IDS: Final = ["point_annotations", "point_annotations_other"]
_POINTS: Final = 1 << 20
"""Points that are counted at a time: meanwhile each takes some 100 bytes, against 4 in the table."""


def _segments(tables: LabelTables) -> pl.DataFrame:
    return _rows(tables, "segments", ["area", "xmin", "ymin", "xmax", "ymax", "rle"]).with_columns(
        geometry=pl.struct(
            "area",
            size=pl.concat_list(pl.col("rle").struct.field("height"), pl.col("rle").struct.field("width")),
            counts=pl.col("rle").struct.field("counts"),
        ),
        west=pl.col("xmin").cast(pl.Float64),
        south=pl.col("ymin").cast(pl.Float64),
        east=pl.col("xmax").cast(pl.Float64),
        north=pl.col("ymax").cast(pl.Float64),
    )


def _vectors(tables: LabelTables) -> pl.DataFrame:
    rows = _rows(tables, "vectors", ["points"])
    box = rows.select(bounds(pl.col("points")).alias("box"))["box"].struct.unnest()
    sides = [box[name].alias(side) for name, side in zip(("xmin", "ymin", "xmax", "ymax"), _SIDES, strict=True)]
    flat = box["zmin"].is_null().alias("is_flat")
    return rows.hstack([*sides, flat]).rename({"points": "geometry"})


def _cuboids(tables: LabelTables) -> pl.DataFrame:
    numbers = [*POSITION, *DIMENSIONS, "yaw", "qx", "qy", "qz", "qw"]
    return _rows(tables, "cuboids", numbers).with_columns(geometry=pl.struct(numbers))


KINDS: Final[dict[str, Callable[[LabelTables], pl.DataFrame]]] = {
    "segments": _segments,
    "vectors": _vectors,
    "cuboids": _cuboids,
}
"""The rows of each kind."""


def _rows(tables: LabelTables, name: str, columns: list[str]) -> pl.DataFrame:
    table = tables[name].select([*FRAME_KEY, *_IDENTITY, *columns])
    return (
        pl.DataFrame(pl.from_arrow(table))
        .with_row_index("row")
        .with_columns(pixel=pl.coalesce("id", "track_id"), track_id=pl.coalesce("track_id", "id"))
    )


def by_identity(one: pl.DataFrame, two: pl.DataFrame) -> pl.DataFrame:
    """Pairs of one frame and track, `row` and `row_other`; of several with one track the first with the first."""
    key = [*FRAME_KEY, "track_id"]
    sides = [
        side.select("row", *key)
        .with_columns(place=pl.int_range(pl.len()).over(key))
        .filter(pl.col("track_id").is_not_null())
        for side in (one, two)
    ]
    return sides[0].join(sides[1], on=[*key, "place"], how="inner", suffix="_other").select("row", "row_other")


def by_overlap(one: pl.DataFrame, two: pl.DataFrame, kind: str, a: LabelTables, b: LabelTables) -> pl.DataFrame:
    """Pairs of one frame of which each overlaps with the other more than with any other, with their overlap."""
    near = _cuboid_pairs(one, two, iou_3d, "iou_3d") if kind == "cuboids" else _near(one, two)
    shared = None
    if kind == "segments":
        shared = _shared_points(a, b)
        near = pl.concat([near, _sharing_points(one, two, shared)]).unique(maintain_order=True)
    found = near.select("row", "row_other") if kind == "cuboids" else near
    known = with_overlap(found, one, two, kind, a, b, shared).filter(pl.col("iou") > 0)
    best = known.sort("iou", "row", "row_other", descending=[True, False, False])
    first = best.unique("row", keep="first", maintain_order=True)
    other = best.unique("row_other", keep="first", maintain_order=True)
    return first.join(other, on=["row", "row_other"], how="semi")


def with_overlap(
    pairs: pl.DataFrame,
    one: pl.DataFrame,
    two: pl.DataFrame,
    kind: str,
    a: LabelTables,
    b: LabelTables,
    shared: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Pairs with their `iou`, null where it is not known, and of cuboids their `bev_iou`.

    `shared` is what `_shared_points` gives, if that is known.
    """
    if "iou" in pairs.columns:  # `by_overlap` needed it to find them
        return pairs
    key = ["row", "row_other"]
    nothing = pl.lit(None, pl.Float64)
    if kind == "cuboids":
        for method, name, made in ((iou_3d, "iou_3d", "iou"), (bev_iou, "bev_iou", "bev_iou")):
            found = _cuboid_pairs(one, two, method, name).rename({name: made})
            pairs = pairs.join(found, on=key, how="left", maintain_order="left")
        return pairs.with_columns(pl.col("iou", "bev_iou").fill_null(0.0))
    if kind == "vectors":
        found = _boxes(pairs, one.filter("is_flat"), two.filter("is_flat"))
    else:
        points = _points(pairs, one, two, _shared_points(a, b) if shared is None else shared)
        found = points.join(_masks(pairs, one, two), on=key, how="left")
        found = found.select(*key, pl.coalesce("iou", "point_iou").alias("iou"))
    return pairs.join(found, on=key, how="left", maintain_order="left").with_columns(nothing.alias("bev_iou"))


def _cuboid_pairs(one: pl.DataFrame, two: pl.DataFrame, method: Callable[..., pl.LazyFrame], name: str) -> pl.DataFrame:
    """All pairs of cuboids that overlap. The row stands for the annotation's place, which need not be one row only."""
    numbers = [*FRAME_KEY, *POSITION, *DIMENSIONS, "yaw"]
    sides = [side.select(*numbers, pl.col("row").cast(pl.Int64).alias("id")) for side in (one, two)]
    found = method(sides[0].lazy(), sides[1]).filter(pl.col("labelset") == pl.col("labelset_other"))
    rows = [pl.col("id").cast(pl.UInt32).alias("row"), pl.col("id_other").cast(pl.UInt32).alias("row_other")]
    return found.select(*rows, name).collect()


def _near(one: pl.DataFrame, two: pl.DataFrame) -> pl.DataFrame:
    """Pairs of one frame whose boxes touch."""
    sides = []
    for side in (one, two):
        boxes = side.lazy().select("row", *FRAME_KEY, *(pl.col(name).alias(f"__{name}") for name in _SIDES))
        sides.append(
            covered(boxes.filter(pl.all_horizontal(pl.col(f"__{name}").is_finite() for name in _SIDES)), _CELL)
        )
    corner = cell(pl.max_horizontal("__west", "__west_other"), pl.max_horizontal("__south", "__south_other"), _CELL)
    touching = [
        (pl.col(f"__{low}") <= pl.col(f"__{high}_other")) & (pl.col(f"__{low}_other") <= pl.col(f"__{high}"))
        for low, high in (("west", "east"), ("south", "north"))
    ]
    pairs = sides[0].join(sides[1], on=[*FRAME_KEY, "__cell"], how="inner", suffix="_other")
    return pairs.filter(pl.col("__cell") == corner, *touching).select("row", "row_other").collect()


def _boxes(pairs: pl.DataFrame, one: pl.DataFrame, two: pl.DataFrame) -> pl.DataFrame:
    """The IoU of the boxes of pairs."""
    joined = _joined(pairs, one, two, _SIDES)
    west, south, east, north = (pl.col(name) for name in _SIDES)
    others = [pl.col(f"{name}_other") for name in _SIDES]
    width = pl.min_horizontal(east, others[2]) - pl.max_horizontal(west, others[0])
    height = pl.min_horizontal(north, others[3]) - pl.max_horizontal(south, others[1])
    joined = joined.with_columns(
        shared=width.clip(0) * height.clip(0),
        total=(east - west) * (north - south) + (others[2] - others[0]) * (others[3] - others[1]),
    )
    union = pl.col("total") - pl.col("shared")
    return joined.select("row", "row_other", pl.when(union > 0).then(pl.col("shared") / union).alias("iou"))


def _masks(pairs: pl.DataFrame, one: pl.DataFrame, two: pl.DataFrame) -> pl.DataFrame:
    """The IoU of the masks of pairs whose images are of one size."""
    joined = _joined(pairs, one, two, ("rle",))
    size = [pl.col("rle").struct.field(name).eq(pl.col("rle_other").struct.field(name)) for name in ("height", "width")]
    joined = joined.filter(*size, *(pl.col(name).struct.field("counts").is_not_null() for name in ("rle", "rle_other")))
    counts = [joined[name].struct.field("counts") for name in ("rle", "rle_other")]
    shared = pl.Series("shared", shared_pixels(*counts))
    areas = [each.list.gather_every(2, 1).list.sum() for each in counts]
    union = areas[0] + areas[1] - shared
    iou = pl.select(pl.when(union > 0).then(shared / union).alias("iou"))
    return joined.select("row", "row_other").hstack(iou)


def _sharing_points(one: pl.DataFrame, two: pl.DataFrame, pairs: pl.DataFrame) -> pl.DataFrame:
    """Pairs of segments of point clouds that share points."""
    for side, name, row in ((one, _IDS[0], "row"), (two, _IDS[1], "row_other")):
        named = side.select(*FRAME_KEY, pl.col("pixel").alias(name), pl.col("row").alias(row))
        pairs = pairs.join(named, on=[*FRAME_KEY, name], how="inner")
    return pairs.select("row", "row_other")


def _points(pairs: pl.DataFrame, one: pl.DataFrame, two: pl.DataFrame, shared: pl.DataFrame) -> pl.DataFrame:
    """The `point_iou` of pairs of segments; null where neither has points in a frame that both have ids of."""
    rows = pairs.select("row", "row_other")
    rows = rows.join(one.select("row", *FRAME_KEY, pl.col("pixel").alias(_IDS[0])), on="row", how="inner")
    rows = rows.join(two.select(row_other="row", **{_IDS[1]: "pixel"}), on="row_other", how="inner")
    rows = rows.join(shared, on=[*FRAME_KEY, *_IDS], how="left")
    # Two that share none stand in no row together; the points of each are those it has with any other.
    for place, name in enumerate(_IDS):
        total = shared.group_by(*FRAME_KEY, name).agg(pl.col("shared").sum().alias(f"total{place}"))
        rows = rows.join(total, on=[*FRAME_KEY, name], how="left")
    rows = rows.with_columns(pl.col("shared", "total0", "total1").fill_null(0))
    union = pl.col("total0") + pl.col("total1") - pl.col("shared")
    return rows.select("row", "row_other", pl.when(union > 0).then(pl.col("shared") / union).alias("point_iou"))


def _shared_points(a: LabelTables, b: LabelTables) -> pl.DataFrame:
    """How many points have the one id in a and the other in b, of frames in which both have ids of as many points."""
    ids, sides = [], []
    for tables in (a, b):
        frames = pl.DataFrame(pl.from_arrow(tables.frames.select([*FRAME_KEY, _IDS[0]])))
        ids.append(frames[_IDS[0]])
        count = pl.col(_IDS[0]).list.len().cast(pl.Int64).alias("points")
        keys = frames.select(*FRAME_KEY, count).with_row_index("place").filter(pl.col("points") > 0)
        sides.append(keys.unique(FRAME_KEY, keep="first", maintain_order=True))
    both = sides[0].join(sides[1], on=[*FRAME_KEY, "points"], how="inner", suffix="_other").with_row_index("frame")
    # A number stands for the frame: its key is as long as several points. No frame is divided, so the counts are whole.
    both = both.with_columns(part=(pl.col("points").cum_sum() - pl.col("points")) // _POINTS)
    counts = []
    for part in both.partition_by("part") or [both]:
        taken = [side.gather(part[place]) for side, place in zip(ids, ("place", "place_other"), strict=True)]
        points = part.select("frame").with_columns(one.alias(name) for one, name in zip(taken, _IDS, strict=True))
        counts.append(points.explode(_IDS).group_by("frame", *_IDS).agg(pl.len().cast(pl.Int64).alias("shared")))
    shared = pl.concat(counts).with_columns(pl.col(_IDS).cast(pl.Int64))
    return both.select("frame", *FRAME_KEY).join(shared, on="frame", how="inner").drop("frame")


def _joined(pairs: pl.DataFrame, one: pl.DataFrame, two: pl.DataFrame, columns: tuple[str, ...]) -> pl.DataFrame:
    other = two.select(pl.col("row", *columns).name.suffix("_other"))
    rows = pairs.select("row", "row_other")
    return rows.join(one.select("row", *columns), on="row", how="inner").join(other, on="row_other", how="inner")
