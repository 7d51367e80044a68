"""Many files: the same as one by one, bounded in requests, bytes and descriptors, and errors that name the one file."""

import bz2
import dataclasses
import gzip
import io
import json
import lzma
import os
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import msgspec
import numpy as np
import pyarrow as pa
import pytest
import strategies
from faulty_server import Answer, Server, faulty_server
from hypothesis import given, settings
from hypothesis import strategies as st
from moto.server import DomainDispatcherApplication, create_backend_app
from pyiceberg.catalog.sql import SqlCatalog
from werkzeug.serving import make_server

import arrow_labels as al
from arrow_labels import fetch as fetching
from arrow_labels import files, sources, workers
from arrow_labels.decode import Reader
from arrow_labels.http_bytes import Limits
from arrow_labels.pieces import items_of

Json = dict[str, Any]


def label(number: int) -> Json:
    return {"annotations": [{"id": number, "category_id": 0}]}


def text(number: int) -> bytes:
    return json.dumps(label(number)).encode()


def ids(tables: al.LabelTables) -> list[int]:
    return tables.segments["id"].to_pylist()


def packed(suffix: str, documents: list[bytes], stem: str = "") -> bytes:
    """A file of some documents; one that holds a single document has the first. `stem` starts the names in archives."""
    if suffix == "zip":
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as members:
            for number, document in enumerate(documents):
                members.writestr(f"{stem}{number}.json", document)
        return archive.getvalue()
    kind, _, compression = suffix.partition(".")
    content = b"\n".join(documents) if kind == "jsonl" else documents[0]
    compress: dict[str, Callable[[bytes], bytes]] = {
        "": bytes,
        "gz": gzip.compress,
        "zst": lambda data: pa.compress(data, "zstd", asbytes=True),
    }
    return compress[compression](content)


documents = st.one_of(
    st.tuples(st.just("attributes"), strategies.attributes()),
    st.tuples(st.just("label"), strategies.labels()),
    st.tuples(st.just("sample"), strategies.samples()),
    st.tuples(st.just("wrong"), st.sampled_from(({}, {"annotations": [{}]}, {"annotations": [{"id": "one"}]}, []))),
)
contents = st.tuples(
    st.sampled_from(("json", "json", "json", "json.gz", "json.zst", "jsonl", "jsonl.gz", "zip")),
    st.lists(documents, min_size=1, max_size=3),
)
broken = st.sampled_from(("none", "none", "none", "empty", "cut off"))


@pytest.fixture(scope="module")
def web() -> Iterator[Server]:
    with faulty_server({}) as server:
        yield server


@settings(max_examples=120)
@given(
    st.lists(st.tuples(contents, broken), min_size=1, max_size=8),
    st.sampled_from(("local", "memory", "http")),
    st.data(),
)
def test_many_files_are_the_same_as_one_by_one(
    tmp_path_factory: pytest.TempPathFactory,
    web: Server,
    found: list[tuple[tuple[str, list[tuple[str, Any]]], str]],
    store: str,
    data: st.DataObject,
) -> None:
    folder = tmp_path_factory.mktemp("many")
    memory = fsspec.filesystem("memory")
    urls = []
    for number, ((suffix, members), damage) in enumerate(found):
        for place, (kind, document) in enumerate(members):  # names that repeat are told apart in one call only
            if kind in ("label", "sample"):
                document["sample_uuid" if kind == "label" else "uuid"] = f"{number}-{place}"
        content = packed(suffix, [json.dumps(document).encode() for _, document in members], f"{number}-")
        content = {"none": content, "empty": b"", "cut off": content[: len(content) // 2]}[damage]
        name = f"{number:03}.{suffix}"
        if store == "local":
            (folder / name).write_bytes(content)
            urls.append(str(folder / name))
        elif store == "memory":
            memory.pipe(f"{folder}/{name}", content)
            urls.append(f"memory://{folder}/{name}")
        else:
            web.answers[f"/{name}"] = [Answer(content)]
            urls.append(f"{web.url}/{name}")
    source: Any = urls if store == "http" or data.draw(st.booleans()) else os.path.dirname(urls[0])  # noqa: PTH120
    batch_bytes = data.draw(st.sampled_from((1, 1000, 1 << 26)))
    together = al.LabelTables.concat(al.iter_labels(source, batch_bytes=batch_bytes, on_error="collect"))
    one_by_one = al.LabelTables.concat([al.read_labels(url, on_error="collect") for url in urls])
    samples = one_by_one.samples
    place_of_sample = pa.array(np.arange(samples.num_rows))
    samples = samples.set_column(samples.column_names.index("sample_index"), "sample_index", place_of_sample)
    for name, table in dataclasses.replace(one_by_one, samples=samples):
        got = together[name]
        if "source" in got.column_names and store == "memory" and isinstance(source, str):
            got, table = got.drop_columns("source"), table.drop_columns("source")  # memory:// or memory:///
        if name == "rejects":  # an archive without a byte fails in other words where it is not fetched ahead
            got, table = got.drop_columns("error"), table.drop_columns("error")
        assert got.to_pylist() == table.to_pylist(), name


def test_one_batch_has_the_rows_of_many_files(tmp_path: Path) -> None:
    for number in range(300):
        (tmp_path / f"{number:03}.json").write_bytes(b"no JSON" if number % 3 == 1 else text(number))
    (part,) = al.iter_labels(tmp_path, on_error="collect")
    assert ids(part) == [number for number in range(300) if number % 3 != 1]
    assert part.rejects["source"].to_pylist() == [str(tmp_path / f"{n:03}.json") for n in range(1, 300, 3)]
    assert part.segments["id"].num_chunks == part.rejects["path"].num_chunks == 1


def test_one_file_that_columns_cannot_hold_does_not_slow_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(100):
        odd = {"frames": [label(number)], "image_attributes": {"odd": True}}
        (tmp_path / f"{number:03}.json").write_bytes(json.dumps(odd).encode() if number % 40 == 7 else text(number))
    carefully: list[int] = []
    columns = Reader._columns

    def counted(self: Reader, records: list[Any], categories: dict[int, str | None], careful: bool) -> Any:
        if careful:
            carefully.extend(int(record.place) for record in records)
        return columns(self, records, categories, careful)

    monkeypatch.setattr(Reader, "_columns", counted)
    tables = al.read_labels(tmp_path)
    assert carefully == [7, 47, 87]
    assert ids(tables) == list(range(100))
    assert [number for number, extra in enumerate(tables.labels["extra"].to_pylist()) if extra] == carefully
    assert tables.segments["id"].num_chunks == 1


WRONG: dict[str, tuple[str, bytes, str, str]] = {
    "file": ("05.json", b'{"annotations": 1}', "05.json", "got `int` - at "),
    "not json": ("05.json", b"\x00", "05.json", "JSON is malformed"),
    "empty": ("05.json", b"", "05.json", "Input data was truncated"),
    "compressed": ("05.json.gz", gzip.compress(text(5))[:-9], "05.json.gz", "end-of-stream"),
    "a line": ("05.jsonl", text(5) + b"\n{\n" + text(55), "05.jsonl:2", "Input data was truncated"),
    "a member": ("05.zip", packed("zip", [text(5), b"[]", text(55)]), "zip://1.json::{}/05.zip", "got `array`"),
}


@pytest.mark.parametrize(("name", "content", "where", "message"), WRONG.values(), ids=WRONG)
def test_an_error_names_its_file_and_rejects_only_that(
    tmp_path: Path, name: str, content: bytes, where: str, message: str
) -> None:
    for number in range(10):
        if number != 5:
            (tmp_path / f"{number:02}.json").write_bytes(text(number))
    (tmp_path / name).write_bytes(content)
    place = where.format(tmp_path) if "{}" in where else str(tmp_path / where)
    with pytest.raises(al.ArrowLabelsError, match=message) as error:
        al.read_labels(tmp_path)
    assert place in str(error.value)
    tables = al.read_labels(tmp_path, on_error="collect")
    assert tables.rejects["source"].to_pylist() == [place]
    inside = [5, 55] if name.endswith(("zip", "jsonl")) else []
    assert ids(tables) == [0, 1, 2, 3, 4, *inside, 6, 7, 8, 9]


def test_a_member_that_cannot_be_read_does_not_end_the_archive(tmp_path: Path) -> None:
    path = tmp_path / "labels.zip"
    archive = bytearray(packed("zip", [text(number) for number in range(3)]))
    at = archive.index(b'"id": 1')
    archive[at : at + 7] = b'"id": 7'  # against its checksum
    path.write_bytes(archive)
    with pytest.raises(al.FetchError, match=rf"Bad CRC-32 .* - at zip://1.json::{path}"):
        al.read_labels(path)
    tables = al.read_labels(path, on_error="collect")
    assert ids(tables) == [0, 2]
    assert tables.rejects["source"].to_pylist() == [f"zip://1.json::{path}"]


def test_a_file_that_vanishes(tmp_path: Path) -> None:
    for number in range(10):
        (tmp_path / f"{number}.json").write_bytes(text(number))
    items = list(sources.resolve(tmp_path, None))
    gone = tmp_path / "4.json"
    gone.unlink()
    found = files.documents(items, "raise")
    assert [next(found).place for _ in range(4)] == ["0", "1", "2", "3"]
    with pytest.raises(al.FetchError) as error:
        next(found)
    assert str(error.value) == f"Expected a file, got nothing - at {gone}"
    rest = list(files.documents(items, "collect"))
    assert [document.source for document in rest] == [str(tmp_path / f"{number}.json") for number in range(10)]
    assert [document.place for document in rest if isinstance(document.data, al.FetchError)] == ["4"]
    parts = al.iter_labels([tmp_path, *map(label, range(10, 12))], batch_bytes=1)
    next(parts)
    (tmp_path / "8.json").unlink()
    with pytest.raises(al.FetchError, match=rf"Expected a file, got nothing - at {tmp_path}/8.json"):
        list(parts)


def test_a_file_that_changes_between_listing_and_reading(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    for content in (text(1_000_000), text(1), b" " * 100 + text(2)):
        path.write_bytes(text(10))
        items = list(sources.resolve(path, None))
        path.write_bytes(content)
        (document,) = files.documents(items, "raise")
        assert document.data == content


def test_versions(tmp_path: Path) -> None:
    """A file that is another one now has another version, and a link none: what it leads to may change."""
    path, other = tmp_path / "a.json", tmp_path / "b.json"

    def versions(source: Any) -> list[int | None]:
        return [file.version for file in sources.resolve(source, None)]

    path.write_bytes(text(1))
    before = versions(path)
    assert versions(tmp_path) == before == versions(tmp_path / "*.json") != [None]
    other.write_bytes(text(2))
    other.replace(path)
    assert versions(path) == versions(tmp_path) != before
    other.symlink_to(path)
    assert versions(tmp_path) == [*versions(path), None]
    fs = fsspec.filesystem("memory")
    fs.pipe("/versions/a.json", text(1))
    assert versions("memory://versions/a.json") == [None]
    fs.rm("/versions", recursive=True)


def test_a_pipe() -> None:
    code = "import arrow_labels as al; print(al.read_labels('/dev/stdin').segments['id'].to_pylist())"
    said = subprocess.run([sys.executable, "-c", code], input=text(3), capture_output=True, check=True)
    assert said.stdout.strip() == b"[3]"


STREAMS: dict[str, tuple[Callable[[bytes], bytes], bytes, list[str]]] = {
    "gz": (gzip.compress, text(3), ["stdin"]),
    "bz2": (bz2.compress, text(3), ["stdin"]),
    "xz": (lzma.compress, text(3), ["stdin"]),
    "zst": (lambda data: pa.compress(data, "zstd", asbytes=True), text(3), ["stdin"]),
    "lines": (bytes, text(3) + b"\n\n" + text(4), ["stdin:1", "stdin:3"]),
    "lines, gz": (gzip.compress, b"\xef\xbb\xbf\n" + text(3) + b"\n" + text(4) + b"\n", ["stdin:2", "stdin:3"]),
    "one line": (bytes, text(3) + b"\n  ", ["stdin"]),
    "indented": (lambda data: msgspec.json.format(data, indent=2), text(3), ["stdin"]),
}


@pytest.mark.parametrize(("packed", "document", "sample_ids"), STREAMS.values(), ids=STREAMS)
def test_what_a_stream_holds_says_how_to_read_it(
    packed: Callable[[bytes], bytes], document: bytes, sample_ids: list[str], tmp_path: Path
) -> None:
    code = "import arrow_labels as al; print(*al.read_labels('/dev/stdin').labels['sample_id'].to_pylist(), sep='\\n')"
    piped = subprocess.run([sys.executable, "-c", code], input=packed(document), capture_output=True, check=True)
    path = tmp_path / "redirected.json"
    path.write_bytes(packed(document))
    with path.open("rb") as opened:
        redirected = subprocess.run([sys.executable, "-c", code], stdin=opened, capture_output=True, check=True)
        opened.seek(0)
        handed = al.read_labels(opened)
    assert piped.stdout.decode().split() == redirected.stdout.decode().split() == sample_ids
    assert handed.labels["sample_id"].to_pylist() == [name.replace("stdin", "0") for name in sample_ids]


def test_an_open_file_is_what_its_suffix_says(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_bytes(text(1))
    with path.open("rb") as opened:
        assert al.read_labels(opened).labels["sample_id"].to_pylist() == ["0:1"]
    archive = tmp_path / "labels.zip"
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("a.json", text(1))
    with archive.open("rb") as opened, pytest.raises(al.FetchError, match="a zip archive - at .*: give its path"):
        al.read_labels(opened)


def test_standard_input_is_read_from_where_it_is(tmp_path: Path) -> None:
    """As a shell hands it on to one program after the other."""
    code = "import arrow_labels as al; print(al.read_labels('/dev/stdin').segments['id'].to_pylist())"
    path = tmp_path / "labels.jsonl"
    path.write_bytes(b"\n".join(map(text, range(5))))
    with path.open("rb", buffering=0) as opened:
        opened.seek(len(text(0)) + 1)
        said = subprocess.run([sys.executable, "-c", code], stdin=opened, capture_output=True, check=True)
        assert opened.read() == b""
    assert said.stdout.strip() == b"[1, 2, 3, 4]"


def test_standard_input_and_output_may_be_sockets() -> None:
    ours, theirs = socket.socketpair()
    code = "import arrow_labels as al; al.write_release(al.read_labels('/dev/stdin'), '/dev/stdout')"
    with ours, theirs:
        with subprocess.Popen([sys.executable, "-c", code], stdin=theirs, stdout=theirs) as running:
            theirs.close()
            ours.sendall(text(7))
            ours.shutdown(socket.SHUT_WR)
            with ours.makefile("rb") as answer:
                assert ids(al.read_labels(answer)) == [7]
        assert running.returncode == 0


@pytest.mark.parametrize("name", ["pipe", "pipe.json", "pipe.json.gz", "pipe.jsonl"])
def test_a_named_pipe(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    os.mkfifo(path)
    data = gzip.compress(text(3)) if name.endswith(".gz") else text(3)
    writer = threading.Thread(target=path.write_bytes, args=(data,))
    writer.start()
    assert ids(al.read_labels(path)) == [3]
    writer.join()


def test_the_first_line_of_a_stream_may_be_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("arrow_labels.contents.IN_MEMORY", 16)
    assert ids(al.read_labels(io.BytesIO(b"\n" + text(1) + b"\n" + text(2)))) == [1, 2]
    assert ids(al.read_labels(io.BytesIO(b"\n\n" + text(1) + b"\n\n"))) == [1]


def test_links_to_folders_are_followed_once(tmp_path: Path) -> None:
    folder, store = tmp_path / "labels", tmp_path / "store"
    (store / "inner").mkdir(parents=True)
    folder.mkdir()
    (store / "a.json").write_bytes(text(1))
    (store / "inner" / "b.json").write_bytes(text(2))
    (store / "loop").symlink_to(folder)
    (folder / "one").symlink_to(store)
    (folder / "two").symlink_to(store)
    (folder / "z").mkdir()
    (folder / "z" / "c.json").write_bytes(text(3))
    (folder / "a").symlink_to(folder / "z")
    tables = al.read_labels(folder)
    assert ids(tables) == [1, 2, 3]
    assert tables.labels["sample_id"].to_pylist() == ["one/a", "one/inner/b", "z/c"]


def to_iceberg(tables: al.LabelTables, folder: Path) -> None:
    folder.mkdir()
    catalog = SqlCatalog("test", uri=f"sqlite:///{folder}/catalog.db", warehouse=f"file://{folder}")
    al.write_iceberg(tables, catalog, "labels")


@pytest.mark.parametrize("write", [al.write_lance, to_iceberg])
def test_json_beside_tables_in_a_source_is_no_label(write: Callable[..., None], tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(text(1))
    (tmp_path / "metadata").mkdir()
    (tmp_path / "metadata" / "b.metadata.json").write_bytes(text(2))
    write(al.read_labels(tmp_path), tmp_path / "tables")
    beside = sorted(item for item in (tmp_path / "tables").rglob("*") if item.suffix == ".json")
    assert beside
    assert ids(al.read_labels(tmp_path)) == [1, 2]
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for item in (tmp_path / "a.json", *beside):
            archive.write(item, item.relative_to(tmp_path))
    assert ids(al.read_labels(tmp_path / "all.zip")) == [1]
    beside[0].write_bytes(text(3))
    assert ids(al.read_labels(beside[0])) == [3]


@pytest.mark.parametrize("write", [al.write_parquet, al.write_delta, al.write_lance])
def test_tables_that_were_written_into_a_source_are_no_labels(write: Callable[..., None], tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(text(1))
    write(al.read_labels(tmp_path), tmp_path / "tables")
    assert ids(al.read_labels(tmp_path)) == [1]
    with pytest.raises(al.FetchError, match="got a folder of tables"):
        al.read_labels(tmp_path / "tables")


def test_a_stream_is_read_by_one_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(workers, "WORTH", 0)
    path, batching = tmp_path / "a.json", {"mask_options": None}
    path.write_bytes(text(1))
    assert workers.shareable([*sources.resolve(path, None)], 2, {}, batching) is not None
    assert workers.shareable([*sources.resolve("/dev/stdin", None)], 2, {}, batching) is None
    with pytest.raises(al.FetchError, match="which other processes can read, got an open file"):
        items_of("/dev/stdin", None)


def test_links_to_files(tmp_path: Path) -> None:
    store, folder = tmp_path / "store", tmp_path / "labels"
    for path in (store, folder):
        path.mkdir()
    (store / "0a").write_bytes(text(1))
    (folder / "b.json").symlink_to(store / "0a")
    (folder / "c.json").symlink_to(store / "nothing")
    (folder / "d.json").symlink_to(store)
    for source in (folder, f"{folder}/*.json"):
        tables = al.read_labels(source)
        assert tables.labels["source"].to_pylist() == [str(folder / "b.json")]
        assert ids(tables) == [1]


def test_requests_in_flight_are_bounded(web: Server) -> None:
    names = [f"/flight-{number:03}.json" for number in range(150)]
    web.answers |= {name: [Answer(text(number), wait=0.02)] for number, name in enumerate(names)}
    web.answers[names[70]] = [Answer(status=503), Answer(dropped=True), Answer(text(70))]
    web.asked.clear()
    web.peak = 0
    assert ids(al.read_labels([web.url + name for name in names])) == list(range(150))
    assert sorted(web.paths()) == sorted([*names, names[70], names[70]])  # each is asked for once, and retried
    assert 2 <= web.peak <= files._CONCURRENCY


def test_bytes_in_flight_are_bounded(web: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"/bytes-{number:03}.json" for number in range(30)]
    web.answers |= {name: [Answer(text(number), wait=0.01)] for number, name in enumerate(names)}
    items = sources.resolve([web.url + name for name in names], None)
    listed = [item._replace(size=1000) for item in items]
    monkeypatch.setattr(fetching, "_AHEAD_BYTES", 3000)
    web.peak = 0
    assert len(list(files.documents(listed, "raise"))) == 30
    assert web.peak <= 4  # three, and one whose answer is there before the server has counted it off


def test_nothing_is_fetched_far_ahead(web: Server) -> None:
    names = [f"/ahead-{number:03}.json" for number in range(300)]
    web.answers |= {name: [Answer(text(number))] for number, name in enumerate(names)}
    web.asked.clear()
    items = sources.resolve([web.url + name for name in names], None)
    found = files.documents([item._replace(size=100) for item in items], "raise")
    next(found)
    time.sleep(0.3)
    assert len(web.asked) <= 1 + files._CONCURRENCY * fetching._AHEAD
    found.close()


def test_files_that_are_too_large_to_fetch_ahead(web: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    long = b" " * 5000
    web.answers |= {f"/large-{number}.json": [Answer(text(number) + long * (number == 1))] for number in range(3)}
    monkeypatch.setattr(files, "_AHEAD", Limits(max_bytes=1000))
    assert ids(al.read_labels([f"{web.url}/large-{number}.json" for number in range(3)])) == [0, 1, 2]


def test_one_of_many_urls_gives_nothing(web: Server) -> None:
    web.answers |= {f"/gone-{number}.json": [Answer(text(number))] for number in (0, 2)}
    urls = [f"{web.url}/gone-{number}.json?signature=secret" for number in range(3)]
    message = f"Expected an answer of 200 OK, got 404 Not Found - at {web.url}/gone-1.json"
    with pytest.raises(al.FetchError) as error:
        al.read_labels(urls)
    assert str(error.value) == message
    tables = al.read_labels(urls, on_error="collect")
    assert ids(tables) == [0, 2]
    assert tables.rejects.select(["source", "error"]).to_pylist() == [
        {"source": f"{web.url}/gone-1.json", "error": message}
    ]


class Bucket:
    """A server that speaks S3, which counts the requests that it has at once."""

    def __init__(self) -> None:
        self.app = DomainDispatcherApplication(create_backend_app)
        self.lock = threading.Lock()
        self.now = self.peak = self.asked = 0

    def __call__(self, environ: Any, start: Any) -> Any:
        with self.lock:
            self.asked += 1
            self.now += 1
            self.peak = max(self.peak, self.now)
        try:
            if environ["REQUEST_METHOD"] == "GET":
                time.sleep(0.01)
            return self.app(environ, start)
        finally:
            with self.lock:
                self.now -= 1


@pytest.fixture
def bucket() -> Iterator[tuple[Bucket, Json]]:
    app = Bucket()
    server = make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield (
        app,
        {
            "key": "key",
            "secret": "secret",
            "endpoint_url": f"http://127.0.0.1:{server.server_port}",
            "config_kwargs": {"max_pool_connections": 50},
        },
    )
    server.shutdown()
    server.server_close()


@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")
def test_s3(bucket: tuple[Bucket, Json]) -> None:
    app, options = bucket
    fs = fsspec.filesystem("s3", **options)
    fs.mkdir("small-files")
    names = [f"small-files/labels/{number:03}.json" for number in range(90)]
    fs.pipe({name: text(number) for number, name in enumerate(names)} | {"small-files/labels/050.json": b""})
    app.asked = app.peak = 0
    tables = al.read_labels("s3://small-files/labels", storage_options=options, on_error="collect")
    assert ids(tables) == [number for number in range(90) if number != 50]
    assert tables.rejects["source"].to_pylist() == ["s3://small-files/labels/050.json"]
    assert 2 <= app.peak <= files._CONCURRENCY
    assert app.asked < 90 + 10  # one for each, and a few for the listing
    listed = [f"s3://{name}" for name in names if "050" not in name]
    assert ids(al.read_labels(listed, storage_options=options)) == ids(tables)
    items = list(sources.resolve("s3://small-files/labels", options))
    fs.pipe(names[1], text(2))
    assert [file.version for file in sources.resolve("s3://small-files/labels", options)] == [
        items[2 if number == 1 else number].version for number in range(90)
    ]
    fs.rm(names[88])
    with pytest.raises(al.FetchError) as error:
        list(files.documents(items, "raise"))
    assert str(error.value) == f"Expected a file, got nothing - at s3://{names[88]}"
    fs.rm("small-files", recursive=True)


DESCRIPTORS = """
import json, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]),) * 2)
import arrow_labels as al
print([al.read_labels(source).segments.num_rows for source in json.loads(sys.argv[2])])
"""


def test_few_descriptors_are_enough(tmp_path: Path, web: Server) -> None:
    for number in range(200):
        suffix = ("json", "json.gz", "jsonl", "zip")[number % 4]
        (tmp_path / f"{number:03}.{suffix}").write_bytes(packed(suffix, [text(number)]))
    names = [f"/descriptors-{number:03}.json" for number in range(200)]
    web.answers |= {name: [Answer(text(number))] for number, name in enumerate(names)}
    found = json.dumps([str(tmp_path), [str(path) for path in tmp_path.iterdir()], [web.url + name for name in names]])
    said = subprocess.run([sys.executable, "-c", DESCRIPTORS, "40", found], capture_output=True, text=True)
    assert (said.stdout, said.stderr) == ("[200, 200, 200]\n", "")


def test_no_descriptor_stays_open(tmp_path: Path, web: Server) -> None:
    for number in range(20):
        suffix = ("json", "json.gz", "jsonl", "zip")[number % 4]
        (tmp_path / f"{number:03}.{suffix}").write_bytes(packed(suffix, [text(number)])[: -(number % 2) or None])
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    al.read_labels(tmp_path, on_error="collect")
    for _ in range(3):
        next(al.iter_labels(tmp_path, batch_bytes=1, on_error="collect"))  # the rest is not asked for
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


UNFINISHED = """
import json, sys
import arrow_labels as al
parts = al.iter_labels(json.loads(sys.argv[1]), batch_bytes=1)
print(next(parts).segments.num_rows)
"""


def test_an_unfinished_iterator_does_not_keep_python_from_ending(web: Server) -> None:
    names = [f"/unfinished-{number:03}.json" for number in range(100)]
    web.answers |= {name: [Answer(text(number), wait=0.01)] for number, name in enumerate(names)}
    urls = json.dumps([web.url + name for name in names])
    command = [sys.executable, "-c", UNFINISHED, urls]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (said.stdout, said.stderr) == ("1\n", "")
