"""Words of a command line -> nodes, with the nearest known word for a slip. Pure, other than warnings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import ProjectError, nearest
from ..graph import goals
from ..oci.platform import host_platform
from ..output import tell
from ..project import stacks
from ..project.model import BASE, ExternalBase
from .program import as_called

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from ..graph.goals import Goals
    from ..graph.graph import Graph
    from ..project.model import Image, Node, Project


def default_goals(project: Project) -> list[str]:
    """The goals of a run without words: images for this machine's platform, without ``default = false``."""
    own = _own_platform(project)
    return [f"{image.name}:{own}" for image in _default_images(project) if own in image.platforms]


def resolve_goals(graph: Graph, words: list[str], *, tests: bool = False, keep_going: bool = False) -> Goals:
    """Return the nodes for ``STAGE:PLATFORM``, ``IMAGE:PLATFORM``, a stage or image alone, or a group.

    Without words: every node that has a key. An external image that this machine cannot resolve does not hide
    the other nodes. With ``keep_going``, no other error does either. A warning on standard error names the
    nodes that are left out, once for each cause. ``tests``: the test of an image is a goal too. Raises
    ``ProjectError`` with the nearest known word.
    """
    nodes = named_nodes(graph, words, tests=tests)
    return with_keys(graph, nodes, by_name=bool(words), keep_going=keep_going)


def named_nodes(graph: Graph, words: Sequence[str], *, tests: bool = False) -> list[Node]:
    """Return the nodes for words as in ``resolve_goals``, each once, with a key or without.

    Raises ``ProjectError``.
    """
    nodes: list[Node] = [] if words else graph.nodes
    known = goals.named(graph, tests=tests)
    for word in words:
        if word not in known:
            raise unknown_goal(graph.project, word, (name for name in known if not name.startswith("_")))
        nodes += known[word]
    return list(dict.fromkeys(nodes))


def with_keys(graph: Graph, nodes: list[Node], *, by_name: bool, keep_going: bool = False) -> Goals:
    """Return those of the nodes that have a key; warn of others, as in ``resolve_goals``."""
    found = goals.keyed(graph, nodes, by_name=by_name, keep_going=keep_going)
    for left_out in found.left_out:
        tell(f"warning: {as_called(left_out)}")
    return found


def one_node(graph: Graph, words: list[str], command: str) -> Node:
    """Return the node that a command is about. Its Dockerfile may be broken. Raises ``ProjectError``."""
    nodes = named_nodes(graph, words[:1])
    if len(words) != 1 or len(nodes) != 1:
        example = next(iter(nodes), "STAGE:PLATFORM")
        raise ProjectError("command line", f"doit {command} takes one node", f"doit {command} {example}")
    return nodes[0]


def unknown_goal(
    project: Project, word: str, known: Iterable[str], commands: Collection[str] = ()
) -> ProjectError:
    """Return the error for a word that is not in ``known``; the user may have meant one of ``commands``.

    For a known stage or image it names the platforms.
    """
    name, _, platform = word.partition(":")
    known = [*known]
    if platform and (on := [each.partition(":")[2] for each in known if each.startswith(f"{name}:")]):
        return _other_platform(project, name, platform, on)
    base = project.bases.get(platform)
    if name == BASE and isinstance(base, ExternalBase):
        return ProjectError("command line", f"{word} is the image {base.image}", "there is nothing to build")
    if not platform:
        known = [*dict.fromkeys(name.partition(":")[0] for name in known), *commands]
    stacked = stacks.standing(project.stages.values(), name)
    hint = f"it is built only as part of a stack: {' or '.join(stacked)}" if stacked else nearest(word, known)
    if word in commands:
        return ProjectError("command line", f"{word} is a command, and comes first", f"doit {word} --help")
    what = f"no {kinds(project, commands=bool(commands) and not platform)} {word!r}"
    return ProjectError("command line", what, hint)


def kinds(project: Project, *, commands: bool) -> str:
    """Return the kinds of words that may stand on the command line: "stage, image or group"."""
    words = [*(["command"] if commands else []), "stage", "image", *(["group"] if project.groups else [])]
    return f"{', '.join(words[:-1])} or {words[-1]}"


def absences(project: Project, words: Collection[str]) -> list[str]:
    """Return lines about stages and images that the words leave out, as a platform lacks them.

    Without words, these are the images of a run without words that this machine's platform lacks. For
    ``GROUP:PLATFORM`` they are the images of the group that the platform lacks. ``GROUP`` stands for its
    images.
    """
    if not words:
        own = _own_platform(project)
        lacking = [image.name for image in _default_images(project) if own not in image.platforms]
        return [f"not built for {own}: {', '.join(lacking)}"] if own and lacking else []
    lines: dict[str, None] = {}
    for word in words:
        group, _, platform = word.partition(":")
        members = project.groups[group].images if group in project.groups else [word]
        if platform and group in project.groups:
            goals = project.goals(word)
            if lacking := [each for each in members if f"{each}:{platform}" not in goals]:
                lines[f"{word} is without {', '.join(lacking)}"] = None
            continue
        for name in members:
            stage, image = project.stages.get(name), project.images.get(name)
            on = image.platforms if image else stage.configs if stage else project.platforms
            if absent := [each for each in project.platforms if each not in on]:
                lines[f"{name} is not built for {', '.join(absent)}"] = None
    return [*lines]


def _own_platform(project: Project) -> str:
    """Return the first platform of the project that is this machine's; "" for none."""
    return next((p.name for p in project.platforms.values() if p.docker == host_platform()), "")


def _default_images(project: Project) -> list[Image]:
    return [image for image in project.images.values() if image.default]


def _other_platform(project: Project, name: str, platform: str, on: list[str]) -> ProjectError:
    """Return the error for a stage or image, built for the platforms ``on``, that is not for this one."""
    if platform in project.platforms:
        what = f"{name} is not built for {platform}"
        return ProjectError("command line", what, f"it is built for {', '.join(on)}")
    same = [p.name for p in project.platforms.values() if platform in (p.docker, p.arch)]
    hint = f"{platform} is called {' or '.join(same)} here" if same else nearest(platform, project.platforms)
    return ProjectError("command line", f"no platform {platform!r}", hint)
