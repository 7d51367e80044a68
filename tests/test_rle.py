"""Run lengths of one mask: pixels and COCO's text, against pycocotools."""

from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco

from arrow_labels.errors import BitmapError
from arrow_labels.rle import coco_to_rle, mask_to_rle, rle_to_coco, rle_to_mask
from arrow_labels.schema import RLE

Mask = npt.NDArray[np.bool_]

SIDES = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40)


@st.composite
def masks(draw: st.DrawFn) -> Mask:
    """Masks of pixels, of rows and of columns: many short runs and few long ones."""
    shape = draw(SIDES)
    pixels, rows, columns = (draw(hnp.arrays(np.bool_, size)) for size in (shape, (shape[0], 1), (1, shape[1])))
    kind = draw(st.sampled_from(("pixels", "stripes", "rectangles", "plain")))
    mask = {"pixels": pixels, "stripes": rows | ~rows & columns, "rectangles": rows & columns, "plain": rows[:1]}[kind]
    return np.broadcast_to(mask, shape)


@given(masks())
def test_pixels_and_run_lengths_are_inverse(mask: Mask) -> None:
    rle = mask_to_rle(mask)
    found = rle_to_mask(rle)
    assert (found == mask).all()
    assert found.shape == mask.shape
    assert found.dtype == np.bool_
    assert found.flags.c_contiguous
    assert mask_to_rle(found.astype(np.int64) * 255) == rle
    assert mask_to_rle(np.asfortranarray(found)) == rle


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")
@given(masks())
def test_run_lengths_are_those_of_pycocotools(mask: Mask) -> None:
    encoded = coco.encode(np.asfortranarray(mask, np.uint8))
    expected = {"size": encoded["size"], "counts": encoded["counts"].decode()}
    rle = mask_to_rle(mask)
    assert rle_to_coco(rle) == expected
    assert coco_to_rle(expected) == coco_to_rle(encoded) == rle
    assert (coco.decode(rle_to_coco(rle)) == mask).all()


@given(st.lists(st.integers(0, 2**20), min_size=1, max_size=30), st.integers(1, 5))
def test_any_counts_are_those_of_pycocotools(counts: list[int], height: int) -> None:
    counts[-1] += -sum(counts) % height
    size = [height, sum(counts) // height]
    expected = coco.frPyObjects({"size": size, "counts": counts}, *size)
    rle = {"height": size[0], "width": size[1], "counts": counts}
    assert rle_to_coco(rle)["counts"] == expected["counts"].decode()
    assert coco_to_rle(expected) == coco_to_rle({"size": size, "counts": counts}) == rle


@pytest.mark.parametrize("count", [0, 1, 15, 16, 31, 32, 511, 512, 16383, 16384, 2**24, 2**29, 2**31 - 10])
def test_the_digits_of_a_count(count: int) -> None:
    counts = [1, 2, 3, count, 4]
    rle = {"height": sum(counts), "width": 1, "counts": counts}
    expected = coco.frPyObjects({"size": [sum(counts), 1], "counts": counts}, sum(counts), 1)
    assert rle_to_coco(rle) == {"size": [sum(counts), 1], "counts": expected["counts"].decode()}
    assert coco_to_rle(expected) == rle


def test_rows_of_tables() -> None:
    rle = {"height": 2, "width": 2, "counts": [1, 2, 1]}
    table = pa.table({"rle": pa.array([rle], RLE)})
    frame = pl.DataFrame(table)
    for row in (table["rle"][0], table["rle"].to_pylist()[0], frame["rle"][0], frame.row(0, named=True)["rle"]):
        assert rle_to_mask(row).tolist() == [[False, True], [True, False]]
        assert rle_to_coco(row) == {"size": [2, 2], "counts": "121"}
    large = pa.scalar(rle, pa.struct({"height": pa.int64(), "width": pa.int64(), "counts": pa.large_list(pa.int64())}))
    assert rle_to_mask(large).tolist() == [[False, True], [True, False]]
    assert rle_to_mask(rle | {"counts": np.array([1, 2, 1], np.uint8)}).sum() == 2


def test_no_pixels() -> None:
    assert mask_to_rle(np.zeros((0, 3), np.bool_)) == {"height": 0, "width": 3, "counts": [0]}
    assert rle_to_mask({"height": 0, "width": 3, "counts": []}).shape == (0, 3)
    assert coco_to_rle({"size": [0, 3], "counts": ""}) == {"height": 0, "width": 3, "counts": []}


WRONG_RLES: dict[str, tuple[Any, str]] = {
    "too few": ({"counts": [5]}, "sum to 2 x 3 = 6, got 5"),
    "too many": ({"counts": [1, 6]}, "sum to 2 x 3 = 6, got 7"),
    "far too many": ({"counts": np.array([2**64 - 1, 7], np.uint64)}, "got 18,446,744,073,709,551,622"),
    "negative": ({"counts": [7, -1]}, r"at least 0, got -1 - at `counts\[1\]`"),
    "fractions": ({"counts": [1.5, 4.5]}, "integer counts, got float64"),
    "huge": ({"counts": [2**70]}, "integer counts, got object"),
    "polygons": ({"counts": [[1, 2], [3]]}, "a list of integer counts"),
    "nested": ({"counts": [[1, 2], [3, 4]]}, r"got int64 of shape \(2, 2\)"),
    "null counts": ({"counts": None}, "a list of integer counts"),
    "text": ({"counts": "06"}, "a list of integer counts"),
    "negative side": ({"height": -2}, "a height and width in pixels, got -2 and 3"),
    "null side": ({"width": None}, "a height and width in pixels, got 2 and None"),
}


@pytest.mark.parametrize("case", WRONG_RLES)
def test_wrong_run_lengths(case: str) -> None:
    change, message = WRONG_RLES[case]
    rle = {"height": 2, "width": 3, "counts": [6]} | change
    for function in (rle_to_mask, rle_to_coco):
        with pytest.raises(BitmapError, match=message):
            function(rle)


@pytest.mark.parametrize("wrong", [None, [1, 2], {}, {"height": 1, "width": 1}, pa.scalar(3)])
def test_no_run_lengths(wrong: Any) -> None:
    with pytest.raises(BitmapError, match="Expected a mask of `height`, `width` and `counts`, got "):
        rle_to_mask(wrong)


def test_null_rows() -> None:
    with pytest.raises(BitmapError, match="got None and None"):
        rle_to_mask(pa.scalar(None, RLE))
    with pytest.raises(BitmapError, match="integer counts"):
        rle_to_mask(pa.scalar({"height": 1, "width": 2, "counts": [1, None]}, RLE))


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ("1p", "characters `0` to `o`, got b'p' - at byte 1"),
        ("1/1", "got b'/' - at byte 1"),
        (b"\xff", "at byte 0"),
        ("1é", "at byte 1"),
        ("0P", "cut off after 2 bytes"),
        ("P" * 7 + "1", "8 digits - at byte 0"),
        ("1" + "P" * 40 + "1", "41 digits - at byte 1"),
        ("", "sum to 2 x 3 = 6, got 0"),
        ("3", "sum to 2 x 3 = 6, got 3"),
        ("7O", "at least 0, got -1 - at `counts\\[1\\]`"),
        ([3, 2], "sum to 2 x 3 = 6, got 5"),
        (None, "list of integer counts"),
    ],
)
def test_wrong_text(counts: Any, message: str) -> None:
    with pytest.raises(BitmapError, match=message):
        coco_to_rle({"size": [2, 3], "counts": counts})


@pytest.mark.parametrize("wrong", [{}, {"size": [1, 2]}, {"size": [1], "counts": "1"}, [[1.0, 2.0, 3.0, 4.0]], None])
def test_no_coco_mask(wrong: Any) -> None:
    with pytest.raises(BitmapError, match=r"Expected a mask of `size` \[height, width\] and `counts`, got "):
        coco_to_rle(wrong)


@given(st.text("0123456789:;<=>?@APQRSTno", max_size=30), st.integers(0, 9), st.integers(0, 9))
def test_no_text_gives_a_wrong_mask(text: str, height: int, width: int) -> None:
    try:
        rle = coco_to_rle({"size": [height, width], "counts": text})
    except BitmapError:
        return
    assert sum(rle["counts"]) == height * width
    assert min(rle["counts"], default=0) >= 0


@pytest.mark.parametrize("wrong", [np.zeros(3, np.bool_), np.zeros((2, 2)), np.zeros((2, 2, 2), np.bool_), [["a"]]])
def test_no_mask(wrong: Any) -> None:
    with pytest.raises(BitmapError, match=r"Expected a mask of \(height, width\) booleans, got "):
        mask_to_rle(wrong)
