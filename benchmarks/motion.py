"""Speeds along tracks and ego coordinates: arrow_labels against pandas, rows a CPU second, in one run.

    python benchmarks/motion.py [--quick]

Sequences of 200 frames and 30 cuboids each, in memory, in the order of frames as in a label. The result is kept. For
speeds pandas runs once with `groupby.diff`, and once with `groupby.apply` of NumPy on each track, as scripts do; for
ego coordinates once with a merge and scipy's rotations of all rows at once, and once frame by frame.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import numpy as np
import pandas as pd
import polars as pl
from scipy.spatial.transform import Rotation

from arrow_labels.expressions.ego import to_ego
from arrow_labels.expressions.kinematics import kinematics

FRAMES: Final = 200
TRACKS: Final = 30
TRACK: Final = ["sample_id", "labelset", "sensor_index", "track_id"]
FRAME: Final = ["sample_id", "sensor_index", "frame_index"]
XYZ: Final = ["x", "y", "z"]
XYZW: Final = ["qx", "qy", "qz", "qw"]
EGO_XYZ: Final = ["ego_x", "ego_y", "ego_z"]
EGO_XYZW: Final = ["ego_qx", "ego_qy", "ego_qz", "ego_qw"]


def workload(sequences: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Cuboids and ego poses."""
    random = np.random.default_rng(0)
    frames, rows = sequences * FRAMES, sequences * FRAMES * TRACKS
    key = {
        "sample_id": np.repeat([f"sample {number}" for number in range(sequences)], FRAMES),
        "sensor_index": np.zeros(frames, np.int32),
        "frame_index": np.tile(np.arange(FRAMES, dtype=np.int32), sequences),
    }
    poses = {name: random.normal(size=frames) for name in (*EGO_XYZ, *EGO_XYZW)}
    cuboids = {name: np.repeat(values, TRACKS) for name, values in key.items()}
    cuboids |= {"labelset": np.full(rows, "ground-truth"), "track_id": np.tile(np.arange(TRACKS), frames)}
    cuboids |= {"timestamp": 100_000_000 * cuboids["frame_index"].astype(np.int64)}
    cuboids |= {name: random.normal(size=rows) for name in (*XYZ, "yaw", *XYZW)}
    return pl.DataFrame(cuboids), pl.DataFrame({**key, **poses})


def differences(rows: pd.DataFrame, poses: pd.DataFrame) -> Any:
    """`groupby.diff`: the speeds, absolute and relative."""
    rows = rows.merge(poses, on=FRAME, how="left")
    relative = rows[XYZ].to_numpy() - rows[EGO_XYZ].to_numpy()
    rows[["rx", "ry", "rz"]] = relative
    grouped = rows.groupby(TRACK, sort=False)
    seconds = grouped["timestamp"].diff() * 1e-9
    result = {}
    for kind, names in (("absolute", XYZ), ("relative", ["rx", "ry", "rz"])):
        velocity = grouped[names].diff().div(seconds, axis=0)
        result[f"velocity_{kind}"] = np.sqrt((velocity**2).sum(axis=1, skipna=False))
        keyed = pd.concat([rows[TRACK], velocity], axis=1)
        acceleration = keyed.groupby(TRACK, sort=False)[names].diff().div(seconds, axis=0)
        result[f"acceleration_{kind}"] = np.sqrt((acceleration**2).sum(axis=1, skipna=False))
    return rows.assign(**result)


def track_by_track(rows: pd.DataFrame, poses: pd.DataFrame) -> Any:
    """`groupby.apply` of NumPy on each track."""

    def speeds(group: pd.DataFrame) -> pd.DataFrame:
        seconds = np.diff(group["timestamp"].to_numpy())[:, None] * 1e-9
        places = group[XYZ].to_numpy()
        for kind, points in (("absolute", places), ("relative", places - group[EGO_XYZ].to_numpy())):
            velocity = np.diff(points, axis=0) / seconds
            acceleration = np.diff(velocity, axis=0) / seconds[1:]
            group[f"velocity_{kind}"] = np.r_[np.nan, np.linalg.norm(velocity, axis=1)]
            group[f"acceleration_{kind}"] = np.r_[np.nan, np.nan, np.linalg.norm(acceleration, axis=1)]
        return group

    merged = rows.merge(poses, on=FRAME, how="left")
    return merged.groupby(TRACK, sort=False, group_keys=False)[merged.columns.tolist()].apply(speeds)


def all_at_once(rows: pd.DataFrame, poses: pd.DataFrame) -> Any:
    """A merge, and scipy's rotations of all rows."""
    return in_ego(rows.merge(poses, on=FRAME, how="left"))


def frame_by_frame(rows: pd.DataFrame, poses: pd.DataFrame) -> Any:
    """`groupby.apply` of scipy's rotation on each frame."""
    merged = rows.merge(poses, on=FRAME, how="left")
    return merged.groupby(FRAME, sort=False, group_keys=False)[merged.columns.tolist()].apply(in_ego)


def in_ego(rows: pd.DataFrame) -> pd.DataFrame:
    inverse = Rotation.from_quat(rows[EGO_XYZW].to_numpy()).inv()
    turned = inverse * Rotation.from_quat(rows[XYZW].to_numpy())
    rows[XYZ] = inverse.apply(rows[XYZ].to_numpy() - rows[EGO_XYZ].to_numpy())
    rows[XYZW] = turned.as_quat()
    heading = turned.apply([1.0, 0.0, 0.0])
    rows["yaw"] = np.arctan2(heading[:, 1], heading[:, 0])
    return rows


def rate(run: Callable[[], Any], rows: int) -> float:
    """Millions of rows a CPU second."""
    start = time.process_time()
    kept = run()
    seconds = time.process_time() - start
    assert len(kept) == rows
    return rows / seconds / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a small workload: shows that it runs")
    quick = parser.parse_args().quick
    cuboids, poses = workload(4 if quick else 600)
    few, few_poses = workload(2 if quick else 20)  # for what would take minutes; what counts is the time a row
    pandas = [frame.to_pandas() for frame in (cuboids, poses, few, few_poses)]
    print(f"{len(cuboids):,} cuboids\n\n| | million rows a CPU second | ours is |\n|---|---:|---:|")
    for ours, method, peers in (
        ("kinematics", kinematics, ((differences, True), (track_by_track, False))),
        ("to_ego", to_ego, ((all_at_once, True), (frame_by_frame, False))),
    ):
        own = rate(partial(method(cuboids.lazy(), poses).collect, engine="streaming"), len(cuboids))
        print(f"| {ours} | {own:.2f} | |")
        for peer, is_fast in peers:
            frame, egos = pandas[:2] if is_fast else pandas[2:]
            other = rate(partial(peer, frame.copy(), egos), len(frame))
            print(f"| pandas, {peer.__name__.replace('_', ' ')} | {other:.3f} | {own / other:.1f} x |", flush=True)


if __name__ == "__main__":
    main()
