"""What can go wrong, as one tree.

::

    ValueError
    └── ArrowLabelsError        anything this library refuses
        ├── DecodeError         a document, or a part of it, is not a label (source, sample_id, path)
        ├── BitmapError         an image, an id array or run lengths that are not a mask of ids
        ├── SchemaError         tables that do not have the columns of ``arrow_labels.schema``
        ├── FetchError          a path, glob, URL or folder that gives nothing, or cannot be read
        ├── TargetError         a place that cannot be written, or is not a complete table folder
        └── WorkerError         a process that shared the work ended before it was done
    ImportError
    └── MissingExtraError       an optional package is not installed; names the pip command

Every message says what was expected, what was found, and where.
"""

from __future__ import annotations

import signal


class ArrowLabelsError(ValueError):
    """The base of the errors of documents, files, targets and workers.

    Not of wrong arguments, which are a plain `ValueError`, `KeyError` for the name of a table, and `MissingExtraError`.
    """


class DecodeError(ArrowLabelsError):
    """A document, or a part of it, that is not what the label format says.

    Parameters
    ----------
    message : str
        What was expected and what was found.
    source : str, optional
        The document: its path or URL, or its place in the list.
    sample_id : str, optional
        The sample that the part belongs to.
    labelset : str, optional
        The labelset that the part belongs to.
    path : str
        JSON path of the value. Within a label it starts at the label's ``attributes``.

    Examples
    --------
    >>> error = DecodeError("Expected `int`, got `str`", source="release.json", sample_id="s1",
    ...                     path="$.frames[3].annotations[0].track_id")
    >>> print(error)
    Expected `int`, got `str` - at `$.frames[3].annotations[0].track_id` in release.json (sample s1)
    """

    def __init__(
        self,
        message: str,
        *,
        source: str | None = None,
        sample_id: str | None = None,
        labelset: str | None = None,
        path: str = "$",
    ) -> None:
        self.message = message
        self.source = source
        self.sample_id = sample_id
        self.labelset = labelset
        self.path = path
        where = f" in {source}" if source else ""
        who = ", ".join(
            f"{name} {value}" for name, value in (("sample", sample_id), ("labelset", labelset)) if value is not None
        )
        super().__init__(f"{message} - at `{path}`{where}" + (f" ({who})" if who else ""))

    def __reduce__(self) -> tuple[object, ...]:
        state = {
            "source": self.source,
            "sample_id": self.sample_id,
            "labelset": self.labelset,
            "path": self.path,
        }
        return _decode_error, (self.message, state)


def _decode_error(message: str, state: dict[str, str]) -> DecodeError:
    return DecodeError(message, **state)


class BitmapError(ArrowLabelsError):
    """An image, an id array or run lengths that do not hold ids from 0 to 16,777,215."""


class SchemaError(ArrowLabelsError):
    """Tables whose names, columns or types are not those of ``arrow_labels.schema``."""


class FetchError(ArrowLabelsError):
    """A path, glob, URL or folder that gives nothing, or that cannot be read."""


class TargetError(ArrowLabelsError):
    """A target that exists already, cannot be written, or is not complete."""


class WorkerError(ArrowLabelsError):
    """A process that shared the work and ended before it was done: what it worked on, and its exit status.

    Examples
    --------
    >>> print(WorkerError("samples 120 to 159 of release.json", -9))
    Expected a process to finish samples 120 to 159 of release.json, got one that ended with SIGKILL: if memory ran ...
    """

    def __init__(self, what: str, status: int) -> None:
        self.what = what
        self.status = status
        if status < 0:
            try:
                how = signal.Signals(-status).name
            except ValueError:
                how = f"signal {-status}"
        else:
            how = f"exit status {status}"
        todo = _AFTER.get(how, "run it again; with workers=1 it happens in this process, where it can be looked into")
        super().__init__(f"Expected a process to finish {what}, got one that ended with {how}: {todo}")

    def __reduce__(self) -> tuple[object, ...]:
        return WorkerError, (self.what, self.status)


_AFTER = {
    "SIGKILL": "if memory ran out, fewer workers or a smaller batch_bytes need less; run it again",
    "SIGBUS": "the file became shorter while it was read, or the disk failed; run it again when nothing writes there",
}


class MissingExtraError(ImportError):
    """An optional package that is not installed.

    Examples
    --------
    >>> print(MissingExtraError("deltalake", extra="delta"))
    deltalake is not installed: python -m pip install 'arrow-labels[delta]'
    """

    def __init__(self, package: str, *, extra: str) -> None:
        self.package = package
        self.extra = extra
        super().__init__(f"{package} is not installed: python -m pip install 'arrow-labels[{extra}]'")

    def __reduce__(self) -> tuple[object, ...]:
        return _missing_extra, (self.package, self.extra)


def _missing_extra(package: str, extra: str) -> MissingExtraError:
    return MissingExtraError(package, extra=extra)
