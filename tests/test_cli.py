"""The command line: what it prints where, and its exit status."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, get_args

import pytest
from faulty_server import Answer, faulty_server
from generate import TASK_TYPES, release
from json_equal import difference
from typer.testing import CliRunner

import arrow_labels as al
from arrow_labels import cli, convert_command, formats
from arrow_labels.inspection import inspect_labels
from arrow_labels.schema import DESCRIPTIONS, KEYS, SCHEMAS
from arrow_labels.write.parquet import write_parquet
from arrow_labels.write.stored import read_parquet

DATA = Path(__file__).parent / "data"
STREET, DRIVE = str(DATA / "street"), str(DATA / "drive" / "release.json")
COMMANDS = ("convert", "restore", "inspect", "check", "schema")
BAD = b'{"annotations": [{"id": "x", "category_id": 0}]}'
GOOD = b'{"annotations": [{"id": 1, "category_id": 0}]}'
SIGNATURE = "X-Amz-Signature=secret"


def run(*args: object) -> Any:
    result = CliRunner().invoke(cli.app, [str(arg) for arg in args])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def command(*args: object) -> list[str]:
    return [sys.executable, "-m", "arrow_labels.cli", *(str(arg) for arg in args)]


def process(*args: object, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*args), capture_output=True, text=True, env=os.environ | env, check=False, timeout=120
    )


def assert_error(result: Any, status: int = 1) -> None:
    """One message, on standard error only."""
    assert result.exit_code == status
    assert result.stdout == ""
    assert result.stderr.startswith("error: " if status == 1 else "Usage: ")
    assert "Traceback" not in result.stderr
    assert status == 2 or result.stderr.count("\n") == 1


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    assert run("convert", DRIVE, tmp_path / "tables", "--quiet").exit_code == 0
    return tmp_path / "tables"


def test_version() -> None:
    result = run("--version")
    assert (result.exit_code, result.stdout) == (0, f"arrow-labels {al.__version__}\n")


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_an_example(name: str) -> None:
    for option in ("--help", "-h"):
        result = run(name, option)
        assert result.exit_code == 0
        assert f"Example: arrow-labels {name} " in result.stdout


def test_help_lists_the_commands() -> None:
    result = run("--help")
    assert result.exit_code == 0
    assert all(f"\n  {name} " in result.stdout for name in COMMANDS)
    assert "..." not in result.stdout.partition("Commands:")[2]


def test_convert_prints_what_it_made(tmp_path: Path) -> None:
    result = run("convert", STREET, tmp_path / "out")
    assert (result.exit_code, result.stderr) == (0, "")
    head, *rows = [line.split() for line in result.stdout.splitlines()]
    assert head == ["table", "rows"]
    tables = read_parquet(tmp_path / "out")
    assert rows == [[name, str(table.num_rows)] for name, table in tables]
    assert tables == al.read_labels(STREET)


def test_convert_with_masks(tmp_path: Path) -> None:
    result = run("convert", STREET, tmp_path / "out", "--masks")
    assert (result.exit_code, result.stderr) == (0, "")
    tables = read_parquet(tmp_path / "out")
    assert tables == al.read_labels(STREET, masks=True)
    assert tables.segments["area"].null_count == 0
    assert run("restore", tmp_path / "out", tmp_path / "back.json").exit_code == 0
    document = json.loads((DATA / "street" / "release.json").read_text())
    assert difference(document, json.loads((tmp_path / "back.json").read_text())) is None


def test_bitmaps_that_fail_set_the_status(tmp_path: Path) -> None:
    label = {"annotations": [{"id": 1, "category_id": 0}], "segmentation_bitmap": {"url": f"no.png?{SIGNATURE}"}}
    (tmp_path / "in.jsonl").write_text("\n".join([json.dumps(label)] * 2))
    assert run("convert", tmp_path / "in.jsonl", tmp_path / "out").exit_code == 0
    result = run("convert", tmp_path / "in.jsonl", tmp_path / "masks", "--masks")
    assert_error(result)
    assert "Expected a file, got nothing - at `$.segmentation_bitmap.url` in " in result.stderr
    assert "secret" not in result.stderr
    assert not (tmp_path / "masks").exists()

    result = run("convert", tmp_path / "in.jsonl", tmp_path / "masks", "--masks", "--on-error", "collect")
    assert (result.exit_code, result.stderr) == (1, "2 records were rejected: table `rejects` says which and why\n")
    assert read_parquet(tmp_path / "masks").segments.num_rows == 2


@pytest.mark.parametrize("task_type", TASK_TYPES)
def test_convert_and_restore_give_the_same_json(task_type: str, tmp_path: Path) -> None:
    document = release(task_type, samples=2, frames=4)
    (tmp_path / "in.json").write_text(json.dumps(document))
    assert run("convert", tmp_path / "in.json", tmp_path / "out").exit_code == 0
    result = run("restore", tmp_path / "out", tmp_path / "back.json")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines()[0].split() == ["table", "rows"]
    assert difference(document, json.loads((tmp_path / "back.json").read_text())) is None


@pytest.mark.parametrize("to", ["delta", "iceberg", "lance"])
def test_lakehouses(to: str, tmp_path: Path) -> None:
    """Convert, convert what changed, restore from what is found there."""
    place = "test.labels" if to == "iceberg" else str(tmp_path / "lake")
    options: list[object] = []
    if to == "iceberg":
        properties = {"uri": f"sqlite:///{tmp_path}/catalog.db", "warehouse": f"file://{tmp_path}/warehouse"}
        options = [item for key, value in properties.items() for item in ("--lake-option", f"{key}={value}")]
    made = run("convert", DRIVE, place, "--to", to, *options)
    assert made.exit_code == 0
    assert re.search(r"^cuboids +169$", made.stdout, re.MULTILINE)
    assert_error(refused := run("convert", DRIVE, place, "--to", to, *options))
    assert "--mode append, upsert or overwrite writes to tables" in refused.stderr
    assert run("convert", DRIVE, place, "--to", to, "--mode", "upsert", *options, "--quiet").exit_code == 0
    assert run("restore", place, tmp_path / "restored.json", *options).exit_code == 0
    restored = json.loads((tmp_path / "restored.json").read_bytes())
    assert difference(restored, json.loads(Path(DRIVE).read_bytes())) is None


def test_parquet_that_is_added_to(tmp_path: Path) -> None:
    target = tmp_path / "out"
    assert run("convert", STREET, target, "--mode", "append", "--quiet").exit_code == 0
    assert_error(refused := run("convert", STREET, target, "--mode", "append"))
    assert "--mode upsert replaces them" in refused.stderr
    result = run("convert", DRIVE, target, "--mode", "upsert")
    assert re.search(r"^cuboids +169$", result.stdout, re.MULTILINE)
    found = al.read_parquet(target)
    assert found.labels.num_rows == al.read_labels([STREET, DRIVE]).labels.num_rows


def test_lakehouses_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert_error(run("convert", DRIVE, "lake", "--to", "iceberg"))
    assert_error(run("convert", DRIVE, "nowhere.labels", "--to", "iceberg"))
    assert_error(run("restore", "nowhere.labels", "restored.json"))
    assert_error(run("restore", "lake", "restored.json", "--from", "delta"))


def test_convert_options(tmp_path: Path) -> None:
    options = [
        "--task-type",
        "vector",
        "--timestamp-unit",
        "us",
        "--labelset",
        "ground-truth",
        "--compression",
        "snappy",
    ]
    result = run("convert", DRIVE, tmp_path / "out", *options, "--table", "cuboids", "--table", "labels")
    assert result.exit_code == 0
    found = read_parquet(tmp_path / "out")
    assert found == al.read_labels(
        DRIVE, task_type="vector", timestamp_unit="us", labelsets=["ground-truth"], tables=["cuboids", "labels"]
    )
    assert found.cuboids.num_rows
    assert not found.frames.num_rows


def test_convert_takes_several_sources(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(GOOD)
    (tmp_path / "b.json").write_bytes(GOOD)
    assert run("convert", tmp_path / "a.json", tmp_path / "b.json", tmp_path / "out").exit_code == 0
    assert read_parquet(tmp_path / "out").labels["sample_id"].to_pylist() == ["a", "b"]


def test_convert_goes_on_where_it_was(tmp_path: Path) -> None:
    source, target = tmp_path / "in.json", tmp_path / "out"
    document = release("vector", samples=4)
    source.write_text(json.dumps(document))
    assert run("convert", source, target).exit_code == 0
    before = {path: path.stat().st_mtime_ns for path in [target, *target.rglob("*")]}
    count = al.read_labels(str(source)).labels.num_rows

    result = run("convert", source, target, "--incremental")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines == [["labels", "number"], ["new", "0"], ["changed", "0"], ["removed", "0"], ["unchanged", str(count)]]
    assert {path: path.stat().st_mtime_ns for path in [target, *target.rglob("*")]} == before

    del document["dataset"]["samples"][1]
    document["dataset"]["samples"][0]["labels"] = {"model": {"attributes": {"annotations": []}}}
    source.write_text(json.dumps(document))
    assert run("convert", source, target, "--incremental", "--removed", "keep", "--quiet").output == ""
    assert read_parquet(target).samples.num_rows == 4
    assert run("convert", source, target, "--incremental").exit_code == 0
    assert read_parquet(target) == al.read_labels(str(source))
    assert run("convert", source, tmp_path / "whole").exit_code == 0
    assert read_parquet(target).labels.equals(read_parquet(tmp_path / "whole").labels)


@pytest.mark.parametrize(
    "options", [["--incremental", "--overwrite"], ["--incremental", "--table", "labels"], ["--removed", "keep"]]
)
def test_options_that_do_not_go_together(options: list[str], tmp_path: Path) -> None:
    assert_error(run("convert", STREET, tmp_path / "out", *options), status=2)
    assert not list(tmp_path.iterdir())


def test_incremental_rejects_set_the_status(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "bad.json").write_bytes(BAD)
    (tmp_path / "in" / "good.json").write_bytes(GOOD)
    for _ in range(2):
        result = run("convert", tmp_path / "in", tmp_path / "out", "--incremental", "--on-error", "collect")
        assert (result.exit_code, result.stderr) == (1, "1 record was rejected: table `rejects` says which and why\n")
    assert_error(run("convert", tmp_path / "in", tmp_path / "out", "--incremental"))


def test_quiet_prints_nothing(tmp_path: Path) -> None:
    for args in (["convert", STREET, tmp_path / "out"], ["restore", tmp_path / "out", tmp_path / "back.json"]):
        result = run(*args, "--quiet")
        assert (result.exit_code, result.output) == (0, "")


def test_overwrite(tables: Path, tmp_path: Path) -> None:
    result = run("convert", STREET, tables)
    assert_error(result)
    assert "--overwrite replaces" in result.stderr
    assert run("convert", STREET, tables, "--overwrite").exit_code == 0
    assert read_parquet(tables).samples.num_rows == 6

    target = tmp_path / "back.json"
    target.write_text("mine")
    result = run("restore", tables, target)
    assert_error(result)
    assert "--overwrite replaces" in result.stderr
    assert target.read_text() == "mine"
    assert run("restore", tables, target, "--overwrite").exit_code == 0
    assert "dataset" in json.loads(target.read_text())


def test_restore_chooses_a_dataset(tmp_path: Path) -> None:
    assert run("convert", STREET, DRIVE, tmp_path / "out").exit_code == 0
    result = run("restore", tmp_path / "out", tmp_path / "back.json")
    assert_error(result)
    assert "choose with --dataset" in result.stderr
    name = "anna/segmentation-bitmap"
    assert run("restore", tmp_path / "out", tmp_path / "back.json", "--dataset", name).exit_code == 0
    assert json.loads((tmp_path / "back.json").read_text())["dataset"]["name"] == name


def test_rejects_set_the_status(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "bad.json").write_bytes(BAD)
    (tmp_path / "in" / "good.json").write_bytes(GOOD)
    assert_error(run("convert", tmp_path / "in", tmp_path / "out"))
    assert not (tmp_path / "out").exists()

    result = run("convert", tmp_path / "in", tmp_path / "out", "--on-error", "collect")
    assert result.exit_code == 1
    assert ["rejects", "1"] in [line.split() for line in result.stdout.splitlines()]
    assert result.stderr == "1 record was rejected: table `rejects` says which and why\n"
    assert read_parquet(tmp_path / "out").segments.num_rows == 1

    result = run("restore", tmp_path / "out", tmp_path / "back.json")
    assert (result.exit_code, result.stderr) == (1, "1 record was rejected: they are in the tables only\n")
    assert (tmp_path / "back.json").exists()

    result = run("inspect", tmp_path / "in")
    assert result.exit_code == 1
    assert re.search(r"^Rejects\nsource .*\n.*bad\.json .*Expected `int", result.stdout, re.MULTILINE)


def test_inspect_as_json() -> None:
    result = run("inspect", DRIVE, "--format", "json")
    assert (result.exit_code, result.stderr) == (0, "")
    found = inspect_labels(DRIVE)
    shown = json.loads(result.stdout)
    assert shown.pop("summary") == dict(found.pop("summary").rows())
    assert shown == {name: rows.to_dicts() for name, rows in found.items()}


@pytest.mark.parametrize("labelset", [(), ("--labelset", "ground-truth")], ids=["all", "one labelset"])
@pytest.mark.parametrize("to", ["parquet", "delta", "lance"])
def test_inspect_tables(to: str, labelset: tuple[str, ...], tmp_path: Path) -> None:
    assert run("convert", STREET, tmp_path / "tables", "--to", to).exit_code == 0
    told, expected = (run("inspect", source, *labelset) for source in (tmp_path / "tables", STREET))
    assert (told.exit_code, told.stdout, told.stderr) == (0, expected.stdout, "")


def test_inspect_tables_a_sample_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("convert", STREET, tmp_path / "tables").exit_code == 0
    monkeypatch.setattr("arrow_labels.formats._BATCH_BYTES", 1)
    monkeypatch.setattr("arrow_labels.formats.read_parquet", None)  # which reads all at once
    assert run("inspect", tmp_path / "tables").stdout == run("inspect", STREET).stdout


def test_restore_writes_where_standard_output_is(tmp_path: Path) -> None:
    assert run("convert", STREET, tmp_path / "tables").exit_code == 0
    with (tmp_path / "out").open("wb", buffering=0) as out:
        out.write(b"before\n")
        subprocess.run(command("restore", tmp_path / "tables", "-"), stdout=out, check=True)
        out.write(b"\nafter")
    before, *release, after = (tmp_path / "out").read_bytes().splitlines()
    assert (before, after) == (b"before", b"after")
    assert json.loads(b"".join(release)) == json.loads((Path(STREET) / "release.json").read_bytes())


def test_a_target_that_is_a_loop_of_links(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    for target in (tmp_path / "loop", tmp_path / "loop" / "x"):
        result = run("convert", STREET, target)
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.count("\n") == 1
        assert "Expected" in result.stderr


def test_inspect_as_text() -> None:
    result = run("inspect", STREET, "--labelset", "ground-truth")
    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["samples", "6"] in lines
    assert ["ground-truth", "segmentation-bitmap", "REVIEWED", "1", "0"] in lines
    assert "model-predictions" not in result.stdout
    assert "Rejects" not in result.stdout


def test_inspect_shows_the_first_rejects(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes(b"\n".join([BAD] * 30))
    result = run("inspect", tmp_path / "in.jsonl")
    assert result.exit_code == 1
    assert "Rejects (the first 20 of 30)\n" in result.stdout
    assert result.stdout.count("in.jsonl:") == 20


def test_text_is_aligned_and_moves_no_cursor(tmp_path: Path) -> None:
    names = ["車", "a\tb\nc", "\x1b[31mred", "[bold]x[/bold]"]
    categories = [{"id": number, "name": name} for number, name in enumerate(names)]
    annotations = [{"id": 1, "category_id": number} for number in range(4)]
    sample = {"uuid": "s", "labels": {"ground-truth": {"attributes": {"annotations": annotations}}}}
    document = {"dataset": {"name": "d", "task_attributes": {"categories": categories}, "samples": [sample]}}
    (tmp_path / "in.json").write_text(json.dumps(document))
    text = run("inspect", tmp_path / "in.json").stdout
    section = text.partition("Annotations\n")[2].partition("\n\n")[0].splitlines()
    assert len(section) == 5
    assert {r"a\tb\nc", r"\x1b[31mred", "[bold]x[/bold]", "車"} == {line.split()[3] for line in section[1:]}
    ends = {len(line) + line.count("車") for line in section}
    assert len(ends) == 1


def test_schema() -> None:
    result = run("schema")
    assert result.exit_code == 0
    for name, schema in SCHEMAS.items():
        assert f"{name}: one row is " in result.stdout
        for field in schema:
            assert re.search(rf"^{field.name} +{re.escape(str(field.type))} ", result.stdout, re.MULTILINE)
    only = run("schema", "cuboids")
    assert only.stdout in result.stdout
    assert only.stdout.count("one row is") == 1
    shown = json.loads(run("schema", "--format", "json").stdout)
    means = {name: {item["column"]: item["description"] for item in table["columns"]} for name, table in shown.items()}
    assert means == DESCRIPTIONS
    assert tuple(item["column"] for item in shown["frames"]["columns"] if item["key"]) == KEYS["frames"]


@pytest.mark.parametrize(
    "args",
    [
        ("nonsense",),
        ("convert",),
        ("convert", STREET),
        ("convert", STREET, "out", "--nonsense"),
        ("convert", STREET, "out", "--task-type", "nonsense"),
        ("convert", STREET, "out", "--timestamp-unit", "h"),
        ("convert", STREET, "out", "--table", "nonsense"),
        ("convert", STREET, "out", "--on-error", "skip"),
        ("convert", STREET, "out", "--compression", "zip"),
        ("convert", STREET, "out", "--storage-option", "anon"),
        ("convert", STREET, "out", "--storage-option", "=1"),
        ("convert", STREET, "out", "--to", "csv"),
        ("convert", STREET, "out", "--mode", "merge"),
        ("convert", STREET, "out", "--mode", "upsert", "--overwrite"),
        ("convert", STREET, "out", "--incremental", "--mode", "upsert"),
        ("convert", STREET, "out", "--incremental", "--to", "delta"),
        ("convert", STREET, "out", "--incremental", "--workers", "2"),
        ("convert", STREET, "out", "--to", "delta", "--mode", "upsert", "--overwrite"),
        ("convert", STREET, "out", "--to", "delta", "--compression", "gzip"),
        ("convert", STREET, "out", "--to", "delta", "--partition-by", "nonsense"),
        ("convert", STREET, "out", "--partition-by", "labelset"),
        ("convert", STREET, "out", "--lake-option", "a=b"),
        ("convert", STREET, "out", "--mode", "upsert", "--table", "vectors"),
        ("convert", STREET, "out", "--to", "delta", "--mode", "upsert", "--table", "vectors"),
        ("restore", "out", "release.json", "--from", "csv"),
        ("restore", "out"),
        ("inspect", STREET, "--format", "xml"),
        ("schema", "nonsense"),
    ],
)
def test_wrong_use(args: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert_error(run(*args), status=2)
    assert not any(tmp_path.iterdir())


def test_a_wrong_storage_option_is_not_shown() -> None:
    for option in ("--storage-option", "--lake-option"):
        said = run("restore", "tables", "back.json", option, "hunter2").stderr
        assert f"{option}: expected KEY=VALUE" in said
        assert "hunter2" not in said


@pytest.mark.parametrize("name", ["convert", "inspect"])
@pytest.mark.parametrize("case", ["missing", "empty folder", "no glob match", "no protocol"])
def test_sources_that_give_nothing(name: str, case: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    source = {
        "missing": tmp_path / "no.json",
        "empty folder": tmp_path / "in",
        "no glob match": tmp_path / "*.json",
        "no protocol": "nonsense://bucket/a.json",
    }[case]
    target = [tmp_path / "out"] if name == "convert" else []
    assert_error(run(name, source, *target))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("text.json", b"no JSON at all"),
        ("empty.json", b""),
        ("cut.json", (DATA / "drive" / "release.json").read_bytes()[:100_000]),
        ("other.json", b'{"a": 1}'),
        ("bad.json", BAD),
        ("cut.json.gz", b"\x1f\x8b\x08\x00\x00"),
        ("no.zip", b"PK"),
    ],
)
def test_sources_that_are_no_labels(name: str, content: bytes, tmp_path: Path) -> None:
    source = tmp_path / name
    source.write_bytes(content)
    result = run("convert", source, tmp_path / "out")
    assert_error(result)
    assert name in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == [name]
    result = run("inspect", source)
    assert result.exit_code == 1
    assert "\nRejects\n" in result.stdout
    assert result.stderr == "1 record was rejected\n"


def test_targets_that_cannot_be_written(tables: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    assert_error(run("convert", STREET, tmp_path / "file" / "out"))
    assert_error(run("restore", tables, tmp_path / "no" / "such" / "folder.json"))
    assert_error(run("restore", tables, tables, "--overwrite"))
    assert read_parquet(tables) == al.read_labels(DRIVE)
    assert_error(run("restore", tmp_path / "none", tmp_path / "back.json"))
    assert not (tmp_path / "back.json").exists()
    assert (tmp_path / "file").read_text() == "mine"


def test_messages_have_no_queries(tmp_path: Path, tables: Path) -> None:
    url = f"http://127.0.0.1:9/a.json?{SIGNATURE}"
    for args in (["convert", url, tmp_path / "out"], ["inspect", url], ["restore", url, tmp_path / "back.json"]):
        result = run(*args)
        assert_error(result)
        assert "secret" not in result.output
        assert "http://127.0.0.1:9/a.json" in result.stderr
    for _ in range(2):  # the second finds the target there
        assert "secret" not in run("restore", tables, f"memory://a.json?{SIGNATURE}").output


def test_storage_options_reach_the_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def keep(source: Any, target: Any, **given: Any) -> Any:
        seen.append(given["storage_options"])
        return dict.fromkeys(al.SCHEMAS, 0)

    monkeypatch.setattr(formats, "convert_labels", keep)
    options = ["anon=true", "key=a=b", 'client_kwargs={"region_name": "x"}', "token=abc"]
    given = [part for option in options for part in ("--storage-option", option)]
    assert run("convert", "x", tmp_path / "out", *given).exit_code == 0
    assert seen == [{"anon": True, "key": "a=b", "client_kwargs": {"region_name": "x"}, "token": "abc"}]


def test_codecs_are_those_of_the_writer(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="compression") as raised:
        write_parquet(al.LabelTables(), tmp_path / "out", compression="nonsense")
    assert set(get_args(convert_command.Compression)) == set(
        re.findall(r"\w+", str(raised.value).split("of ")[1].split(" got")[0])[:6]
    )


def test_import_of_the_library_needs_no_terminal_packages() -> None:
    code = "import sys, arrow_labels, arrow_labels.inspection; print({'typer', 'rich', 'click'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_as_a_process_in_a_pipe(tmp_path: Path) -> None:
    done = process("convert", STREET, tmp_path / "out", FORCE_COLOR="1")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("table ")
    for args in (
        ["inspect", DRIVE],
        ["schema"],
        ["--help"],
        ["convert", "-h"],
        ["convert", "--no"],
        ["convert", "a", "b"],
    ):
        done = process(*args, FORCE_COLOR="1")
        printed = done.stdout + done.stderr
        assert printed.replace("\n", "").isprintable()
        assert not re.search("[\u2500-\u259f]", printed)
        assert "Traceback" not in printed


def test_names_that_the_encoding_cannot_hold(tmp_path: Path) -> None:
    attributes = {"annotations": [{"id": 1, "category_id": 0, "attributes": {"größe": 1}}]}
    (tmp_path / "in.json").write_text(json.dumps(attributes))
    done = process("inspect", tmp_path / "in.json", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert r"gr\xf6\xdfe" in done.stdout


@pytest.mark.skipif(os.name == "nt", reason="pipes close in other ways")
def test_standard_input_and_output(tmp_path: Path) -> None:
    text = Path(DRIVE).read_bytes()
    piped = {"input": text, "capture_output": True, "check": True, "cwd": tmp_path}
    assert subprocess.run(command("convert", "-", "tables"), **piped).stdout.endswith(b"findings            0\n")
    assert subprocess.run(command("check", "-"), **piped).stdout == b"No findings.\n"
    restored = subprocess.run(command("restore", "tables", "-"), **piped).stdout
    assert difference(json.loads(text), json.loads(restored)) is None
    back = tmp_path / "back.json"
    with back.open("wb") as file:
        subprocess.run(command("restore", "tables", "-"), stdout=file, check=True, cwd=tmp_path)
    assert back.read_bytes() == restored
    with subprocess.Popen(
        command("restore", "tables", "-"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert running.stdout.read(10) == restored[:10]
        running.stdout.close()
        assert running.stderr.read() == b""
        assert running.wait() == 0
    assert {item.name for item in tmp_path.iterdir()} == {"tables", "back.json"}
    refused = subprocess.run(command("convert", DRIVE, "-"), capture_output=True, cwd=tmp_path)
    assert refused.returncode == 2
    assert b"expected a folder or URL" in refused.stderr


def test_a_reader_that_hangs_up_is_no_error() -> None:
    with subprocess.Popen(command("schema"), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        assert running.stderr.read() == b""
    assert running.returncode == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_that_cannot_be_written() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command("--version"), stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


def on_a_terminal(*args: object, **env: str) -> tuple[int, str]:
    """Run on a pseudo-terminal; gives the exit status and all that was printed."""
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    environment |= {"TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"} | env
    running = subprocess.Popen(command(*args), stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    printed = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # what Linux says at the end
            break
        if not piece:
            break
        printed += piece
    os.close(ours)
    return running.wait(), printed.decode()


def test_on_a_terminal(tmp_path: Path) -> None:
    status, printed = on_a_terminal("convert", DRIVE, tmp_path / "out")
    assert status == 0
    size = f"{Path(DRIVE).stat().st_size / 1000:.1f}"
    assert re.search(rf"convert .*{size}/{size} kB", printed)
    assert "\x1b[?25h" in printed.rpartition("\x1b[?25l")[2]  # the cursor is back
    assert "┃" in printed
    assert re.search(r"│ segments +│ +338 │", printed)

    status, printed = on_a_terminal("convert", DRIVE, tmp_path / "out", "--overwrite", "--masks")
    assert status == 0
    assert "30 bitmaps" in printed

    status, printed = on_a_terminal("convert", DRIVE, tmp_path / "out", "--overwrite", "--quiet", "--masks")
    assert (status, printed) == (0, "")

    status, printed = on_a_terminal("inspect", DRIVE, NO_COLOR="1")
    assert status == 0
    assert "13,515" in printed
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", printed)


SLOW = """
import sys, time
import arrow_labels as al
from arrow_labels import cli
from arrow_labels.write import convert

def slow(job, progress):
    yield al.decode_labels([{"annotations": [{"id": 1, "category_id": 0}]}])
    print("reading", flush=True)
    time.sleep(60)

convert.prepared = slow
cli.main()
"""


@pytest.mark.skipif(os.name == "nt", reason="no SIGINT to send")
def test_interrupted_in_the_middle(tmp_path: Path) -> None:
    arguments = [sys.executable, "-c", SLOW, "convert", str(DRIVE), str(tmp_path / "out")]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert running.stdout.readline() == "reading\n"
        assert any(tmp_path.iterdir())
        time.sleep(0.2)
        running.send_signal(signal.SIGINT)
        assert (running.stdout.read(), running.stderr.read()) == ("", "")
    assert running.returncode == 130
    assert not any(tmp_path.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="no SIGINT to send")
def test_interrupted_while_bitmaps_are_fetched(tmp_path: Path) -> None:
    with faulty_server({"/a.png": [Answer(wait=100)]}) as server:
        label = {"annotations": [], "segmentation_bitmap": {"url": f"{server.url}/a.png"}}
        (tmp_path / "in.json").write_text(json.dumps(label))
        arguments = command("convert", tmp_path / "in.json", tmp_path / "out", "--masks")
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
            while not server.asked:
                time.sleep(0.05)
            running.send_signal(signal.SIGINT)
            assert running.communicate(timeout=50) == ("", "")
    assert running.returncode == 130
    assert [path.name for path in tmp_path.iterdir()] == ["in.json"]
