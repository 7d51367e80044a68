"""Categories of pixels and points, against slow loops."""

from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pytest
import segments.utils as sdk
from generate import release
from hypothesis import given
from hypothesis import strategies as st

import arrow_labels as al
from arrow_labels.bitmap import MAX_ID
from arrow_labels.errors import BitmapError, SchemaError
from arrow_labels.schema import FRAME_KEY
from arrow_labels.segmentation import point_categories, semantic_map

Array = npt.NDArray[Any]

SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=12)
IDS = hnp.arrays(np.uint32, SHAPES, elements=st.sampled_from((0, 1, 2, 257, 65_536, MAX_ID)))
LISTED = st.dictionaries(st.sampled_from((1, 2, 257, MAX_ID, 2**40)), st.integers(0, 300), min_size=1)


def segments_of(categories: dict[int, int | None]) -> pa.Table:
    return pa.table(
        {"id": pa.array(categories.keys(), pa.int64()), "category_id": pa.array(categories.values(), pa.int64())}
    )


@given(IDS, LISTED)
def test_the_category_of_each_pixel(ids: Array, categories: dict[int, int]) -> None:
    found, unlisted = semantic_map(ids, segments_of(categories))
    assert found.tolist() == [[categories.get(value, -1) for value in row] for row in ids.tolist()]
    assert unlisted.tolist() == sorted(set(ids.ravel().tolist()) - {0, *categories})
    assert found.dtype == (np.int8 if max(categories.values()) < 128 else np.int16)


@given(IDS, st.dictionaries(st.sampled_from((1, 2, 257)), st.integers(0, 200)))
def test_the_sdk_agrees(ids: Array, categories: dict[int, int]) -> None:
    categories = {int(value): 7 for value in np.unique(ids) if 0 < value <= 65_536} | {65_537: 3} | categories
    annotations = [{"id": value, "category_id": category} for value, category in categories.items()]
    ids = np.where(ids > 65_536, 0, ids)
    expected = sdk.get_semantic_bitmap(ids, annotations, id_increment=1)
    assert expected is not None
    assert np.array_equal(semantic_map(ids, segments_of(categories)).categories.astype(int) + 1, expected)


@pytest.mark.parametrize(
    ("largest", "unlabelled", "dtype"),
    [
        (0, -1, "int8"),
        (127, -1, "int8"),
        (128, -1, "int16"),
        (254, 255, "uint8"),
        (255, 256, "uint16"),
        (255, -1, "int16"),
        (3, 70_000, "uint32"),
        (2**31, -1, "int64"),
        (2**40, -1, "int64"),
        (2**40, 255, "uint64"),
        (3, -200, "int16"),
    ],
)
def test_the_smallest_type_that_holds_all(largest: int, unlabelled: int, dtype: str) -> None:
    found = semantic_map([[0, 1, 2]], segments_of({1: 0, 2: largest}), unlabelled=unlabelled).categories
    assert found.dtype == dtype
    assert found.tolist() == [[unlabelled, 0, largest]]


def test_unlabelled_is_no_category() -> None:
    assert semantic_map([[0, 1]], segments_of({1: 0})).categories.tolist() == [[-1, 0]]
    with pytest.raises(ValueError, match="unlabelled: expected a number that is no category, got 0"):
        semantic_map([[0, 1]], segments_of({1: 0}), unlabelled=0)
    assert semantic_map([[0, 1]], segments_of({1: 5}), unlabelled=0).categories.tolist() == [[0, 5]]


def test_ids_that_are_not_listed() -> None:
    categories, unlisted = semantic_map([[9, 1, 0], [MAX_ID, 9, 8]], segments_of({1: 4}))
    assert categories.tolist() == [[-1, 4, -1], [-1, -1, -1]]
    assert unlisted.tolist() == [8, 9, MAX_ID]
    categories, unlisted = semantic_map([[9, 0]], segments_of({}))
    assert (categories.tolist(), unlisted.tolist()) == ([[-1, -1]], [9])
    assert semantic_map(np.zeros((0, 3), np.uint32), segments_of({1: 4})).categories.shape == (0, 3)


def test_what_an_id_means() -> None:
    columns = {"id": [5, None, 7], "track_id": [1, 2, 3], "category_id": [50, 20, None]}
    found, unlisted = semantic_map([[5, 2, 7, 1, 3]], pa.table(columns))
    assert found.tolist() == [[50, 20, -1, -1, -1]]
    assert unlisted.tolist() == [1, 3]
    tracks = pl.DataFrame({"track_id": [1, 1, None, 0], "category_id": [6, 6, 9, 8]})
    for frame in (tracks, tracks.lazy(), tracks.to_arrow(), tracks.cast(pl.Int16)):
        assert semantic_map([[1, 0]], frame).categories.tolist() == [[6, -1]]


FRAME: dict[str, Any] = {"sample_id": "s", "labelset": "g", "sensor_index": 0}
WRONG_SEGMENTS: dict[str, tuple[type[ValueError], Any, str]] = {
    "two categories": (
        BitmapError,
        {"id": [3, 3], "category_id": [1, 2]},
        "one category of id 3, got 1 and 2$",
    ),
    "two frames": (
        BitmapError,
        {"id": [3, 4], "category_id": [1, 2], "frame_index": [7, 8]},
        "of one frame, got several - in column `frame_index`: 7, 8",
    ),
    "no category": (SchemaError, {"id": [3]}, "Expected column `category_id`, got id"),
    "no id": (SchemaError, {"category_id": [3]}, "Expected column `id` or `track_id`, got neither"),
    "text": (SchemaError, {"id": ["3"], "category_id": [1]}, "Expected `Int64`, got `String` - in column `id`"),
    "fractions": (SchemaError, {"id": [3], "category_id": [1.5]}, "got `Float64` - in column `category_id`"),
}


@pytest.mark.parametrize("case", WRONG_SEGMENTS)
def test_wrong_segments(case: str) -> None:
    error, columns, message = WRONG_SEGMENTS[case]
    with pytest.raises(error, match=message):
        semantic_map([[1]], pa.table(columns))


def test_no_table() -> None:
    with pytest.raises(SchemaError, match="a pyarrow table or a Polars frame, got `dict`"):
        semantic_map([[1]], {"id": [1], "category_id": [1]})  # type: ignore[arg-type]


def slow_point_categories(tables: al.LabelTables, unlabelled: int | None) -> list[list[int | None] | None]:
    categories = {}
    for row in tables.segments.to_pylist():
        value = row["track_id"] if row["id"] is None else row["id"]
        categories[*(row[name] for name in FRAME_KEY), value] = row["category_id"]
    found: list[list[int | None] | None] = []
    for row in tables.frames.to_pylist():
        key, points = tuple(row[name] for name in FRAME_KEY), row["point_annotations"]
        known = None if points is None else [categories.get((*key, value), unlabelled) for value in points]
        found.append(known)
    return found


@pytest.mark.parametrize("task_type", ["pointcloud-segmentation-sequence", "multisensor-sequence", "vector"])
def test_the_category_of_each_point(task_type: str) -> None:
    tables = al.decode_labels([release(task_type, seed=3, samples=3)])
    for unlabelled in (-1, None):
        found = point_categories(tables.frames, tables.segments, unlabelled=unlabelled)
        assert found["categories"].to_pylist() == slow_point_categories(tables, unlabelled)
        assert found.select(FRAME_KEY).equals(tables.frames.select(FRAME_KEY))
        assert found["categories"].type == pa.list_(pa.int32())
        polars = point_categories(
            pl.DataFrame(tables.frames).lazy(), pl.DataFrame(tables.segments), unlabelled=unlabelled
        )
        assert polars.equals(found)


@st.composite
def points(draw: st.DrawFn) -> tuple[pa.Table, pa.Table]:
    """Frames with point ids, and segments, some of which belong to none of them."""
    value = st.sampled_from((-3, 0, 1, 2, 3, 2**31 - 1))
    lists = draw(st.lists(st.none() | st.lists(value, max_size=6), max_size=5))
    frames = [FRAME | {"frame_index": index, "point_annotations": ids} for index, ids in enumerate(lists)]
    keys = st.tuples(st.integers(0, 5), st.sampled_from((-3, 1, 2, 2**31 - 1, 2**31, 2**40, 2**32 - 3, 1 - 2**32)))
    known = draw(st.dictionaries(keys, st.none() | st.integers(0, 3), max_size=12))
    rows = [
        FRAME | {"frame_index": index, "id": value, "category_id": category}
        for (index, value), category in known.items()
    ]
    key = [
        ("sample_id", pa.string()),
        ("labelset", pa.string()),
        ("sensor_index", pa.int32()),
        ("frame_index", pa.int32()),
    ]
    return (
        pa.Table.from_pylist(frames, pa.schema([*key, pa.field("point_annotations", pa.list_(pa.int32()))])),
        pa.Table.from_pylist(rows, pa.schema([*key, pa.field("id", pa.int64()), pa.field("category_id", pa.int64())])),
    )


@given(points(), st.sampled_from((-1, 9, None)))
def test_any_points(tables: tuple[pa.Table, pa.Table], unlabelled: int | None) -> None:
    frames, listed = tables
    known = {(row["frame_index"], row["id"]): row["category_id"] for row in listed.to_pylist()}
    expected = [
        None
        if row["point_annotations"] is None
        else [
            unlabelled if (category := known.get((row["frame_index"], value))) is None else category
            for value in row["point_annotations"]
        ]
        for row in frames.to_pylist()
    ]
    found = point_categories(frames, listed, unlabelled=unlabelled)
    found.validate(full=True)
    assert found["categories"].to_pylist() == expected


def test_more_frames_than_are_looked_up_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = al.decode_labels([release("pointcloud-segmentation-sequence", seed=4, samples=2)])
    monkeypatch.setattr("arrow_labels.segmentation._FRAMES_AT_ONCE", 3)
    found = point_categories(tables.frames, tables.segments)
    assert found["categories"].num_chunks > 3
    assert found["categories"].to_pylist() == slow_point_categories(tables, -1)


def test_points_of_wrong_tables() -> None:
    frame = FRAME | {"frame_index": 5}
    frames = pa.Table.from_pylist([frame | {"point_annotations": [1, None, 2]}])
    listed = pa.Table.from_pylist([frame | {"id": 1, "category_id": 3}, frame | {"id": 1, "category_id": 3}])
    assert point_categories(frames, listed)["categories"].to_pylist() == [[3, -1, -1]]
    with pytest.raises(ValueError, match="unlabelled: expected a number that is no category, got 3"):
        point_categories(frames, listed, unlabelled=3)
    other = pa.concat_tables([listed, pa.Table.from_pylist([frame | {"id": 1, "category_id": 4}])])
    with pytest.raises(
        BitmapError, match="of id 1, got 3 and 4 - at sample_id s, labelset g, sensor_index 0, frame_index 5$"
    ):
        point_categories(frames, other)
    large = pa.Table.from_pylist([frame | {"id": 1, "category_id": 2**31}])
    with pytest.raises(SchemaError, match="fit into int32, got 2147483648 - in column `category_id`"):
        point_categories(frames, large)
    with pytest.raises(ValueError, match="unlabelled: expected a number that fits into int32, got 2147483648"):
        point_categories(frames, listed, unlabelled=2**31)
    with pytest.raises(SchemaError, match="Expected column `point_annotations`, got sample_id"):
        point_categories(listed, listed)
    with pytest.raises(SchemaError, match="in column `point_annotations`"):
        point_categories(frames.set_column(4, "point_annotations", pa.array([[1.0]])), listed)
