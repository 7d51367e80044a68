"""Printing for people on a terminal, and plain text for everything else."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text


def print_table(title: str | None, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows, drawn on a terminal, and as columns of plain text elsewhere."""
    numeric = [all(isinstance(row[place], int) for row in rows) for place in range(len(header))]
    if is_terminal(sys.stdout):
        drawn = Table(title=None if title is None else Text(title), title_justify="left")
        for name, right in zip(header, numeric, strict=True):
            drawn.add_column(name, justify="right" if right else "left", overflow="fold")
        for row in rows:
            drawn.add_row(*(Text(f"{value:,}" if isinstance(value, int) else _cell(value)) for value in row))
        Console().print(drawn)
        return
    lines = [header, *([_cell(value) for value in row] for row in rows)]
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    text = "" if title is None else f"{title}\n"
    for line in lines:
        blanks = [" " * (width - cell_len(cell)) for cell, width in zip(line, widths, strict=True)]
        cells = [
            blank + cell if right else cell + blank for cell, blank, right in zip(line, blanks, numeric, strict=True)
        ]
        text += "  ".join(cells).rstrip() + "\n"
    print_text(text if title is not None else text.rstrip("\n"))


def print_json(value: Any) -> None:
    """Print indented JSON."""
    print_text(json.dumps(value, ensure_ascii=False, indent=2))


def print_text(text: str) -> None:
    """Print, and go on in silence when nobody reads any more."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # The interpreter flushes standard output once more when it exits.
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())


def _cell(value: object) -> str:
    return "-" if value is None else printable(str(value))


def printable(text: str) -> str:
    """Text without what would move a terminal's cursor: line breaks and escape sequences in names."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def is_terminal(stream: TextIO | None) -> bool:
    """Whether somebody watches a stream."""
    return stream is not None and stream.isatty()
