"""One file of a build context, as it is hashed and sent.

Pure values, and the rule for file names: UTF-8, with other bytes as surrogates (PEP 383).
"""

from __future__ import annotations

import os
from typing import Literal, NamedTuple

Kind = Literal["file", "exec", "dir", "link"]

# Opening never waits for a FIFO's other end, and never follows a link that has just replaced a file.
READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

RUN_AGAIN = "run again while nothing changes the folder"


class Entry(NamedTuple):
    """One file of a context.

    ``path`` is relative, with '/'. ``digest`` is the sha256 of the content, or of a link's target (``link``),
    without a prefix; "" for a folder. ``size`` is in bytes. ``data`` is the content if it is held in memory.
    """

    path: str
    kind: Kind
    digest: str
    size: int = 0
    data: bytes | None = None
    link: str = ""


def encode(path: str) -> bytes:
    """Return a path as bytes, whatever the locale; the reverse of ``decode``."""
    return path.encode("utf-8", "surrogateescape")


def decode(name: bytes) -> str:
    """Return a name as text, whatever the locale; pathlib would decode it by the locale."""
    return name.decode("utf-8", "surrogateescape")
