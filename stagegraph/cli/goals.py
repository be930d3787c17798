"""Words of a command line -> nodes, with the nearest known word for a slip. Pure, other than warnings."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ..errors import ProjectError, nearest
from ..graph import goals
from ..oci.platform import host_platform
from ..project import stacks
from ..project.model import BASE, ExternalBase

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..graph.goals import Goals
    from ..graph.graph import Graph
    from ..project.model import Node, Project


def default_goals(project: Project) -> list[str]:
    """The goals of a run without words: images for this machine's platform, without ``default = false``."""
    own = [p.name for p in project.platforms.values() if p.docker == host_platform()][:1]
    images = [image for image in project.images.values() if image.default]
    return [f"{image.name}:{p}" for image in images for p in own if p in image.platforms]


def resolve_goals(graph: Graph, words: list[str], *, tests: bool = False, keep_going: bool = False) -> Goals:
    """Return the nodes for ``STAGE:PLATFORM``, ``IMAGE:PLATFORM``, or a stage or image alone.

    Without words: every node that has a key. An external image that this machine cannot resolve does not hide
    the other nodes. With ``keep_going``, no other error does either. A warning on standard error names the
    nodes that are left out, once for each cause. ``tests``: the test of an image is a goal too. Raises
    ``ProjectError`` with the nearest known word.
    """
    nodes: list[Node] = [] if words else graph.nodes
    known = goals.named(graph, tests=tests)
    for word in words:
        if word not in known:
            raise unknown_goal(graph.project, word, (name for name in known if not name.startswith("_")))
        nodes += known[word]
    found = goals.keyed(graph, dict.fromkeys(nodes), by_name=bool(words), keep_going=keep_going)
    for left_out in found.left_out:
        print(f"warning: {left_out}", file=sys.stderr)
    return found


def unknown_goal(
    project: Project, word: str, known: Iterable[str], commands: Iterable[str] = ()
) -> ProjectError:
    """Return the error for a word that is not in ``known``.

    For a known stage or image it names the platforms.

    The user may have meant one of ``commands`` as well.
    """
    name, _, platform = word.partition(":")
    if platform and f"{name}:{next(iter(project.platforms))}" in (known := [*known]):
        return _unknown_platform(project, platform)
    base = project.bases.get(platform)
    if name == BASE and isinstance(base, ExternalBase):
        return ProjectError("command line", f"{word} is the image {base.image}", "there is nothing to build")
    if not platform:
        known = [*dict.fromkeys(name.partition(":")[0] for name in known), *commands]
    stacked = stacks.standing(project.stages.values(), name)
    hint = f"it is built only as part of a stack: {' or '.join(stacked)}" if stacked else nearest(word, known)
    return ProjectError("command line", f"no stage or image {word!r}", hint)


def _unknown_platform(project: Project, platform: str) -> ProjectError:
    same = [p.name for p in project.platforms.values() if platform in (p.docker, p.arch)]
    hint = f"{platform} is called {' or '.join(same)} here" if same else nearest(platform, project.platforms)
    return ProjectError("command line", f"no platform {platform!r}", hint)
