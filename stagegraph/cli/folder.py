"""The folder of the project: the working folder, or the nearest folder above it that has a project."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ProjectError

if TYPE_CHECKING:
    from collections.abc import Mapping

DECLARATION, TASKS = "stages.toml", "dodo.py"

#: The working folder when the program was called, relative to the project's folder; set by ``enter``.
_called_from = ""


def find(start: Path) -> Path | None:
    """Return the nearest folder with both files of a project: ``start``, or one above it; else None."""
    return next((each for each in (start, *start.parents) if _has(each, DECLARATION, TASKS)), None)


def project(*, nearest: bool) -> Path | None:
    """Return the project's folder for a call in the working folder; None if it is none of a project.

    A ``dodo.py`` in the working folder counts alone for doit. With ``nearest``, a project above it comes
    first. Raises ``ProjectError`` if the working folder is gone.
    """
    here = working()
    return here if not nearest and _has(here, TASKS) else find(here)


def working() -> Path:
    """Return the working folder. Raises ``ProjectError`` if it was removed."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise ProjectError("", "the working folder does not exist any more", "cd to another folder") from None


def of_options(options: Mapping[str, Any]) -> tuple[Path, Path]:
    """Return the file of tasks and the folder that doit's options choose (-f, -d, -k), both absolute."""
    here, file = working(), Path(options["dodoFile"])
    above = here.parents if options["seek_file"] and not file.is_absolute() else ()
    places = (here / file, *(each / file.name for each in above))
    found = next((each for each in places if each.exists()), places[0])
    return found, here / options["cwdPath"] if options["cwdPath"] else found.parent


def is_project(folder: Path) -> bool:
    """Return whether a folder has a ``stages.toml``. A ``dodo.py`` without one is another project's."""
    return _has(folder, DECLARATION)


def missing() -> ProjectError:
    """Return the error for a call outside a project."""
    here = working()
    if _has(here, DECLARATION):
        hint = "write this line into it: from stagegraph.tasks import *"
        return ProjectError(str(here), f"has a {DECLARATION}, but no {TASKS}", hint)
    what = "there is no project in this folder, or in a folder above it"
    hint = "stagegraph init makes one for the Dockerfiles below this folder; stagegraph --help"
    return ProjectError("", what, hint)


def enter(folder: Path) -> str:
    """Make ``folder`` the working folder. Return its path, relative to the old one."""
    global _called_from
    here = working()
    os.chdir(folder)
    _called_from = os.path.relpath(here, folder)
    return os.path.relpath(folder, here)


def given(path: str) -> str:
    """Return a path that the user gave, relative to the project's folder."""
    return os.path.normpath(Path(_called_from, path)) if path and _called_from else path


def _has(folder: Path, *names: str) -> bool:
    return all(os.path.exists(folder / name) for name in names)  # noqa: PTH110 - False without permission
