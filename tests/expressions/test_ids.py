"""Ids of pixels and their colours, against NumPy's view of the same bytes."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from engines import everywhere
from hypothesis import given
from hypothesis import strategies as st

import arrow_labels as al
from arrow_labels.expressions.ids import Packing, decode_ids, encode_ids

LARGEST = (1 << 24) - 1
PACKINGS: list[Packing] = ["packed", "struct", "array", "binary"]
INTEGERS = [pl.Int8, pl.UInt8, pl.Int16, pl.UInt16, pl.Int32, pl.UInt32, pl.Int64, pl.UInt64, pl.Int128]

ids = st.lists(st.none() | st.integers(0, LARGEST) | st.sampled_from([0, 1, 255, 256, 257, 65536, LARGEST]))


def decoded(values: Any, dtype: Any) -> list[int | None]:
    frame = pl.DataFrame({"pixel": pl.Series(values, dtype=dtype)})
    made = everywhere(frame.lazy().select(decode_ids(pl.col("pixel"))))
    assert made.schema == {"pixel": pl.Int64}
    return made["pixel"].to_list()


@given(ids)
@pytest.mark.parametrize("to", PACKINGS)
def test_decode_undoes_encode(to: Packing, values: list[int | None]) -> None:
    frame = pl.LazyFrame({"id": pl.Series(values, dtype=pl.Int64)})
    encoded = frame.with_columns(encode_ids(pl.col("id"), to).alias("pixel"))
    found = everywhere(encoded.with_columns(decode_ids(pl.col("pixel")).alias("again")))
    assert found["again"].to_list() == values


@given(st.lists(st.integers(0, LARGEST), min_size=1))
def test_encoding_is_that_of_the_bytes(values: list[int]) -> None:
    frame = pl.DataFrame({"id": values})
    channels = np.array(values, "<u4").view(np.uint8).reshape(-1, 4) | np.array([0, 0, 0, 255], np.uint8)
    assert frame.select(encode_ids(pl.col("id"), "array")).to_series().to_numpy().tolist() == channels.tolist()
    assert frame.select(encode_ids(pl.col("id"), "struct")).unnest("id").to_numpy().tolist() == channels.tolist()
    assert frame.select(encode_ids(pl.col("id"), "binary"))["id"].to_list() == [row.tobytes() for row in channels]
    packed = frame.select(encode_ids(pl.col("id")))["id"]
    assert packed.to_numpy().astype("<u4").view(np.uint8).reshape(-1, 4).tolist() == channels.tolist()


@given(st.lists(st.binary(min_size=3, max_size=4), min_size=1))
def test_bytes_in_every_form(pixels: list[bytes]) -> None:
    expected = [int.from_bytes(pixel[:3], "little") for pixel in pixels]
    lists = [list(pixel) for pixel in pixels]
    assert decoded(pixels, pl.Binary) == expected
    assert decoded(lists, pl.List(pl.UInt8)) == expected
    assert decoded(lists, pl.List(pl.Int64)) == expected
    assert decoded([pixel[:3] for pixel in lists], pl.Array(pl.UInt8, 3)) == expected
    assert decoded([[*pixel, 9][:4] for pixel in lists], pl.Array(pl.Int32, 4)) == expected
    rgb = pl.Struct({"b": pl.Int16, "g": pl.UInt8, "r": pl.Int64, "depth": pl.Float64})
    assert decoded([{"r": p[0], "g": p[1], "b": p[2], "depth": 0.5} for p in lists], rgb) == expected


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_integers_of_every_width(dtype: Any) -> None:
    values = [value for value in (0, 1, 127, 255, 65535, LARGEST) if value <= dtype.max().pipe(pl.select).item()]
    assert decoded([*values, None], dtype) == [*values, None]


def test_what_is_above_24_bits_does_not_count() -> None:
    assert decoded([-1, -16776959, 0x7F000003], pl.Int32) == [LARGEST, 257, 3]
    assert decoded([2**64 - 1, 0xFF000000], pl.UInt64) == [LARGEST, 0]
    assert decoded([-1, -(2**63)], pl.Int64) == [LARGEST, 0]


def test_what_is_no_pixel_is_null() -> None:
    assert decoded([b"", b"\1\2", b"\1\2\3\4\5", None], pl.Binary) == [None] * 4
    assert decoded([[1, 2], [], [1, 2, 3, 4, 5], [1, None, 3], None], pl.List(pl.UInt8)) == [None] * 5
    assert decoded([[256, 0, 0], [-1, 0, 0], [0, 0, 1 << 40]], pl.List(pl.Int64)) == [None] * 3
    channels = [{"r": 256, "g": 0, "b": 0}, {"r": 0, "g": -1, "b": 0}, {"r": 0, "g": 0, "b": None}, None]
    assert decoded(channels, pl.Struct(dict.fromkeys("rgb", pl.Int64))) == [None] * 4
    assert decoded([None, None], pl.Null) == [None, None]


def test_alpha_does_not_count() -> None:
    pixels = [[1, 2, 3, -1], [1, 2, 3, None], [1, 2, -3, 4], [1, None, 3, -1], [1, 2, 3, -1, -1], [1, 2], None]
    assert decoded(pixels, pl.List(pl.Int8)) == [197121, 197121, *[None] * 5]
    pixels = [[1, 2, 3, 300], [1, 2, 3, None], [1, 2, 300, 4], [None] * 4, None]
    assert decoded(pixels, pl.List(pl.Int64)) == [197121, 197121, None, None, None]
    assert decoded(pixels, pl.Array(pl.Int64, 4)) == [197121, 197121, None, None, None]


def test_extension_columns() -> None:
    packed = pl.Series("pixel", [257]).ext.to(pl.Extension("some.ids", pl.Int64)).to_frame().lazy()
    assert everywhere(packed.select(decode_ids(pl.col("pixel")))).rows() == [(257,)]
    assert everywhere(packed.select(encode_ids(pl.col("pixel"), "binary"))).rows() == [(b"\1\1\0\xff",)]


@pytest.mark.parametrize("to", PACKINGS)
def test_no_id_wraps(to: Packing) -> None:
    frame = pl.LazyFrame({"id": pl.Series([-1, 1 << 24, 2**64 - 1], dtype=pl.Int128)})
    assert everywhere(frame.select(encode_ids(pl.col("id"), to)))["id"].to_list() == [None] * 3
    assert everywhere(frame.head(0).select(encode_ids(pl.col("id"), to))).height == 0


@pytest.mark.parametrize(
    "dtype",
    [pl.String, pl.Float64, pl.Boolean, pl.List(pl.Float64), pl.Struct({"r": pl.UInt8, "g": pl.UInt8})],
    ids=str,
)
def test_other_types_are_refused(dtype: Any) -> None:
    frame = pl.LazyFrame({"pixel": pl.Series([], dtype=dtype)})
    with pytest.raises(al.SchemaError, match="Expected an integer, a struct of integers r, g and b"):
        frame.select(decode_ids(pl.col("pixel"))).collect()
    with pytest.raises(al.SchemaError, match="Expected integers, got"):
        frame.select(encode_ids(pl.col("pixel"))).collect()
    with pytest.raises(ValueError, match=r"to: expected .* got 'rgb'"):
        encode_ids(pl.col("pixel"), "rgb")  # type: ignore[arg-type]


def test_each_column_keeps_its_name() -> None:
    frame = pl.LazyFrame({"a": [1], "b": [b"\1\0\0"]})
    assert everywhere(frame.select(decode_ids(pl.all()), decode_ids(pl.col("a")).alias("c"))).row(0) == (1, 1, 1)
    assert frame.select(encode_ids(pl.col("a"), to).alias(to) for to in PACKINGS).collect_schema().names() == PACKINGS
    assert frame.select(encode_ids(pl.col("a"), "struct")).collect_schema().names() == ["a"]
