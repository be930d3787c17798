"""A program that does not start: the error names the program, and not the files of the caller."""

from __future__ import annotations

from pathlib import Path

import pytest

from stagegraph.errors import ProjectError, ToolError
from stagegraph.system.files import os_errors_on_write
from stagegraph.system.processes import run

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("mode", "text", "said"),
    [
        (0o644, "#!/bin/sh\n", "cannot be started: Permission denied"),
        (0o755, "no program", "cannot be started: Exec format error"),
    ],
)
def test_a_file_that_is_no_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, text: str, said: str
) -> None:
    (tmp_path / "docker").write_text(text)
    (tmp_path / "docker").chmod(mode)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError) as caught, os_errors_on_write(tmp_path):
        run(["docker", "version"])
    assert caught.value.where == "docker" and said in caught.value.what


def test_a_command_line_that_is_too_long_names_its_longest_argument(tmp_path: Path) -> None:
    with pytest.raises(ProjectError) as caught, os_errors_on_write(tmp_path):
        run(["docker", "build", "--build-arg=TEXT=" + 200_000 * "x"])
    assert caught.value.exit_status == 10
    assert "--build-arg=TEXT has 200017 bytes" in caught.value.what, caught.value.what
