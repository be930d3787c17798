"""A name in a Dockerfile -> a node of this project, or an external image.

Pure. A name of this project is the base, a stand-in (``contexts`` of ``stages.toml``), a stage, one of the
further ``names`` of a stage, or the final tag of an image. ``claims`` checks that no name is two of these.
Every other name is an external image, with two exceptions that are errors. A bare word would silently become
somebody else's image on the public registry. A reference that nearly names an image of this project would be
pinned once, and never follow the stage.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, NamedTuple

from ..errors import DockerfileError, nearest
from ..oci.reference import familiar, is_bare, split
from ..project import tags
from ..project.model import BASE, ExternalBase, Node

if TYPE_CHECKING:
    from ..dockerfile.dependencies import Edge
    from ..oci.platform import OciPlatform
    from ..project.model import Base, Platform, Project, StageConfig
    from ..project.tags import FinalTag


class ExternalReference(NamedTuple):
    """The reference of an external image, and where the project names it (``FILE:LINE``)."""

    reference: str
    where: str


class _Use(NamedTuple):
    """The use of a name: for the OCI platform ``docker``, in a build for the project's platform ``own``."""

    docker: OciPlatform
    own: Platform
    where: str


class NameResolver:
    """Resolves the names that Dockerfiles of a project use."""

    def __init__(self, project: Project) -> None:
        self.project = project
        names = [(name, stage.name) for stage in project.stages.values() for name in stage.names]
        self._aliases = {familiar(name): stage for name, stage in names}
        self._tags: dict[str, dict[str, FinalTag]] = {}  # by repository and tag
        # a further name by its repository: other tags of it are this project's too, or should be declared
        self._published = {
            split(familiar(name)).repository: familiar(name) for name, _ in names if not is_bare(name)
        }
        self._stacked: dict[str, list[str]] = {}  # by the name of the stage alone
        for stage in project.stages.values():
            if stage.stacked_on:
                single = stage.name.removeprefix(f"{stage.stacked_on}--")
                self._stacked.setdefault(single, []).append(stage.name)

    def resolve(self, edge: Edge, stage: str, config: StageConfig, own: Platform) -> Node | ExternalReference:
        """Return the target of an edge of a stage's Dockerfile, in a build for the platform ``own``.

        Raises ``DockerfileError`` with the line for a name that has no meaning, or another than it seems.
        """
        use = _Use(edge.platform or own.docker, own, f"{config.dockerfile_path}:{edge.line}")
        name, bare = edge.name, edge.bare
        if stand_in := self._stand_in(name, stage, config, use):
            return stand_in
        if name == BASE:
            base = self._base(edge, own)
            if not isinstance(base, ExternalBase):
                return Node(BASE, self._platform(BASE, use))
            stand_in = self._stand_in(familiar(base.image), stage, config, use)
            return stand_in or ExternalReference(base.image, base.declared_at)
        if node := self._named(name, use):
            return node
        if name not in config.contexts:
            if bare:
                raise self._no_stage(name, use)
            self._refuse_near(name, use)
        return ExternalReference(name, use.where)

    def frontend(self, reference: str, config: StageConfig, where: str) -> str:
        """Return the image of a ``# syntax=`` line, or its stand-in.

        Raises ``DockerfileError`` for an image of this project: it would be pinned once and then be outdated.
        """
        meant = config.contexts.get(familiar(reference), reference)
        name = familiar(meant)
        parts = split(name)
        tag = parts.repository in self.project.repositories and not parts.digest
        if tag or name in self.project.stages or name in self._aliases:
            what = f"# syntax={reference} means {meant} of this project; a stage cannot be a front end"
            raise DockerfileError(where, what, "push it and write its digest: # syntax=REPO@sha256:...")
        return meant

    # -- one name --------------------------------------------------------------------------------

    def _stand_in(
        self, name: str, stage: str, config: StageConfig, use: _Use
    ) -> Node | ExternalReference | None:
        """Return the stand-in for a reference; None if there is none, or if it is the stage itself.

        A declared image is accepted even if it nearly names one of this project.
        """
        if (value := config.contexts.get(name)) is None:
            return None
        node = self._named(familiar(value), use)
        if node is None:
            return ExternalReference(familiar(value), use.where)
        return None if node.stage == stage else node

    def _named(self, name: str, use: _Use) -> Node | None:
        """Return the node that a name means; None for an external image."""
        if stage := name if name in self.project.stages else self._aliases.get(name):
            return self._node(stage, self._platform(name, use), use)
        if stacked := self._stacked.get(name):
            what = f"{name} is only part of stacks"
            raise DockerfileError(use.where, what, f"name the stacked stage: {' or '.join(stacked)}")
        return self._image(name, use)

    def _image(self, name: str, use: _Use) -> Node | None:
        """Return the node whose final tag is ``name``; None for any other image, and for one by digest."""
        reference = split(name)
        if reference.digest or reference.repository not in self.project.repositories:
            return None
        final = self._final_tags(reference.repository).get(reference.tag or "latest")
        if final is None:
            return None
        image, platform = final.image, final.platform
        if not platform:
            return self._node(image.stage, self._platform(name, use), use)
        if self.project.platforms[platform].docker != use.docker:
            what = f"{name} is for {platform}, but it is used in a build for {use.docker}"
            hint = f"write the stage's name, {image.stage}: it means the right image for each platform"
            raise DockerfileError(use.where, what, hint)
        return self._node(image.stage, platform, use)

    def _refuse_near(self, name: str, use: _Use) -> None:
        """Raise ``DockerfileError`` for an external image that nearly names one of this project.

        It would be pinned once and never follow the stage. A reference by digest is always accepted.
        """
        repository, tag, digest = split(name)
        if digest:
            return
        mean = f'if you mean that image, declare it: [contexts] "{name}" = "{name}"'
        if repository in self.project.repositories:
            what = f"{name} has this project's repository, but no image of the project gets that tag"
            raise DockerfileError(use.where, what, f"{self._meant(repository, tag)}\n  {mean}")
        if sibling := self._published.get(repository):
            what = f"{name} has the repository of {sibling}, a name of stage {self._aliases[sibling]}"
            hint = f'add it to the names of its stage: names = ["{name}"]'
            raise DockerfileError(use.where, f"{what}, but is not a name of a stage", f"{hint}\n  {mean}")
        for own in sorted(self.project.repositories):
            if repository.endswith(f"/{own}"):
                what = (
                    f"{name} has this project's repository, in a registry that the project does not declare"
                )
                host = repository.removesuffix(f"/{own}")
                hint = f'if you mean the project\'s own image, declare: [project] registry = "{host}"'
                raise DockerfileError(use.where, what, f"{hint}\n  {mean}")
            last = repository.removeprefix(f"{own}/")
            if last != repository and last in {*self.project.stages, *self.project.images}:
                stage = self.project.images[last].stage if last in self.project.images else last
                what = f"{name} looks like stage {stage} of this project, which has no such tag"
                hint = f'write the stage\'s name, {stage}, or add this name to it: names = ["{name}"]'
                raise DockerfileError(use.where, what, f"{hint}\n  {mean}")

    def _final_tags(self, repository: str) -> dict[str, FinalTag]:
        if repository not in self._tags:
            self._tags[repository] = tags.named(self.project, repository)
        return self._tags[repository]

    def _meant(self, repository: str, tag: str) -> str:
        """Return the hint for a tag that no image gets: the nearest tag and its stage."""
        known = self._final_tags(repository)
        stages = {stage: stage for stage in self.project.stages}
        stages |= {name: final.image.stage for name, final in known.items()}
        close = get_close_matches(tag, stages, n=1)
        return f"did you mean the stage {stages[close[0]]!r}?" if close else nearest(tag, known)

    def _no_stage(self, name: str, use: _Use) -> DockerfileError:
        known = [*self.project.stages, *(alias for alias in self._aliases if is_bare(alias))]
        hint = (
            f"{nearest(name, known)}\n  for the public image write a tag ({name}:TAG), or declare it in "
            f'stages.toml: [contexts] {name} = "{name}:TAG"'
        )
        return DockerfileError(use.where, f"no stage is called {name!r}", hint)

    # -- platforms -------------------------------------------------------------------------------

    def _node(self, stage: str, platform: str, use: _Use) -> Node:
        """Return the stage on a platform.

        Raises ``DockerfileError`` if it is not built for that platform, or is a test.
        """
        if image := self.project.tested_by(stage):
            what = f"{stage} is the test of image {image.name}; nothing can be based on it"
            raise DockerfileError(use.where, what, f"use {image.name} itself")
        if platform not in self.project.stages[stage].configs:
            raise DockerfileError(
                use.where, f"{stage} is not built for {platform}", self._missing(stage, platform)
            )
        return Node(stage, platform)

    def _missing(self, stage: str, platform: str) -> str:
        """Return the hint for a stage that a platform lacks."""
        if self.project.stages[stage].stacked_on:
            images = [image.name for image in self.project.images.values() if image.stage == stage] or [stage]
            return f"add {platform} to platforms of {', '.join(images)} in stages.toml"
        return (
            f'add {platform} to the list "only" of stage {stage} in stages.toml, '
            f"or leave {platform} out of what uses the stage"
        )

    def _platform(self, name: str, use: _Use) -> str:
        """Return a platform of the project for the OCI platform of a use, its own if possible."""
        if use.docker == use.own.docker:
            return use.own.name
        for platform in self.project.platforms.values():
            if platform.docker == use.docker:
                return platform.name
        raise DockerfileError(
            use.where,
            f"{name} is needed for {use.docker}, which is not a platform of this project",
            "declare a platform with that docker value in stages.toml",
        )

    def _base(self, edge: Edge, own: Platform) -> Base:
        """Return the base that an edge means. An external image may have platforms that the project lacks."""
        rows = self.project.platforms.values()
        other = next((p for p in rows if p.docker == edge.platform), own) if edge.platform else own
        return self.project.bases[other.name]
