"""A table as a Hugging Face dataset, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from arrow_labels.errors import MissingExtraError
from arrow_labels.schema import ROWS, SCHEMAS
from arrow_labels.tables import LabelTables

if TYPE_CHECKING:
    import datasets

_IMAGES: Final = {"sample_frames": "image_url", "cameras": "url"}
"""Tables with an image in each row, and the column of its URL."""
_IMAGE: Final = "image"
_STORED: Final = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_MOST_CLASSES: Final = 1 << 16


def to_datasets(tables: LabelTables, table: str, *, images: bool = True) -> datasets.Dataset:
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

    Returns
    -------
    datasets.Dataset
        Rows and columns of the table, with the same Arrow types. `category_id` keeps its values: an id that no
        category defines is named by its number, and where names are not unique all have the id before them. With ids
        below 0 or from 65,536 there are no classes.

    Raises
    ------
    KeyError
        There is no such table.
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
    rows = tables[table]
    if images and table in _IMAGES:
        rows = _with_images(rows, _IMAGES[table])
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


def _with_images(rows: pa.Table, url: str) -> pa.Table:
    """Rows with the column `image` after that of the URL."""
    stored = [
        pa.StructArray.from_arrays([pa.nulls(len(urls), pa.binary()), urls], fields=[*_STORED], mask=urls.is_null())
        for urls in rows[url].chunks
    ]
    place = rows.schema.get_field_index(url) + 1
    return rows.add_column(place, pa.field(_IMAGE, _STORED), pa.chunked_array(stored, _STORED))


def _class_names(tables: LabelTables, rows: pa.Table) -> list[str]:
    """A name for each category id up to the largest one of the rows and the categories; none where it does not fit."""
    import pyarrow.compute as pc

    if "category_id" not in rows.column_names:
        return []
    ids = pa.chunked_array([*rows["category_id"].chunks, *tables.categories["category_id"].chunks], pa.int64())
    limits: dict[str, Any] = pc.min_max(ids).as_py()
    if limits["min"] is None or limits["min"] < 0 or limits["max"] >= _MOST_CLASSES:
        return []
    defined = tables.categories.select(["category_id", "name"]).drop_null().to_pydict()
    found = dict(zip(defined["category_id"], defined["name"], strict=True))
    names = [found.get(number, str(number)) for number in range(limits["max"] + 1)]
    if len({*names}) == len(names):
        return names
    return [f"{number} {name}" for number, name in enumerate(names)]
