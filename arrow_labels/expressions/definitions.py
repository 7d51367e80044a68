"""What a release defines for the attributes of its objects, as expressions over the values of rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import polars as pl

from arrow_labels.errors import SchemaError
from arrow_labels.expressions.columns import Frame, Kind, lazy, require
from arrow_labels.expressions.json_values import Wanted, members

PROBLEM: Final = pl.Struct({"name": pl.String, "value": pl.String, "expected": pl.String})
"""A value that contradicts its definition."""

_TYPES: Final[dict[str | None, pl.DataType]] = {
    "select": pl.String(),
    "text": pl.String(),
    "multiselect": pl.List(pl.String),
    "number": pl.Float64(),
    "checkbox": pl.Boolean(),
    "vector3": pl.Struct(dict.fromkeys(("x", "y", "z"), pl.Float64)),
    "quaternion": pl.Struct(dict.fromkeys(("qx", "qy", "qz", "qw"), pl.Float64)),
}
"""The type of the column for each input type; String for any other."""


@dataclass(frozen=True)
class Definition:
    """One definition of an attribute, and the categories that it stands in."""

    input_type: str | None
    values: tuple[str, ...] | None
    default: str | None
    low: float | None
    high: float | None
    is_track_level: bool
    categories: tuple[int, ...]

    @property
    def dtype(self) -> pl.DataType:
        """The type of its values."""
        return _TYPES.get(self.input_type, pl.String())

    @property
    def applies(self) -> pl.Expr:
        """Whether the category of a row has it."""
        return pl.col("category_id").is_in(self.categories)

    @property
    def expected(self) -> str:
        """What its values are, in words."""
        values = ", ".join(f"`{value}`" for value in self.values or ())
        match self.input_type:
            case "select":
                return f"one of {values}" if values else "a string"
            case "multiselect":
                return f"an array of {values}" if values else "an array of strings"
            case "number":
                low = "" if self.low is None else f" from {self.low:g}"
                high = "" if self.high is None else f"{' to' if low else ' up to'} {self.high:g}"
                return f"a number{low}{high}"
        kinds = {
            "text": "a string",
            "checkbox": "true or false",
            "vector3": "an object of numbers x, y, z",
            "quaternion": "an object of numbers qx, qy, qz, qw",
            "points": "an array",
        }
        return kinds.get(self.input_type or "", "any value")

    def contradicts(self, text: pl.Expr, value: pl.Expr) -> pl.Expr:
        """Whether a value, as JSON text and of the definition's type, is not what it may be."""
        match self.input_type:
            case "select" | "text":
                wrong = ~text.str.starts_with('"')
                if self.input_type == "select" and self.values:
                    wrong |= ~value.is_in(self.values)
            case "multiselect":
                known = pl.element().is_not_null()
                if self.values:
                    known &= pl.element().is_in(self.values)
                wrong = value.is_null() | ~value.list.eval(known).list.all()
            case "number":
                wrong = value.is_null()
                if self.low is not None:
                    wrong |= value < self.low
                if self.high is not None:
                    wrong |= value > self.high
            case "checkbox":
                wrong = value.is_null()
            case "vector3" | "quaternion":
                wrong = value.is_null() | pl.any_horizontal(value.struct.unnest().is_null())
            case "points":
                wrong = ~text.str.starts_with("[")
            case _:
                wrong = pl.lit(False)
        return text.is_not_null() & wrong


@dataclass(frozen=True)
class Attribute:
    """All definitions of the attributes of one name, which become one column."""

    name: str
    place: int
    definitions: tuple[Definition, ...]

    @property
    def dtype(self) -> pl.DataType:
        """The type of the column: that of the definitions if it is one, else String."""
        types = {definition.dtype for definition in self.definitions}
        return types.pop() if len(types) == 1 else pl.String()

    @property
    def track_level(self) -> tuple[int, ...]:
        """The categories in which one value holds for the whole track."""
        return tuple(c for definition in self.definitions if definition.is_track_level for c in definition.categories)

    @property
    def value(self) -> str:
        """The internal column of values."""
        return f"__value_{self.place}"

    @property
    def text(self) -> str:
        """The internal column of JSON texts, of what the row itself says."""
        return f"__text_{self.place}"

    @property
    def default(self) -> str:
        """The internal column of default values."""
        return f"__default_{self.place}"

    @property
    def wanted(self) -> dict[str, Wanted]:
        """Internal columns to make of the JSON of the rows: the text, the value, and it as each definition has it."""
        typed = {self._typed(definition): (self.name, definition.dtype) for definition in self.definitions}
        return {self.text: (self.name, None), self.value: (self.name, self.dtype), **typed}

    @property
    def fields(self) -> dict[str, pl.DataType]:
        """Internal columns that go on from the rows to the tracks."""
        if not self.track_level:
            return {self.value: self.dtype}
        return {self.value: self.dtype, self.text: pl.String(), self.default: self.dtype}

    @property
    def default_value(self) -> pl.Expr:
        """What the definition of the row's category says a missing value is."""
        chosen: pl.Expr = pl.lit(None, self.dtype)
        for definition in self.definitions:
            if definition.default is not None:
                document = pl.Series([f'{{"value":{definition.default}}}'])
                value = members(document, {"value": ("value", self.dtype)}).to_series()
                chosen = pl.when(definition.applies).then(pl.lit(value).first()).otherwise(chosen)
        return chosen

    @property
    def problems(self) -> list[pl.Expr]:
        """For each definition, what is wrong with the value of a row; null if nothing is."""
        text = pl.col(self.text)
        return [
            pl.when(definition.applies & definition.contradicts(text, pl.col(self._typed(definition)))).then(
                problem(self.name, text, pl.lit(definition.expected))
            )
            for definition in self.definitions
        ]

    def _typed(self, definition: Definition) -> str:
        if definition.dtype == self.dtype:
            return self.value
        return f"__typed_{self.place}_{self.definitions.index(definition)}"


def problem(name: str, value: pl.Expr, expected: pl.Expr) -> pl.Expr:
    """One entry of `attribute_problems`."""
    return pl.struct(pl.lit(name).alias("name"), value.alias("value"), expected.alias("expected"))


def read_attributes(attribute_specs: Frame) -> list[Attribute]:
    """The attributes of objects that the table `attribute_specs` defines, in its order."""
    specs = lazy(attribute_specs)
    columns: dict[str, Kind] = {
        **dict.fromkeys(("scope", "name", "input_type", "default_value"), "text"),
        **dict.fromkeys(("min", "max"), "number"),
        **{"category_id": "integer", "is_track_level": "boolean"},
    }
    schema = require(specs, columns, "attribute_specs")
    if schema.get("values") not in (pl.List(pl.String), pl.Null):
        raise SchemaError(
            f"Expected a list of text, got `{schema.get('values')}` - in column `values` - in attribute_specs"
        )
    rows = (
        specs.filter(pl.col("scope").cast(pl.String) == "object", pl.col("name", "category_id").is_not_null())
        .select("name", "category_id", "input_type", "values", "default_value", "min", "max", "is_track_level")
        .collect()
        .rows()
    )
    found: dict[str, dict[Definition, list[int]]] = {}
    for name, category, input_type, values, default, low, high, is_track_level in rows:
        choices = None if values is None else tuple(values)
        definition = Definition(input_type, choices, default, low, high, bool(is_track_level), ())
        definitions = found.setdefault(name, {})
        if any(category in categories for other, categories in definitions.items() if other != definition):
            raise SchemaError(
                f"Expected one definition of `{name}` for category {category}, got two that differ "
                "- in attribute_specs: give the rows of one dataset"
            )
        definitions.setdefault(definition, []).append(category)
    return [
        Attribute(name, place, tuple(replace(each, categories=tuple(ids)) for each, ids in definitions.items()))
        for place, (name, definitions) in enumerate(found.items())
    ]
