"""A socket that answers as an engine does, for tests without one."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

#: Docker's answer to a ping, for clients that keep the connection, too.
PONG = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nOK"


@contextmanager
def answering(path: Path, answer: bytes = PONG) -> Iterator[None]:
    """Listen on a socket that gives the same answer to every call."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def serve() -> None:
            while True:
                client, _ = server.accept()
                with client:
                    if not client.recv(4096):
                        return
                    client.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            with socket.socket(socket.AF_UNIX) as last:
                last.connect(str(path))
            thread.join()


@contextmanager
def stalling(path: Path, drip: bytes = b"") -> Iterator[None]:
    """Listen on a socket that accepts calls and does not answer; or sends one byte of ``drip`` at a time."""
    over = threading.Event()

    def serve(client: socket.socket) -> None:
        with client, suppress(OSError):
            for byte in drip:
                client.sendall(bytes([byte]))
                if over.wait(0.02):
                    return
            over.wait()

    def accept(server: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = server.accept()
                threading.Thread(target=serve, args=(client,), daemon=True).start()

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        threading.Thread(target=accept, args=(server,), daemon=True).start()
        try:
            yield
        finally:
            over.set()
            server.shutdown(socket.SHUT_RDWR)


#: The beginning of an answer that never ends.
DRIP = b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000
