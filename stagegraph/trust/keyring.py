"""Private keys: in files outside every project, or in a variable of the environment.

A file counts only if it is this user's and nobody else can read it. No message, log or process list shows a
private key.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import TrustError
from ..system.files import open_regular
from . import ed25519
from .ed25519 import KeySigner

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Holds a private key, for CI: the PEM file, or what is between its first and last line.
VARIABLE = "STAGEGRAPH_SIGNING_KEY"

#: The most bytes of a file with a key.
_LARGEST = 10_000


def from_environment(env: Mapping[str, str]) -> KeySigner | None:
    """Return the signer of the key in the environment, if there is one. Raises ``TrustError``."""
    text = env.get(VARIABLE, "")
    if not text.strip():  # CI services set a secret that a job may not have to nothing
        return None
    raw = ed25519.parse_private(text)
    if raw is None:
        what = "is no private key of ed25519 without a passphrase"
        raise TrustError(VARIABLE, what, "doit trust init makes one; put its whole file into the secret")
    return KeySigner(raw)


def path_of(public: str, env: Mapping[str, str]) -> Path:
    """Return the file that ``doit trust init`` gives to the private half of a public key."""
    return _home(env, "XDG_CONFIG_HOME", ".config") / "keys" / f"{_short(public)}.pem"


def path_of_clone(root: Path, env: Mapping[str, str]) -> Path:
    """Return the file of the key that a clone of the project, in this folder, signs its own records with."""
    name = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:16]
    return _home(env, "XDG_STATE_HOME", ".local/state") / "clones" / f"{name}.pem"


def _home(env: Mapping[str, str], variable: str, default: str) -> Path:
    """Return our folder by the XDG Base Directory Specification, which ignores relative paths."""
    value = env.get(variable, "")
    base = Path(value) if value.startswith("/") else Path(env.get("HOME") or Path.home()) / default
    return base / "stagegraph"


def _short(public: str) -> str:
    return hashlib.sha256(public.encode()).hexdigest()[:16]


def read(path: Path) -> KeySigner | None:
    """Return the signer of the key in a file; None if there is no file. Raises ``TrustError``."""
    try:
        with open_regular(path) as file:
            status = os.fstat(file.fileno())
            data = file.read(_LARGEST)
    except (FileNotFoundError, NotADirectoryError):
        if path.is_symlink() or path.exists():
            raise TrustError(str(path), "is no regular file", "write the key itself there") from None
        return None
    except OSError as error:
        raise TrustError(str(path), f"cannot be read: {error.strerror}", "check its owner") from None
    if status.st_uid != os.geteuid():
        raise TrustError(str(path), "belongs to another user", "make a key of your own: doit trust init")
    if status.st_mode & 0o077:
        what = f"other users may read or change it (mode {stat.S_IMODE(status.st_mode):04o})"
        raise TrustError(str(path), what, f"chmod 600 {path}; if somebody may have read it, make a new key")
    raw = ed25519.parse_private(data.decode(errors="replace"))
    if raw is None:
        what = "is no private key of ed25519 without a passphrase"
        raise TrustError(str(path), what, "move it away; doit trust init makes a key")
    return KeySigner(raw)


def make(path: Path) -> KeySigner:
    """Write a new key into a new file, readable for this user only; return its signer.

    If another process makes the same file at the same time, both use the key of the first. Raises
    ``TrustError``.
    """
    return store(path, ed25519.generate())


def store(path: Path, raw: bytes) -> KeySigner:
    """Write a private key into a new file; return the signer of the file. Raises ``TrustError``."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(handle, "w") as file:
                file.write(ed25519.private_pem(raw))
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):
                os.link(temporary, path)  # never in place of another key
        finally:
            temporary.unlink()
    except OSError as error:
        what = f"cannot be written: {error.strerror}"
        raise TrustError(str(path), what, "check the folder's permissions, or set another folder") from None
    found = read(path)
    if found is None:
        raise TrustError(str(path), "was removed at once", "run again")
    return found
