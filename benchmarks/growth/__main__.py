"""Measure how the cost of ``doit plan`` grows: ``./run python benchmarks/growth [--stages 100 1000 3000]``.

Families of tiny stages in a temporary folder, in three shapes. No engine is needed: all pins are made up, and
nothing is built. Each step is measured in processor time of this process, so other work of the machine
matters little. The exponent says how a step grows: 1 is in step with the number of stages, 2 its square.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import common

from stagegraph.errors import LockError
from stagegraph.execution import plan
from stagegraph.execution.workspace import Workspace
from stagegraph.project import loader

#: The parents of the stage with a number, by shape.
SHAPES: dict[str, Callable[[int], list[int]]] = {
    "chain": lambda number: [number - 1],
    "family": lambda number: [number // 10],  # ten children each
    "mesh": lambda number: [number - 1, number // 2, number // 3],
}


def write(folder: Path, parents: Callable[[int], list[int]], stages: int) -> None:
    """Write a project with this many stages for one platform; every tenth stage is an image."""
    tables = ['[project]\nrepo = "growth"\n[platforms.here]\ndocker = "linux/amd64"\n[base]\nimage = "b:1"\n']
    for number in range(stages):
        stage = folder / f"s{number}"
        stage.mkdir()
        names = [f"s{parent}" for parent in dict.fromkeys(parents(number)) if 0 <= parent < number] or [
            "base"
        ]
        lines = [f"FROM {names[0]}", *(f"COPY --from={name} / /{name}" for name in names[1:])]
        (stage / "Dockerfile").write_text("\n".join([*lines, "COPY file /", f"RUN echo {number}\n"]))
        (stage / "file").write_text(f"{number}\n")
        tables.append(f'[stages.s{number}]\npath = "s{number}"\n')
        tables += [f"[images.s{number}]\n"] if number % 10 == 9 else []
    (folder / "stages.toml").write_text("".join(tables))
    pin = f"sha256:{'0' * 64}"
    (folder / "stages.lock").write_text(f'[images."b:1"]\nindex = "{pin}"\n"linux/amd64" = "{pin}"\n')


def steps(folder: Path) -> Iterator[tuple[str, float]]:
    """The seconds of each step of a plan over the whole project."""
    clock = time.process_time
    start = clock()
    workspace = Workspace(loader.load(folder, {}))
    graph = workspace.graph
    yield "stages.toml", clock() - start
    start = clock()
    graph.order(graph.nodes)
    yield "order", clock() - start
    start = clock()
    for node in graph.nodes:
        graph.spec(node)
    yield "files", clock() - start
    start = clock()
    for node in reversed(graph.nodes):
        graph.key(node)
    yield "keys", clock() - start
    start = clock()
    plan.plan(graph, graph.nodes, workspace.lookup)
    yield "decisions", clock() - start
    (folder / "stages.lock").rename(folder / "pins")
    try:
        broken = Workspace(loader.load(folder, {"locked": "1"})).graph
        start = clock()
        for node in broken.nodes:
            with suppress(LockError):
                broken.key(node)
        yield "no keys: the base is not pinned", clock() - start
    finally:
        (folder / "pins").rename(folder / "stages.lock")


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks/growth", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--stages", type=int, nargs="+", default=[100, 1000], help="numbers of stages")
    parser.add_argument("--rounds", type=int, default=3, help="rounds; the least time counts (default: 3)")
    options = parser.parse_args()
    table: list[tuple[str, ...]] = [("shape", "step", *(f"{n} stages" for n in options.stages), "exponent")]
    for shape, parents in SHAPES.items():
        times: dict[str, list[float]] = {}
        for count in options.stages:
            with tempfile.TemporaryDirectory() as folder:
                write(Path(folder), parents, count)
                rounds = [dict(steps(Path(folder))) for _ in range(options.rounds)]
            for step in rounds[0]:
                times.setdefault(step, []).append(min(each[step] for each in rounds))
        for step, found in times.items():
            span = math.log(options.stages[-1] / options.stages[0])
            exponent = math.log(found[-1] / found[0]) / span if span else 0.0
            table.append((shape, step, *(f"{each:.3f} s" for each in found), f"{exponent:.2f}"))
    print(common.rows(table))


main()
