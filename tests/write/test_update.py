"""Every day again: an update gives what reading the whole gives, and touches nothing where nothing changed."""

from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from revisions import revisions

import arrow_labels as al
from arrow_labels.changes import Changes

PHASES = (Phase.explicit, Phase.generate)  # shrinking would take minutes
TARGET = "memory://update/out"


def whole(source: Any, **options: Any) -> al.LabelTables:
    """All of a source, with hashes."""
    return al.LabelTables.concat(al.iter_labels(source, changes=Changes(), **options))


def content() -> dict[str, tuple[bytes, Any]]:
    """Bytes and time of each file of the target."""
    fs = fsspec.filesystem("memory")
    return {name: (fs.cat_file(name), fs.modified(name)) for name in fs.find("/update/out")}


@pytest.fixture(autouse=True)
def _no_files() -> None:
    MemoryFileSystem.store.clear()


@settings(max_examples=40, deadline=None, phases=PHASES)
@given(revisions(), st.sampled_from((1, 300, 4 << 20)))
def test_an_update_gives_the_whole(documents: tuple[Any, Any], size: int) -> None:
    old, new = documents
    MemoryFileSystem.store.clear()
    al.update_parquet([old], TARGET, row_group_bytes=size)
    assert al.read_parquet(TARGET) == whole([old])
    found = al.update_parquet([new], TARGET, row_group_bytes=size)
    assert al.read_parquet(TARGET) == whole([new])
    assert sum(found.values()) - found["removed"] == al.read_parquet(TARGET).labels.num_rows
    before = content()
    again = al.update_parquet([new], TARGET, row_group_bytes=size)
    assert again == {
        "new": 0,
        "changed": 0,
        "removed": 0,
        "unchanged": found["new"] + found["changed"] + found["unchanged"],
    }
    assert content() == before
