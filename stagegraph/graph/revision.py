"""The project as a commit has it: its files in a temporary folder. The work tree is not touched."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ProjectError
from ..system.git import git

if TYPE_CHECKING:
    from collections.abc import Iterator


def folder_in_repository(root: Path) -> tuple[Path, Path]:
    """Return the top folder of the repository of the project in ``root``, and the project's folder in it.

    Raises ``ProjectError`` if there is no repository, ``ToolError`` if git is not installed.
    """
    top = Path(ask(root, "rev-parse", "--show-toplevel").decode().removesuffix("\n"))
    return top, root.resolve().relative_to(top.resolve())


@contextlib.contextmanager
def checked_out(top: Path, commit: str, folder: Path) -> Iterator[Path]:
    """Yield a temporary folder with the files that ``folder`` has at a commit, through an index of its own.

    ``git archive`` would leave out files that ``.gitattributes`` excludes. Raises ``ProjectError`` for a
    folder with submodules.
    """
    tree = f"{commit}:{folder.as_posix() if folder.parts else ''}"
    if any(line.startswith(b"160000 ") for line in ask(top, "ls-tree", "-r", tree).splitlines()):
        what = "it has submodules, whose files may be part of keys and are not in its tree"
        raise ProjectError(commit[:12], what, "name revisions without them")
    with tempfile.TemporaryDirectory() as temporary:
        checkout, index = Path(temporary, "project"), Path(temporary, "index")
        ask(top, "read-tree", tree, index=index)
        checkout.mkdir()
        ask(top, "checkout-index", "--all", f"--prefix={checkout}/", index=index)
        yield checkout


def ask(folder: Path, *words: str, index: Path | None = None) -> bytes:
    """Return the output of git. Raises ``ProjectError`` with git's message if the call fails."""
    result = git(folder, *words, index=index)
    if result.error:
        raise ProjectError("git", result.error, "revisions are read from the project's git repository")
    return result.output
