"""Calls of git in the repository of a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .processes import run

if TYPE_CHECKING:
    from pathlib import Path


class GitResult(NamedTuple):
    """The output of a call; ``error`` is git's message where it failed, "" where it did not."""

    output: bytes
    error: str = ""

    @property
    def text(self) -> str:
        """The output as one word or line, without the line's end."""
        return self.output.decode(errors="replace").strip()


def git(folder: Path, *arguments: str, index: Path | None = None, timeout: float | None = None) -> GitResult:
    """Call git in ``folder`` and wait for its end, at most ``timeout`` seconds.

    ``index`` takes the place of the repository's own index. Raises ``ToolError`` where git is not installed.
    """
    variables = {"GIT_INDEX_FILE": str(index)} if index else {}
    done = run(["git", "-C", str(folder), *arguments], timeout=timeout, variables=variables)
    if done.returncode == 0:
        return GitResult(done.stdout)
    message = done.stderr.decode(errors="replace").strip()
    return GitResult(b"", message or f"git {' '.join(arguments)} failed")
