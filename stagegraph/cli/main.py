"""The command ``stagegraph``: ``--version``, ``--help``, ``init``, ``import``; doit gets all other words."""

from __future__ import annotations

import sys
from importlib.metadata import entry_points

from .. import __version__
from . import moving

_HELP = """\
Usage: stagegraph [IMAGE:PLATFORM | STAGE:PLATFORM ...] [NAME=VALUE ...]
       stagegraph COMMAND ...
       stagegraph init [FOLDER] | import FILE
       stagegraph --version

Build families of Docker images. Call it in a folder with a stages.toml and a dodo.py.
Without words it builds all images for this machine's platform. `doit` takes the same words.

Commands (stagegraph COMMAND --help tells more):
{commands}
"""


def main(words: list[str] | None = None) -> int:
    """Run the command with these words, or with those of the command line. Return the exit status."""
    words = sys.argv[1:] if words is None else words
    if words[:1] == ["--version"]:
        print(f"stagegraph {__version__}")
        return 0
    if words[:1] in (["--help"], ["-h"]):
        print(_HELP.format(commands=_commands()), end="")
        return 0
    if words[:1] and words[0] in moving.PURPOSES:
        return moving.run(words)
    from doit.doit_cmd import DoitMain

    doit = DoitMain()
    doit.BIN_NAME = "stagegraph"
    return int(doit.run(words) or 0)


def _commands() -> str:
    """The commands of this package, one on each line, with their purpose."""
    own = (each for each in entry_points(group="doit.COMMAND") if each.module.startswith("stagegraph."))
    purposes = {each.name: each.load().doc_purpose for each in own} | moving.PURPOSES
    return "\n".join(f"  {name:9} {purposes[name]}" for name in sorted(purposes))


if __name__ == "__main__":
    sys.exit(main())
