"""The options of the Spark data source: texts, as Spark has them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from arrow_labels.engines.arrivals import MAX_FILE_AGE
from arrow_labels.partitions import checked
from arrow_labels.pieces import PIECE_BYTES, Options
from arrow_labels.schema import SCHEMAS

NAMES: Final = (
    *("path", "paths", "table", "task_type", "timestamp_unit", "labelsets", "storage_options", "on_error"),
    *("masks", "mask_options", "part_bytes", "max_file_age"),
)
"""The options of the data source."""


class Settings(NamedTuple):
    """The options of the data source, parsed."""

    paths: list[str]
    table: str
    options: Options
    storage_options: dict[str, Any] | None
    mask_options: dict[str, Any] | None
    part_bytes: int
    max_file_age: int


def parse(given: Mapping[str, str]) -> Settings:
    """The options of the data source.

    Raises
    ------
    ValueError
        An option that there is not, or a value that it cannot have.
    """
    unknown = sorted(set(given) - set(NAMES))
    if unknown:
        raise ValueError(f"options: expected some of {', '.join(NAMES)}, got {', '.join(unknown)}")
    if "table" not in given:
        raise ValueError(f'table: expected .option("table", ...) with one of {", ".join(SCHEMAS)}, got none')
    paths = _json(given, "paths", list) or ([given["path"]] if "path" in given else [])
    if not paths:
        raise ValueError("path: expected .load(path) with a path or URL, got none")
    labelsets = frozenset(given["labelsets"].split(",")) if "labelsets" in given else None
    options = Options(
        given.get("task_type"),
        given.get("timestamp_unit", "ns"),  # type: ignore[arg-type]  # `checked` looks at them
        labelsets,
        given.get("on_error", "raise"),  # type: ignore[arg-type]
    )
    checked(given["table"], None, options)
    storage_options = _json(given, "storage_options", dict)
    masks = given.get("masks", "false").lower()
    if masks not in ("true", "false"):
        raise ValueError(f'masks: expected "true" or "false", got {given["masks"]!r}')
    mask_options = _json(given, "mask_options", dict)
    if mask_options and masks == "false":
        raise ValueError("mask_options: expected them with masks=true only")
    if masks == "true":
        mask_options = {"storage_options": storage_options, "on_error": options.on_error, **(mask_options or {})}
    return Settings(
        paths,
        given["table"],
        options,
        storage_options,
        mask_options,
        _number(given, "part_bytes", PIECE_BYTES),
        _number(given, "max_file_age", MAX_FILE_AGE),
    )


def _json(given: Mapping[str, str], name: str, kind: type) -> Any:
    if name not in given:
        return None
    try:
        value = json.loads(given[name])
    except ValueError as error:
        raise ValueError(f"{name}: expected JSON, got {given[name]!r} ({error})") from None
    if not isinstance(value, kind):
        raise ValueError(f"{name}: expected a JSON {'array' if kind is list else 'object'}, got {given[name]!r}")
    return value


def _number(given: Mapping[str, str], name: str, default: int) -> int:
    text = given.get(name, str(default))
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{name}: expected a positive number, got {text!r}")
    return int(text)
