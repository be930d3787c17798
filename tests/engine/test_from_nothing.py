"""A small project from nothing, as a user builds it: bases, two platforms, a registry, a clone, publish.

``.ci/bare-root`` runs it in a bare machine of another Debian release, so it needs the network.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from kit import FOREIGN, NATIVE, Project, Registry, image_id

pytestmark = pytest.mark.engine

STOCK = Path(__file__).parents[2] / "stock"
ARCH = {"linux/amd64": "x86_64", "linux/arm64": "aarch64"}
STAGES = """\
[project]
repo = "{repo}"
[platforms.here]
docker = "{native}"
[platforms.there]
docker = "{foreign}"
[base]
bootstrap = "trixie"
{foreign_base}
[stages.tool]
path = "tool"
[stages.hello]
path = "hello"
[images.hello]
test = "test"
"""
#: On amd64, arm64's base is built without emulation. An arm64 machine bootstraps both.
FOREIGN_BASE = '[base.platforms."linux/arm64"]\npath = "base-foreign"\n'


@pytest.fixture
def hello(project: Project, repo: str) -> Project:
    amd64 = NATIVE == "linux/amd64"
    texts = {"native": NATIVE, "foreign": FOREIGN, "foreign_base": FOREIGN_BASE if amd64 else ""}
    project.write(
        {
            "stages.toml": STAGES.format(repo=repo, **texts),
            "tool/Dockerfile": """\
                FROM base
                RUN --network=none uname -m >/machine
                """,
            "hello/Dockerfile": """\
                FROM base
                COPY --from=tool /machine /
                COPY <<END greeting /
                a file within the Dockerfile
                END
                CMD ["cat", "/machine", "/greeting"]
                """,
            "hello/greeting": "hello\n",
            "test/Dockerfile": """\
                ARG IMAGE
                FROM ${IMAGE}
                RUN --network=none grep -x hello /greeting && [ "$(cat /machine)" = "$(uname -m)" ]
                """,
        }
    )
    shutil.copytree(STOCK / "base-foreign", project.folder / "base-foreign")
    return project


def output_of(tag: str, docker: str) -> str:
    """Return what a container of an image prints."""
    command = ["docker", "run", "--rm", "--network=none", f"--platform={docker}", tag]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_build_push_pull_publish(hello: Project, registry: Registry, repo: str, tmp_path: Path) -> None:
    goals = ("hello:here", "hello:there")
    hello.limit = 1500  # seconds for the bases, on a machine that may do other work
    hello.env["STAGEGRAPH_REGISTRY"] = registry.host
    first = hello.built(*goals)
    assert {"base:here", "tool:there", "hello:here", "hello-test:there"} <= first.built
    for name, docker in (("here", NATIVE), ("there", FOREIGN)):
        assert output_of(f"{repo}:hello-{name}", docker) == f"{ARCH[docker]}\nhello\n"
    assert not hello.built(*goals).built
    # another clone has nothing and pulls everything from the registry
    subprocess.run(["docker", "rmi", "-f", f"{repo}:hello-here", f"{repo}:hello-there"], check=True)
    clone = Project(tmp_path / "clone", dict(hello.env), hello.limit)
    shutil.copytree(hello.folder, clone.folder, ignore=shutil.ignore_patterns("cache"))
    second = clone.built(*goals)
    assert not second.built and {"hello:here", "hello:there"} <= second.nodes("pull")
    assert second.last["images"] == first.last["images"]
    assert image_id(f"{repo}:hello-there") == first.last["images"][f"{repo}:hello-there"]
    published(clone, registry, repo)


def published(project: Project, registry: Registry, repo: str) -> None:
    run = project.built("publish", "hello")
    assert "Traceback" not in run.output
    command = ["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{registry.host}/{repo}:hello"]
    index = json.loads(
        subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ).stdout
    )
    platforms = {f"{m['platform']['os']}/{m['platform']['architecture']}" for m in index["manifests"]}
    assert platforms == {NATIVE, FOREIGN}
    again = project.built("publish", "--json", "hello").output
    said, _ = json.JSONDecoder().raw_decode(again[again.index("{\n") :])
    assert {entry["state"] for entry in said["pushed"]} == {"same"}
