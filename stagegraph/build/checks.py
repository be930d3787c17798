"""BuildKit's own checks of a Dockerfile (https://docs.docker.com/build/checks/).

Needs buildx 0.15 and a front end with Dockerfile 1.8. A parent is an empty folder for the checks: only its
name is needed. So variables of a parent's environment are not known to them.
"""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..errors import EngineError
from ..system.files import os_errors_on_write
from ..system.processes import run
from ..system.text import shortened
from .command import arguments, image_contexts

if TYPE_CHECKING:
    from ..keys.spec import NodeSpec
    from .place import Placement

#: The first version of buildx with ``--call=check``.
FIRST = (0, 15)

#: Seconds that the checks of one Dockerfile may take: a front end may have to be pulled.
_TIMEOUT = 300

_UNSUPPORTED = re.compile(r"unsupported|not supported|does not support", re.IGNORECASE)


class Check(NamedTuple):
    """One warning of BuildKit. ``line`` counts from 1; ``url`` explains the rule."""

    rule: str
    line: int
    what: str
    url: str


def call_checks(spec: NodeSpec, placement: Placement) -> list[Check] | None:
    """Let a builder check a node's Dockerfile. Return None if it has no checks. Raises ``EngineError``."""
    with tempfile.TemporaryDirectory() as folder, os_errors_on_write(Path(folder)):
        file, empty = Path(folder, "Dockerfile"), Path(folder, "empty")
        file.write_text(spec.text, encoding="utf-8", newline="")
        empty.mkdir()
        contexts = {parent.edge.name: str(empty) for parent in spec.parents} | image_contexts(spec)
        done = run([*_command(spec, placement, contexts), f"--file={file}", str(empty)], timeout=_TIMEOUT)
    try:
        return parse(done.stdout)
    except ValueError:
        message = done.stderr.decode(errors="replace").strip()
        if _UNSUPPORTED.search(message):
            return None
        what = f"BuildKit's checks failed: {shortened(message.rpartition(chr(10))[2]) or 'no output'}"
        raise EngineError(str(spec.node), what, "call doit lint without --checks") from None


def _command(spec: NodeSpec, placement: Placement, contexts: dict[str, str]) -> list[str]:
    command = [*placement.command(), "--call=check,format=json", f"--platform={spec.platform.docker}"]
    command += [f"--target={spec.config.target}"] if spec.config.target else []
    command += [f"--build-arg={name}={value}" for name, value in arguments(spec).items()]
    return [*command, *(f"--build-context={name}={source}" for name, source in contexts.items())]


def parse(output: bytes) -> list[Check]:
    """Parse what buildx prints (``LintResults`` in BuildKit, frontend/subrequests/lint/lint.go).

    Raises ``ValueError`` for anything else.
    """
    document = json.loads(output)
    try:
        found = []
        for warning in document.get("warnings") or ():
            ranges = warning.get("location", {}).get("ranges") or [{}]
            line = int(ranges[0].get("start", {}).get("line", 1))
            what = str(warning.get("detail") or warning.get("description") or "")
            found.append(Check(str(warning["ruleName"]), line, what, str(warning.get("url", ""))))
    except (AttributeError, KeyError, TypeError, IndexError) as error:
        raise ValueError(f"not the output of checks: {error}") from None
    return found
