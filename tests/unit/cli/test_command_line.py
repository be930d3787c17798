"""``--help`` after a command, a reader that closes its pipe, and doit's own commands without data to read."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stagegraph.cli.commands.run import _arranged
from stagegraph.system.processes import Interrupted

pytestmark = pytest.mark.unit


LOCK = f"""\
[images.x]
index = "sha256:{"0" * 64}"
"linux/amd64" = "sha256:{"0" * 64}"
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "dodo.py").write_text("from stagegraph.tasks import *\n")
    (tmp_path / "a").mkdir()
    (tmp_path / "a/Dockerfile").write_text("FROM scratch\n")
    platforms = '[platforms.amd64]\ndocker = "linux/amd64"\n[base]\nimage = "x"\n[stages.a]\npath = "a"\n'
    (tmp_path / "stages.toml").write_text(f'[project]\nrepo = "a"\n{platforms}')
    return tmp_path


def doit(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "doit", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["plan", "--help"], "the first input that differs"),
        (["lock", "-h"], "renew stages.lock: the package date"),
        (["list", "--help"], "list images"),
        (["-h"], "STAGE=ALTERNATIVE"),
        (["a:amd64", "--help"], "STAGE=ALTERNATIVE"),
    ],
)
def test_help(project: Path, words: list[str], said: str) -> None:
    done = doit(project, *words)
    assert done.returncode == 0 and said in " ".join(done.stdout.split()), done.stderr
    assert not (project / "stages.lock").exists()


def test_help_describes_a_command_before_its_options(project: Path) -> None:
    text = doit(project, "plan", "--help").stdout
    assert text.index("USAGE") < text.index("DESCRIPTION") < text.index("OPTIONS")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["plan", "--jsno"], "option --jsno not recognized\n  did you mean '--json'? doit plan --help"),
        (["prune", "--zzz"], "option --zzz not recognized\n  doit prune --help"),
        (["keys", "--write"], "option --write requires argument\n  doit keys --help"),
        (["keys", "--write=stages.toml"], "--write stages.toml: it is not a folder\n  --write=FOLDER"),
        (["list", "aa"], "no stage or image 'aa'\n  did you mean 'a'?"),
        (["plan", "ignor"], "no stage or image 'ignor'\n  known here: a"),
        (["-n", "-1", "a:amd64"], "-n -1 is not a positive integer\n  -n 2"),
        (["-P", "process", "a:amd64"], "-P process: nodes are built by threads\n  -n sets how many"),
        (
            ["-r", "zero", "a:amd64"],
            "-r zero: only the project's own reporter can end a run: it sets the status and awaits pushes\n"
            "  for machines, read cache/last-run.json",
        ),
        (["shell", "a:amd64", "ls"], "shell takes one node\n  doit shell a:amd64"),
    ],
)
def test_a_misspelled_word_is_an_error_with_a_hint(project: Path, words: list[str], said: str) -> None:
    (project / "stages.lock").write_text(LOCK)
    done = doit(project, *words)
    assert (done.returncode, done.stderr) == (10, f"ERROR: command line: {said}\n")


@pytest.mark.parametrize("text", ["<<<<<<< HEAD\n", "archive = 5\n", 'archive = "2026-99-99"\n', "\xff"])
@pytest.mark.parametrize("words", [["plan"], ["a:amd64"], ["list"], ["lock", "archive"]])
def test_a_malformed_lock_is_an_error(project: Path, text: str, words: list[str]) -> None:
    (project / "stages.lock").write_text(text, encoding="latin-1")
    done = doit(project, *words)
    assert done.returncode == 13 and done.stderr.startswith("ERROR: stages.lock: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("words", [["keys"], ["plan", "--help"]])
def test_a_closed_pipe_ends_a_command_without_a_message(project: Path, words: list[str]) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    command = [sys.executable, "-m", "doit", *words]
    done = subprocess.run(command, cwd=project, stdout=theirs, stderr=subprocess.PIPE, text=True, check=False)
    os.close(theirs)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize(
    ("words", "arranged"),
    [
        (["-v"], ["-v"]),
        (["-v", "a:amd64"], ["-v", "a:amd64"]),
        (["a:amd64", "-v"], ["-v", "a:amd64"]),
        (["-n", "2", "a:amd64", "--quiet"], ["--quiet", "-n", "2", "a:amd64"]),
        (["-v", "-n", "2", "a"], ["-v", "-n", "2", "a"]),
        (["-v", "2", "a"], ["--verbosity=2", "a"]),
        (["-v0", "a"], ["--verbosity=0", "a"]),
        (["a", "-v", "1"], ["--verbosity=1", "a"]),
        (["a", "--", "-v"], ["a", "--", "-v"]),
        (["a", "-x"], ["a", "-x"]),
    ],
)
def test_v_and_q_may_stand_behind_goals(words: list[str], arranged: list[str]) -> None:
    assert _arranged(words) == arranged


@pytest.mark.parametrize(
    "words", [["-v", "-q"], ["a:amd64", "-q", "-v"], ["--quiet", "a:amd64", "--verbose"]]
)
def test_verbose_and_quiet_contradict_each_other(project: Path, words: list[str]) -> None:
    done = doit(project, *words)
    assert done.returncode == 10
    what = "-v and -q contradict each other\n  leave out one of them"
    assert done.stderr == f"ERROR: command line: {what}\n"


def test_quiet_does_not_tell_what_is_left_out(project: Path) -> None:
    text = (project / "stages.toml").read_text()
    more = '[platforms.other]\ndocker = "linux/riscv64"\n[stages.o]\npath = "a"\nonly = ["other"]\n'
    (project / "stages.toml").write_text(f"{text}{more}[images.o]\n")
    all_lines, lines = (doit(project, *words).stderr.splitlines() for words in ([], ["-q"]))
    assert [line for line in all_lines if line not in lines] == ["   not built for amd64: o"]


def test_an_interrupt_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    for interrupted in (Interrupted(130), Interrupted(143)):
        interrupted.tell()
        interrupted.tell()
    assert capsys.readouterr().err == "interrupted\n"


def test_dumpdb_says_that_nothing_is_kept(project: Path) -> None:
    done = doit(project, "dumpdb")
    assert done.returncode == 1 and "nothing is kept" in done.stderr and "Traceback" not in done.stderr


OTHERS = """
def task_one():
    return {"actions": ["echo 1"]}
def task_two():
    return {"actions": ["echo 2"]}
"""


def test_a_dodo_without_stagegraph_works_as_before(tmp_path: Path) -> None:
    (tmp_path / "dodo.py").write_text(OTHERS)
    done = doit(tmp_path)
    assert (done.returncode, done.stdout.split()) == (0, [".", "one", ".", "two"])


def test_a_dodo_may_replace_settings(project: Path) -> None:
    """The default tasks of the dodo.py run, not the images of the project."""
    text = "from stagegraph.tasks import *\nDOIT_CONFIG = {**DOIT_CONFIG, 'default_tasks': ['two']}\n"
    (project / "dodo.py").write_text(text + OTHERS)
    done = doit(project)
    assert (done.returncode, done.stdout) == (0, "2\n")


def test_forget_without_a_goal_succeeds(project: Path) -> None:
    done = doit(project, "forget")
    assert done.returncode == 0 and "Traceback" not in done.stderr
