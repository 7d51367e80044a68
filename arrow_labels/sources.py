"""What a source names: files of any fsspec file system and documents in memory, opened one after the other.

A large document is memory-mapped, from where it lies if that is a local file, else from a temporary copy.
"""

from __future__ import annotations

import bz2
import gzip
import io
import logging
import lzma
import mmap
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import IO, Any, Final, NamedTuple, ParamSpec, TypeVar, cast

import fsspec
import pyarrow as pa
from fsspec.archive import AbstractArchiveFileSystem
from fsspec.core import has_magic, url_to_fs
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.zip import ZipFileSystem

from arrow_labels.decode import Document, OnError, is_document, to_bytes
from arrow_labels.errors import ArrowLabelsError, FetchError, MissingExtraError

P = ParamSpec("P")
T = TypeVar("T")

_LOG: Final = logging.getLogger(__name__)
_LINES: Final = (".jsonl", ".ndjson")
_DOCUMENTS: Final = (".json", *_LINES)
_IN_MEMORY: Final = 16 << 20
"""Documents up to here are read into memory; larger ones are mapped."""


def _open_zstd(file: IO[bytes]) -> IO[bytes]:
    return io.BufferedReader(pa.CompressedInputStream(file, "zstd"))


_DECOMPRESS: Final[dict[str, Callable[[IO[bytes]], Any]]] = {
    ".gz": lambda file: gzip.GzipFile(fileobj=file),
    ".bz2": bz2.BZ2File,
    ".xz": lzma.LZMAFile,
    ".zst": _open_zstd,
}
_EXTRAS: Final = {
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
_USER: Final = re.compile(r"(([a-z][a-z0-9+.-]*)://)[^/#\s]*@", re.IGNORECASE)
_NAMED: Final = ("abfs", "abfss", "github")
_QUERY: Final = re.compile(r"\?[^\s?=]+=\S*")
_LEAST_SECRET: Final = 5
_WAY_OUT: Final = re.compile(r"(^|[/\\])\.\.($|[/\\])")
MANIFEST: Final = "_arrow_labels.json"
"""The file that makes a folder one of tables."""


class File(NamedTuple):
    """A file of labels: where it is, its name to people, its path below the source, and its size if known."""

    fs: fsspec.AbstractFileSystem
    path: str
    name: str
    below: str
    size: int | None


def file_system(url: str, storage_options: dict[str, Any] | None) -> tuple[fsspec.AbstractFileSystem, str]:
    """The fsspec file system of a URL, and the path there.

    Raises
    ------
    MissingExtraError
        The file system needs a package that is not installed.
    FetchError
        There is no such file system, or it refuses the options.
    """
    protocol = fsspec.utils.get_protocol(url)
    try:
        fs, path = url_to_fs(url, **(storage_options or {}))
        return fs, path
    except ImportError as error:
        if protocol not in _EXTRAS:
            got = reason(error, storage_options)
            raise FetchError(f"Expected an installed file system for `{protocol}:`, got {got}") from None
        package, extra = _EXTRAS[protocol]
        raise MissingExtraError(package, extra=extra) from error
    except (OSError, ValueError, TypeError) as error:
        got = reason(error, storage_options)
        raise FetchError(f"Expected a URL that fsspec can open, got {got} - at {shown(url)}") from None


def shown(url: str) -> str:
    """A URL as people may see it: without the query that signs it, and without user name and password.

    What stands before the `@` of an Azure container or a GitHub repository is its name.
    """
    if "://" not in url:
        return url
    return _USER.sub(lambda found: found[1] if found[2].lower() not in _NAMED else found[0], url.partition("?")[0])


def resolve(source: Any, storage_options: dict[str, Any] | None) -> Iterator[Any]:
    """The files that a source names, and its documents that are in memory, as they are.

    Raises
    ------
    FetchError
        A path, glob or folder gives nothing, or the source is of no known type.
    """
    if isinstance(source, str | os.PathLike):
        yield from _files(os.fspath(source), storage_options)
    elif isinstance(source, bytes | bytearray | memoryview) or is_document(source) or hasattr(source, "read"):
        yield source
    elif isinstance(source, Iterable):
        for item in source:
            yield from resolve(item, storage_options)
    else:
        raise FetchError(
            "Expected a path, URL, glob, open binary file, bytes, dict or pydantic model, or a list of those, got "
            f"`{type(source).__name__}`"
        )


def _files(url: str, storage_options: dict[str, Any] | None) -> Iterator[File]:
    fs, path = file_system(url, storage_options)
    about: dict[str, Any] | None = None
    found: dict[str, dict[str, Any]] = {}
    try:
        with suppress(FileNotFoundError):
            about = fs.info(path)
        if about is not None and about["type"] == "directory":
            found = fs.find(path, detail=True)
        elif about is None and has_magic(shown(path)):
            found = fs.glob(path, detail=True)
    except Exception as error:  # file systems raise errors of the libraries below them
        got = reason(error, fs.storage_options)
        raise FetchError(f"Expected a source that can be read, got {got} - at {shown(url)}") from None
    if about is not None and about["type"] != "directory":
        yield File(fs, path, shown(url), _stem(shown(path).rpartition("/")[2]), about.get("size"))
        return
    if about is None and not has_magic(shown(path)):
        raise FetchError(f"Expected a file, folder or glob, got nothing - at {shown(url)}")
    if f"{path.rstrip('/')}/{MANIFEST}" in found:
        raise FetchError(f"Expected labels, got a folder of tables - at {shown(url)}: read_parquet reads it")
    if isinstance(fs, AbstractArchiveFileSystem):
        refuse_ways_out(found)
    found = {
        name: item for name, item in found.items() if item["type"] == "file" and (about is None or _is_labels(name))
    }
    if not found:
        what = "a match" if about is None else f"files with labels ({', '.join(_DOCUMENTS)}, compressed or in .zip)"
        raise FetchError(f"Expected {what}, got none - at {shown(url)}")
    root = path if about is not None else path[: min(path.find(c) for c in "*?[" if c in path)].rpartition("/")[0]
    _LOG.info("%s: %d files", shown(url), len(found))
    for name, item in sorted(found.items()):
        yield File(fs, name, _name(fs, name, url), _stem(name[len(root) :].lstrip("/")), item.get("size"))


def _name(fs: fsspec.AbstractFileSystem, path: str, url: str) -> str:
    """A file's name: relative where the source was, a URL where that was one."""
    if isinstance(fs, LocalFileSystem):
        return path if Path(url).is_absolute() or "://" in url else os.path.relpath(path)
    return shown(fs.unstrip_protocol(path))


def _is_labels(path: str) -> bool:
    return path.lower().endswith(".zip") or _stem(path) != path


def _stem(path: str) -> str:
    """A path without the suffixes of label files."""
    lower = path.lower()
    end = next((len(suffix) for suffix in _DECOMPRESS if lower.endswith(suffix)), 0)
    inner = lower[: len(lower) - end]
    kind = next((len(suffix) for suffix in _DOCUMENTS if inner.endswith(suffix)), 0)
    return path[: len(path) - end - kind] if kind else path


def total_bytes(items: list[Any]) -> int | None:
    """Bytes of JSON in all items, null if that is not known without reading them."""
    total = 0
    for item in items:
        if isinstance(item, bytes | bytearray | memoryview):
            total += len(item)
        elif isinstance(item, File) and item.size and not item.path.lower().endswith((".zip", *_DECOMPRESS)):
            total += item.size
        else:
            return None
    return total


def documents(items: Iterable[Any], on_error: OnError) -> Iterator[Document]:
    """The documents of resolved items, opened when it is their turn.

    An item that cannot be read is an error, or with ``on_error="collect"`` a document that holds the error.
    """
    for index, item in enumerate(items):
        if isinstance(item, File):
            name, found = item.name, _documents(item)
        else:
            given = getattr(item, "name", None) if hasattr(item, "read") else None
            name = given if isinstance(given, str) else f"<document {index}>"
            found = _in_memory(item, name, str(index))
        _LOG.debug("reading %s", name)
        try:
            yield from found
        except ArrowLabelsError as error:
            if on_error == "raise":
                raise
            yield Document(name, str(index), error)
        except Exception as error:  # file systems and codecs raise errors of the libraries below them
            options = item.fs.storage_options if isinstance(item, File) else None
            failure = FetchError(f"Expected a file that can be read, got {reason(error, options)} - at {name}")
            if on_error == "raise":
                raise failure from None
            yield Document(name, str(index), failure)


def _in_memory(item: Any, name: str, place: str) -> Iterator[Document]:
    yield Document(name, place, to_bytes(_load(item) if hasattr(item, "read") else item, name))


def _documents(file: File) -> Iterator[Document]:
    lower = shown(file.path).lower()
    if lower.endswith(".zip"):
        with file.fs.open(file.path, "rb") as archive:
            inside = ZipFileSystem(archive)
            refuse_ways_out(inside.zip.namelist())
            for name, about in sorted(inside.find("", detail=True).items()):
                if _is_labels(name):
                    full, below = f"zip://{name}::{file.name}", _stem(name)
                    yield from _documents(File(inside, name, full, below, about.get("size")))
        return
    decompress = next((opener for suffix, opener in _DECOMPRESS.items() if lower.endswith(suffix)), None)
    inner = lower.removesuffix(next((suffix for suffix in _DECOMPRESS if lower.endswith(suffix)), ""))
    with file.fs.open(file.path, "rb") as opened:
        stream = decompress(opened) if decompress else opened
        if inner.endswith(_LINES):
            for number, line in enumerate(stream, 1):
                if line.strip():
                    place = f"{file.below}:{number}"
                    yield Document(f"{file.name}:{number}", place, to_bytes(line, file.name))
        elif decompress is None and isinstance(file.fs, LocalFileSystem) and (file.size or 0) > _IN_MEMORY:
            yield Document(file.name, file.below, to_bytes(_map(opened), file.name))
        else:
            yield Document(file.name, file.below, to_bytes(_load(stream), file.name))


def _load(stream: IO[bytes]) -> bytes | memoryview:
    """A stream's content: in memory if it is small, else mapped from a temporary file."""
    start = stream.read(_IN_MEMORY)
    if isinstance(start, str):
        raise FetchError("Expected a file that is open in binary mode, got one in text mode")
    rest = stream.read(1)
    if not rest:
        return start
    with tempfile.TemporaryFile() as copy:
        copy.write(start)
        copy.write(rest)
        shutil.copyfileobj(stream, copy, 1 << 20)
        copy.flush()
        return _map(copy)


def _map(file: Any) -> memoryview:
    """A file as memory; the map is closed when nothing refers to it any more."""
    return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


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
