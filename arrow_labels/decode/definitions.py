"""A release without its samples -> rows of datasets, categories and attribute_specs."""

from __future__ import annotations

import math
import re
import secrets
from typing import Any, Final, NamedTuple

from arrow_labels.annotation import ABSENT
from arrow_labels.decode.careful import FAILURES, extra_text, is_null, parse, problem, split
from arrow_labels.decode.rows import Rows
from arrow_labels.decode.values import parse_time, time_text
from arrow_labels.errors import DecodeError
from arrow_labels.wire import (
    Category,
    Dataset,
    Release,
    Specification,
    decode_category,
    decode_dataset,
    decode_json,
    decode_raws,
    decode_release,
    decode_specification,
    encode_json,
    json_text,
)

_HEAD: Final = 16 << 20
_TAIL: Final = 1 << 16
_SAMPLES: Final = re.compile(rb'"samples"\s*:\s*\[')
_FIRST: Final = re.compile(rb'\s*(\{\s*"[^"\\]{1,100}"\s*:)')
"""How the first sample begins."""


class ParsedRelease(NamedTuple):
    """A release whose samples are split but not decoded, and what it says besides them and its JSON columns."""

    release: Release
    top: dict[str, Any]
    inner: dict[str, Any] | None


def parse_release(raw: bytes | memoryview) -> ParsedRelease:
    """A release, in one pass if it has only known members.

    Raises
    ------
    DecodeError
        Not a release.
    """
    try:
        return strict_release(decode_release(raw))
    except FAILURES:
        return _parse_release(raw)


class Around(NamedTuple):
    """A release around its samples: its text there, what it and its dataset say, and where samples begin and end.

    `between` finds the end of a sample by how the first one begins: a guess.
    """

    head: bytes
    parsed: ParsedRelease
    dataset: Dataset
    begin: int
    end: int
    between: re.Pattern[bytes]


def around_samples(data: bytes | memoryview) -> Around | None:
    """What stands around the samples of a release, found without a look at them; None where that is not found.

    That the samples stand there is proved by another value in their place. What stands between is to be proved yet.
    """
    found = _SAMPLES.search(data, 0, min(len(data), _HEAD))
    tail = bytes(data[-_TAIL:])
    end = len(data) - len(tail) + tail.rfind(b"]")
    if found is None or end < found.end() or end < len(data) - len(tail):
        return None
    begin = found.end()
    before, after = bytes(data[:begin]).removeprefix(b"\xef\xbb\xbf"), bytes(data[end:])
    mark = b'"%s"' % secrets.token_hex(16).encode()
    try:
        parsed = parse_release(before + mark + after)
    except FAILURES:
        return None
    dataset = parsed.release.dataset
    first = _FIRST.match(data, begin)
    if dataset is None or [bytes(raw) for raw in dataset.samples or ()] != [mark] or first is None:
        return None
    between = re.compile(rb"\}(\s*),\s*" + re.escape(bytes(data[first.start(1) : first.end(1)])))
    return Around(before + after, parsed, dataset, begin, end, between)


def strict_release(release: Release) -> ParsedRelease:
    """A release that the strict Structs took."""
    top = {name: getattr(release, name) for name in ("name", "description", "created_at")}
    dataset = release.dataset
    if dataset is None:
        return ParsedRelease(release, top, None)
    samples: list[Any] | None = None if dataset.samples is None else []
    inner: dict[str, Any] = {"name": dataset.name, "task_type": dataset.task_type, "samples": samples}
    return ParsedRelease(release, top, inner)


def _parse_release(raw: bytes | memoryview) -> ParsedRelease:
    """A release with unknown members, part by part."""
    taken, rest = split(raw, "dataset")
    release, top = parse(rest, decode_release, Release)
    dataset_raw = taken.get("dataset", ABSENT)
    if not dataset_raw or is_null(dataset_raw):
        return ParsedRelease(release, top, None)
    large, rest = split(dataset_raw, "samples", "task_attributes", "labelsets", prefix="$.dataset")
    dataset, inner = parse(rest, decode_dataset, Dataset, "$.dataset")
    dataset.task_attributes = large.get("task_attributes", ABSENT)
    dataset.labelsets = large.get("labelsets", ABSENT)
    samples_raw = large.get("samples", ABSENT)
    if samples_raw and not is_null(samples_raw):
        try:
            dataset.samples = decode_raws(samples_raw)
        except FAILURES as error:
            raise problem(error, "$.dataset.samples") from None
        inner["samples"] = []
    release.dataset = dataset
    return ParsedRelease(release, top, inner)


def add_release(out: Rows, source: str | None, parsed: ParsedRelease, task_type: str | None) -> None:
    """Append the rows of a release, and name its categories.

    Raises
    ------
    DecodeError
        The definitions of categories or attributes are not what they must be; the row of the release is there.
    """
    release = parsed.release
    dataset = release.dataset or Dataset()
    stated = task_type or dataset.task_type
    created_at = parse_time(release.created_at)
    columns, errors = {}, []
    for name in ("task_attributes", "labelsets"):
        columns[name] = raw = getattr(dataset, name)
        try:
            bytes(raw).decode()
        except UnicodeDecodeError as error:
            columns[name] = ABSENT
            errors.append(problem(error, f"$.dataset.{name}"))
    canonical: dict[str, Any] = {
        "name": release.name,
        "description": release.description,
        "created_at": None if created_at is None else time_text(created_at),
        "dataset": {"name": dataset.name, "task_type": stated, "samples": []},
    }
    out.rows["datasets"].append(
        (
            source,
            release.name,
            release.description,
            created_at,
            dataset.name,
            stated,
            *columns.values(),
            extra_text(canonical, {**parsed.top, "dataset": parsed.inner}),
        )
    )
    if errors:
        raise errors[0]
    if dataset.task_attributes:
        try:
            add_task_attributes(out, dataset.name, decode_json(dataset.task_attributes))
        except DecodeError:
            raise
        except FAILURES as error:
            raise problem(error, "$.dataset.task_attributes") from None


def add_task_attributes(out: Rows, dataset: str | None, task_attributes: Any) -> None:
    """Append the rows of categories and attribute definitions, and name the categories."""
    path = "$.dataset.task_attributes"
    if task_attributes is None or task_attributes == []:
        return
    if not isinstance(task_attributes, dict):
        raise DecodeError(f"Expected `object`, got `{type(task_attributes).__name__}`", path=path)
    for place, value in enumerate(_array(task_attributes, "categories", path)):
        where = f"{path}.categories[{place}]"
        out.relieve("categories")
        out.repeat(1, dataset)
        category, document = parse(encode_json(value), decode_category, Category, where)
        document = {k: v for k, v in document.items() if not v or k not in ("attributes", "link_attributes")}
        canonical = {name: getattr(category, name) for name in ("id", "name", "color", "has_instances")}
        out.rows["categories"].append(
            (
                dataset,
                category.id,
                category.name,
                category.color,
                category.has_instances,
                extra_text(canonical, document),
            )
        )
        out.categories[category.id] = category.name
        for scope, key in (("object", "attributes"), ("link", "link_attributes")):
            definitions = _array(value, key, where)
            for item in range(len(definitions)):
                definition, definitions[item] = definitions[item], None
                _add_specification(out, dataset, scope, category.id, definition, f"{where}.{key}[{item}]")
    definitions = _array(task_attributes, "image_attributes", path)
    for item in range(len(definitions)):
        definition, definitions[item] = definitions[item], None
        _add_specification(out, dataset, "image", None, definition, f"{path}.image_attributes[{item}]")


def _array(parent: dict[str, Any], key: str, path: str) -> list[Any]:
    value = parent.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise DecodeError(f"Expected `array`, got `{type(value).__name__}`", path=f"{path}.{key}")
    return value


def _add_specification(
    out: Rows, dataset: str | None, scope: str, category_id: int | None, value: Any, path: str
) -> None:
    out.relieve("attribute_specs")
    out.repeat(1, dataset)
    definition, document = parse(encode_json(value), decode_specification, Specification, path)
    document = {k: v for k, v in document.items() if k != "default_value"}
    values = definition.values
    if values is not None:
        values = [item if isinstance(item, str) else json_text(item) for item in values]
    limits = [_number(getattr(definition, name)) for name in ("min", "max", "step")]
    canonical = {
        "name": definition.name,
        "input_type": definition.input_type,
        "values": values,
        **dict(zip(("min", "max", "step"), limits, strict=True)),
        "is_mandatory": definition.is_mandatory,
        "is_track_level": definition.is_track_level,
    }
    out.rows["attribute_specs"].append(
        (
            dataset,
            scope,
            category_id,
            definition.name,
            definition.input_type,
            values,
            definition.default_value,
            *limits,
            definition.is_mandatory,
            definition.is_track_level,
            extra_text(canonical, document),
        )
    )


def _number(value: Any) -> float | None:
    """A limit as a number: definitions hold numbers, numeric strings, and "" for none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
