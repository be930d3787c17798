"""``doit rebuild``: nodes again, without the builder's cache, as if they had never been built."""

from __future__ import annotations

import functools
from typing import Any

from ...errors import ProjectError
from ...execution.rebuild import Rebuilding
from ...system.text import listed
from .. import app as apps
from ..goals import resolve_goals
from ..help import Example
from .run import Run

#: How many nodes the last line names.
_LISTED = 6


class Rebuild(Run):
    doc_purpose = "build nodes again, without the builder's cache"
    section = "maintain"
    doc_usage = "GOAL ... [NAME=VALUE ...] [OPTION ...]"
    doc_description = (
        "Builds each node that you name as if it had never been built: it ignores the stores and the "
        "builder's cache. Missing parents are built or pulled first, as in a run. For an image, this is the "
        "node of its own stage; then the image is tested, loaded and tagged.\n\n"
        "The new image replaces the old one when it is complete. A run that is stopped before keeps the old "
        "one. The summary says whether the image differs and which files do.\n\n"
        "If it differs, the next run decides by content about every node that uses it: a node that sees "
        "no difference is reused, another one is built.\n\n"
        "With a registry, the new image replaces the old one there too. A cache mount (RUN "
        "--mount=type=cache) belongs to the builder and keeps its content."
    )

    examples = (
        Example("rebuild {goal}", "its own node again, then test, load and tag it", "engine"),
        Example("rebuild {goal} -v", "with the builder's output", "engine"),
    )

    def execute(self, params: Any, args: Any) -> Any:
        if not args:
            what = "rebuild takes the nodes to build again"
            raise ProjectError("command line", what, "doit rebuild STAGE:PLATFORM; doit list --all has all")
        return super().execute(params, args)

    @functools.wraps(Run._execute)
    def _execute(self, **options: Any) -> Any:
        workspace = apps.current().workspace
        workspace.rebuilt = frozenset(resolve_goals(workspace.graph, list(self.sel_tasks)).nodes)
        try:
            return super()._execute(**options)
        finally:  # a failed rebuild of one node leaves what the others changed
            nodes = workspace.nodes
            if isinstance(nodes, Rebuilding) and (names := nodes.unsettled()):
                workspace.report.note(f"the next run decides by content about {listed(names, _LISTED)}")
