"""Remote builders: a second engine, reached as a Docker context and by buildx's ``remote`` driver.

It starts empty and has a data root of its own. It gets only what buildx sends.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from endpoint import Endpoint
from kit import FOREIGN, NATIVE, Project, Registry, header, image_id, publish

pytestmark = pytest.mark.engine

STAGES = """
[stages.low]
path = "low"
[stages.high]
path = "high"
[images.high]
"""


@dataclass
class Farm:
    """The second engine, as docker reaches it and as buildx's remote driver does."""

    env: dict[str, str]
    endpoint: Endpoint

    def docker(self, *words: str, host: str = "") -> str:
        env = {**os.environ, **self.env, **({"DOCKER_HOST": host} if host else {})}
        done = subprocess.run(["docker", *words], env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def made(self, word: str, host: str = "") -> bool:
        """Return true if an engine's build cache has a step with that word. Default: this machine's."""
        return word in self.docker("buildx", "du", "--verbose", host=host)


@pytest.fixture
def farm(second_engine: dict[str, str], tmp_path: Path) -> Iterator[Farm]:
    """Builders ``farm`` (remote, for the other platform), ``plain`` (remote) and ``second`` (a context).

    They are in a configuration folder of the test's own.
    """
    folder = tmp_path / "docker"
    folder.mkdir()
    host = second_engine["DOCKER_HOST"]
    endpoint = Endpoint(host.removeprefix("unix://"))
    made = Farm({"DOCKER_CONFIG": str(folder)}, endpoint)
    create = ("buildx", "create", "--driver=remote")
    made.docker(*create, "--name=farm", f"--platform={FOREIGN}", endpoint.address)
    made.docker(*create, "--name=plain", endpoint.address)
    made.docker("context", "create", "second", f"--docker=host={host}")
    yield made
    endpoint.close()


@pytest.fixture
def two(project: Project, repo: str, program: Path, farm: Farm) -> Project:
    """Two stages, one based on the other. Each runs a program of this machine's processor on any platform."""
    head = header(repo).replace(f'"{FOREIGN}"\n', f'"{FOREIGN}"\nbuilder = "farm"\n')
    run = f'FROM --platform={NATIVE} scratch AS t\nCOPY program /\nRUN ["/program", '
    copy = "ARG TARGETARCH\nCOPY --from=t /program /$TARGETARCH\n"
    project.write(
        {
            "stages.toml": head + STAGES,
            "low/Dockerfile": f'{run}"LOW"]\nFROM scratch\n{copy}',
            "high/Dockerfile": f'{run}"HIGH"]\nFROM low\nCOPY file /\nCOPY --from=t /program /again\n',
            "high/file": f"{repo}\n",
        }
    )
    for stage in ("low", "high"):
        shutil.copytree(program, project.folder / stage / "program")
    project.env |= farm.env
    return project


def second(farm: Farm) -> str:
    return f"unix://{farm.endpoint.engine}"


def test_each_platform_is_built_on_its_builder(two: Project, farm: Farm, repo: str, tmp_path: Path) -> None:
    mark = repo.replace("/", "")  # so that no other test's cache has the step
    two.write({"high/Dockerfile": (two.folder / "high/Dockerfile").read_text().replace("HIGH", mark)})
    two.built("high:here")
    assert farm.made(mark) and not farm.made(mark, second(farm))
    there = two.copy(tmp_path / "there")
    (there.folder / "cache").rename(tmp_path / "unused")
    there.write({"high/Dockerfile": (there.folder / "high/Dockerfile").read_text().replace(mark, f"{mark}x")})
    run = there.built("high:there")
    assert run.built == {"low:there", "high:there"} and image_id(f"{repo}:high-there")
    assert farm.made(f"{mark}x", second(farm)) and not farm.made(f"{mark}x")


def test_all_builders_give_the_same_digests_and_another_builder_rebuilds_nothing(
    two: Project, tmp_path: Path
) -> None:
    fresh = two.copy(tmp_path / "fresh")
    run = two.built("high:there", "high:here")
    keys = two.doit("keys", "--json").output
    for builder in ("second", "there:plain,here:farm"):
        assert two.built(f"builder={builder}", "high:there", "high:here").built == set()
        assert two.doit("keys", "--json", f"builder={builder}").output == keys
        other = fresh.copy(tmp_path / builder.replace(":", "-"))
        assert other.built(f"builder={builder}", "high:there", "high:here").digests == run.digests
    assert two.doit("verify", "--rebuild", "builder=second", "high:there").output.count("same  ") == 2


def test_early_cutoff_works_with_a_parent_from_another_builder(two: Project, farm: Farm) -> None:
    low = two.built("builder=default", "low:there").digests["low:there"]
    run = two.built("high:there")  # the other builder gets the parent by its digest
    assert run.built == {"high:there"} and run.digests["high:there"]
    text = (two.folder / "low/Dockerfile").read_text()
    two.write({"low/Dockerfile": text.replace('"LOW"', '"ANOTHER"')})  # the content stays the same
    run = two.built("builder=plain", "high:there")
    assert run.built == {"low:there"} and run.digests["low:there"] == low
    assert run.nodes("reuse") == {"high:there"}


def test_a_new_package_date_applies_to_a_remote_builder(two: Project) -> None:
    """A new package date also applies to the cache of a remote builder."""
    run = 'RUN ["/program", "noise", "/o", "apt-get"]\n'
    two.write({"high/Dockerfile": f"FROM scratch\nCOPY program /\n{run}"})
    digests = []
    for date in ("2026-01-31", "2026-01-31", "2026-02-28"):
        two.write({"stages.lock": f'archive = "{date}"\n'})
        shutil.rmtree(two.folder / "cache", ignore_errors=True)
        digests.append(two.built("builder=plain", "high:here").digests["high:here"])
    assert digests[0] == digests[1] != digests[2]


def test_the_native_builder_comes_first(two: Project, farm: Farm) -> None:
    """A list of builders prefers the native one. ``farm`` is native for the other platform only."""
    text = (two.folder / "low/Dockerfile").read_text()
    mark = f"mark{os.getpid()}"
    two.write(
        {"low/Dockerfile": f'{text}FROM scratch AS p\nCOPY program /\nRUN ["/program", "{mark}here"]\n'}
    )
    two.built("builder=farm,default", "low:here")
    assert farm.made(f"{mark}here") and not farm.made(f"{mark}here", second(farm))
    two.write(
        {"low/Dockerfile": f'{text}FROM scratch AS p\nCOPY program /\nRUN ["/program", "{mark}there"]\n'}
    )
    two.built("builder=default,farm", "low:there")
    assert farm.made(f"{mark}there", second(farm)) and not farm.made(f"{mark}there")


def test_buildx_chooses_among_the_nodes_of_one_builder(two: Project, farm: Farm, program: Path) -> None:
    """buildx itself chooses the builder node that was declared for a platform."""
    near = Endpoint(os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://"))
    try:
        farm.docker("buildx", "create", "--driver=remote", "--name=both", near.address)
        farm.docker(
            *("buildx", "create", "--append", "--name=both", f"--platform={FOREIGN}", farm.endpoint.address)
        )
        mark = f"nodes{os.getpid()}"
        run = f'FROM scratch\nARG TARGETARCH\nCOPY program /\nRUN ["/program", "{mark}"]\nRUN ["/program", '
        two.write({"low/Dockerfile": f'{run}"{mark}-${{TARGETARCH}}"]\n'})
        two.built("builder=both", "low:there")
        assert farm.made(mark, second(farm)) and not farm.made(mark)
        two.built("builder=both", "low:here")
        assert farm.made(mark)
    finally:
        near.close()


def test_a_missing_builder_is_an_error(two: Project, farm: Farm) -> None:
    run = two.doit("builder=nosuch", "low:there")
    assert (
        run.status == 20 and f'builder nosuch, named for {FOREIGN}: no builder "nosuch" found' in run.output
    )
    assert "docker buildx create --name=nosuch" in run.output and "trying once more" not in run.output
    farm.endpoint.close()
    start = time.monotonic()
    run = two.doit("low:there")
    assert run.status == 20 and f"builder farm, named for {FOREIGN}: it does not answer" in run.output
    assert "docker buildx inspect --bootstrap farm" in run.output and time.monotonic() - start < 10
    run = two.doit("builder=farm,default", "low:there")
    assert run.status == 0 and "builder farm" in run.output and "building on default" in run.output
    # if there is nothing to build, no builder is asked
    run = two.built("builder=nosuch", "low:there")
    assert run.built == set() and "nosuch" not in run.output


def test_a_builder_that_stops_answering_is_an_error(two: Project, farm: Farm) -> None:
    text = (two.folder / "high/Dockerfile").read_text()
    two.write({"high/Dockerfile": text.replace('"HIGH"', f'"sleep", "20", "{os.getpid()}"')})
    process = two.start("high:there")
    log, deadline = two.folder / "cache/logs/high--there.log", time.monotonic() + 60
    while not (log.exists() and " sleep 20 " in log.read_text()) and time.monotonic() < deadline:
        time.sleep(0.1)  # until the step itself has printed its words
    farm.endpoint.close()
    output, _ = process.communicate(timeout=100)
    assert process.returncode == 20 and "Traceback" not in output, output
    assert f"builder farm, named for {FOREIGN}: it does not answer" in output
    two.write({"high/Dockerfile": text})
    assert two.doit("verify", "low:there", "high:there").output.count("good  ") == 1  # high has no record
    run = two.built("builder=default", "high:there")
    assert run.built == {"high:there"}
    farm.endpoint.open()
    assert two.built("high:there").built == set()


def test_a_remote_builder_cannot_use_an_image_that_only_the_engine_has(
    two: Project, farm: Farm, repo: str, tmp_path: Path
) -> None:
    (tmp_path / "empty.tar").write_bytes(b"\0" * 1024)
    reference = f"{repo}:only-here"
    farm.docker("import", f"--platform={FOREIGN}", str(tmp_path / "empty.tar"), reference)
    two.write({"low/Dockerfile": f"FROM {reference}\nCOPY program /\n"})
    run = two.doit("low:there")
    assert run.status == 11 and "no image of the project gets that tag" in run.output
    text = (two.folder / "stages.toml").read_text()
    two.write({"stages.toml": f'{text}[contexts]\n"{reference}" = "{reference}"\n'})
    run = two.doit("low:there")
    assert run.status == 14, run.output
    assert f"{reference} is in this machine's engine, which builder farm cannot see" in run.output
    assert "builder=there:default" in run.output
    assert two.built("builder=there:default", "low:there").built == {"low:there"}


def test_a_remote_builder_pulls_an_image_from_the_registry(two: Project, registry: Registry) -> None:
    """The builder pulls the image from the registry; this machine pushes what the builder built."""
    reference = publish(registry, "from:1", "native", "foreign")
    two.write({"low/Dockerfile": f"FROM {reference}\nCOPY program /\n"})
    words = (f"registry={registry.host}", "high:there")
    assert two.built(*words).built == {"low:there", "high:there"}
    (two.folder / "cache").rename(two.folder.parent / "unused")
    run = two.built(*words, "builder=default")
    assert run.built == set() and "high:there" in run.nodes("pull")
