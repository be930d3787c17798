"""``doit list``: images; with ``--all`` every stage and platform too."""

from __future__ import annotations

from typing import Any

from doit.cmd_list import List as DoitList

from .errors import Manners


class List(Manners, DoitList):  # type: ignore[misc]
    doc_purpose = "list images (--all: stages and platforms too)"

    @staticmethod
    def _list_filtered(tasks: dict[str, Any], filter_tasks: list[str], include_subtasks: bool) -> Any:
        from ..tasks import unknown_goal

        for name in filter_tasks:
            if name not in tasks:
                raise unknown_goal(name, (known for known in tasks if not known.startswith("_")))
        return DoitList._list_filtered(tasks, filter_tasks, include_subtasks)

    def _list_all(self, include_subtasks: bool) -> list[Any]:
        """Images alone in the short list; tasks that a dodo.py adds by itself are always shown."""
        tasks: list[Any] = super()._list_all(include_subtasks)
        return tasks if include_subtasks else [t for t in tasks if "stage" not in (t.meta or {})]
