"""One file of a build context, as it is hashed and sent."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

Kind = Literal["file", "exec", "dir", "link"]

# Paths are bytes here, since pathlib would decode them by the locale. Opening never waits for a FIFO's other
# end and never follows a link that has just taken a file's place.
READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

RUN_AGAIN = "run again when nothing changes the folder"


@dataclass(frozen=True)
class Entry:
    """One file of a context. ``path`` is relative, with '/'; ``digest`` is of content or link target.

    Names are UTF-8; other bytes stand as surrogates (PEP 383), whatever the locale.
    """

    path: str
    kind: Kind
    digest: str
    size: int = 0
    data: bytes | None = None
    link: str = ""


def encode(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")


def decode(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")
