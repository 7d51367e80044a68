"""The values of attributes: one of them from the JSON column, or all that a release defines, each as a typed column."""

from __future__ import annotations

from functools import partial
from typing import Any

import polars as pl

from arrow_labels.errors import SchemaError
from arrow_labels.expressions.columns import LABEL, Frame, require, storage, track
from arrow_labels.expressions.definitions import PROBLEM, Attribute, problem, read_attributes
from arrow_labels.expressions.json_values import Wanted, as_dtype, members


def attribute(expr: pl.Expr, name: str, dtype: Any = pl.String) -> pl.Expr:
    """The value of one attribute, from the JSON column `attributes` or another column of JSON objects.

    Parameters
    ----------
    expr : Expr
        Text: a JSON object a row.
    name : str
        The name of the attribute: any text, as it is in the document.
    dtype : DataType
        String, Boolean, a float, an integer (not UInt64), or a List or Struct of these.

    Returns
    -------
    Expr
        A column of that type, called `name`. Null where the row has no such attribute, where it is null, and where
        its value is of another JSON type: a number is no Boolean, nor is the text "3" a number; 1.0 is an integer. As
        String comes a string as it is, and any other value as its JSON text. Of a name that an object repeats, the
        last value counts.

    Raises
    ------
    ValueError
        A `dtype` that JSON has no values of.
    SchemaError
        When the query is planned: the column is not text.

    Examples
    --------
    >>> import polars as pl
    >>> import arrow_labels
    >>> column = pl.DataFrame({"attributes": ['{"colour": "red", "doors": 4}', '{"doors": "4"}', None]})
    >>> text = pl.col("attributes")
    >>> column.select(text.labels.attribute("colour"), text.labels.attribute("doors", pl.Int64)).rows()
    [('red', 4), (None, None), (None, None)]
    """
    wanted = as_dtype(dtype)
    member = partial(_member, name=name, dtype=wanted)
    return expr.pipe_with_dtype(_text).map_batches(member, wanted, is_elementwise=True).alias(name)


def _text(expr: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    if isinstance(dtype, pl.BaseExtension):
        return expr.ext.storage()
    if dtype not in (pl.String, pl.Categorical, pl.Enum, pl.Null):
        raise SchemaError(f"Expected text, got `{dtype}`")
    return expr


def _member(texts: pl.Series, name: str, dtype: pl.DataType) -> pl.Series:
    return members(texts, {name: (name, dtype)}).to_series()


def unpack_attributes(
    frame: pl.LazyFrame, attribute_specs: Frame, *, prefix: str = "", defaults: bool = True
) -> pl.LazyFrame:
    """One typed column for each attribute that a release defines for its objects, and what contradicts a definition.

    ==========================  =============================================================
    input type                  type of the column
    ==========================  =============================================================
    select, text                String
    multiselect                 List(String)
    number                      Float64
    checkbox                    Boolean
    vector3                     Struct of `x, y, z`, Float64
    quaternion                  Struct of `qx, qy, qz, qw`, Float64
    points, and any other       String: the JSON text
    ==========================  =============================================================

    An attribute of one name that several categories define is one column; where they define it with different types, a
    String column: of strings as they are, and the JSON text of anything else.

    A row has the value that its JSON gives. Where it gives none and the row's category defines the attribute:

    * of an attribute that holds for a whole track (`is_track_level`), the value of the first frame of the track that
      gives one;
    * else the definition's `default_value`.

    `attribute_problems` lists the values of the row that contradict the definition of its category: of another type,
    not one of `values`, below `min` or above `max`, or another value than an earlier frame gives for the whole track.
    Such values are kept: in the column where they fit its type, and in the list in any case.

    Parameters
    ----------
    frame : LazyFrame
        Annotations, with `category_id` and `attributes`; for attributes of a whole track also with `sample_id`,
        `labelset`, `sensor_index`, `frame_index`, and `track_id` or `id`.
    attribute_specs : LazyFrame, DataFrame or pa.Table
        The table `attribute_specs` of one dataset; its rows of scope `object` count. It is collected here, as the
        columns of the result depend on it.
    prefix : str
        Put before the names of all new columns.
    defaults : bool
        Whether missing values become the definition's default.

    Returns
    -------
    LazyFrame
        The same rows, with the new columns after the others, in the order of their definitions, and last
        `attribute_problems`: List(Struct) of `name`, `value` (JSON text) and `expected` (text); empty where there is
        nothing.

    Raises
    ------
    SchemaError
        A column is missing, of another kind, or would be there twice; or a category defines an attribute twice, and
        differently.

    Examples
    --------
    >>> import polars as pl
    >>> import arrow_labels
    >>> specs = pl.DataFrame({"scope": "object", "category_id": 1, "name": ["colour", "doors"],
    ...     "input_type": ["select", "number"], "values": [["red", "blue"], None], "default_value": ['"red"', None],
    ...     "min": None, "max": [None, 5.0], "is_track_level": False})
    >>> cars = pl.DataFrame({"category_id": 1, "attributes": ['{"doors": 4}', '{"doors": 7, "colour": "blue"}']})
    >>> unpacked = cars.labels.unpack_attributes(specs)
    >>> unpacked.select("colour", "doors").rows()
    [('red', 4.0), ('blue', 7.0)]
    >>> unpacked.get_column("attribute_problems").to_list()
    [[], [{'name': 'doors', 'value': '7', 'expected': 'a number up to 5'}]]
    """
    frame = storage(frame)
    schema = require(frame, {"category_id": "integer", "attributes": "text"})
    attributes = read_attributes(attribute_specs)
    made = [f"{prefix}{name}" for name in (*(each.name for each in attributes), "attribute_problems")]
    repeated = [name for place, name in enumerate(made) if name in schema or name in made[:place]]
    if repeated:
        raise SchemaError(f"Expected no other column `{repeated[0]}` beside the new one: choose another `prefix`")
    if not attributes:
        return frame.with_columns(pl.lit([], pl.List(PROBLEM)).alias(made[-1]))
    shared = [each for each in attributes if each.track_level]
    if shared:
        require(frame, {**LABEL, "frame_index": "integer"})
    unpack = partial(
        _unpack,
        wanted={column: member for each in attributes for column, member in each.wanted.items()},
        own={column: expr for each in attributes for column, expr in _own_values(each, defaults).items()},
        problems=[expr for each in attributes for expr in each.problems],
    )
    fields = {column: dtype for each in attributes for column, dtype in each.fields.items()}
    dtype = pl.Struct({**fields, "__problems": pl.List(PROBLEM)})
    rows = pl.struct(pl.col("category_id"), pl.col("attributes").cast(pl.String))
    frame = frame.with_columns(rows.map_batches(unpack, dtype, is_elementwise=True).alias("__unpacked"))
    frame = frame.unnest("__unpacked")
    if shared:
        frame = _with_track_values(frame, schema, shared)
    new = [pl.col(each.value).alias(name) for each, name in zip(attributes, made, strict=False)]
    return frame.select(*schema, *new, pl.col("__problems").alias(made[-1]))


def _unpack(rows: pl.Series, wanted: dict[str, Wanted], own: dict[str, pl.Expr], problems: list[pl.Expr]) -> pl.Series:
    """A struct of all values and problems, made once for each distinct pair of category and JSON text."""
    frame = rows.struct.unnest()
    distinct = frame.unique(maintain_order=True)
    found = distinct.hstack(members(distinct.get_column("attributes"), wanted))
    found = found.select(**own, **{f"__problem_{place}": expr for place, expr in enumerate(problems)})
    made = found.select(*own, _listed(found.drop(own)).alias("__problems"))
    places = frame.join(
        distinct.with_row_index("__row"), on=frame.columns, how="left", nulls_equal=True, maintain_order="left"
    )
    return made.select(pl.all().gather(places.get_column("__row"))).to_struct()


def _listed(problems: pl.DataFrame) -> pl.Series:
    """The problems of each row, without the nulls, as one list. Making lists is slow, and few rows have any."""
    some = problems.select(pl.any_horizontal(pl.all().is_not_null())).to_series()
    if not some.any():
        return pl.repeat([], len(some), dtype=pl.List(PROBLEM), eager=True)
    lists = problems.filter(some).select(pl.concat_list(pl.all()).list.drop_nulls()).to_series()
    places = pl.when(some).then(some.cum_sum() - 1)
    return pl.select(pl.lit(lists).gather(places).fill_null([])).to_series()


def _own_values(each: Attribute, defaults: bool) -> dict[str, pl.Expr]:
    """What a row says, or its definition's default; for attributes of a whole track both, and the JSON text, apart."""
    text, value = pl.col(each.text), pl.col(each.value)
    default = each.default_value if defaults else pl.lit(None, each.dtype)
    if each.track_level:
        return {each.value: value, each.text: text, each.default: default}
    return {each.value: pl.when(text.is_null()).then(default).otherwise(value)}


def _with_track_values(frame: pl.LazyFrame, schema: pl.Schema, shared: list[Attribute]) -> pl.LazyFrame:
    """Rows whose missing values are those of their track, or else the default; and what differs from the track's."""
    frame = frame.with_columns(track(schema).alias("__track"))
    first = [
        pl.struct(text=each.text, value=each.value)
        .filter(_shares(each) & pl.col(each.text).is_not_null())
        .first()
        .over(*LABEL, "__track", order_by="frame_index")
        .alias(f"__first_{each.place}")
        for each in shared
    ]
    frame = frame.with_columns(first)
    values, problems = [], []
    for each in shared:
        text, value = pl.col(each.text), pl.col(each.value)
        first_text, first_value = (pl.col(f"__first_{each.place}").struct.field(name) for name in ("text", "value"))
        taken = pl.when(_shares(each) & first_text.is_not_null()).then(first_value).otherwise(each.default)
        values.append(pl.when(text.is_not_null()).then(value).otherwise(taken).alias(each.value))
        differs = (value != first_value) if each.dtype == pl.Float64 else (text != first_text)
        expected = pl.concat_str(pl.lit("the track's value "), first_text)
        problems.append(pl.when(_shares(each) & differs).then(problem(each.name, text, expected)))
    rows = pl.struct("__problems", *(part.alias(str(place)) for place, part in enumerate(problems)))
    return frame.with_columns(
        *values, rows.map_batches(_more, pl.List(PROBLEM), is_elementwise=True).alias("__problems")
    )


def _more(rows: pl.Series) -> pl.Series:
    """The lists of problems, and those of the columns after them."""
    table = rows.struct.unnest()
    lists, more = table.drop_in_place("__problems"), _listed(table)
    if not (more.list.len() > 0).any():
        return lists
    return lists.to_frame("lists").select(pl.col("lists").list.concat(more)).to_series()


def _shares(each: Attribute) -> pl.Expr:
    """Whether a row is of a track, and of a category in which one value holds for the whole track."""
    return pl.col("category_id").is_in(each.track_level) & pl.col("__track").is_not_null()
