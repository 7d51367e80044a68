"""PNG images to ids and back, and the masks of an id array, against the SDK, pycocotools, Pillow and slow loops."""

import io
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import numpy.typing as npt
import pytest
import segments.utils as sdk
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngImageFile
from pycocotools import mask as coco

from arrow_labels.bitmap import bitmap_runs, decode_bitmap, encode_bitmap, mask_table
from arrow_labels.errors import BitmapError
from arrow_labels.rle import rle_to_coco, rle_to_mask
from arrow_labels.schema import SCHEMAS

Array = npt.NDArray[Any]

MAX_ID = 16_777_215
SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=20)
TRAPS = np.array([[0, 1, 255], [256, 257, 65_534], [65_535, 65_536, 65_537], [65_793, 2**23, MAX_ID]], np.uint32)


def ids_of(dtype: str) -> st.SearchStrategy[Array]:
    """Any ids that a type holds: anywhere in the range, or a few that stand in blocks."""
    largest = min(MAX_ID, int(np.iinfo(dtype).max))
    anywhere = hnp.arrays(dtype, SHAPES, elements=st.integers(0, largest))
    few = hnp.arrays(dtype, SHAPES, elements=st.sampled_from((0, 1, largest)))
    return st.one_of(anywhere, few, st.builds(lambda ids, n: ids.repeat(n, axis=0), few, st.integers(2, 5)))


IDS = st.sampled_from(("u1", "i2", "<u2", ">u2", "<i4", "u4", ">u4", "i8", "u8")).flatmap(ids_of)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def header(width: int, height: int, bits: int, colour: int, interlace: int = 0) -> bytes:
    data = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlace)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", data)


def png(rows: list[bytes], width: int, bits: int, colour: int, extra: bytes = b"") -> bytes:
    """A PNG of packed rows, without filters, the pixels in chunks of ten bytes; `extra` chunks stand before them."""
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    parts = [chunk(b"IDAT", pixels[start : start + 10]) for start in range(0, len(pixels), 10)]
    return header(width, len(rows), bits, colour) + extra + b"".join(parts) + chunk(b"IEND", b"")


def saved(image: Image.Image, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", **options)
    return file.getvalue()


def channels(ids: Array, count: int, alpha: Array | int = 255) -> Array:
    parts = [ids & 255, ids >> 8 & 255, ids >> 16 & 255, np.broadcast_to(alpha, ids.shape)]
    return np.stack(parts[:count], axis=-1).astype(np.uint8)


def sdk_loads(data: bytes, monkeypatch: pytest.MonkeyPatch) -> Array:
    monkeypatch.setattr(sdk.session, "get", lambda url: SimpleNamespace(content=data))
    return sdk.load_label_bitmap_from_url("https://example.com/1.png")


@given(IDS, st.sampled_from((0, 1, 6, 9)))
def test_ids_and_png_are_inverse(ids: Array, level: int) -> None:
    data = encode_bitmap(ids, compress_level=level)
    found = decode_bitmap(data)
    assert found.dtype == np.uint32
    assert found.tolist() == ids.tolist()
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), channels(ids.astype(np.uint32), 4))


@given(ids_of("u4"))
def test_the_sdk_agrees(ids: Array) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        assert np.array_equal(sdk_loads(encode_bitmap(ids), monkeypatch), ids)
        written = sdk.bitmap2file(ids).getvalue()
        assert np.array_equal(sdk_loads(written, monkeypatch), decode_bitmap(written))


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parent / "data").glob("*/bitmaps/0*0.png")), ids=lambda p: p.stem
)
def test_the_sdk_agrees_on_samples(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = decode_bitmap(path.read_bytes())
    assert ids.any()
    assert np.array_equal(ids, sdk_loads(path.read_bytes(), monkeypatch))


def test_ids_that_other_tools_cut_off() -> None:
    assert decode_bitmap(encode_bitmap(TRAPS)).tolist() == TRAPS.tolist()
    assert mask_table(TRAPS)["id"].to_pylist() == sorted(TRAPS[TRAPS > 0].tolist())
    assert mask_table(np.array([[1, 257, 65_793]]))["area"].to_pylist() == [1, 1, 1]


@pytest.mark.parametrize("turned", [np.transpose, np.rot90, np.asfortranarray, np.fliplr, np.flipud])
@pytest.mark.parametrize("dtype", ["u1", ">u2", "u4", "i8"])
def test_arrays_of_any_order_in_memory(turned: Any, dtype: str) -> None:
    ids = turned(np.arange(6, dtype=dtype).reshape(2, 3))
    assert decode_bitmap(encode_bitmap(ids)).tolist() == ids.tolist()


def test_the_array_is_the_callers() -> None:
    ids = decode_bitmap(encode_bitmap(TRAPS))
    assert ids.flags.owndata
    assert ids.flags.c_contiguous
    ids[:] = 7


@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview])
def test_bytes_of_any_kind(wrap: Any) -> None:
    assert decode_bitmap(wrap(encode_bitmap(TRAPS))).tolist() == TRAPS.tolist()


@given(ids_of("u4"), st.data())
def test_alpha_says_nothing(ids: Array, data: st.DataObject) -> None:
    alpha = data.draw(hnp.arrays(np.uint8, ids.shape))
    rgba = saved(Image.fromarray(channels(ids, 4, alpha)))
    assert np.array_equal(decode_bitmap(rgba), ids)


@given(ids_of("u4"), st.booleans())
def test_rgb(ids: Array, transparent: bool) -> None:
    first = tuple(channels(ids, 3)[0, 0].tolist())
    rgb = saved(Image.fromarray(channels(ids, 3)), **({"transparency": first} if transparent else {}))
    assert np.array_equal(decode_bitmap(rgb), ids)


@given(ids_of("u1"), st.booleans())
def test_greyscale_of_8_bits(ids: Array, transparent: bool) -> None:
    grey = saved(Image.fromarray(ids), **({"transparency": int(ids[0, 0])} if transparent else {}))
    assert np.array_equal(decode_bitmap(grey), ids)


@given(ids_of("u2"))
def test_greyscale_of_16_bits(ids: Array) -> None:
    grey = png([row.astype(">u2").tobytes() for row in ids], ids.shape[1], 16, 0)
    assert np.array_equal(decode_bitmap(grey), ids)
    assert np.array_equal(decode_bitmap(saved(Image.fromarray(ids))), ids)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("palette", ["none", "one colour", "transparent"])
def test_a_palette_counts_by_index(bits: int, palette: str) -> None:
    ids = np.arange(7 * 16).reshape(7, 16) % 2**bits
    flags = np.unpackbits(ids.astype(np.uint8)[..., None], axis=-1)[..., 8 - bits :]
    rows = [np.packbits(row).tobytes() for row in flags]
    colours = chunk(b"PLTE", bytes([9, 9, 9]) * 2**bits) if palette != "none" else b""
    colours += chunk(b"tRNS", bytes(2**bits)) if palette == "transparent" else b""
    assert decode_bitmap(png(rows, 16, bits, 3, colours)).tolist() == ids.tolist()


def test_a_palette_that_pillow_saves() -> None:
    for count in (2, 3, 9, 200):
        ids = (np.arange(600) % count).reshape(20, 30).astype(np.uint8)
        image = Image.fromarray(ids, "L").convert("P")
        image.putpalette([value % 3 for value in range(3 * count)])
        assert np.array_equal(decode_bitmap(saved(image)), ids)


def interlaced(ids: Array) -> list[bytes]:
    """The rows of all passes, each with its filter."""
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    parts = [channels(ids, 4)[top::down, left::right] for top, left, down, right in passes]
    return [b"\0" + row.tobytes() for part in parts for row in part if row.size]


@pytest.mark.parametrize("shape", [(13, 11), (1, 1), (1, 9), (9, 1), (2, 3), (5, 4)])
def test_interlaced(shape: tuple[int, int]) -> None:
    ids = np.arange(shape[0] * shape[1]).reshape(shape) * 100_003 % (MAX_ID + 1)
    rows = interlaced(ids)
    start = header(shape[1], shape[0], 8, 6, interlace=1)
    for count in range(len(rows) + 1):
        data = start + chunk(b"IDAT", zlib.compress(b"".join(rows[:count]))) + chunk(b"IEND", b"")
        if count == len(rows):
            assert decode_bitmap(data).tolist() == ids.tolist()
        else:
            with pytest.raises(BitmapError, match="Expected a sound PNG of .* got a damaged one: "):
                decode_bitmap(data)


MARK = 0x5A5A5A
"""What `decode_bitmap` writes where it then looks whether it is still there."""


@pytest.mark.parametrize(("bits", "colour"), [(8, 6), (8, 2), (8, 0), (16, 0), (1, 3), (4, 3), (8, 3)])
@pytest.mark.parametrize("value", [0, MARK])
@pytest.mark.parametrize("size", [(1, 4), (8, 3), (3, 100)])
def test_rows_that_are_missing(bits: int, colour: int, value: int, size: tuple[int, int]) -> None:
    width, height = size
    row = (value.to_bytes(4, "little") * width)[: -(-width * bits * {2: 3, 6: 4}.get(colour, 1) // 8)]
    whole = decode_bitmap(png([row] * height, width, bits, colour))
    assert (whole == whole[0]).all()
    for count in range(height):
        pixels = chunk(b"IDAT", zlib.compress((b"\0" + row) * count)) + chunk(b"IEND", b"")
        with pytest.raises(BitmapError, match=f"Expected a sound PNG of {width} x {height} pixels, got a damaged one"):
            decode_bitmap(header(width, height, bits, colour) + pixels)


def test_an_image_of_nothing_but_the_mark() -> None:
    for dtype in ("u1", "u2", "u4"):
        ids = np.full((300, 200), MARK & np.iinfo(dtype).max, dtype)
        assert np.array_equal(decode_bitmap(encode_bitmap(ids)), ids)
        if dtype != "u4":
            assert np.array_equal(decode_bitmap(saved(Image.fromarray(ids))), ids)


def test_rows_are_counted_only_if_they_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decompressing takes as long as all else."""
    monkeypatch.setattr(zlib, "decompressobj", lambda: pytest.fail("decompressed twice"))
    ids = np.zeros((9, 7), np.uint8)
    for data in (encode_bitmap(ids), saved(Image.fromarray(ids)), saved(Image.new("RGB", (7, 9)))):
        assert np.array_equal(decode_bitmap(data), ids)


def test_the_first_image_of_an_animation() -> None:
    frames = [Image.fromarray(channels(TRAPS + turn, 4)) for turn in (0, 1, 2)]
    data = saved(frames[0], save_all=True, append_images=frames[1:])
    assert b"acTL" in data
    assert decode_bitmap(data).tolist() == TRAPS.tolist()


def test_other_chunks_are_not_read() -> None:
    bomb = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(50_000_000)))
    profile = chunk(b"iCCP", b"broken")
    again = header(1, 1, 8, 6)[8:]
    extra = chunk(b"gAMA", struct.pack(">I", 45_455)) + bomb + profile + chunk(b"acTL", b"") + again
    rows = [row.tobytes() for row in channels(TRAPS, 4)]
    data = png(rows, TRAPS.shape[1], 8, 6, extra) + b"what follows the end"
    assert decode_bitmap(data).tolist() == TRAPS.tolist()


@pytest.mark.parametrize(
    ("bits", "colour", "found"),
    [
        *[(bits, 0, f"greyscale of {bits} bits") for bits in (1, 2, 4)],
        *[(bits, 4, f"greyscale with alpha of {bits} bits") for bits in (8, 16)],
        (16, 2, "RGB of 16 bits"),
        (16, 6, "RGBA of 16 bits"),
        (16, 3, "palette of 16 bits"),
        (3, 0, "greyscale of 3 bits"),
        (8, 5, "unknown colours of 8 bits"),
    ],
)
def test_other_modes(bits: int, colour: int, found: str) -> None:
    with pytest.raises(BitmapError, match=f"greyscale of 16 bits, or palette, got {found}"):
        decode_bitmap(png([bytes(8)], 1, bits, colour))


@pytest.mark.parametrize("mode", ["1", "LA"])
def test_other_modes_that_pillow_saves(mode: str) -> None:
    with pytest.raises(BitmapError, match="got greyscale"):
        decode_bitmap(saved(Image.new(mode, (3, 2))))


def test_a_large_image_is_refused_before_it_is_decoded() -> None:
    declared = header(50_000, 40_000, 8, 6)
    with pytest.raises(BitmapError, match=r"at most 134,217,728 pixels \(`max_pixels`\), got 50,000 x 40,000"):
        decode_bitmap(declared + b"no pixels")
    with pytest.raises(BitmapError, match="cut off after 42 bytes"):
        decode_bitmap(declared + b"no pixels", max_pixels=None)
    data = encode_bitmap(TRAPS)
    assert decode_bitmap(data, max_pixels=12).shape == (4, 3)
    with pytest.raises(BitmapError, match=r"at most 11 pixels \(`max_pixels`\), got 3 x 4"):
        decode_bitmap(data, max_pixels=11)


@pytest.mark.parametrize("size", [(2**31, 1), (1, 2**31), (2**32 - 1, 1), (2**31 - 1, 2**20), (2**31 - 1, 2**31 - 1)])
@pytest.mark.parametrize("colour", [0, 6])
def test_an_image_that_nothing_can_hold(size: tuple[int, int], colour: int) -> None:
    data = header(*size, 8, colour) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    with pytest.raises(BitmapError, match=f"{size[0]:,}|{size[0]} x"):
        decode_bitmap(data, max_pixels=None)


def test_the_limit_of_pillow_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    ids = np.arange(300_000).reshape(300, 1000)
    assert decode_bitmap(encode_bitmap(ids)).tolist() == ids.tolist()


CONTENTS = {
    b"": "no bytes",
    b"<!DOCTYPE html><html>": "an HTML page",
    b"\xef\xbb\xbf\r\n <HTML lang=en>": "an HTML page",
    b"<!-- expired --><html>": "an HTML page",
    b'<?xml version="1.0"?><Error><Code>AccessDenied</Code>': "an XML document",
    b'{"detail": "not found"}': "JSON text",
    saved(Image.new("RGB", (2, 2)))[1:]: r"\d+ bytes that start with b'PNG",
    b"\xff\xd8\xff\xe0\0\x10JFIF": "a JPEG image",
    b"GIF89a": "a GIF image",
    b"RIFF\0\0\0\0WEBPVP8 ": "a WebP image",
    b"RIFF\0\0\0\0WAVEfmt ": r"16 bytes that start with b'RIFF",
    b"BM\0\0": "a BMP image",
    b"II*\0": "a TIFF image",
    b"MM\0*": "a TIFF image",
    b"\x1f\x8b\x08": "gzip data",
    b"Forbidden": r"9 bytes that start with b'Forbidde'",
}


@pytest.mark.parametrize("data", CONTENTS)
def test_what_is_no_png(data: bytes) -> None:
    with pytest.raises(BitmapError, match=f"^Expected a PNG image, got {CONTENTS[data]}"):
        decode_bitmap(data)


def test_no_part_of_a_png_is_a_png() -> None:
    data = encode_bitmap(TRAPS)
    for size in range(8, len(data)):
        with pytest.raises(BitmapError, match=f"^Expected a whole PNG, got one cut off after {size} bytes$"):
            decode_bitmap(data[:size])


def test_every_changed_byte_is_found() -> None:
    data = encode_bitmap(TRAPS)
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 1
        with pytest.raises(BitmapError):
            decode_bitmap(changed)


@given(st.binary(max_size=36))  # less than one row: 9 pixels and the filter
def test_pixels_that_are_no_pixels(pixels: bytes) -> None:
    for data in (pixels, zlib.compress(pixels), zlib.compress(bytes(333), 0)[: len(pixels)]):
        whole = header(9, 9, 8, 6) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
        with pytest.raises(BitmapError, match="Expected a sound PNG of 9 x 9 pixels, got a damaged one: "):
            decode_bitmap(whole)


@pytest.mark.parametrize("size", [(0, 3), (3, 0)])
def test_no_pixels(size: tuple[int, int]) -> None:
    with pytest.raises(BitmapError, match="without a valid header"):
        decode_bitmap(header(*size, 8, 6) + chunk(b"IEND", b""))
    with pytest.raises(BitmapError, match=r"at least one pixel, got an array of shape \("):
        encode_bitmap(np.zeros(size, np.uint32))


def test_no_pixel_chunks() -> None:
    with pytest.raises(BitmapError, match="got one without pixels"):
        decode_bitmap(header(3, 3, 8, 6) + chunk(b"IEND", b""))
    with pytest.raises(BitmapError, match="without a valid header"):
        decode_bitmap(header(3, 3, 8, 6)[:8] + chunk(b"IDAT", bytes(40)))


def test_no_bytes() -> None:
    with pytest.raises(ValueError, match="png: expected bytes, got `str`"):
        decode_bitmap("1.png")  # type: ignore[arg-type]


def test_a_pillow_that_decodes_into_memory_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    prepare = PngImageFile.load_prepare

    def forget(image: PngImageFile) -> None:
        image.im = Image.new(image.mode, image.size).im
        prepare(image)

    monkeypatch.setattr(PngImageFile, "load_prepare", forget)
    assert decode_bitmap(encode_bitmap(TRAPS)).tolist() == TRAPS.tolist()


def test_threads() -> None:
    arrays = [np.random.default_rng(seed).integers(0, MAX_ID, (60, 1100)) for seed in range(8)]
    images = [encode_bitmap(ids) for ids in arrays] * 4
    with ThreadPoolExecutor(8) as pool:
        for found, ids in zip(pool.map(decode_bitmap, images), arrays * 4, strict=True):
            assert np.array_equal(found, ids)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([[1, 2], [3, -1]], "got -1 - at row 1, column 1"),
        ([[1, MAX_ID + 1]], "got 16777216 - at row 0, column 1"),
        (np.array([[0], [2**32 + 1]]), "got 4294967297 - at row 1, column 0"),
        (np.array([[2**64 - 1]], np.uint64), "got 18446744073709551615 - at row 0, column 0"),
        (np.array([[1.0]]), r"\(height, width\) integer ids, got float64 of shape \(1, 1\)"),
        ([[2**70]], "got object"),
        ([1, 2], r"got int64 of shape \(2,\)"),
        (np.zeros((2, 2, 4), np.uint8), r"got uint8 of shape \(2, 2, 4\)"),
    ],
)
def test_ids_that_do_not_fit(ids: Any, message: str) -> None:
    for function in (encode_bitmap, mask_table, bitmap_runs):
        with pytest.raises(BitmapError, match=message):
            function(ids)


@pytest.mark.parametrize("level", [-1, 10, 1.5, None])
def test_wrong_levels(level: Any) -> None:
    with pytest.raises(ValueError, match="compress_level: expected an integer from 0 to 9, got "):
        encode_bitmap([[1]], compress_level=level)


@given(IDS)
def test_runs(ids: Array) -> None:
    table = bitmap_runs(ids)
    assert [str(type_) for type_ in table.schema.types] == ["int64"] * 3
    runs = {name: table[name].to_numpy() for name in ("id", "start", "length")}
    assert np.array_equal(np.repeat(runs["id"], runs["length"]), ids.T.ravel())
    assert np.array_equal(runs["start"], np.cumsum(runs["length"]) - runs["length"])
    assert (runs["id"][1:] != runs["id"][:-1]).all()
    assert (runs["length"] > 0).all()


@given(IDS, st.booleans())
def test_masks_are_those_of_a_slow_loop_and_of_pycocotools(ids: Array, transposed: bool) -> None:
    ids = ids.T if transposed else ids
    rows = mask_table(ids).to_pylist()
    assert [row["id"] for row in rows] == [value for value in np.unique(ids).tolist() if value]
    for row in rows:
        inside = [(y, x) for y, line in enumerate(ids.tolist()) for x, value in enumerate(line) if value == row["id"]]
        ys, xs = zip(*inside, strict=True)
        assert row["area"] == len(inside)
        assert (row["xmin"], row["ymin"], row["xmax"], row["ymax"]) == (min(xs), min(ys), max(xs) + 1, max(ys) + 1)
        encoded = coco.encode(np.asfortranarray(ids == row["id"], np.uint8))
        assert rle_to_coco(row["rle"]) == {"size": list(ids.shape), "counts": encoded["counts"].decode()}
        assert np.array_equal(rle_to_mask(row["rle"]), ids == row["id"])


def test_the_types_of_masks() -> None:
    for table in (mask_table([[0, 3]]), mask_table(np.zeros((4, 5), np.uint8)), mask_table(np.zeros((0, 5), np.int64))):
        names = ["area", "xmin", "ymin", "xmax", "ymax", "rle"]
        segments = SCHEMAS["segments"]
        assert table.schema.names == ["id", *names]
        assert table.schema.types == [segments.field(name).type for name in ["id", *names]]
        table.validate(full=True)
    assert mask_table(np.zeros((4, 5), np.uint8)).num_rows == 0
    assert bitmap_runs(np.zeros((4, 5), np.uint8)).to_pydict() == {"id": [0], "start": [0], "length": [20]}
    assert bitmap_runs(np.zeros((0, 5), np.uint8)).num_rows == 0


def test_booleans_are_one_mask() -> None:
    assert mask_table([[False, True]]).to_pylist()[0]["rle"]["counts"] == [1, 1]
    assert decode_bitmap(encode_bitmap(np.array([[False, True]]))).tolist() == [[0, 1]]


def test_more_pixels_than_counts_can_count() -> None:
    with pytest.raises(BitmapError, match=r"fewer than 2\^31 pixels, got an array of shape \(65536, 32768\)"):
        mask_table(np.broadcast_to(np.uint8(0), (65_536, 32_768)))
