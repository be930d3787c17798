"""How every command of doit ends here: with an exit status and one message, never a traceback."""

from __future__ import annotations

import os
import re
import sys
from typing import Any

from doit.cmd_base import Command as DoitCommand
from doit.cmdparse import CmdParseError

from ...errors import ProjectError, StagegraphError, nearest
from ...system.processes import Interrupted

#: The status that a shell gives a program that SIGPIPE ended.
BROKEN_PIPE = 141


class ErrorMessages(DoitCommand):  # type: ignore[misc]
    """Mixin for doit commands; list it before the doit class.

    It also takes ``--help`` after the command's name, and a reader that closes the pipe (``| head``).
    """

    def parse_execute(self, in_args: list[str]) -> Any:
        try:
            if {"--help", "-h"} & set(in_args):
                print(self.help(), flush=True)
                return 0
            result = super().parse_execute(in_args)
            sys.stdout.flush()
        except CmdParseError as error:  # doit's message quotes all options in its own form
            return _print_error(self._option_error(str(error)))
        except StagegraphError as error:
            return _print_error(error)
        except Interrupted as error:
            error.tell()
            raise
        except BrokenPipeError:
            # Python writes what is still buffered at the end of the process
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return BROKEN_PIPE
        return result

    def _option_error(self, message: str) -> ProjectError:
        """The error for an unknown option or a missing value, from doit's message."""
        what = message.partition(" (parsing options:")[0].partition(": ")[2] or message
        known = [f"--{option.long}" for option in self.cmdparser.options if option.long]
        wrong = re.match(r"option (\S+) not recognized", what)
        hint = nearest(wrong[1], known) if wrong else ""
        more = f"doit {self.name} --help"
        return ProjectError("command line", what, f"{hint} {more}" if hint.startswith("did") else more)

    def help(self) -> str:
        """doit's text, with the description before the options."""
        usage, options, rest = super().help().partition("\nOPTIONS")
        options, title, description = (options + rest).partition("\n\nDESCRIPTION")
        return f"{usage}{title.removeprefix(chr(10))}{description}\n{options}"


def _print_error(error: StagegraphError) -> int:
    print(f"ERROR: {error}", file=sys.stderr)
    return error.exit_status
