"""A node with everything that determines it.

Pure values: ``graph`` fills them from files and pins, ``inputs`` turns them into the inputs of a key.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from ..context.entry import Entry
from ..dockerfile.dependencies import DockerfileAnalysis, Edge
from ..dockerfile.directives import without_syntax
from ..oci.digest import Digest
from ..oci.reference import familiar, split
from ..project.model import Bootstrap, Node, Platform, StageConfig

#: Of a base that mmdebstrap builds.
_NO_ANALYSIS = DockerfileAnalysis((), (), {}, ())


class Parent(NamedTuple):
    """An edge to another node of the project."""

    edge: Edge
    node: Node


@dataclass(frozen=True)
class ExternalImage:
    """An edge to an external image, pinned.

    ``digest`` is the digest of the manifest for the edge's platform. ``index`` is the digest of what the
    reference names: an index or that manifest.
    """

    edge: Edge
    reference: str
    digest: Digest
    index: Digest

    @property
    def shown(self) -> str:
        """The name for messages: as the Dockerfile writes it, with the reference if it stands for another."""
        name = self.edge.name
        return name if familiar(self.reference) == name else f"{name} ({self.reference})"


class Frontend(NamedTuple):
    """An image that reads the Dockerfile (``# syntax=REFERENCE OPTIONS``), pinned to ``digest``."""

    reference: str
    digest: Digest
    options: str = ""

    @property
    def pinned(self) -> str:
        """The value for BUILDKIT_SYNTAX, which takes precedence over the Dockerfile's own line."""
        return f"{split(self.reference).repository}@{self.digest} {self.options}".rstrip()


class NodeSpec(NamedTuple):
    """A node with everything that determines it, except its parents' keys.

    - ``analysis`` is of its Dockerfile, ``text`` the Dockerfile as it is. ``entries`` are the context files.
    - ``bootstrap`` is set for a base that mmdebstrap builds; there is no Dockerfile then.
    - ``package_date`` is the date of ``stages.lock`` if the node installs packages, else "".
    - ``exposed``: a source matches the Dockerfile, but ``entries`` does not have it as a file (it is hidden,
      or a link). It must then be sent outside of the context, or COPY would see it.
    """

    node: Node
    platform: Platform
    config: StageConfig
    epoch: int
    analysis: DockerfileAnalysis = _NO_ANALYSIS
    entries: tuple[Entry, ...] = ()
    parents: tuple[Parent, ...] = ()
    images: tuple[ExternalImage, ...] = ()
    frontend: Frontend | None = None
    bootstrap: Bootstrap | None = None
    package_date: str = ""
    text: str = ""
    exposed: bool = False

    @property
    def dockerfile(self) -> str:
        """The Dockerfile's path, relative to the project."""
        return f"{self.config.context}/{self.config.dockerfile}"

    @property
    def sent_text(self) -> str:
        """The Dockerfile as it is sent: without ``# syntax=`` for the builder's own front end."""
        return without_syntax(self.text) if self.config.own_frontend else self.text

    @property
    def history_name(self) -> str:
        """The name under which records and logs of the node are kept; each alternative has its own."""
        return history_name(self.node, self.config.alternative)


def history_name(node: Node, alternative: str) -> str:
    """The history name of a node with an alternative of its stage; "" for none."""
    return f"{node}--{alternative}" if alternative else str(node)
