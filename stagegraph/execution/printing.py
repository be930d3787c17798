"""A command whose output is part of a tag, run in the image that the engine has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..docker import containers
from ..errors import ProjectError, StagegraphError, ToolError

if TYPE_CHECKING:
    from ..oci.platform import OciPlatform
    from ..project.model import Node, PrintCommand

#: Seconds that a command may take. Its programs may be emulated.
_TIMEOUT = 120


def output(loaded: str, node: Node, docker: OciPlatform, command: PrintCommand) -> str:
    """Return what a command prints in the image of a node. ``loaded`` is a tag of it in the engine.

    Raises ``ProjectError`` for a command that fails, and the errors of ``run_command`` with its line.
    """
    where, what = command.declared_at, f"prints.{command.name} in {node}"
    try:
        result = containers.run_command(loaded, docker, command.command, _TIMEOUT)
    except ToolError as error:
        hint = 'write its words as a list: ["python3", "--version"]'
        raise ProjectError(where, f"{what}: {error.what}", hint) from None
    except StagegraphError as error:
        raise type(error)(where, f"{what}: {error.what}", error.hint) from None
    if result.status:
        said = (result.errors or result.output).strip()[-500:]
        raise ProjectError(where, f"{what}: ended with status {result.status}", said and f"it said: {said}")
    return result.output
