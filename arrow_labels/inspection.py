"""What is in these labels: counts, in bounded memory.

Each batch of `iter_labels` is counted with Polars and added to what was counted before. A sample is never divided
between batches, so that tracks, which never leave their sample, can be counted batch by batch too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec
import polars as pl

from arrow_labels.decode import OnError
from arrow_labels.read import iter_labels
from arrow_labels.schema import SCHEMAS
from arrow_labels.tables import LabelTables
from arrow_labels.workers import Progress

_KINDS: Final = {"segments": "segment", "vectors": "vector", "cuboids": "cuboid"}
_LABEL: Final = ("sample_id", "labelset")
_DEFINED: Final = ("dataset", "scope", "category_id", "name")
_KEYS: Final[dict[str, tuple[str, ...]]] = {
    "summary": (),
    "datasets": ("dataset", "release", "task_type"),
    "labels": ("labelset", "label_type", "label_status"),
    "sensors": ("labelset", "sensor", "task_type"),
    "frames": ("labelset", "sensor"),
    "annotations": ("dataset", "kind", "type", "category_id", "category"),
    "attributes": (*_DEFINED, "value_type"),
    "definitions": (*_DEFINED, "category"),
}
"""What each count goes by; the other columns are numbers that add up."""

_ATTRIBUTES: Final = pl.Schema(
    {
        "dataset": pl.String(),
        "scope": pl.String(),
        "category_id": pl.Int64(),
        "name": pl.String(),
        "value_type": pl.String(),
        "values": pl.Int64(),
    }
)
_VALUE_TYPES: Final = {b'"': "string", b"{": "object", b"[": "array", b"t": "boolean", b"f": "boolean", b"n": "null"}

_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_objects = msgspec.json.Decoder(list[dict[str, msgspec.Raw]]).decode


def inspect_labels(
    source: Any,
    *,
    batch_bytes: int = 64 << 20,
    labelsets: Collection[str] | None = None,
    storage_options: dict[str, Any] | None = None,
    on_error: OnError = "collect",
    progress: Progress | None = None,
) -> dict[str, pl.DataFrame]:
    """Count what labels hold.

    Parameters
    ----------
    source
        `LabelTables`, or what `read_labels` takes; that is read a batch at a time.
    batch_bytes, labelsets, storage_options, on_error, progress
        As in `iter_labels`.

    Returns
    -------
    dict of str to pl.DataFrame
        * ``summary`` (`what`, `count`): releases, samples, labels, sequences (labels with `frames`, of any sensor),
          frames, annotations, keyframes, tracks, points (of all `point_annotations`), links, rejects. A track is one
          `track_id`, else `id`, in one label: what several sensors see is one.
        * ``datasets`` (`dataset`, `release`, `task_type`, `releases`).
        * ``labels`` (`labelset`, `label_type`, `label_status`, `labels`; of them `empty`, without any frame).
        * ``sensors`` (`labelset`, `sensor`, `task_type`, `labels`) of multi-sensor labels.
        * ``frames`` (`labelset`, `sensor`, `frames`; of them `with_timestamp`, `with_bitmap`, `with_points`; `points`).
        * ``annotations`` (`kind`: segment, vector or cuboid; `type`, `category_id`, `category`, `annotations`; of them
          `keyframes` and `interpolated`, which the document need not say; `tracks`).
        * ``attributes`` (`scope`: object, image or link; `name`, `value_type`: a JSON type, with integer for numbers
          without fraction or exponent; `values`: how many there are). `name` is null for attributes that are no object.
        * ``unused`` (`dataset`, `scope`, `category_id`, `category`, `name`): definitions that no label uses, of
          categories (scope ``"category"``) and attributes. A null is no use. Attributes of links are compared by name.
        * ``undefined`` (`dataset`, `scope`, `category_id`, `name`, `count`): categories and attributes that labels of a
          release use and the release does not define; for a category that is not defined, not its attributes.
        * ``rejects``: as in `LabelTables`.

        Rows are sorted by what they count.

    Raises
    ------
    FetchError
        The source holds no document.
    DecodeError
        A document is not a label (with ``on_error="raise"``).

    Notes
    -----
    Attributes are JSON text: each distinct text of a batch is parsed once, and counts as often as it occurs. A label
    belongs to the release of its sample; one that comes in another batch than its sample belongs to none.

    Examples
    --------
    >>> from arrow_labels.inspection import inspect_labels
    >>> box = {"category_id": 1, "type": "bbox", "points": [[0, 0], [4, 3]], "attributes": {"parked": True}}
    >>> found = inspect_labels({"annotations": [box | {"id": 1}, box | {"id": 2}]})
    >>> found["annotations"].select("kind", "type", "annotations", "tracks").rows()
    [('vector', 'bbox', 2, 2)]
    >>> found["attributes"].rows()
    [('object', 'parked', 'boolean', 2)]
    """
    parts: Iterable[LabelTables]
    if isinstance(source, LabelTables):
        if labelsets is not None:
            raise ValueError("labelsets: expected none with LabelTables, which are counted whole")
        parts = [source]
    else:
        parts = iter_labels(
            source,
            batch_bytes=batch_bytes,
            labelsets=labelsets,
            storage_options=storage_options,
            on_error=on_error,
            progress=progress,
        )
    return inspect_parts(parts)


def inspect_parts(parts: Iterable[LabelTables]) -> dict[str, pl.DataFrame]:
    """What `inspect_labels` finds in parts, none of which has but some of the rows of a sample."""
    totals = _count(LabelTables())
    rejects = [pl.DataFrame(SCHEMAS["rejects"].empty_table())]
    for part in parts:
        counts = _count(part)
        totals = {name: _add([before, counts[name]], _KEYS[name]) for name, before in totals.items()}
        rejects.append(pl.DataFrame(part.rejects))
    return {**_result(totals), "rejects": pl.concat(rejects)}


def _count(part: LabelTables) -> dict[str, pl.DataFrame]:
    """The counts of some samples, whole."""
    owners = pl.DataFrame(part.samples.select(["sample_id", "dataset"])).unique("sample_id", keep="first")
    labels = pl.DataFrame(part.labels.select([*_LABEL, "label_type", "label_status", "frame_count", "sensors"]))
    frames = pl.DataFrame(part.frames.drop_columns(["format_version", "extra"])).join(owners, "sample_id", how="left")
    links = pl.DataFrame(part.links.drop_columns(["extra"])).join(owners, "sample_id", how="left")
    releases = pl.DataFrame(part.datasets.select(["dataset", "name", "task_type"]))
    annotations = _annotations(part).join(owners.lazy(), "sample_id", how="left").collect()

    of_tracks = annotations.group_by(*_LABEL, "track", *_KEYS["annotations"]).agg(
        annotations=pl.len(),
        keyframes=pl.col("is_keyframe").sum(),
        interpolated=(~pl.col("is_keyframe")).sum(),
    )
    sensors = labels.select("labelset", "sensors").explode("sensors").drop_nulls("sensors")
    in_sequence = pl.col("sensors").list.eval(pl.element().struct.field("frame_count").is_not_null()).list.any()
    point_count = pl.col("point_annotations").list.len().cast(pl.Int64).fill_null(0)
    counts = {
        "summary": pl.DataFrame(
            {
                "releases": releases.height,
                "samples": part.samples.num_rows,
                "labels": labels.height,
                "sequences": labels.select((pl.col("frame_count").is_not_null() | in_sequence).sum()).item(),
                "frames": frames.height,
                "annotations": annotations.height,
                "keyframes": annotations.select(pl.col("is_keyframe").sum()).item(),
                "tracks": of_tracks.select(*_LABEL, "track").n_unique(),
                "points": frames.select(point_count.sum()).item(),
                "links": links.height,
                "rejects": part.rejects.num_rows,
            }
        ),
        "datasets": releases.rename({"name": "release"}).group_by(_KEYS["datasets"]).agg(releases=pl.len()),
        "labels": labels.join(frames.select(_LABEL).unique().with_columns(has_frames=True), _LABEL, how="left")
        .group_by(_KEYS["labels"])
        .agg(labels=pl.len(), empty=pl.col("has_frames").is_null().sum()),
        "sensors": sensors.select(
            "labelset",
            pl.col("sensors").struct.field("name").alias("sensor"),
            pl.col("sensors").struct.field("task_type"),
        )
        .group_by(_KEYS["sensors"])
        .agg(labels=pl.len()),
        "frames": frames.group_by(_KEYS["frames"]).agg(
            frames=pl.len(),
            with_timestamp=pl.col("timestamp").is_not_null().sum(),
            with_bitmap=pl.col("bitmap_url").is_not_null().sum(),
            with_points=(point_count > 0).sum(),
            points=point_count.sum(),
        ),
        "annotations": of_tracks.group_by(_KEYS["annotations"]).agg(
            pl.col("annotations", "keyframes", "interpolated").sum(), tracks=pl.len()
        ),
        "attributes": _attributes(annotations, frames, links),
        "definitions": _definitions(part),
    }
    return {name: _add([frame], _KEYS[name]) for name, frame in counts.items()}


def _add(frames: list[pl.DataFrame], keys: tuple[str, ...]) -> pl.DataFrame:
    """Counts taken together; integers are int64, because sums of Polars' row counts wrap at 2**32."""
    rows = pl.concat(frames)
    rows = rows.with_columns(pl.exclude(keys).cast(pl.Int64))
    return rows.group_by(keys).agg(pl.all().sum()) if keys else rows.sum()


def _annotations(part: LabelTables) -> pl.LazyFrame:
    columns = [
        "sample_id",
        "labelset",
        "category_id",
        "category",
        "type",
        "is_keyframe",
        "attributes",
        "id",
        "track_id",
    ]
    kinds = [
        pl.DataFrame(part[table].select(columns)).lazy().with_columns(kind=pl.lit(kind))
        for table, kind in _KINDS.items()
    ]
    return pl.concat(kinds).with_columns(track=pl.coalesce("track_id", "id")).drop("track_id", "id")


def _attributes(annotations: pl.DataFrame, frames: pl.DataFrame, links: pl.DataFrame) -> pl.DataFrame:
    """Attributes by name and type of value."""
    found: Counter[tuple[str | None, str, int | None, str | None, str]] = Counter()
    nowhere = pl.lit(None, pl.Int64)
    for scope, rows, column, category_id in (
        ("object", annotations, "attributes", pl.col("category_id")),
        ("image", frames, "image_attributes", nowhere),
        ("link", links, "attributes", nowhere),
        ("link", links, "frames", nowhere),
    ):
        texts = rows.group_by("dataset", category_id.alias("category_id"), pl.col(column).alias("text")).len()
        for dataset, category, text, count in texts.drop_nulls("text").iter_rows():
            for name, value_type in _values(text, of_frames=column == "frames"):
                found[dataset, scope, category, name, value_type] += count
    return pl.DataFrame([(*key, count) for key, count in found.items()], _ATTRIBUTES, orient="row")


def _values(text: str, of_frames: bool) -> Iterator[tuple[str | None, str]]:
    """Name and type of each value in the JSON of attributes, or in that of a link's frames."""
    try:
        if of_frames:
            objects = [_object(frame["attributes"]) for frame in _objects(text) if "attributes" in frame]
        else:
            objects = [_object(text)]
    except msgspec.DecodeError:
        yield None, _value_type(text.encode())
        return
    for values in objects:
        for name, value in values.items():
            yield name, _value_type(bytes(value))


def _value_type(value: bytes) -> str:
    number = "number" if any(mark in value for mark in b".eE") else "integer"
    return _VALUE_TYPES.get(value[:1], number)


def _definitions(part: LabelTables) -> pl.DataFrame:
    """Categories and attributes that releases define."""
    categories = pl.DataFrame(part.categories.select(["dataset", "category_id", "name"]))
    specs = pl.DataFrame(part.attribute_specs.select([*_DEFINED]))
    of_object = pl.col("scope") == "object"
    names = categories.rename({"name": "category"}).unique(["dataset", "category_id"], keep="last")
    return pl.concat(
        [
            names.select(
                "dataset",
                pl.lit("category").alias("scope"),
                "category_id",
                pl.lit(None, pl.String).alias("name"),
                "category",
            ),
            # A link has no category of its own, so that its attributes can only be told by their names.
            specs.with_columns(pl.when(of_object).then("category_id"))
            .join(names, ["dataset", "category_id"], how="left", nulls_equal=True)
            .select(*_DEFINED, "category"),
        ]
    )


def _result(totals: Mapping[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """The counts as they are handed out."""
    annotations, attributes, definitions = totals["annotations"], totals["attributes"], totals["definitions"]
    used = pl.concat(
        [
            annotations.select(
                "dataset",
                pl.lit("category").alias("scope"),
                "category_id",
                pl.lit(None, pl.String).alias("name"),
                pl.col("annotations").alias("count"),
            ),
            attributes.filter(pl.col("value_type") != "null").select(*_DEFINED, pl.col("values").alias("count")),
        ]
    )
    used = _add([used], _DEFINED)
    unused = definitions.join(used, _DEFINED, how="anti", nulls_equal=True)
    undefined = used.join(definitions, _DEFINED, how="anti", nulls_equal=True)
    undefined = undefined.join(totals["datasets"], "dataset", how="semi", nulls_equal=True)
    no_category = undefined.filter(pl.col("scope") == "category").with_columns(scope=pl.lit("object"))
    undefined = undefined.join(no_category, ["dataset", "scope", "category_id"], how="anti", nulls_equal=True)

    shown = {
        "datasets": totals["datasets"],
        "labels": totals["labels"],
        "sensors": totals["sensors"],
        "frames": totals["frames"],
        "annotations": _add([annotations.drop("dataset")], _KEYS["annotations"][1:]),
        "attributes": _add([attributes.drop("dataset", "category_id")], ("scope", "name", "value_type")),
        "unused": unused.select("dataset", "scope", "category_id", "category", "name"),
        "undefined": undefined.select(*_DEFINED, "count"),
    }
    summary = totals["summary"].transpose(include_header=True, header_name="what", column_names=["count"])
    return {"summary": summary, **{name: frame.sort(pl.all()) for name, frame in shown.items()}}
