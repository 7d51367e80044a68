"""Bytes of many places at once, from servers that fail, cheat and redirect."""

import asyncio
import gzip
import logging
import os
import threading
import time
import traceback
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import fsspec
import pytest
from faulty_server import Answer, Server, faulty_server

import arrow_labels as al
from arrow_labels import fetch as fetching
from arrow_labels import sources
from arrow_labels.fetch import fetch, fetch_all
from arrow_labels.http_bytes import Limits, asked_wait
from arrow_labels.locate import Place

KEY = "5ecret"
SIGNED = f"X-Amz-Signature={KEY}"
FINE = b"\x89PNG and so on"


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "_FIRST_WAIT", 0.001)


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """A function that starts a server with these answers; paths are the names of arguments."""
    running = []

    def start(**answers: Any) -> Server:
        found = {f"/{path}": item if isinstance(item, list) else [item] for path, item in answers.items()}
        server = faulty_server(found)
        running.append(server)
        return server.__enter__()

    yield start
    for server in running:
        server.__exit__(None, None, None)


def get(url: str, options: dict[str, Any] | None = None, **limits: Any) -> bytes:
    return fetch(Place(url, options), Limits(**limits))


def error_of(url: str, options: dict[str, Any] | None = None, **limits: Any) -> str:
    """What goes wrong; it is final, so nothing is tried again unless told to be."""
    with pytest.raises(al.FetchError) as raised:
        fetch(Place(url, options), Limits(**limits))
    return str(raised.value)


PASSING = {
    "500": (Answer(status=500), "500 Internal Server Error"),
    "502": (Answer(status=502), "502 Bad Gateway"),
    "429": (Answer(status=429), "429 Too Many Requests"),
    "408": (Answer(status=408), "408 Request Timeout"),
    "dropped": (Answer(dropped=True), "a dropped connection"),
    "slow": (Answer(FINE, wait=2), "within 0.3 s, got none"),
    "drips": (Answer(FINE * 10, drip=0.05), "within 0.3 s, got none"),
    "truncated": (Answer(FINE, length=100), "one that ends too early"),
    "truncated gzip": (
        Answer(gzip.compress(FINE)[:-3], headers={"Content-Encoding": "gzip"}),
        "one that ends too early",
    ),
    "malformed": (Answer(FINE, headers={"Content-Length": "x"}), "one that is malformed"),
}


@pytest.mark.parametrize(("answer", "message"), PASSING.values(), ids=PASSING)
def test_what_passes_is_tried_again(serve: Callable[..., Server], answer: Answer, message: str) -> None:
    server = serve(a=[answer, answer, Answer(FINE)], b=answer)
    assert get(f"{server.url}/a", retries=6, timeout=0.3) == FINE
    asked = server.paths()
    assert set(asked) == {"/a"}
    assert len(asked) >= 3  # a connection that was kept open and broke is used again by aiohttp at once
    assert error_of(f"{server.url}/b", retries=1, timeout=0.3).endswith(f"{message} (attempt 2 of 2)")


FINAL = {
    "404": (Answer(status=404), "Expected an answer of 200 OK, got 404 Not Found"),
    "410": (Answer(status=410), "Expected an answer of 200 OK, got 410 Gone"),
    "401": (Answer(status=401), "Expected an answer of 200 OK, got 401 Unauthorized"),
    "403": (Answer(b"<html>", 403), "Expected an answer of 200 OK, got 403 Forbidden"),
    "206": (Answer(b"abc", 206), "Expected an answer of 200 OK, got 206 Partial Content"),
    "299": (Answer(b"abc", 299), "Expected an answer of 200 OK, got 299"),
    "no gzip": (
        Answer(FINE, headers={"Content-Encoding": "gzip"}),
        "Expected an answer in gzip, as it says, got other bytes",
    ),
    "brotli": (
        Answer(FINE, headers={"Content-Encoding": "br"}),
        "Expected an answer as it is or in gzip, got another encoding: 'br'",
    ),
}


@pytest.mark.parametrize(("answer", "message"), FINAL.values(), ids=FINAL)
def test_what_does_not_pass_is_not(serve: Callable[..., Server], answer: Answer, message: str) -> None:
    server = serve(a=[answer, Answer(FINE)])
    assert error_of(f"{server.url}/a") == message
    assert server.paths() == ["/a"]


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_signed_url_that_is_refused(serve: Callable[..., Server], status: int) -> None:
    server = serve(a=Answer(status=status))
    assert error_of(f"{server.url}/a?{SIGNED}").endswith(": the signed URL has perhaps expired")


def test_a_server_may_ask_to_wait(serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch) -> None:
    server = serve(
        some=[Answer(status=429, headers={"Retry-After": "0.4"}), Answer(FINE)],
        text=[Answer(status=503, headers={"Retry-After": "soon"}), Answer(FINE)],
        long=[Answer(status=503, headers={"Retry-After": "3600"}), Answer(FINE)],
    )
    start = time.monotonic()
    assert get(f"{server.url}/some") == FINE
    assert time.monotonic() - start >= 0.4
    assert get(f"{server.url}/text") == FINE
    monkeypatch.setattr(fetching, "_LONGEST_WAIT", 0.01)
    assert get(f"{server.url}/long") == FINE


@pytest.mark.parametrize(("after", "least", "most"), [(100, 50, 100), (-100, 0, 0)])
def test_a_server_may_ask_to_wait_until_a_time(after: float, least: float, most: float) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=after), usegmt=True)
    assert least <= asked_wait(date) <= most


def test_no_connection() -> None:
    message = error_of("http://127.0.0.1:9/a", retries=1)
    assert message.startswith("Expected a connection, got ")
    assert message.endswith("(attempt 2 of 2)")


@pytest.mark.parametrize("length", [None, -1])
@pytest.mark.parametrize("encoding", ["identity", "gzip", "deflate", "GZIP "])
def test_answers_are_as_they_are(serve: Callable[..., Server], length: int | None, encoding: str) -> None:
    kind = encoding.strip().lower()
    body = {"identity": bytes, "gzip": gzip.compress, "deflate": zlib.compress}[kind](FINE)
    server = serve(a=Answer(body, headers={"Content-Encoding": encoding}, length=length))
    assert get(f"{server.url}/a") == FINE
    assert server.asked[0].headers["accept-encoding"] == "identity"


def test_urls_are_sent_as_they_stand(serve: Callable[..., Server]) -> None:
    server = serve(a=Answer(FINE))
    for path in ("/a?x=%2F%7e%41+b%20&y=", "/a?z=~!$'()*,;:@/?[]"):
        assert get(server.url + path) == FINE
        assert server.asked[-1].path == path
    assert get(f"{server.url}/a?x=ä b#c") == FINE
    assert server.asked[-1].path == "/a?x=%C3%A4+b"


BIG = {
    "its length": Answer(bytes(2000)),
    "a lie about it": Answer(bytes(2000), length=500_000_000),
    "no length": Answer(bytes(2000), length=-1),
    "no end": Answer(bytes(2000), endless=True),
    "gzip": Answer(gzip.compress(bytes(200_000_000), 1), headers={"Content-Encoding": "gzip"}),
}


@pytest.mark.parametrize("answer", BIG.values(), ids=BIG)
def test_answers_are_cut_off(serve: Callable[..., Server], answer: Answer) -> None:
    server = serve(a=answer)
    assert error_of(f"{server.url}/a", max_bytes=1000) == "Expected at most 1,000 bytes (`max_bytes`), got more"
    assert server.paths() == ["/a"]
    time.sleep(0.05)
    sent = server.sent
    time.sleep(0.05)
    assert server.sent == sent < 20_000_000  # the connection is closed


def test_what_is_inflated_is_cut_off_as_it_comes(serve: Callable[..., Server]) -> None:
    server = serve(a=BIG["gzip"])
    error_of(f"{server.url}/a", max_bytes=1000)  # what is imported by the first request does not count
    tracemalloc.start()
    error_of(f"{server.url}/a", max_bytes=1000)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 10_000_000


def test_the_largest_answer_that_fits(serve: Callable[..., Server]) -> None:
    server = serve(a=Answer(bytes(1000)), b=Answer(gzip.compress(bytes(1000)), headers={"Content-Encoding": "gzip"}))
    for path in "ab":
        assert get(f"{server.url}/{path}", max_bytes=1000) == bytes(1000)
        assert "at most 999 bytes" in error_of(f"{server.url}/{path}", max_bytes=999)


def test_redirects_are_followed(serve: Callable[..., Server]) -> None:
    other = serve(z=Answer(FINE))
    server = serve(
        a=Answer(status=301, headers={"Location": "/b?c=1"}),
        b=Answer(status=307, headers={"Location": f"{other.url}/z"}),
        no=Answer(status=302),
    )
    assert get(f"{server.url}/a") == FINE
    assert (server.paths(), other.paths()) == (["/a", "/b?c=1"], ["/z"])
    assert error_of(f"{server.url}/no") == "Expected an answer of 200 OK, got 302 Found"


def test_redirects_are_limited(serve: Callable[..., Server]) -> None:
    server = serve(a=Answer(status=302, headers={"Location": "/a"}))
    assert error_of(f"{server.url}/a") == "Expected at most 5 redirects, got more"
    assert len(server.asked) == 6


@pytest.mark.parametrize(
    "target",
    ["file:///etc/passwd", "ftp://127.0.0.1/a", "s3://labels/a", "data:,a", "javascript:a", "FILE:/etc/passwd"],
)
def test_redirects_stay_within_http(serve: Callable[..., Server], target: str) -> None:
    server = serve(a=Answer(status=302, headers={"Location": target}))
    message = error_of(f"{server.url}/a", protocols=("http", "https", "s3", "file", "ftp"))
    assert message == f"Expected http or https redirects, got one to `{target.partition(':')[0].lower()}:`"


def test_redirects_stay_within_the_protocols_before_they_are_asked_for(serve: Callable[..., Server]) -> None:
    other = serve(a=Answer(FINE))
    server = serve(a=Answer(status=302, headers={"Location": f"{other.url}/a"}))
    # What is refused is the protocol of the target: the caller has allowed the first request itself.
    assert error_of(f"{server.url}/a", protocols=("https",)) == "Expected https redirects, got one to `http:`"
    assert error_of(f"{server.url}/a", protocols=("s3",)) == "Expected no redirects, got one to `http:`"
    assert other.asked == []


@pytest.mark.parametrize("target", ["http://[a", "http://h:x/"])
def test_redirects_to_nonsense(serve: Callable[..., Server], target: str) -> None:
    server = serve(a=Answer(status=302, headers={"Location": target}))
    assert "text that is none" in error_of(f"{server.url}/a")


CREDENTIALS: dict[str, dict[str, Any]] = {
    "headers": {"headers": {"Authorization": f"Bearer {KEY}", "X-Api-Key": KEY}},
    "session": {"client_kwargs": {"headers": {"X-Api-Key": KEY}, "cookies": {"key": KEY}}},
    "cookies": {"cookies": {"key": KEY}},
}


@pytest.mark.parametrize("options", CREDENTIALS.values(), ids=CREDENTIALS)
def test_credentials_go_to_no_other_origin(serve: Callable[..., Server], options: dict[str, Any]) -> None:
    other = serve(z=Answer(FINE))
    server = serve(
        a=Answer(status=302, headers={"Location": "/b"}), b=Answer(status=302, headers={"Location": f"{other.url}/z"})
    )
    assert get(f"{server.url}/a", options) == FINE
    assert [KEY in str(asked.headers) for asked in server.asked] == [True, True]
    assert [KEY in str(asked.headers) for asked in other.asked] == [False]


def test_a_user_in_the_url_is_told_to_its_host_only(serve: Callable[..., Server]) -> None:
    other = serve(z=Answer(FINE))
    server = serve(a=Answer(status=302, headers={"Location": f"{other.url}/z"}))
    assert get(server.url.replace("//", f"//user:{KEY}@") + "/a") == FINE
    assert "authorization" in server.asked[0].headers
    assert "authorization" not in other.asked[0].headers


FAILING = {
    "refused": Answer(KEY.encode(), 403),
    "busy": Answer(KEY.encode(), 500),
    "dropped": Answer(dropped=True),
    "slow": Answer(wait=1),
    "truncated": Answer(KEY.encode(), length=100),
    "malformed": Answer(headers={"Content-Length": KEY}),
    "redirect": Answer(status=302, headers={"Location": f"ftp://user:{KEY}@h/?{KEY}"}),
    "nonsense": Answer(status=302, headers={"Location": f"http://[{KEY}"}),
    "too much": Answer(KEY.encode() * 100),
    "encoding": Answer(KEY.encode(), headers={"Content-Encoding": "gzip"}),
}


@pytest.mark.parametrize("answer", FAILING.values(), ids=FAILING)
def test_no_error_tells_a_secret(
    serve: Callable[..., Server], answer: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    server = serve(a=answer)
    url = server.url.replace("//", f"//user:{KEY}@") + f"/a?{SIGNED}#{KEY}"
    with caplog.at_level(logging.DEBUG), pytest.raises(al.FetchError) as raised:
        fetch(Place(url, {"headers": {"X-Api-Key": KEY}}), Limits(max_bytes=100, retries=1, timeout=0.2))
    assert KEY not in str(raised.value)
    assert KEY not in "".join(traceback.format_exception(raised.value))
    assert KEY not in caplog.text
    error: BaseException | None = raised.value
    while error is not None:
        assert KEY not in repr(error)
        error = error.__context__


def test_no_server_tells_no_secret() -> None:
    message = error_of(f"http://user:{KEY}@127.0.0.1:9/a?{SIGNED}", retries=0)
    assert KEY not in message
    assert KEY not in error_of(f"nowhere://user:{KEY}@host/a?{SIGNED}")
    assert KEY not in error_of(f"memory://user:{KEY}@host/a?{SIGNED}")


def test_other_file_systems(tmp_path: Path) -> None:
    fs = fsspec.filesystem("memory")
    fs.pipe("/fetch/a", bytes(1000))
    assert get("memory://fetch/a") == bytes(1000)
    assert get("memory://fetch/a", max_bytes=1000) == bytes(1000)
    assert error_of("memory://fetch/a", max_bytes=999) == "Expected at most 999 bytes (`max_bytes`), got more"
    assert error_of("memory://fetch/b") == "Expected a file, got nothing"
    (tmp_path / "a").write_bytes(FINE)
    assert get(str(tmp_path / "a")) == get(f"file://{tmp_path}/a") == FINE


def test_local_files(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(1000))
    os.mkfifo(tmp_path / "pipe")

    def read(name: str, max_bytes: int | None = None) -> bytes:
        return fetch(Place(str(tmp_path / name), None, is_local=True), Limits(max_bytes))

    assert read("a") == read("a", 1000) == bytes(1000)
    wrong = {"b": "got nothing", "": "got something else", "pipe": "got something else", "x" * 300: "name too long"}
    for name, message in wrong.items():
        with pytest.raises(al.FetchError, match=f"(?i)Expected a file.*{message}$"):
            read(name)
    with pytest.raises(al.FetchError, match="at most 999 bytes"):
        read("a", 999)


def test_a_package_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ImportError("no aiohttp")

    monkeypatch.setattr(sources, "url_to_fs", fail)
    for url, extra in (("https://h/a", "http"), ("s3://h/a", "s3"), ("gs://h/a", "gcs")):
        with pytest.raises(al.MissingExtraError, match=rf"python -m pip install 'arrow-labels\[{extra}\]'"):
            get(url)


def test_results_come_in_order_and_bounded(serve: Callable[..., Server]) -> None:
    names = [f"a{number}" for number in range(60)]
    server = serve(**{name: Answer(name.encode(), wait=0.03 * (number % 3)) for number, name in enumerate(names)})
    lock, making, most = threading.Lock(), 0, 0

    def make(data: bytes) -> str:
        nonlocal making, most
        with lock:
            making += 1
            most = max(most, making)
        time.sleep(0.002)
        with lock:
            making -= 1
        return data.decode()

    jobs = ((Place(f"{server.url}/{name}", None), make) for name in names)
    assert list(fetch_all(jobs, Limits(), concurrency=8)) == names
    assert sorted(server.paths()) == sorted(f"/{name}" for name in names)
    assert 2 <= server.peak <= 8
    assert most <= (os.cpu_count() or 1)


def test_an_image_counts_until_it_is_made(serve: Callable[..., Server]) -> None:
    server = serve(a=Answer(FINE))
    freed = threading.Event()

    def make(data: bytes) -> bytes:
        freed.wait(10)
        return data

    jobs = ((Place(f"{server.url}/a", None), make) for _ in range(6))
    results = fetch_all(jobs, Limits(), concurrency=3)
    first = threading.Thread(target=lambda: next(results))
    first.start()
    time.sleep(0.2)
    assert len(server.asked) == 3
    freed.set()
    first.join()
    assert len(list(results)) == 5


def test_errors_take_their_place(serve: Callable[..., Server]) -> None:
    server = serve(a=Answer(FINE), b=[Answer(status=500), Answer(dropped=True), Answer(FINE)])
    refused = al.FetchError("Expected another URL")

    def damaged(_: bytes) -> bytes:
        raise al.BitmapError("Expected a bitmap")

    places: list[Any] = [Place(f"{server.url}/{name}", None) for name in ("a", "missing", "b")]
    jobs: list[Any] = [(refused, bytes), *((place, bytes) for place in places), (places[0], damaged)]
    found = list(fetch_all(iter(jobs), Limits(), concurrency=4))
    assert str(found[0]) == str(refused)
    assert (found[1], found[3]) == (FINE, FINE)
    assert [type(error) for error in (found[2], found[4])] == [al.FetchError, al.BitmapError]


def test_what_nobody_waits_for_is_stopped(serve: Callable[..., Server]) -> None:
    server = serve(a=Answer(FINE), slow=Answer(FINE, wait=60), busy=Answer(status=503, headers={"Retry-After": "60"}))
    jobs = ((Place(f"{server.url}/{name}", None), bytes) for name in ("a", "slow", "slow", "busy"))
    start = time.monotonic()
    results = fetch_all(jobs, Limits(), concurrency=4)
    assert next(results) == FINE
    time.sleep(0.1)
    results.close()
    assert time.monotonic() - start < 20

    async def running() -> list[str]:
        return [str(task.get_coro()) for task in asyncio.all_tasks() if fetching._run.__name__ in str(task.get_coro())]

    deadline = time.monotonic() + 10
    while asyncio.run_coroutine_threadsafe(running(), fsspec.asyn.get_loop()).result():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_mistake_is_not_taken_for_a_bad_file(serve: Callable[..., Server]) -> None:
    server = serve(a=Answer(FINE))
    with pytest.raises(ZeroDivisionError):
        list(
            fetch_all(
                [(Place(f"{server.url}/a", None), lambda data: 1 // (len(data) - len(data)))], Limits(), concurrency=1
            )
        )
