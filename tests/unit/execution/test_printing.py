"""A command in an image: what it prints, and its errors with the line of the command."""

from __future__ import annotations

import pytest
from helpers import AMD64

from stagegraph.docker import containers
from stagegraph.docker.containers import ContainerResult
from stagegraph.errors import EmulationError, ProjectError, StagegraphError, ToolError
from stagegraph.execution import printing
from stagegraph.project.model import Node, PrintCommand

pytestmark = pytest.mark.unit


def output(monkeypatch: pytest.MonkeyPatch, result: ContainerResult | StagegraphError) -> str:
    def run(*_: object) -> ContainerResult:
        if isinstance(result, StagegraphError):
            raise result
        return result

    monkeypatch.setattr(containers, "run_command", run)
    command = PrintCommand("x", ("x", "-v"), "", "stages.toml:9")
    return printing.output("a:temporary", Node("app", "amd64"), AMD64, command)


def test_standard_output_counts_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert output(monkeypatch, ContainerResult(0, "1\n", "2\n")) == "1\n"


@pytest.mark.parametrize(
    ("result", "kind", "said"),
    [
        (ContainerResult(3, "o", "e\n"), ProjectError, "ended with status 3\n  it said: e"),
        (ContainerResult(3, "o", ""), ProjectError, "ended with status 3\n  it said: o"),
        (ContainerResult(1, "", ""), ProjectError, "ended with status 1"),
        (ToolError("a:temporary", "no shell"), ProjectError, "no shell\n  write its words as a list"),
        (EmulationError("a:temporary", "no QEMU", "get it"), EmulationError, "no QEMU\n  get it"),
    ],
)
def test_an_error_names_the_line(
    monkeypatch: pytest.MonkeyPatch,
    result: ContainerResult | StagegraphError,
    kind: type[StagegraphError],
    said: str,
) -> None:
    with pytest.raises(kind) as error:
        output(monkeypatch, result)
    assert str(error.value).startswith(f"stages.toml:9: prints.x in app:amd64: {said}")
