"""Parts of a source give, together, what the source gives."""

import gzip
import json
import pickle
import zipfile
from collections.abc import Collection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import fsspec
import generate
import pyarrow as pa
import pytest
import strategies
from hypothesis import given, settings
from hypothesis import strategies as st
from labelled import TYPES

import arrow_labels as al
from arrow_labels.partitions import checked, groups_of_items, parts_of, read_part
from arrow_labels.pieces import Options, Piece, index, items_of
from arrow_labels.schema import SCHEMAS
from arrow_labels.spans import Files, Lines, Samples

Json = dict[str, Any]


def in_parts(
    source: Any,
    size: int,
    options: Options = Options(),  # noqa: B008
    tables: Collection[str] = tuple(SCHEMAS),
) -> al.LabelTables:
    """Tables of a source in parts of about `size` bytes, planned and read as other processes would."""
    groups = groups_of_items(items_of(source, None), size)
    indexed = [it for group in groups for it in index(pickle.loads(pickle.dumps(group)), options.on_error, size)]
    parts = pickle.loads(pickle.dumps(parts_of(indexed, size)))
    made = {}
    for table in tables:
        batches = [batch for part in parts for batch in read_part(part, table, None, options)]
        made[table] = pa.Table.from_batches(batches, checked(table, None, options)).cast(SCHEMAS[table])
    return al.LabelTables(**made)


def at_once(
    source: Any,
    options: Options = Options(),  # noqa: B008
    tables: Collection[str] = tuple(SCHEMAS),
) -> al.LabelTables:
    """What `read_labels` gives for each table; rejects and findings are of all."""
    given: Json = options._asdict()
    whole = al.read_labels(source, **given)
    if options.on_error == "raise":  # else what is wrong in another table may reject a label
        return al.LabelTables(**{table: whole[table] for table in tables})
    one = {table: al.read_labels(source, tables=[table], **given)[table] for table in tables}
    return al.LabelTables(**{table: whole[table] if table in ("rejects", "findings") else one[table] for table in one})


def documents_of(task_type: str, seed: int = 0) -> list[Json]:
    """A release, its samples and its labels as documents of their own."""
    release = generate.release(task_type, seed=seed, samples=3, frames=3, objects=4)
    samples = release["dataset"]["samples"]
    labels = [
        {**label, "sample_uuid": sample["uuid"], "labelset": labelset}
        for sample in samples
        for labelset, label in sample["labels"].items()
        if label is not None
    ]
    return [release, *samples, *labels]


@given(count=st.integers(1, 200), nbytes=st.integers(0, 100 << 20), at_least=st.integers(1, 200))
def test_parts_of_equal_pieces_are_equal(count: int, nbytes: int, at_least: int) -> None:
    pieces = [Piece(Files([], place), nbytes, [], [], 0) for place in range(count)]
    parts = parts_of(pieces, 1 << 50, at_least)
    assert [span for part in parts for span in part.spans] == [piece.span for piece in pieces]
    assert len(parts) == min(at_least, count)
    sizes = {len(part.spans) for part in parts}
    assert max(sizes) - min(sizes) <= 1


@given(sizes=st.lists(st.integers(0, 10 << 20)), limit=st.integers(1, 8 << 20), at_least=st.integers(1, 20))
def test_no_part_is_larger_than_it_may_be(sizes: list[int], limit: int, at_least: int) -> None:
    pieces = [Piece(Files([], place), nbytes, [], [], 0) for place, nbytes in enumerate(sizes)]
    parts = parts_of(pieces, limit, at_least)
    assert [span for part in parts for span in part.spans] == [piece.span for piece in pieces]
    assert all(part.nbytes <= limit or len(part.spans) == 1 for part in parts)


def test_the_tables_that_engines_are_tested_with_have_every_type() -> None:
    types = {field.type for table in TYPES for field in SCHEMAS[table]}
    assert types == {field.type for schema in SCHEMAS.values() for field in schema}


@pytest.mark.parametrize("task_type", generate.TASK_TYPES)
def test_parts_of_every_task_type_are_the_whole(task_type: str, tmp_path: Path) -> None:
    documents = documents_of(task_type)
    (tmp_path / "release.json").write_text(json.dumps(documents[0], indent=1))
    (tmp_path / "lines.jsonl").write_text(
        "\n\n".join(json.dumps(it) for it in [*documents[1:], *documents[1:], documents[0]])
    )
    found = in_parts(str(tmp_path), 3_000)
    assert found == at_once(str(tmp_path))
    assert found.samples.num_rows == 3 * 4  # two releases, and as lines, twice


def test_large_files_are_cut_and_small_ones_are_put_together(tmp_path: Path) -> None:
    release = json.dumps(documents_of("pointcloud-cuboid-sequence")[0]).encode()
    (tmp_path / "a.json").write_bytes(b"\xef\xbb\xbf" + release)
    for name in "bcd":
        (tmp_path / f"{name}.json").write_text('{"annotations": []}')
    (tmp_path / "e.jsonl").write_text('{"annotations": []}\n' * 600)
    parts = parts_of(index(items_of(str(tmp_path), None), "raise", 4_000), 4_000)
    spans = [span for part in parts for span in part.spans]
    assert [type(span) for span in spans] == [Samples] * 3 + [Files] * 3 + [Lines] * 3
    assert [span.first for span in spans[:3]] == [0, 1, 2]
    assert [span.start for span in spans[3:6]] == [1, 2, 3]
    assert [span.begin for span in spans[6:]] == [0, 4_020, 8_040]
    assert [Path(name).name for part in parts for name in part.sources] == [
        *("a.json" for _ in range(3)),
        *("b.json", "c.json", "d.json"),
        *("e.jsonl" for _ in range(3)),
    ]
    assert in_parts(str(tmp_path), 4_000) == at_once(str(tmp_path))


def test_numbers_of_names_and_samples_go_on_over_parts(tmp_path: Path) -> None:
    names = ["a", "a", "b", "a#2", "a", None, "a#2#2", "b"]
    samples: list[Json] = [{"name": name, "labels": {"gt": {"attributes": {"annotations": []}}}} for name in names]
    (tmp_path / "0.json").write_text(json.dumps({"dataset": {"name": "d", "samples": samples}}))
    (tmp_path / "1.jsonl").write_text("\n".join(map(json.dumps, samples)))
    labels = [
        {"sample_uuid": name, "labelset": labelset, "attributes": {}} for name in names for labelset in ("x", "y")
    ]
    (tmp_path / "2.jsonl").write_text("\n".join(map(json.dumps, [*labels, *labels, *samples])))
    for size in (1, 400, 10_000):
        found = in_parts(str(tmp_path), size)
        assert found == at_once(str(tmp_path))
    assert len(set(found.samples["sample_id"].to_pylist())) == 24
    assert found.samples["sample_index"].to_pylist() == [*range(8), *range(16)]
    some = Options(labelsets=frozenset({"y"}))
    assert in_parts(str(tmp_path), 1, some) == at_once(str(tmp_path), some)


def test_what_cannot_be_decoded_is_rejected_once(tmp_path: Path) -> None:
    good = {"name": "a", "labels": {"gt": {"attributes": {"annotations": [{"id": 1, "category_id": 0}]}}}}
    bad = {"name": "a", "labels": {"gt": {"attributes": {"annotations": [{"id": "x", "category_id": 0}]}}}}
    numbered = {"name": "a", "uuid": 7, "labels": {}}
    definitions = {"categories": [{"id": "no number"}]}
    release = {"dataset": {"task_attributes": definitions, "samples": [good, bad, 5, {"labels": 3}, numbered, good]}}
    (tmp_path / "0.json").write_text(json.dumps(release))
    lines = [bad, good, {"annotations": 3}, {"labelset": "gt", "sample_uuid": "a", "attributes": 5}]
    lines += [{"labelset": "gt", "sample_uuid": "a", "attributes": {}}] * 2
    shape = {"id": 1, "category_id": 0, "type": "bbox", "points": [["a", 1]]}  # wrong for who reads vectors only
    lines += [{"labelset": "gt", "sample_uuid": "a", "attributes": {"annotations": [shape]}}]
    (tmp_path / "1.jsonl").write_text("{\n" + "\n".join(map(json.dumps, [*lines, *lines])))
    (tmp_path / "2.json").write_text("[1, 2]")
    (tmp_path / "3.json.gz").write_bytes(b"not gzip")
    (tmp_path / "4.json").write_text(json.dumps(good))
    options = Options(on_error="collect")
    for size in (1, 200, 100_000):
        found = in_parts(str(tmp_path), size, options)
        assert found == at_once(str(tmp_path), options)
    assert found.rejects.num_rows == 16


def test_archives_and_documents_in_memory_are_not_cut(tmp_path: Path) -> None:
    release, *others = documents_of("vector")
    with zipfile.ZipFile(tmp_path / "0.zip", "w") as archive:
        archive.writestr("a.json", json.dumps(release))
        archive.writestr("b.jsonl", "\n".join(map(json.dumps, others)))
    with gzip.open(tmp_path / "1.json.gz", "wt") as file:
        json.dump(release, file)
    source = [str(tmp_path), release, json.dumps(others[0]).encode(), others[-1]]
    assert in_parts(source, 1) == at_once(source)


@settings(max_examples=25)
@given(st.data(), st.sampled_from(generate.TASK_TYPES), st.integers(1, 2_000), st.sampled_from(("raise", "collect")))
def test_parts_of_any_documents_are_the_whole(
    tmp_path_factory: pytest.TempPathFactory,
    data: st.DataObject,
    task_type: str,
    size: int,
    on_error: Literal["raise", "collect"],
) -> None:
    folder = tmp_path_factory.mktemp("any")
    kinds = (strategies.releases(task_type), strategies.samples(task_type), strategies.labels(task_type))
    for number in range(data.draw(st.integers(1, 2))):
        document = data.draw(kinds[0])
        (folder / f"{number}.json").write_text(json.dumps(document, ensure_ascii=data.draw(st.booleans())))
    lines = data.draw(st.lists(st.one_of(*kinds), max_size=3))
    (folder / "lines.jsonl").write_text("\n".join(map(json.dumps, [*lines, *lines])))
    options = Options(on_error=on_error)
    tables = {"samples", "labels", "rejects", data.draw(st.sampled_from(sorted(SCHEMAS)))}
    assert in_parts(str(folder), size, options, tables) == at_once(str(folder), options, tables)


def test_options_are_passed_on(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(documents_of("pointcloud-cuboid-sequence")[0]))
    options = Options("multisensor-sequence", "us", frozenset({"model-predictions"}))
    found = in_parts(str(tmp_path), 1, options)
    assert found == at_once(str(tmp_path), options)
    assert found.labels["label_type"].to_pylist() == ["multisensor-sequence"] * found.labels.num_rows
    part = parts_of(index(items_of(str(tmp_path), None), "raise"))[0]
    (batch,) = read_part(part, "cuboids", ["yaw", "sample_id"], options)
    assert batch.schema.names == ["yaw", "sample_id"]
    assert batch.schema.metadata is None


def test_masks_are_filled(tmp_path: Path) -> None:
    generate.write_street(tmp_path)
    source = str(tmp_path / "release.json")
    options = Options()
    parts = parts_of(index(items_of(source, None), "raise", 2_000), 2_000)
    assert len(parts) > 2
    whole = al.read_labels(source, masks=True)
    for table in ("segments", "findings"):
        batches = [it for part in parts for it in read_part(part, table, None, options, {})]
        assert pa.Table.from_batches(batches, checked(table, None, options)).cast(SCHEMAS[table]) == whole[table]
    assert whole.segments["area"].null_count < whole.segments.num_rows


@pytest.mark.parametrize("change", ["shorter", "gone"])
@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_a_file_that_changed_is_told(tmp_path: Path, change: str, name: str) -> None:
    sample = {"labels": {}, "name": "x" * 100}
    text = json.dumps({"dataset": {"samples": [sample] * 9}}) if name == "a.json" else f"{json.dumps(sample)}\n" * 9
    (tmp_path / name).write_text(text)
    parts = parts_of(index(items_of(str(tmp_path), None), "raise", 300), 300)
    if change == "gone":
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_text(text[:200])
    with pytest.raises(al.FetchError, match="became shorter|stays where it is"):
        list(read_part(parts[-1], "samples", None, Options()))


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_files_that_are_elsewhere_are_read_by_their_ranges(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = [{"labels": {}, "name": f"{number:020}"} for number in range(9)]
    release = json.dumps({"dataset": {"samples": samples}})
    text = release if name == "a.json" else "".join(f"{json.dumps(sample)}\n" for sample in samples)
    url = f"memory://elsewhere/{name}"
    fs = fsspec.filesystem("memory")
    fs.pipe(url, text.encode())
    parts = parts_of(index(items_of(url, None), "raise", 90), 90)
    assert len(parts) > 2
    asked: list[int] = []

    def without_ranges(path: str, start: int, end: int) -> bytes:
        asked.append(end - start)
        return text.encode()

    def rows() -> list[str]:
        found = [it["name"].to_pylist() for part in parts for it in read_part(part, "samples", None, Options())]
        return [name for names in found for name in names]

    assert rows() == [sample["name"] for sample in samples]
    with monkeypatch.context() as patched:
        patched.setattr(fs, "open", None)  # only ranges are asked for
        patched.setattr(fs, "cat_file", without_ranges)
        assert rows() == [sample["name"] for sample in samples]
    assert max(asked) < len(text) / 2
    fs.pipe_file(url, text.encode()[:120])
    with pytest.raises(
        al.FetchError, match=r"^Expected \d+ bytes at \d+, got \d+ - at memory:.*: it has changed since"
    ):
        rows()
    fs.rm(url)
    with pytest.raises(al.FetchError, match="^Expected a file that stays where it is, got .*: it was there when"):
        rows()


@settings(max_examples=60)
@given(st.data())
def test_names_found_while_a_release_is_split(data: st.DataObject) -> None:
    """A local release, which is mapped, gives its names in one pass; a compressed one in two, sample by sample."""
    document = data.draw(strategies.releases())
    samples = document["dataset"].get("samples")
    if samples and data.draw(st.booleans()):
        samples.insert(0, data.draw(st.sampled_from([{}, {"name": None, "uuid": "u"}, {"name": 3}, None, []])))
    with TemporaryDirectory() as folder:
        plain, compressed = Path(folder) / "r.json", Path(folder) / "r.json.gz"
        plain.write_text(json.dumps(document))
        compressed.write_bytes(gzip.compress(plain.read_bytes()))
        found, expected = (index(items_of(str(path), None), "collect") for path in (plain, compressed))
    names = [piece.samples for piece in expected]
    assert [piece.samples for piece in found] == [[name.replace(".json.gz", ".json") for name in it] for it in names]
    assert [piece[3:] for piece in found] == [piece[3:] for piece in expected]


def test_wrong_use() -> None:
    with pytest.raises(ValueError, match="^table: expected one of datasets, .*, got 'boxes'$"):
        checked("boxes", None, Options())
    with pytest.raises(ValueError, match="^columns: expected columns of `labels`, sample_id, .*, got yaw, id$"):
        checked("labels", ["sample_id", "yaw", "id"], Options())
    with pytest.raises(ValueError, match="^timestamp_unit: expected one of"):
        checked("labels", None, Options(timestamp_unit="h"))  # type: ignore[arg-type]
    with Path(__file__).open("rb") as file, pytest.raises(al.FetchError, match="got an open file"):
        items_of([b"{}", file], None)
