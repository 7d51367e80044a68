"""What releases define: categories, attributes, and the warning rules of the dataset."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec
import polars as pl

from arrow_labels.tables import LabelTables

_AXES: Final = {"length": "x", "width": "y", "height": "z"}


class Limits(NamedTuple):
    """A rule `cuboid-dimension-limits`: `bounds` is the smallest and largest of some dimensions; no categories: all."""

    dataset: str | None
    categories: list[int]
    bounds: dict[str, tuple[float | None, float | None]]


class Intersections(NamedTuple):
    """A rule `intersecting-cuboids`.

    Cuboids of a category in `excluded` may intersect with any, and those of two different ones in `excluded_set`.
    """

    dataset: str | None
    excluded: list[int]
    excluded_set: list[int]


class Definitions(NamedTuple):
    """What releases define; of a dataset's definitions of one thing the last one counts.

    `categories` is the table with `link_targets`, the categories that links may lead to (null: any); `attributes` is
    the table `attribute_specs` with `is_synced` and `sensor_filter`.
    """

    categories: pl.DataFrame
    attributes: pl.DataFrame
    limits: list[Limits]
    intersections: list[Intersections]


def read_definitions(tables: LabelTables) -> Definitions:
    """The definitions of all releases in the tables."""
    categories = pl.DataFrame(pl.from_arrow(tables.categories))
    extras = [_object(text) for text in categories["extra"]]
    targets = [_integers(extra["link_category_restrictions"]) if _has_targets(extra) else None for extra in extras]
    specs = pl.DataFrame(pl.from_arrow(tables.attribute_specs))
    extras = [_object(text) for text in specs["extra"]]
    synced = [extra.get("synced_across_sensors") is True for extra in extras]
    filters = [extra.get("sensor_filter", extra.get("sensors")) for extra in extras]
    filters = [each.upper() if isinstance(each, str) else None for each in filters]
    rules = _warning_rules(tables)
    return Definitions(
        categories.with_columns(pl.Series("link_targets", targets, pl.List(pl.Int64)))
        .filter(pl.col("category_id").is_not_null())
        .unique(["dataset", "category_id"], keep="last", maintain_order=True),
        specs.with_columns(pl.Series("is_synced", synced, pl.Boolean), pl.Series("sensor_filter", filters, pl.String))
        .filter(pl.col("name").is_not_null())
        .unique(["dataset", "scope", "category_id", "name"], keep="last", maintain_order=True),
        [
            Limits(dataset, _integers(rule.get("categories")), _bounds(rule))
            for dataset, rule in rules
            if rule["name"] == "cuboid-dimension-limits"
        ],
        [
            Intersections(
                dataset,
                _integers(rule.get("excluded_categories")),
                _integers(rule.get("excluded_set_of_categories")),
            )
            for dataset, rule in rules
            if rule["name"] == "intersecting-cuboids"
        ],
    )


def _warning_rules(tables: LabelTables) -> list[tuple[str | None, dict[str, Any]]]:
    """Each rule of each dataset once, with the name of the dataset."""
    found: dict[tuple[str | None, bytes], dict[str, Any]] = {}
    for row in tables.datasets.select(["dataset", "task_attributes"]).to_pylist():
        rules = _object(row["task_attributes"]).get("warning_rules")
        for rule in rules if isinstance(rules, list) else ():
            if isinstance(rule, dict):
                found[row["dataset"], msgspec.json.encode(rule, order="deterministic")] = {"name": None} | rule
    return [(dataset, rule) for (dataset, _), rule in found.items()]


def _bounds(rule: dict[str, Any]) -> dict[str, tuple[float | None, float | None]]:
    given = [rule.get(bound) for bound in ("min", "max")]
    low, high = (each if isinstance(each, dict) else {} for each in given)
    return {name: (_number(low.get(axis)), _number(high.get(axis))) for name, axis in _AXES.items()}


def _object(text: str | None) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(text or "{}")
    except (msgspec.DecodeError, UnicodeError):  # Tables need not come from a document.
        return {}
    return found if isinstance(found, dict) else {}


def _has_targets(extra: dict[str, Any]) -> bool:
    return isinstance(extra.get("link_category_restrictions"), list)


def _integers(value: Any) -> list[int]:
    """The integers of a list, 1.0 among them; ids of categories that fit the column."""
    numbers = value if isinstance(value, list) else []
    whole = [int(each) for each in numbers if _number(each) is not None and float(each).is_integer()]
    return [each for each in whole if -(2**63) <= each < 2**63]


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
