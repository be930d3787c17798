"""``doit logs``: what the builder printed for a node, and the attempts whose logs are kept."""

from __future__ import annotations

import datetime
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...errors import ProjectError, StoreError
from ...execution import history, last_run
from ...keys.spec import history_name
from ...output import Lines, printable, say, tell, write_exact
from ...system.files import relative_path
from ...system.text import human_size
from ..goals import one_node
from ..help import Example
from .base import Command, flag, print_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...build.log import Attempt
    from ...project.model import Node
    from ..app import App

#: Seconds between two looks at a log that grows.
_PAUSE = 0.2

_CHUNK = 1 << 16


@dataclass(frozen=True)
class Options:
    follow: bool = flag("print what a running build adds, until it ends", "f")
    failed: bool = flag("the last failed attempt; without a node: of all nodes that failed in the last run")
    list: bool = flag("list the attempts: time, outcome, size")
    json: bool = flag("with --list: print JSON")


class Logs(Command[Options]):
    options_type = Options
    section = "everyday"
    doc_purpose = "print the builder's log of a node"
    doc_usage = "[STAGE:PLATFORM | IMAGE:PLATFORM]"
    doc_description = (
        "Prints the log of the last attempt to build the node: all that its steps printed. The last five "
        "attempts of each node are kept in cache/logs.\n\n"
        "doit logs --failed prints the logs of all nodes that failed in the last run. doit logs --list lists "
        "the attempts of all nodes, or of the one that you name."
    )
    examples = (
        Example("logs {goal}", "what the builder printed", "engine"),
        Example("logs {goal} -f", "the same of a build that runs, until it ends", "engine"),
        Example("logs --failed", "the logs of all nodes that failed in the last run", "a failure"),
        Example("logs --list", "all attempts: time, outcome, size"),
    )

    def answer(self, app: App, words: list[str], options: Options) -> int:
        if options.json and not options.list:
            raise ProjectError("command line", "--json is only for --list", "doit logs --list --json")
        if options.list:
            return _list(app, words, options)
        if options.failed and not words:
            return _failed_in_last_run(app)
        node = one_node(app.workspace.graph, words, "logs")
        found = _attempts(app, node)
        if options.failed:
            found = [each for each in found if each.outcome == "failed"]
        if not found:
            what = "no failed attempt to build it is known here" if options.failed else "was not built here"
            raise StoreError(str(node), what, "doit logs --list shows what there is")
        if options.follow and found[-1].outcome != "running":
            tell(f"no build of {node} runs now; this is the log of the last one")
        _print(found[-1], follow=options.follow)
        return 0


def _attempts(app: App, node: Node) -> list[Attempt]:
    """Return the attempts to build a node, with the alternative that is chosen now; oldest first."""
    from ...build.log import attempts

    project = app.workspace.project
    stage = project.stages.get(node.stage)
    alternative = stage.configs[node.platform].alternative if stage else ""
    return attempts(app.workspace.layout.folder.below("logs"), history_name(node, alternative))


def _print(attempt: Attempt, *, follow: bool) -> None:
    with attempt.open() as file:
        lines = Lines()
        while True:
            grows = follow and attempt.is_running()  # asked before the last look
            while data := file.read(_CHUNK):
                write_exact(sys.stdout, lines.feed(data))
            if not grows:
                write_exact(sys.stdout, lines.end())
                return
            sys.stdout.flush()
            time.sleep(_PAUSE)


# -- the last run --------------------------------------------------------------------------------------


def _failed_in_last_run(app: App) -> int:
    layout = app.workspace.layout
    run = last_run.read(layout)
    if run is None:
        path = relative_path(layout.folder.path / history.LAST_RUN)
        raise StoreError(path, "there is no such file: no run ended here", "doit")
    failed = [node for node in run.nodes if node.decision == "failed"]
    if not failed:
        say("no node failed in the last run")
    since = datetime.datetime.fromisoformat(run.started)
    nodes = {str(node): node for node in app.workspace.graph.nodes}
    for node in failed:
        attempts = _attempts(app, nodes[node.node]) if node.node in nodes else []
        last = next((each for each in reversed(attempts) if each.outcome == "failed"), None)
        if last and last.started and last.started >= since:
            say(f"==> {node.node}, {_when(last)} <==")
            _print(last, follow=False)
        else:
            why = "\n".join(map(printable, node.reason.splitlines()))
            say(f"==> {printable(node.node)} <==\nfailed before its build began: {why}")
        say()
    return 0


# -- the list ------------------------------------------------------------------------------------------


def _list(app: App, words: list[str], options: Options) -> int:
    graph = app.workspace.graph
    nodes = [one_node(graph, words, "logs --list")] if words else graph.nodes
    rows = [(node, each) for node in nodes for each in _attempts(app, node)]
    rows = [row for row in rows if not options.failed or row[1].outcome == "failed"]
    if options.json:
        print_json({"schema": 1, "attempts": [_to_json(*row) for row in rows]})
    elif rows:
        say("\n".join(_table(rows)))
    else:
        say("no logs: nothing was built here")
    return 0


def _table(rows: list[tuple[Node, Attempt]]) -> Iterator[str]:
    width = max(len(str(node)) for node, _ in rows)
    for node, each in rows:
        path = printable(relative_path(each.folder.path / each.name))
        size = human_size(each.size)
        yield f"{node!s:<{width}}  {_when(each):<19}  {each.outcome:<11}  {size:>8}  {path}"


def _when(attempt: Attempt) -> str:
    """Return when an attempt began, in this machine's time."""
    return f"{attempt.started.astimezone():%Y-%m-%d %H:%M:%S}" if attempt.started else ""


def _to_json(node: Node, attempt: Attempt) -> dict[str, object]:
    return {
        "node": str(node),
        "started": attempt.started.isoformat(timespec="seconds") if attempt.started else None,
        "outcome": attempt.outcome,
        "bytes": attempt.size,
        "path": relative_path(attempt.folder.path / attempt.name),
    }
