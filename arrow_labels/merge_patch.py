"""JSON merge patches (RFC 7396): the content of every `extra` column.

`difference` finds the smallest patch between two JSON values, `apply` applies one. Numbers are equal by value
(1 and 1.0), true is not 1, and a member that is null is the same as no member: a merge patch cannot set one.
"""

from __future__ import annotations

from typing import Any, Final


class _Same:
    """The type of `SAME`."""

    def __repr__(self) -> str:
        return "SAME"


SAME: Final = _Same()
"""What `difference` returns where there is none (None is a patch of its own: it removes)."""


def difference(have: Any, want: Any) -> Any:
    """The smallest merge patch that makes `want` of `have`, or `SAME`.

    Examples
    --------
    >>> difference({"a": 1, "b": {"c": 2}}, {"b": {"c": 3}, "d": [1]})
    {'b': {'c': 3}, 'd': [1], 'a': None}
    >>> difference({"a": 1}, {"a": 1.0, "b": None})
    SAME
    """
    if not isinstance(want, dict):
        return SAME if _equal(have, want) else want
    if not isinstance(have, dict):
        return want
    patch = {}
    for key, value in want.items():
        if value is None:
            continue
        change = difference(have[key], value) if have.get(key) is not None else value
        if change is not SAME:
            patch[key] = change
    for key, value in have.items():
        if value is not None and want.get(key) is None:
            patch[key] = None
    return patch or SAME


def apply(target: Any, patch: Any) -> Any:
    """`target` with the merge patch applied; neither is changed.

    Examples
    --------
    >>> apply({"a": 1, "b": {"c": 2}}, {"b": {"c": 3}, "d": [1], "a": None})
    {'b': {'c': 3}, 'd': [1]}
    """
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = apply(result.get(key), value)
    return result


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_equal, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_equal(value, b[key]) for key, value in a.items())
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    return bool(a == b)
