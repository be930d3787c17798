"""Ctrl-C while Python imports the program ends it with status 130 and one line."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import stages, write

from stagegraph.system import early

pytestmark = pytest.mark.unit

#: Sends SIGINT to this process when MODULE is imported.
INTERRUPT = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == MODULE:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
"""

ROOT = Path(__file__).parents[3]

#: What ``./run doit`` executes.
OF_RUN = re.search(
    r"code='import sys; sys.argv\[0\] = (\S+); (from stagegraph.*)'", (ROOT / "run").read_text()
)
assert OF_RUN

#: How the program is called: the name that Python has for it, and the code that starts it.
STARTS = {
    "stagegraph": ("'/bin/stagegraph'", "from stagegraph.cli.main import main; sys.exit(main())"),
    "doit": ("'/bin/doit'", "from doit.__main__ import main; sys.exit(main())"),
    "python -m doit": ("'/lib/doit/__main__.py'", "from doit.__main__ import main; sys.exit(main())"),
    "./run doit": (OF_RUN[1], OF_RUN[2]),
}

#: Modules that are imported one after the other. doit's own program imports the first before any of ours.
MODULES = ("doit.doit_cmd", "stagegraph.cli.commands.plan", "stagegraph.graph.graph")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    stages(tmp_path, {"one": "FROM scratch\n"})
    write(tmp_path, {"dodo.py": "from stagegraph.tasks import *\n"})
    return tmp_path


@pytest.mark.parametrize(
    ("start", "module"),
    [(s, m) for s in STARTS for m in MODULES[1 if STARTS[s][1].startswith("from doit") else 0 :]],
)
def test_an_interrupt_while_a_module_is_imported(project: Path, start: str, module: str) -> None:
    name, call = STARTS[start]
    code = f"{INTERRUPT}\nsys.argv = [{name}, 'plan']\n{call}"
    command = [sys.executable, "-c", code.replace("MODULE", repr(module))]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


@pytest.mark.parametrize("program", ["/bin/pytest", "/lib/pytest/__main__.py", "/home/doit/script.py", ""])
def test_another_program_keeps_its_handler(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        monkeypatch.setattr(sys, "argv", [program])
        early.quiet_interrupt()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        monkeypatch.setattr(sys, "argv", ["/bin/doit"])
        early.quiet_interrupt()
        assert signal.getsignal(signal.SIGINT) is early.end_quietly
    finally:
        signal.signal(signal.SIGINT, before)
