"""Where a node is built. ``placement`` chooses it."""

from __future__ import annotations

from typing import NamedTuple

from ..oci.platform import NO_PLATFORM, OciPlatform


class Placement(NamedTuple):
    """The builder on which a node is built.

    ``name`` is "" for buildx's current builder. ``is_own``: it is the builder inside this machine's engine.
    ``machine`` is the OCI platform of the machine that does the work; "" if it is unknown.
    """

    name: str = ""
    driver: str = "docker"
    is_own: bool = True
    machine: OciPlatform = NO_PLATFORM

    def command(self) -> list[str]:
        """The first words of a build on this builder. For a Docker context, the client must enter it."""
        context = [f"--context={self.name}"] if self.name and self.driver == "docker" else []
        return ["docker", *context, "buildx", "build", *([f"--builder={self.name}"] if self.name else [])]
