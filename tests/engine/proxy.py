"""A small HTTP proxy on loopback in front of a real registry. It fails as a test wants it to."""

from __future__ import annotations

import http.client
import http.server
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any


class Request:
    """An incoming request, and the possible reactions."""

    def __init__(self, proxy: Proxy, handler: http.server.BaseHTTPRequestHandler) -> None:
        self.proxy, self._handler = proxy, handler
        self.method, self.path = handler.command, handler.path
        self.what = self.path.split("?")[0].rstrip("/").split("/")[-2]  # blobs, manifests, uploads
        # each upload of a blob has a new address, so identify the blob by its size
        sent = handler.headers.get("Content-Length", "") if self.method == "PATCH" else ""
        name = (self.method, sent or self.path.split("?")[0])
        with proxy.lock:
            proxy.seen.append((time.monotonic(), self.method, self.path))
            self.number = len(proxy.seen)
            proxy.times[name] += 1
            self.time = proxy.times[name]  # number of such requests so far

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self._head(status, {"Content-Length": str(len(body)), **headers})
        self._write(body)

    def forward(self, edit: Callable[[bytes], bytes] = lambda body: body, sent: float = 1.0) -> None:
        """Forward the request and return the registry's answer.

        ``edit`` changes the body. ``sent`` is the part of the body after which the answer is cut off.
        """
        handler = self._handler
        length = handler.headers.get("Content-Length")
        body = handler.rfile.read(int(length)) if length else b"".join(self._chunks())
        connection = http.client.HTTPConnection(self.proxy.target, timeout=60)
        # a header may occur several times, such as Accept
        headers = {name: ", ".join(handler.headers.get_all(name, [])) for name in handler.headers}
        headers.pop("Transfer-Encoding", None)
        connection.request(self.method, self.path, body, {**headers, "Content-Length": str(len(body))})
        response = connection.getresponse()
        data = edit(response.read())
        connection.close()
        keep = {
            n: v for n, v in response.getheaders() if n.lower() not in ("transfer-encoding", "connection")
        }
        self._head(response.status, keep)
        if self.method != "HEAD":
            self._write(data[: int(len(data) * sent)])

    def cut(self) -> None:
        """End the connection in the middle of a body: that of the answer, or that of the request."""
        if self.method == "GET":
            self.forward(sent=0.5)
        else:
            self._handler.rfile.read(int(self._handler.headers.get("Content-Length") or 64) // 2)
        with suppress(OSError):
            self._handler.connection.shutdown(socket.SHUT_RDWR)

    def send_on(self) -> None:
        """Answer with a body that does not end: 16 GiB, unless the client goes away."""
        self._head(200, {"Content-Type": "application/octet-stream"})
        for _ in range(16384):
            self._handler.wfile.write(bytes(1 << 20))
            self.proxy.sent += 1 << 20

    def hang(self) -> None:
        """Do not answer until the proxy ends."""
        self.proxy.ended.wait(300)

    def _chunks(self) -> Iterator[bytes]:
        if "chunked" not in (self._handler.headers.get("Transfer-Encoding") or ""):
            return
        while size := int(self._handler.rfile.readline().strip() or b"0", 16):
            yield self._handler.rfile.read(size)
            self._handler.rfile.readline()

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self._handler.send_response(status)
        for name, value in {**headers, "Connection": "close"}.items():
            self._handler.send_header(name.replace("_", "-"), value)
        self._handler.end_headers()

    def _write(self, data: bytes) -> None:
        with suppress(OSError):
            self._handler.wfile.write(data)


Fault = Callable[[Request], None]


@dataclass
class Proxy:
    """A running proxy. It calls ``fault`` for every request. A test may replace ``fault`` at any time."""

    target: str
    host: str = ""
    fault: Fault = Request.forward
    latency: float = 0.0
    seen: list[tuple[float, str, str]] = field(default_factory=list)
    times: Counter[tuple[str, str]] = field(default_factory=Counter)
    lock: Any = field(default_factory=threading.Lock)
    sent: int = 0  # bytes, by ``Request.send_on``
    ended: threading.Event = field(default_factory=threading.Event)

    def asked(self, method: str, what: str) -> list[str]:
        """Return the last segments of the requested paths: ``asked("GET", "manifests")``."""
        paths = [path.split("?")[0].split("/") for _, m, path in self.seen if m == method]
        return [words[-1] for words in paths if words[-2:-1] == [what]]


@contextmanager
def proxy(target: str, fault: Fault = Request.forward, latency: float = 0.0) -> Iterator[Proxy]:
    """A proxy in front of ``target`` (``HOST:PORT``). ``latency`` delays each request (seconds)."""
    made = Proxy(target, fault=fault, latency=latency)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one(self) -> None:
            time.sleep(made.latency)
            with suppress(OSError, http.client.HTTPException):
                made.fault(Request(made, self))
            self.close_connection = True

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_one  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    class Server(http.server.ThreadingHTTPServer):
        request_queue_size = 64

        def handle_error(self, *_: object) -> None:
            """Ignore clients that disconnect."""

    server = Server(("127.0.0.1", 0), Handler)
    made.host = f"127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield made
    finally:
        made.ended.set()
        server.shutdown()
        server.server_close()
