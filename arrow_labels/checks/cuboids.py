"""Rules about cuboids: their numbers, what the dataset allows, and how they move."""

from __future__ import annotations

import math
from typing import Final

import polars as pl

from arrow_labels.checks.definitions import Intersections, Limits
from arrow_labels.checks.found import found, listed, worded
from arrow_labels.checks.rows import Rows, same_object
from arrow_labels.expressions.columns import DIMENSIONS, POSITION, QUATERNION
from arrow_labels.expressions.overlap import overlapping_pairs
from arrow_labels.expressions.rotations import normalised, quaternion, scaled, wrapped, yaw

MAX_SPEED: Final = 70.0
"""Metres per second: 252 km/h."""
MIN_SECONDS: Final = 1e-3
"""Frames that are nearer to each other in time were not counted in nanoseconds."""
ROUNDED: Final = 1e-6
"""Radians by which an angle may be beyond pi: documents have rounded numbers."""
UNIT: Final = 1e-3
"""By how much the length of a quaternion may differ from 1."""
ANGLE: Final = 1e-3
"""Radians that yaw and rotation may differ by."""
UPRIGHT: Final = 1e-4
"""Square of the sine of half the angle by which an upright cuboid may lean: 0.02 radians."""
LENGTH: Final = 1e-3
"""Metres that a dimension may change by."""


def non_finite_cuboid(rows: Rows) -> pl.LazyFrame:
    """Cuboids with a position or dimension that is missing, or a number that is infinite or NaN."""
    numbers = (*POSITION, *DIMENSIONS)
    missing = [pl.when(pl.col(name).is_finite().not_().fill_null(True)).then(pl.lit(name)) for name in numbers]
    missing += [pl.when(~pl.col(name).is_finite()).then(pl.lit(name)) for name in ("yaw", *QUATERNION)]
    wrong = rows.cuboids.lazy().filter(pl.any_horizontal(each.is_not_null() for each in missing))
    names = pl.concat_list(missing).list.drop_nulls()
    return found(wrong, worded("Expected finite numbers, got a null, NaN or infinity for {}", listed(names)), names)


def non_positive_dimensions(rows: Rows) -> pl.LazyFrame:
    """Cuboids with a length, width or height that is not above 0."""
    wrong = rows.cuboids.lazy().filter(pl.any_horizontal(pl.col(name) <= 0 for name in DIMENSIONS))
    message = worded("Expected dimensions above 0, got {} x {} x {}", *map(_text, DIMENSIONS))
    return found(wrong, message, pl.concat_list(DIMENSIONS))


def yaw_range(rows: Rows) -> pl.LazyFrame:
    """Cuboids with a yaw that is not between -pi and pi."""
    wrong = rows.cuboids.lazy().filter(pl.col("yaw").abs() > math.pi + ROUNDED, pl.col("yaw").is_finite())
    return found(wrong, worded("Expected a yaw from -pi to pi radians, got {}", "yaw"), pl.col("yaw"))


def quaternion_norm(rows: Rows) -> pl.LazyFrame:
    """Cuboids with a rotation that is not of unit length."""
    squares = [pl.col(name) * pl.col(name) for name in QUATERNION]
    norm = (squares[0] + squares[1] + squares[2] + squares[3]).sqrt()
    wrong = rows.cuboids.lazy().filter((norm - 1).abs() > UNIT, norm.is_not_nan())
    message = worded("Expected a quaternion of length 1, got {}", norm.round(6))
    return found(wrong, message, pl.concat_list(QUATERNION))


def yaw_rotation(rows: Rows) -> pl.LazyFrame:
    """Cuboids whose yaw is not the heading of their rotation; not those that stand on their front or back.

    Nor those that lean between keyframes: there the two are interpolated each in its own way.
    """
    names = [f"__{name}" for name in QUATERNION]
    turned = rows.cuboids.lazy().filter(pl.all_horizontal(pl.col(name).is_finite() for name in ("yaw", *QUATERNION)))
    for step, source in ((scaled, list(QUATERNION)), (normalised, names)):
        parts = zip(names, step(quaternion(source)), strict=True)
        turned = turned.with_columns(part.alias(name) for name, part in parts)
    x, y, z, w = quaternion(names)
    lying = (x * z - w * y).abs() < 0.5 - 1e-4  # half the sine of the pitch
    follows = pl.col("is_keyframe").fill_null(True) | (x * x + y * y < UPRIGHT)
    turned = turned.filter(lying & follows).with_columns(yaw((x, y, z, w)).alias("__heading"))
    wrong = turned.filter(wrapped(pl.col("yaw") - pl.col("__heading")).abs() > ANGLE)
    message = worded("Expected the yaw of the rotation, {}, got {}", pl.col("__heading").round(6), "yaw")
    return found(wrong, message, pl.col("yaw"))


def dimension_limits(rows: Rows) -> pl.LazyFrame:
    """Cuboids that break a `cuboid-dimension-limits` rule of their dataset."""
    return pl.concat([_beyond(rows, rule) for rule in rows.definitions.limits] or [_nothing(rows)])


def _beyond(rows: Rows, rule: Limits) -> pl.LazyFrame:
    cuboids = _of_dataset(rows, rule.dataset)
    if rule.categories:
        cuboids = cuboids.filter(pl.col("category_id").is_in(rule.categories))
    problems = []
    for name, (low, high) in rule.bounds.items():
        value = pl.col(name)
        for limit, word in ((low, "least"), (high, "most")):
            if limit is not None:
                said = worded("a {} of at {} {}, got {}", pl.lit(name), pl.lit(word), pl.lit(limit), value)
                problems.append(pl.when(value < limit if word == "least" else value > limit).then(said))
    if not problems:
        return _nothing(rows)
    wrong = cuboids.filter(pl.any_horizontal(problem.is_not_null() for problem in problems))
    message = pl.concat_str(pl.lit("Expected "), pl.concat_str(problems, separator="; ", ignore_nulls=True))
    return found(wrong, message, pl.concat_list(DIMENSIONS))


def intersecting_cuboids(rows: Rows) -> pl.LazyFrame:
    """Pairs of cuboids that break an `intersecting-cuboids` rule of their dataset, at the second one."""
    rules = rows.definitions.intersections
    pairs = []
    for dataset in dict.fromkeys(rule.dataset for rule in rules):
        # The number of a frame says all: text in the keys of a join costs more than the geometry.
        cuboids = _of_dataset(rows, dataset).select(
            pl.lit("").alias("sample_id"),
            pl.lit(0).alias("sensor_index"),
            pl.col("frame").alias("frame_index"),
            pl.col("track").alias("track_id"),
            *("annotation_index", "category_id", *POSITION, *DIMENSIONS, "yaw"),
        )
        own = [~_may_intersect(rule) for rule in rules if rule.dataset == dataset]
        overlapping = overlapping_pairs(cuboids).filter(pl.col("iou_3d") > 0, pl.any_horizontal(own))
        # Many pairs are near each other, and few overlap: the streaming engine never has all of them.
        pairs.append(overlapping.collect(engine="streaming").lazy())
    if not pairs:
        return _nothing(rows)
    second = pl.concat(pairs).select(
        pl.col("frame_index").alias("frame"),
        *("track_id", "iou_3d"),
        annotation_index="annotation_index_other",
        track="track_id_other",
    )
    message = worded(
        "Expected no intersection with track {}, got one of {} of their volume",
        pl.col("track_id").cast(pl.String).fill_null("null"),
        pl.col("iou_3d").round(6),
    )
    return found(second, message, pl.col("track_id"))


def _may_intersect(rule: Intersections) -> pl.Expr:
    one, other = pl.col("category_id"), pl.col("category_id_other")
    excluded = one.is_in(rule.excluded) | other.is_in(rule.excluded)
    return excluded | (one.is_in(rule.excluded_set) & other.is_in(rule.excluded_set) & (one != other))


def changed_dimensions(rows: Rows) -> pl.LazyFrame:
    """Tracks whose cuboids change their dimensions: the first one of other dimensions than the first of the track."""
    ordered = rows.cuboid_tracks.lazy()
    track = ["sensor_no", "track"]
    spread = [pl.col(name).max() - pl.col(name).min() > LENGTH for name in DIMENSIONS]
    firsts = [pl.col(name).drop_nulls().first().alias(f"{name}_first") for name in DIMENSIONS]
    changing = ordered.group_by(track).agg(*firsts, spread=pl.any_horizontal(spread)).filter("spread")
    apart = pl.any_horizontal((pl.col(name) - pl.col(f"{name}_first")).abs() > LENGTH for name in DIMENSIONS)
    changed = ordered.join(changing, on=track, how="inner", maintain_order="left").filter(apart)
    first = changed.unique(track, keep="first", maintain_order=True)
    message = worded(
        "Expected {} x {} x {} as before on the track, got {} x {} x {}",
        *(_text(f"{name}_first") for name in DIMENSIONS),
        *map(_text, DIMENSIONS),
    )
    return found(first, message, pl.concat_list(DIMENSIONS))


def speed(rows: Rows) -> pl.LazyFrame:
    """Cuboids that moved faster than 70 m/s since the row of their track before them."""
    steps = [pl.col(name) - pl.col(name).shift(1) for name in POSITION]
    seconds = (pl.col("time") - pl.col("time").shift(1)).cast(pl.Float64) * 1e-9
    metres = (steps[0] * steps[0] + steps[1] * steps[1] + steps[2] * steps[2]).sqrt()
    frames = pl.max_horizontal(pl.col("frame_index") - pl.col("frame_index").shift(1), 1)
    moved = rows.cuboid_tracks.lazy().with_columns(
        pl.when(same_object() & (seconds >= MIN_SECONDS * frames)).then(metres / seconds).alias("speed")
    )
    fast = moved.filter(pl.col("speed").is_finite(), pl.col("speed") > MAX_SPEED)
    message = worded("Expected a speed up to {} m/s, got {}", pl.lit(MAX_SPEED), pl.col("speed").round(1))
    return found(fast, message, pl.col("speed").round(3))


def _text(name: str) -> pl.Expr:
    return pl.col(name).cast(pl.String).fill_null("null")


def _of_dataset(rows: Rows, dataset: str | None) -> pl.LazyFrame:
    cuboids = rows.cuboids.lazy().with_columns(rows.at("dataset", "defined"))
    return cuboids.filter("defined", pl.col("dataset").eq_missing(pl.lit(dataset, pl.String)))


def _nothing(rows: Rows) -> pl.LazyFrame:
    return found(rows.cuboids.clear().lazy(), pl.lit(""))
