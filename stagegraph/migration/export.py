"""Nodes -> a bake file, whose builds have the same contents as stagegraph's.

https://docs.docker.com/build/bake/reference/ describes the file. A target has what ``build.command`` sends to
BuildKit: arguments, parents and pinned external images as named contexts. A stage that is the same on all
platforms is one target. Otherwise it is a target for each platform and a group.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import filterfalse
from typing import TYPE_CHECKING, Any

from ..build import command, secrets, ssh
from ..build.command import option_value
from ..project.model import Node
from ..project.tags import is_known
from . import names

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ..execution.final_tags import FinalTags
    from ..graph.graph import Graph
    from ..keys.spec import NodeSpec

#: Returns the context of a finished image (``docker-image://...``), for a node that no Dockerfile builds.
Finished = Callable[[Node], str]

#: The group of all tests of images.
_TESTS = "test"


@dataclass
class BakeFile:
    """The tables of a bake file, and what it cannot express."""

    target: dict[str, dict[str, Any]] = field(default_factory=dict)
    group: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> Any:
        tables = {"group": self.group, "target": self.target}
        return _escaped({name: table for name, table in tables.items() if table})


def _escaped(value: Any) -> Any:
    """Return a value whose texts mean themselves: bake reads ``${`` and ``%{`` in texts of JSON.

    https://github.com/hashicorp/hcl/blob/main/json/spec.md, "Strings".
    """
    if isinstance(value, dict):
        return {name: _escaped(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_escaped(item) for item in value]
    return value.replace("${", "$${").replace("%{", "%%{") if isinstance(value, str) else value


def bake_file(
    graph: Graph, nodes: Sequence[Node], tags: FinalTags, finished: Finished, *, named: bool = False
) -> BakeFile:
    """Return the bake file for nodes and their ancestors. Raises ``StagegraphError`` as keys do.

    ``named``: the user named these nodes, so they are what bake builds by default.
    """
    return _Exporter(graph, graph.order(nodes), tags, finished).exported(nodes if named else ())


class _Exporter:
    """Exports some nodes of a graph, parents first."""

    def __init__(self, graph: Graph, nodes: Sequence[Node], tags: FinalTags, finished: Finished) -> None:
        self._graph, self._project = graph, graph.project
        self._tags, self._finished = tags, finished
        self._file = BakeFile()
        self._stages: dict[str, list[Node]] = {}
        for node in nodes:
            if self._project.config(node) is not None:
                self._stages.setdefault(node.stage, []).append(node)
        wanted = map(_word, self._stages)
        self._names = dict(zip(self._stages, names.unique(wanted), strict=True))
        self._is_split: dict[str, bool] = {}
        self._open: set[str] = set()

    def exported(self, goals: Sequence[Node]) -> BakeFile:
        """Return the file. ``goals`` are what is built by default, () for what the project says."""
        for stage, nodes in self._stages.items():
            if self._split(stage):
                tables = {self._target(node): self._table(node) for node in nodes}
                self._file.group[self._names[stage]] = {"targets": list(tables)}
            else:
                platforms = [self._platform(node) for node in nodes]
                tables = {self._names[stage]: {**self._table(nodes[0]), "platforms": platforms}}
            self._file.target |= tables
        self._tag_images()
        self._add_groups([self._target(g) for g in goals if self._project.config(g) is not None])
        return self._file

    # -- targets ---------------------------------------------------------------------------------

    def _split(self, stage: str) -> bool:
        """Return True if a stage needs a target for each platform."""
        if stage not in self._is_split:
            nodes = self._stages[stage]
            platforms = {self._platform(node) for node in nodes}
            self._open.add(stage)
            tables = [self._table(node) | {"images": self._images_of(node)} for node in nodes]
            differs = any(table != tables[0] for table in tables) or len(platforms) < len(nodes)
            # ``_target`` has closed a stage that is based on itself
            self._is_split[stage] = len(nodes) > 1 and (differs or stage not in self._open)
            self._open.discard(stage)
        return self._is_split[stage]

    def _target(self, node: Node) -> str:
        """Return the name of the target that builds a node."""
        if node.stage in self._open:  # a stage that is based on itself, on another platform
            self._open.discard(node.stage)
            self._is_split[node.stage] = True
        name = self._names[node.stage]
        if not self._split(node.stage):
            return name
        own = f"{name}-{_word(node.platform)}"
        return f"{own}_" if own in self._names.values() else own

    def _table(self, node: Node) -> dict[str, Any]:
        """Return the target of a node, without platforms and tags."""
        spec = self._graph.spec(node)
        config = spec.config
        table: dict[str, Any] = {"context": config.context, "dockerfile": config.dockerfile}
        if spec.sent_text != spec.text:
            table["dockerfile-inline"] = spec.sent_text
            del table["dockerfile"]
        table["args"] = command.arguments(spec)
        if contexts := self._contexts(spec):
            table["contexts"] = contexts
        if config.target:
            table["target"] = config.target
        if given := [*self._secrets(spec)]:
            table["secret"] = given
        if spec.config.run_options.cgroup_parent and spec.analysis.has_run:
            self._note(f"{spec.node}: cgroup_parent is left out: bake has no such key")
        options = _options(spec)
        if "extra-hosts" in options:  # https://github.com/docker/buildx/pull/3234
            self._note(f"{spec.node}: buildx before 0.25 ignores extra-hosts, and says nothing")
        return table | options

    def _contexts(self, spec: NodeSpec) -> dict[str, str]:
        """Return the named contexts: parents as targets, external images by their pinned digests."""
        by_name: dict[str, dict[str, str]] = {}
        stages: dict[str, str] = {}
        for parent in spec.parents:
            platform, name = parent.edge.platform or spec.platform.docker, parent.edge.name
            by_name.setdefault(name, {})[platform] = self._parent(parent.node)
            stages[name] = self._names.get(parent.node.stage, parent.node.stage)
        contexts = {name: self._joined(values, stages[name]) for name, values in by_name.items()}
        return contexts | command.image_contexts(spec)

    def _parent(self, node: Node) -> str:
        if self._project.config(node) is not None:
            return f"target:{self._target(node)}"
        context = self._finished(node)
        self._note(f"{node}: no Dockerfile builds it, so the file names the finished image: {context}")
        return context

    def _joined(self, by_platform: Mapping[str, str], stage: str) -> str:
        """Return one context for a stage on several platforms: a name has one context in bake."""
        contexts = dict.fromkeys(by_platform.values())
        if len(contexts) == 1:
            return next(iter(contexts))
        # BuildKit sets these arguments for each platform of a build (Dockerfile reference, "Automatic
        # platform ARGs in the global scope")
        own = {f"at-{''.join(docker.split('/')[1:])}": value for docker, value in sorted(by_platform.items())}
        table = {
            "context": ".",
            "dockerfile-inline": "FROM at-${TARGETARCH}${TARGETVARIANT}\n",
            "contexts": own,
            "platforms": sorted(by_platform),
        }
        taken = {*self._names.values(), *self._file.target}
        known = (name for name, joined in self._file.target.items() if joined == table)
        name = next(known, None) or names.unique([f"{stage}-platforms"], taken)[0]
        self._file.target[name] = table
        return f"target:{name}"

    def _secrets(self, spec: NodeSpec) -> Iterable[str]:
        declared = self._project.secrets
        for name in secrets.given(spec, declared):
            secret = declared.get(name)
            if secret is not None:
                kind, value = ("env", secret.env) if secret.env else ("src", secret.file)
                yield option_value({"id": name, kind: value})
            elif name == secrets.AUTHORITIES and (bundle := secrets.source(None, self._project.root).file):
                self._note(f"secret ca: the file names this machine's {bundle}")
                yield option_value({"id": name, "src": bundle})

    def _platform(self, node: Node) -> str:
        return self._project.platforms[node.platform].docker

    def _note(self, text: str) -> None:
        if text not in self._file.notes:
            self._file.notes.append(text)

    # -- images and groups -----------------------------------------------------------------------

    def _images_of(self, node: Node) -> list[str]:
        return [image.name for image in self._project.images_of(node)]

    def _tag_images(self) -> None:
        """Add the tags. A target for several platforms gets the tags of the index."""
        for nodes in self._stages.values():
            for node in nodes:
                table = self._file.target[self._target(node)]
                is_index = len(table.get("platforms", ())) > 1
                table.setdefault("platforms", [self._platform(node)])
                tags: list[str] = []
                for image in self._images_of(node):
                    index, run = self._tags.of_index, self._tags.of_run
                    tags += index(image) if is_index else run(image, node.platform)
                for tag in filterfalse(is_known, tags):
                    self._note(f"{node.stage}: tag {tag} is left out: only a run or git knows it")
                if known := [*filter(is_known, tags)]:
                    table["tags"] = known

    def _targets_of(self, image: str, platform: str) -> list[str]:
        """Return the target of an image on a platform; none if it is not in the file."""
        node = Node(self._project.images[image].stage, platform)
        return [self._target(node)] if node in self._stages.get(node.stage, ()) else []

    def _add_groups(self, goals: Sequence[str]) -> None:
        """Add groups: one for each image of another name, all tests, and what is built by default."""
        targets: dict[str, list[str]] = {}
        for nodes in self._stages.values():
            for node in nodes:
                for image in self._images_of(node):
                    targets.setdefault(image, []).append(self._target(node))
        taken: Mapping[str, Any] = {**self._file.target, **self._file.group}
        for image, found in targets.items():
            if _word(image) not in taken:
                self._file.group[_word(image)] = {"targets": [*dict.fromkeys(found)]}
        for group in self._project.groups.values():
            named = [t for image, platform in group.goals for t in self._targets_of(image, platform)]
            if named and _word(group.name) not in taken:
                self._file.group[_word(group.name)] = {"targets": [*dict.fromkeys(named)]}
        tests = [self._names[s] for s in self._stages if self._project.tested_by(s) is not None]
        if tests and _TESTS not in taken and _TESTS not in self._file.group:
            self._file.group[_TESTS] = {"targets": tests}
        chosen = [image for image in targets if self._project.images[image].default] or [*targets]
        if default := dict.fromkeys(goals or [target for image in chosen for target in targets[image]]):
            self._file.group["default"] = {"targets": [*default]}


def _word(name: str) -> str:
    """Return a name as bake takes it: names there have no dots."""
    return name.replace(".", "_")


def _options(spec: NodeSpec) -> dict[str, Any]:
    """Return labels and the options of RUN instructions, in the form of bake. Empty ones are left out."""
    options, runs = spec.config.run_options, spec.analysis.has_run
    hosts: dict[str, list[str]] = {}
    for host, address in command.added_hosts(spec):
        hosts.setdefault(host, []).append(address)
    network = command.network(spec)
    table: dict[str, Any] = {
        "network": network if network != "default" else "",
        "labels": dict(sorted(spec.config.labels.items())),
        "entitlements": sorted(command.entitlements(spec)),
        "extra-hosts": {host: ",".join(addresses) for host, addresses in hosts.items()},
        "shm-size": str(options.shm_size) if options.shm_size and runs else "",
        "ulimits": [f"{name}={limits}" for name, limits in options.ulimits if runs],
        "ssh": [f"{name}={','.join(paths)}" if paths else name for name, paths in ssh.given(spec).items()],
    }
    return {key: value for key, value in table.items() if value}
