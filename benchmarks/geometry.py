"""How fast cuboids are compared with each other and with point clouds, against what else could do it.

Every measurement is a process of its own, on one core, over the same numbers:

    python benchmarks/geometry.py [--quick] [--rounds N] [--only 'CONTENDER;...']
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

ONE_CORE: Final = {
    "POLARS_MAX_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
}
TARGETS: Final = {
    ("scenes", "shapely"): 15.0,
    ("pairs", "shapely"): 15.0,
    ("points", "cKDTree"): 4.0,
    ("points", "numpy"): 10.0,
}
GEOMETRY: Final = ("x", "y", "z", "length", "width", "height", "yaw")
SAMPLE: Final = "0f8fad5b-d9cb-469f-a165-70867728950e"

Array = npt.NDArray[np.float64]
Run = Callable[[], Any]


class Cuboids(NamedTuple):
    """Cuboids of many frames: the frame of each, and rows of x, y, z, length, width, height, yaw."""

    frame: npt.NDArray[np.int32]
    boxes: Array


def street(random: np.random.Generator, frames: int, count: int) -> Cuboids:
    """Vehicles and pedestrians around a sensor, in world coordinates."""
    rows = frames * count
    distance, angle = np.abs(random.normal(0, 40, rows)) + 2, random.uniform(-np.pi, np.pi, rows)
    large = random.uniform(size=rows) < 0.7
    boxes = np.stack(
        [
            1000 + distance * np.cos(angle),
            -2000 + distance * np.sin(angle),
            random.normal(0.9, 0.1, rows),
            np.where(large, random.uniform(3.5, 6, rows), random.uniform(0.5, 1, rows)),
            np.where(large, random.uniform(1.6, 2.5, rows), random.uniform(0.5, 1, rows)),
            random.uniform(1.4, 2.5, rows),
            random.uniform(-np.pi, np.pi, rows),
        ],
        axis=1,
    )
    return Cuboids(np.repeat(np.arange(frames, dtype=np.int32), count), boxes)


def predicted(random: np.random.Generator, cuboids: Cuboids) -> Cuboids:
    """The same cuboids, a little off."""
    off = np.array([0.3, 0.3, 0.1, 0.1, 0.1, 0.1, 0.1])
    boxes = cuboids.boxes + random.normal(size=cuboids.boxes.shape) * off
    boxes[:, 3:6] = np.abs(boxes[:, 3:6]) + 0.1
    return Cuboids(cuboids.frame, boxes)


def labels_and_predictions(workload: str, part: int) -> tuple[Cuboids, Cuboids]:
    """`scenes`: 200 cuboids a frame, of which few overlap; `pairs`: one of each a frame, and they overlap."""
    random = np.random.default_rng(1)
    labels = street(random, 250 // part, 200) if workload == "scenes" else street(random, 50_000 // part, 1)
    return labels, predicted(random, labels)


def cloud(part: int) -> tuple[Array, Cuboids]:
    """A point cloud that is dense near the sensor, and 200 cuboids."""
    random = np.random.default_rng(2)
    count = 1_000_000 // part
    distance, angle = np.abs(random.normal(0, 40, count)) + 2, random.uniform(-np.pi, np.pi, count)
    places = [1000 + distance * np.cos(angle), -2000 + distance * np.sin(angle), random.exponential(1.0, count)]
    return np.stack(places, axis=1), street(random, 1, 200)


# Each contender prepares what it reads from (outside the clock) and gives the function that is timed.


def _table(cuboids: Cuboids) -> Any:
    import polars as pl

    keys = [
        pl.lit(SAMPLE).alias("sample_id"),
        pl.lit(0, pl.Int32).alias("sensor_index"),
        pl.Series("frame_index", cuboids.frame),
    ]
    columns = pl.DataFrame(cuboids.boxes, schema=list(GEOMETRY), orient="row")
    rotation = [pl.lit(None, pl.Float64).alias(f"q{axis}") for axis in "xyzw"]
    index = pl.int_range(pl.len(), dtype=pl.Int32).alias("annotation_index")
    return columns.select(*keys, index, pl.all(), *rotation).rechunk()


def _bev_iou(workload: str, part: int) -> Run:
    from arrow_labels.expressions.overlap import bev_iou

    labels, predictions = (_table(cuboids) for cuboids in labels_and_predictions(workload, part))
    return lambda: bev_iou(labels.lazy(), predictions).collect(engine="streaming")


def _shapely(workload: str, part: int) -> Run:
    import shapely

    labels, predictions = labels_and_predictions(workload, part)
    first, second = near(labels, predictions)

    def run() -> Any:
        polygons = shapely.polygons(footprints(labels.boxes)), shapely.polygons(footprints(predictions.boxes))
        areas = shapely.area(polygons[0])[first], shapely.area(polygons[1])[second]
        shared = shapely.area(shapely.intersection(polygons[0][first], polygons[1][second]))
        return shared / (areas[0] + areas[1] - shared)

    return run


def near(labels: Cuboids, predictions: Cuboids) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Pairs of one frame whose circles touch. All other pairs have nothing in common: shapely need not look at them."""
    radius = [np.hypot(cuboids.boxes[:, 3], cuboids.boxes[:, 4]) / 2 for cuboids in (labels, predictions)]
    firsts, seconds = [], []
    for frame in range(labels.frame.max() + 1):
        a, b = np.flatnonzero(labels.frame == frame), np.flatnonzero(predictions.frame == frame)
        apart = np.hypot(*(labels.boxes[a, None, axis] - predictions.boxes[None, b, axis] for axis in (0, 1)))
        i, j = np.nonzero(apart <= radius[0][a, None] + radius[1][None, b])
        firsts.append(a[i])
        seconds.append(b[j])
    return np.concatenate(firsts), np.concatenate(seconds)


def footprints(boxes: Array) -> Array:
    cosine, sine = np.cos(boxes[:, 6]), np.sin(boxes[:, 6])
    corners = np.empty((len(boxes), 4, 2))
    for n, (along, across) in enumerate([(0.5, 0.5), (-0.5, 0.5), (-0.5, -0.5), (0.5, -0.5)]):
        x, y = along * boxes[:, 3], across * boxes[:, 4]
        corners[:, n, 0] = boxes[:, 0] + x * cosine - y * sine
        corners[:, n, 1] = boxes[:, 1] + x * sine + y * cosine
    return corners


def _cloud_tables(part: int) -> tuple[Any, Any]:
    import polars as pl

    places, cuboids = cloud(part)
    frame = pl.DataFrame(places, schema=["x", "y", "z"], orient="row")
    keys = [
        pl.lit(SAMPLE).alias("sample_id"),
        *(pl.lit(0, pl.Int32).alias(name) for name in ("sensor_index", "frame_index")),
    ]
    return frame.select(*keys, pl.all()).rechunk(), _table(cuboids)


def _points_in_cuboids(workload: str, part: int) -> Run:
    from arrow_labels.expressions.containment import points_in_cuboids

    points, cuboids = _cloud_tables(part)
    return lambda: points_in_cuboids(points.lazy(), cuboids).collect(engine="streaming")


def _count_points(workload: str, part: int) -> Run:
    from arrow_labels.expressions.containment import count_points

    points, cuboids = _cloud_tables(part)
    return lambda: count_points(cuboids.lazy(), points).collect(engine="streaming")


def inside(places: Array, box: Array) -> npt.NDArray[np.bool_]:
    x, y, z = (places - box[:3]).T
    cosine, sine = np.cos(box[6]), np.sin(box[6])
    within: npt.NDArray[np.bool_] = (
        (np.abs(x * cosine + y * sine) <= box[3] / 2)
        & (np.abs(y * cosine - x * sine) <= box[4] / 2)
        & (np.abs(z) <= box[5] / 2)
    )
    return within


def _numpy(workload: str, part: int) -> Run:
    places, cuboids = cloud(part)
    return lambda: [np.flatnonzero(inside(places, box)) for box in cuboids.boxes]


def _tree(**options: bool) -> Callable[[str, int], Run]:
    def prepare(workload: str, part: int) -> Run:
        from scipy.spatial import cKDTree

        places, cuboids = cloud(part)

        def run() -> Any:
            tree = cKDTree(places, **options)
            radius = np.linalg.norm(cuboids.boxes[:, 3:6], axis=1) / 2
            found = (np.array(near, np.int64) for near in tree.query_ball_point(cuboids.boxes[:, :3], radius))
            return [near[inside(places[near], box)] for near, box in zip(found, cuboids.boxes, strict=True)]

        return run

    return prepare


class Contender(NamedTuple):
    """Who is measured: its workloads, the module it needs, what is timed, how its result is counted, what it does."""

    workloads: tuple[str, ...]
    module: str
    prepare: Callable[[str, int], Run]
    counted: Callable[[Any], int]
    what: str


def _overlapping(ious: Array) -> int:
    return int((ious > 1e-8).sum())


def _rows_over(frame: Any) -> int:
    return int((frame["bev_iou"] > 1e-8).sum())


CONTENDERS: Final = {
    "bev_iou": Contender(
        ("scenes", "pairs"), "arrow_labels", _bev_iou, _rows_over, "`bev_iou`: finds the pairs of each frame, too"
    ),
    "shapely": Contender(
        ("scenes", "pairs"),
        "shapely",
        _shapely,
        _overlapping,
        "`polygons`, `intersection`, `area` on whole arrays; it is given the pairs whose circles touch",
    ),
    "points_in_cuboids": Contender(
        ("points",), "arrow_labels", _points_in_cuboids, len, "a table of the pairs, sorted"
    ),
    "count_points": Contender(
        ("points",), "arrow_labels", _count_points, lambda frame: int(frame["point_count"].sum()), "a count a cuboid"
    ),
    "cKDTree": Contender(
        ("points",),
        "scipy",
        _tree(),
        lambda found: sum(map(len, found)),
        "builds the tree, `query_ball_point` with all cuboids, then the exact test",
    ),
    "cKDTree, loose": Contender(
        ("points",),
        "scipy",
        _tree(balanced_tree=False, compact_nodes=False),
        lambda found: sum(map(len, found)),
        "the same with `balanced_tree=False, compact_nodes=False`, which builds faster: for reference",
    ),
    "numpy": Contender(
        ("points",), "numpy", _numpy, lambda found: sum(map(len, found)), "the exact test, all points for each cuboid"
    ),
}
OURS: Final = {"scenes": "bev_iou", "pairs": "bev_iou", "points": "points_in_cuboids"}


def measure(name: str, workload: str, part: int) -> None:
    """In a fresh process: time one contender the second time it runs, and print its CPU seconds and what it found."""
    contender = CONTENDERS[name]
    run = contender.prepare(workload, part)
    run()
    gc.collect()
    start = time.process_time()
    result = run()
    seconds = time.process_time() - start
    print(json.dumps([seconds, contender.counted(result)]))


def measured(name: str, workload: str, part: int) -> tuple[float, int]:
    """CPU seconds and count of a contender, from a fresh process."""
    done = subprocess.run(
        [sys.executable, __file__, "--measure", name, workload, str(part)],
        env={**os.environ, **ONE_CORE},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    seconds, count = json.loads(done.stdout)
    return seconds, count


def benchmark(names: list[str], rounds: int, part: int) -> None:
    """Measure and print."""
    seconds: dict[tuple[str, str], list[float]] = {}
    counts: dict[str, dict[str, int]] = {}
    for _ in range(rounds):
        for workload in OURS:
            for name in names:
                if workload in CONTENDERS[name].workloads:
                    taken, count = measured(name, workload, part)
                    seconds.setdefault((workload, name), []).append(taken)
                    counts.setdefault(workload, {})[name] = count
    for workload, found in counts.items():
        if len(set(found.values())) > 1:
            raise SystemExit(f"{workload}: expected one count, got {found}")
    print(f"rounds: {rounds}; CPU seconds: median (best)\n")
    print("| workload | | found | seconds | ours is | what it does |\n|---|---|---:|---:|---:|---|")
    for (workload, name), times in seconds.items():
        ratio = _ratio(workload, name, seconds)
        print(
            f"| {workload} | {name} | {counts[workload][name]:,} | {statistics.median(times):.3f} ({min(times):.3f}) "
            f"| {'' if ratio is None else f'{ratio:.1f} x'} | {CONTENDERS[name].what} |"
        )
    print("\n| workload | against | wanted | got | |\n|---|---|---:|---:|---|")
    for (workload, name), wanted in TARGETS.items():
        ratio = _ratio(workload, name, seconds)
        if ratio is not None:
            print(f"| {workload} | {name} | >= {wanted:g} x | {ratio:.1f} x | {'ok' if ratio >= wanted else 'short'} |")


def _ratio(workload: str, name: str, seconds: dict[tuple[str, str], list[float]]) -> float | None:
    """How many times as fast arrow_labels is, by the medians."""
    ours, theirs = seconds.get((workload, OURS[workload])), seconds.get((workload, name))
    if CONTENDERS[name].module == "arrow_labels" or ours is None or theirs is None:
        return None
    return statistics.median(theirs) / statistics.median(ours)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small and once: shows that it runs, not how fast")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", help="contenders, with semicolons between them")
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        name, workload, part = options.measure
        measure(name, workload, int(part))
        return
    names = options.only.split(";") if options.only else list(CONTENDERS)
    for name in [name for name in names if importlib.util.find_spec(CONTENDERS[name].module) is None]:
        print(f"{name}: not installed, left out")
        names.remove(name)
    if options.quick:
        print("quick: the times say nothing")
    benchmark(names, 1 if options.quick else options.rounds, 50 if options.quick else 1)


if __name__ == "__main__":
    main()
