"""Two sets of labels: what was added, removed and changed, and how much pairs overlap."""

import dataclasses
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import shapely
from generate import release
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import releases

import arrow_labels as al
from arrow_labels import matching
from arrow_labels.mask_overlap import shared_pixels

DATA = Path(__file__).parent / "data"
KINDS = {"segments", "vectors", "cuboids"}


def read(document: Any) -> al.LabelTables:
    return al.decode_labels([document])


@pytest.fixture(scope="module")
def drive() -> al.LabelTables:
    return al.read_labels(str(DATA / "drive" / "release.json"), masks=True)


@pytest.mark.parametrize("match", ["id", "overlap"])
def test_nothing_changed(drive: al.LabelTables, match: Any) -> None:
    found = al.compare_labels(drive, drive, match=match)
    assert set(found.labels["change"]) == {"same"}
    shaped = found.annotations.filter(pl.col("iou").is_not_null())
    assert shaped["iou"].min() == pytest.approx(1, abs=1e-9)
    assert set(shaped["change"]) == {"same"}
    if match == "id":
        assert set(found.annotations["change"]) == {"same"}
        assert found.tracks.filter(pl.col("agreement") != 1).is_empty()
        assert found.tracks.filter(pl.col("track_id") != pl.col("track_id_other")).is_empty()
    assert found.categories["added"].sum() == found.categories["changed"].sum() == 0
    total = sum(drive[kind].num_rows for kind in KINDS)
    assert found.categories["annotations"].sum() == found.categories["annotations_other"].sum() == total
    assert found.labels["annotations"].sum() == total


def test_what_was_edited() -> None:
    before = release("multisensor-sequence", samples=2, frames=6)
    after = json.loads(json.dumps(before))
    labels = after["dataset"]["samples"][0]["labels"]
    sensors = labels["ground-truth"]["attributes"]["sensors"]
    frame = sensors[0]["attributes"]["frames"][3]["annotations"]
    frame[0]["dimensions"]["x"] *= 2
    frame[1]["attributes"] |= {"occlusion": "full", "new": None}
    frame[1]["attributes"] = dict(reversed(frame[1]["attributes"].items()))
    frame[2]["category_id"] = 4
    gone = frame.pop(3)
    sensors[2]["attributes"]["frames"][4]["annotations"].append(
        {"id": 99, "track_id": 99, "category_id": 0, "type": "bbox", "points": [[0, 0], [5, 5]]}
    )
    labels["ground-truth"]["attributes"]["links"] = []
    labels["model-predictions"]["label_status"] = "LABELED"
    del after["dataset"]["samples"][1]["labels"]["ground-truth"]
    a, b = read(before), read(after)
    found = al.compare_labels(a, b)

    sample = before["dataset"]["samples"][0]["uuid"]
    edited = found.annotations.filter(pl.col("change") != "same", pl.col("sample_id") == sample)
    occluded = before["dataset"]["samples"][0]["labels"]["ground-truth"]["attributes"]["sensors"][0]
    same = occluded["attributes"]["frames"][3]["annotations"][1]["attributes"]["occlusion"] == "full"
    expected = [("cuboids", "changed", ["geometry"], frame[0]["track_id"], frame[0]["track_id"])]
    if not same:
        expected.append(("cuboids", "changed", ["attributes"], frame[1]["track_id"], frame[1]["track_id"]))
    expected += [
        ("cuboids", "changed", ["category_id"], frame[2]["track_id"], frame[2]["track_id"]),
        ("cuboids", "removed", None, gone["track_id"], None),
        ("vectors", "added", None, None, 99),
    ]
    assert edited.select("kind", "change", "columns", "track_id", "track_id_other").rows() == expected
    assert edited["iou"][0] == pytest.approx(0.5)
    changes = {(row["sample_id"] == sample, row["labelset"]): row for row in found.labels.to_dicts()}
    assert changes[True, "ground-truth"]["columns"] == ["links", "annotations"]
    assert changes[True, "model-predictions"]["columns"] == ["label_status"]
    assert changes[False, "ground-truth"]["change"] == "removed"
    assert changes[False, "model-predictions"]["change"] == "same"  # null on both sides
    back = al.compare_labels(b, a)
    assert set(back.labels.filter(pl.col("change") == "added")["labelset"]) == {"ground-truth"}
    assert (found.annotations["change"] == "added").sum() == (back.annotations["change"] == "removed").sum()
    assert found.categories["removed"].sum() == back.categories["added"].sum() > 1


def test_labelsets_match_by_overlap() -> None:
    """Other ids and another order: pairs are found by where they are."""
    document = release("bboxes", samples=1, objects=20)
    rng = random.Random(0)
    boxes = [
        {"id": place + 1, "category_id": 0, "type": "bbox", "points": [[x, y], [x + 40, y + 30]]}
        for place, (x, y) in enumerate((rng.uniform(0, 300), rng.uniform(0, 300)) for _ in range(40))
    ]
    other = [box | {"id": 100 + box["id"], "points": [[x + 1, y] for x, y in box["points"]]} for box in boxes]
    rng.shuffle(other)
    labels = document["dataset"]["samples"][0]["labels"]
    labels["ground-truth"]["attributes"]["annotations"] = boxes
    labels["model-predictions"]["attributes"]["annotations"] = other
    tables = read(document)
    found = al.compare_labels(tables, tables, labelsets=("ground-truth", "model-predictions"), match="overlap")
    assert set(found.annotations["labelset"]) == {"ground-truth"}
    assert found.annotations.filter(pl.col("track_id") + 100 != pl.col("track_id_other")).is_empty()
    assert len(found.annotations) == 40
    assert found.annotations["iou"].to_list() == pytest.approx([39 / 41] * 40)
    by_id = al.compare_labels(tables, tables, labelsets=("ground-truth", "model-predictions"))
    assert by_id.annotations["change"].value_counts().sort("change").rows() == [("added", 40), ("removed", 40)]


def test_boxes_agree_with_shapely() -> None:
    rng = np.random.default_rng(0)
    corners = rng.integers(0, 30, (2, 200, 2, 2)).astype(float)
    corners[..., 1, :] += corners[..., 0, :] + 1
    labels = [
        {
            "annotations": [
                {"id": place, "category_id": 0, "type": "bbox", "points": points.tolist()}
                for place, points in enumerate(side, 1)
            ]
        }
        for side in corners
    ]
    found = al.compare_labels(*map(read, labels)).annotations
    one, two = (shapely.box(*side.reshape(-1, 4).T) for side in corners)
    expected = shapely.area(shapely.intersection(one, two)) / shapely.area(shapely.union(one, two))
    assert found["iou"].to_list() == pytest.approx(expected.tolist())


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32)), max_size=6))
def test_shared_pixels_are_those_of_the_arrays(sizes: list[tuple[int, int, int]]) -> None:
    masks = [np.random.default_rng(seed).random((2, h, w)) < 0.5 for h, w, seed in sizes]
    counts = [
        pl.Series([al.mask_to_rle(pair[side])["counts"] for pair in masks], dtype=pl.List(pl.Int32)) for side in (0, 1)
    ]
    assert shared_pixels(*counts).tolist() == [int((pair[0] & pair[1]).sum()) for pair in masks]


def test_masks_and_points() -> None:
    a = np.zeros((20, 30), np.uint32)
    a[2:10, 3:13], a[12:18, 20:28] = 1, 2
    b = np.roll(a, 2, axis=1)
    points = ([0, 1, 1, 1, 2, 2], [0, 0, 1, 1, 2, 2])
    sides = []
    for ids, of_points in zip((a, b), points, strict=True):
        annotations = [{"id": each, "category_id": 0} for each in (1, 2)]
        tables = al.decode_labels(
            [{"annotations": annotations}, {"annotations": annotations, "point_annotations": of_points}]
        )
        rows = pl.DataFrame(tables.segments)
        table = pl.DataFrame(al.mask_table(ids)).select("id", "area", "xmin", "ymin", "xmax", "ymax", "rle")
        kept = rows.drop("area", "xmin", "ymin", "xmax", "ymax", "rle")
        masked = kept.filter(pl.col("sample_id") == "0").join(table, on="id", how="left")
        rows = pl.concat([masked, rows.filter(pl.col("sample_id") != "0")], how="diagonal").select(rows.columns)
        sides.append(dataclasses.replace(tables, segments=rows))
    for match in ("id", "overlap"):
        found = al.compare_labels(*sides, match=match).annotations
        assert found["iou"].to_list() == pytest.approx([64 / 96, 36 / 60, 2 / 3, 1])
        assert found["columns"].list.join(",").to_list() == ["geometry", "geometry", "", ""]


def clouds(frames: list[list[int]], seed: int) -> al.LabelTables:
    """Frames of two segments and some points each, in any order of rows; of a frame's two rows the first one counts."""
    annotations = [{"id": each, "category_id": 0} for each in (1, 2)]
    tables = read({"frames": [{"annotations": annotations, "point_annotations": ids} for ids in frames]})
    rows = pl.DataFrame(tables.frames).sample(fraction=1, shuffle=True, seed=seed)
    again = rows.with_columns(pl.col("point_annotations").list.reverse())
    return dataclasses.replace(tables, frames=pl.concat([rows, again]))


@pytest.mark.parametrize("match", ["id", "overlap"])
@settings(max_examples=30, deadline=None)
@given(
    frames=st.lists(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=6), min_size=1, max_size=8),
    most=st.integers(1, 20),
)
def test_points_are_counted_a_few_frames_at_a_time(match: Any, frames: list[list[tuple[int, int]]], most: int) -> None:
    one, two = ([[pair[side] for pair in frame] for frame in frames] for side in (0, 1))
    two[0].append(1)  # its points are not those of the other side
    a, b = clouds(one, 0), clouds(two, 1)
    heights: list[int] = []
    explode = pl.DataFrame.explode

    def counted(frame: pl.DataFrame, *columns: Any) -> pl.DataFrame:
        made = explode(frame, *columns)
        heights.append(made.height)
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matching, "_POINTS", most, raising=False)
        patch.setattr(pl.DataFrame, "explode", counted)
        found = al.compare_labels(a, b, match=match).annotations
    assert 0 < len(heights) <= len(frames)  # each point once
    assert max(heights) < most + 6
    if match == "overlap":
        assert found.equals(al.compare_labels(a, b, match=match).annotations)
        return
    for (place, frame), ious in zip(enumerate(frames), found["iou"].reshape((-1, 2)).to_list(), strict=True):
        for each, iou in enumerate(ious, 1):
            union = sum(each in pair for pair in frame) if place else 0
            assert iou == (frame.count((each, each)) / union if union else None)


@pytest.mark.parametrize(
    ("one", "two", "expected"),
    [([1, 1, 0, 0], [0, 0, 1, 1], 0.0), ([1, 1, 0, 0], [0, 0, 0, 0], 0.0), ([0, 2], [2, 0], None), ([1], [0, 1], None)],
    ids=["apart", "only-a-has-points", "neither-has-points", "other-count"],
)
def test_segments_without_a_common_point(one: list[int], two: list[int], expected: float | None) -> None:
    a, b = (read({"annotations": [{"id": 1, "category_id": 0}], "point_annotations": ids}) for ids in (one, two))
    assert al.compare_labels(a, b).annotations.select("change", "iou").rows() == [("same", expected)]
    found = al.compare_labels(a, b, match="overlap").annotations
    assert found["change"].to_list() == ["removed", "added"]


@pytest.mark.parametrize(
    ("one", "two", "change"),
    [
        ({"a": True}, {"a": 1}, "changed"),
        ({"a": 0}, {"a": False}, "changed"),
        ({"a": [True]}, {"a": [1.0]}, "changed"),
        ({"a": {"b": [0]}}, {"a": {"b": [False]}}, "changed"),
        ({"a": {"b": [1, True], "c": 0}}, {"a": {"c": 0.0, "b": [1.0, True]}}, "same"),
        ({"a": "1"}, {"a": 1}, "changed"),
    ],
)
def test_attributes_are_compared_as_json(one: Any, two: Any, change: str) -> None:
    cuboid = {"id": 1, "category_id": 0, "type": "cuboid", "position": {"x": 0, "y": 0, "z": 0}}
    cuboid |= {"dimensions": {"x": 1, "y": 1, "z": 1}, "yaw": 0}
    a, b = (read({"annotations": [cuboid | {"attributes": each}]}) for each in (one, two))
    assert al.compare_labels(a, b).annotations["change"].to_list() == [change]


def test_attributes_that_are_nested_too_deep_are_compared_as_texts() -> None:
    tables = read({"annotations": [{"id": 1, "category_id": 0, "type": "bbox", "points": [[0, 0], [1, 1]]}]})
    rows = pl.DataFrame(tables.vectors)
    sides = [
        dataclasses.replace(tables, vectors=rows.with_columns(attributes=pl.lit('{"a":' + "[" * 5000 + text)))
        for text in ("]" * 5000 + "}", "]" * 5000 + " }")
    ]
    assert al.compare_labels(*sides).annotations["change"].to_list() == ["changed"]


@pytest.mark.parametrize("name", ["frames", "links"])
def test_the_order_of_rows_is_no_change(drive: al.LabelTables, name: str) -> None:
    rows = pl.DataFrame(drive[name])
    if name == "links":  # a second one of each label
        rows = pl.concat([rows, rows.with_columns(pl.col("link_index", "to_id") + 1)])
    a, turned, fewer = (dataclasses.replace(drive, **{name: each}) for each in (rows, rows.reverse(), rows[:-1]))
    assert set(al.compare_labels(a, turned).labels["change"]) == {"same"}
    for found in (al.compare_labels(a, fewer), al.compare_labels(fewer, a)):
        assert found.labels.filter(pl.col("change") != "same")["columns"].to_list() == [[name]]


@pytest.mark.parametrize(
    ("name", "column"), [("frames", "image_attributes"), ("links", "attributes"), ("links", "frames")]
)
def test_links_and_frames_are_compared_as_json(drive: al.LabelTables, name: str, column: str) -> None:
    rows = pl.DataFrame(drive[name])

    def holding(text: str) -> al.LabelTables:
        return dataclasses.replace(drive, **{name: rows.with_columns(pl.lit(text).alias(column))})

    a = holding('{"a":1,"b":[true,null]}')
    alike = al.compare_labels(a, holding('{"b": [true, null], "a": 1.0}'))
    assert set(alike.labels["change"]) == {"same"}
    for text in ('{"a":true,"b":[true,null]}', '{"a":1,"b":[null,true]}', "no JSON"):
        changed = al.compare_labels(a, holding(text)).labels.filter(pl.col("change") == "changed")
        assert set(changed["sample_id"]) == set(rows["sample_id"])
        assert set(changed["columns"].list.join(",")) == {name}


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(releases(), releases(), st.sampled_from(("id", "overlap")))
def test_any_releases_can_be_compared(one: Any, two: Any, match: Any) -> None:
    a, b = (al.decode_labels([document], on_error="collect") for document in (one, two))
    found = al.compare_labels(a, b, match=match)
    count = [sum(tables[kind].num_rows for kind in KINDS) for tables in (a, b)]
    change = found.annotations["change"]
    assert (change != "added").sum() == count[0]
    assert (change != "removed").sum() == count[1]
    own = al.compare_labels(a, a)
    lone = own.annotations.filter(pl.col("change") != "same")
    assert lone["track_id"].null_count() == len(lone)


def test_a_match_that_is_none() -> None:
    with pytest.raises(ValueError, match=r"match: expected 'id' or 'overlap', got 'name'"):
        al.compare_labels(al.LabelTables(), al.LabelTables(), match="name")  # type: ignore[arg-type]


@pytest.mark.parametrize("labelsets", ["gt", ("ground-truth",), ("a", "b", "c")])
def test_labelsets_that_are_not_two(labelsets: Any) -> None:
    with pytest.raises(ValueError, match=r"labelsets: expected a name of a and one of b, got "):
        al.compare_labels(al.LabelTables(), al.LabelTables(), labelsets=labelsets)
