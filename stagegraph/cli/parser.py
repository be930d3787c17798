"""The words of a command line -> options and goals. Options may stand before, between and behind goals."""

from __future__ import annotations

from typing import Any

from doit.cmdparse import CmdParse, CmdParseError, DefaultUpdate


class Parser(CmdParse):  # type: ignore[misc]
    """doit's parser, which reads options before the first word only, called again behind each word.

    ``tasks_have_options``: a task that a ``dodo.py`` adds may have options of its own behind its name. So an
    unknown option behind a goal is left to doit. ``unread`` is then the error, in case doit knows no such
    option either.
    """

    def __init__(self, options: Any, *, tasks_have_options: bool = False) -> None:
        super().__init__(options)
        self.tasks_have_options = tasks_have_options
        self.unread: CmdParseError | None = None

    def parse(self, in_args: list[str]) -> tuple[Any, list[str]]:
        """Return the values of all options, and the other words."""
        params, words = super().parse(in_args)
        return params or DefaultUpdate(), words  # for a command without options doit returns another type

    def parse_only(self, in_args: list[str], params: Any = None) -> tuple[Any, list[str]]:
        """Return the values of options, and the other words. All behind ``--`` are words."""
        end = in_args.index("--") if "--" in in_args else len(in_args)
        rest, words, behind = in_args[:end], list[str](), in_args[end + 1 :]
        while True:
            try:
                params, rest = super().parse_only(rest, params)
            except CmdParseError as error:
                if not (words and self.tasks_have_options):
                    raise
                self.unread = error
                return params, [*words, *rest, *behind]
            if not rest:
                return params, [*words, *behind]
            words.append(rest.pop(0))
