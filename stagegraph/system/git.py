"""Calls of git in the repository of a folder."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, NamedTuple

from ..errors import ToolError
from .processes import LONGEST, run

if TYPE_CHECKING:
    from pathlib import Path

#: The end of a commit's name for files that have further changes.
DIRTY = "-dirty"

#: Seconds until a question counts as failed.
_TIMEOUT = 30


#: Answers must not depend on what a user has in ~/.gitconfig: signatures of commits before what was asked
#: for, and no word of files that git does not track.
_CONFIG = ("-c", "log.showSignature=false", "-c", "status.showUntrackedFiles=normal")


class GitResult(NamedTuple):
    """The output of a call; ``error`` is git's message where it failed, "" where it did not."""

    output: bytes
    error: str = ""

    @property
    def text(self) -> str:
        """The output as one word or line, without the line's end."""
        return self.output.decode(errors="replace").strip()


def git(
    folder: Path,
    *arguments: str,
    index: Path | None = None,
    stdin: IO[bytes] | None = None,
    timeout: float = LONGEST,
) -> GitResult:
    """Call git in ``folder`` and wait for its end, at most ``timeout`` seconds.

    ``index`` takes the place of the repository's own index, and git reads ``stdin``. Raises ``ToolError``
    where git is not installed.
    """
    variables = {"GIT_INDEX_FILE": str(index)} if index else {}
    command, name = ["git", "-C", str(folder), *_CONFIG, *arguments], f"git {arguments[0]}"
    done = run(command, stdin=stdin, timeout=timeout, variables=variables, name=name)
    if done.returncode == 0:
        return GitResult(done.stdout)
    message = done.stderr.decode(errors="replace").strip()
    return GitResult(b"", message or f"git {' '.join(arguments)} failed")


def ask(folder: Path, *arguments: str) -> GitResult:
    """Call git where no answer is no error. ``error`` is one line, also where git is not installed."""
    try:
        result = git(folder, *arguments, timeout=_TIMEOUT)
    except ToolError as error:
        return GitResult(b"", str(error))
    return result._replace(error=result.error.partition("\n")[0])


def head(folder: Path) -> GitResult:
    """Return the commit of the files in ``folder``.

    It ends in ``DIRTY`` if there are changes that are not committed, also in files that git does not track.
    """
    commit = ask(folder, "rev-parse", "HEAD")
    status = ask(folder, "status", "--porcelain")
    if commit.error or status.error:
        return commit if commit.error else status
    if not status.text:
        return commit
    return GitResult(f"{commit.text}{DIRTY}".encode())
