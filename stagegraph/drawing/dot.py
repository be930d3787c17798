"""A diagram in the language of Graphviz (https://graphviz.org/doc/info/lang.html), and as SVG by its program.

Only ``svg`` starts a process.
"""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

from ..errors import StagegraphError
from ..system.processes import run
from .colours import EXTERNAL, FILLS, PLAIN

if TYPE_CHECKING:
    from .diagram import Box, Diagram

#: Seconds for one picture.
_TIMEOUT = 120

_HEAD = """\
digraph stages {{
  graph [rankdir={direction}, bgcolor=white, nodesep=0.25, ranksep=0.45]
  node [shape=box, style=filled, color="#555555", fontname="Helvetica,Arial,sans-serif", fontsize=12]
  edge [color="#555555", arrowsize=0.7]"""


def dot(drawn: Diagram, *, left_to_right: bool = False) -> str:
    """Return the text of a directed graph, by default from top to bottom."""
    lines = [_HEAD.format(direction="LR" if left_to_right else "TB"), *(_box(box) for box in drawn.boxes)]
    for arrow in drawn.arrows:
        style = "" if arrow.is_from else " [style=dashed]"
        lines.append(f"  {_quoted(arrow.parent)} -> {_quoted(arrow.child)}{style}")
    return "\n".join([*lines, "}"])


def _box(box: Box) -> str:
    fill = EXTERNAL if box.kind == "external" else FILLS.get(box.decision or "", PLAIN)
    options = [f"label={_quoted(*box.label)}", f'fillcolor="{fill}"']
    if box.kind == "external":
        options.append("shape=cylinder")
    elif box.kind == "test":
        options.append("shape=hexagon")
    elif box.images:
        options.append("peripheries=2")
    if box.focus:
        options.append("penwidth=3")
    return f"  {_quoted(box.id)} [{', '.join(options)}]"


def _quoted(*lines: str) -> str:
    r"""Return a string of Graphviz with these lines; ``\n`` stands between them."""
    text = r"\n".join(line.replace("\\", "\\\\").replace('"', '\\"') for line in lines)
    return f'"{text}"'


def svg(drawn: Diagram) -> str:
    """Return the picture of a diagram. Raises the errors of ``drawn_by_graphviz``."""
    return drawn_by_graphviz(dot(drawn))


def drawn_by_graphviz(text: str) -> str:
    """Return the picture that Graphviz draws of a graph in its language, as SVG.

    Raises ``ToolError`` where its program ``dot`` is missing.
    """
    with tempfile.TemporaryFile() as file:
        file.write(text.encode())
        file.seek(0)
        done = run(["dot", "-Tsvg"], stdin=file, timeout=_TIMEOUT)
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()
        raise StagegraphError(
            "dot", f"Graphviz drew nothing: {said}", "draw less: --stages, --reduce, --depth 2"
        )
    return done.stdout.decode()
