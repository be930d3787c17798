"""A small project with pipelines, and small problems of planning jobs."""

from __future__ import annotations

import math
from pathlib import Path

from helpers import AMD64, ARM64, graph, stages, write

from stagegraph.ci.model import MINUTE, PRICE, CIConfig, Executor, WorkUnit
from stagegraph.ci.pipelines import Plans
from stagegraph.graph.graph import Graph
from stagegraph.project.model import Node

AMD = Executor("amd", AMD64, 6 * PRICE // 1000, 1.0, 0.1, {"runs_on": "a", "resource_class": "a"})
ARM = Executor("arm", ARM64, 5 * PRICE // 1000, 1.0, 0.0, {"runs_on": "b", "resource_class": "b"})
TABLE = CIConfig("doit", "", "", (), "main", 100, 5, 60, 0, False, False, "", {"github": (AMD, ARM)})


def unit(name: str, minutes: dict[str, float], *needs: int) -> WorkUnit:
    able = {executor: round(value * MINUTE) for executor, value in minutes.items() if value < math.inf}
    return WorkUnit((name,), (Node(name, "amd64"),), able, needs)


def problem(*times_and_needs: tuple[float, float, tuple[int, ...]]) -> list[WorkUnit]:
    rows = enumerate(times_and_needs)
    return [unit(f"u{number}", {"amd": amd, "arm": arm}, *needs) for number, (amd, arm, needs) in rows]


NATIVE = """\
[images.app]
stage = "app"
test = "app-check"
"""
CROSS = '[stages.tools.platforms."linux/arm64"]\nnative = "linux/amd64"\n'
DOCKERFILES = {
    "tools": "FROM scratch\nRUN one\n",
    "made": "FROM tools AS build\nRUN two\nFROM scratch\nCOPY --from=build / /\n",
    "other": "FROM --platform=linux/amd64 tools AS build\nRUN three\nFROM scratch\nCOPY --from=build / /\n",
    "app": "FROM scratch\nCOPY --from=made / /\nRUN four\n",
    "over": "FROM app\n",
}


def declared(tmp_path: Path, more: str = NATIVE) -> Graph:
    write(tmp_path, {"app-check/Dockerfile": "ARG IMAGE\nFROM ${IMAGE}\nRUN check\n"})
    return graph(stages(tmp_path, DOCKERFILES, more=more))


GITHUB = '[ci.github.amd]\ndocker = "linux/amd64"\nruns_on = "a"\nprice = 1\nemulated = 0.1\n'
CIRCLE = '[ci.circleci.amd]\ndocker = "linux/amd64"\nresource_class = "a"\nprice = 1\nemulated = 0.1\n'


def project(tmp_path: Path, ci: str = "[ci]\nlimit = 300\n") -> Path:
    declared(tmp_path, NATIVE + ci + GITHUB + CIRCLE)
    (tmp_path / "dodo.py").write_text("from stagegraph.tasks import *\n")
    (tmp_path / "stages.lock").write_text("")
    return tmp_path


MODES = {
    "caches": "[ci]\n",
    "registry": '[ci]\nregistry = "127.0.0.1:5000"\npublish = true\ncheck = "true"\nprepare = "true"\n',
    "dynamic": '[ci]\nregistry = "127.0.0.1:5000"\npublish = true\ndynamic = true\ncheck = "true"\n',
    "short": "[ci]\nlimit = 150\n",
}


def written(folder: Path) -> dict[str, str]:
    return {name: text for name, (text, _) in Plans(graph(folder)).files().items()}
