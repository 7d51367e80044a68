"""The bytes of a URL over HTTP: each redirect looked at before it is asked for, the answer cut off at a limit.

Options of the file system (headers, cookies, authentication) go to the origin that they were given for, and to none
that it redirects to. Nothing that a server or a library says about a URL gets into an error.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Collection
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urljoin

from arrow_labels.errors import FetchError
from arrow_labels.locate import HTTP, Place, scheme, store
from arrow_labels.redaction import reason
from arrow_labels.sources import file_system

if TYPE_CHECKING:
    import aiohttp
    import yarl

_REDIRECTS: Final = 5
_REDIRECTING: Final = (301, 302, 303, 307, 308)
_BUSY: Final = (408, 425, 429)
_EXPIRED: Final = (400, 401, 403)
_READY: Final = re.compile(r"[!-~]+")


class Limits(NamedTuple):
    """What one place may take: bytes, further attempts, seconds an attempt; and where redirects may lead."""

    max_bytes: int | None = None
    retries: int = 4
    timeout: float = 60.0
    protocols: Collection[str] = HTTP


class PassingError(FetchError):
    """What may go well next time, after `wait` seconds where the server says so."""

    def __init__(self, message: str, wait: float = 0.0) -> None:
        self.wait = wait
        super().__init__(message)


class TooLargeError(FetchError):
    """There are more bytes than the limit allows."""


async def get(place: Place, limits: Limits) -> bytes:
    """The body of the answer to one request, redirects followed.

    Raises
    ------
    PassingError
        The server is busy, or the connection broke.
    TooLargeError
        The server gives too much.
    FetchError
        The server refuses, or redirects to where it may not or too often.
    """
    import aiohttp

    url = place.url
    try:
        for _ in range(_REDIRECTS + 1):
            at = _parsed(url)
            fs, _path = file_system("https://", dict(place.options or {}) if store(url) == store(place.url) else None)
            session = await fs.set_session()
            async with session.get(at, **_request(fs.kwargs)) as answer:
                target = answer.headers.get("Location")
                if answer.status not in _REDIRECTING or target is None:
                    return await _body(answer, limits.max_bytes)
            url = _redirected(url, target, limits.protocols)
    except aiohttp.ClientSSLError:
        raise FetchError("Expected a server with a valid certificate, got another") from None
    except aiohttp.ClientConnectorError as error:
        raise PassingError(f"Expected a connection, got {reason(error.os_error)}") from None
    except aiohttp.ClientPayloadError:
        raise PassingError("Expected a whole answer, got one that ends too early") from None
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError):
        raise PassingError("Expected an answer, got a dropped connection") from None
    except aiohttp.InvalidURL:
        raise FetchError("Expected a URL, got text that is none") from None
    except aiohttp.ClientError:
        raise PassingError("Expected an HTTP answer, got one that is malformed") from None
    raise FetchError(f"Expected at most {_REDIRECTS} redirects, got more")


def _request(options: dict[str, Any]) -> dict[str, Any]:
    """How to ask: for the bytes as they are, and for redirects to be left to the caller."""
    import aiohttp

    headers = {"Accept-Encoding": "identity", **(options.get("headers") or {})}
    unlimited = aiohttp.ClientTimeout(total=None)  # the caller has a limit for all of it
    return {"timeout": unlimited, **options, "headers": headers, "allow_redirects": False, "auto_decompress": False}


def _parsed(url: str) -> yarl.URL:
    """A URL that is sent as it stands: to quote it anew would break its signature."""
    from yarl import URL

    try:
        return URL(url, encoded=_READY.fullmatch(url) is not None)
    except ValueError:
        raise FetchError("Expected a URL, got text that is none") from None


def _redirected(url: str, target: str, protocols: Collection[str]) -> str:
    try:
        found = urljoin(url, target.strip())
        store(found)
    except ValueError:
        raise FetchError("Expected a redirect to a URL, got one to text that is none") from None
    allowed = [protocol for protocol in HTTP if protocol in protocols]
    if scheme(found) not in allowed:
        raise FetchError(f"Expected {' or '.join(allowed) or 'no'} redirects, got one to `{scheme(found)}:`")
    return found


async def _body(answer: aiohttp.ClientResponse, max_bytes: int | None) -> bytes:
    if answer.status != HTTPStatus.OK:
        raise _refusal(answer)
    encoding = answer.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", "x-gzip", "deflate"):
        raise FetchError(f"Expected an answer as it is or in gzip, got another encoding: {encoding!r:.40}")
    inflate = None if encoding == "identity" else zlib.decompressobj(wbits=47)  # 47: gzip or zlib, as it comes
    body = bytearray()
    async for piece in answer.content.iter_any():
        if inflate is None:
            body += piece
        else:
            try:
                body += inflate.decompress(piece, 0 if max_bytes is None else max_bytes + 1 - len(body))
            except zlib.error:
                raise FetchError(f"Expected an answer in {encoding}, as it says, got other bytes") from None
        if max_bytes is not None and len(body) > max_bytes:
            raise TooLargeError(f"Expected at most {max_bytes:,} bytes (`max_bytes`), got more")
    if inflate is not None and not inflate.eof:
        raise PassingError("Expected a whole answer, got one that ends too early")
    return bytes(body)


def _refusal(answer: aiohttp.ClientResponse) -> FetchError:
    """What a status means; the words of the server are its own, and not repeated."""
    status = answer.status
    try:
        name = f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        name = str(status)
    if status in _BUSY or status >= 500:
        return PassingError(f"Expected an answer of 200 OK, got {name}", asked_wait(answer.headers.get("Retry-After")))
    expired = ": the signed URL has perhaps expired" if status in _EXPIRED and answer.url.raw_query_string else ""
    return FetchError(f"Expected an answer of 200 OK, got {name}{expired}")


def asked_wait(header: str | None) -> float:
    """Seconds that a server asks to wait: it says a number, or a date."""
    try:
        return max(0.0, float(header or 0))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(header or "") - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return 0.0
