"""doit's commands that have no meaning here. Each says what to use instead.

doit's database is kept in memory: the stores know what is built. So nothing can be forgotten or ignored.
"""

from __future__ import annotations

from typing import Any, ClassVar, NoReturn

from doit.cmd_clean import Clean as DoitClean
from doit.cmd_completion import TabCompletion as DoitTabCompletion
from doit.cmd_dumpdb import DumpDB as DoitDumpDB
from doit.cmd_forget import Forget as DoitForget
from doit.cmd_ignore import Ignore as DoitIgnore
from doit.cmd_resetdep import ResetDep as DoitResetDep
from doit.cmd_strace import Strace as DoitStrace

from ...errors import ProjectError
from .errors import ErrorMessages

#: The words that no help lists, also where doit has no such command.
INSTEAD = {"auto": "doit watch"}


class Replaced(ErrorMessages):
    """A command that only says what to call. In the folder of another project, doit's own command answers."""

    section = "replaced"
    completes = ()
    why: ClassVar[str]
    instead: ClassVar[str]

    def execute(self, params: Any, args: Any) -> NoReturn:  # noqa: ARG002
        raise self.error()

    @classmethod
    def print_help(cls, *, everything: bool = False) -> None:  # noqa: ARG003
        raise cls.error()

    @classmethod
    def error(cls) -> ProjectError:
        return ProjectError("command line", f"{cls.get_name()}: {cls.why}", cls.instead)


#: The names of these commands.
NAMES = frozenset(("clean", "dumpdb", "forget", "ignore", "reset-dep", "strace", "tabcompletion"))


class Clean(Replaced, DoitClean):  # type: ignore[misc]
    why = "a run writes nothing beside cache/"
    instead = "to delete what current keys do not need: doit prune --keep-current"


class Forget(Replaced, DoitForget):  # type: ignore[misc]
    why = "nothing is kept but records in cache/ and in the registry"
    instead = "to build a node again: doit rebuild NODE"


class Ignore(Replaced, DoitIgnore):  # type: ignore[misc]
    why = "a node is built exactly when a goal needs it"
    instead = "name only the goals that you want; doit -c continues after a failure"


class ResetDep(Replaced, DoitResetDep):  # type: ignore[misc]
    name = "reset-dep"
    why = "keys say what is up to date"
    instead = "to see the key of each node: doit keys"


class DumpDB(Replaced, DoitDumpDB):  # type: ignore[misc]
    why = "nothing is kept but records in cache/ and in the registry"
    instead = "to see what is built: doit plan; to check cache/: doit verify"


class Strace(Replaced, DoitStrace):  # type: ignore[misc]
    why = "steps run in the builder, where strace does not see them"
    instead = "to see which files a node reads: doit plan names each that changed; doit keys"


class TabCompletion(Replaced, DoitTabCompletion):  # type: ignore[misc]
    why = "this program has a script of its own"
    instead = "stagegraph completion bash, zsh or fish"
