"""What it takes to bring tables up to date when 1% of the labels changed, against reading and writing everything.

    python benchmarks/incremental.py [--quick] [--megabytes N] [--rounds N]

A release is converted (`full`); then the labels of every hundredth sample lose a box a frame, spread over the
whole release, and the target is brought up to date, and once more with nothing to do. CPU time of this process, wall
time, and both as shares of the full run; the tables are compared with those that reading the whole gives. Below: what
it takes to split the whole release and to hash its samples, of which an update does most without parsing.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
from workloads import write_release
from xxhash import xxh3_128

import arrow_labels as al
from arrow_labels.changes import Changes
from arrow_labels.wire import decode_release

TARGET_SHARE: Final = 0.15
EVERY: Final = 100


class Timed(NamedTuple):
    """Seconds of the processor and of the clock."""

    cpu: float
    wall: float


def timed(run: Callable[[], Any]) -> Timed:
    cpu, wall = time.process_time(), time.perf_counter()
    run()
    return Timed(time.process_time() - cpu, time.perf_counter() - wall)


def best(rounds: int, run: Callable[[], Any], before: Callable[[], Any]) -> Timed:
    """The best of some rounds."""
    found = []
    for _ in range(rounds):
        before()
        found.append(timed(run))
    return Timed(min(it.cpu for it in found), min(it.wall for it in found))


def change(source: Path, target: Path, every: int) -> int:
    """Write the release with a change in every n-th label; how many."""
    members = dict[str, msgspec.Raw]
    release = msgspec.json.decode(source.read_bytes(), type=members)
    dataset = msgspec.json.decode(release["dataset"], type=members)
    samples = msgspec.json.decode(dataset["samples"], type=list[msgspec.Raw])
    changed = range(every // 2, len(samples), every)
    for place in changed:
        sample = msgspec.json.decode(samples[place])
        for label in filter(None, sample["labels"].values()):
            label["label_status"] = "REVIEWED"
            shorten(label["attributes"])
        samples[place] = msgspec.Raw(msgspec.json.encode(sample))
    dataset["samples"] = msgspec.Raw(msgspec.json.encode(samples))
    release["dataset"] = msgspec.Raw(msgspec.json.encode(dataset))
    target.write_bytes(msgspec.json.encode(release))
    return len(changed)


def shorten(value: Any) -> None:
    """Take the last annotation of every frame away."""
    for sensor in value.get("sensors", ()):
        shorten(sensor["attributes"])
    for frame in value.get("frames", ()):
        del frame["annotations"][-1:]


def benchmark(megabytes: float, rounds: int, folder: Path) -> bool:
    """Measure and print; whether the share is reached."""
    old, new, target, held = (folder / name for name in ("old.json", "new.json", "tables", "held"))
    samples = write_release(old, megabytes)
    every = min(EVERY, samples)
    changed = change(old, new, every)
    size = old.stat().st_size / 1e6

    def fresh() -> None:
        shutil.rmtree(target, ignore_errors=True)

    def restored() -> None:
        fresh()
        shutil.copytree(held, target)

    full = best(rounds, lambda: al.update_parquet(str(new), target), fresh)
    fresh()
    al.update_parquet(str(old), held)
    found = best(rounds, lambda: al.update_parquet(str(new), target), restored)
    whole = al.LabelTables.concat(al.iter_labels(str(new), changes=Changes()))
    same = al.read_parquet(target) == whole
    nothing = best(rounds, lambda: al.update_parquet(str(new), target), lambda: None)
    data = new.read_bytes()
    split = timed(lambda: decode_release(data))
    raws = decode_release(data).dataset.samples
    hashed = timed(lambda: [xxh3_128(raw).digest() for raw in raws])

    print(f"a release of {size:,.0f} MB, {samples:,} samples, {changed:,} of them changed\n")
    print("| | CPU, s | wall, s | CPU, share of full | wall, share of full | wanted | |")
    print("|---|---:|---:|---:|---:|---:|---|")
    share = max(found.cpu / full.cpu, found.wall / full.wall)
    for name, it in (("full run", full), ("1% changed", found), ("nothing changed", nothing)):
        verdict = f"< {TARGET_SHARE:.0%} | {'ok' if share < TARGET_SHARE else 'short'}" if it is found else " | "
        shares = f"{it.cpu / full.cpu:.1%} | {it.wall / full.wall:.1%}"
        print(f"| {name} | {it.cpu:.2f} | {it.wall:.2f} | {shares} | {verdict} |")
    print(f"| to compare: split | {split.cpu:.2f} | {split.wall:.2f} | {split.cpu / full.cpu:.1%} | | | |")
    print(f"| to compare: hash | {hashed.cpu:.2f} | {hashed.wall:.2f} | {hashed.cpu / full.cpu:.1%} | | | |")
    print(f"\nthe tables are {'those of the full run' if same else 'NOT those of the full run'}")
    return same


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="30 MB, one round: shows that it runs")
    parser.add_argument("--megabytes", type=float, help="size of the release (default: 500)")
    parser.add_argument("--rounds", type=int, help="rounds of which the best counts (default: 3)")
    options = parser.parse_args()
    megabytes = options.megabytes or (30 if options.quick else 500)
    with tempfile.TemporaryDirectory() as folder:
        if not benchmark(megabytes, options.rounds or (1 if options.quick else 3), Path(folder)):
            raise SystemExit(1)


if __name__ == "__main__":
    main()
