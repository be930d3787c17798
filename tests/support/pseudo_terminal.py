"""A program in a pseudo-terminal: what its user sees, and the keys that its user presses."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from terminal import plain, screen

INTERRUPT = b"\x03"


class Terminal:
    """A running program and its terminal."""

    def __init__(self, process: subprocess.Popen[bytes], master: int) -> None:
        self.process, self._master, self._output = process, master, b""

    @property
    def screen(self) -> list[str]:
        """The lines that the terminal shows, without spaces at their ends."""
        return [plain(line).rstrip() for line in screen(self._output.decode(errors="replace"))]

    def press(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def until(self, condition: Callable[[list[str]], bool], limit: float = 60) -> list[str]:
        """Wait until a condition of the screen is true. Return the screen then."""
        deadline = time.monotonic() + limit
        while not condition(self.screen):
            assert time.monotonic() < deadline and self._read(), "\n".join(self.screen)
        return self.screen

    def end(self, limit: float = 60) -> list[str]:
        """Wait for the end of the program. Return the last screen."""
        deadline = time.monotonic() + limit
        while self._read():
            assert time.monotonic() < deadline, "\n".join(self.screen)
        self.process.wait(limit)
        return self.screen

    def _read(self) -> bool:
        """Read what is there; return False at the end."""
        if select.select([self._master], [], [], 0.2)[0]:
            try:
                chunk = os.read(self._master, 65536)
            except OSError:  # Linux: nobody has the other end any more
                chunk = b""
            self._output += chunk
            return bool(chunk)
        return True


@contextmanager
def in_terminal(
    command: list[str], folder: Path, environment: Mapping[str, str], *, columns: int = 80, lines: int = 24
) -> Iterator[Terminal]:
    """Start a program in a terminal of its own, so that a key can interrupt it and all its children."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    process = subprocess.Popen(
        ["setsid", "--ctty", *command],
        cwd=folder,
        env=environment,
        stdin=slave,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    try:
        yield Terminal(process, master)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
        os.close(master)
