"""What must not be told is told nowhere: not in errors, their tracebacks, tables, the log, or what commands print."""

import ast
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import traceback
import zipfile
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from faulty_server import Answer, Server, faulty_server
from generate import release
from typer.testing import CliRunner

import arrow_labels as al
from arrow_labels import cli, fetch, formats
from arrow_labels.redaction import hidden, reason, shown

KEY = "5ecret" * 3
"""In every query, option and header; in no line of code that a traceback shows, which would be `{KEY}`."""
QUERY = f"X-Amz-Signature={KEY}&X-Amz-Credential={KEY}"
HEADERS = {"headers": {"Authorization": f"Bearer {KEY}"}}
TEXT = json.dumps(release("segmentation-bitmap", samples=2)).encode()
LABEL = {"annotations": [{"id": 1, "category_id": 0}]}
TABLES = al.decode_labels([LABEL])
ECHO = f"<html>you sent Authorization: Bearer {KEY} to /a?{QUERY}</html>".encode()

ANSWERS = {
    "fine": Answer(TEXT),
    "denied": Answer(ECHO, status=403, headers={"X-Echo": KEY}),
    "missing": Answer(ECHO, status=404),
    "busy": Answer(ECHO, status=503),
    "dropped": Answer(dropped=True),
    "truncated": Answer(TEXT, length=10 * len(TEXT)),
    "longer": Answer(TEXT, length=100),
    "no json": Answer(b"<html>"),
    "no label": Answer(b'{"annotations": [{"id": "x"}]}'),
    "malformed": Answer(TEXT, headers={"Content-Length": "x"}),
    "elsewhere": Answer(status=302, headers={"Location": f"ftp://me:{KEY}@127.0.0.1/?{QUERY}"}),
    "packed": Answer(b"no gzip", headers={"Content-Encoding": "gzip"}),
}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with faulty_server({f"/{name.replace(' ', '-')}.json": [answer] for name, answer in ANSWERS.items()}) as found:
        yield found


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "_FIRST_WAIT", 0.001)


def told(call: Callable[[], Any]) -> str:
    """All that a call tells: its result or its error as a traceback, and its log."""
    log, stream = logging.getLogger("arrow_labels"), StringIO()
    handler = logging.StreamHandler(stream)
    log.addHandler(handler)
    log.setLevel(logging.DEBUG)
    try:
        result = call()
        texts = [str(result)]
        if isinstance(result, al.LabelTables):
            texts += [str(table.to_pylist()) for _, table in result]
        if isinstance(result, pa.Table):
            texts += [str(result.to_pylist())]
    except (al.ArrowLabelsError, al.MissingExtraError) as error:
        texts = [*traceback.format_exception(error), repr(error), repr(getattr(error, "__dict__", ""))]
    finally:
        log.removeHandler(handler)
        log.setLevel(logging.NOTSET)
    return "\n".join([*texts, stream.getvalue()])


def places(server: Server) -> Iterator[str]:
    for name in ANSWERS:
        yield f"{server.url}/{name.replace(' ', '-')}.json?{QUERY}"
        yield f"{server.url.replace('//', f'//me:{KEY}@')}/{name.replace(' ', '-')}.json"
    yield f"http://127.0.0.1:9/a.json?{QUERY}"
    yield f"http://127.0.0.1:x/a.json?{QUERY}"
    yield f"nowhere://me:{KEY}@host/a.json?{QUERY}"
    yield f"s3://key:{KEY}@bucket/a.json"
    yield f"zip://a.json::{server.url}/fine.json?{QUERY}"
    yield f"filecache://::{server.url}/missing.json?{QUERY}"


OPTIONS: dict[str, dict[str, Any]] = {
    "http": HEADERS,
    "s3": {"key": KEY, "secret": KEY, "token": KEY, "endpoint_url": "http://127.0.0.1:9"},
    "nowhere": {"password": KEY},
    "zip": {"http": HEADERS},
    "filecache": {"http": HEADERS},
}  # fmt: skip

READERS: dict[str, Callable[[str, dict[str, Any]], Any]] = {
    "read_labels": lambda url, options: al.read_labels(url, storage_options=options),
    "collect": lambda url, options: al.read_labels(url, storage_options=options, on_error="collect"),
    "several": lambda url, options: al.read_labels([url, url], storage_options=options, on_error="collect"),
    "inspect_labels": lambda url, options: (
        al.inspect_labels(url, storage_options=options, on_error="collect")
        if "on_error" in al.inspect_labels.__code__.co_varnames
        else al.inspect_labels(url, storage_options=options)
    ),
    "scan_labels": lambda url, options: al.scan_labels(url, "labels", storage_options=options).collect().to_dicts(),
    "read_bitmap": lambda url, options: al.read_bitmap(url, storage_options=options, retries=1),
    "read_parquet": lambda url, options: al.read_parquet(url, storage_options=options),
    "iter_parquet": lambda url, options: list(al.iter_parquet(url, storage_options=options)),
    "duckdb_views": lambda url, options: al.duckdb_views(url, storage_options=options),
    "write_parquet": lambda url, options: al.write_parquet(TABLES, url, storage_options=options),
    "update_parquet": lambda url, options: al.update_parquet(LABEL, url, storage_options=options),
    "convert_labels": lambda url, options: al.convert_labels(LABEL, url, storage_options=options),
    "write_release": lambda url, options: al.write_release(TABLES, url, storage_options=options),
    "write_bitmap": lambda url, options: al.write_bitmap([[1]], url, storage_options=options),
}


@pytest.mark.parametrize("name", READERS)
def test_readers_and_writers(server: Server, name: str) -> None:
    failures = 0
    for url in places(server):
        if name == "scan_labels" and "nowhere" in url:
            continue  # as read_labels, at once
        options = OPTIONS.get(url.partition(":")[0], HEADERS)
        text = told(lambda url=url, options=options: READERS[name](url, options))
        failures += re.search("Expected|malformed|truncated", text) is not None
        assert KEY not in text, (url, text)
        assert "X-Amz" not in text, (url, text)
    assert failures > 20


def test_urls_in_labels(server: Server, tmp_path: Path) -> None:
    """The URLs of images and bitmaps are data: they stay whole in their columns, and are nowhere else."""
    urls = [url for url in places(server) if url.startswith("http")]
    labels = [{"annotations": [], "segmentation_bitmap": {"url": url}} for url in [*urls, f"a.png?{QUERY}"]]
    tables = al.decode_labels(labels)
    assert tables.frames["bitmap_url"].to_pylist()[:-1] == urls
    text = told(lambda: al.read_masks(tables, retries=1, storage_options=HEADERS, on_error="collect").rejects)
    assert text.count("Expected") > len(urls)
    assert KEY not in text
    (tmp_path / "in.json").write_text(json.dumps(labels[0]))
    assert KEY not in told(lambda: al.read_labels(tmp_path / "in.json", masks=True))


@pytest.mark.parametrize("call", [
    lambda url, options: al.write_lance(TABLES, url, storage_options=options),
    lambda url, options: al.read_lance(url, storage_options=options),
    lambda url, options: al.write_delta(TABLES, url, storage_options=options),
    lambda url, options: al.read_delta(url, storage_options=options),
], ids=["write_lance", "read_lance", "write_delta", "read_delta"])  # fmt: skip
def test_lakes_in_object_stores(call: Callable[[str, dict[str, str]], Any]) -> None:
    """The endpoint holds a key too: what the libraries below tell of a request begins with it."""
    options = {"aws_access_key_id": KEY, "aws_secret_access_key": KEY, "aws_endpoint": f"http://127.0.0.1:9/{KEY}"}
    options |= {"allow_http": "true", "aws_allow_http": "true", "aws_region": "us-east-1", "max_retries": "0"}
    options |= {"client_max_retries": "0", "client_retry_timeout": "1", "retry_timeout": "1s"}
    text = told(lambda: call(f"s3://bucket/a?{QUERY}", options))
    assert "Expected" in text
    assert KEY not in text


def test_catalogs() -> None:
    """What pyiceberg repeats of a catalog's properties, here one that it does not know, is hidden."""
    options = {"uri": f"sqlite:///{KEY}.db", "type": KEY}
    text = told(lambda: formats.read_tables("c.n", "iceberg", storage_options=None, lake_options=options))
    assert "Expected catalog `c`" in text
    assert KEY not in text


@pytest.mark.parametrize(
    "arguments",
    [["convert", "URL", "out"], ["convert", "URL", "out", "--on-error", "collect"], ["inspect", "URL"],
     ["check", "URL"], ["restore", "URL", "back.json"], ["convert", "in.json", "URL"]],
    ids=lambda arguments: "-".join(arguments),
)  # fmt: skip
def test_commands(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.json").write_text(json.dumps(LABEL))
    option = f"--storage-option=headers={json.dumps(HEADERS['headers'])}"
    for url in places(server):
        if url.startswith("http"):
            given = [url if item == "URL" else item for item in arguments]
            result = CliRunner().invoke(cli.app, [*given, option, "--verbose"])
            assert result.exit_code in (0, 1), result.output
            assert KEY not in result.output
            assert "X-Amz" not in result.output
            for path in tmp_path.glob("out/*/*.parquet"):
                assert KEY not in str(al.read_parquet(tmp_path / "out").rejects.to_pylist())
                assert path.stat().st_size
            shutil.rmtree(tmp_path / "out", ignore_errors=True)


def test_what_a_server_repeats() -> None:
    options = {
        "key": KEY,
        "client_kwargs": {"headers": [{"Authorization": f"Bearer {KEY}"}]},
        "anon": True,
        "retries": 3,
    }
    assert reason(OSError(f"403: {KEY} may not, Bearer {KEY}"), options) == "403: *** may not, ***"
    assert hidden("what is true, 3 and us", {"region": "us", **options}) == "what is true, 3 and us"


SHOWN = {
    "https://h/a.json?sig=secret": "https://h/a.json",
    "https://me:secret@h:80/a@b.json": "https://h:80/a@b.json",
    "https://secret@h/a.json": "https://h/a.json",
    "https://h/a?x=@b": "https://h/a",
    "zip://a.json::https://me:secret@h/a.zip?secret": "zip://a.json::https://h/a.zip",
    "S3://key:secret@labels/a.json": "S3://labels/a.json",
    "abfs://container@account.dfs.core.windows.net/a.json": "abfs://container@account.dfs.core.windows.net/a.json",
    "github://org:repo@main/a.json": "github://org:repo@main/a.json",
    "memory://a.json": "memory://a.json",
    "/data/what?.json": "/data/what?.json",
}


@pytest.mark.parametrize(("url", "expected"), SHOWN.items(), ids=SHOWN.values())
def test_urls_are_shown_without_secrets(url: str, expected: str) -> None:
    assert shown(url) == expected


def test_long_texts_are_looked_through_once() -> None:
    """From each letter on to the end, a megabyte would take a day."""
    text = "x" * 1_000_000 + "://me:secret@h"
    assert shown(text) == "x" * 1_000_000 + "://h"


def test_reasons_are_told_without_secrets() -> None:
    url = "https://me:secret@h/a.json?sig=secret"
    for text in (f"Cannot read {url}", f"403, url='{url}', again", "No such file: '/a.json?sig=secret&x=secret'"):
        assert "secret" not in reason(OSError(text))
        assert "a.json" in reason(OSError(text))
    assert reason(OSError("What? No.")) == "What? No."
    assert reason(TimeoutError()) == "TimeoutError"


# --- names and archives


NAMES = ["../../x", "a:b/c", "/etc/x", "..", "C:\\x", "\\\\host\\x", "nul", "a\x00b", "x/" * 50, "‮txt.x", "~", "$HOME"]


def test_names_never_decide_where_a_file_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Samples, labelsets, datasets, sensors and categories with names of paths: only the usual files are written."""
    inside = tmp_path / "a/b/c"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    samples = [
        {"uuid": name, "name": name, "attributes": {"image": {"url": name}}, "labels": {name: {"attributes": LABEL}}}
        for name in NAMES
    ]
    document = {"name": NAMES[0], "dataset": {"name": NAMES[0], "samples": samples}}
    tables = al.decode_labels([document])
    assert tables.labels["labelset"].to_pylist() == NAMES
    al.write_parquet(tables, "parquet")
    al.convert_labels(document, "converted")
    al.write_lance(tables, "lance")
    al.write_release(tables, "back.json")
    assert sorted(path.name for path in inside.iterdir()) == ["back.json", "converted", "lance", "parquet"]
    assert sorted(tmp_path.rglob("*")) == sorted([tmp_path / "a", tmp_path / "a/b", inside, *inside.rglob("*")])
    parts = {f"{name}/part-00000.parquet" for name in al.SCHEMAS}
    for folder in (inside / "parquet", inside / "converted"):
        found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        assert found == {"_arrow_labels.json", *parts}
    assert {path.name for path in (inside / "lance").iterdir()} == {f"{name}.lance" for name in al.SCHEMAS}
    assert al.read_labels("back.json").labels["sample_id"].to_pylist() == NAMES


@pytest.mark.parametrize("name", ["../x.json", "a/../../x.json", "..", "a\\..\\x.json", "../x.txt"])
def test_archives_with_ways_out_are_refused(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        archive.writestr("a.json", json.dumps(LABEL))
        archive.writestr(name, json.dumps(LABEL))
    for source in (tmp_path / "in.zip", f"zip://*.json::{tmp_path / 'in.zip'}"):
        with pytest.raises(al.FetchError, match="Expected members that lie in the archive, got '.*it is not read"):
            al.read_labels(source)
    collected = al.read_labels(tmp_path / "in.zip", on_error="collect")
    assert collected.labels.num_rows == 0
    assert collected.rejects.num_rows == 1


def test_names_with_dots_are_none(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        for name in ("a..json", "..a/x.json", "a../...json", "x.json"):
            archive.writestr(name, json.dumps(LABEL))
    assert al.read_labels(tmp_path / "in.zip").labels.num_rows == 4


PACKAGE = Path(al.__file__).parent
BETWEEN_OUR_PROCESSES = {"processes.py", "workers.py", "spans.py", "spark.py", "worker.py"}
"""Pickles over pipes that this library opened, to processes that it started."""


def test_nothing_is_evaluated_or_unpickled() -> None:
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                names = [node.func.id]
            elif isinstance(node, ast.keyword):
                names = [node.arg or ""]
            else:
                continue
            wrong = {"pickle", "cloudpickle", "dill", "marshal", "shelve", "joblib", "yaml", "eval", "exec", "compile"}
            found |= {(path.name, name) for name in names if name in wrong | {"__import__", "allow_pickle", "shell"}}
    assert {name for name, _ in found} <= BETWEEN_OUR_PROCESSES
    assert {word for _, word in found} <= {"pickle"}


# --- the log


def test_quiet_unless_asked(tmp_path: Path) -> None:
    code = "import arrow_labels as al; al.convert_labels({'annotations': []}, 'out')"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_the_log_says_what_happens(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "in.json").write_bytes(TEXT)
    with caplog.at_level(logging.DEBUG, "arrow_labels"):
        al.convert_labels(str(tmp_path / "in.json"), str(tmp_path / "out"))
        tables = al.read_parquet(str(tmp_path / "out"))
    assert {record.name.partition(".")[0] for record in caplog.records} == {"arrow_labels"}
    text = caplog.text
    assert f"reading {tmp_path / 'in.json'}" in text
    assert f"1 items, {len(TEXT)} bytes of JSON" in text
    assert f"labels/part-00000.parquet: {tables.labels.num_rows} rows" in text
    assert f"{tmp_path / 'out'} is complete after " in text


def test_retries_are_logged(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "arrow_labels"), pytest.raises(al.FetchError):
        al.read_bitmap(f"{server.url}/busy.json?{QUERY}", retries=2)
    found = [record.getMessage() for record in caplog.records]
    assert [text.partition(":")[0] for text in found] == ["attempt 1 of 3", "attempt 2 of 3"]
    assert all(f"got 503 Service Unavailable - at {server.url}/busy.json: again in 0.0 s" in text for text in found)


def test_processes_log_into_this_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("arrow_labels.workers.WORTH", 0)
    for number in range(3):
        (tmp_path / f"{number}.json").write_bytes(TEXT)
    with caplog.at_level(logging.DEBUG, "arrow_labels"):
        al.read_labels(f"{tmp_path}/*.json", workers=2)
    mine = os.getpid()
    assert any(record.process != mine and "bytes of JSON decoded" in record.getMessage() for record in caplog.records)


def test_a_command_that_is_verbose(tmp_path: Path) -> None:
    (tmp_path / "in.json").write_bytes(TEXT)
    result = CliRunner().invoke(cli.app, ["convert", str(tmp_path / "in.json"), str(tmp_path / "out"), "--verbose"])
    assert result.exit_code == 0
    assert f"INFO arrow-labels {al.__version__}, Polars " in result.stderr
    assert "is complete after" in result.stderr
    assert "INFO" not in result.stdout
    result = CliRunner().invoke(cli.app, ["convert", str(tmp_path / "in.json"), str(tmp_path / "out"), "-v"])
    assert result.exit_code == 1
    assert "DEBUG raised at" in result.stderr
    assert "replacing.py" in result.stderr
    assert not [
        item for item in logging.getLogger("arrow_labels").handlers if not isinstance(item, logging.NullHandler)
    ]
