"""The project as declared: platforms, stages, images. Frozen and pure.

Knows nothing of files, Dockerfiles or builds; ``config`` makes it, ``graph`` resolves it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from ..oci.platform import NO_PLATFORM, tag_part

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ..oci.platform import OciPlatform

#: The name by which Dockerfiles refer to what everything stands on.
BASE = "base"

#: Seconds since 1970 given to builds as SOURCE_DATE_EPOCH unless the project says otherwise
#: (2025-01-01). A constant, so that no result depends on the day it was made.
DEFAULT_EPOCH = 1735689600


class Node(NamedTuple):
    """A stage on a platform; written ``STAGE:PLATFORM``."""

    stage: str
    platform: str

    def __str__(self) -> str:
        return f"{self.stage}:{self.platform}"


@dataclass(frozen=True)
class Platform:
    """A named target. ``docker`` is its OCI platform (``linux/arm64``, ``linux/arm/v7``).

    ``builders`` are buildx builders, the preferred first, none for buildx's current one; no key has them.
    """

    name: str
    docker: OciPlatform
    args: Mapping[str, str] = field(default_factory=dict)
    builders: tuple[str, ...] = ()

    @property
    def arch(self) -> str:
        """The OCI platform without its system, fit for a tag: ``arm64``, ``arm-v7``."""
        return tag_part(self.docker)


@dataclass(frozen=True)
class StageConfig:
    """How one stage is built on one platform, all layers of settings merged.

    ``context`` is the stage's folder relative to the project; ``args`` are candidates: only those that
    the Dockerfile declares are sent. ``own_args`` names those given for this stage itself, which must be
    declared. ``timeout`` is how many seconds a build may take, 0 for as long as it likes. ``native`` is the
    OCI platform at whose speed its programs run, "" for its own. Neither is part of the key. ``contexts`` are
    stand-ins: what takes the place of a reference from outside, by the reference in its short form.
    ``own_frontend``: the builder's own front end reads the Dockerfile, whatever its ``# syntax=`` line names.
    ``alternative`` is the name of the one in force. ``source`` is where in ``stages.toml`` the stage is
    written (``stages.toml:7``).
    """

    context: str
    dockerfile: str = "Dockerfile"
    target: str = ""
    network: str = "default"
    args: Mapping[str, str] = field(default_factory=dict)
    own_args: frozenset[str] = frozenset()
    unpinned: bool = False
    archive: bool = False
    timeout: int = 0
    native: OciPlatform = NO_PLATFORM
    contexts: Mapping[str, str] = field(default_factory=dict)
    own_frontend: bool = False
    alternative: str = ""
    source: str = ""


@dataclass(frozen=True)
class Bootstrap:
    """A base built from the distribution's archive by mmdebstrap."""

    suite: str
    include: tuple[str, ...] = ()
    source: str = ""


@dataclass(frozen=True)
class ExternalBase:
    """A base given as an image reference."""

    image: str
    source: str = ""


#: A base may also be a stage: a folder with a Dockerfile, which may stand on the base of another platform.
Base = Bootstrap | ExternalBase | StageConfig


@dataclass(frozen=True)
class Stage:
    """A folder with a Dockerfile, and what the project says of it.

    ``recipes`` is by platform name: all of the project's, or those of the images that a stacked stage or a
    test is for.

    ``below`` is the stage that it stands on in a stack, "" where it is part of none. ``names`` are further
    references that mean it, as they are written.
    """

    name: str
    description: str
    recipes: Mapping[str, StageConfig]
    source: str = ""
    below: str = ""
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Image:
    """A stage that users ask for by name and that gets a final tag.

    ``test`` is the stage that must build before the tag is set, "" for none: a test is a stage that stands
    on the image, so that its pass is recorded, found again and explained like any other node. ``default``:
    whether it is made when nothing is asked for.
    """

    name: str
    stage: str
    description: str
    platforms: tuple[str, ...]
    test: str = ""
    source: str = ""
    default: bool = True


@dataclass(frozen=True)
class Secret:
    """A build secret: a file, or an environment variable that holds the value."""

    file: str = ""
    env: str = ""


@dataclass(frozen=True)
class Settings:
    """What the command line and the environment can set.

    ``push`` is what goes to the registry: "never" anything, the "nodes" that this run built, what it "built"
    and final images, or "all" nodes that it looked at as well.
    """

    repo: str
    tag: str = ""
    registry: str = ""
    locked: bool = False
    push: str = "built"


@dataclass(frozen=True)
class Project:
    """All that ``stages.toml`` and the command line say. ``bases`` is by platform name.

    ``repositories`` are the names of the repository that final images get, with and without the registry, as
    ``[project]`` declares them and as the call sets them.
    """

    root: Path
    settings: Settings
    platforms: Mapping[str, Platform]
    bases: Mapping[str, Base]
    stages: Mapping[str, Stage]
    images: Mapping[str, Image]
    epoch: int = DEFAULT_EPOCH
    secrets: Mapping[str, Secret] = field(default_factory=dict)
    repositories: frozenset[str] = frozenset()

    @property
    def cache(self) -> Path:
        return self.root / "cache"

    def nodes(self) -> list[Node]:
        """Every node, base first, then in the order of ``stages.toml``."""
        return [
            Node(stage, platform)
            for platform in self.platforms
            for stage in (BASE, *self.stages)
            if (self.makes_base(platform) if stage == BASE else platform in self.stages[stage].recipes)
        ]

    def makes_base(self, platform: str) -> bool:
        """Whether the platform's base is a node of this project rather than an image from outside."""
        return not isinstance(self.bases[platform], ExternalBase)

    def recipe(self, node: Node) -> StageConfig | None:
        """How a node is built from its folder; None for a base that is bootstrapped or from outside."""
        if node.stage != BASE:
            return self.stages[node.stage].recipes[node.platform]
        base = self.bases[node.platform]
        return base if isinstance(base, StageConfig) else None

    def test(self, image: str, platform: str) -> Node | None:
        """The node that tests an image on a platform, None where it has no test."""
        stage = self.images[image].test
        return Node(stage, platform) if stage else None

    def tested_by(self, stage: str) -> Image | None:
        """The image that a stage is the test of, None where it is no test."""
        return next((image for image in self.images.values() if image.test == stage), None)

    def tag(self, image: str, platform: str) -> str:
        """The final reference of an image: ``REPO:TAG``; TAG defaults to ``IMAGE-PLATFORM``."""
        return f"{self.settings.repo}:{self.settings.tag or f'{image}-{platform}'}"


def final_tags(images: Mapping[str, Image]) -> dict[str, tuple[Image, str]]:
    """Tags that images get by default, with the platform: ``IMAGE-PLATFORM``; ``IMAGE`` for all platforms."""
    tags = {f"{i.name}-{platform}": (i, platform) for i in images.values() for platform in i.platforms}
    return {i.name: (i, "") for i in images.values()} | tags
