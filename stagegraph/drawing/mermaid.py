"""A diagram in the language of Mermaid (https://mermaid.js.org/syntax/flowchart.html). Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .colours import EXTERNAL, FILLS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .diagram import Box, Diagram

#: The brackets of a shape: images have a double border, tests are hexagons, external images cylinders.
_STAGE, _IMAGE, _TEST, _EXTERNAL = ('["', '"]'), ('[["', '"]]'), ('{{"', '"}}'), ('[("', '")]')


def mermaid(drawn: Diagram) -> str:
    """Return the text of a flowchart."""
    ids = _ids(box.id for box in drawn.boxes)
    lines = ["flowchart TD"]
    for box in drawn.boxes:
        start, end = _shape(box)
        lines.append(f"  {ids[box.id]}{start}{_label(box)}{end}")
    for arrow in drawn.arrows:
        lines.append(f"  {ids[arrow.parent]} {'-->' if arrow.is_from else '-.->'} {ids[arrow.child]}")
    return "\n".join([*lines, *_classes(drawn, ids)])


def _shape(box: Box) -> tuple[str, str]:
    if box.kind == "external":
        return _EXTERNAL
    return _TEST if box.kind == "test" else _IMAGE if box.images else _STAGE


def _label(box: Box) -> str:
    return "<br>".join(map(_escaped, box.label))


def _escaped(text: str) -> str:
    """Return text for a label. ``#`` begins the code of a character."""
    return text.replace("#", "#35;").replace('"', "#quot;").replace("<", "#lt;").replace(">", "#gt;")


def _ids(names: Iterable[str]) -> dict[str, str]:
    """Return an id of Mermaid for each name.

    The first letter keeps an id apart from Mermaid's own words, such as ``end``.
    """
    ids: dict[str, str] = {}
    for name in names:
        plain = f"n_{re.sub(r'[^A-Za-z0-9]', '_', name)}"
        taken = set(ids.values())
        ids[name] = next(
            id for id in (plain, *(f"{plain}_{n}" for n in range(2, len(ids) + 3))) if id not in taken
        )
    return ids


def _classes(drawn: Diagram, ids: dict[str, str]) -> Iterator[str]:
    """Yield the colours that occur, and the boxes that have them."""
    colours = {**FILLS, "external": EXTERNAL}
    members: dict[str, list[str]] = {}
    for box in drawn.boxes:
        kind = "external" if box.kind == "external" else box.decision
        if kind:
            members.setdefault(kind, []).append(ids[box.id])
        if box.focus:
            members.setdefault("focus", []).append(ids[box.id])
    for name in sorted(members):
        style = f"fill:{colours[name]},stroke:#555,color:#000" if name in colours else "stroke-width:4px"
        yield f"  classDef {name} {style}"
        yield f"  class {','.join(members[name])} {name}"
