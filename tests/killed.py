"""A process that ends half-way, without one."""

from collections.abc import Callable
from typing import Any

import pytest


class Killed(BaseException):
    """Nothing that the process does after this has an effect."""


def kill_at(step: int, monkeypatch: pytest.MonkeyPatch, places: list[tuple[Any, str]]) -> list[str]:
    """Let the process end at a step: of all functions that change something, this call and all after it do not."""
    done: list[str] = []

    def wrap(function: Callable[..., Any], name: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if len(done) >= step:
                raise Killed
            done.append(name)
            return function(*args, **kwargs)

        return call

    for owner, name in places:
        monkeypatch.setattr(owner, name, wrap(getattr(owner, name), name))
    return done


def in_order(outcomes: list[str], *expected: str) -> bool:
    """Whether the outcomes are these, one after the other, without a way back."""
    return [name for place, name in enumerate(outcomes) if outcomes[place - 1 : place] != [name]] == list(expected)
