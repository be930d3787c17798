"""``doit why``: the edits that change a node's key, or that nothing changed; builds nothing."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...drawing.colours import TO_DO
from ...errors import ProjectError
from ...execution.against import earlier_of
from ...execution.causes import causes
from ...execution.plan import plan
from ...output import say
from ...system.text import counted
from ..cause_text import Evidence, lines, to_json
from ..goals import resolve_goals
from ..help import Example
from .base import Command, JsonOption, option, path_option, print_json

if TYPE_CHECKING:
    from ...execution.causes import Cause
    from ...execution.earlier import Earlier
    from ...execution.plan import Step
    from ...execution.workspace import Workspace
    from ...graph.file_use import FileUse
    from ...project.model import Node
    from ..app import App


@dataclass(frozen=True)
class Options(JsonOption):
    against: str = option("compare with a revision of git, a key, or the last build (last)")
    file: str = path_option("say whether this file counts, and through which instruction")


class Why(Command[Options]):
    options_type = Options
    doc_purpose = "show the edits that change a node, or that nothing changed"
    doc_description = (
        "Names what was edited since the last build: instructions, arguments, files, images, with old and "
        "new values, and the parents that pass an edit on. Builds nothing and needs no engine.\n\n"
        "The last build is known from cache/. In a fresh clone, it is the newest commit whose build the "
        "registry has; without one, changes are against the newest commit.\n\n"
        "--against REV compares with a commit, --against KEY with a build in cache/. Some of the digits of "
        "a key are enough.\n\n"
        "--file PATH says whether a file counts for the nodes that you name, by default all, and through "
        "which instruction."
    )
    examples = (
        Example("why {goal}", "the edits that change an image"),
        Example("why {goal} --against HEAD~1", "what changed since a commit"),
        Example("why --file README.md", "which nodes a file counts for"),
    )

    def answer(self, app: App, words: list[str], options: Options) -> int:
        workspace = app.workspace
        if not words and not options.file:
            raise ProjectError("command line", "doit why needs a node", "name one: see doit list --all")
        goals = resolve_goals(workspace.graph, words)
        if options.file:
            return _file(workspace, goals.nodes, options)
        answers = [_answer(workspace, node, options.against) for node in goals.nodes]
        evidence = Evidence(workspace.graph, workspace.revisions)
        if options.json:
            print_json({"schema": 1, "nodes": [answer.to_json(evidence) for answer in answers]})
        else:
            say("\n".join(line for answer in answers for line in answer.lines(evidence)))
        return goals.status


@dataclass(frozen=True)
class _Answer:
    """What is known of one node. ``earlier`` is what it is compared with, None for nothing."""

    step: Step
    earlier: Earlier | None
    causes: list[Cause]

    def lines(self, evidence: Evidence) -> list[str]:
        head = f"{self.step.node}: {TO_DO[self.step.decision]}"
        if self.earlier is None:
            return [f"{head}: {self.step.reason}"]
        if not self.causes:
            nothing = f"nothing changed since {self.earlier.named}"
            return [f"{head}: {nothing}", f"  {self.step.reason}"]
        found = [f"{head}: {counted(len(self.causes), 'edit')} since {self.earlier.named}"]
        if self.step.decision != "build":
            found.append(f"  {self.step.reason}")
        return [*found, *(f"  {line}" for cause in self.causes for line in lines(cause, evidence))]

    def to_json(self, evidence: Evidence) -> dict[str, object]:
        past = self.earlier
        against = None
        if past is not None:
            created = past.record.created if past.record else None
            against = {"source": past.source, "key": past.key, "commit": past.commit, "created": created}
        return {
            "node": str(self.step.node),
            "key": self.step.key,
            "decision": self.step.decision,
            "reason": self.step.reason,
            "against": against,
            "edits": [to_json(cause, evidence) for cause in self.causes],
        }


def _answer(workspace: Workspace, node: Node, against: str) -> _Answer:
    graph, builds = workspace.graph, workspace.earlier_builds
    step = next(step for step in plan(graph, [node], workspace.lookup) if step.node == node)
    earlier = earlier_of(workspace, node, against)
    found = causes(graph, node, earlier.inputs, builds.inputs) if earlier else []
    return _Answer(step, earlier, found)


def _file(workspace: Workspace, nodes: list[Node], options: Options) -> int:
    """Say what a file means to nodes. Its path is relative to the working folder."""
    from ...graph.file_use import file_uses

    root = workspace.project.root.resolve()
    path = os.path.relpath(os.path.abspath(options.file), root)  # noqa: PTH100 - links stay as written
    uses = list(dict.fromkeys(use for node in nodes for use in file_uses(workspace.graph, node, path)))
    if options.json:
        facts = [{**use._asdict(), "node": str(use.node)} for use in uses]
        print_json({"schema": 1, "file": path, "nodes": facts})
        return 0
    counting = [use for use in uses if use.counts]
    shown = counting or uses
    say("\n".join([f"{path}: {_count(counting)}", *(f"  {_use(use)}" for use in shown)]))
    return 0


def _count(counting: list[FileUse]) -> str:
    if not counting:
        return "it counts for none of these nodes"
    return f"it counts for {counted(len(counting), 'node')}"


def _use(use: FileUse) -> str:
    return f"{use.node}: {use.where}: {use.how}" if use.where else f"{use.node}: {use.how}"
