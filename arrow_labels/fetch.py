"""The bytes of many places at once: bounded in number, size and time, retried, and nothing secret in an error.

Downloads overlap on fsspec's event loop; what is made of the bytes is made in threads, while others download. Errors
say what was expected and found, never where: the caller knows what it may tell about a URL.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import fsspec.asyn

from arrow_labels.errors import ArrowLabelsError, FetchError, MissingExtraError
from arrow_labels.http_bytes import Limits, PassingError, TooLargeError, get
from arrow_labels.locate import HTTP, Place, scheme
from arrow_labels.redaction import hidden, reason, shown
from arrow_labels.sources import File, file_system

if TYPE_CHECKING:
    import tenacity

T = TypeVar("T")
Read = Callable[[], Awaitable[bytes]]

_LOG: Final = logging.getLogger(__name__)
_AHEAD: Final = 4
"""Places that may wait, or be done and wait for those before them, for each that is fetched."""
_AHEAD_BYTES: Final = 64 << 20
"""Bytes of files that may be on their way, or there and wait for those before them."""
_GLANCE: Final = 0.2
"""Seconds after which a wait looks for signals."""
_FIRST_WAIT: Final = 0.25
_LONGEST_WAIT: Final = 30.0
"""Seconds: the bounds of the pauses between attempts."""
_FINAL: Final = (errno.EINVAL, errno.ENOSYS, errno.ENAMETOOLONG, errno.ELOOP)
"""What will be wrong next time as well."""


def fetch(place: Place, limits: Limits) -> bytes:
    """The bytes of one place.

    Raises
    ------
    FetchError
        There are none, or more than the limits allow.
    MissingExtraError
        The file system needs a package that is not installed.
    """
    with closing(fetch_all([(place, bytes)], limits, concurrency=1)) as found:
        result = next(found)
    if isinstance(result, ArrowLabelsError):
        raise result
    return result


def fetch_all(
    jobs: Iterable[tuple[Place | File | ArrowLabelsError, Callable[[bytes], T]]], limits: Limits, *, concurrency: int
) -> Generator[T | ArrowLabelsError, None, None]:
    """What is made of the bytes of each place, in the order of the jobs.

    Parameters
    ----------
    jobs : iterable of (place or file, function)
        Where bytes are, and what to make of them, in a thread; an error in place of a place is passed on. Files whose
        sizes are known are bounded by the sum of those as well; those of unknown size count as the limit.
    limits : Limits
        Of each place.
    concurrency : int
        How many places have bytes, or something made of them, in memory at once.

    Yields
    ------
    result or ArrowLabelsError
        Of each job.

    Raises
    ------
    MissingExtraError
        A file system needs a package that is not installed.
    """
    loop = fsspec.asyn.get_loop()
    slots = asyncio.Semaphore(concurrency)
    waiting: deque[Future[T | ArrowLabelsError]] = deque()
    sizes: deque[int] = deque()
    # Work on bytes keeps a processor busy: more threads than there are processors would only take turns.
    with ThreadPoolExecutor(min(concurrency, os.cpu_count() or 1), "arrow-labels") as workers:
        try:
            for place, make in jobs:
                size = _size(place, limits)
                while waiting and (len(waiting) >= concurrency * _AHEAD or sum(sizes) + size > _AHEAD_BYTES):
                    yield _first(waiting)
                    sizes.popleft()
                waiting.append(_started(place, make, limits, slots, workers, loop))
                sizes.append(size)
            while waiting:
                yield _first(waiting)
        finally:
            for future in waiting:
                future.cancel()
            _settle(loop)


def _settle(loop: asyncio.AbstractEventLoop) -> None:
    """Wait until what was cancelled has stopped: it shall not call threads that are gone.

    The loop cannot be waited for when Python ends with an iterator unfinished, nor by the loop's own thread, where the
    garbage collector may have found one.
    """
    with suppress(RuntimeError):
        if asyncio.get_running_loop() is loop:
            return
    if not sys.is_finalizing():
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result()


def _size(place: Place | File | ArrowLabelsError, limits: Limits) -> int:
    """Bytes that a file will take, at most."""
    if not isinstance(place, File):
        return 0
    return limits.max_bytes or 0 if place.size is None else place.size


def _first(waiting: deque[Future[T]]) -> T:
    """The result of the first, which leaves when it is there: whoever is interrupted can still cancel it."""
    # In short waits: with the signal handler that Polars installs, Ctrl-C does not end a long one.
    while not wait([waiting[0]], _GLANCE).done:
        pass
    result = waiting[0].result()
    waiting.popleft()
    return result


def _started(
    place: Place | File | ArrowLabelsError,
    make: Callable[[bytes], T],
    limits: Limits,
    slots: asyncio.Semaphore,
    workers: Executor,
    loop: asyncio.AbstractEventLoop,
) -> Future[T | ArrowLabelsError]:
    try:
        if isinstance(place, ArrowLabelsError):
            raise place
        read = _reader(place, limits)
        return asyncio.run_coroutine_threadsafe(_run(read, place, make, limits, slots, workers), loop)
    except ArrowLabelsError as error:
        failed: Future[T | ArrowLabelsError] = Future()
        failed.set_result(type(error)(str(error)))
        return failed


async def _run(
    read: Read,
    place: Place | File,
    make: Callable[[bytes], T],
    limits: Limits,
    slots: asyncio.Semaphore,
    workers: Executor,
) -> T | ArrowLabelsError:
    async with slots:
        try:
            data = await _retried(read, place, limits)
            _LOG.debug("fetched %s: %d bytes", _name(place), len(data))
            if make is bytes:  # nothing is made of them: the way to a thread and back costs as much as a small answer
                return data  # type: ignore[return-value]
            return await asyncio.get_running_loop().run_in_executor(workers, make, data)
        except ArrowLabelsError as error:
            return type(error)(hidden(str(error), _options(place)))  # without those that led to it: they know the URL


async def _retried(read: Read, place: Place | File, limits: Limits) -> bytes:
    """What `read` gives, tried again after pauses that double and are drawn by chance."""
    import tenacity

    retrying = tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception_type(PassingError),
        stop=tenacity.stop_after_attempt(limits.retries + 1),
        wait=_pause,
        before_sleep=partial(_tell, place, limits.retries + 1),
        reraise=True,
    )
    try:
        return await retrying(_attempt, read, limits.timeout)
    except PassingError as error:
        raise FetchError(f"{error} (attempt {limits.retries + 1} of {limits.retries + 1})") from None


def _tell(place: Place | File, attempts: int, state: tenacity.RetryCallState) -> None:
    """Log an attempt that failed and is followed by another."""
    why = hidden(str(state.outcome.exception() if state.outcome else ""), _options(place))
    told = "attempt %d of %d: %s - at %s: again in %.1f s"
    _LOG.warning(told, state.attempt_number, attempts, why, _name(place), state.upcoming_sleep)


def _name(place: Place | File) -> str:
    """A place as people may see it."""
    return place.name if isinstance(place, File) else shown(place.url).partition("?")[0]


def _options(place: Place | File) -> Mapping[str, Any] | None:
    return place.fs.storage_options if isinstance(place, File) else place.options


def _pause(state: tenacity.RetryCallState) -> float:
    import tenacity

    error = state.outcome.exception() if state.outcome else None
    asked = error.wait if isinstance(error, PassingError) else 0.0
    drawn = tenacity.wait_random_exponential(multiplier=_FIRST_WAIT, max=_LONGEST_WAIT)(state)
    return min(max(drawn, asked), _LONGEST_WAIT)


async def _attempt(read: Read, timeout: float) -> bytes:
    """One attempt, its errors turned into those of this library: those of others hold URLs, whole."""
    try:
        return await asyncio.wait_for(read(), timeout)
    except (ArrowLabelsError, MissingExtraError, MemoryError):
        raise
    except TimeoutError:
        raise PassingError(f"Expected a whole answer within {timeout:g} s, got none") from None
    except FileNotFoundError:
        raise FetchError("Expected a file, got nothing") from None
    except PermissionError:
        raise FetchError("Expected a file that may be read, got a refusal") from None
    except OSError as error:
        kind = FetchError if error.errno in _FINAL else PassingError
        raise kind(f"Expected a file that can be read, got {reason(error)}") from None
    except Exception as error:  # file systems raise errors of the libraries below them
        raise FetchError(f"Expected a file that can be read, got {reason(error)}") from None


def _reader(place: Place | File, limits: Limits) -> Read:
    """The function that reads a place once."""
    if isinstance(place, File):
        if scheme(place.path) in HTTP:
            return partial(get, Place(place.path, place.fs.storage_options), limits)
        return partial(_read_async, place.fs, place.path, limits)
    if place.is_local:
        return partial(asyncio.to_thread, _read_file, place.url, limits)
    if scheme(place.url) in HTTP:
        file_system("https://", None)  # says at once what is not installed
        return partial(get, place, limits)
    fs, path = file_system(place.url, dict(place.options or {}))
    if fs.async_impl:
        return partial(_read_async, fs, path, limits)
    return partial(asyncio.to_thread, _read, place, limits)


def _read_file(path: str, limits: Limits) -> bytes:
    try:
        if not Path(path).is_file():
            raise FetchError(f"Expected a file, got {'something else' if Path(path).exists() else 'nothing'}")
        with Path(path).open("rb") as file:
            return _fitting(file.read(-1 if limits.max_bytes is None else limits.max_bytes + 1), limits)
    except OSError as error:
        raise FetchError(f"Expected a file that can be read, got {os.strerror(error.errno or 0)}") from None


def _read(place: Place, limits: Limits) -> bytes:
    # fsspec makes an instance for each thread: not every file system can be used by several at a time.
    fs, path = file_system(place.url, dict(place.options or {}))
    return _fitting(fs.cat_file(path, **_range(limits)), limits)


async def _read_async(fs: fsspec.asyn.AsyncFileSystem, path: str, limits: Limits) -> bytes:
    return _fitting(await fs._cat_file(path, **_range(limits)), limits)


def _range(limits: Limits) -> dict[str, int]:
    return {} if limits.max_bytes is None else {"start": 0, "end": limits.max_bytes + 1}


def _fitting(data: bytes, limits: Limits) -> bytes:
    if limits.max_bytes is not None and len(data) > limits.max_bytes:
        raise TooLargeError(f"Expected at most {limits.max_bytes:,} bytes (`max_bytes`), got more")
    return data
