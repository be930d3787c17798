"""``doit plan``: what a run would reuse, pull and build, and why; builds nothing, needs no engine.

What ``stages.lock`` lacks is pinned, as by every command that computes keys; ``locked=1`` forbids it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...errors import ProjectError
from ...execution.plan import plan
from ...output import say, tell
from .. import plan_text
from ..app import jobs
from ..goals import absences, resolve_goals
from ..help import Example
from .base import Command, KeepGoing, flag, number, option, print_json

if TYPE_CHECKING:
    from ...errors import StagegraphError
    from ...execution.edits import Since
    from ...execution.estimate import Estimate
    from ...execution.plan import Step
    from ...execution.workspace import Workspace
    from ...graph.goals import Goals
    from ...project.model import Node
    from ..app import App


#: The status of ``--exit-code`` for a plan with work. doit has 1 to 3, errors have 10 and more.
WORK_TO_DO = 4


@dataclass(frozen=True)
class Options(KeepGoing):
    sizes: bool = flag("show the size of each image and of its own layers")
    exit_code: bool = flag(f"end with status {WORK_TO_DO} if there is something to build or pull")
    since: str = option("only nodes that changed since this branch left REV, and the edits that changed them")
    markdown: bool = flag("print Markdown, for a pull request or the summary of a CI job")
    process: int = number("how many builds at once the time is for; 0 for those of a run", 0, "n")


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
        "--since REV compares with the commit where this branch left REV, as a pull request does. It shows "
        "the edits, and for each the nodes that it makes anew, whether or not a store has them by now.\n\n"
        "The time is that of the last builds. It is also shown for several builds at once (-n), and for the "
        "longest chain of builds, which no number of workers makes shorter.\n\n"
        f"--exit-code ends with {WORK_TO_DO} if a run would build or pull, and with 0 if it would not."
    )
    examples = (
        Example("plan", "all nodes, with the first input that changed"),
        Example("plan {goal}", "what a run of this goal would do"),
        Example("plan {goal} --json", "the same for a program"),
        Example("plan {image} --exit-code", "status 4 if there is work to do"),
        Example("plan --since main", "what a pull request makes anew"),
    )

    def answer(self, app: App, words: list[str], options: Options) -> int:
        workspace = app.workspace
        workspace.tags.check()
        if options.process < 0:
            raise ProjectError("command line", f"-n {options.process} is not a whole number above 0", "-n 2")
        goals = resolve_goals(workspace.graph, words, tests=True, keep_going=options.keep_going)
        facts = _facts(workspace, goals, options)
        problems = _problems(workspace, facts.steps)
        if options.json:
            print_json(plan_text.to_json(facts, problems))
        else:
            say(plan_text.markdown(facts) if options.markdown else plan_text.text(facts))
            for line in absences(workspace.project, words) if words else ():
                tell(f"   {line}")
        if problems:
            raise combined([error for errors in problems.values() for error in errors])
        project = workspace.project
        workspace.tags.check((i.name, node.platform) for node in goals.nodes for i in project.images_of(node))
        if options.exit_code and not goals.status and any(step.decision != "reuse" for step in facts.steps):
            return WORK_TO_DO
        return goals.status


def _facts(workspace: Workspace, goals: Goals, options: Options) -> plan_text.Facts:
    """Return the plan for these goals, with what the options ask for."""
    graph, lookup, nodes = workspace.graph, workspace.lookup, goals.nodes
    compared = _since(workspace, nodes, options.since) if options.since else None
    if compared:
        nodes = [*compared.changed, *compared.new]
    with lookup.kept() as kept:
        steps = plan(graph, nodes, kept)
    sizes = fetch = None
    if options.sizes or any(step.decision == "pull" for step in steps):
        from ...audit import sizes as measured

        sizes = measured.sizes(graph, steps, lookup) if options.sizes else None
        fetch = measured.bytes_to_fetch(steps, lookup, workspace.layout.blobs.has)
    times = _estimate(workspace, steps, options.process or jobs())
    return plan_text.Facts(steps, goals.to_json(), times, fetch, sizes, compared)


def _since(workspace: Workspace, nodes: list[Node], name: str) -> Since:
    from ...execution.edits import since

    commit = workspace.revisions.commit(name, merge_base=True)
    if fault := workspace.revisions.fault(commit):
        tell(f"warning: every node counts as new, as {name} cannot be read: {fault}")
    return since(workspace.graph, nodes, workspace.earlier_builds, name, commit)


def _estimate(workspace: Workspace, steps: list[Step], workers: int) -> Estimate | None:
    to_build = {step.node: step.seconds for step in steps if step.decision == "build"}
    if not to_build:
        return None
    from ...execution.estimate import estimate

    return estimate(to_build, {node: workspace.graph.parents(node) for node in to_build}, workers)


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
