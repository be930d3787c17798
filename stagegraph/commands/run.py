"""``doit TASK ...``: doit's own command, with the nearest known word for a task that there is not."""

from __future__ import annotations

import sys
from typing import Any

from doit.cmd_run import Run as DoitRun

from ..errors import ProjectError, nearest


class Run(DoitRun):  # type: ignore[misc]
    def _execute(self, *args: Any, **options: Any) -> Any:
        known = {task.name for task in self.task_list}
        shown = [name for name in known if not name.startswith("_")]
        for name in self.sel_tasks or ():
            # doit takes patterns, too
            if name not in known and "*" not in name:
                error = ProjectError("command line", f"no task {name!r}", nearest(name, shown))
                print(f"ERROR: {error}", file=sys.stderr)
                return ProjectError.exit_status
        return super()._execute(*args, **options)
