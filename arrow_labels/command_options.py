"""Options that several commands have, and what is given for them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Annotated, Any, Final

import typer

from arrow_labels.command_messages import print_log

_STDIN: Final = "/dev/stdin"
STDOUT: Final = "/dev/stdout"


def given_sources(sources: list[str]) -> list[str]:
    """Sources, `-` as the standard input that it means."""
    return [_STDIN if source == "-" else source for source in sources]


def given_target(target: str) -> str:
    """A target, `-` as the standard output that it means."""
    return STDOUT if target == "-" else target


def pairs(option: str, given: Iterable[str] | None) -> dict[str, Any] | None:
    """What is given as KEY=VALUE, again and again."""
    options: dict[str, Any] = {}
    for item in given or ():
        key, equals, value = item.partition("=")
        if not key or not equals:
            raise typer.BadParameter(f"{option}: expected KEY=VALUE, got no `=`")  # The text may be a secret.
        try:
            options[key] = json.loads(value)
        except ValueError:
            options[key] = value
    return options or None


StorageOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--storage-option",
        metavar="KEY=VALUE",
        help="Option of the fsspec file systems; may be given again. The value is JSON if it can be read as such "
        '(true, 5, {"a": 1}), else text.',
    ),
]
LakeOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--lake-option",
        metavar="KEY=VALUE",
        help="Option of the store of Delta tables, as deltalake takes it, or property of the Iceberg catalog, as "
        "pyiceberg takes it; may be given again.",
    ),
]
Labelsets = Annotated[
    list[str] | None,
    typer.Option("--labelset", metavar="NAME", help="Only labels of this labelset; may be given again."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing unless something goes wrong.")]
Verbose = Annotated[
    bool,
    typer.Option(
        "--verbose",
        "-v",
        help="Say on standard error what is read, retried and written, with times and sizes.",
        callback=print_log,
    ),
]
SourcesOrTables = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE",
        help="Files, folders, globs or URLs of label JSON, - for standard input, or a folder that `convert` wrote.",
        show_default=False,
        callback=given_sources,
    ),
]
Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE",
        help="Files, folders, globs or URLs of label JSON; - is standard input.",
        show_default=False,
        callback=given_sources,
    ),
]
