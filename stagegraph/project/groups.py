"""``[groups]`` of ``stages.toml`` -> groups of images that one word of the command line names.

Pure. A word of a group is an image, another group, or a pattern of images, each also with ``:PLATFORM``.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from ..errors import nearest
from . import schema
from .model import Group

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from .model import Image, Platform
    from .tables import KeyPath, TableReader


#: The longest way through groups.
_DEEPEST = 100


class GroupReader:
    """Reads the groups. All methods raise ``ProjectError`` for a value that is wrong."""

    def __init__(
        self,
        reader: TableReader,
        images: Mapping[str, Image],
        stages: Collection[str],
        platforms: Mapping[str, Platform],
    ) -> None:
        self._reader, self._images = reader, images
        self._stages, self._platforms = stages, platforms
        self._words: dict[str, list[Any]] = {}
        self._goals: dict[str, dict[tuple[str, str], None]] = {}

    def groups(self) -> dict[str, Group]:
        """Return the groups by name."""
        names = list(self._reader.named(("groups",)))
        for name in names:
            self._check_name(name)
            words = self._reader.tables["groups"][name]
            if not isinstance(words, list):
                raise self._error(name, f"{name} must be a list", f'{name} = ["IMAGE", ...]')
            if not words:
                raise self._error(name, f"group {name} is empty", "name images, or remove the group")
            self._words[name] = words
        return {
            name: Group(name, tuple(self._words[name]), tuple(self._resolved(name, ()))) for name in names
        }

    def _check_name(self, name: str) -> None:
        if name in schema.RESERVED:
            what = f"a group cannot be called {name!r}"
            raise self._error(name, what, "the word is reserved; choose another")
        taken = {"an image": self._images, "a stage": self._stages, "a platform": self._platforms}
        for kind, names in taken.items():
            if name in names:
                raise self._error(name, f"group {name} has the name of {kind}", "rename one of the two")

    def _resolved(self, name: str, path: tuple[str, ...]) -> dict[tuple[str, str], None]:
        """Return the images of a group with their platforms; ``path`` are the groups that need it."""
        if name in path:
            cycle = " -> ".join((*path[path.index(name) :], name))
            raise self._error(name, f"a cycle of groups: {cycle}", "remove one of these words")
        if len(path) >= _DEEPEST:
            what = f"{_DEEPEST} groups lead to {name}, each through the one before"
            raise self._error(name, what, "name images instead")
        if name not in self._goals:
            goals: dict[tuple[str, str], None] = {}
            for word in self._words[name]:
                goals |= dict.fromkeys(self._of_word(name, word, (*path, name)))
            self._goals[name] = goals
        return self._goals[name]

    def _of_word(self, group: str, word: object, path: tuple[str, ...]) -> list[tuple[str, str]]:
        """Return the images with their platforms that one word of a group means."""
        if not isinstance(word, str):
            raise self._error(group, f"group {group}: {word!r} is not a string", "name an image")
        name, colon, platform = word.partition(":")
        if colon and platform not in self._platforms:
            what = f"group {group}: unknown platform {platform!r} in {word!r}"
            raise self._error(group, what, nearest(platform, self._platforms))
        goals: Iterable[tuple[str, str]]
        if name in self._words:
            goals = self._resolved(name, path)
        else:
            goals = [
                (image, on) for image in self._named(group, name) for on in self._images[image].platforms
            ]
        chosen = [(image, on) for image, on in goals if not colon or on == platform]
        if not chosen:
            what = f"group {group}: {name} is not built for {platform}"
            on = dict.fromkeys(on for _, on in goals)
            raise self._error(group, what, f"it is built for {', '.join(on)}")
        return chosen

    def _named(self, group: str, name: str) -> list[str]:
        """Return the images that a name or a pattern means."""
        if name in self._images:
            return [name]
        if {"*", "?", "["} & {*name}:
            if found := [image for image in self._images if fnmatchcase(image, name)]:
                return found
            what, hint = f"group {group}: no image matches {name!r}", nearest(name, self._images)
        elif name in self._stages:
            what, hint = f"group {group}: {name!r} is a stage, not an image", "declare it under [images]"
        else:
            known = [*self._images, *self._words]
            what, hint = f"group {group}: no image or group {name!r}", nearest(name, known)
        raise self._error(group, what, hint)

    def _error(self, group: str, what: str, hint: str) -> Exception:
        path: KeyPath = ("groups", group)
        return self._reader.error(path, what, hint)
