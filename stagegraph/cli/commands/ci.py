"""``doit ci``: pipelines for CircleCI and GitHub Actions, made from the graph and from recorded times."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import ProjectError, StoreError
from ...execution.plan import plan
from ...execution.workspace import Workspace
from ...output import say, tell, write_exact
from ...system.text import counted, human_time, listed
from ..help import Example
from .base import Command, JsonOption, flag, option, path_option, print_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ...ci.model import Pipeline
    from ...ci.pipelines import Plans
    from ...project.model import Node
    from ..app import App

_OUT_OF_DATE = 1

#: How many nodes a line of a job lists.
_LISTED = 6

#: How many of the jobs that it needs; names are long.
_LISTED_NEEDS = 2


@dataclass(frozen=True)
class Options(JsonOption):
    check: bool = flag("write nothing; exit status 1 if a file is not up to date")
    times: bool = flag("first note in stages.times how long the recorded builds took")
    limit: str = option("minutes after which the service stops a job; [ci] limit by default")
    continuation: str = path_option("write CircleCI's jobs for what must be built to this file")
    matrix: bool = flag("print GitHub's jobs for what must be built, for GITHUB_OUTPUT")


class CI(Command[Options]):
    options_type = Options
    section = "ci"
    completes = ()
    doc_purpose = "write pipelines for CI services, and print what they cost"
    doc_usage = "[--check] [--times] [--limit MINUTES]"
    doc_description = (
        "Writes .circleci/config.yml and .github/workflows/images.yml, for the services that have "
        "executors under [ci] in stages.toml. It groups nodes into jobs at the lowest cost, so that no "
        "job is expected to exceed the time limit. Costs are under [ci], too. stages.times holds how "
        "long nodes take; --times notes there the times recorded in cache/. A node without a time "
        "counts as [ci] unknown minutes.\n\n"
        "The files depend only on stages.toml, stages.times and the Dockerfiles. --check tells whether "
        "they are up to date, and writes nothing.\n\n"
        "With [ci] dynamic = true the pipelines ask the registry first. They have jobs only for what "
        "must be built. For this they call --continuation (CircleCI) and --matrix (GitHub)."
    )
    examples = (
        Example("ci", "write the pipelines that [ci] declares"),
        Example("ci --check", "fail if they are out of date"),
    )

    def answer(self, app: App, words: list[str], options: Options) -> int:
        from ...ci.pipelines import Plans

        _refuse_mixed(options)
        if words:
            hint = "[ci] images in stages.toml says what is built; doit ci --help"
            raise ProjectError("command line", f"doit ci takes no goal: {words[0]!r}", hint)
        workspace = app.workspace
        if options.check:  # which must not write stages.lock
            settings = workspace.project.settings._replace(locked=True)
            workspace = Workspace(workspace.project._replace(settings=settings), workspace.report)
        plans = Plans(workspace.graph, limit=options.limit)
        if options.times:
            _note_times(workspace, plans.goals)
        if options.continuation or options.matrix:
            _write_needed_jobs(workspace, plans, options.continuation)
            return 0
        return _write_files(workspace, plans, options)


def _write_files(workspace: Workspace, plans: Plans, options: Options) -> int:
    """Print the pipelines, and write their files or check them. Return the exit status."""
    files = plans.files()
    pipelines = {name: pipeline for name, (_, pipeline) in files.items()}
    if options.json:
        found = [to_json(name, pipeline) for name, pipeline in pipelines.items()]
        print_json(
            {"schema": 1, "pipelines": found, "guessed": [str(node) for node in plans.nodes_without_time()]}
        )
    else:
        _tell(plans, pipelines)
    if not plans.config.prepare and "/" not in plans.config.command:
        hint = "[ci] prepare is a command that sets it up (docs/reference/ci.md)"
        tell(f"warning: a service's machine has no {plans.config.command!r}; {hint}")
    texts = {name: text for name, (text, _) in files.items()}
    if options.check:
        return _check(workspace.project.root, texts, plans.config.ci)
    _write(workspace.project.root, texts)
    return 0


def _refuse_mixed(options: Options) -> None:
    """Raise ``ProjectError`` for options that exclude each other."""
    ways = [way for way in ("check", "continuation", "json", "matrix", "times") if getattr(options, way)]
    if len(ways) > 1 and ways not in (["json", "times"], ["check", "json"]):
        raise ProjectError("command line", f"--{ways[0]} does not go with --{ways[1]}", "one after the other")


def _write_needed_jobs(workspace: Workspace, plans: Plans, path: str) -> None:
    """Jobs for what the registry lacks: CircleCI's into a file, or GitHub's on standard output."""
    from ...system.files import write_atomically

    service = "circleci" if path else "github"
    if service not in plans.config.services:
        raise ProjectError("doit ci", f"no executor of {service} is declared", f"write [ci.{service}.NAME]")
    needed = needed_nodes(workspace, plans)
    if path:
        _refuse_anothers(Path(path))
        write_atomically(Path(path), plans.continuation(needed).encode())
    else:
        write_exact(sys.stdout, plans.matrix(needed))


def _tell(plans: Plans, pipelines: Mapping[str, Pipeline]) -> None:
    from ...ci.durations import FILE

    for name, pipeline in pipelines.items():
        say(f"{name}\n{table(pipeline)}")
    if guessed := [str(node) for node in plans.nodes_without_time()]:
        say(f"taken to need {plans.config.unknown} minutes, as {FILE} has no time: {few(guessed)}")


def _done_with(root: Path, files: Mapping[str, str]) -> list[str]:
    """Files that were generated for a service of which no executor is declared any more."""
    from ...ci.pipelines import WRITERS

    return [w.FILE for w in WRITERS.values() if w.FILE not in files and _made_by(root / w.FILE)]


def _check(root: Path, files: Mapping[str, str], command: str) -> int:
    """Say which files are not as they would be written; the exit status."""
    bad = 0
    for name in [name for name, text in files.items() if _read(root / name) != text]:
        made, bad = _made_by(root / name), _OUT_OF_DATE
        other = f" (it was made by {made})" if made and made != command else ""
        tell(f"{name} is not up to date; {command} writes it{other}")
    for name in _done_with(root, files):
        bad = _OUT_OF_DATE
        tell(f"{name}: no executor is declared for it; {command} removes it")
    if not bad:
        tell(f"up to date: {' '.join(files)}")
    return bad


def _write(root: Path, files: Mapping[str, str]) -> None:
    """Write those that are not as they should be, once all of them may be written."""
    from ...system.files import write_atomically

    stale = [name for name, text in files.items() if _read(root / name) != text]
    for name in stale:
        _refuse_anothers(root / name)
    for name in stale:
        write_atomically(root / name, files[name].encode())
    for name in _done_with(root, files):
        tell(f"{name}: removed, as no executor is declared for it")
        (root / name).unlink()


def _note_times(workspace: Workspace, goals: list[Node]) -> None:
    from ...ci import durations
    from ...oci.platform import host_platform

    root, found = workspace.project.root, dict[str, float]()
    known = durations.read(root, host_platform())
    durations.require_same_machine(known, host_platform())
    if not known.seconds:
        known = replace(known, machine=host_platform())
    others = 0
    for node in workspace.graph.order(goals):
        record = workspace.layout.read(workspace.graph.key(node)) or workspace.layout.latest(
            workspace.graph.spec(node).history_name
        )
        if record and not record.cached and record.machine == known.machine:
            found[str(node)] = record.seconds
        others += record is not None and record.machine != known.machine
    merged = durations.merged(known, found, {str(node) for node in workspace.graph.nodes})
    state = "written" if durations.write(root, merged) else "as it was"
    more = f"; {others} were made on other or unknown machines" if others else ""
    tell(f"{durations.FILE}: {len(merged.seconds)} nodes, {state}{more}")


def _made_by(path: Path) -> str:
    """The command that a generated file names."""
    from ...ci.pipelines import HEADER

    text = _read(path)
    return text.removeprefix(HEADER).partition("`")[0] if text.startswith(HEADER) else ""


def needed_nodes(workspace: Workspace, plans: Plans) -> Callable[[Node], bool]:
    """Return the test whether a run with nothing in ``cache/`` must build a node; jobs begin with nothing.

    Raises ``ProjectError`` if no registry is set.
    """
    from ...store.layout import LayoutStore

    if workspace.registry is None:
        hint = "registry=HOST, or STAGEGRAPH_REGISTRY as pipelines set it"
        raise ProjectError("doit ci", "jobs for what must be built need a registry to ask", hint)
    with tempfile.TemporaryDirectory() as empty:
        apart = Workspace(
            workspace.project, workspace.report, layout=LayoutStore(Path(empty)), graph=workspace.graph
        )
        steps = plan(apart.graph, plans.goals, apart.lookup)
        build = {step.node for step in steps if step.decision == "build"}
    keys = {workspace.graph.key(node) for node in build}
    return lambda node: workspace.graph.key(node) in keys


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        return ""
    except OSError as error:
        raise StoreError(str(path), f"cannot be read: {error.strerror}") from None


def _refuse_anothers(path: Path) -> None:
    """Raises ``ProjectError`` for a file that was not generated."""
    if path.is_file() and path.stat().st_size and not _made_by(path):
        hint = "move its jobs elsewhere ([ci] check runs a command of yours), and remove it"
        raise ProjectError(str(path), "was not generated, so it is left as it is", hint)


def table(pipeline: Pipeline) -> str:
    """Jobs with their times and costs, and the sums."""
    width = max((len(job.name) for job in pipeline.jobs), default=0)
    lines = [
        f"  {job.name:<{width}}  {human_time(job.minutes * 60):>13}  {job.cost:7.3f}  "
        f"{'after ' + listed(job.needs, _LISTED_NEEDS) + ': ' if job.needs else ''}{few(job.targets)}"
        for job in pipeline.jobs
    ]
    jobs = counted(len(pipeline.jobs), "job")
    total = f"{jobs} from nothing: {human_time(pipeline.minutes * 60)} until all is done"
    spent = human_time(pipeline.spent * 60)
    return "\n".join([*lines, f"  {total}, {spent} of machines, cost {pipeline.cost:.3f}"])


def few(words: Sequence[str]) -> str:
    """Some words, and how many more there are."""
    return listed(words, _LISTED, " ")


def to_json(name: str, pipeline: Pipeline) -> dict[str, object]:
    return {
        "file": name,
        "service": pipeline.service,
        "minutes": round(pipeline.minutes, 2),
        "cost": round(pipeline.cost, 5),
        "jobs": [
            {
                "job": job.name,
                "executor": job.executor.name,
                "minutes": round(job.minutes, 2),
                "cost": round(job.cost, 5),
                "needs": list(job.needs),
                "goals": list(job.targets),
                "nodes": [str(node) for unit in job.units for node in unit.nodes],
            }
            for job in pipeline.jobs
        ],
    }
