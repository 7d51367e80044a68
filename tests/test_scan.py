"""A scan gives what the same query gives on the whole table, and decodes no more than the query uses."""

import copy
import gzip
import io
import json
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from compare import JSON_COLUMNS, same_value
from engines import everywhere
from generate import release
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from polars.testing import assert_frame_equal
from strategies import attributes, labels, releases, samples

import arrow_labels as al
from arrow_labels import contents, files, wire
from arrow_labels.decode import annotations, number_lists
from arrow_labels.decode import documents as decoding

RELEASE = release("multisensor-sequence", seed=5, samples=2)
KEYS = ("sample_id", "labelset", "label_status", "sensor_index", "sensor", "frame_index")
SEGMENT = {"track_id": 7, "category_id": 1}
CUBOID = {
    "id": 1,
    "category_id": 1,
    "type": "cuboid",
    "position": {"x": 1, "y": 2, "z": 3},
    "dimensions": {"x": 1, "y": 1, "z": 1},
    "yaw": 0.5,
}

Step = tuple[str, list[Any]]


def in_frames(*annotations: Any) -> dict[str, Any]:
    return {"frames": [{"annotations": [annotation]} for annotation in annotations]}


def whole(source: Any, table: str) -> pl.DataFrame:
    frame = pl.from_arrow(al.read_labels(source)[table])
    assert isinstance(frame, pl.DataFrame)
    return frame


def assert_same(found: pl.DataFrame, expected: pl.DataFrame) -> None:
    """Equal frames; JSON is equal by value."""
    assert found.schema == expected.schema
    assert found.height == expected.height
    for name in found.columns:
        for value, wanted in zip(found[name].to_list(), expected[name].to_list(), strict=True):
            assert same_value(name, value, wanted), name


@st.composite
def conditions(draw: DrawFn, frame: pl.DataFrame) -> pl.Expr:
    """Draw a filter of one column, often of a key."""
    names = [name for name in KEYS if name in frame.columns]
    name = draw(st.sampled_from(names if names and draw(st.booleans()) else frame.columns))
    column, dtype = pl.col(name), frame.schema[name]
    found = frame[name].drop_nulls().to_list()
    kinds = [column.is_null(), column.is_not_null()]
    if isinstance(dtype, pl.List):
        kinds = [column.list.len() > 0, column.list.len() == 0]
    elif found and name not in JSON_COLUMNS and not isinstance(dtype, pl.Struct):
        value = pl.lit(draw(st.sampled_from(found)), dtype)
        some = pl.Series(draw(st.lists(st.sampled_from(found), max_size=3)), dtype=dtype).implode()
        text = column.cast(pl.String, strict=False).str
        kinds += [column == value, column != value, column >= value, column.is_in(some), column.eq_missing(value)]
        kinds += [text.len_chars() > 3, text.contains("[0-4]"), (column == value) & text.starts_with("0")]
    condition = draw(st.sampled_from(kinds))
    return ~condition if draw(st.booleans()) else condition


@st.composite
def queries(draw: DrawFn, frame: pl.DataFrame) -> list[Step]:
    """Draw a chain of projections, filters and slices."""
    steps: list[Step] = []
    for kind in draw(st.lists(st.sampled_from(("select", "filter", "filter", "slice", "head", "tail")), max_size=4)):
        if kind == "select":
            names = draw(st.lists(st.sampled_from(frame.columns), min_size=1, max_size=4, unique=True))
            frame = frame.select(names)
            steps.append((kind, names))
        elif kind == "filter":
            parts = draw(st.lists(conditions(frame), min_size=1, max_size=3))
            steps.append((kind, [pl.any_horizontal(parts)] if draw(st.booleans()) else parts))
        elif kind == "slice":
            steps.append((kind, [draw(st.integers(-4, 4)), draw(st.integers(0, 5))]))
        else:
            steps.append((kind, [draw(st.integers(0, 5))]))
    return steps


def run(frame: pl.LazyFrame, steps: list[Step]) -> pl.LazyFrame:
    for method, arguments in steps:
        frame = getattr(frame, method)(*arguments)
    return frame


documents = st.lists(releases() | samples() | labels() | attributes(), min_size=1, max_size=3)


@settings(max_examples=100, deadline=None)
@given(data=st.data(), source=documents)
def test_a_scan_is_the_query_on_the_whole(data: st.DataObject, source: list[dict[str, Any]]) -> None:
    tables = al.read_labels(source)
    full = [name for name, table in tables if table.num_rows] or ["labels"]
    for _ in range(4):
        table = data.draw(st.sampled_from(full))
        frame = pl.from_arrow(tables[table])
        assert isinstance(frame, pl.DataFrame)
        steps = data.draw(queries(frame))
        scan = run(al.scan_labels(source, table, batch_bytes=data.draw(st.sampled_from((1, 1000, 1 << 20)))), steps)
        expected = run(frame.lazy(), steps).collect(engine="in-memory")
        assert_same(scan.collect(engine="in-memory"), expected)
        assert_same(scan.collect(engine="streaming"), expected)


@pytest.mark.parametrize("table", al.SCHEMAS)
def test_every_column_alone(table: str) -> None:
    frame = whole(RELEASE, table)
    scan = al.scan_labels(RELEASE, table)
    assert scan.collect_schema() == frame.schema
    assert_frame_equal(everywhere(scan), frame)
    for name in frame.columns:
        assert_frame_equal(scan.select(name).collect(), frame.select(name))
    assert everywhere(scan.select(pl.len())).item() == frame.height


@pytest.mark.parametrize("task_type", ["pointcloud-segmentation-sequence", "pointcloud-vector-sequence", "vector"])
def test_every_column_of_annotations_alone(task_type: str) -> None:
    document = release(task_type, seed=2, samples=2)
    for table in al.schema.ANNOTATION_TABLES:
        frame = whole(document, table)
        for name in frame.columns:
            assert_frame_equal(al.scan_labels(document, table).select(name).collect(), frame.select(name))


@pytest.mark.parametrize("table", al.SCHEMAS)
def test_rows_are_numbered_without_a_column(table: str) -> None:
    numbers = al.scan_labels(RELEASE, table).with_row_index("place")
    expected = whole(RELEASE, table).with_row_index("place")
    assert_frame_equal(everywhere(numbers.select("place")), expected.select("place"))
    assert_frame_equal(everywhere(numbers.filter(pl.col("place") < 3).select("place")), expected[:3, :1])


def test_queries_of_two_scans() -> None:
    cuboids, frames = (al.scan_labels(RELEASE, name) for name in ("cuboids", "sample_frames"))
    key = ["sample_id", "sensor_index", "frame_index"]

    def query(cuboids: pl.LazyFrame, frames: pl.LazyFrame) -> pl.LazyFrame:
        near = cuboids.filter(pl.col("frame_index") == 1).select(*key, "track_id", "x")
        return near.join(frames.select(*key, "ego_x"), on=key).join(cuboids, on=[*key, "track_id"]).sort(pl.all())

    expected = query(whole(RELEASE, "cuboids").lazy(), whole(RELEASE, "sample_frames").lazy()).collect()
    assert expected.height
    assert_frame_equal(everywhere(query(cuboids, frames)), expected)
    together = pl.collect_all([cuboids.select("x"), cuboids.select("category"), frames], engine="streaming")
    assert [frame.height for frame in together] == [whole(RELEASE, "cuboids").height] * 2 + [frames.collect().height]


def test_a_sink(tmp_path: Path) -> None:
    al.scan_labels(RELEASE, "vectors", batch_bytes=1).filter(pl.col("frame_index") > 0).sink_parquet(tmp_path / "a")
    expected = whole(RELEASE, "vectors").filter(pl.col("frame_index") > 0)
    assert 0 < expected.height < whole(RELEASE, "vectors").height
    assert_frame_equal(pl.read_parquet(tmp_path / "a"), expected)


# Documents that are decoded in other ways: with unknown members, and mostly of point ids.


def with_unknown(value: Any, key: str = "") -> Any:
    """The same, with an unknown member in every object; that of a sample's labels has none."""
    if isinstance(value, list):
        return [with_unknown(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {name: with_unknown(item, name) for name, item in value.items()} | ({} if key == "labels" else {"~": [1.5]})


def each_alone(source: Any) -> None:
    """Compare every column, and all without `extra`, with those of the whole."""
    for table in al.SCHEMAS:
        frame = whole(source, table)
        scan = al.scan_labels(source, table)
        assert_same(scan.collect(), frame)
        assert_same(scan.drop("extra", strict=False).collect(), frame.drop("extra", strict=False))
        for name in frame.columns:
            assert_same(scan.select(name).collect(), frame.select(name))


def unknown_in_sample(attributes: Any, label: Any) -> dict[str, Any]:
    labels = {"ground-truth": {"label_status": "LABELED", "attributes": label}}
    return {"name": "s", "attributes": attributes, "labels": labels}


UNKNOWN = {
    "annotations": in_frames(with_unknown(CUBOID), {**SEGMENT, "~": 1, "position": {"x": 1}}, {**CUBOID, "points": []}),
    "frames": {"frames": [{"~": 1}, {"annotations": [SEGMENT], "~": {}}, {"~": None}]},
    "one frame": {"annotations": [SEGMENT], "~": 1},
    "no frame": unknown_in_sample({"~": 1}, {"~": 1}),
    "nothing": unknown_in_sample({"~": None}, {"~": None}),
    "sensors": {
        "sensors": [{"name": "a", "attributes": {"~": 1}}, {"name": "b", "attributes": in_frames(SEGMENT), "~": 1}]
    },
    "frames and annotations": {"frames": [{"annotations": [SEGMENT]}], "annotations": [SEGMENT], "timestamp": 3},
    "sample frames": unknown_in_sample(
        {"frames": [{"~": 1, "images": [{"~": 1, "rotation": 2**53 + 1}]}], "images": []}, []
    ),
    "sample sensors": unknown_in_sample(
        {"sensors": [{"name": "a", "attributes": {"frames": [], "images": [{"row": 1}]}}]}, None
    ),
    "numbers": in_frames({**CUBOID, "yaw": 2**53 + 1, "id": 2.0}, {**CUBOID, "dimensions": {"x": 2**60}, "index": 0.0}),
    "release": with_unknown(release("pointcloud-vector-sequence", seed=3, samples=2, frames=2, objects=3)),
}


@pytest.mark.parametrize("document", UNKNOWN.values(), ids=UNKNOWN)
def test_unknown_members(document: dict[str, Any]) -> None:
    each_alone(json.dumps(document, indent=1).encode())


def ids(*runs: int) -> list[int]:
    return [id_ for id_ in runs for _ in range(300)]


CLOUDS: dict[str, Any] = {
    "frames": {"frames": [{"annotations": [SEGMENT], "point_annotations": ids(7, 0, 7, n)} for n in (1, 7, 2)]},
    "empty": {"frames": [{"annotations": [SEGMENT], "point_annotations": n} for n in (ids(7), [], None, ids(7))]},
    "one frame": {"annotations": [SEGMENT], "point_annotations": ids(7, 7, 7)},
    "decoy": {
        "annotations": [{**SEGMENT, "attributes": {'x"point_annotations': [7, 7], 'point_annotations": [': [1]}}],
        "point_annotations": ids(7, 7, 7, 7),
    },
    "elsewhere": {
        "annotations": [{**SEGMENT, "attributes": {"point_annotations": [7]}}],
        "point_annotations": ids(7, 7),
    },
    "texts": {"annotations": [SEGMENT], "point_annotations": [], "image_attributes": {"]": ids(1, 2, 3), "[": "],["}},
    "unknown member": {"~": 1, "annotations": [SEGMENT], "point_annotations": ids(7, 7, 7)},
}


@pytest.mark.parametrize("cloud", CLOUDS.values(), ids=CLOUDS)
def test_point_ids(cloud: dict[str, Any]) -> None:
    each_alone(cloud)
    text = json.dumps(cloud, separators=(",", ":"))
    label = f'{{"label_status":"LABELED","attributes":{text}}}'
    sample = f'{{"name":"s","labels":{{"ground-truth":{label},"model":{label}}}}}'
    lidar = f'{{"sensors":[{{"name":"lidar","attributes":{text}}},{{"name":"b","attributes":{text}}}]}}'
    for source in (label, sample, lidar, f'{{"dataset":{{"samples":[{sample},{sample}]}}}}'):
        frame = whole(source.encode(), "segments")
        scan = al.scan_labels(source.encode(), "segments")
        for condition in (
            pl.col("frame_index") == 1,
            pl.col("sensor") == "b",
            pl.col("labelset") == "model",
            pl.col("sample_id") == "s",
            (pl.col("sample_id") == "s#2") & (pl.col("frame_index") == 0),
        ):
            for names in (["point_count"], ["track_id", "attributes"], frame.columns):
                assert_same(scan.filter(condition).select(names).collect(), frame.filter(condition).select(names))


# What is not used is not decoded. Anything wrong in it then goes unnoticed, which shows it.


def test_no_point_id_is_parsed_that_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = {"annotations": [SEGMENT], "point_annotations": [0, 7] * 5000}
    label = {"frames": [frame] * 3}
    expected = whole(label, "segments").drop("point_count", "extra")
    scan = al.scan_labels(label, "segments")
    assert scan.select("point_count").collect().rows() == [(5000,)] * 3

    def fail(*_: Any) -> None:
        raise AssertionError("point ids are parsed")

    monkeypatch.setattr(number_lists, "_parse_numbers", fail)
    monkeypatch.setattr(annotations, "_point_counts", fail)
    assert_frame_equal(everywhere(scan.select(expected.columns)), expected)
    assert everywhere(scan.filter(pl.col("frame_index") > 1).select("track_id")).rows() == [(7,)]
    frames = al.scan_labels(label, "frames")
    assert everywhere(frames.select("frame_index")).rows() == [(0,), (1,), (2,)]
    assert al.scan_labels(label, "labels").select("frame_count").collect().rows() == [(3,)]
    with pytest.raises(AssertionError):
        frames.select("point_annotations").collect()


BAD: dict[str, tuple[Any, str, list[str]]] = {
    "position": ({**CUBOID, "position": [1, 2]}, "cuboids", ["x", "y", "z"]),
    "rotation": ({**CUBOID, "rotation": "north"}, "cuboids", ["qx", "qy", "qz", "qw"]),
    "points": ({"id": 1, "category_id": 1, "type": "bbox", "points": 3}, "vectors", ["points"]),
    "attributes": ({**SEGMENT, "is_keyframe": "yes"}, "segments", ["is_keyframe"]),
    "category_id": ({"track_id": 7, "category_id": "car"}, "segments", ["category_id", "category"]),
}


@pytest.mark.parametrize(("annotation", "table", "names"), BAD.values(), ids=BAD)
def test_no_member_is_decoded_that_is_not_used(annotation: Any, table: str, names: list[str]) -> None:
    label = in_frames(annotation)
    scan = al.scan_labels(label, table)
    assert everywhere(scan.drop(*names, "extra")).height == 1
    for name in (*names, "extra"):
        with pytest.raises(al.DecodeError):
            scan.select("frame_index", name).collect()
    for other in ("labels", "frames"):
        assert everywhere(al.scan_labels(label, other).drop("extra")).height == 1


def test_no_camera_is_decoded_that_is_not_used() -> None:
    frames = [{"image": {"url": "a.png"}, "images": [{"row": "first"}], "default_z": -2, "bounds": {}}]
    sample = {"name": "s", "attributes": {"frames": frames}, "labels": {}}
    scan = al.scan_labels(sample, "sample_frames")
    assert everywhere(scan.select("default_z", "image_url")).rows() == [(-2.0, "a.png")]
    assert everywhere(al.scan_labels(sample, "samples").select("name", "frame_count")).rows() == [("s", 1)]
    with pytest.raises(al.DecodeError, match="row"):
        al.scan_labels(sample, "cameras").select("name").collect()
    with pytest.raises(al.DecodeError, match="row"):
        scan.collect()


@pytest.fixture
def broken() -> dict[str, Any]:
    """A release of two samples, one of which has a label that cannot be decoded beside one that can."""
    good = {"label_status": "LABELED", "attributes": in_frames(CUBOID, {**CUBOID, "id": 2})}
    bad = copy.deepcopy(good)
    bad["attributes"]["frames"][1]["annotations"][0]["id"] = "seven"
    named = [{"name": "a", "labels": {"ground-truth": bad, "model": good}}, {"name": "b", "labels": {"model": good}}]
    return {"dataset": {"name": "d", "samples": named}}


PRUNED = {
    "sample": pl.col("sample_id") == "b",
    "samples": pl.col("sample_id").is_in(["b", "c"]) & (pl.col("x") > 0),
    "text": pl.col("sample_id").str.contains("^b"),
    "labelset": pl.col("labelset") != "ground-truth",
    "frame": pl.col("frame_index").is_between(0, 0),
    "sensor index": pl.col("sensor_index") > 0,
    "sensor": pl.col("sensor") == "lidar",
    "no sensor": pl.col("sensor").is_not_null() & (pl.col("id") == 1),
}


@pytest.mark.parametrize("condition", PRUNED.values(), ids=PRUNED)
def test_filters_of_keys_are_applied_before_decoding(condition: pl.Expr, broken: dict[str, Any]) -> None:
    scan = al.scan_labels(broken, "cuboids")
    good = copy.deepcopy(broken)
    good["dataset"]["samples"][0]["labels"]["ground-truth"]["attributes"]["frames"][1]["annotations"][0]["id"] = 2
    expected = whole(good, "cuboids")
    assert expected.height == 6
    assert_frame_equal(everywhere(scan.filter(condition)), expected.filter(condition))
    with pytest.raises(al.DecodeError, match="Expected `int | null`, got `str`"):
        scan.filter(condition | (pl.col("id") == 1)).collect()
    with pytest.raises(al.DecodeError):
        scan.head(10).filter(condition).collect()
    with pytest.raises(al.DecodeError) as error:
        scan.filter(pl.col("frame_index") == 1).collect()
    assert (error.value.sample_id, error.value.path) == ("a", "$.frames[1].annotations[0].id")


def drives() -> dict[str, Any]:
    """A release of 3 samples with 2 labelsets, of 2 sensors with 4 frames with 5 cuboids each."""
    sensors = [{"name": name, "attributes": {"frames": [{"annotations": [CUBOID] * 5}] * 4}} for name in ("l", "r")]
    states = {"ground-truth": "REVIEWED", "model": "LABELED"}
    labels = {name: {"label_status": state, "attributes": {"sensors": sensors}} for name, state in states.items()}
    return {"dataset": {"samples": [{"name": name, "labels": labels} for name in "abc"]}}


COUNTED = {
    "everything": (pl.lit(value=True), 240),
    "sample": (pl.col("sample_id") == "b", 80),
    "labelset": (pl.col("labelset").is_in(["model", "other"]), 120),
    "sensor": (pl.col("sensor_index") == 1, 120),
    "frames": (pl.col("frame_index") < 3, 180),
    "several": ((pl.col("sample_id") > "b") & (pl.col("sensor") == "l") & (pl.col("frame_index") == 2), 10),
    "no key": (pl.col("id") == 2, 240),
}


@pytest.mark.parametrize(("condition", "count"), COUNTED.values(), ids=COUNTED)
@pytest.mark.parametrize("lone", [False, True])
def test_as_many_annotations_are_decoded_as_keys_let_pass(
    condition: pl.Expr, count: int, lone: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    source: Any = drives()
    if lone:
        samples = source["dataset"]["samples"]
        source = [
            {**label, "sample_uuid": sample["name"], "labelset": labelset}
            for sample in samples
            for labelset, label in sample["labels"].items()
        ]
    decoded: list[int] = []
    gather = wire.gather
    monkeypatch.setattr(wire, "gather", lambda found: decoded.append(len(found)) or gather(found))
    found = al.scan_labels(source, "cuboids").filter(condition).collect()
    assert found.height in (count, 0)
    assert sum(decoded) == count


def test_as_many_labels_are_decoded_as_their_status_lets_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[str] = []
    add_label = decoding.add_label
    monkeypatch.setattr(decoding, "add_label", lambda rows, *label: decoded.append("") or add_label(rows, *label))
    lone = [{"sample_uuid": "d", "label_status": status} for status in ("REVIEWED", "LABELED", None)]
    scan = al.scan_labels([drives(), *lone, {"annotations": []}, {"labels": {"none": None}}], "labels")
    found = scan.filter(label_status="REVIEWED").collect()
    assert found["sample_id"].to_list() == ["a", "b", "c", "d"]
    assert len(decoded) == 5  # label attributes alone have no status
    found = scan.filter(pl.col("label_status").is_null()).collect()
    assert found["sample_id"].to_list() == ["d#3", "4", "5"]
    assert len(decoded) == 8
    bad = al.scan_labels({"sample_uuid": "a", "label_status": 5}, "labels")
    with pytest.raises(al.DecodeError, match="Expected `str | null`, got `int` - at `\\$.label_status`"):
        bad.filter(label_status="REVIEWED").collect()


def test_lone_labels_are_passed_over_before_they_are_decoded() -> None:
    good, bad = in_frames(CUBOID), in_frames({**CUBOID, "id": "seven"})
    labels = [
        {"sample_uuid": "a", "labelset": "model", "attributes": bad},
        {"sample_uuid": "b", "labelset": "model", "attributes": good},
        {"sample_uuid": "b", "labelset": "model", "attributes": good},
        good,
        {**bad, "more": 1},
        {"uuid": "e", "labels": {"ground-truth": {"attributes": bad}}},
    ]
    scan = al.scan_labels(labels, "cuboids").select("sample_id", "labelset", "x")
    found = everywhere(scan.filter(pl.col("sample_id").is_in(["b", "b#2", "3", "z"])))
    assert found["sample_id"].to_list() == ["b", "b#2", "3"]
    assert everywhere(scan.filter(labelset="model", sample_id="b#2")).height == 1
    assert everywhere(scan.filter(pl.col("labelset") > "model")).height == 0


def test_a_condition_may_fail_where_there_is_no_row() -> None:
    labels = [{"sample_uuid": name, "labelset": "l", "attributes": in_frames(CUBOID)} for name in "123"]
    empty = {"sample_uuid": "none", "labelset": "l", "attributes": {"annotations": []}}
    scan = al.scan_labels([*labels, empty], "cuboids").select("sample_id")
    assert everywhere(scan.filter(pl.col("sample_id").cast(pl.Int32) > 2)).rows() == [("3",)]


def test_rows_are_counted_before_the_filter() -> None:
    label = in_frames(*[SEGMENT] * 10)
    scan = al.scan_labels([label, label], "segments", batch_bytes=1)
    assert everywhere(scan.head(12).filter(sample_id="1").select("frame_index")).rows() == [(0,), (1,)]
    assert everywhere(scan.filter(sample_id="1").head(2).select("frame_index")).rows() == [(0,), (1,)]
    assert everywhere(scan.head(0)).height == 0


def test_no_more_is_read_than_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(in_frames(*[SEGMENT] * 5)))
    (tmp_path / "b.json").write_text("{")
    scan = al.scan_labels(tmp_path, "segments", batch_bytes=1)
    assert everywhere(scan.head(5)).height == 5
    with pytest.raises(al.DecodeError, match="truncated"):
        scan.head(6).collect()


# Sources, options and errors.


def test_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = json.dumps(RELEASE).encode()
    path = tmp_path / "release.json"
    path.write_bytes(text)
    expected = whole(RELEASE, "cuboids")
    monkeypatch.setattr(files, "IN_MEMORY", 1000)
    monkeypatch.setattr(contents, "IN_MEMORY", 1000)
    for source in (path, str(path), f"{tmp_path}/*.json", tmp_path, f"file://{path}", [path], text, RELEASE, [RELEASE]):
        scan = al.scan_labels(source, "cuboids")
        assert_frame_equal(everywhere(scan), expected)
        assert_frame_equal(
            everywhere(scan.filter(sensor_index=0).select("x")), expected.filter(sensor_index=0).select("x")
        )


def test_what_can_be_read_once_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "label.json"
    path.write_text(json.dumps(in_frames(SEGMENT)))
    with path.open("rb") as file:
        scan = al.scan_labels([in_frames(SEGMENT), file], "labels")
    assert everywhere(scan.select("source")).rows() == [("<document 0>",), (str(path),)]
    scan = al.scan_labels((in_frames(SEGMENT) for _ in range(3)), "labels")
    assert everywhere(scan).height == 3
    assert everywhere(al.scan_labels(io.BytesIO(path.read_bytes()), "labels")).height == 1
    with path.open() as text, pytest.raises(al.FetchError, match="binary mode, got one in text mode"):
        al.scan_labels(text, "labels")


def test_files_are_found_when_the_query_runs(tmp_path: Path) -> None:
    scan = al.scan_labels(tmp_path / "*.json", "segments")
    assert scan.collect_schema() == whole(RELEASE, "segments").schema
    with pytest.raises(al.FetchError, match="Expected a match, got none"):
        scan.collect()
    (tmp_path / "a.json").write_text(json.dumps(in_frames(SEGMENT)))
    assert everywhere(scan).height == 1
    (tmp_path / "b.json").write_text(json.dumps(in_frames(SEGMENT)))
    assert everywhere(scan).height == 2


@pytest.mark.parametrize("engine", ["in-memory", "streaming"])
def test_errors_are_those_of_reading(engine: Any, broken: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(al.DecodeError) as expected:
        al.read_labels(broken)
    scan = al.scan_labels(broken, "cuboids")
    others = al.scan_labels(broken, "labels").select("sample_id")
    queries = [scan, scan.select("id"), scan.filter(pl.col("x") > 0), scan.group_by("id").len()]
    for query in (
        *queries,
        scan.join(others, on="sample_id"),
        others.join(scan.select("sample_id", "id"), on="sample_id"),
    ):
        with pytest.raises(al.DecodeError) as error:
            query.collect(engine=engine)
        assert str(error.value) == str(expected.value)
        assert (error.value.sample_id, error.value.path) == ("a", "$.frames[1].annotations[0].id")
    with pytest.raises(al.DecodeError):
        scan.sink_parquet(tmp_path / "a.parquet")
    with pytest.raises(al.FetchError, match="got nothing - at .*no.json"):
        al.scan_labels(tmp_path / "no.json", "labels").collect(engine=engine)


@pytest.mark.parametrize("engine", ["in-memory", "streaming"])
def test_a_source_that_fails_after_some_batches(engine: Any, tmp_path: Path) -> None:
    text = json.dumps(in_frames(*[SEGMENT] * 50)).encode()
    (tmp_path / "a.json").write_bytes(text)
    (tmp_path / "b.json.gz").write_bytes(gzip.compress(text)[:-20])
    (tmp_path / "c.jsonl").write_bytes(text + b"\n{")
    scan = al.scan_labels(tmp_path, "segments", batch_bytes=1)
    counts = scan.group_by("sample_id").len()
    for query in (scan, counts, counts.join(scan, on="sample_id")):
        with pytest.raises(al.FetchError, match=r"Compressed file ended .* - at .*b\.json\.gz"):
            query.collect(engine=engine)
    (tmp_path / "b.json.gz").unlink()
    with pytest.raises(al.DecodeError, match="truncated") as error:
        counts.collect(engine=engine)
    assert error.value.source == f"{tmp_path / 'c.jsonl'}:2"


def test_errors_are_collected(broken: dict[str, Any]) -> None:
    scan = partial(al.scan_labels, [broken, b"nothing", {"labels": 3}], on_error="collect")
    expected = al.read_labels([broken, b"nothing", {"labels": 3}], on_error="collect")
    assert expected.rejects.num_rows == 3
    for table in ("cuboids", "rejects", "samples", "categories"):
        assert_frame_equal(everywhere(scan(table)), pl.DataFrame(expected[table]))
    assert everywhere(scan("cuboids").select("id")).height == expected.cuboids.num_rows == 4
    assert everywhere(scan("cuboids").select("x")).height == 6  # what is not used does not fail
    assert everywhere(scan("rejects").filter(sample_id="a").select("labelset", "path")).rows() == [
        ("ground-truth", "$.frames[1].annotations[0].id")
    ]


def test_keys_do_not_depend_on_what_can_be_decoded() -> None:
    good, bad = in_frames(CUBOID), in_frames({**CUBOID, "yaw": "north"})
    source = [{"sample_uuid": "a", "label_status": "LABELED", "attributes": label} for label in (bad, good)]
    named = {"name": "s", "labels": {"ground-truth": {"attributes": good}}}
    source += [{"uuid": "s", "labels": 3}, {**named, "uuid": 5}, named, {**named, "priority": "high"}]
    tables = al.read_labels(source, on_error="collect")
    assert tables.cuboids["sample_id"].to_pylist() == ["a#2", "s#2", "s#3", "s#4"]
    assert tables.rejects["sample_id"].to_pylist() == ["a", "s", "s#2", "s#4"]
    scan = al.scan_labels(source, "cuboids", on_error="collect").select("sample_id")
    assert everywhere(scan)["sample_id"].to_list() == ["a", "a#2", "s#2", "s#3", "s#4"]
    assert everywhere(scan.filter(pl.col("sample_id") != "a"))["sample_id"].to_list() == ["a#2", "s#2", "s#3", "s#4"]


def test_options() -> None:
    label = {"labelset": "model", "label_status": "LABELED", "attributes": {"frames": [{"timestamp": 2}]}}
    source = [label, {**label, "labelset": "other"}]
    scan = partial(al.scan_labels, source, "frames")
    assert everywhere(scan(timestamp_unit="s").select("timestamp")).rows() == [(2_000_000_000,)] * 2
    assert everywhere(scan(labelsets=iter(["model"])).select("labelset")).rows() == [("model",)]
    assert everywhere(scan(labelsets=["model"]).filter(labelset="other")).height == 0
    assert everywhere(scan(labelsets=["model"]).head(2)).height == 1
    types = al.scan_labels(source, "labels", task_type="vector").select("label_type")
    assert everywhere(types).rows() == [("vector",)] * 2


OPTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "table": ({"table": "boxes"}, "table: expected one of datasets, categories, "),
    "task_type": ({"task_type": "boxes"}, "task_type: expected one of segmentation-bitmap, "),
    "timestamp_unit": ({"timestamp_unit": "m"}, "timestamp_unit: expected one of ns, us, ms, s, got 'm'"),
    "on_error": ({"on_error": "skip"}, 'on_error: expected "raise" or "collect", got \'skip\''),
    "labelsets": ({"labelsets": "model"}, "labelsets: expected a collection of names, got the text 'model'"),
    "batch_bytes": ({"batch_bytes": 0}, "batch_bytes: expected a positive number, got 0"),
}


@pytest.mark.parametrize(("options", "message"), OPTIONS.values(), ids=OPTIONS)
def test_wrong_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=".") as error:
        al.scan_labels(RELEASE, **{"table": "labels", **options})
    assert str(error.value).startswith(message)
