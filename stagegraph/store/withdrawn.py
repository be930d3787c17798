"""``cache/withdrawn/``: recipe keys whose images were made from an image that a rebuild has replaced.

``doit rebuild`` gives a node another image under the same key. Recipe keys of its descendants do not change,
so a store would still find the images that were made from the old one. A withdrawn key finds nothing, here or
in a registry, until a run has decided its node by content.

The records stay: they explain the next build, and find the same images by their content keys.
"""

from __future__ import annotations

import contextlib
import copy
from typing import TYPE_CHECKING

from ..keys.key import Key, digits, from_digits, is_key
from ..system.files import os_errors_on_read, os_errors_on_write, unreadable
from .folder import Folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from ..keys.inputs import Input


class Withdrawn:
    """The withdrawn keys of one store: an empty file for each. Safe for several threads and processes."""

    def __init__(self, root: Path) -> None:
        self.folder = Folder(root, "withdrawn")

    @contextlib.contextmanager
    def kept(self) -> Iterator[Withdrawn]:
        """The same keys, for one thread, with a folder that stays open for the block (``Folder.kept``)."""
        with self.folder.kept() as folder:
            keys = copy.copy(self)
            keys.folder = folder
            yield keys

    def __contains__(self, key: Key) -> bool:
        try:
            return self.folder.has_file(digits(key))
        except OSError as error:
            raise unreadable(self.folder.path, error) from error

    def add(self, key: Key) -> None:
        """Withdraw a key; harmless when repeated. Raises ``StoreError`` or ``DiskFullError``."""
        self.folder.write(digits(key), b"")

    def discard(self, key: Key) -> None:
        """Let a key find its image again; harmless for a key that is not withdrawn."""
        with os_errors_on_write(self.folder.path / digits(key)):
            self.folder.remove(digits(key))

    def all(self) -> list[Key]:
        """Return all withdrawn keys."""
        with os_errors_on_read(self.folder.path):
            return [key for name in self.folder.entries() if is_key(key := from_digits(name))]


def dependents(of: Key, known: Iterable[tuple[Key, Iterable[Input]]]) -> set[Key]:
    """Return the recipe keys, among the known, whose nodes use the node ``of``, directly or not.

    ``known`` are keys with their inputs. The inputs of a content key name no recipe key, so none is returned.
    """
    children: dict[str, set[Key]] = {}
    for key, inputs in known:
        for item in inputs:
            if item.role == "parent":
                children.setdefault(item.value, set()).add(key)
    found, waiting = set[Key](), [of]
    while waiting:
        new = children.get(waiting.pop(), set()) - found
        found |= new
        waiting += new
    return found
