"""Names that several processes look up are those that one finds."""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from labelled import write_broken, write_folder

import arrow_labels as al
from arrow_labels.engines import driver
from arrow_labels.pieces import Piece, index, items_of


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """However little there is to look up, several processes do it."""
    monkeypatch.setattr("arrow_labels.workers.WORTH", 0)
    monkeypatch.setattr("arrow_labels.partitions._FILE_BYTES", 0)  # as if each file were large
    monkeypatch.setattr(driver, "_WORTH", 0)


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> list[list[Any]]:
    """What this process looks at itself, so slowly that others do the most."""
    seen: list[list[Any]] = []

    def slowly(items: Iterable[tuple[int, Any]], on_error: Any, piece_bytes: int) -> list[Piece]:
        seen.append(list(items))
        time.sleep(1)
        return index(seen[-1], on_error, piece_bytes)

    monkeypatch.setattr(driver, "index", slowly)
    return seen


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("processes", [2, 3])
@pytest.mark.parametrize("size", [1, 30_000])
def test_several_processes(tmp_path: Path, size: int, processes: int, own: list[list[Any]]) -> None:
    write_folder(tmp_path / "labels")
    items = items_of(str(tmp_path / "labels"), None)
    found = driver.index_on_all_cores(items, "raise", size, processes)
    assert [piece[1:] for piece in found] == [piece[1:] for piece in index(items, "raise", size)]
    assert [str(piece.span) for piece in found] == [str(piece.span) for piece in index(items, "raise", size)]
    assert 0 < sum(map(len, own)) < len(items)


@pytest.mark.usefixtures("always")
def test_what_cannot_be_read(tmp_path: Path, own: list[list[Any]]) -> None:
    write_broken(tmp_path / "labels")
    items = items_of(str(tmp_path / "labels"), None)
    (tmp_path / "labels/none.json").unlink()
    with pytest.raises(al.FetchError, match=r"Expected a file, got nothing - at .*none.json"):
        driver.index_on_all_cores(items, "raise", 1, processes=2)
    found = driver.index_on_all_cores(items, "collect", 1, processes=2)
    assert [piece[1:] for piece in found] == [piece[1:] for piece in index(items, "collect", 1)]
    assert 0 < sum(map(len, own)) < 2 * len(items)


@pytest.mark.usefixtures("always")
def test_the_first_of_several_that_cannot_be_read(tmp_path: Path) -> None:
    write_folder(tmp_path / "labels")
    items = items_of(str(tmp_path / "labels"), None)
    names = [file.name for _, file in items]
    for name in names[1::2]:
        Path(name).unlink()
    for _ in range(3):
        with pytest.raises(al.FetchError, match=f"got nothing - at {names[1]}"):
            driver.index_on_all_cores(items, "raise", 1, processes=2)


@pytest.mark.usefixtures("always")
def test_a_process_that_dies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: list[list[Any]]) -> None:
    write_folder(tmp_path / "labels")
    monkeypatch.setattr("arrow_labels.processes._START", "import os; os._exit(7)")
    with pytest.raises(al.WorkerError, match=r"the names in .*labels"):
        driver.index_on_all_cores(items_of(str(tmp_path / "labels"), None), "raise", 1, processes=2)
    assert len(own) <= 2


@pytest.mark.usefixtures("always")
def test_no_process_can_be_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: list[list[Any]]) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise OSError("no more processes")

    write_folder(tmp_path / "labels")
    monkeypatch.setattr("subprocess.Popen", refused)
    with pytest.raises(OSError, match="no more processes"):
        driver.index_on_all_cores(items_of(str(tmp_path / "labels"), None), "raise", 1, processes=2)
    assert len(own) <= 1


def test_this_process(tmp_path: Path) -> None:
    write_folder(tmp_path / "labels")
    items = items_of(str(tmp_path / "labels"), None)
    found = driver.index_on_all_cores(items, "raise", 60_000)
    assert [piece[1:] for piece in found] == [piece[1:] for piece in index(items, "raise", 60_000)]


def test_files_that_are_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_folder(tmp_path / "labels")
    items = items_of(str(tmp_path / "labels"), None)
    monkeypatch.setattr(driver, "LocalFileSystem", ())
    found = driver.index_on_all_cores(items, "raise", 60_000)
    assert [piece[1:] for piece in found] == [piece[1:] for piece in index(items, "raise", 60_000)]
