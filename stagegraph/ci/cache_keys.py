"""Keys as small files, for CI services whose caches are named by a file's digest.

CircleCI has ``{{ checksum "FILE" }}``, GitHub Actions ``hashFiles('FILE')``. A file has a line for an image's
node and one for its test, ``KEY NODE``: their keys stand for all that they are made of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import ProjectError
from ..project.model import Node
from ..system.files import os_errors_on_write, write_atomically

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ..project.model import Project


def contents(project: Project, keys: Mapping[str, str]) -> dict[str, str]:
    """Text by file name: ``IMAGE-PLATFORM`` for each image whose keys are among ``keys``, and ``all``.

    ``keys`` are by node, ``STAGE:PLATFORM``. Nodes that are no image's and no test's stand in ``all`` only.
    """
    files = {}
    for image in project.images.values():
        for platform in image.platforms:
            node, test = Node(image.stage, platform), project.test(image.name, platform)
            if all(str(part) in keys for part in (node, test) if part):
                files[f"{image.name}-{platform}"] = _lines(keys, [str(part) for part in (node, test) if part])
    return files | {"all": _lines(keys, keys)}


def write(project: Project, keys: Mapping[str, str], folder: Path) -> list[Path]:
    """Write the files; their paths. Those that say the same already are left alone.

    Raises ``StoreError``, and ``ProjectError`` where something else has the folder's name.
    """
    if folder.exists() and not folder.is_dir():
        raise ProjectError("command line", f"--write {folder}: it is no folder", "--write=FOLDER")
    with os_errors_on_write(folder):
        folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, text in contents(project, keys).items():
        path = folder / name
        if not path.is_file() or path.read_text() != text:
            write_atomically(path, text.encode())
        paths.append(path)
    return paths


def _lines(keys: Mapping[str, str], nodes: Mapping[str, str] | list[str]) -> str:
    return "".join(sorted(f"{keys[node]} {node}\n" for node in nodes))
