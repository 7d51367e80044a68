"""How far the rows between keyframes are from what the keyframes give."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Final

import polars as pl

from arrow_labels.expressions.blend import (
    INTERPOLATED,
    Shape,
    as_floats,
    blended,
    geometry,
    require_shapes,
    with_next,
    with_steps,
)
from arrow_labels.expressions.columns import DIMENSIONS, LABEL, POSITION, QUATERNION, track
from arrow_labels.expressions.quaternions import angle_between
from arrow_labels.expressions.rotations import normalised, quaternion, scaled, wrapped
from arrow_labels.expressions.spans import By, Gap, require_choice, with_ends, with_spans
from arrow_labels.expressions.tracks import TRACK, in_order, is_overruled, segments, track_rows, with_starts

_FRAME: Final = pl.col("frame_index")
_NOW: Final = pl.col("__frame")
_NUMBERS: Final = (*POSITION, *DIMENSIONS, "yaw")
_FAR: Final = 1e200
"""Its square is infinite."""


def interpolation_error(
    frame: pl.LazyFrame,
    *,
    by: By | None = None,
    gap: Gap = "interpolate",
    shapes: Collection[Shape] = INTERPOLATED,
) -> pl.LazyFrame:
    """How far the rows between keyframes are from what interpolating the keyframes gives, for each track.

    An export holds the rows between keyframes already, made by frame index or by timestamp. The differences to both
    tell which; where neither is near 0, rows were edited by hand, or are broken. Differences up to 1e-6 are those of
    rounded numbers.

    Parameters
    ----------
    frame : LazyFrame
        Full labels: `sample_id`, `labelset`, `sensor_index`, `frame_index`, `track_id` or `id`, `is_keyframe`, and
        what there is of the columns that `interpolate` takes.
    by : {"frame_index", "timestamp"}, optional
        One of the two ways; by default both, if there are timestamps. These are the rows' own, and between two
        keyframes where they are not all known and increasing, the frame index counts.
    gap : {"interpolate", "hold"}
        What `interpolate` does where an object goes away before the next keyframe.
    shapes : collection of str
        The types that `interpolate` blends. Of other types it holds, and the difference is that to the keyframe before.

    Returns
    -------
    LazyFrame
        One row for each track that has rows between keyframes, sorted: `sample_id`, `labelset`, `sensor_index`,
        `track_id`, `in_between_rows` (int64), and for each way the largest differences (float64), with
        `_by_frame_index` or `_by_timestamp` after their names: `position` (metres, distance), `dimensions` (metres,
        on one side), `yaw` and `rotation` (radians, the angle between the two), `points` (pixels or metres, distance
        of one point); each where the frame has its columns. `worst_frame` is the first frame index with the largest
        of them. A difference is infinite where one of the two is null or NaN, or they have different numbers of
        points.

    Raises
    ------
    SchemaError
        A column is missing, or of another kind.
    ValueError
        An option is wrong.

    Examples
    --------
    >>> import polars as pl
    >>> import arrow_labels
    >>> boxes = pl.DataFrame({"sample_id": "a", "labelset": "ground-truth", "sensor_index": 0, "track_id": 7,
    ...     "frame_index": [0, 1, 2], "timestamp": [0, 25, 100], "is_keyframe": [True, False, True],
    ...     "x": [0.0, 1.0, 4.0], "y": 0.0, "z": 0.0})
    >>> boxes.labels.interpolation_error().select("track_id", "position_by_frame_index", "position_by_timestamp").rows()
    [(7, 1.0, 0.0)]
    """
    if by is not None:
        require_choice("by", by, By)
    require_choice("gap", gap, Gap)
    require_shapes(shapes)
    frame, schema = track_rows(frame, "is_keyframe", *(["timestamp"] if by == "timestamp" else []))
    names = geometry(schema, shapes)
    modes: list[By] = ["frame_index", "timestamp"] if by is None else [by]
    modes = [mode for mode in modes if mode in schema]
    timed = "timestamp" in modes
    rows = in_order(as_floats(frame, names), schema, "frame_index").filter(is_overruled().not_())
    rows = with_starts(rows)
    rows = rows.with_columns(pl.col("__starts").cum_sum().alias("__segment"), track(schema).alias("__object"))
    if timed:
        rows = rows.with_columns(pl.col("timestamp").cast(pl.Int64).alias("__time"))
        steady = (pl.col("__time") > pl.col("__time").shift(1)).fill_null(False)
        rows = rows.with_columns(steady.not_().cum_sum().alias("__breaks"))
    rows = _between(rows, names, timed=timed).join(
        _constants(rows, schema, names, shapes, gap, timed=timed), on="__segment", how="left", maintain_order="left"
    )
    errors = []
    for mode in modes:
        rows, made = _with_errors(rows, names, mode)
        errors += made
    key = [*(pl.col(name).first() for name in LABEL), pl.col("__object").first().alias("track_id")]
    count = pl.len().cast(pl.Int64).alias("in_between_rows")
    tracks = rows.group_by(TRACK).agg(*key, count, *errors).sort(TRACK)
    return tracks.drop(TRACK)


def _between(rows: pl.LazyFrame, names: Collection[str], *, timed: bool) -> pl.LazyFrame:
    """The rows between keyframes, as they were exported."""
    between = rows.filter(pl.col("__starts").not_()).select(
        "__segment",
        _FRAME.alias("__frame"),
        *([pl.col("__time").alias("__at")] if timed else []),
        *(pl.col(name).alias(f"__exported_{name}") for name in names),
    )
    return _unit(between, "exported") if "qw" in names else between


def _constants(
    rows: pl.LazyFrame, schema: pl.Schema, names: Collection[str], shapes: Collection[Shape], gap: Gap, *, timed: bool
) -> pl.LazyFrame:
    """One row a segment: what is constant on the way to the next keyframe."""
    carried = [TRACK, "frame_index", *(["type"] if "type" in schema else []), *(["__time", "__breaks"] * timed)]
    starts = with_ends(with_next(segments(rows), [*carried, *names]), pl.lit(None, schema["frame_index"]))
    return with_steps(with_spans(starts, schema, shapes, gap, timed=timed), names, typed="type" in schema)


def _with_errors(rows: pl.LazyFrame, names: Collection[str], mode: By) -> tuple[pl.LazyFrame, list[pl.Expr]]:
    """Rows with their differences to what the keyframes give, and what becomes of these for a track."""
    u = (_NOW - _FRAME) / pl.col("__frames")
    if mode == "timestamp":
        u = pl.coalesce((pl.col("__at") - pl.col("__time")) / pl.col("__nanoseconds"), u)
    rows, values = blended(rows.with_columns(u.alias("__u")), names)
    rows = rows.with_columns(value.alias(f"__given_{name}") for name, value in values.items())
    rows = rows.with_columns(_apart(name).alias(f"__apart_{name}") for name in names if name in _NUMBERS)
    found = {}
    if any(name in names for name in POSITION):
        found["position"] = _norm([pl.col(f"__apart_{name}") for name in POSITION if name in names])
    if any(name in names for name in DIMENSIONS):
        found["dimensions"] = pl.max_horizontal(pl.col(f"__apart_{name}").abs() for name in DIMENSIONS if name in names)
    if "yaw" in names:
        found["yaw"] = wrapped(pl.col("__apart_yaw")).abs()  # NaN of infinity
    if "qw" in names:
        rows, found["rotation"] = _turn(rows)
    if "points" in names:
        rows, found["points"] = _farthest(rows)
    columns = {f"{name}_by_{mode}": difference.fill_nan(math.inf) for name, difference in found.items()}
    worst, at = f"__worst_by_{mode}", f"worst_frame_by_{mode}"
    rows = rows.with_columns(**columns)
    rows = rows.with_columns(pl.max_horizontal(pl.lit(None, pl.Float64), *columns).alias(worst))
    # Of equally large ones the first frame, whichever group of rows was looked at first.
    first = pl.when(pl.col(worst).max().is_not_null()).then(_NOW.max_by(pl.struct(worst, -_NOW)))
    return rows, [*(pl.col(name).max() for name in columns), first.alias(at)]


def _apart(name: str) -> pl.Expr:
    """The difference of two numbers; infinite where one of them is null."""
    given, exported = pl.col(f"__given_{name}"), pl.col(f"__exported_{name}")
    return pl.when(given.is_null() != exported.is_null()).then(math.inf).otherwise(given - exported)


def _norm(parts: list[pl.Expr]) -> pl.Expr:
    known = pl.any_horizontal(part.is_not_null() for part in parts)
    return pl.when(known).then(pl.sum_horizontal(part * part for part in parts).sqrt())


def _turn(rows: pl.LazyFrame) -> tuple[pl.LazyFrame, pl.Expr]:
    """The angle between two rotations; infinite where one of them is none."""
    rows = _unit(rows, "given")
    given, exported = (quaternion([f"__{kind}_{name}" for name in QUATERNION]) for kind in ("given", "exported"))
    one = given[3].is_null() != exported[3].is_null()
    return rows, pl.when(one).then(math.inf).otherwise(angle_between(given, exported))


def _unit(rows: pl.LazyFrame, kind: str) -> pl.LazyFrame:
    """Rows with their rotation as a unit quaternion."""
    names = [f"__{kind}_{name}" for name in QUATERNION]
    for step in (scaled, normalised):
        parts = zip(names, step(quaternion(names)), strict=True)
        rows = rows.with_columns(part.alias(name) for name, part in parts)
    return rows


def _farthest(rows: pl.LazyFrame) -> tuple[pl.LazyFrame, pl.Expr]:
    """The largest distance between two points of the same place; infinite where their number differs."""
    given, exported = pl.col("__given_points"), pl.col("__exported_points")
    comparable = given.list.len() == exported.list.len()
    # A coordinate that one point lacks is infinitely far, and one that both lack is not.
    lists = {
        f"{name}_{axis}": pl.when(comparable).then(
            pl.col(name).list.eval(pl.element().struct.field(axis).fill_null(_FAR))
        )
        for name in ("__given_points", "__exported_points")
        for axis in POSITION
    }
    rows = rows.with_columns(**lists)
    rows = rows.with_columns(
        (pl.col(f"__given_points_{axis}") - pl.col(f"__exported_points_{axis}")).alias(f"__apart_{axis}s")
        for axis in POSITION
    )
    squares = [pl.col(f"__apart_{axis}s") * pl.col(f"__apart_{axis}s") for axis in POSITION]
    distances = (squares[0] + squares[1] + squares[2]).list.eval(pl.element().fill_nan(math.inf))
    other = given.is_null() != exported.is_null()
    return rows, pl.when(other | comparable.not_()).then(math.inf).otherwise(distances.list.max().sqrt())
