"""The command line: calls public functions, and prints what they give.

Results go to standard output and everything else to standard error; tables are drawn on a terminal and are plain text
elsewhere. Exit status: 0 done; 1 errors in labels, rejects, or an input or target that fails; 2 wrong use; 130
interrupted, 143 told to end.
"""

from __future__ import annotations

import sys
from collections import Counter
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Final, Literal

import typer

import arrow_labels as al
from arrow_labels.check_command import CheckFormat, findings_of, print_findings, tables_of
from arrow_labels.checks import RULES
from arrow_labels.command_messages import end, progress_bar, reported
from arrow_labels.command_options import (
    STDOUT,
    Labelsets,
    LakeOptions,
    Quiet,
    SourcesOrTables,
    StorageOptions,
    Verbose,
    given_target,
    pairs,
)
from arrow_labels.convert_command import convert
from arrow_labels.formats import Format as TablesFormat
from arrow_labels.formats import counted, iter_tables, parts_at
from arrow_labels.inspection import inspect_labels, inspect_parts
from arrow_labels.schema import DESCRIPTIONS, KEYS, ROWS
from arrow_labels.sources import file_system, is_stream
from arrow_labels.terminal import print_json, print_table, print_text

Format = Literal["table", "json"]

_TITLES: Final = {
    "summary": "Summary",
    "datasets": "Datasets",
    "labels": "Labels",
    "sensors": "Sensors",
    "frames": "Frames",
    "annotations": "Annotations",
    "attributes": "Attributes",
    "unused": "Defined, never used",
    "undefined": "Used, never defined",
    "rejects": "Rejects",
}
_SHOWN_REJECTS: Final = 20
app = typer.Typer(
    help="Computer-vision labels as tables, and back to the very same JSON.",
    epilog="Exit status: 0 done; 1 errors in labels, rejects, or an input or target that fails; 2 wrong use.",
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    # Typer draws boxes around help and errors, also into a pipe; without markup it gives plain text.
    rich_markup_mode=None,
)


def main() -> None:
    """Run the command line; the entry point of ``arrow-labels``."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # Names need not fit the encoding of a terminal.
    app(prog_name="arrow-labels")


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_version, is_eager=True),
    ] = False,
) -> None:
    pass


def _version(asked: bool) -> None:
    if asked:
        with reported():
            print_text(f"arrow-labels {al.__version__}")
        raise typer.Exit


app.command(epilog="Example: arrow-labels convert release.json tables/")(convert)


@app.command(epilog="Example: arrow-labels restore tables/ release.json")
def restore(
    tables: Annotated[
        str, typer.Argument(metavar="TABLES", help="What `convert` wrote, as its TARGET.", show_default=False)
    ],
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET",
            help="File or URL to write; .gz, .zst, .bz2 and .xz compress; - is standard output.",
            show_default=False,
            callback=given_target,
        ),
    ],
    dataset: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which release, if there are several.", show_default=False)
    ] = None,
    of: Annotated[
        TablesFormat | None,
        typer.Option("--from", help="Format of the tables; default: what is found there.", show_default=False),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace TARGET.")] = False,
    storage_option: StorageOptions = None,
    lake_option: LakeOptions = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Turn tables back into release JSON."""
    options = pairs("--storage-option", storage_option)
    with reported():
        fs, path = file_system(target, options)
        if fs.isdir(path):
            raise al.TargetError(f"Expected a file to write, got a folder - at {target}")
        if not overwrite and fs.isfile(path) and not is_stream(Path(path)):
            raise al.TargetError(f"Expected nothing, got something - at {target}: --overwrite replaces it")
        parts = iter_tables(tables, of, storage_options=options, lake_options=pairs("--lake-option", lake_option))
        rows = Counter(dict.fromkeys(al.SCHEMAS, 0))
        al.write_release(counted(parts, rows), target, dataset=dataset, storage_options=options)
        if not quiet and target != STDOUT:
            print_table(None, ["table", "rows"], list(rows.items()))
        end(rows["rejects"], "they are in the tables only")


@app.command(epilog="Example: arrow-labels inspect release.json --format json")
def inspect(
    sources: SourcesOrTables,
    labelset: Labelsets = None,
    output: Annotated[Format, typer.Option("--format", help="How to print.")] = "table",
    storage_option: StorageOptions = None,
    verbose: Verbose = False,
) -> None:
    """Count what is in label JSON or tables.

    Samples, labels, sensors, frames, annotations, tracks and attributes; what is defined and not used, or used and not
    defined; and rejects.
    """
    options = pairs("--storage-option", storage_option)
    with reported():
        with progress_bar("inspect", quiet=False) as (progress, _):
            labelsets = labelset or None
            stored = parts_at(sources, labelsets, options)
            if stored is not None:
                found = inspect_parts(stored)
            else:
                found = inspect_labels(sources, labelsets=labelsets, storage_options=options, progress=progress)
        if output == "json":
            summary = dict(found["summary"].rows())
            print_json({name: summary if name == "summary" else rows.to_dicts() for name, rows in found.items()})
        else:
            for name, title in _TITLES.items():
                shown = found[name]
                if name == "rejects" and shown.height > _SHOWN_REJECTS:
                    title += f" (the first {_SHOWN_REJECTS} of {shown.height})"
                    shown = shown.head(_SHOWN_REJECTS)
                if shown.height:
                    print_table(title, shown.columns, shown.rows())
        end(found["rejects"].height)


@app.command(epilog="Example: arrow-labels check release.json --format html > report.html")
def check(
    sources: SourcesOrTables,
    rules: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only this rule, or several with commas; may be given again."),
    ] = None,
    labelset: Labelsets = None,
    masks: Annotated[
        bool, typer.Option("--masks", help="Fetch the bitmaps of frames, for the rules about pixels.")
    ] = False,
    output: Annotated[CheckFormat, typer.Option("--format", help="How to print.")] = "table",
    storage_option: StorageOptions = None,
    verbose: Verbose = False,
) -> None:
    """Say what is wrong in labels.

    Exit status 1 if there are errors, or records that cannot be read; warnings alone are 0. The README lists the rules.
    """
    options = pairs("--storage-option", storage_option)
    chosen = [name.strip() for given in rules or () for name in given.split(",")]
    if unknown := [name for name in chosen if name not in RULES]:
        raise typer.BadParameter(f"--rules: expected names out of {', '.join(RULES)}, got {unknown[0]!r}")
    with reported():
        with progress_bar("check", quiet=False) as (progress, _):
            tables = tables_of(
                sources, labelsets=labelset or None, masks=masks, storage_options=options, progress=progress
            )
        found = findings_of(tables, chosen or None)
        print_findings(found, output, sources)
        if "error" in found["severity"]:
            raise typer.Exit(1)


@app.command(epilog="Example: arrow-labels schema cuboids")
def schema(
    table: Annotated[str | None, typer.Argument(metavar="TABLE", help="Only this table.", show_default=False)] = None,
    output: Annotated[Format, typer.Option("--format", help="How to print.")] = "table",
) -> None:
    """Print columns, types and meanings."""
    if table is not None and table not in al.SCHEMAS:
        raise typer.BadParameter(f"table: expected one of {', '.join(al.SCHEMAS)}, got {table!r}")
    columns = {
        name: [
            {
                "column": field.name,
                "type": str(field.type),
                "key": field.name in KEYS.get(name, ()),
                "description": DESCRIPTIONS[name][field.name],
            }
            for field in al.SCHEMAS[name]
        ]
        for name in ([table] if table else al.SCHEMAS)
    }
    with reported():
        if output == "json":
            print_json({name: {"row": ROWS[name], "columns": found} for name, found in columns.items()})
            return
        for name, found in columns.items():
            rows = [(column["column"], column["type"], column["description"]) for column in found]
            print_table(f"{name}: one row is {ROWS[name]}", ["column", "type", "description"], rows)


if __name__ == "__main__":
    main()
