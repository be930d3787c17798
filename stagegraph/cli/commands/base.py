"""The base of the commands that answer a question: options as a data class, words, JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from doit.cmd_base import DoitCmdBase

from ...errors import ProjectError
from .. import app as apps
from .errors import ErrorMessages

if TYPE_CHECKING:
    from ..app import App


def flag(help_text: str) -> Any:
    """An option that is on or off."""
    return field(default=False, metadata={"help": help_text, "type": bool})


def option(help_text: str) -> Any:
    """An option with a value; "" where it is not given."""
    return field(default="", metadata={"help": help_text, "type": str})


def number(help_text: str, default: int, short: str = "") -> Any:
    """An option with a whole number. ``short`` is its name of one letter, "" for none."""
    return field(default=default, metadata={"help": help_text, "type": int, "short": short})


@dataclass(frozen=True)
class JsonOption:
    """The options of a command that has no others."""

    json: bool = flag("print JSON")


@dataclass(frozen=True)
class KeepGoing(JsonOption):
    """The options of a command that can leave out nodes."""

    keep_going: bool = flag("leave out nodes without a key, list them, and end with the status of the error")


def doit_options(options_type: type[Any]) -> tuple[dict[str, Any], ...]:
    """The options of a data class, declared as doit wants them."""
    return tuple(
        {
            "name": declared.name,
            "short": declared.metadata.get("short", ""),
            "long": declared.name.replace("_", "-"),
            "type": declared.metadata["type"],
            "default": declared.default,
            "help": declared.metadata["help"],
        }
        for declared in fields(options_type)
    )


OptionsT = TypeVar("OptionsT")


class Command(ErrorMessages, DoitCmdBase, Generic[OptionsT]):  # type: ignore[misc]
    """A command that prints facts. ``options_type`` declares its options."""

    doc_usage = "[STAGE:PLATFORM | IMAGE:PLATFORM | GROUP:PLATFORM | STAGE | IMAGE | GROUP ...]"
    options_type: ClassVar[type[Any]] = JsonOption
    cmd_options: tuple[dict[str, Any], ...] = ()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.cmd_options = doit_options(cls.options_type)

    def get_options(self) -> list[Any]:
        """doit calls this. An option of doit's own gives its long name to one of this command."""
        found, own = super().get_options(), {option["long"] for option in self.cmd_options}
        names = {option["name"] for option in self.cmd_options}
        for each in found:
            if each.long in own and each.name not in names:
                each.long = ""
        return list(found)

    def execute(self, params: Any, args: list[str]) -> int:
        """doit calls this. It needs no task, so none is made; doit only changes to the folder of dodo.py."""
        self.loader.setup(params)
        values = {declared.name: params[declared.name] for declared in fields(self.options_type)}
        words, values = _read_behind(args, values)
        return self.answer(apps.current(), words, self.options_type(**values))

    def answer(self, app: App, words: list[str], options: OptionsT) -> int:
        """Print the answer and return the exit status. Raises ``StagegraphError``."""
        raise NotImplementedError


def _read_behind(words: list[str], options: dict[str, Any]) -> tuple[list[str], dict[str, Any]]:
    """Return the words, and the options with those that follow words: doit reads options before words only.

    Raises ``ProjectError`` for an option without its value.
    """
    known = {f"--{name.replace('_', '-')}": name for name in options}
    names, rest, options = list[str](), iter(words), dict(options)
    for word in rest:
        written, equals, value = word.partition("=")
        name = known.get(written)
        if name is None or (isinstance(options[name], bool) and equals):
            names.append(word)
        elif isinstance(options[name], bool):
            options[name] = True
        else:
            value = value if equals else next(rest, "")
            if not value:
                raise ProjectError("command line", f"{written} wants a value", f"{written}=VALUE")
            options[name] = _number(written, value) if isinstance(options[name], int) else value
    return names, options


def _number(option: str, value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise ProjectError("command line", f"{option}={value} is not a whole number", f"{option}=5") from None


def print_json(value: object) -> None:
    print(json.dumps(value, indent=1))
