"""Findings as one HTML file that needs nothing else: no script, no font, no image, no network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

import polars as pl

from arrow_labels.checks import RULES

_SHOWN: Final = 500
"""Findings of a rule that the report lists."""
_COLUMNS: Final = (
    "sample_id",
    "labelset",
    "sensor_index",
    "frame_index",
    "annotation_index",
    "track_id",
    "message",
    "value",
)
_NUMBERS: Final = {"sensor_index", "frame_index", "annotation_index", "track_id"}
_LONGEST: Final = 300
_STYLE: Final = """
:root { color-scheme: light dark; --line: #d8dce3; --soft: #f4f6f9; --text: #1b212b; --back: #fff; --dim: #5b6675;
  --error: #c0262d; --warning: #a15c00; --bar: #c9d3e2; }
@media (prefers-color-scheme: dark) { :root { --line: #343b47; --soft: #1e242d; --text: #e5e9ef; --back: #14181e;
  --dim: #9aa5b4; --error: #ff7b7b; --warning: #f0b45c; --bar: #3a4658; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 84rem; padding: 2rem 1.5rem 4rem; background: var(--back); color: var(--text);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0; overflow-wrap: anywhere; }
.counts { display: flex; gap: 1rem; margin: 1.25rem 0 1.75rem; flex-wrap: wrap; }
.counts div { background: var(--soft); border: 1px solid var(--line); border-radius: .6rem; padding: .6rem 1.1rem; }
.counts b { display: block; font-size: 1.6rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
.error { color: var(--error); } .warning { color: var(--warning); } .dim { color: var(--dim); }
details { border: 1px solid var(--line); border-radius: .6rem; margin: .6rem 0; overflow: hidden; }
summary { display: grid; grid-template-columns: 14rem 5.5rem 5rem 1fr; gap: 1rem; align-items: baseline;
  padding: .6rem 1rem; cursor: pointer; background: var(--soft); }
summary code { font-weight: 600; overflow-wrap: anywhere; }
summary .number { text-align: right; font-variant-numeric: tabular-nums; font-weight: 600; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 13px; }
th, td { text-align: left; padding: .35rem .7rem; border-top: 1px solid var(--line); vertical-align: top; }
th { color: var(--dim); font-weight: 500; white-space: nowrap; }
td { overflow-wrap: anywhere; } td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
td.sample_id { min-width: 19rem; }
td.labelset { min-width: 9.5rem; } td.message { min-width: 20rem; } td.value { font-family: ui-monospace, monospace; }
.more { padding: .5rem 1rem; margin: 0; border-top: 1px solid var(--line); }
@media (max-width: 50rem) { summary { grid-template-columns: 1fr auto auto; } summary .finds { grid-column: 1 / -1; } }
"""


def html_report(findings: pl.DataFrame, title: str) -> str:
    """A report of findings as one HTML page.

    Parameters
    ----------
    findings : pl.DataFrame
        What `check_labels` gives.
    title : str
        What was checked.

    Returns
    -------
    str
        The page: how many findings, and for each rule the first 500. All text out of labels is escaped, and what does
        not print is written as an escape sequence.

    Examples
    --------
    >>> import arrow_labels as al
    >>> from arrow_labels.report import html_report
    >>> page = html_report(al.check_labels(al.LabelTables()), "<no> labels")
    >>> "<h1>&lt;no&gt; labels</h1>" in page, "No findings" in page
    (True, True)
    """
    count = dict(findings.group_by("severity").len().rows())
    errors, warnings = count.get("error", 0), count.get("warning", 0)
    rules = findings.group_by("rule", "severity", maintain_order=True).len().sort("severity", maintain_order=True)
    sections = "".join(
        _section(rule, severity, number, findings.filter(pl.col("rule") == rule))
        for rule, severity, number in rules.rows()
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title)} - label check</title>\n<style>{_STYLE}</style></head><body>\n"
        f"<h1>{_text(title)}</h1>\n"
        f'<div class="counts"><div><b class="error">{errors:,}</b>errors</div>'
        f'<div><b class="warning">{warnings:,}</b>warnings</div>'
        f"<div><b>{findings['sample_id'].drop_nulls().n_unique():,}</b>samples with findings</div>"
        f"<div><b>{len(rules):,}</b>rules broken</div></div>\n"
        f"{sections or '<p>No findings.</p>'}\n</body></html>\n"
    )


def _section(rule: str, severity: str, number: int, rows: pl.DataFrame) -> str:
    """What broke one rule."""
    columns = [name for name in _COLUMNS if rows[name].null_count() < len(rows)]
    head = "".join(f'<th class="{_class(name)}">{name.replace("_", " ")}</th>' for name in columns)
    shown = rows.select(columns).head(_SHOWN)
    body = "".join(f"<tr>{_cells(columns, row)}</tr>" for row in shown.iter_rows())
    more = f'<p class="more dim">The first {_SHOWN:,} of {number:,}.</p>' if number > _SHOWN else ""
    finds = RULES[rule].finds if rule in RULES else ""
    return (
        f'<details><summary><code>{_text(rule)}</code><span class="{_text(severity)}">{_text(severity)}</span>'
        f'<span class="number">{number:,}</span><span class="finds dim">{_text(finds)}</span></summary>'
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
        f"{more}</details>\n"
    )


def _cells(columns: Sequence[str], row: Iterable[object]) -> str:
    return "".join(f'<td class="{_class(name)}">{_text(value)}</td>' for name, value in zip(columns, row, strict=True))


def _class(name: str) -> str:
    return "number" if name in _NUMBERS else name


def _text(value: object) -> str:
    """Text as HTML; characters that do not print, such as those that turn the direction of writing, as escapes."""
    if value is None:
        return ""
    text = str(value)
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    return escape("".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text))
