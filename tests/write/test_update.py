"""Every day again: an update gives what reading the whole gives, and touches nothing where nothing changed."""

import dataclasses
import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from generate import encode_png, release
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from killed import Killed, in_order, kill_at
from revisions import revisions

import arrow_labels as al
from arrow_labels.changes import Changes
from arrow_labels.schema import SCHEMA_VERSION, SCHEMAS
from arrow_labels.state import state
from arrow_labels.write import parquet, upsert
from arrow_labels.write.splice import read_footer

PHASES = (Phase.explicit, Phase.generate)  # shrinking would take minutes
TARGET = "memory://update/out"


def whole(source: Any, **options: Any) -> al.LabelTables:
    """All of a source, with hashes."""
    return al.LabelTables.concat(al.iter_labels(source, changes=Changes(), **options))


def same(one: al.LabelTables, other: al.LabelTables) -> bool:
    """Whether tables are the same, with the hashes of labels."""
    return one == other and one.labels.equals(other.labels)


def content() -> dict[str, tuple[bytes, Any]]:
    """Bytes and time of each file of the target."""
    fs = fsspec.filesystem("memory")
    return {name: (fs.cat_file(name), fs.modified(name)) for name in fs.find("/update/out")}


@pytest.fixture(autouse=True)
def _no_files() -> None:
    MemoryFileSystem.store.clear()


@settings(max_examples=12, deadline=None, phases=PHASES)
@given(revisions(), st.sampled_from((1, 300, 4 << 20)))
def test_an_update_gives_the_whole(documents: tuple[Any, Any], size: int) -> None:
    old, new = documents
    MemoryFileSystem.store.clear()
    al.update_parquet([old], TARGET, row_group_bytes=size)
    assert same(al.read_parquet(TARGET), whole([old]))
    found = al.update_parquet([new], TARGET, row_group_bytes=size)
    assert same(al.read_parquet(TARGET), whole([new]))
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


def release_of(names: str, labelsets: tuple[str, ...] = ("ground-truth",), **label: Any) -> dict[str, Any]:
    """A release of samples with a box in each label."""
    box = {"id": 1, "category_id": 1, "type": "bbox", "points": [[0, 0], [1, 1]]}
    labels = {name: {"label_status": "LABELED", "attributes": {"annotations": [box]}} | label for name in labelsets}
    samples = [{"uuid": name, "name": name, "labels": labels} for name in names]
    task_attributes = {"categories": [{"id": 1, "name": "car"}]}
    return {"name": "v1", "dataset": {"name": "cars", "task_attributes": task_attributes, "samples": samples}}


def edited(document: dict[str, Any], sample: int, **label: Any) -> dict[str, Any]:
    """A release in which the labels of a sample say something else."""
    document = json.loads(json.dumps(document))
    for found in document["dataset"]["samples"][sample]["labels"].values():
        found |= label
    return document


def sample_ids(name: str = "labels") -> list[str]:
    found: list[str] = al.read_parquet(TARGET)[name]["sample_id"].to_pylist()
    return found


# --- what counts as changed


def test_counts() -> None:
    old = release_of("abcd", ("gt", "model"))
    assert al.update_parquet(old, TARGET) == {"new": 8, "changed": 0, "removed": 0, "unchanged": 0}
    new = edited(old, 1, label_status="REVIEWED")
    new["dataset"]["samples"][2]["labels"]["gt"]["score"] = 0.5
    del new["dataset"]["samples"][3]
    new["dataset"]["samples"] += release_of("e", ("gt",))["dataset"]["samples"]
    assert al.update_parquet(new, TARGET) == {"new": 1, "changed": 3, "removed": 2, "unchanged": 3}
    assert same(al.read_parquet(TARGET), whole(new))


def test_only_what_changed_is_decoded() -> None:
    old = release_of("abcdef", ("gt", "model"))
    al.update_parquet(old, TARGET)
    tables = al.read_parquet(TARGET)
    changes = Changes(state(tables.labels, tables.samples, tables.rejects))
    new = edited(old, 3, score=1)
    new["dataset"]["samples"][3]["labels"]["gt"].pop("score")
    found = al.LabelTables.concat(al.iter_labels(new, changes=changes))
    assert found.labels.select(["sample_id", "labelset"]).to_pylist() == [{"sample_id": "d", "labelset": "model"}]
    assert found.vectors.num_rows == 1
    assert found.samples["sample_id"].to_pylist() == ["d"]


def test_names_of_categories_are_in_every_row() -> None:
    old = release_of("ab")
    al.update_parquet(old, TARGET)
    new = json.loads(json.dumps(old))
    new["dataset"]["task_attributes"]["categories"][0]["name"] = "lorry"
    assert al.update_parquet(new, TARGET)["changed"] == 2
    assert al.read_parquet(TARGET).vectors["category"].to_pylist() == ["lorry", "lorry"]
    # What no row repeats changes no label.
    new["dataset"]["task_attributes"]["categories"][0]["color"] = [1, 2, 3]
    assert al.update_parquet(new, TARGET)["changed"] == 0
    assert same(al.read_parquet(TARGET), whole(new))


@pytest.mark.parametrize("options", [{"task_type": "vector"}, {"timestamp_unit": "s"}, {"labelsets": ["gt"]}])
def test_other_options(options: dict[str, Any]) -> None:
    source = release_of("ab", ("gt", "model"))
    for chosen in (options, {}, options):
        al.update_parquet(source, TARGET, **chosen)
        assert same(al.read_parquet(TARGET), whole(source, **chosen))


def test_labels_without_hashes_go_by_their_time() -> None:
    moment = "2024-05-01T10:00:00Z"
    old = release_of("abc", updated_at=moment)
    al.write_parquet(al.read_labels(old), TARGET)
    assert al.read_parquet(TARGET).labels["content_hash"].null_count == 3
    new = edited(edited(old, 0, score=1.5), 1, score=1.5, updated_at="2024-05-02T10:00:00Z")
    assert al.update_parquet(new, TARGET) == {"new": 0, "changed": 1, "removed": 0, "unchanged": 2}
    found = al.read_parquet(TARGET).labels
    assert found["score"].to_pylist() == [None, 1.5, None]
    assert found["content_hash"].null_count == 0
    before = content()
    al.update_parquet(new, TARGET)
    assert content() == before


def test_labels_without_hashes_go_by_names_of_categories_too() -> None:
    source = release("vector", samples=2)
    al.write_parquet(al.read_labels(source), TARGET)
    source["dataset"]["task_attributes"]["categories"][0]["name"] = "renamed"
    al.update_parquet(source, TARGET)
    assert same(al.read_parquet(TARGET), whole(source))
    assert "renamed" in al.read_parquet(TARGET).vectors["category"].to_pylist()


def test_labels_without_hash_and_time_are_decoded_once_more() -> None:
    source = release_of("abc")
    al.write_parquet(al.read_labels(source), TARGET)
    assert al.update_parquet(source, TARGET)["changed"] == 3
    assert same(al.read_parquet(TARGET), whole(source))
    assert al.update_parquet(source, TARGET)["unchanged"] == 3


def test_a_rejected_label_is_tried_again() -> None:
    source = release_of("ab")
    bad = json.loads(json.dumps(source))
    bad["dataset"]["samples"][1]["labels"]["ground-truth"]["attributes"]["annotations"][0]["id"] = "x"
    for document in (source, bad, bad, source):
        al.update_parquet(document, TARGET, on_error="collect")
        assert same(al.read_parquet(TARGET), whole(document, on_error="collect"))
    before = content()
    with pytest.raises(al.DecodeError, match="sample b"):
        al.update_parquet(bad, TARGET)
    assert content() == before


def test_nothing_is_deleted_that_a_document_may_hold_which_cannot_be_read(tmp_path: Path) -> None:
    source = tmp_path / "release.json"
    source.write_text(json.dumps(release_of("abc")))
    al.update_parquet(source, TARGET)
    held = al.read_parquet(TARGET)
    source.write_text(json.dumps(release_of("abc"))[:-30])
    for _ in range(2):
        counts = al.update_parquet(source, TARGET, on_error="collect")
        assert counts == {"new": 0, "changed": 0, "removed": 0, "unchanged": 0}
        found = al.read_parquet(TARGET)
        assert found.rejects["error"].to_pylist() == ["Input data was truncated: the document is cut off, get it again"]
        assert al.LabelTables(**{**dict(found), "rejects": held.rejects}) == held
    source.write_text(json.dumps(release_of("ab")))
    assert al.update_parquet(source, TARGET) == {"new": 0, "changed": 0, "removed": 1, "unchanged": 2}
    assert same(al.read_parquet(TARGET), whole(source))


@pytest.mark.parametrize("broken", ["{", '{"sample_uuid": "b", "labelset": 1}', '{"uuid": "b", "labels": 1}'])
def test_labels_of_a_file_that_cannot_be_read_stay(broken: str, tmp_path: Path) -> None:
    for name in "abc":
        label = {"sample_uuid": name, "label_status": "LABELED", "attributes": {"annotations": []}}
        (tmp_path / f"{name}.json").write_text(json.dumps(label))
    al.update_parquet(tmp_path, TARGET)
    (tmp_path / "b.json").write_text(broken)
    (tmp_path / "c.json").unlink()
    assert al.update_parquet(tmp_path, TARGET, on_error="collect")["removed"] == 0
    found = al.read_parquet(TARGET)
    assert {"a", "b", "c"} <= {*found.labels["sample_id"].to_pylist()}
    assert found.rejects.num_rows == 1


def test_a_source_without_documents() -> None:
    al.update_parquet(release_of("ab"), TARGET)
    before = content()
    with pytest.raises(al.FetchError, match="Expected a document at least, got none"):
        al.update_parquet([], TARGET)
    assert content() == before


@pytest.mark.parametrize("mode", ["append", "upsert"])
def test_rejects_are_those_that_are_given(mode: Any) -> None:
    label: dict[str, Any] = {"sample_uuid": "a", "attributes": {"annotations": []}}
    bad = {"sample_uuid": "b", "attributes": {"annotations": [{"id": "x", "category_id": 0}]}}
    al.write_parquet(al.read_labels([label]), TARGET)
    given = al.read_labels([{**label, "sample_uuid": "c"}, bad], on_error="collect")
    al.write_parquet(given, TARGET, mode=mode)
    assert al.read_parquet(TARGET).rejects.equals(given.rejects)
    assert given.rejects.num_rows == 1


def test_files_of_single_labels(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / f"{name}.json").write_text(json.dumps({"annotations": [{"id": 1, "category_id": 0}]}))
    source = str(tmp_path)
    assert al.update_parquet(source, TARGET)["new"] == 3
    (tmp_path / "b.json").write_text(json.dumps({"annotations": []}))
    (tmp_path / "c.json").rename(tmp_path / "d.json")
    assert al.update_parquet(source, TARGET) == {"new": 1, "changed": 1, "removed": 1, "unchanged": 1}
    assert same(al.read_parquet(TARGET), whole(source))
    before = content()
    assert al.update_parquet(source, TARGET)["unchanged"] == 3
    assert content() == before


def test_a_label_that_stands_twice() -> None:
    label = {"sample_uuid": "a", "attributes": {"annotations": []}}
    with pytest.raises(al.SchemaError, match="sample 'a', labelset 'ground-truth' again"):
        al.update_parquet([release_of("a"), label], TARGET)
    assert not content()


# --- what left the source


def test_what_left_is_kept_if_asked() -> None:
    al.update_parquet(release_of("abcd"), TARGET)
    new = edited(release_of("bxd"), 0, score=1)
    found = al.update_parquet(new, TARGET, removed="keep")
    assert found == {"new": 1, "changed": 1, "removed": 2, "unchanged": 1}
    assert sample_ids() == sample_ids("samples") == sample_ids("vectors") == ["a", "b", "c", "d", "x"]
    assert al.read_parquet(TARGET).labels["score"].to_pylist() == [None, 1, None, None, None]
    before = content()
    al.update_parquet(new, TARGET, removed="keep")
    assert content() == before
    al.update_parquet(new, TARGET)
    assert same(al.read_parquet(TARGET), whole(new))


# --- tables that are given


@settings(max_examples=8, deadline=None, phases=PHASES)
@given(revisions(), st.booleans())
def test_upsert_and_delete_is_an_overwrite(documents: tuple[Any, Any], hashes: bool) -> None:
    old, new = ((whole if hashes else al.read_labels)([document]) for document in documents)
    MemoryFileSystem.store.clear()
    al.write_parquet(old, TARGET, row_group_bytes=2000)
    al.write_parquet(new, TARGET, mode="upsert", removed="delete", row_group_bytes=2000)
    assert al.read_parquet(TARGET) == new
    before = content()
    al.write_parquet(new, TARGET, mode="upsert", removed="delete")
    al.write_parquet(new, TARGET, mode="upsert")
    assert content() == before


def test_upsert_replaces_in_place() -> None:
    al.write_parquet(al.read_labels(release_of("abcd")), TARGET)
    given = al.read_labels(edited(release_of("xc"), 1, score=2))
    al.write_parquet(given, TARGET, mode="upsert")
    found = al.read_parquet(TARGET)
    assert sample_ids() == sample_ids("samples") == sample_ids("vectors") == ["a", "b", "c", "d", "x"]
    assert found.labels["score"].to_pylist() == [None, None, 2, None, None]
    assert found.samples["sample_index"].to_pylist() == [0, 1, 2, 3, 4]
    assert found.categories.num_rows == 1


def test_append() -> None:
    whole_release = al.read_labels(release_of("abcd"))
    al.write_parquet(al.read_labels(release_of("ab")), TARGET, mode="append")
    before = content()
    al.write_parquet(al.read_labels(release_of("cd")), TARGET, mode="append")
    assert al.read_parquet(TARGET) == whole_release
    after = content()
    with pytest.raises(al.TargetError, match=r"sample_id 'c', labelset 'ground-truth' and 1 more.*mode=\"upsert\""):
        al.write_parquet(al.read_labels(release_of("cde")), TARGET, mode="append")
    assert content() == after != before


def test_append_another_labelset() -> None:
    al.write_parquet(al.read_labels(release_of("ab", ("gt",))), TARGET)
    al.write_parquet(al.read_labels(release_of("ab", ("model",))), TARGET, mode="append")
    assert al.read_parquet(TARGET).labels["labelset"].to_pylist() == ["gt", "gt", "model", "model"]
    assert sample_ids("samples") == ["a", "b"]


def test_tables_without_labels_of_their_own() -> None:
    vectors = al.read_labels(release_of("ab")).vectors
    al.write_parquet(al.LabelTables(vectors=vectors), TARGET)
    al.write_parquet(al.LabelTables(vectors=vectors.slice(1)), TARGET, mode="upsert")
    assert al.read_parquet(TARGET) == al.LabelTables(vectors=vectors)
    with pytest.raises(al.TargetError, match="sample_id 'a'"):
        al.write_parquet(al.LabelTables(vectors=vectors), TARGET, mode="append")


def test_some_tables_do_not_replace_whole_labels() -> None:
    source = release_of("ab")
    al.write_parquet(al.read_labels(source), TARGET)
    before = content()
    with pytest.raises(al.SchemaError, match="Expected a row in `labels` for each label .* sample_id 'a'"):
        al.write_parquet(al.read_labels(source, tables=["vectors"]), TARGET, mode="upsert")
    with pytest.raises(ValueError, match='tables: expected all of them with mode="upsert"'):
        al.convert_labels(source, TARGET, tables=["vectors"], mode="upsert")
    assert content() == before


def test_tables_that_were_changed_after_they_were_read() -> None:
    """Their hashes are those of the documents."""
    al.update_parquet(release_of("ab"), TARGET)
    tables = al.read_parquet(TARGET)
    assert tables.labels["content_hash"].null_count == 0
    column = tables.vectors.schema.get_field_index("category_id")
    changed = pa.array([5] * tables.vectors.num_rows)
    vectors = tables.vectors.set_column(column, tables.vectors.schema.field(column), changed)
    findings = pa.Table.from_pylist(
        [{"rule": "r", "severity": "error", "sample_id": "a", "labelset": "ground-truth"}], SCHEMAS["findings"]
    )
    edited_tables = dataclasses.replace(tables, vectors=vectors, findings=findings)
    al.write_parquet(edited_tables, TARGET, mode="upsert")
    assert same(al.read_parquet(TARGET), edited_tables)


def test_the_sign_of_zero_is_a_change() -> None:
    def drive(x: float) -> Any:
        made = release("pointcloud-cuboid-sequence", samples=1, frames=2)
        sample = made["dataset"]["samples"][0]
        sample["attributes"]["frames"][1]["ego_pose"]["position"]["x"] = x
        label = next(it for it in sample["labels"].values() if it and it.get("attributes"))
        label["attributes"]["frames"][0]["annotations"][0]["position"]["y"] = x
        return made

    al.update_parquet(drive(0.0), TARGET)
    al.update_parquet(drive(-0.0), TARGET)
    found = al.read_parquet(TARGET)
    assert math.copysign(1, found.sample_frames["ego_x"][1].as_py()) == -1
    assert -1 in [math.copysign(1, y) for y in found.cuboids["y"].to_pylist() if y == 0]


def test_masks_of_a_bitmap_that_came_later(tmp_path: Path) -> None:
    bitmaps: dict[str, Any] = {}
    document = release(
        "segmentation-bitmap", samples=2, frames=1, bitmap_url="{sample}-{labelset}.png", bitmaps=bitmaps
    )
    (tmp_path / "release.json").write_text(json.dumps(document))
    late, *others = bitmaps
    for name in others:
        (tmp_path / name).write_bytes(encode_png(bitmaps[name]))
    options: dict[str, Any] = {"masks": True, "on_error": "collect"}
    source, target = str(tmp_path / "release.json"), str(tmp_path / "out")
    al.convert_labels(source, target, **options)
    assert al.read_parquet(target).rejects.num_rows == 1
    (tmp_path / late).write_bytes(encode_png(bitmaps[late]))
    al.update_parquet(source, target, **options)
    assert same(al.read_parquet(target), whole(source, **options))
    assert al.read_parquet(target).rejects.num_rows == 0
    assert al.update_parquet(source, target, **options)["changed"] == 0


@pytest.mark.parametrize("round_", range(3))
def test_appends_that_meet_lose_nothing(tmp_path: Path, round_: int) -> None:
    target = tmp_path / "out"
    al.write_parquet(al.read_labels(release_of("a")), target)
    names = [f"{round_}{letter}" for letter in "bcdefg"]
    start, done = threading.Barrier(len(names)), []

    def append(name: str) -> None:
        tables = al.read_labels(release_of([name]))
        start.wait(60)
        with suppress(al.TargetError):
            al.write_parquet(tables, target, mode="append")
            done.append(name)

    threads = [threading.Thread(target=append, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done
    assert set(al.read_parquet(target).labels["sample_id"].to_pylist()) == {"a", *done}


def test_keys_must_tell_rows_apart() -> None:
    tables = al.read_labels(release_of("ab"))
    al.write_parquet(tables, TARGET)
    with pytest.raises(al.SchemaError, match="Expected each label once, got sample_id 'a'"):
        al.write_parquet([tables, tables], TARGET, mode="upsert")
    al.write_parquet([tables, tables], TARGET, mode="overwrite")
    with pytest.raises(al.SchemaError, match="Expected each label once"):
        al.write_parquet(tables, TARGET, mode="upsert")


def zeros(data: bytes) -> bytes:
    return bytes(len(data))


def flipped(data: bytes) -> bytes:
    """A file with another labelset in the column of those."""
    place = data.index(b"first")
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


@pytest.mark.parametrize("damage", [zeros, flipped])
@pytest.mark.parametrize("name", ["labels", "vectors"])
@pytest.mark.parametrize("mode", ["update", "append", "upsert"])
def test_a_damaged_target_is_an_error_and_stays(mode: Any, name: str, damage: Callable[[bytes], bytes]) -> None:
    al.write_parquet(whole([release_of("a", ("first",))]), TARGET, compression="none")
    fs = fsspec.filesystem("memory")
    path = f"/update/out/{name}/part-00000.parquet"
    fs.pipe_file(path, damage(fs.cat_file(path)))
    before, new = content(), release_of("b")
    add = partial(al.update_parquet, [new]) if mode == "update" else partial(al.write_parquet, whole([new]), mode=mode)
    with pytest.raises(al.TargetError, match=f"`{name}/part-00000.parquet` to be Parquet that can be read, got "):
        add(TARGET)
    assert content() == before


@pytest.mark.parametrize("options", [{"mode": "merge"}, {"removed": "delete"}, {"mode": "upsert", "removed": "maybe"}])
def test_wrong_options(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="^(mode|removed): expected"):
        al.write_parquet(al.LabelTables(), TARGET, **options)


# --- targets


@pytest.mark.parametrize("version", [SCHEMA_VERSION - 1, SCHEMA_VERSION + 1])
def test_another_version_of_the_schema(version: int) -> None:
    source = release_of("ab")
    al.update_parquet(source, TARGET)
    fs = fsspec.filesystem("memory")
    manifest = json.loads(fs.cat_file("/update/out/_arrow_labels.json"))
    fs.pipe_file("/update/out/_arrow_labels.json", json.dumps(manifest | {"schema_version": version}).encode())
    before = content()
    for write in (
        lambda: al.update_parquet(source, TARGET),
        lambda: al.write_parquet(al.LabelTables(), TARGET, mode="upsert"),
        lambda: al.write_parquet(al.LabelTables(), TARGET, mode="append"),
    ):
        with pytest.raises(al.SchemaError, match=f"Expected schema version {SCHEMA_VERSION}.*, got {version}"):
            write()
    assert content() == before


def test_a_column_that_came_later_is_null(tmp_path: Path) -> None:
    tables = whole(release_of("ab"))
    al.write_parquet(tables, tmp_path / "out")
    path = tmp_path / "out/labels/part-00000.parquet"
    pq.write_table(tables.labels.drop_columns("content_hash"), path)
    manifest = json.loads((tmp_path / "out/_arrow_labels.json").read_text())
    manifest["schema_version"] = 1
    manifest["tables"]["labels"][0]["bytes"] = path.stat().st_size
    (tmp_path / "out/_arrow_labels.json").write_text(json.dumps(manifest))
    assert al.read_parquet(tmp_path / "out") == tables
    assert al.read_parquet(tmp_path / "out").labels["content_hash"].null_count == 2


def test_files_without_a_change_stay(tmp_path: Path) -> None:
    source = release_of("abcdef")
    al.update_parquet(source, tmp_path / "out")
    before = {path: path.stat().st_ino for path in (tmp_path / "out").rglob("*.parquet")}
    al.update_parquet(edited(source, 2, score=1), tmp_path / "out")
    after = {path: path.stat().st_ino for path in (tmp_path / "out").rglob("*.parquet")}
    assert {path.parent.name for path in before if after.get(path) != before[path]} == {"labels", "vectors", "frames"}
    assert not [path for path in tmp_path.iterdir() if path.name != "out"]


def test_nothing_is_touched_on_a_disk(tmp_path: Path) -> None:
    source = release_of("abc")
    al.update_parquet(source, tmp_path / "out")
    before = {path: path.stat() for path in [*tmp_path.rglob("*"), tmp_path / "out"]}
    assert al.update_parquet(source, tmp_path / "out")["unchanged"] == 3
    after = {path: path.stat() for path in [*tmp_path.rglob("*"), tmp_path / "out"]}
    assert [(path, it.st_ino, it.st_mtime_ns, it.st_size) for path, it in before.items()] == [
        (path, it.st_ino, it.st_mtime_ns, it.st_size) for path, it in after.items()
    ]


def test_row_groups_without_a_change_are_copied(tmp_path: Path) -> None:
    source = release_of("abcdefghij")
    al.update_parquet(source, tmp_path / "out", row_group_rows=2)
    old = groups_of(tmp_path / "out/vectors")
    points = {"id": 1, "category_id": 1, "type": "point", "points": [[2, 3]]}
    new = edited(source, 5, attributes={"annotations": [points]})
    al.update_parquet(new, tmp_path / "out", row_group_rows=2, row_group_bytes=1)
    found = groups_of(tmp_path / "out/vectors")
    assert found[:2] + found[-2:] == old[:2] + old[3:]
    assert old[2] not in found
    assert same(al.read_parquet(tmp_path / "out"), whole(new))


def groups_of(folder: Path) -> list[bytes]:
    """The bytes of each row group."""
    found = []
    for path in sorted(folder.iterdir()):
        data = path.read_bytes()
        found += [data[it.start : it.end] for it in read_footer(lambda a, b, data=data: data[a:b], len(data)).groups]
    return found


def test_another_write_in_the_meantime(monkeypatch: pytest.MonkeyPatch) -> None:
    al.update_parquet(release_of("abc"), TARGET)
    insert = parquet.insert

    def late(folder: Any, manifest: Any, *args: Any) -> bool:
        al.write_parquet(al.read_labels(release_of("z")), TARGET, mode="overwrite")
        return insert(folder, manifest, *args)

    monkeypatch.setattr(parquet, "insert", late)
    with pytest.raises(al.TargetError):
        al.update_parquet(release_of("abcd"), TARGET)
    assert sample_ids() == ["z"]


@pytest.mark.parametrize("target", [TARGET, "out"])
def test_another_update_that_keeps_other_files(target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    source = release_of("abc")
    al.update_parquet(source, target)
    write_table = upsert._write_table

    def late(*args: Any) -> Any:
        monkeypatch.setattr(upsert, "_write_table", write_table)
        document = {"uuid": "z", "labels": {}}
        al.write_parquet(al.read_labels(document), target, mode="append")
        return write_table(*args)

    monkeypatch.setattr(upsert, "_write_table", late)
    with pytest.raises(al.TargetError):
        al.update_parquet(edited(source, 1, score=1), target)
    found = al.read_parquet(target)
    assert found.samples["sample_id"].to_pylist() == ["a", "b", "c", "z"]
    assert found.labels["score"].null_count == found.labels.num_rows


# --- killed half-way


UPDATER = """
import json, sys
import arrow_labels as al
source, target = sys.argv[1:]
print("start", flush=True)
al.update_parquet(source, target, row_group_rows=20)
print("end", flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL")
def test_killed_at_random_moments(tmp_path: Path) -> None:
    old = release("image-vector-sequence", samples=8, frames=3)
    sources = [tmp_path / "old.json", tmp_path / "new.json"]
    for path, document in zip(sources, (old, edited(old, 3, label_status="REVIEWED")), strict=True):
        path.write_text(json.dumps(document))
    expected = [al.read_labels(str(path)) for path in sources]
    target = tmp_path / "place/out"
    al.update_parquet(str(sources[0]), target)
    shutil.copytree(target, tmp_path / "held")
    rng = random.Random(0)
    duration = 0.0
    outcomes = set()
    for number in range(4):
        shutil.rmtree(target.parent)
        target.parent.mkdir()
        shutil.copytree(tmp_path / "held", target)
        command = [sys.executable, "-c", UPDATER, str(sources[1]), str(target)]
        environment = {**os.environ, "PYTHONPATH": ":".join(sys.path)}
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as updater:
            assert updater.stdout is not None
            updater.stdout.readline()
            start = time.perf_counter()
            if number == 0:
                assert updater.stdout.readline() == b"end\n"
                duration = time.perf_counter() - start
            else:
                time.sleep((number - 1 + rng.random()) / 3 * duration)
                updater.send_signal(signal.SIGKILL)
        found = al.read_parquet(target)
        assert found in expected
        outcomes.add(expected.index(found))
        # The next run goes on from there.
        al.update_parquet(str(sources[1]), target)
        assert al.read_parquet(target) == expected[1]
    assert outcomes == {0, 1}


STEPS = [(MemoryFileSystem, "pipe_file"), (MemoryFileSystem, "rm_file"), (MemoryFileSystem, "_open")]


def test_killed_at_each_step_in_an_object_store(monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = release_of("abcd"), edited(release_of("abcde"), 1, score=1)
    outcomes = []
    for step in range(0, 100, 2):
        MemoryFileSystem.store.clear()
        al.update_parquet(old, TARGET)
        killed = False
        with monkeypatch.context() as patch:
            kill_at(step, patch, STEPS)
            try:
                al.update_parquet(new, TARGET)
            except Killed:
                killed = True
        outcomes.append("old" if al.read_parquet(TARGET) == al.read_labels(old) else "new")
        assert outcomes[-1] == "old" or al.read_parquet(TARGET) == al.read_labels(new)
        al.update_parquet(new, TARGET)
        assert al.read_parquet(TARGET) == al.read_labels(new)
        if not killed:
            break
        if outcomes[-1] == "old":
            assert len(content()) == len(SCHEMAS) + 1
    assert in_order(outcomes, "old", "new")


def test_a_first_run_that_was_killed_is_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        kill_at(9, patch, STEPS)
        with pytest.raises(Killed):
            al.update_parquet(release_of("ab"), TARGET)
    assert content()
    assert al.update_parquet(release_of("ab"), TARGET)["new"] == 2
    assert al.read_parquet(TARGET) == al.read_labels(release_of("ab"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = release_of("abcd")
    for target in (str(tmp_path / "out"), TARGET):
        al.update_parquet(source, target)
        with monkeypatch.context() as patch:
            patch.setattr(upsert, "create", lambda *_: open("/dev/full", "wb"))  # noqa: PTH123, SIM115
            with pytest.raises(al.TargetError, match="No space left"):
                al.update_parquet(edited(source, 1, score=1), target)
        assert al.read_parquet(target) == al.read_labels(source)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


# --- S3


def test_s3(bucket: dict[str, Any]) -> None:
    options: dict[str, Any] = {"storage_options": bucket, "row_group_bytes": 1}
    fs = fsspec.filesystem("s3", **bucket)
    old, new = release_of("abcd"), edited(release_of("abxcd"), 4, score=1)
    target = "s3://bucket/daily/out"
    assert al.update_parquet(old, target, **options)["new"] == 4
    before = fs.find("bucket/daily", detail=True, refresh=True)
    assert al.update_parquet(old, target, **options)["unchanged"] == 4
    assert fs.find("bucket/daily", detail=True, refresh=True) == before
    assert al.update_parquet(new, target, **options) == {"new": 1, "changed": 1, "removed": 0, "unchanged": 3}
    assert same(al.read_parquet(target, storage_options=bucket), whole(new))
    after = fs.find("bucket/daily", detail=True, refresh=True)
    assert len(after) == len(SCHEMAS) + 1
    assert after["bucket/daily/out/cuboids/part-00000.parquet"] == before["bucket/daily/out/cuboids/part-00000.parquet"]
