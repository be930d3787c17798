"""Triggers: the instructions that ``ONBUILD`` leaves for images that start from this one.

Pure. BuildKit runs them at the start of the child's build
(https://docs.docker.com/reference/dockerfile/#onbuild).
"""

from __future__ import annotations

import csv
import re

from ..errors import DockerfileError
from .expansion import Expander
from .instructions import Instruction, from_names, parse
from .pins import unpinned_sources
from .variables import Scope


def trigger_of(onbuild: Instruction) -> Instruction:
    """Return the instruction behind an ONBUILD, at the line of the ONBUILD.

    As BuildKit keeps and reads it (``parseOnBuild``): the logical line, then the contents of inline files.
    Raises ``DockerfileError`` if it is not one instruction.
    """
    text = re.sub(r"^\s*ONBUILD\s*", "", onbuild.logical_line, flags=re.IGNORECASE)
    text += "".join(f"\n{content}{word}" for word, _, content in onbuild.heredocs)
    try:
        (trigger,) = parse(text, onbuild.file)[0]
    except ValueError:
        raise onbuild.error("ONBUILD takes one instruction") from None
    except DockerfileError as error:
        raise onbuild.error(f"ONBUILD: {error.what}", error.hint) from None
    return trigger._replace(line=onbuild.line)


def triggers(text: str, name: str, target: str = "") -> tuple[Instruction, ...]:
    """Return the triggers of the build stage ``target``, by default of the last one.

    Reads the text alone; no argument needs a value. ``name`` is the Dockerfile's path.
    Raises ``DockerfileError``.
    """
    stages: list[tuple[str, list[Instruction]]] = []
    for instruction in parse(text, name)[0]:
        if instruction.cmd == "FROM":
            stages.append((instruction.value[2].lower() if len(instruction.value) == 3 else "", []))
        elif stages:
            stages[-1][1].append(instruction)
    bodies = [body for alias, body in stages if not target or alias == target.lower()]
    return tuple(trigger_of(i) for body in bodies[-1:] for i in body if i.cmd == "ONBUILD")


def takes_from_elsewhere(text: str) -> bool:
    """Return True if a trigger takes from another image or, unpinned, from the network.

    No key can hold such a trigger: newer front ends resolve the image's name when they build. The child's
    variables are not known. Returns True for a trigger that does not parse.
    """
    try:
        (trigger,) = parse(text, "ONBUILD")[0]
        if any(from_names(trigger)):
            return True
        return trigger.cmd == "ADD" and bool(unpinned_sources(trigger, Scope(), Expander("\\")))
    except (DockerfileError, ValueError, csv.Error):
        return True
