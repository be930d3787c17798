"""Count the rebuilds of a public family's own edits: replay its newest commits and compare the keys.

    ./run python benchmarks/replay CLONE [--against CHECKOUT] [--commits 100] [--declarations FILE]

CLONE is a clone of github.com/osrf/docker_images, or of another family that FILE declares. The benchmark uses
its Dockerfiles unchanged and builds nothing. It replays each commit of the main line that touches a declared
folder. The files of that commit and the declarations become a project, without stages whose Dockerfile the
commit lacks. Then the benchmark calls ``doit keys``. A key that differs from the previous one is a rebuild.
``truth`` says which rebuilds are due.

CHECKOUT is another checkout of this program with its own virtual environment. It gets the declarations
without ``names``, which an older version refuses. That version treats a parent with a published tag as an
external image, pinned once.

No registry is asked for external images. ``stages.lock`` pins each of them to a digest computed from its
name, and the package date is fixed. So only the family's own edits count. The exit status is 1 if this
program misses a rebuild.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import toml

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import common
from replay import truth

_ARCHIVE = "2026-01-01"


@dataclass
class Family:
    """A clone and the declarations for it."""

    clone: Path
    declarations: dict[str, Any]

    @property
    def folders(self) -> dict[str, str]:
        """The folders by stage."""
        return {stage: table["path"] for stage, table in self.declarations["stages"].items()}

    @property
    def names(self) -> dict[str, str]:
        """The stages by the names that Dockerfiles use: tags of images, and further names."""
        repo = self.declarations["project"]["repo"]
        images = self.declarations.get("images", {})
        tags = {f"{repo}:{image}": table.get("stage", image) for image, table in images.items()}
        stages = self.declarations["stages"].items()
        return tags | {name: stage for stage, table in stages for name in table.get("names", ())}

    def git(self, *arguments: str) -> bytes:
        """Return what git prints. Raise ``SystemExit`` if git fails."""
        done = subprocess.run(["git", "-C", str(self.clone), *arguments], capture_output=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"git {arguments[0]} in {self.clone}: {done.stderr.decode().strip()}")
        return done.stdout

    def commits(self, count: int) -> list[str]:
        """Return the newest commits of the main line that touch a declared folder, oldest first."""
        folders = self.folders.values()
        # without HEAD, git takes the folders for revisions in a bare clone
        found = self.git("log", "--first-parent", f"-n{count}", "--format=%H", "HEAD", "--", *folders)
        return found.decode().split()[::-1]

    def state(self, commit: str) -> dict[str, truth.Folder]:
        """Return the declared stages at a commit, without those that have no Dockerfile there."""
        listed = self.git("ls-tree", "-r", "-z", commit, "--", *self.folders.values()).decode()
        blobs = {path: word for word, _, path in (line.partition("\t") for line in listed.split("\0"))}
        state = {}
        for stage, folder in self.folders.items():
            if blob := blobs.get(f"{folder}/Dockerfile"):
                text = self.git("cat-file", "blob", blob.split()[2]).decode()
                length = len(f"{folder}/")
                files = {path[length:]: word for path, word in blobs.items() if path.startswith(f"{folder}/")}
                state[stage] = truth.read(text, files)
        return state

    def write(self, commit: str, state: Mapping[str, truth.Folder], into: Path) -> None:
        """Write the project of a commit, without its declarations."""
        folders = [self.folders[stage] for stage in state]
        with tarfile.open(fileobj=io.BytesIO(self.git("archive", commit, "--", *folders))) as tar:
            tar.extractall(into, filter="data")
        (into / "dodo.py").write_text("from stagegraph.tasks import *\n")
        names = {name for folder in state.values() for name in folder.parents}
        digests = {name: f"sha256:{hashlib.sha256(name.encode()).hexdigest()}" for name in names}
        platforms = [table["docker"] for table in self.declarations["platforms"].values()]
        images = {name: dict.fromkeys(("index", *platforms), digest) for name, digest in digests.items()}
        (into / "stages.lock").write_text(toml.dumps({"archive": _ARCHIVE, "images": images}))

    def declared(self, state: Mapping[str, truth.Folder], *, names: bool) -> str:
        """Return ``stages.toml`` of a commit, with or without ``names``."""
        stages = {
            stage: {key: value for key, value in table.items() if names or key != "names"}
            for stage, table in self.declarations["stages"].items()
            if stage in state
        }
        images = {
            image: table
            for image, table in self.declarations.get("images", {}).items()
            if table.get("stage", image) in state
        }
        return toml.dumps({**self.declarations, "stages": stages, "images": images})


@dataclass
class Program:
    """A version of the program: the command that calls it, and its results so far."""

    label: str
    python: str
    names: bool
    keys: dict[str, str] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    moved: int = 0
    missed: int = 0
    needless: int = 0
    commits: int = 0

    def replay(self, folder: Path, state: Iterable[str], due: Mapping[str, bool]) -> str:
        """Compare the keys of one more commit with those of the commit before. Return a summary.

        Raise ``SystemExit`` if a stage has no key.
        """
        start = time.monotonic()
        keys = json.loads(common.call(folder, self.python, "-m", "doit", "keys", "--json"))
        self.seconds.append(time.monotonic() - start)
        left_out = keys.pop("left_out", None)
        if lacking := {*state} - {node.partition(":")[0] for node in keys}:
            raise SystemExit(f"{self.label} gives no key to {', '.join(sorted(lacking))}: {left_out or ''}")
        both = self.keys.keys() & keys.keys()
        moved = {node for node in both if keys[node] != self.keys[node]}
        wanted = {node for node in both if node.partition(":")[0] in due}
        missed, needless = wanted - moved, moved - wanted
        self.keys = keys
        self.moved += len(moved)
        self.missed += len(missed)
        self.needless += len(needless)
        self.commits += bool(missed)
        told = f"{self.label} {len(moved):>3}"
        told += f", missed {len(missed)}" if missed else ""
        return told + (f", needless {' '.join(sorted(needless))}" if needless else "")


def replay(family: Family, programs: list[Program], count: int) -> Iterator[tuple[int, int, int]]:
    """Yield for each commit but the first: how many stages existed before, were edited, and are due."""
    old: dict[str, truth.Folder] = {}
    for commit in family.commits(count + 1):
        state = family.state(commit)
        due = truth.due(old, state, family.names)
        with tempfile.TemporaryDirectory() as folder:
            family.write(commit, state, Path(folder))
            told = []
            for program in programs:
                (Path(folder) / "stages.toml").write_text(family.declared(state, names=program.names))
                told.append(program.replay(Path(folder), state, due))
        if old:
            edited = sum(own for stage, own in due.items() if stage in old)
            wanted = sum(stage in old for stage in due)
            new = f", {len(state.keys() - old.keys())} new" if state.keys() - old.keys() else ""
            date = family.git("show", "-s", "--format=%cs %h", commit).decode().strip()
            print(f"{date}  edited {edited:>2}, due {wanted:>2}{new}; {'; '.join(told)}", flush=True)
            yield sum(stage in old for stage in state), edited, wanted
        old = state


def report(counts: list[tuple[int, int, int]], programs: list[Program], lines: int) -> str:
    """Return the sums of all commits, and a table of the programs."""
    stages, edited, due = (sum(column) for column in zip(*counts, strict=True))
    head = ("keys", "moved", "missed", "commits with a miss", "needless", "s a commit (median)")
    rows: list[tuple[str, ...]] = [head]
    for one in programs:
        missed = f"{one.missed} ({one.missed / max(due, 1):.1%})"
        figures = (str(one.moved), missed, str(one.commits), str(one.needless))
        rows.append((one.label, *figures, f"{statistics.median(one.seconds):.2f}"))
    return (
        f"{len(counts)} commits; {len(programs[-1].keys)} nodes at the last; {lines} lines of declarations\n"
        f"{stages} nodes in all commits, {edited} edited, {due} due ({due / stages:.1%})\n"
        f"\n{common.rows(rows)}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks/replay", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("clone", type=Path, help="a clone of the family")
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="another version of this program")
    parser.add_argument("--commits", type=int, default=100, help="how many (default: 100)")
    own = Path(__file__).with_name("stages.toml")
    parser.add_argument(
        "--declarations", type=Path, default=own, metavar="FILE", help="stages.toml of a family"
    )
    options = parser.parse_args()
    programs = [Program("this", sys.executable, names=True)]
    if options.against:
        python = options.against.resolve() / ".venv/bin/python"
        if not python.exists():
            parser.error(f"{options.against} has no virtual environment; make it: {options.against}/run true")
        programs.insert(0, Program("against", str(python), names=False))
    try:
        text = options.declarations.read_text()
        family = Family(options.clone, tomllib.loads(text))
    except (OSError, ValueError) as error:
        parser.error(f"{options.declarations}: {error}")
    counts = [*replay(family, programs, options.commits)]
    if not counts:
        parser.error(f"{options.clone} has no two commits that touch a declared folder")
    lines = sum(bool(line.strip()) and not line.startswith("#") for line in text.splitlines())
    print(f"\n{report(counts, programs, lines)}")
    return 1 if programs[-1].missed else 0


if __name__ == "__main__":
    sys.exit(main())
