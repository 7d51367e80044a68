"""JSON equality: key order and explicit null members do not matter, ``1 == 1.0``, ``True != 1``."""

import json
from typing import Any


def normalise(value: Any) -> Any:
    """Give the one form that equal JSON values share.

    Objects lose their null members and get sorted keys, also inside arrays; integral floats become integers
    (so ``-0.0`` becomes ``0``); nulls in arrays stay.
    """
    if isinstance(value, dict):
        return {key: normalise(value[key]) for key in sorted(value) if value[key] is not None}
    if isinstance(value, (list, tuple)):
        return [normalise(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def difference(a: Any, b: Any, path: str = "$") -> str | None:
    """Say where two JSON values first differ: the JSON path and both values; None if they are equal."""
    if isinstance(a, dict) and isinstance(b, dict):
        for key in [*a, *(key for key in b if key not in a)]:
            found = difference(a.get(key), b.get(key), path + _member(key))
            if found is not None:
                return found
        return None
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        for index, (left, right) in enumerate(zip(a, b, strict=False)):
            found = difference(left, right, f"{path}[{index}]")
            if found is not None:
                return found
        return None if len(a) == len(b) else f"{path}: {len(a)} items != {len(b)} items"
    return None if _same_scalar(a, b) else f"{path}: {_short(a)} != {_short(b)}"


def equal(a: Any, b: Any) -> bool:
    """Whether two JSON values are equal."""
    return difference(a, b) is None


def _same_scalar(a: Any, b: Any) -> bool:
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    return bool(a == b)


def _member(key: str) -> str:
    return f".{key}" if key.isidentifier() else f"[{json.dumps(key, ensure_ascii=False)}]"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else text[:200] + "..."
