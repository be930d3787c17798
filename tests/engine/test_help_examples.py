"""The examples in the help of commands that need an engine or a registry."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import derived
import pytest
from helpers import git
from kit import Project, Registry, header

from stagegraph.cli.commands.errors import ErrorMessages
from stagegraph.cli.help import Example, placeholders

pytestmark = pytest.mark.engine

STAGES = """
[stages.tool]
path = "tool"
[stages.tool.alternatives.small]
path = "small"
[images.tool]
platforms = ["here"]
"""


def examples() -> Iterator[Example]:
    for kind in derived.command_classes().values():
        if issubclass(kind, ErrorMessages):
            yield from (
                each
                for each in kind.examples
                if each.needs in ("engine", "registry", "two builds", "a failure", "trust")
            )


@pytest.fixture
def built(project: Project, repo: str, program: Path) -> Project:
    """A project with an image that is built and has a shell."""
    for name in ("tool", "small"):
        shutil.copytree(program, project.folder / name / "program")
    files = {f"{name}/Dockerfile": "FROM scratch\nCOPY program /\n" for name in ("tool", "small")}
    project.write({"stages.toml": header(repo) + STAGES, **files})
    for words in (("init", "-q"), ("add", "."), ("commit", "-qm", "all")):
        git(project.folder, *words)
    return project


@pytest.mark.parametrize("example", [*examples()], ids=lambda each: each.call or "doit")
def test_an_example_runs(
    built: Project,
    repo: str,
    registry: Registry,
    example: Example,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = {**placeholders(built.folder), "registry": registry.host}
    if example.needs == "trust":
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
        built.write({"stages.toml": header(repo) + STAGES + '[trust]\nlevel = "required"\n'})
    built.built(words["goal"])
    if example.needs == "two builds":
        built.write({"tool/new": "new\n", "tool/Dockerfile": "FROM scratch\nCOPY program new /\n"})
        built.built(words["goal"])
    if example.needs == "a failure":
        built.write({"tool/Dockerfile": 'FROM scratch\nCOPY program /\nRUN ["/program", "fail", "7"]\n'})
        assert built.doit(words["goal"]).status == 1
    process = built.start(*shlex.split(example.call.format(**words)))
    output, _ = process.communicate(timeout=built.limit)
    assert process.returncode == 0 and "Traceback" not in output, output
