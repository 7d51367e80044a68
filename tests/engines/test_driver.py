"""Names that several processes look up are those that one finds."""

from pathlib import Path

import pytest
from labelled import write_broken, write_folder

import arrow_labels as al
from arrow_labels.engines import driver
from arrow_labels.pieces import index, items_of


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """However little there is to look up, several processes do it."""
    monkeypatch.setattr("arrow_labels.workers.WORTH", 0)
    monkeypatch.setattr("arrow_labels.partitions._FILE_BYTES", 0)  # as if each file were large
    monkeypatch.setattr(driver, "_WORTH", 0)
    monkeypatch.setattr(driver, "ThreadPoolExecutor", None)  # which this process would need


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("size", [1, 30_000])
def test_several_processes(tmp_path: Path, size: int) -> None:
    write_folder(tmp_path / "labels")
    items = items_of(str(tmp_path / "labels"), None)
    found = driver.index_on_all_cores(items, "raise", size, processes=2)
    assert [piece[1:] for piece in found] == [piece[1:] for piece in index(items, "raise", size)]
    assert [str(piece.span) for piece in found] == [str(piece.span) for piece in index(items, "raise", size)]


@pytest.mark.usefixtures("always")
def test_what_cannot_be_read(tmp_path: Path) -> None:
    write_broken(tmp_path / "labels")
    items = items_of(str(tmp_path / "labels"), None)
    (tmp_path / "labels/none.json").unlink()
    with pytest.raises(al.FetchError, match=r"Expected a file, got nothing - at .*none.json"):
        driver.index_on_all_cores(items, "raise", 1, processes=2)
    found = driver.index_on_all_cores(items, "collect", 1, processes=2)
    assert [piece[1:] for piece in found] == [piece[1:] for piece in index(items, "collect", 1)]


def test_this_process(tmp_path: Path) -> None:
    write_folder(tmp_path / "labels")
    items = items_of(str(tmp_path / "labels"), None)
    found = driver.index_on_all_cores(items, "raise", 60_000)
    assert [piece[1:] for piece in found] == [piece[1:] for piece in index(items, "raise", 60_000)]
