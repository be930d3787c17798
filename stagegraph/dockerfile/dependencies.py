"""The dependencies of one build of a Dockerfile, as values.

``analysis`` finds them; other rooms compute keys, select files and explain changes with them. Pure data.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..oci.platform import OciPlatform
    from .instructions import Instruction
    from .needs import Need


class Edge(NamedTuple):
    """A name of a stage or image that a Dockerfile starts from or copies from.

    ``name`` is in the form in which BuildKit compares names: without ``docker.io/library/`` and ``:latest``.
    ``platform`` is the OCI platform of ``--platform``, or "" for the build's own. ``is_from``: FROM names it,
    so the image's configuration counts too; otherwise only its files do (``COPY --from``, mounts). ``bare``:
    the Dockerfile writes one word, without path and tag.
    """

    name: str
    platform: OciPlatform
    line: int
    is_from: bool
    bare: bool = False


class BuildStageSummary(NamedTuple):
    """One build stage of a Dockerfile.

    ``name`` is the image that it starts from, directly or through other build stages. ``platform`` is the OCI
    platform of that FROM, or "" for the build's own. ``has_run``: a RUN is among its steps.
    """

    name: str
    platform: OciPlatform
    has_run: bool


class DockerfileAnalysis(NamedTuple):
    """The dependencies of one build of a Dockerfile.

    - ``instructions``: those that count, in order.
    - ``edges``: stages and images that it takes from.
    - ``args``: build arguments to send, by name. ``from_only_args``: arguments that only FROM sees; their
      whole effect is in ``edges``.
    - ``sources``: context paths or patterns, as BuildKit looks them up, with their lines; None for the whole
      context. ``chmod_sources``: further ones whose instructions set the mode (``--chmod=644``).
    - ``directives``: the parser directives ``syntax`` and ``escape``.
    - ``installs_packages``: a step runs a package manager.
    - ``needs``: the secrets, SSH agents and entitlements that steps need. ``needs_all``: triggers may
      need any that is declared.
    - ``build_stages``: those that the target needs; the last one is the target. ``has_run``: one has a RUN.
    - ``target``: the target's name, as a step can see it if ``uses_target_name``.
    """

    instructions: tuple[Instruction, ...]
    edges: tuple[Edge, ...]
    args: Mapping[str, str]
    sources: tuple[tuple[str, int], ...] | None
    directives: Mapping[str, str] = MappingProxyType({})
    installs_packages: bool = False
    needs: tuple[Need, ...] = ()
    needs_all: bool = False
    build_stages: tuple[BuildStageSummary, ...] = ()
    from_only_args: frozenset[str] = frozenset()
    chmod_sources: tuple[tuple[str, int], ...] = ()
    has_run: bool = False
    target: str = ""
    uses_target_name: bool = False

    @property
    def secrets(self) -> frozenset[str]:
        """The ids of the secrets that steps mount."""
        return self.needed("secret")

    def needed(self, kind: str) -> frozenset[str]:
        """Return the names of what steps need of one kind of ``Need``."""
        return frozenset(need.name for need in self.needs if need.kind == kind)
