"""The epoch of a project that declares the time of the last commit. It is read from git."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import ProjectError
from ..project.model import TIME_OF_COMMIT

if TYPE_CHECKING:
    from pathlib import Path

    from ..project.model import Project


def with_epoch(project: Project, repository: Path, revision: str = "HEAD") -> Project:
    """Return the project with the committer time of a revision as its epoch, if it declares that.

    ``repository`` is a folder of the repository, since the project may be a copy of its files. Raises
    ``ProjectError`` if there is no commit, ``ToolError`` if git is not installed.
    """
    if project.epoch != TIME_OF_COMMIT:
        return project
    from ..system.git import git  # most projects declare a number

    found = git(repository, "log", "-1", "--format=%ct", revision, "--")
    if not found.text:
        what = f"the time of the last commit is unknown: {found.error}"
        raise ProjectError("[project] source_date_epoch", what, "commit, or write seconds since 1970")
    return project._replace(epoch=int(found.text), epoch_is_from_git=True)
