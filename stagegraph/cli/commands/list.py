"""``doit list``: images and groups; with ``--all`` every stage and platform too."""

from __future__ import annotations

from typing import Any

from doit.cmd_list import List as DoitList

from .. import app as apps
from ..goals import unknown_goal
from .errors import ErrorMessages


class List(ErrorMessages, DoitList):  # type: ignore[misc]
    doc_purpose = "list images and groups (--all: stages and platforms too)"

    @staticmethod
    def _list_filtered(tasks: dict[str, Any], filter_tasks: list[str], include_subtasks: bool) -> Any:
        for name in filter_tasks:
            if name not in tasks:
                known = (task for task in tasks if not task.startswith("_"))
                raise unknown_goal(apps.current().workspace.project, name, known)
        return DoitList._list_filtered(tasks, filter_tasks, include_subtasks)

    def _list_all(self, include_subtasks: bool) -> list[Any]:
        """The short list has images and groups, and tasks that a dodo.py adds itself."""
        tasks: list[Any] = super()._list_all(include_subtasks)
        return tasks if include_subtasks else [t for t in tasks if "stage" not in (t.meta or {})]
