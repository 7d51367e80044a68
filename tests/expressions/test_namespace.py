"""The namespace as a whole: where it is, what it takes, and that it says what is missing."""

import inspect

import polars as pl
import pytest

import arrow_labels as al
from arrow_labels.expressions.columns import lazy, require, storage, track

METHODS = [name for name in vars(al.FrameLabels) if not name.startswith("_")]
EXPRESSIONS = [name for name in vars(al.ExprLabels) if not name.startswith("_")]
CUBOID = {"x": 1.0, "y": 2.0, "z": 3.0, "length": 4.0, "width": 2.0, "height": 1.5, "yaw": 0.5} | {
    "qx": 0.0,
    "qy": 0.0,
    "qz": 0.0,
    "qw": 1.0,
}


@pytest.fixture(scope="module")
def tables() -> al.LabelTables:
    return al.read_labels("tests/data/drive/release.json")


@pytest.mark.parametrize("name", METHODS)
def test_methods_of_frames_are_documented(name: str) -> None:
    for frame in (pl.DataFrame(), pl.LazyFrame()):
        method = getattr(frame.labels, name)
        assert "Examples\n" in method.__doc__
        assert "Raises\n" in method.__doc__
        assert "self" not in inspect.signature(method).parameters


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_methods_of_expressions_are_documented(name: str) -> None:
    method = getattr(pl.col("a").labels, name)
    assert "Examples\n" in method.__doc__
    assert "self" not in inspect.signature(method).parameters


def test_frames_stay_what_they_are(tables: al.LabelTables) -> None:
    cuboids = pl.DataFrame(tables.cuboids)
    assert isinstance(cuboids.labels.keyframes(), pl.DataFrame)
    assert isinstance(cuboids.lazy().labels.keyframes(), pl.LazyFrame)
    assert al.FrameLabels(cuboids).keyframes().equals(cuboids.lazy().labels.keyframes().collect())


def test_other_frames_may_be_of_any_kind(tables: al.LabelTables) -> None:
    cuboids, frames = pl.DataFrame(tables.cuboids), tables.sample_frames
    expected = cuboids.labels.to_ego(frames)
    assert expected.equals(cuboids.labels.to_ego(pl.DataFrame(frames)))
    assert expected.equals(cuboids.labels.to_ego(pl.LazyFrame(pl.DataFrame(frames))))


def test_missing_columns_are_named() -> None:
    with pytest.raises(al.SchemaError, match="Expected columns `yaw`, got a"):
        require(pl.LazyFrame({"a": [1]}), {"a": "number", "yaw": "number"})
    with pytest.raises(al.SchemaError, match="Expected a number, got `String` - in column `a` - in cameras"):
        require(pl.LazyFrame({"a": ["1"]}), {"a": "number"}, what="cameras")
    with pytest.raises(al.SchemaError, match="Expected column `track_id` or `id`, got a"):
        track(pl.Schema({"a": pl.Int64()}))
    with pytest.raises(al.SchemaError, match="Expected a Polars frame or a pyarrow table, got `list`"):
        lazy([])  # type: ignore[arg-type]
    # Lazily, too: before anything is collected.
    with pytest.raises(al.SchemaError, match="`sample_id`"):
        pl.LazyFrame({"a": [1]}).labels.keyframes()


class Cuboid(pl.BaseExtension):
    def __init__(self) -> None:
        super().__init__("arrow_labels.cuboid", pl.Struct(dict.fromkeys(CUBOID, pl.Float64)))

    @classmethod
    def ext_from_params(cls, name: str, storage: pl.DataType, metadata: str | None) -> "Cuboid":
        return cls()


class Points(pl.BaseExtension):
    def __init__(self) -> None:
        super().__init__("arrow_labels.points", pl.List(pl.Struct(dict.fromkeys("xyz", pl.Float64))))

    @classmethod
    def ext_from_params(cls, name: str, storage: pl.DataType, metadata: str | None) -> "Points":
        return cls()


def test_extension_columns_are_taken_as_their_storage() -> None:
    row = CUBOID | {"points": [{"x": 0.0, "y": 0.0, "z": None}, {"x": 2.0, "y": 3.0, "z": None}]}
    plain = pl.DataFrame([row], schema_overrides={"points": Points().ext_storage()})
    extended = plain.select(pl.struct(list(CUBOID)).ext.to(Cuboid()).alias("cuboid"), pl.col("points").ext.to(Points()))
    assert isinstance(extended.schema["cuboid"], pl.BaseExtension)
    taken = storage(extended.lazy()).collect()
    assert taken.columns == [*CUBOID, "points"]
    assert taken.equals(plain.select(taken.columns))
    assert extended.labels.corners().select("corners").equals(plain.labels.corners().select("corners"))
    area = pl.col("points").labels.area()
    assert extended.select(area).equals(plain.select(area))
