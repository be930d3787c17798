"""``stock`` is published, pulled on a second, empty engine, and passes its own test there."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from images import MACHINE, OCI, ROOT, build, doit
from kit import Registry

from stagegraph.docker import engine
from stagegraph.execution.workspace import Workspace
from stagegraph.project.model import Node
from stagegraph.store import export

pytestmark = pytest.mark.stock

REPO = "elementaryrobotics/atom"
TEST = ["python", "-B", "-m", "unittest", "--failfast", "test_stock", "test_clients"]


def programs(platform: str, folder: Path) -> Path:
    """Return the folder ``/test`` of the image that the test of stock left in ``cache/``."""
    session = Workspace.open(ROOT, {})
    node = Node("stock-test", platform)
    record = session.layout.find(session.graph.key(node))
    assert record is not None
    tag = f"stagegraph-test/programs:{platform}"
    engine.load(export.image_tar(session.layout, record, tag), export.image_ids(session.layout, record), tag)
    where = f"--platform=linux/{OCI[platform]}"
    made = run("docker", "create", "--pull=never", where, tag, "none").strip()
    run("docker", "cp", "--quiet", f"{made}:/test", str(folder))
    run("docker", "rm", made)
    run("docker", "rmi", tag)
    return folder / "test"


def run(*command: str, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def test_a_second_engine_pulls_it_and_it_passes_its_test(
    registry: Registry, second_engine: dict[str, str], tmp_path: Path
) -> None:
    build(*(f"stock:{platform}" for platform in MACHINE))
    doit(ROOT, "publish", "stock", f"registry={registry.host}")
    reference = f"{registry.host}/{REPO}:stock"
    listed = json.loads(run("docker", "buildx", "imagetools", "inspect", "--raw", reference))["manifests"]
    assert [m["platform"]["architecture"] for m in listed] == ["amd64", "arm64"]
    again = json.loads(doit(ROOT, "publish", "stock", f"registry={registry.host}", "--json"))
    assert {item["state"] for item in again["pushed"]} == {"same"}

    there = {**os.environ, **second_engine}
    for platform in MACHINE:
        folder = tmp_path / platform
        folder.mkdir()
        tests = programs(platform, folder)
        where = f"--platform=linux/{OCI[platform]}"
        run("docker", "pull", "--quiet", where, reference, env=there)
        options = ("--network=none", "--workdir=/test", where, reference)
        made = run("docker", "create", *options, *TEST, env=there).strip()
        run("docker", "cp", "--quiet", f"{tests}/.", f"{made}:/test", env=there)
        run("docker", "start", "--attach", made, env=there)
