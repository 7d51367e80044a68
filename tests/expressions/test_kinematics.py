"""Speeds and accelerations along tracks, against a loop over the rows of each track."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from engines import everywhere, physical_nodes
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from scipy.spatial.transform import Rotation

import arrow_labels as al
from arrow_labels.expressions.ego import to_ego
from arrow_labels.expressions.kinematics import kinematics

Floats = npt.NDArray[np.float64]
MOTIONS = ("velocity_absolute", "velocity_relative", "acceleration_absolute", "acceleration_relative")
VECTORS = tuple(f"{motion}_{axis}" for motion in MOTIONS for axis in "xyz")
EGO = ("ego_x", "ego_y", "ego_z")
EPOCH = 1_700_000_000_000_000_000

seeds = st.integers(0, 2**32 - 1)


def rows_of(frames: Any, positions: Any, track: int = 7, **others: Any) -> pl.DataFrame:
    places = dict(zip("xyz", np.array(positions, float).T, strict=True))
    key = {"sample_id": "a", "labelset": "ground-truth", "sensor_index": 0, "frame_index": frames, "track_id": track}
    return pl.DataFrame({**key, **places, **others})


def frames_of(positions: Any, **others: Any) -> pl.DataFrame:
    ego = dict(zip(EGO, np.array(positions, float).T, strict=True))
    return pl.DataFrame({"sample_id": "a", "sensor_index": 0, "frame_index": range(len(positions)), **ego, **others})


def expected(
    rows: pl.DataFrame, ego: Floats, times: npt.NDArray[np.int64]
) -> dict[tuple[int, int], list[float | None]]:
    """The motions and their vectors by track and frame: one row of a track after the other."""
    found: dict[tuple[int, int], list[float | None]] = {}
    for (track,), group in rows.sort("frame_index").group_by("track_id", maintain_order=True):
        before: tuple[int, Floats] | None = None
        velocities: tuple[Floats, Floats] | None = None
        for frame, *place in group.select("frame_index", "x", "y", "z").rows():
            vectors: list[Floats | None] = [None] * 4
            if before is not None:
                seconds = (int(times[frame]) - int(times[before[0]])) * 1e-9
                absolute = (np.array(place) - before[1]) / seconds
                relative = absolute - (ego[frame] - ego[before[0]]) / seconds
                vectors[:2] = absolute, relative
                if velocities is not None:
                    vectors[2:] = (absolute - velocities[0]) / seconds, (relative - velocities[1]) / seconds
                velocities = absolute, relative
            before = frame, np.array(place)
            norms = [None if vector is None else float(np.linalg.norm(vector)) for vector in vectors]
            parts = [part for vector in vectors for part in ([None] * 3 if vector is None else vector.tolist())]
            found[int(track), frame] = norms + parts
    return found


@settings(max_examples=40)
@given(seeds)
def test_agrees_with_a_loop(seed: int) -> None:
    random = np.random.default_rng(seed)
    ego = random.normal(0, 100, (12, 3))
    times = EPOCH + np.cumsum(random.integers(10**7, 10**9, 12))
    tracks = [
        rows_of(frames, random.normal(0, 100, (len(frames), 3)), track)
        for track in range(3)
        for frames in [np.flatnonzero(random.random(12) < 0.6)]
    ]
    rows = pl.concat(tracks).sample(fraction=1, shuffle=True, seed=seed % 1000)
    poses = frames_of(ego, timestamp=times)
    found = everywhere(kinematics(rows.lazy(), poses, vectors=True))
    assert found.columns == [*rows.columns, *MOTIONS, *VECTORS]
    assert found.select(rows.columns).equals(rows)
    wanted = expected(rows, ego, times)
    for track, frame, *motions in found.select("track_id", "frame_index", *MOTIONS, *VECTORS).rows():
        for one, other in zip(motions, wanted[track, frame], strict=True):
            assert one == other or one == pytest.approx(other, rel=1e-9, abs=1e-9)
    # Times on the rows themselves, and no vectors.
    timed = rows.with_columns(timestamp=pl.lit(pl.Series(times)).gather("frame_index"))
    assert_frame_equal(everywhere(kinematics(timed.lazy(), frames_of(ego))).drop("timestamp"), found.drop(VECTORS))


def test_late_and_with_the_ego() -> None:
    ego = [[10.0 * frame, 0.0, 0.0] for frame in range(8)]
    frames = list(range(4, 8))
    with_ego = rows_of(frames, [[10.0 * frame + 20, 3.0, 0.0] for frame in frames], track=1)
    standing = rows_of(frames, [[40.0, 5.0, 0.0]] * 4, track=2)
    found = everywhere(kinematics(pl.concat([with_ego, standing]).lazy(), frames_of(ego), fps=10))
    assert found["velocity_relative"].to_list() == [None, 0, 0, 0, None, 100, 100, 100]
    assert found["velocity_absolute"].to_list() == [None, 100, 100, 100, None, 0, 0, 0]
    assert found["acceleration_relative"].to_list() == [None, None, 0, 0] * 2


def test_fixed_to_a_turning_ego() -> None:
    angles = np.linspace(0, 3, 10)[:, None]
    headings = Rotation.from_euler("z", angles)
    origins = np.c_[50 * np.sin(angles), 50 - 50 * np.cos(angles), np.zeros(10)]
    heading = dict(zip(("ego_qx", "ego_qy", "ego_qz", "ego_qw"), headings.as_quat().T, strict=True))
    poses = frames_of(origins, **heading)
    rows = rows_of(range(10), headings.apply([20.0, 1.0, 0.0]) + origins)
    seen = everywhere(kinematics(to_ego(rows.lazy(), poses), fps=10))
    assert seen["velocity_absolute"].drop_nulls().abs().max() == pytest.approx(0, abs=1e-11)
    assert seen["velocity_absolute"].null_count() == 1
    assert seen["velocity_relative"].null_count() == 10
    # Seen from a frame that does not turn, it goes round the ego.
    around = everywhere(kinematics(rows.lazy(), poses, fps=10))["velocity_relative"].drop_nulls()
    assert around.to_list() == pytest.approx([10 * 2 * math.hypot(20, 1) * math.sin(1 / 6)] * 9)


def speeds(rows: pl.DataFrame, poses: pl.DataFrame | None = None, **options: Any) -> list[float | None]:
    return everywhere(kinematics(rows.lazy(), poses, **options))["velocity_absolute"].to_list()


LINE = [[0.0, 0, 0], [1.0, 0, 0], [3.0, 0, 0]]


def test_times() -> None:
    late = rows_of([2, 3, 9], LINE)
    assert speeds(late, fps=2) == [None, 2, pytest.approx(2 / 3)]
    # Nanoseconds since 1970 are not exact in float64: 7 ns would be 0 or 256.
    assert speeds(late.with_columns(timestamp=pl.Series([EPOCH, EPOCH + 7, EPOCH + 14]))) == [
        None,
        pytest.approx(1 / 7e-9, rel=1e-12),
        pytest.approx(2 / 7e-9, rel=1e-12),
    ]
    assert speeds(late.with_columns(timestamp=pl.Series([0, 500, 1000])), timestamp_unit=1e-3) == [None, 2, 4]
    # Where a time is missing: the frame's, else by the frame index.
    part = late.with_columns(timestamp=pl.Series([0, None, 4_000_000_000]))
    times = frames_of([[0.0, 0, 0]] * 10, timestamp=[None, None, None, 1_000_000_000, *[None] * 6])
    assert speeds(part, times) == [None, 1, pytest.approx(2 / 3)]
    assert speeds(part, fps=10) == [None, 10, pytest.approx(2 / 0.6)]
    assert speeds(part, times, fps=10) == [None, 1, pytest.approx(2 / 3)]


def test_time_that_does_not_go_forward() -> None:
    rows = rows_of([0, 1, 2, 3, 4], [[float(x), 0, 0] for x in (0, 1, 4, 9, 16)])
    found = everywhere(kinematics(rows.with_columns(timestamp=pl.Series([10, 10, 5, 6, 7])).lazy(), timestamp_unit=1))
    assert found["velocity_absolute"].to_list() == [None, None, None, 5, 7]
    assert found["acceleration_absolute"].to_list() == [None, None, None, None, 2]
    twice = rows_of([0, 0, 1, 2], [[0.0, 0, 0], [5.0, 0, 0], [6.0, 0, 0], [8.0, 0, 0]])
    assert speeds(twice, fps=1) == [None, None, 1, 2]


@pytest.mark.parametrize("times", [[None, 1, 2], [0, None, 2], [0, 1, None], [None] * 3])
def test_a_missing_timestamp_without_fps(times: list[int | None]) -> None:
    rows = rows_of([0, 1, 2], LINE).with_columns(timestamp=pl.Series(times, dtype=pl.Int64) * 10**9)
    message = r"Expected a timestamp on every row of a track, or `fps`, got null - at sample_id 'a', labelset "
    for engine in ("in-memory", "streaming"):
        with pytest.raises(al.SchemaError, match=message):
            kinematics(rows.lazy()).collect(engine=engine)
        with pytest.raises(al.SchemaError, match=message):
            kinematics(rows.lazy(), frames_of(LINE)).collect(engine=engine)
    assert speeds(rows, fps=1) == [None, 1, 2]
    assert speeds(rows, frames_of(LINE, timestamp=[0, 10**9, 2 * 10**9])) == [None, 1, 2]


def test_a_row_without_neighbours_needs_no_timestamp() -> None:
    rows = pl.concat([rows_of([0], LINE[:1], track) for track in range(3)])
    assert speeds(rows.with_columns(timestamp=pl.lit(None, pl.Int64))) == [None] * 3
    nameless = rows_of([0, 1, 2], LINE).with_columns(track_id=pl.lit(None, pl.Int64), timestamp=pl.lit(None, pl.Int64))
    assert speeds(nameless) == [None] * 3


def test_rows_that_name_no_object_are_no_track() -> None:
    nameless = rows_of([0, 1, 2], LINE).with_columns(track_id=pl.lit(None, pl.Int64), id=pl.lit(None, pl.Int64))
    named = nameless.with_columns(track_id=pl.lit(7, pl.Int64))
    found = everywhere(kinematics(pl.concat([nameless, named]).lazy(), frames_of(LINE), fps=1, vectors=True))
    assert found.head(3).select(*MOTIONS, *VECTORS).null_count().row(0) == (3,) * 16
    assert found["velocity_absolute"].to_list() == [None] * 4 + [1, 2]
    timed = nameless.with_columns(timestamp=pl.Series([0, 1, 2]))
    assert speeds(timed, timestamp_unit=1) == [None] * 3


def test_what_is_null_or_not_a_number() -> None:
    rows = rows_of([0, 1, 2, 3, 4], [[0.0, 0, 0], [1.0, 0, 0], [math.nan, 0, 0], [3.0, 0, 0], [4.0, 0, 0]])
    found = kinematics(rows.lazy(), fps=1)
    assert everywhere(found)["velocity_absolute"].is_nan().to_list() == [None, False, True, True, False]
    assert everywhere(kinematics(rows.lazy().fill_nan(None), fps=1)).select(MOTIONS[0], MOTIONS[2]).rows() == [
        (None, None),
        (1, None),
        (None, None),
        (None, None),
        (1, None),
    ]
    poses = frames_of([[0.0, 0, 0]] * 5).with_columns(ego_y=pl.Series([0, None, 0, 0, 0], dtype=pl.Float64)).head(4)
    still = everywhere(kinematics(rows_of(range(5), [[0.0, 0, 0]] * 5).lazy(), poses, fps=1))
    assert still["velocity_relative"].to_list() == [None, None, None, 0, None]
    assert still["velocity_absolute"].to_list() == [None, 0, 0, 0, 0]
    assert still["acceleration_relative"].to_list() == [None] * 5


def test_tracks_are_apart() -> None:
    one = rows_of([0, 1, 2], LINE)
    others = [
        one.with_columns(pl.lit(value).cast(one.schema[name]).alias(name))
        for name, value in (("sample_id", "b"), ("labelset", "model"), ("sensor_index", 1), ("track_id", 8))
    ]
    assert speeds(pl.concat([one, *others]).sort("frame_index"), fps=1) == [None] * 5 + [1] * 5 + [2] * 5
    by_id = one.rename({"track_id": "id"})
    assert speeds(by_id, fps=1) == [None, 1, 2]
    mixed = one.with_columns(id=pl.Series([1, 2, 7]), track_id=pl.Series([7, 7, None]))
    assert speeds(mixed, fps=1) == [None, 1, 2]


def test_columns() -> None:
    rows = rows_of([0, 1, 2], LINE).with_columns(velocity_relative=9, note=pl.lit("x"), velocity_absolute_y=5)
    found = everywhere(kinematics(rows.lazy(), fps=1))
    assert found.columns == [*rows.columns, *(name for name in MOTIONS if name != "velocity_relative")]
    assert found["velocity_relative"].to_list() == [None] * 3
    assert found.select("note", "velocity_absolute_y").equals(rows.select("note", "velocity_absolute_y"))
    assert all(found.schema[name] == pl.Float64 for name in MOTIONS)
    wide = everywhere(kinematics(rows.lazy(), fps=1, vectors=True))
    assert wide["velocity_absolute_y"].to_list() == [None, 0, 0]
    assert set(wide.columns) == {*rows.columns, *MOTIONS, *VECTORS}
    whole = rows.with_columns(pl.col("x", "y", "z").cast(pl.Int8))
    assert_frame_equal(everywhere(kinematics(whole.lazy(), fps=1)).select(MOTIONS), found.select(MOTIONS))


def test_empty_frames() -> None:
    rows = rows_of([0], [[0.0, 0, 0]], timestamp=0)
    found = everywhere(kinematics(rows.lazy().clear(), frames_of(LINE), vectors=True))
    assert found.schema == {**rows.schema, **dict.fromkeys((*MOTIONS, *VECTORS), pl.Float64)}


def test_wrong_input() -> None:
    rows = rows_of([0, 1, 2], LINE).lazy()
    poses = frames_of(LINE)
    with pytest.raises(al.SchemaError, match=r"Expected columns `labelset`, `z`, got sample_id, "):
        kinematics(rows.drop("labelset", "z"), poses, fps=1)
    with pytest.raises(al.SchemaError, match=r"Expected column `track_id` or `id`, got "):
        kinematics(rows.drop("track_id"), poses, fps=1)
    with pytest.raises(al.SchemaError, match=r"Expected columns `ego_y`, got .* - in sample_frames"):
        kinematics(rows, poses.drop("ego_y"), fps=1)
    with pytest.raises(al.SchemaError, match=r"Expected column `timestamp`, or `fps`, got sample_id, "):
        kinematics(rows, poses)
    with pytest.raises(al.SchemaError, match=r"Expected an integer, got `Float64` - in column `timestamp`"):
        kinematics(rows.with_columns(timestamp=0.5))
    with pytest.raises(al.SchemaError, match=r"Expected an integer, got `String` - in column `timestamp` - in sample"):
        kinematics(rows, poses.with_columns(timestamp=pl.lit("0")))
    for name in ("fps", "timestamp_unit"):
        for value in (0, -1, math.inf, math.nan):
            with pytest.raises(ValueError, match=rf"{name}: expected a positive number, got "):
                kinematics(rows, poses, **{name: value})
    with pytest.raises(ValueError, match="timestamp_unit: expected a positive number, got 'ns'"):
        kinematics(rows, poses, timestamp_unit="ns")  # type: ignore[arg-type]


def test_the_plan_streams() -> None:
    rows, poses = rows_of([0, 1, 2], LINE, timestamp=0).lazy(), frames_of(LINE, timestamp=[0, 1, 2]).lazy()
    for options in ({}, {"fps": 1}, {"vectors": True}):
        assert "in-memory-map" not in physical_nodes(kinematics(rows, poses, **options))
