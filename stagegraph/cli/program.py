"""The program that the user called: its name, and its words. Messages name it as the user called it."""

from __future__ import annotations

import re
import sys
from typing import NamedTuple

#: ``doit`` in a message: the program, not a part of a path or of another word. "doit's" is doit itself.
_DOIT = re.compile(r"(?<![\w./-])doit(?![\w/-]|\.\w|'s)")


class _Program(NamedTuple):
    name: str
    words: list[str] | None


#: ``doit`` calls no code of this package before it has chosen a command, so it is what is left.
_program = _Program("doit", None)


def started(name: str, words: list[str]) -> None:
    """Take down that the user called the program ``name`` with these words."""
    global _program
    _program = _Program(name, words)


def name() -> str:
    """Return ``doit`` or ``stagegraph``, whichever was called."""
    return _program.name


def words() -> list[str]:
    """Return the words behind the program's name."""
    return sys.argv[1:] if _program.words is None else _program.words


def as_called(text: object) -> str:
    """Return a message for the user of this program.

    All messages call the program ``doit``. Who called ``stagegraph`` reads this name.
    """
    return str(text) if _program.name == "doit" else _DOIT.sub(_program.name, str(text))
