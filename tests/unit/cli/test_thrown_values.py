"""No command answers a bad value with a traceback, wherever the value stands."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path

import pytest
from helpers import stages, write

from stagegraph.cli import app, folder
from stagegraph.cli.main import main
from stagegraph.execution import nodes
from stagegraph.project import schema

pytestmark = pytest.mark.unit

COMMANDS = {entry.name: entry.load() for entry in entry_points(group="doit.COMMAND")}

#: No value of any option: too long for a name of a file, no character of UTF-8, an option, a way out, a
#: number that no machine word holds, a folder, and something that is no regular file.
VALUES = ("a" * 5000, "\udcff\x1b[31m", "-x", "../x", "9" * 30, "/", "/dev/full")

#: These do not end by themselves, read all that is below a folder, or start as many threads.
EXCEPT = {("watch", None), ("init", "/"), ("run", f"--process={'9' * 30}")}


#: A word of any length may be the name of a builder or of an image, a number also that of other things.
FITS = {
    "builder": ("a" * 5000, "9" * 30),
    "base": ("a" * 5000, "9" * 30),
    "registry": ("a" * 5000, "9" * 30),
    "repo": ("9" * 30,),
    "tag": ("9" * 30,),
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    stages(tmp_path / "in", {"one": "FROM scratch\n"}, more="[images.one]\n")
    write(tmp_path / "in", {"dodo.py": "from stagegraph.tasks import *\n"})
    monkeypatch.chdir(tmp_path / "in")
    monkeypatch.setattr(folder, "_called_from", "")
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    monkeypatch.setenv("CI", "true")
    monkeypatch.setattr(nodes, "_PAUSE", 0)
    return tmp_path / "in"


def status(words: list[str], capfd: pytest.CaptureFixture[str]) -> int:
    """Call the program; it must not show a traceback. Return its status."""
    app.current.cache_clear()
    found: object = None
    try:
        found = main(words)
    except SystemExit as end:
        found = end.code
    said = "".join(capfd.readouterr())
    assert "Traceback" not in said, (words, said[-2000:])
    assert isinstance(found, int), words
    return found


def options(command: str) -> list[str]:
    """The options of a command that take a value, as one writes them before it."""
    shown = COMMANDS[command].shown_options()
    return [f"--{o.long}=" if o.long else f"-{o.short}" for o in shown if o.type is not bool]


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_a_bad_value_of_an_option_is_no_traceback(
    project: Path, capfd: pytest.CaptureFixture[str], command: str
) -> None:
    for value in VALUES:
        for option in options(command):
            if (command, f"{option}{value}") not in EXCEPT:
                status([command, f"{option}{value}"], capfd)
        if not {(command, None), (command, value)} & EXCEPT:
            status([command, value], capfd)


@pytest.mark.parametrize("value", VALUES)
def test_a_bad_setting_is_an_error(project: Path, capfd: pytest.CaptureFixture[str], value: str) -> None:
    for setting in schema.SETTINGS:
        if value not in FITS.get(setting, ()):
            assert status(["plan", f"{setting}={value}"], capfd) == 10, setting


@pytest.mark.parametrize("value", [*VALUES, "/nonexistent/dodo.py", "stages.toml", "one"])
def test_a_bad_file_of_tasks_is_an_error(
    project: Path, capfd: pytest.CaptureFixture[str], value: str
) -> None:
    assert status(["-f", value], capfd) == 10


def test_the_values_are_thrown_at_something() -> None:
    assert sum(len(options(command)) for command in COMMANDS) > 20
