"""Lance: round trips, upserts, and what is refused."""

import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import lance
import polars as pl
import pyarrow as pa
import pytest
from generate import TASK_TYPES, release
from hypothesis import given, settings
from moto.server import ThreadedMotoServer
from strategies import releases

import arrow_labels as al
from arrow_labels.schema import SCHEMA_VERSION, SCHEMAS
from arrow_labels.sources import MANIFEST
from arrow_labels.write.lakehouse import LakeMode

EMPTY = al.LabelTables()


def by_samples(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The release, a sample at a time."""
    for sample in document["dataset"]["samples"]:
        yield document | {"dataset": document["dataset"] | {"samples": [sample]}}


def in_order(tables: al.LabelTables) -> dict[str, list[str]]:
    """The rows of each table as sorted text."""
    return {name: sorted(map(repr, table.to_pylist())) for name, table in tables}


# --- round trips


@pytest.mark.parametrize("task_type", TASK_TYPES)
def test_round_trip(task_type: str, tmp_path: Path) -> None:
    tables = al.decode_labels([release(task_type, samples=1, frames=4)])
    al.write_lance(tables, tmp_path)
    found = al.read_lance(str(tmp_path))
    assert found == tables
    assert all(table.schema.equals(SCHEMAS[name], check_metadata=True) for name, table in found)


@settings(max_examples=10)
@given(releases())
def test_any_release_comes_back(tmp_path_factory: pytest.TempPathFactory, document: dict[str, Any]) -> None:
    tables, target = al.decode_labels([document]), tmp_path_factory.mktemp("release")
    al.write_lance(tables, target)
    assert al.read_lance(target) == tables


def test_empty_tables_and_no_parts(tmp_path: Path) -> None:
    al.write_lance(EMPTY, tmp_path / "empty")
    assert al.read_lance(tmp_path / "empty") == EMPTY
    for mode in ("error", "overwrite"):
        with pytest.raises(al.FetchError, match="Expected tables to write, got none"):
            al.write_lance(iter([]), tmp_path / "none", mode=mode)  # type: ignore[arg-type]


def test_parts_and_chosen_tables(tmp_path: Path) -> None:
    document = release("pointcloud-cuboid-sequence", frames=4)
    parts = [al.decode_labels([part]) for part in by_samples(document)]
    al.write_lance(iter(parts), tmp_path)
    whole = al.LabelTables.concat(parts)
    assert al.read_lance(tmp_path) == whole
    assert al.read_lance(tmp_path, tables=["cuboids"]) == al.LabelTables(cuboids=whole.cuboids)
    assert lance.dataset(str(tmp_path / "cuboids.lance")).version == 1


def test_lance_and_polars_query_it(tmp_path: Path) -> None:
    tables = al.decode_labels([release("image-vector-sequence", samples=1, frames=4)])
    al.write_lance(tables, tmp_path)
    dataset = lance.dataset(str(tmp_path / "vectors.lance"))
    assert dataset.to_table(filter="frame_index = 2").num_rows == dataset.count_rows("frame_index = 2") > 0
    assert pl.scan_pyarrow_dataset(dataset).collect().equals(pl.DataFrame(tables.vectors))


@pytest.fixture
def bucket() -> Iterator[dict[str, str]]:
    """Options of Lance for a server that speaks S3."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    fsspec.filesystem("s3", key="key", secret="secret", endpoint_url=url).mkdir("lance-bucket")
    yield {
        "aws_endpoint": url,
        "allow_http": "true",
        "aws_access_key_id": "key",
        "aws_secret_access_key": "secret",
        "aws_region": "us-east-1",
    }
    reset = urllib.request.Request(f"{url}/moto-api/reset", method="POST")
    urllib.request.urlopen(reset).close()  # servers of one process share what they store
    server.stop()


@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")
def test_s3(bucket: dict[str, str]) -> None:
    tables = al.decode_labels([release("vector", samples=1)])
    al.write_lance(tables, "s3://lance-bucket/out", storage_options=bucket)
    assert al.read_lance("s3://lance-bucket/out", storage_options=bucket) == tables
    with pytest.raises(al.TargetError, match="(?s)Expected tables that can be read, got .* at s3://nothing/out"):
        al.read_lance("s3://nothing/out", storage_options=bucket)


# --- modes


def test_append_and_overwrite_keep_versions(tmp_path: Path) -> None:
    one, two = (al.decode_labels([release("bboxes", seed=seed, samples=1)]) for seed in (1, 2))
    al.write_lance(one, tmp_path)
    al.write_lance(two, tmp_path, mode="append")
    assert al.read_lance(tmp_path) == al.LabelTables.concat([one, two])
    al.write_lance(two, tmp_path, mode="overwrite")
    assert al.read_lance(tmp_path) == two
    assert lance.dataset(str(tmp_path / "vectors.lance"), version=1).count_rows() == one.vectors.num_rows


def test_an_upsert_replaces_whole_labels(tmp_path: Path) -> None:
    old = release("pointcloud-cuboid-sequence", samples=3, frames=4)
    new = release("pointcloud-cuboid-sequence", samples=3, frames=4)
    changed = new["dataset"]["samples"][1]
    changed["labels"]["ground-truth"]["attributes"]["frames"][2]["annotations"] = []
    changed["labels"].pop("model-predictions", None)
    del changed["attributes"]["frames"][3]
    al.write_lance(al.decode_labels([old]), tmp_path)
    [_, part, _] = by_samples(new)
    for _ in range(2):
        al.write_lance(al.decode_labels([part]), tmp_path, mode="upsert")
        found = al.read_lance(tmp_path)
        kept, expected = al.decode_labels([old]), al.decode_labels([new])
        gone = (kept.labels.to_pylist(), expected.labels.to_pylist())
        assert sum(len(rows) for rows in gone) > 0
        fresh = in_order(expected)
        # A labelset that the new document does not have stays as it was; its sample_index is that of the part.
        for name in ("frames", "cuboids", "links"):
            rest = [
                row
                for row in kept[name].to_pylist()
                if (row["sample_id"], row["labelset"]) == (changed["uuid"], "model-predictions")
            ]
            assert in_order(found)[name] == sorted([*fresh[name], *map(repr, rest)])
        for name in ("sample_frames", "cameras", "categories", "attribute_specs", "datasets"):
            assert in_order(found)[name] == fresh[name]


@pytest.mark.parametrize("task_type", ["multisensor-sequence", "segmentation-bitmap"])
def test_upserting_twice_is_writing_it_fresh(task_type: str, tmp_path: Path) -> None:
    tables = al.decode_labels([release(task_type, seed=1, samples=2, frames=3)])
    al.write_lance(al.decode_labels([release(task_type, samples=2, frames=5)]), tmp_path, mode="upsert")
    al.write_lance(tables, tmp_path, mode="overwrite")
    for _ in range(2):
        al.write_lance(tables, tmp_path, mode="upsert")
        assert al.read_lance(tmp_path) == tables


def test_keys_are_taken_literally(tmp_path: Path) -> None:
    names = ["it's", "a\nb", "", "%", "名前", "x' OR '1'='1"]
    documents = [
        {"uuid": name, "labels": {labelset: {"attributes": {"annotations": []}} for labelset in ("ü'", "b")}}
        for name in names
    ]
    tables = al.decode_labels(documents)
    al.write_lance(tables, tmp_path)
    for document in documents:
        al.write_lance(al.decode_labels([document]), tmp_path, mode="upsert")
    assert al.read_lance(tmp_path).labels.num_rows == 12
    assert sorted(al.read_lance(tmp_path).samples["sample_id"].to_pylist()) == sorted(
        tables.samples["sample_id"].to_pylist()
    )


# --- what is refused


def test_a_target_with_tables_is_refused_before_the_input(tmp_path: Path) -> None:
    al.write_lance(EMPTY, tmp_path)
    with pytest.raises(al.TargetError, match="Expected no tables, got `datasets.lance`"):
        al.write_lance((pytest.fail("consumed") for _ in "a"), tmp_path)


@pytest.mark.parametrize("mode", ["error", "append", "overwrite", "upsert"])
def test_a_folder_of_parquet_tables_is_refused(mode: LakeMode, tmp_path: Path) -> None:
    target = tmp_path / "a b"
    al.write_parquet(EMPTY, target)
    before = sorted(target.rglob("*"))
    for place in (target, str(target), target.as_uri()):
        with pytest.raises(
            al.TargetError, match="^Expected Lance tables or nothing, got Parquet files - in .*: use another folder$"
        ):
            al.write_lance((pytest.fail("consumed") for _ in "a"), place, mode=mode)
    assert sorted(target.rglob("*")) == before
    al.write_parquet(EMPTY, target, mode="overwrite")


def test_lance_tables_beside_parquet_tables_can_be_written(tmp_path: Path) -> None:
    al.write_lance(EMPTY, tmp_path / "out")
    al.write_parquet(EMPTY, tmp_path / "parquet")
    (tmp_path / "parquet" / MANIFEST).rename(tmp_path / "out" / MANIFEST)
    tables = al.decode_labels([{"annotations": []}])
    al.write_lance(tables, tmp_path / "out", mode="append")
    assert al.read_lance(tmp_path / "out") == tables


def test_an_error_of_the_input_leaves_the_tables(tmp_path: Path) -> None:
    tables = al.decode_labels([release("vector", samples=1)])
    al.write_lance(tables, tmp_path)

    def parts() -> Iterator[al.LabelTables]:
        yield tables
        raise RuntimeError("input")

    with pytest.raises(RuntimeError, match="input"):
        al.write_lance(parts(), tmp_path, mode="append")
    assert al.read_lance(tmp_path) == tables
    with pytest.raises(RuntimeError, match="input"):
        al.write_lance(parts(), tmp_path / "new")
    al.write_lance(tables, tmp_path / "new")
    assert al.read_lance(tmp_path / "new") == tables


def test_other_tables_are_refused(tmp_path: Path) -> None:
    al.write_lance(EMPTY, tmp_path)
    lance.write_dataset(pa.table({"a": [1]}), str(tmp_path / "links.lance"), mode="overwrite")
    with pytest.raises(al.SchemaError, match="Expected no column `a` - in table `links` of .* write to another place"):
        al.write_lance(EMPTY, tmp_path, mode="overwrite")
    for mode in ("append", "upsert"):
        with pytest.raises(al.SchemaError, match="Expected column `sample_id`, got none .* in `links.lance` of"):
            al.write_lance(EMPTY, tmp_path, mode=mode)  # type: ignore[arg-type]
    with pytest.raises(al.SchemaError, match="in `links.lance` of"):
        al.read_lance(tmp_path)
    newer = SCHEMAS["links"].empty_table().replace_schema_metadata({"arrow_labels": "99"})
    lance.write_dataset(newer, str(tmp_path / "links.lance"), mode="overwrite")
    with pytest.raises(al.SchemaError, match=f"Expected schema version {SCHEMA_VERSION} or older, got 99"):
        al.read_lance(tmp_path)
    lance.write_dataset(SCHEMAS["links"].empty_table(), str(tmp_path / "links.lance"), mode="overwrite")
    al.write_lance(EMPTY, tmp_path, mode="overwrite")
    assert al.read_lance(tmp_path) == EMPTY


def test_wrong_arguments_and_places(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='mode: expected one of "error", "append", "overwrite", "upsert", got'):
        al.write_lance(EMPTY, tmp_path, mode="merge")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="tables: expected names out of"):
        al.read_lance(tmp_path, tables=["boxes"])
    with pytest.raises(ValueError, match="got the text 'cuboids'"):
        al.read_lance(tmp_path, tables="cuboids")
    with pytest.raises(al.SchemaError, match="Expected `LabelTables`, got `dict`"):
        al.write_lance([{}], tmp_path / "a")  # type: ignore[list-item]
    with pytest.raises(al.TargetError, match="Expected Lance tables, got no `datasets.lance`"):
        al.read_lance(tmp_path / "nothing")
    for call in (al.read_lance, lambda place: al.write_lance(EMPTY, place)):
        with pytest.raises(al.TargetError, match="Expected a path, or a URL .* others see, got memory://a"):
            call("memory://a")
    (tmp_path / "file").touch()
    with pytest.raises(al.TargetError, match="Expected tables that can be"):
        al.write_lance(al.decode_labels([{"annotations": []}]), tmp_path / "file")


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lance", None)
    monkeypatch.setitem(sys.modules, "lance.fragment", None)
    for call in (lambda: al.write_lance(EMPTY, tmp_path), lambda: al.read_lance(tmp_path)):
        with pytest.raises(al.MissingExtraError, match=r"pylance is not installed: .*'arrow-labels\[lance\]'"):
            call()
