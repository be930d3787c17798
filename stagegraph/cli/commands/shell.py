"""``doit shell``: a shell in the image of any node, tagged or not, or where its failed step stood."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...errors import EmulationError, ProjectError
from ...output import tell
from ...system.processes import run
from ..app import words_behind_dashes
from ..goals import one_node
from ..help import Example
from .base import Command, flag

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...execution.failed_step import Place
    from ...project.model import Node
    from ..app import App

#: The script that repeats the failed step. It is not in /tmp, which the step may mount.
SCRIPT = "/failed-step"


#: Seconds for an empty command in a container.
_TIMEOUT = 60


@dataclass(frozen=True)
class Options:
    failed: bool = flag("stand where the last failed step of the node stood")


class Shell(Command[Options]):
    options_type = Options
    section = "everyday"
    doc_purpose = "open a shell in the image of a node, or where its step failed"
    doc_usage = "STAGE:PLATFORM [--failed] [-- COMMAND ...]"
    doc_description = (
        "Starts sh in a container of the node's image in cache/. The image needs no final tag: it may "
        "be that of a stage, or one whose test failed. The container is removed afterwards. With a command "
        "behind --, it runs this command instead, and ends with its status.\n\n"
        "--failed stands where the last failed step of the node stood: after the steps before it, with its "
        "arguments, user, folder, network, secrets and mounts. The script /failed-step repeats the step. "
        "What cannot be given is said: a cache mount is empty."
    )
    examples = (
        Example("shell {goal}", "look into an image", "engine"),
        Example("shell {goal} --failed", "stand where its step failed, and repeat the step", "a failure"),
        Example("shell {goal} -- ls -l /", "run one command in an image", "a person"),
    )

    def answer(self, app: App, words: list[str], options: Options) -> int:
        words, command = _divided(words)
        node = one_node(app.workspace.graph, words, "shell")
        _check_emulation(app, node)
        return _at_failed_step(app, node, command) if options.failed else _in_image(app, node, command)


def _divided(words: list[str]) -> tuple[list[str], list[str]]:
    """Return the words before ``--``, and the command behind it."""
    command = words_behind_dashes()
    kept = [word for word in command if word.startswith("-") or "=" not in word]  # doit takes the others
    return words[: len(words) - len(kept)], command


def _check_emulation(app: App, node: Node) -> None:
    """Raise ``EmulationError`` if this machine's engine does not run the node's programs."""
    from ...build.placement import unregistered
    from ...docker import config

    docker = app.workspace.project.platforms[node.platform].docker
    if config.host() == config.DEFAULT and unregistered([docker]):
        what = f"this machine does not run programs for {docker}, wherever they were built"
        raise EmulationError(str(node), what, "doit doctor has the command that registers QEMU")


def _in_image(app: App, node: Node, command: Sequence[str]) -> int:
    from ...docker import containers

    app.workspace.graph.key(node)  # a broken Dockerfile has an error of its own
    with app.workspace.delivery.temporarily_loaded(node) as (tag, record):
        options = [f"--platform={record.docker}"]
        status = containers.interact(tag, command or ["sh"], options=options)
        _check_shell(node, tag, options, "sh", status, command)
    return status


def _at_failed_step(app: App, node: Node, command: Sequence[str]) -> int:
    from ...docker import containers
    from ...execution.failed_step import place_of

    with place_of(app.workspace, node) as place:
        _say(node, place)
        shell, made = place.partial.shell[0], place.container
        status = containers.interact(
            place.tag,
            command or [shell],
            options=made.options,
            variables=made.variables,
            files={SCRIPT: place.partial.script.encode()} if place.partial.script else {},
        )
        _check_shell(node, place.tag, made.options[:1], shell, status, command)
    return status


def _say(node: Node, place: Place) -> None:
    from ...build.failure import brief

    step = place.partial.step
    tell(f"{node}: before {step.file}:{step.line}: {brief(str(step))}")
    if place.partial.script:
        tell(f"   {SCRIPT} repeats this step")
    for note in place.container.notes:
        tell(f"   {note}")


def _check_shell(
    node: Node, tag: str, options: Sequence[str], shell: str, status: int, command: Sequence[str]
) -> None:
    """Raise ``ProjectError`` if the image has no shell.

    The status alone does not tell: it is also that of a shell whose last command was not found.
    """
    if command or status not in (126, 127):
        return
    command = ["docker", "run", "--rm", *options, f"--entrypoint={shell}", tag, "-c", ":"]
    if run(command, timeout=_TIMEOUT).returncode:
        what = "there is no shell in this image"
        raise ProjectError(str(node), what, "an artifact holds files alone")
