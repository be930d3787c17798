"""The keys that revisions of the project need, computed from their files as git has them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ..docker.imagetools import resolve
from ..errors import UNRESOLVED, ProjectError, StagegraphError
from ..graph.epoch import with_epoch
from ..graph.graph import Graph
from ..graph.lock import Lock
from ..graph.revision import ask, check_out, folder_in_repository, tree_of
from ..project import loader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ..keys.key import Key
    from ..project.model import Project

_REFS = ("refs/heads", "refs/remotes", "refs/tags")

#: Settings with which nothing is pinned while keys are computed.
_LOCKED = {"locked": "1"}


def revisions(root: Path, names: Iterable[str] = ()) -> dict[str, str]:
    """Commits by name: the named ones, or else HEAD and all branches and tags that this clone knows.

    Raises ``ProjectError`` for a name that git does not know.
    """
    names = list(names)
    if not names:
        if ask(root, "rev-parse", "--is-shallow-repository").strip() == b"true":
            what = "this clone is shallow: it does not know what other branches need"
            hint = "git fetch --unshallow, or name the revisions to keep: --revisions"
            raise ProjectError("git", what, hint)
        refs = ask(root, "for-each-ref", "--format=%(refname)", *_REFS)
        names = ["HEAD", *refs.decode().split()]
    commits: dict[str, str] = {}
    for name in names:
        try:
            commit = ask(root, "rev-parse", "--verify", "--end-of-options", f"{name}^{{commit}}")
        except ProjectError as error:
            what = f"no revision {name!r}: {error.what}"
            raise ProjectError("git", what, "--revisions 'main v1.0'") from None
        commits[name] = commit.decode().strip()
    return commits


def keys_at(root: Path, commit: str, settings: Mapping[str, str], warn: Callable[[str], None]) -> set[Key]:
    """The recipe keys of all nodes at a commit, with and without ``settings`` of the command line.

    A commit without the project in its present folder may have it elsewhere, so all projects in it count. A
    commit without any project has no keys.

    Warns about nodes whose external images are not pinned at the commit: the age of their tags decides.
    Raises ``StagegraphError`` if the keys cannot be computed.
    """
    top, folder = folder_in_repository(root)
    if ask(top, "ls-tree", commit, "--", str(folder / loader.FILE)):
        return _keys_in(top, commit, folder, settings, warn)
    files = ask(top, "ls-tree", "-r", "-z", "--name-only", commit).decode(errors="surrogateescape")
    folders = [Path(name).parent for name in files.split("\0") if Path(name).name == loader.FILE]
    return {key for folder in folders for key in _keys_in(top, commit, folder, settings, warn)}


def _keys_in(
    top: Path, commit: str, folder: Path, settings: Mapping[str, str], warn: Callable[[str], None]
) -> set[Key]:
    """The keys of the project in one folder of a commit."""
    with tempfile.TemporaryDirectory() as temporary:
        checkout = check_out(tree_of(top, commit, folder), Path(temporary, "files"))
        try:
            project = with_epoch(loader.load(checkout, {**settings, **_LOCKED}), top, commit)
            declared = with_epoch(loader.load(checkout, _LOCKED, {}), top, commit)
            return _keys(project, commit, warn) | _keys(declared, "", lambda _: None)
        except StagegraphError as error:
            what = f"its keys cannot be computed: {error}"
            raise ProjectError(commit[:12], what, "name the revisions to keep: --revisions") from None


def declared_keys(root: Path) -> set[Key]:
    """The keys of a project's nodes by its files alone, without command line and environment."""
    return _keys(with_epoch(loader.load(root, _LOCKED, {}), root), "", lambda _: None)


def _keys(project: Project, commit: str, warn: Callable[[str], None]) -> set[Key]:
    graph = Graph(project, Lock(project.root, resolve, locked=True))
    keys: set[Key] = set()
    unpinned = 0
    for node in graph.nodes:
        try:
            keys.add(graph.key(node))
        except UNRESOLVED:
            unpinned += 1
    if unpinned:
        warn(f"{commit[:12]}: {unpinned} nodes are based on images that are not pinned there")
    return keys
