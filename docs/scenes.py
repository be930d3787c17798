"""Pictures of terminals in the how-to pages: real calls in a copy of ``examples/languages``.

``pictures.py`` draws them. They need an engine and git, and take a minute.

The stages of the example take no time. So the copy also gets a shell and two small programs, ``compile`` and
``check``. ``compile`` waits instead of compiling. All text comes from real calls. To give nearly the same
picture each time, ``STABLE`` replaces dates in it, and ``SECONDS`` the times of the first builds.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from libraries import with_libraries
from terminal import FOLDER, HERE, ROOT, Cell, Line, call, picture, plain, prompt

#: All that is replaced in the output: a pattern and what stands in its place, of the same length.
STABLE = ((re.compile(r"20\d\d-\d\d-\d\d \d\d:\d\d"), "2026-11-20 10:12"),)

#: How long the first build of a node counts as, by its stage's folder.
SECONDS = {"base": 1.0, "python": 12.4, "node": 12.9, "dev": 1.2}

_DEV = f"python-3.13-dev:{HERE}"

#: By the name of a picture: its title.
TITLES = {
    "plan.svg": "doit plan after an edit",
    "why.svg": "doit why: the edits that a node is built for",
    "graph-tree.svg": "doit graph: decisions in colour",
    "live-80.svg": "a run on a terminal of 80 columns",
    "live-120.svg": "a run on a terminal of 120 columns",
    "failure.svg": "a failed step: its place, what it printed, and what to do",
}
NAMES: tuple[str, ...] = (*TITLES, "graph-languages.svg")

_COMPILE = r"""#!/bin/sh
number=0
while [ $number -lt 40 ]; do
  number=$((number + 1))
  echo "[$number/40] compile part_$number.c"
  sleep 0.3
done
"""
_CHECK = r"""#!/bin/sh
read -r found <"$1"
echo "checking $2 against $found"
while read -r word needed; do
  if [ "$word" = needs ] && [ "$needed" != "$found" ]; then
    echo "$2: needs $needed, but $1 is $found"
    exit 1
  fi
done <"$2"
"""
_EDITS = {
    "base/Dockerfile": ("COPY release /\n", "COPY release /\nCOPY programs /\n"),
    "python/Dockerfile": ("/language\n", "/language\nRUN --network=none compile --prefix=/usr /language\n"),
    "node/Dockerfile": ("/language\n", "/language\nRUN --network=none compile --prefix=/usr /language\n"),
    "dev/Dockerfile": ("COPY tools /\n", "COPY tools /\nRUN --network=none check /language /tools\n"),
}


def draw() -> None:
    """Make the project, run the calls, and write all pictures."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "languages"
        _make(folder)
        call("doit", folder, 120)
        _set_seconds(folder)
        _edited(folder)
        _live(folder)
        _failed(folder)


def _edited(folder: Path) -> None:
    """A change of one file: the plan, the reasons, the graph."""
    edit = "echo 'python 3.13.1' >python/python-3.13"
    call(edit, folder, 120)
    plan = f"doit plan {_DEV}"
    _write("plan.svg", [prompt(edit), prompt(plan), *call(plan, folder, 120)], 120)
    why = f"doit why {_DEV}"
    _write("why.svg", [prompt(why), *call(why, folder, 90)], 90)
    tree = f"doit graph --focus python-3.13:{HERE}"
    _write("graph-tree.svg", [prompt(tree), *call(tree, folder, 90)], 90)
    images = " ".join(
        f"{name}:{HERE}" for name in ("python-3.12", "python-3.13-dev", "node-20", "node-22-dev")
    )
    call(f"doit graph {images} --output graph.svg", folder, 120)
    drawn = re.sub(r"<!--.*?-->\n?", "", (folder / "graph.svg").read_text(), flags=re.DOTALL)
    (FOLDER / "graph-languages.svg").write_text(drawn, encoding="utf-8")


def _live(folder: Path) -> None:
    """The same moment of the same run, on two terminals."""
    for name in ("python-3.12", "python-3.13", "node-20", "node-22"):
        (folder / name.partition("-")[0] / name).write_text(f"{name.replace('-', ' ')}.2\n")
    for width in (80, 120):
        lines = call("doit", folder, width, moment=_in_the_middle)
        _write(f"live-{width}.svg", [prompt("doit"), *lines], width)


def _in_the_middle(lines: list[str]) -> bool:
    """Return whether two nodes are in work, each more than half done."""
    text = "\n".join(lines)
    return text.count(": built") == 0 and len(re.findall(r"\[2\d/40\]", text)) == 2 and "waiting" in lines[-1]


def _failed(folder: Path) -> None:
    """A tool that needs another version."""
    subprocess.run(["git", "checkout", "--quiet", "."], cwd=folder, check=True)
    edit, run = "echo 'needs python 3.14' >>dev/tools", f"doit {_DEV}"
    call(edit, folder, 100)
    _write("failure.svg", [prompt(edit), prompt(run), *call(run, folder, 100, status=1)], 100)


def _write(name: str, lines: list[Line], width: int) -> None:
    drawn = picture(TITLES[name], [stable(line) for line in lines], width)
    (FOLDER / name).write_text(drawn, encoding="utf-8")


def stable(line: Line) -> Line:
    """A line with the replacements of ``STABLE``."""
    text = plain(line)
    for pattern, instead in STABLE:
        text = pattern.sub(instead, text)
    assert len(text) == len(line), text
    return [Cell(character, cell.style) for character, cell in zip(text, line, strict=True)]


# -- the project ---------------------------------------------------------------------------------


def _make(folder: Path) -> None:
    """Copy the example, give it a shell and the two programs, and commit it."""
    shutil.copytree(ROOT / "examples" / "languages", folder, ignore=shutil.ignore_patterns("cache"))
    for name, (before, after) in _EDITS.items():
        text = (folder / name).read_text()
        assert before in text, name
        (folder / name).write_text(text.replace(before, after, 1))
    programs = folder / "base" / "programs"
    with_libraries(programs, "sh", "sleep")
    for name, text in (("compile", _COMPILE), ("check", _CHECK)):
        (programs / "bin" / name).write_text(text)
        (programs / "bin" / name).chmod(0o755)
    for words in (
        "init --quiet",
        "add .",
        "-c user.name=Ada -c user.email=ada@example.org commit -qm Languages",
    ):
        subprocess.run(["git", *words.split()], cwd=folder, check=True)


def _set_seconds(folder: Path) -> None:
    """Change how long the builds took in the records of the store."""
    for path in (folder / "cache" / "records").iterdir():
        record = json.loads(path.read_text())
        notes = record["annotations"]
        stage = notes["stagegraph.node"].partition(":")[0]
        kind = "dev" if stage.endswith("-dev") else stage.partition("-")[0]
        notes["stagegraph.seconds"] = str(SECONDS[kind])
        path.write_text(json.dumps(record))
