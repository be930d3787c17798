"""What one build of a Dockerfile depends on: ``dockerfile`` finds it, others key, select and explain by it.

Pure data.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..oci.platform import OciPlatform
    from .instructions import Instruction


class Edge(NamedTuple):
    """A name that a Dockerfile takes files or its start from: a stage's, or an image's.

    ``name`` is as BuildKit compares names: without ``docker.io/library/`` and ``:latest``. ``platform`` is
    the OCI platform asked for with ``--platform``, or "" for the build's own. ``whole`` says that the image's
    configuration counts too (``FROM``), not only its files (``COPY --from``). ``bare``: the Dockerfile writes
    one word, with neither path nor tag.
    """

    name: str
    platform: OciPlatform
    line: int
    whole: bool
    bare: bool = False


class Part(NamedTuple):
    """What one FROM starts: the name at the bottom, the OCI platform asked for ("" for the build's own), and
    whether it has a RUN. The last part is the result."""

    name: str
    platform: OciPlatform
    runs: bool


@dataclass(frozen=True)
class DockerfileAnalysis:
    """What one build of a Dockerfile depends on.

    ``args`` are the build arguments to send; ``apart`` those arguments that FROM alone sees, so that all they
    do is in ``edges``. ``sources`` are context paths or patterns as BuildKit would look
    them up, with their lines, or ``None`` for all of the context; ``moded`` those of them whose mode the
    instruction says. ``runs``: a step runs a program. ``target`` is the name of the part that is built, as a
    step may see it (``sees_target``). ``installs_packages``: a step runs the package
    manager. ``secrets`` are the ids of secrets that steps mount. ``parts`` are those that the result needs.
    """

    instructions: tuple[Instruction, ...]
    edges: tuple[Edge, ...]
    args: Mapping[str, str]
    sources: tuple[tuple[str, int], ...] | None
    directives: Mapping[str, str] = field(default_factory=dict)
    installs_packages: bool = False
    secrets: frozenset[str] = frozenset()
    parts: tuple[Part, ...] = ()
    apart: frozenset[str] = frozenset()
    moded: tuple[tuple[str, int], ...] = ()
    runs: bool = False
    target: str = ""
    sees_target: bool = False
