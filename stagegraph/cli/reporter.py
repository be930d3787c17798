"""doit's events -> the report of the run. The process ends with the status of the first error."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from doit.reporter import ConsoleReporter

from ..errors import ProjectError, StagegraphError
from ..oci.platform import host_platform
from ..project.tags import check_setting
from . import app as apps
from .app import exit_with
from .goals import absences
from .program import as_called

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..execution.final_tags import FinalTags


class Reporter(ConsoleReporter):  # type: ignore[misc]
    """Writes errors as they come, and the summary at the end."""

    desc = "progress and summary of a build graph"

    def __init__(self, outstream: Any, options: Any) -> None:
        super().__init__(outstream, options)
        self.app = apps.current()
        self.status = 0

    def initialize(self, tasks: Any, selected_tasks: Any) -> None:
        """doit calls this before the first task."""
        try:
            self.app.workspace.acquire_store()
            metas = [tasks[name].meta or {} for name in _with_subtasks(tasks, selected_tasks)]
            check_tags(self.app.workspace.tags, metas)
        except StagegraphError as error:
            exit_with(error)
        for line in absences(self.app.workspace.project, self.app.requested or []):
            print(f"   {line}", file=sys.stderr)
        if not selected_tasks:
            what = f"no image is for this machine's platform, {host_platform()}: see doit list"
            print(as_called(what), file=sys.stderr)

    def execute_task(self, task: Any) -> None:
        """The report shows the steps of each node itself."""

    def skip_uptodate(self, task: Any) -> None:
        """The summary names the nodes that were reused."""

    def add_failure(self, task: Any, fail: Any) -> None:
        self.failures.append({"task": task, "exception": fail})
        error = self.app.failures.get(task.name)
        if error is not None:
            report = self.app.workspace.report
            report.failed(str(task.meta["node"]), error.what)
            report.close()
            self.write(f"ERROR: {as_called(error)}\n")
            self.status = self.status or error.exit_status
        elif fail.get_name() != "UnmetDependency":
            self._write_failure({"task": task, "exception": fail})

    def complete_run(self) -> None:
        if self.runtime_errors:
            super().complete_run()
        workspace = self.app.workspace
        workspace.report.close()
        self._finish_pushes()
        summary = workspace.report.summary()
        if summary:
            self.write(summary + "\n")
            try:
                workspace.report.write(workspace.project.cache / "last-run.json")
            except StagegraphError as error:
                print(f"warning: {error}", file=sys.stderr)
        if self.status and not _is_ending():
            sys.exit(self.status)

    def _finish_pushes(self) -> None:
        """Wait for the pushes; report each error once, and take the first one's status."""
        workspace = self.app.workspace
        if _is_ending():
            if pending := workspace.delivery.pending_pushes:
                workspace.report.warn(f"interrupted: {pending} pushes to the registry are not done")
            return
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


def _with_subtasks(tasks: Any, names: Iterable[str]) -> list[str]:
    """Return the tasks of these names, and those that they name: a group names images for platforms."""
    found = list(dict.fromkeys(names))
    for name in found:
        if tasks[name].has_subtask or "group" in (tasks[name].meta or {}):
            found += [each for each in tasks[name].task_dep if each not in found]
    return found


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
