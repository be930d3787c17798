"""Which tags of nodes a registry should keep, and which go.

Kept is what a kept revision of the project needs: tags of its nodes' keys, and tags that find the same images
by their content; and whatever was made lately, since branches elsewhere and settings on somebody's command
line are not known here. Only tags of the form that ``record.tag`` gives, which hold a record of their
key, are looked at; images' own tags, indexes that were published and what others pushed are left alone.
"""

from __future__ import annotations

import datetime
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..errors import UNRESOLVED, ProjectError, StagegraphError
from ..execution.workspace import Workspace
from ..keys.key import Key, from_digits
from ..oci.digest import Digest, sha256
from ..project import loader
from ..store import record as records
from ..store.registry import LOOKUPS
from ..system.processes import run
from ..system.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ..store.record import Record
    from ..store.repository import Remote

_REFS = ("refs/heads", "refs/remotes", "refs/tags")


class Tag(NamedTuple):
    """A tag, the digest of what it holds, and the record that this is."""

    name: str
    digest: Digest
    record: Record


@dataclass(frozen=True)
class Choice:
    """``needed`` tags are of kept revisions, ``recent`` ones were made lately, ``doomed`` ones go."""

    needed: tuple[Tag, ...]
    recent: tuple[Tag, ...]
    doomed: tuple[Tag, ...]


class Survey(NamedTuple):
    """Nodes' tags of a registry, and the digests that its other tags name."""

    tags: tuple[Tag, ...]
    others: frozenset[Digest] = frozenset()


def is_node(tag: str) -> bool:
    """Whether a tag may be a node's."""
    return records.TAG.fullmatch(tag) is not None


def key(tag: str) -> Key:
    """The key that a node's tag names."""
    return from_digits(tag[-64:])


def choose(survey: Survey, keys: set[Key], since: datetime.datetime) -> Choice:
    """What to keep for these recipe keys, and of what was made since; a time that is none is recent."""
    tags = survey.tags
    images = {tag.record.digest for tag in tags if tag.record.key in keys}
    needed = tuple(tag for tag in tags if tag.record.digest in images)
    rest = [tag for tag in tags if tag.record.digest not in images]
    young = {tag.record.digest for tag in rest if not (tag.record.dated and tag.record.dated < since)}
    recent = tuple(tag for tag in rest if tag.record.digest in young)
    # what goes is a manifest, with all tags that it has
    held = {tag.digest for tag in (*needed, *recent)} | survey.others
    doomed = tuple(tag for tag in rest if tag not in recent and tag.digest not in held)
    return Choice(needed, recent, doomed)


def survey(remote: Remote) -> Survey:
    """What the tags of a registry hold. Raises ``RegistryError`` or ``LoginError``."""
    workers = Workers(LOOKUPS)
    held = {tag: workers.submit(partial(remote.raw, remote.reference(tag))) for tag in remote.tags()}
    found, others = list[Tag](), set[Digest]()
    for name, future in held.items():
        if (data := future.result()) is None:
            continue
        record = records.parse(data, key(name)) if is_node(name) else None
        if record is not None:
            found.append(Tag(name, sha256(data), record))
        else:  # it is somebody else's, and stays
            others.add(sha256(data))
    return Survey(tuple(found), frozenset(others))


def revisions(root: Path, names: Iterable[str] = ()) -> dict[str, str]:
    """Commits by name: those given, or all branches and tags that this clone knows, and where it stands.

    Raises ``ProjectError`` for a name that git does not know.
    """
    names = list(names)
    if not names:
        if _git(root, "rev-parse", "--is-shallow-repository").strip() == b"true":
            what = "this clone is shallow: it does not know what other branches need"
            raise ProjectError("git", what, "git fetch --unshallow, or name what to keep: --revisions")
        listed = _git(root, "for-each-ref", "--format=%(refname)", *_REFS)
        names = ["HEAD", *listed.decode().split()]
    found: dict[str, str] = {}
    for name in names:
        try:
            commit = _git(root, "rev-parse", "--verify", "--end-of-options", f"{name}^{{commit}}")
        except ProjectError as error:
            raise ProjectError(
                "git", f"no revision {name!r}: {error.what}", "--revisions 'main v1.0'"
            ) from None
        found[name] = commit.decode().strip()
    return found


def keys_at(root: Path, commit: str, settings: Mapping[str, str], warn: Callable[[str], None]) -> set[Key]:
    """Recipe keys of all nodes at a commit; none where there is no project yet.

    Where it is not in its folder it may have lain elsewhere: those of all projects that are there.

    ``settings`` are those of the call. Nodes whose images from outside are not pinned are said by ``warn``;
    what is in the registry of it lives by its age. Raises ``StagegraphError`` where the keys cannot be known.
    """
    top = Path(_git(root, "rev-parse", "--show-toplevel").decode().removesuffix("\n"))
    inside = root.resolve().relative_to(top.resolve())
    if _git(top, "ls-tree", commit, "--", str(inside / loader.FILE)):
        return _keys_in(top, commit, inside, settings, warn)
    names = (
        _git(top, "ls-tree", "-r", "-z", "--name-only", commit).decode(errors="surrogateescape").split("\0")
    )
    folders = [Path(name).parent for name in names if Path(name).name == loader.FILE]
    return {key for folder in folders for key in _keys_in(top, commit, folder, settings, warn)}


def _keys_in(
    top: Path, commit: str, inside: Path, settings: Mapping[str, str], warn: Callable[[str], None]
) -> set[Key]:
    """Keys of the project in a folder of a commit."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "project")
        # as a checkout, into an index of its own: an archive leaves out what .gitattributes says
        index = ["env", f"GIT_INDEX_FILE={temporary}/index"]
        tree = f"{commit}:{inside.as_posix() if inside.parts else ''}"
        if any(line.startswith(b"160000 ") for line in _git(top, "ls-tree", "-r", tree).splitlines()):
            what = "it has submodules, whose files may be part of keys and are not in its tree"
            raise ProjectError(commit[:12], what, "name revisions without them: --revisions")
        _git(top, "read-tree", tree, before=index)
        _git(top, "checkout-index", "--all", f"--prefix={folder}/", before=index)
        try:
            said = _keys(Workspace.open(folder, {**settings, "locked": "1"}), commit, warn)
            return said | declared(folder)
        except StagegraphError as error:
            what = f"its keys cannot be known: {error}"
            raise ProjectError(commit[:12], what, "name the revisions to keep: --revisions") from None


def declared(folder: Path) -> set[Key]:
    """Keys of a project's nodes as its files say, whatever the call and the environment set."""
    session = Workspace(loader.load(folder, {"locked": "1"}, {}))
    return _keys(session, "", lambda _: None)


def _keys(session: Workspace, commit: str, warn: Callable[[str], None]) -> set[Key]:
    found, left = set[Key](), 0
    for node in session.graph.nodes:
        try:
            found.add(session.graph.key(node))
        except UNRESOLVED:
            left += 1
    if left:
        warn(f"{commit[:12]}: {left} nodes stand on images that are not pinned there")
    return found


def _git(root: Path, *words: str, before: Iterable[str] = ()) -> bytes:
    done = run([*before, "git", "-C", str(root), *words])
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip() or f"git {' '.join(words)} failed"
        raise ProjectError("git", said, "which revisions are kept is read from the project's repository")
    return done.stdout
