"""A folder of table files that is complete or not there, also when the process is killed half-way.

``_arrow_labels.json``, the manifest, is written last and names every file with its rows and bytes. A folder is complete
if it has a manifest and the files that it names are there; nothing else is read. `replacing` writes one.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

import fsspec
import msgspec
from fsspec.implementations.local import LocalFileSystem

from arrow_labels.errors import ArrowLabelsError, FetchError, MissingExtraError, SchemaError, TargetError
from arrow_labels.redaction import reason, shown
from arrow_labels.schema import SCHEMA_VERSION, SCHEMAS
from arrow_labels.sources import DELTA_LOG, MANIFEST, file_system, files_below

MARKER: Final = "_arrow_labels.writing"
"""A file beside those of a first write that is not complete, where nothing can be renamed."""
WRITABLE: Final = "a folder that can be written"
READABLE: Final = "a folder that can be read"
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_AGAIN: Final = 'write it again with mode="overwrite"'


class Part(msgspec.Struct):
    """A file of a table: its path below the folder, its rows and bytes."""

    file: str
    rows: int
    bytes: int


class Manifest(msgspec.Struct):
    """What a complete folder holds, and which write it comes from."""

    schema_version: int
    write_id: str
    tables: dict[str, list[Part]]


class _Version(msgspec.Struct):
    schema_version: int


class Folder(NamedTuple):
    """A place for tables: its file system, the path there, and its name to people."""

    fs: fsspec.AbstractFileSystem
    path: str
    url: str


def open_folder(target: str | os.PathLike[str], storage_options: dict[str, Any] | None) -> Folder:
    """The folder that a path or URL names; it need not be there."""
    url = os.fspath(target)
    try:
        fs, path = file_system(url, storage_options)
    except FetchError as error:
        raise TargetError(str(error)) from error
    return Folder(fs, path.rstrip("/"), shown(url))


def is_vacant(folder: Folder) -> bool:
    """Whether there is no folder, nothing in it, or only what a killed process left of its first write."""
    with as_target_error(READABLE, folder.url):
        found = sizes(folder)
    return not found or (MARKER in found and MANIFEST not in found)


def current(folder: Folder) -> Manifest:
    """The manifest of a complete folder that rows can be added to.

    Raises
    ------
    TargetError
        There is no folder, or it is not complete.
    SchemaError
        It is of another version of the schema.
    """
    manifest = complete(folder)
    if manifest.schema_version != SCHEMA_VERSION:
        raise SchemaError(
            f"Expected schema version {SCHEMA_VERSION} to add to, got {manifest.schema_version} - in {folder.url}: "
            f"{_AGAIN}"
        )
    return manifest


def complete(folder: Folder) -> Manifest:
    """The manifest of a complete folder.

    Raises
    ------
    TargetError
        There is no folder, or it is not complete.
    SchemaError
        A newer version of this library wrote it.
    """
    fs, path, url = folder
    with as_target_error(READABLE, url):
        try:
            text = fs.cat_file(f"{path}/{MANIFEST}")
        except FileNotFoundError:
            raise TargetError(_missing(folder)) from None
        found = sizes(folder)
    try:
        version = msgspec.json.decode(text, type=_Version).schema_version
        if version > SCHEMA_VERSION:
            raise SchemaError(
                f"Expected schema version {SCHEMA_VERSION} or older, got {version} - in {url}: upgrade arrow-labels"
            )
        manifest = msgspec.json.decode(text, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise TargetError(f"{error} - in `{MANIFEST}` of {url}: {_AGAIN}") from error
    for name in SCHEMAS:
        if name not in manifest.tables:
            raise TargetError(f"Expected table `{name}`, got none - in `{MANIFEST}` of {url}: {_AGAIN}")
        for part in manifest.tables[name]:
            if found.get(part.file) != part.bytes:
                got = f"{found[part.file]:,} bytes" if part.file in found else "nothing"
                raise TargetError(f"Expected `{part.file}` of {part.bytes:,} bytes, got {got} - in {url}: {_AGAIN}")
    return manifest


def create(folder: Folder, file: str) -> IO[bytes]:
    """Open a file below a folder to write it anew."""
    path = f"{folder.path}/{file}"
    try:
        opened: IO[bytes] = folder.fs.open(path, "wb")
    except FileNotFoundError:
        # A store that has real folders; s3fs would take `makedirs` as leave to create a bucket.
        folder.fs.makedirs(path.rpartition("/")[0], exist_ok=True)
        opened = folder.fs.open(path, "wb")
    return opened


@contextmanager
def as_target_error(expected: str, url: str) -> Iterator[None]:
    """Turn the errors of a file system and of Arrow into those of this library."""
    try:
        yield
    except (ArrowLabelsError, MissingExtraError):
        raise
    except Exception as error:  # file systems raise errors of the libraries below them, which hold whole URLs
        got = f"{type(error).__name__}: {reason(error)}"
        is_full = isinstance(error, OSError) and error.errno in _FULL
        todo = "; free space there and write again: nothing was changed" if is_full else ""
        raise TargetError(f"Expected {expected}, got {got} - at {url}{todo}") from None


def _missing(folder: Folder) -> str:
    """Why there is no manifest, and what to do."""
    fs, path, url = folder
    if fs.exists(f"{path}/{DELTA_LOG}"):
        return f"Expected tables of Parquet files, got Delta tables - at {url}: read_delta and write_delta take them"
    if fs.exists(path):
        return (
            f"Expected a complete folder of tables, got one without `{MANIFEST}` - at {url}: its write has not "
            f"finished, or another program wrote it; {_AGAIN}"
        )
    message = f"Expected a folder of tables, got nothing - at {url}"
    if isinstance(fs, LocalFileSystem):
        place = Path(os.path.realpath(path))
        hidden = sorted(place.parent.glob(f".{escape(place.name)}.*-*"))
        whole = ", ".join(str(item) for item in hidden if _is_complete(folder._replace(path=item.as_posix())))
        if whole:
            message += f": a write was cut short, or ends at this moment; if it was cut short, rename one of {whole}"
    return message


def _is_complete(folder: Folder) -> bool:
    try:
        return bool(complete(folder))
    except ArrowLabelsError:
        return False


def sizes(folder: Folder) -> dict[str, int]:
    """The files below a folder, and their bytes."""
    folder.fs.invalidate_cache()  # Object stores remember listings, and other processes write.
    found = files_below(folder.fs, folder.path)
    if folder.path in found:
        raise NotADirectoryError(folder.path)
    # S3 consoles make a folder as an object without content whose name ends with a slash.
    return {
        name[len(folder.path) :].lstrip("/"): item["size"] for name, item in found.items() if not name.endswith("/")
    }
