"""``doit list``: images and groups; with ``--all`` every stage and platform too."""

from __future__ import annotations

from typing import Any

from doit.cmd_list import List as DoitList
from doit.cmd_list import opt_list_quiet, opt_listall

from .. import app as apps
from ..goals import unknown_goal
from ..help import Example
from .errors import ErrorMessages

_ALL = {**opt_listall, "help": "stages and platforms too"}
_QUIET = {**opt_list_quiet, "help": "names only"}


class List(ErrorMessages, DoitList):  # type: ignore[misc]
    section = "everyday"
    doc_purpose = "list images and groups (--all: stages and platforms too)"
    doc_usage = "[GOAL ...]"
    cmd_options = (
        _ALL,
        _QUIET,
        *(option for option in DoitList.cmd_options if option not in (opt_listall, opt_list_quiet)),
    )
    examples = (
        Example("list", "the images and groups"),
        Example("list --all", "the stages too, and all platforms"),
        Example("list {image} -q", "the name alone"),
    )

    @staticmethod
    def _list_filtered(tasks: dict[str, Any], filter_tasks: list[str], include_subtasks: bool) -> Any:
        for name in filter_tasks:
            if name not in tasks:
                known = (task for task in tasks if not task.startswith("_"))
                raise unknown_goal(apps.current().workspace.project, name, known)
        return DoitList._list_filtered(tasks, filter_tasks, include_subtasks)

    def execute(self, params: Any, args: list[str]) -> Any:
        """Check the tags before the list shows them."""
        apps.current().workspace.tags.check()
        return super().execute(params, args)

    def _list_all(self, include_subtasks: bool) -> list[Any]:
        """The short list has images and groups, and tasks that a dodo.py adds itself."""
        tasks: list[Any] = super()._list_all(include_subtasks)
        return tasks if include_subtasks else [t for t in tasks if "stage" not in (t.meta or {})]
