"""The command ``stagegraph``: doit with the commands of this package, under a name of its own."""

from __future__ import annotations

import sys

from .. import __version__
from ..errors import ProjectError
from ..output import say
from . import program

NAME = "stagegraph"


def main(words: list[str] | None = None) -> int:
    """Run the command with these words, or with those of the command line. Return the exit status."""
    words = sys.argv[1:] if words is None else words
    if words[:1] == ["_complete"]:  # a shell waits for it
        from .complete import main as complete

        return complete(words[1:])
    if words == ["--version"]:
        say(f"{NAME} {__version__}")
        return 0
    if words[:1] in (["--help"], ["-h"]):
        words = ["help", *words[1:]]
    program.started(NAME, words)
    from doit.doit_cmd import DoitMain

    if "" in words:  # doit's traceback
        from .commands.errors import print_error

        hint = "is a variable of the script empty?"
        return print_error(ProjectError("command line", "a word is empty", hint))
    doit = DoitMain()
    doit.BIN_NAME = NAME
    return int(doit.run(words) or 0)


def as_doit() -> None:
    """Run doit. ``./run doit`` comes here, so that Ctrl-C is quiet while doit is imported, too."""
    from doit.__main__ import main as doit_main

    sys.exit(doit_main())


if __name__ == "__main__":
    sys.exit(main())
