"""Measure a call that has nothing to do: ``./run python benchmarks/noop [--rounds N]``.

The project has ten tiny stages in a temporary folder. The clock runs for whole processes. The cases take
turns (a b c d, a b c d, ...), so that other work of the machine affects all of them equally. The first round
builds and does not count.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import common
from common import DOIT, PLATFORMS, REPOSITORY, call, cleared, registry

#: The graph: a chain of four, siblings on its first and last, and one that joins all. Parents by name.
STAGES: dict[str, list[str]] = {
    "one": [],
    "two": ["one"],
    "three": ["two"],
    "four": ["three"],
    "left": ["one"],
    "right": ["one"],
    "red": ["four"],
    "green": ["four"],
    "blue": ["four"],
    "top": ["left", "right", "red", "green", "blue"],
}
TARGET = "top"


def write(folder: Path, repo: str, arch: str) -> None:
    """Write the same Dockerfiles for all cases: as a project, as a bake file, and for calls by hand.

    For calls by hand, arguments name the parents.
    """
    tables = [
        f'[project]\nrepo = "{repo}"\n[platforms.here]\ndocker = "linux/{arch}"\n[base]\nimage = "none"\n'
    ]
    targets: dict[str, object] = {}
    for name, parents in STAGES.items():
        stage = folder / name
        stage.mkdir()
        (stage / "file").write_text(f"{name}\n")
        lines = [f"ARG {parent.upper()}={parent}" for parent in parents]
        lines += [f"FROM ${{{parent.upper()}}} AS from-{parent}" for parent in parents]
        lines += ["FROM scratch", f"COPY file /{name}"]
        lines += [f"COPY --from=from-{parent} / /" for parent in parents]
        (stage / "Dockerfile").write_text("\n".join(lines) + "\n")
        tables.append(f'[stages.{name}]\npath = "{name}"\n')
        targets[name] = {
            "context": name,
            "platforms": [f"linux/{arch}"],
            "contexts": {parent: f"target:{parent}" for parent in parents},
            # without a tag, the engine would keep this target's image without a name
            "tags": [f"{repo}:{name}"],
        }
    tables.append(f"[images.{TARGET}]\n")
    (folder / "stages.toml").write_text("".join(tables))
    (folder / "dodo.py").write_text("from stagegraph.tasks import *\n")
    (folder / "bake.json").write_text(json.dumps({"target": targets}))
    (folder / "empty").mkdir()
    (folder / "empty" / "dodo.py").write_text("")


def push_all(folder: Path, images: str, arch: str) -> None:
    """Build as the original script did: ``buildx build --push`` for each stage, parents by pushed tags."""
    for name, parents in STAGES.items():
        arguments = [f"--build-arg={parent.upper()}={images}:{parent}" for parent in parents]
        tag = f"--tag={images}:{name}"
        call(folder, "docker", "buildx", "build", f"--platform=linux/{arch}", tag, *arguments, "--push", name)


def own_task(arch: str) -> str | None:
    """Return the goal ``stock`` for this machine's platform, or None if a call would build something."""
    task = f"stock:{'aarch64' if arch == 'arm64' else arch}"
    done = subprocess.run(
        [*DOIT, "plan", "--json", task], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        return None
    return task if all(step["decision"] == "reuse" for step in json.loads(done.stdout)["nodes"]) else None


def check_idle(folder: Path) -> None:
    """Raise ``SystemExit`` if the measured call had work to do."""
    nodes = json.loads((folder / "cache" / "last-run.json").read_text())["nodes"]
    if not nodes or any(node["decision"] != "reuse" for node in nodes):
        raise SystemExit(f"the measured call of doit in {folder.name} had work to do: {nodes}")


def measure(cases: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Return the seconds of every case in every round, after one round that does not count."""
    times: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(rounds + 1):
        print(f"round {number} of {rounds}" if number else "warm-up: builds", file=sys.stderr)
        for name, run in cases.items():
            start = time.perf_counter()
            run()
            if number:
                times[name].append(time.perf_counter() - start)
    return times


def table(times: dict[str, list[float]]) -> str:
    """Return a table of medians, spread, and ratios to the first two cases."""
    medians = {name: statistics.median(seconds) for name, seconds in times.items()}
    first, second = list(medians.values())[:2]
    rows: list[tuple[str, ...]] = [("call", "median s", "min-max s", "/ a", "/ b")]
    rows += [
        (
            name,
            f"{median:.2f}",
            f"{min(times[name]):.2f}-{max(times[name]):.2f}",
            f"{median / first:.1f}",
            f"{median / second:.1f}",
        )
        for name, median in medians.items()
    ]
    return common.rows(rows)


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks/noop", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7, help="rounds that count (default: 7)")
    rounds = max(1, parser.parse_args().rounds)
    # after SIGTERM, still stop the registry and remove the images
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    arch = PLATFORMS[os.uname().machine]
    repo = f"stagegraph-noop/{os.getpid()}"
    notes = []
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        write(folder, repo, arch)
        stack.enter_context(cleared(repo))
        cases: dict[str, Callable[[], object]] = {
            "a  doit, empty file": lambda: call(folder / "empty", *DOIT),
            "b  doit, ten stages": lambda: call(folder, *DOIT, f"{TARGET}:here"),
            "c  docker buildx bake": lambda: call(
                folder, "docker", "buildx", "bake", "--file=bake.json", TARGET
            ),
        }
        if shutil.which("docker-registry"):
            images = f"{stack.enter_context(registry(folder / 'registry'))}/{repo}"
            stack.enter_context(cleared(images))
            cases["d  docker buildx build --push, ten times"] = lambda: push_all(folder, images, arch)
        else:
            notes.append("docker-registry is not installed: the chain of pushes was not measured")
        if task := own_task(arch):
            cases[f"e  doit {task}, this repository"] = lambda: call(REPOSITORY, *DOIT, task)
        else:
            notes.append("stock is not built in cache/: this repository's own project was not measured")
        times = measure(cases, rounds)
        check_idle(folder)
    print(table(times))
    print("\n".join(["", f"{rounds} rounds; goal: b at most 2.0 times a", *notes]))


main()
