"""``doit report``: the last run, or a plan, as one page of HTML."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import ProjectError, StagegraphError
from ...execution import history, last_run
from ...execution.lookup import Results, StoreLookup
from ...execution.plan import Step, plan
from ...graph import goals
from ...keys.key import Key, is_key
from ...output import say, tell
from ...project.model import Node
from ...system.files import relative_path, write_atomically
from ..goals import named_nodes, resolve_goals
from ..help import Example
from .base import Command, flag, path_option

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ...execution.last_run import LastRun
    from ...execution.workspace import Workspace
    from ...graph.graph import Graph
    from ...page.model import Facts, Outcome
    from ...store.record import Record
    from ..app import App

_NAME = "report.html"


@dataclass(frozen=True)
class Options:
    output: str = path_option(f"write into this file; default: cache/{_NAME}")
    plan: bool = flag("show what a run would do now, instead of the last run")


class Report(Command[Options]):
    options_type = Options
    doc_purpose = "write a page about the last run: graph, timeline, reasons, sizes, earlier runs"
    doc_description = (
        "Writes one HTML file that loads nothing from elsewhere. Open it in a browser, send it, or keep it "
        "as an artifact of a CI job.\n\n"
        "Without arguments: the goals of the last run and what they are made from. With nodes, stages, "
        "images or groups: only these and their ancestors.\n\n"
        "--plan shows what a run would do now, and why."
    )

    examples = (
        Example("report", "the last run", "engine"),
        Example(
            "report {goal} --output report.html", "one goal and its ancestors, in another file", "engine"
        ),
        Example("report --plan {goal}", "what a run would do now"),
    )

    def answer(self, app: App, words: list[str], options: Options) -> int:
        from ...page.model import view
        from ...page.render import render

        facts = _of_plan(app, words) if options.plan else _of_run(app, words)
        text = render(view(facts))
        path = Path(options.output) if options.output else app.workspace.layout.folder.path / _NAME
        write_atomically(path, text)
        say(options.output or relative_path(path))
        return 0


def _of_run(app: App, words: list[str]) -> Facts:
    """The facts of the last run. Raises ``ProjectError`` if there was none."""
    from ...page.model import Outcome

    workspace = app.workspace
    run = last_run.read(workspace.layout)
    if run is None:
        raise ProjectError(
            "doit report", "there was no run here", "build something first, or: doit report --plan"
        )
    outcomes = {
        node.node: Outcome(
            node.decision,
            node.reason,
            node.key,
            node.digest,
            round(node.end - node.start, 1),
            node.start,
            node.changes,
        )
        for node in run.nodes
    }
    nodes = _closure(workspace, words) if words else _of_goals(workspace, run)
    outcomes = {name: outcome for name, outcome in outcomes.items() if not words or name in map(str, nodes)}
    return _facts(workspace, words or [*run.goals], nodes, outcomes, run)


def _of_plan(app: App, words: list[str]) -> Facts:
    """The facts of a plan for these words, or for a run without words."""
    from ...page.model import Outcome

    workspace = app.workspace
    words = words or app.default_goals
    found = resolve_goals(workspace.graph, words, tests=True).nodes
    outcomes = {
        str(step.node): Outcome(
            step.decision, step.reason, step.key, step.record.digest if step.record else "", changes=changes
        )
        for step in plan(workspace.graph, found, workspace.lookup)
        for changes in [tuple(map(str, step.changes))]
    }
    return _facts(workspace, words, _closure(workspace, words), outcomes, None)


def _closure(workspace: Workspace, words: Sequence[str]) -> list[Node]:
    """The nodes of these words, or all, with ancestors and tests. Raises the errors of ``named_nodes``."""
    return sorted(workspace.graph.order(named_nodes(workspace.graph, words, tests=True)))


def _of_goals(workspace: Workspace, run: LastRun) -> list[Node]:
    """The nodes of a run and the ancestors of its goals, as far as they can be read now."""
    nodes = {Node(*node.node.split(":", 1)) for node in run.nodes if ":" in node.node}
    try:
        nodes |= goals.closure(workspace.graph, run.goals) or set()
    except StagegraphError as error:
        tell(f"warning: only nodes of the run are shown: {error}")
    return sorted(nodes)


def _facts(
    workspace: Workspace,
    words: Sequence[str],
    nodes: Sequence[Node],
    outcomes: dict[str, Outcome],
    run: LastRun | None,
) -> Facts:
    from ...page.model import Facts

    graph, project = workspace.graph, workspace.project
    records = _records(workspace, nodes, outcomes)
    links = {node: _links(graph, node, set(nodes)) for node in nodes}
    sizes = {n.node: (None, n.image_bytes) for n in (run.nodes if run else ()) if n.image_bytes is not None}
    usual = {n.node: n.build_seconds for n in (run.nodes if run else ()) if n.build_seconds is not None}
    return Facts(
        title=project.settings.repo,
        goals=tuple(words),
        parents={str(node): [*found] for node, found in links.items()},
        copies=frozenset(
            (parent, str(node))
            for node, found in links.items()
            for parent, is_from in found.items()
            if not is_from
        ),
        outcomes=outcomes,
        descriptions={
            str(node): project.stages[node.stage].description
            for node in nodes
            if node.stage in project.stages
        },
        build_seconds={**usual, **{str(node): record.seconds for node, record in records.items()}},
        sizes={**sizes, **_sizes(workspace, records)},
        run=run,
        history=history.load(workspace.layout)[0],
    )


def _links(graph: Graph, node: Node, shown: set[Node]) -> dict[str, bool]:
    """The parents of a node on the page, and whether a ``FROM`` names them; none if it cannot be read."""
    found: dict[str, bool] = {}
    with suppress(StagegraphError, KeyError):
        for edge, parent in graph.links(node):
            if isinstance(parent, Node) and parent in shown:
                found[str(parent)] = found.get(str(parent), False) or edge.is_from
    return found


def _records(workspace: Workspace, nodes: Iterable[Node], outcomes: dict[str, Outcome]) -> dict[Node, Record]:
    """The records of nodes: of the key in the run or plan, else of the key that they have now."""
    result = {}
    for node in nodes:
        with suppress(StagegraphError, KeyError):
            outcome = outcomes.get(str(node))
            known = outcome.key if outcome else ""
            key = Key(known) if is_key(known) else workspace.graph.key(node)
            if record := workspace.layout.read(key):
                result[node] = record
    return result


def _sizes(workspace: Workspace, records: dict[Node, Record]) -> dict[str, tuple[int | None, int]]:
    from ...audit.sizes import sizes

    earlier = workspace.earlier_builds
    here = StoreLookup(workspace.graph, workspace.layout, None, Results(), lambda: earlier)
    steps = [Step(node, record.key, "reuse", "", record=record) for node, record in records.items()]
    with suppress(StagegraphError, KeyError):
        return {
            str(node): (size.own, size.image) for node, size in sizes(workspace.graph, steps, here).items()
        }
    return {}
