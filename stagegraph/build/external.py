"""External images that only this machine's engine has, and the builders that shall find them.

A build asks for external images by digest. The engine's own builder can find an image of the engine; any
other builder needs a registry.
"""

from __future__ import annotations

import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from ..docker import config, engine
from ..errors import EngineError, ResolveError
from ..oci.platform import NO_PLATFORM, OciPlatform
from ..system.processes import run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..keys.spec import NodeSpec
    from ..oci.digest import Digest
    from .place import Placement
    from .placement import BuilderSelector


#: Seconds until a builder counts as one that cannot be shown an image.
_TIMEOUT = 300


class _Image(NamedTuple):
    """An external image that the builder asks for. ``docker`` is "" for the builder's own platform."""

    reference: str
    digests: tuple[Digest, ...]
    docker: OciPlatform


def _external_images(spec: NodeSpec) -> Iterator[_Image]:
    """All external images of a build, including the front end that reads its Dockerfile."""
    for image in spec.images:
        docker = image.edge.platform or spec.platform.docker
        yield _Image(image.reference, (image.digest, image.index), docker)
    if spec.frontend:
        yield _Image(spec.frontend.reference, (spec.frontend.digest,), NO_PLATFORM)


class EngineImages:
    """The images of this machine's engine, for the builds of one run."""

    def __init__(self, builders: BuilderSelector) -> None:
        self._builders = builders
        self._primed: set[str] = set()

    def prime(self, spec: NodeSpec, placement: Placement) -> None:
        """Let the engine's own builder find by digest the images that only the engine has.

        BuildKit looks for ``name@digest`` in the registry unless it has seen the name before (found with
        0.12). So one build with an empty result shows it the name; the build itself asks for the digest.
        """
        for image in _external_images(spec) if placement.is_own else ():
            if "@" not in image.reference and image.reference not in self._primed:
                self._primed.add(image.reference)
                if engine.image_id(image.reference) in image.digests:
                    _prime_reference(image, placement)

    def explain_invisible(self, spec: NodeSpec, placement: Placement) -> ResolveError | None:
        """The error for an image that this machine's engine has and a remote builder cannot get.

        Return None if there is no such image.
        """
        with suppress(EngineError):
            for image in _external_images(spec):
                is_here = engine.image_id(image.reference) in image.digests
                if is_here and self._builders.is_remote(placement):
                    name = f"builder {placement.name}" if placement.name else "the current builder of buildx"
                    what = f"{image.reference} is in this machine's engine, which {name} cannot see"
                    setting = f"builder={spec.platform.name}:{config.context()}"
                    hint = (
                        f"push it to a registry that the builder reaches, or build on the engine: {setting}"
                    )
                    return ResolveError(str(spec.node), what, hint)
        return None


def _prime_reference(image: _Image, placement: Placement) -> None:
    command = [*placement.command(), *([f"--platform={image.docker}"] if image.docker else [])]
    command += [f"--build-context=base=docker-image://{image.reference}", "--output=type=cacheonly", "-"]
    with tempfile.TemporaryFile() as dockerfile:
        dockerfile.write(b"FROM base\n")
        dockerfile.seek(0)
        run(
            command, stdin=dockerfile, timeout=_TIMEOUT
        )  # if this fails, the build itself fails and tells the reason
