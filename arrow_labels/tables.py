"""`LabelTables`: one `pa.Table` for each table of the schema."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cache
from html import escape
from typing import TYPE_CHECKING

import pyarrow as pa

from arrow_labels.errors import SchemaError
from arrow_labels.schema import ANNOTATION_COLUMNS, ANNOTATION_TABLES, SCHEMAS

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, repr=False, eq=False)
class LabelTables:
    """Labels as fourteen Arrow tables.

    Each attribute is a `pa.Table` with the columns of `arrow_labels.schema`; a table that is not given is empty. What
    speaks Arrow, such as a Polars DataFrame, is taken too: its large lists and strings become those of the schema, its
    instants of another time zone those of UTC.
    Two are equal if their rows are, whatever the `content_hash` of labels.
    `dataclasses.replace(tables, segments=frame)` gives other `LabelTables` with a table replaced.

    Raises
    ------
    SchemaError
        A table has other columns, or columns of other types.

    Examples
    --------
    >>> import arrow_labels as al
    >>> tables = al.decode_labels([{"annotations": [{"id": 1, "category_id": 0}]}])
    >>> tables["segments"].num_rows, [name for name, table in tables if table.num_rows]
    (1, ['labels', 'frames', 'segments'])
    """

    datasets: pa.Table = None
    categories: pa.Table = None
    attribute_specs: pa.Table = None
    samples: pa.Table = None
    sample_frames: pa.Table = None
    cameras: pa.Table = None
    labels: pa.Table = None
    frames: pa.Table = None
    segments: pa.Table = None
    vectors: pa.Table = None
    cuboids: pa.Table = None
    links: pa.Table = None
    rejects: pa.Table = None
    findings: pa.Table = None

    def __post_init__(self) -> None:
        for name, schema in SCHEMAS.items():
            table = getattr(self, name)
            if table is None:
                object.__setattr__(self, name, _empty(name))
                continue
            if not hasattr(table, "__arrow_c_stream__"):
                raise SchemaError(f"Expected an Arrow table, got `{type(table).__name__}` - for table `{name}`")
            given = table if isinstance(table, pa.Table) else pa.table(table)
            if not given.schema.equals(schema):
                given = _as_stored(given, schema, name)
            object.__setattr__(self, name, given)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the tables."""
        return tuple(field.name for field in fields(self))

    @property
    def nbytes(self) -> int:
        """Bytes of all tables."""
        return sum(table.nbytes for _, table in self)

    @property
    def annotations(self) -> pl.LazyFrame:
        """The columns that all annotations have, of the three annotation tables together, as a Polars LazyFrame.

        Examples
        --------
        >>> import arrow_labels as al
        >>> tables = al.decode_labels([{"annotations": [{"id": 1, "category_id": 0}]}])
        >>> tables.annotations.select("id", "category_id").collect().rows()
        [(1, 0)]
        """
        import polars as pl

        frames = [pl.from_arrow(self[name].select(ANNOTATION_COLUMNS)) for name in ANNOTATION_TABLES]
        return pl.concat([frame.lazy() for frame in frames if isinstance(frame, pl.DataFrame)])

    def __getitem__(self, name: str) -> pa.Table:
        if name not in SCHEMAS:
            raise KeyError(f"Expected one of {', '.join(SCHEMAS)}, got {name!r}")
        table: pa.Table = getattr(self, name)
        return table

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __iter__(self) -> Iterator[tuple[str, pa.Table]]:
        return ((name, self[name]) for name in self.names)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LabelTables):
            return NotImplemented
        return all(_compared(table).equals(_compared(other[name])) for name, table in self)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        width = max(map(len, self.names))
        lines = [f"  {name:<{width}} {table.num_rows:>12,}" for name, table in self]
        return "\n".join([f"LabelTables ({self.nbytes:,} bytes)", *lines])

    def _repr_html_(self) -> str:
        cells = "".join(
            f"<tr><td>{escape(name)}</td><td style='text-align:right'>{table.num_rows:,}</td>"
            f"<td style='text-align:right'>{table.nbytes:,}</td></tr>"
            for name, table in self
        )
        return f"<table><thead><tr><th>table</th><th>rows</th><th>bytes</th></tr></thead><tbody>{cells}</tbody></table>"

    @classmethod
    def concat(cls, parts: Iterable[LabelTables]) -> LabelTables:
        """The rows of several `LabelTables`, one after the other, without a copy.

        Parameters
        ----------
        parts : iterable of LabelTables
            In the order that the rows shall have.

        Returns
        -------
        LabelTables

        Raises
        ------
        SchemaError
            A part is something else.
        """
        parts = list(parts)
        if not parts:
            return cls()
        return cls(**{name: pa.concat_tables([expect_tables(part)[name] for part in parts]) for name in SCHEMAS})

    @classmethod
    def from_batches(cls, batches: Iterable[Mapping[str, pa.RecordBatch]]) -> LabelTables:
        """Tables of record batches that come in pieces, each a mapping of table to batch."""
        pieces: dict[str, list[pa.RecordBatch]] = {name: [] for name in SCHEMAS}
        for batch in batches:
            for name, piece in batch.items():
                pieces[name].append(piece)
        return cls(**{name: pa.Table.from_batches(found, SCHEMAS[name]) for name, found in pieces.items() if found})


def expect_tables(given: object) -> LabelTables:
    """What is given, if it is `LabelTables`.

    Raises
    ------
    SchemaError
        It is something else.

    Examples
    --------
    >>> expect_tables("release.json")
    Traceback (most recent call last):
    ...
    arrow_labels.errors.SchemaError: Expected `LabelTables`, got `str`
    """
    if not isinstance(given, LabelTables):
        raise SchemaError(f"Expected `LabelTables`, got `{type(given).__name__}`")
    return given


def each_of(tables: LabelTables | Iterable[LabelTables]) -> Iterator[LabelTables]:
    """`LabelTables`, or parts of them, one after the other.

    Raises
    ------
    SchemaError
        It is something else, or a part is.
    """
    if isinstance(tables, LabelTables):
        yield tables
        return
    if not isinstance(tables, Iterable):
        raise SchemaError(f"Expected `LabelTables`, or an iterable of them, got `{type(tables).__name__}`")
    for part in tables:
        yield expect_tables(part)


def _compared(table: pa.Table) -> pa.Table:
    """A table without what says how its rows came to be, not what they are."""
    return table.drop_columns("content_hash") if "content_hash" in table.column_names else table


@cache
def _empty(name: str) -> pa.Table:
    return SCHEMAS[name].empty_table()


def _as_stored(table: pa.Table, schema: pa.Schema, name: str) -> pa.Table:
    """A table whose lists and strings are as large as those of the schema, with its time zone."""
    types = {field.name: field.type for field in schema}
    stored = pa.schema(
        [
            pa.field(field.name, _without_nulls(_in_utc(as_small(field.type)), types.get(field.name)))
            for field in table.schema
        ]
    )
    if not stored.equals(schema):
        raise SchemaError(f"{_schema_difference(stored, schema)} - in table `{name}`")
    try:
        return table.cast(schema)
    except pa.ArrowInvalid as error:
        raise SchemaError(f"Expected lists and strings below 2^31, got {error} - in table `{name}`") from None


def _without_nulls(type_: pa.DataType, wanted: pa.DataType | None) -> pa.DataType:
    """A type in which what has nothing but nulls has the type that is wanted of it."""
    if pa.types.is_null(type_):
        return type_ if wanted is None else wanted
    if wanted is not None and pa.types.is_list(type_) and pa.types.is_list(wanted):
        return pa.list_(_without_nulls(type_.value_type, wanted.value_type))
    if wanted is not None and pa.types.is_struct(type_) and pa.types.is_struct(wanted):
        found = {field.name: field.type for field in wanted}
        return pa.struct([pa.field(field.name, _without_nulls(field.type, found.get(field.name))) for field in type_])
    return type_


def _in_utc(type_: pa.DataType) -> pa.DataType:
    """A type whose instants are in UTC: DuckDB has them in the time zone of its session."""
    return pa.timestamp(type_.unit, "UTC") if pa.types.is_timestamp(type_) and type_.tz is not None else type_


def as_small(type_: pa.DataType) -> pa.DataType:
    """A type whose lists and strings have offsets of 32 bits."""
    if pa.types.is_large_string(type_) or pa.types.is_string_view(type_):
        return pa.string()
    if pa.types.is_list(type_) or pa.types.is_large_list(type_):
        return pa.list_(as_small(type_.value_type))
    if pa.types.is_struct(type_):
        return pa.struct([pa.field(field.name, as_small(field.type)) for field in type_])
    return type_


def _schema_difference(got: pa.Schema, expected: pa.Schema) -> str:
    for name in expected.names:
        if name not in got.names:
            return f"Expected column `{name}`, got none (one without values has nulls)"
        if got.field(name).type != expected.field(name).type:
            return f"Expected column `{name}` of type `{expected.field(name).type}`, got `{got.field(name).type}`"
    extra = [name for name in got.names if name not in expected.names]
    if extra:
        return f"Expected no column `{extra[0]}`"
    return f"Expected columns in the order {', '.join(expected.names)}"


def chosen_tables(tables: Collection[str] | None) -> list[str]:
    """The names of tables to read, in the order of the schema; a `ValueError` for other names."""
    if isinstance(tables, str):
        raise ValueError(f"tables: expected a collection of names, got the text {tables!r}")
    chosen = set(SCHEMAS if tables is None else tables)
    if unknown := chosen - set(SCHEMAS):
        raise ValueError(f"tables: expected names out of {', '.join(SCHEMAS)}, got {', '.join(sorted(unknown))}")
    return [name for name in SCHEMAS if name in chosen]
