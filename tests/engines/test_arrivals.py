"""Offsets of a folder where files keep arriving."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import arrow_labels as al
from arrow_labels.engines.arrivals import NOTHING, Offset, arrived, latest


def arrive(folder: Path, name: str, modified: int) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{}")
    os.utime(path, (modified, modified))


def names(folder: Path, start: Offset, end: Offset) -> list[str]:
    return [str(Path(file.path).relative_to(folder)) for file in arrived(str(folder), None, start, end)]


@settings(max_examples=60)
@given(
    st.lists(st.lists(st.tuples(st.integers(1_000, 1_050), st.booleans()), max_size=4), max_size=5), st.integers(5, 90)
)
def test_every_file_comes_once_unless_it_is_too_late(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[tuple[int, bool]]], age: int
) -> None:
    folder = tmp_path_factory.mktemp("arriving")
    start, seen, newest, count = NOTHING, [], 0, 0
    for batch in batches:
        expected = []
        limit = newest - age
        for modified, below in batch:
            count += 1
            name = f"{'deep/er/' if below else ''}{count * 7919 % 1009}-{count}.json"
            arrive(folder, name, modified)
            if modified >= limit:
                expected.append(name)
            newest = max(newest, modified)
        end = json.loads(json.dumps(latest(str(folder), None, age)))
        assert names(folder, start, end) == sorted(expected)
        assert names(folder, start, end) == sorted(expected)  # again, as after a crash
        assert latest(str(folder), None, age) == end
        assert names(folder, end, end) == []
        assert len(end["files"]) == sum((folder / name).stat().st_mtime >= newest - age for name in {*seen, *expected})
        seen += expected
        start = end


def test_a_glob_and_files_that_are_no_labels(tmp_path: Path) -> None:
    arrive(tmp_path, "a/x.json", 1)
    arrive(tmp_path, "b/y.txt", 2)
    arrive(tmp_path, "b/z.jsonl.gz", 3)
    assert latest(str(tmp_path), None)["files"] == ["a/x.json", "b/z.jsonl.gz"]
    glob = f"{tmp_path}/b/*"
    assert latest(glob, None)["files"] == ["y.txt", "z.jsonl.gz"]
    assert [file.below for file in arrived(glob, None, NOTHING, latest(glob, None))] == ["y.txt", "z"]


def test_what_is_not_there(tmp_path: Path) -> None:
    assert latest(str(tmp_path), None) == NOTHING
    arrive(tmp_path, "note.txt", 5)
    assert latest(str(tmp_path), None) == NOTHING
    with pytest.raises(al.FetchError, match="^Expected a folder or a glob, where files arrive, got none - at"):
        latest(str(tmp_path / "none"), None)
    arrive(tmp_path, "a.json", 5)
    end = latest(str(tmp_path), None)
    (tmp_path / "a.json").unlink()
    with pytest.raises(al.FetchError, match=r"^Expected files that stay until they are read, got none at a\.json - at"):
        arrived(str(tmp_path), None, NOTHING, end)
