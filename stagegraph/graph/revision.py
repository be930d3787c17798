"""The project as a commit has it: its files in a temporary folder. The work tree is not touched."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import tempfile
import weakref
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ProjectError, ResolveError, StagegraphError
from ..project import loader
from ..system.git import ask as quiet
from ..system.git import git
from .epoch import with_epoch
from .graph import Graph
from .lock import Lock

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from ..oci.platform import OciPlatform
    from ..oci.reference import ResolvedReference

#: How many commits are searched for an earlier build.
MOST_COMMITS = 30


def folder_in_repository(root: Path) -> tuple[Path, Path]:
    """Return the top folder of the repository of the project in ``root``, and the project's folder in it.

    Raises ``ProjectError`` if there is no repository, ``ToolError`` if git is not installed.
    """
    top = Path(ask(root, "rev-parse", "--show-toplevel").decode().removesuffix("\n"))
    return top, root.resolve().relative_to(top.resolve())


def check_out(top: Path, commit: str, folder: Path, into: Path) -> None:
    """Write the files that ``folder`` has at a commit into a new folder, through an index of its own.

    ``git archive`` would leave out files that ``.gitattributes`` excludes. Raises ``ProjectError``, also for
    a folder with submodules.
    """
    tree = f"{commit}:{folder.as_posix() if folder.parts else ''}"
    if any(line.startswith(b"160000 ") for line in ask(top, "ls-tree", "-r", tree).splitlines()):
        what = "it has submodules, whose files may be part of keys and are not in its tree"
        raise ProjectError(commit[:12], what, "name revisions without them")
    into.mkdir()
    index = into.with_name(f"{into.name}.index")
    ask(top, "read-tree", tree, index=index)
    ask(top, "checkout-index", "--all", f"--prefix={into}/", index=index)


def ask(folder: Path, *words: str, index: Path | None = None) -> bytes:
    """Return the output of git. Raises ``ProjectError`` with git's message if the call fails."""
    result = git(folder, *words, index=index)
    if result.error:
        raise ProjectError("git", result.error, "revisions are read from the project's git repository")
    return result.output


class Revisions:
    """Earlier commits of the project in ``root``, each read once, when it is first needed.

    ``settings`` are those of the command line; with them and with the environment, only the files differ from
    the project of now. A clone may be shallow, or the project in no repository: then there are fewer commits,
    or none. Safe for threads if the caller holds one lock.
    """

    def __init__(self, root: Path, settings: Mapping[str, str]) -> None:
        self._root, self._settings = root, settings
        self._graphs: dict[str, Graph | None] = {}

    @cached_property
    def history(self) -> tuple[str, ...]:
        """The commits that changed files of the project, the newest first, at most ``MOST_COMMITS``."""
        found = quiet(self._root, "log", f"--max-count={MOST_COMMITS}", "--format=%H", "HEAD", "--", ".")
        return tuple(found.text.split())

    def graph(self, commit: str) -> Graph | None:
        """Return the graph at a commit; None if the commit has no project, or one that cannot be read.

        Nothing is pinned: a node whose external images are not in the commit's ``stages.lock`` has no key.
        """
        if commit not in self._graphs:
            with contextlib.suppress(StagegraphError):
                self._graphs[commit] = self._read(commit)
        return self._graphs.setdefault(commit, None)

    def commit(self, name: str, *, merge_base: bool = False) -> str:
        """Return the commit of a name; with ``merge_base``, the one where HEAD left it.

        Raises ``ProjectError`` for a name that git does not know.
        """
        found = quiet(
            self._root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"
        )
        if not found.text:
            why = "" if found.error.startswith("git rev-parse") else f": {found.error}"
            raise ProjectError(
                "command line", f"no revision {name!r}{why}", "git fetch brings what others have"
            )
        if not merge_base:
            return found.text
        base = quiet(self._root, "merge-base", "HEAD", found.text)
        if not base.text:
            hint = "git fetch --unshallow, if this clone is shallow"
            raise ProjectError("git", f"HEAD and {name} have no commit in common here", hint)
        return base.text

    def content(self, path: str, digest: str) -> bytes | None:
        """Return a file of the project as it was, by the SHA-256 of its content; None if git lacks it."""
        limit = f"--max-count={MOST_COMMITS}"
        commits = quiet(self._root, "log", limit, "--format=%H", "HEAD", "--", path).text.split()
        for commit in commits:
            found = quiet(self._root, "cat-file", "blob", f"{commit}:./{path}")
            if not found.error and hashlib.sha256(found.output).hexdigest() == digest:
                return found.output
        return None

    def date_of(self, text: str, path: str) -> str:
        """Return the day (``2026-01-31``) of the commit that brought a text into a file; "" if none did."""
        return quiet(self._root, "log", "--max-count=1", "--format=%cs", f"-S{text}", "HEAD", "--", path).text

    @property
    def used(self) -> tuple[str, ...]:
        """The commits that were read so far."""
        return tuple(commit for commit, graph in self._graphs.items() if graph)

    @cached_property
    def _folder(self) -> Path:
        """A temporary folder, which goes with this object or with the process."""
        path = tempfile.mkdtemp(prefix="stagegraph-")
        weakref.finalize(self, shutil.rmtree, path, ignore_errors=True)
        return Path(path)

    def _read(self, commit: str) -> Graph:
        top, folder = folder_in_repository(self._root)
        checkout = self._folder / commit
        check_out(top, commit, folder, checkout)
        project = with_epoch(loader.load(checkout, {**self._settings, "locked": "1"}), top, commit)
        return Graph(project, Lock(checkout, _unresolved, locked=True))


def _unresolved(reference: str, platforms: Collection[OciPlatform]) -> ResolvedReference:
    """Resolve nothing: what a commit does not pin was another image then."""
    raise ResolveError(reference, f"is not pinned for {', '.join(platforms)}", "doit lock")
