"""A folder of table files that is complete or not there, also when the process is killed half-way.

``_arrow_labels.json``, the manifest, is written last and names every file with its rows and bytes. A folder is complete
if it has a manifest and the files that it names are there; nothing else is read.

* A **local** folder is written under the hidden name ``.NAME.partial-TOKEN`` beside the target, brought to the disk
  (fsync), and renamed. To overwrite, the old folder is renamed to ``.NAME.replaced-TOKEN`` before that, and deleted
  after it. A process that is killed leaves the target as it was, or the new one; killed between the two renames it
  leaves no target, and reading says under which names both folders lie. What killed processes leave under hidden names
  is in nobody's way, and is for people to delete: it might be a write that is under way.
* **Elsewhere** (object stores) nothing can be renamed, so files are written where they shall be, under names of their
  own where there are files already. The manifest, put in one request, is the moment at which the new files take the
  place of the old ones; those are deleted after it. A process that is killed leaves files that no manifest names:
  reading passes over them, the next write deletes them, but a glob of another engine finds them until then. A marker
  beside the files of a first write, deleted after the manifest is put, tells them from tables of another program, which
  ``mode="error"`` refuses. There must be one writer at a time.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from typing import IO, Any, Final, Literal, NamedTuple

import fsspec
import msgspec
from fsspec.implementations.local import LocalFileSystem

from arrow_labels.errors import ArrowLabelsError, FetchError, SchemaError, TargetError
from arrow_labels.schema import SCHEMA_VERSION, SCHEMAS
from arrow_labels.sources import MANIFEST, file_system, shown

Mode = Literal["error", "overwrite"]

_MARKER: Final = "_arrow_labels.writing"
_OURS: Final = {*SCHEMAS, MANIFEST, _MARKER}
WRITABLE: Final = "a folder that can be written"
READABLE: Final = "a folder that can be read"
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
    if isinstance(folder.fs, LocalFileSystem):
        _write_and_rename(folder, Path(folder.path).resolve(), mode, write)
    else:
        _write_in_place(folder, mode, write)


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
    """Turn the errors of a file system into those of this library."""
    try:
        yield
    except OSError as error:
        raise TargetError(f"Expected {expected}, got {type(error).__name__}: {error} - at {url}") from error


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
    try:
        tables = write(folder._replace(path=new.as_posix()), "part-00000.parquet")
        with as_target_error(WRITABLE, folder.url):
            for item in [*new.rglob("*"), new]:
                _sync(item)
            (new / MANIFEST).write_bytes(_encode(tables, token))
            _sync(new / MANIFEST)
            _sync(new)
            _rename(new, path, old, mode)
            _sync(path.parent)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    with as_target_error("to delete the tables that were replaced", folder.url):
        if old.exists():
            shutil.rmtree(old)


def _rename(new: Path, path: Path, old: Path, mode: Mode) -> None:
    """Rename a new folder to its place, and what is there to the old one's."""
    if mode == "error":
        # Not every system renames onto an empty folder; none removes one that was filled in the meantime.
        with suppress(FileNotFoundError):
            path.rmdir()
        new.rename(path)
        return
    with suppress(FileNotFoundError):
        path.rename(old)
    try:
        new.rename(path)
    except BaseException:
        if old.exists():
            old.rename(path)
        raise


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
        file = f"part-00000-{token}.parquet" if stale else "part-00000.parquet"
        if not stale:
            create(folder, _MARKER).close()
    try:
        tables = write(folder, file)
        if mode == "error":
            with as_target_error(WRITABLE, url):
                _refuse({MANIFEST} & _sizes(folder).keys(), mode, url)
    except BaseException:
        with suppress(OSError):
            _delete(folder, [*(f"{table}/{file}" for table in SCHEMAS), *([] if stale else [_MARKER])])
        raise
    # From here on nothing new may be deleted: a put that failed may have arrived.
    with as_target_error(WRITABLE, url):
        fs.pipe_file(f"{path}/{MANIFEST}", _encode(tables, token))
    with as_target_error("to delete the files that were replaced", url):
        _delete(folder, [*sorted(stale - {MANIFEST, _MARKER}), _MARKER])


def _delete(folder: Folder, files: Iterable[str]) -> None:
    for file in files:
        with suppress(FileNotFoundError):
            folder.fs.rm_file(f"{folder.path}/{file}")
