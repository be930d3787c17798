"""A node with everything that determines it. Pure values; ``graph`` fills them, ``inputs`` hashes them."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..context.entry import Entry
from ..dockerfile.dependencies import DockerfileAnalysis, Edge
from ..dockerfile.instructions import without_syntax
from ..oci.digest import Digest
from ..oci.reference import split
from ..project.model import Bootstrap, Node, Platform, StageConfig


@dataclass(frozen=True)
class Parent:
    """An edge to another node of the project."""

    edge: Edge
    node: Node


@dataclass(frozen=True)
class ExternalImage:
    """An edge to an image from outside. ``digest`` is of the manifest for the edge's platform; ``index`` of
    what the reference names (an index, or the same manifest)."""

    edge: Edge
    reference: str
    digest: Digest
    index: Digest


@dataclass(frozen=True)
class Frontend:
    """An image that reads the Dockerfile (``# syntax=REFERENCE OPTIONS``), and what it is pinned to."""

    reference: str
    digest: Digest
    options: str = ""

    @property
    def pinned(self) -> str:
        """The value of BUILDKIT_SYNTAX, which comes before the Dockerfile's own line."""
        return f"{split(self.reference).repository}@{self.digest} {self.options}".rstrip()


@dataclass(frozen=True)
class NodeSpec:
    """A node with everything that determines it, parents apart. ``dockerfile`` is relative to the project.

    ``exposed``: a source reaches the Dockerfile, but it is not among the entries as the file to build from
    (it is hidden, or a link). It must then lie outside of the context that is sent, or COPY would see it.
    """

    node: Node
    platform: Platform
    recipe: StageConfig
    epoch: int
    facts: DockerfileAnalysis = field(default_factory=lambda: DockerfileAnalysis((), (), {}, ()))
    entries: tuple[Entry, ...] = ()
    parents: tuple[Parent, ...] = ()
    images: tuple[ExternalImage, ...] = ()
    frontend: Frontend | None = None
    bootstrap: Bootstrap | None = None
    archive: str = ""
    text: str = ""
    exposed: bool = False

    @property
    def dockerfile(self) -> str:
        return f"{self.recipe.context}/{self.recipe.dockerfile}"

    @property
    def sent_text(self) -> str:
        """The Dockerfile as it is sent: the builder's own front end must not see ``# syntax=``."""
        return without_syntax(self.text) if self.recipe.own_frontend else self.text

    @property
    def history_name(self) -> str:
        """The name of what is kept of the node's last build; each alternative has its own."""
        alternative = f"--{self.recipe.alternative}" if self.recipe.alternative else ""
        return f"{self.node}{alternative}"
