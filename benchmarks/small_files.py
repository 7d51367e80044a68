"""How fast many small label files become tables, against what people write for them.

    python benchmarks/small_files.py [--quick] [--files N]

100,000 files of 2 to 20 kB: images with polygons and boxes, and point clouds with cuboids, half of them with status,
author and times. Each way to read them is a process of its own, on one core, after the files were read once: a loop of
`json.load` and `pandas.json_normalize`, over every 50th file, and `read_labels` over all. Then some of the files from a
server on loopback that waits 30 ms before each answer, and from one that speaks S3 (moto, if it is installed), against
one file after the other.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from fetching import WAIT, seconds, server, verdict_of
from memory import READY, run
from workloads import _shape, _track, encode

import arrow_labels as al

ONE_CORE: Final = {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1", "ARROW_IO_THREADS": "1", "PYTHONHASHSEED": "0"}
LEAST, MOST = 2_000, 20_000
KINDS: Final = 2_000
FOLDER: Final = 1_000
TARGET_RATIO: Final = 8
SAMPLE_EVERY: Final = 50
PEERS: Final = ("`json_normalize(document)`, annotations left in a cell", "`json_normalize(document, 'annotations')`")

# Each way: what it imports, what is timed, and how many annotations it has found.
PANDAS: Final = """
import json, sys, time
from pathlib import Path
import pandas
folder, every, record_path = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] or None
paths = sorted(map(str, folder.glob("*/*.json")))[::every]
def read(paths):
    frames = []
    for path in paths:
        with open(path) as file:
            document = json.load(file)
        frames.append(pandas.json_normalize(document.get("attributes", document), record_path))
    return pandas.concat(frames)
read(paths[:10])
start = time.process_time()
table = read(paths)
spent = time.process_time() - start
print(json.dumps([spent, len(paths), len(table) if record_path else int(table["annotations"].map(len).sum())]))
"""
OURS: Final = """
import json, sys, time
import arrow_labels as al
al.decode_labels([{"annotations": [{"id": 1, "category_id": 1}]}])
start = time.process_time()
tables = al.read_labels(sys.argv[1])
spent = time.process_time() - start
print(json.dumps([spent, tables.labels.num_rows, tables.vectors.num_rows + tables.cuboids.num_rows]))
"""
ITERATE: Final = f"""
import os
import arrow_labels as al
{READY}
most = rows = 0
for part in al.iter_labels(sys.argv[1]):
    rows += part.labels.num_rows
    most = max(most, len(os.listdir("/proc/self/fd")))
print(rows, most)
"""


def document(rng: random.Random) -> bytes:
    """One label file."""
    if rng.random() < 0.5:
        shapes = [_shape(rng, shape) for shape in range(1, rng.randint(3, 16))]
        attributes: dict[str, Any] = {"format_version": "0.1", "annotations": shapes}
    else:
        cuboids = [_track(rng, track, 1)[0] for track in range(1, rng.randint(6, 45))]
        attributes = {"format_version": "0.2", "annotations": cuboids}
    if rng.random() < 0.5:
        return encode(attributes)
    made = {"label_status": "LABELED", "created_at": "2024-03-04T05:06:07.891011Z", "created_by": "ann"}
    return encode({**made, "updated_at": "2024-04-05T06:07:08.910111Z", "updated_by": "bob", "attributes": attributes})


def write_files(folder: Path, count: int) -> tuple[int, int]:
    """Write the files, a thousand a folder; how many bytes and annotations they have."""
    made = (document(random.Random(f"small {place}")) for place in range(min(count, KINDS)))
    documents = [text for text in made if LEAST <= len(text) <= MOST]
    numbers = [text.count(b'"category_id"') for text in documents]
    size = annotations = 0
    for place in range(count):
        path = folder / f"{place // FOLDER:04}" / f"{place:07}.json"
        if place % FOLDER == 0:
            path.parent.mkdir()
        path.write_bytes(documents[place % len(documents)])
        size += len(documents[place % len(documents)])
        annotations += numbers[place % len(documents)]
    return size, annotations


def measure(code: str, *arguments: str) -> tuple[float, int, int]:
    """CPU seconds, files and annotations of a process on one core."""
    pin = f"import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\n{code}"
    if not hasattr(os, "sched_setaffinity"):
        pin = code
    command = [sys.executable, "-c", pin, *arguments]
    said = subprocess.run(command, env={**os.environ, **ONE_CORE}, check=True, stdout=subprocess.PIPE, text=True)
    spent, files, found = json.loads(said.stdout)
    return spent, files, found


def local(folder: Path, count: int, rounds: int) -> None:
    """Measure and print local files."""
    size, annotations = write_files(folder, count)
    print(f"{count:,} files of {size / count / 1000:.1f} kB on average, {annotations / count:.0f} annotations each\n")
    every = SAMPLE_EVERY if count > 100 * SAMPLE_EVERY else 1
    ways = {
        PEERS[0]: (PANDAS, str(folder), str(every), ""),
        PEERS[1]: (PANDAS, str(folder), str(every), "annotations"),
        "`read_labels`": (OURS, str(folder)),
    }
    measure(OURS, str(folder))  # the files are in memory from here on
    times: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, code in ways.items():
            spent, files, found = measure(*code)
            if way not in PEERS and (files, found) != (count, annotations):
                raise SystemExit(f"expected {count} files and {annotations} annotations, got {files} and {found}")
            times[way].append(spent / files * 1e6)
    ours, *peers = (statistics.median(times[way]) for way in ("`read_labels`", *PEERS))
    print("| | CPU, microseconds a file | ours is | wanted | |")
    print("|---|---:|---:|---:|---|")
    for peer, found in zip(PEERS, peers, strict=True):
        ratio = found / ours
        print(f"| {peer} | {found:,.0f} | {ratio:.1f} x | >= {TARGET_RATIO} x | {verdict_of(ratio >= TARGET_RATIO)} |")
    print(f"| `read_labels` | {ours:,.0f} |  |  |  |")
    if Path("/proc/self/status").exists():
        memory = run(ITERATE, str(folder))
        rows, descriptors = memory.said.split()
        print(
            f"\n`iter_labels` over all {int(rows):,}: anonymous memory grows by {memory.peak - memory.before:.0f} MB, "
            f"at most {descriptors} files and sockets are open"
        )


def one_by_one(urls: list[str]) -> None:
    for url in urls:
        with urllib.request.urlopen(url) as answer:
            al.decode_labels([answer.read()])


def remote(folder: Path, count: int) -> None:
    """Measure and print files from servers."""
    paths = [path.relative_to(folder).as_posix() for path in sorted(folder.glob("*/*.json"))[:count]]
    print(f"\n{count} files\n\n| | files/s | ours is |\n|---|---:|---:|")
    with server(folder) as url:
        urls = [f"{url}/{path}" for path in paths]
        al.read_labels(urls[:2])
        ours, theirs = seconds(lambda: al.read_labels(urls)), seconds(lambda: one_by_one(urls))
        print(f"| HTTP, {WAIT * 1000:.0f} ms: `read_labels` | {count / ours:.0f} | |")
        print(f"| HTTP: `urllib`, one after the other | {count / theirs:.0f} | {theirs / ours:.1f} x |")
    if importlib.util.find_spec("moto") is None or importlib.util.find_spec("s3fs") is None:
        print("\nmoto or s3fs is not installed: S3 left out")
        return
    import fsspec

    with bucket() as options:
        fs = fsspec.filesystem("s3", **options)
        fs.mkdir("labels")
        fs.put([str(folder / path) for path in paths], [f"labels/{path}" for path in paths])
        al.read_labels(f"s3://labels/{paths[0]}", storage_options=options)

        def plain() -> None:
            for name in fs.find("labels"):
                al.decode_labels([fs.cat_file(name)])

        ours, theirs = seconds(lambda: al.read_labels("s3://labels", storage_options=options)), seconds(plain)
        print(f"| S3, moto: `read_labels` | {count / ours:.0f} | |")
        print(f"| S3: `cat_file`, one after the other | {count / theirs:.0f} | {theirs / ours:.1f} x |")


@contextmanager
def bucket() -> Iterator[dict[str, Any]]:
    """Options for a server that speaks S3, in a process of its own."""
    code = (
        "import sys\nfrom moto.server import ThreadedMotoServer\n"
        "server = ThreadedMotoServer(ip_address='127.0.0.1', port=0, verbose=False)\nserver.start()\n"
        "print('http://{}:{}'.format(*server.get_host_and_port()), flush=True)\nsys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        assert process.stdout is not None
        yield {"key": "key", "secret": "secret", "endpoint_url": process.stdout.readline().strip()}
        process.kill()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="300 files, one round: shows that it runs")
    parser.add_argument("--files", type=int, help="how many local files (default: 100,000)")
    options = parser.parse_args()
    if importlib.util.find_spec("pandas") is None:
        print("small_files: pandas is not installed, left out")
        return
    count = options.files or (300 if options.quick else 100_000)
    with tempfile.TemporaryDirectory() as folder:
        local(Path(folder), count, 1 if options.quick else 3)
        remote(Path(folder), 50 if options.quick else 1_000)


if __name__ == "__main__":
    main()
