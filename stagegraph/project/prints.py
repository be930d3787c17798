"""The output of a command in an image -> a part of a tag. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..errors import ProjectError
from ..output import masked

if TYPE_CHECKING:
    from .model import Image, PrintCommand

_PART = re.compile(r"[\w.-]+", re.ASCII)

#: The longest output that a message shows.
_SHOWN = 200


def value(image: Image, command: PrintCommand, output: str) -> str:
    """Return the value of ``{prints.NAME}``: the output, or what ``match`` finds in it.

    With groups in ``match`` it is the first group. Raises ``ProjectError`` if it cannot be a part of a tag.
    """
    text = output.strip()
    shown = f"image {image.name}: the command of prints.{command.name} printed {masked(text)[:_SHOWN]!r}"
    if not text:
        hint = "only its standard output counts; 2>&1 adds the other"
        raise ProjectError(command.declared_at, shown.replace("''", "nothing"), hint)
    if command.match:
        match = re.search(command.match, text, re.MULTILINE)
        if match is None:
            what = f"{shown}, in which match = '{command.match}' finds nothing"
            raise ProjectError(command.declared_at, what, "change match, or the command")
        text = (match[1] if match.re.groups else match[0]) or ""
        shown += f", of which match = '{command.match}' takes {masked(text)[:_SHOWN]!r}"
    if not _PART.fullmatch(text):
        hint = r"take a part of it: match = '\d+\.\d+'; or cut it in the command"
        raise ProjectError(command.declared_at, f"{shown}; this cannot be in a tag", hint)
    return text
