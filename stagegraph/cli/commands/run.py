"""``doit TASK ...``.

Doit's own command, with this project's defaults and the nearest known word for a slip.
"""

from __future__ import annotations

import functools
import re
from typing import Any

from doit.cmd_run import Run as DoitRun
from doit.cmd_run import opt_verbosity
from doit.exceptions import InvalidCommand

from ...errors import ProjectError
from ...execution.display import Detail
from ...project.schema import COMMANDS
from .. import app as apps
from ..goals import unknown_goal
from .errors import ErrorMessages

_VERBOSE = {
    "name": "verbose",
    "short": "v",
    "long": "verbose",
    "type": bool,
    "default": False,
    "help": "print what the builder prints; each line begins with its node",
}

_QUIET = {
    "name": "quiet",
    "short": "q",
    "long": "quiet",
    "type": bool,
    "default": False,
    "help": "print only the result: images with digests, warnings and errors",
}

#: doit's own option. ``_arranged`` knows its short form.
_VERBOSITY = {
    **opt_verbosity,
    "short": "",
    "help": "for other tasks of a dodo.py: 0 keeps back what they print, 1 only standard output, 2 nothing",
}

#: Options that may also stand behind goals.
_ANYWHERE = ("-v", "--verbose", "-q", "--quiet")


class Run(ErrorMessages, DoitRun):  # type: ignore[misc]
    doc_purpose = "build, pull or reuse images and stages"
    doc_usage = "[-v | -q] [IMAGE:PLATFORM | STAGE:PLATFORM | GROUP:PLATFORM ...] [NAME=VALUE ...]"
    doc_description = (
        "Without arguments: every image for this machine's platform. When its test has passed, an image "
        "is loaded into the engine as REPO:TAG.\n\n"
        "Settings: repo=, tag=, base=IMAGE or base=bootstrap:SUITE, registry=HOST, builder=NAME or "
        "builder=PLATFORM:NAME, push=never, nodes, built or all, locked=1, and STAGE=ALTERNATIVE "
        "(blas=netlib). In the environment: STAGEGRAPH_REPO and so on.\n\n"
        "On a terminal, a run shows the nodes in work, their last line of output and what is left. "
        "Elsewhere, or with CI set, it prints plain lines. NO_COLOR takes the colours away.\n\n"
        "doit list shows the images, doit list --all the stages too. doit plan shows what a run would "
        "do, and why."
    )

    cmd_options = (
        _VERBOSE,
        _QUIET,
        *(_VERBOSITY if option is opt_verbosity else option for option in DoitRun.cmd_options),
    )

    def parse_execute(self, in_args: list[str]) -> Any:
        return super().parse_execute(_arranged(in_args))

    def execute(self, params: Any, args: Any) -> Any:
        apps.current().requested = list(args)
        _refuse_unfit(params)
        apps.current().detail = _detail(params)
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
        apps.current().jobs = options["num_process"]
        return super()._execute(**options)


def _arranged(words: list[str]) -> list[str]:
    """Put -v and -q before the goals, where doit looks for options.

    doit's own ``-v 2`` becomes ``--verbosity=2``.
    """
    before, rest = list[str](), list[str]()
    for place, word in enumerate(words):
        if word == "--":
            rest += words[place:]
            break
        if match := re.fullmatch(r"-v([012])", word):
            before.append(f"--verbosity={match[1]}")
        elif word in ("0", "1", "2") and before[-1:] == ["-v"] and words[place - 1] == "-v":
            before[-1] = f"--verbosity={word}"
        else:
            (before if word in _ANYWHERE else rest).append(word)
    return before + rest


def _detail(params: Any) -> Detail:
    """Return how much the run prints. Raises ``ProjectError`` for -v and -q at once."""
    if params["verbose"] and params["quiet"]:
        raise ProjectError("command line", "-v and -q contradict each other", "leave out one of them")
    return Detail.OUTPUT if params["verbose"] else Detail.RESULT if params["quiet"] else Detail.PROGRESS


def _refuse_unfit(params: Any) -> None:
    """Raise ``ProjectError`` for options of doit's that do not fit this project's runs."""
    given = {name: params[name] for name in params._non_default_keys}  # defaults do not count
    if (count := given.get("num_process", 0)) < 0:
        raise ProjectError("command line", f"-n {count} is not a positive integer", "-n 2")
    if name := given.get("reporter"):
        what = (
            f"-r {name}: only the project's own reporter can end a run: it sets the status and awaits pushes"
        )
        raise ProjectError("command line", what, "for machines, read cache/last-run.json")
    if (kind := given.get("par_type", "thread")) != "thread":
        raise ProjectError("command line", f"-P {kind}: nodes are built by threads", "-n sets how many")
