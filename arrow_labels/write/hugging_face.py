"""A table as a Hugging Face dataset, and back."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from arrow_labels.errors import FetchError, MissingExtraError
from arrow_labels.locate import PROTOCOLS, home, locate
from arrow_labels.redaction import shown
from arrow_labels.schema import ROWS, SCHEMAS
from arrow_labels.tables import LabelTables, expect_tables

if TYPE_CHECKING:
    import datasets
    import polars as pl

_IMAGES: Final = {"sample_frames": "image_url", "cameras": "url"}
"""Tables with an image in each row, and the column of its URL."""
_IMAGE: Final = "image"
_STORED: Final = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_MOST_CLASSES: Final = 1 << 16


def to_datasets(
    tables: LabelTables,
    table: str,
    *,
    images: bool = True,
    base: str | os.PathLike[str] | None = None,
    protocols: Collection[str] = PROTOCOLS,
) -> datasets.Dataset:
    """A table as a Hugging Face dataset, without a copy.

    Lists become `List` features, `category_id` becomes a `ClassLabel`, and frames of samples and camera images get a
    column `image`.

    Parameters
    ----------
    tables : LabelTables
        The table `categories` gives the names of the classes.
    table : str
        Name of the table.
    images : bool
        Whether `sample_frames` and `cameras` get the column `image` after that of their URL: an `Image` that is
        fetched when a row is read, and when the dataset is saved. Leave it out where the URLs cannot be read.
    base : str or path, optional
        Folder or URL that relative URLs of images start from, instead of the folder of their document; local paths are
        followed only below it.
    protocols : collection of str
        Protocols that URLs of images may have.

    Returns
    -------
    datasets.Dataset
        Rows and columns of the table, with the same Arrow types. `category_id` keeps its values. An id has the name
        that its rows have as `category`: there are no classes where these differ, as those of two datasets can, or
        where some have none. An id of no row has the name of its category. One without a name, or with a name for each
        of several datasets, is named by its number, and where names are not unique all have the id before them. With
        ids below 0 or from 65,536 there are no classes.

    Raises
    ------
    SchemaError
        These are no `LabelTables`.
    KeyError
        There is no such table.
    FetchError
        The URL of an image leads where documents may not, as those of bitmaps in `read_masks`: a saved dataset holds
        what they lead to.
    MissingExtraError
        datasets is not installed.

    Examples
    --------
    >>> import arrow_labels as al
    >>> car = {"id": 1, "category_id": 1, "type": "bbox", "points": [[1, 2], [3, 4]]}
    >>> dataset = al.to_datasets(al.decode_labels([{"annotations": [car]}]), "vectors")
    >>> dataset[0]["points"]
    [{'x': 1.0, 'y': 2.0, 'z': None}, {'x': 3.0, 'y': 4.0, 'z': None}]
    >>> dataset.features["category_id"].names
    ['0', '1']
    """
    try:
        import datasets
    except ImportError:
        raise MissingExtraError("datasets", extra="datasets") from None
    rows = expect_tables(tables)[table]
    if images and table in _IMAGES:
        if isinstance(protocols, str):
            raise ValueError(f"protocols: expected a collection of names, got the text {protocols!r}")
        places = _places(tables, rows, _IMAGES[table], None if base is None else os.fspath(base), protocols)
        rows = _with_images(rows, _IMAGES[table], places)
    features = datasets.Features.from_arrow_schema(rows.schema)
    if _IMAGE in features:
        features[_IMAGE] = datasets.Image()
    names = _class_names(tables, rows)
    if names:
        features["category_id"] = datasets.ClassLabel(names=names)
    info = datasets.DatasetInfo(description=f"One row: {ROWS[table]}.", features=features)
    return datasets.Dataset(rows.replace_schema_metadata(), info=info)


def from_datasets(dataset: datasets.Dataset, table: str) -> pa.Table:
    """The inverse of `to_datasets`: a table that `LabelTables` takes.

    Parameters
    ----------
    dataset : datasets.Dataset
        With the columns of the table, in any order; others are left out. Rows that were filtered, sorted or shuffled
        come as they are now.
    table : str
        Name of the table.

    Returns
    -------
    pa.Table

    Raises
    ------
    KeyError
        There is no such table, or a column is missing.

    Examples
    --------
    >>> import arrow_labels as al
    >>> tables = al.decode_labels([{"annotations": [{"id": 1, "category_id": 0}]}])
    >>> al.from_datasets(al.to_datasets(tables, "segments"), "segments").equals(tables.segments)
    True
    """
    if table not in SCHEMAS:
        raise KeyError(f"Expected one of {', '.join(SCHEMAS)}, got {table!r}")
    missing = [name for name in SCHEMAS[table].names if name not in dataset.column_names]
    if missing:
        raise KeyError(f"Expected column `{missing[0]}`, got {', '.join(dataset.column_names)}")
    rows: pa.Table = dataset.select_columns(SCHEMAS[table].names).with_format("arrow")[:]
    return rows.cast(SCHEMAS[table])


def _places(
    tables: LabelTables, rows: pa.Table, url: str, base: str | None, protocols: Collection[str]
) -> pa.ChunkedArray:
    """Where the image of each row is: whole URLs as they stand, others as `locate` lets them."""
    import polars as pl

    only = pl.when(pl.col("source").n_unique() == 1).then(pl.col("source").first())
    labels = pl.LazyFrame(tables.labels).group_by("sample_id").agg(only)
    releases = pl.LazyFrame(tables.datasets).group_by("dataset").agg(only.alias("release"))
    samples = pl.LazyFrame(tables.samples).select("sample_id", "dataset").unique("sample_id", keep="first")
    sources = samples.join(releases, on="dataset", how="left", nulls_equal=True).join(
        labels, on="sample_id", how="left"
    )
    source = pl.coalesce("release", "source").alias("source")
    links = (
        pl.LazyFrame(rows.select(["sample_id", url]).rename_columns(["sample_id", "url"]))
        .join(sources.select("sample_id", source), on="sample_id", how="left", maintain_order="left")
        .collect()
    )
    chain = pl.col("url").str.contains("::", literal=True)
    whole = pl.col("url").str.contains(rf"^({'|'.join(map(re.escape, protocols))})://[^/\s][^\s]*$") & ~chain
    others = links.filter(~whole).unique(["url", "source"], maintain_order=True)
    found = []
    for sample_id, text, document in others.select("sample_id", "url", "source").iter_rows():
        try:
            found.append(locate(text, home(document, base), protocols=protocols).url if text.strip() else None)
        except FetchError as error:
            raise FetchError(
                f"{error} - at the image {shown(text)} of sample {sample_id}: images=False leaves images out"
            ) from None
    places = others.select("url", "source", pl.Series("place", found, pl.String), other=True)
    resolved = links.join(places, on=["url", "source"], how="left", nulls_equal=True, maintain_order="left")
    place = resolved.select(pl.when("other").then("place").otherwise("url")).to_series()
    return pa.chunked_array([place.to_arrow(compat_level=pl.CompatLevel.oldest())]).cast(pa.string())


def _with_images(rows: pa.Table, url: str, places: pa.ChunkedArray) -> pa.Table:
    """Rows with the column `image` after that of the URL."""
    stored = [
        pa.StructArray.from_arrays([pa.nulls(len(paths), pa.binary()), paths], fields=[*_STORED], mask=paths.is_null())
        for paths in places.chunks
    ]
    place = rows.schema.get_field_index(url) + 1
    return rows.add_column(place, pa.field(_IMAGE, _STORED), pa.chunked_array(stored, _STORED))


def _class_names(tables: LabelTables, rows: pa.Table) -> list[str]:
    """A name for each category id up to the largest one of the rows and the categories.

    None at all where it does not fit, or where rows of one id have categories of several names.
    """
    import polars as pl

    if "category_id" not in rows.column_names:
        return []
    categories = pl.LazyFrame(tables.categories.select(["dataset", "category_id", "name"]))
    if "category" in rows.column_names:
        own = pl.LazyFrame(rows.select(["category_id", "category"]))
    else:
        keys = ["dataset", "category_id"]
        own = pl.LazyFrame(rows.select(keys)).join(categories, on=keys, how="left", nulls_equal=True).drop("dataset")
    used, defined = _names_by_id(own), _names_by_id(categories.drop("dataset"))
    ids = used.keys() | defined.keys()
    several = any(len(found) > 1 for found in used.values())
    if several or not ids or min(ids) < 0 or max(ids) >= _MOST_CLASSES:
        return []
    names = []
    for number in range(max(ids) + 1):
        # What rows say goes first: other datasets may define the same id.
        found = used.get(number) or defined.get(number, [])
        names.append(str(number) if len(found) != 1 or found[0] is None else found[0])
    if len({*names}) == len(names):
        return names
    return [f"{number} {name}" for number, name in enumerate(names)]


def _names_by_id(frame: pl.LazyFrame) -> dict[int, list[str | None]]:
    """The different names of each category id, null among them; of a frame with the two columns."""
    found: dict[int, list[str | None]] = {}
    for number, name in frame.unique().collect().iter_rows():
        if number is not None:
            found.setdefault(number, []).append(name)
    return found
