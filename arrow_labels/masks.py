"""Id bitmaps that frames point to -> area, box and run lengths of their segments.

The bitmaps come from URLs in documents, which strangers may have written: `arrow_labels.locate` says which are
followed. An image is in memory only until its masks are made; what stays of it is a few rows.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Any, Final

import polars as pl

from arrow_labels.bitmap import MAX_PIXELS, decode_bitmap
from arrow_labels.decode import OnError
from arrow_labels.errors import ArrowLabelsError, BitmapError, FetchError
from arrow_labels.fetch import fetch_all
from arrow_labels.http_bytes import Limits
from arrow_labels.locate import LOCAL, PROTOCOLS, Place, home, locate
from arrow_labels.mask_rows import (
    COLUMNS,
    BitmapRows,
    appended,
    bitmap_frames,
    bitmap_rows,
    carried_ids,
    failures,
    filled,
    findings,
    joined,
    other_findings,
    other_rejects,
    other_sizes,
)
from arrow_labels.redaction import shown
from arrow_labels.tables import LabelTables, expect_tables

_LOG: Final = logging.getLogger(__name__)
MAX_BYTES: Final = 64 << 20
"""The largest file of a bitmap that is read unless the caller says otherwise."""
_SHOWN: Final = 300
"""Characters of a URL out of a document that an error repeats."""


def read_masks(
    tables: LabelTables,
    *,
    columns: Collection[str] = COLUMNS,
    concurrency: int = 16,
    retries: int = 4,
    timeout: float = 60.0,
    protocols: Collection[str] = PROTOCOLS,
    max_pixels: int | None = MAX_PIXELS,
    max_bytes: int | None = MAX_BYTES,
    on_error: OnError = "raise",
    storage_options: dict[str, Any] | None = None,
    base: str | os.PathLike[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> LabelTables:
    """Fetch the bitmaps of frames, and fill area, box and run lengths of their segments.

    A segment has the pixels of its `id`, or of its `track_id` where it has no id. Several segments of a frame with the
    same id all get the mask; a segment without a pixel gets area 0, no box and a mask of zeros. Segments of frames
    without a bitmap stay as they are, and so do those of frames whose bitmap fails. To try again what failed, apply it
    to its result: what an earlier call found in the bitmaps that are read now, or said of their failure, is replaced.

    Parameters
    ----------
    tables : LabelTables
        With `frames` and `segments`, and `labels`, which say what relative URLs are relative to.
    columns : collection of str
        Which of area, xmin, ymin, xmax, ymax and rle to fill.
    concurrency : int
        Bitmaps that are fetched or decoded, and so are in memory, at once.
    retries : int
        Further attempts after a server that is busy, a broken connection or no answer in time.
    timeout : float
        Seconds that one attempt may take, to the last byte.
    protocols : collection of str
        Protocols that URLs in documents, and redirects, may have. Addresses of a private network are followed like
        others: where that matters, leave out http and https.
    max_pixels, max_bytes : int, optional
        The largest image, and the largest file, that is read. None: no limit.
    on_error : {"raise", "collect"}
        Whether the first bitmap that fails stops the call, or each becomes a row of `rejects`.
    storage_options : dict, optional
        Options of the fsspec file system. HTTP servers get them only if they are those of the document or of `base`;
        other stores if they are of the protocol of the document or of `base`, where that is a URL.
    base : str or path, optional
        Folder, or URL of a folder, that relative URLs are relative to, in place of the document's; local paths must
        lead below it. Without it, local paths must lead below the folder of their document, and only local documents
        may have them. Give it for tables that come from strangers.
    progress : callable, optional
        Called with the number of bitmaps that are done, and how many there are.

    Returns
    -------
    LabelTables
        With the rows of `segments` in their order; with what the image says that the label does not in `findings`:
        `no-pixels` for a segment that the bitmap does not show, `unlisted-pixels` for an id of the bitmap that no
        annotation has; with `on_error="collect"`, with bitmaps that failed in `rejects`.

    Raises
    ------
    SchemaError
        These are no `LabelTables`.
    FetchError
        A bitmap cannot be fetched, or its URL leads where documents may not.
    BitmapError
        It is not a bitmap of ids, too large, or not of the size of most bitmaps of its sample and sensor.
    MissingExtraError
        A file system needs a package that is not installed.

    Examples
    --------
    >>> import arrow_labels as al
    >>> al.write_bitmap([[0, 7], [7, 7]], "memory://bitmaps/3.png")
    >>> label = {"annotations": [{"id": 7, "category_id": 0}], "segmentation_bitmap": {"url": "3.png"}}
    >>> tables = read_masks(al.decode_labels([label]), base="memory://bitmaps")
    >>> tables.segments.select(["id", "area", "xmin", "ymin", "xmax", "ymax"]).to_pylist()
    [{'id': 7, 'area': 3, 'xmin': 0, 'ymin': 0, 'xmax': 2, 'ymax': 2}]
    """
    _check(columns, concurrency, retries, timeout, protocols, on_error)
    if expect_tables(tables).frames["bitmap_url"].null_count == tables.frames.num_rows:
        return tables
    columns = [name for name in COLUMNS if name in columns]
    frames, places = _places(tables, protocols, storage_options, None if base is None else os.fspath(base))
    carried = carried_ids(tables, frames)
    ids = carried.filter(pl.col("table") == "segments").group_by("bitmap").agg(pl.col("id").unique())
    wanted = dict(zip(ids["bitmap"], ids["id"], strict=True))
    none = pl.Series(dtype=pl.Int64)
    jobs = (
        (place, partial(_rows, bitmap=bitmap, ids=wanted.get(bitmap, none), columns=columns, max_pixels=max_pixels))
        for bitmap, place in enumerate(places)
    )
    _LOG.info("fetching %d bitmaps", len(places))
    found: list[BitmapRows] = []
    errors: list[tuple[int, str, bool]] = []
    with closing(fetch_all(jobs, Limits(max_bytes, retries, timeout, protocols), concurrency=concurrency)) as results:
        for bitmap, result in enumerate(results):
            if isinstance(result, BitmapRows):
                found.append(result)
            else:
                errors.append((bitmap, str(result), isinstance(result, BitmapError)))
                if on_error == "raise":
                    break
            if progress is not None:
                progress(bitmap + 1, len(places))

    sizes, masks, areas = joined(found, columns)
    tables = replace(tables, rejects=other_rejects(tables, frames))
    failed = frames.select("frame", "bitmap").join(_errors(errors), on="bitmap").drop("bitmap")
    if on_error == "collect" or not errors:
        failed = pl.concat([failed, other_sizes(frames, sizes).with_columns(is_bitmap=True)])
    if failed.height:
        rejected = failures(tables, frames, failed)
        if on_error == "raise":
            raise _error(rejected.row(0, named=True))
        tables = replace(tables, rejects=appended(tables.rejects, rejected))
        frames, carried = (it.join(failed, on="frame", how="anti", maintain_order="left") for it in (frames, carried))
    return replace(
        tables,
        segments=filled(tables.segments, columns, carried.filter(pl.col("table") == "segments"), masks),
        findings=appended(other_findings(tables.findings, frames), findings(frames, carried, areas)),
    )


def _rows(data: bytes, *, bitmap: int, ids: pl.Series, columns: Sequence[str], max_pixels: int | None) -> BitmapRows:
    """What stays of a file."""
    return bitmap_rows(decode_bitmap(data, max_pixels=max_pixels), bitmap, ids.to_arrow(), columns)


def _errors(errors: Sequence[tuple[int, str, bool]]) -> pl.DataFrame:
    return pl.DataFrame(errors, schema={"bitmap": pl.Int64, "error": pl.String, "is_bitmap": pl.Boolean}, orient="row")


def _error(row: dict[str, Any]) -> ArrowLabelsError:
    kind = BitmapError if row["is_bitmap"] else FetchError
    sensor = "" if row["sensor"] is None else f", sensor {row['sensor']}"
    return kind(
        f"{row['error']} - at `{row['path']}` in {row['source']} "
        f"(sample {row['sample_id']}, labelset {row['labelset']}{sensor}, frame {row['frame_index']})"
    )


def _check(
    columns: Collection[str], concurrency: int, retries: int, timeout: float, protocols: Collection[str], on_error: str
) -> None:
    for name, value in (("columns", columns), ("protocols", protocols)):
        if isinstance(value, str):
            raise ValueError(f"{name}: expected a collection of names, got the text {value!r}")
    if not columns or set(columns) - set(COLUMNS):
        raise ValueError(f"columns: expected names out of {', '.join(COLUMNS)}, got {', '.join(columns) or 'none'}")
    if set(protocols) & set(LOCAL):
        raise ValueError("protocols: expected those of URLs, got that of local paths: base= says where those may lead")
    if concurrency < 1:
        raise ValueError(f"concurrency: expected a positive number, got {concurrency}")
    if retries < 0:
        raise ValueError(f"retries: expected 0 or a positive number, got {retries}")
    if timeout <= 0:
        raise ValueError(f"timeout: expected a positive number of seconds, got {timeout}")
    if on_error not in ("raise", "collect"):
        raise ValueError(f'on_error: expected "raise" or "collect", got {on_error!r}')


def _places(
    tables: LabelTables, protocols: Collection[str], options: dict[str, Any] | None, base: str | None
) -> tuple[pl.DataFrame, list[Place | ArrowLabelsError]]:
    """The frames with a bitmap, with its number `bitmap` and its URL as people may see it, `shown`; and all bitmaps."""
    frames = bitmap_frames(tables)
    links = frames.select("bitmap_url", "source").unique(maintain_order=True)
    homes = {source: home(source, base) for source in links["source"].unique()}
    numbers: dict[tuple[str, object], int] = {}
    places: list[Place | ArrowLabelsError] = []
    names: list[str] = []
    bitmaps: list[int] = []
    for url, source in links.iter_rows():
        key: tuple[str, object] = (url, source)
        place: Place | ArrowLabelsError
        try:
            place = locate(url, homes[source], protocols=protocols, options=options)
            key = (place.url, place.options is None)
        except FetchError as error:
            place = error
        if key not in numbers:
            numbers[key] = len(places)
            places.append(place)
        bitmaps.append(numbers[key])
        names.append(_shown(place.url if isinstance(place, Place) else url))
    links = links.with_columns(pl.Series("bitmap", bitmaps, dtype=pl.Int64), pl.Series("shown", names, dtype=pl.String))
    on = ["bitmap_url", "source"]
    return frames.join(links, on=on, how="left", nulls_equal=True, maintain_order="left"), places


def _shown(url: str) -> str:
    """A URL out of a document as people may see it: it may be of any length, and relative with a signature."""
    text = shown(url).partition("?")[0]
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
