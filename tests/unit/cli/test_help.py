"""Help: its width, its sections, names of this project in examples; and the program that was called."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import derived
import pytest
from helpers import write

from stagegraph.cli import program
from stagegraph.cli.commands.errors import ErrorMessages
from stagegraph.cli.commands.replaced import NAMES
from stagegraph.cli.help import SECTIONS, WIDTH, of_command, overview, placeholders

pytestmark = pytest.mark.unit

OWN = {name: kind for name, kind in derived.command_classes().items() if issubclass(kind, ErrorMessages)}
SHOWN = {name: kind for name, kind in OWN.items() if kind.section != "replaced"}
FILES = {
    "dodo.py": "from stagegraph.tasks import *\n",
    "stages.toml": """\
        [project]
        repo = "example/help"
        [platforms.x86]
        docker = "linux/amd64"
        [platforms.arm]
        docker = "linux/arm64"
        [base]
        image = "debian:trixie"
        [stages.tool]
        path = "tool"
        description = "a tool"
        [stages.tool.alternatives.small]
        path = "tool"
        [images.tool]
        """,
    "tool/Dockerfile": "FROM scratch\n",
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(write(tmp_path, FILES))
    return tmp_path


def call(where: Path, name: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", {"stagegraph": "stagegraph.cli.main"}.get(name, name), *words]
    return subprocess.run(command, cwd=where, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", SHOWN)
def test_each_command_has_a_section_and_examples(name: str) -> None:
    kind = SHOWN[name]
    assert kind.section in {*SECTIONS, "more"}
    assert kind.examples, "write examples: a test runs them"
    assert kind.doc_purpose and not kind.doc_purpose.endswith(".")
    text = of_command(kind)
    assert re.search(r"^Usage: doit", text) and "\nExamples:\n" in text


@pytest.mark.parametrize("name", SHOWN)
def test_help_fits_80_columns(name: str) -> None:
    for text in (of_command(SHOWN[name], everything=True), overview(SHOWN)):
        assert [line for line in text.splitlines() if len(line) > WIDTH] == []


def test_the_names_of_commands_without_meaning() -> None:
    assert {name for name, kind in OWN.items() if kind.section == "replaced"} == NAMES


def test_the_overview_has_no_command_that_has_no_meaning_here() -> None:
    names = set(re.findall(r"^  ([\w-]+)  ", overview(OWN), re.MULTILINE))
    assert names == {*SHOWN} - {"run", "help"}


def test_examples_name_what_the_project_has(project: Path) -> None:
    words = placeholders(project)
    assert words["goal"] in ("tool:x86", "tool:arm")
    assert (words["image"], words["alternative"]) == ("tool", "tool=small")
    assert f"doit plan {words['goal']} --json" in of_command(SHOWN["plan"])
    (project / "stages.toml").write_text("[broken")
    assert "doit plan IMAGE:PLATFORM --json" in of_command(SHOWN["plan"])


def test_no_text_of_help_names_a_goal_of_another_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = re.compile(r"\b(stock|blas|opencv|aarch64|rpi|jetson)\b")
    found = {name: names.findall(of_command(kind)) for name, kind in SHOWN.items()}
    assert {name: words for name, words in found.items() if words} == {}


@pytest.mark.usefixtures("project")
def test_help_of_a_goal_and_of_nonsense(project: Path) -> None:
    assert call(project, "doit", "help", "tool:x86").stdout.startswith("tool:x86: a tool\n\n  doit tool:x86")
    for words, said in (
        (["help", "pln"], "no command, stage or image 'pln'\n  did you mean 'plan'?"),
        (["help", "tool:x68"], "no command, stage or image 'tool:x68'"),
        (["help", "plan", "keys"], "doit help takes one command or goal\n  doit help plan"),
    ):
        done = call(project, "doit", *words)
        assert done.returncode == 10 and done.stderr.startswith(f"ERROR: command line: {said}"), done.stderr


def test_options_of_doit_are_shown_only_if_asked_for(project: Path) -> None:
    short, long = (call(project, "stagegraph", "help", "run", *more).stdout for more in ([], ["--all"]))
    assert "--failure-verbosity" not in short and "--failure-verbosity N" in long
    assert "doit's own options: stagegraph help run --all" in short
    assert not re.search("--(always-execute|single|db-file|backend|reporter)", long)


def test_the_version_is_that_of_this_package(project: Path) -> None:
    assert call(project, "stagegraph", "--version").stdout.startswith("stagegraph ")


@pytest.mark.parametrize("words", [[""], ["plan", ""]])
def test_an_empty_word_is_an_error(project: Path, words: list[str]) -> None:
    done = call(project, "stagegraph", *words)
    assert (done.returncode, done.stderr.splitlines()[0]) == (10, "ERROR: command line: a word is empty")


@pytest.mark.parametrize("name", ["doit", "stagegraph"])
def test_messages_name_the_program_that_was_called(project: Path, name: str) -> None:
    for words, hint in ((["shell"], f"  {name} shell tool:"), (["plan", "--x"], f"  {name} plan --help")):
        assert hint in call(project, name, *words).stderr
    assert f"Usage: {name} plan" in call(project, name, "plan", "-h").stdout


def test_doit_in_a_message_is_the_program_that_was_called(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "call doit list, `doit plan` or doit; doit's own, /x/doit y, doit.cfg, no-doit, doit -n 1"
    assert program.as_called(text) == text
    monkeypatch.setattr(program, "_program", program._Program("stagegraph", []))
    assert program.as_called(text) == (
        "call stagegraph list, `stagegraph plan` or stagegraph; doit's own, /x/doit y, doit.cfg, no-doit, "
        "stagegraph -n 1"
    )
