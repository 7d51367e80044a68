"""Pixels of masks, points of ids, and masks back to a bitmap, against slow loops."""

from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arrow_labels.bitmap import MAX_ID, decode_bitmap, encode_bitmap, mask_table
from arrow_labels.errors import BitmapError, SchemaError
from arrow_labels.rle import mask_to_rle, rle_to_mask
from arrow_labels.schema import RLE
from arrow_labels.segment_places import mask_indices, masks_to_bitmap, point_indices

Array = npt.NDArray[Any]

SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=12)
IDS = hnp.arrays(np.uint32, SHAPES, elements=st.sampled_from((0, 1, 2, 257, 65_536, MAX_ID)))


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
