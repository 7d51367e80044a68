"""Rules about the points of bounding boxes, polygons, polylines and points."""

from __future__ import annotations

import polars as pl

from arrow_labels.checks.found import found, worded
from arrow_labels.checks.rows import Rows

_VERTICES = {"bbox": (2, 2), "polygon": (3, None), "polyline": (2, None), "point": (1, 1)}


def vertex_count(rows: Rows) -> pl.LazyFrame:
    """Vectors with too few or too many vertices for their type."""
    low = pl.col("type").replace_strict({kind: least for kind, (least, _) in _VERTICES.items()}, default=0)
    high = pl.col("type").replace_strict({"bbox": 2, "point": 1}, default=None, return_dtype=pl.Int64)
    wrong = rows.vectors.lazy().filter((pl.col("vertices") < low) | (pl.col("vertices") > high))
    or_more = pl.when(high.is_null()).then(pl.lit(" or more")).otherwise(pl.lit(""))
    message = worded("Expected a {} of {}{} vertices, got {}", "type", low, or_more, "vertices")
    return found(wrong, message, pl.col("vertices"))


def non_finite_points(rows: Rows) -> pl.LazyFrame:
    """Vectors with a coordinate that is missing, infinite or NaN."""
    wrong = rows.vectors.lazy().filter(~pl.col("is_finite"))
    return found(wrong, pl.lit("Expected finite numbers as coordinates, got a null, NaN or infinity"))


def swapped_corners(rows: Rows) -> pl.LazyFrame:
    """Bounding boxes whose corners are not the upper left and the lower right one."""
    wrong = rows.vectors.lazy().filter("is_swapped")
    return found(wrong, pl.lit("Expected the upper left corner and then the lower right one, got others"))


def zero_area(rows: Rows) -> pl.LazyFrame:
    """Bounding boxes and polygons that enclose no area."""
    wrong = rows.vectors.lazy().filter(~pl.col("has_area"))
    return found(wrong, worded("Expected a {} with an area, got an outline that encloses none", "type"))


def repeated_vertices(rows: Rows) -> pl.LazyFrame:
    """Polygons and polylines with a vertex that equals the next one, a polygon's last one its first."""
    wrong = rows.vectors.lazy().filter(pl.col("repeats").is_not_null())
    message = worded("Expected neighbouring vertices to differ, got vertex {} equal to the next", "repeats")
    return found(wrong, message, pl.col("repeats"))


def self_intersection(rows: Rows) -> pl.LazyFrame:
    """Polygons whose outline crosses or touches itself, seen from where it is the widest: along z, x or y."""
    wrong = rows.vectors.lazy().filter("crosses")
    return found(wrong, pl.lit("Expected an outline that does not cross or touch itself, got one that does"))


def outside_image(rows: Rows) -> pl.LazyFrame:
    """Vectors that reach beyond the image, where its size is known.

    It is known where the sample says so (`width` and `height` of `image`), and where masks were read of a bitmap for
    the same image.
    """
    sized = rows.image_sizes.lazy()
    frame = rows.vectors.lazy().join(sized, on="frame", how="inner")
    beyond = (pl.min_horizontal("xmin", "ymin") < 0) | (pl.col("xmax") > pl.col("width"))
    wrong = frame.filter("is_flat", "is_finite", beyond | (pl.col("ymax") > pl.col("height")))
    limits = ["xmin", "ymin", "xmax", "ymax"]
    message = worded("Expected points within {} x {} pixels, got {}, {} to {}, {}", "width", "height", *limits)
    return found(wrong, message, pl.concat_list(limits))
