"""What it costs to write tables to Delta and Iceberg, against Parquet files of the same tables; and what upserts cost.

Every writer gets the same tables, in memory, and an empty place; rounds alternate between them, in one process:

    python benchmarks/lakehouse.py [--quick] [--rounds N] [--megabytes N]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from workloads import write_release

import arrow_labels as al

TARGET: Final = 1.6
"""Times of `write_parquet` that a write to a lakehouse may take."""


class Taken(NamedTuple):
    """Seconds of a call: wall and processor."""

    wall: float
    cpu: float


def timed(call: Callable[[], object]) -> Taken:
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return Taken(time.perf_counter() - wall, time.process_time() - cpu)


def measure(tables: al.LabelTables, folder: Path) -> dict[str, Taken]:
    """Each writer once; and one sample in a hundred written again."""
    from pyiceberg.catalog.sql import SqlCatalog

    catalog = SqlCatalog("benchmark", uri=f"sqlite:///{folder}/catalog.db", warehouse=f"file://{folder}/warehouse")
    few = some(tables)
    taken = {
        "write_parquet": timed(lambda: al.write_parquet(tables, folder / "parquet")),
        "write_delta": timed(lambda: al.write_delta(tables, folder / "delta")),
        "write_iceberg": timed(lambda: al.write_iceberg(tables, catalog, "labels")),
        "write_delta, upsert of 1%": timed(lambda: al.write_delta(few, folder / "delta", mode="upsert")),
        "write_iceberg, upsert of 1%": timed(lambda: al.write_iceberg(few, catalog, "labels", mode="upsert")),
        "read_parquet": timed(lambda: al.read_parquet(folder / "parquet")),
        "read_delta": timed(lambda: al.read_delta(folder / "delta")),
        "read_iceberg": timed(lambda: al.read_iceberg(catalog, "labels")),
    }
    catalog.close()
    return taken


def some(tables: al.LabelTables) -> al.LabelTables:
    """The rows of one sample in a hundred."""
    import pyarrow.compute as pc

    ids = tables.samples["sample_id"].unique()
    chosen = ids.slice(0, max(1, len(ids) // 100))
    return al.LabelTables(
        **{
            name: table.filter(pc.is_in(table["sample_id"], chosen))
            for name, table in tables
            if "sample_id" in table.column_names
        }
    )


def benchmark(rounds: int, megabytes: float) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as place:
        release = Path(place, "release.json")
        samples = write_release(release, megabytes)
        tables = al.read_labels(release)
        release.unlink()
        rows = sum(table.num_rows for _, table in tables)
        print(f"{samples} samples, {rows:,} rows, {tables.nbytes / 1e6:,.0f} MB of tables; median of {rounds} rounds\n")
        taken: dict[str, list[Taken]] = {}
        for number in range(rounds + 1):
            folder = Path(place, str(number))
            folder.mkdir()
            found = measure(tables, folder)
            if number or rounds == 1:  # The first round imports and connects.
                for name, seconds in found.items():
                    taken.setdefault(name, []).append(seconds)
    wall, cpu = (
        {name: statistics.median(getattr(seconds, clock) for seconds in found) for name, found in taken.items()}
        for clock in Taken._fields
    )
    print("| | wall, s | CPU, s | of write_parquet: wall | CPU | wanted | |")
    print("|---|---:|---:|---:|---:|---:|---|")
    for name in taken:
        ratio = wall[name] / wall["write_parquet"]
        verdict = " | "
        if name in ("write_delta", "write_iceberg"):
            verdict = f"<= {TARGET} x | {'ok' if ratio <= TARGET else 'short'}"
        ratios = f"{ratio:.2f} x | {cpu[name] / cpu['write_parquet']:.2f} x"
        print(f"| {name} | {wall[name]:.2f} | {cpu[name]:.2f} | {ratios} | {verdict} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="20 MB and once: shows that it runs, not how fast")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--megabytes", type=float, default=400, help="JSON of the release")
    options = parser.parse_args()
    if options.quick:
        print("quick: the times say nothing")
        benchmark(1, 20)
    else:
        benchmark(options.rounds, options.megabytes)


if __name__ == "__main__":
    main()
