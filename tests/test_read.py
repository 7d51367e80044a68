"""Sources of every kind give the same tables."""

import bz2
import gzip
import http.server
import io
import json
import lzma
import os
import threading
import traceback
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pytest
from faulty_server import Answer, faulty_server
from generate import release
from json_equal import difference
from moto.server import ThreadedMotoServer

import arrow_labels as al
from arrow_labels import contents, files, sources

RELEASE = release("multisensor-sequence", seed=5, samples=2)
TEXT = json.dumps(RELEASE).encode()
EXPECTED = al.decode_labels([RELEASE])
LABEL = {"annotations": [{"id": 1, "category_id": 0}]}

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda data: pa.compress(data[:100], "zstd", asbytes=True) + pa.compress(data[100:], "zstd", asbytes=True),
}


def same(tables: al.LabelTables, source: str | None, expected: al.LabelTables = EXPECTED) -> bool:
    """Whether tables are those of the release, but for the name of the document."""
    for name, table in expected:
        found = tables[name]
        if "source" in table.column_names:
            assert set(found["source"].to_pylist()) <= {source}
            found, table = found.drop_columns("source"), table.drop_columns("source")
        assert found.equals(table), name
    return True


@pytest.mark.parametrize("suffix", COMPRESS)
def test_a_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"release.json{suffix}"
    path.write_bytes(COMPRESS[suffix](TEXT))
    assert same(al.read_labels(path), str(path))
    assert same(al.read_labels(str(path)), str(path))
    assert same(al.read_labels(f"file://{path}"), f"file://{path}")


@pytest.mark.parametrize("suffix", COMPRESS)
def test_large_files_are_mapped(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "IN_MEMORY", 1000)
    monkeypatch.setattr(contents, "IN_MEMORY", 1000)
    path = tmp_path / f"release.json{suffix}"
    path.write_bytes(COMPRESS[suffix](TEXT))
    assert same(al.read_labels(path), str(path))


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf", b"\n  "])
def test_spelling(tmp_path: Path, indent: int | None, start: bytes) -> None:
    path = tmp_path / "release.json"
    path.write_bytes(start + json.dumps(RELEASE, indent=indent).encode())
    assert same(al.read_labels(path), str(path))


def test_documents_in_memory() -> None:
    assert same(al.read_labels(TEXT), "<document 0>")
    assert same(al.read_labels(memoryview(TEXT)), "<document 0>")
    assert same(al.read_labels(bytearray(TEXT)), "<document 0>")
    assert same(al.read_labels(RELEASE), "<document 0>")
    assert same(al.read_labels([RELEASE]), "<document 0>")
    assert same(al.read_labels(io.BytesIO(TEXT)), "<document 0>")


def test_an_open_file(tmp_path: Path) -> None:
    path = tmp_path / "release.json"
    path.write_bytes(TEXT)
    with path.open("rb") as file:
        assert same(al.read_labels(file), str(path))
    with path.open() as file, pytest.raises(al.FetchError, match="binary mode, got one in text mode"):
        al.read_labels(file)


def test_an_fsspec_url() -> None:
    fsspec.filesystem("memory").pipe("/folder/release.json", TEXT)
    assert same(al.read_labels("memory://folder/release.json"), "memory://folder/release.json")
    assert same(al.read_labels("memory://folder"), "memory:///folder/release.json")
    assert same(al.read_labels("memory://fold*/*.json"), "memory:///folder/release.json")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b/2.json", "a.json", "b/1.json", "b/notes.txt", "c.json.gz"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        text = json.dumps(LABEL).encode()
        path.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    return tmp_path


def test_a_folder(folder: Path) -> None:
    tables = al.read_labels(folder)
    assert tables.labels["sample_id"].to_pylist() == ["a", "b/1", "b/2", "c"]
    assert tables.labels["source"].to_pylist()[1] == str(folder / "b/1.json")


def test_hidden_files_of_a_folder(folder: Path) -> None:
    for name in ("._a.json", ".ipynb_checkpoints/a-checkpoint.json", "b/.x/y.json", "__MACOSX/a.json", "_b.json"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(LABEL))
    assert al.read_labels(folder).labels["sample_id"].to_pylist() == ["_b", "a", "b/1", "b/2", "c"]
    assert al.read_labels(folder / "b" / ".x").labels["sample_id"].to_pylist() == ["y"]
    assert al.read_labels(folder / "._a.json").labels["sample_id"].to_pylist() == ["._a"]


def test_a_glob(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert al.read_labels(f"{folder}/b/*.json").labels["sample_id"].to_pylist() == ["1", "2"]
    assert al.read_labels(f"{folder}/**/*.json").labels["sample_id"].to_pylist() == ["a", "b/1", "b/2"]
    monkeypatch.chdir(folder)
    tables = al.read_labels("b/*.json")
    assert tables.labels["source"].to_pylist() == ["b/1.json", "b/2.json"]
    assert al.read_labels("b").labels["source"].to_pylist() == ["b/1.json", "b/2.json"]
    assert al.read_labels("a.json").labels["source"].to_pylist() == ["a.json"]


def test_a_folder_that_may_not_be_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = os.scandir

    def refuse(path: Any) -> Any:  # as for anyone but root
        if str(path).endswith("/b"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(
        al.FetchError, match=rf"Expected a source that can be read, got .*Permission denied.* - at {folder}"
    ):
        al.read_labels(folder)


def test_names_that_are_no_text(folder: Path) -> None:
    (folder / os.fsdecode(b"d\xff.json")).write_text(json.dumps(LABEL))
    tables = al.read_labels(folder)
    assert tables.labels["sample_id"].to_pylist() == ["a", "b/1", "b/2", "c", "d\\udcff"]
    assert tables.labels["source"].to_pylist()[-1] == f"{folder}/d\\udcff.json"
    with (folder / os.fsdecode(b"d\xff.json")).open("rb") as file:
        assert al.read_labels(file).labels.num_rows == 1


def test_a_list(folder: Path) -> None:
    found = al.read_labels([folder / "a.json", LABEL, str(folder / "b"), json.dumps(LABEL).encode()])
    assert found.labels["sample_id"].to_pylist() == ["a", "1", "1#2", "2", "4"]


def test_a_zip(tmp_path: Path) -> None:
    path = tmp_path / "labels.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("in/b.json", json.dumps(LABEL))
        archive.writestr("a.jsonl.gz", gzip.compress((json.dumps(LABEL) + "\n\n" + json.dumps(LABEL)).encode()))
        archive.writestr("readme.txt", "nothing")
        archive.writestr("__MACOSX/in/._b.json", "what macOS adds")
    tables = al.read_labels(path)
    assert tables.labels["sample_id"].to_pylist() == ["a:1", "a:3", "in/b"]
    assert tables.labels["source"].to_pylist()[2] == f"zip://in/b.json::{path}"


def test_a_zip_without_labels(tmp_path: Path) -> None:
    path = tmp_path / "labels.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "nothing")
    with pytest.raises(al.FetchError, match=rf"Expected members with labels .*, got none - at {path}"):
        al.read_labels(path)


@pytest.mark.parametrize("suffix", [".jsonl", ".ndjson", ".jsonl.zst", ".ndjson.bz2"])
def test_lines(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"labels{suffix}"
    lines = b"\n".join(json.dumps({**LABEL, "image_attributes": {"n": n}}).encode() for n in range(3)) + b"\r\n\n"
    path.write_bytes(COMPRESS.get(suffix[suffix.rindex(".") :], bytes)(lines))
    tables = al.read_labels(path)
    assert tables.labels["sample_id"].to_pylist() == ["labels:1", "labels:2", "labels:3"]
    assert tables.labels["source"].to_pylist()[0] == f"{path}:1"
    assert tables.frames["image_attributes"].to_pylist() == ['{"n":0}', '{"n":1}', '{"n":2}']


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "release.json").write_bytes(TEXT)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_http(web: str) -> None:
    assert same(al.read_labels(f"{web}/release.json"), f"{web}/release.json")
    signed = f"{web}/release.json?signature=secret"
    assert same(al.read_labels(signed), f"{web}/release.json")
    with pytest.raises(al.FetchError) as error:
        al.read_labels(f"{web}/missing.json?signature=secret")
    assert str(error.value) == f"Expected a file, folder or glob, got status 404 of HTTP - at {web}/missing.json"


def test_http_that_refuses() -> None:
    with faulty_server({"/a.json": [Answer(status=403)] * 2}) as server, pytest.raises(al.FetchError) as error:
        al.read_labels(f"{server.url}/a.json?signature=secret")
    said = "Expected a file, folder or glob, got status 403 of HTTP: the signed URL has perhaps expired - at "
    assert str(error.value) == f"{said}{server.url}/a.json"
    with pytest.raises(al.FetchError, match="got Cannot connect to host") as error:
        al.read_labels(f"{server.url}/a.json?signature=secret")
    assert "secret" not in str(error.value)


def test_tracebacks_tell_no_secret() -> None:
    with faulty_server({"/a.json": [Answer(b"{}"), Answer(status=500)]}) as server:
        key = str(hash(server.url))  # not in any line of code that a traceback shows
        for url in (f"{server.url}/a.json?key={key}", f"nowhere://me:{key}@a.json"):
            with pytest.raises(al.FetchError) as error:
                al.read_labels(url)
            assert key not in "".join(traceback.format_exception(error.value))


def test_a_user_in_the_url(web: str) -> None:
    signed = web.replace("//", "//me:secret@") + "/release.json?secret"
    assert same(al.read_labels(signed), f"{web}/release.json")


@pytest.fixture
def bucket() -> Iterator[dict[str, Any]]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    options = {"key": "key", "secret": "secret", "endpoint_url": f"http://{host}:{port}"}
    fs = fsspec.filesystem("s3", **options)
    fs.mkdir("read-bucket")
    fs.pipe("read-bucket/labels/release.json", TEXT)
    yield options
    reset = urllib.request.Request(f"http://{host}:{port}/moto-api/reset", method="POST")
    urllib.request.urlopen(reset).close()  # servers of one process share what they store
    server.stop()


@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")
def test_s3(bucket: dict[str, Any]) -> None:
    name = "s3://read-bucket/labels/release.json"
    assert same(al.read_labels(name, storage_options=bucket), name)
    assert same(al.read_labels("s3://read-bucket/labels", storage_options=bucket), name)
    assert same(al.read_labels("s3://read-bucket/*/*.json", storage_options=bucket), name)
    with pytest.raises(al.FetchError, match="got nothing - at s3://read-bucket/no.json"):
        al.read_labels("s3://read-bucket/no.json", storage_options=bucket)
    al.write_release(EXPECTED, "s3://read-bucket/back.json", storage_options=bucket)
    fs = fsspec.filesystem("s3", **bucket)
    assert difference(RELEASE, json.loads(fs.cat("read-bucket/back.json"))) is None


def test_a_missing_file_system(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ImportError("no s3fs")

    monkeypatch.setattr(sources, "url_to_fs", fail)
    with pytest.raises(al.MissingExtraError, match=r"python -m pip install 'arrow-labels\[s3\]'"):
        al.read_labels("s3://read-bucket/a.json")


def log_in(folder: Path) -> Path:
    log = folder / "labels" / "_delta_log"
    log.mkdir(parents=True)
    (log / "00000000000000000000.json").write_text("{}")
    return folder


def hidden(folder: Path) -> Path:
    (folder / ".a.json").write_text(json.dumps(LABEL))
    return folder


NOTHING: dict[str, tuple[Callable[[Path], Any], str]] = {
    "path": (lambda folder: folder / "no.json", "Expected a file, folder or glob, got nothing - at "),
    "glob": (lambda folder: f"{folder}/*.json", "Expected a match, got none - at "),
    "empty folder": (
        lambda folder: folder,
        "Expected files with labels (.json, .jsonl, .ndjson, compressed or in .zip), ",
    ),
    "only hidden files": (
        lambda folder: hidden(folder),
        "Expected files with labels (.json, .jsonl, .ndjson, compressed or in .zip), ",
    ),
    "folder of Delta tables": (
        lambda folder: log_in(folder),
        "Expected labels, got a folder of tables - at ",
    ),
    "empty text": (lambda _: "", "Expected a path or URL, got an empty text"),
    "JSON text": (
        lambda _: '{"annotations": []}',
        "Expected a path or URL, got JSON text, '{\"annotations\": []}' …",
    ),
    "protocol": (lambda _: "nowhere://a.json", "Expected a URL that fsspec can open, got Protocol not known"),
    "type": (lambda _: 3, "Expected a path, URL, glob, open binary file, bytes, dict or pydantic model"),
}


@pytest.mark.parametrize(("source", "message"), NOTHING.values(), ids=NOTHING)
def test_sources_that_give_nothing(tmp_path: Path, source: Callable[[Path], Any], message: str) -> None:
    with pytest.raises(al.FetchError) as error:
        al.read_labels(source(tmp_path), on_error="collect")
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(("name", "content"), [("a.json.gz", b"no gzip"), ("a.json.xz", b"no"), ("a.zip", b"no zip")])
def test_unreadable_files(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    (tmp_path / "b.json").write_text(json.dumps(LABEL))
    with pytest.raises(al.FetchError, match=f"Expected a file that can be read, got .* - at {path}"):
        al.read_labels(tmp_path)
    tables = al.read_labels(tmp_path, on_error="collect")
    assert tables.labels["sample_id"].to_pylist() == ["b"]
    assert tables.rejects["source"].to_pylist() == [str(path)]


def test_truncated_compression(tmp_path: Path) -> None:
    path = tmp_path / "a.json.gz"
    path.write_bytes(gzip.compress(TEXT)[:-20])
    with pytest.raises(al.FetchError, match="end-of-stream"):
        al.read_labels(path)


@pytest.mark.parametrize("batch_bytes", [1, 10_000, 1 << 30])
def test_batches_together_are_the_whole(batch_bytes: int) -> None:
    documents = [release(task_type, seed=1) for task_type in ("vector", "pointcloud-segmentation-sequence")]
    parts = list(al.iter_labels(documents, batch_bytes=batch_bytes))
    assert al.LabelTables.concat(parts) == al.decode_labels(documents)
    if batch_bytes == 1:
        assert all(part.samples.num_rows <= 1 for part in parts)


def test_progress(tmp_path: Path) -> None:
    path = tmp_path / "release.json"
    path.write_bytes(TEXT)
    seen: list[tuple[int, int | None]] = []
    list(al.iter_labels(path, progress=lambda done, total: seen.append((done, total))))
    assert [total for _, total in seen] == [len(TEXT)] * len(seen)
    assert 0 < seen[-1][0] <= len(TEXT)
    assert sorted(seen) == seen


def test_labelsets() -> None:
    tables = al.read_labels(RELEASE, labelsets=["model-predictions"])
    assert set(tables.labels["labelset"].to_pylist()) == {"model-predictions"}
    assert set(tables.cuboids["labelset"].to_pylist()) <= {"model-predictions"}
    assert tables.samples.num_rows == 2


@pytest.mark.parametrize("name", al.SCHEMAS)
def test_tables(name: str) -> None:
    tables = al.read_labels(RELEASE, tables=[name])
    assert tables[name].equals(EXPECTED[name])
    assert all(table.num_rows == 0 for other, table in tables if other != name)


def test_task_type_wins() -> None:
    label = {"label_status": "LABELED", "label_type": "vector", "attributes": LABEL}
    tables = al.read_labels([label, LABEL], task_type="bboxes")
    assert tables.labels["label_type"].to_pylist() == ["bboxes", "bboxes"]
    assert json.loads(tables.labels["extra"][0].as_py()) == {"label_type": "vector"}
    tables = al.read_labels(RELEASE, task_type="vector")
    assert tables.datasets["task_type"].to_pylist() == ["vector"]
    al.write_release(tables, "memory://task-type.json")
    assert difference(RELEASE, json.loads(fsspec.filesystem("memory").cat("/task-type.json"))) is None


OPTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "task_type": ({"task_type": "boxes"}, "task_type: expected one of segmentation-bitmap, "),
    "timestamp_unit": ({"timestamp_unit": "m"}, "timestamp_unit: expected one of ns, us, ms, s, got 'm'"),
    "on_error": ({"on_error": "skip"}, 'on_error: expected "raise" or "collect", got \'skip\''),
    "tables": ({"tables": ["boxes"]}, "tables: expected names out of datasets, "),
    "text for names": ({"labelsets": "ground-truth"}, "labelsets: expected a collection of names, got the text"),
    "batch_bytes": ({"batch_bytes": 0}, "batch_bytes: expected a positive number, got 0"),
}


@pytest.mark.parametrize(("options", "message"), OPTIONS.values(), ids=OPTIONS)
def test_wrong_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=".") as error:
        al.iter_labels(LABEL, **options)
    assert str(error.value).startswith(message)
