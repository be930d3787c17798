"""doit's events -> the report of the run. The process ends with the status of the first error."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from doit.reporter import ConsoleReporter

from ..errors import ProjectError, StagegraphError
from ..execution import history
from ..oci.platform import host_platform
from ..output import cleaned, tell, write, write_exact
from ..project.tags import check_setting
from ..system.processes import Interrupted
from ..system.terminal import has_colours
from . import app as apps
from .app import exit_with
from .goals import absences
from .program import as_called
from .unreached import TaskGraph, lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..execution.final_tags import FinalTags
    from ..project.model import Node, Project


class Reporter(ConsoleReporter):  # type: ignore[misc]
    """Writes errors as they come, and the summary at the end."""

    desc = "progress and summary of a build graph"

    def __init__(self, outstream: Any, options: Any) -> None:
        super().__init__(outstream, options)
        self.app = apps.current()
        self.status = 0
        self._tasks = TaskGraph({}, {}, ())
        self._done: set[str] = set()
        self._failed: dict[str, str] = {}  # what is the cause, by the task that failed
        self._written: set[str] = set()

    def initialize(self, tasks: Any, selected_tasks: Any) -> None:
        """doit calls this before the first task."""
        try:
            self.app.workspace.acquire_store()
            goals = _with_subtasks(tasks, selected_tasks)
            metas = [tasks[name].meta or {} for name in goals]
            check_tags(self.app.workspace.tags, metas)
            self._tasks = task_graph(tasks, goals)
        except StagegraphError as error:
            exit_with(error)
        self.app.workspace.expect(_goals(self.app.workspace.project, metas), self.app.jobs)
        for line in absences(self.app.workspace.project, self.app.requested or []):
            self.app.workspace.report.note(f"   {line}")
        if not selected_tasks:
            what = f"no image is for this machine's platform, {host_platform()}: see doit list"
            tell(as_called(what))

    def write(self, text: str) -> None:
        """doit calls this, too: for errors that are none of ours."""
        write(self.outstream, text)

    def execute_task(self, task: Any) -> None:
        """The report shows the steps of each node itself."""

    def skip_uptodate(self, task: Any) -> None:
        """The summary names the nodes that were reused."""
        self._done.add(task.name)

    def add_success(self, task: Any) -> None:
        self._done.add(task.name)

    def add_failure(self, task: Any, fail: Any) -> None:
        """Write an error once, also if several tasks have it: children have that of a broken Dockerfile."""
        self.failures.append({"task": task, "exception": fail})
        error = self.app.failures.get(task.name)
        if error is not None:
            self.status = self.status or error.exit_status
            self._failed[task.name] = error.node or self._tasks.labels.get(task.name, task.name)
            if str(error) in self._written:
                return
            self._written.add(str(error))
            report = self.app.workspace.report
            report.failed(str(task.meta["node"]), error.what)
            report.close()
            self.write(f"ERROR: {as_called(error)}\n")
            report.resume()
        elif task.name not in self.app.unreached and fail.get_name() != "UnmetDependency":
            self._write_failure({"task": task, "exception": fail})

    def complete_run(self) -> None:
        if self.runtime_errors:
            super().complete_run()
        if _is_ending():
            self._tell_interrupt()
        else:
            self.app.workspace.report.close()
            self._finish_pushes()
            for line in lines(self._tasks, self._failed, self._done):
                self.write(f"{as_called(line)}\n")
            if summary := self.app.workspace.report.summary(colours=has_colours(self.outstream)):
                write_exact(self.outstream, summary + "\n")
        if not self.app.workspace.report.is_empty:
            self._keep_results()
        if self.status and not _is_ending():
            sys.exit(self.status)

    def _tell_interrupt(self) -> None:
        """Leave a clean screen: what was in work, what is kept. Say nothing if an error ends the program."""
        workspace = self.app.workspace
        lines = workspace.report.interrupt()
        if pending := workspace.delivery.pending_pushes:
            lines.append(f"interrupted: {pending} pushes to the registry are not done")
        if isinstance(ending := sys.exc_info()[1], Interrupted):
            tell("\n".join(lines))
            ending.is_told = True

    def _keep_results(self) -> None:
        workspace = self.app.workspace
        outcome = "interrupted" if _is_ending() else "failed" if self.failures or self.status else "done"
        results = cleaned(workspace.report.results(self.app.requested or self.app.default_goals, outcome))
        try:
            if self.app.trace:
                from ..execution import trace

                trace.write(self.app.trace, results)
            history.keep(workspace.layout, results)
        except StagegraphError as error:
            tell(f"warning: {error}")

    def _finish_pushes(self) -> None:
        """Wait for the pushes; report each error once, and take the first one's status."""
        workspace = self.app.workspace
        written: set[str] = set()
        for node, error in workspace.delivery.wait_for_pushes():
            workspace.report.failed(str(node), error.what)
            if str(error) not in written:
                self.write(f"ERROR: {as_called(error)}\n")
            written.add(str(error))
            self.status = self.status or error.exit_status


def _is_ending() -> bool:
    """Return whether an interrupt ends the program; doit calls ``complete_run`` then too."""
    return isinstance(sys.exc_info()[1], (KeyboardInterrupt, SystemExit))


def _goals(project: Project, metas: Iterable[dict[str, Any]]) -> list[Node]:
    """Return the nodes of these tasks, with the tests of images."""
    tested = [(meta["image"], meta["node"].platform) for meta in metas if {"image", "node"} <= meta.keys()]
    tests = [project.test(image, platform) for image, platform in tested]
    return [*(meta["node"] for meta in metas if "node" in meta), *filter(None, tests)]


def _with_subtasks(tasks: Any, names: Iterable[str]) -> list[str]:
    """Return the tasks of these names, and those that they name: a group names images for platforms."""
    found = list(dict.fromkeys(names))
    for name in found:
        if tasks[name].has_subtask or "group" in (tasks[name].meta or {}):
            found += [each for each in tasks[name].task_dep if each not in found]
    return found


def task_graph(tasks: Any, goals: Sequence[str]) -> TaskGraph:
    """Return what doit's tasks need, and their names for people."""
    needs = {name: [*task.setup_tasks, *task.task_dep] for name, task in tasks.items()}
    labels = {
        name: f"image {name}" if "image" in meta else str(meta["node"])
        for name, meta in ((name, task.meta or {}) for name, task in tasks.items())
        if "node" in meta
    }
    return TaskGraph(needs, labels, goals)


def check_tags(tags: FinalTags, metas: Iterable[dict[str, Any]]) -> None:
    """Raise ``ProjectError`` if two images would get one tag: the last one would win."""
    goals = [(meta["image"], meta["node"].platform) for meta in metas if {"image", "node"} <= meta.keys()]
    tags.check(goals)
    owners: dict[str, str] = {}
    for image, platform in goals if tags.project.settings.tag else ():
        (tag,), name = tags.of_run(image, platform), f"{image}:{platform}"
        if owners.setdefault(tag, name) != name:
            what = f"{owners[tag]} and {name} would both be called {tag}"
            raise ProjectError("command line", what, "with tag=, request only one of them")
        check_setting(tags.project, tags.project.images[image])
