"""``doit TASK ...``: doit's own command, with the nearest known word for a task that there is not."""

from __future__ import annotations

import sys
from typing import Any

from doit.cmd_run import Run as DoitRun
from doit.exceptions import InvalidCommand


class Run(DoitRun):  # type: ignore[misc]
    def execute(self, params: Any, args: Any) -> Any:
        try:
            return super().execute(params, args)
        except InvalidCommand as error:
            if not error.not_found:
                raise
            from ..tasks import unknown_goal

            names = [task.name for task in self.task_list if not task.name.startswith("_")]
            what = unknown_goal(error.not_found, names)
            print(f"ERROR: {what}", file=sys.stderr)
            return what.exit_status
