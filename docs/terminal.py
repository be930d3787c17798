"""The picture of a terminal on the front page, from a real run of ``examples/hello`` in a pseudo-terminal.

    ./run python docs/terminal.py        # writes docs/_static/terminal.svg; needs an engine, takes seconds

It copies the example into a temporary folder, builds it once, and records the calls of ``SCRIPT``. All text
comes from these calls, except the prompt and the empty lines.
"""

from __future__ import annotations

import io
import os
import platform
import pty
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

ROOT = Path(__file__).parent.parent
PICTURE = ROOT / "docs" / "_static" / "terminal.svg"
WIDTH = 124  # the longest line, so that none is folded
_HERE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), "amd64")
#: What a user types. The words of a shell are real shell commands.
SCRIPT = (
    "echo Ada >hello/name",
    f"doit plan hello:{_HERE}",
    f"doit hello:{_HERE}",
    "echo 'LABEL language=en' >>words/Dockerfile",
    f"doit plan hello:{_HERE}",
    f"doit hello:{_HERE}",
)
_CONTROL = re.compile(r"\x1b\[(\??[\d;]*)([A-Za-z])|\r\n|\r|\n|[^\x1b\r\n]+")
_FONT_FACES = re.compile(r"@font-face \{\{.*?\}\}\s*", re.DOTALL)
_THEME = TerminalTheme(
    (24, 27, 33),
    (205, 211, 222),
    [
        (24, 27, 33),
        (224, 108, 117),
        (152, 195, 121),
        (229, 192, 123),
        (97, 175, 239),
        (198, 120, 221),
        (86, 182, 194),
        (205, 211, 222),
    ],
)


def screen(output: str) -> list[str]:
    """The lines that a terminal shows after this output. It knows what ``rich.live`` sends, and nothing else.

    Raises ``ValueError`` for another control sequence.
    """
    lines, row, column = [""], 0, 0
    for match in _CONTROL.finditer(output):
        text, count, kind = match[0], match[1], match[2]
        if kind == "A":
            row = max(row - int(count or 1), 0)
        elif kind == "K":
            lines[row] = ""
        elif kind in ("h", "l", "m"):  # the cursor, colours
            continue
        elif kind:
            raise ValueError(f"control sequence {text!r}")
        elif text in ("\r\n", "\n"):
            row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
        elif text == "\r":
            column = 0
        else:
            line = lines[row].ljust(column)
            lines[row], column = line[:column] + text + line[column + len(text) :], column + len(text)
    return lines if lines[-1] else lines[:-1]


def call(command: str, folder: Path) -> list[str]:
    """What a terminal shows of a shell command."""
    master, slave = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name not in ("CI", "NO_COLOR")}
    environment |= {
        "TERM": "xterm-256color",
        "COLUMNS": f"{WIDTH}",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    streams = {"stdin": slave, "stdout": slave, "stderr": slave}
    process = subprocess.Popen(["sh", "-c", command], cwd=folder, env=environment, **streams)  # type: ignore[call-overload]
    os.close(slave)
    output = b""
    while True:
        try:
            chunk = os.read(master, 65536)
        except OSError:  # Linux: nobody has the other end any more
            chunk = b""
        if not chunk:
            break
        output += chunk
    os.close(master)
    if process.wait():
        raise SystemExit(f"{command}: exit status {process.returncode}\n{output.decode()}")
    return screen(output.decode())


def session() -> list[str]:
    """All lines of the picture. Lines of the user begin with ``$ ``."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "hello"
        shutil.copytree(ROOT / "examples" / "hello", folder, ignore=shutil.ignore_patterns("cache"))
        call(f"doit hello:{_HERE}", folder)
        lines = []
        for command in SCRIPT:
            lines += [f"$ {command}", *(shown := call(command, folder)), *([""] if shown else [])]
    return lines[:-1]


def picture(lines: list[str]) -> str:
    """The lines as SVG, without fonts from elsewhere."""
    console = Console(
        record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor"
    )
    for line in lines:
        text = Text(line, overflow="fold")
        if line.startswith("$ "):
            text.stylize("bold cyan", 0, 1)
            text.stylize("bold", 2)
        console.print(text, soft_wrap=False)
    form = _FONT_FACES.sub("", CONSOLE_SVG_FORMAT).replace(
        "Fira Code, monospace", "ui-monospace, Menlo, 'DejaVu Sans Mono', monospace"
    )
    return console.export_svg(title="examples/hello", theme=_THEME, code_format=form, unique_id="terminal")


if __name__ == "__main__":
    PICTURE.write_text(picture(session()), encoding="utf-8")
    print(PICTURE.relative_to(ROOT))
