"""What a terminal shows of a call, and its picture: text in SVG, with a theme for light and one for dark.

The picture on the front page is a real run of ``examples/hello`` in a pseudo-terminal. ``pictures.py`` draws
it. It needs an engine and takes seconds. All text comes from the calls of ``SCRIPT``, except the prompt and
the empty lines.
"""

from __future__ import annotations

import os
import platform
import pty
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from html import escape
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "docs" / "_static"
PICTURE = FOLDER / "terminal.svg"
NAMES: tuple[str, ...] = (PICTURE.name,)
WIDTH = 124  # the longest line, so that none is folded
HERE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), "amd64")
#: What a user types. The words of a shell are real shell commands.
SCRIPT = (
    "echo Ada >hello/name",
    f"doit plan hello:{HERE}",
    f"doit hello:{HERE}",
    "echo 'LABEL language=en' >>words/Dockerfile",
    f"doit plan hello:{HERE}",
    f"doit hello:{HERE}",
)
_CONTROL = re.compile(r"\x1b\[(\??[\d;]*)([A-Za-z])|\r\n|\r|\n|[^\x1b\r\n]+")


class Cell(NamedTuple):
    """A character, and the codes of its style, as in ``1;33`` for bold and yellow (ECMA-48, "SGR")."""

    character: str
    style: str = ""


Line = list[Cell]


def cells(text: str, style: str = "") -> Line:
    """A line in one style."""
    return [Cell(character, style) for character in text]


def plain(line: Line) -> str:
    """The text of a line, without styles."""
    return "".join(cell.character for cell in line)


def screen(output: str) -> list[Line]:
    """The lines that a terminal shows after this output. It knows what ``rich.live`` sends, and nothing else.

    Raises ``ValueError`` for another control sequence.
    """
    lines: list[Line] = [[]]
    row = column = 0
    style = ""
    for match in _CONTROL.finditer(output):
        text, count, kind = match[0], match[1], match[2]
        if kind == "A":
            row = max(row - int(count or 1), 0)
        elif kind == "K":
            lines[row] = []
        elif kind == "m":
            style = "" if count in ("", "0") else count
        elif kind in ("h", "l"):  # the cursor
            continue
        elif kind:
            raise ValueError(f"control sequence {text!r}")
        elif text in ("\r\n", "\n"):
            row, column = row + 1, 0
            lines += [[] for _ in range(row + 1 - len(lines))]
        elif text == "\r":
            column = 0
        else:
            line = lines[row] + cells(" " * (column - len(lines[row])))
            lines[row] = line[:column] + cells(text, style) + line[column + len(text) :]
            column += len(text)
    return lines if lines[-1] else lines[:-1]


def call(
    command: str,
    folder: Path,
    width: int,
    *,
    status: int = 0,
    moment: Callable[[list[str]], bool] | None = None,
) -> list[Line]:
    """What a terminal of ``width`` columns shows of a shell command.

    With ``moment``, it is what the terminal shows when ``moment`` is first true of its lines. Then the
    command is interrupted. Ends the program if the exit status is not ``status``, or without such a moment.
    """
    master, slave = pty.openpty()
    process = _started(command, folder, width, slave)
    os.close(slave)
    output, found = "", list[Line]()
    while chunk := _read(master):
        output += chunk
        if moment and not found and moment([plain(line) for line in screen(output)]):
            found = screen(output)
            os.killpg(process.pid, signal.SIGINT)
    os.close(master)
    ended = process.wait()
    if (moment and not found) or (not moment and ended != status):
        raise SystemExit(f"{command}: exit status {ended}\n{output}")
    return found or screen(output)


def _started(command: str, folder: Path, width: int, slave: int) -> subprocess.Popen[bytes]:
    """The process of a shell command whose terminal is ``slave``."""
    environment = {name: value for name, value in os.environ.items() if name not in ("CI", "NO_COLOR")}
    environment |= {
        "TERM": "xterm-256color",
        "COLUMNS": f"{width}",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    return subprocess.Popen(
        ["sh", "-c", command],
        cwd=folder,
        env=environment,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )


def _read(descriptor: int) -> str:
    """What comes next; "" at the end."""
    try:
        return os.read(descriptor, 1 << 20).decode(errors="replace")
    except OSError:  # Linux: nobody has the other end any more
        return ""


def prompt(command: str) -> Line:
    """The line in which a user types a command."""
    return [*cells("$", "1;36"), *cells(f" {command}", "1")]


def session() -> list[Line]:
    """All lines of the picture on the front page."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "hello"
        shutil.copytree(ROOT / "examples" / "hello", folder, ignore=shutil.ignore_patterns("cache"))
        call(f"doit hello:{HERE}", folder, WIDTH)
        lines = list[Line]()
        for command in SCRIPT:
            shown = call(command, folder, WIDTH)
            lines += [prompt(command), *shown, *([[]] if shown else [])]
    return lines[:-1]


# -- the picture ---------------------------------------------------------------------------------

#: Units of the picture: the size of a character's cell, and the space around the text.
_CELL, _LINE, _EDGE, _BAR = 8.4, 19, 16, 34

#: By the name of a class: the colours in the light theme and in the dark one. "text" is for all other text.
COLOURS = {
    "paper": ("#fafbfc", "#181b21"),
    "edge": ("#c9d1d9", "#3a404b"),
    "text": ("#24292f", "#d5dae3"),
    "dim": ("#59636e", "#9aa4b2"),
    "red": ("#b3261e", "#f0808a"),
    "green": ("#1a6f33", "#98c379"),
    "yellow": ("#805300", "#e5c07b"),
    "blue": ("#0550ae", "#79b8ff"),
    "cyan": ("#0f6a73", "#56b6c2"),
}
_STYLES = {"2": "dim", "31": "red", "32": "green", "33": "yellow", "34": "blue", "36": "cyan", "1": "bold"}
_FONT = "font:14px ui-monospace,Menlo,'DejaVu Sans Mono',monospace"

#: Text without two spaces at once: programs that draw SVG may draw these as one.
_PIECE = re.compile(r"\S+(?: \S+)*")


def picture(title: str, lines: Iterable[Line], width: int) -> str:
    """The lines as SVG, in a window with a title. It takes nothing from elsewhere.

    A line longer than the terminal goes on in the next one. Raises ``KeyError`` for an unknown style.
    """
    rows = [line[at : at + width] for line in lines for at in range(0, max(len(line), 1), width)]
    wide, high = round(width * _CELL + 2 * _EDGE), len(rows) * _LINE + _BAR + _EDGE
    drawn = [_row(row, _BAR + _LINE * (number + 0.75)) for number, row in enumerate(rows)]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" role="img" '
            f'width="{wide}" height="{high}" aria-labelledby="title">',
            f'<title id="title">{escape(title)}</title>',
            f"<style>text{{{_FONT}}}.bold{{font-weight:bold}}{_colours(0)}",
            f"@media(prefers-color-scheme:dark){{{_colours(1)}}}</style>",
            f'<rect class="window" x="0.5" y="0.5" width="{wide - 1}" height="{high - 1}" rx="8"/>',
            f'<text class="dim" x="{wide / 2:g}" y="22" text-anchor="middle">{escape(title)}</text>',
            *filter(None, drawn),
            "</svg>\n",
        ]
    )


def _colours(theme: int) -> str:
    """The rules of CSS for a theme. There are no variables, since not every program knows them."""
    of = {name: both[theme] for name, both in COLOURS.items()}
    classes = "".join(f".{name}{{fill:{of[name]}}}" for name in _STYLES.values() if name in of)
    return f"text{{fill:{of['text']}}}.window{{fill:{of['paper']};stroke:{of['edge']}}}{classes}"


def _row(row: Line, y: float) -> str:
    """A line of text, in pieces of one style. Each piece says how long it is, so any font fits."""
    pieces, at = list[str](), 0
    for style, group in groupby(row, key=lambda cell: cell.style):
        text = plain(list(group))
        names = " ".join(_STYLES[code] for code in style.split(";") if code)
        kind = f' class="{names}"' if names else ""
        for piece in _PIECE.finditer(text):
            x, long = _EDGE + (at + piece.start()) * _CELL, len(piece[0]) * _CELL
            pieces.append(f'<text{kind} x="{x:g}" y="{y:g}" textLength="{long:g}">{escape(piece[0])}</text>')
        at += len(text)
    return "".join(pieces)


def draw() -> None:
    """Draw the picture on the front page."""
    PICTURE.write_text(picture("examples/hello", session(), WIDTH), encoding="utf-8")
