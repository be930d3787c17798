"""The text of a RUN -> the commands of its shell, as far as words can tell.

Pure. It follows the token rules of the POSIX shell (Shell Command Language, 2.3). It expands nothing: a word
keeps ``$NAME`` as it is written. It runs nothing: commands in functions and conditions count like others.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .instructions import Instruction

SHELLS = frozenset(("sh", "bash", "dash", "ash", "zsh", "ksh"))

#: Words of the shell before a command.
_KEYWORDS = frozenset(("!", "{", "do", "elif", "else", "exec", "if", "then", "time", "until", "while"))

#: Programs that start the command behind their options; options that take the next word.
_WRAPPERS: Mapping[str, frozenset[str]] = {
    "command": frozenset(),
    "doas": frozenset(("-u",)),
    "eatmydata": frozenset(),
    "env": frozenset(("-u", "--unset", "-C", "--chdir")),
    "nice": frozenset(("-n",)),
    "nohup": frozenset(),
    "sudo": frozenset(("-u", "-g", "-h", "-p", "-C")),
    "xargs": frozenset(("-I", "-L", "-n", "-P", "-s", "-d", "-a", "-E")),
}

#: The same for programs whose first word, after the options, is not the command.
_WRAPPERS_WITH_WORD = {
    "gosu": frozenset[str](),
    "su-exec": frozenset[str](),
    "timeout": frozenset(("-k", "-s")),
}

_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*\+?=", re.ASCII)

_REDIRECTION = re.compile(r"\d*(?:<<-|<<<|<<|<>|<&|>>|>&|>\||&>>|&>|<|>)", re.ASCII)

_HEREDOC = re.compile(r"\d*<<-?", re.ASCII)

_CLOSING = {"(": ")", "{": "}"}


class Command(NamedTuple):
    """One simple command: its words, without assignments, redirections, and words that only start it.

    ``name`` is the program without its folder, as it is called. ``started`` is the command's first word as
    the text has it.
    """

    words: tuple[str, ...]
    started: str

    @property
    def name(self) -> str:
        return posixpath.basename(self.words[0])

    @property
    def arguments(self) -> tuple[str, ...]:
        return self.words[1:]

    def __str__(self) -> str:
        return " ".join((self.name, *self.arguments))


def commands(run: Instruction) -> Iterator[Command]:
    """Yield the commands of a RUN in the order of the text, with those of its inline files."""
    if run.canonical[2] and run.cmd == "RUN":  # a JSON array
        yield from _command(list(run.value), {})
        return
    texts = {name: content for name, _, content in run.heredocs}
    yield from _commands(" ".join(run.value), texts)


def _commands(text: str, texts: Mapping[str, str]) -> Iterator[Command]:
    """Yield the commands of a script. ``texts`` are inline files that are not part of it, by name."""
    for simple in _Lexer(text).run():
        inline = {name: simple.texts.get(name, texts.get(name, "")) for name in simple.inline}
        yield from _command(simple.words, inline)
        for inner in simple.inner:
            yield from _commands(inner, {})


def _command(words: list[str], inline: Mapping[str, str]) -> Iterator[Command]:
    """Yield a command, and those of a script that a shell gets as a word or as an inline file."""
    rest = _started(words)
    if rest and not rest[0].startswith("#"):
        yield Command(tuple(rest), words[len(words) - len(rest)])
    name = posixpath.basename(rest[0]) if rest else "sh"
    if rest and name in (*SHELLS, "su") and (script := _script(rest)) is not None:
        yield from _commands(script, {})
    elif name in SHELLS:
        for content in inline.values():
            if not content.startswith("#!") or re.match(r"#!.*\b(ba|da|a|z|k)?sh\b", content):
                yield from _commands(content, {})


def _started(words: list[str]) -> list[str]:
    """Return the words of the command that is started, without assignments and programs that start it."""
    rest = list(words)
    while rest:
        name = posixpath.basename(rest[0])
        if rest[0] in _KEYWORDS or _ASSIGNMENT.match(rest[0]):
            rest = rest[1:]
        elif name in _WRAPPERS:
            rest = _behind_options(rest[1:], _WRAPPERS[name])
        elif name in _WRAPPERS_WITH_WORD:
            rest = _behind_options(rest[1:], _WRAPPERS_WITH_WORD[name])[1:]
        else:
            return [] if name in ("for", "case", "select", "function") else rest
    return []


def _behind_options(words: list[str], valued: frozenset[str]) -> list[str]:
    place = 0
    while place < len(words) and words[place].startswith("-"):
        place += 2 if words[place] in valued else 1
    return words[place:]


def _script(words: list[str]) -> str | None:
    """Return the script of ``sh -c SCRIPT``; None if there is none."""
    for place, word in enumerate(words[1:], 1):
        if re.fullmatch(r"-[a-z]*c", word) or word == "--command":
            return next(iter(words[place + 1 :]), None)
    return None


@dataclass
class _Simple:
    """A command as the lexer finds it.

    ``inner`` are the texts of command substitutions. ``inline`` are the names of its inline files, ``texts``
    the contents of those that are in the script.
    """

    words: list[str] = field(default_factory=list)
    inner: list[str] = field(default_factory=list)
    inline: list[str] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)


class _Lexer:
    """One pass over one script. An open quote or bracket ends with the text."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self.now, self.waiting = _Simple(), list[tuple[_Simple, str, bool]]()

    def run(self) -> Iterator[_Simple]:
        while self.at < len(self.text):
            char = self.text[self.at]
            if self.text.startswith("\\\n", self.at):
                self.at += 2
            elif char in " \t\r":
                self.at += 1
            elif char == "#":
                end = self.text.find("\n", self.at)
                self.at = end if end >= 0 else len(self.text)
            elif (found := _REDIRECTION.match(self.text, self.at)) and not self._is_substitution(found):
                self._redirection(found)
            elif char in "\n;&|()":
                done, self.now = self.now, _Simple()
                self.at += 1
                if char == "\n":
                    self._bodies()
                yield done
            else:
                self.now.words.append(self._word())
        yield self.now

    def _is_substitution(self, operator: re.Match[str]) -> bool:
        """Return True for ``<(COMMAND)``."""
        return operator[0] in ("<", ">") and self.text.startswith("(", operator.end())

    def _redirection(self, operator: re.Match[str]) -> None:
        self.at = operator.end()
        while self.text[self.at : self.at + 1] in (" ", "\t"):
            self.at += 1
        target = self._word()
        if _HEREDOC.fullmatch(operator[0]):
            self.now.inline.append(target)
            self.waiting.append((self.now, target, operator[0].endswith("-")))

    def _bodies(self) -> None:
        """Read the inline files that begin at the next line."""
        for owner, name, tabs in self.waiting:
            lines = list[str]()
            while self.at < len(self.text):
                end = self.text.find("\n", self.at)
                line = self.text[self.at : end if end >= 0 else len(self.text)]
                self.at += len(line) + 1
                line = line.lstrip("\t") if tabs else line
                if line == name:
                    break
                lines.append(line)
            owner.texts[name] = "\n".join(lines)
        self.waiting = []

    def _word(self) -> str:
        """Read one word: without quotes, with expansions as they are written."""
        word = ""
        while self.at < len(self.text):
            char = self.text[self.at]
            if char in " \t\r\n;|)" or (char in "&(<>" and not (char in "<>" and self._opens_substitution())):
                break
            if char == "'":
                word += self._until("'")
            elif char == '"':
                word += self._double()
            elif char == "\\":
                word += self.text[self.at + 1 : self.at + 2].replace("\n", "")
                self.at += 2
            else:
                word += self._plain()
        return word

    def _opens_substitution(self) -> bool:
        return self.text.startswith("(", self.at + 1)

    def _double(self) -> str:
        self.at += 1
        word = ""
        while self.at < len(self.text) and self.text[self.at] != '"':
            if self.text[self.at] == "\\":
                word += self.text[self.at + 1 : self.at + 2].replace("\n", "")
                self.at += 2
            else:
                word += self._plain()
        self.at += 1
        return word

    def _plain(self) -> str:
        """Read one character, or one expansion."""
        start, char = self.at, self.text[self.at]
        opening = self.text[self.at + 1 : self.at + 2]
        if char == "`":
            self.now.inner.append(self._until("`"))
        elif (char == "$" and opening in ("(", "{")) or (char in "<>" and opening == "("):
            self.at += 1
            inner = self._bracket(opening, _CLOSING[opening])
            if opening == "(" and not inner.startswith("("):
                self.now.inner.append(inner)
        else:
            self.at += 1
        return self.text[start : self.at]

    def _until(self, quote: str) -> str:
        """Read from one quote to the next, and past it."""
        end = self.text.find(quote, self.at + 1)
        end = end if end >= 0 else len(self.text)
        text, self.at = self.text[self.at + 1 : end], end + 1
        return text

    def _bracket(self, opening: str, closing: str) -> str:
        """Read from a bracket to the one that closes it, and past it."""
        start, depth = self.at + 1, 0
        while self.at < len(self.text):
            char = self.text[self.at]
            if char == "\\":
                self.at += 1
            elif char == "'":
                self._until("'")
                continue
            depth += (char == opening) - (char == closing)
            self.at += 1
            if depth == 0:
                return self.text[start : self.at - 1]
        return self.text[start:]
