"""How much faster bitmaps come when many are fetched at once, and what memory that takes.

    python benchmarks/fetching.py [--quick]

A server on loopback, in a process of its own, waits 30 ms before each answer. `read_masks` fetches 300 bitmaps from it
with 16 at once, against one after the other: `read_masks(concurrency=1)`, and a loop of `urllib`, `decode_bitmap` and
`mask_table`. Memory is that of a process which does nothing else, measured as in `memory.py`. Then large bitmaps, those
of `bitmaps.py`, against segments-ai: `load_label_bitmap_from_url` and its COCO export.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
from bitmaps import HEIGHT as LARGE_HEIGHT
from bitmaps import INSTANCES as MANY
from bitmaps import WIDTH as LARGE_WIDTH
from bitmaps import Dataset, draw_bitmap, export
from memory import READY, run

import arrow_labels as al
from arrow_labels.bitmap import decode_bitmap, encode_bitmap, mask_table
from arrow_labels.masks import read_masks

WAIT: Final = 0.03
WIDTH, HEIGHT, INSTANCES = 640, 400, 20
CONCURRENCY: Final = 16
TARGET_RATIO: Final = 8
SDK_RATIO: Final = 20
TARGET_MEGABYTES: Final = 64

# What the process does whose memory counts: it has read one bitmap before, as every process has that reads some.
READ: Final = f"""
import sys
import json
import arrow_labels as al
from arrow_labels.masks import read_masks
from pathlib import Path
folder, url = sys.argv[1:]
labels = json.loads(Path(folder, "labels.json").read_text())
read_masks(al.decode_labels(labels[:1]), base=url)
tables = al.decode_labels(labels)
{READY}
print(read_masks(tables, base=url).segments["rle"].nbytes / 1e6)
"""


def bitmap(number: int) -> bytes:
    """A bitmap of ellipses."""
    rng = np.random.default_rng(number)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    ids = np.zeros((HEIGHT, WIDTH), np.uint32)
    for instance in range(1, INSTANCES + 1):
        y, x = rng.uniform(0, HEIGHT), rng.uniform(0, WIDTH)
        high, wide = rng.uniform(15, 70, 2)
        ids[((rows - y) / high) ** 2 + ((columns - x) / wide) ** 2 <= 1] = instance
    return encode_bitmap(ids)


def label(number: int, instances: int = INSTANCES) -> dict[str, Any]:
    annotations = [{"id": instance, "category_id": 0} for instance in range(1, instances + 1)]
    return {"annotations": annotations, "segmentation_bitmap": {"url": f"{number}.png"}}


async def serve(folder: Path) -> None:
    """Answer requests for the files of a folder, each after a while; print the URL first, end with standard input."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await reader.readuntil(b"\r\n\r\n"):
            await asyncio.sleep(WAIT)
            body = (folder / request.split()[1].decode().lstrip("/")).read_bytes()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n" % len(body))
            closing = b"\r\nconnection: close\r\n" in request.lower()
            writer.write((b"Connection: close\r\n\r\n" if closing else b"\r\n") + body)
            if closing:
                writer.close()
                return

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print("http://{}:{}".format(*server.sockets[0].getsockname()), flush=True)
    await asyncio.to_thread(sys.stdin.read)


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """The URL of a server of the files of a folder, in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, __file__, "--serve", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.kill()


def plain(url: str, count: int) -> None:
    """One after the other, with what Python has."""
    for number in range(count):
        with urllib.request.urlopen(f"{url}/{number}.png") as answer:
            mask_table(decode_bitmap(answer.read()))


def seconds(what: Callable[[], object]) -> float:
    start = time.perf_counter()
    what()
    return time.perf_counter() - start


def benchmark(count: int, rounds: int, folder: Path) -> None:
    """Measure and print."""
    for number in range(count):
        (folder / f"{number}.png").write_bytes(bitmap(number))
    size = sum(path.stat().st_size for path in folder.iterdir()) / count / 1000
    labels = [label(number) for number in range(count)]
    (folder / "labels.json").write_text(json.dumps(labels))
    tables = al.decode_labels(labels)
    print(f"{count} bitmaps of {WIDTH} x {HEIGHT} pixels and {INSTANCES} ids, {size:.0f} kB each; {rounds} rounds\n")
    with server(folder) as url:
        ways: dict[str, Callable[[], object]] = {
            f"`read_masks`, {CONCURRENCY} at once": lambda: read_masks(tables, base=url, concurrency=CONCURRENCY),
            "`read_masks`, one after the other": lambda: read_masks(tables, base=url, concurrency=1),
            "`urllib`, one after the other": lambda: plain(url, count),
        }
        read_masks(al.decode_labels(labels[:1]), base=url)  # what is imported by the first call does not count
        times = [[seconds(way) for way in ways.values()] for _ in range(rounds)]
        memory = run(READ, str(folder), url)
    middle = [statistics.median(found) for found in zip(*times, strict=True)]
    print("| | time, s | bitmaps/s | ours is | wanted | |")
    print("|---|---:|---:|---:|---:|---|")
    for place, (name, found) in enumerate(zip(ways, middle, strict=True)):
        ratio = found / middle[0]
        verdict = f"{ratio:.1f} x | >= {TARGET_RATIO} x | {verdict_of(ratio >= TARGET_RATIO)}" if place else " |  | "
        print(f"| {name} | {found:.2f} | {count / found:.0f} | {verdict} |")
    kept, growth = float(memory.said), memory.peak - memory.before
    flight = CONCURRENCY * (size / 1000 + WIDTH * HEIGHT * 12 / 1e6)
    print("\n| memory | MB |")
    print("|---|---:|")
    print(f"| before | {memory.before:.0f} |")
    print(f"| growth | {growth:.0f} |")
    print(f"| masks that are kept | {kept:.1f} |")
    print(f"| {CONCURRENCY} bitmaps, read and decoded | {flight:.0f} |")
    limit = TARGET_MEGABYTES + flight
    print(
        f"| wanted: growth below {TARGET_MEGABYTES} and what is in flight | {limit:.0f}: {verdict_of(growth < limit)} |"
    )


def against_the_sdk(count: int, rounds: int, folder: Path) -> None:
    """Measure and print what large bitmaps take with the SDK, which fetches one after the other."""
    from segments.utils import load_label_bitmap_from_url

    for number in range(count):
        (folder / f"{number}.png").write_bytes(encode_bitmap(draw_bitmap(number)))
    tables = al.decode_labels([label(number, MANY) for number in range(count)])
    listed = [list(range(1, MANY + 1))] * count
    with server(folder) as url:
        sdk = export(Dataset(listed, lambda index: load_label_bitmap_from_url(f"{url}/{index}.png")))
        read_masks(tables, base=url)
        times = [(seconds(lambda: read_masks(tables, base=url)), seconds(sdk)) for _ in range(rounds)]
    ours, theirs = (statistics.median(found) for found in zip(*times, strict=True))
    ratio = theirs / ours
    print(f"\n{count} bitmaps of {LARGE_WIDTH} x {LARGE_HEIGHT} pixels and {MANY} ids; {rounds} rounds\n")
    print("| | time, s | bitmaps/s | ours is | wanted | |")
    print("|---|---:|---:|---:|---:|---|")
    print(f"| `read_masks`, {CONCURRENCY} at once | {ours:.2f} | {count / ours:.1f} |  |  |  |")
    print(
        f"| segments-ai, COCO export | {theirs:.2f} | {count / theirs:.1f} | {ratio:.1f} x | >= {SDK_RATIO} x "
        f"| {verdict_of(ratio >= SDK_RATIO)} |"
    )


def verdict_of(holds: bool) -> str:
    return "ok" if holds else "short"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="60 bitmaps, one round: shows that it runs")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve is not None:
        asyncio.run(serve(options.serve))
        return
    with tempfile.TemporaryDirectory() as folder:
        benchmark(60 if options.quick else 300, 1 if options.quick else 5, Path(folder))
    if importlib.util.find_spec("segments") is None:
        print("segments-ai is not installed, left out")
        return
    with tempfile.TemporaryDirectory() as folder:
        against_the_sdk(2 if options.quick else 30, 1 if options.quick else 3, Path(folder))


if __name__ == "__main__":
    main()
