"""Run every benchmark of this folder, one after the other, on a machine that does nothing else.

With ``--quick``, which shows that they run and not how fast, on all cores.

python benchmarks/run.py [--quick]
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
NOT_BENCHMARKS: Final = {"run.py", "workloads.py"}
PACKAGES: Final = (
    "msgspec",
    "pysimdjson",
    "segments-ai",
    "pydantic",
    "orjson",
    "pandas",
    "pyarrow",
    "duckdb",
    "deltalake",
    "pyiceberg",
    "polars",
    "numpy",
    "pillow",
    "pycocotools",
    "scipy",
    "shapely",
    "ray",
    "pyspark",
)


def machine() -> str:
    """Processor, cores, memory, load and versions."""
    model = platform.processor() or platform.machine()
    memory = ""
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), model)
        memory = f", {os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.0f} GB"
    return "\n".join(
        [
            f"{model}, {os.cpu_count()} cores{memory}; {platform.system()}; load {os.getloadavg()[0]:.1f}",
            f"{platform.python_implementation()} {platform.python_version()}; "
            + ", ".join(f"{name} {version(name)}" for name in PACKAGES),
        ]
    )


def version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def run(script: Path) -> bool:
    """Whether a benchmark ran; what it said is printed when it ends, so that of two at a time each has a place."""
    done = subprocess.run([sys.executable, str(script), *sys.argv[1:]], stdout=subprocess.PIPE, text=True)
    print(f"\n## {script.stem}\n\n{done.stdout}", end="", flush=True)
    return done.returncode == 0


def main() -> int:
    """Exit status: 0 if every benchmark ran."""
    print(machine(), flush=True)
    scripts = [script for script in sorted(HERE.glob("*.py")) if script.name not in NOT_BENCHMARKS]
    with ThreadPoolExecutor(os.cpu_count() if "--quick" in sys.argv else 1) as threads:
        failed = [script.name for script, ran in zip(scripts, threads.map(run, scripts), strict=True) if not ran]
    if failed:
        print(f"\nfailed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
