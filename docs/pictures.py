"""Draw the pictures of the documents.

    ./run python docs/pictures.py              # all of them; takes two minutes
    ./run python docs/pictures.py plan.svg     # this one, and those that are made with it

It needs an engine, git, Graphviz and Debian's package chromium. A test checks that this script makes each
picture that a page shows.
"""

from __future__ import annotations

import sys
from typing import Protocol

import graph
import report_page
import scenes
import terminal


class Maker(Protocol):
    """A module that draws pictures: ``NAMES`` are their files in ``docs/_static``."""

    NAMES: tuple[str, ...]

    def draw(self) -> None:
        """Draw all of them."""


MAKERS: tuple[Maker, ...] = (graph, terminal, scenes, report_page)
NAMES = frozenset(name for maker in MAKERS for name in maker.NAMES)


def main(wanted: list[str]) -> None:
    """Draw the wanted pictures, all if none is named. Ends the program for an unknown name."""
    if unknown := [name for name in wanted if name not in NAMES]:
        sys.exit(f"no such picture: {', '.join(unknown)}; there are {', '.join(sorted(NAMES))}")
    for maker in MAKERS:
        if not wanted or not NAMES.intersection(wanted).isdisjoint(maker.NAMES):
            maker.draw()
            for name in maker.NAMES:
                print(name, (terminal.FOLDER / name).stat().st_size)


if __name__ == "__main__":
    main(sys.argv[1:])
