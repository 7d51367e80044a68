"""What must not be told, left out of what is: queries that sign URLs, user names and passwords, what options say."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from typing import Any, Final, ParamSpec, TypeVar, cast

from arrow_labels.errors import ArrowLabelsError

P = ParamSpec("P")
T = TypeVar("T")

_USER: Final = re.compile(r"(?<![a-z0-9+.-])(([a-z][a-z0-9+.-]*)://)[^/#\s]*@", re.IGNORECASE)
_NAMED: Final = ("abfs", "abfss", "github")
_QUERY: Final = re.compile(r"\?[^\s?=]+=\S*")
_LEAST_SECRET: Final = 5


def shown(url: str) -> str:
    """A URL as people may see it: without the query that signs it, and without user name and password.

    What stands before the `@` of an Azure container or a GitHub repository is its name.
    """
    if "://" not in url:
        return url
    return _USER.sub(lambda found: found[1] if found[2].lower() not in _NAMED else found[0], url.partition("?")[0])


def reason(error: BaseException, options: Mapping[str, Any] | None = None) -> str:
    """What went wrong, in a line, without the query of a signed URL and without what options say."""
    text = hidden(next(iter(str(error).splitlines()), "") or type(error).__name__, options)
    return " ".join(shown(_QUERY.sub("", word)) for word in text.split(" "))


def hidden(text: str, options: Mapping[str, Any] | None) -> str:
    """A text without what options say: servers and libraries may repeat it."""
    for secret in sorted(set(_texts(options)), key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def hides_options(function: Callable[P, T]) -> Callable[P, T]:
    """Make a function raise no error that repeats its `storage_options`."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except ArrowLabelsError as error:
            told = hidden(str(error), cast("Mapping[str, Any] | None", kwargs.get("storage_options")))
            if told != str(error):
                error.args = (told,)
            raise

    return call


def _texts(value: Any) -> Iterator[str]:
    """The texts in options, at any depth; shorter ones are no secrets, and stand in every other word."""
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list | tuple | set):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, str) and len(value) >= _LEAST_SECRET:
        yield value
