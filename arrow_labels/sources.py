"""What a source names: files of any fsspec file system, and documents in memory. Nothing is opened."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import suppress
from operator import itemgetter
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import fsspec
from fsspec.archive import AbstractArchiveFileSystem
from fsspec.core import has_magic, url_to_fs
from fsspec.implementations.local import LocalFileSystem

from arrow_labels.decode import is_document
from arrow_labels.errors import FetchError, MissingExtraError
from arrow_labels.redaction import reason, shown

_LOG: Final = logging.getLogger(__name__)
_DOCUMENTS: Final = (".json", ".jsonl", ".ndjson")
_SUFFIXES: Final = re.compile(r"(\.json|\.jsonl|\.ndjson|\.zip)?(\.gz|\.bz2|\.xz|\.zst)?\Z", re.IGNORECASE)
EXTRAS: Final = {
    "s3": ("s3fs", "s3"),
    "s3a": ("s3fs", "s3"),
    "gs": ("gcsfs", "gcs"),
    "gcs": ("gcsfs", "gcs"),
    "abfs": ("adlfs", "azure"),
    "abfss": ("adlfs", "azure"),
    "az": ("adlfs", "azure"),
    "http": ("aiohttp", "http"),
    "https": ("aiohttp", "http"),
}
"""Protocols of file systems, the packages that they need, and what brings those."""
_VERSIONS: Final = ("ETag", "etag", "mtime")
_ICEBERG: Final = r"metadata/(v\d+|\d+-[\da-f-]{36})(\.gz)?\.metadata\.json\Z"
_HIDDEN: Final = re.compile(rf"(^|/)(\.[^.]|__MACOSX/|_delta_log/|[^/]*\.lance/|_arrow_labels\.json\Z|{_ICEBERG})")
_REFUSED: Final = (401, 403)
_JSON: Final = re.compile(r'\s*(\{\s*["}]|\[\s*[{\]])')
_WAY_OUT: Final = re.compile(r"(^|[/\\])\.\.($|[/\\])")
MANIFEST: Final = "_arrow_labels.json"
"""The file that makes a folder one of tables."""
DELTA_LOG: Final = "labels/_delta_log"
LANCE_LABELS: Final = "labels.lance"
"""What a folder of Delta tables has, and one of Lance datasets."""
STREAM: Final = "-"
"""The kind of what has no suffix and is no file on a disk: a pipe, a device, or a number of an open file."""
_STANDARD: Final = ("stdin", "stdout", "stderr")
_DESCRIPTOR: Final = re.compile(rf"/dev/({'|'.join(_STANDARD)})|/(?:dev|proc/self)/fd/(\d+)")
_STREAMS: Final = tuple(map(Path, ("/dev", "/dev/fd", "/proc/self/fd")))


class File(NamedTuple):
    """A file of labels: where it is, its name to people, its path below the source without suffixes, its size if known.

    `kind` and `compression` are its suffixes; the kind `STREAM` can be read once, and by this process only. `version`
    is another number once it is written to; None where its file system does not say.
    """

    fs: fsspec.AbstractFileSystem
    path: str
    name: str
    below: str
    size: int | None
    kind: str
    compression: str
    version: int | None = None


def file_system(url: str, storage_options: dict[str, Any] | None) -> tuple[fsspec.AbstractFileSystem, str]:
    """The fsspec file system of a URL, and the path there.

    Raises
    ------
    MissingExtraError
        The file system needs a package that is not installed.
    FetchError
        There is no such file system, it refuses the options, or the text is empty: that would be the current folder.
    """
    if not url:
        raise FetchError("Expected a path or URL, got an empty text")
    protocol = fsspec.utils.get_protocol(url)
    try:
        fs, path = url_to_fs(url, **(storage_options or {}))
        return fs, path
    except ImportError as error:
        if protocol not in EXTRAS:
            got = reason(error, storage_options)
            raise FetchError(f"Expected an installed file system for `{protocol}:`, got {got}") from None
        package, extra = EXTRAS[protocol]
        raise MissingExtraError(package, extra=extra) from error
    except (OSError, ValueError, TypeError) as error:
        got = reason(error, storage_options)
        raise FetchError(f"Expected a URL that fsspec can open, got {got} - at {shown(url)}") from None


def resolve(source: Any, storage_options: dict[str, Any] | None) -> Iterator[Any]:
    """The files that a source names, and its documents that are in memory, as they are.

    Raises
    ------
    FetchError
        A path, glob or folder gives nothing, or the source is of no known type.
    """
    if isinstance(source, str) and _JSON.match(source):
        raise FetchError(f"Expected a path or URL, got JSON text, {source[:20]!r} …: as bytes it is a document")
    if isinstance(source, str | os.PathLike):
        yield from _files(os.fspath(source), storage_options)
    elif isinstance(source, bytes | bytearray | memoryview) or is_document(source) or hasattr(source, "read"):
        yield source
    elif isinstance(source, Iterable):
        many = not isinstance(source, Sized) or len(source) > 1
        for item in source:
            file = _remote_file(item, storage_options) if many and isinstance(item, str) else None
            yield from resolve(item, storage_options) if file is None else [file]
    else:
        raise FetchError(
            "Expected a path, URL, glob, open binary file, bytes, dict or pydantic model, or a list of those, got "
            f"`{type(source).__name__}`"
        )


def _remote_file(url: str, storage_options: dict[str, Any] | None) -> File | None:
    """The file of a URL whose suffix says that it is one: to ask for each of many would take as long as to read it."""
    if "://" not in url or not any(suffixes(shown(url))) or has_magic(shown(url)):
        return None
    fs, path = file_system(url, storage_options)
    return file_at(fs, path, shown(url), shown(path).rpartition("/")[2], None) if fs.async_impl else None


def _files(url: str, storage_options: dict[str, Any] | None) -> Iterator[File]:
    fs, path = file_system(url, storage_options)
    about: dict[str, Any] | None = None
    found: dict[str, dict[str, Any]] = {}
    answer: BaseException | None = None
    try:
        try:
            about = fs.info(path)
        except FileNotFoundError as error:
            answer = error.__cause__  # over HTTP, whatever a server says instead of giving a file
        if about is not None and about["type"] == "directory":
            found = files_below(fs, path)
        elif about is None and has_magic(shown(path)):
            found = fs.glob(path, detail=True)
    except Exception as error:  # file systems raise errors of the libraries below them
        got = reason(error, fs.storage_options)
        raise FetchError(f"Expected a source that can be read, got {got} - at {shown(url)}") from None
    if about is not None and about["type"] != "directory":
        file = file_at(fs, path, shown(url), shown(path).rpartition("/")[2], about.get("size"), _version(about))
        is_local = isinstance(fs, LocalFileSystem)
        yield file._replace(kind=STREAM) if is_local and not file.kind and is_stream(Path(path)) else file
        return
    if about is None and not has_magic(shown(path)):
        raise FetchError(f"Expected a file, folder or glob, got {_instead(answer, url)} - at {shown(url)}")
    marks = tuple(f"{path.rstrip('/')}/{mark}" for mark in (MANIFEST, f"{DELTA_LOG}/", f"{LANCE_LABELS}/"))
    if any(name.startswith(marks) for name in found):
        raise FetchError(
            f"Expected labels, got a folder of tables - at {shown(url)}: read_parquet, read_delta or read_lance "
            "reads it"
        )
    if isinstance(fs, AbstractArchiveFileSystem):
        refuse_ways_out(fs.find(""))
    # What is known of a file is ten times as long as its name, and there can be millions of them.
    known = [(name, item.get("size"), _version(item)) for name, item in found.items() if is_file(item)]
    del found
    known.sort(key=itemgetter(0))
    _LOG.info("%s: %d files", shown(url), len(known))
    root = path if about is not None else path[: min(path.find(c) for c in "*?[" if c in path)].rpartition("/")[0]
    name_of, none = _names(fs, url), True
    for name, size, version in known:
        below = name[len(root) :].lstrip("/")
        if about is None or is_of_labels(below):
            none = False
            yield file_at(fs, name, name_of(name), below, size, version)
    if none:
        what = "a match" if about is None else "files with labels (.json, .jsonl, .ndjson, compressed or in .zip)"
        raise FetchError(f"Expected {what}, got none - at {shown(url)}")


def files_below(fs: fsspec.AbstractFileSystem, path: str) -> dict[str, dict[str, Any]]:
    """The files below a folder, as `find` gives them.

    That would pass over local folders that may not be read, and over links to folders. Each folder is read once, by its
    own name if it lies below.
    """
    if not isinstance(fs, LocalFileSystem):
        return cast("dict[str, dict[str, Any]]", fs.find(path, detail=True))
    found: dict[str, dict[str, Any]] = {}
    folders, seen = [path], set()
    links: set[str] = set()
    while folders or links:
        folder = folders.pop() if folders else min(links)
        links.discard(folder)
        if (place := os.path.realpath(folder)) in seen:
            continue
        seen.add(place)
        with suppress(FileNotFoundError):
            for item in fs.ls(folder, detail=True):
                if item["type"] == "directory":
                    folders.append(item["name"])
                elif item.get("islink", False) and Path(item["name"]).is_dir():
                    links.add(item["name"])
                else:
                    found[item["name"]] = item
    return found


def _instead(answer: BaseException | None, url: str) -> str:
    """What there is instead of a file: nothing, or an error of a server."""
    if answer is None:
        return "nothing"
    status = getattr(answer, "status", None)
    if status is None:
        return reason(answer)
    expired = ": the signed URL has perhaps expired" if status in _REFUSED and "?" in url else ""
    return f"status {status} of HTTP{expired}"


def is_of_labels(below: str) -> bool:
    """Whether a file of a folder or archive is one of labels, by its suffix.

    What systems and editors hide there is not: `._a.json`, `__MACOSX/a.json`, `.ipynb_checkpoints/a-checkpoint.json`.
    Nor is what stands beside tables that were written there, as Parquet, Delta, Lance or Iceberg.
    """
    return bool(suffixes(below)[0]) and _HIDDEN.search(below) is None


def is_file(about: dict[str, Any]) -> bool:
    """Whether this is a file, or a local link to one."""
    return about["type"] == "file" or (about.get("islink", False) and Path(about["name"]).is_file())


def _names(fs: fsspec.AbstractFileSystem, url: str) -> Callable[[str], str]:
    """What names a file to people: a path, relative where the source was, and a URL where that was one."""
    if isinstance(fs, LocalFileSystem):
        return str if Path(url).is_absolute() or "://" in url else os.path.relpath
    return lambda path: shown(fs.unstrip_protocol(path))


def is_stream(path: Path) -> bool:
    """Whether a local path is a pipe, a device, or a name of an open file: nothing may take its place."""
    return path.parent in _STREAMS or (path.exists() and not path.is_file())


def descriptor(path: str) -> int | None:
    """The number of the open file that a local path is a name of; None if it is a file of its own.

    Opened by such a name, a file begins at its start again, a pipe may wait for a writer, and a socket is refused.
    """
    found = _DESCRIPTOR.fullmatch(path)
    if found is None:
        return None
    name, number = found.groups()
    return _STANDARD.index(name) if name else int(number)


def _version(about: dict[str, Any]) -> int | None:
    """A number for the ETag of a file, or for when and where it was written; None for links, which do not change."""
    if about.get("islink", False):
        return None
    found = next((about[name] for name in _VERSIONS if about.get(name)), None)
    return None if found is None else hash((found, about.get("ino")))


def file_at(
    fs: fsspec.AbstractFileSystem, path: str, name: str, below: str, size: int | None, version: int | None = None
) -> File:
    """A file, its path below the source given whole."""
    kind, compression = suffixes(below)
    stem = below[: len(below) - len(kind) - len(compression)] if kind in _DOCUMENTS else below
    return File(fs, path, unicode(name), unicode(stem), size, kind, compression, version)


def unicode(name: str) -> str:
    """The name of a file as columns hold it: that of a local one may have bytes that are no UTF-8, as surrogates."""
    return name.encode("utf-8", "backslashreplace").decode()


def suffixes(path: str) -> tuple[str, str]:
    """What the end of a path says of the file: `.zip` or the kind of document, and how it is compressed, or nothing."""
    found = _SUFFIXES.search(path)
    kind, compression = found.groups("") if found else ("", "")
    return kind.lower(), compression.lower()


def total_bytes(items: list[Any]) -> int | None:
    """Bytes of JSON in all items, null if that is not known without reading them."""
    total = 0
    for item in items:
        if isinstance(item, bytes | bytearray | memoryview):
            total += len(item)
        elif (
            isinstance(item, File)
            and item.size
            and not item.path.lower().endswith(".zip")
            and not suffixes(item.path)[1]
        ):
            total += item.size
        else:
            return None
    return total


def refuse_ways_out(members: Iterable[str]) -> None:
    """Refuse an archive with a member whose name leads out of it.

    Nothing is unpacked to a path here, but whoever writes such a name hopes for it: no member is to be trusted.

    Raises
    ------
    FetchError
        A name has a part `..`.
    """
    for name in members:
        if _WAY_OUT.search(name):
            raise FetchError(f"Expected members that lie in the archive, got {name!r:.300}: it is not read")
