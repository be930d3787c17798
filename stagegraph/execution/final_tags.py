"""The final references of a run: tags of ``stages.toml`` with what git and the images themselves say.

Two images of a run never get the same reference: each is claimed before it is set.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING

from ..errors import ProjectError
from ..oci.reference import familiar
from ..project import prints, tags
from ..project.model import Node
from ..project.tags import FinalTag

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ..oci.digest import Digest
    from ..project.model import Image, PrintCommand, Project
    from ..store.layout import LayoutStore
    from .git_values import GitValues

_NEEDS_TAGS = (
    "a version needs a tag of git such as v1.2; a shallow clone lacks it: git fetch --unshallow --tags"
)
_NEEDS_COMMIT = "commit the project with git, or use other placeholders"


class FinalTags:
    """The final tags of a project's images. Safe for threads.

    ``version`` takes the place of that of the project.
    """

    def __init__(self, project: Project, layout: LayoutStore, version: str = "") -> None:
        self.project, self._layout = project, layout
        self._given = {"version": version} if version else {}
        self._goals: frozenset[tuple[str, str]] = frozenset()
        self._claims: dict[str, FinalTag] = {}  # by reference, in its short form
        self._lock = threading.RLock()

    @property
    def version(self) -> str:
        """The version of the images, "" for none."""
        from_git = self.project.version == tags.FROM_GIT
        known = {"version": self.project.version} if not from_git else self._git.values
        return (known | self._given).get("version", "")

    # -- references; a placeholder that is not known yet stays in them -------------------------------

    def of_run(self, name: str, platform: str, digest: Digest | None = None) -> list[str]:
        """Return the references that a run sets for an image. ``digest`` is that of its content, if known."""
        image = self.project.images[name]
        texts = tags.of_run(image, self.project.settings.tag)
        known = self._values(image, platform, digest, texts)
        return self._references(image, (tags.expand(text, known) for text in texts))

    def newest(self, name: str, platform: str) -> str:
        """Return a reference of the last build of an image, with its placeholders if it is not known."""
        image = self.project.images[name]
        references = self.of_run(name, platform, self._last(Node(image.stage, platform)))
        return next(filter(tags.is_known, references), references[0])

    def of_platform(self, name: str, platform: str, digest: Digest | None = None) -> list[str]:
        """Return the references of an image on a platform when it is published."""
        image = self.project.images[name]
        texts = tags.of_platforms(image, self.project.settings.tag)
        known = self._values(image, platform, digest, texts)
        return self._references(image, (tags.expand(text, known) for text in texts))

    def of_index(self, name: str, digests: Mapping[str, Digest] | None = None) -> list[str]:
        """Return the references of the index of an image. ``digests`` are those of its platforms, if known.

        Raises ``ProjectError`` if a tag would not be the same for all platforms.
        """
        image = self.project.images[name]
        platforms = tags.listed_platforms(self.project, image)
        texts = tags.of_index(image, self.project.settings.tag)
        known = {each: self._values(image, each, (digests or {}).get(each), texts) for each in platforms}
        return self._references(image, (tags.index_tag(image, text, known) for text in texts))

    def _references(self, image: Image, texts: Iterable[str]) -> list[str]:
        repository = tags.repository(self.project, image)
        return [f"{repository}:{tag}" for tag in dict.fromkeys(texts)]

    def _values(
        self, image: Image, platform: str, digest: Digest | None, texts: Sequence[str]
    ) -> dict[str, str]:
        """Return the values of the placeholders of an image; of its commands, those that ``texts`` need."""
        git = self._git.values if tags.needs_git(self.project, image) else {}
        known = tags.values(self.project, image, platform) | git | self._given
        for command in self._commands(image, texts) if digest else ():
            if digest and (output := self._layout.outputs.read(digest, command.command)) is not None:
                known[tags.PRINTS + command.name] = prints.value(image, command, output)
        return known

    @cached_property
    def _git(self) -> GitValues:
        from . import git_values  # most tags need nothing of git

        return git_values.read(self.project.root, version=self.project.version == tags.FROM_GIT)

    # -- outputs of commands -------------------------------------------------------------------------

    def commands_to_run(
        self, name: str, platform: str, digest: Digest, *, published: bool = False
    ) -> list[PrintCommand]:
        """Return the commands whose output in an image is needed for its tags and is not recorded.

        ``published``: for the tags of ``doit publish``, otherwise for those of a run.
        """
        image, setting = self.project.images[name], self.project.settings.tag
        texts = tags.of_platforms(image, setting) if published else tags.of_run(image, setting)
        if published and platform in tags.listed_platforms(self.project, image):
            texts += tags.of_index(image, setting)
        found = self._commands(image, texts)
        return [each for each in found if self._layout.outputs.read(digest, each.command) is None]

    @staticmethod
    def _commands(image: Image, texts: Sequence[str]) -> list[PrintCommand]:
        named = {
            placeholder.removeprefix(tags.PRINTS) for text in texts for placeholder in tags.placeholders(text)
        }
        return [command for name, command in image.prints.items() if name in named]

    # -- checks --------------------------------------------------------------------------------------

    def check(self, goals: Iterable[tuple[str, str]] = ()) -> None:
        """Check the tags of all images before anything is built. ``goals`` are images with platforms.

        Raises ``ProjectError`` for two images that would get the same tag, as far as tags are known, and if
        git does not say what the tags of a goal need.
        """
        self._goals = frozenset(goals)
        for name in dict.fromkeys(image for image, _ in self._goals):
            self._check_git(self.project.images[name])
        images = self.project.images.values()
        git = self._git.values if any(tags.needs_git(self.project, image) for image in images) else {}
        if any(image.tags for image in images):  # the loader has compared the usual tags
            tags.check(self.project, git | self._given)

    def _check_git(self, image: Image) -> None:
        if self.project.settings.tag or not tags.needs_git(self.project, image):
            return
        for text in image.tags:
            for placeholder in tags.placeholders(text):
                if placeholder in self._git.missing and placeholder not in self._given:
                    why = self._git.missing[placeholder]
                    what = f"image {image.name}: git has no {placeholder} for the tag {text!r}: {why}"
                    hint = _NEEDS_TAGS if "revision" in self._git.values else _NEEDS_COMMIT
                    raise ProjectError(image.tags_at, what, hint)

    def claim(self, name: str, platform: str, references: Sequence[str]) -> None:
        """Check references of an image before they are set. ``platform`` is "" for those of an index.

        Raises ``ProjectError`` for a reference that is not valid, or that another image has.
        """
        image = self.project.images[name]
        with self._lock:
            if not self._claims and not self.project.settings.tag:
                self._claims = self._known()
            for reference in references:
                mine = FinalTag(image, platform, tags.checked(image, reference.rpartition(":")[2]))
                other = self._claims.setdefault(familiar(reference), mine)
                # a run gives the tags of the index to the only platform of an image
                alone = len(image.platforms) == 1 and other.image.name == name
                if other.owner != mine.owner and not alone:
                    raise tags.clash(self.project, other, mine)

    def _known(self) -> dict[str, FinalTag]:
        """Return the references of all images, as far as they are known without running a command.

        Images beside the goals keep the tags of their last build, so their outputs count.
        """
        found: dict[str, FinalTag] = {}
        for image in self.project.images.values():
            others = [p for p in image.platforms if image.prints and (image.name, p) not in self._goals]
            last = {p: digest for p in others if (digest := self._last(Node(image.stage, p)))}
            # without the outputs too: the tags that do not need them are owned, even if one is wrong
            for platform, reference in (*self._owned(image, last), *self._owned(image, {})):
                if tags.is_known(reference):
                    tag = FinalTag(image, platform, reference.rpartition(":")[2])
                    found.setdefault(familiar(reference), tag)
        return found

    def _owned(self, image: Image, digests: Mapping[str, Digest]) -> list[tuple[str, str]]:
        """Return the references of an image with their platforms, "" for those of the index."""
        owned: list[tuple[str, str]] = []
        with suppress(ProjectError):  # a run of that image reports its error
            owned += [("", reference) for reference in self.of_index(image.name, digests)]
        for platform in image.platforms:
            with suppress(ProjectError):
                own = self.of_platform(image.name, platform, digests.get(platform))
                owned += [(platform, reference) for reference in own]
        return owned

    def _last(self, node: Node) -> Digest | None:
        """Return the digest of a node's last build. Its key is not asked: it might have to be pinned."""
        config = self.project.config(node)
        name = f"{node}--{config.alternative}" if config and config.alternative else str(node)
        record = self._layout.latest(name)
        return record.digest if record else None
