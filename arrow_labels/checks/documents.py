"""The values of all attributes, one row for each distinct JSON text and name, with what their definition says.

Annotations of one track repeat their attributes on every frame: a text is read once for each category that has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import polars as pl
from msgspec import Raw

from arrow_labels.decode.columns import json_column
from arrow_labels.expressions.json_values import members, objects

KEY: Final = ("dataset_no", "scope", "category_id", "space", "text")
"""What a document is: the attributes of an annotation, a frame or a link, and whose definitions they are to follow."""

_TEXT: Final = pl.col("text")
_FIRST: Final = {
    "number": "-0123456789",
    "checkbox": "tf",
    "text": '"',
    "select": '"',
    "multiselect": "[",
    "vector3": "{",
    "quaternion": "{",
    "points": "[",
}
"""The characters that JSON of each input type starts with."""
_EXPECTED: Final = {
    "number": "a number",
    "checkbox": "true or false",
    "text": "a string",
    "select": "a string",
    "multiselect": "an array of strings",
    "vector3": "an object of numbers x, y, z",
    "quaternion": "an object of numbers qx, qy, qz, qw",
    "points": "an array",
}
_STRUCTS: Final = {
    "vector3": pl.Struct(dict.fromkeys("xyz", pl.Float64)),
    "quaternion": pl.Struct(dict.fromkeys(("qx", "qy", "qz", "qw"), pl.Float64)),
}


def documented(parts: Mapping[str, pl.DataFrame]) -> tuple[pl.DataFrame, dict[str, pl.DataFrame]]:
    """The distinct documents of rows, each with its number `document`; and the rows with that in place of the text.

    Parameters
    ----------
    parts : mapping of str to DataFrame
        For each scope, "object", "image" and "link", rows with those of the columns of `KEY` that they have.
    """
    keyed = {}
    for scope, part in parts.items():
        nothing = {"space": pl.lit(None, pl.String), "category_id": pl.lit(None, pl.Int64)}
        lacking = [value.alias(name) for name, value in nothing.items() if name not in part.columns]
        keyed[scope] = part.with_columns(pl.lit(scope).alias("scope"), *lacking)
    distinct = pl.concat([part.select(KEY) for part in keyed.values()])
    distinct = distinct.unique(maintain_order=True).with_row_index("document")
    return distinct, {
        scope: part.join(distinct, on=KEY, how="left", nulls_equal=True, maintain_order="left").drop(KEY)
        for scope, part in keyed.items()
    }


def values(documents: pl.DataFrame, attributes: pl.DataFrame) -> pl.DataFrame:
    """The values in documents that are not null.

    Parameters
    ----------
    documents : DataFrame
        What `documented` gives.
    attributes : DataFrame
        The definitions, with `dataset_no`.

    Returns
    -------
    DataFrame
        `document`, `name`, `text` (JSON), `is_empty` (an empty string or array), `compared` (what two equal values have
        in common), `is_specified` and the columns of the definition, `expected` (in words), and whether the value
        contradicts the definition: `is_other_type`, `is_other_choice`, `is_out_of_range`.
    """
    texts = documents.select("text").drop_nulls().unique(maintain_order=True)
    found = objects(texts["text"].to_list())
    names = [name for each in found for name in each]
    raws: list[Raw] = [raw for each in found for raw in each.values()]
    long = pl.DataFrame(
        {
            "place": pl.Series([len(each) for each in found], dtype=pl.Int64),
            "outer": texts["text"],
        }
    )
    long = long.select(pl.col("outer").repeat_by("place").explode(empty_as_null=False)).with_columns(
        pl.Series("name", names, pl.String), pl.Series("text", json_column(raws), pl.String)
    )
    long = long.filter(_TEXT.is_not_null(), _TEXT != "null")
    outer = documents.rename({"text": "outer"})
    specified = attributes.drop("default_value", "step", "dataset").with_columns(pl.lit(True).alias("is_specified"))
    known = outer.join(long, on="outer", how="inner", maintain_order="left").drop("outer")
    known = known.join(
        specified,
        on=["dataset_no", "scope", "category_id", "name"],
        how="left",
        nulls_equal=True,
        maintain_order="left",
    )
    flags = ("is_specified", "is_mandatory", "is_track_level", "is_synced")
    known = known.with_columns(pl.col(name).fill_null(False) for name in flags)
    return _checked(known)


def _checked(known: pl.DataFrame) -> pl.DataFrame:
    """Values with what contradicts their definition."""
    kind = pl.col("input_type")
    starts = kind.replace_strict(_FIRST, default=None, return_dtype=pl.String)
    number = pl.when(kind == "number").then(_TEXT.cast(pl.Float64, strict=False))
    known = known.with_columns(
        (~starts.str.contains(_TEXT.str.head(1), literal=True)).fill_null(False).alias("is_other_type"),
        kind.replace_strict(_EXPECTED, default="any value").alias("expected"),
        _TEXT.is_in(['""', "[]"]).alias("is_empty"),
        number.alias("number"),
        # 1 and 1.0 are one number. Where it is not said below what else is the same, the texts are compared.
        pl.coalesce(_TEXT.cast(pl.Float64, strict=False).cast(pl.String), _TEXT).alias("compared"),
    )
    out = (pl.col("number") < pl.col("min")) | (pl.col("number") > pl.col("max"))
    known = known.with_columns(out.fill_null(False).alias("is_out_of_range"), pl.lit(False).alias("is_other_choice"))
    wrong = [_parts(known, each) for each in _STRUCTS] + [_choices(known)]
    found = pl.concat([known.with_row_index("row").select("row").clear(), *wrong], how="diagonal")
    found = found.group_by("row").agg(pl.col("other_type", "other_choice").any(), pl.col("same").first())
    known = known.with_row_index("row").join(found, on="row", how="left", maintain_order="left")
    return known.with_columns(
        pl.col("is_other_type") | pl.col("other_type").fill_null(False),
        pl.col("is_other_choice") | pl.col("other_choice").fill_null(False),
        pl.coalesce("same", "compared").alias("compared"),
    ).drop("row", "other_type", "other_choice", "same", "number")


def _of_kind(known: pl.DataFrame, *kinds: str) -> pl.DataFrame:
    wrapped = pl.concat_str(pl.lit('{"v":'), _TEXT, pl.lit("}")).alias("wrapped")
    chosen = known.with_row_index("row").filter(pl.col("input_type").is_in(kinds), ~pl.col("is_other_type"))
    return chosen.select("row", "input_type", "values", "is_empty", wrapped)


def _parts(known: pl.DataFrame, kind: str) -> pl.DataFrame:
    """Vectors and quaternions: whether they lack a number, and the same text for the same numbers."""
    rows = _of_kind(known, kind)
    parts = members(rows["wrapped"], {"v": ("v", _STRUCTS[kind])}).unnest("v")
    return parts.select(
        rows["row"],
        pl.any_horizontal(pl.all().is_null()).alias("other_type"),
        pl.lit(False).alias("other_choice"),
        pl.concat_str(pl.all().cast(pl.String), separator=" ").alias("same"),
    )


def _choices(known: pl.DataFrame) -> pl.DataFrame:
    """Values that cannot be chosen, arrays with what is no string, and the same text for the same choice."""
    rows = _of_kind(known, "select", "multiselect")
    chosen = members(rows["wrapped"], {"one": ("v", pl.String()), "several": ("v", pl.List(pl.String))})
    rows = rows.hstack(chosen).with_columns(
        pl.when(pl.col("input_type") == "select").then(pl.concat_list("one")).otherwise("several").alias("chosen")
    )
    limited = pl.col("values").list.len() > 0
    unknown = pl.col("chosen").list.set_difference("values").list.len() > 0
    return rows.select(
        "row",
        pl.col("chosen").is_null().alias("other_type"),
        (limited & unknown).fill_null(False).alias("other_choice"),
        pl.when(pl.col("input_type") == "multiselect").then(pl.col("chosen").list.sort().list.join("\n")).alias("same"),
    )


def missing_values(documents: pl.DataFrame, given: pl.DataFrame, attributes: pl.DataFrame) -> pl.DataFrame:
    """Mandatory attributes without a value: `document`, `name`, `text` (null); `for_track`: one row's value will do."""
    mandatory = attributes.filter(
        pl.col("is_mandatory"), (pl.col("scope") != "link") | pl.col("is_track_level").fill_null(True)
    ).with_columns(for_track=(pl.col("scope") == "object") & pl.col("is_track_level").fill_null(False))
    wanted = documents.join(
        mandatory.select("dataset_no", "scope", "category_id", "name", "for_track", "sensor_filter"),
        on=["dataset_no", "scope", "category_id"],
        how="inner",
        nulls_equal=True,
        maintain_order="left",
    )
    elsewhere = pl.col("sensor_filter").is_in(["2D", "3D"]) & (pl.col("sensor_filter") != pl.col("space"))
    wanted = wanted.filter(~elsewhere.fill_null(False))
    there = given.filter(~pl.col("is_empty")).select("document", "name")
    missing = wanted.join(there, on=["document", "name"], how="anti", maintain_order="left")
    return missing.select("document", "name", pl.lit(None, pl.String).alias("text"), "for_track")
