"""``doit verify``: whether ``cache/`` is intact, and with ``--rebuild`` whether it can be made again."""

from __future__ import annotations

import itertools
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..goals import resolve_goals
from ..help import Example
from .base import Command, JsonOption, flag, print_json

if TYPE_CHECKING:
    from ...audit.verify import Finding
    from ..app import App


@dataclass(frozen=True)
class Options(JsonOption):
    rebuild: bool = flag("build again without the builder's cache and compare")


class Verify(Command[Options]):
    options_type = Options
    section = "maintain"
    doc_purpose = "check cache/; with --rebuild: build again and compare"
    doc_description = (
        "Reads every blob and record in cache/ of the nodes and of all their ancestors. It reports "
        "blobs that do not match their digest, and records whose inputs do not hash to their key. With "
        "[trust] it reports records that nobody has signed whom stages.toml trusts. Damaged "
        "blobs are moved to cache/damaged/. The next run pulls or builds them again.\n\n"
        "--rebuild builds each of these nodes again, without the builder's cache, on its recorded "
        "parents, and compares. 'same': the image has the recorded digest. 'differs': each changed file "
        "and each changed value of the configuration is listed. cache/ does not change. DOCKER_HOST or "
        "builder=NAME choose the engine, so you can compare two engines.\n\n"
        "A node without a record in cache/ is 'unchecked'. The exit status is 1 if anything is bad, "
        "differs or could not be built, if a node that you named is unchecked, or if all nodes are."
    )
    examples = (
        Example("verify", "check all of cache/"),
        Example("verify {goal} --rebuild", "build it again and compare, file by file", "engine"),
    )

    def answer(self, app: App, words: list[str], options: Options) -> int:
        from ...audit import verify

        workspace = app.workspace
        goals = resolve_goals(workspace.graph, words)
        graph, layout = workspace.graph, workspace.layout
        rebuilder = verify.Rebuilder(graph, layout, workspace.builder_into, workspace.report)
        found = (
            rebuilder.rebuild(goals.nodes) if options.rebuild else verify.check(graph, layout, goals.nodes)
        )
        findings: list[Finding] = []
        try:
            for finding in found:
                workspace.report.close()  # the live display takes standard output too
                findings.append(finding)
                if not options.json:
                    print(render_text(finding), flush=True)
        finally:  # an engine that went away is no reason to keep back what was found until then
            workspace.report.close()
            if options.json:
                print_json({"schema": 1, "nodes": [to_json(finding) for finding in findings]})
        print(_total(findings), file=sys.stderr)
        passed = verify.passed(findings, set(goals.nodes) if words else set())
        return goals.status or (0 if passed else 1)


def render_text(finding: Finding) -> str:
    """A finding for people; files and values below the layer or part that they stand in."""
    lines = [f"{finding.result}  {finding.node}"]
    lines += [f"  {line}" for note in finding.notes for line in note.splitlines()]
    if finding.result == "differs":
        lines.append(f"  {finding.recorded} -> {finding.rebuilt}")
    for (layer, where), group in itertools.groupby(finding.differences, key=lambda d: (d.layer, d.where)):
        title = where if layer is None else f"layer {layer}: {where}".removesuffix(": ")
        lines.append(f"  {title}")
        lines += [f"    {d.change:<11}  {' '.join(filter(None, [d.name, f'({d.detail})']))}" for d in group]
    return "\n".join(lines)


def to_json(finding: Finding) -> dict[str, object]:
    return {
        "node": str(finding.node),
        "key": finding.key,
        "result": finding.result,
        "notes": list(finding.notes),
        "recorded": finding.recorded or None,
        "rebuilt": finding.rebuilt or None,
        "differences": [difference._asdict() for difference in finding.differences],
    }


def _total(findings: list[Finding]) -> str:
    results = [finding.result for finding in findings]
    return (
        ", ".join(f"{results.count(result)} {result}" for result in dict.fromkeys(results)) or "nothing there"
    )
