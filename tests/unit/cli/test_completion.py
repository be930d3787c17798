"""Completion: the candidates, and the Tab key in real shells."""

from __future__ import annotations

import os
import pty
import re
import resource
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from helpers import HEAD, write

from stagegraph.cli.complete import Line, candidates, split

pytestmark = pytest.mark.unit

PROGRAMS = Path(sys.executable).parent
PROJECT = """\
[stages.libm]
path = "libm"
[stages.libm.alternatives.fast]
path = "libm"
[stages.libm.alternatives.small]
path = "libm"
[stages.server]
path = "server"
description = "a server"
[images.server]
[groups]
nightly = ["server"]
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    files = {f"{name}/Dockerfile": "FROM scratch\n" for name in ("libm", "server")}
    head = HEAD.replace("[project]\n", '[project]\nregistry = "registry.example.org"\n')
    write(tmp_path, {"stages.toml": head + PROJECT, "dodo.py": "from stagegraph.tasks import *\n", **files})
    monkeypatch.chdir(tmp_path)
    return tmp_path


def found(line: str) -> set[str]:
    return {word for word, _ in candidates(split(line), meanings=False)}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("doit se", {"server", "server:amd64", "server:aarch64"}),
        ("doit server:a", {"server:amd64", "server:aarch64"}),
        ("doit server:am", {"server:amd64"}),
        ("doit nigh", {"nightly", "nightly:amd64", "nightly:aarch64"}),
        ("doit pla", {"plan"}),
        ("doit plan pla", set()),  # a command is the first word only
        ("doit libm=fast pla", {"plan"}),
        ("doit li", {"lint", "list", "libm", "libm:amd64", "libm:aarch64", "libm="}),
        ("doit libm=", {"libm=fast", "libm=small"}),
        ("doit plan libm=f", {"libm=fast"}),
        ("doit push=", {"push=never", "push=nodes", "push=built", "push=all"}),
        ("doit publish server registry=", {"registry=registry.example.org"}),
        ("doit publish ", {"server", "nightly"}),
        ("doit plan --e", {"--exit-code"}),
        ("doit --c", {"--continue"}),
        ("doit -n ", set()),
        ("doit keys --write ", {":files"}),
        ("doit keys --write=", {":files"}),
        ("doit init ", {":files"}),
        ("doit help pl", {"plan"}),
        ("doit clea", set()),
        ("doit export ba", {"bake", "base="}),
        ("stagegraph completion ", {"bash", "zsh", "fish"}),
        ("stagegraph plan 'ser", {"server", "server:amd64", "server:aarch64"}),
        ("stagegraph nothing", set()),
    ],
)
@pytest.mark.usefixtures("project")
def test_candidates(line: str, words: set[str]) -> None:
    assert found(line) == words


@pytest.mark.usefixtures("project")
def test_candidates_in_a_folder_below_and_with_meanings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("server")
    assert dict(candidates(Line([], "server:amd")))["server:amd64"] == "a server"
    assert dict(candidates(Line([], "prun")))["prune"].startswith("delete from cache/")


def test_every_kind_that_a_command_completes_is_known() -> None:
    import derived

    from stagegraph.cli.complete import KINDS

    kinds = {kind for each in derived.command_classes().values() for kind in each.completes}
    assert {kind for kind in kinds if kind.startswith("@")} == set(KINDS)


def complete(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [str(PROGRAMS / "stagegraph"), "_complete", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("text", ["[stages", "[stages.x]\n", "\x00"])
def test_a_broken_project_prints_nothing(project: Path, text: str) -> None:
    (project / "stages.toml").write_text(text)
    for words in (("bash", "doit x", "=:"), ("fish", "x"), ("zsh", "plan", "x"), ("bash",), ()):
        done = complete(project, *words)
        assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")


def test_bash_gets_what_is_behind_its_word_breaks(project: Path) -> None:
    assert complete(project, "bash", "doit server:a", "=:").stdout.split() == ["amd64", "aarch64"]
    assert complete(project, "bash", "doit server:am", "=").stdout.split() == ["server:amd64"]
    assert complete(project, "bash", "doit libm=f", "=:").stdout.split() == ["fast"]
    assert not (project / "stages.lock").exists()


def test_completion_is_fast(project: Path) -> None:
    """A shell asks at each press of Tab. It takes 0.2 s of processor time on an idle machine."""
    times = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        complete(project, "fish", "")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(times) < 0.5


# -- shells -----------------------------------------------------------------------------------------

START = {
    "bash": ("bash", "--norc", "--noprofile", "-i"),
    "zsh": ("zsh", "-f", "-i"),
    "fish": ("fish", "--no-config", "-i"),
}
SETUP = {
    "bash": 'eval "$(stagegraph completion bash)"; bind "set bell-style none"',
    "zsh": 'autoload -U compinit; compinit -u -D; eval "$(stagegraph completion zsh)"',
    "fish": "stagegraph completion fish | source",
}
_ESCAPE = re.compile(r"\x1b(\[[0-9;?>=]*[A-Za-z]|\][^\x07\x1b]*(\x07|\x1b\\)|[=>()][0-9A-Z]?)")


class Terminal:
    """An interactive shell."""

    def __init__(self, folder: Path, shell: str) -> None:
        env = {
            "PATH": f"{folder}/home/bin:{PROGRAMS}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(folder / "home"),
            "TERM": "dumb" if shell == "bash" else "xterm",
            "PS1": "$ ",
            "LC_ALL": "C.UTF-8",
        }
        (folder / "home").mkdir(exist_ok=True)
        pid, self.channel = pty.fork()
        if pid == 0:
            os.chdir(folder)
            os.execvpe(START[shell][0], START[shell], env)  # noqa: S606
        self.pid = pid

    def type(self, keys: str, until: str) -> str:
        """Press keys. Return what the terminal shows once this matches ``until``, or after 20 seconds."""
        os.write(self.channel, keys.encode())
        seen, end = "", time.monotonic() + 20
        while not re.search(until, seen) and time.monotonic() < end:
            if select.select([self.channel], [], [], 0.2)[0]:
                seen += _ESCAPE.sub("", os.read(self.channel, 65536).decode(errors="replace"))
        return seen


@contextmanager
def terminal(folder: Path, shell: str) -> Iterator[Terminal]:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    started = Terminal(folder, shell)
    try:
        started.type(SETUP[shell] + "\r", r"\n")
        ready = started.type(
            "echo ready$((1 + 1))\r" if shell != "fish" else "echo ready(math 1 + 1)\r", "ready2"
        )
        assert "ready2" in ready
        yield started
    finally:
        os.kill(started.pid, 9)
        os.waitpid(started.pid, 0)
        os.close(started.channel)


@pytest.mark.parametrize("shell", START)
def test_the_tab_key_completes_words(project: Path, shell: str) -> None:
    """A program called doit prints what the shell made of the line."""
    write(project, {"home/bin/doit": '#!/bin/sh\necho "got[$*]"\n'})
    (project / "home/bin/doit").chmod(0o755)
    with terminal(project, shell) as shown:
        for typed, completed in (
            ("server:am", "server:amd64"),
            ("pla", "plan"),
            ("libm=fa", "libm=fast"),
            ("pus\tnev", "push=never"),  # without a space behind =
            ("plan --exi", "plan --exit-code"),
            ("keys --write=home/b", "keys --write=home/bin"),
            ("nothing", "nothing"),
        ):
            seen = shown.type(f"doit {typed}\t\r", r"got\[.*?\]")
            assert re.search(r"got\[(.*?)\]", seen)[1].strip(" /") == completed, seen  # type: ignore[index]


def test_the_tab_key_is_silent_in_a_broken_project(project: Path) -> None:
    (project / "stages.toml").write_text("[broken")
    with terminal(project, "bash") as shown:
        seen = shown.type("doit ser\t\techo\t", "serecho")
        assert "serecho" in seen
        assert "Traceback" not in seen and "ERROR" not in seen
