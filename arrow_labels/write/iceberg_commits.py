"""Commits to Iceberg tables: files become part of a table, and the rows that they replace go, at once."""

from __future__ import annotations

import warnings
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import pyarrow as pa

from arrow_labels.write.iceberg_tables import is_conflict
from arrow_labels.write.lakehouse import LakeMode, attempts

if TYPE_CHECKING:
    from pyiceberg.expressions import BooleanExpression
    from pyiceberg.table import Table

_FILTERS: Final = Lock()
"""Held while filters of warnings are others: they are those of the whole process."""


def commit(table: Table, paths: list[str], mode: LakeMode, keys: pa.Table | None, summary: dict[str, str]) -> None:
    """Make files part of a table, and take away what they replace."""
    from pyiceberg.expressions import AlwaysTrue
    from pyiceberg.io.pyarrow import parquet_files_to_data_files

    replaced = AlwaysTrue() if mode == "overwrite" else _matching(keys) if keys is not None else None
    for attempt in attempts(is_conflict):
        with attempt:
            if attempt.retry_state.attempt_number > 1:
                table.refresh()
            # In memory only: pyiceberg itself would add the files again without a look at what others have added.
            table.metadata.properties["commit.retry.num-retries"] = "0"
            with table.transaction() as transaction:
                if replaced is not None and table.current_snapshot() is not None:
                    with _FILTERS, warnings.catch_warnings():
                        warnings.filterwarnings("ignore", message="Delete operation did not match any records")
                        transaction.delete(replaced, snapshot_properties=summary)
                if paths:
                    # As `add_files` does, without a name mapping, which files with field ids do not need.
                    with transaction.update_snapshot(snapshot_properties=summary).fast_append() as append:
                        for file in parquet_files_to_data_files(table.io, table.metadata, iter(paths)):
                            append.append_data_file(file)


def _matching(keys: pa.Table) -> BooleanExpression:
    """Whether a row has one of these keys, of one column or two."""
    import pyiceberg.expressions

    # Its signatures are those of pydantic, which type checkers take for others.
    where: Any = pyiceberg.expressions
    nothing = where.AlwaysFalse()

    def is_in(column: str, values: pl.Series) -> BooleanExpression:
        found: BooleanExpression = where.Or(
            where.In(column, values.drop_nulls().to_list()), where.IsNull(column) if values.null_count() else nothing
        )
        return found

    first, *rest = keys.column_names
    frame = pl.DataFrame(pl.from_arrow(keys))
    # One condition for each labelset, of which there are few.
    groups = frame.partition_by(rest, as_dict=True) if rest else {(): frame}
    found = [
        where.And(where.AlwaysTrue(), is_in(first, group[first]), *(is_in(name, group[name].unique()) for name in rest))
        for group in groups.values()
    ]
    expression: BooleanExpression = where.Or(nothing, nothing, *found)
    return expression
