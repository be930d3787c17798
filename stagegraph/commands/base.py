"""What the commands share: loading the project, JSON, errors as one message with an exit status."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from doit.cmd_base import DoitCmdBase

from ..errors import StagegraphError

if TYPE_CHECKING:
    from ..model import Node
    from ..session import Session

OPT_JSON = {"name": "json", "short": "", "long": "json", "type": bool, "default": False, "help": "print JSON"}


class Command(DoitCmdBase):  # type: ignore[misc]
    """A command that prints facts about nodes."""

    doc_usage = "[STAGE:PLATFORM | IMAGE:PLATFORM | STAGE | IMAGE ...]"
    cmd_options: tuple[dict[str, Any], ...] = (OPT_JSON,)
    #: Whether an image's test counts among the nodes that an image stands for.
    with_tests = False

    def _execute(self, json: bool = False, pos_args: list[str] | None = None) -> int:
        from .. import tasks

        try:
            words = list(pos_args or [])
            # doit reads options before names only; people write them behind as well
            as_json = json or "--json" in words
            goals = tasks.resolve_goals([word for word in words if word != "--json"], tests=self.with_tests)
            self.answer(tasks.session(), goals, as_json=as_json)
        except StagegraphError as error:
            print(f"ERROR: {error}", file=sys.stderr)
            return error.exit_status
        return 0

    def answer(self, session: Session, goals: list[Node], *, as_json: bool) -> None:
        """Print the answer. Raises ``StagegraphError``."""
        raise NotImplementedError


def print_json(value: object) -> None:
    print(json.dumps(value, indent=1))
