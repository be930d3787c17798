"""The BuildKit of another engine behind a TCP port on loopback, like a remote buildkitd.

An engine speaks BuildKit's protocol on its own socket after an upgrade of the connection (``POST /grpc``).
buildx's ``remote`` driver speaks the protocol at once. So this endpoint does the upgrade and passes the bytes
in both directions.
"""

from __future__ import annotations

import contextlib
import socket
import threading

_UPGRADE = b"POST /grpc HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"


class Endpoint:
    """Listen until it is closed, which ends all connections. It can be opened again on the same port."""

    def __init__(self, engine: str) -> None:
        """Listen for clients of ``engine``, the path of the engine's socket."""
        self.engine = engine
        self.port = 0
        self.connections: list[socket.socket] = []
        self.open()

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    def open(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def close(self) -> None:
        for each in (self.listener, *self.connections):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self.connections.clear()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        engine = socket.socket(socket.AF_UNIX)
        self.connections += [client, engine]
        with contextlib.suppress(OSError):
            engine.connect(self.engine)
            engine.sendall(_UPGRADE)
            head = b""
            while not head.endswith(b"\r\n\r\n") and (byte := engine.recv(1)):
                head += byte
            threading.Thread(target=_pipe, args=(client, engine), daemon=True).start()
        _pipe(engine, client)


def _pipe(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
