"""A folder -> the Dockerfiles below it as sources: name, context and whether others are based on it.

The context of a Dockerfile is nowhere written. It is the nearest folder, from the Dockerfile's own upwards,
that has everything that the Dockerfile copies.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from ..context.patterns import has_wildcard
from ..errors import ProjectError
from ..oci.reference import familiar
from . import names
from .source import Note, Source, read

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: ``Dockerfile``, ``Dockerfile.NAME``, ``NAME.Dockerfile``; the same with Podman's word.
_DOCKERFILE = re.compile(
    r"(?:dockerfile|containerfile)(?:\.(?P<after>.+))?|(?P<before>.+)\.(?:dockerfile|containerfile)", re.I
)

#: Endings of files that belong to a Dockerfile, are copies of one, or become one.
_OTHER = re.compile(
    r"(?:^|\.)(?:dockerignore|orig|bak|swp|tmpl|tpl|template|j2|jinja2?|in|erb|m4|md|txt)$|~$", re.I
)

#: Folders that hold no sources of images.
_SKIPPED = frozenset(("node_modules", "cache", "__pycache__"))


def sources(root: Path) -> tuple[list[Source], list[Note]]:
    """Return a source for each Dockerfile below ``root``, and notes. Raises ``ProjectError`` without any."""
    files = sorted(dockerfiles(root))
    if not files:
        what = "no Dockerfile in this folder or below"
        raise ProjectError(str(root), what, "stagegraph init FOLDER, with a folder that has Dockerfiles")
    found = names.from_paths({path: _words(root, path) for path in files})
    notes: list[Note] = []
    listed = [_source(root, path, name, notes) for path, name in found.items()]
    used = _used(root, listed)
    return [replace(source, is_image=source.name not in used) for source in listed], notes


def dockerfiles(root: Path) -> Iterator[str]:
    """The paths of all Dockerfiles, relative to ``root``. Hidden folders and other projects are left out."""
    for folder, below, files in os.walk(root):
        here = Path(folder)
        below[:] = [
            name
            for name in below
            if not name.startswith(".")
            and name not in _SKIPPED
            and not os.path.exists(here / name / "stages.toml")  # noqa: PTH110 - False without permission
        ]
        for name in files:
            match = _DOCKERFILE.fullmatch(name)
            if (
                match
                and not _OTHER.search(match["after"] or match["before"] or "")
                and not _OTHER.search(name)
            ):
                yield (here / name).relative_to(root).as_posix()


def _words(root: Path, path: str) -> list[str]:
    """Return the words that a name can have: folders, then what the file's own name says."""
    pure = PurePosixPath(path)
    match = _DOCKERFILE.fullmatch(pure.name)
    own = (match["after"] or match["before"]) if match else None
    return [root.resolve().name, *pure.parent.parts, *([own] if own else [])]


def _source(root: Path, path: str, name: str, notes: list[Note]) -> Source:
    """Return the source with the nearest context that has its files."""
    pure = PurePosixPath(path)
    reading = read(root, Source(path, name, pure.parent.as_posix(), pure.name))
    wanted = [s for s, _ in (reading.analysis.sources or ())] if reading.analysis else []
    for folder in pure.parents:
        if all(_exists(root / folder, each) for each in wanted):
            return Source(path, name, folder.as_posix(), pure.relative_to(folder).as_posix())
    missing = next(each for each in wanted if not _exists(root / pure.parent, each))
    notes.append(Note(path, f"no folder around it has {missing}, which it copies; set `path` of its stage"))
    return Source(path, name, pure.parent.as_posix(), pure.name)


def _exists(folder: Path, source: str) -> bool:
    """Return True if a folder has what a Dockerfile copies. Of a pattern, the part before it counts."""
    parts = [part for part in source.split("/") if part not in ("", ".")]
    first = next((place for place, part in enumerate(parts) if has_wildcard(part)), len(parts))
    if ".." in parts or not folder.joinpath(*parts[:first]).exists():
        return False
    if first == len(parts):
        return True
    try:
        return any(folder.joinpath(*parts[:first]).glob("/".join(parts[first:])))
    except (ValueError, NotImplementedError):  # a pattern that only Go's Match has
        return True


def _used(root: Path, listed: Iterable[Source]) -> set[str]:
    """Return the names that Dockerfiles of other sources use."""
    return {
        edge.name
        for source in listed
        if (reading := read(root, source)).analysis
        for edge in reading.analysis.edges
        if familiar(edge.name) != source.name
    }
