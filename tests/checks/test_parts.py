"""Tables in parts: the same rows, and the same findings."""

import random
from typing import Any

import polars as pl
import pytest
from generate import release
from hypothesis import HealthCheck, given, settings
from strategies import releases

import arrow_labels as al
from arrow_labels.checks import check_labels, parts
from arrow_labels.checks.parts import parts as split
from arrow_labels.schema import SCHEMAS

KEYED = [name for name, schema in SCHEMAS.items() if "sample_id" in schema.names and name != "rejects"]


def broken(document: Any, seed: int = 0) -> Any:
    """A release with many things wrong in it."""
    rng = random.Random(seed)
    for sample in document["dataset"]["samples"]:
        for label in sample["labels"].values():
            for sensor in (label or {"attributes": {"sensors": []}})["attributes"]["sensors"]:
                for frame in sensor["attributes"]["frames"]:
                    for each in frame["annotations"]:
                        if rng.random() < 0.1:
                            each |= {"category_id": 9}
                        if rng.random() < 0.1:
                            each["attributes"] = {"occlusion": "some", "doors": 11, "new": 1}
                        if rng.random() < 0.1 and "yaw" in each:
                            each |= {"yaw": 8}
                        if rng.random() < 0.1:
                            each |= {"is_keyframe": False}
                        if rng.random() < 0.02:
                            each |= {"id": 1, "track_id": 1}
    return document


@pytest.fixture(scope="module")
def tables() -> al.LabelTables:
    return al.decode_labels([broken(release("multisensor-sequence", samples=7))])


@pytest.mark.parametrize("rows", [1, 300, 10**6])
def test_every_row_is_in_one_part(tables: al.LabelTables, rows: int) -> None:
    made = list(split(tables, rows))
    assert len(made) in {1: {7}, 300: {4, 5, 6}, 10**6: {1}}[rows]
    for name in KEYED:
        whole = pl.concat([pl.DataFrame(pl.from_arrow(part[name])) for part in made])
        assert whole.equals(pl.DataFrame(pl.from_arrow(tables[name])))
    assert all(part["categories"].equals(tables["categories"]) for part in made)


def test_findings_are_those_of_the_whole(tables: al.LabelTables, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = check_labels(tables)
    assert len(set(whole["rule"])) > 10
    monkeypatch.setattr(parts, "__defaults__", (100,))
    cut = check_labels(tables)
    assert cut.sort(pl.all()).equals(whole.sort(pl.all()))
    assert cut["rule"].equals(whole["rule"])
    backwards = al.LabelTables(**{name: pl.DataFrame(pl.from_arrow(table)).reverse() for name, table in tables})
    key = ["sample_id", "labelset", "sensor_index", "frame_index", "annotation_index"]
    for found in (whole, cut, check_labels(backwards)):
        for _, of_rule in found.select("rule", *key).group_by("rule"):
            assert of_rule.equals(of_rule.sort(key))


def test_rows_in_any_order(tables: al.LabelTables, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables that went through a store without an order."""
    whole = check_labels(tables)
    shuffled = al.LabelTables(
        **{
            name: pl.DataFrame(pl.from_arrow(table)).sample(fraction=1, shuffle=True, seed=1)
            if name not in ("categories", "attribute_specs")
            else table
            for name, table in tables
        }
    )
    mixed = check_labels(shuffled)
    monkeypatch.setattr(parts, "__defaults__", (100,))
    cut = check_labels(shuffled)
    for found in (mixed, cut):
        differ = found.join(whole, on=found.columns, how="anti", nulls_equal=True)
        # Of rows of one track on one frame, and categories of one track, the first in the table counts.
        assert set(differ["rule"]) <= {"not-interpolated", "undefined-attribute"}
        assert len(found) == len(whole)
        assert len(differ) < 10


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(releases())
def test_any_release_in_parts(document: Any) -> None:
    tables = al.decode_labels([document], on_error="collect")
    made = list(split(tables, 1))
    for name in KEYED:
        assert sum(part[name].num_rows for part in made) == tables[name].num_rows
