"""Locks by ``flock(2)``: a wait for one tells which process has it.

Linux lists all locks in ``/proc/locks``, each with the process that took it (proc(5)), as far as that
process is in this pid namespace: a process in another container, or on another machine that shares the
folder, is not listed. ``F_OFD_GETLK`` does not know locks of ``flock``. If the process that took a lock has
ended and a child has it, the list has the number of the process that took it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from pathlib import Path
from typing import NamedTuple

from ..errors import LockedError
from .waiting import patience, waiting_for

#: Seconds that a stopped process may hold a lock that somebody waits for.
STOPPED_LIMIT = 600.0

#: The shortest and the longest pause between two attempts, in seconds.
_PAUSES = 0.002, 0.25

#: The most seconds that pass between two looks at the processes, while this one runs.
_MOST = 5.0

#: The errors of file systems without locks.
_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK)

_PROC = Path("/proc")

#: Characters of a command that a message shows.
_LIMIT = 60


class Holder(NamedTuple):
    """A process that has a lock. ``command`` is "" if it cannot be read."""

    pid: int
    command: str = ""
    is_stopped: bool = False

    def __str__(self) -> str:
        return f"process {self.pid}" + (f" ({self.command})" if self.command else "")


def flock(handle: int, how: int, path: Path, what: str = "") -> None:
    """Call ``fcntl.flock``, and wait if need be; do nothing where the file system has no locks.

    ``path`` names the file in messages, and ``what`` says what it is for. Raises ``BlockingIOError`` where
    ``how`` has ``LOCK_NB`` and somebody else has the lock. Raises ``LockedError`` if stopped processes have
    it for too long.
    """
    try:
        fcntl.flock(handle, how | fcntl.LOCK_NB)
    except BlockingIOError:
        if how & fcntl.LOCK_NB:
            raise
        _wait(handle, how, f"{what + ': ' if what else ''}the lock {_shown(path)}")
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise


def _shown(path: Path) -> str:
    with contextlib.suppress(OSError, ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)


def _wait(handle: int, how: int, lock: str) -> None:
    pause, longest = _PAUSES
    stopped, looked = 0.0, time.monotonic()  # seconds for which all holders were stopped, at the last looks
    with waiting_for(lambda: _text(lock, holders(handle))):
        while True:
            time.sleep(pause)
            with contextlib.suppress(BlockingIOError):
                return fcntl.flock(handle, how | fcntl.LOCK_NB)
            pause = min(2 * pause, longest)
            if (now := time.monotonic()) - looked < 1:
                continue
            found = holders(handle)
            # this process itself may have been stopped meanwhile
            passed = min(now - looked, _MOST)
            stopped = stopped + passed if found and all(each.is_stopped for each in found) else 0.0
            looked = now
            if stopped >= STOPPED_LIMIT * patience():
                raise LockedError("", f"waited {stopped:.0f} s for {_text(lock, found)}", "then run again")


def _text(lock: str, found: list[Holder]) -> str:
    """Return what is waited for; "" if this process itself has the lock: then the display shows why."""
    if any(each.pid == os.getpid() for each in found):
        return ""
    if not found:
        hidden = (
            "of another container or machine" if (_PROC / "locks").exists() else "of this machine or another"
        )
        return f"{lock}, held by a process that cannot be seen from here: one {hidden}"
    who = f"{lock}, held by {' and '.join(map(str, found))}"
    pids = " ".join(str(each.pid) for each in found if each.is_stopped)
    if not pids:
        return who
    return f"{who}, stopped: kill -CONT {pids} lets it go on, kill -KILL {pids} ends it"


def holders(handle: int) -> list[Holder]:
    """The processes that have a lock of an open file, as far as the system lists them."""
    try:
        status, lines = os.fstat(handle), (_PROC / "locks").read_text().splitlines()
    except OSError:
        return []
    pids = [pid for line in lines if (pid := _owner(line, status)) is not None]
    return [_holder(pid) for pid in dict.fromkeys(pids)]


def _owner(line: str, status: os.stat_result) -> int | None:
    """The process of a line of ``/proc/locks``, if it has a lock of this file.

    A file system may have several numbers of devices (btrfs, overlayfs). Then the list has another one than
    ``stat``, and the open files of the process tell.
    """
    words = line.split()  # NUMBER: FLOCK ADVISORY WRITE PID MAJOR:MINOR:INODE 0 EOF; "->" before FLOCK: waits
    if len(words) < 6 or words[1] != "FLOCK" or not words[4].isdecimal():
        return None
    major, minor, inode = words[5].split(":")
    pid = int(words[4])
    if int(inode) != status.st_ino:
        return None
    same = (int(major, 16), int(minor, 16)) == (os.major(status.st_dev), os.minor(status.st_dev))
    return pid if same or _has_open(pid, status) else None


def _has_open(pid: int, status: os.stat_result) -> bool:
    with contextlib.suppress(OSError):
        for each in (_PROC / f"{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                if os.path.samestat(each.stat(), status):
                    return True
    return False


def _holder(pid: int) -> Holder:
    command, state = "", ""
    with contextlib.suppress(OSError):
        words = (_PROC / f"{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        names = [word.rpartition(b"/")[2] if word.startswith(b"/") else word for word in words]
        command = b" ".join(names).decode(errors="replace")
    with contextlib.suppress(OSError, IndexError):
        state = (_PROC / f"{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]
    command = "".join(char if char.isprintable() else "?" for char in command)
    short = command if len(command) <= _LIMIT else f"{command[: _LIMIT - 1]}…"
    return Holder(pid, short, state in ("T", "t"))
