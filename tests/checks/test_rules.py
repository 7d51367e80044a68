"""Each rule finds what breaks it, and nothing else does."""

import dataclasses
import json
from pathlib import Path

import polars as pl
import pytest
from check_cases import FORMS, Json, frame, infinite, masked, release, segment, tables, vector
from generate import TASK_TYPES
from generate import release as generated
from hypothesis import HealthCheck, given, settings
from strategies import releases

import arrow_labels as al
from arrow_labels.checks import RULES, check_labels
from arrow_labels.schema import SCHEMAS

DATA = Path(__file__).parents[1] / "data"
PAIRS = [(rule, broken, sound) for rule, pairs in FORMS.items() for broken, sound in pairs]
OF_MASKS = {"no-pixels", "unlisted-pixels"}
OF_NUMBERS = {"non-finite-points": "vectors", "non-finite-cuboid": "cuboids"}
NAMES = [f"{rule}-{number}" for number, (rule, _, _) in enumerate(PAIRS)]


def test_every_rule_has_a_case() -> None:
    assert set(FORMS) | OF_MASKS | set(OF_NUMBERS) == set(RULES)


@pytest.mark.parametrize(("rule", "broken", "sound"), PAIRS, ids=NAMES)
def test_a_label_breaks_just_that_rule(rule: str, broken: Json, sound: Json) -> None:
    found = check_labels(tables(broken))
    links = '"attributes":{"relation"' in json.dumps(broken, separators=(",", ":"))
    assert set(found["rule"]) == {rule}
    assert set(found["severity"]) == {RULES[rule].severity}
    assert found["message"].null_count() == 0
    if rule != "unused-category":
        assert set(found.select("sample_id", "labelset").rows()) == {("s", "ground-truth")}
        if rule not in ("frame-count", "sensor-order", "link-track", "link-category"):
            assert found.filter(pl.col("sensor_index").is_null() | pl.col("frame_index").is_null()).is_empty() or links
    assert check_labels(tables(broken), rules=[rule]).equals(found)
    assert check_labels(tables(sound)).is_empty()


@pytest.mark.parametrize(("rule", "table"), OF_NUMBERS.items())
def test_numbers_that_are_not_finite(rule: str, table: str) -> None:
    assert set(check_labels(infinite(table))["rule"]) == {rule}


def test_what_masks_say_is_found(tmp_path: Path) -> None:
    read = masked(tmp_path)
    found = check_labels(read)
    assert found.select("rule", "value").rows() == [("unlisted-pixels", "7"), ("no-pixels", "2")]
    assert check_labels(dataclasses.replace(read, findings=None)).is_empty()


@pytest.mark.parametrize("task_type", TASK_TYPES)
def test_generated_releases_are_clean(task_type: str) -> None:
    assert check_labels(al.decode_labels([generated(task_type)])).rows() == []


@pytest.mark.parametrize("name", ["drive", "street"])
def test_the_committed_samples_are_clean(name: str) -> None:
    assert check_labels(al.read_labels(str(DATA / name / "release.json"), masks=True)).rows() == []


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(releases())
def test_any_release_can_be_checked(document: Json) -> None:
    found = check_labels(al.decode_labels([document], on_error="collect"))
    assert found.schema == pl.DataFrame(SCHEMAS["findings"].empty_table()).schema
    assert found["rule"].is_in(list(RULES)).all()
    assert found["severity"].is_in(["error", "warning"]).all()
    for value in found["value"].drop_nulls():
        json.loads(value)
    dataclasses.replace(al.LabelTables(), findings=found)  # The rows of the table `findings`.


def test_an_outline_that_runs_back_on_itself_has_no_area() -> None:
    """Its vertices are on no line, and the finding does not say so."""
    found = check_labels(
        tables(release(frame(vector("polygon", [[1, 2], [4, 2], [1, 2], [1, 0]])))), rules=["zero-area"]
    )
    assert found["message"].to_list() == ["Expected a polygon with an area, got an outline that encloses none"]


def test_a_rule_that_is_none() -> None:
    with pytest.raises(ValueError, match=r"rules: expected names out of duplicate-id, .*, got 'speeds'"):
        check_labels(al.LabelTables(), rules=["speed", "speeds"])
    with pytest.raises(ValueError, match=r"rules: expected a collection of names, got the text 'speed'"):
        check_labels(al.LabelTables(), rules="speed")


def test_no_tables_no_findings() -> None:
    assert check_labels(al.LabelTables()).is_empty()


def test_image_size_of_a_mask() -> None:
    """A mask of the same image says how large it is, though it is of another sensor."""
    size = {"height": 15, "width": 100, "counts": [1500]}
    label = release(
        {
            "sensors": [
                {"name": "pixels", "attributes": {"frames": [frame(segment(1))]}},
                {"name": "boxes", "attributes": {"frames": [frame(vector("bbox", [[10, 10], [20, 20]], 2))]}},
            ]
        },
        {
            "sensors": [
                {"name": name, "attributes": {"frames": [{"image": {"url": "a.jpg"}}]}} for name in ("pixels", "boxes")
            ]
        },
    )
    read = tables(label)
    assert check_labels(read).is_empty()
    segments = pl.DataFrame(read.segments).with_columns(pl.lit(size, read_type(read)).alias("rle"))
    masked = dataclasses.replace(read, segments=segments)
    found = check_labels(masked)
    assert found.select("rule", "sensor_index", "message").rows() == [
        ("outside-image", 1, "Expected points within 100.0 x 15.0 pixels, got 10.0, 10.0 to 20.0, 20.0")
    ]


def read_type(read: al.LabelTables) -> pl.DataType:
    return pl.DataFrame(read.segments).schema["rle"]
