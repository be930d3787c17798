"""``doit ci``: pipelines for CircleCI and GitHub Actions, made from the graph and from recorded times."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ProjectError, StoreError
from .base import OPT_JSON, Command, flag, option, print_json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..ci.model import Pipeline
    from ..ci.pipelines import Plans
    from ..model import Node
    from ..session import Session

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

    def answer(self, session: Session, words: list[str], flags: set[str]) -> int:
        from ..ci.pipelines import Plans
        from ..ci.times import FILE

        ways = [f"--{name}" for name in ("check", "times", "json", "matrix") if name in flags]
        ways += ["--continuation"] if self.values["continuation"] else []
        if len(ways) > 1 and set(ways) not in ({"--json", "--times"}, {"--json", "--check"}):
            raise ProjectError("command line", f"{ways[0]} does not go with {ways[1]}", "one after the other")
        if "check" in flags:
            settings = replace(session.project.settings, locked=True)  # or stages.lock might be written
            session = type(session)(replace(session.project, settings=settings), session.report)
        if words:
            hint = "what is built stands under [ci] images; doit ci --help"
            raise ProjectError("command line", f"doit ci takes no {words[0]!r}", hint)
        plans = Plans(session.graph, limit=self.values["limit"])
        if "times" in flags:
            _note_times(session, plans.goals)
        for service, asked in (("circleci", self.values["continuation"]), ("github", "matrix" in flags)):
            if asked and service not in plans.table.services:
                hint = f"write [ci.{service}.NAME]"
                raise ProjectError("doit ci", f"no executor of {service} is declared", hint)
        if path := self.values["continuation"]:
            _write(Path(path), plans.continuation(_needed(session, plans)))
            return 0
        if "matrix" in flags:
            print(plans.matrix(_needed(session, plans)), end="")
            return 0
        files = plans.files()
        if "json" in flags:
            found = [facts(name, pipeline) for name, (_, pipeline) in files.items()]
            print_json({"schema": 1, "pipelines": found, "guessed": [str(node) for node in plans.guessed()]})
        else:
            for name, (_, pipeline) in files.items():
                print(f"{name}\n{table(pipeline)}")
            if guessed := [str(node) for node in plans.guessed()]:
                taken = f"taken to need {plans.table.unknown} minutes, as {FILE} has no time"
                print(f"{taken}: {few(guessed)}")
        texts = {name: text for name, (text, _) in files.items()}
        return self._files(session.project.root, texts, flags, plans.table.ci)

    def _files(self, root: Path, files: dict[str, str], flags: set[str], command: str) -> int:
        """Write or check."""
        stale = [name for name, text in files.items() if _read(root / name) != text]
        if "check" in flags:
            for name in stale:
                made = _made_by(root / name)
                other = f" (it was made by {made})" if made and made != command else ""
                print(f"{name} is not up to date; {command} writes it{other}", file=sys.stderr)
            return _OUT_OF_DATE if stale else 0
        for name in stale:
            _write(root / name, files[name])
        return 0


def _note_times(session: Session, goals: list[Node]) -> None:
    from ..ci import times
    from ..graph import host_platform

    root, found = session.project.root, dict[str, float]()
    known = times.read(root, host_platform())
    times.of_this_kind(known, host_platform())
    if not known.seconds:
        known = replace(known, machine=host_platform())
    for node in session.graph.order(goals):
        record = session.layout.read(session.graph.key(node)) or session.layout.latest(
            session.graph.spec(node).kept_as
        )
        if record and not record.cached and record.machine == known.machine:
            found[str(node)] = record.seconds
    merged = times.merged(known, found, {str(node) for node in session.graph.nodes})
    state = "written" if times.write(root, merged) else "as it was"
    print(f"{times.FILE}: {len(merged.seconds)} nodes, {state}", file=sys.stderr)


def _made_by(path: Path) -> str:
    """The command that a generated file names."""
    from ..ci.pipelines import HEADER

    text = _read(path)
    return text.removeprefix(HEADER).partition("`")[0] if text.startswith(HEADER) else ""


def _needed(session: Session, plans: Plans) -> Callable[[Node], bool]:
    """Whether a run with nothing in ``cache/`` would have to build a node; jobs begin with nothing."""
    from ..store.layout import LayoutStore

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


def _write(path: Path, text: str) -> None:
    from ..ci.pipelines import HEADER
    from ..files import write_atomically

    there = _read(path)
    if there and not there.startswith(HEADER):
        hint = "move its jobs elsewhere ([ci] check runs a command of yours), and remove it"
        raise ProjectError(str(path), "was not generated, so it is left as it is", hint)
    write_atomically(path, text.encode())


def table(pipeline: Pipeline) -> str:
    """Jobs with their times and costs, and the sums."""
    from ..report import human_time

    width = max((len(job.name) for job in pipeline.jobs), default=0)
    lines = [
        f"  {job.name:<{width}}  {human_time(job.minutes * 60):>13}  {job.cost:7.3f}  "
        f"{'after ' + ', '.join(job.needs) + ': ' if job.needs else ''}{few(job.words)}"
        for job in pipeline.jobs
    ]
    count = len(pipeline.jobs)
    jobs = f"{count} job{'' if count == 1 else 's'} from nothing"
    total = f"{jobs}: {human_time(pipeline.minutes * 60)} until all is done"
    spent = sum(job.minutes for job in pipeline.jobs)
    return "\n".join([*lines, f"  {total}, {human_time(spent * 60)} of machines, cost {pipeline.cost:.3f}"])


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
                "goals": list(job.words),
                "nodes": [str(node) for unit in job.units for node in unit.nodes],
            }
            for job in pipeline.jobs
        ],
    }
