"""The folders and Dockerfiles that ``stages.toml`` names: inside the project, and there.

Reads the file system, not the files. Each folder and Dockerfile is checked once, as every platform names it.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
            raise error(where, f"no folder {written!r}", "create it, with a Dockerfile in it")
        return folder.relative_to(root).as_posix()


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long
        return False
