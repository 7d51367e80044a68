"""All rules over a million cuboids and a million vectors, against the time that reading them from Parquet takes.

    python benchmarks/checking.py [--quick]

Sequences of 100 frames and 50 cuboids each, and images of 400 outlines each of 5 to 60 vertices, with definitions and
warning rules. Then memory, that of this process above what it has with the tables: it may be as much as they are. Then
intersecting cuboids, against shapely's vectorised calls on the pairs whose circles touch: the geometry of those pairs,
and the whole rule, which has yet to find them.
"""

from __future__ import annotations

import argparse
import gc
import json
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
import pyarrow as pa
import shapely
import workloads

import arrow_labels as al
from arrow_labels.checks import RULES, check_labels
from arrow_labels.expressions.rectangles import shared_area

MAX_TIMES: Final = 6.0
MIN_SHAPELY: Final = 15.0
COPIES: Final = 10
ATTRIBUTES: Final[dict[str, list[dict[str, Any]]]] = {
    "cuboids": [
        {"name": "occlusion", "input_type": "select", "values": ["none", "partial", "full"]},
        {"name": "moving", "input_type": "checkbox", "is_mandatory": False},
        {"name": "confidence", "input_type": "number", "min": 0, "max": 1},
    ],
    "vectors": [{"name": "occluded", "input_type": "checkbox"}],
}
WARNINGS: Final = [
    {"name": "intersecting-cuboids", "excluded_categories": []},
    {"name": "cuboid-dimension-limits", "max": {"x": 20}},
]


def release(kind: str, documents: list[bytes]) -> dict[str, Any]:
    """A release of label attributes, with definitions."""
    categories = [
        {"id": number, "name": f"category {number}", "has_instances": True, "attributes": ATTRIBUTES[kind]}
        for number in range(1, 7 if kind == "cuboids" else 13)
    ]
    samples = [
        {
            "uuid": f"{kind}-0000-4000-8000-{place:012x}",
            "labels": {"ground-truth": {"label_status": "REVIEWED", "attributes": json.loads(document)}},
        }
        for place, document in enumerate(documents)
    ]
    task_attributes = {"categories": categories, "warning_rules": WARNINGS}
    return {"dataset": {"name": f"drives/{kind}", "task_attributes": task_attributes, "samples": samples}}


def copied(tables: al.LabelTables, copies: int) -> Iterator[al.LabelTables]:
    """The same samples again and again, under other names."""
    yield tables
    for copy in range(1, copies):
        made = {}
        for name, table in tables:
            if "sample_id" in table.column_names and table.num_rows:
                renamed = pl.Series(table["sample_id"].combine_chunks()) + f"-{copy}"
                place = table.column_names.index("sample_id")
                made[name] = table.set_column(place, table.schema.field(place), renamed.to_arrow().cast(pa.string()))
        yield al.LabelTables(**made)


@contextmanager
def watched() -> Iterator[list[float]]:
    """The largest growth of this process's anonymous memory in the block, in MB, as the item of a list."""
    before, peak, done = anonymous(), [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            peak[0] = max(peak[0], anonymous() - before)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()


def anonymous() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon:")) * 1024 / 1e6


def seconds(run: Callable[[], Any]) -> tuple[float, Any]:
    """Processor seconds, and what came out."""
    gc.collect()
    start = time.process_time()
    found = run()
    return time.process_time() - start, found


def footprints(cuboids: pl.DataFrame) -> Any:
    """The corners of each cuboid seen from above."""
    turn = np.exp(1j * cuboids["yaw"].to_numpy())
    half = [cuboids[name].to_numpy() / 2 for name in ("length", "width")]
    signs = np.array([1 + 1j, -1 + 1j, -1 - 1j, 1 - 1j])
    corners = (signs.real * half[0][:, None] + 1j * signs.imag * half[1][:, None]) * turn[:, None]
    corners += (cuboids["x"].to_numpy() + 1j * cuboids["y"].to_numpy())[:, None]
    return np.stack([corners.real, corners.imag], axis=-1)


def near(cuboids: pl.DataFrame) -> tuple[Any, Any]:
    """The pairs of one frame whose circles touch."""
    radius = (pl.col("length") ** 2 + pl.col("width") ** 2).sqrt() / 2
    rows = cuboids.with_row_index("row").select("row", "sample_id", "frame_index", "x", "y", radius.alias("radius"))
    pairs = rows.lazy().join(rows.lazy(), on=["sample_id", "frame_index"], suffix="_other")
    away = [pl.col(f"{axis}_other") - pl.col(axis) for axis in "xy"]
    reach = pl.col("radius") + pl.col("radius_other")
    touching = away[0] * away[0] + away[1] * away[1] <= reach * reach
    found = pairs.filter(pl.col("row") < pl.col("row_other"), touching).select("row", "row_other").collect()
    return found["row"].to_numpy(), found["row_other"].to_numpy()


def intersecting(cuboids: pl.DataFrame, first: Any, second: Any) -> int:
    """Shapely: the pairs whose volumes intersect."""
    polygons = shapely.polygons(footprints(cuboids))
    shared = shapely.area(shapely.intersection(polygons[first], polygons[second]))
    z, height = cuboids["z"].to_numpy(), cuboids["height"].to_numpy()
    gap = np.abs(z[first] - z[second]) - (height[first] + height[second]) / 2
    area = cuboids["length"].to_numpy() * cuboids["width"].to_numpy()
    return int(((shared > 1e-9 * np.minimum(area[first], area[second])) & (gap < 0)).sum())


def of_pairs(cuboids: pl.DataFrame, first: Any, second: Any) -> int:
    """Ours, of the same pairs: the geometry of the rule, without the search for them."""
    halves = cuboids.select(
        *(pl.col(name).alias(f"__{name}") for name in "xyz"),
        *((pl.col(name) / 2).alias(f"__{name}") for name in ("length", "width", "height")),
        __cos=pl.col("yaw").cos(),
        __sin=pl.col("yaw").sin(),
    )
    others = halves[second].rename(lambda name: f"{name}_other")
    pairs = shared_area(pl.concat([halves[first], others], how="horizontal").lazy())
    gap = (pl.col("__z") - pl.col("__z_other")).abs() - (pl.col("__height") + pl.col("__height_other"))
    areas = (4 * pl.col(f"__length{side}") * pl.col(f"__width{side}") for side in ("", "_other"))
    shared = pl.col("__area") > 1e-9 * pl.min_horizontal(*areas)
    return int(pairs.select((shared & (gap < 0)).sum()).collect().item())


def crowded(sequences: int, part: int) -> al.LabelTables:
    """Scenes with as many cuboids on a smaller part of the ground, along each axis."""
    tables = al.decode_labels([release("cuboids", workloads.cuboids(sequences))])
    moved = pl.DataFrame(pl.from_arrow(tables.cuboids)).with_columns(pl.col("x", "y") / part)
    return al.LabelTables(**{name: moved if name == "cuboids" else table for name, table in tables})


def compared(scenes: al.LabelTables) -> str:
    """A row of the table: how many pairs, and the seconds of both."""
    cuboids = pl.DataFrame(pl.from_arrow(scenes.cuboids))
    first, second = near(cuboids)
    own, pairs = min(
        (seconds(lambda: check_labels(scenes, rules=["intersecting-cuboids"])) for _ in range(3)),
        key=lambda run: run[0],
    )
    geometry, same = min((seconds(lambda: of_pairs(cuboids, first, second)) for _ in range(3)), key=lambda run: run[0])
    peer, count = min((seconds(lambda: intersecting(cuboids, first, second)) for _ in range(3)), key=lambda run: run[0])
    assert len(pairs) == same == count
    rate = len(first) / len(cuboids)
    times = f"{peer:.2f} | {geometry:.3f} | {peer / geometry:.1f} x | {own:.2f} | {peer / own:.1f} x"
    return f"| {rate:.1f} | {len(first):,} | {count:,} | {times} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a small workload: shows that it runs")
    quick = parser.parse_args().quick
    counts = {"cuboids": 1 if quick else 20, "vectors": 10 if quick else 250}
    made = {kind: al.decode_labels([release(kind, workloads.WORKLOADS[kind](count))]) for kind, count in counts.items()}
    with tempfile.TemporaryDirectory() as folder:
        parts = (part for tables in made.values() for part in copied(tables, 1 if quick else COPIES))
        al.write_parquet(parts, f"{folder}/tables")
        del made
        reading, tables = seconds(lambda: al.read_parquet(f"{folder}/tables"))
    checking, found = 0.0, pl.DataFrame()
    with watched() as peak:
        checking, found = seconds(lambda: check_labels(tables))
    print(f"{tables.cuboids.num_rows:,} cuboids, {tables.vectors.num_rows:,} vectors, {len(RULES)} rules\n")
    print("| | processor seconds | |\n|---|---:|---:|")
    print(f"| read_parquet | {reading:.2f} | |")
    ratio = checking / reading
    print(f"| check_labels, {len(found):,} findings | {checking:.2f} | {ratio:.1f} x (at most {MAX_TIMES:g}) |")
    size = tables.nbytes / 1e6
    print(f"| memory | {peak[0]:,.0f} MB above the tables' {size:,.0f} | {peak[0] / size:.2f} x (at most 1) |")

    print(f"\nIntersecting cuboids: the geometry of the same pairs (at least {MIN_SHAPELY:g} x), and the whole rule\n")
    print("| pairs a cuboid | pairs | that intersect | shapely, s | ours, s | ours is | the rule, s | the rule is |")
    print("|---:|---:|---:|---:|---:|---:|---:|---:|")
    for part in (5, 15):
        print(compared(crowded(1 if quick else 8, part)), flush=True)


if __name__ == "__main__":
    main()
