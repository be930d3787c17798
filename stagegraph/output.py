r"""The one place that prints. Only text leaves it: no command for a terminal, and no secret that is known.

Names, versions, Dockerfiles, records, and what builders and registries say may hold any character. A terminal
obeys some of them: an escape sequence moves the cursor, renames the window or answers in the user's name. A
page shows others in an order that they do not have. So every text is cleaned where it leaves the program:

- Secrets that ``hide`` knows are replaced by ``***``.
- Characters that no output can show are written as Python writes them: ``\x1b``, ``\u202e``. These are all
  that ``str.isprintable`` refuses: the control characters C0 and C1 and DEL, marks that change the direction
  of text or cannot be seen (https://trojansource.codes), separators of lines and paragraphs, halves of
  surrogate pairs, and code points without a character.
- Line breaks and tabs stay, since they are layout; so do the spaces and joiners of ``_OF_LANGUAGES``.

A test looks for other prints in the program.
"""

from __future__ import annotations

import json
import re
import sys
import threading
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Characters of the shortest secret that is hidden. A shorter one is found in too many words.
LEAST = 4

#: Words of this program's own, which mean something in its JSON. They are never hidden.
_OWN = frozenset(
    (
        *("build", "pull", "reuse", "failed", "done", "built", "pulled", "reused", "cached", "canceled"),
        *("interrupted", "running", "unknown", "stage", "test", "external", "from", "copy", "node", "step"),
        *("load", "push", "look-up", "same", "moved", "true", "false", "null", "none"),
    )
)

_STARS = "***"

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")

#: Space characters of French and of East Asia; the joiners of Persian, of scripts of India, and of emoji.
_OF_LANGUAGES = frozenset("\xa0\u202f\u3000\u200c\u200d")

_UNUSUAL = re.compile(r"[^\n\t -~]+")

#: Sequences that set a colour, move a cursor, name a window, or send a string to a terminal (ECMA-48, 5.3 to
#: 5.6, 8.3.89 and the like). A string that does not end on its line is none.
_SEQUENCES = (  # compiled at its first use: most calls print no output of programs
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-~]"
)


# -- characters --------------------------------------------------------------------------------------


def printable(text: str) -> str:
    """Return a name or a value on one line: line breaks and tabs are escaped, too."""
    return text if text.isprintable() else "".join(c if c.isprintable() else _escaped(c) for c in text)


def shown(text: str) -> str:
    """Return a text as every output can show it, without the secrets that are known."""
    return _UNUSUAL.sub(_run, masked(text).replace("\r\n", "\n"))


def without_sequences(text: str) -> str:
    """Return what a program printed without its colours and other commands for a terminal."""
    return re.sub(_SEQUENCES, "", text)


def plain(output: bytes) -> str:
    """Return lines that a program printed as text, and nothing else."""
    return shown(without_sequences(output.decode("utf-8", "surrogateescape")))


def _run(match: re.Match[str]) -> str:
    run = match[0]
    if run.isprintable():
        return run
    return "".join(c if c.isprintable() or c in _OF_LANGUAGES else _escaped(c) for c in run)


def _escaped(char: str) -> str:
    if "\udc80" <= char <= "\udcff":  # a byte that is not UTF-8 (PEP 383)
        return f"\\x{ord(char) - 0xDC00:02x}"
    return ascii(char)[1:-1]


def cleaned(value: Any) -> Any:
    """Return a value for JSON or for a page, with all texts in it as ``shown`` returns them."""
    if isinstance(value, str):
        text = value if _DIGEST.fullmatch(value) else shown(value)
        return value if text == value else text
    if isinstance(value, dict):
        return {cleaned(name): cleaned(each) for name, each in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):  # a NamedTuple
        return type(value)(*map(cleaned, value))
    if isinstance(value, list | tuple | set | frozenset):
        return type(value)(map(cleaned, value))
    return value


# -- secrets -----------------------------------------------------------------------------------------


class Mask:
    """Finds secrets in texts. A secret of several lines is hidden line by line.

    Only the value itself is known: its base64, a part of it, or its letters in another order are not found.
    """

    def __init__(self) -> None:
        self._public, self._values = _OWN, frozenset[str]()
        self._longest = 0
        self._by_head: dict[str, list[str]] = {}  # by their first LEAST characters, the longest first
        self._heads: re.Pattern[str] | None = None
        self._lock = threading.Lock()

    def spare(self, names: Iterable[str]) -> None:
        """Never hide these names, which everybody knows. Values that are added later may be the same."""
        self._public |= frozenset(names)

    def add(self, values: Iterable[str]) -> None:
        """Hide these values from now on."""
        lines = {line.strip() for value in values for line in value.splitlines()}
        secret = {line for line in lines if len(line) >= LEAST and line not in self._public}
        with self._lock:
            new = self._values.union(*map(_forms, secret))
            if new != self._values:
                self._set(new)

    def _set(self, new: frozenset[str]) -> None:
        by_head: dict[str, list[str]] = {}
        for value in sorted(new, key=len, reverse=True):
            by_head.setdefault(value[:LEAST], []).append(value)
        self._longest = max(map(len, new))
        # another thread may read meanwhile: the pattern comes last
        self._values, self._by_head = new, by_head
        self._heads = re.compile(_one_of(by_head))

    def masked(self, text: str) -> str:
        """Return a text with three stars for each value in it."""
        pieces, end = list[str](), 0
        for start, stop in self._spans(text):
            pieces += [text[end:start], _STARS]
            end = stop
        return "".join([*pieces, text[end:]]) if pieces else text

    def unfinished(self, text: str) -> int:
        """Return where a value may begin whose rest is still to come; the text's length for nowhere."""
        for start in range(max(len(text) - self._longest + 1, 0), len(text)):
            tail = text[start:]
            known = [tail[:LEAST]] if len(tail) >= LEAST else [*self._by_head]
            values = (value for head in known for value in self._by_head.get(head, ()))
            if any(len(value) > len(tail) and value.startswith(tail) for value in values):
                return next((first for first, stop in self._spans(text) if first < start < stop), start)
        return len(text)

    def _spans(self, text: str) -> list[tuple[int, int]]:
        """The places of values, in order; those that overlap are one."""
        spans, at = list[tuple[int, int]](), 0
        while self._heads and (match := self._heads.search(text, at)):
            start, at = match.start(), match.start() + 1
            for value in self._by_head[match[0]]:
                if text.startswith(value, start):
                    before = spans.pop() if spans and start <= spans[-1][1] else (start, start)
                    spans.append((before[0], max(before[1], start + len(value))))
                    break
        return spans


def _forms(line: str) -> set[str]:
    """A value, and what messages and JSON make of it."""
    dumped = (json.dumps(line, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False))
    return {line, printable(line), repr(line)[1:-1], *dumped}


def _one_of(words: Iterable[str]) -> str:
    """A pattern for words of one length. It shares their starts: thousands of words cost what a few do."""
    rests: dict[str, list[str]] = {}
    for word in words:
        rests.setdefault(word[0], []).append(word[1:])
    branches = (
        re.escape(first) + (_one_of(rest) if rest[0] else "") for first, rest in sorted(rests.items())
    )
    return f"(?:{'|'.join(branches)})"


#: The secrets of this process. What is once a secret stays one, whoever prints.
_mask = Mask()


def hide(values: Iterable[str]) -> None:
    """Never print these values from now on. Those with fewer than ``LEAST`` characters are not hidden."""
    _mask.add(values)


def spare(names: Iterable[str]) -> None:
    """Print these names also if a secret has one of them as its value. Call this before ``hide``."""
    _mask.spare(names)


def masked(text: str) -> str:
    """Return a text with three stars for each secret that is known."""
    return _mask.masked(text)


def finished(text: str) -> str:
    """Return the start of a line whose end is still to come, without what may be the start of a secret."""
    return masked(text[: _mask.unfinished(text)])


class Lines:
    """Cleans the output of a program that comes in pieces. No secret has a line break in it."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> str:
        """Add a piece. Return the lines that are complete by now."""
        whole, end, self._rest = (self._rest + piece).rpartition(b"\n")
        return plain(whole + end)

    def end(self) -> str:
        """Return the last line, if it has no end."""
        rest, self._rest = self._rest, b""
        return plain(rest)


# -- printing ----------------------------------------------------------------------------------------


def say(text: object = "", *, end: str = "\n", flush: bool = False) -> None:
    """Print a text on standard output."""
    write(sys.stdout, f"{text}{end}", flush=flush)


def tell(text: object = "", *, end: str = "\n", flush: bool = False) -> None:
    """Print a text on standard error."""
    write(sys.stderr, f"{text}{end}", flush=flush)


def write(stream: TextIO, text: str, *, flush: bool = False) -> None:
    """Print a text on a stream, which need not know all characters."""
    write_exact(stream, shown(text), flush=flush)


def write_exact(stream: TextIO, text: str, *, flush: bool = False) -> None:
    """Print a text that the caller has cleaned: one with colours of this program, or one for a program."""
    stream.write(encodable(text, stream))
    if flush:
        stream.flush()


def encodable(text: str, stream: TextIO) -> str:
    """Return a text with escapes for characters that the encoding of a stream does not have."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text if text.isascii() else text.encode(encoding, "backslashreplace").decode(encoding)
