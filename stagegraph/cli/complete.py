"""Words that a shell completes: goals, commands, options, settings and their values.

``stagegraph _complete SHELL WORD ...`` prints one candidate on each line: the word, and for zsh and fish a
tab and its meaning. The line ``:files`` asks the shell to complete names of files. A shell waits for the
answer whenever somebody presses Tab. So this imports only what it needs, and prints nothing about an error.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import StagegraphError
from ..output import say
from ..project import schema
from ..waits.waiting import WAITS
from . import folder, names

if TYPE_CHECKING:
    from ..project.model import Project

FILES = ":files"

#: A word, and its meaning.
Candidate = tuple[str, str]


class Line(NamedTuple):
    """A command line: the words that are complete, and the one at the cursor."""

    words: list[str]
    current: str


def main(words: list[str]) -> int:
    """Print the candidates for a shell's words. Return the exit status, which is always 0."""
    WAITS.tell = lambda _: None  # whoever presses Tab has no place for a message
    try:
        shell, *rest = words
        if shell == "bash":
            line = split(rest[0])
            found = [word for word, _ in candidates(line, meanings=False)]
            say("\n".join(_behind_break(line.current, found, rest[1])))
        else:
            line = Line(rest[:-1], rest[-1])
            say("\n".join(f"{word}\t{text}" if text else word for word, text in candidates(line)))
    except (StagegraphError, OSError, ValueError, IndexError):
        pass
    return 0


def split(text: str) -> Line:
    """Return the words of a command line up to the cursor, without the program."""
    for end in ("", "'", '"'):  # a quote may be open
        try:
            words = shlex.split(text + end)
        except ValueError:
            continue
        return Line(words[1:], "") if text[-1:].isspace() and not end else Line(words[1:-1], words[-1])
    return Line([], "")


def _behind_break(current: str, found: Iterable[str], breaks: str) -> Iterable[str]:
    """Return the part of each candidate that bash puts in: what is behind the last of ``breaks``."""
    last = max((current.rfind(character) for character in "=:" if character in breaks), default=-1)
    return [candidate if candidate == FILES else candidate[last + 1 :] for candidate in found]


def candidates(line: Line, *, meanings: bool = True) -> list[Candidate]:
    """Return the words that may stand at the cursor. Raises ``StagegraphError`` for a broken project."""
    commands = {point.name: point for point in entry_points(group="doit.COMMAND") if _is_ours(point)}
    words = [word for word in line.words if word.startswith("-") or "=" not in word]
    plain = next((word for word in words if not word.startswith("-")), "")
    name = plain if plain in commands else "run"
    if line.current.startswith("-") or (line.words[-1:] and line.words[-1].startswith("-")):
        kind = commands[name].load()
        if (values := _option_values(kind, line)) is not None:
            return values
        if line.current.startswith("-"):
            return _starting(_options(kind), line.current)
    if "=" in line.current:
        return _starting(_setting_values(line.current.partition("=")[0]), line.current)
    if name != "run":
        kinds = commands[name].load().completes
        return [each for kind in kinds for each in _of_kind(kind, line.current)]
    first = [] if plain else _commands("", meanings=meanings)
    return [*_starting(first, line.current), *_of_kind("@goals", line.current)]


def _is_ours(point: EntryPoint) -> bool:
    return point.module.startswith("stagegraph.")


def _starting(found: Iterable[Candidate], current: str) -> list[Candidate]:
    return [each for each in found if each[0].startswith(current) or each[0] == FILES]


def _of_kind(kind: str, current: str) -> list[Candidate]:
    """Return the candidates of a kind, or the literal word."""
    return _starting(KINDS[kind](current) if kind in KINDS else [(kind, "")], current)


def _project() -> Project | None:
    """Return the project of the working folder, without settings: a wrong one is no reason for silence."""
    root = folder.find(folder.working())
    if root is None:
        return None
    from ..project import loader

    return loader.load(root, {}, {})


def _goals(current: str) -> list[Candidate]:
    """Return names of goals and settings; goals with platforms only if one name begins like the word."""
    if (project := _project()) is None:
        return []
    found, (written, colon, _) = names.described(project), current.partition(":")
    if "--" not in written:  # what a stack adds is built by the name of its image
        found = {name: text for name, text in found.items() if "--" not in name or name in project.images}
    matching = [name for name in found if (name == written if colon else name.startswith(written))]
    goals = [(name, found[name]) for name in matching]
    if len(matching) == 1:
        (name,) = matching
        goals += [(f"{name}:{platform}", found[name]) for platform in names.platforms(project, name)]
    settings = [(f"{name}=", schema.SETTING_MEANINGS[name]) for name in schema.SETTINGS]
    settings += [(f"{name}=", "another alternative of the stage") for name in names.alternatives(project)]
    return goals + [(word, text.partition(". ")[0].replace("`", "")) for word, text in settings]


def _images(_: str) -> list[Candidate]:
    if (project := _project()) is None:
        return []
    found = names.described(project)
    return [(name, found[name]) for name in (*project.images, *project.groups)]


def _commands(_: str, *, meanings: bool = True) -> list[Candidate]:
    """Return the commands. Their meanings are in their classes, whose import takes a while."""
    points = [each for each in entry_points(group="doit.COMMAND") if _is_ours(each) and each.name != "run"]
    points = [each for each in points if not each.module.endswith(".replaced")]
    return sorted((each.name, str(each.load().doc_purpose) if meanings else "") for each in points)


def _options(kind: Any) -> list[Candidate]:
    options = [*kind.shown_options()]
    written = [(f"--{each.long}{'' if each.type is bool else '='}", str(each.help)) for each in options]
    return [*written, ("--help", "print the help of the command")]


def _option_values(kind: Any, line: Line) -> list[Candidate] | None:
    """Return the values of the option at the cursor; None if there is no option that takes one."""
    before = line.words[-1] if line.words else ""
    written, equals, _ = line.current.partition("=")
    option = written if equals and written.startswith("-") else before
    for each in kind.shown_options():
        if each.type is not bool and option in (f"--{each.long}", f"-{each.short}"):
            return [(FILES, "")] if each.metavar == "PATH" else []
    return None


def _setting_values(name: str) -> list[Candidate]:
    project = _project()
    if name == "push":
        values = [*schema.PUSH]
    elif name == "locked":
        values = ["1"]
    elif name == "registry":
        values = [os.environ.get("STAGEGRAPH_REGISTRY", ""), project.settings.registry if project else ""]
    elif name == "repo":
        values = [project.settings.repo if project else ""]
    else:
        values = names.alternatives(project).get(name, []) if project else []
    return [(f"{name}={value}", "") for value in dict.fromkeys(values) if value]


#: Kinds of words, by the name that a command's ``completes`` has.
KINDS: dict[str, Callable[[str], list[Candidate]]] = {
    "@goals": _goals,
    "@images": _images,
    "@commands": _commands,
    "@files": lambda _: [(FILES, "")],
    "@folders": lambda _: [(FILES, "")],
}
