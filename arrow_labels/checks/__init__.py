"""What is wrong in labels: one small query a rule, over all rows at once."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final, Literal, NamedTuple

import polars as pl

from arrow_labels.checks import attributes, categories, cuboids, ids, links, sequences, vectors
from arrow_labels.checks.rows import Rows
from arrow_labels.schema import FRAME_KEY, SCHEMAS
from arrow_labels.tables import LabelTables


class Rule(NamedTuple):
    """A rule: how bad it is to break it, and the query that gives what breaks it."""

    severity: Literal["error", "warning"]
    query: Callable[[Rows], pl.LazyFrame]

    @property
    def finds(self) -> str:
        """What it finds, in words."""
        return " ".join((self.query.__doc__ or "").split())


RULES: Final[dict[str, Rule]] = {
    "duplicate-id": Rule("error", ids.duplicate_id),
    "duplicate-track": Rule("error", ids.duplicate_track),
    "different-ids": Rule("warning", ids.different_ids),
    "unlisted-pixels": Rule("warning", ids.unlisted_pixels),
    "no-pixels": Rule("warning", ids.no_pixels),
    "unlisted-points": Rule("warning", ids.unlisted_points),
    "no-points": Rule("warning", ids.no_points),
    "point-count": Rule("error", ids.point_count),
    "undefined-category": Rule("error", categories.undefined_category),
    "unused-category": Rule("warning", categories.unused_category),
    "several-categories": Rule("error", categories.several_categories),
    "no-instances": Rule("warning", categories.no_instances),
    "undefined-attribute": Rule("warning", attributes.undefined_attribute),
    "attribute-type": Rule("error", attributes.attribute_type),
    "attribute-choice": Rule("error", attributes.attribute_choice),
    "attribute-range": Rule("error", attributes.attribute_range),
    "missing-attribute": Rule("warning", attributes.missing_attribute),
    "track-attribute": Rule("error", attributes.track_attribute),
    "synced-attribute": Rule("error", attributes.synced_attribute),
    "vertex-count": Rule("error", vectors.vertex_count),
    "non-finite-points": Rule("error", vectors.non_finite_points),
    "swapped-corners": Rule("warning", vectors.swapped_corners),
    "zero-area": Rule("error", vectors.zero_area),
    "repeated-vertices": Rule("warning", vectors.repeated_vertices),
    "self-intersection": Rule("error", vectors.self_intersection),
    "outside-image": Rule("warning", vectors.outside_image),
    "non-finite-cuboid": Rule("error", cuboids.non_finite_cuboid),
    "non-positive-dimensions": Rule("error", cuboids.non_positive_dimensions),
    "yaw-range": Rule("warning", cuboids.yaw_range),
    "quaternion-norm": Rule("error", cuboids.quaternion_norm),
    "yaw-rotation": Rule("error", cuboids.yaw_rotation),
    "cuboid-dimension-limits": Rule("warning", cuboids.dimension_limits),
    "intersecting-cuboids": Rule("warning", cuboids.intersecting_cuboids),
    "changed-dimensions": Rule("warning", cuboids.changed_dimensions),
    "speed": Rule("warning", cuboids.speed),
    "no-keyframe": Rule("warning", sequences.no_keyframe),
    "outside-keyframes": Rule("warning", sequences.outside_keyframes),
    "not-interpolated": Rule("warning", sequences.not_interpolated),
    "hole": Rule("warning", sequences.hole),
    "frame-index": Rule("warning", sequences.frame_index),
    "null-timestamp": Rule("warning", sequences.null_timestamp),
    "timestamp-order": Rule("error", sequences.timestamp_order),
    "frame-count": Rule("error", sequences.frame_count),
    "sensor-order": Rule("error", sequences.sensor_order),
    "link-track": Rule("error", links.link_track),
    "link-category": Rule("error", links.link_category),
}
"""The rules by name, in the order of findings."""

_COLUMNS: Final = tuple(SCHEMAS["findings"].names)
_EMPTY: Final = pl.DataFrame(pl.from_arrow(SCHEMAS["findings"].empty_table()))


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
        `value`, JSON of what was found. In the order of the rules, and of the rows in the tables.

    Raises
    ------
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
    rows = Rows(tables)
    found = pl.collect_all([RULES[name].query(rows) for name in chosen])
    return pl.concat([_EMPTY, *(_finished(name, part, rows) for name, part in zip(chosen, found, strict=True))])


def _finished(name: str, found: pl.DataFrame, rows: Rows) -> pl.DataFrame:
    """The findings of a rule with the columns that all findings have, in the order of the tables."""
    if found.is_empty():
        return _EMPTY
    if "frame" in found.columns and "sample_id" not in found.columns:
        key = rows.places.select("frame", *FRAME_KEY)
        found = found.join(key, on="frame", how="left", maintain_order="left")
    given = found.with_columns(rule=pl.lit(name), severity=pl.lit(RULES[name].severity))
    return pl.concat([_EMPTY, given.select(column for column in _COLUMNS if column in given.columns)], how="diagonal")
