"""``doit TASK ...``: doit's own command, with the nearest known word for a task that there is not."""

from __future__ import annotations

from typing import Any

from doit.cmd_run import Run as DoitRun
from doit.exceptions import InvalidCommand

from ...errors import ProjectError
from ...graph import goals
from ...project.schema import COMMANDS
from .errors import Manners


class Run(Manners, DoitRun):  # type: ignore[misc]
    doc_purpose = "build, pull or reuse images and stages"
    doc_usage = "[IMAGE:PLATFORM | STAGE:PLATFORM ...] [NAME=VALUE ...]"
    doc_description = (
        "Without arguments: every image for this machine's platform. An image is loaded into the engine "
        "under REPO:TAG when its test has passed.\n\n"
        "Settings: repo=, tag=, base=IMAGE or base=bootstrap:SUITE, registry=HOST, builder=NAME or "
        "builder=PLATFORM:NAME, push=never, nodes, built or all, locked=1, and STAGE=ALTERNATIVE "
        "(blas=netlib); in the environment STAGEGRAPH_REPO and so on.\n\n"
        "doit list shows images, doit list --all stages too; doit plan what would be done, and why."
    )

    def execute(self, params: Any, args: Any) -> Any:
        goals.words = list(args)
        _refuse_unfit(params)
        try:
            return super().execute(params, args)
        except InvalidCommand as error:
            if not error.not_found:
                raise
            from ..tasks import unknown_goal

            names = [task.name for task in self.task_list if not task.name.startswith("_")]
            raise unknown_goal(error.not_found, names, COMMANDS) from None


def _refuse_unfit(params: Any) -> None:
    """Raises ``ProjectError`` for options of doit's that are none for this project's runs."""
    given = {name: params[name] for name in params._non_default_keys}  # the others are not yet dodo.py's
    if (count := given.get("num_process", 0)) < 0:
        raise ProjectError("command line", f"-n {count}: no number of jobs", "-n 2")
    if name := given.get("reporter"):
        what = f"-r {name}: the project's own reporter also ends a run, with its status and its pushes"
        raise ProjectError("command line", what, "cache/last-run.json is for machines")
    if (kind := given.get("par_type", "thread")) != "thread":
        raise ProjectError("command line", f"-P {kind}: nodes are built by threads", "-n says how many")
