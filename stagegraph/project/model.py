"""The project as declared in ``stages.toml``: platforms, stages, images.

Frozen values. They are named tuples, which cost less time at each start than data classes. Knows nothing of
files, Dockerfiles or builds: ``loader`` builds it, ``graph`` resolves it. ``tags`` decides the final tags of
images.
"""

from __future__ import annotations

from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from ..oci.platform import NO_PLATFORM, tag_part

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ..oci.platform import OciPlatform

#: The name of the base image in Dockerfiles.
BASE = "base"

#: The default SOURCE_DATE_EPOCH, in seconds since 1970: 2025-01-01. A constant, so that no result depends on
#: the day of the build.
DEFAULT_EPOCH = 1735689600

#: The epoch of a project that declares the time of the last commit, before ``graph.epoch`` sets it.
TIME_OF_COMMIT = -1

_NONE: Mapping[str, Any] = MappingProxyType({})


class Node(NamedTuple):
    """A stage on a platform; written ``STAGE:PLATFORM``."""

    stage: str
    platform: str

    def __str__(self) -> str:
        return f"{self.stage}:{self.platform}"


class Platform(NamedTuple):
    """A named target. ``docker`` is its OCI platform (``linux/arm64``, ``linux/arm/v7``).

    ``builders`` are buildx builders, the preferred one first; () for buildx's current one. They are not part
    of any key.
    """

    name: str
    docker: OciPlatform
    args: Mapping[str, str] = _NONE
    builders: tuple[str, ...] = ()

    @property
    def arch(self) -> str:
        """The OCI platform without its system, for a tag: ``arm64``, ``arm-v7``."""
        return tag_part(self.docker)


class RunOptions(NamedTuple):
    """What the builder gives to the RUN instructions of a stage, or lets them do.

    - ``ssh``: SSH agents and keys by name, with their paths; () for the agent of SSH_AUTH_SOCK. ``allow``:
      entitlements. Both are not part of the key.
    - ``extra_hosts``: hosts and their addresses, or "host-gateway", sorted by host.
    - ``shm_size``: bytes of ``/dev/shm``, 0 for the builder's default.
    - ``ulimits``: limits as ``SOFT:HARD``, sorted by name; -1 is no limit.
    - ``cgroup_parent``: the control group of the builder's machine, "" for its default; not part of the key.
    """

    ssh: Mapping[str, tuple[str, ...]] = _NONE
    allow: frozenset[str] = frozenset()
    extra_hosts: tuple[tuple[str, str], ...] = ()
    shm_size: int = 0
    ulimits: tuple[tuple[str, str], ...] = ()
    cgroup_parent: str = ""


class StageConfig(NamedTuple):
    """How one stage is built on one platform: all layers of settings, merged.

    - ``context``: the stage's folder, relative to the project. ``dockerfile``: relative to that folder.
    - ``args``: values of arguments; only those that the Dockerfile declares are sent. ``own_args``: names of
      those that the stage itself sets; the Dockerfile must declare them.
    - ``unpinned``: ADD may fetch a URL without a checksum.
    - ``installs_packages``: the stage says so, so the package date is part of its key.
    - ``timeout``: seconds that a build may take, 0 for no limit; not part of the key.
    - ``native``: OCI platform whose programs it runs, "" for its own; not part of the key.
    - ``contexts``: stand-ins for external references, by the reference in its short form.
    - ``labels``: labels of the image, over those of the Dockerfile.
    - ``run_options``: what the builder gives to RUN instructions.
    - ``own_frontend``: the builder's own front end reads the Dockerfile and ignores its ``# syntax=`` line.
    - ``alternative``: name of the alternative in force, "" for none.
    - ``declared_at``: line of the stage (``stages.toml:7``). ``set_at``: lines of its values, by key; those
      of arguments and labels are ``args.NAME`` and ``labels.NAME``. A line may be followed by the setting
      that chose an alternative.
    """

    context: str
    dockerfile: str = "Dockerfile"
    target: str = ""
    network: str = "default"
    args: Mapping[str, str] = _NONE
    own_args: frozenset[str] = frozenset()
    unpinned: bool = False
    installs_packages: bool = False
    timeout: int = 0
    native: OciPlatform = NO_PLATFORM
    contexts: Mapping[str, str] = _NONE
    labels: Mapping[str, str] = _NONE
    run_options: RunOptions = RunOptions()
    own_frontend: bool = False
    alternative: str = ""
    declared_at: str = ""
    set_at: Mapping[str, str] = _NONE

    @property
    def dockerfile_path(self) -> str:
        """The Dockerfile's path, relative to the project."""
        return f"{self.context}/{self.dockerfile}"


class Bootstrap(NamedTuple):
    """A base that mmdebstrap builds from the distribution's packages.

    ``include`` are packages besides the smallest set.
    """

    suite: str
    include: tuple[str, ...] = ()
    declared_at: str = ""


class ExternalBase(NamedTuple):
    """A base that is an external image."""

    image: str
    declared_at: str = ""


#: A base may also be a stage: a folder with a Dockerfile, which may start from the base of another platform.
Base = Bootstrap | ExternalBase | StageConfig


class Stage(NamedTuple):
    """A folder with a Dockerfile, and its settings.

    ``configs`` is by platform name: for all platforms or those that the stage names (``only``), or for those
    of the images that need a stacked stage or test. ``stacked_on`` is the stage below it in a stack, ""
    without a stack. ``names`` are further references that mean this stage, as they are written.
    ``alternatives`` are the names of all that are declared.
    """

    name: str
    description: str
    configs: Mapping[str, StageConfig]
    declared_at: str = ""
    stacked_on: str = ""
    names: tuple[str, ...] = ()
    alternatives: tuple[str, ...] = ()


class PrintCommand(NamedTuple):
    """A command whose output is part of tags: ``{prints.NAME}``. It runs in the finished image.

    ``match`` is a regular expression for the part of the output that counts, "" for all of it.
    """

    name: str
    command: tuple[str, ...]
    match: str = ""
    declared_at: str = ""


class Image(NamedTuple):
    """A stage that users name and that gets final tags.

    ``test`` is the stage that must build before the tag is set, "" for none. A test is a stage that starts
    from the image, so its success is recorded, found again and explained like any other node. ``default``:
    it is built when the user names nothing. ``repo`` is its own repository, "" for that of the project.
    ``tags`` are as they are declared, with placeholders, () for the defaults; ``tags_at`` is their line.
    """

    name: str
    stage: str
    description: str
    platforms: tuple[str, ...]
    test: str = ""
    declared_at: str = ""
    default: bool = True
    repo: str = ""
    tags: tuple[str, ...] = ()
    prints: Mapping[str, PrintCommand] = _NONE
    tags_at: str = ""


class Group(NamedTuple):
    """Images that one word of the command line names.

    ``words`` are as they are written; ``goals`` are the images that they mean, each with a platform.
    """

    name: str
    words: tuple[str, ...]
    goals: tuple[tuple[str, str], ...]

    @property
    def images(self) -> list[str]:
        """The images, each once."""
        return list(dict.fromkeys(image for image, _ in self.goals))


class Secret(NamedTuple):
    """A build secret: a file, or an environment variable that holds the value."""

    file: str = ""
    env: str = ""


class Settings(NamedTuple):
    """The settings of a call, from the command line, the environment or ``[project]``.

    ``push`` is what a run pushes to the registry. "never": nothing. "nodes": the nodes that it builds.
    "built": these and final images. "all": also the images that it finds in ``cache/``, and all ancestors.
    """

    repo: str
    tag: str = ""
    registry: str = ""
    locked: bool = False
    push: str = "built"


class TrustedKey(NamedTuple):
    """Somebody who may sign records: a public key, and patterns of the stages that it may sign."""

    public: str
    stages: tuple[str, ...] = ("*",)
    declared_at: str = ""


class Trust(NamedTuple):
    """Whose records the project uses (``[trust]``).

    ``level``: "none": anybody's, and nothing is signed. "warn": anybody's, with a warning. "required": only
    those that enough of ``keys`` have signed: ``threshold`` of them, or more for some stages
    (``thresholds``, by pattern).
    """

    level: str = "none"
    keys: Mapping[str, TrustedKey] = _NONE
    threshold: int = 1
    thresholds: Mapping[str, int] = _NONE
    declared_at: str = ""


class _Declared(NamedTuple):
    """The fields of ``Project``."""

    root: Path
    settings: Settings
    platforms: Mapping[str, Platform]
    bases: Mapping[str, Base]
    stages: Mapping[str, Stage]
    images: Mapping[str, Image]
    epoch: int = DEFAULT_EPOCH
    secrets: Mapping[str, Secret] = _NONE
    repositories: Mapping[str, frozenset[str]] = _NONE
    groups: Mapping[str, Group] = _NONE
    version: str = ""
    epoch_is_from_git: bool = False
    trust: Trust = Trust()


class Project(_Declared):
    """Everything that ``stages.toml`` and the settings of a call declare. ``bases`` is by platform name.

    ``repositories`` are the names of the repositories of final images, in their short form, with and without
    the registry, as ``stages.toml`` declares them and as the call sets them. Each has the ``repo`` of its
    images. ``version`` is that of ``[project]``: "git" for what git says, "" for none. ``epoch_is_from_git``:
    ``epoch`` is the time of a commit.
    """

    @property
    def cache(self) -> Path:
        return self.root / "cache"

    def nodes(self) -> list[Node]:
        """Return every node, by platform: the base first, then in the order of ``stages.toml``."""
        return [
            Node(stage, platform)
            for platform in self.platforms
            for stage in (BASE, *self.stages)
            if (self.builds_base(platform) if stage == BASE else platform in self.stages[stage].configs)
        ]

    def has(self, node: Node) -> bool:
        """Return True if the node is one of ``nodes``."""
        if node.stage == BASE:
            return node.platform in self.platforms and self.builds_base(node.platform)
        return node.stage in self.stages and node.platform in self.stages[node.stage].configs

    def builds_base(self, platform: str) -> bool:
        """Return True if the platform's base is a node of this project, not an external image."""
        return not isinstance(self.bases[platform], ExternalBase)

    def config(self, node: Node) -> StageConfig | None:
        """Return the config of a node; None for a base that is bootstrapped or an external image."""
        if node.stage != BASE:
            return self.stages[node.stage].configs[node.platform]
        base = self.bases[node.platform]
        return base if isinstance(base, StageConfig) else None

    def test(self, image: str, platform: str) -> Node | None:
        """Return the node that tests an image on a platform; None if the image has no test."""
        stage = self.images[image].test
        return Node(stage, platform) if stage else None

    def tested_by(self, stage: str) -> Image | None:
        """Return the image that a stage tests; None if the stage is not a test."""
        return self._by_test.get(stage)

    @cached_property
    def _by_test(self) -> Mapping[str, Image]:
        return {image.test: image for image in reversed([*self.images.values()]) if image.test}

    def images_of(self, node: Node) -> list[Image]:
        """Return the images that a node is."""
        return [image for image in self._by_stage.get(node.stage, ()) if node.platform in image.platforms]

    @cached_property
    def _by_stage(self) -> Mapping[str, Sequence[Image]]:
        found: dict[str, list[Image]] = {}
        for image in self.images.values():
            found.setdefault(image.stage, []).append(image)
        return found

    def goals(self, word: str) -> list[str]:
        """Return ``IMAGE:PLATFORM`` for each image of ``GROUP`` or ``GROUP:PLATFORM``; [] for other words."""
        name, _, platform = word.partition(":")
        goals = self.groups[name].goals if name in self.groups else ()
        return [f"{image}:{on}" for image, on in goals if platform in ("", on)]
