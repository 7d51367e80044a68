"""What `arrow-labels check` does: read labels or tables, check them, and say what was found."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final, Literal

import polars as pl

from arrow_labels.checks import check_labels
from arrow_labels.checks.found import worded
from arrow_labels.formats import parts_at
from arrow_labels.masks import read_masks
from arrow_labels.read import iter_labels
from arrow_labels.redaction import shown
from arrow_labels.report import html_report
from arrow_labels.tables import LabelTables
from arrow_labels.terminal import print_json, print_table, print_text
from arrow_labels.workers import Progress

CheckFormat = Literal["table", "json", "csv", "html"]
_SHOWN: Final = 100
"""Findings that a table for people lists."""


def tables_of(
    sources: Sequence[str],
    *,
    labelsets: Collection[str] | None,
    masks: bool,
    storage_options: dict[str, Any] | None,
    progress: Progress | None,
) -> LabelTables:
    """Labels of files, or the tables of a folder that `convert` wrote."""
    stored = parts_at(sources, labelsets, storage_options)
    if stored is not None:
        tables = LabelTables.concat(stored)
        return read_masks(tables, storage_options=storage_options, on_error="collect") if masks else tables
    parts = iter_labels(
        list(sources),
        labelsets=labelsets,
        masks=masks,
        storage_options=storage_options,
        on_error="collect",
        progress=progress,
    )
    return LabelTables.concat(parts)


def findings_of(tables: LabelTables, rules: Collection[str] | None) -> pl.DataFrame:
    """What is wrong, with the records that could not be read as errors of the rule `reject`."""
    rejects = pl.DataFrame(pl.from_arrow(tables.rejects)).select(
        pl.lit("reject").alias("rule"),
        pl.lit("error").alias("severity"),
        "sample_id",
        "labelset",
        worded("{} - at `{}` in {}", *(pl.col(name).fill_null("-") for name in ("error", "path", "source"))).alias(
            "message"
        ),
    )
    found = check_labels(tables, rules=rules)
    return pl.concat([found.clear(), rejects, found], how="diagonal")


def print_findings(findings: pl.DataFrame, output: CheckFormat, sources: Sequence[str]) -> None:
    """Print findings: a table for people, or everything as JSON, CSV or HTML."""
    if output == "html":
        print_text(html_report(findings, ", ".join(map(shown, sources))))
    elif output == "json":
        print_json(findings.to_dicts())
    elif output == "csv":
        print_text(findings.write_csv().rstrip("\n"))
    elif findings.height:
        counts = findings.group_by("severity", "rule", maintain_order=True).len("count")
        print_table("Rules", counts.columns, counts.sort("severity", maintain_order=True).rows())
        title = "Findings" if findings.height <= _SHOWN else f"Findings (the first {_SHOWN} of {findings.height:,})"
        print_table(title, findings.columns, findings.head(_SHOWN).rows())
    else:
        print_text("No findings.")
