"""Hugging Face datasets: round trips and features."""

import json
import sys
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pytest
from generate import TASK_TYPES, release
from hypothesis import given, settings
from PIL import Image
from strategies import releases

import arrow_labels as al
from arrow_labels.schema import SCHEMAS

MULTI = al.decode_labels([release("multisensor-sequence", samples=1, frames=4)])


def back(tables: al.LabelTables) -> al.LabelTables:
    """The tables through datasets."""
    return al.LabelTables(**{name: al.from_datasets(al.to_datasets(tables, name), name) for name in tables.names})


def vectors(*category_ids: int, categories: dict[int, str | None]) -> al.LabelTables:
    """Tables with a vector of each category."""
    annotations = [{"id": 1, "category_id": number, "type": "point", "points": [[1, 2]]} for number in category_ids]
    attributes = {"categories": [{"id": number, "name": name} for number, name in categories.items()]}
    sample = {"name": "a", "labels": {"ground-truth": {"attributes": {"annotations": annotations}}}}
    return al.decode_labels([{"dataset": {"name": "d", "task_attributes": attributes, "samples": [sample]}}])


def names(tables: al.LabelTables) -> Any:
    return getattr(al.to_datasets(tables, "vectors").features["category_id"], "names", None)


@pytest.mark.parametrize("task_type", TASK_TYPES)
def test_round_trip(task_type: str) -> None:
    tables = al.decode_labels([release(task_type)])
    assert back(tables) == tables


@settings(max_examples=12)
@given(releases())
def test_any_release_comes_back(document: dict[str, Any]) -> None:
    tables = al.decode_labels([document])
    assert back(tables) == tables


@pytest.mark.parametrize("name", SCHEMAS)
def test_python_sees_the_values(name: str) -> None:
    assert [*al.to_datasets(MULTI, name, images=False)] == MULTI[name].to_pylist()


def test_empty_tables() -> None:
    assert back(al.LabelTables()) == al.LabelTables()


@pytest.mark.parametrize("name", ["vectors", "labels", "sample_frames"])
def test_through_files(name: str, tmp_path: Path) -> None:
    dataset = al.to_datasets(MULTI, name, images=False)
    dataset.to_parquet(tmp_path / "file.parquet")
    read = datasets.Dataset.from_parquet(str(tmp_path / "file.parquet"), cache_dir=str(tmp_path / "cache"))
    assert al.from_datasets(read, name).equals(MULTI[name])
    assert read.features == dataset.features
    dataset.save_to_disk(tmp_path / "saved")
    assert al.from_datasets(datasets.load_from_disk(tmp_path / "saved"), name).equals(MULTI[name])


def test_rows_that_were_chosen() -> None:
    dataset = al.to_datasets(MULTI, "cuboids").filter(lambda row: row["frame_index"] == 2)
    expected = [row for row in MULTI.cuboids.to_pylist() if row["frame_index"] == 2]
    assert al.from_datasets(dataset, "cuboids").to_pylist() == expected
    assert al.from_datasets(dataset.select([3, 0]), "cuboids").to_pylist() == [expected[3], expected[0]]
    assert al.LabelTables(cuboids=al.from_datasets(dataset, "cuboids")).cuboids.num_rows == len(expected) > 0


def test_features() -> None:
    features = al.to_datasets(MULTI, "vectors").features
    coordinates = dict.fromkeys("xyz", datasets.Value("float64"))
    assert features["points"] == datasets.List(coordinates)
    assert features["category_id"].names == MULTI.categories["name"].to_pylist()
    assert al.to_datasets(MULTI, "frames").features["point_annotations"] == datasets.List(datasets.Value("int32"))
    assert al.to_datasets(MULTI, "labels").features["created_at"] == datasets.Value("timestamp[us, tz=UTC]")
    rows = al.to_datasets(MULTI, "cuboids")
    decoded = rows.features["category_id"].int2str(rows["category_id"][:])
    assert decoded == MULTI.cuboids["category"].to_pylist()


def test_class_names() -> None:
    assert names(vectors(0, 2, categories={2: "car", 0: "road"})) == ["road", "1", "car"]
    assert names(vectors(1, categories={})) == ["0", "1"]
    assert names(vectors(1, categories={0: None, 1: "car"})) == ["0", "car"]
    assert names(vectors(0, categories={0: "car", 1: "car", 2: "1 car"})) == ["0 car", "1 car", "2 1 car"]
    assert names(vectors(categories={0: "car"})) == ["car"]
    assert names(vectors(65535, categories={})) == [str(number) for number in range(65536)]
    for wrong in (-1, 65536):
        assert names(vectors(0, wrong, categories={0: "car"})) is None
    assert names(al.LabelTables()) is None


def test_an_id_never_has_the_class_of_another_dataset() -> None:
    def part(dataset: str, categories: dict[int, str | None], *category_ids: int) -> al.LabelTables:
        annotations = [{"id": 1, "category_id": number, "type": "point", "points": [[1, 2]]} for number in category_ids]
        colour = {"name": "colour", "input_type": "text"}
        defined = [{"id": number, "name": name, "attributes": [colour]} for number, name in categories.items()]
        sample = {"name": dataset, "labels": {"ground-truth": {"attributes": {"annotations": annotations}}}}
        return al.decode_labels(
            [{"dataset": {"name": dataset, "task_attributes": {"categories": defined}, "samples": [sample]}}]
        )

    def both(one: al.LabelTables, other: al.LabelTables) -> Any:
        return names(al.LabelTables.concat([one, other]))

    cars = part("a", {1: "car"}, 1)
    assert both(cars, part("b", {1: "person"}, 1)) is None
    assert both(cars, part("b", {1: "person"})) == ["0", "car"]
    assert both(part("b", {1: "person"}), cars) == ["0", "car"]
    assert both(cars, part("b", {2: "person"}, 2)) == ["0", "car", "person"]
    assert both(cars, part("b", {1: "car", 2: "person"}, 1)) == ["0", "car", "person"]
    assert both(cars, part("b", {2: "person"}, 1)) is None
    assert both(part("a", {1: "car"}), part("b", {2: "person"}, 1)) == ["0", "1", "person"]
    assert both(part("a", {0: "road", 1: "car"}, 0), part("b", {1: "person"})) == ["road", "1"]
    for name in ("categories", "attribute_specs"):
        tables = al.LabelTables.concat([cars, part("b", {1: "person"})])
        assert tables[name].num_rows == 2
        assert al.to_datasets(tables, name).features["category_id"] == datasets.Value("int64")
        for row, expected in enumerate(("car", "person")):
            chosen = al.LabelTables(**{**dict(tables), name: tables[name].slice(row, 1)})
            assert al.to_datasets(chosen, name).features["category_id"].names == ["0", expected]


def test_images_are_read(tmp_path: Path) -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    Image.fromarray(pixels).save(tmp_path / "image.png")
    path = str(tmp_path / "image.png")
    samples = [{"name": "a", "attributes": {"image": {"url": path}}, "labels": {}}, {"name": "b", "labels": {}}]
    samples.append({"name": "c", "attributes": {"image": {}}, "labels": {}})
    tables = al.decode_labels(samples)
    dataset = al.to_datasets(tables, "sample_frames", base=tmp_path)
    assert dataset.column_names == [*SCHEMAS["sample_frames"].names[:7], "image", *SCHEMAS["sample_frames"].names[7:]]
    np.testing.assert_array_equal(np.asarray(dataset[0]["image"]), pixels)
    assert dataset[1]["image"] is None
    assert dataset.select_columns(["image_url"])[:]["image_url"] == [path, None]
    assert "image" not in al.to_datasets(tables, "sample_frames", images=False).features
    assert isinstance(al.to_datasets(MULTI, "cameras").features["image"], datasets.Image)
    stored = al.to_datasets(MULTI, "cameras").with_format("arrow")["image"][:]
    assert [row["path"] for row in pa.chunked_array(stored).to_pylist()] == MULTI.cameras["url"].to_pylist()


def test_images_are_where_documents_may_lead(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("in/image.png", "secret.png"):
        Image.fromarray(np.zeros((2, 4, 3), np.uint8)).save(tmp_path / name)

    def written(url: str) -> Path:
        sample = {"name": "a", "attributes": {"image": {"url": url}}, "labels": {}}
        path = tmp_path / "in" / "release.json"
        path.write_text(json.dumps({"name": "v1", "dataset": {"name": "d", "samples": [sample, {"name": "b"}]}}))
        return path

    dataset = al.to_datasets(al.read_labels(written("image.png")), "sample_frames")
    assert dataset[0]["image"].size == (4, 2)
    assert dataset[0]["image_url"] == "image.png"
    for url in (
        "../secret.png",
        str(tmp_path / "secret.png"),
        f"file://{tmp_path}/secret.png",
        "s3://b/a::file:///secret",
    ):
        tables = al.read_labels(written(url))
        with pytest.raises(al.FetchError, match=r"^Expected a .* of sample a: images=False leaves images out$"):
            al.to_datasets(tables, "sample_frames")
        assert al.to_datasets(tables, "sample_frames", images=False)[0]["image_url"] == url
    opened = al.to_datasets(al.read_labels(written("secret.png")), "sample_frames", base=tmp_path)
    assert opened[0]["image"].size == (4, 2)
    with pytest.raises(al.FetchError, match="got a local path in a document that is not a local file"):
        al.to_datasets(al.read_labels(written(f"file://{tmp_path}/secret.png").read_bytes()), "sample_frames")


def test_what_is_refused() -> None:
    with pytest.raises(KeyError, match="Expected one of datasets, .*got 'boxes'"):
        al.to_datasets(MULTI, "boxes")
    dataset = al.to_datasets(MULTI, "links")
    with pytest.raises(KeyError, match="Expected one of datasets, .*got 'boxes'"):
        al.from_datasets(dataset, "boxes")
    with pytest.raises(KeyError, match="Expected column `from_id`, got sample_id"):
        al.from_datasets(dataset.remove_columns(["from_id"]), "links")


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(al.MissingExtraError, match=r"datasets is not installed: .*'arrow-labels\[datasets\]'"):
        al.to_datasets(MULTI, "cuboids")
