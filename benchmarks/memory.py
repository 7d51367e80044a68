"""How much memory a release of any size takes, on the way in and on the way back.

    python benchmarks/memory.py [--quick] [--megabytes N] [--growth MB MB ...] [--workers N] [--keep FOLDER]

Makes a release, then runs in processes of their own: `iter_labels` over it, `scan_labels` of one table into a Parquet
file, `arrow-labels convert` and `arrow-labels restore`. What counts is anonymous memory (`RssAnon`: the pages of a file
that is mapped are the system's to take back), of the process and its children, above what it had when everything was
imported. With ``--growth`` it runs `convert` with all cores on releases of these sizes instead: the time and the memory
of the largest worker.
"""

from __future__ import annotations

import argparse
import importlib.util
import mmap
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

import msgspec
from workloads import write_release

TARGET_MEGABYTES: Final = 400
WORKER_MEGABYTES: Final = 600
TIMES_LONGER: Final = 1.05
"""How much more than the size the time may grow."""
SAMPLE_SECONDS: Final = 0.02

# What the processes run: they import all they need, say so, and start at a word from here.
READY: Final = "import sys\nprint('ready', flush=True)\nsys.stdin.readline()\n"
ITERATE: Final = f"""
import arrow_labels as al
{READY}
rows = 0
for part in al.iter_labels(sys.argv[1]):
    rows += part["cuboids"].num_rows + part["vectors"].num_rows
print(f"{{rows:,}} annotations")
"""
SCAN: Final = f"""
import arrow_labels as al
{READY}
al.scan_labels(sys.argv[1], "cuboids").sink_parquet(sys.argv[2])
"""
COMMAND: Final = f"""
import arrow_labels.cli
{READY}
sys.argv[0] = "arrow-labels"
arrow_labels.cli.main()
"""


class Measured(NamedTuple):
    """One process: its seconds, its anonymous memory before and at the peak, and that of its largest child, in MB.

    `cpu` are the processor's seconds, of its children too.
    """

    seconds: float
    before: float
    peak: float
    said: str
    child: float
    cpu: float


def run(code: str, *arguments: str) -> Measured:
    """Run code in a fresh process and watch its memory."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise SystemExit("expected the process to start, and it did not")
        before = peak = anonymous(process.pid)
        child = 0.0
        spent = processor_seconds()
        start = time.perf_counter()
        process.stdin.write("go\n")
        process.stdin.flush()
        while process.poll() is None:
            peak = max(peak, anonymous(process.pid))
            child = max(child, *map(anonymous, children(process.pid)), 0.0)
            time.sleep(SAMPLE_SECONDS)
        seconds = time.perf_counter() - start
        said = process.stdout.read().strip()
    if process.returncode:
        raise SystemExit(f"{' '.join(arguments)}: exit status {process.returncode}\n{said}")
    return Measured(seconds, before, peak, said, child, processor_seconds() - spent)


def processor_seconds() -> float:
    """What all processes that were waited for took."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def anonymous(pid: int) -> float:
    """MB of anonymous memory of a process and its children; 0 once it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    found = (line.split() for line in status.splitlines() if line.startswith("RssAnon:"))
    own = sum(int(words[1]) for words in found) * 1024 / 1e6
    return own + sum(map(anonymous, children(pid)))


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    found: list[int] = []
    with suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found


def compare(one: Path, other: Path) -> str | None:
    """Where two releases differ, a sample at a time; None if they hold the same JSON."""
    with one.open("rb") as left, other.open("rb") as right:
        (head, samples), (other_head, other_samples) = _parts(left), _parts(right)
        if not equal(head, other_head):
            return "they differ beside the samples"
        if len(samples) != len(other_samples):
            return f"{len(samples)} samples against {len(other_samples)}"
        for index, pair in enumerate(zip(samples, other_samples, strict=True)):
            if not equal(*map(msgspec.json.decode, pair)):
                return f"they differ in sample {index}"
    return None


def _parts(file: BinaryIO) -> tuple[Any, list[msgspec.Raw]]:
    """A release without its samples, and its samples as they stand in the file."""
    members = dict[str, msgspec.Raw]
    release = msgspec.json.decode(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), type=members)
    dataset = msgspec.json.decode(release.pop("dataset"), type=members)
    samples = msgspec.json.decode(dataset.pop("samples"), type=list[msgspec.Raw])
    head = [{name: msgspec.json.decode(value) for name, value in part.items()} for part in (release, dataset)]
    return head, samples


def equal(one: Any, other: Any) -> bool:
    """Whether two JSON values are the same: null is absence, 1 is 1.0, and true is not 1."""
    if isinstance(one, dict) and isinstance(other, dict):
        if one.keys() != other.keys():
            one, other = ({name: it for name, it in value.items() if it is not None} for value in (one, other))
        return one.keys() == other.keys() and all(equal(value, other[name]) for name, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other) and isinstance(one, bool) is isinstance(other, bool)


def benchmark(megabytes: float, folder: Path) -> None:
    """Measure and print."""
    release, tables, restored = folder / "release.json", folder / "tables", folder / "restored.json"
    start = time.perf_counter()
    samples = write_release(release, megabytes)
    size = release.stat().st_size / 1e6
    print(f"a release of {size:,.0f} MB, {samples} samples, made in {time.perf_counter() - start:.0f} s\n", flush=True)
    print("| | time, s | MB of JSON/s | memory before, MB | growth, MB | wanted | |")
    print("|---|---:|---:|---:|---:|---:|---|", flush=True)
    tell("for part in iter_labels(path): pass", run(ITERATE, str(release)), size, TARGET_MEGABYTES)
    sink = folder / "cuboids.parquet"
    tell('scan_labels(path, "cuboids").sink_parquet', run(SCAN, str(release), str(sink)), size, TARGET_MEGABYTES)
    if importlib.util.find_spec("arrow_labels.cli") is None:
        print("\narrow-labels: no such command yet, left out")
        return
    tell(
        "arrow-labels convert --workers 1",
        run(COMMAND, "convert", "--workers", "1", str(release), str(tables)),
        size,
        TARGET_MEGABYTES,
    )
    tell("arrow-labels restore", run(COMMAND, "restore", str(tables), str(restored)), size, TARGET_MEGABYTES)
    written = sum(file.stat().st_size for file in tables.rglob("*") if file.is_file()) / 1e6
    print(f"\ntables: {written:,.0f} MB, {size / written:.1f} times smaller than the JSON")
    difference = compare(release, restored)
    print(f"restored release: {difference or 'the same JSON'}")
    if difference is not None:
        raise SystemExit(1)


def tell(what: str, measured: Measured, megabytes: float, target: float) -> None:
    """One row of the table."""
    growth = measured.peak - measured.before
    numbers = f"{measured.seconds:.1f} | {megabytes / measured.seconds:.0f} | {measured.before:.0f} | {growth:.0f}"
    verdict = "ok" if growth < target else "short"
    print(f"| {what} | {numbers} | < {target} | {verdict} |", flush=True)


def growth(sizes: list[float], workers: int, folder: Path, judged: bool) -> None:
    """Measure `convert` on releases of several sizes, and print."""
    print(f"`arrow-labels convert --workers {workers}`\n")
    print("| release, MB | time, s | CPU, s | MB of JSON/s | time for its size | wanted | | a worker, MB | wanted | |")
    print("|---:|---:|---:|---:|---:|---:|---|---:|---:|---|", flush=True)
    first: float | None = None
    for megabytes in sizes:
        release, tables = folder / "release.json", folder / "tables"
        write_release(release, megabytes)
        os.sync()  # else the system writes the release to disk while it is read
        size = release.stat().st_size / 1e6
        measured = run(COMMAND, "convert", "--quiet", "--workers", str(workers), str(release), str(tables))
        pace = measured.seconds / size
        longer = f"{pace / first:.2f} x | " if first is not None else "| "
        if first is not None and judged:
            longer += f"<= {TIMES_LONGER} x | {'ok' if pace <= TIMES_LONGER * first else 'short'}"
        else:
            longer += "| "
        first = pace if first is None else first
        largest = measured.child or measured.peak  # a small release is read by one process
        verdict = f"{largest:.0f} | < {WORKER_MEGABYTES} | {'ok' if largest < WORKER_MEGABYTES else 'short'}"
        numbers = f"{size:,.0f} | {measured.seconds:.1f} | {measured.cpu:.1f} | {size / measured.seconds:.0f}"
        print(f"| {numbers} | {longer} | {verdict} |", flush=True)
        release.unlink()
        shutil.rmtree(tables)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="30 MB: shows that it runs")
    parser.add_argument("--megabytes", type=float, help="size of the release (default: 1000)")
    parser.add_argument("--growth", type=float, nargs="+", metavar="MB", help="sizes of releases, to see what grows")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="of `--growth` (default: all cores)")
    parser.add_argument("--keep", type=Path, help="work in this folder, and leave the files there")
    options = parser.parse_args()
    if not Path("/proc/self/status").exists():
        print("memory: needs the /proc of Linux, left out")
        return
    megabytes = options.megabytes or (30 if options.quick else 1000)
    if options.keep is not None:
        options.keep.mkdir(parents=True, exist_ok=True)
        benchmark(megabytes, options.keep)
        return
    with tempfile.TemporaryDirectory() as folder:
        if options.growth is None:
            benchmark(megabytes, Path(folder))
            print()
        sizes = options.growth or ([3, 30] if options.quick else [100, 1000])
        place = Path(folder) / "growth"
        place.mkdir()
        growth(sizes, options.workers, place, judged=not options.quick)


if __name__ == "__main__":
    main()
