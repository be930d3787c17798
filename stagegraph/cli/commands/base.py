"""What the commands share: loading the project, options, JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from doit.cmd_base import DoitCmdBase

from ...errors import ProjectError
from .errors import Manners

if TYPE_CHECKING:
    from ...execution.workspace import Workspace


def flag(name: str, help_text: str) -> dict[str, Any]:
    """An option that is on or off, as doit wants it declared."""
    # doit hands it to the parameter of this name
    option = {"name": name.replace("-", "_"), "short": "", "long": name}
    return {**option, "type": bool, "default": False, "help": help_text}


def option(name: str, help_text: str) -> dict[str, Any]:
    """An option with a value; "" where it is not given."""
    return {**flag(name, help_text), "type": str, "default": ""}


OPT_JSON = flag("json", "print JSON")

OPT_KEEP_GOING = flag("keep-going", "leave out what cannot be keyed, say so, and end with its exit status")


class Command(Manners, DoitCmdBase):  # type: ignore[misc]
    """A command that prints facts. Its ``_execute`` names its options, as doit wants, and calls ``run``."""

    doc_usage = "[STAGE:PLATFORM | IMAGE:PLATFORM | STAGE | IMAGE ...]"
    cmd_options: tuple[dict[str, Any], ...] = (OPT_JSON,)

    def run(self, words: list[str] | None, **options: bool | str) -> int:
        """Answer; the exit status. ``options`` are those of the command, as doit has read them."""
        from ...system.processes import arm_signals
        from .. import tasks

        arm_signals()
        names, options = _read_behind(words or [], options)
        self.values = {name: value for name, value in options.items() if isinstance(value, str)}
        given = {name for name, value in options.items() if value is True}
        return self.answer(tasks.session(), names, given)

    def answer(self, session: Workspace, words: list[str], flags: set[str]) -> int:
        """Print the answer; the exit status. Raises ``StagegraphError``.

        ``flags`` are the options that are on; those with a value are in ``self.values``.
        """
        raise NotImplementedError


def _read_behind(words: list[str], options: dict[str, bool | str]) -> tuple[list[str], dict[str, bool | str]]:
    """Names, and options with those that stand behind names: doit reads the ones before names only.

    Raises ``ProjectError`` for an option without its value.
    """
    known = {f"--{name.replace('_', '-')}": name for name in options}
    names, rest = list[str](), iter(words)
    for word in rest:
        written, equals, value = word.partition("=")
        name = known.get(written)
        if name is None:
            names.append(word)
        elif isinstance(options[name], bool) and not equals:
            options[name] = True
        elif isinstance(options[name], str):
            options[name] = value if equals else next(rest, "")
            if not options[name]:
                raise ProjectError("command line", f"{written} wants a value", f"{written}=VALUE")
        else:
            names.append(word)
    return names, options


def print_json(value: object) -> None:
    print(json.dumps(value, indent=1))
