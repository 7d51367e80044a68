"""Tracks made at random, and what is to become of them, one row at a time and without Polars."""

from __future__ import annotations

import math
import random
import re
from collections import defaultdict
from collections.abc import Iterable
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
from scipy.spatial.transform import Rotation, Slerp

Row = dict[str, Any]
Clocks = dict[tuple[str, int], dict[int, int | None]]
"""Of each sample and sensor the frames and their times."""

START = 1_700_000_000_000_000_000
KEY = ("sample_id", "labelset", "sensor_index", "track_id", "frame_index")
POINTS = pl.List(pl.Struct(dict.fromkeys("xyz", pl.Float64)))
QUATERNION = ("qx", "qy", "qz", "qw")
LINEAR = ("x", "y", "z", "length", "width", "height")
BLENDED = (*LINEAR, "yaw", *QUATERNION, "points")
SCHEMA: dict[str, Any] = {
    "sample_id": pl.String,
    "labelset": pl.String,
    "sensor_index": pl.Int32,
    "sensor": pl.String,
    "frame_index": pl.Int32,
    "timestamp": pl.Int64,
    "annotation_index": pl.Int32,
    "id": pl.Int64,
    "track_id": pl.Int64,
    "category": pl.String,
    "type": pl.String,
    "is_keyframe": pl.Boolean,
    "index": pl.Int32,
    "attributes": pl.String,
    **dict.fromkeys((*LINEAR, "yaw", *QUATERNION), pl.Float64),
    "points": POINTS,
    "velocity_absolute": pl.Float64,
}
KINDS = ("cuboid", "cuboid-sync", "bbox", "polygon", "polyline", "point")
DEFAULT_SHAPES = ("bbox", "cuboid", "cuboid-sync")


def one_track(**columns: Any) -> pl.LazyFrame:
    """Two keyframes of a track, on the frames 0 and 4, unless the columns say otherwise."""
    key = {"sample_id": "a", "labelset": "ground-truth", "sensor_index": 0, "track_id": 7, "frame_index": [0, 4]}
    return pl.LazyFrame({**key, **columns}, schema_overrides={"points": POINTS})


def points(*vertices: tuple[float | None, ...]) -> list[Row]:
    """Points of two or three coordinates."""
    return [dict(zip("xyz", (*vertex, None)[:3], strict=True)) for vertex in vertices]


def table(rows: Iterable[Row]) -> pl.DataFrame:
    """Rows as a frame; those that have it with `until_frame`."""
    rows = list(rows)
    until = {"until_frame": pl.Int32} if any("until_frame" in row for row in rows) else {}
    return pl.DataFrame(rows, {**SCHEMA, **until}, orient="row")


def grid(clocks: Clocks) -> pl.DataFrame:
    """The frames of the sensors, as in `sample_frames`."""
    rows = [(*sensor, frame, at) for sensor, clock in clocks.items() for frame, at in clock.items()]
    names = ("sample_id", "sensor_index", "frame_index", "timestamp")
    return pl.DataFrame(rows, {name: SCHEMA[name] for name in names}, orient="row")


def random_clocks(rng: random.Random, *, broken: bool = False) -> Clocks:
    """Frames that are not equally far apart; when broken, some are missing, have no time, or one of others."""
    clocks: Clocks = {}
    for sensor in [("sample-0", 0), ("sample-0", 1), ("sample-1", 0)]:
        steps = [rng.randrange(20_000_000, 180_000_000) for _ in range(rng.randrange(2, 40))]
        clock: dict[int, int | None] = dict(enumerate(np.cumsum([START, *steps]).tolist()))
        for frame in rng.sample(list(clock), 2 if broken else 0):
            clock[frame] = rng.choice((None, START, clock[max(frame - 1, 0)], START + 10**12))
        clocks[sensor] = clock
    return clocks


def random_state(rng: random.Random, kind: str) -> Row:
    """What a person sets on a keyframe."""
    state: Row = dict.fromkeys(BLENDED)
    if kind.startswith("cuboid"):
        turn = np.array([rng.gauss(0, 1) for _ in QUATERNION])
        turn /= np.linalg.norm(turn)
        state |= {name: rng.uniform(-100, 100) for name in LINEAR}
        state |= {"yaw": rng.uniform(-math.pi, math.pi), **dict(zip(QUATERNION, turn.tolist(), strict=True))}
    else:
        count = {"bbox": 2, "point": 1}.get(kind) or rng.randrange(3, 6)
        flat = rng.random() < 0.5
        points = [{"x": rng.uniform(0, 2000), "y": rng.uniform(0, 1000)} for _ in range(count)]
        state["points"] = [point | {"z": None if flat else rng.uniform(-5, 5)} for point in points]
    return state


def random_keyframes(rng: random.Random, clocks: Clocks, *, until: bool = False) -> list[Row]:
    """Keyframes of all kinds, in the order of a document; with `until`, some objects go away before the next one."""
    rows = []
    for (sample, sensor), clock in clocks.items():
        for labelset in ("ground-truth", "predictions"):
            for place in range(4):
                frames = sorted(rng.sample(list(clock), rng.randrange(1, min(7, len(clock)))))
                track = {"sample_id": sample, "labelset": labelset, "sensor_index": sensor, "annotation_index": place}
                track |= {"sensor": f"sensor {sensor}", "type": rng.choice(KINDS), "is_keyframe": True}
                track |= {"track_id": rng.choice((place, None)), "id": place}
                for frame, following in zip(frames, [*frames[1:], max(clock) + 2], strict=True):
                    row = track | {"frame_index": frame, "timestamp": clock[frame], "attributes": f'{{"at":{frame}}}'}
                    row |= {"category": rng.choice(("car", "van")), "index": rng.choice((frame, frame, None))}
                    row |= {**random_state(rng, row["type"]), "velocity_absolute": rng.choice((None, rng.random()))}
                    if row["track_id"] is not None:
                        row["id"] = rng.choice((None, place, place + frame))
                    if until:
                        row["until_frame"] = rng.choice((None, following, rng.randrange(frame + 1, following + 1)))
                    rows.append(row)
    return sorted(rows, key=lambda row: (row["sample_id"], row["sensor_index"], row["frame_index"]))


def random_label(rng: random.Random, clocks: Clocks, by: str) -> list[Row]:
    """All rows of tracks that were made by interpolation, with removals, in the order of a document."""
    rows = random_keyframes(rng, clocks, until=True)
    rows = interpolate(rows, clocks, by=by, tail="hold")
    return sorted(rows, key=lambda row: (row["sample_id"], row["labelset"], row["sensor_index"], row["frame_index"]))


def track_of(row: Row) -> tuple[Any, ...]:
    """The track that a row belongs to."""
    track = row["id"] if row["track_id"] is None else row["track_id"]
    return row["sample_id"], row["labelset"], row["sensor_index"], track


def by_track(rows: Iterable[Row]) -> list[list[Row]]:
    """The rows of each track in the order of its frames, one a frame: a keyframe if there is one, and the last one."""
    tracks: dict[tuple[Any, ...], dict[int, Row]] = defaultdict(dict)
    for row in rows:
        frames = tracks[track_of(row)]
        before = frames.get(row["frame_index"])
        if before is None or row["is_keyframe"] is not False or before["is_keyframe"] is False:
            frames[row["frame_index"]] = row
    return [[frames[frame] for frame in sorted(frames)] for _, frames in sorted(tracks.items())]


def keyframes(rows: Iterable[Row]) -> list[Row]:
    """The keyframes of full labels, with `until_frame`."""
    found: list[Row] = []
    for track in by_track(rows):
        before = None
        for row in track:
            if row["is_keyframe"] is not False or row["frame_index"] - 1 != before:
                found.append(row | {"until_frame": None})
            before = row["frame_index"]
            found[-1]["until_frame"] = before + 1
    return found


def slerp(q0: list[float], q1: list[float], u: float) -> list[float]:
    """Scipy's rotation between two, as the quaternion that is nearer to the first."""
    between = Slerp([0, 1], Rotation.from_quat([q0, q1]))(u).as_quat()
    return [float(part) for part in (between if np.dot(between, q0) >= 0 else -between)]


def blend(row: Row, following: Row, u: float) -> Row:
    """The values of a row on the way to the following one."""
    made: Row = {}
    for name in LINEAR:
        if row[name] is not None and following[name] is not None:
            made[name] = (1 - u) * row[name] + u * following[name]
    if row["yaw"] is not None and following["yaw"] is not None:
        turn = math.remainder(following["yaw"] - row["yaw"], math.tau)
        made["yaw"] = math.remainder(row["yaw"] + u * turn, math.tau)
    if row["qx"] is not None and following["qx"] is not None:
        ends = ([end[name] for name in QUATERNION] for end in (row, following))
        made |= dict(zip(QUATERNION, slerp(*ends, u), strict=True))
    if row["points"] is not None and following["points"] is not None and len(row["points"]) == len(following["points"]):
        made["points"] = [
            {axis: p[axis] if q[axis] is None or p[axis] is None else (1 - u) * p[axis] + u * q[axis] for axis in "xyz"}
            for p, q in zip(row["points"], following["points"], strict=True)
        ]
    return made


def part_of_the_way(row: Row, following: Row, frame: int, by: str, clock: dict[int, int | None] | None) -> float:
    """How far a frame is between two keyframes, from 0 to 1."""
    start, end = row["frame_index"], following["frame_index"]
    if by == "timestamp" and clock is not None and start in clock and end in clock:
        times = [clock[at] for at in range(start, end + 1) if at in clock]
        known = [at for at in times if at is not None]
        if len(known) == len(times) and all(a < b for a, b in pairwise(known)):
            return float(Fraction(clock[frame] - known[0], known[-1] - known[0]))  # type: ignore[operator]
    return (frame - start) / (end - start)


def time_of(row: Row, following: Row | None, frame: int) -> int | None:
    """The time of a frame between two keyframes, in equal steps."""
    if following is None or row["timestamp"] is None or following["timestamp"] is None:
        return None
    part = Fraction(frame - row["frame_index"], following["frame_index"] - row["frame_index"])
    return round(row["timestamp"] + part * (following["timestamp"] - row["timestamp"]))


def interpolate(
    rows: list[Row],
    clocks: Clocks | None = None,
    *,
    by: str = "frame_index",
    tail: str = "drop",
    gap: str = "interpolate",
    shapes: Iterable[str] = DEFAULT_SHAPES,
) -> list[Row]:
    """All rows of tracks, from their keyframes."""
    made = []
    for track in by_track(rows):
        if "until_frame" not in track[0] and any(row["is_keyframe"] is False for row in track):
            track = keyframes(track)
        clock = None if clocks is None else clocks.get((track[0]["sample_id"], track[0]["sensor_index"]), {})
        for row, following in zip(track, [*track[1:], None], strict=True):
            start, until = row["frame_index"], row.get("until_frame")
            if following is None:
                held = max(clock, default=start) if clock is not None and tail == "hold" else start
                end = max(start, held) + 1 if until is None else max(until, start + 1)
            else:
                end = following["frame_index"]
                end = end if until is None else min(max(until, start + 1), end)
            for frame in range(start, end):
                if clock is not None and frame not in clock and frame != start:
                    continue
                new = {name: value for name, value in row.items() if name != "until_frame"}
                if frame != start:
                    new |= {"frame_index": frame, "is_keyframe": False}
                    new["index"] = None if row["index"] is None else frame
                    new["timestamp"] = time_of(row, following, frame) if clock is None else clock[frame]
                    moves = following is not None and row["type"] in shapes and row["type"] == following["type"]
                    if moves and (gap == "interpolate" or end == following["frame_index"]):
                        new |= blend(row, following, part_of_the_way(row, following, frame, by, clock))
                made.append(new)
    return made


def assert_same(found: pl.DataFrame, expected: list[Row], tolerance: float = 1e-12) -> None:
    """The same rows in the same order: blended numbers nearly, all others exactly."""
    wanted = table(expected)
    assert found.schema == wanted.schema
    assert found.height == wanted.height
    held = [name for name in wanted.columns if name not in BLENDED]
    for name in held:
        assert found[name].to_list() == wanted[name].to_list(), name
    for name in BLENDED:
        got, want = flat(found, name), flat(wanted, name)
        assert np.array_equal(np.isnan(got), np.isnan(want)), name
        apart = np.abs(got - want) / np.maximum(1, np.abs(want))
        assert np.nanmax(apart, initial=0) <= tolerance, (name, np.nanmax(apart))


def flat(frame: pl.DataFrame, name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """A column as numbers, NaN for null; of points all their coordinates."""
    column = frame[name]
    if name == "points":
        counts = column.list.len().fill_null(-1).to_numpy()
        assert np.array_equal(column.is_null().to_numpy(), counts == -1)
        numbers = column.explode().struct.unnest().to_numpy().ravel() if frame.height else np.empty(0)
        return np.concatenate([counts.astype(np.float64), numbers.astype(np.float64)])
    return column.to_numpy().astype(np.float64)


def streams(query: pl.LazyFrame) -> bool:
    """Whether no node of the plan falls back to the in-memory engine, whatever its name."""
    plan = query.show_graph(engine="streaming", plan_stage="physical", raw_output=True)
    assert plan is not None
    (color,) = re.findall(r'COLOR="([\d. ]+)">⬤</FONT> in-memory engine fallback', plan)
    assert "fillcolor=" in plan
    return f'fillcolor="{color}"' not in plan
