"""``doit verify``: whether ``cache/`` is intact, and with ``--rebuild`` whether it can be made again."""

from __future__ import annotations

import itertools
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...errors import ProjectError, StagegraphError
from ...output import say, tell
from ..goals import resolve_goals
from ..help import Example
from .base import Command, JsonOption, flag, print_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ...audit.layout_check import Mismatch, Repaired
    from ...audit.verify import Finding
    from ...execution.workspace import Workspace
    from ...project.model import Node
    from ..app import App


@dataclass(frozen=True)
class Options(JsonOption):
    rebuild: bool = flag("build again without the builder's cache and compare")
    registry: bool = flag("check the images in the registry, too")
    repair: bool = flag("drop what is bad, and say what will be built again")


class Verify(Command[Options]):
    options_type = Options
    section = "maintain"
    doc_purpose = "check cache/; with --rebuild: build again and compare"
    doc_description = (
        "Reads every blob and record in cache/ of the nodes and of all their ancestors, and checks that "
        "cache/ is an OCI image layout whose index.json has exactly the records with an image. Without "
        "names it reads all other records and blobs, too. It reports blobs that do not match their digest, "
        "and records whose inputs do not hash to their key. With [trust] it reports records that nobody has "
        "signed whom stages.toml trusts. Damaged blobs are moved to cache/damaged/. The next run pulls or "
        "builds them again.\n\n"
        "--registry downloads the images of the nodes from the registry and reads them there. 'differs': "
        "cache/ has another image under the same key.\n\n"
        "--repair deletes damaged records and the manifests of images that are not whole, and writes "
        "oci-layout and index.json anew. It is refused while a run uses cache/.\n\n"
        "--rebuild builds each of these nodes again, without the builder's cache, on its recorded "
        "parents, and compares. 'same': the image has the recorded digest. 'differs': each changed file "
        "and each changed value of the configuration is listed. cache/ does not change. DOCKER_HOST or "
        "builder=NAME choose the engine, so you can compare two engines.\n\n"
        "A node without a record in cache/ is 'unchecked'. The exit status is 1 if anything is bad and not "
        "repaired, differs or could not be built, if a node that you named is unchecked, or if all nodes are."
    )
    examples = (
        Example("verify", "check all of cache/"),
        Example("verify --repair", "drop what is bad; the next run builds it again"),
        Example("verify --registry registry={registry}", "check the registry's images, too", "registry"),
        Example("verify {goal} --rebuild", "build it again and compare, file by file", "engine"),
    )

    def answer(self, app: App, words: list[str], options: Options) -> int:
        workspace = app.workspace
        _refuse_unfit(workspace, options)
        goals = resolve_goals(workspace.graph, words)
        results = Results(options)
        try:
            for found in _found(workspace, goals.nodes, options, whole=not words):
                workspace.report.close()  # the live display takes standard output too
                results.add(found)
            if options.repair:
                results.repair(workspace)
        finally:  # an engine that went away is no reason to keep back what was found until then
            workspace.report.close()
            if options.json:
                print_json(results.to_json())
        tell(results.total())
        return goals.status or (0 if results.passed(set(goals.nodes) if words else set()) else 1)


def _refuse_unfit(workspace: Workspace, options: Options) -> None:
    """Raise ``ProjectError`` for options that do not fit, ``StoreError`` if a repair will be refused."""
    if options.rebuild and (options.registry or options.repair):
        other = "--registry" if options.registry else "--repair"
        raise ProjectError("command line", f"--rebuild and {other} are two calls", "call doit verify twice")
    if options.registry and workspace.registry is None:
        hint = "registry=HOST here, STAGEGRAPH_REGISTRY, or registry under [project]"
        raise ProjectError("doit verify", "no registry is set", hint)
    if options.repair:
        with workspace.layout.locks.exclusive():
            pass


def _found(
    workspace: Workspace, nodes: list[Node], options: Options, *, whole: bool
) -> Iterator[Finding | Mismatch]:
    """Yield all that the checks find. ``whole``: check what is of no node, too."""
    from ...audit import layout_check, verify

    graph, layout = workspace.graph, workspace.layout
    if options.rebuild:
        parts = graph, layout, workspace.builder_into, workspace.report
        yield from verify.Rebuilder(*parts).rebuild(nodes)
        return
    checked, before = layout_check.Checked(), list(layout_check.check_layout(layout))
    yield from before
    yield from verify.check(graph, layout, nodes, checked)
    if whole:
        yield from layout_check.check_rest(layout, checked)
    if not before and any(checked.faults.values()):
        with suppress(StagegraphError):  # a cache/ that cannot be written
            layout.index.rebuild()  # a manifest may be in quarantine now
    if options.registry and workspace.registry:
        from ...audit.registry_check import check_registry

        yield from check_registry(graph, layout, workspace.registry.remote, nodes)


class Results:
    """What the checks have found, printed as it comes unless all is printed as JSON."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self.findings: list[Finding] = []
        self.mismatches: list[Mismatch] = []
        self.repaired: Repaired | None = None

    def add(self, found: Finding | Mismatch) -> None:
        from ...audit.verify import Finding

        if isinstance(found, Finding):
            self.findings.append(found)
            self._print(render_text(found))
        else:
            self.mismatches.append(found)
            self._print("\n".join([f"bad  {found.place}", *(f"  {note}" for note in found.notes)]))

    def repair(self, workspace: Workspace) -> None:
        """Repair ``cache/``, and print what was done. Raises ``StoreError``."""
        from ...audit import layout_check

        self.repaired = layout_check.repair(workspace.layout)
        for line in repaired_text(self.repaired, self.again):
            self._print(line)

    @property
    def again(self) -> list[str]:
        """The nodes that the next run that needs them pulls or builds again."""
        return [str(f.node) for f in self.findings if f.result == "bad" and not f.where]

    def _print(self, text: str) -> None:
        if not self._options.json:
            say(text, flush=True)

    def passed(self, named: set[Node]) -> bool:
        """Return whether nothing is wrong, or everything was repaired; see ``verify.passed``."""
        from ...audit import verify

        if self.repaired is None:
            return not self.mismatches and verify.passed(self.findings, named)
        left = [finding for finding in self.findings if finding.where or finding.result != "bad"]
        return verify.passed(left, named) if left else True

    def total(self) -> str:
        results = [*(finding.result for finding in self.findings), *("bad" for _ in self.mismatches)]
        counts = [f"{results.count(result)} {result}" for result in dict.fromkeys(results)]
        if self.repaired is not None:
            counts.append("repaired" if self.repaired != ((), (), ()) else "nothing to repair")
        return ", ".join(counts) or "nothing there"

    def to_json(self) -> dict[str, Any]:
        document: dict[str, Any] = {
            "schema": 1,
            "nodes": [to_json(finding) for finding in self.findings if not finding.where],
            "registry": [registry_to_json(finding) for finding in self.findings if finding.where],
            "layout": [{"place": place, "notes": list(notes)} for place, notes in self.mismatches],
            "repaired": None,
        }
        if self.repaired is not None:
            document["repaired"] = {
                "written": list(self.repaired.written),
                "deleted": list(self.repaired.deleted),
                "dropped": [record.key for record in self.repaired.dropped],
                "again": self.again,
            }
        return document


def repaired_text(repaired: Repaired, again: Sequence[str]) -> Iterator[str]:
    """Lines about a repair. ``again`` are the nodes that were bad."""
    for word, paths in (("written", repaired.written), ("deleted", repaired.deleted)):
        yield from (f"{word}  {path}" for path in paths)
    for record in repaired.dropped:
        yield f"dropped  the image of {record.node} under the key {record.key}"
    if again:
        yield f"the next run that needs them pulls or builds again: {', '.join(again)}"


def render_text(finding: Finding) -> str:
    """A finding for people; files and values below the layer or part that they stand in."""
    lines = [
        f"{finding.result}  {finding.node}" + (f" in the registry, {finding.where}" if finding.where else "")
    ]
    lines += [f"  {line}" for note in finding.notes for line in note.splitlines()]
    if finding.result == "differs":  # an image in the registry, or a second build
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


def registry_to_json(finding: Finding) -> dict[str, object]:
    return {
        "node": str(finding.node),
        "key": finding.key,
        "reference": finding.where,
        "result": finding.result,
        "notes": list(finding.notes),
        "recorded": finding.recorded or None,
        "digest": finding.rebuilt or None,
    }
