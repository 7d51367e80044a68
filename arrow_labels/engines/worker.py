"""Functions of this library that engines run in other processes."""

from __future__ import annotations

import importlib
import pickle
from collections.abc import Callable
from typing import Any

from arrow_labels import __version__


def shipped(function: Callable[..., Any], *arguments: Any) -> Callable[..., Any]:
    """A function, its first arguments bound, that says what is wrong where this library is not installed.

    Engines pickle what they run by its name. A worker without the library fails there with an error that nobody
    understands; so what they get is a closure, which cloudpickle sends as it is, and which looks for the library.

    Parameters
    ----------
    function : callable
        A function at the top of a module of this library.
    arguments
        Its first arguments; they are pickled at once.

    Returns
    -------
    callable
        Takes the other arguments. Raises an ImportError where the library is missing, or is of another version.

    Examples
    --------
    >>> from math import hypot
    >>> shipped(hypot, 3.0)(4.0)
    5.0
    """
    module, name, version, bound = function.__module__, function.__qualname__, __version__, pickle.dumps(arguments)

    def run(*others: Any) -> Any:
        fix = f"install it on every machine of the cluster: python -m pip install arrow-labels=={version}"
        try:
            found = importlib.import_module("arrow_labels").__version__
        except ImportError as error:
            raise ImportError(f"Expected arrow_labels on the worker, got {error}: {fix}") from None
        if found != version:
            raise ImportError(f"Expected arrow_labels {version} on the worker, got {found}: {fix}")
        return getattr(importlib.import_module(module), name)(*pickle.loads(bound), *others)

    return run
