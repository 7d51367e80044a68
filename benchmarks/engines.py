"""How Ray and Spark scale on one machine: cuboids of many releases, with one worker and with two.

Each measurement is a process of its own, which reads several times; the last time counts, without the start of the
engine and of its workers, and when Java has compiled most of what it runs. Spark's planner knows by then the names of
the samples, which it looks up once for all tables of a source; "spark, new files" is without that.

    python benchmarks/engines.py [--quick] [--rounds N]
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from workloads import write_release

ENGINES: Final = ("ray", "spark", "spark, new files")
TARGET: Final = 1.5
FILES, MEGABYTES, DIFFERENT = 64, 16.0, 8
BEFORE: Final = {"ray": 1, "spark": 3, "spark, new files": 3}
"""Readings that do not count. Java compiles what it runs on a second core, more than a second of each early reading."""
ONE_THREAD: Final = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def read_with_ray(engine: str, workers: int, folder: Path) -> tuple[float, float]:
    """Seconds to read the folder, and how many cores were busy meanwhile."""
    import ray
    import ray.data

    from arrow_labels.engines.ray import read_labels

    ray.init(
        num_cpus=workers,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="error",
        object_store_memory=2 << 30,
    )
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.op_resource_reservation_enabled = False  # one dataset, that shares the cluster with nobody

    def read(source: Path) -> int:
        return sum(bundle.num_rows() or 0 for bundle in read_labels(str(source), "cuboids").iter_internal_ref_bundles())

    found = timed(read, folder, engine)
    ray.shutdown()
    return found


def read_with_spark(engine: str, workers: int, folder: Path) -> tuple[float, float]:
    """As `read_with_ray`."""
    from pyspark.sql import SparkSession

    from arrow_labels.engines.spark import LabelsSource

    spark = (
        SparkSession.builder.master(f"local[{workers}]")
        .config("spark.ui.enabled", "false")
        .config("spark.log.level", "ERROR")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.extraJavaOptions", "-Darrow.enable_unsafe_memory_access=true")
        .getOrCreate()
    )
    spark.dataSource.register(LabelsSource)

    def read(source: Path) -> int:
        rows = spark.read.format("arrow_labels").option("table", "cuboids").load(str(source))
        rows.write.format("noop").mode("overwrite").save()
        return 1

    found = timed(read, folder, engine)
    spark.stop()
    return found


def timed(read: Callable[[Path], int], folder: Path, engine: str) -> tuple[float, float]:
    """Seconds, and how many cores were busy."""
    for _ in range(BEFORE[engine]):
        assert read(folder)  # All workers start and import what they need; of a few small files one would read all.
    if "new files" in engine:
        for path in folder.iterdir():
            path.touch()
    start, before = time.perf_counter(), worked()
    assert read(folder)
    seconds = time.perf_counter() - start
    return seconds, (worked() - before) / seconds


def worked() -> float:
    """Seconds that all cores have worked, for whatever process."""
    user, nice, system, _, _, irq, softirq, *_ = map(int, Path("/proc/stat").read_text().splitlines()[0].split()[1:])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def measured(engine: str, workers: int, folder: Path) -> tuple[float, float]:
    command = [sys.executable, __file__, "--measure", engine, str(workers), str(folder)]
    # Whatever does the planning may use as many cores as there are workers.
    environment = {**os.environ, **ONE_THREAD, "POLARS_MAX_THREADS": str(workers)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise RuntimeError(done.stderr)
    seconds, busy = map(float, done.stdout.split()[-2:])
    return seconds, busy


def benchmark(engines: Sequence[str], files: int, megabytes: float, rounds: int, place: Path) -> None:
    """Measure and print."""
    folder = place / "folder"
    folder.mkdir()
    for number in range(min(files, DIFFERENT)):
        write_release(folder / f"{number:03}.json", megabytes, seed=number)
    for number in range(DIFFERENT, files):
        shutil.copy(folder / f"{number % DIFFERENT:03}.json", folder / f"{number:03}.json")
    size = sum(path.stat().st_size for path in folder.iterdir()) / 1e6
    print(f"{files} releases, {size:,.0f} MB together; {rounds} rounds, medians\n")
    print("| engine | one worker, MB/s | two, MB/s | cores busy with one | with two | faster | wanted | |")
    print("|---|---:|---:|---:|---:|---:|---:|---|")
    for engine in engines:
        found = [[measured(engine, workers, folder) for workers in (1, 2)] for _ in range(rounds)]
        (one, busy), (two, both) = (
            [statistics.median(numbers) for numbers in zip(*runs, strict=True)] for runs in zip(*found, strict=True)
        )
        ratio = statistics.median(first / second for (first, _), (second, _) in found)
        speeds = f"{size / one:.0f} | {size / two:.0f} | {busy:.2f} | {both:.2f}"
        verdict = "ok" if ratio >= TARGET else "short"
        print(f"| {engine} | {speeds} | {ratio:.2f} x | >= {TARGET} x | {verdict} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="4 small files, one round: shows that it runs")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure is not None:
        warnings.simplefilter("ignore")
        engine, workers, folder = options.measure
        read = read_with_ray if engine == "ray" else read_with_spark
        print("\n", *read(engine, int(workers), Path(folder)))
        return
    with tempfile.TemporaryDirectory() as place:
        if options.quick:
            benchmark(ENGINES[:2], 4, 0.5, 1, Path(place))
        else:
            benchmark(ENGINES, FILES, MEGABYTES, options.rounds, Path(place))


if __name__ == "__main__":
    main()
