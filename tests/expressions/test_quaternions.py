"""Rotations between two, against scipy."""

import math

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from scipy.spatial.transform import Rotation, Slerp
from tracks import QUATERNION, one_track

from arrow_labels.expressions.interpolation import interpolate
from arrow_labels.expressions.quaternions import angle_between
from arrow_labels.expressions.rotations import quaternion


def quaternions(rng: np.random.Generator, count: int) -> npt.NDArray[np.float64]:
    found = rng.normal(size=(count, 4))
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def turned(first: npt.NDArray[np.float64], last: npt.NDArray[np.float64], frames: int) -> npt.NDArray[np.float64]:
    """Each pair of rotations is a track; gives (tracks, frames + 1, 4)."""
    count = len(first)
    ends = np.stack([first, last], axis=1).reshape(-1, 4)
    key = {"sample_id": "a", "labelset": "", "sensor_index": 0, "frame_index": [0, frames] * count}
    parts = {name: ends[:, place] for place, name in enumerate(QUATERNION)}
    rows = pl.LazyFrame({**key, "track_id": np.repeat(np.arange(count), 2), **parts})
    return interpolate(rows).collect().select(QUATERNION).to_numpy().reshape(count, frames + 1, 4)


@pytest.mark.parametrize("angle", [0.0, 1e-12, 1e-9, 1e-8, 1e-6, 1e-3, 1.0, 3.0, math.pi - 1e-6, math.pi - 1e-9, None])
def test_rotations_agree_with_scipy(angle: float | None) -> None:
    rng = np.random.default_rng(1)
    first, last = quaternions(rng, 200), quaternions(rng, 200)
    if angle is not None:
        axis = rng.normal(size=(200, 3))
        axis *= angle / np.linalg.norm(axis, axis=1, keepdims=True)
        last = (Rotation.from_quat(first) * Rotation.from_rotvec(axis)).as_quat()
    last[::2] *= -1  # the same rotation
    found = turned(first, last, 4)
    for quarters in (1, 2, 3):
        pairs = zip(first, last, strict=True)
        expected = Rotation.concatenate([Slerp([0, 4], Rotation.from_quat(pair))(quarters) for pair in pairs])
        q = expected.as_quat()
        q *= np.sign(np.sum(q * first, axis=1, keepdims=True))
        assert np.abs(found[:, quarters] - q).max() < 1e-12
        assert np.abs(np.linalg.norm(found[:, quarters], axis=1) - 1).max() < 1e-15 * 4


def test_rotations_half_a_turn_apart_turn_as_they_are_written() -> None:
    for sign in (1, -1):
        last = [0.0, 0.0, sign * 1.0, 0.0]
        found = turned(np.array([[0.0, 0.0, 0.0, 1.0]]), np.array([last]), 4)[0]
        angles = np.arange(4) * math.pi / 8
        expected = np.stack([np.zeros(4), np.zeros(4), sign * np.sin(angles), np.cos(angles)], axis=1)
        assert np.abs(found[:4] - expected).max() < 1e-15
        assert found[4].tolist() == last


def test_quaternions_may_have_any_norm() -> None:
    rng = np.random.default_rng(2)
    first, last = quaternions(rng, 20), quaternions(rng, 20)
    expected = turned(first, last, 4)
    for scale in (1e-300, 1e-9, 2.0, 1e200):
        found = turned(scale * first, last / scale, 4)
        assert np.abs(found[:, 1:4] - expected[:, 1:4]).max() < 1e-12
        assert np.array_equal(found[:, 0], scale * first)  # keyframes stay as they are
        assert np.array_equal(found[:, 4], last / scale)


@pytest.mark.parametrize("frames", [1, 2])
@pytest.mark.parametrize(
    ("first", "last", "between"),
    [
        ((0.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0), (None, None, None, None)),  # norm 0
        ((0.0, 0.0, 0.0, 2.0), (0.0, 0.0, 0.0, 0.0), (None, None, None, None)),
        ((0.0, 0.0, 0.0, 2.0), (None, None, None, None), (0.0, 0.0, 0.0, 2.0)),  # holds
        ((0.0, 0.0, 0.0, 2.0), (0.0, 0.0, None, 1.0), (0.0, 0.0, 0.0, 2.0)),
        ((None, None, None, None), (0.0, 0.0, 0.0, 1.0), (None, None, None, None)),
        ((0.0, None, 0.0, 1.0), (0.0, 0.0, 0.0, 1.0), (0.0, None, 0.0, 1.0)),
    ],
)
def test_rotations_that_are_none(
    first: tuple[float | None, ...], last: tuple[float | None, ...], between: tuple[float | None, ...], frames: int
) -> None:
    parts = {name: [first[place], last[place]] for place, name in enumerate(QUATERNION)}
    rows = one_track(**parts, frame_index=[0, frames]).with_columns(pl.col(QUATERNION).cast(pl.Float64))
    assert interpolate(rows).select(QUATERNION).collect().rows() == [first, *[between] * (frames - 1), last]


def test_nan_stays_nan() -> None:
    nan = math.nan
    rows = one_track(
        x=[nan, 1.0], y=[1.0, nan], yaw=[0.0, nan], qx=[0.0, nan], qy=[0.0, 0.0], qz=[0.0, 0.0], qw=[1.0, 1.0]
    )
    found = interpolate(rows).collect()
    for name in ("x", "yaw", "qx", "qw"):
        assert found[name][1:4].is_nan().all()
    assert found["x"].is_nan().to_list() == [True] * 4 + [False]
    assert found["y"].is_nan().to_list() == [False] + [True] * 4


@pytest.mark.parametrize("angle", [0.0, 1e-12, 1e-9, 1e-6, 0.1, 2.0, math.pi])
def test_angle_between(angle: float) -> None:
    rng = np.random.default_rng(3)
    first = quaternions(rng, 50)
    axis = rng.normal(size=(50, 3))
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    last = (Rotation.from_quat(first) * Rotation.from_rotvec(angle * axis)).as_quat()
    last[::2] *= -1
    pairs = pl.DataFrame(np.hstack([first, last]), schema=[*QUATERNION, *(f"other_{name}" for name in QUATERNION)])
    found = pairs.select(angle_between(quaternion(QUATERNION), quaternion([f"other_{name}" for name in QUATERNION])))
    assert np.abs(found.to_numpy() - angle).max() < 2e-15
