"""Rotations against scipy, speeds against NumPy."""

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from check_cases import cuboid, frame, release, sequence, tables
from scipy.spatial.transform import Rotation

import arrow_labels as al
from arrow_labels.checks import check_labels

COUNT = 300
QUATERNION = ("qx", "qy", "qz", "qw")


def with_columns(**columns: Any) -> al.LabelTables:
    """A frame of cuboids with these columns."""
    made = tables(release(frame(*(cuboid(number, x=10.0 * number) for number in range(1, COUNT + 1)))))
    cuboids = pl.DataFrame(pl.from_arrow(made.cuboids))
    return dataclasses.replace(made, cuboids=cuboids.with_columns(**{k: pl.Series(v) for k, v in columns.items()}))


def places(found: pl.DataFrame, rule: str) -> list[int]:
    return found.filter(pl.col("rule") == rule)["annotation_index"].to_list()


def test_yaw_is_the_heading_of_the_rotation() -> None:
    random = np.random.default_rng(0)
    rotations = Rotation.random(COUNT, random_state=1)
    heading: npt.NDArray[np.float64] = np.arctan2(*rotations.apply([1.0, 0.0, 0.0]).T[[1, 0]])
    off = random.choice([0.0, 5e-4, 2e-3, 1.0, -2.0], COUNT)
    yaw = (heading + off + np.pi) % (2 * np.pi) - np.pi
    parts = dict(zip(QUATERNION, rotations.as_quat().T * random.choice([1.0, -1.0], COUNT), strict=True))
    found = check_labels(with_columns(yaw=yaw, **parts))
    assert set(found["rule"]) == {"yaw-rotation"}
    assert places(found, "yaw-rotation") == np.flatnonzero(np.abs(off) > 1e-3).tolist()


def test_lengths_of_quaternions() -> None:
    random = np.random.default_rng(0)
    length = random.choice([1.0, 1.0005, 1.002, 0.99, 0.0, 1e-200], COUNT)
    parts = dict(zip(QUATERNION, np.outer(Rotation.from_euler("z", 0.5).as_quat(), length), strict=True))
    found = check_labels(with_columns(**parts))
    assert set(found["rule"]) == {"quaternion-norm"}
    assert places(found, "quaternion-norm") == np.flatnonzero(np.abs(length - 1) > 1e-3).tolist()


def test_speeds_along_tracks() -> None:
    """Tracks with holes, on frames at uneven times, in any order in the frame."""
    random = np.random.default_rng(0)
    times = np.cumsum(random.integers(50, 200, 40)) * 1_000_000
    x = np.cumsum(random.uniform(-14, 14, (40, 3)), axis=0)
    there = random.random((40, 3)) < 0.8
    frames = [
        frame(
            *(cuboid(int(track) + 1, x=float(x[at, track])) for track in random.permutation(3) if there[at, track]),
            timestamp=int(times[at]),
        )
        for at in range(40)
    ]
    found = check_labels(tables(release(sequence(*frames))), rules=["speed"])
    expected = []
    for track in range(3):
        rows = np.flatnonzero(there[:, track])
        speeds = np.abs(np.diff(x[rows, track])) / np.diff(times[rows]) * 1e9
        expected += [(int(at), track + 1) for at in rows[1:][speeds > 70]]
    assert found.select("frame_index", "track_id").sort(pl.all()).rows() == sorted(expected)
    assert 5 < len(expected) < 60


def test_messages_say_what_is_missing() -> None:
    lacking = [{"x": 0.0, "y": 2.0}, {"x": 4.0, "y": 2.0}]
    found = check_labels(tables(release(sequence(*(frame(cuboid(dimensions=each)) for each in lacking)))))
    messages = dict(zip(found["rule"], found["message"], strict=True))
    assert messages["non-positive-dimensions"] == "Expected dimensions above 0, got 0.0 x 2.0 x null"
    assert messages["changed-dimensions"] == "Expected 0.0 x 2.0 x null as before on the track, got 4.0 x 2.0 x null"
