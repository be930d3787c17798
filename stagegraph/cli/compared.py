"""Words of a command line -> images to compare: of a node, of a record in ``cache/``, or of the engine.

A word is tried in this order: ``NODE@last``, a node, the start of a key or of a digest, a name in the engine.
"""

from __future__ import annotations

import contextlib
import tempfile
from typing import TYPE_CHECKING, NamedTuple

from ..errors import EngineError, ProjectError, StoreError, nearest
from ..execution.against import beginning
from ..graph import goals
from ..project.model import Node
from ..store import images
from ..store.views import overlay
from .goals import one_node

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..execution.workspace import Workspace
    from ..oci.digest import Digest
    from ..store.layout import LayoutStore
    from ..store.record import Record

#: The end of a word for the last known build of a node.
LAST = "@last"


class ComparedImage(NamedTuple):
    """An image and where its blobs are.

    ``name`` is the word of the user. ``shown`` is the digest that its store has for it, ``digest`` that of
    its manifest in ``layout``. ``record`` is None for an image of the engine.
    """

    name: str
    shown: str
    layout: LayoutStore
    digest: Digest
    record: Record | None


@contextlib.contextmanager
def opened(workspace: Workspace, words: list[str]) -> Iterator[tuple[ComparedImage, ComparedImage]]:
    """Find the two images that one or two words name. Images of the engine are deleted after the block.

    One word is a node: its last build, and the one before. Raises ``ProjectError`` for a word that names no
    image, or several; ``StoreError`` for an image that is in no store any more.
    """
    with contextlib.ExitStack() as stack:
        if len(words) == 1:
            new = _last(workspace, words[0].removesuffix(LAST))
            yield _before(workspace, new), new
        else:
            old, new = (_find(workspace, word, stack) for word in words)
            yield old, new


def _find(workspace: Workspace, word: str, stack: contextlib.ExitStack) -> ComparedImage:
    if word.endswith(LAST):
        return _last(workspace, word.removesuffix(LAST))
    if word in goals.named(workspace.graph, tests=False):
        return _current(workspace, word)
    return _recorded(workspace, word) or _in_engine(workspace, word, stack)


# -- of the project ----------------------------------------------------------------------------------


def _current(workspace: Workspace, word: str) -> ComparedImage:
    """Return the image of a node's key."""
    node = one_node(workspace.graph, [word], "diff")
    if found := workspace.lookup.find(node, workspace.graph.key(node)):
        return _of_record(workspace, word, found.record)
    hint = f"build it first: doit {node}; its last build is {node}{LAST}"
    raise StoreError(str(node), "no store has the image of its key", hint)


def _last(workspace: Workspace, word: str) -> ComparedImage:
    node = one_node(workspace.graph, [word], "diff")
    earlier = workspace.lookup.earlier(node)
    record = earlier.record if earlier else None
    if record is None:
        raise StoreError(str(node), "no build of it is known here", f"build it first: doit {node}")
    return _of_record(workspace, f"{node}{LAST}", record)


def _before(workspace: Workspace, last: ComparedImage) -> ComparedImage:
    """Return the newest other image of the same node that ``cache/`` knows and a store has."""
    assert last.record
    node = last.record.node
    others = [r for r in workspace.layout.list() if r.node == node and r.digest != last.record.digest]
    others.sort(key=lambda record: (_moment(record), record.key), reverse=True)
    for record in others:
        with contextlib.suppress(StoreError):
            return _of_record(workspace, f"{node} before", record)
    hint = f"name what to compare it with: doit diff IMAGE {node}{LAST}"
    raise StoreError(node, "cache/ has no other image of it", hint)


def _moment(record: Record) -> float:
    """Return the time of a record in seconds since 1970; 0 if it is not known."""
    moment = record.image_created
    return moment.timestamp() if moment else 0.0


def _of_record(workspace: Workspace, name: str, record: Record) -> ComparedImage:
    """Return the image of a record. A registry may have it: it is then fetched."""
    if not images.is_intact(workspace.layout.blobs, record):
        stage, _, platform = record.node.partition(":")
        if workspace.registry is None or not workspace.registry.pull(Node(stage, platform), record):
            what = f"no store has its image {record.digest} any more"
            raise StoreError(record.node, what, "build it again, or compare it with another image")
    return ComparedImage(name, record.digest, workspace.layout, record.digest, record)


def _recorded(workspace: Workspace, word: str) -> ComparedImage | None:
    """Return the image whose key or digest begins with these digits; None if there is none.

    Raises ``ProjectError`` if several images are meant.
    """
    records = beginning(workspace, word, lambda record: (record.key, record.digest))
    found = {record.digest: record for record in records}  # several keys may have one image
    if len(found) > 1:
        names = "\n  ".join(sorted(f"{record.node} {record.digest}" for record in found.values()))
        raise ProjectError(
            "command line", f"{word} begins several keys or digests", f"write more of it:\n  {names}"
        )
    return next((_of_record(workspace, word, record) for record in found.values()), None)


# -- of the engine -----------------------------------------------------------------------------------


def _in_engine(workspace: Workspace, word: str, stack: contextlib.ExitStack) -> ComparedImage:
    """Copy an image of the engine into a temporary layout."""
    from ..docker import engine
    from ..store import saved

    try:
        found = engine.image_id(word)
    except EngineError as error:
        raise _unknown(workspace, word, f"and the engine cannot be asked: {error.what}") from None
    if found is None:
        raise _unknown(workspace, word, "and the engine has no such image")
    layout = stack.enter_context(overlay(workspace.layout, ()))
    with tempfile.TemporaryFile(dir=layout.root) as file:
        engine.save(word, file)
        file.seek(0)
        return ComparedImage(word, found, layout, saved.unpack(file, layout), None)


def _unknown(workspace: Workspace, word: str, engine: str) -> ProjectError:
    known = (name for name in goals.named(workspace.graph, tests=False) if not name.startswith("_"))
    return ProjectError("command line", f"no node, key or digest {word!r}, {engine}", nearest(word, known))
