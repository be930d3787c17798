"""A diagram as a tree of text: goals on the left, their parents below. Pure.

The parents of a box are shown once. Where it appears again, ``(above)`` refers back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .colours import painted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .diagram import Arrow, Box, Diagram


class Style(NamedTuple):
    """The form of a tree. ``ascii``: without lines of Unicode. ``colours``: for a terminal that has them."""

    ascii: bool = False
    colours: bool = False


#: For a file or a pipe.
PLAIN = Style()


class _Signs(NamedTuple):
    """The signs before a name: for FROM and COPY, before and at the last parent; and those of lines above."""

    start: str
    last_start: str
    copy: str
    last_copy: str
    below: str
    more: str


_LINES = _Signs("├── ", "└── ", "├╌╌ ", "└╌╌ ", "│   ", "…")
_ASCII = _Signs("|-- ", "`-- ", "|.. ", "`.. ", "|   ", "...")


def tree(drawn: Diagram, style: Style = PLAIN) -> str:
    """Return the lines of a tree, and a line that explains its signs."""
    signs = _ASCII if style.ascii else _LINES
    boxes = {box.id: box for box in drawn.boxes}
    parents: dict[str, list[Arrow]] = {}
    for arrow in drawn.arrows:
        parents.setdefault(arrow.child, []).append(arrow)
    shown: set[str] = set()
    lines: list[str] = []
    for start in drawn.starts:
        lines += _rows(boxes[start], boxes, parents, shown, style, signs)
    for box in reversed(drawn.boxes):  # a cycle of stages may hide boxes from all starts
        if box.id not in shown:
            lines += _rows(box, boxes, parents, shown, style, signs)
    return "\n".join([*lines, *_legend(drawn, signs, "\n".join(lines))])


def _rows(
    root: Box,
    boxes: dict[str, Box],
    parents: dict[str, list[Arrow]],
    shown: set[str],
    style: Style,
    signs: _Signs,
) -> Iterator[str]:
    """Yield the lines for one box and its ancestors. Adds them to ``shown``."""
    # a stack of its own: graphs may be deeper than calls of Python
    waiting = [(root, "", "")]  # a box, with what stands before it, and before its own parents
    while waiting:
        box, before, indent = waiting.pop()
        known = parents.get(box.id, [])
        again = box.id in shown and bool(known)
        yield f"{before}{_label(box, style, signs, again=again)}"
        shown.add(box.id)
        for place, arrow in () if again else tuple(enumerate(reversed(known))):
            last = place == 0
            if arrow.is_from:
                sign = signs.last_start if last else signs.start
            else:
                sign = signs.last_copy if last else signs.copy
            below = f"{indent}{'    ' if last else signs.below}"
            waiting.append((boxes[arrow.parent], f"{indent}{sign}", below))


def _label(box: Box, style: Style, signs: _Signs, *, again: bool) -> str:
    """Return the name of a box and what there is to say about it."""
    name, words = box.name, box.words
    notes = [*_kind(box), *box.notes, *(["focus"] if box.focus else [])]
    if style.colours:
        name = painted(name, "focus") if box.focus else name
        if box.decision:
            name, words = painted(name, box.decision), painted(words, box.decision)
    text = "  ".join(filter(None, [name, words, f"[{', '.join(notes)}]" if notes else ""]))
    return f"{text}{f' {signs.more}' if box.more else ''}{' (above)' if again else ''}"


def _kind(box: Box) -> list[str]:
    """Return what a picture tells by a shape, unless a note tells it, too."""
    if box.kind == "external":
        return ["external image"]
    return ["image"] if box.images and not box.notes else []


def _legend(drawn: Diagram, signs: _Signs, text: str) -> Iterator[str]:
    """Yield a line for the signs that occur, after an empty one."""
    start, copy = signs.start[1:].strip(), signs.copy[1:].strip()
    signed = [f"{start} FROM"] if any(arrow.is_from for arrow in drawn.arrows) else []
    signed += [f"{copy} COPY --from or a mount"] if any(not arrow.is_from for arrow in drawn.arrows) else []
    signed += [f"{signs.more} it has more"] if any(box.more for box in drawn.boxes) else []
    signed += ["(above) its parents are shown above"] if "(above)" in text else []
    if signed:
        yield ""
        yield "   ".join(signed)
