"""Words of a Dockerfile -> their values, as BuildKit's lexer expands them (frontend/dockerfile/shell/lex.go).

Pure. This is a lexer of our own because it answers two questions that no library answers. Is the result
known although some variables are not? Would this word end the builder? BuildKit 0.13 (Docker 26) panics at
``${V#PATTERN}`` and ``${V%PATTERN}`` if the pattern expands to nothing (``word[0]`` of an empty string).
BuildKit is part of Docker's engine, so the panic ends the builds of all users. A pattern with unknown
variables may be empty and is refused as well; ``##`` and ``%%`` are never empty. The text of a RUN is refused
only if the panic is certain, since most of its variables are the shell's.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_SPECIAL = "@*#?-$!0"


class EndsBuilderError(ValueError):
    """A word that ends the builder of Docker 26."""


@dataclass(frozen=True)
class Piece:
    """A value. ``known``: all of it is known; otherwise ``text`` has only the known parts."""

    text: str = ""
    known: bool = True

    def __add__(self, other: Piece) -> Piece:
        return Piece(self.text + other.text, self.known and other.known)


def process(word: str, lookup: Callable[[str], Piece | None], escape: str, *, quotes: bool = True) -> Piece:
    """Return ``word`` with variables and quotes resolved, as in COPY, ENV and most other instructions.

    ``lookup`` returns the value of a name: None if it is not set, an unknown piece if only the build knows.
    ``quotes``: remove quotes; otherwise they are ordinary characters. Raises ``ValueError`` for a word that
    BuildKit refuses, ``EndsBuilderError`` for one that may end the builder.
    """
    return _Lexer(word, lookup, escape, quotes).run()


def check_shell(text: str, lookup: Callable[[str], Piece | None], escape: str) -> None:
    """Raise ``EndsBuilderError`` for the text of a RUN that is certain to end the builder.

    BuildKit expands the text only for the step's name (``processCmdEnv``). It keeps quotes and variables that
    are not set, and accepts words that its lexer refuses elsewhere. Most variables are the shell's, so it is
    certain only if the variable is set and the pattern is empty.
    """
    try:
        _Lexer(text, lookup, escape, quotes=True, for_run=True).run()
    except EndsBuilderError:
        raise
    except ValueError:
        pass


class _Lexer:
    """One pass over one word. ``for_run``: by the rules for the text of a RUN."""

    def __init__(
        self,
        word: str,
        lookup: Callable[[str], Piece | None],
        escape: str,
        quotes: bool,
        for_run: bool = False,
    ) -> None:
        self.word, self.lookup, self.escape, self.quotes, self.for_run = word, lookup, escape, quotes, for_run
        self.at = 0

    def run(self) -> Piece:
        try:
            return self._until("", raw=False)
        except RecursionError:
            raise ValueError("too deeply nested") from None

    def _peek(self) -> str:
        return self.word[self.at : self.at + 1]

    def _next(self) -> str:
        char = self._peek()
        self.at += 1
        return char

    def _ordinary(self, special: str) -> Piece:
        """Read the characters before the next of the ``special`` ones."""
        start = self.at
        while self.at < len(self.word) and self.word[self.at] not in special:
            self.at += 1
        return Piece(self.word[start : self.at])

    def _until(self, stop: str, *, raw: bool) -> Piece:
        """Read up to ``stop`` and past it; "" for the end. ``raw``: keep escapes, for a pattern."""
        special = f"{stop}${self.escape}" + ("'\"" if self.quotes else "")
        out = self._ordinary(special)
        while char := self._peek():
            if char == stop:
                self.at += 1
                return out
            if char == "$":
                out += self._dollar()
            elif self.quotes and char == "'":
                out += self._single()
            elif self.quotes and char == '"':
                out += self._double(raw)
            else:
                self.at += 1
                if char == self.escape:
                    out += Piece(char if raw else "")
                    char = self._next()
                out += Piece(char)
            out += self._ordinary(special)
        if stop:
            raise ValueError(f"unexpected end of statement while looking for matching {stop}")
        return out

    def _single(self) -> Piece:
        end = self.word.find("'", self.at + 1)
        if end < 0:
            raise ValueError("unexpected end of statement while looking for matching single-quote")
        text = self.word[self.at + 1 : end]
        self.at = end + 1
        return Piece(f"'{text}'" if self.for_run else text)

    def _double(self, raw: bool) -> Piece:
        self.at += 1
        quote = Piece('"' if self.for_run else "")
        special = f'"${self.escape}'
        out = quote + self._ordinary(special)
        while char := self._peek():
            if char == "$":
                out += self._dollar() + self._ordinary(special)
                continue
            self.at += 1
            if char == '"':
                return out + quote
            if char == self.escape:
                out += Piece(char if raw else "")
                if not self._peek():
                    continue
                if self._peek() in ('"', "$", self.escape):
                    char = self._next()
            out += Piece(char) + self._ordinary(special)
        raise ValueError("unexpected end of statement while looking for matching double-quote")

    def _dollar(self) -> Piece:
        self.at += 1
        if self._peek() != "{":
            name = self._name()
            return self._plain(name, f"${name}") if name else Piece("$")
        self.at += 1
        if not self._peek():
            raise ValueError("syntax error: missing '}'")
        if self._peek() in "{}:":
            raise ValueError("syntax error: bad substitution")
        name = self._name()
        operator = self._next()
        if operator == "}":
            return self._plain(name, f"${{{name}}}")
        if operator == "/":
            return self._replaced(name)
        start = self.at - 1
        empty_is_unset = operator == ":"
        if empty_is_unset:
            operator = self._next()
        elif operator not in tuple("+-?#%"):
            raise ValueError(f"unsupported modifier ({operator}) in substitution")
        word = self._until("}", raw=operator in tuple("#%"))
        value = self.lookup(name)
        if value is None and self.for_run:
            return Piece(f"${{{name}{self.word[start : self.at]}")
        if operator in tuple("#%"):
            trimmed = self._trimmed(name, operator, word, value)
            if not empty_is_unset:  # a colon here: BuildKit 0.13 ignores it, later ones refuse it
                return trimmed
        if operator not in tuple("+-?"):
            raise ValueError(f"unsupported modifier (:{operator}) in substitution")
        return _chosen(name, operator, word, value, empty_is_unset)

    def _plain(self, name: str, written: str) -> Piece:
        value = self.lookup(name)
        return Piece(written if self.for_run else "") if value is None else value

    def _trimmed(self, name: str, operator: str, pattern: Piece, value: Piece | None) -> Piece:
        value = value or Piece()
        if not pattern.text and (not self.for_run or (pattern.known and value.known)):
            raise EndsBuilderError(f"${{{name}{operator}...}}")
        if not pattern.known or not value.known:
            return Piece(known=False)
        greedy = pattern.text.startswith(operator)
        text = pattern.text[greedy:]
        if operator == "#":
            return Piece(_trim(text, value.text, greedy))
        return Piece(_trim(_reversed(text), value.text[::-1], greedy)[::-1])

    def _replaced(self, name: str) -> Piece:
        every = self._peek() == "/"
        self.at += every
        start = self.at
        pattern = self._until("/", raw=True)
        by = self._until("}", raw=True)
        value = self.lookup(name)
        if value is None and self.for_run:
            return Piece(f"${{{name}/{self.word[start : self.at]}")
        value = value or Piece()
        # in a replacement for all matches, Go reads "$" as the name of a group: only the build knows
        if not (pattern.known and by.known and value.known) or (every and "$" in by.text):
            return Piece(known=False)
        return Piece(_replace(_regex(pattern.text, greedy=True), by.text, value.text, every))

    def _name(self) -> str:
        """Read a name: letters, digits and ``_``; only digits after a first digit; or a special character."""
        start, char = self.at, self._peek()
        if char and _is_digit(char):
            while _is_digit(self._peek()):
                self.at += 1
        elif char and char in _SPECIAL:
            self.at += 1
        else:
            while (char := self._peek()) and (char == "_" or char.isalpha() or _is_digit(char)):
                self.at += 1
        return self.word[start : self.at]


def _chosen(name: str, operator: str, word: Piece, value: Piece | None, empty_is_unset: bool) -> Piece:
    """Return ``${NAME-WORD}``, ``${NAME+WORD}`` or ``${NAME?WORD}``, also with a colon.

    Raises ``ValueError`` where ``?`` refuses a variable that is not set.
    """
    if value is not None and not value.known and not (empty_is_unset and value.text):
        return Piece(known=False)
    unset = value is None or (empty_is_unset and not value.text)
    if operator == "+":
        return Piece() if unset else word
    if not unset:
        assert value is not None
        return value
    if operator == "-":
        return word
    raise ValueError(f"{name}: {word.text or 'is not allowed to be unset'}")


def _is_digit(char: str) -> bool:
    return bool(char) and unicodedata.category(char) == "Nd"


def _regex(pattern: str, *, greedy: bool) -> re.Pattern[str]:
    """Return a shell pattern (``*``, ``?``, no brackets) as a regular expression. Raises ``ValueError``.

    What stands between two stars takes its first place, and no other one is tried (an atomic group): only the
    last star decides where the match ends. So the time does not grow exponentially with the stars.
    """
    pieces, index = [""], 0
    while index < len(pattern):
        char = pattern[index]
        index += 1
        if char == "*":
            if pieces[-1] or len(pieces) == 1:
                pieces.append("")
        elif char == "?":
            pieces[-1] += "."
        elif char == "\\":
            char = pattern[index : index + 1]
            if char and char in "}/":
                continue  # the escape is for ${}, not for the pattern
            if not char or char not in "*?\\":
                raise ValueError(f"invalid pattern ({pattern}) in substitution: invalid escape '\\{char}'")
            index += 1
            pieces[-1] += re.escape(char)
        else:
            pieces[-1] += re.escape(char)
    first, *starred = pieces
    last = f".*{starred.pop()}" if greedy and starred else ""
    return re.compile("".join([first, *(f"(?>.*?{piece})" for piece in starred), last]))


def _trim(pattern: str, value: str, greedy: bool) -> str:
    match = _regex(pattern, greedy=greedy).match(value)
    return value[match.end() :] if match else value


def _reversed(pattern: str) -> str:
    """Return a pattern reversed, with its escapes kept: ``a\\*c`` becomes ``c\\*a``."""
    return "".join(reversed(re.findall(r"\\.|.", pattern, re.DOTALL)))


def _replace(pattern: re.Pattern[str], by: str, value: str, every: bool) -> str:
    """Replace matches as Go's ``ReplaceAllString`` does: no empty match right behind another match."""
    out, end = "", 0
    last = -1
    for match in pattern.finditer(value):
        if match.start() == match.end() == last:
            continue
        out += value[end : match.start()] + by
        end = last = match.end()
        if not every:
            break
    return out + value[end:]
