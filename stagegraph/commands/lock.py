"""``doit lock``: the one way, besides an editor, in which ``stages.lock`` changes what it says."""

from __future__ import annotations

import sys
from typing import Any

from doit.cmd_base import DoitCmdBase

from ..errors import ProjectError, StagegraphError, nearest
from ..lock import FILE


class Lock(DoitCmdBase):  # type: ignore[misc]
    doc_purpose = "show or renew what stages.lock pins"
    doc_usage = "[archive | images [REFERENCE ...]]"
    doc_description = (
        "archive: takes today's date for the package archive, so that all that installs packages is built "
        "anew. images: pins what the images' tags name now. Without a word: shows what is pinned."
    )
    cmd_options: tuple[dict[str, Any], ...] = ()

    def _execute(self, pos_args: list[str] | None = None) -> int:
        from .. import tasks

        what, *references = pos_args or [""]
        try:
            lock = tasks.session().graph.lock
            if what and lock.locked:
                raise ProjectError("command line", f"locked=1 forbids to change {FILE}", "run without it")
            match what:
                case "":
                    lines = lock.lines()
                case "archive":
                    lines = lock.renew_archive()
                case "images":
                    lines = lock.renew_images(references)
                case _:
                    raise ProjectError(
                        "command line", f"lock knows no {what!r}", nearest(what, ["archive", "images"])
                    )
        except StagegraphError as error:
            print(f"ERROR: {error}", file=sys.stderr)
            return error.exit_status
        print("\n".join(lines))
        return 0
