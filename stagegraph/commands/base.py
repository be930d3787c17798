"""What the commands share: loading the project, options, JSON, errors as one message with an exit status."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from doit.cmd_base import DoitCmdBase

from ..errors import StagegraphError
from .manners import Manners

if TYPE_CHECKING:
    from ..session import Session


def flag(name: str, help_text: str) -> dict[str, Any]:
    """An option that is on or off, as doit wants it declared."""
    # doit hands it to the parameter of this name
    option = {"name": name.replace("-", "_"), "short": "", "long": name}
    return {**option, "type": bool, "default": False, "help": help_text}


OPT_JSON = flag("json", "print JSON")


class Command(Manners, DoitCmdBase):  # type: ignore[misc]
    """A command that prints facts. Its ``_execute`` names its options, as doit wants, and calls ``run``."""

    doc_usage = "[STAGE:PLATFORM | IMAGE:PLATFORM | STAGE | IMAGE ...]"
    cmd_options: tuple[dict[str, Any], ...] = (OPT_JSON,)

    def run(self, words: list[str] | None, **flags: bool) -> int:
        """Answer; the exit status."""
        from .. import tasks
        from ..tools import arm_signals

        try:
            arm_signals()
            # doit reads options before names only; people write them behind as well
            written = {name: f"--{name.replace('_', '-')}" for name in flags}
            behind = {*written.values()} & set(words or ())
            given = {name for name, on in flags.items() if on or written[name] in behind}
            names = [word for word in words or () if word not in behind]
            return self.answer(tasks.session(), names, given)
        except StagegraphError as error:
            print(f"ERROR: {error}", file=sys.stderr)
            return error.exit_status
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130

    def answer(self, session: Session, words: list[str], flags: set[str]) -> int:
        """Print the answer; the exit status. Raises ``StagegraphError``."""
        raise NotImplementedError


def print_json(value: object) -> None:
    print(json.dumps(value, indent=1))
