"""What every command does alike: ``--help`` after its name, errors as one message with an exit status, and a
reader that goes away (``| head``)."""

from __future__ import annotations

import os
import re
import sys
from typing import Any

from doit.cmd_base import Command as DoitCommand
from doit.cmdparse import CmdParseError

from ...errors import ProjectError, StagegraphError, nearest

#: What a shell says of a program that SIGPIPE ended.
BROKEN_PIPE = 141


class Manners(DoitCommand):  # type: ignore[misc]
    """To be named before one of doit's own commands among the bases of a class."""

    def parse_execute(self, in_args: list[str]) -> Any:
        if {"--help", "-h"} & set(in_args):
            print(self.help())
            return 0
        try:
            result = super().parse_execute(in_args)
            sys.stdout.flush()
        except CmdParseError as error:  # doit's message quotes all options as it holds them
            return _told(self._slip(str(error)))
        except StagegraphError as error:
            return _told(error)
        except BrokenPipeError:
            # what is still buffered is written at the end of the process
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return BROKEN_PIPE
        return result

    def _slip(self, message: str) -> ProjectError:
        """The error for an option that is none, or lacks its value, out of doit's message."""
        what = message.partition(" (parsing options:")[0].partition(": ")[2] or message
        known = [f"--{option.long}" for option in self.cmdparser.options if option.long]
        wrong = re.match(r"option (\S+) not recognized", what)
        hint = nearest(wrong[1], known) if wrong else ""
        more = f"doit {self.name} --help"
        return ProjectError("command line", what, f"{hint} {more}" if hint.startswith("did") else more)

    def help(self) -> str:
        """doit's text, with what the command does before its options."""
        usage, options, rest = super().help().partition("\nOPTIONS")
        options, title, description = (options + rest).partition("\n\nDESCRIPTION")
        return f"{usage}{title.removeprefix(chr(10))}{description}\n{options}"


def _told(error: StagegraphError) -> int:
    print(f"ERROR: {error}", file=sys.stderr)
    return error.exit_status
