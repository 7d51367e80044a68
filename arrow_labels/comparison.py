"""What two sets of labels do not agree on: two releases, or two labelsets of one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal, TypeAlias, get_args

import msgspec
import polars as pl

from arrow_labels.matching import KINDS, by_identity, by_overlap, with_overlap
from arrow_labels.schema import FRAME_KEY, LABEL_KEY
from arrow_labels.tables import LabelTables, expect_tables

Match: TypeAlias = Literal["id", "overlap"]

_LABEL_COLUMNS: Final = ("label_type", "label_status", "frame_count", "sensors", "score", "rating")
_PARTS: Final = {
    "links": (["link_index"], ("from_id", "to_id", "attributes", "frames")),
    "frames": (
        ["sensor_index", "frame_index"],
        ("sensor_index", "frame_index", "timestamp", "image_attributes", "point_annotations", "bitmap_url"),
    ),
}
"""The order of the rows of a label, and what is compared of them."""
_JSON: Final = ("attributes", "frames", "image_attributes")
_TEXTS: Final = 65_536
"""JSON texts that are held read at a time."""
_COMPARED: Final = ("category_id", "type", "is_keyframe", "attributes")


@dataclass(frozen=True)
class Comparison:
    """What two sets of labels, a and b, do not agree on, as tables.

    Attributes
    ----------
    labels : pl.DataFrame
        One row a label: `sample_id`, `labelset`, `change` (``"added"``: only in b; ``"removed"``: only in a;
        ``"changed"``, ``"same"``), `columns` (list: what changed, of the columns of the table `labels`, ``"links"``,
        ``"frames"`` and ``"annotations"``), and the annotations in it, `annotations` in a and `annotations_other` in b.
    annotations : pl.DataFrame
        One row an annotation that is in one of them, or a pair that is in both: the key in a, or of what only b has the
        key in b; `kind` (``"segments"``, ``"vectors"``, ``"cuboids"``); `change`; `columns` (list: ``"geometry"``, and
        of `category_id`, `type`, `is_keyframe` and `attributes` those that changed); `track_id`, `category_id` and
        `annotation_index`, in a, and with ``_other`` behind their names in b; `iou`: of masks pixel by pixel, of ids of
        points point by point, of 2-D vectors that of their boxes, of cuboids that of their volumes, upright; null where
        that is not known; and of cuboids `bev_iou`, that of their footprints.
    categories : pl.DataFrame
        One row a category and kind: `category_id`, `category`, `kind`, `annotations`, `annotations_other`, and of them
        `added`, `removed`, `changed`; `mean_iou` of the pairs.
    tracks : pl.DataFrame
        One row for two tracks that have a pair: `sample_id`, `labelset`, `sensor_index`, `track_id`,
        `track_id_other`, `frames` and `frames_other` on which each is, `pairs`, `agreement` (pairs in parts of the
        frames of either) and `mean_iou`. A track without a pair has a row with one of the ids null.
    """

    labels: pl.DataFrame
    annotations: pl.DataFrame
    categories: pl.DataFrame
    tracks: pl.DataFrame


def compare_labels(
    a: LabelTables, b: LabelTables, *, labelsets: tuple[str, str] | None = None, match: Match = "id"
) -> Comparison:
    """What two sets of labels do not agree on.

    Parameters
    ----------
    a, b : LabelTables
        Labels of the same samples: `sample_id` says which label is compared with which.
    labelsets : tuple of two str, optional
        The labelset of a, and that of b, that are compared with each other; `a` and `b` may be the same tables. By
        default each labelset of a is compared with that of the same name of b.
    match : {"id", "overlap"}
        Which annotations are a pair: those of one frame with the same `track_id`, or `id` where that is null, and of
        one kind; or, for labels that were made apart, those of one frame and kind of which each overlaps with the other
        more than with any other.

    Returns
    -------
    Comparison
        Four tables.

    Raises
    ------
    SchemaError
        `a` or `b` is something else than `LabelTables`.
    ValueError
        `match` is not one of the two, or `labelsets` not two names.

    Notes
    -----
    The IoU of masks needs those that `read_masks` fills. Attributes are compared as JSON: the order of names does not
    matter. Rows are in the order of their keys.

    Examples
    --------
    >>> import arrow_labels as al
    >>> box = {"id": 1, "category_id": 0, "type": "bbox", "points": [[0, 0], [4, 4]]}
    >>> a = al.decode_labels([{"annotations": [box, box | {"id": 2}]}])
    >>> b = al.decode_labels([{"annotations": [box | {"points": [[0, 0], [4, 2]]}, box | {"id": 3}]}])
    >>> found = al.compare_labels(a, b)
    >>> found.annotations.select("change", "track_id", "track_id_other", "columns", "iou").rows()
    [('changed', 1, 1, ['geometry'], 0.5), ('removed', 2, None, None, None), ('added', None, 3, None, None)]
    """
    if match not in get_args(Match):
        raise ValueError(f"match: expected 'id' or 'overlap', got {match!r}")
    if labelsets is not None and (isinstance(labelsets, str) or len(labelsets) != 2):
        raise ValueError(f"labelsets: expected a name of a and one of b, got {labelsets!r}")
    a, b = (_of_labelset(expect_tables(tables), labelsets, place) for place, tables in enumerate((a, b)))
    found = [_annotations(a, b, kind, match) for kind in KINDS]
    annotations = pl.concat(found).sort(*FRAME_KEY, "annotation_index", "annotation_index_other", nulls_last=True)
    return Comparison(
        _labels(a, b, annotations),
        annotations.drop("category", "category_other"),
        _categories(annotations),
        _tracks(annotations),
    )


def _of_labelset(tables: LabelTables, labelsets: tuple[str, str] | None, place: int) -> LabelTables:
    """The labels of one labelset, under the name of the first."""
    if labelsets is None:
        return tables
    chosen: dict[str, Any] = {}
    for name, table in tables:
        if "labelset" in table.column_names:
            frame = pl.DataFrame(pl.from_arrow(table)).filter(pl.col("labelset") == labelsets[place])
            chosen[name] = frame.with_columns(pl.lit(labelsets[0]).alias("labelset"))
        else:
            chosen[name] = table
    return LabelTables(**chosen)


def _annotations(a: LabelTables, b: LabelTables, kind: str, match: Match) -> pl.DataFrame:
    """The pairs of one kind, and what has no pair."""
    one, two = KINDS[kind](a), KINDS[kind](b)
    pairs = by_identity(one, two) if match == "id" else by_overlap(one, two, kind, a, b)
    names = [*FRAME_KEY, "annotation_index", "track_id", "category_id", "category"]
    own = one.select("row", *names, *_COMPARED[1:], pl.col("geometry"))
    other = two.select(pl.all().name.suffix("_other")).select(
        "row_other",
        *(f"{name}_other" for name in (*names, *_COMPARED[1:], "geometry")),
    )
    paired = pairs.join(own, on="row", how="left").join(other, on="row_other", how="left")
    paired = with_overlap(paired, one, two, kind, a, b)
    changed = [pl.when(_differs(name)).then(pl.lit(name)) for name in ("geometry", *_COMPARED)]
    columns = pl.concat_list(changed).list.drop_nulls()
    paired = paired.with_columns(columns.alias("columns")).with_columns(
        pl.when(pl.col("columns").list.len() > 0).then(pl.lit("changed")).otherwise(pl.lit("same")).alias("change")
    )
    removed = own.join(pairs, on="row", how="anti").with_columns(change=pl.lit("removed"))
    added = other.join(pairs, on="row_other", how="anti").with_columns(change=pl.lit("added"))
    added = added.with_columns(pl.col(f"{name}_other").alias(name) for name in FRAME_KEY)
    rows = pl.concat([paired, removed, added], how="diagonal_relaxed")
    identity = ["annotation_index", "track_id", "category_id", "category"]
    return rows.select(
        *FRAME_KEY,
        pl.lit(kind).alias("kind"),
        "change",
        "columns",
        *(f"{name}{suffix}" for suffix in ("", "_other") for name in identity),
        "iou",
        "bev_iou",
    )


def _differs(name: str) -> pl.Expr:
    one, two = pl.col(name), pl.col(f"{name}_other")
    if name not in _JSON:
        return one.ne_missing(two)
    texts = pl.struct(one.alias("one"), two.alias("two"))
    return one.ne_missing(two) & ~texts.map_batches(_same_json, pl.Boolean, is_elementwise=True)


def _same_json(texts: pl.Series) -> pl.Series:
    """Whether two JSON texts mean the same; each different pair of texts is read once."""
    frame = texts.struct.unnest()
    unlike = frame.filter(pl.col("one").ne_missing(pl.col("two"))).unique(maintain_order=True)
    value = lru_cache(_TEXTS)(_value)  # one text may be in many pairs
    same = pl.Series("same", [value(one) == value(two) for one, two in unlike.rows()], pl.Boolean)
    found = frame.join(
        unlike.with_columns(same), on=["one", "two"], how="left", nulls_equal=True, maintain_order="left"
    )
    return found["same"].fill_null(True)


def _value(text: str | None) -> Any:
    """A JSON value, without the members of objects that are null; an object without members is as none."""
    try:
        value = None if text is None else _told_apart(msgspec.json.decode(text))
    except (msgspec.DecodeError, RecursionError):  # no JSON, or nested too deep to be read
        return text
    return (
        {name: each for name, each in value.items() if each is not None} or None if isinstance(value, dict) else value
    )


def _told_apart(value: Any) -> Any:
    """A JSON value in which true is not 1 and false not 0, as they are in Python: JSON has no tuples."""
    if isinstance(value, bool):
        return (value,)
    if isinstance(value, list):
        return [_told_apart(each) for each in value]
    return {name: _told_apart(each) for name, each in value.items()} if isinstance(value, dict) else value


def _labels(a: LabelTables, b: LabelTables, annotations: pl.DataFrame) -> pl.DataFrame:
    one, two = (_label_rows(tables) for tables in (a, b))
    key = list(LABEL_KEY)
    both = one.with_columns(own=True).join(
        two.with_columns(other=True), on=key, how="full", coalesce=True, suffix="_other"
    )
    for name in _PARTS:
        both = both.join(_part_differs(a, b, name), on=key, how="left")
    differ = [pl.when(_differs(name)).then(pl.lit(name)) for name in _LABEL_COLUMNS]
    differ += [pl.when(name).then(pl.lit(name)) for name in _PARTS]
    counts = annotations.group_by(key).agg(
        (pl.col("change") != "added").sum().cast(pl.Int64).alias("annotations"),
        (pl.col("change") != "removed").sum().cast(pl.Int64).alias("annotations_other"),
        (pl.col("change") != "same").any().alias("differ"),
    )
    both = both.join(counts, on=key, how="left").with_columns(pl.col("annotations", "annotations_other").fill_null(0))
    differ.append(pl.when("differ").then(pl.lit("annotations")))
    both = both.with_columns(columns=pl.concat_list(differ).list.drop_nulls())
    change = (
        pl.when(pl.col("own").is_null())
        .then(pl.lit("added"))
        .when(pl.col("other").is_null())
        .then(pl.lit("removed"))
        .when(pl.col("columns").list.len() > 0)
        .then(pl.lit("changed"))
        .otherwise(pl.lit("same"))
    )
    known = pl.col("own").is_not_null() & pl.col("other").is_not_null()
    return both.select(
        *key,
        change.alias("change"),
        pl.when(known).then("columns").alias("columns"),
        "annotations",
        "annotations_other",
    ).sort(key)


def _label_rows(tables: LabelTables) -> pl.DataFrame:
    labels = pl.DataFrame(pl.from_arrow(tables.labels)).unique(LABEL_KEY, keep="last", maintain_order=True)
    return labels.select(*LABEL_KEY, *_LABEL_COLUMNS)


def _part_differs(a: LabelTables, b: LabelTables, name: str) -> pl.DataFrame:
    """Whether the links or frames of a label differ, under their name: in the order of their keys, each with each."""
    order, columns = _PARTS[name]
    # Two rows with one key stay in their order: the sort within a label is not stable.
    place = pl.int_range(pl.len()).over(LABEL_KEY, order_by=[*order, "row"])
    sides = [
        pl.DataFrame(pl.from_arrow(tables[name].select([*{*LABEL_KEY, *order, *columns}])))
        .with_row_index("row")
        .select(*LABEL_KEY, *columns, place.alias("place"), pl.lit(True).alias("known"))
        for tables in (a, b)
    ]
    rows = sides[0].join(sides[1], on=[*LABEL_KEY, "place"], how="full", coalesce=True, suffix="_other")
    differ = rows.select(*LABEL_KEY, pl.any_horizontal(_differs(each) for each in ("known", *columns)).alias(name))
    return differ.group_by(LABEL_KEY).agg(pl.col(name).any())


def _categories(annotations: pl.DataFrame) -> pl.DataFrame:
    own = pl.coalesce("category_id", "category_id_other")
    key = ["category_id", "kind"]
    change = pl.col("change")
    sides = [
        annotations.filter(change != without).select(
            pl.col(f"category_id{suffix}").alias("category_id"),
            pl.col(f"category{suffix}").alias("category"),
            "kind",
            pl.lit(suffix == "").alias("own"),
        )
        for suffix, without in (("", "added"), ("_other", "removed"))
    ]
    counts = (
        pl.concat(sides)
        .group_by(key)
        .agg(
            pl.col("category").drop_nulls().first(),
            pl.col("own").sum().cast(pl.Int64).alias("annotations"),
            (~pl.col("own")).sum().cast(pl.Int64).alias("annotations_other"),
        )
    )
    changes = annotations.group_by(own.alias("category_id"), "kind").agg(
        *((change == name).sum().cast(pl.Int64).alias(name) for name in ("added", "removed", "changed")),
        pl.col("iou").mean().alias("mean_iou"),
    )
    names = ["category_id", "category", "kind"]
    joined = counts.join(changes, on=key, how="left").with_columns(pl.col("added", "removed", "changed").fill_null(0))
    return joined.select(*names, pl.all().exclude(names)).sort("category_id", "kind")


def _tracks(annotations: pl.DataFrame) -> pl.DataFrame:
    sensor = [*LABEL_KEY, "sensor_index"]
    present = {
        suffix: annotations.filter(pl.col(f"track_id{suffix}").is_not_null())
        .group_by(*sensor, f"track_id{suffix}")
        .agg(pl.col("frame_index").n_unique().cast(pl.Int64).alias(f"frames{suffix}"))
        for suffix in ("", "_other")
    }
    both = pl.all_horizontal(pl.col("track_id", "track_id_other").is_not_null())
    pairs = (
        annotations.filter(both)
        .group_by(*sensor, "track_id", "track_id_other")
        .agg(pl.col("frame_index").n_unique().cast(pl.Int64).alias("pairs"), pl.col("iou").mean().alias("mean_iou"))
    )
    made = pairs.join(present[""], on=[*sensor, "track_id"], how="full", coalesce=True)
    lone = present["_other"].join(pairs, on=[*sensor, "track_id_other"], how="anti")
    made = made.join(present["_other"], on=[*sensor, "track_id_other"], how="left")
    made = pl.concat([made, lone], how="diagonal").with_columns(pl.col("frames", "frames_other", "pairs").fill_null(0))
    union = pl.col("frames") + pl.col("frames_other") - pl.col("pairs")
    return made.select(
        *sensor,
        "track_id",
        "track_id_other",
        "frames",
        "frames_other",
        "pairs",
        (pl.col("pairs") / union).alias("agreement"),
        "mean_iou",
    ).sort(*sensor, "track_id", "track_id_other", nulls_last=True)
