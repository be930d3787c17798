"""``doit graph``: the graph as a tree, a picture, or JSON; builds nothing, needs no engine."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...drawing.diagram import around, by_stage, decided, diagram, reduced, within
from ...errors import ProjectError, nearest
from ...output import cleaned, write_exact
from ...system.files import os_errors_on_write
from .. import terminal
from ..goals import named_nodes, with_keys
from ..help import Example
from .base import Command, JsonOption, flag, number, option, path_option

if TYPE_CHECKING:
    from ...drawing.diagram import Diagram
    from ...execution.plan import Step
    from ...execution.workspace import Workspace
    from ...graph.goals import Goals
    from ...project.model import Node
    from ..app import App

#: The forms of a graph, with the endings of files that mean them.
FORMATS = {
    "tree": (".txt",),
    "mermaid": (".mmd", ".mermaid"),
    "dot": (".dot", ".gv"),
    "svg": (".svg",),
    "json": (".json",),
}

#: The depth that draws everything.
_ALL = -1


@dataclass(frozen=True)
class Options(JsonOption):
    format: str = option("tree (the default), mermaid, dot, svg or json")
    output: str = path_option("write into this file; its ending chooses the format")
    focus: str = option("draw one node or stage with its ancestors and descendants")
    depth: int = number("draw only what is at most N edges away", _ALL)
    stages: bool = flag("one box for each stage, with all of its platforms")
    reduce: bool = flag("leave out each edge that a longer way stands for")
    no_plan: bool = flag("do not ask any store what a run would do")


class Graph(Command[Options]):
    options_type = Options
    doc_purpose = "draw the graph: as a tree, for Mermaid or Graphviz, or as JSON"
    doc_description = (
        "Draws the nodes that you name, their ancestors, the tests of images, and external images. Without "
        "names: every node. A solid edge is FROM. A dashed edge is COPY --from or a mount. Each node has the "
        "decision of `doit plan`, as a word and a colour: reuse, pull or build. A node without a decision is "
        "not looked at, since a store has what uses it.\n\n"
        "A tree has the goals on the left, and their parents below. It shows the parents of a node once; "
        "'(above)' refers back. Output to a terminal is coloured, unless NO_COLOR is set.\n\n"
        "--format svg needs the program dot of Graphviz. For PNG: doit graph --format dot | dot -Tpng\n\n"
        "--depth counts from the node of --focus in both directions, or else from the goals. --reduce leaves "
        "out an edge if a longer way leads to the same node."
    )
    examples = (
        Example("graph {goal}", "the node, and what it is made of"),
        Example("graph --stages --output graph.mmd", "a diagram for Mermaid, one box for each stage"),
        Example("graph --focus {goal} --depth 1", "what it uses, and what uses it"),
    )

    def answer(self, app: App, words: list[str], options: Options) -> int:
        form, workspace = _form(options), app.workspace
        nodes = named_nodes(workspace.graph, words, tests=True)
        drawn = _selected(workspace, nodes, words, options)
        goals, steps = _planned(workspace, drawn, nodes, words) if not options.no_plan else (None, [])
        drawn = decided(drawn, {step.node: step.decision for step in steps})
        if options.reduce:
            drawn = reduced(drawn)
        drawn = cleaned(drawn)  # for every form of it, also in a file
        if options.output:
            text, path = f"{_text(drawn, form, steps, goals, for_file=True)}\n", Path(options.output)
            with os_errors_on_write(path):
                path.write_text(text, encoding="utf-8")
        else:
            write_exact(sys.stdout, f"{_text(drawn, form, steps, goals)}\n")
        return goals.status if goals else 0


def _form(options: Options) -> str:
    """Return the format that the options name. Raises ``ProjectError``."""
    if options.json and options.format not in ("", "json"):
        raise ProjectError("command line", f"--json and --format={options.format}", "name one format")
    if options.json:
        return "json"
    if options.format:
        if options.format not in FORMATS:
            hint = nearest(options.format, FORMATS)
            raise ProjectError("command line", f"no format {options.format!r}", hint)
        return options.format
    if not options.output:
        return "tree"
    ending = Path(options.output).suffix
    form = next((form for form, endings in FORMATS.items() if ending in endings), "")
    if not form:
        known = ", ".join(ending for endings in FORMATS.values() for ending in endings)
        hint = f"use one of {known}; or name a format: --format=svg"
        raise ProjectError("command line", f"--output={options.output}: its ending names no format", hint)
    return form


def _selected(workspace: Workspace, nodes: list[Node], words: list[str], options: Options) -> Diagram:
    """Return what is drawn, without decisions. Raises ``ProjectError`` for a focus that is not in it."""
    graph = workspace.graph
    drawn = diagram(graph, nodes, nodes if words else ())
    if options.stages:
        drawn = by_stage(drawn)
    if options.focus:
        focus = named_nodes(graph, [options.focus])
        if not {*focus} & {*drawn.nodes}:
            what = f"--focus={options.focus}: the nodes that you name do not depend on it"
            raise ProjectError("command line", what, "name no nodes, and every node is drawn")
        drawn = around(drawn, focus)
    if options.depth < _ALL:
        raise ProjectError("command line", f"--depth={options.depth} is not a positive number", "--depth=2")
    return drawn if options.depth == _ALL else within(drawn, options.depth)


def _planned(
    workspace: Workspace, drawn: Diagram, nodes: list[Node], words: list[str]
) -> tuple[Goals, list[Step]]:
    """Return the plan for the goals, or without words for every node that is drawn."""
    from ...execution.plan import plan

    shown = {*drawn.nodes}
    wanted = [node for node in nodes if node in shown] or drawn.nodes
    goals = with_keys(workspace.graph, wanted, by_name=bool(words), keep_going=True)
    return goals, plan(workspace.graph, goals.nodes, workspace.lookup)


def _text(
    drawn: Diagram, form: str, steps: list[Step], goals: Goals | None, *, for_file: bool = False
) -> str:
    """Return the diagram in a format."""
    if form == "tree":
        from ...drawing.tree import PLAIN, Style, tree

        return tree(drawn, PLAIN if for_file else Style(not terminal.has_lines(), terminal.has_colours()))
    if form == "mermaid":
        from ...drawing.mermaid import mermaid

        return mermaid(drawn)
    if form == "json":
        from ...drawing.facts import facts

        keys, reasons = {s.node: s.key for s in steps}, {s.node: s.reason for s in steps}
        left_out = goals.to_json() if goals else []
        return json.dumps(cleaned({**facts(drawn, keys, reasons), "left_out": left_out}), indent=1)
    from ...drawing.dot import dot, svg

    return dot(drawn) if form == "dot" else svg(drawn).rstrip("\n")
