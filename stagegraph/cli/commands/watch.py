"""``doit watch``: a run for each change of a file that the goals need.

Each run is a process of its own, so its state is fresh. This process only waits: it computes the keys of the
needed nodes, and starts a run when they change. It sets up its watches before it reads a file. Changes during
a run are kept, and looked at when the run has ended. So none is missed.
"""

from __future__ import annotations

import math
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from ...errors import StagegraphError
from ...execution.workspace import Workspace
from ...graph import goals
from ...graph.needed import Needed, control, folders, needed
from ...output import say
from ...system.processes import run_in_group
from ...system.text import listed
from ...system.watching import Watching
from .. import program
from ..app import command_line_settings
from ..goals import default_goals, named_nodes
from ..help import Example
from .base import Command

if TYPE_CHECKING:
    from ...project.model import Node
    from ..app import App

#: How many files and nodes a line names.
_LISTED = 4

#: Seconds after which a change becomes known at the latest.
_LATE = 3


@dataclass(frozen=True)
class Options:
    """``doit watch`` has none."""


class Watch(Command[Options]):
    options_type = Options
    doc_purpose = "build again whenever a file changes"
    section = "everyday"
    doc_usage = "[GOAL ...] [NAME=VALUE ...]"
    doc_description = (
        "Runs as 'doit run' does, then waits for changes of files that the goals need, and runs again: "
        "Dockerfiles, files of contexts, ignore files, stages.toml and stages.lock. A change that no key "
        "contains, such as a comment in a Dockerfile, builds nothing.\n\n"
        "If a build or a test fails, the images of the last good build keep their tags. A change during a "
        "run does not stop the run; another run follows it.\n\n"
        "Ctrl-C ends it, also during a build, with status 130."
    )
    examples = (Example("watch {goal}", "an image for each edit", "a person"),)

    def answer(self, app: App, words: list[str], options: Options) -> int:  # noqa: ARG002 - it has none
        named_nodes(app.workspace.graph, words)  # an unknown word: no edit of a file is likely to mend it
        watcher = Watcher(Path.cwd(), words, command_line_settings())
        try:
            watcher.run_forever()
        finally:
            watcher.watching.stop()


class State(NamedTuple):
    """The project at one moment.

    ``control`` has the contents of the files that decide more than keys, such as tags. ``error`` says why the
    goals have no keys, "" if they have; ``needed`` is then the last one that is known.
    """

    needed: Needed
    control: tuple[bytes, ...]
    error: str = ""

    def builds_as(self, other: State | None) -> bool:
        """Return whether a run would do the same as in another state."""
        mine = self.needed.keys, self.control, self.error
        return other is not None and mine == (other.needed.keys, other.control, other.error)


class Watcher:
    """Runs and waits, for ever."""

    def __init__(self, root: Path, words: list[str], settings: dict[str, str]) -> None:
        self.root, self.words, self.settings = root, words, settings
        self.watching = Watching(root / "cache")
        self.good = ""  # the time of the last good run

    def run_forever(self) -> NoReturn:
        """Run, and run again after each change. Only a signal ends it. Raises ``ContextError``."""
        before: State | None = None
        changed, missed, ended = set[Path](), False, -math.inf
        while True:
            now = self._read(before)
            if missed or not now.builds_as(before):
                if before:
                    self._announce(changed, before, now)
                self._run()
                ended = time.monotonic()
            before = now
            changed = self.watching.pending() or self.watching.wait()
            # the last run may have read what such a file was in between, even if it is now what it was before
            missed = time.monotonic() - ended < _LATE and any(map(now.needed.concerns, changed))

    def _read(self, before: State | None) -> State:
        """Watch the folders that the goals need, then read the files in them."""
        content, known = self._control(), before.needed if before else Needed({}, frozenset())
        try:
            workspace = Workspace.open(self.root, self.settings)
        except StagegraphError as error:  # only an edit of these files mends it
            return State(known, content, str(error))
        try:
            self.watching.start(folders(workspace.graph, self._nodes(workspace)), [self.root])
            workspace = Workspace.open(self.root, self.settings)  # as it is since the watches are set
            content = self._control()
            return State(needed(workspace.graph, self._nodes(workspace)), content)
        except StagegraphError as error:
            return self._broken(workspace, known, content, error)

    def _broken(
        self, workspace: Workspace, known: Needed, content: tuple[bytes, ...], error: StagegraphError
    ) -> State:
        """Return the state of a project whose goals have no keys. An edit of any stage may mend it."""
        self.watching.start(folders(workspace.graph, workspace.graph.nodes), [self.root])
        return State(known, content, str(error))

    def _nodes(self, workspace: Workspace) -> list[Node]:
        """Return the nodes that the goals need, parents first. Raises ``StagegraphError``."""
        words = self.words or default_goals(workspace.project)
        return workspace.graph.order(sorted(goals.closure(workspace.graph, words) or ()))

    def _control(self) -> tuple[bytes, ...]:
        return tuple(_content(path) for path in sorted(control(self.root)))

    # -- running ---------------------------------------------------------------------------------

    def _run(self) -> None:
        settings = [f"{name}={value}" for name, value in self.settings.items()]
        module = "doit" if program.name() == "doit" else "stagegraph.cli.main"
        status = run_in_group([sys.executable, "-m", module, "run", *settings, *self.words])
        if not status:
            self.good = _now()
            _say("up to date; waiting for changes")
        elif self.good:
            _say(
                f"failed with status {status}; the images of {self.good} keep their tags; waiting for changes"
            )
        else:
            _say(f"failed with status {status}; waiting for changes")

    def _announce(self, changed: set[Path], before: State, now: State) -> None:
        """Say which files changed, and which nodes that concerns."""
        files = [path for path in changed if before.needed.concerns(path) or now.needed.concerns(path)]
        names = sorted(os.path.relpath(path, self.root) for path in files or changed)
        old, new = before.needed.keys, now.needed.keys
        nodes = [str(node) for node, key in new.items() if old.get(node) != key]
        concerned = f"; it concerns {listed(nodes, _LISTED)}" if nodes else ""
        _say(f"changed: {listed(names, _LISTED)}{concerned}")


def _say(text: str) -> None:
    say(f"watch: {_now()} {text}", flush=True)


def _now() -> str:
    return time.strftime("%H:%M:%S")


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
