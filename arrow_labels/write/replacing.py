"""A folder of table files written, or put in the place of another one, all or nothing.

* A **local** folder is written under the hidden name ``.NAME.partial-TOKEN`` beside the target, brought to the disk
  (fsync), and renamed. To overwrite, it trades places with the old folder in one step, and that is deleted: a process
  that is killed leaves the target as it was, or the new one. Where the system cannot do that (it takes Linux, and most
  of its file systems), the old folder is renamed to ``.NAME.replaced-TOKEN`` before; killed between the two renames, a
  process leaves no target, and reading says under which names both folders lie. Writes that meet take their places one
  after the other, and what goes on from tables that are no longer there is refused. What killed processes leave under
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
from pathlib import Path
from typing import Final, Literal

import msgspec
from fsspec.implementations.local import LocalFileSystem

from arrow_labels.errors import TargetError
from arrow_labels.redaction import reason
from arrow_labels.schema import SCHEMA_VERSION, SCHEMAS
from arrow_labels.sources import DELTA_LOG, MANIFEST
from arrow_labels.write.folder import MARKER, READABLE, WRITABLE, Folder, Manifest, Part, as_target_error, create, sizes

Mode = Literal["error", "overwrite"]

_LOG: Final = logging.getLogger(__name__)
_OURS: Final = {*SCHEMAS, MANIFEST, MARKER}
_HERE, _RENAME_EXCHANGE = -100, 2  # AT_FDCWD and a flag of `renameat2`.

Write = Callable[[Folder, str], dict[str, list[Part]]]
"""Writes the tables into a folder, as files of a given name."""


def _nothing() -> None:
    pass


def replace_folder(folder: Folder, mode: Mode, write: Write, check: Callable[[], None] = _nothing) -> None:
    """Write a folder, all or nothing.

    `check` is called when all is written, and raises if that shall not take its place: between it and the moment when a
    local folder does, no other write takes it.

    Raises
    ------
    TargetError
        There is something in it that may not be replaced (before `write` is called), or it cannot be written.
    """
    start = time.perf_counter()
    if mode == "overwrite":
        _refuse_delta(folder)
    if isinstance(folder.fs, LocalFileSystem):
        _write_and_rename(folder, Path(os.path.realpath(folder.path)), mode, write, check)
    else:
        _write_in_place(folder, mode, write, check)
    _LOG.info("%s is complete after %.1f s", folder.url, time.perf_counter() - start)


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


def _refuse_delta(folder: Folder) -> None:
    """Refuse Delta tables: they lie in folders of the same names, and their history would be deleted."""
    fs, path, url = folder
    with as_target_error(READABLE, url):
        found = fs.exists(f"{path}/{DELTA_LOG}")
    if found:
        raise TargetError(
            f"Expected tables of Parquet files to overwrite, got Delta tables - at {url}: read_delta and write_delta "
            "take them; use another folder"
        )


def _encode(tables: dict[str, list[Part]], write_id: str) -> bytes:
    return msgspec.json.format(msgspec.json.encode(Manifest(SCHEMA_VERSION, write_id, tables)))


def _write_and_rename(folder: Folder, path: Path, mode: Mode, write: Write, check: Callable[[], None]) -> None:
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
            with _alone(path.parent):
                check()
                _put(new, path, old, mode, folder.url)
            _sync(path.parent)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    with as_target_error("to delete the tables that were replaced", folder.url):
        if old.exists():
            shutil.rmtree(old)


@contextmanager
def _alone(parent: Path) -> Iterator[None]:
    """Let one write after the other take its place in a folder, where the system has locks; they leave no file."""
    try:
        import fcntl

        descriptor = os.open(parent, os.O_RDONLY)
    except (ImportError, OSError):
        yield
        return
    try:
        with suppress(OSError):  # some network file systems have no locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


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


def _write_in_place(folder: Folder, mode: Mode, write: Write, check: Callable[[], None]) -> None:
    """Write where nothing can be renamed: the manifest is what makes the new files count."""
    fs, path, url = folder
    token = secrets.token_hex(8)
    with as_target_error(WRITABLE, url):
        stale = sizes(folder).keys()
        # What a killed process left where there was nothing before counts as nothing.
        dead = MARKER in stale and MANIFEST not in stale
        _refuse({name.partition("/")[0] for name in stale}, "overwrite" if dead else mode, url)
        is_first = not stale and _marked(folder, token)
        file = "part-00000.parquet" if is_first else f"part-00000-{token}.parquet"
    try:
        tables = write(folder, file)
        check()
        with as_target_error(WRITABLE, url):
            _refuse_another_write(folder, tables, mode)
    except BaseException:
        try:
            _delete(folder, [*_parts_named(folder, file), *([MARKER] if is_first else [])])
        except Exception as error:  # of any library below the file system; what counts is what ended the write
            _LOG.warning("files of a write that failed are left in %s, for the next one: %s", url, reason(error))
        raise
    # From here on nothing new may be deleted: a put that failed may have arrived.
    with as_target_error(WRITABLE, url):
        fs.pipe_file(f"{path}/{MANIFEST}", _encode(tables, token))
    with as_target_error("to delete the files that were replaced", url):
        kept = {MANIFEST, *(part.file for parts in tables.values() for part in parts)}
        _delete(folder, sorted(name for name in sizes(folder).keys() - kept if name.partition("/")[0] in _OURS))


def _marked(folder: Folder, token: str) -> bool:
    """Mark an empty folder as one that is written; false if another write did so at the same moment."""
    with create(folder, MARKER) as marker:
        marker.write(token.encode())
    return bool(folder.fs.cat_file(f"{folder.path}/{MARKER}") == token.encode())


def _refuse_another_write(folder: Folder, tables: dict[str, list[Part]], mode: Mode) -> None:
    """Refuse to put a manifest where another write ended in the meantime."""
    found = sizes(folder)
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
    return [name for name in sizes(folder) if named.fullmatch(name)]


def _delete(folder: Folder, files: Iterable[str]) -> None:
    for file in files:
        with suppress(FileNotFoundError):
            folder.fs.rm_file(f"{folder.path}/{file}")
