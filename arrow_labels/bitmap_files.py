"""One bitmap, read from or written to a place that the caller names, and answers for."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt
from fsspec.implementations.local import LocalFileSystem

from arrow_labels.bitmap import MAX_PIXELS, decode_bitmap, encode_bitmap
from arrow_labels.errors import BitmapError, FetchError, TargetError
from arrow_labels.fetch import fetch
from arrow_labels.http_bytes import Limits
from arrow_labels.locate import Place
from arrow_labels.redaction import hides_options, reason, shown
from arrow_labels.sources import file_system


@hides_options
def read_bitmap(
    source: str | os.PathLike[str] | bytes,
    *,
    storage_options: dict[str, Any] | None = None,
    max_pixels: int | None = MAX_PIXELS,
    retries: int = 4,
    timeout: float = 60.0,
) -> npt.NDArray[np.uint32]:
    """Read the ids of a bitmap.

    Parameters
    ----------
    source : str, path or bytes
        A path or URL of any fsspec file system: the caller answers for it. Or a PNG that is in memory.
    storage_options : dict, optional
        Options of the fsspec file system. HTTP redirects to another origin do not get them.
    max_pixels : int, optional
        Refuse an image that declares more pixels, before any is decoded. None: no limit.
    retries : int
        Further attempts after a server that is busy, a broken connection or no answer in time.
    timeout : float
        Seconds that one attempt may take, to the last byte.

    Returns
    -------
    uint32 array (height, width)

    Raises
    ------
    FetchError
        The file cannot be read.
    BitmapError
        It is not a bitmap of ids, or too large.

    Examples
    --------
    >>> import arrow_labels as al
    >>> write_bitmap([[0, 7], [7, 300]], "memory://bitmaps/1.png")
    >>> read_bitmap("memory://bitmaps/1.png")
    array([[  0,   7],
           [  7, 300]], dtype=uint32)
    """
    if isinstance(source, bytes | bytearray | memoryview):
        return decode_bitmap(source, max_pixels=max_pixels)
    url = os.fspath(source)
    try:
        data = fetch(Place(url, storage_options), Limits(None, retries, timeout))
        return decode_bitmap(data, max_pixels=max_pixels)
    except (FetchError, BitmapError) as error:
        kind = BitmapError if isinstance(error, BitmapError) else FetchError
        raise kind(f"{error} - at {shown(url)}") from None


@hides_options
def write_bitmap(
    ids: npt.ArrayLike, target: str | os.PathLike[str], *, storage_options: dict[str, Any] | None = None
) -> None:
    """Write ids as a bitmap: a PNG, RGBA, `id = R + 256 * G + 65536 * B`, alpha 255.

    Parameters
    ----------
    ids : integer or bool array (height, width)
        Ids from 0, unlabelled, to 16,777,215.
    target : str or path
        Path or URL of any fsspec file system; folders that it names are made, a file that is there is replaced.
    storage_options : dict, optional
        Options of the fsspec file system.

    Raises
    ------
    BitmapError
        The array is not one of ids.
    TargetError
        The file cannot be written.

    Examples
    --------
    >>> write_bitmap([[0, 1], [2, 3]], "memory://bitmaps/2.png")
    """
    png = encode_bitmap(ids)
    url = os.fspath(target)
    fs, path = file_system(url, storage_options)
    try:
        if isinstance(fs, LocalFileSystem):
            fs.makedirs(fs._parent(path), exist_ok=True)
        fs.pipe_file(path, png)
    except Exception as error:  # file systems raise errors of the libraries below them
        raise TargetError(f"Expected a target that can be written, got {reason(error)} - at {shown(url)}") from None
