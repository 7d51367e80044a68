"""How fast an id bitmap becomes the area, box and run lengths of every annotation.

Every measurement is a process of its own, on one core, over the same bitmaps of 1920 x 1208 pixels with 80 instances,
drawn as blobs and polygons and saved by Pillow:

    python benchmarks/bitmaps.py [--quick] [--rounds N] [--bitmaps N] [--only 'CONTENDER;...']

`draw_bitmap` gives the ids of one bitmap to other benchmarks, `export` the SDK's way. With the download, which is part
of both ways, the SDK is compared in `fetching.py`.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib.util
import io
import json
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

from decoding import ONE_CORE

WIDTH: Final = 1920
HEIGHT: Final = 1208
INSTANCES: Final = 80

Run = Callable[[], Any]
Counts = list[int]


def draw_bitmap(seed: int, *, width: int = WIDTH, height: int = HEIGHT, instances: int = INSTANCES) -> Any:
    """Ids (uint32) of ellipses and ragged polygons, large ones first, from id 1 on."""
    import numpy as np
    from PIL import Image, ImageDraw

    pick = random.Random(seed)
    canvas = Image.new("I", (width, height), 0)
    pen = ImageDraw.Draw(canvas)
    sizes = sorted((pick.uniform(0.01, 0.16) * height for _ in range(instances)), reverse=True)
    for number, size in enumerate(sizes, start=1):
        x, y = pick.uniform(0, width), pick.uniform(0, height)
        if number % 2:
            pen.ellipse((x - size, y - size / 2, x + size, y + size / 2), fill=number)
            continue
        turns = sorted(pick.uniform(0, math.tau) for _ in range(pick.randrange(5, 30)))
        radii = [pick.uniform(0.6, 1) * size for _ in turns]
        pen.polygon(
            [(x + r * math.cos(turn), y + r * math.sin(turn)) for turn, r in zip(turns, radii, strict=True)],
            fill=number,
        )
    return np.asarray(canvas).astype(np.uint32)


# Each contender prepares what it reads from (outside the clock) and gives the function that is timed.


def _pillow(images: list[bytes]) -> Run:
    from PIL import Image

    def run() -> None:
        for data in images:
            Image.open(io.BytesIO(data)).load()

    return run


def _arrow_labels(images: list[bytes]) -> Run:
    from arrow_labels.bitmap import decode_bitmap, mask_table

    return lambda: [mask_table(decode_bitmap(data)) for data in images]


def _mask_table(images: list[bytes]) -> Run:
    from arrow_labels.bitmap import decode_bitmap, mask_table

    arrays = [decode_bitmap(data) for data in images]
    return lambda: [mask_table(ids) for ids in arrays]


def _pycocotools(images: list[bytes]) -> Run:
    import numpy as np
    from pycocotools import mask

    from arrow_labels.bitmap import decode_bitmap

    arrays = [decode_bitmap(data) for data in images]
    listed = [[value for value in np.unique(ids).tolist() if value] for ids in arrays]
    return lambda: [
        [mask.encode(np.asfortranarray(ids == value)) for value in values]
        for ids, values in zip(arrays, listed, strict=True)
    ]


class Dataset:
    """What the SDK's COCO export asks of a `SegmentsDataset`: the ids of each bitmap, and how to load it."""

    task_type = "segmentation-bitmap"
    dataset_identifier = "bitmaps"
    release: Final = {"name": "v1", "dataset": {"name": "bitmaps"}}
    categories: Final[list[Any]] = []
    image_dir = None

    def __init__(self, listed: list[list[int]], load: Callable[[int], Any]) -> None:
        self._annotations = [[{"id": value, "category_id": 0} for value in values] for values in listed]
        self._load = load

    def __len__(self) -> int:
        return len(self._annotations)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {
            "annotations": self._annotations[index],
            "segmentation_bitmap": self._load(index),
            "image": None,
            "file_name": f"{index}.png",
        }


def _segments_ai(images: list[bytes]) -> Run:
    import segments.utils

    class Answer(NamedTuple):
        content: bytes

    segments.utils.session.get = lambda url: Answer(images[int(url)])
    return export(Dataset(_listed(images), lambda index: segments.utils.load_label_bitmap_from_url(str(index))))


def _segments_ai_loaded(images: list[bytes]) -> Run:
    from arrow_labels.bitmap import decode_bitmap

    arrays = [decode_bitmap(data) for data in images]
    return export(Dataset(_listed(images), arrays.__getitem__))


def _listed(images: list[bytes]) -> list[list[int]]:
    import numpy as np

    from arrow_labels.bitmap import decode_bitmap

    return [[value for value in np.unique(decode_bitmap(data)).tolist() if value] for data in images]


def export(dataset: Dataset) -> Run:
    """The SDK's COCO export of a dataset; it gives the path of the file that it writes."""
    from segments.export import export_coco_instance

    folder = tempfile.TemporaryDirectory()

    def run() -> str:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            return str(export_coco_instance(dataset, folder.name)[0])

    return run


# Masks and their pixels in a result: a contender that skips some would look fast.


def _count_tables(tables: Any) -> Counts:
    return [sum(table.num_rows for table in tables), sum(sum(table["area"].to_pylist()) for table in tables)]


def _count_coco(masks: Any) -> Counts:
    from pycocotools import mask

    return [sum(map(len, masks)), sum(int(mask.area(found).sum()) for found in masks)]


def _count_export(path: str) -> Counts:
    annotations = json.loads(Path(path).read_text())["annotations"]
    return [len(annotations), sum(annotation["area"] for annotation in annotations)]


class Contender(NamedTuple):
    """Who is measured: the modules it needs, what is timed, how its result is counted, and what the result is."""

    modules: tuple[str, ...]
    prepare: Callable[[list[bytes]], Run]
    counted: Callable[[Any], Counts] | None
    result: str


PILLOW: Final = "Pillow, decode alone"
OURS: Final = "arrow_labels"
TABLE: Final = "arrow_labels, loaded before"
COCO: Final = "pycocotools, loaded before"
SDK: Final = "segments-ai"
EXPORT: Final = "segments-ai, loaded before"
CONTENDERS: Final = {
    PILLOW: Contender(("PIL",), _pillow, None, "an image: `Image.open(...).load()`"),
    OURS: Contender(("PIL",), _arrow_labels, _count_tables, "ids, areas, boxes, RLE: `mask_table(decode_bitmap(png))`"),
    TABLE: Contender(("PIL",), _mask_table, _count_tables, "areas, boxes, RLE: `mask_table(ids)`"),
    COCO: Contender(
        ("PIL", "pycocotools"),
        _pycocotools,
        _count_coco,
        "RLE: `encode(np.asfortranarray(ids == id))`, one id at a time",
    ),
    SDK: Contender(
        ("PIL", "pycocotools", "segments", "skimage"),
        _segments_ai,
        _count_export,
        "areas, boxes, RLE in a file: `load_label_bitmap_from_url`, from memory, and `export_coco_instance`",
    ),
    EXPORT: Contender(
        ("PIL", "pycocotools", "segments", "skimage"),
        _segments_ai_loaded,
        _count_export,
        "areas, boxes, RLE in a file: `export_coco_instance`",
    ),
}


class Target(NamedTuple):
    """How many times the time of one contender another may take, or must be as fast as it."""

    what: str
    ours: str
    other: str
    slower: float | None
    faster: float | None


TARGETS: Final = (
    Target("ids, areas, boxes and RLE of a PNG, against Pillow's decode", OURS, PILLOW, 1.5, None),
    Target("areas, boxes and RLE of ids, against pycocotools' RLE", TABLE, COCO, None, 25),
    Target("areas, boxes and RLE of ids, against segments-ai", TABLE, EXPORT, None, 20),
    Target("areas, boxes and RLE of a PNG in memory, against segments-ai: for reference", OURS, SDK, None, None),
)


def measure(names: list[str], folder: Path) -> None:
    """In a fresh process: time contenders, and print their CPU seconds for a bitmap and what they counted."""
    images = [path.read_bytes() for path in sorted(folder.glob("*.png"))]
    found = {}
    for name in names:
        contender = CONTENDERS[name]
        contender.prepare(images[:1])()
        run = contender.prepare(images)
        gc.collect()
        start = time.process_time()
        result = run()
        seconds = time.process_time() - start
        found[name] = (seconds / len(images), contender.counted(result) if contender.counted else None)
        del result
    print(json.dumps(found))


def measured(names: list[str], folder: Path) -> dict[str, tuple[float, Counts | None]]:
    """CPU seconds for a bitmap, and counts, from a fresh process."""
    done = subprocess.run(
        [sys.executable, __file__, "--measure", *names, "--folder", str(folder)],
        env={**os.environ, **ONE_CORE},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    found: dict[str, tuple[float, Counts | None]] = json.loads(done.stdout)
    return found


def benchmark(names: list[str], rounds: int, bitmaps: int, one_process: bool) -> None:
    """Measure and print."""
    import numpy as np
    from PIL import Image

    seconds: dict[str, list[float]] = {name: [] for name in names}
    expected = [0, 0]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for seed in range(bitmaps):
            ids = draw_bitmap(seed)
            expected = [expected[0] + len(np.unique(ids)) - 1, expected[1] + int(np.count_nonzero(ids))]
            pixels = (ids | np.uint32(0xFF000000)).astype("<u4").view(np.uint8).reshape(*ids.shape, 4)
            Image.fromarray(pixels).save(folder / f"{seed:03d}.png")
        size = sum(path.stat().st_size for path in folder.iterdir()) / bitmaps / 1e3
        print(f"{bitmaps} bitmaps of {WIDTH} x {HEIGHT} pixels, {expected[0]} masks, {size:.0f} kB each", flush=True)
        for _ in range(rounds):
            for group in [names] if one_process else [[name] for name in names]:
                for name, (taken, counts) in measured(group, folder).items():
                    seconds[name].append(taken)
                    if counts not in (None, expected):
                        raise SystemExit(f"{name}: expected {expected} masks and pixels, got {counts}")
    print(f"\nrounds: {rounds}; CPU milliseconds for a bitmap: median (best)\n")
    print("| | ms | what it gives |\n|---|---:|---|")
    for name, taken in seconds.items():
        times = f"{1e3 * statistics.median(taken):.1f} ({1e3 * min(taken):.1f})"
        print(f"| {name} | {times} | {CONTENDERS[name].result} |")
    print("\narrow_labels against the targets, by the medians:\n")
    print("| | wanted | got | |\n|---|---:|---:|---|")
    for target in TARGETS:
        if target.ours in seconds and target.other in seconds:
            print(verdict(target, *(statistics.median(seconds[name]) for name in (target.ours, target.other))))


def verdict(target: Target, ours: float, other: float) -> str:
    """One row of the table of targets."""
    if target.slower is not None:
        wanted, got, holds = f"<= {target.slower:g} x the time", ours / other, ours <= target.slower * other
    elif target.faster is None:
        return f"| {target.what} |  | {other / ours:.2f} x |  |"
    else:
        least = target.faster
        wanted, got, holds = f">= {least:g} x as fast", other / ours, other >= least * ours
    return f"| {target.what} | {wanted} | {got:.2f} x | {'ok' if holds else 'short'} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small and once: shows that it runs, not how fast")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--bitmaps", type=int, default=10, help="how many")
    parser.add_argument("--only", help="contenders, with semicolons between them")
    parser.add_argument("--measure", nargs="+", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options.measure, options.folder)
        return
    names = options.only.split(";") if options.only else list(CONTENDERS)
    for name in list(names):
        missing = [module for module in CONTENDERS[name].modules if importlib.util.find_spec(module) is None]
        if missing:
            print(f"{name}: {', '.join(missing)} not installed, left out")
            names.remove(name)
    if importlib.util.find_spec("PIL") is None:
        print("bitmaps: needs Pillow, left out")
    elif options.quick:
        print("quick: the times say nothing")
        benchmark(names, 1, 2, one_process=True)
    else:
        benchmark(names, options.rounds, options.bitmaps, one_process=False)


if __name__ == "__main__":
    main()
