"""``doit info``: all facts about a node; builds nothing. Replaces doit's own command of this name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...errors import ProjectError
from ...output import say
from ..goals import resolve_goals
from ..help import Example
from .base import Command, JsonOption, print_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ...audit.node_info import ImageInfo, Link, NodeInfo
    from ...keys.spec import NodeSpec
    from ...project.model import Node
    from ...store.record import Record
    from ..app import App

#: What the engine has under a tag, for people.
_LOADED = {
    "loaded": "in the engine",
    "other": "the engine has another image under it",
    "absent": "not in the engine",
    "unknown": "no engine answers, or the tag is not known yet",
}


class Info(Command[JsonOption]):
    doc_purpose = "show everything that is known about a node or an image"
    doc_description = (
        "Shows parents and children, external images with their digests, the key, the Dockerfile, the "
        "context and arguments, where it is built, the sizes of its image, its last build, where its image "
        "is, and the tags and the test of its images. The engine is asked only for tags. A stage or an image "
        "without a platform stands for all of its platforms."
    )
    examples = (
        Example("info {goal}", "parents, key, sizes, last build, tags"),
        Example("info {image} --json", "the same for a program"),
    )

    def answer(self, app: App, words: list[str], options: JsonOption) -> int:
        from ...audit.node_info import node_info

        workspace = app.workspace
        if not words:
            example = next(iter(workspace.graph.nodes), "STAGE:PLATFORM")
            raise ProjectError("command line", "doit info needs a node or an image", f"doit info {example}")
        goals = resolve_goals(workspace.graph, words)
        found = [node_info(workspace, node) for node in goals.nodes]
        if options.json:
            print_json({"schema": 1, "nodes": [to_json(info) for info in found]})
        else:
            say("\n\n".join(render_text(info) for info in found))
        return goals.status


# -- for people --------------------------------------------------------------------------------------


def render_text(info: NodeInfo) -> str:
    """Return the facts as lines: a title, then a column of names and a column of values."""
    lines = [str(info.spec.node)]
    lines += [f"  {info.description}"] if info.description else []
    for title, values in _rows(info):
        for place, value in enumerate(values):
            lines.append(f"  {'' if place else title:<12} {value}")
    return "\n".join(lines)


def _rows(info: NodeInfo) -> Iterator[tuple[str, list[str]]]:
    """Yield the names of facts with their values; a fact without a value has no line."""
    spec, config = info.spec, info.spec.config
    yield (
        "declared",
        [config.declared_at + (f", alternative {config.alternative}" if config.alternative else "")],
    )
    yield "platform", [spec.platform.docker]
    yield "built", list(_where_built(info))
    if spec.bootstrap:
        yield "bootstrap", [f"{spec.bootstrap.suite} by mmdebstrap", *sorted(spec.bootstrap.include)]
    else:
        yield "Dockerfile", [spec.dockerfile + (f", target {config.target}" if config.target else "")]
        yield "context", [f"{config.context}, files that count: {len(spec.entries)}"]
    yield "arguments", list(_arguments(spec))
    yield "needs", [f"{need.kind} {need.name}" for need in dict.fromkeys(spec.analysis.needs)]
    yield "parents", list(_links(info.parents))
    yield "children", list(_links(info.children))
    yield "external", list(_external(info))
    yield "package date", [spec.package_date] if spec.package_date else []
    yield "key", [info.step.key]
    yield "a run would", [f"{info.step.decision}: {info.step.reason}"]
    yield "stored", list(_stored(info))
    yield "last build", list(_last_build(info.last, info.step.key)) if info.last else ["none is known here"]
    for image in info.images:
        other = image.description != info.description and image.description
        yield "image", [f"{image.name}: {other}" if other else image.name]
        yield "tags", [f"{tag}  ({_LOADED[loaded]})" for tag, loaded in image.tags.items()]
        yield (
            "test",
            [f"{image.test}: {'passed' if image.passed else 'has not passed'}"] if image.test else [],
        )


def _where_built(info: NodeInfo) -> Iterator[str]:
    for programs in info.programs:
        how = "emulated" if programs.emulated else "native"
        yield f"its steps run programs for {programs.platform}: {how} on this machine"
    if not info.programs:
        yield "no step runs a program"
    if builders := info.spec.platform.builders:
        yield f"builders that are asked: {', '.join(builders)}"


def _arguments(spec: NodeSpec) -> Iterator[str]:
    """Yield a line for each argument, with the line of ``stages.toml`` that sets it."""
    texts = {name: f"{name}={value}" for name, value in sorted(spec.analysis.args.items())}
    width = max(map(len, texts.values()), default=0)
    for name, text in texts.items():
        yield f"{text:<{width}}  {spec.config.set_at.get(f'args.{name}', '')}".rstrip()


def _links(links: Iterable[Link]) -> Iterator[str]:
    """Yield a line for each node; FROM before COPY, with the lines of the Dockerfile."""
    by_node: dict[Node, list[Link]] = {}
    for link in links:
        by_node.setdefault(link.node, []).append(link)
    width = max((len(str(node)) for node in by_node), default=0)
    for node, own in by_node.items():
        kind = "FROM" if any(link.is_from for link in own) else "COPY"
        numbers = ", ".join(str(link.line) for link in own)
        yield f"{kind}  {node!s:<{width}}  line {numbers}"


def _external(info: NodeInfo) -> Iterator[str]:
    words = {"from": "FROM", "copy": "COPY", "front end": "# syntax"}
    for image in info.external:
        platform = f"  for {image.platform}" if image.platform else ""
        yield f"{words[image.kind]}  {image.reference}  {image.digest}{platform}  line {image.line}"


def _stored(info: NodeInfo) -> Iterator[str]:
    from ...system.text import human_size

    record = info.step.record
    if record:
        yield record.digest
    if info.size:
        own = "" if info.size.own is None else f"own layers {human_size(info.size.own)}, "
        yield f"{own}all layers {human_size(info.size.image)}, compressed"
    yield "in cache/" if info.cached else "not in cache/"
    if info.in_registry is not None:
        yield f"{'in' if info.in_registry else 'not in'} the registry {info.registry}"


def _last_build(last: Record, key: str) -> Iterator[str]:
    from ...output import printable
    from ...system.text import human_time

    cached = ", partly from the builder's cache" if last.cached else ""
    yield printable(f"{last.created or 'at an unknown time'}, in {human_time(last.seconds)}{cached}")
    on, by = f"on {last.machine}" if last.machine else "", f"by {last.builder}" if last.builder else ""
    if on or by:
        yield printable(" ".join(filter(None, [on, by])))
    yield "with this key" if last.key == key else f"with another key, {last.key}"


# -- as JSON -----------------------------------------------------------------------------------------


def to_json(info: NodeInfo) -> dict[str, Any]:
    spec, config = info.spec, info.spec.config
    return {
        "node": str(spec.node),
        "stage": spec.node.stage,
        "platform": spec.node.platform,
        "docker": spec.platform.docker,
        "description": info.description,
        "declared_at": config.declared_at,
        "alternative": config.alternative or None,
        "dockerfile": None if spec.bootstrap else spec.dockerfile,
        "context": None if spec.bootstrap else config.context,
        "target": config.target or None,
        "files": len(spec.entries),
        "args": dict(sorted(spec.analysis.args.items())),
        "needs": [{"kind": n.kind, "name": n.name} for n in dict.fromkeys(spec.analysis.needs)],
        "programs": [programs._asdict() for programs in info.programs],
        "builders": [*spec.platform.builders],
        "parents": [*map(_link_to_json, info.parents)],
        "children": [*map(_link_to_json, info.children)],
        "external": [
            {
                "reference": image.reference,
                "kind": image.kind,
                "digest": image.digest,
                "platform": image.platform or None,
                "line": image.line,
            }
            for image in info.external
        ],
        "package_date": spec.package_date or None,
        **_state_to_json(info),
    }


def _state_to_json(info: NodeInfo) -> dict[str, Any]:
    """Return the facts that a run may change."""
    step = info.step
    return {
        "key": step.key,
        "decision": step.decision,
        "reason": step.reason,
        "digest": step.record.digest if step.record else None,
        "own_bytes": info.size.own if info.size else None,
        "image_bytes": info.size.image if info.size else None,
        "in_cache": info.cached,
        "in_registry": info.in_registry,
        "last_build": _last_to_json(info.last) if info.last else None,
        "images": [*map(_image_to_json, info.images)],
    }


def _link_to_json(link: Link) -> dict[str, Any]:
    return {"node": str(link.node), "kind": "from" if link.is_from else "copy", "line": link.line}


def _last_to_json(last: Record) -> dict[str, Any]:
    return {
        "key": last.key,
        "digest": last.digest,
        "created": last.created,
        "seconds": last.seconds,
        "cached": last.cached,
        "machine": last.machine or None,
        "builder": last.builder or None,
    }


def _image_to_json(image: ImageInfo) -> Mapping[str, Any]:
    return {
        "image": image.name,
        "description": image.description,
        "tags": [{"tag": tag, "engine": loaded} for tag, loaded in image.tags.items()],
        "test": str(image.test) if image.test else None,
        "passed": image.passed,
    }
