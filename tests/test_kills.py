"""`convert` killed and interrupted at any moment, in a process of its own and with processes that work for it."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from faulty_server import Answer, faulty_server
from generate import release

import arrow_labels as al

pytestmark = pytest.mark.skipif(os.name == "nt", reason="no signals to send")
KILLS = int(os.environ.get("ARROW_LABELS_KILLS", "10"))
"""How many there are; more by hand."""
COMMAND = (
    "from arrow_labels import workers; workers.WORTH = 0; workers.LEAST_SPAN = 1 << 14; "
    "from arrow_labels.cli import main; print('start', flush=True); main()"
)
"""The command, which takes several processes for a small source as it does for a large one."""
OLD = al.decode_labels([{"annotations": [{"id": 1, "category_id": 0}]}])


def start(*arguments: Any, folder: Path) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(folder)}
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=environment,
    )


def living(session: int) -> list[int]:
    """The processes of a session."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, of, *_ = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(of) == session and state not in "ZX":
            found.append(int(path.parent.name))
    return found


def nobody_is_left(session: int) -> float:
    """Seconds until all processes of a session are gone."""
    begun = time.monotonic()
    while living(session):
        assert time.monotonic() - begun < 60, "a process is left"
        time.sleep(0.01)
    return time.monotonic() - begun


def ended_by_itself(process: "subprocess.Popen[str]") -> tuple[str, str]:
    """What it has printed; it is killed if it does not end."""
    try:
        return process.communicate(timeout=30)
    finally:
        process.kill()


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "release.json"
    path.write_text(json.dumps(release("pointcloud-cuboid-sequence", samples=12, frames=8)))
    return path


def test_killed_at_random_moments(source: Path, tmp_path: Path) -> None:
    new = al.read_labels(source)
    target, old, place = tmp_path / "place/out", tmp_path / "old", tmp_path / "tmp"
    al.write_parquet(OLD, old)
    rng = random.Random(KILLS)
    duration, longest, seen = 0.0, 0.0, Counter[tuple[str, str]]()
    for number in range(KILLS + 2):
        mode = ("error", "overwrite")[number % 2]
        for folder in (target.parent, place):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
        if mode == "overwrite":
            shutil.copytree(old, target)
        workers = number // 2 % 2 + 1
        arguments = ["--overwrite"] if mode == "overwrite" else []
        with start("convert", source, target, "--workers", workers, "--quiet", *arguments, folder=place) as process:
            assert process.stdout is not None
            process.stdout.readline()
            begun = time.perf_counter()
            if number < 2:
                assert process.communicate() == ("", "")
                assert process.returncode == 0
                duration = max(duration, time.perf_counter() - begun)
            else:
                time.sleep(rng.uniform(0, 1.2 * duration))
                process.kill()
                process.communicate()
        longest = max(longest, nobody_is_left(process.pid))
        try:
            found = al.read_parquet(target)
        except al.TargetError as error:
            after = "cut short" if "cut short" in str(error) else "nothing"
            assert mode == "error" or after == "cut short"
            assert not target.exists()
        else:
            after = "new" if found == new else "old"
            assert found == new or (mode == "overwrite" and found == OLD)
        if number >= 2:
            seen[mode, after] += 1
        al.write_parquet(OLD, target, mode="overwrite" if target.exists() else "error")
        assert al.read_parquet(target) == OLD
    print(f"{KILLS} kills of a convert of {duration:.1f} s: {dict(seen)}; the last process ended {longest:.2f} s after")
    assert seen.total() == KILLS


@pytest.mark.parametrize(
    ("mode", "workers", "number"),
    [
        ("error", 1, signal.SIGINT),
        ("error", 2, signal.SIGTERM),
        ("overwrite", 1, signal.SIGTERM),
        ("overwrite", 2, signal.SIGINT),
    ],
)
def test_interrupted_while_a_server_drips(tmp_path: Path, mode: str, workers: int, number: signal.Signals) -> None:
    """The most patient place to be in: the answer would take hours."""
    place, target = tmp_path / "tmp", tmp_path / "out"
    place.mkdir()
    if mode == "overwrite":
        al.write_parquet(OLD, target)
    with faulty_server({"/release.json": [Answer(b" " * 10_000_000, drip=1)]}) as server:
        arguments = ["convert", f"{server.url}/release.json", target, "--workers", workers]
        with start(*arguments, *(["--overwrite"] if mode == "overwrite" else []), folder=place) as process:
            while not any(asked.path == "/release.json" for asked in server.asked[1:]):
                time.sleep(0.01)
                assert process.poll() is None
            time.sleep(0.2)
            begun = time.monotonic()
            process.send_signal(number)
            out, err = ended_by_itself(process)
            ended = time.monotonic() - begun
    print(f"ended {ended:.2f} s after {number.name}, all processes {nobody_is_left(process.pid):.2f} s after that")
    assert (out, err, process.returncode) == ("start\n", "", 128 + number)
    assert sorted(path.name for path in tmp_path.iterdir()) == (["out", "tmp"] if mode == "overwrite" else ["tmp"])
    assert not any(place.iterdir())
    if mode == "overwrite":
        assert al.read_parquet(target) == OLD


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("workers", [1, 2])
def test_interrupted_while_it_works(source: Path, tmp_path: Path, workers: int, number: signal.Signals) -> None:
    place, target = tmp_path / "tmp", tmp_path / "out"
    place.mkdir()
    with start("convert", *[source] * 40, target, "--workers", workers, folder=place) as process:
        while not list(tmp_path.glob(".out.partial-*/*")):
            time.sleep(0.01)
            assert process.poll() is None
        time.sleep(0.3)
        begun = time.monotonic()
        process.send_signal(number)
        out, err = ended_by_itself(process)
        ended = time.monotonic() - begun
    print(
        f"{workers} workers: ended {ended:.2f} s after the signal, all {nobody_is_left(process.pid):.2f} s after that"
    )
    assert (out, err, process.returncode) == ("start\n", "", 128 + number)
    assert [path.name for path in tmp_path.iterdir()] == ["tmp"]
    assert not any(place.iterdir())
