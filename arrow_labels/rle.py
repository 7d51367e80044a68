"""One mask as COCO's run lengths: to and from pixels, and to and from COCO's compressed text.

The counts are those of columns one after the other, from the upper left; the first run counts zeros.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypedDict

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from arrow_labels.errors import BitmapError

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_ZERO: Final = 48
"""COCO's text counts from the character "0"."""
_DIGITS: Final = 7
"""Digits of five bits that a difference of two counts may take: counts are below 2^31."""


class Rle(TypedDict):
    """A mask as run lengths: the value of the `rle` column, as Python sees it."""

    height: int
    width: int
    counts: list[int]


class CocoRle(TypedDict):
    """A mask as COCO writes it into JSON: `size` is [height, width], `counts` is compressed text."""

    size: list[int]
    counts: str


def rle_to_mask(rle: Mapping[str, Any] | pa.StructScalar) -> Mask:
    """Pixels of a mask.

    Parameters
    ----------
    rle : mapping or pa.StructScalar
        `height` and `width` in pixels, and `counts`.

    Returns
    -------
    bool array (height, width)

    Raises
    ------
    BitmapError
        The counts do not cover the image exactly, or are not run lengths.

    Examples
    --------
    >>> rle_to_mask({"height": 2, "width": 3, "counts": [1, 3, 2]}).astype(int)
    array([[0, 1, 0],
           [1, 1, 0]])
    """
    height, width, counts = run_lengths(rle)
    inside = np.zeros(len(counts), np.bool_)
    inside[1::2] = True
    return np.ascontiguousarray(np.repeat(inside, counts).reshape(width, height).T)


def mask_to_rle(mask: npt.ArrayLike) -> Rle:
    """Run lengths of a mask.

    Parameters
    ----------
    mask : bool or integer array (height, width)
        Every pixel that is not 0 is inside.

    Returns
    -------
    dict
        `height`, `width` and `counts`, as `rle_to_mask` takes them.

    Raises
    ------
    BitmapError
        The mask is not two-dimensional, or not of booleans or integers.

    Examples
    --------
    >>> mask_to_rle([[False, True, False], [True, True, False]])
    {'height': 2, 'width': 3, 'counts': [1, 3, 2]}
    """
    pixels = np.asarray(mask)
    if pixels.ndim != 2 or pixels.dtype.kind not in "biu":
        raise BitmapError(f"Expected a mask of (height, width) booleans, got {pixels.dtype} of shape {pixels.shape}")
    height, width = pixels.shape
    flat = pixels.T.ravel() != 0
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    counts = np.diff(changes, prepend=0, append=flat.size).tolist()
    return {"height": height, "width": width, "counts": [0, *counts] if flat[:1].any() else counts}


def rle_to_coco(rle: Mapping[str, Any] | pa.StructScalar) -> CocoRle:
    """A mask as COCO's JSON has it, its counts compressed to text.

    Each count from the fourth on is written as its difference to the count two before it; a number is a
    sequence of characters from "0", each with five bits, the lowest first, and a sixth bit where more follow.

    Parameters
    ----------
    rle : mapping or pa.StructScalar
        `height`, `width` and `counts`.

    Returns
    -------
    dict
        `size` ([height, width]) and `counts` (ASCII text), as `pycocotools` gives and takes them.

    Raises
    ------
    BitmapError
        The counts do not cover the image exactly, or are not run lengths.

    Examples
    --------
    >>> rle_to_coco({"height": 4, "width": 100, "counts": [1, 3, 96, 300]})
    {'size': [4, 100], 'counts': '13P3Y9'}
    """
    height, width, counts = run_lengths(rle)
    numbers = counts.copy()
    numbers[3:] -= counts[1:-2]
    # A number needs one more digit for each bound that it, or its complement if it is negative, reaches.
    bounds = 16 * 32 ** np.arange(_DIGITS, dtype=np.int64)
    digits = 1 + np.searchsorted(bounds, numbers ^ (numbers >> 63), side="right")
    ends = np.cumsum(digits)
    place = np.arange(digits.sum()) - np.repeat(ends - digits, digits)
    text = (np.repeat(numbers, digits) >> 5 * place) & 31 | 32
    text[ends - 1] &= 31
    return {"size": [height, width], "counts": (text + _ZERO).astype(np.uint8).tobytes().decode("ascii")}


def coco_to_rle(coco: Mapping[str, Any]) -> Rle:
    """Run lengths of a mask as COCO's JSON has it.

    Parameters
    ----------
    coco : mapping
        `size` ([height, width]) and `counts`: compressed text, as str or bytes, or a list of run lengths.

    Returns
    -------
    dict
        `height`, `width` and `counts`.

    Raises
    ------
    BitmapError
        The text is not what COCO writes, or the counts do not cover the image exactly.

    Examples
    --------
    >>> coco_to_rle({"size": [4, 100], "counts": "13P3Y9"})
    {'height': 4, 'width': 100, 'counts': [1, 3, 96, 300]}
    """
    try:
        (height, width), counts = coco["size"], coco["counts"]
    except (KeyError, TypeError, ValueError):
        raise BitmapError(f"Expected a mask of `size` [height, width] and `counts`, got {coco!r:.80}") from None
    if isinstance(counts, str | bytes):
        counts = _decompress(counts)
    height, width, checked = run_lengths({"height": height, "width": width, "counts": counts})
    return {"height": height, "width": width, "counts": checked.tolist()}


def _decompress(text: str | bytes) -> Ints:
    data = text.encode("utf-8") if isinstance(text, str) else text
    digits = np.frombuffer(data, np.uint8).astype(np.int64) - _ZERO
    wrong = (digits < 0) | (digits > 63)
    if wrong.any():
        place = int(wrong.argmax())
        raise BitmapError(f"Expected COCO's characters `0` to `o`, got {data[place : place + 1]!r} - at byte {place}")
    if not len(digits):
        return np.zeros(0, np.int64)
    if digits[-1] & 32:
        raise BitmapError(f"Expected counts that end, got text cut off after {len(data)} bytes")
    ends = np.flatnonzero(digits < 32)
    starts = np.append(0, ends[:-1] + 1)
    lengths = ends - starts + 1
    if lengths.max() > _DIGITS:
        place = int(starts[lengths.argmax()])
        raise BitmapError(f"Expected counts below 2^31, got one of {lengths.max()} digits - at byte {place}")
    shifts = 5 * (np.arange(len(digits)) - np.repeat(starts, lengths))
    numbers = np.add.reduceat((digits & 31) << shifts, starts)
    numbers -= (digits[ends] & 16) << (shifts[ends] + 1)  # the highest bit is the sign
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    return numbers


def run_lengths(rle: Mapping[str, Any] | pa.StructScalar) -> tuple[int, int, Ints]:
    """Height, width and counts of a mask, proven to cover the image exactly.

    Raises
    ------
    BitmapError
        They do not.
    """
    if isinstance(rle, pa.StructScalar):
        rle = {name: value.as_py() if name != "counts" else value.values for name, value in (rle or {}).items()}
    if not isinstance(rle, Mapping) or not {"height", "width", "counts"} <= rle.keys():
        raise BitmapError(f"Expected a mask of `height`, `width` and `counts`, got {rle!r:.80}")
    height, width = rle["height"], rle["width"]
    if not all(isinstance(side, int | np.integer) and side >= 0 for side in (height, width)):
        raise BitmapError(f"Expected a height and width in pixels, got {height!r} and {width!r}")
    height, width = int(height), int(width)
    try:
        counts = np.asarray(rle["counts"])
    except ValueError:  # lists of unequal lengths
        counts = np.asarray(None)
    if counts.ndim != 1 or (counts.size and counts.dtype.kind not in "iu"):
        raise BitmapError(f"Expected a list of integer counts, got {counts.dtype} of shape {counts.shape}")
    if counts.size and counts.min() < 0:
        place = int(counts.argmin())
        raise BitmapError(f"Expected counts of at least 0, got {counts[place]} - at `counts[{place}]`")
    total = sum(counts.tolist()) if counts.size and counts.max() > height * width else int(counts.sum())
    if total != height * width:
        raise BitmapError(f"Expected counts that sum to {height} x {width} = {height * width:,}, got {total:,}")
    return height, width, counts.astype(np.int64)
