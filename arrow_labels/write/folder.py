"""A folder of table files that is complete or not there, also when the process is killed half-way.

``_arrow_labels.json``, the manifest, is written last and names every file with its rows and bytes. A folder is complete
if it has a manifest and the files that it names are there; nothing else is read.

* A **local** folder is written under the hidden name ``.NAME.partial-TOKEN`` beside the target, brought to the disk
  (fsync), and renamed. To overwrite, it trades places with the old folder in one step, and that is deleted: a process
  that is killed leaves the target as it was, or the new one. Where the system cannot do that (it takes Linux, and most
  of its file systems), the old folder is renamed to ``.NAME.replaced-TOKEN`` before; killed between the two renames, a
  process leaves no target, and reading says under which names both folders lie. What killed processes leave under
  hidden names is in nobody's way, and is for people to delete: it might be a write that is under way.
* **Elsewhere** (object stores) nothing can be renamed, so files are written where they shall be, under names of their
  own where there are files already. The manifest, put in one request, is the moment at which the new files take the
  place of the old ones; those are deleted after it. A process that is killed leaves files that no manifest names:
  reading passes over them, the next write deletes them, but a glob of another engine finds them until then. A marker
  beside the files of a first write, deleted after the manifest is put, tells them from tables of another program, which
  ``mode="error"`` refuses. There must be one writer at a time; where there are two, files of one are never taken for
  those of the other, and the one that ends later notices, unless both put their manifests within the same moment.

A disk that is full, or any other error, deletes what was written and leaves the old tables.
"""

from __future__ import annotations

import ctypes
import errno
import logging
import os
import re
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from typing import IO, Any, Final, Literal, NamedTuple

import fsspec
import msgspec
from fsspec.implementations.local import LocalFileSystem

from arrow_labels.errors import ArrowLabelsError, FetchError, MissingExtraError, SchemaError, TargetError
from arrow_labels.schema import SCHEMA_VERSION, SCHEMAS
from arrow_labels.sources import MANIFEST, file_system, reason, shown

Mode = Literal["error", "overwrite"]

_LOG: Final = logging.getLogger(__name__)
_MARKER: Final = "_arrow_labels.writing"
_OURS: Final = {*SCHEMAS, MANIFEST, _MARKER}
WRITABLE: Final = "a folder that can be written"
READABLE: Final = "a folder that can be read"
_HERE, _RENAME_EXCHANGE = -100, 2  # AT_FDCWD and a flag of `renameat2`.
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


Write = Callable[[Folder, str], dict[str, list[Part]]]
"""Writes the tables into a folder, as files of a given name."""


def open_folder(target: str | os.PathLike[str], storage_options: dict[str, Any] | None) -> Folder:
    """The folder that a path or URL names; it need not be there."""
    url = os.fspath(target)
    try:
        fs, path = file_system(url, storage_options)
    except FetchError as error:
        raise TargetError(str(error)) from error
    return Folder(fs, path.rstrip("/"), shown(url))


def replace_folder(folder: Folder, mode: Mode, write: Write) -> None:
    """Write a folder, all or nothing.

    Raises
    ------
    TargetError
        There is something in it that may not be replaced (before `write` is called), or it cannot be written.
    """
    start = time.perf_counter()
    if isinstance(folder.fs, LocalFileSystem):
        _write_and_rename(folder, Path(folder.path).resolve(), mode, write)
    else:
        _write_in_place(folder, mode, write)
    _LOG.info("%s is complete after %.1f s", folder.url, time.perf_counter() - start)


def is_vacant(folder: Folder) -> bool:
    """Whether there is no folder, nothing in it, or only what a killed process left of its first write."""
    with as_target_error(READABLE, folder.url):
        found = _sizes(folder)
    return not found or (_MARKER in found and MANIFEST not in found)


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
        found = _sizes(folder)
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
    if fs.exists(path):
        return (
            f"Expected a complete folder of tables, got one without `{MANIFEST}` - at {url}: its write has not "
            f"finished, or another program wrote it; {_AGAIN}"
        )
    message = f"Expected a folder of tables, got nothing - at {url}"
    if isinstance(fs, LocalFileSystem):
        place = Path(path).resolve()
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


def _sizes(folder: Folder) -> dict[str, int]:
    """The files below a folder, and their bytes."""
    folder.fs.invalidate_cache()  # Object stores remember listings, and other processes write.
    found = folder.fs.find(folder.path, detail=True)
    if folder.path in found:
        raise NotADirectoryError(folder.path)
    # S3 consoles make a folder as an object without content whose name ends with a slash.
    return {
        name[len(folder.path) :].lstrip("/"): item["size"] for name, item in found.items() if not name.endswith("/")
    }


def _refuse(names: Iterable[str], mode: Mode, url: str) -> None:
    """Refuse a target for what is in it: what is not a table must never be deleted."""
    names = sorted(names)
    if names and mode == "error":
        some = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
        raise TargetError(
            f'Expected no folder or an empty one, got {some} - in {url}: mode="overwrite" replaces tables'
        )
    foreign = [name for name in names if name not in _OURS]
    if foreign:
        raise TargetError(f"Expected nothing but tables to overwrite, got {foreign[0]!r} - in {url}")


def _encode(tables: dict[str, list[Part]], write_id: str) -> bytes:
    return msgspec.json.format(msgspec.json.encode(Manifest(SCHEMA_VERSION, write_id, tables)))


def _write_and_rename(folder: Folder, path: Path, mode: Mode, write: Write) -> None:
    """Write a local folder beside its place, then put it there."""
    token = secrets.token_hex(8)
    new, old = path.with_name(f".{path.name}.partial-{token}"), path.with_name(f".{path.name}.replaced-{token}")
    with as_target_error(WRITABLE, folder.url):
        _refuse((item.name for item in path.iterdir()) if path.exists() else (), mode, folder.url)
        if os.path.ismount(path):
            raise TargetError(
                f"Expected a folder that can be renamed, got a mount point - at {folder.url}: use one in it"
            )
        new.mkdir(parents=True)
    _LOG.info("writing %s, as %s until it is complete", folder.url, new.name)
    try:
        tables = write(folder._replace(path=new.as_posix()), "part-00000.parquet")
        with as_target_error(WRITABLE, folder.url):
            for item in [*new.rglob("*"), new]:
                _sync(item)
            (new / MANIFEST).write_bytes(_encode(tables, token))
            _sync(new / MANIFEST)
            _sync(new)
            _put(new, path, old, mode, folder.url)
            _sync(path.parent)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    with as_target_error("to delete the tables that were replaced", folder.url):
        if old.exists():
            shutil.rmtree(old)


def _put(new: Path, path: Path, old: Path, mode: Mode, url: str) -> None:
    """Rename a new folder to its place, unless another write did so at the same moment."""
    try:
        _rename(new, path, old, mode)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        raise TargetError(
            f"Expected to be the only write, got another one that ended in the meantime - at {url}: its tables are "
            "kept; write one after the other"
        ) from error


def _rename(new: Path, path: Path, old: Path, mode: Mode) -> None:
    """Rename a new folder to its place, and what is there to the old one's."""
    if mode == "error":
        # Not every system renames onto an empty folder; none removes one that was filled in the meantime.
        with suppress(FileNotFoundError):
            path.rmdir()
        new.rename(path)
        return
    if path.exists() and _exchange(new, path):
        new.rename(old)
        return
    with suppress(FileNotFoundError):
        path.rename(old)
    try:
        new.rename(path)
    except BaseException:
        if old.exists():
            old.rename(path)
        raise


def _exchange(one: Path, other: Path) -> bool:
    """Let two folders trade places in one step; whether the system could."""
    rename = getattr(ctypes.CDLL(None), "renameat2", None) if sys.platform == "linux" else None
    if rename is None:
        return False
    return bool(rename(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _RENAME_EXCHANGE) == 0)


def _sync(path: Path) -> None:
    """Bring a file or folder to the disk."""
    if os.name == "nt" and path.is_dir():
        return  # Folders cannot be opened there.
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_in_place(folder: Folder, mode: Mode, write: Write) -> None:
    """Write where nothing can be renamed: the manifest is what makes the new files count."""
    fs, path, url = folder
    token = secrets.token_hex(8)
    with as_target_error(WRITABLE, url):
        stale = _sizes(folder).keys()
        # What a killed process left where there was nothing before counts as nothing.
        dead = _MARKER in stale and MANIFEST not in stale
        _refuse({name.partition("/")[0] for name in stale}, "overwrite" if dead else mode, url)
        is_first = not stale and _marked(folder, token)
        file = "part-00000.parquet" if is_first else f"part-00000-{token}.parquet"
    try:
        tables = write(folder, file)
        with as_target_error(WRITABLE, url):
            _refuse_another_write(folder, tables, mode)
    except BaseException:
        try:
            _delete(folder, [*_parts_named(folder, file), *([_MARKER] if is_first else [])])
        except Exception as error:  # of any library below the file system; what counts is what ended the write
            _LOG.warning("files of a write that failed are left in %s, for the next one: %s", url, reason(error))
        raise
    # From here on nothing new may be deleted: a put that failed may have arrived.
    with as_target_error(WRITABLE, url):
        fs.pipe_file(f"{path}/{MANIFEST}", _encode(tables, token))
    with as_target_error("to delete the files that were replaced", url):
        kept = {MANIFEST, *(part.file for parts in tables.values() for part in parts)}
        _delete(folder, sorted(name for name in _sizes(folder).keys() - kept if name.partition("/")[0] in _OURS))


def _marked(folder: Folder, token: str) -> bool:
    """Mark an empty folder as one that is written; false if another write did so at the same moment."""
    with create(folder, _MARKER) as marker:
        marker.write(token.encode())
    return bool(folder.fs.cat_file(f"{folder.path}/{_MARKER}") == token.encode())


def _refuse_another_write(folder: Folder, tables: dict[str, list[Part]], mode: Mode) -> None:
    """Refuse to put a manifest where another write ended in the meantime."""
    found = _sizes(folder)
    if mode == "error":
        _refuse({MANIFEST} & found.keys(), mode, folder.url)
    if any(found.get(part.file) != part.bytes for parts in tables.values() for part in parts):
        raise TargetError(
            f"Expected to be the only write, got another one that ended in the meantime - at {folder.url}: its tables "
            "are kept; write one after the other"
        )


def _parts_named(folder: Folder, file: str) -> list[str]:
    """The files of one write, whatever their numbers."""
    named = re.compile(rf"({'|'.join(SCHEMAS)})/part-\d+{re.escape(file.removeprefix('part-00000'))}")
    return [name for name in _sizes(folder) if named.fullmatch(name)]


def _delete(folder: Folder, files: Iterable[str]) -> None:
    for file in files:
        with suppress(FileNotFoundError):
            folder.fs.rm_file(f"{folder.path}/{file}")
