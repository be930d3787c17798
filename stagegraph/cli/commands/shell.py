"""``doit shell``: a shell in the image of any node, tagged or not."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...errors import EmulationError, ProjectError
from ...system.processes import environment, run
from ..goals import resolve_goals
from ..help import Example
from .base import Command

if TYPE_CHECKING:
    from ..app import App


@dataclass(frozen=True)
class Options:
    """``doit shell`` has none."""


class Shell(Command[Options]):
    options_type = Options
    section = "everyday"
    doc_purpose = "open a shell in the image of a node"
    doc_usage = "STAGE:PLATFORM"
    doc_description = (
        "Starts sh in a container of the node's image in cache/. The image needs no final tag: it may "
        "be that of a stage, or one whose test failed. The container is removed afterwards."
    )
    examples = (Example("shell {goal}", "look into an image", "engine"),)

    def answer(self, app: App, words: list[str], options: Options) -> int:  # noqa: ARG002 - it has none
        from ...build.placement import unregistered
        from ...docker import config, containers

        workspace = app.workspace
        nodes = resolve_goals(workspace.graph, words).nodes if len(words) == 1 else []
        if len(nodes) != 1:
            example = next(iter(workspace.graph.nodes), "STAGE:PLATFORM")
            raise ProjectError("command line", "shell takes one node", f"doit shell {example}")
        docker = workspace.project.platforms[nodes[0].platform].docker
        if config.host() == config.DEFAULT and unregistered([docker]):
            what = f"this machine does not run programs for {docker}, wherever they were built"
            raise EmulationError(str(nodes[0]), what, "doit doctor has the command that registers QEMU")
        with workspace.delivery.temporarily_loaded(nodes[0]) as (tag, record):
            container = [f"--platform={record.docker}", "--entrypoint=sh", tag]
            name = tag.rpartition(":")[2]
            command = ["docker", "run", f"--name={name}", "--interactive"]
            command += ["--tty"] if sys.stdin.isatty() else []
            try:
                status = subprocess.run([*command, *container], env=environment(), check=False).returncode
            finally:  # an interrupt ends docker's client alone
                containers.remove_container(name)
            # it is also the status of a shell whose last command was not found
            if status in (126, 127) and run(["docker", "run", "--rm", *container, "-c", ":"]).returncode:
                what = "there is no shell in this image"
                raise ProjectError(str(nodes[0]), what, "an artifact holds files alone")
        return status
