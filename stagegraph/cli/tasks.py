"""The graph as doit tasks. A project's ``dodo.py`` says ``from stagegraph.tasks import *``.

``setup`` is what planning needs: a task that is up to date never looks at its setup tasks; one that is not
runs them first, each once, siblings in parallel.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import doit.doit_cmd
from doit.exceptions import TaskFailed
from doit.reporter import ConsoleReporter

from ..errors import ProjectError, StagegraphError, nearest
from ..execution.workspace import Workspace
from ..graph import goals as asked
from ..oci.platform import host_platform
from ..project import stacks
from ..project.model import BASE, Bootstrap, ExternalBase, Node
from ..system.processes import arm_signals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ..graph.goals import Goals

__all__ = ["DOIT_CONFIG", "task_images", "task_stages"]


def root() -> Path:
    """The project's folder: where doit found ``dodo.py``, which is its working folder."""
    return Path.cwd()


def fail(error: StagegraphError) -> NoReturn:
    """End the program with the error's message and exit status."""
    print(f"ERROR: {error}", file=sys.stderr)
    sys.exit(error.exit_status)


def given() -> dict[str, str]:
    """``NAME=VALUE`` words of the command line."""
    return dict(doit.doit_cmd._CMDLINE_VARS or {})


_session: Workspace | None = None


def session() -> Workspace:
    """The one session of this process."""
    global _session
    if _session is None:
        try:
            arm_signals()
            _session = Workspace.open(root(), given())
        except StagegraphError as error:
            fail(error)
    return _session


class Reporter(ConsoleReporter):  # type: ignore[misc]
    """doit's events -> the report; the process ends with the status of the first error."""

    desc = "progress and summary of a build graph"

    def __init__(self, outstream: Any, options: Any) -> None:
        super().__init__(outstream, options)
        self.status = 0

    def initialize(self, tasks: Any, selected_tasks: Any) -> None:
        """Nothing to say before the first node."""
        try:
            session().begin()
        except StagegraphError as error:
            fail(error)
        if not selected_tasks:
            print(
                f"no image is for this machine's platform, {host_platform()}: see doit list",
                file=sys.stderr,
            )
        try:
            _check_tags([tasks[name].meta or {} for name in _with_subtasks(tasks, selected_tasks)])
        except StagegraphError as error:
            fail(error)

    def execute_task(self, task: Any) -> None:
        """The session says what is going on, step by step."""

    def skip_uptodate(self, task: Any) -> None:
        """The summary names what was reused."""

    def add_failure(self, task: Any, fail: Any) -> None:
        self.failures.append({"task": task, "exception": fail})
        error = _errors.get(task.name)
        if error is not None:
            report = session().report
            report.failed(str(task.meta["node"]), error.what)
            report.close()
            self.write(f"ERROR: {error}\n")
            self.status = self.status or error.exit_status
        elif fail.get_name() != "UnmetDependency":
            self._write_failure({"task": task, "exception": fail})

    def complete_run(self) -> None:
        if self.runtime_errors:
            super().complete_run()
        report = session().report
        report.close()
        self._flush()
        summary = report.summary()
        if summary:
            self.write(summary + "\n")
            try:
                report.write(session().project.cache / "last-run.json")
            except StagegraphError as error:
                print(f"warning: {error}", file=sys.stderr)
        if self.status and not _on_the_way_out():
            sys.exit(self.status)

    def _flush(self) -> None:
        """End the pushes before anything is said of them; one that failed ends in its status, said once."""
        if _on_the_way_out():
            if owed := session().owed:
                session().report.warn(f"interrupted: {owed} pushes to the registry are not done")
            return
        said: set[str] = set()
        for node, error in session().flush():
            session().report.failed(str(node), error.what)
            if str(error) not in said:
                self.write(f"ERROR: {error}\n")
            said.add(str(error))
            self.status = self.status or error.exit_status


def _on_the_way_out() -> bool:
    """Whether an interrupt ends the program: doit then still asks its reporter for the end of the run."""
    return isinstance(sys.exc_info()[1], (KeyboardInterrupt, SystemExit))


def _with_subtasks(tasks: Any, names: Iterable[str]) -> Iterator[str]:
    for name in names:
        yield name
        if tasks[name].has_subtask:
            yield from tasks[name].task_dep


def _check_tags(metas: Iterable[dict[str, Any]]) -> None:
    """Raises ``ProjectError`` where two images of this run would get one tag; the last would win."""
    named: dict[str, str] = {}
    for meta in metas:
        if "node" in meta and "image" in meta:
            image, platform = meta["image"], meta["node"].platform
            tag, name = session().project.tag(image, platform), f"{image}:{platform}"
            if named.setdefault(tag, name) != name:
                what = f"{named[tag]} and {name} would both be called {tag}"
                raise ProjectError("command line", what, "ask for one of them when tag= is given")


_errors: dict[str, StagegraphError] = {}

_refused: dict[str, StagegraphError] = {}


def _guard(name: str, call: Callable[[], object]) -> Callable[[], Any]:
    """An action whose errors become a failed task with a message, never a traceback."""

    def action() -> Any:
        try:
            if name in _refused:
                raise _refused[name]
            call()
        except StagegraphError as error:
            _errors[name] = error
            return TaskFailed(str(error))
        return True

    return action


def _question(ask: Callable[[], bool]) -> Callable[[Any], bool]:
    """An up-to-date check whose errors become those of the task, which then needs no setup any more.

    Ending the program here would end what other threads are building.
    """

    def answer(task: Any) -> bool:  # doit gives the task to a parameter of this name
        try:
            return ask()
        except StagegraphError as error:
            _refused[task.name] = error
            task.setup_tasks.clear()
            return False

    return answer


def _build_name(node: Node) -> str:
    """doit's name of the task that makes a node."""
    return asked.alone(session().project, node)


def _build_task(node: Node) -> dict[str, Any]:
    current = session()
    name = _build_name(node)
    is_test = current.project.tested_by(node.stage) is not None
    try:
        parents = [_build_name(parent) for parent in current.graph.parents(node)]
    except StagegraphError as error:
        # only a run that needs this node is told
        return _broken(name, node, error)
    return {
        "name": node.platform,
        "actions": [_guard(name, lambda: current.make(node))],
        "uptodate": [_question(lambda: (current.passed if is_test else current.ready)(node))],
        "setup": parents,
        "doc": f"{_description(node)} for {node.platform}",
        "meta": {"node": node},
    }


def _broken(name: str, node: Node, error: StagegraphError) -> dict[str, Any]:
    def raise_it() -> None:
        raise error

    return {
        "name": node.platform,
        "actions": [_guard(name, raise_it)],
        "uptodate": [False],
        "doc": f"broken: {error.what}",
        "meta": {"node": node},
    }


def _description(node: Node) -> str:
    if node.stage == BASE:
        base = session().project.bases[node.platform]
        if isinstance(base, Bootstrap):
            return f"{base.suite} from the distribution's archive"
        return "what everything stands on"
    return (
        session().project.stages[node.stage].description
        or f"the stage in {session().project.stages[node.stage].configs[node.platform].context}"
    )


def task_stages() -> Iterator[dict[str, Any]]:
    """One group a stage, one task a platform."""
    current = session()
    wanted = _wanted()
    for stage in dict.fromkeys(node.stage for node in wanted):
        hidden = stage in current.project.images
        group = f"_{stage}" if hidden else stage
        yield {
            "basename": group,
            "name": None,
            "doc": _description(Node(stage, next(iter(current.project.platforms)))),
            "meta": {"stage": stage},
        }
        for node in wanted:
            if node.stage == stage:
                yield {**_build_task(node), "basename": group}


@cache
def _wanted() -> list[Node]:
    """Nodes to make tasks for: those that the run can come to, or all where that cannot be told."""
    current = session()
    try:
        _ = current.graph
    except StagegraphError as error:  # stages.lock
        fail(error)
    names = None if asked.words is None else asked.words or _default_tasks()
    try:
        if names is not None and (found := asked.closure(current.graph, names)) is not None:
            return [node for node in current.graph.nodes if node in found]
        current.graph.order(current.graph.nodes)
    except ProjectError as error:
        if asked.words is not None:  # doit would go round in a cycle; other commands tell it themselves
            fail(error)
    except StagegraphError:
        pass  # a broken stage concerns those who ask for it
    return current.graph.nodes


def task_images() -> Iterator[dict[str, Any]]:
    """One group an image, one task a platform: built, loaded into the engine, tagged."""
    current, wanted = session(), set(_wanted())
    for image in current.project.images.values():
        yield {"basename": image.name, "name": None, "doc": image.description, "meta": {"image": image.name}}
        for platform in image.platforms:
            made = {Node(image.stage, platform), current.project.test(image.name, platform)} - {None}
            if made <= wanted:
                yield _image_task(current, image.name, Node(image.stage, platform))


def _image_task(current: Workspace, image: str, node: Node) -> dict[str, Any]:
    name = f"{image}:{node.platform}"
    test = current.project.test(image, node.platform)
    return {
        "basename": image,
        "name": node.platform,
        "actions": [_guard(name, lambda: current.deliver(image, node))],
        "uptodate": [_question(lambda: current.delivered(image, node))],
        "setup": [_build_name(node), *([_build_name(test)] if test else [])],
        "doc": f"{current.project.images[image].description} -> {current.project.tag(image, node.platform)}",
        "meta": {"node": node, "image": image},
    }


def resolve_goals(names: list[str], *, tests: bool = False, keep_going: bool = False) -> Goals:
    """Nodes for words of a command line: ``STAGE:PLATFORM``, ``IMAGE:PLATFORM``, or a stage or image alone.

    Without words: every node that can be keyed. An image from outside that this machine cannot ask for is no
    reason to say nothing of the others; nor, with ``keep_going``, is anything else. Who is left out is told
    on stderr, once a cause. ``tests``: an image's test is a goal too. Raises ``ProjectError`` with the
    nearest known word.
    """
    graph = session().graph
    wanted = graph.nodes if not names else list[Node]()
    known = asked.named(graph, tests=tests)
    for name in names:
        if name not in known:
            raise unknown_goal(name, (word for word in known if not word.startswith("_")))
        wanted += known[name]
    goals = asked.keyed(graph, dict.fromkeys(wanted), by_name=bool(names), keep_going=keep_going)
    for out in goals.left_out:
        print(f"warning: {out}", file=sys.stderr)
    return goals


def unknown_goal(name: str, words: Iterable[str], commands: Iterable[str] = ()) -> ProjectError:
    """The error for a word that is none of ``words``; of a known stage or image it names the platforms.

    ``commands`` might be meant as well.
    """
    platforms = session().project.platforms
    what, _, platform = name.partition(":")
    if platform and f"{what}:{next(iter(platforms))}" in (words := [*words]):
        called = [p.name for p in platforms.values() if platform in (p.docker, p.arch)]
        hint = f"{platform} is called {' or '.join(called)} here" if called else nearest(platform, platforms)
        return ProjectError("command line", f"no platform {platform!r}", hint)
    base = session().project.bases.get(platform)
    if what == BASE and isinstance(base, ExternalBase):
        return ProjectError("command line", f"{name} is the image {base.image}", "there is nothing to build")
    if not platform:
        words = [*dict.fromkeys(word.partition(":")[0] for word in words), *commands]
    on_others = stacks.standing(session().project.stages.values(), what)
    hint = f"it stands on others, as {' or '.join(on_others)}" if on_others else nearest(name, words)
    return ProjectError("command line", f"no stage or image {name!r}", hint)


def _default_tasks() -> list[str]:
    """Images for this machine's own platform, but for those that want to be asked for."""
    project = session().project
    own = [p.name for p in project.platforms.values() if p.docker == host_platform()][:1]
    images = [image for image in project.images.values() if image.default]
    return [f"{image.name}:{p}" for image in images for p in own if p in image.platforms]


def _jobs() -> int:
    """How many nodes are built at once; doit's -n overrides."""
    said = os.environ.get("STAGEGRAPH_JOBS") or "2"
    if not said.isdecimal() or int(said) < 1:
        fail(ProjectError("STAGEGRAPH_JOBS", f"{said!r} is no number of jobs", "a whole number, 1 at least"))
    return int(said)


def _config() -> dict[str, Any]:
    return {
        "reporter": Reporter,
        "default_tasks": _default_tasks(),
        "num_process": _jobs(),
        "par_type": "thread",
        "verbosity": 2,
        "backend": "memory",
    }


DOIT_CONFIG = _config()
