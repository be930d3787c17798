"""Count the rebuilds of a public family's own edits: replay its newest commits and compare the keys.

    ./run python benchmarks/replay CLONE FILE [--against CHECKOUT] [--commits 100]

CLONE is a clone of a public family, and FILE its declarations, such as ``benchmarks/families/osrf.toml``. The
benchmark uses the Dockerfiles unchanged and builds nothing. It replays each commit of the main line that
triggers the family's own CI. The files of that commit and the declarations become a project, without stages
whose Dockerfile the commit lacks. Then the benchmark calls ``doit keys``. A key that differs from the
previous one is a rebuild. ``truth`` says which rebuilds are due, ``ci`` which ones the family's CI makes.

CHECKOUT is another checkout of this program with its own virtual environment. It gets the declarations
without ``names``, which an older version refuses. That version treats a parent with such a name as an
external image, pinned once.

No registry is asked for external images. ``stages.lock`` pins each of them to a digest computed from its
name, and the package date is fixed. So only the family's own edits count. The exit status is 1 if this
program misses a rebuild.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import common
from replay import truth
from replay.family import Family, State

from stagegraph.errors import ProjectError


@dataclass
class Program:
    """A version of the program: the command that calls it, and its results so far, in nodes."""

    label: str
    python: str
    names: bool
    keys: dict[str, str] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    sums: Counter[str] = field(default_factory=Counter)

    def replay(self, folder: Path, state: State, due: Mapping[str, bool]) -> str:
        """Compare the keys of one more commit with those of the commit before. Return a summary.

        Raise ``SystemExit`` if a node has no key.
        """
        start = time.monotonic()
        keys = json.loads(common.call(folder, self.python, "-m", "doit", "keys", "--json"))
        self.seconds.append(time.monotonic() - start)
        left_out = keys.pop("left_out", None)
        nodes = {f"{stage}:{platform}" for stage in state.folders for platform in state.platforms}
        if lacking := nodes - keys.keys():
            raise SystemExit(f"{self.label} gives no key to {', '.join(sorted(lacking))}: {left_out or ''}")
        moved = {node for node in nodes & self.keys.keys() if keys[node] != self.keys[node]}
        wanted = {node for node in nodes & self.keys.keys() if node.partition(":")[0] in due}
        missed, needless = wanted - moved, moved - wanted
        self.sums += Counter(moved=len(moved), missed=len(missed), needless=len(needless), bad=bool(missed))
        if self.keys:
            self.sums += Counter(
                f"built for {state.platforms[node.partition(':')[2]]}"
                for node in moved | (nodes - self.keys.keys())
            )
        self.keys = keys
        told = f"{self.label} {len(moved):>3}"
        told += f", missed {' '.join(sorted(missed))}" if missed else ""
        return told + (f", needless {' '.join(sorted(needless))}" if needless else "")


def replay(family: Family, programs: list[Program], count: int) -> Iterator[Counter[str]]:
    """Yield the numbers of nodes of each commit but the first, which is the state before."""
    old: State | None = None
    for commit in family.commits(count):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            state = family.state(commit, root)
            due = truth.due(old.folders if old else {}, state.folders, state.names)
            (root / "dodo.py").write_text("from stagegraph.tasks import *\n")
            (root / "stages.lock").write_text(state.lock())
            told = []
            for program in programs:
                (root / "stages.toml").write_text(state.declarations(names=program.names))
                told.append(program.replay(root, state, due))
        if old:
            counts = _counts(family, old, state, due)
            numbers = ", ".join(f"{name} {counts[name]:>2}" for name in ("edited", "due", "new"))
            date = family.git("show", "-s", "--format=%cs %h", commit).decode().strip()
            print(f"{date}  {numbers}; {'; '.join(told)}", flush=True)
            yield counts
        old = state


def _counts(family: Family, old: State, state: State, due: Mapping[str, bool]) -> Counter[str]:
    """Return the numbers of nodes of a commit. ``edited`` and ``due`` are without new ones."""
    known = state.folders.keys() & old.folders.keys()
    stages = {
        "known": len(known),
        "edited": sum(due.get(stage, False) for stage in known),
        "due": len(known & due.keys()),
        "new": len(state.folders.keys() - old.folders.keys()),
    }
    counts = Counter({name: number * len(state.platforms) for name, number in stages.items()})
    platforms = family.ci.platforms if family.ci else ()
    counts["ci"] = len(state.folders) * len(set(platforms) & set(state.platforms.values()))
    return counts


def report(family: Family, counts: list[Counter[str]], programs: list[Program]) -> str:
    """Return the sums of all commits, and a table of the programs."""
    sums = sum(counts, Counter[str]())
    head = (
        "keys",
        "moved",
        "missed",
        "commits with a miss",
        "needless",
        "s a commit (median)",
        "built, as CI",
    )
    rows: list[tuple[str, ...]] = [head]
    for one in programs:
        missed = f"{one.sums['missed']} ({one.sums['missed'] / max(sums['due'], 1):.1%})"
        figures = (str(one.sums["moved"]), missed, str(one.sums["bad"]), str(one.sums["needless"]))
        built = sum(one.sums[f"built for {platform}"] for platform in family.ci.platforms) if family.ci else 0
        compared = f"{built} ({built / sums['ci']:.1%})" if sums["ci"] else "-"
        rows.append((one.label, *figures, f"{statistics.median(one.seconds):.2f}", compared))
    told = (
        f"{len(counts)} commits; {len(programs[-1].keys)} nodes at the last; "
        f"{family.lines} lines of declarations\n"
        f"{sums['known']} nodes in all commits, {sums['edited']} edited, "
        f"{sums['due']} due ({sums['due'] / max(sums['known'], 1):.1%}), {sums['new']} new\n"
    )
    if family.ci:
        told += f"the family's CI builds {sums['ci']} for {', '.join(family.ci.platforms)}\n"
    return f"{told}\n{common.rows(rows)}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks/replay", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("clone", type=Path, help="a clone of the family")
    parser.add_argument("file", type=Path, help="its declarations, such as benchmarks/families/osrf.toml")
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="another version of this program")
    parser.add_argument("--commits", type=int, default=100, help="how many (default: 100)")
    options = parser.parse_args()
    programs = [Program("this", sys.executable, names=True)]
    if options.against:
        python = options.against.resolve() / ".venv/bin/python"
        if not python.exists():
            parser.error(f"{options.against} has no virtual environment; make it: {options.against}/run true")
        programs.insert(0, Program("against", str(python), names=False))
    try:
        family = Family(options.clone, options.file)
        counts = [*replay(family, programs, options.commits)]
    except (OSError, ValueError, ProjectError) as error:
        parser.error(f"{options.file}: {error}")
    if not counts:
        parser.error(f"{options.clone} has no two commits")
    print(f"\n{report(family, counts, programs)}")
    return 1 if programs[-1].sums["missed"] else 0


if __name__ == "__main__":
    sys.exit(main())
