"""An HTTP server on loopback that answers as it is told to, faults and all, and counts what it is asked."""

import http.server
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple


class Answer(NamedTuple):
    """What one request gets."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = {}
    wait: float = 0.0
    """Seconds before the answer."""
    drip: float = 0.0
    """Seconds before each byte of the body."""
    length: int | None = None
    """The Content-Length that it claims; -1: none, and the connection closes after the body."""
    dropped: bool = False
    """Close the connection without an answer."""
    endless: bool = False
    """Send the body again and again."""


class Asked(NamedTuple):
    """One request."""

    path: str
    headers: Mapping[str, str]


class Server:
    """What the server answers, and what it was asked; `peak` is how many requests it had at once."""

    def __init__(self, answers: Mapping[str, list[Answer]]) -> None:
        self.answers = {path: list(found) for path, found in answers.items()}
        self.asked: list[Asked] = []
        self.url = ""
        self.lock = threading.Lock()
        self.now = self.peak = self.sent = 0

    def paths(self) -> list[str]:
        return [asked.path for asked in self.asked]

    def next(self, path: str) -> Answer:
        """The answers of a path in turn, the last for good; 404 for a path that has none."""
        found = self.answers.get(path) or self.answers.get(path.partition("?")[0]) or [Answer(status=404)]
        return found.pop(0) if len(found) > 1 else found[0]


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    served: Server

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        served = self.served
        with served.lock:
            served.asked.append(Asked(self.path, {name.lower(): value for name, value in self.headers.items()}))
            served.now += 1
            served.peak = max(served.peak, served.now)
            answer = served.next(self.path)
        try:
            self.send(answer)
        except OSError:  # whoever asked has gone
            self.close_connection = True
        finally:
            with served.lock:
                served.now -= 1

    def send(self, answer: Answer) -> None:
        time.sleep(answer.wait)
        if answer.dropped:
            self.close_connection = True
            return
        self.send_response(answer.status)
        length = len(answer.body) if answer.length is None else answer.length
        headers = {"Content-Type": "image/png"} | (
            {} if answer.endless or length < 0 else {"Content-Length": str(length)}
        )
        for name, value in (headers | dict(answer.headers)).items():
            self.send_header(name, value)
        self.end_headers()
        self.close_connection = answer.endless or answer.length is not None
        while True:
            if answer.drip:
                for byte in answer.body:
                    time.sleep(answer.drip)
                    self.wfile.write(bytes([byte]))
            else:
                self.wfile.write(answer.body)
                self.served.sent += len(answer.body)
            if not answer.endless:
                return


class _Threads(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: Any) -> None:
        pass  # connections that were reset


@contextmanager
def faulty_server(answers: Mapping[str, list[Answer]]) -> Iterator[Server]:
    """A server that runs meanwhile; each path has answers that it gives in turn."""
    served = Server(answers)
    handler = type("Handler", (_Handler,), {"served": served})
    with _Threads(("127.0.0.1", 0), handler) as server:
        server.block_on_close = False
        served.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield served
        finally:
            server.shutdown()
