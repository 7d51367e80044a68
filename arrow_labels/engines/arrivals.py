"""A folder where files keep arriving: what is there now, and what has come since.

An offset names the files modified lately, and a time before which all have been seen. So it stays small, a file that
becomes visible after one that is newer is not lost, and nothing is kept anywhere else.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, TypedDict

from fsspec.core import has_magic

from arrow_labels.errors import FetchError
from arrow_labels.redaction import reason, shown
from arrow_labels.sources import File, file_system, files_below, is_file, is_of_labels, resolve

MAX_FILE_AGE: Final = 7 * 24 * 3600
"""Seconds that a file may become visible late unless the caller says otherwise."""
_TIMES: Final = ("mtime", "LastModified", "last_modified", "updated", "modified", "created")
"""Where file systems say when a file was modified."""


class Offset(TypedDict):
    """Files modified at or after `since` (microseconds since 1970), by their paths below the source."""

    since: int
    files: list[str]


NOTHING: Final[Offset] = {"since": 0, "files": []}


def latest(url: str, storage_options: dict[str, Any] | None, max_file_age: int = MAX_FILE_AGE) -> Offset:
    """The offset of all files that are there now.

    Parameters
    ----------
    url : str
        A folder, or a glob.
    storage_options : dict, optional
        Options of the fsspec file system.
    max_file_age : int
        Seconds before the newest file: a file that was modified earlier is seen now or never.

    Returns
    -------
    dict
        `since` and `files`; the same as long as no file comes or goes.

    Raises
    ------
    FetchError
        The folder is not there or cannot be read.

    Examples
    --------
    >>> import arrow_labels as al
    >>> al.write_bitmap([[0]], "memory://arriving/not-a-label.png")
    >>> latest("memory://arriving", None)
    {'since': 0, 'files': []}
    """
    found = _present(url, storage_options)
    since = max(0, max((time for _, time in found.values()), default=0) - max_file_age * 1_000_000)
    return {"since": since, "files": sorted(name for name, (_, time) in found.items() if time >= since)}


def arrived(url: str, storage_options: dict[str, Any] | None, start: Offset, end: Offset) -> list[File]:
    """The files between two offsets, in the order of their paths.

    Raises
    ------
    FetchError
        A file is not there any more, or the folder cannot be read.
    """
    found = _present(url, storage_options)
    before, after = set(start["files"]), set(end["files"])
    gone = sorted(after - before - found.keys())
    if gone:
        raise FetchError(f"Expected files that stay until they are read, got none at {gone[0]} - at {shown(url)}")
    return [
        file
        for name, (file, time) in sorted(found.items())
        if time >= start["since"] and name not in before and (time < end["since"] or name in after)
    ]


def _present(url: str, storage_options: dict[str, Any] | None) -> dict[str, tuple[File, int]]:
    """The files that are there, with the time when each was modified, by their paths below the source."""
    fs, path = file_system(url, storage_options)
    is_glob = has_magic(shown(path))
    root = path[: min(path.find(c) for c in "*?[" if c in path)].rpartition("/")[0] if is_glob else path
    try:
        fs.invalidate_cache()
        if not is_glob and not fs.isdir(path):
            raise FetchError(f"Expected a folder or a glob, where files arrive, got none - at {shown(url)}")
        found = fs.glob(path, detail=True) if is_glob else files_below(fs, path)
    except FetchError:
        raise
    except Exception as error:  # file systems raise errors of the libraries below them
        raise FetchError(f"Expected a folder that can be read, got {reason(error)} - at {shown(url)}") from None
    about = {
        name: item
        for name, item in found.items()
        if is_file(item) and (is_glob or is_of_labels(name[len(root) :].lstrip("/")))
    }
    files = [item for item in resolve(url, storage_options) if item.path in about] if about else []
    return {file.path[len(root) :].lstrip("/"): (file, _modified(about[file.path])) for file in files}


def _modified(about: dict[str, Any]) -> int:
    """When a file was modified, microseconds since 1970; 0 where the file system does not say."""
    time = next((about[name] for name in _TIMES if about.get(name) is not None), 0)
    if isinstance(time, str):
        time = datetime.fromisoformat(time)
    return int((time.timestamp() if isinstance(time, datetime) else time) * 1_000_000)
