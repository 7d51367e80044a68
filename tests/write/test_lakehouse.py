"""Delta and Iceberg alike: round trips, modes, commits that meet (those of Lance too), and what is refused."""

import json
import random
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import deltalake
import pyarrow as pa
import pytest
from generate import TASK_TYPES, release
from hypothesis import given, settings
from hypothesis import strategies as st
from json_equal import difference
from lance import write_dataset
from pyiceberg.catalog import Catalog
from pyiceberg.catalog.sql import SqlCatalog
from strategies import releases

import arrow_labels as al
from arrow_labels.errors import FetchError, MissingExtraError, SchemaError, TargetError
from arrow_labels.schema import SCHEMAS
from arrow_labels.write.lakehouse import place_of
from arrow_labels.write.merge_keys import MERGE_KEYS

Read = Callable[..., al.LabelTables]


class Store(NamedTuple):
    """A place for tables of one format."""

    folder: Path
    write: Callable[..., None]
    read: Read
    make: Callable[[str, pa.Table], None]
    """Make a table with columns of any kind."""


def open_catalog(folder: Path) -> SqlCatalog:
    return SqlCatalog("test", uri=f"sqlite:///{folder}/catalog.db", warehouse=f"file://{folder}/warehouse")


def delta(folder: Path) -> Store:
    return Store(
        folder,
        lambda tables, **options: al.write_delta(tables, folder / "lake", **options),
        lambda **options: al.read_delta(folder / "lake", **options),
        lambda name, table: deltalake.write_deltalake(folder / "lake" / name, table),
    )


def iceberg(folder: Path, catalog: Catalog | None = None) -> Store:
    catalog = catalog or open_catalog(folder)

    def make(name: str, table: pa.Table) -> None:
        catalog.create_namespace_if_not_exists("lake")
        catalog.create_table(("lake", name), table.schema).append(table)

    return Store(
        folder,
        lambda tables, **options: al.write_iceberg(tables, catalog, "lake", **options),
        lambda **options: al.read_iceberg(catalog, "lake", **options),
        make,
    )


STORES = {"delta": delta, "iceberg": iceberg}


@pytest.fixture(params=list(STORES))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return STORES[request.param](tmp_path)


@pytest.fixture(params=list(STORES), scope="module")
def one_store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The same tables for all examples of a property: making them takes longer than writing to them."""
    return STORES[request.param](tmp_path_factory.mktemp("lake"))


def named(document: dict[str, Any], name: str) -> dict[str, Any]:
    """A release whose dataset, samples and files have names of their own."""
    document["dataset"]["name"] = name
    for sample in document["dataset"]["samples"]:
        sample["uuid"] = f"{name} {sample['uuid']}"
    return document


def parts(tables: al.LabelTables, rows: int) -> Iterator[al.LabelTables]:
    for start in range(0, max(table.num_rows for _, table in tables), rows):
        yield al.LabelTables(**{name: table.slice(start, rows) for name, table in tables})


def rows(tables: al.LabelTables) -> dict[str, list[dict[str, Any]]]:
    """All rows; an empty list of structs and one that is null are the same, as in Iceberg."""
    found = {name: table.to_pylist() for name, table in tables}
    for row in (row for name in ("samples", "labels", "vectors") for row in found[name]):
        for column in {"sensors", "points"} & row.keys():
            row[column] = row[column] or None
    return found


def counted(found: list[dict[str, Any]]) -> Counter[str]:
    return Counter(map(repr, found))


OLD = al.decode_labels([release("multisensor-sequence", samples=2), release("image-vector-sequence", samples=1)])


# --- round trips


def test_every_task_type(store: Store) -> None:
    tables = al.decode_labels([named(release(task_type), task_type) for task_type in TASK_TYPES])
    store.write(tables)
    found = store.read()
    assert found == tables
    assert all(table.schema.equals(SCHEMAS[name], check_metadata=False) for name, table in found)


@settings(max_examples=6)
@given(document=releases())
def test_any_release(one_store: Store, document: dict[str, Any]) -> None:
    tables = al.decode_labels([document])
    one_store.write(tables, mode="overwrite")
    found = one_store.read()
    assert rows(found) == rows(tables)
    al.write_release(found, str(one_store.folder / "release.json"))
    written = (one_store.folder / "release.json").read_bytes()
    assert difference(json.loads(written), document) is None


def test_parts_are_written_as_one(store: Store) -> None:
    store.write(parts(OLD, 7))
    assert store.read() == OLD


def test_empty_tables(store: Store) -> None:
    store.write(al.LabelTables())
    assert store.read() == al.LabelTables()
    store.write(al.LabelTables(), mode="upsert")
    store.write(OLD, mode="append")
    assert store.read() == OLD


def test_tables_that_are_asked_for(store: Store) -> None:
    store.write(OLD)
    found = store.read(tables=["cuboids"])
    assert found == al.LabelTables(cuboids=OLD.cuboids)


def test_fields_with_metadata_of_extension_types(store: Store) -> None:
    """Stores and engines take it for types that they do not know."""
    metadata = {"ARROW:extension:name": "arrow.json", "ARROW:extension:metadata": ""}
    schema = OLD.cuboids.schema
    place = schema.get_field_index("attributes")
    marked = OLD.cuboids.cast(schema.set(place, schema.field(place).with_metadata(metadata)))
    tables = al.LabelTables(cuboids=marked)
    for mode in ("error", "append"):
        store.write(tables, mode=mode)
    assert store.read().cuboids.num_rows == 2 * marked.num_rows


# --- modes


def test_error_refuses_tables_that_are_there(store: Store) -> None:
    store.write(OLD)
    with pytest.raises(TargetError, match='Expected no tables, got `datasets`, .*mode="append", "upsert" or'):
        store.write(unread(), mode="error")
    assert store.read() == OLD


def test_append_adds_rows(store: Store) -> None:
    more = al.decode_labels([named(release("pointcloud-cuboid", samples=2), "more")])
    store.write(OLD, mode="append")
    store.write(more, mode="append")
    assert store.read() == al.LabelTables.concat([OLD, more])


def test_overwrite_replaces_rows(store: Store) -> None:
    new = al.decode_labels([release("pointcloud-cuboid", samples=2)])
    store.write(OLD, mode="overwrite")
    store.write(new, mode="overwrite")
    assert store.read() == new


def changed(document: dict[str, Any]) -> dict[str, Any]:
    """A release after a day of work: annotations gone, frames gone, a category gone, and a sample more."""
    document = json.loads(json.dumps(document))
    samples = document["dataset"]["samples"]
    for number, sample in enumerate(samples):
        for label in sample["labels"].values():
            for frame in ((label or {}).get("attributes") or {}).get("frames", ()):
                del frame["annotations"][number :: number + 2]
    samples[0]["labels"]["ground-truth"]["attributes"]["frames"] = []
    samples.insert(1, json.loads(json.dumps(samples[0])) | {"uuid": "new", "name": "new"})
    document["dataset"]["task_attributes"]["categories"].pop()
    return document


@pytest.mark.parametrize("in_parts", [False, True])
def test_upsert_of_a_changed_release_gives_what_a_fresh_write_gives(store: Store, in_parts: bool) -> None:
    document = release("pointcloud-cuboid-sequence", samples=3)
    new = al.decode_labels([changed(document)])
    store.write(al.decode_labels([document]))
    for _ in range(2):
        store.write(parts(new, 11) if in_parts else new, mode="upsert")
        assert store.read() == new


def test_upsert_keeps_what_is_not_written(store: Store) -> None:
    more = al.decode_labels([named(release("pointcloud-cuboid", samples=2), "more")])
    store.write(al.LabelTables.concat([OLD, more]))
    store.write(OLD, mode="upsert")
    found = rows(store.read())
    for name, expected in rows(al.LabelTables.concat([OLD, more])).items():
        assert counted(found[name]) == counted(expected), name


def test_upsert_of_what_has_no_name(store: Store) -> None:
    """A dataset without a name is one, too."""
    document = release("vector", samples=1)
    del document["dataset"]["name"]
    tables = al.decode_labels([document])
    assert tables.datasets["dataset"].null_count
    for _ in range(2):
        store.write(tables, mode="upsert")
    assert store.read() == tables


@settings(max_examples=4)
@given(old=releases(), new=releases(), keep=st.integers(0, 2))
def test_upsert_replaces_by_key(one_store: Store, old: Any, new: Any, keep: int) -> None:
    before = al.decode_labels([old])
    written = al.LabelTables.concat([al.decode_labels([new]), kept(before, keep)])
    one_store.write(before, mode="overwrite")
    one_store.write(written, mode="upsert")
    found, stored, fresh = rows(one_store.read()), rows(before), rows(written)
    keys = {
        columns: {
            tuple(row[column] for column in columns)
            for name in SCHEMAS
            if MERGE_KEYS[name] == columns or (columns == ("source",) and name in ("datasets", "labels"))
            for row in fresh[name]
        }
        for columns in MERGE_KEYS.values()
    }
    for name, columns in MERGE_KEYS.items():
        stay = [row for row in stored[name] if tuple(row[column] for column in columns) not in keys[columns]]
        assert counted(found[name]) == counted(stay + fresh[name]), name


def kept(tables: al.LabelTables, count: int) -> al.LabelTables:
    """The first labels, without what hangs on them."""
    return al.LabelTables(labels=tables.labels.slice(0, count))


# --- order


def test_order_comes_back_from_rows_that_were_mixed(store: Store) -> None:
    tables = al.decode_labels([named(release(kind, samples=3), kind) for kind in ("multisensor-sequence", "bboxes")])
    mixed = {}
    for name, table in tables:
        places = list(range(table.num_rows))
        if name not in ("datasets", "categories", "attribute_specs"):
            random.Random(name).shuffle(places)
        mixed[name] = table.take(places) if places else table
    store.write(al.LabelTables(**mixed))
    assert store.read() == tables


# --- commits that meet


def lance(folder: Path) -> Store:
    return Store(
        folder,
        lambda tables, **options: al.write_lance(tables, folder / "lance", **options),
        lambda **options: al.read_lance(folder / "lance", **options),
        lambda name, table: write_dataset(table, folder / "lance" / f"{name}.lance"),
    )


WRITERS = STORES | {"lance": lance}


def written_at_once(
    make: Callable[[], Store], tables: list[al.LabelTables], mode: Any
) -> tuple[list[al.LabelTables], list[Exception]]:
    """Each of the tables by a writer of its own, all at once: which were written, and the errors of the others."""
    start, done, failures = threading.Barrier(len(tables)), [], []

    def run(store: Store, part: al.LabelTables) -> None:
        try:
            start.wait(60)
            store.write(part, mode=mode)
            done.append(part)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(make(), part)) for part in tables]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return done, failures


def assert_holds(store: Store, tables: list[al.LabelTables]) -> None:
    """The rows of all of these tables, in whatever order, and no others."""
    found = rows(store.read())
    for table, expected in rows(al.LabelTables.concat(tables)).items():
        if table != "rejects":
            assert counted(found[table]) == counted(expected), table


def of_writers(count: int) -> list[al.LabelTables]:
    return [al.decode_labels([named(release("bboxes", samples=1), f"writer {number}")]) for number in range(count)]


@pytest.mark.parametrize("name", WRITERS)
def test_concurrent_upserts_lose_nothing(name: str, tmp_path: Path) -> None:
    """Ten writers at once, each of a sample of its own; and two of them of the same one."""
    tables = of_writers(9)
    _, failures = written_at_once(lambda: WRITERS[name](tmp_path), [*tables, tables[0]], "upsert")
    assert not failures
    assert_holds(WRITERS[name](tmp_path), tables)


@pytest.mark.parametrize("name", WRITERS)
def test_concurrent_upserts_of_the_same_labels_write_them_once(name: str, tmp_path: Path) -> None:
    """First into nothing, then into tables that hold others."""
    one, other = of_writers(2)
    for tables in (one, other):
        _, failures = written_at_once(lambda: WRITERS[name](tmp_path), [tables] * 3, "upsert")
        assert not failures
    assert_holds(WRITERS[name](tmp_path), [one, other])


@pytest.mark.parametrize("name", WRITERS)
def test_concurrent_appends_lose_nothing(name: str, tmp_path: Path) -> None:
    tables = of_writers(6)
    _, failures = written_at_once(lambda: WRITERS[name](tmp_path), tables, "append")
    assert not failures
    assert_holds(WRITERS[name](tmp_path), tables)


@pytest.mark.parametrize("name", WRITERS)
def test_of_concurrent_first_writers_one_is_the_first(name: str, tmp_path: Path) -> None:
    for attempt in range(3):
        place = tmp_path / str(attempt)
        place.mkdir()
        done, failures = written_at_once(lambda place=place: WRITERS[name](place), of_writers(4), "error")
        assert len(done) == 1, (done, failures)
        assert all(isinstance(failure, TargetError) for failure in failures), failures
        assert_holds(WRITERS[name](place), done)


# --- schemas


@pytest.mark.parametrize("mode", ["append", "overwrite", "upsert"])
def test_columns_that_the_library_got_since_are_added(store: Store, mode: str) -> None:
    store.make("labels", OLD.labels.drop_columns(["score", "reviewed_by"]))
    assert store.read().labels["score"].null_count == OLD.labels.num_rows
    store.write(OLD, mode=mode)
    found = store.read()
    expected = OLD.labels.to_pylist()
    if mode == "append":
        expected += [row | {"score": None, "reviewed_by": None} for row in expected]
    assert counted(found.labels.to_pylist()) == counted(expected)
    assert found.cuboids == OLD.cuboids


@pytest.mark.parametrize("mode", ["append", "overwrite", "upsert"])
def test_tables_with_another_schema_are_refused(store: Store, mode: str) -> None:
    place = OLD.labels.schema.get_field_index("score")
    store.make("labels", OLD.labels.set_column(place, "score", OLD.labels["score"].cast(pa.string())))
    with pytest.raises(SchemaError, match="Expected column `score` of type `double`, got `string` - in table `labels`"):
        store.write(unread(), mode=mode)
    with pytest.raises(SchemaError, match="`score`"):
        store.read()


def test_tables_with_columns_of_another_program_are_refused(store: Store) -> None:
    store.make("labels", OLD.labels.append_column("split", pa.nulls(OLD.labels.num_rows, pa.string())))
    with pytest.raises(SchemaError, match=r"Expected no column `split` - in table `labels` .*upgrade, or write to"):
        store.write(unread(), mode="append")
    with pytest.raises(SchemaError, match="Expected no column `split`"):
        store.read()


# --- bad input


def unread() -> Iterator[al.LabelTables]:
    """A source that must not be read."""
    raise AssertionError("the source was read")
    yield


def failing() -> Iterator[al.LabelTables]:
    yield OLD
    raise RuntimeError("the source failed")


def data_files(store: Store) -> set[Path]:
    return {*store.folder.rglob("*.parquet")}


@pytest.mark.parametrize("mode", ["error", "append", "overwrite", "upsert"])
def test_a_source_that_fails_changes_nothing(store: Store, mode: str) -> None:
    if mode != "error":
        store.write(OLD)
    before = data_files(store)
    with pytest.raises(RuntimeError, match="the source failed"):
        store.write(failing(), mode=mode)
    assert data_files(store) == before
    if mode == "error":
        with pytest.raises(TargetError, match="got none"):
            store.read()
    else:
        assert store.read() == OLD


@pytest.mark.parametrize("mode", ["error", "overwrite"])
def test_an_empty_source_is_refused(store: Store, mode: str) -> None:
    if mode == "overwrite":
        store.write(OLD)
    with pytest.raises(FetchError, match=r"Expected tables to write, got none: the source is empty"):
        store.write(iter([]), mode=mode)
    if mode == "overwrite":
        assert store.read() == OLD


def test_wrong_arguments(store: Store) -> None:
    with pytest.raises(ValueError, match='mode: expected one of "error", "append", "overwrite", "upsert", got'):
        store.write(unread(), mode="merge")
    with pytest.raises(SchemaError, match="Expected `LabelTables`, got `dict`"):
        store.write([{}])
    with pytest.raises(ValueError, match="tables: expected names out of"):
        store.read(tables=["boxes"])


def test_nothing_to_read(store: Store) -> None:
    with pytest.raises(TargetError, match="such as `labels`, got none"):
        store.read()


def test_a_target_that_cannot_be_written(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    (store.folder / "lake").write_bytes(b"")
    (store.folder / "warehouse").write_bytes(b"")
    with pytest.raises(TargetError):
        store.write(OLD)


@pytest.mark.parametrize(("package", "extra"), [("deltalake", "delta"), ("pyiceberg", "iceberg")])
def test_a_missing_extra(package: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    calls: list[Callable[[], Any]] = {
        "delta": [lambda: al.write_delta(unread(), tmp_path), lambda: al.read_delta(tmp_path)],
        "iceberg": [lambda: al.write_iceberg(unread(), "c", "n"), lambda: al.read_iceberg("c", "n")],
    }[extra]
    for call in calls:
        with pytest.raises(MissingExtraError, match=rf"{package} is not installed: .*\[{extra}\]"):
            call()


@pytest.mark.parametrize("call", [al.read_delta, al.read_lance, place_of])
def test_an_empty_place_is_not_the_root(call: Callable[[str], Any]) -> None:
    with pytest.raises(TargetError, match="^Expected a path or URL, got an empty text$"):
        call("")
