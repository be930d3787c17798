"""doit's actions and up-to-date checks: errors become failed tasks with a message, never a traceback."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from doit.exceptions import TaskFailed

from ..errors import StagegraphError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .app import App


def action(app: App, name: str, call: Callable[[], object], needs: Sequence[str] = ()) -> Callable[[], Any]:
    """The action of the task ``name``. Its error is kept for the reporter.

    With ``--continue``, doit runs it although one of the tasks that it ``needs`` failed. Then it does nothing
    and has no error of its own.
    """

    def run() -> Any:
        if any(each in app.failures or each in app.unreached for each in needs):
            app.unreached.add(name)
            return TaskFailed("")
        try:
            if name in app.refusals:
                raise app.refusals[name]
            call()
        except StagegraphError as error:
            app.failures[name] = error
            return TaskFailed(str(error))
        return True

    return run


def up_to_date_check(app: App, check: Callable[[], bool]) -> Callable[[Any], bool]:
    """An up-to-date check. Its error becomes the error of the task, which then needs no parents.

    To end the program here would end what other threads are building.
    """

    def run(task: Any) -> bool:  # doit passes the task to a parameter of this name
        try:
            return check()
        except StagegraphError as error:
            app.refusals[task.name] = error
            task.setup_tasks.clear()
            return False

    return run
