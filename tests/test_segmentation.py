"""Categories of pixels and points, indices, and masks back to a bitmap, against slow loops."""

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
from arrow_labels.bitmap import MAX_ID, decode_bitmap, encode_bitmap, mask_table
from arrow_labels.errors import BitmapError, SchemaError
from arrow_labels.rle import mask_to_rle, rle_to_mask
from arrow_labels.schema import FRAME_KEY, RLE
from arrow_labels.segmentation import mask_indices, masks_to_bitmap, point_categories, point_indices, semantic_map

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


@given(IDS.filter(lambda ids: ids.any()))
def test_masks_and_bitmap_are_inverse(ids: Array) -> None:
    masks = mask_table(ids)
    for table in (masks, pl.DataFrame(masks), pl.DataFrame(masks).lazy(), masks.take(list(range(len(masks)))[::-1])):
        found = masks_to_bitmap(table)
        assert found.dtype == np.uint32
        assert found.flags.c_contiguous
        assert np.array_equal(found, ids)
    assert np.array_equal(decode_bitmap(encode_bitmap(masks_to_bitmap(masks, overlap="last"))), ids)


@st.composite
def piles(draw: st.DrawFn) -> list[tuple[int, Array]]:
    """Masks that may overlap."""
    shape = draw(SHAPES)
    corners = st.tuples(*[st.integers(0, side) for side in (*shape, *shape)])
    pile = []
    for value in draw(st.lists(st.integers(1, 5), min_size=1, max_size=6)):
        top, left, bottom, right = draw(corners)
        mask = np.zeros(shape, np.bool_)
        mask[top:bottom, left:right] = True
        pile.append((value, mask if draw(st.booleans()) else draw(hnp.arrays(np.bool_, shape))))
    return pile


def masks_table(pile: list[tuple[int, Array]]) -> pa.Table:
    return pa.table({"track_id": [value for value, _ in pile], "rle": pa.array([mask_to_rle(m) for _, m in pile], RLE)})


@given(piles())
def test_masks_that_overlap(pile: list[tuple[int, Array]]) -> None:
    expected, over = np.zeros(pile[0][1].shape, np.uint32), np.zeros(pile[0][1].shape, np.int64)
    for value, mask in pile:
        expected[mask] = value
        over += mask
    assert np.array_equal(masks_to_bitmap(masks_table(pile), overlap="last"), expected)
    if over.max() <= 1:
        assert np.array_equal(masks_to_bitmap(masks_table(pile)), expected)
        return
    column, row = np.argwhere(over.T > 1)[0]
    one, other = [value for value, mask in pile if mask[row, column]][:2]
    with pytest.raises(
        BitmapError, match=f"do not overlap, got ids {one} and {other} - at row {row}, column {column}$"
    ):
        masks_to_bitmap(masks_table(pile))


def test_no_masks() -> None:
    none = masks_table([])
    with pytest.raises(BitmapError, match="at least one mask, or a `shape`, got no rows"):
        masks_to_bitmap(none)
    assert masks_to_bitmap(none, shape=(2, 3)).tolist() == [[0, 0, 0], [0, 0, 0]]
    empty = masks_table([(4, np.zeros((2, 3), np.bool_))])
    assert masks_to_bitmap(empty).tolist() == [[0, 0, 0], [0, 0, 0]]
    nothing = pa.table({"id": [4], "rle": pa.array([{"height": 0, "width": 3, "counts": []}], RLE)})
    assert masks_to_bitmap(nothing).shape == (0, 3)


SOUND = {"height": 2, "width": 2, "counts": [1, 3]}
WRONG_MASKS: dict[str, tuple[Any, Any, str]] = {
    "id 0": ([1, 0], SOUND, "ids from 1 to 16777215, got 0 - at row 1"),
    "large": ([1, 2**24], SOUND, "ids from 1 to 16777215, got 16777216 - at row 1"),
    "no id": ([1, None], SOUND, "ids from 1 to 16777215, got None - at row 1"),
    "null": ([1, 2], None, r"a mask, got null - at row 1 \(id 2\)"),
    "null side": ([1, 2], SOUND | {"height": None}, r"a mask, got null - at row 1 \(id 2\)"),
    "null counts": ([1, 2], SOUND | {"counts": None}, r"integer counts.* - at row 1 \(id 2\)"),
    "null count": ([1, 2], SOUND | {"counts": [1, None, 3]}, r"integer counts.* - at row 1 \(id 2\)"),
    "negative": ([1, 2], SOUND | {"counts": [5, -1]}, r"at least 0, got -1 - at `counts\[1\]` - at row 1 \(id 2\)"),
    "short": ([1, 2], SOUND | {"counts": [3]}, r"sum to 2 x 2 = 4, got 3 - at row 1 \(id 2\)"),
    "long": ([1, 2], SOUND | {"counts": [2**31 - 1] * 6}, r"sum to 2 x 2 = 4, got 12,884,901,882 - at row 1"),
    "size": ([1, 2], {"height": 1, "width": 4, "counts": [4]}, r"of 2 x 2 pixels, got 1 x 4 - at row 1 \(id 2\)"),
}


@pytest.mark.parametrize("case", WRONG_MASKS)
def test_wrong_masks(case: str) -> None:
    ids, rle, message = WRONG_MASKS[case]
    first = {"height": 2, "width": 2, "counts": [0, 1, 3]}
    table = pa.table({"id": pa.array(ids, pa.int64()), "rle": pa.array([first, rle], RLE)})
    with pytest.raises(BitmapError, match=message):
        masks_to_bitmap(table)


def test_wrong_calls() -> None:
    table = pa.table({"id": [1], "rle": pa.array([SOUND], RLE)})
    with pytest.raises(ValueError, match="overlap: expected 'error' or 'last', got 'first'"):
        masks_to_bitmap(table, overlap="first")  # type: ignore[arg-type]
    with pytest.raises(BitmapError, match=r"of 3 x 2 pixels, got 2 x 2 - at row 0 \(id 1\)"):
        masks_to_bitmap(table, shape=(3, 2))
    with pytest.raises(BitmapError, match="a height and width in pixels, got -1 and -1"):
        masks_to_bitmap(masks_table([]), shape=(-1, -1))
    with pytest.raises(SchemaError, match="Expected column `rle`, got id"):
        masks_to_bitmap(table.select(["id"]))
    with pytest.raises(SchemaError, match="in column `rle`"):
        masks_to_bitmap(pa.table({"id": [1], "rle": ["121"]}))
    with pytest.raises(SchemaError, match="in column `rle`"):
        masks_to_bitmap(pa.table({"id": [1], "rle": [{"height": 2, "width": 2}]}))
    with pytest.raises(BitmapError, match="in column `sample_id`: a, b"):
        masks_to_bitmap(pa.concat_tables([table, table]).append_column("sample_id", pa.array(["a", "b"])))
    with pytest.raises(BitmapError, match="a mask, got null"):
        masks_to_bitmap(pa.table({"id": [1], "rle": pa.nulls(1)}))


@given(hnp.arrays(np.bool_, SHAPES))
def test_the_pixels_of_a_mask(mask: Array) -> None:
    found = mask_indices(mask_to_rle(mask))
    assert found.dtype == np.int64
    assert found.shape == (mask.sum(), 2)
    assert np.array_equal(found, np.argwhere(mask))
    scalar = pa.scalar(mask_to_rle(mask), RLE)
    assert np.array_equal(mask_indices(scalar), np.argwhere(rle_to_mask(scalar)))


def test_the_pixels_of_no_mask() -> None:
    assert mask_indices({"height": 0, "width": 0, "counts": [0]}).shape == (0, 2)
    with pytest.raises(BitmapError, match="sum to 1 x 2 = 2, got 1"):
        mask_indices({"height": 1, "width": 2, "counts": [1]})


@given(st.lists(st.integers(0, 3), max_size=20), st.integers(0, 4))
def test_the_points_of_a_segment(ids: list[int], value: int) -> None:
    expected = [place for place, found in enumerate(ids) if found == value]
    column = pa.array([ids], pa.list_(pa.int32()))
    wide = pa.scalar(ids, pa.large_list(pa.int64()))
    for points in (ids, np.array(ids, np.int32), column[0], wide, column.values, pl.Series(ids, dtype=pl.Int32)):
        found = point_indices(points, value)
        assert found.tolist() == expected
        assert found.dtype == np.int64


def test_no_points() -> None:
    assert point_indices(None, 3).tolist() == []
    assert point_indices(pa.scalar(None, pa.list_(pa.int32())), 3).tolist() == []
    assert point_indices([1, 2], 2**40).tolist() == []
    with pytest.raises(BitmapError, match="a list of integer ids, got float64"):
        point_indices([1.5], 1)


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
