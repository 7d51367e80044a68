"""What a second process brings: `arrow-labels convert`, and `read_labels`, with one and with several.

    python benchmarks/workers.py [--quick] [--megabytes N] [--rounds N] [--workers N]

Wall time, on cores that do nothing else; the processor's time says what sharing the work costs, and does not depend on
what else runs. Each run is a process of its own, one after the other, in turns.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
from pathlib import Path
from typing import Final

from memory import COMMAND, READY, Measured, run
from workloads import write_release

TIMES_FASTER: Final = 0.85
"""What is wanted of each worker: two are 1.7 times as fast as one."""
READ: Final = f"""
import sys
import arrow_labels as al
{READY}
print(al.read_labels(sys.argv[1], workers=int(sys.argv[2])).nbytes)
"""
# So that a small release is worth it.
SMALL: Final = """
from arrow_labels import workers
workers.WORTH, workers.LEAST_SPAN = 0, 1 << 20
"""


def benchmark(megabytes: float, rounds: int, count: int, quick: bool, folder: Path) -> None:
    """Measure and print."""
    release, tables = folder / "release.json", folder / "tables"
    write_release(release, megabytes)
    size = release.stat().st_size / 1e6
    small = SMALL if quick else ""
    found: dict[tuple[str, int], list[Measured]] = {}
    for _ in range(rounds):
        for workers in (1, count):
            command = ("convert", "--quiet", "--workers", str(workers), str(release), str(tables))
            found.setdefault(("convert", workers), []).append(run(small + COMMAND, *command))
            shutil.rmtree(tables)
            found.setdefault(("read_labels", workers), []).append(run(small + READ, str(release), str(workers)))
    print(f"a release of {size:,.0f} MB; rounds: {rounds}; load {os.getloadavg()[0]:.1f}; median (best)\n")
    print("| | workers | time, s | MB of JSON/s | CPU, s | faster | best against best | wanted | | CPU, times |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|---|---:|")
    for (what, workers), measured in found.items():
        seconds, cpu = sorted(it.seconds for it in measured), sorted(it.cpu for it in measured)
        median, spent = statistics.median(seconds), statistics.median(cpu)
        numbers = f"{median:.2f} ({seconds[0]:.2f}) | {size / median:.0f} | {spent:.2f} ({cpu[0]:.2f})"
        if workers == 1:
            print(f"| {what} | 1 | {numbers} | | | | | |")
            continue
        alone = found[what, 1]
        faster = statistics.median(it.seconds for it in alone) / median
        best = min(it.seconds for it in alone) / seconds[0]
        wanted = TIMES_FASTER * workers
        is_judged = what == "convert" and not quick
        verdict = f">= {wanted:.1f} x | {'ok' if faster >= wanted else 'short'}" if is_judged else " | "
        cost = spent / statistics.median(it.cpu for it in alone)
        print(f"| {what} | {workers} | {numbers} | {faster:.2f} x | {best:.2f} x | {verdict} | {cost:.2f} x |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="20 MB, one round: shows that it runs")
    parser.add_argument("--megabytes", type=float, help="size of the release (default: 4000)")
    parser.add_argument("--rounds", type=int, help="default: 3")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="default: all cores")
    options = parser.parse_args()
    if not Path("/proc/self/status").exists():
        print("workers: needs the /proc of Linux, left out")
        return
    megabytes = options.megabytes or (20 if options.quick else 4000)
    rounds = options.rounds or (1 if options.quick else 3)
    with tempfile.TemporaryDirectory() as folder:
        benchmark(megabytes, rounds, options.workers, options.quick, Path(folder))


if __name__ == "__main__":
    main()
