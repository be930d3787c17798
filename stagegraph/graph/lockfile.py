"""The file ``stages.lock``: its format, reading and writing.

Knows nothing of how a reference is resolved. A TOML file: the package date, and one table for each external
image.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import os
import re
from typing import TYPE_CHECKING, Any

from ..errors import LockError
from ..oci.digest import is_digest
from ..oci.platform import OciPlatform
from ..system import bounded
from ..system.files import write_atomically
from ..waits.flocks import flock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FILE = "stages.lock"

#: Keys of an entry that are true or absent: the image leaves triggers; these take from elsewhere.
FLAGS = ("onbuild", "onbuild_from")

_HEADER = "# Written when something is missing, kept as it is otherwise; commit it.\n"

_ANEW = "restore it from version control, or delete it to pin everything again"

_NOT_PLATFORMS = ("index", *FLAGS)  # keys of an entry besides platforms

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}|\d{8}T\d{6}Z")


def read(path: Path) -> dict[str, Any]:
    """Return the checked content of the file, {} if there is none. Raises ``LockError``."""
    import tomllib

    try:
        text = bounded.read_text(path)
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise LockError(FILE, f"cannot be read: {error}") from None
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise LockError(FILE, f"not valid TOML: {error}", _ANEW) from None
    _check(data)
    return data


def change(path: Path, apply: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """Apply a change to the current content, write it, and return it. One process does so at a time."""
    import toml

    with _folder_locked(path.parent):
        data = read(path)
        apply(data)
        write_atomically(path, (_HEADER + toml.dumps(data)).encode())
    return data


def platforms(entry: dict[str, Any]) -> list[OciPlatform]:
    """Return the platforms that an entry pins."""
    return [OciPlatform(key) for key in entry if key not in _NOT_PLATFORMS]


def _check(data: dict[str, Any]) -> None:
    if "archive" in data and not _is_date(str(data["archive"])):
        raise LockError(FILE, f"archive is not a date: {data['archive']!r}", 'write it as "2025-01-31"')
    images = data.get("images", {})
    if not isinstance(images, dict) or not all(isinstance(entry, dict) for entry in images.values()):
        raise LockError(FILE, "images must be tables", _ANEW)
    for reference, entry in images.items():
        for key, value in entry.items():
            if not (isinstance(value, bool) if key in FLAGS else is_digest(value)):
                kind = "true or false" if key in FLAGS else "a digest"
                raise LockError(FILE, f"{reference}: {key} is not {kind}: {value!r}", _ANEW)


def _is_date(text: str) -> bool:
    with contextlib.suppress(ValueError):
        return bool(_DATE.fullmatch(text)) and bool(datetime.datetime.fromisoformat(text))
    return False


@contextlib.contextmanager
def _folder_locked(folder: Path) -> Iterator[None]:
    """Let one process in at a time. A lock on the folder itself leaves no lock file behind."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            flock(handle, fcntl.LOCK_EX, folder, f"another process writes {FILE}")
        yield
    finally:
        os.close(handle)
