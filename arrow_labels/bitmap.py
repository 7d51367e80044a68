"""PNG bytes to and from id arrays, and all that is made of id arrays without I/O.

An id bitmap says for each pixel which annotation it belongs to: `id = R + 256 * G + 65536 * B`, 0 is unlabelled.
Ids are never wrapped, scaled or cut off. `id_runs` makes masks of ids, `rle` is about one mask; their functions are
names of this module too.
"""

from __future__ import annotations

import io
import struct
import zlib
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from arrow_labels.errors import BitmapError
from arrow_labels.id_runs import MAX_ID, bitmap_runs, checked_ids, mask_table
from arrow_labels.rle import coco_to_rle, mask_to_rle, rle_to_coco, rle_to_mask

__all__ = [
    "MAX_ID",
    "MAX_PIXELS",
    "bitmap_runs",
    "coco_to_rle",
    "decode_bitmap",
    "encode_bitmap",
    "mask_table",
    "mask_to_rle",
    "rle_to_coco",
    "rle_to_mask",
]

MAX_PIXELS: Final = 1 << 27
"""The largest image that is decoded unless the caller says otherwise: its ids take 0.5 GB."""


class _Raw(NamedTuple):
    mode: str
    dtype: str


class _Header(NamedTuple):
    width: int
    height: int
    bits: int
    colour: int
    interlace: int


Ids = npt.NDArray[np.uint32]

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_HEADER: Final = struct.Struct(">I4sIIBBBBBI")
_CHUNK: Final = struct.Struct(">I4s")
_COLOURS: Final = {0: "greyscale", 2: "RGB", 3: "palette", 4: "greyscale with alpha", 6: "RGBA"}
_RAW_MODES: Final = {
    (6, 8): _Raw("RGBA", "<u4"),
    (2, 8): _Raw("RGBX", "<u4"),
    (0, 8): _Raw("L", "u1"),
    (0, 16): _Raw("I;16", "<u2"),
    **{(3, bits): _Raw("P", "u1") for bits in (1, 2, 4, 8)},
}
"""How Pillow gives the pixels that it has decoded, for each PNG colour type and depth."""
_MARK: Final = 0x5A5A5A
"""What stands in the last row before it is decoded: in one, two or three bytes an id that is rare."""
_PASSES: Final = (
    (0, 0, 8, 8),
    (0, 4, 8, 8),
    (4, 0, 8, 4),
    (0, 2, 4, 4),
    (2, 0, 4, 2),
    (0, 1, 2, 2),
    (1, 0, 2, 1),
)
"""First row and column, and the steps to the next, of each pass of an interlaced image."""
_PIECE: Final = 4096
_CONTENTS: Final = (
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"BM", "a BMP image"),
    (b"II*\x00", "a TIFF image"),
    (b"MM\x00*", "a TIFF image"),
    (b"%PDF", "a PDF document"),
    (b"\x1f\x8b", "gzip data"),
    (b"PK\x03\x04", "a zip file"),
    (b"<!doctype html", "an HTML page"),
    (b"<html", "an HTML page"),
    (b"<?xml", "an XML document"),
    (b"{", "JSON text"),
)


def decode_bitmap(png: bytes | bytearray | memoryview, *, max_pixels: int | None = MAX_PIXELS) -> Ids:
    """Ids of a PNG image.

    `id = R + 256 * G + 65536 * B` of an RGBA image, whatever its alpha, or of an RGB image; the index, not the
    colour, of a palette image; the value of a greyscale image of 8 or 16 bits. Only the pixels themselves are read:
    transparent colours, colour profiles, gamma and the further frames of an animation change nothing.

    Parameters
    ----------
    png : bytes
        A whole PNG file.
    max_pixels : int, optional
        Refuse an image that declares more pixels, before any is decoded. Decoding takes 4 bytes a pixel, and 12 of
        an RGB image. None: no limit.

    Returns
    -------
    uint32 array (height, width)

    Raises
    ------
    BitmapError
        It is no PNG, not whole, damaged, of another mode, or too large. The message says what it is instead.

    Examples
    --------
    >>> decode_bitmap(encode_bitmap([[0, 1], [257, 16_777_215]]))
    array([[       0,        1],
           [     257, 16777215]], dtype=uint32)
    """
    if not isinstance(png, bytes | bytearray | memoryview):
        raise ValueError(f"png: expected bytes, got `{type(png).__name__}`")
    from PIL import Image
    from PIL.PngImagePlugin import PngImageFile

    data = bytes(png)
    header = _header(data, max_pixels)
    width, height = header.width, header.height
    chunks = _pixel_chunks(data)
    raw = _RAW_MODES[header.colour, header.bits]
    # Where rows are missing, Pillow stops without a word. Then the last row still holds the mark.
    mark = _MARK & int(np.iinfo(raw.dtype).max)
    try:
        ids = np.zeros((height, width), "<u4")
        marked = shared = Image.frombuffer("RGBA", (width, height), ids, "raw", "RGBA", 0, 1)
        # Not `Image.open`, which asks the readers of all formats, and whose own limit on pixels is a global setting.
        image = PngImageFile(io.BytesIO(chunks))
        if image.mode == "RGBA":
            ids[-1] = mark
        else:
            marked = Image.new(image.mode, image.size, None)  # type: ignore[arg-type]  # None: no time to fill it
            marked.paste(mark, (0, height - 1, width, height))
        image.im = marked.im  # of RGBA the ids: a copy would cost as much memory again, and time
        image.load()
        if image.im is shared.im:
            found = np.bitwise_and(ids, np.uint32(MAX_ID), out=ids).astype(np.uint32, copy=False)
        else:
            values = np.frombuffer(image.tobytes("raw", raw.mode), raw.dtype)
            found = (values & np.uint32(MAX_ID)).reshape(height, width)
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise BitmapError(f"Expected a sound PNG of {width} x {height} pixels, got a damaged one: {error}") from None
    except (OverflowError, MemoryError):
        raise BitmapError(f"Expected an image that fits into memory, got {width:,} x {height:,} pixels") from None
    # An image may have such a row, and interlaced ones do not end with their last row: only those are counted.
    if (header.interlace or image.im is not marked.im or (found[-1] == mark).all()) and not _is_whole(header, chunks):
        raise BitmapError(f"Expected a sound PNG of {width} x {height} pixels, got a damaged one: pixels are missing")
    return found


def _header(data: bytes, max_pixels: int | None) -> _Header:
    """What a PNG declares."""
    if not data.startswith(_SIGNATURE):
        raise BitmapError(f"Expected a PNG image, got {_content(data)}")
    if len(data) < len(_SIGNATURE) + _HEADER.size:
        raise BitmapError(f"Expected a whole PNG, got one cut off after {len(data):,} bytes")
    length, kind, width, height, bits, colour, _, _, interlace, _ = _HEADER.unpack_from(data, len(_SIGNATURE))
    if (length, kind) != (13, b"IHDR") or not width or not height:
        raise BitmapError("Expected a PNG image, got one without a valid header")
    if (colour, bits) not in _RAW_MODES:
        raise BitmapError(
            "Expected a PNG of RGBA, RGB or greyscale of 8 bits, greyscale of 16 bits, or palette, "
            f"got {_COLOURS.get(colour, 'unknown colours')} of {bits} bits"
        )
    if max_pixels is not None and width * height > max_pixels:
        raise BitmapError(f"Expected at most {max_pixels:,} pixels (`max_pixels`), got {width:,} x {height:,}")
    return _Header(width, height, bits, colour, interlace)


def _is_whole(header: _Header, chunks: bytes) -> bool:
    """Whether the pixels, decompressed, are as many bytes as the header says."""
    depth = header.bits * {2: 3, 6: 4}.get(header.colour, 1)
    missing = 0
    for top, left, down, right in _PASSES if header.interlace else [(0, 0, 1, 1)]:
        rows, columns = len(range(top, header.height, down)), len(range(left, header.width, right))
        missing += rows * (1 + (columns * depth + 7) // 8) if columns else 0
    view, start = memoryview(chunks), len(_SIGNATURE)
    inflater = zlib.decompressobj()
    try:
        while start < len(chunks):
            length, kind = _CHUNK.unpack_from(chunks, start)
            pixels = view[start + 8 : start + 8 + length] if kind == b"IDAT" else view[:0]
            # A piece becomes at most a thousand times as long: that bounds the memory.
            for piece in range(0, len(pixels), _PIECE):
                missing -= len(inflater.decompress(pixels[piece : piece + _PIECE]))
                if missing <= 0 or inflater.eof:
                    return missing <= 0
            start += length + 12
    except zlib.error:
        return False
    return False


def _pixel_chunks(data: bytes) -> bytes:
    """A PNG reduced to its header and its pixels, every checksum proven.

    Pillow does not look at the checksums of pixels, nor whether there is an end.
    """
    view, start = memoryview(data), len(_SIGNATURE)
    kept = [view[:start]]
    while start + _CHUNK.size <= len(data):
        length, kind = _CHUNK.unpack_from(data, start)
        end = start + length + 12
        if end > len(data):
            break
        if zlib.crc32(view[start + 4 : end - 4]) != int.from_bytes(view[end - 4 : end]):
            raise BitmapError(f"Expected a sound PNG, got a wrong checksum of chunk {kind!r} - at byte {start:,}")
        if kind in (b"IDAT", b"IEND") or len(kept) == 1:
            kept.append(view[start:end])
        if kind == b"IEND":
            if len(kept) == 3:
                raise BitmapError("Expected a whole PNG, got one without pixels")
            return b"".join(kept)
        start = end
    raise BitmapError(f"Expected a whole PNG, got one cut off after {len(data):,} bytes")


def _content(data: bytes) -> str:
    """What bytes that are no PNG seem to be."""
    if not data:
        return "no bytes"
    text = data[:1024].removeprefix(b"\xef\xbb\xbf").lstrip()
    if b"<html" in text.lower():
        return "an HTML page"
    if data[:4] + data[8:12] == b"RIFFWEBP":
        return "a WebP image"
    found = [name for start, name in _CONTENTS if data.startswith(start) or text.lower().startswith(start)]
    return found[0] if found else f"{len(data):,} bytes that start with {data[:8]!r}"


def encode_bitmap(ids: npt.ArrayLike, *, compress_level: int = 6) -> bytes:
    """A PNG image of ids: RGBA, 8 bits a channel, alpha 255, `id = R + 256 * G + 65536 * B`.

    Parameters
    ----------
    ids : integer or bool array (height, width)
        Ids from 0, unlabelled, to 16,777,215.
    compress_level : int
        From 0, fast and large, to 9.

    Returns
    -------
    bytes

    Raises
    ------
    BitmapError
        The array is not two-dimensional, not of integers, without pixels, or an id does not fit.

    Examples
    --------
    >>> encode_bitmap([[0, 1], [2, 3]])[1:4]
    b'PNG'
    >>> encode_bitmap([[0, -1]])
    Traceback (most recent call last):
    arrow_labels.errors.BitmapError: Expected ids from 0 to 16777215, got -1 - at row 0, column 1
    """
    if not (isinstance(compress_level, int) and 0 <= compress_level <= 9):
        raise ValueError(f"compress_level: expected an integer from 0 to 9, got {compress_level!r}")
    from PIL import Image

    array = checked_ids(ids)
    if not array.size:
        raise BitmapError(f"Expected at least one pixel, got an array of shape {array.shape}")
    height, width = array.shape
    # Pillow takes whole rows; numpy would keep the order in memory of an array that is turned.
    pixels = (array.astype(np.uint32, order="C") | np.uint32(0xFF000000)).astype("<u4")
    file = io.BytesIO()
    image = Image.frombuffer("RGBA", (width, height), pixels, "raw", "RGBA", 0, 1)
    image.save(file, "PNG", compress_level=compress_level)
    return file.getvalue()
