"""What others do to files while they are read or written: each ends with an error that says so, and nothing is lost."""

import gzip
import json
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pytest
from generate import release
from scripts import in_session, leftovers, run_script, until

import arrow_labels as al
from arrow_labels import contents, files, sources, workers
from arrow_labels.workers import kept
from arrow_labels.write import replacing

RELEASE = release("pointcloud-cuboid-sequence", seed=3, samples=6)
TEXT = json.dumps(RELEASE).encode()
LABEL = {"annotations": [{"id": 1, "category_id": 0}]}
ONE, OTHER = al.decode_labels([RELEASE]), al.decode_labels([LABEL])


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A release that counts as a large one."""
    monkeypatch.setattr(files, "IN_MEMORY", 1000)
    monkeypatch.setattr(contents, "IN_MEMORY", 1000)
    monkeypatch.setattr(workers, "WORTH", 0)
    monkeypatch.setattr(workers, "LEAST_SPAN", 1000)
    path = tmp_path / "source/release.json"
    path.parent.mkdir()
    path.write_bytes(TEXT)
    os.utime(path, ns=(0, 0))
    return path


def overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(len(TEXT) // 2)
        file.write(b"0" * 100)


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b" ")


def shorten(path: Path) -> None:
    os.truncate(path, len(TEXT) // 2)


def replace(path: Path) -> None:
    other = path.with_suffix(".new")
    other.write_bytes(TEXT)
    other.replace(path)


CHANGES: dict[Callable[[Path], None], str] = {
    overwrite: "Expected a file that stays as it is, got one that changed while it was read - at .*: read it again",
    append: "Expected a file that stays as it is, got one that changed while it was read - at .*: read it again",
    shorten: "Expected a file that stays as it is, got one that became shorter while it was read - at .*: read it",
}
names = [change.__name__ for change in CHANGES]


@pytest.mark.parametrize("on_error", ["raise", "collect"])
@pytest.mark.parametrize(("change", "message"), CHANGES.items(), ids=names)
def test_a_file_that_changes(path: Path, change: Callable[[Path], None], message: str, on_error: Any) -> None:
    parts = al.iter_labels(path, batch_bytes=1, on_error=on_error, workers=1)
    next(parts)
    next(parts)
    change(path)
    with pytest.raises(al.FetchError, match=message):
        list(parts)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (shorten, CHANGES[shorten]),
        (replace, CHANGES[append]),
        (Path.unlink, "Expected a file that stays where it is, got .*No such file.*release.json: it was there"),
    ],
    ids=["shorten", "replace", "unlink"],
)
def test_a_file_that_changes_under_several_processes(
    path: Path, tmp_path: Path, change: Callable[[Path], None], message: str
) -> None:
    def progress(*_: Any) -> None:
        if not changed:
            changed.append(change(path))

    changed: list[None] = []
    with pytest.raises(al.FetchError, match=message):
        al.convert_labels(path, tmp_path / "out", workers=2, on_error="collect", progress=progress)
    assert changed
    assert leftovers(tmp_path) == ["source"]


@pytest.mark.parametrize("change", [replace, Path.unlink])
def test_a_mapped_file_that_is_replaced_is_read_to_its_end(path: Path, change: Callable[[Path], None]) -> None:
    expected = al.read_labels(path, workers=1)
    parts = al.iter_labels(path, batch_bytes=1, workers=1)
    first = next(parts)
    change(path)
    assert al.LabelTables.concat([first, *parts]) == expected


def test_lines_that_are_appended_while_they_are_read(path: Path) -> None:
    lines = path.with_suffix(".jsonl")
    lines.write_text("".join(json.dumps(LABEL) + "\n" for _ in range(5)))
    os.utime(lines, ns=(0, 0))
    parts = al.iter_labels(lines, batch_bytes=1, workers=1)
    next(parts)
    append(lines)
    with pytest.raises(al.FetchError, match="got one that changed while it was read"):
        list(parts)


@pytest.mark.parametrize("count", [1, 2])
def test_one_file_of_many_that_vanishes(path: Path, count: int) -> None:
    for place in range(5):
        (path.parent / f"{place}.json").write_text(json.dumps(LABEL))
    items = [path.parent / f"{place}.json" for place in range(5)]

    found = list(sources.resolve(items, None))
    items[3].unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("arrow_labels.read.resolve", lambda *_: iter(found))
        with pytest.raises(al.FetchError, match="Expected a file, got nothing - at .*3.json"):
            al.read_labels(items, workers=count)
        tables = al.read_labels(items, workers=count, on_error="collect")
    assert tables.labels["sample_id"].to_pylist() == ["0", "1", "2", "4"]
    assert tables.rejects["source"].to_pylist() == [str(items[3])]


@pytest.mark.parametrize("count", [1, 2])
def test_a_release_that_is_cut_off(path: Path, tmp_path: Path, count: int) -> None:
    """What was complete before is never taken for the whole."""
    ends = [match.end() for match in re.finditer(rb'"labels": ', TEXT)]
    for end in [ends[3]] if count > 1 else [*ends, *range(len(TEXT) - 4, len(TEXT))]:
        path.write_bytes(TEXT[:end])
        with pytest.raises(al.DecodeError, match=r"truncated: the document is cut off.* - at `\$` in .*release.json"):
            al.convert_labels(path, tmp_path / "out", workers=count)
        assert leftovers(tmp_path) == ["source"]
    tables = al.read_labels(path, workers=count, on_error="collect")
    assert [(name, table.num_rows) for name, table in tables if table.num_rows] == [("rejects", 1)]


SMALL_FILES = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, 5_000))"


@pytest.mark.parametrize("count", [1, 2])
def test_a_full_disk(path: Path, tmp_path: Path, count: int) -> None:
    al.write_parquet(OTHER, tmp_path / "out")
    convert = f"    al.convert_labels({str(path)!r}, {str(tmp_path / 'out')!r}, workers={count}, mode='overwrite')"
    out, err = run_script(
        tmp_path, SMALL_FILES, "try:", convert, "except al.TargetError as e:", "    print(e)"
    ).communicate()
    assert re.match(
        "Expected a folder that can be written, got OSError: .*File too large.* - at .*out; free space", out
    )
    assert err == ""
    assert leftovers(tmp_path) == ["out", "script.py", "source"]
    assert al.read_parquet(tmp_path / "out") == OTHER


@pytest.mark.parametrize("count", [1, 2])
def test_no_room_for_temporary_files(path: Path, tmp_path: Path, count: int) -> None:
    """It is never a record that is rejected: it is not the document that fails."""
    packed = path.with_suffix(".json.gz")
    packed.write_bytes(gzip.compress(TEXT))
    path.unlink()
    read = f"    al.read_labels({str(packed)!r}, workers={count}, on_error='collect')"
    small = "from arrow_labels import contents, files; contents.IN_MEMORY = files.IN_MEMORY = 1000"
    lines = (small, SMALL_FILES, "try:", read, "except al.TargetError as e:", "    print(e)")
    out, err = run_script(tmp_path, *lines).communicate()
    assert re.match(
        r"Expected room for a temporary file, got OSError: .*File too large - in /.*: free some, or set", out
    )
    assert err == ""
    assert leftovers(tmp_path) == ["script.py", "source"]


def test_a_full_device() -> None:
    with pytest.raises(al.TargetError, match="Expected room for a temporary file, got OSError: .*No space left"):
        kept(Path("/dev/full"), iter([ONE]))


SLOW = "import time; slow = lambda *_: (print(1, flush=True), time.sleep(0.1))"


@pytest.mark.parametrize("mode", ["error", "overwrite"])
def test_two_at_once(path: Path, tmp_path: Path, mode: str) -> None:
    target = tmp_path / "out"
    convert = f"    al.convert_labels({str(path)!r}, {str(target)!r}, mode={mode!r}, workers=2, progress=slow)"
    places = [tmp_path / name for name in ("a", "b")]
    for place in places:
        place.mkdir()
    lines = (SLOW, "try:", convert, "    print('done')", "except al.TargetError as e:", "    print(e)")
    running = [run_script(place, *lines) for place in places]
    said = [process.communicate() for process in running]
    assert [err for _, err in said] == ["", ""]
    last = sorted(out.splitlines()[-1] for out, _ in said)
    if mode == "error":
        assert last[1] == "done"
        assert re.match(
            "Expected to be the only write, got another one .* its tables are kept|Expected no folder", last[0]
        )
    else:
        assert set(last) <= {"done", last[0]}
        assert "done" in last
    assert al.read_parquet(target) == al.read_labels(path, workers=1)
    assert leftovers(tmp_path) == ["a", "b", "out", "source"]


def test_two_at_once_in_an_object_store(monkeypatch: pytest.MonkeyPatch) -> None:
    target, store = "memory://interference/out", fsspec.filesystem("memory")

    def files() -> int:
        return len(store.find("/interference"))

    def parts() -> Any:
        yield ONE
        al.write_parquet(OTHER, target, mode="overwrite")

    # The other one began later and ended first: it took away what had been written.
    with pytest.raises(
        al.TargetError, match="Expected to be the only write, got another one .*write one after the other"
    ):
        al.write_parquet(parts(), target, mode="overwrite")
    assert al.read_parquet(target) == OTHER
    assert files() == len(al.SCHEMAS) + 1

    # The same at the last moment, and where there were tables before.
    check = replacing._refuse_another_write

    def other_first(*arguments: Any) -> None:
        monkeypatch.setattr(replacing, "_refuse_another_write", check)
        al.write_parquet(OTHER, target, mode="overwrite")
        check(*arguments)

    monkeypatch.setattr(replacing, "_refuse_another_write", other_first)
    with pytest.raises(
        al.TargetError, match="Expected to be the only write, got another one .*write one after the other"
    ):
        al.write_parquet(ONE, target, mode="overwrite")
    assert al.read_parquet(target) == OTHER
    assert files() == len(al.SCHEMAS) + 1
    store.rm("/interference", recursive=True)


def test_a_target_half_written_by_a_dead_process(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "out"
    convert = f"al.convert_labels({str(path)!r}, {str(target)!r}, workers=2, progress=slow)"
    place = tmp_path / "place"
    place.mkdir()
    with run_script(place, SLOW, convert) as process:
        assert process.stdout is not None
        process.stdout.readline()
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    until(lambda: not in_session(process.pid))
    (half,) = set(leftovers(tmp_path)) - {"place", "source"}
    assert half.startswith(".out.partial-")
    with pytest.raises(al.TargetError, match="Expected a folder of tables, got nothing"):
        al.read_parquet(target)
    al.convert_labels(path, target, workers=2)
    assert al.read_parquet(target) == al.read_labels(path, workers=1)
    assert half in leftovers(tmp_path)
