"""The files of an image: its layers, one on top of the other. Pure.

Whiteouts are those of the OCI image specification, layer.md. A hard link counts as the file that it names.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .diff import LayerEntry

#: The start of a name that deletes a lower file; and the name that hides all lower files of a folder.
GONE, OPAQUE = ".wh.", ".wh..wh..opq"


def merged(layers: Iterable[Mapping[str, LayerEntry]]) -> dict[str, LayerEntry]:
    """Return the files of an image by path, from the entries of its layers, the lowest first."""
    files: dict[str, LayerEntry] = {}
    for layer in layers:
        gone, emptied = _deleted(layer, files)
        if gone or emptied:
            files = {path: entry for path, entry in files.items() if not _is_deleted(path, gone, emptied)}
        files |= {
            path: _linked(entry, layer, files)
            for path, entry in layer.items()
            if not posixpath.basename(path).startswith(GONE)
        }
    files.pop("/", None)  # some builders write an entry for it
    return files


def _deleted(layer: Mapping[str, LayerEntry], files: Mapping[str, LayerEntry]) -> tuple[set[str], set[str]]:
    """Return the lower paths that a layer deletes, each with all below it, and folders that it empties."""
    gone, emptied = set[str](), set[str]()
    for path, entry in layer.items():
        folder, name = posixpath.split(path)
        if name == OPAQUE:
            emptied.add(folder)
        elif name.startswith(GONE):
            gone.add(posixpath.join(folder, name.removeprefix(GONE)))
        elif entry.kind != "folder" and path in files and files[path].kind == "folder":
            gone.add(path)
    return gone, emptied


def _is_deleted(path: str, gone: set[str], emptied: set[str]) -> bool:
    if path in gone:
        return True
    while path != "/":
        path = posixpath.dirname(path)
        if path in gone or path in emptied:
            return True
    return False


def _linked(
    entry: LayerEntry, layer: Mapping[str, LayerEntry], files: Mapping[str, LayerEntry]
) -> LayerEntry:
    """Return the file that a hard link names; any other entry as it is."""
    if entry.kind != "hard link":
        return entry
    path = posixpath.join("/", posixpath.normpath(entry.link))
    target = layer.get(path) or files.get(path)
    return target if target and target.kind != "hard link" else entry
