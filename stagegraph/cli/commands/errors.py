"""How every command starts and ends here.

It starts in the project's folder, reads options wherever they stand, and knows ``--help``. It ends with an
exit status and one message, never a traceback.
"""

from __future__ import annotations

import gc
import os
import re
import sys
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar

from doit.cmd_base import Command as DoitCommand
from doit.cmdparse import CmdOption, CmdParseError
from doit.exceptions import InvalidCommand, InvalidDodoFile, InvalidTask

from ...errors import OutOfMemoryError, ProjectError, StagegraphError, nearest
from ...output import say, tell
from ...system.early import collect_rarely
from ...system.files import of_path
from ...system.processes import Interrupted, install_signal_handlers
from .. import folder, program
from ..parser import Parser

if TYPE_CHECKING:
    from pathlib import Path

    from ..help import Example

#: The status that a shell gives a program that SIGPIPE ended.
BROKEN_PIPE = 141

#: doit's own status for what it cannot begin.
DOIT_STATUS = 3

#: Options of doit's that choose its file of tasks.
_CHOOSE_FILE = {"dodoFile", "cwdPath", "seek_file"}
#: Options of doit's for its database and its comparison of files, which no command here has.
_DATABASE = {"dep_file": "--db-file", "backend": "--backend", "check_file_uptodate": "--check_file_uptodate"}


class Place(Enum):
    """Where a command works."""

    PROJECT = "the project's folder"
    ANYWHERE = "the project's folder if there is one, else the working folder"
    HERE = "the working folder"


class _Output:
    """Standard output for commands of doit's own, which write names and descriptions as they are."""

    def write(self, text: str) -> None:
        say(text, end="")


class ErrorMessages(DoitCommand):  # type: ignore[misc]
    """Mixin for doit commands; list it before the doit class.

    ``section`` and ``examples`` are for help; ``completes`` has what a shell completes behind the command:
    literal words, and kinds of ``complete.KINDS``. It also takes a reader that closes the pipe (``| head``).
    """

    section: ClassVar[str] = "look"
    examples: ClassVar[tuple[Example, ...]] = ()
    completes: ClassVar[tuple[str, ...]] = ("@goals",)
    place: ClassVar[Place] = Place.PROJECT
    tasks_have_options: ClassVar[bool] = False
    #: Names of doit's options that have no meaning here.
    without_meaning: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, **given: Any) -> None:
        self._given = given
        self._parser: Parser | None = None
        super().__init__(**given)
        self.outstream = _Output()

    @property
    def cmdparser(self) -> Parser:
        if self._parser is None:
            self._parser = Parser(self.get_options(), tasks_have_options=self.tasks_have_options)
            self._parser.overwrite_defaults(self.config_vals)
        return self._parser

    def parse_execute(self, in_args: list[str]) -> Any:
        install_signal_handlers()
        try:
            result = self._parse_execute(in_args)
            sys.stdout.flush()
        except Interrupted as error:
            error.tell()
            raise
        except Exception as error:
            return self._tell(error)
        return result

    def _tell(self, error: Exception) -> int:
        """Tell an error and return its status. ``--pdb`` gets a fault of this program or of a dodo.py."""
        match error:
            case BrokenPipeError():
                # Python writes what is still buffered at the end of the process
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                return BROKEN_PIPE
            case InvalidDodoFile() | InvalidCommand() | InvalidTask():
                tell(f"ERROR: {error}")
                return DOIT_STATUS
            case CmdParseError():  # doit's message quotes all options in its own form
                error = self._option_error(str(self.cmdparser.unread or error))
            case MemoryError():
                what, hint = "memory ran out in this program", "is there a limit? ulimit -v"
                error = OutOfMemoryError("", what, hint)
            case OSError() if error.filename is not None:  # a path that the user gave, or a disk
                error = of_path(error)
        if isinstance(error, StagegraphError):
            return print_error(error)
        if self.pdb:
            raise error
        import traceback

        tell("".join(traceback.format_exception(error)), end="")
        return DOIT_STATUS

    def _parse_execute(self, in_args: list[str]) -> Any:
        own_words = in_args[: in_args.index("--")] if "--" in in_args else in_args
        if {"--help", "-h"} & {*own_words}:
            self.print_help()
            return 0
        options, words = self.cmdparser.parse(in_args)
        self.pdb = options.get("pdb", False)
        chosen = _CHOOSE_FILE & (options._non_default_keys | self.opt_vals.keys())
        own_file = bool(chosen)
        options.update(self.opt_vals)
        if self.place is not Place.HERE:
            file, where = folder.of_options(options) if own_file else (None, self._project())
            if file and "dodoFile" in chosen:
                _check_tasks(file)
            if where is None and self.place is Place.PROJECT:
                raise folder.missing()
            if where and not own_file and where != folder.working():
                return _again_in(where)
            if where and not folder.is_project(where):
                return self._of_doit(in_args)
            if where and own_file:
                options.update(dodoFile=str(file), cwdPath=str(where))
                folder.enter(where)
        for name in _DATABASE.keys() & options._non_default_keys:
            raise ProjectError("command line", f"{_DATABASE[name]}: there is no database", _RECORDS)
        for option in self.cmdparser.options:
            if option.name in options._non_default_keys and options[option.name] == "":
                written = _written(option)
                raise ProjectError("command line", f"{written} needs a value", f"{written}={option.metavar}")
        gc.freeze()  # what is imported stays
        collect_rarely()
        return self.execute(options, words)

    def _project(self) -> Any:
        return folder.project(nearest=program.name() == "stagegraph")

    def _of_doit(self, in_args: list[str]) -> Any:
        """Answer as doit does for a ``dodo.py`` without a ``stages.toml``: it is none of ours."""
        from doit.doit_cmd import DoitMain

        of_doit = next((kind for kind in DoitMain.DOIT_CMDS if kind.get_name() == self.name), None)
        if of_doit is None:
            raise ProjectError("", "this folder has a dodo.py, but no stages.toml", "stagegraph init --force")
        return of_doit(**self._given).parse_execute(in_args)

    @classmethod
    def print_help(cls, *, everything: bool = False) -> None:
        """Print the help of this command. ``everything``: with doit's own options."""
        from ..help import of_command

        say(of_command(cls, everything=everything), flush=True)

    @classmethod
    def shown_options(cls) -> list[CmdOption]:
        """Return the options that help shows: those that are not doit's own."""
        of_doit = [option for kind in cls.__mro__ if kind.__module__.startswith("doit.")
                   for option in getattr(kind, "cmd_options", ())]  # fmt: skip
        return [CmdOption(option) for option in cls.cmd_options if option not in of_doit]

    def _option_error(self, message: str) -> ProjectError:
        """The error for an unknown option or a wrong value, from doit's message."""
        what = message.partition(" (parsing options:")[0].partition(": ")[2] or message
        command = "" if self.name == "run" else f" {self.name}"
        more = f"doit{command} --help"
        if value := re.match(r"Error parsing parameter '(\w+)' <class 'int'>.*: '(.*)'", message, re.DOTALL):
            option = _written(self.cmdparser[value[1]])
            what, more = f"{option}={value[2]} is not a whole number", f"{option}=5"
        known = [f"--{option.long}" for option in self.shown_options() if option.long]
        if lacks := re.match(r"option (\S+) requires argument", what):
            option, _ = self.cmdparser.get_option(lacks[1])
            what, more = f"{lacks[1]} needs a value", f"{lacks[1]}={option.metavar}"
        wrong = re.match(r"option (\S+) not recognized", what)
        hint = nearest(wrong[1], known) if wrong else ""
        return ProjectError("command line", what, f"{hint} {more}" if hint.startswith("did") else more)


_RECORDS = "records in cache/ and in the registry say what is built: doit plan"


def _check_tasks(file: Path) -> None:
    """Raise ``ProjectError`` for a file of tasks that Python cannot import: doit would show a traceback."""
    if not os.path.isfile(file):  # noqa: PTH113 - False for a name that is too long
        raise ProjectError("command line", f"-f {file}: no such file", "-f names a dodo.py")
    if file.suffix != ".py" or "." in file.stem:
        raise ProjectError("command line", f"-f {file}: it is no Python module", "-f names a dodo.py")


def _written(option: Any) -> str:
    return f"--{option.long}" if option.long else f"-{option.short}"


def _again_in(where: Any) -> int:
    """Start again in the project's folder, where doit finds its settings, too."""
    from doit.doit_cmd import DoitMain

    told = f"   the project is in {folder.enter(where)}; paths are relative to it"
    tell(told)
    again = DoitMain()
    again.BIN_NAME = program.name()
    return int(again.run(program.words()) or 0)


def print_error(error: StagegraphError) -> int:
    """Print an error. Return its exit status."""
    tell(f"ERROR: {program.as_called(error)}")
    return error.exit_status
