"""The inputs of a node's key: an ordered list of everything that determines the node.

Pure. ``digest`` hashes the list, ``explain`` compares two lists. The recipe key holds the recipe keys of the
parents; the content key holds digests of their content ("deep constructive" and "constructive" traces of
*Build Systems a la Carte*, Mokhov et al. 2018).

The inputs of a node come from its ``NodeSpec``: instructions from ``dockerfile.instructions``, whose white
space does not count, and files from ``dockerfile.sources``, which says how a file that COPY names comes here.
"""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from ..oci.digest import sha256
from ..project import bootstrap
from .key import Key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..oci.digest import Digest
    from ..oci.platform import OciPlatform
    from ..project.model import Bootstrap, StageConfig
    from .spec import NodeSpec

#: The version of these rules. It is part of every key: a change of the rules changes every key.
SCHEMA = "2"


class Input(NamedTuple):
    """One thing that determines a node.

    ``role``, ``name`` and ``value`` are hashed. ``where`` and ``shown`` are for messages. The name of an
    image or build stage is hashed as its place in the Dockerfile, so that renaming does not change the key.
    ``shown`` is then what the Dockerfile says: the image's name, or the instruction as it is written.
    """

    role: str
    name: str
    value: str
    where: str = ""
    shown: str = ""

    @property
    def subject(self) -> str:
        """The name for messages."""
        return self.name if self.role == "instruction" else self.shown or self.name

    @property
    def written(self) -> str:
        """The value as it is written."""
        return self.shown or self.value if self.role == "instruction" else self.value


class Ancestor(NamedTuple):
    """A parent or external image in a key: its place in the Dockerfile (``name``) and a digest.

    ``shown`` is its name in the Dockerfile.
    """

    role: str
    name: str
    digest: Key | Digest
    where: str = ""
    shown: str = ""


def digest(inputs: Iterable[Input]) -> Key:
    """Return the key: a hash over role, name and value of each input.

    They are written as canonical JSON, so that two different lists never give the same bytes. ``role``,
    ``name`` and ``value`` are the first three fields.
    """
    return Key(sha256(_json([item[:3] for item in inputs]).encode()))


def inputs(spec: NodeSpec, ancestors: Iterable[Ancestor], *, content: bool = False) -> list[Input]:
    """Return everything that determines a node, in a fixed order.

    ``ancestors`` are parents and external images. Parents come with their recipe keys, or, with ``content``,
    with the digest of their content that the node can see.
    """
    return [
        Input("schema", "", f"{SCHEMA} content" if content else SCHEMA),
        Input("platform", "", spec.platform.docker),
        Input("option", "epoch", str(spec.epoch)),
        *(_stage(spec) if spec.bootstrap is None else _bootstrapped(spec.bootstrap, spec.platform.docker)),
        *(Input(*a) for a in sorted(ancestors)),
        *([Input("archive", "", spec.package_date, "stages.lock")] if spec.package_date else []),
    ]


def _bootstrapped(boot: Bootstrap, docker: OciPlatform) -> Iterator[Input]:
    yield Input("option", "bootstrap", boot.suite, boot.declared_at)
    for package in sorted(boot.include):
        yield Input("package", package, "", boot.declared_at)
    # suite and packages are inputs of their own, above
    plain = boot._replace(suite="", include=())
    yield Input("option", "mmdebstrap", _json(bootstrap.arguments(plain, docker)))
    yield Input("option", "dockerfile", bootstrap.DOCKERFILE)


def _stage(spec: NodeSpec) -> Iterator[Input]:
    config, analysis = spec.config, spec.analysis
    if analysis.uses_target_name:
        yield Input("option", "target", analysis.target, _line(config, "target"))
    if analysis.has_run and config.network != "default":
        yield Input("option", "network", config.network, _line(config, "network"))
    if analysis.has_run:
        yield from _run_options(config)
    for name, value in sorted(config.labels.items()):
        yield Input("label", name, value, _line(config, f"labels.{name}"))
    for name, value in sorted(analysis.directives.items()):
        if name != "syntax":
            yield Input("option", name, value, spec.dockerfile)
    if spec.frontend:
        pinned = f"{spec.frontend.digest} {spec.frontend.options}".rstrip()
        yield Input("option", "syntax", pinned, f"{spec.dockerfile}:1")
    head, dockerfile = True, spec.dockerfile
    for step in analysis.instructions:
        head = head and step.cmd == "ARG"
        if head and {word.partition("=")[0] for word in step.value} <= analysis.from_only_args:
            continue
        value = _encoded(step.placed or step.canonical)
        shown = _encoded(step.canonical) if step.placed else ""
        yield Input("instruction", "", value, f"{dockerfile}:{step.line}", shown)
    for name, value in sorted(analysis.args.items()):
        if name not in analysis.from_only_args:
            yield Input("argument", name, value, _line(config, f"args.{name}"))
    for entry in spec.entries:
        yield Input("file", entry.path, f"{entry.kind} {entry.digest}", f"{config.context}/{entry.path}")


def _run_options(config: StageConfig) -> Iterator[Input]:
    """What RUN instructions can see of the builder. Only these ``RunOptions`` can change a result."""
    options = config.run_options
    hosts: dict[str, list[str]] = {}
    for host, address in options.extra_hosts:
        hosts.setdefault(host, []).append(address)
    for host, addresses in hosts.items():
        yield Input("option", f"extra host {host}", " ".join(addresses), _line(config, "extra_hosts"))
    if options.shm_size:
        yield Input("option", "shm size", str(options.shm_size), _line(config, "shm_size"))
    for name, limits in options.ulimits:
        yield Input("option", f"ulimit {name}", limits, _line(config, "ulimits"))


def _line(config: StageConfig, key: str) -> str:
    """Return the line that sets a value of a stage, by default that of the stage."""
    return config.set_at.get(key, config.declared_at)


#: Canonical JSON. One encoder for all: ``json.dumps`` would make one for each of some thousand values.
_json = json.JSONEncoder(separators=(",", ":")).encode

#: An instruction as a key holds it, encoded once for all platforms and both keys. Equal ones give the same
#: text: a place in the tuple always has the same type, so no 1 meets a True.
_encoded = cache(_json)
