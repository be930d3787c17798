"""Calls of git in the project's repository."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .processes import run

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class GitResult(NamedTuple):
    """The output of git, and its error message; ``error`` is "" if the call succeeded."""

    output: bytes
    error: str = ""


def git(
    folder: Path, *words: str, timeout: float | None = None, variables: Mapping[str, str] | None = None
) -> GitResult:
    """Call git in a folder, with more environment variables. Raises ``ToolError`` without git."""
    environment = ["env", *(f"{name}={value}" for name, value in variables.items())] if variables else []
    done = run([*environment, "git", "-C", str(folder), *words], timeout=timeout)
    if done.returncode == 0:
        return GitResult(done.stdout)
    return GitResult(b"", done.stderr.decode(errors="replace").strip() or f"git {' '.join(words)} failed")
