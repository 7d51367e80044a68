"""Intersection over union of cuboids, against shapely and a plain polygon clipper."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from arrow_labels.errors import SchemaError
from arrow_labels.expressions.overlap import bev_iou, iou_3d, overlapping_pairs

Boxes = npt.NDArray[np.float64]
GEOMETRY = ["x", "y", "z", "length", "width", "height", "yaw"]
KEY = ["sample_id", "sensor_index", "frame_index"]
CORNERS = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]) / 2


def scene(count: int, seed: int, spread: float = 8.0) -> Boxes:
    """Rows of x, y, z, length, width, height, yaw."""
    random = np.random.default_rng(seed)
    boxes = random.normal(0, spread, (count, 7))
    boxes[:, 2] = random.normal(0, 1, count)
    boxes[:, 3:6] = random.uniform(0.2, 6, (count, 3))
    boxes[:, 6] = random.uniform(-np.pi, np.pi, count)
    return boxes


def table(boxes: Iterable[Iterable[float | None]], **columns: Any) -> pl.DataFrame:
    """Cuboids of one frame; `track_id` is the row."""
    frame = pl.DataFrame(np.array(list(boxes), float).reshape(-1, 7), schema=GEOMETRY, orient="row")
    keys = {"sample_id": "s", "labelset": "ground-truth", "sensor_index": 0, "frame_index": 0} | columns
    literals = [pl.lit(value).alias(name) for name, value in keys.items()]
    return frame.with_row_index("track_id").select(*literals, pl.col("track_id").cast(pl.Int64), *GEOMETRY)


def corners(boxes: Boxes) -> npt.NDArray[np.float64]:
    own = CORNERS * boxes[:, None, 3:5]
    cosine, sine = np.cos(boxes[:, 6, None]), np.sin(boxes[:, 6, None])
    turned = [own[..., 0] * cosine - own[..., 1] * sine, own[..., 0] * sine + own[..., 1] * cosine]
    return np.stack(turned, axis=-1) + boxes[:, None, :2]


def by_shapely(first: Boxes, second: Boxes) -> npt.NDArray[np.float64]:
    """The IoU of each footprint with each."""
    polygons = shapely.polygons(corners(first))[:, None], shapely.polygons(corners(second))[None]
    shared = shapely.area(shapely.intersection(*polygons))
    whole: npt.NDArray[np.float64] = shared / (shapely.area(polygons[0]) + shapely.area(polygons[1]) - shared)
    return whole


def by_clipping(first: Boxes, second: Boxes) -> float:
    """The IoU of two upright cuboids: one footprint cut by each side of the other, times the common height."""
    ring, knife = corners(first[None])[0].tolist(), corners(second[None])[0].tolist()
    for a, b in zip(knife, knife[1:] + knife[:1], strict=True):
        side = [(b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0]) for p in ring]
        cut = []
        for k, (p, here) in enumerate(zip(ring, side, strict=True)):
            q, there = ring[k - 1], side[k - 1]
            if (here >= 0) != (there >= 0):
                t = there / (there - here)
                cut.append([q[0] + t * (p[0] - q[0]), q[1] + t * (p[1] - q[1])])
            if here >= 0:
                cut.append(p)
        ring = cut
    area = sum(p[0] * q[1] - p[1] * q[0] for p, q in zip(ring, ring[1:] + ring[:1], strict=True)) / 2 if ring else 0.0
    low, high = (
        f(first[2], second[2], first[5], second[5])
        for f in (lambda a, b, h, k: max(a - h / 2, b - k / 2), lambda a, b, h, k: min(a + h / 2, b + k / 2))
    )
    shared = area * max(high - low, 0)
    return shared / (math.prod(first[3:6]) + math.prod(second[3:6]) - shared)


def matrix(pairs: pl.LazyFrame, iou: str, shape: tuple[int, int]) -> npt.NDArray[np.float64]:
    """The IoU of each with each, 0 for pairs that are not there; no pair may be there twice."""
    found = pairs.select("track_id", "track_id_other", iou).collect()
    assert found.select("track_id", "track_id_other").is_unique().all()
    ious = np.zeros(shape)
    ious[found["track_id"].to_numpy(), found["track_id_other"].to_numpy()] = found[iou].to_numpy()
    return ious


def ious(method: Callable[..., pl.LazyFrame], *pairs: tuple[Boxes, Boxes]) -> list[float]:
    """The IoU of each pair, 0 where there is none."""
    first, second = (pl.concat([table([pair[side]], frame_index=n) for n, pair in enumerate(pairs)]) for side in (0, 1))
    found = dict(method(first.lazy(), second).select("frame_index", pl.last()).collect().rows())
    return [found.get(n, 0.0) for n in range(len(pairs))]


@pytest.mark.parametrize("spread", [0.5, 8.0, 60.0])
def test_footprints_agree_with_shapely(spread: float) -> None:
    first, second = scene(150, 1, spread), scene(140, 2, spread)
    found = matrix(bev_iou(table(first).lazy(), table(second)), "bev_iou", (150, 140))
    assert np.abs(found - by_shapely(first, second)).max() < 1e-12


def test_solids_agree_with_a_clipper() -> None:
    first, second = scene(60, 3, 2.0), scene(50, 4, 2.0)
    found = matrix(iou_3d(table(first).lazy(), table(second)), "iou_3d", (60, 50))
    expected = np.array([[by_clipping(a, b) for b in second] for a in first])
    assert 0.1 < (expected > 0).mean() < 0.9
    assert np.abs(found - expected).max() < 1e-12


def test_far_from_the_origin() -> None:
    """World coordinates cost what they cost in the coordinates themselves, and nothing more."""
    boxes = np.round(scene(100, 5, 4.0), 2)
    moved = boxes + np.array([4.5e5, -5.5e6, 300.0, 0, 0, 0, 0])
    near, far = (matrix(bev_iou(table(b).lazy(), table(b)), "bev_iou", (100, 100)) for b in (boxes, moved))
    assert np.abs(near - far).max() < 1e-8


SQUARE = [0.0, 0.0, 0.0, 2.0, 2.0, 2.0, 0.0]
LONG = [0.0, 0.0, 0.0, 40.0, 0.01, 2.0, 0.3]
ADVERSARIAL: dict[str, tuple[list[float], list[float]]] = {
    "equal": (SQUARE, SQUARE),
    "a quarter turn": (SQUARE, [*SQUARE[:6], math.pi / 2]),
    "half a turn": (LONG, [*LONG[:6], 0.3 - math.pi]),
    "an eighth of a turn": (SQUARE, [*SQUARE[:6], math.pi / 4]),
    "side by side": (SQUARE, [1.0, 0.0, 0.0, 2.0, 2.0, 2.0, 0.0]),
    "a corner on a side": (SQUARE, [1.0 + math.sqrt(2) - 0.5, 0.0, 0.0, 2.0, 2.0, 2.0, math.pi / 4]),
    "a corner on the centre": (SQUARE, [1.0, 1.0, 0.0, 2.0, 2.0, 2.0, 0.0]),
    "inside": (SQUARE, [0.2, -0.1, 0.0, 0.5, 0.3, 1.0, 1.0]),
    "inside, at the side": (SQUARE, [0.5, 0.5, 0.0, 1.0, 1.0, 1.0, 0.0]),
    "around": ([0.2, -0.1, 0.0, 0.5, 0.3, 1.0, 1.0], SQUARE),
    "a cross": ([0, 0, 0, 10, 1, 1, 0.7], [0, 0, 0, 10, 1, 1, 0.7 + math.pi / 2]),
    "needles that cross": (LONG, [0.0, 0.0, 0.0, 40.0, 0.01, 2.0, 2.0]),
    "needles nearly in line": (LONG, [0.0, 0.0, 0.0, 40.0, 0.01, 2.0, 0.3 + 1e-4]),
    "a needle along a side": (SQUARE, [0.0, 1.0, 0.0, 40.0, 0.01, 2.0, 0.0]),
    "large and small": ([0.0, 0.0, 0.0, 2000.0, 1000.0, 2.0, 0.5], [500.0, 100.0, 0.0, 2.0, 1.0, 2.0, 1.0]),
} | {f"turned by 1e-{n}": (SQUARE, [0.5, 0.1, 0.0, 2.0, 2.0, 2.0, 10.0**-n]) for n in (3, 7, 8, 9, 12, 15, 16, 17, 300)}


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_adversarial_pairs(name: str) -> None:
    first, second = (np.array(box) for box in ADVERSARIAL[name])
    expected = by_shapely(first[None], second[None])[0, 0]
    assert expected > 0
    turns = (0.0, 0.1, 1.0, 3.0)  # with the last ones nothing is along an axis
    pairs = [(turned(a, turn), turned(b, turn)) for turn in turns for a, b in [(first, second), (second, first)]]
    assert ious(bev_iou, *pairs) == pytest.approx([expected] * 8, rel=0, abs=1e-10)
    assert ious(iou_3d, *pairs) == pytest.approx([by_clipping(first, second)] * 8, rel=0, abs=1e-10)


def turned(box: Boxes, turn: float) -> Boxes:
    """A cuboid turned about the origin."""
    x, y = box[0] * math.cos(turn) - box[1] * math.sin(turn), box[0] * math.sin(turn) + box[1] * math.cos(turn)
    return np.array([x, y, *box[2:6], box[6] + turn])


sizes = st.floats(0.05, 20)
rectangles = st.tuples(st.floats(-9, 9), st.floats(-9, 9), st.just(0.0), sizes, sizes, sizes, st.floats(-4, 4))


@given(rectangles, rectangles, st.floats(-4, 4))
def test_properties(first: tuple[float, ...], second: tuple[float, ...], turn: float) -> None:
    a, b = np.array(first), np.array(second)
    pairs = [(a, b), (b, a), (turned(a, turn), turned(b, turn)), (a, a)]
    for method, expected in [(bev_iou, by_shapely(a[None], b[None])[0, 0]), (iou_3d, by_clipping(a, b))]:
        assert ious(method, *pairs) == pytest.approx([expected] * 3 + [1], rel=0, abs=2e-9)


@pytest.mark.parametrize("yaw", np.linspace(-3, 3, 13).tolist())
def test_touching_is_not_overlapping(yaw: float) -> None:
    """A wall of bricks: each touches its neighbours, and none overlaps with another."""
    x, y = np.meshgrid(np.arange(6) * 0.7, np.arange(6) * 0.3)
    boxes = np.tile([0.0, 0, 0, 0.7, 0.3, 1, 0], (36, 1))
    boxes[:, 0], boxes[:, 1] = x.ravel(), y.ravel()
    bricks = np.array([turned(box, yaw) for box in boxes])
    assert overlapping_pairs(table(bricks).lazy()).collect().height == 0
    assert bev_iou(table(bricks).lazy(), table(bricks)).collect().height == 36
    stacked = bricks + np.array([0, 0, 1, 0, 0, 0, 0])
    assert iou_3d(table(bricks).lazy(), table(stacked)).collect().height == 0
    over = overlapping_pairs(table(np.vstack([bricks, stacked])).lazy()).collect()
    assert over["track_id_other"].to_list() == list(range(36, 72))
    assert over["bev_iou"].to_numpy() == pytest.approx(1)
    assert over["iou_3d"].to_list() == [0.0] * 36


def test_one_above_the_other() -> None:
    boxes = [[0, 0, 0, 2, 2, 2, 0], [0.0, 0, 5, 2, 2, 2, 0]]
    assert iou_3d(table(boxes[:1]).lazy(), table(boxes[1:])).collect().height == 0
    [pair] = overlapping_pairs(table(boxes).lazy()).collect().rows(named=True)
    assert (pair["bev_iou"], pair["iou_3d"]) == (1.0, 0.0)
    for tenths in range(1, 60):  # rounding leaves a sliver between some that touch
        low, high = tenths / 10, (60 - tenths) / 10
        stack = [[10, 5, low / 2, 6, 2.4, low, 0.3], [10, 5, low + high / 2, 6, 2.4, high, 0.3]]
        assert overlapping_pairs(table(stack).lazy()).collect()["iou_3d"].to_list() == [0.0]


def test_cells_change_nothing() -> None:
    """Cuboids of all sizes, at places that are one cell for the join, with and without huge ones."""
    boxes = scene(300, 7, 30.0)
    boxes[:40, 3:5] *= 30
    boxes[0, 3:5] = 5000.0, 3000.0
    boxes[100:, 0] += np.repeat([0, 2048.0, -2048.0, 10 * 2048.0], 50)
    found = matrix(bev_iou(table(boxes).lazy(), table(boxes)), "bev_iou", (300, 300))
    assert np.abs(found - by_shapely(boxes, boxes)).max() < 1e-12


def test_pairs_are_those_of_the_frame_with_itself() -> None:
    boxes = scene(120, 8, 5.0)
    frame = table(boxes).lazy()
    pairs = overlapping_pairs(frame)
    for name, method in [("bev_iou", bev_iou), ("iou_3d", iou_3d)]:
        whole = matrix(method(frame, frame), name, (120, 120))
        assert np.allclose(matrix(pairs, name, (120, 120)), np.triu(whole, 1), rtol=0, atol=1e-12)
    assert pairs.filter(pl.col("track_id") >= pl.col("track_id_other")).collect().height == 0


def test_only_cuboids_of_one_frame_are_compared() -> None:
    keys = [{"sample_id": s, "sensor_index": n, "frame_index": f} for s in "ab" for n in (0, 1) for f in (0, 1, 2)]
    frames = pl.concat([table([SQUARE], **key) for key in keys])
    other = table([SQUARE], sample_id="b", sensor_index=1, frame_index=2, labelset="prediction")
    assert bev_iou(frames.lazy(), other).collect().rows(named=True) == [
        {
            "sample_id": "b",
            "sensor_index": 1,
            "frame_index": 2,
            "labelset": "ground-truth",
            "track_id": 0,
            "labelset_other": "prediction",
            "track_id_other": 0,
            "bev_iou": 1.0,
        }
    ]
    assert overlapping_pairs(pl.concat([frames, other]).lazy()).collect().height == 0  # another labelset
    again = overlapping_pairs(pl.concat([frames, frames]).lazy()).collect()
    assert again.select(KEY).equals(frames.select(KEY))
    assert bev_iou(frames.lazy(), frames).collect().select(KEY).equals(frames.select(KEY))


def test_columns_and_order() -> None:
    boxes = scene(80, 9, 3.0)
    frame = table(boxes).with_columns(
        annotation_index=pl.col("track_id").cast(pl.Int32), category_id=1, category=pl.lit("car"), extra=pl.lit("-")
    )
    shuffled = frame.sample(fraction=1, shuffle=True, seed=1)
    found = overlapping_pairs(shuffled.lazy()).collect()
    who = ["annotation_index", "track_id", "category_id", "category"]
    assert found.columns == [
        "sample_id",
        "labelset",
        "sensor_index",
        "frame_index",
        *who,
        *(f"{name}_other" for name in who),
        "bev_iou",
        "iou_3d",
    ]
    place = {track: place for place, track in enumerate(shuffled["track_id"].to_list())}
    pairs = [(place[a], place[b]) for a, b in found.select("track_id", "track_id_other").rows()]
    assert pairs == sorted(pairs)
    assert all(a < b for a, b in pairs)
    both = iou_3d(shuffled.lazy(), frame.drop("category", "labelset")).collect()
    assert both.columns == [*KEY, "labelset", *who, *(f"{name}_other" for name in who[:3]), "iou_3d"]
    pairs = [(place[a], b) for a, b in both.select("track_id", "track_id_other").rows()]
    assert pairs == sorted(pairs)


def test_keys_of_other_types() -> None:
    frame = table([SQUARE])
    expected = bev_iou(frame.lazy(), frame).collect()
    others = [
        frame.with_columns(pl.col("frame_index", "sensor_index").cast(pl.Int64)),
        frame.with_columns(pl.col("frame_index").cast(pl.UInt8), pl.col("sample_id").cast(pl.Categorical)),
        frame.with_columns(pl.col("sample_id").cast(pl.Enum(["s"])), pl.col("x").cast(pl.Float32)),
    ]
    for other in others:
        assert bev_iou(frame.lazy(), other).collect().equals(expected)
        assert bev_iou(other.lazy(), frame).collect().select("bev_iou").equals(expected.select("bev_iou"))
    assert bev_iou(frame.lazy(), frame.with_columns(frame_index=2**40)).collect().height == 0
    assert bev_iou(frame.lazy(), frame.to_arrow()).collect().equals(expected)


@pytest.mark.parametrize("column", [0, 1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("number", [None, math.nan, math.inf, -math.inf, 0.0, -2.0])
def test_cuboids_without_a_size_or_a_place_overlap_with_nothing(column: int, number: float | None) -> None:
    if column not in (3, 4, 5) and number in (0.0, -2.0):
        number = None
    strange = table([SQUARE]).with_columns(pl.lit(number, pl.Float64).alias(GEOMETRY[column]))
    frame = table([SQUARE])
    for first, second in [(frame, strange), (strange, frame), (strange, strange)]:
        assert iou_3d(first.lazy(), second).collect().height == 0
        flat = column in (2, 5)  # a footprint needs no height
        assert bev_iou(first.lazy(), second).collect().height == (1 if flat else 0)
    assert overlapping_pairs(pl.concat([frame, strange]).lazy()).collect().height == 0


def test_numbers_that_overflow_give_no_pair() -> None:
    huge = table([[0, 0, 0, 1e200, 1e200, 1e200, 0.5]])
    for method in (bev_iou, iou_3d):
        assert method(huge.lazy(), huge).collect().height == 0
    far = table([[1e300, -1e300, 0, 2, 2, 2, 0.5], [-1e300, 1e300, 0, 2, 2, 2, 0.5]])
    assert overlapping_pairs(far.lazy()).collect().height == 0


def test_smallest_iou() -> None:
    boxes = scene(100, 10, 3.0)
    frame = table(boxes).lazy()
    for method, iou in [(bev_iou, "bev_iou"), (iou_3d, "iou_3d")]:
        whole = method(frame, frame).collect()
        assert method(frame, frame, min_iou=0.3).collect().equals(whole.filter(pl.col(iou) >= 0.3))
    whole = overlapping_pairs(frame).collect()
    assert overlapping_pairs(frame, min_iou=0.3).collect().equals(whole.filter(pl.col("bev_iou") >= 0.3))
    for wrong in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match="min_iou: expected a number from 0 to 1, got"):
            bev_iou(frame, frame, min_iou=wrong)
        with pytest.raises(ValueError, match="min_iou: expected a number from 0 to 1, got"):
            overlapping_pairs(frame, min_iou=wrong)


def test_empty_frames() -> None:
    frame, empty = table([SQUARE]), table([])
    for method in (bev_iou, iou_3d):
        schema = method(frame.lazy(), frame).collect().schema
        for first, second in [(frame, empty), (empty, frame), (empty, empty)]:
            found = method(first.lazy(), second).collect()
            assert found.height == 0
            assert found.schema == schema
    assert overlapping_pairs(empty.lazy()).collect().schema == overlapping_pairs(frame.lazy()).collect().schema


METHODS: dict[str, Callable[[pl.DataFrame], pl.LazyFrame]] = {
    "bev_iou": lambda frame: bev_iou(frame.lazy(), frame),
    "iou_3d": lambda frame: iou_3d(frame.lazy(), frame),
    "overlapping_pairs": lambda frame: overlapping_pairs(frame.lazy()),
}


@pytest.mark.parametrize("name", METHODS)
def test_engines_agree(name: str) -> None:
    frame = pl.concat([table(scene(60, n, 4.0), frame_index=n) for n in range(20)])
    query = METHODS[name](frame)
    eager = query.collect()
    assert eager.height > 1000
    assert not [column for column in eager.columns if column.startswith("__")]
    for engine in ("in-memory", "streaming"):
        assert query.collect(engine=engine).equals(eager)
    plan = query.show_graph(engine="streaming", plan_stage="physical", raw_output=True, show=False)
    assert plan is not None
    assert "equi-join" in plan
    assert 'fillcolor="0.0 0.3 1.0"' not in plan  # what falls back to the engine in memory


def test_missing_and_wrong_columns() -> None:
    frame = table([SQUARE])
    with pytest.raises(SchemaError, match="Expected columns `frame_index`, got"):
        bev_iou(frame.drop("frame_index").lazy(), frame)
    with pytest.raises(SchemaError, match="Expected columns `yaw`, got .* - in other"):
        bev_iou(frame.lazy(), frame.drop("yaw"))
    with pytest.raises(SchemaError, match="Expected columns `z`, `height`"):
        iou_3d(frame.drop("z", "height").lazy(), frame)
    with pytest.raises(SchemaError, match="Expected columns `z`, `height`"):
        overlapping_pairs(frame.drop("z", "height").lazy())
    with pytest.raises(SchemaError, match="Expected text, got `Int32` - in column `sample_id`"):
        bev_iou(frame.lazy(), frame.with_columns(sample_id=pl.lit(1)))
    assert bev_iou(frame.drop("z", "height", "labelset", "track_id").lazy(), pa.table(frame)).collect().height == 1
