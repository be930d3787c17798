"""``doit watch``: a new image after each edit, the last good one after a broken edit, and a clean end."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from kit import Project, header, image_id

pytestmark = pytest.mark.engine

STAGES = """
[stages.low]
path = "low"
[stages.top]
path = "top"
[images.top]
test = "test"
[stages.other]
path = "other"
"""


class Output:
    """The lines of a process, as far as it has written them."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process, self.lines = process, list[str]()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        with self.process.stdout as lines:
            for line in lines:
                self.lines.append(line)

    def until(self, condition: Callable[[], bool], limit: float = 60) -> None:
        end = time.monotonic() + limit
        while not condition():
            assert self.process.poll() is None and time.monotonic() < end, "".join(self.lines)
            time.sleep(0.02)

    def rounds(self) -> int:
        """How many runs have ended."""
        return sum("waiting for changes" in line for line in self.lines)

    def next_round(self, edit: Callable[[], object]) -> str:
        """Edit, and return the lines of the run that follows."""
        count, place = self.rounds(), len(self.lines)
        edit()
        self.until(lambda: self.rounds() > count)
        return "".join(self.lines[place:])

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout=30)


def logs(project: Project) -> str:
    """Return what builds have written so far."""
    found = (project.folder / "cache/logs").rglob("*")
    return "".join(path.read_text() for path in found if path.is_file())


@contextmanager
def watching(project: Project, *words: str) -> Iterator[Output]:
    process = project.start("watch", *words)
    output = Output(process)
    try:
        yield output
    finally:
        process.terminate()
        process.wait(timeout=30)
        output.reader.join(timeout=30)


@pytest.fixture
def family(project: Project, repo: str, program: Path) -> Project:
    project.write(
        {
            "stages.toml": header(repo) + STAGES,
            "low/Dockerfile": "FROM scratch\nCOPY program file /\n",
            "low/file": "1\n",
            "top/Dockerfile": "FROM scratch\nCOPY --from=low / /\nCOPY . /top/\n",
            "top/a": "1\n",
            "top/.dockerignore": "*.log\n",
            "test/Dockerfile": 'ARG IMAGE\nFROM ${IMAGE}\nRUN ["/program", "fine"]\n',
            "other/Dockerfile": "FROM scratch\nCOPY file /\n",
            "other/file": "1\n",
        }
    )
    shutil.copytree(program, project.folder / "low/program")
    return project


def test_an_edit_gives_a_new_image_and_a_broken_edit_keeps_the_last_good_one(
    family: Project, repo: str
) -> None:
    tag = f"{repo}:top-here"
    with watching(family, "top:here") as output:
        output.until(lambda: output.rounds() == 1)
        first = image_id(tag)
        assert first
        said = output.next_round(lambda: family.write({"low/file": "2\n"}))
        assert "changed: low/file; it concerns low:here, top:here, top-test:here" in said
        assert "3 built" in said and image_id(tag) not in ("", first)

        second = image_id(tag)
        dockerfile = (family.folder / "top/Dockerfile").read_text()
        said = output.next_round(lambda: family.write({"top/Dockerfile": dockerfile + "RUMM\n"}))
        assert "top/Dockerfile:4: unknown instruction RUMM" in said and "failed with status 11" in said
        assert "keep their tags; waiting for changes" in said and image_id(tag) == second
        failing = 'ARG IMAGE\nFROM ${IMAGE}\nRUN ["/program", "fail", "3"]\n'
        output.next_round(lambda: family.write({"top/Dockerfile": dockerfile}))
        said = output.next_round(lambda: family.write({"test/Dockerfile": failing, "top/a": "2\n"}))
        assert "failed with status 15" in said and image_id(tag) == second

        said = output.next_round(
            lambda: family.write({"test/Dockerfile": failing.replace('fail", "3', "fine")})
        )
        assert "up to date" in said and image_id(tag) not in (first, second)
        assert output.end(signal.SIGINT) == 130
    assert "Traceback" not in "".join(output.lines)


def test_only_what_the_goals_need_starts_a_run(family: Project, repo: str) -> None:
    with watching(family, "top:here") as output:
        output.until(lambda: output.rounds() == 1)
        time.sleep(3.5)  # a change just after a run starts another one, as the run may have seen it
        family.write(
            {"other/file": "2\n", "other/Dockerfile": "RUMM\n", "top/x.log": "1\n", "cache/x": "1\n"}
        )
        with (family.folder / "low/Dockerfile").open("a") as file:
            file.write("# a comment\n")
        time.sleep(3)
        assert output.rounds() == 1, "".join(output.lines)
        # a new file, a new folder, another ignore file, another tag
        assert "top/new" in output.next_round(lambda: family.write({"top/new": "1\n"}))
        assert "1 built" in output.next_round(lambda: family.write({"top/in/deep/file": "1\n"})).replace(
            "2", "1"
        )
        assert "it concerns top:here" in output.next_round(
            lambda: family.write({"top/.dockerignore": "*.txt\n"})
        )
        toml = (family.folder / "stages.toml").read_text()
        new = toml.replace('"test"', '"test"\ntags = ["new-{platform}"]')
        output.next_round(lambda: family.write({"stages.toml": new}))
        assert image_id(f"{repo}:new-here")
        # a parent that the goals did not need before; its Dockerfile is broken first
        text = "FROM scratch\nCOPY --from=other / /\n"
        assert "failed with status" in output.next_round(
            lambda: family.write({"low/Dockerfile": text + "COPY program /\n"})
        )
        fixed = "FROM scratch\nCOPY file /\n"
        assert "up to date" in output.next_round(lambda: family.write({"other/Dockerfile": fixed}))
        assert "it concerns other:here" in output.next_round(lambda: family.write({"other/file": "3\n"}))
        assert output.end(signal.SIGTERM) == 143


def test_a_change_during_a_run_is_built_by_the_next_one(family: Project, repo: str) -> None:
    family.write(
        {"low/Dockerfile": 'FROM scratch\nCOPY program /\nRUN ["/program", "sleep", "3"]\nCOPY file /\n'}
    )
    with watching(family, "low:here") as output:
        output.until(lambda: "sleep" in logs(family))
        family.write({"low/file": "2\n"})
        output.until(lambda: output.rounds() == 2)
        text = "".join(output.lines)
        assert "changed: low/file; it concerns low:here" in text and text.count("1 built") == 2
        # changed and changed back while it was read: a run looks again
        family.write({"low/file": "3\n"})
        output.until(lambda: output.rounds() == 3)


def test_an_interrupt_during_a_build_ends_everything(family: Project, repo: str) -> None:
    marker = f"stop-{os.getpid()}"
    family.write(
        {"low/Dockerfile": f'FROM scratch\nCOPY program /\nRUN ["/program", "sleep", "60", "{marker}"]\n'}
    )
    with watching(family, "low:here") as output:
        output.until(lambda: marker in logs(family))
        start = time.monotonic()
        assert output.end(signal.SIGINT) == 130
        assert time.monotonic() - start < 20
    left = subprocess.run(["pgrep", "-f", str(family.folder)], capture_output=True, text=True, check=False)
    assert not left.stdout, left.stdout
    assert "Traceback" not in "".join(output.lines)


def test_an_unknown_goal_is_an_error(family: Project) -> None:
    run = family.doit("watch", "tap:here")
    assert run.status == 10 and "did you mean 'top:here'?" in run.output
