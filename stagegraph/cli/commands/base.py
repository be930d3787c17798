"""The base of the commands that answer a question: options as a data class, words, JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from doit.cmd_base import DoitCmdBase

from ...output import cleaned, say
from .. import app as apps
from .. import folder
from .errors import ErrorMessages, Place

if TYPE_CHECKING:
    from ..app import App


def flag(help_text: str, short: str = "") -> Any:
    """An option that is on or off. ``short`` is its name of one letter, "" for none."""
    return field(default=False, metadata={"help": help_text, "type": bool, "short": short})


def option(help_text: str) -> Any:
    """An option with a value; "" where it is not given."""
    return field(default="", metadata={"help": help_text, "type": str})


def path_option(help_text: str) -> Any:
    """An option with a path; "" where it is not given. The user gives it relative to the working folder."""
    return field(default="", metadata={"help": help_text, "type": str, "path": True})


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
            "metavar": "PATH" if declared.metadata.get("path") else "VALUE",
        }
        for declared in fields(options_type)
    )


OptionsT = TypeVar("OptionsT")


class _WithOptions(ErrorMessages, Generic[OptionsT]):
    """A command with ``options_type``, a data class that declares its options."""

    options_type: ClassVar[type[Any]] = JsonOption
    cmd_options: tuple[dict[str, Any], ...] = ()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.cmd_options = doit_options(cls.options_type)

    def _options(self, params: Any) -> Any:
        values = {}
        for declared in fields(self.options_type):
            value = params[declared.name]
            values[declared.name] = folder.given(value) if declared.metadata.get("path") else value
        return self.options_type(**values)


class Command(_WithOptions[OptionsT], DoitCmdBase):  # type: ignore[misc]
    """A command about the project that prints facts."""

    doc_usage = "[GOAL ...]"

    def get_options(self) -> list[Any]:
        """doit calls this. An option of doit's own gives its names to options of this command."""
        found, own = super().get_options(), {option["name"] for option in self.cmd_options}
        taken = {name for option in self.cmd_options for name in (option["long"], option["short"]) if name}
        for each in found:
            if each.name not in own:
                each.long = "" if each.long in taken else each.long
                each.short = "" if each.short in taken else each.short
        return list(found)

    def execute(self, params: Any, args: list[str]) -> int:
        """doit calls this. It needs no task, so none is made; doit only changes to the folder of dodo.py."""
        self.loader.setup(params)
        return self.answer(apps.current(), args, self._options(params))

    def answer(self, app: App, words: list[str], options: OptionsT) -> int:
        """Print the answer and return the exit status. Raises ``StagegraphError``."""
        raise NotImplementedError


class Detached(_WithOptions[OptionsT]):
    """A command that needs no project, and reads no ``dodo.py``."""

    place = Place.HERE
    completes: ClassVar[tuple[str, ...]] = ()

    def execute(self, params: Any, args: list[str]) -> int:
        """doit calls this."""
        return self.answer(args, self._options(params))

    def answer(self, words: list[str], options: OptionsT) -> int:
        """Print the answer and return the exit status. Raises ``StagegraphError``."""
        raise NotImplementedError


def print_json(value: object) -> None:
    """Print facts as JSON. Texts in it are cleaned, since whoever reads them may print them."""
    say(json.dumps(cleaned(value), indent=1))
