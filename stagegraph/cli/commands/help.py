"""``doit help``: the commands by section, or the help of one command or goal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from doit.cmd_base import DoitCmdBase
from doit.cmd_help import Help as DoitHelp

from ...errors import ProjectError, nearest
from ...output import say
from .. import app as apps
from .. import goals, names
from .. import help as texts
from .base import doit_options, flag
from .errors import ErrorMessages, Place

if TYPE_CHECKING:
    from collections.abc import Collection


@dataclass(frozen=True)
class Options:
    """``all`` is for those who know doit."""

    all: bool = flag("with the options that are doit's own")


class Help(ErrorMessages, DoitHelp):  # type: ignore[misc]
    section = "more"
    doc_purpose = "show the commands, or the help of a command or goal"
    doc_usage = "[COMMAND | GOAL]"
    doc_description = (
        "`doit COMMAND --help` prints the same. The names in examples are those of your project."
    )
    cmd_options = doit_options(Options)
    completes = ("@commands", "@goals")
    place = Place.ANYWHERE
    examples = (
        texts.Example("help", "the commands"),
        texts.Example("help plan", "the help of one command"),
        texts.Example("help run --all", "doit's own options of a run, too"),
    )

    def execute(self, params: Any, args: list[str]) -> int:
        own = {name: kind for name, kind in sorted(self.cmds.items()) if issubclass(kind, ErrorMessages)}
        if len(args) > 1:
            raise ProjectError("command line", "doit help takes one command or goal", f"doit help {args[0]}")
        if not args:
            say(texts.overview(own))
        elif args[0] in own:
            own[args[0]].print_help(everything=params["all"])
        elif args[0] in self.cmds or args[0] == "task":  # a command of doit's, or how its tasks are written
            super().execute(params, args)
        else:
            self._goal(args[0], [name for name, kind in own.items() if kind.section != "replaced"], params)
        return 0

    def _goal(self, word: str, commands: Collection[str], params: Any) -> None:
        """Print the help of a goal, or of a task that a ``dodo.py`` adds. Raises ``ProjectError``."""
        if self._project() is None:
            raise ProjectError("command line", f"no command {word!r}", nearest(word, commands))
        project = apps.current().workspace.project
        known = names.described(project)
        name, _, platform = word.partition(":")
        if name in known and platform in ("", *names.platforms(project, name)):
            say(texts.of_goal(word, known[name]))
        elif not DoitCmdBase.execute(self, params, [word]):
            what = f"no {goals.kinds(project, commands=True)} {word!r}"
            raise ProjectError("command line", what, nearest(word, [*commands, *known]))
