"""Facts about this machine: its system, its user, its programs and processes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import platform
import shutil
import subprocess
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from ..waits.flocks import flock
from ..waits.waiting import patience, waiting_for
from .messages import say

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Seconds that a program may take which has no other limit.
LONGEST = 600.0

SYSTEMD = Path("/run/systemd/system")
PROCESSES = Path("/proc")

#: Files in which systems keep the certificates of the authorities that they know, the most common first.
CA_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")


class Packages(Enum):
    """The packages from which ``./run`` can set up an engine here."""

    NONE = "none: another system, or too old a release"
    WITH_NEXT_RELEASE = "Debian 12, which lacks buildx: it comes from Debian 13"
    OWN = "a later Debian, or Ubuntu: all from its own packages"


def os_release() -> dict[str, str]:
    """The fields of the file os-release; empty where there is no such file."""
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}


def offered_packages() -> Packages:
    """The packages that this system offers. Debian's unstable release has no version number."""
    release = os_release()
    system, version = release.get("ID", ""), release.get("VERSION_ID", "")
    if system == "ubuntu":
        return Packages.OWN
    if system != "debian" or (version.isdecimal() and int(version) < 12):
        return Packages.NONE
    return Packages.WITH_NEXT_RELEASE if version == "12" else Packages.OWN


def is_root() -> bool:
    return os.geteuid() == 0


def as_root(command: str) -> str:
    """A command as this user has to type it."""
    return command if is_root() else f"sudo {command}"


def has(program: str) -> bool:
    return shutil.which(program) is not None


def has_systemd() -> bool:
    return SYSTEMD.is_dir()


def call(*command: str, timeout: float = LONGEST) -> subprocess.CompletedProcess[str]:
    """Run a program to its end.

    The status is 127 if it is not installed, 124 after ``timeout`` seconds, times the user's patience.
    """
    limit = timeout * patience()
    first = next((place for place, word in enumerate(command) if word.startswith("-")), len(command))
    try:
        with waiting_for(f"{' '.join(command[:first])}, at most {limit:.0f} s"):
            return subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=limit,
                check=False,
            )
    except OSError as error:
        return subprocess.CompletedProcess(command, 127, "", f"{command[0]}: {error.strerror}")
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 124, "", f"no answer within {limit:.0f} s")


def process(pidfile: Path, word: str) -> int | None:
    """The number of a running process that a file names, if ``word`` is on its command line."""
    try:
        number = pidfile.read_text().strip()
        words = (PROCESSES / number / "cmdline").read_bytes().split(b"\0") if number.isdecimal() else []
    except (OSError, UnicodeDecodeError):
        return None
    return int(number) if os.fsencode(word) in words else None


@contextlib.contextmanager
def locked(folder: Path, what: str) -> Iterator[None]:
    """Hold a lock on a folder that exists anyway, so that no lock file is left over."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, folder)
        except BlockingIOError:
            say(f"waiting for another ./run that sets up the {what}")
            flock(descriptor, fcntl.LOCK_EX, folder, f"another ./run sets up the {what}")
        yield
    finally:
        os.close(descriptor)
