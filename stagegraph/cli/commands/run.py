"""``doit GOAL ...``.

Doit's own command, with this project's defaults and the nearest known word for a slip.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any, ClassVar

from doit.cmd_run import Run as DoitRun
from doit.cmd_run import opt_continue, opt_num_process, opt_verbosity
from doit.exceptions import InvalidCommand

from ...errors import ProjectError
from ...execution.display import Detail
from ...waits.threads import no_thread
from .. import app as apps
from .. import folder
from ..goals import unknown_goal
from ..help import Example
from .errors import ErrorMessages

_CONTINUE = {**opt_continue, "help": "continue after a failure with what does not need the failed node"}
_JOBS = {**opt_num_process, "help": "build N nodes at the same time; default: STAGEGRAPH_JOBS, or 2"}

#: Options of doit that make no sense here, with their names on a command line, and what to use instead.
_INSTEAD = {
    "always": ("-a", "to build a node again: doit rebuild NODE"),
    "single": ("-s", "a node is never built without its parents; a run builds only those that are not there"),
}

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

_TRACE = {
    "name": "trace",
    "short": "",
    "long": "trace",
    "type": str,
    "default": "",
    "metavar": "PATH",
    "help": "write the events of the run and their times into this file, for ui.perfetto.dev",
}

#: doit's own option, without its short form.
_VERBOSITY = {
    **opt_verbosity,
    "short": "",
    "help": "for other tasks of a dodo.py: 0 keeps back what they print, 1 only standard output, 2 nothing",
}

#: doit's options that have another form here.
_OURS = (opt_continue, opt_num_process, opt_verbosity)


class Run(ErrorMessages, DoitRun):  # type: ignore[misc]
    section = "everyday"
    tasks_have_options = True
    without_meaning = frozenset({"reporter", "par_type", *_INSTEAD})
    doc_purpose = "build, pull or reuse images and stages"
    doc_usage = "[GOAL ...] [NAME=VALUE ...] [OPTION ...]"
    doc_description = (
        "Without goals: the images for this machine's platform. When its test has passed, an image is loaded "
        "into the engine as REPO:TAG.\n\n"
        "On a terminal, a run shows the nodes in work, their last line of output and what is left. "
        "Elsewhere, or with CI set, it prints plain lines. NO_COLOR takes the colours away.\n\n"
        "doit list shows the images, doit list --all the stages too. doit plan shows what a run would "
        "do, and why."
    )
    cmd_options = (
        _CONTINUE,
        _JOBS,
        _VERBOSE,
        _QUIET,
        _TRACE,
        _VERBOSITY,
        *(option for option in DoitRun.cmd_options if option not in _OURS),
    )
    examples: ClassVar[tuple[Example, ...]] = (
        Example("", "all images for this machine's platform", "engine"),
        Example("{goal}", "one image: build, pull or reuse it, test it, load it", "engine"),
        Example("{goal} -n 4", "up to four nodes at the same time", "engine"),
        Example("{goal} -v", "with the builder's output", "engine"),
        Example("{alternative} {goal}", "with another alternative of a stage", "engine"),
        Example("registry={registry} {goal}", "pull from a registry, and push to it", "registry"),
    )

    def execute(self, params: Any, args: Any) -> Any:
        app = apps.current()
        app.requested = list(args)
        _refuse_unfit(params)
        app.trace, app.detail = _trace(params["trace"]), _detail(params)
        if isinstance(params["outfile"], str):
            params["outfile"] = folder.given(params["outfile"])
        try:
            return super().execute(params, args)
        except InvalidCommand as error:
            if not error.not_found:
                raise
            known = [task.name for task in self.task_list if not task.name.startswith("_")]
            raise _unknown(error.not_found, known) from None

    @functools.wraps(DoitRun._execute)  # doit reads the names of its options from the signature
    def _execute(self, **options: Any) -> Any:
        if options["num_process"] is None:  # not on the command line
            options["num_process"] = apps.jobs()
        # doit starts a thread for each of them, also without work
        options["num_process"] = min(options["num_process"], max(len(self.task_list), 1))
        apps.current().jobs = options["num_process"]
        try:
            return super()._execute(**options)
        except RuntimeError as error:
            if "start new thread" not in str(error):
                raise
            raise no_thread(error) from None


def _unknown(word: str, known: list[str]) -> ProjectError:
    """Return the error for a word that is no goal. It may be a command that is not the first word."""
    from ...project.schema import COMMANDS
    from .replaced import INSTEAD, NAMES

    if word in INSTEAD:
        return ProjectError("command line", f"no command {word!r}", INSTEAD[word])
    commands = [name for name in COMMANDS if name not in NAMES]
    return unknown_goal(apps.current().workspace.project, word, known, commands)


def _detail(params: Any) -> Detail:
    """Return how much the run prints. Raises ``ProjectError`` for -v and -q at once."""
    if params["verbose"] and params["quiet"]:
        raise ProjectError("command line", "-v and -q contradict each other", "leave out one of them")
    return Detail.OUTPUT if params["verbose"] else Detail.RESULT if params["quiet"] else Detail.PROGRESS


def _trace(option: str) -> Path | None:
    """Return the file for the trace, if one is wanted. Raises ``ProjectError`` if it has no folder."""
    variable = "STAGEGRAPH_TRACE"
    where, value = ("command line", option) if option else (variable, os.environ.get(variable, ""))
    if not value:
        return None
    path = Path(folder.given(value))
    if path.is_dir() or not path.parent.is_dir():
        lacking = f"there is no folder {Path(value).parent}"
        what = f"the trace {value}: {'it is a folder' if path.is_dir() else lacking}"
        raise ProjectError(where, what, "--trace trace.json")
    return path


def _refuse_unfit(params: Any) -> None:
    """Raise ``ProjectError`` for options of doit's that do not fit this project's runs."""
    given = {name: params[name] for name in params._non_default_keys}  # defaults do not count
    for refused, (option, hint) in _INSTEAD.items():
        if given.get(refused):
            raise ProjectError("command line", f"{option} has no meaning here", hint)
    if (count := given.get("num_process", 0)) < 0:
        raise ProjectError("command line", f"-n {count} is not a whole number above 0", "-n 2")
    if name := given.get("reporter"):
        what = (
            f"-r {name}: only the project's own reporter can end a run: it sets the status and awaits pushes"
        )
        raise ProjectError("command line", what, "for machines, read cache/last-run.json")
    if (kind := given.get("par_type", "thread")) != "thread":
        raise ProjectError("command line", f"-P {kind}: nodes are built by threads", "-n sets how many")
