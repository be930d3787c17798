"""The package: its wheel and sdist, and the command ``stagegraph``. No test here needs the network."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from stagegraph import __version__
from stagegraph.cli.commands.completion import SHELLS

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
SDIST = "import sys; from setuptools import build_meta; print(build_meta.build_sdist(sys.argv[1]))"
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")


def call(*command: str | Path, folder: Path) -> str:
    """Run a program that must succeed, without this process's settings of Python. Return its output."""
    env = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))
    }
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel that is built from an sdist, so the sdist must be complete."""
    folder = tmp_path_factory.mktemp("package")
    (folder / "source").mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / "source")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "stagegraph", folder / "source/stagegraph", ignore=ignored)
    sdist = call(sys.executable, "-c", SDIST, folder, folder=folder / "source").split()[-1]
    options = ("--no-deps", "--no-index", "--no-build-isolation", f"--wheel-dir={folder}")
    call(*PIP, "wheel", *options, folder / sdist, folder=folder)
    return next(folder.glob("*.whl"))


def test_the_wheel_has_all_modules_and_the_marker_of_types(wheel: Path) -> None:
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "stagegraph").rglob("*.py")}
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    packed = {name for name in names if ".dist-info/" not in name}
    page = {f"stagegraph/page/page.{kind}" for kind in ("html", "css", "js")}
    shells = {f"stagegraph/cli/shells/{shell}" for shell in SHELLS}
    assert packed == modules | page | shells | {"stagegraph/py.typed"}


def test_the_metadata_of_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        folder = f"stagegraph-{__version__}.dist-info"
        metadata = Parser().parsestr(archive.read(f"{folder}/METADATA").decode())
        assert archive.read(f"{folder}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
    assert metadata["Version"] == __version__
    assert metadata["License-Expression"] == "Apache-2.0"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = [each for each in metadata.get_all("Requires-Dist", []) if "extra ==" not in each]
    assert sorted(needed) == sorted(project["dependencies"])


def test_the_wheel_works_outside_the_repository(wheel: Path, tmp_path: Path) -> None:
    """The wheel is in a new virtual environment with the dependencies of this one. It runs the example."""
    call(sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv", folder=tmp_path)
    bin_ = tmp_path / "venv/bin"
    call(*PIP, "--python", bin_ / "python", "install", "--no-deps", "--no-index", wheel, folder=tmp_path)
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(call(bin_ / "python", "-c", where, folder=tmp_path).strip())
    (packages / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    project = tmp_path / "hello"
    shutil.copytree(ROOT / "examples/hello", project, ignore=shutil.ignore_patterns("cache"))
    code = "import stagegraph; print(stagegraph.__file__)"
    assert call(bin_ / "python", "-c", code, folder=project).strip() == f"{packages}/stagegraph/__init__.py"
    assert call(bin_ / "stagegraph", "--version", folder=project) == f"stagegraph {__version__}\n"
    listed = call(bin_ / "python", "-m", "doit", "list", folder=project)
    assert re.match(r"hello +a program that prints", listed)
    assert call(bin_ / "stagegraph", "list", folder=project) == listed
    call(bin_ / "stagegraph", "report", "--plan", "--output=page.html", folder=project)
    assert "</html>" in (project / "page.html").read_text()


def test_the_program_stagegraph_is_doit(tmp_path: Path) -> None:
    """Words, settings and exit status are the same. Messages name the program that was called."""
    shutil.copytree(ROOT / "examples/hello", tmp_path / "hello", ignore=shutil.ignore_patterns("cache"))

    def told(program: str, *words: str) -> tuple[int, str, str]:
        command = [sys.executable, "-m", program, *words]
        done = subprocess.run(command, cwd=tmp_path / "hello", capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    for words in (["keys", "hello:amd64", "--json"], ["keys", "repo=a/b"], ["hello:amd46"], ["plan", "--x"]):
        of_doit = told("doit", *words)
        expected = (
            *of_doit[:2],
            of_doit[2].replace("  doit ", "  stagegraph ").replace("? doit ", "? stagegraph "),
        )
        assert told("stagegraph.cli.main", *words) == expected
    assert told("stagegraph.cli.main", "hello:amd46")[0] == 10
    assert "stagegraph plan" in told("stagegraph.cli.main", "plan", "--help")[1]


def test_help_names_every_command_and_needs_no_project(tmp_path: Path) -> None:
    text = call(sys.executable, "-m", "stagegraph.cli.main", "--help", folder=tmp_path)
    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["doit.COMMAND"]
    shown = {name for name, where in points.items() if ".replaced:" not in where} - {"run", "help"}
    assert set(re.findall(r"^  ([a-z]+)  ", text, re.MULTILINE)) == shown
