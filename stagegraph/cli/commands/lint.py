"""``doit lint``: steps that fetch what nothing pins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...audit.lint import Finding, lint
from ...graph.dockerfiles import Dockerfiles
from ...oci.platform import host_platform
from ...output import printable, say, tell
from ...system.text import counted, shortened
from ..goals import named_nodes
from ..help import Example
from .base import Command, JsonOption, flag, print_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ...execution.workspace import Workspace
    from ...graph.graph import Graph
    from ...project.model import Node
    from ..app import App

#: The status for findings. doit has 1 to 3, ``doit plan --exit-code`` has 4, errors have 10 and more.
FOUND = 5


@dataclass(frozen=True)
class Options(JsonOption):
    checks: bool = flag("add the checks of BuildKit, if the builder has them; needs an engine")


class Lint(Command[Options]):
    options_type = Options
    doc_purpose = "find steps that fetch what nothing pins"
    doc_description = (
        "Reads the RUN instructions of the stages that you name, or of all. It lists the commands that fetch "
        "something whose version nothing fixes, such as 'pip install requests'. The key of such a step "
        "stays the same while what it fetches changes. Each line says how to pin it. 'archive = true' of a "
        "stage in stages.toml accepts all of them: the stage is then built again with each package date.\n\n"
        "A comment on the line above accepts one: '# lint: ignore=unpinned-pip'.\n\n"
        "--checks adds the build checks of BuildKit ('docker buildx build --check'), from buildx 0.15 on.\n\n"
        f"The exit status is {FOUND} if there are findings, and 0 if there are none."
    )

    examples = (
        Example("lint", "all stages"),
        Example("lint {goal} --json", "the stage of an image and its test, for programs"),
    )

    def answer(self, app: App, words: list[str], options: Options) -> int:
        graph = app.workspace.graph
        nodes = named_nodes(graph, words, tests=True)
        found = _lint(graph, nodes)
        if options.checks:
            found = _sorted([*found.items(), *_checks(app.workspace, nodes).items()])
        if options.json:
            findings = [{**finding._asdict(), "stages": stages} for finding, stages in found.items()]
            print_json({"schema": 1, "findings": findings})
        else:
            for finding in found:
                say(f"{finding.where}: {finding.rule}: {finding.what}\n  {finding.fix}")
            tell(counted(len(found), "finding"))
        return FOUND if found else 0


def _lint(graph: Graph, nodes: list[Node]) -> dict[Finding, list[str]]:
    """Return the findings with their stages, in the order of files and lines. Raises ``DockerfileError``."""
    dockerfiles, found = Dockerfiles(graph.project, host_platform()), dict[Finding, list[str]]()
    for node in nodes:
        config = graph.project.config(node)
        if config is None:  # a bootstrapped base has no Dockerfile
            continue
        analysis = dockerfiles.analysis(node, config)
        for finding in lint(dockerfiles.text(config), analysis, archive=config.installs_packages):
            stages = found.setdefault(finding, [])
            if node.stage not in stages:
                stages.append(node.stage)
    return _sorted(found.items())


def _checks(workspace: Workspace, nodes: list[Node]) -> dict[Finding, list[str]]:
    """Return what BuildKit's own checks find. If there are none, say so. Raises ``StagegraphError``."""
    from ...build.checks import FIRST, call_checks
    from ...docker import buildx

    found = dict[Finding, list[str]]()
    if (version := buildx.version()) < FIRST:
        said = (
            f"buildx {version[0]}.{version[1]} has no build checks; they need {FIRST[0]}.{FIRST[1]} or later"
        )
        tell(said)
        return found
    for node in nodes:
        spec = workspace.graph.spec(node)
        if spec.bootstrap is not None:
            continue
        checks = call_checks(spec, workspace.builder_selector.place(spec))
        if checks is None:
            tell(f"{node}: its builder or front end has no build checks")
            continue
        for check in checks:
            what = printable(shortened(check.what))
            stages = found.setdefault(Finding(spec.dockerfile, check.line, check.rule, what, check.url), [])
            if node.stage not in stages:
                stages.append(node.stage)
    return found


def _sorted(found: Iterable[tuple[Finding, list[str]]]) -> dict[Finding, list[str]]:
    """Return findings in the order of files and lines."""
    return dict(sorted(found, key=lambda item: (item[0].file, item[0].line)))
