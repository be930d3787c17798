"""Sources -> the images of a project: repositories, tags and platforms. Pure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from ..oci.platform import host_platform, tag_part
from ..oci.reference import familiar, split
from . import names
from .source import Note

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ..oci.platform import OciPlatform
    from .source import Source


class Published:
    """The images of some sources.

    ``stages`` are the names of stages by source, ``aliases`` the sources that Dockerfiles name by a published
    reference. ``repo`` is the repository of the project: that of all images, or one beside theirs that has
    the name of its ``folder``.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        stages: Mapping[str, str],
        aliases: Mapping[str, str],
        folder: str,
        notes: list[Note],
    ) -> None:
        self._stages, self._notes = stages, notes
        self.platforms: list[OciPlatform] = list(dict.fromkeys(p for s in sources for p in s.platforms))
        self.platforms = self.platforms or [host_platform()]
        tags = [familiar(tag) for source in sources for tag in source.tags]
        self.repo = _repository(tags or [*aliases], stages.values(), folder)
        self._owners: dict[str, str] = {}  # stages by the references of their images
        images = [s for s in sources if s.is_image or s.name in aliases.values()]
        self.images = {stages[source.name]: self._image(source) for source in images}

    def is_final(self, reference: str, stage: str) -> bool:
        """Return True if a reference is a final tag of the image of this stage, so that it needs no alias."""
        return self._owners.get(reference) == stage

    def is_own(self, reference: str) -> bool:
        """Return True if a reference has the repository of an image, so that it must be a final tag."""
        repository = split(reference).repository
        return repository == self.repo or any(split(own).repository == repository for own in self._owners)

    def _image(self, source: Source) -> dict[str, Any]:
        stage = self._stages[source.name]
        own = [
            tag_part(docker) for docker in self.platforms if docker in (source.platforms or self.platforms)
        ]
        table: dict[str, Any] = {} if len(own) == len(self.platforms) else {"platforms": own}
        usual = [stage, *(f"{stage}-{platform}" for platform in own)]
        repo, tags = self._tags(source)
        if repo != self.repo:
            table["repo"] = repo
        if tags and not {*tags} <= {*usual}:
            table["tags"] = tags
        self._owners |= dict.fromkeys(
            (f"{repo}:{tag}".removesuffix(":latest") for tag in tags or usual), stage
        )
        return table if source.default else {**table, "default": False}

    def _tags(self, source: Source) -> tuple[str, list[str]]:
        """Return the repository and the tags of an image."""
        references = [split(familiar(tag)) for tag in source.tags]
        counts = Counter(reference.repository for reference in references)
        repo = counts.most_common(1)[0][0] if counts else self.repo
        tags: list[str] = []
        for repository, tag, _ in references:
            word, reference = tag or "latest", f"{repository}:{tag}" if tag else repository
            if repository != repo:
                what = f"tag {reference} is left out: an image has one repository; this one has {repo}"
            elif reference in self._owners:
                what = f"tag {reference} is left out: {self._owners[reference]} has it"
            else:
                tags.append(word)
                continue
            self._notes.append(Note(source.origin, what))
        return repo, tags


def _repository(references: Sequence[str], stages: Iterable[str], folder: str) -> str:
    """Return the repository of a project, from the published references of its images."""
    counts = Counter(split(reference).repository for reference in references)
    only, known = next(iter(counts)) if len(counts) == 1 else "", {*stages}
    if only and (only.rpartition("/")[2] not in known or any(split(r).tag in known for r in references)):
        return only
    homes = Counter(repository.rpartition("/")[0] for repository in counts.elements())
    home, name = homes.most_common(1)[0][0] if homes else "", names.slug(folder)
    return f"{home}/{name}" if home else name
