"""The place where the last failed step of a node stood, as a temporary image of the engine."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..build.log import last_failed_step
from ..build.step_container import StepContainer, container_of
from ..docker import engine
from ..dockerfile.partial import Partial, before
from ..errors import ProjectError, StoreError
from ..output import shown
from .delivery import temporary_tag

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..build.log import FailedStep
    from ..dockerfile.instructions import Instruction
    from ..keys.spec import NodeSpec
    from ..project.model import Node
    from ..store.record import Record
    from .workspace import Workspace

#: A folder in memory, for the values of secrets.
_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder with a random name is made in it


class Place(NamedTuple):
    """The image that a step saw, under a temporary tag, and the container that has what the step had."""

    tag: str
    partial: Partial
    container: StepContainer


@contextmanager
def place_of(workspace: Workspace, node: Node) -> Iterator[Place]:
    """Build a node up to its last failed step; the image is removed after the block.

    The builder has the layers of the steps that succeeded. Raises ``ProjectError`` if no step is known that
    failed, or if the Dockerfile no longer has it.
    """
    project, spec = workspace.project, workspace.graph.spec(node)
    failed = last_failed_step(workspace.layout.folder.below("logs"), spec.history_name)
    if failed is None:
        what = "no step is known here at which its build failed"
        raise ProjectError(str(node), what, f"doit {node} builds it; doit shell {node} opens its image")
    step = _find(spec, failed)
    partial = before(spec.sent_text, step, spec.platform.docker, spec.analysis.args)
    tag = temporary_tag(project, node)
    memory = str(_MEMORY) if _MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="stagegraph-", dir=memory) as folder:
        container = container_of(spec, partial, project.secrets, project.root, Path(folder))
        try:
            workspace.builder().load_partial(spec, _parents(workspace, node), partial, tag)
            workspace.report.close()
            docker, own = engine.configuration(tag)
            # what an image sets comes before an argument of the same name
            options = [each for each in container.options if each.removeprefix("--env=") not in own]
            container.options = [f"--platform={docker}", *options]
            yield Place(tag, partial, container)
        finally:
            engine.untag(tag)


def _find(spec: NodeSpec, failed: FailedStep) -> Instruction:
    """Return the failed step in the Dockerfile as it is now: lines before it may have changed since."""
    instructions = [i for i in spec.analysis.instructions if shown(str(i)) == failed.instruction]
    instructions.sort(key=lambda i: abs(i.line - failed.line))
    where = f"{spec.node}: {spec.dockerfile}:{failed.line}"
    if not instructions or not failed.instruction:
        text = failed.text or "the step"
        raise ProjectError(where, f"the step that failed is not in the Dockerfile now: {text}", "run again")
    (step, *_) = instructions
    if step.cmd == "FROM":
        parents = [str(each.node) for each in spec.parents if each.edge.line == step.line]
        below = f"a shell in the image below: doit shell {parents[0]}" if parents else "see its own error"
        if failed.text.startswith("FROM "):
            raise ProjectError(where, f"nothing is there before {failed.text}", below)
        raise ProjectError(where, "a trigger (ONBUILD) failed, which no Dockerfile can end before", below)
    return step


def _parents(workspace: Workspace, node: Node) -> dict[Node, Record]:
    records: dict[Node, Record] = {}
    for parent in workspace.graph.parents(node):
        record = workspace.layout.find(workspace.graph.key(parent), parent.stage)
        if record is None:
            what = "its image is not in cache/, so the steps of its child cannot be repeated"
            raise StoreError(str(parent), what, f"build it first: doit {parent}")
        records[parent] = record
    return records
