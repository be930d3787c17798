"""The folders and Dockerfiles that ``stages.toml`` names: inside the project, and there.

Reads the file system, not the files. Each folder and Dockerfile is checked once, as every platform names it.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .tables import KeyPath, TableReader


class Folders:
    """The folders below the project's ``root``."""

    def __init__(self, root: Path, reader: TableReader) -> None:
        self._root, self._reader = root, reader
        self._folders: dict[str, str] = {}
        self._dockerfiles: set[tuple[str, str]] = set()

    def folder(self, written: str, where: KeyPath) -> str:
        """Return a folder as written at ``where``, relative to the project.

        Raises ``ProjectError`` if there is none or it is outside of the project.
        """
        if written not in self._folders:
            self._folders[written] = self._checked(written, where)
        return self._folders[written]

    def check_dockerfile(self, folder: str, name: str, where: KeyPath) -> None:
        """Raise ``ProjectError`` unless ``folder`` has this Dockerfile, named by the table ``where``."""
        if (folder, name) in self._dockerfiles:
            return
        pure = PurePosixPath(name)
        if not name or "\0" in name or pure.is_absolute() or ".." in pure.parts or str(pure) != name:
            hint = "write a plain path inside the stage's folder"
            raise self._reader.error((*where, "dockerfile"), f"dockerfile {name!r} cannot be used", hint)
        if not _is_file(self._root / folder / name):
            raise self._reader.error((*where, "path"), f"no {name} in {folder!r}")
        self._dockerfiles.add((folder, name))

    def _checked(self, written: str, where: KeyPath) -> str:
        root, error = self._root.resolve(), self._reader.error
        if not written or "\0" in written:
            raise error(where, f"path {written!r} is not a folder")
        try:
            folder = (self._root / written).resolve()
            folder.stat()
        except FileNotFoundError:
            pass  # reported below
        except (OSError, RuntimeError) as fault:  # a loop of links, a name that is too long
            raise error(where, f"path {written!r} cannot be followed: {fault}") from None
        if not folder.is_relative_to(root):
            hint = "a stage's folder must be inside the project"
            raise error(where, f"path {written!r} is outside the project's folder", hint)
        if not folder.is_dir():
            hint = "create it, with a Dockerfile in it"
            if "*" in written:
                hint = f'for each folder that matches, write a "*" in the name, too: [{where[0]}."*"]'
            raise error(where, f"no folder {written!r}", hint)
        return folder.relative_to(root).as_posix()


class Disk(NamedTuple):
    """Answers the questions of globs about the folders below ``root``."""

    root: Path

    def matching(self, pattern: str) -> Iterator[tuple[str, PurePosixPath]]:
        """Yield the folders that match a pattern with one ``*``, each after the text for the ``*``.

        The ``*`` is one character or more of one name. As in a shell, hidden folders match only if the
        pattern has their dot. Links to folders count; ``Folders`` refuses those that leave the project.
        Raises ``OSError`` for a folder that cannot be read.
        """
        parts = PurePosixPath(pattern).parts
        starred = next(number for number, part in enumerate(parts) if "*" in part)
        above, below = PurePosixPath(*parts[:starred]), parts[starred + 1 :]
        before, after = parts[starred].split("*")
        if not (self.root / above).is_dir():
            return
        for name in sorted(entry.name for entry in (self.root / above).iterdir()):
            star = name[len(before) : len(name) - len(after)]
            hidden = name.startswith(".") and not before
            folder = PurePosixPath(above, name, *below)
            if star and not hidden and f"{before}{star}{after}" == name and (self.root / folder).is_dir():
                yield star, folder

    def has_file(self, folder: PurePosixPath, name: str) -> bool:
        """Return True if a folder has a file of this name."""
        return _is_file(self.root / folder / name)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that is too long, a zero byte
        return False
