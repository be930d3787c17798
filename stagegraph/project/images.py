"""``[images]`` of ``stages.toml`` -> images, their stacks of stages, and the stages that test them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import nearest
from . import schema, stacks
from .model import BASE, Image, Stage
from .tags import default_tag

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    from .configs import ConfigReader
    from .model import Platform
    from .tables import KeyPath, TableReader


class ImageReader:
    """Reads the images. ``tables`` are the tables of stages by name, ``on`` the platforms of stages.

    All methods raise ``ProjectError`` for a value that is wrong.
    """

    def __init__(
        self,
        reader: TableReader,
        configs: ConfigReader,
        platforms: Mapping[str, Platform],
        tables: Mapping[str, Mapping[str, Any]],
        on: Mapping[str, Container[str]],
    ) -> None:
        self._reader, self._configs = reader, configs
        self._platforms, self._tables, self._on = platforms, tables, on
        self.stacks: dict[str, tuple[str, ...]] = {}  # by image

    def images(self) -> dict[str, Image]:
        """Return the images by name; their stacks are in ``stacks`` then."""
        images = {name: self._image(name) for name in self._reader.named(("images",))}
        self._check_tags(images.values())
        return images

    def test(self, image: Image) -> Stage:
        """Return the stage that tests an image."""
        path = ("images", image.name)
        table = self._reader.table(path, "image")
        configs = {
            name: self._configs.test(image.stage, table, path, self._platforms[name])
            for name in image.platforms
        }
        where = self._reader.lines.where(*path, "test")
        return Stage(image.test, f"the test of image {image.name}", configs, where)

    def check_stacks(self, tests: Container[str]) -> None:
        """Check that each stage is either always on another in stacks, or never.

        The stages that stacks add need names of their own, also among the stages that are ``tests``.
        """
        added: dict[str, tuple[str, ...]] = {}
        on_others = {stage: image for image, stack in self.stacks.items() for stage in stack[1:]}
        for image, stack in self.stacks.items():
            if other := on_others.get(stack[0]):
                what = f"image {other}: {stack[0]} is stacked here, but is the first stage of image {image}"
                hint = "a stage that is FROM ${BASE_IMAGE} can never be the first of a stack"
                raise self._reader.error(("images", other, "stack"), what, hint)
            for part in stacks.prefixes(stack):
                name = stacks.name(part)
                taken = name in self._tables or added.setdefault(name, part) != part
                taken = taken or self.stacks.get(name, part) != part or name in tests
                if taken or not schema.NAME.fullmatch(name):
                    what = f"image {image}: a stage of its stack would be called {name}"
                    hint = "rename the other, or use shorter names"
                    raise self._reader.error(("images", image, "stack"), what, hint)

    # -- one image -------------------------------------------------------------------------------

    def _image(self, name: str) -> Image:
        path = ("images", name)
        table = self._reader.table(path, "image")
        if name in schema.RESERVED:
            hint = "the word is reserved; choose another"
            raise self._reader.error(path, f"an image cannot be called {name!r}", hint)
        stack = self.stacks[name] = self._stack(name, table)
        stage = stacks.name(stack)
        if name in self._tables and name not in (stage, stack[-1]):
            what = f"image {name} has the name of a stage that is not its own ({stage})"
            raise self._reader.error(path, what, "rename one of the two")
        platforms = self._image_platforms(name, table)
        test = f"{name}-test" if "test" in table else ""
        if test in self._tables or (test and not schema.NAME.fullmatch(test)):
            what = f"its test needs the stage name {test}"
            raise self._reader.error((*path, "test"), what, "rename the other")
        return Image(
            name,
            stage,
            table.get("description") or self._tables[stack[-1]].get("description", ""),
            platforms,
            test,
            self._reader.lines.where(*path),
            table.get("default", True),
        )

    def _image_platforms(self, name: str, table: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the names of an image's platforms, by default all that its stages have."""
        where = ("images", name, "platforms")
        missing = {
            platform: stage
            for stage in self.stacks[name]
            for platform in self._platforms
            if platform not in self._on[stage]
        }
        if "platforms" not in table and len(missing) == len(self._platforms):
            what = f"image {name}: no platform has all stages of its stack"
            raise self._reader.error(("images", name), what, "look at only of these stages")
        platforms = table.get("platforms", [each for each in self._platforms if each not in missing])
        for platform in platforms:
            if not isinstance(platform, str) or platform not in self._platforms:
                what = f"image {name}: unknown platform {platform!r}"
                raise self._reader.error(where, what, nearest(str(platform), self._platforms))
            if platform in missing:
                what = f"image {name}: stage {missing[platform]} is not built for {platform}"
                raise self._reader.error(
                    where, what, f"add {platform} to only of the stage, or remove it here"
                )
        if len(set(platforms)) != len(platforms) or not platforms:
            raise self._reader.error(where, f"image {name}: name at least one platform, each once")
        return tuple(platforms)

    def _stack(self, image: str, table: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the stages of an image, each of which starts from the one before."""
        error = self._reader.error
        key = "stack" if "stack" in table else "stage"
        where: KeyPath = ("images", image, key)
        if len({"stack", "stage"} & table.keys()) > 1:
            raise error(where, f"image {image} has a stage and a stack", "remove one of the two")
        stack = tuple(table.get("stack", [table.get("stage", image)]))
        if not stack:
            raise error(where, f"image {image}: the stack is empty", "list its stages, the lowest first")
        for place, stage in enumerate(stack):
            if stage == BASE:
                hint = "name a stage that is FROM base"
                raise error(where, f"image {image}: base cannot be in a stack", hint)
            if not isinstance(stage, str) or stage not in self._tables:
                raise error(where, f"image {image}: no stage {stage!r}", nearest(str(stage), self._tables))
            if stage in stack[:place]:
                raise error(where, f"image {image}: stage {stage} is in the stack twice")
            for need in self._tables[stage].get("needs", ()):
                if need not in stack[:place]:
                    raise error(where, f"image {image}: {stage} needs {need} before it in the stack")
        return stack

    def _check_tags(self, images: Iterable[Image]) -> None:
        """Check that no two images have the same tag by default, or the same name when published."""
        taken: dict[str, str] = {}
        for image in images:
            name = image.name
            tags = {default_tag(name, platform): f"{name}:{platform}" for platform in image.platforms}
            for tag, owner in {image.name: f"the published {image.name}", **tags}.items():
                if tag in taken:
                    what = f"image {image.name}: {owner} would have the tag {tag}, like {taken[tag]}"
                    hint = "rename the image, or a platform"
                    raise self._reader.error(("images", image.name), what, hint)
                taken[tag] = owner
