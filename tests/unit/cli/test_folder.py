"""The folder of the project, from any folder below it, with both programs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import write

from stagegraph.cli import folder

pytestmark = pytest.mark.unit

FILES = {
    "dodo.py": "from stagegraph.tasks import *\n",
    "stages.toml": """\
        [project]
        repo = "example/below"
        [platforms.amd64]
        docker = "linux/amd64"
        [base]
        image = "debian:trixie"
        [stages.low]
        path = "parts/low"
        [images.low]
        """,
    "parts/low/Dockerfile": "FROM scratch\nCOPY file /\n",
    "parts/low/file": "x\n",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write(tmp_path / "project", FILES)


def call(where: Path, program: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", {"stagegraph": "stagegraph.cli.main"}.get(program, program), *words]
    env = {name: value for name, value in os.environ.items() if not name.startswith("DOIT_")}
    return subprocess.run(command, cwd=where, env=env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("program", ["doit", "stagegraph"])
def test_a_command_works_in_a_folder_below_the_project(project: Path, program: str) -> None:
    above, below = (
        call(project, program, "plan", "--json"),
        call(project / "parts/low", program, "plan", "--json"),
    )
    assert (below.returncode, below.stdout) == (0, above.stdout)
    assert (above.stderr, below.stderr) == ("", "   the project is in ../..; paths are relative to it\n")


def test_a_path_that_the_user_gives_is_relative_to_the_working_folder(project: Path) -> None:
    done = call(project / "parts", "doit", "keys", "--write", "keys")
    assert sorted(done.stdout.split()) == ["parts/keys/all", "parts/keys/low-amd64"]
    assert (project / "parts/keys/all").exists()


def test_settings_of_doit_in_the_project_count_below_it(project: Path) -> None:
    write(project, {"doit.cfg": "[list]\nsubtasks = 1\n"})
    assert "low:amd64" in call(project, "doit", "list").stdout
    assert "low:amd64" in call(project / "parts", "doit", "list").stdout


def test_the_nearest_project_counts(project: Path) -> None:
    write(project / "parts/low", {"stages.toml": "", "dodo.py": ""})
    assert folder.find(project / "parts/low/deep") == project / "parts/low"
    assert folder.find(project / "parts") == project
    assert folder.find(Path("/")) is None


def test_a_dodo_of_another_project_below_is_one_of_doit_only(project: Path) -> None:
    write(project / "parts", {"dodo.py": "def task_other():\n    return {'actions': ['echo other']}\n"})
    assert call(project / "parts", "doit", "list").stdout.split() == ["other"]
    assert call(project / "parts", "stagegraph", "list").stdout.startswith("low")
    assert call(project, "doit", "-f", "parts/dodo.py", "list").stdout.split() == ["other"]
    assert call(project / "parts/low", "doit", "-k", "list").stdout.split() == ["other"]
    assert call(project / "parts", "doit", "-f", "../dodo.py", "list").stdout.startswith("low")


@pytest.mark.parametrize("program", ["doit", "stagegraph"])
@pytest.mark.parametrize("words", [[], ["plan"], ["plann"], ["low:amd64", "-n", "2"], ["list"], ["clean"]])
def test_a_call_outside_a_project_is_an_error(tmp_path: Path, program: str, words: list[str]) -> None:
    done = call(tmp_path, program, *words)
    said = "ERROR: there is no project in this folder, or in a folder above it\n  stagegraph init makes one"
    assert done.returncode == 10 and done.stderr.startswith(said)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    "words", [["help"], ["help", "plan"], ["plan", "-h"], ["completion", "bash"], ["-h"]]
)
def test_help_needs_no_project(tmp_path: Path, words: list[str]) -> None:
    for program in ("doit", "stagegraph"):
        done = call(tmp_path, program, *words)
        assert (done.returncode, done.stderr) == (0, "") and done.stdout


def test_a_declaration_without_a_dodo_says_which_line_is_missing(project: Path) -> None:
    (project / "dodo.py").unlink()
    done = call(project, "doit", "plan")
    assert (
        done.returncode == 10
        and "has a stages.toml, but no dodo.py\n  write this line into it" in done.stderr
    )


def test_a_working_folder_that_is_gone_is_an_error(tmp_path: Path) -> None:
    script = f"mkdir gone; cd gone; rmdir ../gone; {sys.executable} -m stagegraph.cli.main plan"
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 10, done.stderr
    assert done.stderr.startswith("ERROR: the working folder does not exist any more")
