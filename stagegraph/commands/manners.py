"""What every command does alike: ``--help`` after its name, and a reader that goes away (``| head``)."""

from __future__ import annotations

import os
import sys
from typing import Any

from doit.cmd_base import Command as DoitCommand

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
        except BrokenPipeError:
            # what is still buffered is written at the end of the process
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return BROKEN_PIPE
        return result

    def help(self) -> str:
        """doit's text, with what the command does before its options."""
        usage, options, rest = super().help().partition("\nOPTIONS")
        options, title, description = (options + rest).partition("\n\nDESCRIPTION")
        return f"{usage}{title.removeprefix(chr(10))}{description}\n{options}"
