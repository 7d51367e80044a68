"""What `arrow-labels convert` does."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

import arrow_labels as al
from arrow_labels.command_messages import end, progress_bar, reported
from arrow_labels.command_options import (
    Labelsets,
    LakeOptions,
    Quiet,
    Sources,
    StorageOptions,
    Verbose,
    pairs,
)
from arrow_labels.decode import OnError, TimestampUnit
from arrow_labels.formats import Format, check_options, convert_to
from arrow_labels.terminal import print_table
from arrow_labels.write.lakehouse import LakeMode
from arrow_labels.write.parquet import Removed
from arrow_labels.write.stored import read_parquet

Compression = Literal["zstd", "snappy", "gzip", "brotli", "lz4", "none"]


def convert(
    sources: Sources,
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET", help="Folder or URL to write; CATALOG.NAMESPACE for Iceberg.", show_default=False
        ),
    ],
    to: Annotated[Format, typer.Option("--to", help="Format of the tables.")] = "parquet",
    mode: Annotated[
        LakeMode, typer.Option(help="What to do if TARGET has tables; upsert replaces all rows of labels in SOURCE.")
    ] = "error",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the tables in TARGET.")] = False,
    partition_by: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="Divide new Delta tables by it; may be given again.")
    ] = None,
    incremental: Annotated[
        bool,
        typer.Option("--incremental", help="Bring TARGET up to date: decode only labels that are new or changed."),
    ] = False,
    removed: Annotated[
        Removed,
        typer.Option(help="With --incremental: what becomes of labels that are not in SOURCE any more."),
    ] = "delete",
    task_type: Annotated[
        str | None, typer.Option(metavar="TYPE", help="Task type that wins over the documents'.", show_default=False)
    ] = None,
    timestamp_unit: Annotated[TimestampUnit, typer.Option(help="What the documents' timestamps count in.")] = "ns",
    labelset: Labelsets = None,
    table: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only this table; may be given again. The others stay empty."),
    ] = None,
    on_error: Annotated[
        OnError,
        typer.Option(help="Stop at the first label that fails, or keep each as a row of `rejects` and go on."),
    ] = "raise",
    masks: Annotated[
        bool, typer.Option("--masks", help="Fetch the bitmaps of frames: area, box and mask of each segment.")
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Processes that decode; default: as many as there are cores.",
            show_default=False,
        ),
    ] = None,
    compression: Annotated[Compression, typer.Option(help="Codec of the Parquet files.")] = "zstd",
    storage_option: StorageOptions = None,
    lake_option: LakeOptions = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Turn label JSON into Parquet, Delta, Iceberg or Lance tables.

    Reads and writes a batch at a time, in bounded memory. TARGET appears when it is complete; what was made goes to
    standard output. With --incremental, TARGET becomes what reading all of SOURCE gives, and is not touched if it is
    that already; how many labels are new, changed, removed and unchanged goes to standard output.
    """
    options = pairs("--storage-option", storage_option)
    tables = table or None
    not_with_it = {"--mode": mode != "error", "--overwrite": overwrite, "--table": table, "--workers": workers}
    if incremental and (given := [name for name, value in not_with_it.items() if value]):
        raise typer.BadParameter(f"--incremental: expected it without {given[0]}")
    if incremental and to != "parquet":
        raise typer.BadParameter(f"--incremental: expected it with --to parquet only, got {to}")
    if target == "-":
        raise typer.BadParameter("TARGET: expected a folder or URL, got -: tables are several files")
    if removed != "delete" and not incremental:
        raise typer.BadParameter("--removed: expected it with --incremental only")
    try:
        # Checks the options as reading and writing do, before there is anything to undo.
        al.decode_labels((), task_type=task_type, tables=tables)
        check_options(to, mode, overwrite, compression, partition_by or (), tables, lake_option)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    with reported():
        with progress_bar("convert", quiet) as (progress, count):
            reading: dict[str, Any] = {
                "compression": compression,
                "task_type": task_type,
                "timestamp_unit": timestamp_unit,
                "labelsets": labelset or None,
                "storage_options": options,
                "on_error": on_error,
                "masks": masks,
                "mask_options": {"progress": count} if masks and count else None,
                "progress": progress,
            }
            if incremental:
                shown = al.update_parquet(sources, target, removed=removed, **reading)
                rejects = read_parquet(target, tables=["rejects"], storage_options=options).rejects.num_rows
            else:
                shown = convert_to(
                    to,
                    sources,
                    target,
                    mode="overwrite" if overwrite else mode,
                    partition_by=partition_by or (),
                    lake_options=pairs("--lake-option", lake_option),
                    workers=workers,
                    tables=tables,
                    **reading,
                )
                rejects = shown["rejects"]
        if not quiet:
            print_table(None, ["labels", "number"] if incremental else ["table", "rows"], list(shown.items()))
        end(rejects, "table `rejects` says which and why")
