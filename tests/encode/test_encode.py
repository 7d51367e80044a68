"""Encoding beyond the round trip: tables that people make, and tables that cannot be written."""

import dataclasses
import gzip
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pytest
from generate import release
from json_equal import difference

import arrow_labels as al
from arrow_labels.contents import COMPRESS


def table(name: str, rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=al.SCHEMAS[name])


def cuboid(**given: Any) -> dict[str, Any]:
    row = {"sample_id": "s", "labelset": "model", "sensor_index": 0, "frame_index": 0, "annotation_index": 0}
    return row | {"track_id": 1, "category_id": 2, "type": "cuboid", "x": 1.0, "y": 2.0, "z": 3.0, "yaw": 0.5} | given


def encoded(tables: al.LabelTables) -> dict[tuple[str, str], Any]:
    return {(sample_id, labelset): attributes for sample_id, labelset, attributes in al.encode_labels(tables)}


BOX = {
    "category_id": 2,
    "track_id": 1,
    "type": "cuboid",
    "position": {"x": 1, "y": 2, "z": 3},
    "yaw": 0.5,
}


def test_annotations_alone_make_a_label() -> None:
    tables = al.LabelTables(cuboids=table("cuboids", [cuboid()]))
    assert encoded(tables) == {("s", "model"): {"annotations": [BOX]}}


def test_frames_make_a_sequence() -> None:
    rows = [cuboid(frame_index=2, timestamp=7), cuboid(frame_index=0, annotation_index=1), cuboid(frame_index=0)]
    frames = encoded(al.LabelTables(cuboids=table("cuboids", rows)))["s", "model"]["frames"]
    assert frames == [{"annotations": [BOX, BOX]}, {"annotations": []}, {"annotations": [BOX], "timestamp": 7}]


def test_sensors_make_a_multi_sensor_label() -> None:
    rows = [cuboid(sensor_index=1, sensor="lidar", frame_index=1), cuboid(sensor_index=0, sensor="camera")]
    rows.append(cuboid(sensor_index=1, sensor="lidar", frame_index=0, annotation_index=3))
    sensors = encoded(al.LabelTables(cuboids=table("cuboids", rows)))["s", "model"]["sensors"]
    assert [sensor["name"] for sensor in sensors] == ["camera", "lidar"]
    assert sensors[1]["attributes"]["frames"] == [{"annotations": [BOX]}, {"annotations": [BOX]}]
    assert sensors[0]["attributes"] == {"annotations": [BOX]}


def test_kinds_of_one_frame_come_in_the_order_of_their_index() -> None:
    vector = {"points": [{"x": 1.0, "y": 2.0, "z": None}, {"x": 1.0, "y": 2.0, "z": 3.0}], "type": "polyline"}
    block = {key: value for key, value in cuboid().items() if key not in ("x", "y", "z", "yaw", "type")}
    tables = al.LabelTables(
        cuboids=table("cuboids", [cuboid(annotation_index=1)]),
        vectors=table("vectors", [{**block, **vector, "annotation_index": 2}]),
        segments=table("segments", [block]),
    )
    annotations = encoded(tables)["s", "model"]["annotations"]
    assert [annotation.get("type") for annotation in annotations] == [None, "cuboid", "polyline"]
    assert annotations[2]["points"] == [[1, 2], [1, 2, 3]]


def test_labels_without_samples_make_a_release() -> None:
    al.write_release(al.LabelTables(cuboids=table("cuboids", [cuboid()])), "memory://made.json")
    made = json.loads(fsspec.filesystem("memory").cat("/made.json"))
    labels = {"model": {"attributes": {"annotations": [BOX]}}}
    assert made == {"dataset": {"samples": [{"uuid": "s", "labels": labels}]}}


MANY_EMPTY = "Expected at most 200,000 frames and sensors without a row"
WRONG: dict[str, tuple[list[dict[str, Any]], str]] = {
    "null key": ([cuboid(labelset=None)], "Expected a key, got null - in column `labelset` of table `cuboids`"),
    "key twice": ([cuboid(), cuboid()], "Expected each key once, got {'sample_id': 's', "),
    "NaN": ([cuboid(y=float("nan"))], "Expected numbers that JSON can hold, got nan - in column `y` of `cuboids`"),
    "infinity": ([cuboid(length=float("-inf"))], "Expected numbers that JSON can hold, got -inf - in column `length`"),
    "no category": ([cuboid(category_id=None)], "Expected a category, got null - in column `category_id` of `cuboids`"),
    "frame before the first": ([cuboid(frame_index=-1)], "Expected a place from 0, got -1 - in column"),
    "sensor before the first": (
        [cuboid(sensor_index=-7)],
        "Expected a place from 0, got -7 - in column",
    ),
    "far frame": ([cuboid(frame_index=2**31 - 1)], f"{MANY_EMPTY}, got 2,147,483,647 - of labelset 'model'"),
    "far sensor": ([cuboid(sensor_index=2**31 - 1)], f"{MANY_EMPTY}, got 2,147,483,647 - of labelset 'model'"),
    "frames that are far in several sensors": (
        [cuboid(sensor_index=sensor, frame_index=150_000) for sensor in range(2)],
        f"{MANY_EMPTY}, got 300,000 - of labelset",
    ),
}


@pytest.mark.parametrize(("rows", "message"), WRONG.values(), ids=WRONG)
def test_tables_that_cannot_be_written(rows: list[dict[str, Any]], message: str) -> None:
    tables = al.LabelTables(cuboids=table("cuboids", rows))
    with pytest.raises(al.SchemaError) as error:
        encoded(tables)
    assert str(error.value).startswith(message)
    with pytest.raises(al.SchemaError):
        al.write_release(tables, "memory://wrong.json")
    assert not fsspec.filesystem("memory").exists("/wrong.json")


@pytest.mark.parametrize(
    ("label", "rows", "message"),
    [
        ({"frame_count": 2**31 - 1}, [], f"{MANY_EMPTY}, got 2,147,483,647"),
        ({"frame_count": 10**6}, [cuboid(frame_index=3)], f"{MANY_EMPTY}, got 999,999"),
        ({"sensors": [{"frame_count": -(2**31)}, {"frame_count": 10**9}]}, [], f"{MANY_EMPTY}, got 1,000,000,000"),
        ({"sensors": [{"name": "a"}]}, [cuboid(sensor_index=1)], "Expected a `sensor_index` below 1, got 1"),
    ],
)
def test_labels_that_do_not_fit_their_frames(label: dict[str, Any], rows: list[dict[str, Any]], message: str) -> None:
    labels = table("labels", [{"sample_id": "s", "labelset": "model"} | label])
    with pytest.raises(al.SchemaError) as error:
        encoded(al.LabelTables(labels=labels, cuboids=table("cuboids", rows)))
    assert str(error.value).startswith(f"{message} - of labelset 'model' of sample 's'")


def written(**tables: list[dict[str, Any]]) -> dict[str, Any]:
    al.write_release(al.LabelTables(**{name: table(name, rows) for name, rows in tables.items()}), "memory://one.json")
    (sample,) = json.loads(fsspec.filesystem("memory").cat_file("/one.json"))["dataset"]["samples"]
    return sample["attributes"]


def test_samples_that_do_not_fit_their_frames() -> None:
    frame = {"sample_id": "s", "sensor_index": 0, "frame_index": 0, "image_url": "a.png"}
    camera = {**frame, "camera_index": 0, "url": "b.png"}
    del camera["image_url"]
    sample = {"sample_id": "s", "sensors": [{"name": "a"}]}
    with pytest.raises(
        al.SchemaError, match=r"`sensor_index` below 1, got 1 - in table `sample_frames`, of sample 's'"
    ):
        written(samples=[sample], sample_frames=[frame, frame | {"sensor_index": 1}])
    with pytest.raises(al.SchemaError, match="Expected a row of `sample_frames` .*, got none of frame 3 of sensor 0"):
        written(samples=[sample], sample_frames=[frame], cameras=[camera, camera | {"frame_index": 3}])
    two = written(samples=[{"sample_id": "s"}], sample_frames=[frame, frame | {"frame_index": 1}])
    assert two == {"frames": [{"image": {"url": "a.png"}}] * 2}


def test_as_many_frames_without_a_row_as_may_be() -> None:
    tables = al.LabelTables(cuboids=table("cuboids", [cuboid(frame_index=200_000)]))
    frames = encoded(tables)["s", "model"]["frames"]
    assert (len(frames), frames[0], frames[-1]) == (200_001, {"annotations": []}, {"annotations": [BOX]})


def test_not_finite_points() -> None:
    points = [{"x": 1.0, "y": float("inf"), "z": None}]
    block = {key: value for key, value in cuboid(type="point").items() if key not in ("x", "y", "z", "yaw")}
    tables = al.LabelTables(vectors=table("vectors", [{**block, "points": points}]))
    with pytest.raises(al.SchemaError, match="got inf - in column `y` of `vectors`"):
        encoded(tables)


@pytest.mark.parametrize("point", [None, {"x": None, "y": 0.0, "z": None}, {"x": 0.0, "y": None, "z": 1.0}])
def test_points_without_coordinates(point: Any) -> None:
    block = {key: value for key, value in cuboid(type="point").items() if key not in ("x", "y", "z", "yaw")}
    tables = al.LabelTables(vectors=table("vectors", [{**block, "points": [point]}]))
    with pytest.raises(al.SchemaError, match="Expected points with an x and a y, got null"):
        encoded(tables)


def test_attributes_that_cannot_be_read_are_told_by_their_label() -> None:
    tables = al.decode_labels([b'{"annotations":[{"id":1,"category_id":0,"attributes":{"a":1e400}}]}'])
    with pytest.raises(al.SchemaError, match="out of range .* - in labelset 'ground-truth' of sample '0'$"):
        list(al.encode_labels(tables))


@pytest.mark.parametrize(
    ("name", "column", "text"),
    [
        *(("cuboids", "attributes", text) for text in ("{'a': 'red'}", "", '{"a":', '1,"id":9', "1,2", "[1")),
        ("frames", "image_attributes", "1,2"),
        ("links", "attributes", "1,2"),
        ("links", "frames", "1,2"),
        ("samples", "metadata", "1,2"),
        ("cameras", "distortion", "1,2"),
        ("datasets", "labelsets", "1,2"),
    ],
)
def test_text_that_is_no_json_is_never_written(name: str, column: str, text: str) -> None:
    tables = al.decode_labels([release("multisensor-sequence", samples=1)])
    assert tables[name].num_rows
    rows = tables[name].to_pylist()
    rows[-1][column] = text
    wrong = dataclasses.replace(tables, **{name: table(name, rows)})
    with pytest.raises(al.SchemaError, match=f"JSON columns .* - in column `{column}` of `{name}`, of "):
        al.write_release(wrong, "memory://wrong.json")
    assert not fsspec.filesystem("memory").exists("/wrong.json")
    if name in ("cuboids", "frames", "links"):
        with pytest.raises(al.SchemaError, match=f"in column `{column}` of `{name}`"):
            encoded(wrong)


def test_json_with_spaces_is_json() -> None:
    tables = al.LabelTables(cuboids=table("cuboids", [cuboid(attributes=' {"a": [1, 2]}\n')]))
    assert encoded(tables) == {("s", "model"): {"annotations": [BOX | {"attributes": {"a": [1, 2]}}]}}


def test_points_without_an_id() -> None:
    frames = [{"sample_id": "s", "labelset": "model", "sensor_index": 0, "frame_index": 0}]
    frames[0]["point_annotations"] = [1, None, 3]
    with pytest.raises(al.SchemaError, match="Expected an id for each point, got null"):
        encoded(al.LabelTables(frames=table("frames", frames)))


@pytest.mark.parametrize(
    ("name", "column"), [("labels", "score"), ("samples", "priority"), ("sample_frames", "ego_x"), ("cameras", "tx")]
)
def test_numbers_that_json_cannot_hold(name: str, column: str) -> None:
    tables = al.decode_labels([release("multisensor-sequence", samples=1)])
    rows = tables[name].to_pylist()
    rows[-1][column] = float("inf")
    with pytest.raises(al.SchemaError, match=f"got inf - in column `{column}` of `{name}`"):
        al.write_release(dataclasses.replace(tables, **{name: table(name, rows)}), "memory://wrong.json")


def test_several_releases() -> None:
    documents = [release("vector", seed=1), release("pointcloud-cuboid", seed=2)]
    names = [document["dataset"]["name"] for document in documents]
    assert names[0] != names[1]
    tables = al.decode_labels(documents)
    with pytest.raises(al.SchemaError, match=r"Expected one release, got 2 \(datasets .*\): choose with dataset="):
        al.write_release(tables, "memory://both.json")
    with pytest.raises(al.SchemaError, match="Expected a release of dataset 'no', got none"):
        al.write_release(tables, "memory://both.json", dataset="no")
    for document, name in zip(documents, names, strict=True):
        al.write_release(tables, "memory://one.json", dataset=name)
        assert difference(document, json.loads(fsspec.filesystem("memory").cat("/one.json"))) is None


def test_parts(tmp_path: Path) -> None:
    """Parts of a release, as they are read, make the release that the whole makes."""
    documents = [release("vector", samples=5, seed=1), release("pointcloud-cuboid", samples=5, seed=2)]
    names = [document["dataset"]["name"] for document in documents]
    paths = [tmp_path / "one.json", tmp_path / "two.json"]
    for path, document in zip(paths, documents, strict=True):
        path.write_text(json.dumps(document))
        al.write_release(al.iter_labels(path, batch_bytes=1), tmp_path / "back.json")
        assert difference(document, json.loads((tmp_path / "back.json").read_bytes())) is None
    for name, document in zip(names, documents, strict=True):
        al.write_release(al.iter_labels(paths, batch_bytes=1), tmp_path / "back.json", dataset=name)
        assert difference(document, json.loads((tmp_path / "back.json").read_bytes())) is None
    for parts, message in (
        (al.iter_labels(paths, batch_bytes=1), f"that of the first part, got dataset '{names[1]}' in a later one"),
        ([al.decode_labels([documents[0]])] * 2, f"got dataset '{names[0]}' in a later one"),
        ([al.decode_labels([{"annotations": [], "sample_uuid": "a"}])] * 2, "in one part, got 'a' in two"),
        ([al.LabelTables(), documents[0]], "Expected `LabelTables`, got `dict`"),
    ):
        with pytest.raises(al.SchemaError, match=message):
            al.write_release(parts, tmp_path / "wrong.json")  # type: ignore[arg-type]
    with pytest.raises(al.SchemaError, match="Expected a release of dataset 'no', got none"):
        al.write_release(iter(()), tmp_path / "wrong.json", dataset="no")
    assert not list(tmp_path.glob("*wrong*"))
    al.write_release(iter(()), tmp_path / "empty.json")
    assert json.loads((tmp_path / "empty.json").read_bytes()) == {"dataset": {"samples": []}}


def test_targets(tmp_path: Path) -> None:
    document = release("pointcloud-segmentation-sequence", seed=1)
    tables = al.decode_labels([document])
    al.write_release(tables, tmp_path / "release.json.gz")
    assert difference(document, json.loads(gzip.decompress((tmp_path / "release.json.gz").read_bytes()))) is None
    with pytest.raises(al.TargetError, match="Expected a target that can be written, got "):
        al.write_release(tables, tmp_path / "missing" / "release.json")
    with pytest.raises(al.TargetError, match=r"Expected \.json, \.json\.gz or the like, got an archive - at "):
        al.write_release(tables, tmp_path / "release.json.zip")
    with pytest.raises(al.TargetError, match="Expected a path or URL, got an empty text"):
        al.write_release(tables, "")
    assert [item.name for item in tmp_path.iterdir()] == ["release.json.gz"]


@pytest.mark.parametrize("suffix", ["", *COMPRESS, ".GZ"])
@pytest.mark.parametrize("folder", ["", "memory://targets"])
def test_what_is_compressed_can_be_read(
    suffix: str, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As without the packages that fsspec knows codecs by.
    monkeypatch.setattr(fsspec.compression, "compr", {None: fsspec.compression.compr[None]})
    target = f"{folder or tmp_path}/release.json{suffix}"
    tables = al.decode_labels([release("vector", seed=1)])
    al.write_release(tables, target)
    assert al.read_labels(target).vectors == tables.vectors
    with fsspec.open(target, "rb") as file:
        assert file.read(1) == {"": b"{", ".gz": b"\x1f", ".bz2": b"B", ".xz": b"\xfd", ".zst": b"("}[suffix.lower()]


def test_pipes_stay_what_they_are(tmp_path: Path) -> None:
    document = release("vector", seed=1)
    tables = al.decode_labels([document])
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE) as reader:
        al.write_release(tables, pipe)
        assert difference(document, json.loads(reader.communicate()[0])) is None
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]


def test_a_target_is_complete_or_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "release.json"
    path.write_text("before")
    with pytest.raises(al.SchemaError):
        al.write_release(al.LabelTables(cuboids=table("cuboids", [cuboid(x=float("nan"))])), path)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]
