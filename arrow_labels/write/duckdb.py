"""A SQL script that shows a folder of Parquet files to DuckDB as views."""

from __future__ import annotations

import os
from typing import Any

from arrow_labels.redaction import hides_options
from arrow_labels.schema import DESCRIPTIONS, ROWS, SCHEMAS
from arrow_labels.write.folder import complete, open_folder


@hides_options
def duckdb_views(target: str | os.PathLike[str], *, storage_options: dict[str, Any] | None = None) -> str:
    """SQL that makes a view of each table in a folder that `write_parquet` wrote, for DuckDB.

    The views have comments: what a row is and what each column means. They name the files that the folder has now, so
    make them anew after each write.

    Parameters
    ----------
    target : str or path
        Folder: a path or any fsspec URL. DuckDB itself reads the files at paths, and at s3, gs, az and http URLs.
    storage_options : dict, optional
        Options of the fsspec file system, with which the folder is looked at here.

    Returns
    -------
    str
        ``CREATE OR REPLACE VIEW`` and ``COMMENT ON`` statements, which may be run again and again.

    Raises
    ------
    TargetError
        There is no such folder, or it is not complete.
    SchemaError
        A newer version of this library wrote it.

    Examples
    --------
    >>> import tempfile
    >>> import duckdb
    >>> import arrow_labels as al
    >>> with tempfile.TemporaryDirectory() as folder, duckdb.connect() as connection:
    ...     al.write_parquet(al.decode_labels([{"annotations": [{"id": 1, "category_id": 7}]}]), folder)
    ...     _ = connection.execute(al.duckdb_views(folder))
    ...     connection.execute("SELECT id, category_id FROM segments").fetchall()
    [(1, 7)]
    """
    folder = open_folder(target, storage_options)
    manifest = complete(folder)
    lines = []
    for name, schema in SCHEMAS.items():
        paths = [f"{folder.path}/{part.file}" for part in manifest.tables[name]]
        if "://" in folder.url:
            paths = [folder.fs.unstrip_protocol(path) for path in paths]
        view = _identifier(name)
        files = ", ".join(map(_text, paths))
        lines.append(f"CREATE OR REPLACE VIEW {view} AS SELECT * FROM read_parquet([{files}]);")
        lines.append(f"COMMENT ON VIEW {view} IS {_text(f'One row: {ROWS[name]}.')};")
        lines += [
            f"COMMENT ON COLUMN {view}.{_identifier(column)} IS {_text(DESCRIPTIONS[name][column])};"
            for column in schema.names
        ]
    return "\n".join(lines) + "\n"


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
