"""Keys as small files, for CI services that name their caches by the digest of a file.

CircleCI has ``{{ checksum "FILE" }}``, GitHub Actions has ``hashFiles('FILE')``. A file has one line for an
image's node and one for its test: ``KEY NODE``. Their keys include everything that they are built from.
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
    """The text of each file: ``IMAGE-PLATFORM`` for each image whose keys are in ``keys``, and ``all``.

    ``keys`` are by node, ``STAGE:PLATFORM``. Other nodes than those of images and tests are in ``all`` only.
    """
    files = {}
    for image in project.images.values():
        for platform in image.platforms:
            node, test = Node(image.stage, platform), project.test(image.name, platform)
            if all(str(part) in keys for part in (node, test) if part):
                files[f"{image.name}-{platform}"] = _lines(keys, [str(part) for part in (node, test) if part])
    return files | {"all": _lines(keys, keys)}


def write(project: Project, keys: Mapping[str, str], folder: Path) -> list[Path]:
    """Write the files that have changed; return the paths of all files.

    Raises ``StoreError``, or ``ProjectError`` if ``folder`` is something else than a folder.
    """
    if folder.exists() and not folder.is_dir():
        raise ProjectError("command line", f"--write {folder}: it is not a folder", "--write=FOLDER")
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
