"""What nodes need on the disk, for a command that waits for changes of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..project.loader import FILE
from .lockfile import FILE as LOCK

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..keys.key import Key
    from ..project.model import Node, StageConfig
    from .graph import Graph

#: The files of every project that decide what is built.
CONTROL = (FILE, LOCK, "dodo.py")


class Needed(NamedTuple):
    """The keys of nodes, and the absolute paths of the files that determine them, with the folders around.

    A file that is not there counts if it would be read: an ignore file, for example.
    """

    keys: Mapping[Node, Key]
    paths: frozenset[str]

    def concerns(self, path: Path) -> bool:
        """Return whether a change of this path may change a key."""
        return str(path) in self.paths


def folders(graph: Graph, nodes: Iterable[Node]) -> set[Path]:
    """Return the folders of contexts and Dockerfiles."""
    found = set[Path]()
    for config in _configs(graph, nodes):
        found |= {_path(graph, config.context), _path(graph, config.dockerfile_path).parent}
    return found


def needed(graph: Graph, nodes: Iterable[Node]) -> Needed:
    """Return what nodes need. Raises the errors of ``Graph.key``."""
    keys, files = {node: graph.key(node) for node in nodes}, control(graph.project.root)
    for node in keys:
        if (config := graph.project.config(node)) is not None:
            dockerfile, context = _path(graph, config.dockerfile_path), _path(graph, config.context)
            files |= {
                dockerfile,
                dockerfile.with_name(f"{dockerfile.name}.dockerignore"),
                context / ".dockerignore",
            }
            files |= {context / entry.path for entry in graph.spec(node).entries}
    around = {folder for file in files for folder in file.parents}
    return Needed(keys, frozenset(map(str, files | around)))


def control(root: Path) -> set[Path]:
    """Return the files of a project that decide what is built, whatever is built."""
    return {root / name for name in CONTROL}


def _configs(graph: Graph, nodes: Iterable[Node]) -> Iterable[StageConfig]:
    return (config for node in nodes if (config := graph.project.config(node)) is not None)


def _path(graph: Graph, name: str) -> Path:
    return Path(os.path.normpath(graph.project.root / name))
