"""The picture of the Atom images on the front page, drawn from ``stages.toml`` and the Dockerfiles.

``pictures.py`` draws it. It needs Graphviz. The picture holds the digest of the text that Graphviz drew it
from. A test compares it with the text of now. So the test needs no Graphviz.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from stagegraph.drawing.diagram import by_stage, diagram, reduced
from stagegraph.drawing.dot import dot, drawn_by_graphviz
from stagegraph.graph.graph import Graph
from stagegraph.graph.lock import Lock
from stagegraph.oci.digest import sha256
from stagegraph.project import loader

if TYPE_CHECKING:
    from collections.abc import Collection

    from stagegraph.oci.platform import OciPlatform
    from stagegraph.oci.reference import ResolvedReference

ROOT = Path(__file__).parent.parent
PICTURE = ROOT / "docs" / "_static" / "graph.svg"
NAMES: tuple[str, ...] = (PICTURE.name,)
_DIGEST = re.compile(r"<!-- (sha256:[0-9a-f]{64}) -->")


def text() -> str:
    """The graph of the images that a run without words builds, in the language of Graphviz.

    It has one box for each stage, and no tests.
    """
    project = loader.load(ROOT, {}, {})
    graph = Graph(project, Lock(ROOT, _resolve, locked=True))
    images = [image for image in project.images.values() if image.default]
    goals = [node for node in graph.nodes if any(image in images for image in project.images_of(node))]
    return dot(reduced(by_stage(diagram(graph, goals))), left_to_right=True)


def _resolve(reference: str, platforms: Collection[OciPlatform]) -> ResolvedReference:  # noqa: ARG001
    raise AssertionError(f"nothing asks for {reference}")


def digest_in(picture: str) -> str:
    """The digest of the text that a picture was drawn from; "" if it holds none."""
    found = _DIGEST.search(picture)
    return found[1] if found else ""


def draw() -> None:
    """Draw the picture."""
    drawn = text()
    picture = re.sub(r"<!--.*?-->\n?", "", drawn_by_graphviz(drawn), flags=re.DOTALL)  # a version, titles
    head, start, rest = picture.partition("<svg")
    PICTURE.write_text(f"{head}<!-- {sha256(drawn.encode())} -->\n{start}{rest}", encoding="utf-8")
