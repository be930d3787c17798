"""The state of one process, made in one place: the project, the goals of the run, and errors of its tasks.

doit calls functions of a module and classes that it makes itself, so nobody can hand them the state.
``current`` does. Nothing here runs before it is called: importing a module never reads a project.
"""

from __future__ import annotations

import os
import sys
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import doit.doit_cmd

from ..errors import ProjectError, StagegraphError
from ..execution.display import Detail
from ..execution.report import Report
from ..execution.workspace import Workspace
from ..graph import goals
from ..output import tell
from ..waits.waiting import WAITS
from .goals import default_goals
from .program import as_called
from .program import words as program_words

if TYPE_CHECKING:
    from ..project.model import Node


class App:
    """One process over the project in the working folder, which is where doit found ``dodo.py``.

    ``requested`` holds the words of ``doit run``; it is None for other commands. ``failures`` are the errors
    of tasks that ran, ``refusals`` those of tasks whose up-to-date check failed; both by the task's name.
    ``trace`` is the file that gets the events of the run, None if nobody wants them.
    ``unreached`` are tasks that need a task that failed.
    ``detail`` is how much a run prints; ``jobs`` is how many nodes it builds at once.
    """

    def __init__(self) -> None:
        self.requested: list[str] | None = None
        self.trace: Path | None = None
        self.detail, self.jobs = Detail.PROGRESS, 1
        self.failures: dict[str, StagegraphError] = {}
        self.refusals: dict[str, StagegraphError] = {}
        self.unreached: set[str] = set()

    @cached_property
    def workspace(self) -> Workspace:
        """The project, loaded on first use. Raises ``ProjectError``."""
        report = Report(self.detail)
        WAITS.tell = lambda line: report.wait(as_called(line))
        return Workspace.open(Path.cwd(), command_line_settings(), report)

    @cached_property
    def default_goals(self) -> list[str]:
        """The goals of a run without words. Raises ``ProjectError``."""
        return default_goals(self.workspace.project)

    @cached_property
    def nodes_with_tasks(self) -> list[Node]:
        """The nodes that get a task: those that the run can reach, or all if that cannot be told.

        A project may have hundreds of nodes. Raises ``StagegraphError`` for a goal that cannot be read.
        """
        graph = self.workspace.graph
        words = self.default_goals if self.requested == [] else self.requested
        try:
            if words is not None and (reachable := goals.closure(graph, words)) is not None:
                return [node for node in graph.nodes if node in reachable]
            graph.order(graph.nodes)
        except ProjectError:
            # doit would walk a cycle for ever; other commands report it themselves
            if self.requested is not None:
                raise
        except StagegraphError:
            pass  # a broken stage concerns only those who request it
        return graph.nodes


@cache
def current() -> App:
    """The app of this process."""
    return App()


def command_line_settings() -> dict[str, str]:
    """``NAME=VALUE`` words of the command line, without those behind ``--``."""
    others = words_behind_dashes()
    given = dict(doit.doit_cmd._CMDLINE_VARS or {})
    return {name: value for name, value in given.items() if f"{name}={value}" not in others}


def words_behind_dashes() -> list[str]:
    """The words of the command line behind ``--``. doit takes those with a ``=`` out of the others."""
    words = program_words()
    return words[words.index("--") + 1 :] if "--" in words else []


def jobs() -> int:
    """Return how many nodes to build at once. Raises ``ProjectError``."""
    value = os.environ.get("STAGEGRAPH_JOBS") or "2"
    if not value.isdecimal() or int(value) < 1:
        raise ProjectError("STAGEGRAPH_JOBS", f"{value!r} is not a whole number above 0", "STAGEGRAPH_JOBS=2")
    return int(value)


def exit_with(error: StagegraphError) -> NoReturn:
    """End the process with the error's message and exit status."""
    tell(f"ERROR: {as_called(error)}")
    sys.exit(error.exit_status)
