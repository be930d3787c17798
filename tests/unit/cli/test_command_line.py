"""``--help`` after a command, a reader that closes its pipe, and doit's own commands without data to read."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

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
        (["lock", "-h"], "Renew stages.lock: the package date"),
        (["list", "--help"], "List images"),
        (["-h"], "STAGE=ALTERNATIVE"),
        (["a:amd64", "--help"], "STAGE=ALTERNATIVE"),
    ],
)
def test_help(project: Path, words: list[str], said: str) -> None:
    done = doit(project, *words)
    assert done.returncode == 0 and said in " ".join(done.stdout.split()), done.stderr
    assert not (project / "stages.lock").exists()


def test_behind_two_dashes_there_are_no_options(project: Path) -> None:
    done = doit(project, "plan", "--", "--help")
    assert (done.returncode, done.stdout) == (10, "") and "no stage or image '--help'" in done.stderr


def test_help_describes_a_command_before_its_options(project: Path) -> None:
    text = doit(project, "plan", "--help").stdout
    assert text.index("Usage:") < text.index("Shows each node") < text.index("Options:")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["plan", "--jsno"], "option --jsno not recognized\n  did you mean '--json'? doit plan --help"),
        (["prune", "--zzz"], "option --zzz not recognized\n  doit prune --help"),
        (["keys", "--write"], "--write needs a value\n  --write=PATH"),
        (["keys", "--write=stages.toml"], "--write stages.toml: it is not a folder\n  --write=FOLDER"),
        (["a", "plan"], "plan is a command, and comes first\n  doit plan --help"),
        (["-c", "plam"], "no command, stage or image 'plam'\n  did you mean 'plan'?"),
        (["auto"], "no command 'auto'\n  doit watch"),
        (["list", "aa"], "no stage or image 'aa'\n  did you mean 'a'?"),
        (["plan", "ignor"], "no stage or image 'ignor'\n  known here: a"),
        (["-n", "-1", "a:amd64"], "-n -1 is not a whole number above 0\n  -n 2"),
        (["-P", "process", "a:amd64"], "-P process: nodes are built by threads\n  -n sets how many"),
        (
            ["-r", "zero", "a:amd64"],
            "-r zero: only the project's own reporter can end a run: it sets the status and awaits pushes\n"
            "  for machines, read cache/last-run.json",
        ),
        (
            ["--trace", "no/trace.json"],
            "the trace no/trace.json: there is no folder no\n  --trace trace.json",
        ),
        (["shell", "a:amd64", "ls"], "doit shell takes one node\n  doit shell a:amd64"),
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
    ("words", "said"),
    [
        (["clean"], "clean: a run writes nothing beside cache/"),
        (["forget", "a"], "forget: nothing is kept but records"),
        (["ignore", "a"], "ignore: a node is built exactly when a goal needs it"),
        (["reset-dep"], "reset-dep: keys say what is up to date"),
        (["dumpdb"], "dumpdb: nothing is kept but records"),
        (["strace", "a"], "strace: steps run in the builder"),
        (["tabcompletion"], "tabcompletion: this program has a script of its own"),
        (["help", "clean"], "clean: a run writes nothing"),
        (["clean", "--help"], "clean: a run writes nothing"),
        (["-a", "a"], "-a has no meaning here"),
        (["a", "-s"], "-s has no meaning here"),
        (["a", "--db-file=x"], "--db-file: there is no database"),
        (["plan", "--backend", "json"], "--backend: there is no database"),
        (["--check_file_uptodate=timestamp"], "--check_file_uptodate: there is no database"),
    ],
)
def test_what_doit_has_and_this_program_does_not_says_what_to_use(
    project: Path, words: list[str], said: str
) -> None:
    done = doit(project, *words)
    assert done.returncode == 10 and done.stderr.startswith(f"ERROR: command line: {said}"), done.stderr
    assert len(done.stderr.splitlines()) == 2  # a hint
    assert not (project / ".doit.db").exists()


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


@pytest.mark.parametrize(
    "words", [["list"], ["clean"], ["forget", "one"], ["help", "run"], ["ignore", "one"]]
)
def test_commands_for_a_dodo_without_stagegraph_are_those_of_doit(tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "dodo.py").write_text(OTHERS)
    done = doit(tmp_path, *words)
    assert done.returncode == 0 and "stages.toml" not in done.stdout + done.stderr, done.stderr
    assert doit(tmp_path, "plan").stderr.startswith("ERROR: this folder has a dodo.py, but no stages.toml")


def test_a_task_of_a_dodo_may_have_options(project: Path) -> None:
    """Options of the run may stand behind goals, too; what the run does not know is the task's."""
    text = """from stagegraph.tasks import *
def task_own():
    yield {"name": "x", "actions": ["echo %(word)s"],
           "params": [{"name": "word", "long": "word", "default": "none"}]}
"""
    (project / "dodo.py").write_text(text)
    assert doit(project, "own:x").stdout == "none\n"
    assert doit(project, "own:x", "--word", "some").stdout == "some\n"
    assert doit(project, "-n", "1", "own:x", "--word=more").stdout == "more\n"
    assert doit(project, "own:x", "-n", "1").stdout == "none\n"
    done = doit(project, "own:x", "--wrod", "some")
    assert (done.returncode, "option --wrod not recognized" in done.stderr) == (10, True)
