"""The texts of help: at most 80 columns, with examples that name goals of this project."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import StagegraphError
from . import folder, program

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

WIDTH = 80

#: The sections of the list of commands, in its order.
SECTIONS = {
    "everyday": "Every day",
    "look": "Look closer",
    "maintain": "Maintain",
    "ci": "CI and publishing",
    "move": "Move to stagegraph, and away",
}

_GOAL = (
    "A GOAL is IMAGE:PLATFORM, STAGE:PLATFORM or GROUP:PLATFORM. IMAGE, STAGE or GROUP alone means all its "
    "platforms."
)


#: What an example needs to run.
NEEDS = {
    "": "a project",
    "engine": "a project, and a goal that is built",
    "registry": "the same, and a registry",
    "trust": "a project with [trust], and a goal that is built",
    "a failure": "a project, and a goal whose step failed in the last run",
    "two builds": "a project, and a goal that was built, edited, and built again",
    "packages": "an image that has apt, and the network; no test runs it",
    "a person": "somebody who ends it; no test runs it",
}


class Example(NamedTuple):
    """A call, without the program's name, and what it is for. A test runs it.

    ``call`` may have the fields of ``placeholders``. ``needs`` is a key of ``NEEDS``.
    """

    call: str
    meaning: str
    needs: str = ""


def placeholders(root: Path | None) -> dict[str, str]:
    """Return words for examples: those of the project in ``root``; or their kinds, also if it is broken."""
    words = {
        "goal": "IMAGE:PLATFORM",
        "image": "IMAGE",
        "platform": "PLATFORM",
        "alternative": "STAGE=ALTERNATIVE",
        "registry": "HOST",
    }
    try:
        return words | _of_project(root) if root else words
    except StagegraphError:
        return words


def _of_project(root: Path) -> dict[str, str]:
    from ..project import loader
    from .goals import default_goals

    project = loader.load(root, {}, {})
    goals = default_goals(project) or [f"{i.name}:{p}" for i in project.images.values() for p in i.platforms]
    swaps = [f"{s.name}={a}" for s in project.stages.values() for a in s.alternatives]
    words = {"alternative": swaps[0]} if swaps else {}
    if goals:
        image, _, platform = goals[0].partition(":")
        words |= {"goal": goals[0], "image": image, "platform": platform}
    return words


def overview(commands: Mapping[str, Any]) -> str:
    """Return the help of the program: how to call it, and its commands by section."""
    called = program.name()
    lines = [
        f"Usage: {called} [GOAL ...] [NAME=VALUE ...] [OPTION ...]",
        f"       {called} COMMAND ...",
        "",
        "Build families of Docker images: only what changed. Options may stand before or",
        "behind goals.",
        "",
        *_wrapped(f"{_GOAL} Without goals: the images for this machine's platform."),
    ]
    commands = {"run": commands["run"], **commands}
    for section, title in SECTIONS.items():
        rows = [(_call(name), kind.doc_purpose) for name, kind in commands.items() if kind.section == section]
        if rows:
            lines += ["", f"{title}:", *_table(rows, 12)]
    run = commands["run"]
    lines += ["", "Examples:", *_examples(run.examples)]
    more = [(f"{called} help COMMAND", "what a command does, its options and examples"),
            (f"{called} help run --all", "doit's own options, too"),
            ("stagegraph --version", "the version")]  # fmt: skip
    lines += ["", "More:", *_table(more, 28)]
    return "\n".join(lines)


def _call(name: str) -> str:
    return "GOAL ..." if name == "run" else name


def of_command(kind: Any, *, everything: bool = False) -> str:
    """Return the help of one command. ``everything``: with the options that are doit's own."""
    name = "" if kind.get_name() == "run" else f" {kind.get_name()}"
    usage = f"Usage: {program.name()}{name} {kind.doc_usage}".rstrip()
    lines = textwrap.wrap(usage, WIDTH, subsequent_indent="       ", break_on_hyphens=False)
    lines += ["", *_wrapped(f"{kind.doc_purpose[:1].upper()}{kind.doc_purpose[1:]}.")]
    for paragraph in (kind.doc_description or "").split("\n\n"):
        lines += ["", *_wrapped(paragraph)] if paragraph else []
    if "GOAL" in kind.doc_usage:
        lines += ["", *_wrapped(_GOAL)]
    rows = [(written(option), _text(option)) for option in kind.shown_options()]
    lines += ["", "Options:", *_table([*rows, ("-h, --help", "print this text")], 20)]
    if everything and (rest := _of_doit(kind)):
        lines += ["", "Options of doit:", *_table(rest, 20)]
    if name == "":
        lines += ["", "Settings:", *_settings()]
    if kind.examples:
        lines += ["", "Examples:", *_examples(kind.examples)]
    if not everything and len(kind.cmd_options) > len(kind.shown_options()):
        lines += ["", f"doit's own options: {program.name()} help {kind.get_name()} --all"]
    return "\n".join(lines)


def written(option: Any) -> str:
    """Return how an option is written: ``-n N, --process N``."""
    value = "" if option.type is bool else f" {'N' if option.type is int else option.metavar}"
    names = [f"-{option.short}"] if option.short else []
    return ", ".join(f"{name}{value}" for name in [*names, *([f"--{option.long}"] if option.long else [])])


def _text(option: Any) -> str:
    return " ".join(str(option.help % {"default": option.default}).split())


def _of_doit(kind: Any) -> list[tuple[str, str]]:
    """Return the options that doit itself gives to a command, except those that have no meaning here."""
    from doit.cmd_base import DodoTaskLoader
    from doit.cmdparse import CmdOption

    shown = {option.name for option in kind.shown_options()} | kind.without_meaning
    all_options = (*kind.cmd_options, *DodoTaskLoader.cmd_options)
    options = [CmdOption(option) for option in all_options if option["name"] not in shown]
    return [(written(option), _text(option)) for option in options if option.short or option.long]


def _settings() -> list[str]:
    from ..project.schema import SETTING_MEANINGS, SETTINGS

    rows = [(f"{name}=", SETTING_MEANINGS[name].replace("`", "")) for name in SETTINGS]
    rows.append(("STAGE=ALTERNATIVE", "The alternative to use of a stage."))
    return [*_table(rows, 20), *_wrapped("In the environment: STAGEGRAPH_REPO and so on.")]


def _examples(examples: Iterable[Example]) -> list[str]:
    words = placeholders(folder.project(nearest=True))
    rows = [(f"{program.name()} {each.call.format(**words)}".rstrip(), each.meaning) for each in examples]
    widest = max(len(call) for call, _ in rows)
    if widest + max(len(meaning) for _, meaning in rows) + 4 <= WIDTH:
        return _table(rows, widest + 2)
    return [line for call, meaning in rows for line in (f"  {call}", f"      {meaning}")]


def _table(rows: Iterable[tuple[str, str]], width: int) -> list[str]:
    """Return two columns; the first is ``width`` wide. A longer word has a line of its own."""
    lines = []
    for left, right in rows:
        text = _wrapped(right, WIDTH - width - 2) or [""]
        first = f"  {left:<{width}}{text[0]}" if len(left) < width else f"  {left}"
        lines.append(first.rstrip())
        lines += [f"{'':<{width + 2}}{line}" for line in (text[1:] if len(left) < width else text)]
    return lines


def _wrapped(text: str, width: int = WIDTH) -> list[str]:
    return textwrap.wrap(program.as_called(text), width, break_on_hyphens=False, break_long_words=False)


def of_goal(name: str, description: str) -> str:
    """Return the help of a goal: what it is, and calls about it."""
    called = program.name()
    rows = [(f"{called} {name}", "build, pull or reuse it"), (f"{called} plan {name}", "what a run would do")]
    return "\n".join([f"{name}: {description}", "", *_table(rows, max(len(c) for c, _ in rows) + 2)])
