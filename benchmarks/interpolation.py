"""How fast keyframes become full tracks, against the ways in which it is done elsewhere; and with how much memory.

    python benchmarks/interpolation.py [--quick] [--rounds N] [--only 'CONTENDER;...']

600 sequences of 200 frames with 30 cuboids each, a keyframe every 10 frames: 378,000 keyframes become 3,600,000 rows
of 31 columns. Every measurement is a process of its own, and contenders are held to one core. Those that take long do
a part of the sequences; what is compared is CPU time a row.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import json
import math
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import polars as pl

ONE_CORE: Final = {
    "POLARS_MAX_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
}
FRAMES, TRACKS, KEYFRAME_EVERY = 200, 30, 10
START: Final = 1_700_000_000_000_000_000
TARGETS: Final = {"scipy": 15.0, "pandas": 30.0, "dicts": 3.5}
TARGET_MEGABYTES: Final = 1500
TARGET_GROWTH: Final = 1.3

KEY: Final = ["sample_id", "labelset", "sensor_index", "track_id"]
LINEAR: Final = ["x", "y", "z", "length", "width", "height"]
QUATERNION: Final = ["qx", "qy", "qz", "qw"]

Run = Callable[[], Any]


def keyframes(sequences: int, seed: int = 0) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Keyframes in the order of their documents, and the frames of the sequences."""
    rng = np.random.default_rng(seed)
    frames = np.unique([*range(0, FRAMES, KEYFRAME_EVERY), FRAMES - 1]).astype(np.int32)
    count = sequences * len(frames) * TRACKS
    sequence = np.repeat(np.arange(sequences), len(frames) * TRACKS)
    frame = np.tile(np.repeat(frames, TRACKS), sequences)
    track = np.tile(np.arange(TRACKS), sequences * len(frames))
    times = START + np.cumsum(rng.integers(90_000_000, 110_000_000, (sequences, FRAMES)), axis=1)
    names = np.array([f"{place:08x}-3c1d-4b4e-9f57-{place * 7919:012x}" for place in range(sequences)])
    turns = rng.normal(size=(count, 4))
    turns /= np.linalg.norm(turns, axis=1, keepdims=True)
    rows = pl.DataFrame(
        {
            "sample_id": names[sequence],
            "labelset": "ground-truth",
            "sensor_index": 0,
            "sensor": None,
            "frame_index": frame,
            "timestamp": times[sequence, frame],
            "annotation_index": track,
            "id": track + 1,
            "track_id": track + 1,
            "category_id": track % 5,
            "category": np.array(["car", "truck", "pedestrian", "cyclist", "other"])[track % 5],
            "type": "cuboid",
            "is_keyframe": True,
            "index": frame,
            "attributes": np.array(['{"occlusion":"none"}', '{"occlusion":"partial"}'])[rng.integers(0, 2, count)],
            "extra": None,
            **{name: rng.normal(0, 50, count) for name in LINEAR[:3]},
            **{name: rng.uniform(1, 5, count) for name in LINEAR[3:]},
            "yaw": rng.uniform(-np.pi, np.pi, count),
            **{name: turns[:, place] for place, name in enumerate(QUATERNION)},
            "velocity_absolute": None,
            "velocity_relative": None,
            "acceleration_absolute": None,
            "acceleration_relative": None,
        },
        schema_overrides={
            **dict.fromkeys(("sensor_index", "frame_index", "annotation_index", "index"), pl.Int32),
            **dict.fromkeys(("sensor", "extra"), pl.String),
            "^(velocity|acceleration)_.*$": pl.Float64,
        },
    ).cast({pl.Null: pl.Float64})
    grid = pl.DataFrame(
        {
            "sample_id": np.repeat(names, FRAMES),
            "sensor_index": np.zeros(sequences * FRAMES, np.int32),
            "frame_index": np.tile(np.arange(FRAMES, dtype=np.int32), sequences),
            "timestamp": times.ravel(),
        }
    )
    return rows, grid


# Each contender prepares what it reads from (outside the clock) and gives the function that is timed.


def _arrow_labels(rows: pl.DataFrame, grid: pl.DataFrame) -> Run:
    from arrow_labels.expressions.interpolation import interpolate

    return lambda: interpolate(rows.lazy()).collect()


def _by_timestamp(rows: pl.DataFrame, grid: pl.DataFrame) -> Run:
    from arrow_labels.expressions.interpolation import interpolate

    return lambda: interpolate(rows.lazy(), grid, by="timestamp").collect()


def _dicts(rows: pl.DataFrame, grid: pl.DataFrame) -> Run:
    records = rows.to_dicts()

    def run() -> list[dict[str, Any]]:
        tracks = defaultdict(list)
        for row in records:
            tracks[row["sample_id"], row["labelset"], row["sensor_index"], row["track_id"]].append(row)
        made = []
        for key in sorted(tracks):
            track = sorted(tracks[key], key=lambda row: row["frame_index"])
            for row, following in pairwise(track):
                made.append(row)
                made += _between(row, following)
            made.append(track[-1])
        return made

    return run


def _between(row: dict[str, Any], following: dict[str, Any]) -> list[dict[str, Any]]:
    made = []
    first, count = row["frame_index"], following["frame_index"] - row["frame_index"]
    steps = [(name, row[name], following[name] - row[name]) for name in LINEAR]
    yaw, turn = row["yaw"], math.remainder(following["yaw"] - row["yaw"], math.tau)
    elapsed = following["timestamp"] - row["timestamp"]
    ax, ay, az, aw = (row[name] for name in QUATERNION)
    bx, by, bz, bw = (following[name] for name in QUATERNION)
    dot = ax * bx + ay * by + az * bz + aw * bw
    if dot < 0:
        bx, by, bz, bw, dot = -bx, -by, -bz, -bw, -dot
    angle = math.acos(min(dot, 1.0))
    sin = math.sin(angle)
    for frame in range(first + 1, first + count):
        u = (frame - first) / count
        new = dict(row)
        new["frame_index"] = new["index"] = frame
        new["is_keyframe"] = False
        new["timestamp"] = row["timestamp"] + round(elapsed * (frame - first) / count)
        for name, start, step in steps:
            new[name] = start + step * u
        new["yaw"] = math.remainder(yaw + turn * u, math.tau)
        p, q = (math.sin((1 - u) * angle) / sin, math.sin(u * angle) / sin) if sin > 1e-9 else (1 - u, u)
        new["qx"], new["qy"] = p * ax + q * bx, p * ay + q * by
        new["qz"], new["qw"] = p * az + q * bz, p * aw + q * bw
        made.append(new)
    return made


def _pandas(rows: pl.DataFrame, grid: pl.DataFrame) -> Run:
    frame = rows.to_pandas()

    def fill(track: Any) -> Any:
        track = track.sort_values("frame_index")
        known = track["frame_index"].to_numpy()
        every = np.arange(known[0], known[-1] + 1)
        at = np.searchsorted(known, every, side="right") - 1
        return track.iloc[at].assign(**_blended(track, known, every))

    return lambda: frame.groupby(KEY, group_keys=False)[frame.columns.tolist()].apply(fill)


def _scipy(rows: pl.DataFrame, grid: pl.DataFrame) -> Run:
    import pandas as pd

    frame = rows.to_pandas()

    def run() -> pd.DataFrame:
        ordered = frame.sort_values([*KEY, "frame_index"], ignore_index=True)
        made, places = [], []
        for _, track in ordered.groupby(KEY):
            known = track["frame_index"].to_numpy()
            every = np.arange(known[0], known[-1] + 1)
            places.append(track.index.to_numpy()[np.searchsorted(known, every, side="right") - 1])
            made.append(pd.DataFrame(_blended(track, known, every)))
        blended = pd.concat(made, ignore_index=True)
        held = ordered.drop(columns=blended.columns).iloc[np.concatenate(places)].reset_index(drop=True)
        return pd.concat([held, blended], axis=1)

    return run


def _blended(track: Any, known: Any, every: Any) -> dict[str, Any]:
    """The columns of a track that are not held."""
    from scipy.spatial.transform import Rotation, Slerp

    columns = {name: np.interp(every, known, track[name].to_numpy()) for name in LINEAR}
    yaw = np.interp(every, known, np.unwrap(track["yaw"].to_numpy()))
    turns = Slerp(known, Rotation.from_quat(track[QUATERNION].to_numpy()))(every).as_quat()
    times = np.interp(every, known, track["timestamp"].to_numpy() - START)
    return {
        **columns,
        "yaw": (yaw + np.pi) % (2 * np.pi) - np.pi,
        **{name: turns[:, place] for place, name in enumerate(QUATERNION)},
        "timestamp": START + np.rint(times).astype(np.int64),
        "is_keyframe": np.isin(every, known),
        "frame_index": every,
        "index": every,
    }


def _arrays(rows: pl.DataFrame, grid: pl.DataFrame) -> Run:
    from scipy.spatial.transform import Rotation, Slerp

    def run() -> pl.DataFrame:
        ordered = rows.sort(*KEY, "frame_index")
        known = ordered["frame_index"].to_numpy()
        state = ordered.select(*LINEAR, "yaw", "timestamp", *QUATERNION).to_numpy()
        times = ordered["timestamp"].to_numpy() - START
        starts = np.append(
            np.flatnonzero(ordered.select(pl.struct(KEY).rle_id()).to_series().diff().fill_null(1)), len(known)
        )
        found: dict[str, list[Any]] = defaultdict(list)
        for first, end in pairwise(starts):
            frames, part = known[first:end], state[first:end]
            every = np.arange(frames[0], frames[-1] + 1)
            found["from"].append(np.searchsorted(frames, every, side="right") - 1 + first)
            found["frame_index"].append(every)
            for place, name in enumerate(LINEAR):
                found[name].append(np.interp(every, frames, part[:, place]))
            found["yaw"].append(np.interp(every, frames, np.unwrap(part[:, 6])))
            found["timestamp"].append(np.interp(every, frames, times[first:end]))
            found["turn"].append(Slerp(frames, Rotation.from_quat(part[:, 8:]))(every).as_quat())
        columns = {name: np.concatenate(parts) for name, parts in found.items()}
        made = ordered[columns.pop("from")]
        is_keyframe = pl.Series("is_keyframe", columns["frame_index"] == made["frame_index"].to_numpy())
        columns["index"] = columns["frame_index"]
        columns["yaw"] = (columns["yaw"] + np.pi) % (2 * np.pi) - np.pi
        columns["timestamp"] = START + np.rint(columns["timestamp"]).astype(np.int64)
        turns = columns.pop("turn")
        columns |= {name: turns[:, place] for place, name in enumerate(QUATERNION)}
        return made.with_columns(is_keyframe, *(pl.Series(name, values) for name, values in columns.items()))

    return run


class Contender(NamedTuple):
    """Who is measured: the module it needs, what is timed, whether it does all sequences, and what it does."""

    module: str
    prepare: Callable[[pl.DataFrame, pl.DataFrame], Run]
    whole: bool
    what: str


CONTENDERS: Final = {
    "arrow_labels": Contender("arrow_labels", _arrow_labels, True, "`interpolate()`"),
    "arrow_labels, by timestamp": Contender(
        "arrow_labels", _by_timestamp, True, '`interpolate(frames, by="timestamp")`: with times from a table'
    ),
    "dicts": Contender("math", _dicts, False, "a loop over dicts, one row at a time"),
    "scipy": Contender(
        "scipy", _scipy, False, "pandas and scipy: a loop over `groupby`, `Slerp` and `np.interp` a track, `concat`"
    ),
    "pandas": Contender(
        "scipy", _pandas, False, "the same in `groupby.apply`, which gives the rows of a track with all their columns"
    ),
    "scipy, arrays": Contender(
        "scipy",
        _arrays,
        False,
        "for reference: NumPy arrays and `Slerp` a track, all else in one go at the end, by Polars",
    ),
}


def checks(result: Any) -> list[float]:
    """What all results must have in common."""
    frame = (
        pl.DataFrame(result)
        if not hasattr(result, "iloc")
        else pl.DataFrame(
            {
                name: result[name].to_numpy()
                for name in ["frame_index", "timestamp", "is_keyframe", *LINEAR, "yaw", *QUATERNION]
            }
        )
    )
    sums = frame.select(
        pl.len(),
        pl.col("frame_index", "is_keyframe").sum().cast(pl.Float64),
        (pl.col("timestamp") - START).cast(pl.Float64).sum() / 1e9,
        pl.col(LINEAR).abs().sum(),
        pl.col("yaw").cos().abs().sum(),
        pl.col(QUATERNION).abs().sum(),
    )
    return [float(value) for value in sums.row(0)]


def measure(name: str, sequences: int, part: int) -> None:
    """In a fresh process: time one contender, and print its CPU nanoseconds a row, and checks of what it made."""
    contender = CONTENDERS[name]
    found = checks(contender.prepare(*keyframes(part))())
    run = contender.prepare(*keyframes(sequences if contender.whole else part))
    gc.collect()
    start = time.process_time()
    result = run()
    seconds = time.process_time() - start
    print(json.dumps({"seconds": seconds, "rows": len(result), "checks": found}))


def sink(folder: Path, by: str) -> None:
    """In a fresh process: from Parquet to Parquet, and print CPU seconds, rows, and the memory that it took."""
    from arrow_labels.expressions.interpolation import interpolate

    query = interpolate(*_scans(folder), by=by)  # type: ignore[arg-type]
    target = folder / "made.parquet"
    start = time.process_time()
    query.sink_parquet(target)
    seconds = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e3 if sys.platform == "linux" else 1e6)
    rows = pl.scan_parquet(target).select(pl.len()).collect().item()
    print(json.dumps({"seconds": seconds, "rows": rows, "peak": peak}))


def _scans(folder: Path) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    return pl.scan_parquet(folder / "keyframes.parquet"), pl.scan_parquet(folder / "frames.parquet")


def nodes(folder: Path, by: str) -> dict[str, bool]:
    """The kinds of nodes in the physical plan of the streaming engine, and whether they fall back to the other."""
    from arrow_labels.expressions.interpolation import interpolate

    query = interpolate(*_scans(folder), by=by)  # type: ignore[arg-type]
    plan = query.show_graph(engine="streaming", plan_stage="physical", raw_output=True, show=False)
    assert plan is not None
    (fallback,) = re.findall(r'COLOR="([\d. ]+)">⬤</FONT> in-memory engine fallback', plan)
    kinds = {}
    for label, style in re.findall(r'label="([^"\\]+)[^"]*"([^;]*);', plan):
        kinds[label] = kinds.get(label, False) or f'"{fallback}"' in style
    return kinds


def in_process(*arguments: str, environment: dict[str, str] | None = None) -> dict[str, Any]:
    """What a fresh process of this script prints."""
    done = subprocess.run(
        [sys.executable, __file__, *arguments],
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def benchmark(names: list[str], rounds: int, sequences: int, part: int) -> None:
    """Measure and print."""
    cost: dict[str, list[float]] = defaultdict(list)
    expected: list[float] = []
    for number in range(rounds):
        for name in names:
            _tell(f"round {number + 1} of {rounds}: {name}")
            options = ("--measure", name, "--sequences", str(sequences), "--part", str(part))
            found = in_process(*options, environment=ONE_CORE)
            cost[name].append(found["seconds"] / found["rows"] * 1e9)
            if name != "arrow_labels, by timestamp":
                expected = expected or found["checks"]
                if not np.allclose(found["checks"], expected, rtol=1e-7):
                    raise SystemExit(f"{name}: expected {expected}, got {found['checks']}")
    _tell("")
    print(f"rounds: {rounds}; CPU nanoseconds a row on one core: median (best)\n")
    print("| | ns a row | ours is | wanted | | what it does |\n|---|---:|---:|---:|---|---|")
    for name in names:
        print(row(name, cost), flush=True)
    print("\nfrom Parquet to Parquet, all cores:\n")
    print("| | rows | CPU ns a row | peak memory, MB | wanted | | growth a row | wanted | |")
    print("|---|---:|---:|---:|---:|---|---:|---:|---|")
    plans = [sinks(by, rounds, sequences) for by in ("frame_index", "timestamp")]
    print("\nnodes of the physical plan:\n")
    print("\n".join(plans))


def row(name: str, cost: dict[str, list[float]]) -> str:
    """One contender."""
    median = statistics.median(cost[name])
    ratio = median / statistics.median(cost["arrow_labels"]) if "arrow_labels" in cost else math.nan
    wanted = TARGETS.get(name)
    verdict = "| |" if wanted is None else f"| >= {wanted:g} x | {'ok' if ratio >= wanted else 'short'}"
    ours = "" if name == "arrow_labels" else f"{ratio:.1f} x"
    return f"| {name} | {median:,.0f} ({min(cost[name]):,.0f}) | {ours} {verdict} | {CONTENDERS[name].what} |"


def sinks(by: str, rounds: int, sequences: int) -> str:
    """The rows of one way: a tenth of the sequences, and all of them; and what its plan consists of."""
    costs = []
    for count in (max(1, sequences // 10), sequences):
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            for name, table in zip(("keyframes", "frames"), keyframes(count), strict=True):
                table.write_parquet(folder / f"{name}.parquet")
            found = [in_process("--sink", by, "--folder", temporary) for _ in range(rounds)]
            kinds = nodes(folder, by)
        peak = max(run["peak"] for run in found)
        costs.append(statistics.median(run["seconds"] / run["rows"] for run in found) * 1e9)
        line = f"| {by} | {found[0]['rows']:,} | {costs[-1]:,.0f} | {peak:,.0f} "
        line += f"| < {TARGET_MEGABYTES:,} | {'ok' if peak < TARGET_MEGABYTES else 'short'} |"
        if len(costs) == 2:
            growth = costs[1] / costs[0]
            line += f" {growth:.2f} x | < {TARGET_GROWTH} x | {'ok' if growth < TARGET_GROWTH else 'short'} |"
        else:
            line += " | | |"
        print(line, flush=True)
    fallen = [kind for kind, falls in kinds.items() if falls]
    verdict = f"short: in memory {', '.join(fallen)}" if fallen else "ok: none in memory"
    return f"* {by}: {', '.join(sorted(kinds))} ({verdict})"


def _tell(text: str) -> None:
    """Progress, on a terminal only."""
    if sys.stderr.isatty():
        print(f"\r{text:<70}", end="" if text else "\r", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small and once: shows that it runs, not how fast")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", help="contenders, with semicolons between them")
    parser.add_argument("--sequences", type=int, default=600)
    parser.add_argument("--part", type=int, default=20, help="sequences of a contender that takes long")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--sink", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options.measure, options.sequences, options.part)
        return
    if options.sink:
        sink(options.folder, options.sink)
        return
    names = options.only.split(";") if options.only else list(CONTENDERS)
    for name in [name for name in names if importlib.util.find_spec(CONTENDERS[name].module) is None]:
        print(f"{name}: not installed, left out")
        names.remove(name)
    if options.quick:
        print("quick: the times say nothing")
        benchmark(names, 1, 10, 1)
    else:
        benchmark(names, options.rounds, options.sequences, options.part)


if __name__ == "__main__":
    main()
