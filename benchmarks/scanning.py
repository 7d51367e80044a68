"""Scans that use a part of the labels against reading them whole: MB of JSON a CPU second, in one run.

    python benchmarks/scanning.py [--quick] [--rounds N]

Every document is once a file of its own, and once a sample of one release file. Reading whole is `read_labels`, all
tables kept; a scan is collected with Polars' default engine. They take turns; the table shows medians of the CPU time
of all threads. What a scan gives is compared with the same query on what was read whole.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import polars as pl
import workloads

import arrow_labels as al

WANTED: Final = 3.0
THREE: Final = ("sample_id", "category_id", "track_id")

Query = Callable[[pl.LazyFrame], pl.LazyFrame]


def three_columns(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.select(THREE)


def one_frame(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.filter(pl.col("frame_index") == 1).select(pl.exclude("extra"))


def one_sample(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.filter(pl.col("sample_id") == pl.lit("1"))


def of_all(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame


def states(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.select("sample_id", "label_status", "frame_count")


# What is scanned; only the first has a target.
SCANS: Final[dict[str, list[tuple[str, str, Query]]]] = {
    "point_ids": [
        ("segments", "sample_id, category_id, track_id", three_columns),
        ("segments", "one frame of each sequence", one_frame),
        ("segments", "one sample", one_sample),
        ("labels", "sample_id, label_status, frame_count", states),
        ("segments", "every column", of_all),
    ],
    "cuboids": [
        ("cuboids", "sample_id, category_id, track_id", three_columns),
        ("cuboids", "one frame of each sequence", one_frame),
        ("cuboids", "one sample", one_sample),
        ("labels", "sample_id, label_status, frame_count", states),
        ("cuboids", "every column", of_all),
    ],
}


def write(documents: list[bytes], folder: Path) -> dict[str, Path]:
    """The documents as files, and as one release."""
    files = folder / "files"
    files.mkdir()
    for place, document in enumerate(documents):
        (files / f"{place}.json").write_bytes(document)
    label = b'{"name":"%d","labels":{"ground-truth":{"label_status":"LABELED","attributes":%s}}}'
    samples = b",".join(label % item for item in enumerate(documents))
    release = folder / "release.json"
    release.write_bytes(b'{"dataset":{"name":"drives","samples":[' + samples + b"]}}")
    return {"files": files, "release": release}


def seconds(run: Callable[[], Any]) -> float:
    """CPU time of all threads."""
    start = time.process_time()
    kept = run()
    used = time.process_time() - start
    del kept
    return used


def measure(workload: str, documents: list[bytes], rounds: int) -> bool:
    """Print the lines of a workload; says whether the target was met."""
    megabytes = sum(map(len, documents)) / 1e6
    met = True
    with tempfile.TemporaryDirectory() as folder:
        for kind, path in write(documents, Path(folder)).items():
            tables = al.read_labels(path)
            runs: list[Callable[[], Any]] = [lambda path=path: al.read_labels(path)]
            for table, _, query in SCANS[workload]:
                scan = query(al.scan_labels(path, table))
                expected = query(pl.from_arrow(tables[table]).lazy()).collect()
                assert scan.collect().equals(expected)
                assert expected.height
                runs.append(scan.collect)
            del tables
            taken = [[seconds(run) for run in runs] for _ in range(rounds)]
            whole, *others = (statistics.median(times) for times in zip(*taken, strict=True))
            print(f"| {workload}, {kind} | reading whole | {megabytes / whole:,.0f} | | |")
            for (table, what, query), used in zip(SCANS[workload], others, strict=True):
                wanted = ""
                if query is three_columns and workload == "point_ids":
                    met &= whole / used >= WANTED
                    wanted = f">= {WANTED:.0f} x {'ok' if whole / used >= WANTED else 'short'}"
                print(f"| | {table}: {what} | {megabytes / used:,.0f} | {whole / used:.1f} x | {wanted} |", flush=True)
    return met


def main() -> int:
    """Exit status: 0 if the target was met, or was not tried."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a small workload: shows that it runs")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print("| | | MB of JSON a CPU second | against reading whole | wanted |\n|---|---|---:|---:|---|")
    counts = {"point_ids": 2, "cuboids": 2} if options.quick else {"point_ids": 40, "cuboids": 30}
    rounds = 1 if options.quick else options.rounds
    met = [measure(name, workloads.WORKLOADS[name](count), rounds) for name, count in counts.items()]
    return 0 if options.quick or all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
