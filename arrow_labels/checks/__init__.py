"""What is wrong in labels: one small query a rule, over all rows at once."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final, Literal, NamedTuple

import polars as pl

import arrow_labels.checks.attributes as attributes
import arrow_labels.checks.categories as categories
import arrow_labels.checks.cuboids as cuboids
import arrow_labels.checks.ids as ids
import arrow_labels.checks.links as links
import arrow_labels.checks.sequences as sequences
import arrow_labels.checks.vectors as vectors
from arrow_labels.checks.found import LONGEST
from arrow_labels.checks.parts import parts
from arrow_labels.checks.rows import Rows
from arrow_labels.schema import FRAME_KEY, SCHEMAS
from arrow_labels.tables import LabelTables, expect_tables


class Rule(NamedTuple):
    """A rule: how bad it is to break it, the table whose rows can break it, and the query that gives those that do."""

    severity: Literal["error", "warning"]
    table: str
    query: Callable[[Rows], pl.LazyFrame]

    @property
    def finds(self) -> str:
        """What it finds, in words."""
        return " ".join((self.query.__doc__ or "").split())


RULES: Final[dict[str, Rule]] = {
    "duplicate-id": Rule("error", "annotations", ids.duplicate_id),
    "duplicate-track": Rule("error", "annotations", ids.duplicate_track),
    "different-ids": Rule("warning", "annotations", ids.different_ids),
    "unlisted-pixels": Rule("warning", "findings", ids.unlisted_pixels),
    "no-pixels": Rule("warning", "findings", ids.no_pixels),
    "unlisted-points": Rule("warning", "frames", ids.unlisted_points),
    "no-points": Rule("warning", "segments", ids.no_points),
    "point-count": Rule("error", "frames", ids.point_count),
    "undefined-category": Rule("error", "annotations", categories.undefined_category),
    "unused-category": Rule("warning", "categories", categories.unused_category),
    "several-categories": Rule("error", "annotations", categories.several_categories),
    "no-instances": Rule("warning", "annotations", categories.no_instances),
    "undefined-attribute": Rule("warning", "annotations", attributes.undefined_attribute),
    "attribute-type": Rule("error", "annotations", attributes.attribute_type),
    "attribute-choice": Rule("error", "annotations", attributes.attribute_choice),
    "attribute-range": Rule("error", "annotations", attributes.attribute_range),
    "missing-attribute": Rule("warning", "annotations", attributes.missing_attribute),
    "track-attribute": Rule("error", "annotations", attributes.track_attribute),
    "synced-attribute": Rule("error", "annotations", attributes.synced_attribute),
    "vertex-count": Rule("error", "vectors", vectors.vertex_count),
    "non-finite-points": Rule("error", "vectors", vectors.non_finite_points),
    "swapped-corners": Rule("warning", "vectors", vectors.swapped_corners),
    "zero-area": Rule("error", "vectors", vectors.zero_area),
    "repeated-vertices": Rule("warning", "vectors", vectors.repeated_vertices),
    "self-intersection": Rule("error", "vectors", vectors.self_intersection),
    "outside-image": Rule("warning", "vectors", vectors.outside_image),
    "non-finite-cuboid": Rule("error", "cuboids", cuboids.non_finite_cuboid),
    "non-positive-dimensions": Rule("error", "cuboids", cuboids.non_positive_dimensions),
    "yaw-range": Rule("warning", "cuboids", cuboids.yaw_range),
    "quaternion-norm": Rule("error", "cuboids", cuboids.quaternion_norm),
    "yaw-rotation": Rule("error", "cuboids", cuboids.yaw_rotation),
    "cuboid-dimension-limits": Rule("warning", "cuboids", cuboids.dimension_limits),
    "intersecting-cuboids": Rule("warning", "cuboids", cuboids.intersecting_cuboids),
    "changed-dimensions": Rule("warning", "cuboids", cuboids.changed_dimensions),
    "speed": Rule("warning", "cuboids", cuboids.speed),
    "no-keyframe": Rule("warning", "annotations", sequences.no_keyframe),
    "outside-keyframes": Rule("warning", "annotations", sequences.outside_keyframes),
    "not-interpolated": Rule("warning", "annotations", sequences.not_interpolated),
    "hole": Rule("warning", "annotations", sequences.hole),
    "frame-index": Rule("warning", "annotations", sequences.frame_index),
    "null-timestamp": Rule("warning", "labels", sequences.null_timestamp),
    "timestamp-order": Rule("error", "labels", sequences.timestamp_order),
    "frame-count": Rule("error", "frames", sequences.frame_count),
    "sensor-order": Rule("error", "labels", sequences.sensor_order),
    "link-track": Rule("error", "links", links.link_track),
    "link-category": Rule("error", "links", links.link_category),
}
"""The rules by name, in the order of findings."""

_WHOLE: Final = {"unused-category"}
"""What is about all samples of a release together; all other rules are about one sample after the other."""
_PLACE: Final = (*FRAME_KEY, "annotation_index")
_COLUMNS: Final = tuple(SCHEMAS["findings"].names)


def check_labels(tables: LabelTables, *, rules: Collection[str] | None = None) -> pl.DataFrame:
    """What is wrong in labels.

    Parameters
    ----------
    tables : LabelTables
        Of whole samples: of a part of a sample's frames, the rules about tracks say what is wrong in that part.
    rules : collection of str, optional
        Names out of `arrow_labels.checks.RULES`; by default all of them.

    Returns
    -------
    pl.DataFrame
        One row a finding, with the columns of the table `findings`: `rule`, `severity` (``"error"`` or ``"warning"``),
        `sample_id`, `labelset`, `sensor_index` and `frame_index` (int32), `annotation_index` (int32), `track_id`
        (int64), each null where a finding is about something larger; `message`, what was expected and what was found;
        `value`, JSON of what was found. Sorted by rule, in the order of `RULES`, and key.

    Raises
    ------
    SchemaError
        These are no `LabelTables`.
    ValueError
        A name in `rules` is no rule.

    Notes
    -----
    A rule that lacks what it needs finds nothing: what the release defines, the image's size, timestamps, is_keyframe.
    The rules about pixels repeat what `read_masks` put into the table `findings`.

    Examples
    --------
    >>> import arrow_labels as al
    >>> box = {"id": 1, "category_id": 0, "type": "bbox", "points": [[4, 3], [0, 0]]}
    >>> found = al.check_labels(al.decode_labels([{"annotations": [box, box | {"points": [[0, 0], [4, 3]]}]}]))
    >>> found.select("rule", "severity", "annotation_index", "message").rows()
    [('duplicate-id', 'error', 1, 'Expected one annotation of id 1 in the frame, got another'),
     ('swapped-corners', 'warning', 0, 'Expected the upper left corner and then the lower right one, got others')]
    """
    if isinstance(rules, str):
        raise ValueError(f"rules: expected a collection of names, got the text {rules!r}")
    chosen = list(RULES) if rules is None else [name for name in RULES if name in set(rules)]
    unknown = [name for name in rules or () if name not in RULES]
    if unknown:
        raise ValueError(f"rules: expected names out of {', '.join(RULES)}, got {', '.join(map(repr, unknown))}")
    found: dict[str, list[pl.DataFrame]] = {name: [] for name in chosen}
    for part in parts(expect_tables(tables)):
        _check(Rows(part), [name for name in chosen if name not in _WHOLE], found)
    _check(Rows(tables), [name for name in chosen if name in _WHOLE], found)
    return pl.concat([_none(), *(_in_order(found[name]) for name in chosen)])


def _check(rows: Rows, names: list[str], found: dict[str, list[pl.DataFrame]]) -> None:
    """Put what breaks these rules to what was found before."""
    names = [name for name in names if RULES[name].table not in SCHEMAS or rows.tables[RULES[name].table].num_rows]
    queries = pl.collect_all([RULES[name].query(rows) for name in names], engine="in-memory")
    for name, broken in zip(names, queries, strict=True):
        found[name].append(_finished(name, broken, rows))


def _finished(name: str, found: pl.DataFrame, rows: Rows) -> pl.DataFrame:
    """The findings of a rule with the columns that all findings have, sorted."""
    if found.is_empty():
        return _none()
    if "frame" in found.columns:
        key = rows.places.select("frame", *FRAME_KEY)
        own = [name for name in FRAME_KEY if name in found.columns]
        found = found.join(key, on="frame", how="left", maintain_order="left", suffix="_of_frame")
        found = found.with_columns(pl.coalesce(name, f"{name}_of_frame") for name in own)
    found = found.sort([name for name in _PLACE if name in found.columns], maintain_order=True)
    given = found.with_columns(
        pl.col("message").str.head(LONGEST), rule=pl.lit(name), severity=pl.lit(RULES[name].severity)
    )
    return pl.concat([_none(), given.select(column for column in _COLUMNS if column in given.columns)], how="diagonal")


def _in_order(findings: list[pl.DataFrame]) -> pl.DataFrame:
    """The findings of a rule in several parts, each of which is sorted."""
    rows = pl.concat([_none(), *findings])
    return rows.sort(_PLACE, maintain_order=True) if len(findings) > 1 else rows


def _none() -> pl.DataFrame:
    return pl.DataFrame(pl.from_arrow(SCHEMAS["findings"].empty_table()))
