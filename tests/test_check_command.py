"""`arrow-labels check`: formats, sources and exit status."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from check_cases import cuboid, frame, release, sequence
from test_cli import DRIVE, STREET, run

import arrow_labels as al
from arrow_labels.checks import RULES
from arrow_labels.schema import SCHEMAS

NAMES = SCHEMAS["findings"].names


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A release with an error and a warning, and a labelset of its own for the warning."""
    document = release(sequence(frame(cuboid(dimensions={"x": 4, "y": 0, "z": 1}))))
    labels = document["dataset"]["samples"][0]["labels"]
    labels["model"] = {"attributes": frame(cuboid(yaw=4))}
    path = tmp_path / "release.json"
    path.write_text(json.dumps(document))
    return path


def test_clean_labels() -> None:
    for source in (DRIVE, STREET):
        result = run("check", source, "--masks")
        assert (result.exit_code, result.stdout, result.stderr) == (0, "No findings.\n", "")


def test_errors_set_the_status_and_warnings_do_not(broken: Path) -> None:
    result = run("check", broken)
    assert (result.exit_code, result.stderr) == (1, "")
    assert "non-positive-dimensions" in result.stdout
    assert "yaw-range" in result.stdout
    result = run("check", broken, "--labelset", "model")
    assert result.exit_code == 0
    assert "yaw-range" in result.stdout
    result = run("check", broken, "--rules", "yaw-range,speed", "--rules", "hole")
    assert result.exit_code == 0
    assert "non-positive-dimensions" not in result.stdout


@pytest.mark.parametrize("to", ["parquet", "delta", "lance"])
def test_folders_that_convert_wrote(to: str, broken: Path, tmp_path: Path) -> None:
    assert run("convert", broken, tmp_path / "tables", "--to", to).exit_code == 0
    result = run("check", tmp_path / "tables")
    assert (result.exit_code, result.stdout) == (1, run("check", broken).stdout)


def test_formats_say_the_same(broken: Path) -> None:
    expected = al.check_labels(al.read_labels(str(broken)))
    found = json.loads(run("check", broken, "--format", "json").stdout)
    assert found == expected.to_dicts()
    rows = list(csv.DictReader(io.StringIO(run("check", broken, "--format", "csv").stdout)))
    assert [list(row) for row in rows] == [NAMES] * len(expected)
    assert [row["message"] for row in rows] == expected["message"].to_list()
    page = run("check", broken, "--format", "html").stdout
    assert page.startswith("<!doctype html>")
    assert all(message in page for message in expected["message"])


def test_nothing_found_is_valid_too() -> None:
    assert json.loads(run("check", DRIVE, "--format", "json").stdout) == []
    assert run("check", DRIVE, "--format", "csv").stdout == ",".join(NAMES) + "\n"
    assert "No findings." in run("check", DRIVE, "--format", "html").stdout


def test_tables_that_convert_wrote(broken: Path, tmp_path: Path) -> None:
    assert run("convert", broken, tmp_path / "tables", "--quiet").exit_code == 0
    for options in ([], ["--labelset", "model"]):
        of_json, of_tables = (
            run("check", source, "--format", "json", *options) for source in (broken, tmp_path / "tables")
        )
        assert of_json.exit_code == of_tables.exit_code
        assert json.loads(of_json.stdout) == json.loads(of_tables.stdout)
    assert run("convert", STREET, tmp_path / "street", "--quiet").exit_code == 0
    result = run("check", tmp_path / "street", "--masks")
    assert (result.exit_code, result.stdout) == (0, "No findings.\n")


def test_rejects_are_errors(tmp_path: Path) -> None:
    documents: list[Any] = [frame({"id": "x", "category_id": 0}), frame({"id": 1, "category_id": 0})]
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, documents)))
    result = run("check", tmp_path / "in.jsonl", "--format", "json")
    assert result.exit_code == 1
    (found,) = json.loads(result.stdout)
    assert (found["rule"], found["severity"]) == ("reject", "error")
    assert found["message"].startswith("Expected `int | null`, got `str` - at `$.annotations[0].id` in ")


def test_rejects_of_a_document_are_of_every_labelset(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.json").write_text(json.dumps(frame({"id": 1, "category_id": 0})))
    (tmp_path / "in/b.json").write_text("{")
    assert run("convert", tmp_path / "in", tmp_path / "out", "--on-error", "collect", "--quiet").exit_code == 1
    for command in ("check", "inspect"):
        for source in (tmp_path / "in", tmp_path / "out"):
            result = run(command, source, "--labelset", "ground-truth")
            assert result.exit_code == 1
            assert "b.json" in result.stdout


def test_masks(tmp_path: Path) -> None:
    document = frame({"id": 1, "category_id": 0}, segmentation_bitmap={"url": "a.png"})
    (tmp_path / "label.json").write_text(json.dumps(document))
    (tmp_path / "a.png").write_bytes(al.encode_bitmap([[0, 7]]))
    assert run("check", tmp_path / "label.json").stdout == "No findings.\n"
    found = json.loads(run("check", tmp_path / "label.json", "--masks", "--format", "json").stdout)
    assert [row["rule"] for row in found] == ["unlisted-pixels", "no-pixels"]
    (tmp_path / "a.png").unlink()
    result = run("check", tmp_path / "label.json", "--masks")
    assert result.exit_code == 1
    assert "reject" in result.stdout


def test_wrong_use(tmp_path: Path) -> None:
    result = run("check", DRIVE, "--rules", "speeds")
    assert result.exit_code == 2
    assert "got 'speeds'" in result.stderr
    assert run("check", DRIVE, "--format", "pdf").exit_code == 2
    result = run("check", tmp_path / "nowhere.json")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")


def test_the_table_shows_the_first(tmp_path: Path) -> None:
    many = frame(*(cuboid(number, x=10.0 * number, yaw=4) for number in range(1, 151)))
    (tmp_path / "in.json").write_text(json.dumps(release(many)))
    result = run("check", tmp_path / "in.json")
    assert "Findings (the first 100 of 150)" in result.stdout
    assert result.stdout.count("Expected a yaw") == 100
    assert set(RULES) >= {"yaw-range"}
