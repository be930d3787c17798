"""The project as a commit has it: its files in a temporary folder. The work tree is not touched."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
import weakref
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

from ..errors import ProjectError, ResolveError, StagegraphError
from ..project import loader
from ..system.git import ask as quiet
from ..system.git import git
from ..system.text import human_size
from .epoch import with_epoch
from .graph import Graph
from .lock import Lock

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from ..oci.platform import OciPlatform
    from ..oci.reference import ResolvedReference

#: How many commits are searched for an earlier build.
MOST_COMMITS = 30

#: Bytes of the files of commits that are on disk at once.
MOST_BYTES = 1 << 30

#: Linux's file system in memory, for the files of commits with at most so many bytes.
_MEMORY, _SMALL = "/dev/shm", 16 << 20  # noqa: S108 - each use makes a folder of its own there


def folder_in_repository(root: Path) -> tuple[Path, Path]:
    """Return the top folder of the repository of the project in ``root``, and the project's folder in it.

    Raises ``ProjectError`` if there is no repository, ``ToolError`` if git is not installed.
    """
    top = Path(os.fsdecode(ask(root, "rev-parse", "--show-toplevel")).removesuffix("\n"))
    return top, root.resolve().relative_to(top.resolve())


class Tree(NamedTuple):
    """The files that a folder of a repository has at a commit. ``size`` is their sum in bytes."""

    top: Path
    commit: str
    folder: Path
    size: int


def tree_of(top: Path, commit: str, folder: Path) -> Tree:
    """Find a folder at a commit; ``top`` is the repository. Raises ``ProjectError``, also for submodules."""
    name = f"{commit}:{folder.as_posix() if folder.parts else ''}"
    _fetch_missing(top, name)
    entries = [line.split(None, 4) for line in ask(top, "ls-tree", "-r", "-l", name).splitlines()]
    if any(mode == b"160000" for mode, *_ in entries):
        what = "it has submodules, whose files may be part of keys and are not in its tree"
        raise ProjectError(commit[:12], what, "name revisions without them")
    return Tree(top, commit, folder, sum(int(size) for _, _, _, size, _ in entries))


def _fetch_missing(top: Path, tree: str) -> None:
    """Fetch what a partial clone (``git clone --filter=blob:none``) lacks of a tree, by one call.

    Git would fetch each file alone, when it is read. Raises ``ProjectError``.
    """
    promisors = quiet(top, "config", "--get-regexp", r"^remote\..*\.promisor$", "true").text
    if not promisors:
        return
    remote = promisors.split()[0].removeprefix("remote.").removesuffix(".promisor")
    objects = ask(top, "rev-list", "--objects", "--missing=print", "--no-object-names", tree).splitlines()
    if not (missing := [line[1:] for line in objects if line.startswith(b"?")]):
        return
    with tempfile.TemporaryFile() as file:
        file.write(b"\n".join((*missing, b"")))
        file.seek(0)
        plain = ("--no-tags", "--no-write-fetch-head", "--recurse-submodules=no", "--filter=blob:none")
        ask(
            top, "-c", "fetch.negotiationAlgorithm=noop", "fetch", "-q", *plain, "--stdin", remote, stdin=file
        )


def check_out(tree: Tree, into: Path) -> Path:
    """Write the files of a tree below a new folder; return the folder in it that they are in.

    The new folder is a work tree, and its index has all files of the commit. So every ``.gitattributes`` of
    the commit applies, also one around the folder, and none of now. ``git archive`` would leave out files
    that attributes exclude. Raises ``ProjectError``.
    """
    into.mkdir()
    index = into.with_name(f"{into.name}.index")
    ask(tree.top, "read-tree", tree.commit, index=index)
    names = ask(tree.top, "--literal-pathspecs", "ls-files", "-z", "--", str(tree.folder), index=index)
    with tempfile.TemporaryFile() as file:
        file.write(names)
        file.seek(0)
        ask(tree.top, f"--work-tree={into}", "checkout-index", "-z", "--stdin", index=index, stdin=file)
    index.unlink()
    return into / tree.folder


def ask(folder: Path, *words: str, index: Path | None = None, stdin: IO[bytes] | None = None) -> bytes:
    """Return the output of git. Raises ``ProjectError`` with git's message if the call fails."""
    result = git(folder, *words, index=index, stdin=stdin)
    if result.error:
        raise ProjectError("git", result.error, "revisions are read from the project's git repository")
    return result.output


class Revisions:
    """Earlier commits of the project in ``root``. A commit is read when it is first needed.

    Its files are kept until this process ends, or until other commits need the space (``MOST_BYTES``).

    ``settings`` are those of the command line; with them and with the environment, only the files differ from
    the project of now. A clone may be shallow, or the project in no repository: then there are fewer commits,
    or none. Safe for threads if the caller holds one lock.
    """

    def __init__(self, root: Path, settings: Mapping[str, str]) -> None:
        self._root, self._settings = root, settings
        self._graphs: dict[str, Graph | None] = {}
        self._faults: dict[str, str] = {}  # why commits have no graph
        self._places: dict[str, Path] = {}  # where their files are
        self._sizes: dict[str, int] = {}  # bytes of the commits that are checked out, the oldest first

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
            try:
                self._graphs[commit] = self._read(commit)
            except StagegraphError as error:
                self._graphs[commit], self._faults[commit] = None, f"{error.where}: {error.what}"
        return self._graphs[commit]

    def fault(self, commit: str) -> str:
        """Say why a commit has no graph; "" if it has one."""
        self.graph(commit)
        return self._faults.get(commit, "")

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

    def is_untracked(self, path: str) -> bool:
        """Return whether the project is in a repository which does not have this file."""
        return bool(self.history) and not quiet(self._root, "ls-files", "--", f":(literal){path}").text

    def date_of(self, text: str, path: str) -> str:
        """Return the day (``2026-01-31``) of the commit that brought a text into a file; "" if none did."""
        return quiet(self._root, "log", "--max-count=1", "--format=%cs", f"-S{text}", "HEAD", "--", path).text

    @cached_property
    def _disk(self) -> Path:
        return self._new_folder(None)

    @cached_property
    def _memory(self) -> Path:
        return self._new_folder(_MEMORY)

    def _new_folder(self, where: str | None) -> Path:
        path = tempfile.mkdtemp(prefix="stagegraph-", dir=where)
        weakref.finalize(self, shutil.rmtree, path, ignore_errors=True)
        return Path(path)

    def _place(self, size: int) -> Path:
        """Where to write the files of a commit with so many bytes: in memory, which is faster, or on disk."""
        with contextlib.suppress(OSError):
            is_fit = size <= _SMALL and "TMPDIR" not in os.environ
            if is_fit and shutil.disk_usage(_MEMORY).free > MOST_BYTES:
                return self._memory
        return self._disk

    def _read(self, commit: str) -> Graph:
        top, folder = folder_in_repository(self._root)
        tree = tree_of(top, commit, folder)
        self._make_room(tree.size, commit)
        try:
            place = self._places[commit] = self._place(tree.size) / commit
        except OSError as error:
            raise ProjectError(commit[:12], f"its files cannot be written: {error.strerror}") from None
        self._sizes[commit] = tree.size
        checkout = check_out(tree, place)
        project = with_epoch(loader.load(checkout, {**self._settings, "locked": "1"}), top, commit)
        return Graph(project, Lock(checkout, _unresolved, locked=True))

    def _make_room(self, size: int, commit: str) -> None:
        """Remove the files of older commits. Raises ``ProjectError`` for a commit that is too large."""
        if size > MOST_BYTES:
            what = f"its files have {human_size(size)}, and at most {human_size(MOST_BYTES)} are read"
            raise ProjectError(commit[:12], what)
        while sum(self._sizes.values()) + size > MOST_BYTES:
            oldest = next(iter(self._sizes))
            del self._sizes[oldest]
            self._graphs.pop(oldest, None)
            shutil.rmtree(self._places.pop(oldest), ignore_errors=True)


def _unresolved(reference: str, platforms: Collection[OciPlatform]) -> ResolvedReference:
    """Resolve nothing: what a commit does not pin was another image then."""
    raise ResolveError(reference, f"is not pinned for {', '.join(platforms)}", "doit lock")
