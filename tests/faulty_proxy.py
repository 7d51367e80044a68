"""An HTTP proxy on loopback, before a server that is sound: it does to chosen requests and answers what networks do."""

import http.client
import http.server
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

_HOP = ("connection", "keep-alive", "transfer-encoding", "content-length", "date", "server")


class Fault(NamedTuple):
    """What happens to one request; with no argument: nothing."""

    wait: float = 0.0
    """Seconds before the request goes on."""
    status: int | None = None
    """What is answered in place of the server, which never hears of the request."""
    is_lost: bool = False
    """The connection is reset before the server hears of the request."""
    is_unanswered: bool = False
    """The connection is reset when the server has done what it was asked."""
    keeps: float = 1.0
    """How much of the body arrives before the connection is reset."""
    claims: float = 1.0
    """How much of the body is said to be there, and sent."""
    drip: float = 0.0
    """Seconds before each tenth of the body."""


FINE = Fault()
FAULTS = {
    "latency": Fault(wait=0.1),
    "500": Fault(status=500),
    "503": Fault(status=503),
    "403": Fault(status=403),
    "404": Fault(status=404),
    "lost": Fault(is_lost=True),
    "unanswered": Fault(is_unanswered=True),
    "truncated": Fault(keeps=0.5),
    "too short": Fault(claims=0.5),
    "drips": Fault(drip=0.02),
}


class Proxy:
    """Where it is, what it was asked, and what it does: `plan` is called with the number, method and path of each."""

    def __init__(self, url: str) -> None:
        self.server = url.partition("://")[2]
        self.url = ""
        self.plan: Callable[[int, str, str], Fault] = lambda *_: FINE
        self.asked: list[tuple[str, str]] = []
        self.lock = threading.Lock()

    def restart(self, plan: Callable[[int, str, str], Fault] = lambda *_: FINE) -> None:
        self.plan = plan
        self.asked = []


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: Proxy

    def log_message(self, *_: Any) -> None:
        pass

    def relay(self) -> None:
        proxy = self.proxy
        body = self.read()
        with proxy.lock:
            proxy.asked.append((self.command, self.path))
            fault = proxy.plan(len(proxy.asked) - 1, self.command, self.path)
        time.sleep(fault.wait)
        if fault.is_lost:
            self.reset()
        elif fault.status is not None:
            self.answer(fault.status, {}, b"", fault)
        else:
            connection = http.client.HTTPConnection(proxy.server, timeout=60)
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
            connection.request(self.command, self.path, body, headers | {"Content-Length": str(len(body))})
            found = connection.getresponse()
            content = found.read()
            length = found.headers.get("Content-Length")
            kept = {name: value for name, value in found.getheaders() if name.lower() not in _HOP}
            connection.close()
            if fault.is_unanswered:
                self.reset()
            else:
                self.answer(found.status, kept, content, fault, length if self.command == "HEAD" else None)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = relay  # noqa: N815

    def read(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        pieces = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(pieces)

    def answer(
        self, status: int, headers: dict[str, str], body: bytes, fault: Fault, length: str | None = None
    ) -> None:
        body = body[: int(len(body) * fault.claims)]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", length or str(len(body)))
        self.end_headers()
        sent = body[: int(len(body) * fault.keeps)]
        step = max(1, len(sent) // 10) if fault.drip else max(1, len(sent))
        for start in range(0, len(sent), step):
            time.sleep(fault.drip)
            self.wfile.write(sent[start : start + step])
        if len(sent) < len(body) or (fault.keeps < 1 and not body):
            self.wfile.flush()
            self.reset()

    def reset(self) -> None:
        """Close the connection with RST."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.shutdown(socket.SHUT_RD)
        self.connection.close()


class _Threads(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: Any) -> None:
        pass  # connections that were reset

    def shutdown_request(self, request: Any) -> None:
        with suppress(OSError):
            super().shutdown_request(request)


@contextmanager
def faulty_proxy(url: str) -> Iterator[Proxy]:
    """A proxy before a server, which runs meanwhile."""
    proxy = Proxy(url)
    with _Threads(("127.0.0.1", 0), type("Handler", (_Handler,), {"proxy": proxy})) as server:
        server.block_on_close = False
        proxy.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield proxy
        finally:
            server.shutdown()
