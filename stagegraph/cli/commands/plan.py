"""``doit plan``: what a run would reuse, pull and build, and why; builds nothing, needs no engine.

What ``stages.lock`` lacks is pinned, as by every command that computes keys; ``locked=1`` forbids it.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...execution.decide import Why
from ...execution.plan import plan
from ..goals import absences, resolve_goals
from ..help import Example
from .base import Command, KeepGoing, flag, print_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ...audit.sizes import Size
    from ...errors import StagegraphError
    from ...execution.plan import Step
    from ...execution.workspace import Workspace
    from ...project.model import Node
    from ..app import App


#: The status of ``--exit-code`` for a plan with work. doit has 1 to 3, errors have 10 and more.
WORK_TO_DO = 4


@dataclass(frozen=True)
class Options(KeepGoing):
    sizes: bool = flag("show the size of each image and of its own layers")
    exit_code: bool = flag(f"end with status {WORK_TO_DO} if there is something to build or pull")


class Plan(Command[Options]):
    options_type = Options
    section = "everyday"
    doc_purpose = "show what a run would reuse, pull and build, and why"
    doc_description = (
        "Shows each node in the order of work: reuse, pull or build. For a build it names the first "
        "input that differs from the node's last known build. Without arguments: every node. Needs no "
        "engine.\n\n"
        "The command fails if a run would: a step needs a secret, an SSH agent or an entitlement that is not "
        "declared, not on this machine, or not granted by a builder; or git lacks what a tag needs. Only the "
        "question for a grant needs a builder; without one, the build answers it.\n\n"
        "--keep-going leaves out nodes with a broken Dockerfile or broken files. Without it, such a "
        "node ends the command.\n\n"
        "--sizes adds the compressed size of each known image: of its own layers, and of all layers "
        "with those that its FROM brings.\n\n"
        f"--exit-code ends with {WORK_TO_DO} if a run would build or pull, and with 0 if it would not."
    )
    examples = (
        Example("plan", "all nodes, with the first input that changed"),
        Example("plan {goal}", "what a run of this goal would do"),
        Example("plan {goal} --json", "the same for a program"),
        Example("plan {image} --exit-code", "status 4 if there is work to do"),
    )

    def answer(self, app: App, words: list[str], options: Options) -> int:
        workspace = app.workspace
        workspace.tags.check()
        goals = resolve_goals(workspace.graph, words, tests=True, keep_going=options.keep_going)
        steps = plan(workspace.graph, goals.nodes, workspace.lookup)
        sizes: dict[Node, Size] | None = None
        if options.sizes:
            from ...audit.sizes import sizes as measured

            sizes = measured(workspace.graph, steps, workspace.lookup)
        problems = _problems(workspace, steps)
        if options.json:
            nodes = [_to_json(step, sizes, problems.get(step.node, ())) for step in steps]
            print_json({"schema": 1, "nodes": nodes, "left_out": goals.to_json()})
        else:
            _show(steps, sizes, len(goals.to_json()))
            for line in absences(workspace.project, words) if words else ():
                print(f"   {line}", file=sys.stderr)
        if problems:
            raise combined([error for errors in problems.values() for error in errors])
        project = workspace.project
        workspace.tags.check((i.name, node.platform) for node in goals.nodes for i in project.images_of(node))
        if options.exit_code and not goals.status and any(step.decision != "reuse" for step in steps):
            return WORK_TO_DO
        return goals.status


def _problems(workspace: Workspace, steps: list[Step]) -> dict[Node, list[StagegraphError]]:
    """Return the errors of nodes that a run would build and could not, by node.

    A step needs what is not declared, is not on this machine, or is not granted by a builder.
    """
    to_build = [step.node for step in steps if step.decision == "build"]
    if not to_build:
        return {}
    from ...build import requirements
    from ...build.entitlements import Grants

    project, grants = workspace.project, Grants()
    problems: dict[Node, list[StagegraphError]] = {}
    for node in to_build:
        spec = workspace.graph.spec(node)
        found: list[StagegraphError] = [*requirements.undeclared(spec, project.secrets)]
        found += requirements.missing(spec, project.secrets, project.root)
        found += grants.refusals(spec)
        if found:
            problems[node] = found
    return problems


def combined(errors: list[StagegraphError]) -> StagegraphError:
    """Return one error that tells of all; it has the exit status of the first one."""
    if len(errors) == 1:
        return errors[0]
    told = "\n".join(dict.fromkeys(map(str, errors)))
    return type(errors[0])("", f"a run would fail:\n{told}")


def _show(steps: list[Step], sizes: dict[Node, Size] | None, left_out: int) -> None:
    width = max((len(str(step.node)) for step in steps), default=0)
    for step in steps:
        usual = f" [about {step.seconds:.0f} s]" if step.decision == "build" and step.seconds else ""
        print(f"{step.decision:<5}  {step.node!s:<{width}}  {step.reason}{usual}{_size(step, sizes)}")
        for change in step.changes[1:] if step.why is Why.CHANGED and len(step.changes) > 2 else ():
            print(f"{'':<{width + 9}}also {change}")
    print(total(steps, left_out))
    if note := cost_of_epoch(steps):
        print(note)


def total(steps: list[Step], left_out: int = 0) -> str:
    """How many nodes there are to build, pull and reuse; how long the builds take.

    ``left_out`` is how many nodes cannot be looked at.
    """
    from ...system.text import human_time

    made: dict[str, list[Step]] = {"build": [], "pull": [], "reuse": []}
    for step in steps:
        made[step.decision].append(step)
    said = ", ".join(f"{len(made[decision])} to {decision}" for decision in made)
    said += f", {left_out} left out" if left_out else ""
    known = [step.seconds for step in made["build"] if step.seconds]
    if not known:
        return said
    unknown = len(made["build"]) - len(known)
    rest = f", {unknown} of unknown duration" if unknown else ""
    return f"{said}; {human_time(sum(known))} one by one, as long as the last builds took{rest}"


def cost_of_epoch(steps: list[Step]) -> str:
    """Say how many nodes a new ``source_date_epoch`` changes; "" for none."""
    own = [{change.name for change in step.changes if change.role != "parent"} for step in steps]
    moved = [names for names in own if "epoch" in names]
    if not moved:
        return ""
    alone = sum(names == {"epoch"} for names in moved)
    count = f"changed nodes: {len(moved)}; by this alone: {alone}"
    return f"source_date_epoch changed, which is part of every key; {count}"


def _size(step: Step, sizes: dict[Node, Size] | None) -> str:
    if sizes is None or step.node not in sizes:
        return ""
    from ...system.text import human_size

    size = sizes[step.node]
    own = "an unknown part" if size.own is None else human_size(size.own)
    return f" [own layers {own}, image {human_size(size.image)}]"


def _to_json(
    step: Step, sizes: dict[Node, Size] | None, problems: Iterable[StagegraphError]
) -> dict[str, object]:
    """``sizes`` is None where they were not asked for."""
    facts: dict[str, object] = {
        "node": str(step.node),
        "key": step.key,
        "decision": step.decision,
        "reason": step.reason,
        "changes": [str(change) for change in step.changes],
        "seconds": step.seconds,
        "problems": list(map(str, problems)),
    }
    if sizes is not None:
        size = sizes.get(step.node)
        facts |= {"own_bytes": size.own if size else None, "image_bytes": size.image if size else None}
    return facts
