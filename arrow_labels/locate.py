"""What a URL that stands in a document may lead to: strangers write documents.

A URL is taken if its protocol is on the caller's list. Local paths are taken only out of local documents, and stay
below the folder of the document; a relative URL stays in the store, that is the protocol and host or bucket, of its
document. `base` takes the place of the document's folder. Chains of file systems are never taken. Nothing is opened.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urljoin, urlsplit

import fsspec
from fsspec.implementations.local import LocalFileSystem

from arrow_labels.errors import FetchError
from arrow_labels.redaction import shown

PROTOCOLS: Final = ("https", "http", "s3", "s3a", "gs", "gcs", "az", "abfs", "abfss")
"""Protocols that URLs out of documents may have unless the caller says otherwise."""

HTTP: Final = ("http", "https")
"""Protocols whose servers are told the options."""
LOCAL: Final = ("file", "local")
# A single letter and a colon start a path of Windows.
_SCHEME: Final = re.compile(r"([a-z][a-z0-9+.-]+):", re.IGNORECASE)
_IN_MEMORY: Final = re.compile(r"<document \d+>")


class Place(NamedTuple):
    """Where bytes are: a path or URL, the options of its file system, and whether it is a local path."""

    url: str
    options: Mapping[str, Any] | None
    is_local: bool = False


class Home(NamedTuple):
    """What relative URLs resolve against: a local folder, or the URL of a folder; or neither."""

    folder: str | None = None
    url: str | None = None


def scheme(url: str) -> str:
    """The protocol of a URL in lower case; empty for a path."""
    found = _SCHEME.match(url)
    return found[1].lower() if found else ""


def store(url: str) -> tuple[str, str]:
    """Protocol and host or bucket: what belongs to one owner."""
    parts = urlsplit(url)
    if parts.scheme not in HTTP:
        return parts.scheme, parts.netloc
    default = 80 if parts.scheme == "http" else 443
    return parts.scheme, f"{parts.hostname}:{parts.port or default}"


def home(source: str | None, base: str | None = None) -> Home:
    """What the relative URLs of a document resolve against.

    Parameters
    ----------
    source : str, optional
        The document: `source` of table `labels`.
    base : str, optional
        Folder or URL of a folder that takes the place of the document's.
    """
    if base is not None and "::" in base:
        raise ValueError(f"base: expected a folder or a URL, got a chain of file systems ({shown(base)})")
    place = source if base is None else base
    if place is None or "::" in place or (base is None and _IN_MEMORY.fullmatch(place)):
        return Home()
    if "://" not in place or scheme(place) in LOCAL:
        path = LocalFileSystem._strip_protocol(place)
        return Home(folder=path if base is not None else os.path.dirname(path))  # noqa: PTH120
    if base is None:
        protocol, _, path = place.partition("://")
        host, *folders, _ = [*path.split("/"), ""] if "/" not in path else path.split("/")
        place = "/".join([f"{protocol}://{host}", *folders])
    return Home(url=place.rstrip("/") + "/")


def locate(
    url: str, at: Home, *, protocols: Collection[str] = PROTOCOLS, options: Mapping[str, Any] | None = None
) -> Place:
    """The place that a URL out of a document names.

    Parameters
    ----------
    url : str
        As it stands in the document.
    at : Home
        What it resolves against.
    protocols : collection of str
        Protocols that it may have.
    options : mapping, optional
        Options of fsspec file systems; they go to the store of `at`, and to other stores that they can be meant for.

    Raises
    ------
    FetchError
        It leads where documents may not.

    Examples
    --------
    >>> locate("bitmaps/1.png", home("s3://labels/v1/release.json")).url
    's3://labels/v1/bitmaps/1.png'
    >>> locate("/etc/passwd", home("https://example.com/release.json")).url
    'https://example.com/etc/passwd'
    >>> locate("file:///etc/passwd", home("https://example.com/release.json"))
    Traceback (most recent call last):
    arrow_labels.errors.FetchError: Expected a URL, got a local path in a document that is not a local file
    """
    url = url.strip()
    protocol = scheme(url)
    if not url.isprintable():
        raise FetchError("Expected a URL, got one with control characters")
    if "::" in url and protocol not in HTTP:
        raise FetchError("Expected a URL, got a chain of file systems (`::`)")
    try:
        urlsplit(url).port  # noqa: B018  # proves that it can be taken apart
    except ValueError:
        raise FetchError("Expected a URL, got text that is none") from None
    if protocol in LOCAL or (not protocol and at.folder is not None):
        return Place(_local(url, at), None, is_local=True)
    if not protocol:
        absolute = _join(url, at)
    elif protocol not in protocols:
        raise FetchError(f"Expected a URL of {', '.join(protocols)}, got `{protocol}:`")
    elif not url[len(protocol) :].startswith("://") or not urlsplit(url).netloc:
        raise FetchError(f"Expected a URL with a host or bucket (`{protocol}://...`), got none")
    else:
        absolute = protocol + url[len(protocol) :]
    return Place(absolute, _options(absolute, at, options) if options else None)


def _local(url: str, at: Home) -> str:
    """An absolute path below the folder, with all symbolic links followed."""
    if at.folder is None:
        raise FetchError("Expected a URL, got a local path in a document that is not a local file")
    path = url.partition(":")[2] if scheme(url) else url
    if path.startswith(("//", "\\\\")):
        host, slash, rest = path[2:].partition("/")
        if not scheme(url) or host.lower() not in ("", "localhost"):
            raise FetchError("Expected a path, got one on another host")
        path = slash + rest
    folder = os.path.realpath(at.folder)
    found = os.path.realpath(os.path.join(folder, path))
    if not Path(found).is_relative_to(folder):
        raise FetchError("Expected a path below the folder of the document, or below `base`, got one outside")
    return found


def _join(url: str, at: Home) -> str:
    """A relative URL as an absolute one of the same store."""
    if at.url is None:
        raise FetchError(
            "Expected a whole URL, got a relative one in a document that is in memory or in an archive: `base` says "
            "what it is relative to"
        )
    protocol, host = urlsplit(at.url)[:2]
    if protocol in HTTP:
        joined = urljoin(at.url, url)
    else:
        folder = at.url.partition("://")[2].removeprefix(host)
        joined = f"{protocol}://{host}{posixpath.normpath(posixpath.join('/', folder, url))}"
    if url.startswith(("//", "\\", "/\\")) or store(joined) != store(at.url):
        raise FetchError("Expected a URL relative to its document, got one that names another host")
    return joined


def _options(url: str, at: Home, options: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The options, if they are meant for the store of the URL: servers are told what is in them."""
    if at.url is not None and store(url) == store(at.url):
        return options
    protocol = scheme(url)
    if protocol in HTTP:
        return None
    try:
        kind = fsspec.get_filesystem_class(protocol)
        if at.url is not None and kind is not fsspec.get_filesystem_class(scheme(at.url)):
            return None
    except (ImportError, ValueError):  # whoever opens it says that it is not there
        return None
    # An account or host that the URL names would be given the secrets of the one that is meant.
    named = {name: value for name, value in kind._get_kwargs_from_urls(url).items() if not isinstance(value, bool)}
    if any(options.get(name) != value for name, value in named.items()):
        raise FetchError(f"Expected a URL of the {' and '.join(named)} that `storage_options` names, got another")
    return options
