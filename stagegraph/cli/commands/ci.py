"""``doit ci``: pipelines for CircleCI and GitHub Actions, made from the graph and from recorded times."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import ProjectError, StoreError
from .base import OPT_JSON, Command, flag, option, print_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ...ci.model import Pipeline
    from ...ci.pipelines import Plans
    from ...execution.workspace import Workspace
    from ...project.model import Node

_OUT_OF_DATE = 1


class CI(Command):
    doc_purpose = "write pipelines for CI services, and print what they cost"
    doc_usage = "[--check] [--times] [--limit MINUTES]"
    doc_description = (
        "Writes .circleci/config.yml and .github/workflows/images.yml, for the services that have executors "
        "under [ci] in stages.toml. Nodes are put together in jobs so that none is expected to take longer "
        "than the limit allows, at the lowest cost; the table of costs is under [ci], too. How long nodes "
        "take stands in stages.times: --times notes there what is recorded in cache/. What has no time there "
        "is taken to need [ci] unknown.\n\n"
        "What is written depends on these two files and on the Dockerfiles alone. --check says whether it is "
        "up to date and writes nothing.\n\n"
        "With [ci] dynamic = true the pipelines ask the registry first, and have jobs only for what must be "
        "built: for this they call --continuation (CircleCI) and --matrix (GitHub)."
    )
    cmd_options = (
        OPT_JSON,
        flag("check", "write nothing; exit status 1 if a file is not as it would be written"),
        flag("times", "first note in stages.times how long builds took here"),
        option("limit", "minutes after which the service stops a job; [ci] limit by default"),
        option("continuation", "write CircleCI's jobs for what must be built into this file"),
        flag("matrix", "print GitHub's jobs for what must be built, for GITHUB_OUTPUT"),
    )

    def _execute(
        self,
        json: bool,
        check: bool,
        times: bool,
        limit: str,
        continuation: str,
        matrix: bool,
        pos_args: list[str] | None = None,
    ) -> int:
        switches = {"json": json, "check": check, "times": times, "matrix": matrix}
        return self.run(pos_args, limit=limit, continuation=continuation, **switches)

    def answer(self, session: Workspace, words: list[str], flags: set[str]) -> int:
        from ...ci.pipelines import Plans

        _refuse_mixed([*flags, *(["continuation"] if self.values["continuation"] else [])])
        if words:
            hint = "what is built stands under [ci] images; doit ci --help"
            raise ProjectError("command line", f"doit ci takes no {words[0]!r}", hint)
        if "check" in flags:
            settings = replace(session.project.settings, locked=True)  # or stages.lock might be written
            session = type(session)(replace(session.project, settings=settings), session.report)
        plans = Plans(session.graph, limit=self.values["limit"])
        if "times" in flags:
            _note_times(session, plans.goals)
        if self.values["continuation"] or "matrix" in flags:
            _what_must_be_built(session, plans, self.values["continuation"])
            return 0
        files = plans.files()
        pipelines = {name: pipeline for name, (_, pipeline) in files.items()}
        if "json" in flags:
            found = [facts(name, pipeline) for name, pipeline in pipelines.items()]
            print_json(
                {
                    "schema": 1,
                    "pipelines": found,
                    "guessed": [str(node) for node in plans.nodes_without_time()],
                }
            )
        else:
            _tell(plans, pipelines)
        if not plans.config.prepare and "/" not in plans.config.command:
            hint = "[ci] prepare is a command that sets it up (docs/reference.md, CI)"
            print(f"warning: a service's machine has no {plans.config.command!r}; {hint}", file=sys.stderr)
        texts = {name: text for name, (text, _) in files.items()}
        if "check" in flags:
            return _check(session.project.root, texts, plans.config.ci)
        _write(session.project.root, texts)
        return 0


def _refuse_mixed(flags: Sequence[str]) -> None:
    """Raises ``ProjectError`` for options that each want something else done."""
    ways = sorted({"check", "times", "json", "matrix", "continuation"} & {*flags})
    if len(ways) > 1 and ways not in (["json", "times"], ["check", "json"]):
        raise ProjectError("command line", f"--{ways[0]} does not go with --{ways[1]}", "one after the other")


def _what_must_be_built(session: Workspace, plans: Plans, path: str) -> None:
    """Jobs for what the registry lacks: CircleCI's into a file, or GitHub's on standard output."""
    from ...system.files import write_atomically

    service = "circleci" if path else "github"
    if service not in plans.config.services:
        raise ProjectError("doit ci", f"no executor of {service} is declared", f"write [ci.{service}.NAME]")
    needed = _needed(session, plans)
    if path:
        _refuse_anothers(Path(path))
        write_atomically(Path(path), plans.continuation(needed).encode())
    else:
        print(plans.matrix(needed), end="")


def _tell(plans: Plans, pipelines: Mapping[str, Pipeline]) -> None:
    from ...ci.durations import FILE

    for name, pipeline in pipelines.items():
        print(f"{name}\n{table(pipeline)}")
    if guessed := [str(node) for node in plans.nodes_without_time()]:
        print(f"taken to need {plans.config.unknown} minutes, as {FILE} has no time: {few(guessed)}")


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
        print(f"{name} is not up to date; {command} writes it{other}", file=sys.stderr)
    for name in _done_with(root, files):
        bad = _OUT_OF_DATE
        print(f"{name}: no executor is declared for it; {command} removes it", file=sys.stderr)
    if not bad:
        print(f"up to date: {' '.join(files)}", file=sys.stderr)
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
        print(f"{name}: removed, as no executor is declared for it", file=sys.stderr)
        (root / name).unlink()


def _note_times(session: Workspace, goals: list[Node]) -> None:
    from ...ci import durations
    from ...oci.platform import host_platform

    root, found = session.project.root, dict[str, float]()
    known = durations.read(root, host_platform())
    durations.require_same_machine(known, host_platform())
    if not known.seconds:
        known = replace(known, machine=host_platform())
    others = 0
    for node in session.graph.order(goals):
        record = session.layout.read(session.graph.key(node)) or session.layout.latest(
            session.graph.spec(node).history_name
        )
        if record and not record.cached and record.machine == known.machine:
            found[str(node)] = record.seconds
        others += record is not None and record.machine != known.machine
    merged = durations.merged(known, found, {str(node) for node in session.graph.nodes})
    state = "written" if durations.write(root, merged) else "as it was"
    more = f"; {others} were made on other or unknown machines" if others else ""
    print(f"{durations.FILE}: {len(merged.seconds)} nodes, {state}{more}", file=sys.stderr)


def _made_by(path: Path) -> str:
    """The command that a generated file names."""
    from ...ci.pipelines import HEADER

    text = _read(path)
    return text.removeprefix(HEADER).partition("`")[0] if text.startswith(HEADER) else ""


def _needed(session: Workspace, plans: Plans) -> Callable[[Node], bool]:
    """Whether a run with nothing in ``cache/`` would have to build a node; jobs begin with nothing."""
    from ...store.layout import LayoutStore

    if session.registry is None:
        hint = "registry=HOST, or STAGEGRAPH_REGISTRY as pipelines set it"
        raise ProjectError("doit ci", "jobs for what must be built need a registry to ask", hint)
    with tempfile.TemporaryDirectory() as empty:
        apart = type(session)(session.project, session.report)
        apart.layout = LayoutStore(Path(empty))
        build = {step.node for step in apart.plan(plans.goals) if step.decision == "build"}
    keys = {session.graph.key(node) for node in build}
    return lambda node: session.graph.key(node) in keys


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
    from ...system.text import human_time

    width = max((len(job.name) for job in pipeline.jobs), default=0)
    lines = [
        f"  {job.name:<{width}}  {human_time(job.minutes * 60):>13}  {job.cost:7.3f}  "
        f"{'after ' + ', '.join(job.needs) + ': ' if job.needs else ''}{few(job.targets)}"
        for job in pipeline.jobs
    ]
    count = len(pipeline.jobs)
    jobs = f"{count} job{'' if count == 1 else 's'} from nothing"
    total = f"{jobs}: {human_time(pipeline.minutes * 60)} until all is done"
    spent = human_time(pipeline.spent * 60)
    return "\n".join([*lines, f"  {total}, {spent} of machines, cost {pipeline.cost:.3f}"])


def few(words: Sequence[str], most: int = 6) -> str:
    """Some words, and how many more there are."""
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return " ".join(words[:most]) + more


def facts(name: str, pipeline: Pipeline) -> dict[str, object]:
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
