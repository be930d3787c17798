"""Measure and compute the cost of CI: ``./run python benchmarks/ci [--stage redis] [--computed]``.

There are two tables. Each has three scenarios: nothing built yet, one stage changed, everything there.

*Measured*: tiny stages in the shape of this project's CI graph for amd64; each copies one file. The engines
are empty, as on a CI machine. One registry keeps what was pushed. The clock runs for whole calls.

*Computed*: minutes and cost of the real stages, from stages.times and the table of costs under [ci].

Two other schemes are compared. One is the scheme of the original project: a chain of ``buildx build --push``
for each platform, complete in every job, with arm64 emulated. The other is ``buildx bake`` of both platforms
with a registry cache and the Dockerfiles of this project.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from common import DOIT, PLATFORMS, REPOSITORY, call, engine, registry, rows

from stagegraph.ci.model import MINUTE, PRICE, Executor, Pipeline
from stagegraph.ci.pipelines import Plans
from stagegraph.execution.workspace import Workspace
from stagegraph.project.model import Node

SCENARIOS = ("nothing built", "{stage} changed", "everything there")


@dataclass(frozen=True)
class Shape:
    """The graph of the project's CI. ``parents``: nodes with their parents, in build order.

    ``goals``: images.
    """

    parents: dict[Node, list[Node]]
    goals: list[Node]

    def above(self, stage: str) -> set[Node]:
        """Return the nodes of a stage on all platforms, and all nodes that depend on them."""
        found = {node for node in self.parents if node.stage == stage}
        for node, below in self.parents.items():
            if found & set(below):
                found.add(node)
        return found


def shape(plans: Plans) -> Shape:
    """Return the graph of the goals. Nodes with the same key count as one."""
    graph, first = plans.graph, dict[str, Node]()
    for node in graph.order(plans.goals):
        first.setdefault(graph.key(node), node)
    parents = {
        node: list(dict.fromkeys(first[graph.key(parent)] for parent in graph.parents(node)))
        for node in first.values()
    }
    return Shape(parents, list(dict.fromkeys(first[graph.key(goal)] for goal in plans.goals)))


def half(graph: Shape) -> Shape:
    """Return the nodes of amd64 only.

    With all nodes, one call of bake fails with BuildKit's "context deadline exceeded".
    """
    parents = {node: below for node, below in graph.parents.items() if node.platform == "amd64"}
    return Shape(parents, [goal for goal in graph.goals if goal in parents])


# -- measured ------------------------------------------------------------------------------------


def name(node: Node) -> str:
    return str(node).replace(":", "-").replace("--", "-on-")


def write(folder: Path, graph: Shape, host: str, repo: str, arch: str) -> None:
    """Write the same tiny stages for all schemes: as a project, as a bake file, for calls by hand."""
    platform = f'[platforms.here]\ndocker = "linux/{arch}"\n'
    tables = [f'[project]\nrepo = "{repo}"\n{platform}[base]\nimage = "none"\n']
    targets: dict[str, dict[str, object]] = {}
    for node, parents in graph.parents.items():
        stage, used = name(node), [name(parent) for parent in parents]
        (folder / stage).mkdir()
        (folder / stage / "file").write_text(f"{stage}\n")
        names = {each: f"p{number}" for number, each in enumerate(used)}
        lines = [f"ARG {word.upper()}={each}" for each, word in names.items()]
        lines += [f"FROM ${{{word.upper()}}} AS {word}" for word in names.values()]
        lines += ["FROM scratch", f"COPY file /{stage}"]
        lines += [f"COPY --from={word} /{each} /{each}" for each, word in names.items()]
        (folder / stage / "Dockerfile").write_text("\n".join(lines) + "\n")
        tables.append(f'[stages.{stage}]\npath = "{stage}"\n')
        contexts = {each: f"target:{each}" for each in used}
        targets[stage] = {"context": stage, "platforms": [f"linux/{arch}"], "contexts": contexts}
        if node in graph.goals:
            # the cache of a goal contains everything that the goal depends on
            cache = f"type=registry,ref={host}/{repo}-bake:cache-{stage}"
            ways = {"cache-from": [cache], "cache-to": [f"{cache},mode=max"], "output": ["type=registry"]}
            targets[stage] |= {**ways, "tags": [f"{host}/{repo}-bake:{stage}"]}
    tables += [f"[images.{name(goal)}]\n" for goal in graph.goals]
    (folder / "stages.toml").write_text("".join(tables))
    (folder / "dodo.py").write_text("from stagegraph.tasks import *\n")
    (folder / "bake.json").write_text(json.dumps({"target": targets}))


def ours(folder: Path, graph: Shape, host: str, env: dict[str, str]) -> None:
    """Run a job of this project with an empty ``cache/``. The registry has what was pushed."""
    shutil.rmtree(folder / "cache", ignore_errors=True)
    goals = [f"{name(goal)}:here" for goal in graph.goals]
    call(folder, *DOIT, f"registry={host}", *goals, env=env)


def bake(folder: Path, graph: Shape, host: str, env: dict[str, str]) -> None:
    del host
    call(folder, "docker", "buildx", "bake", "--file=bake.json", *map(name, graph.goals), env=env)


def chain(folder: Path, graph: Shape, host: str, env: dict[str, str]) -> None:
    """Build every stage as the original script does, with parents by their pushed tags."""
    images = f"{host}/chain"
    for node, parents in graph.parents.items():
        arguments = [
            f"--build-arg=P{number}={images}:{name(parent)}" for number, parent in enumerate(parents)
        ]
        tag = f"--tag={images}:{name(node)}"
        call(folder, "docker", "buildx", "build", tag, *arguments, "--push", name(node), env=env)


def measured(plans: Plans, stage: str) -> list[tuple[str, ...]]:
    """Return the seconds of each scheme in each scenario, on empty engines."""
    graph, arch = half(shape(plans)), PLATFORMS[os.uname().machine]
    table: list[tuple[str, ...]] = [("scheme", *(s.format(stage=stage) for s in SCENARIOS))]
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        host = stack.enter_context(registry(folder / "registry"))
        write(folder, graph, host, "tiny", arch)
        for title, scheme in (("this project", ours), ("bake, registry cache", bake), ("chain", chain)):
            cells = []
            for number, scenario in enumerate(table[0][1:]):
                print(f"{title}: {scenario}", file=sys.stderr, flush=True)
                if number == 1:
                    for node in graph.parents:
                        if node.stage == stage:
                            (folder / name(node) / "file").write_text(f"{title} changes it\n")
                with engine() as env:
                    start = time.perf_counter()
                    scheme(folder, graph, host, env)
                    cells.append(f"{time.perf_counter() - start:.1f} s")
            table.append((title, *cells))
    return table


# -- computed ------------------------------------------------------------------------------------


def minutes(plans: Plans, node: Node) -> float:
    seconds = plans.times.seconds.get(str(node))
    return plans.config.unknown if seconds is None else seconds / 60


def computed(plans: Plans, service: str, stage: str) -> list[tuple[str, ...]]:
    """Return the minutes until everything is done, and the cost, of each scheme in each scenario."""
    graph, executor = shape(plans), plans.config.services[service][0]
    needed = (set(graph.parents), graph.above(stage), set[Node]())
    schemes = {
        "this project, all jobs": [_static(plans, service, need) for need in needed],
        "this project, jobs for what is missing": [_dynamic(plans, service, need) for need in needed],
        "bake, registry cache": [_bake(plans, graph, executor, need) for need in needed],
        "chain, arm64 emulated": [_chain(plans, graph, executor, stage, n) for n in range(3)],
    }
    table: list[tuple[str, ...]] = [("scheme", *(s.format(stage=stage) for s in SCENARIOS))]
    for title, cells in schemes.items():
        table.append((title, *(f"{time:.0f} min, {cost:.2f}" for time, cost in cells)))
    return table


def _static(plans: Plans, service: str, need: set[Node]) -> tuple[float, float]:
    """Compute a pipeline in which every job starts and builds those of its nodes that are needed."""
    ends: dict[str, float] = {}
    cost = 0.0
    for job in plans.pipeline(service).jobs:
        units = [unit for unit in job.units if need & set(unit.nodes)]
        own = plans.config.setup + sum(unit.times[job.executor.name] for unit in units) / MINUTE
        ends[job.name] = own + max((ends[each] for each in job.needs), default=0)
        cost += own * job.executor.price / PRICE
    return max(ends.values()), cost


def _dynamic(plans: Plans, service: str, need: set[Node]) -> tuple[float, float]:
    """Compute one job that asks the registry, and then jobs for the needed nodes."""
    first = plans.config.services[service][0]
    pipeline: Pipeline = plans.pipeline(service, need.__contains__)
    setup = plans.config.setup
    return setup + pipeline.minutes, setup * first.price / PRICE + pipeline.cost


def _bake(plans: Plans, graph: Shape, executor: Executor, need: set[Node]) -> tuple[float, float]:
    """Compute one job that builds for both platforms. Time limits are ignored."""
    total = plans.config.setup + sum(minutes(plans, node) for node in graph.parents if node in need)
    return total, total * executor.price / PRICE


def _chain(plans: Plans, graph: Shape, executor: Executor, stage: str, scenario: int) -> tuple[float, float]:
    """Compute one job for each platform, which builds a changed stage and all stages behind it in the chain.

    An emulated stage of arm64 takes the time of the same stage of amd64, divided by the speed of emulation.
    If everything is there, the calls find it and cost nothing.
    """
    times, cost = [], 0.0
    for platform in dict.fromkeys(node.platform for node in graph.parents):
        chain = [node for node in graph.parents if node.platform == platform]
        place = next((n for n, node in enumerate(chain) if node.stage == stage), len(chain))
        todo = chain[{0: 0, 1: place, 2: len(chain)}[scenario] :]
        native = [minutes(plans, Node(node.stage, "amd64")) for node in todo]
        slow = 1 if platform == "amd64" else executor.emulated
        times.append(plans.config.setup + sum(native) / slow)
        cost += times[-1] * executor.price / PRICE
    return max(times), cost


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks/ci", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--stage", default="redis", help="the stage that is changed (default: redis)")
    parser.add_argument("--computed", action="store_true", help="measure nothing")
    parser.add_argument("--limit", default="", help="minutes after which a job is stopped")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    os.chdir(REPOSITORY)
    plans = Plans(Workspace.open(REPOSITORY, {}).graph, limit=options.limit)
    if not options.computed:
        nodes = len(half(shape(plans)).parents)
        print(f"Measured: {nodes} tiny stages of the shape of this project's for amd64\n")
        print(rows(measured(plans, options.stage)), end="\n\n")
    for service in plans.config.services:
        print(f"Computed: {service}, minutes until all is done, cost\n")
        print(rows(computed(plans, service, options.stage)), end="\n\n")


main()
