"""The recipe of a node: an ordered list of inputs. One consumer hashes it, another explains it.

Pure. The recipe key takes parents by their recipe keys, the content key by the content they produced
("deep constructive" and "constructive" traces of *Build Systems a la Carte*, Mokhov et al. 2018).
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from ..oci.digest import sha256
from ..project import bootstrap
from .key import Key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..oci.digest import Digest
    from ..oci.platform import OciPlatform
    from ..project.model import Bootstrap
    from .spec import NodeSpec

#: Part of every key. A change of the recipe's meaning changes it, and with it every key.
SCHEMA = "2"


class Input(NamedTuple):
    """One thing that determines a node. ``where`` and ``shown`` are for people and are not hashed.

    What leads to another image is hashed by its place in the Dockerfile, so that another name makes no other
    key. ``shown`` is what stands there: the name of an image, the ``value`` of an instruction as it is
    written; "" where that is what is hashed.
    """

    role: str
    name: str
    value: str
    where: str = ""
    shown: str = ""

    @property
    def subject(self) -> str:
        """What people know it by."""
        return self.name if self.role == "instruction" else self.shown or self.name

    @property
    def written(self) -> str:
        """The value as people wrote it."""
        return self.shown or self.value if self.role == "instruction" else self.value


class Ancestor(NamedTuple):
    """What a parent or external image contributes to a key: its place in the Dockerfile and a digest.

    ``shown`` is its name there.
    """

    role: str
    name: str
    digest: Key | Digest
    where: str = ""
    shown: str = ""


def digest(inputs: Iterable[Input]) -> Key:
    """The key: a hash of role, name and value of each input, as canonical JSON, so no two lists collide."""
    canonical = [[i.role, i.name, i.value] for i in inputs]
    return Key(sha256(json.dumps(canonical, separators=(",", ":")).encode()))


def inputs(spec: NodeSpec, ancestors: Iterable[Ancestor], *, content: bool = False) -> list[Input]:
    """Everything that determines a node, in a fixed order.

    ``ancestors`` are parents and external images with the digest that counts: recipe keys of parents, or,
    with ``content``, digests of what they produced.
    """
    return [
        Input("schema", "", f"{SCHEMA} content" if content else SCHEMA),
        Input("platform", "", spec.platform.docker),
        Input("option", "epoch", str(spec.epoch)),
        *(_stage(spec) if spec.bootstrap is None else _bootstrapped(spec.bootstrap, spec.platform.docker)),
        *(Input(*a) for a in sorted(ancestors)),
        *([Input("archive", "", spec.archive, "stages.lock")] if spec.archive else []),
    ]


def _bootstrapped(boot: Bootstrap, docker: OciPlatform) -> Iterator[Input]:
    yield Input("option", "bootstrap", boot.suite, boot.source)
    for package in sorted(boot.include):
        yield Input("package", package, "", boot.source)
    # packages and suite stand above, each by itself
    plain = replace(boot, suite="", include=())
    yield Input("option", "mmdebstrap", _json(bootstrap.arguments(plain, docker)))
    yield Input("option", "dockerfile", bootstrap.DOCKERFILE)


def _stage(spec: NodeSpec) -> Iterator[Input]:
    recipe, facts = spec.recipe, spec.facts
    if facts.sees_target:
        yield Input("option", "target", facts.target, recipe.source)
    if facts.runs and recipe.network != "default":
        yield Input("option", "network", recipe.network, recipe.source)
    for name, value in sorted(facts.directives.items()):
        if name != "syntax":
            yield Input("option", name, value, spec.dockerfile)
    if spec.frontend:
        pinned = f"{spec.frontend.digest} {spec.frontend.options}".rstrip()
        yield Input("option", "syntax", pinned, f"{spec.dockerfile}:1")
    head = True
    for step in facts.instructions:
        head = head and step.cmd == "ARG"
        if head and {word.partition("=")[0] for word in step.value} <= facts.apart:
            continue
        value, written = _json(step.placed or step.canonical), _json(step.canonical)
        shown = written if step.placed else ""
        yield Input("instruction", "", value, f"{spec.dockerfile}:{step.line}", shown)
    for name, value in sorted(facts.args.items()):
        if name not in facts.apart:
            yield Input("argument", name, value, recipe.source)
    for entry in spec.entries:
        yield Input("file", entry.path, f"{entry.kind} {entry.digest}", f"{recipe.context}/{entry.path}")


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
