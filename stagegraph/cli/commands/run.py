"""``doit TASK ...``.

Doit's own command, with this project's defaults and the nearest known word for a slip.
"""

from __future__ import annotations

import functools
from typing import Any

from doit.cmd_run import Run as DoitRun
from doit.exceptions import InvalidCommand

from ...errors import ProjectError
from ...project.schema import COMMANDS
from .. import app as apps
from ..goals import unknown_goal
from .errors import ErrorMessages


class Run(ErrorMessages, DoitRun):  # type: ignore[misc]
    doc_purpose = "build, pull or reuse images and stages"
    doc_usage = "[IMAGE:PLATFORM | STAGE:PLATFORM | GROUP:PLATFORM ...] [NAME=VALUE ...]"
    doc_description = (
        "Without arguments: every image for this machine's platform. When its test has passed, an image "
        "is loaded into the engine as REPO:TAG.\n\n"
        "Settings: repo=, tag=, base=IMAGE or base=bootstrap:SUITE, registry=HOST, builder=NAME or "
        "builder=PLATFORM:NAME, push=never, nodes, built or all, locked=1, and STAGE=ALTERNATIVE "
        "(blas=netlib). In the environment: STAGEGRAPH_REPO and so on.\n\n"
        "doit list shows the images, doit list --all the stages too. doit plan shows what a run would "
        "do, and why."
    )

    def execute(self, params: Any, args: Any) -> Any:
        apps.current().requested = list(args)
        _refuse_unfit(params)
        try:
            return super().execute(params, args)
        except InvalidCommand as error:
            if not error.not_found:
                raise
            names = [task.name for task in self.task_list if not task.name.startswith("_")]
            project = apps.current().workspace.project
            raise unknown_goal(project, error.not_found, names, COMMANDS) from None

    @functools.wraps(DoitRun._execute)  # doit reads the names of its options from the signature
    def _execute(self, **options: Any) -> Any:
        if options["num_process"] is None:  # the dodo.py of another project, without our DOIT_CONFIG
            options["num_process"] = apps.jobs()
        return super()._execute(**options)


def _refuse_unfit(params: Any) -> None:
    """Raise ``ProjectError`` for options of doit's that do not fit this project's runs."""
    given = {name: params[name] for name in params._non_default_keys}  # defaults do not count
    if (count := given.get("num_process", 0)) < 0:
        raise ProjectError("command line", f"-n {count} is not a positive integer", "-n 2")
    if given.get("always"):
        what = "-a: an image that a store has is reused all the same"
        raise ProjectError("command line", what, "to build a node again: doit rebuild STAGE:PLATFORM")
    if name := given.get("reporter"):
        what = (
            f"-r {name}: only the project's own reporter can end a run: it sets the status and awaits pushes"
        )
        raise ProjectError("command line", what, "for machines, read cache/last-run.json")
    if (kind := given.get("par_type", "thread")) != "thread":
        raise ProjectError("command line", f"-P {kind}: nodes are built by threads", "-n sets how many")
