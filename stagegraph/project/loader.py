"""``stages.toml`` and settings -> ``model.Project``. Reading, parsing and validating are three steps.

``recipes`` merges what is said of a stage, ``stacks`` puts stages on one another, ``settings`` reads what the
command line and the environment say.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ProjectError, nearest
from ..oci.reference import familiar
from . import claims, schema, stacks
from .model import (
    BASE,
    DEFAULT_EPOCH,
    Base,
    Bootstrap,
    ExternalBase,
    Image,
    Platform,
    Project,
    Secret,
    Settings,
    Stage,
    StageConfig,
)
from .positions import SourceMap
from .recipes import Recipes
from .settings import SettingSources, check_builder

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    from .tables import KeyPath

FILE = "stages.toml"

#: Seconds that an image's test may take unless the project says otherwise; it may run emulated.
TEST_TIMEOUT = 1800


def read(root: Path) -> str:
    """The text of ``stages.toml``; an error says where one is expected."""
    try:
        return (root / FILE).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ProjectError(
            str(root / FILE), "no such file", "a project is a folder with a stages.toml"
        ) from None
    except UnicodeDecodeError as error:
        raise ProjectError(str(root / FILE), f"is not UTF-8: {error}") from None
    except OSError as error:
        raise ProjectError(str(root / FILE), f"cannot be read: {error.strerror}") from None


def parse(text: str) -> tuple[dict[str, Any], SourceMap]:
    """TOML text -> tables and their lines. Raises ``ProjectError``."""
    import tomllib

    lines = SourceMap(text, FILE)
    try:
        return tomllib.loads(text), lines
    except ValueError as error:  # tomllib's own, and of numbers that are too long
        message, _, place = str(error).partition(" (at line ")
        line = place.partition(",")[0] if place else str(text.rstrip().count("\n") + 1)
        raise ProjectError(f"{FILE}:{line}", f"not valid TOML: {message}") from None
    except RecursionError:
        raise ProjectError(FILE, "not valid TOML: nested too deep") from None


def load(root: Path, cli: Mapping[str, str] | None = None, env: Mapping[str, str] | None = None) -> Project:
    """Read, parse and validate the project in ``root``.

    ``cli`` holds ``NAME=VALUE`` words of the command line, ``env`` the environment.
    Raises ``ProjectError`` naming line and nearest known word.
    """
    if {"\n", "\r"} & set(str(root)):
        name = str(root).encode("unicode_escape").decode()
        raise ProjectError(name, "the folder's name has a line break, which the builder does not take")
    said = SettingSources(dict(cli or {}), os.environ if env is None else env)
    return _Builder(root, *parse(read(root)), said).project()


class _Builder(Recipes):
    """One use: tables -> Project. Each method validates what it reads."""

    def __init__(self, root: Path, tables: dict[str, Any], lines: SourceMap, said: SettingSources) -> None:
        super().__init__(root, tables, lines, said)
        self.stacks: dict[str, tuple[str, ...]] = {}  # by image

    def project(self) -> Project:
        for key in self.tables:
            if key not in schema.TOP:
                raise self.error((key,), f"unknown table [{key}]", nearest(key, schema.TOP))
        head = self.table(("project",), "project")
        self.check_recipe(self.defaults, ("defaults",))
        self.platforms = {name: self.platform(name, head) for name in self.named(("platforms",))}
        if not self.platforms:
            hint = 'write [platforms.amd64] with docker = "linux/amd64"'
            raise self.error(("platforms",), "no platform is declared", hint)
        for name, builders in self.said.builders(self.platforms.values()).items():
            self.platforms[name] = dataclasses.replace(self.platforms[name], builders=builders)
        self.stages = {name: self.table(("stages", name), "stage") for name in self.named(("stages",))}
        self.said.check(self.stages)
        epoch = head.get("source_date_epoch", DEFAULT_EPOCH)
        if epoch < 0:
            raise self.error(("project", "source_date_epoch"), "source_date_epoch is before 1970")
        stages = {name: self.stage(name) for name in self.stages}
        images = {name: self.image(name) for name in self.named(("images",))}
        self.check_tags(images.values())
        tests = {image.test: self.test(image) for image in images.values() if image.test}
        self.check_stacks(tests)
        settings = self.said.settings(head, self.lines)
        project = Project(
            root=self.root,
            settings=settings,
            platforms=self.platforms,
            bases=self.bases(),
            stages=stacks.expand(stages, ((self.stacks[i.name], i.platforms) for i in images.values()))
            | tests,
            images=images,
            epoch=epoch,
            secrets={name: self.secret(name) for name in self.named(("secrets",), schema.SECRET)},
            repositories=_repositories(head, self.tables.get("ci"), settings),
        )
        claims.check(project, self.tables, self.lines)
        return project

    # -- tables ----------------------------------------------------------------------------------

    def platform(self, name: str, head: Mapping[str, Any]) -> Platform:
        path = ("platforms", name)
        table = self.table(path, "platform")
        docker = table.get("docker", "")
        if docker not in schema.DOCKER_PLATFORMS:
            what = f"platform {name}: docker = {docker!r} is not an OCI platform"
            raise self.error((*path, "docker"), what, nearest(docker, schema.DOCKER_PLATFORMS))
        own = self.builders(table, path) if "builder" in table else self.builders(head, ("project",))
        return Platform(name, docker, self.args(table, path), own)

    def builders(self, table: Mapping[str, Any], path: KeyPath) -> tuple[str, ...]:
        """The builders that a table names, the first preferred."""
        value, where = table.get("builder", ""), self.lines.where(*path, "builder")
        names = [value] if isinstance(value, str) and value else list(value)
        return tuple(check_builder(name, where) for name in names)

    def check_platform(self, key: str, path: KeyPath, what: str) -> None:
        """A key that names a platform of the project or an OCI platform."""
        if key not in self.platforms and key not in schema.DOCKER_PLATFORMS:
            known = [*self.platforms, *{platform.docker for platform in self.platforms.values()}]
            raise self.error((*path, key), f"{what}: unknown platform {key!r}", nearest(key, known))

    def bases(self) -> dict[str, Base]:
        """What each platform's images stand on, by the platform's name."""
        table = self.table(("base",), "base")
        override, where = self.said.setting("base")
        if override and override.startswith("bootstrap:"):
            suite = self.suite(override.removeprefix("bootstrap:"), where)
            return dict.fromkeys(self.platforms, Bootstrap(suite, self.include(table, ("base",)), where))
        if override:
            base = ExternalBase(self.reference(override, where), where)
            return dict.fromkeys(self.platforms, base)
        if not {"bootstrap", "image"} & table.keys():
            hint = 'write [base] with bootstrap = "trixie" or image = "debian:trixie-slim"'
            raise self.error(("base",), "no base is declared", hint)
        used = {*self.platforms, *(platform.docker for platform in self.platforms.values())}
        for key in table.get("platforms", {}):
            self.check_platform(key, ("base", "platforms"), "base")
            if key not in used:
                what, hint = f"base: no platform of this project is {key}", "declare one under [platforms]"
                raise self.error(("base", "platforms", key), what, hint)
            self.check_recipe(
                self.table(("base", "platforms", key), "base on a platform"), ("base", "platforms", key)
            )
        return {platform.name: self.base(table, platform) for platform in self.platforms.values()}

    def base(self, table: Mapping[str, Any], platform: Platform) -> Base:
        """A platform's base: what is said for it alone, for its OCI platform, or for all."""
        path: KeyPath = ("base",)
        for key in (platform.docker, platform.name):
            if key in table.get("platforms", {}):
                path = ("base", "platforms", key)
        own = table["platforms"][path[-1]] if len(path) > 1 else table
        said = sorted({"bootstrap", "image", "path"} & own.keys())
        if len(said) != 1:
            hint = f"there are {' and '.join(said)}" if said else "there is none"
            raise self.error(
                (*path, *said[-1:]), "the base needs exactly one of bootstrap, image and path", hint
            )
        if said != ["path"] and (idle := own.keys() - {"bootstrap", "image", "include", "platforms"}):
            key = min(idle)
            raise self.error((*path, key), f"{key} is for a base that is a stage", "write path, or remove it")
        include, where = self.include(own, path), self.lines.where(*path, said[0])
        if said == ["bootstrap"]:
            return Bootstrap(self.suite(own["bootstrap"], where), include, where)
        if "include" in own:
            raise self.error((*path, "include"), "include is for a base that is bootstrapped")
        if said == ["image"]:
            return ExternalBase(self.reference(own["image"], where), where)
        return self.merged([(own, path)], platform)

    def include(self, table: Mapping[str, Any], path: KeyPath) -> tuple[str, ...]:
        """Packages that a bootstrapped base has besides the smallest set."""
        include = tuple(table.get("include", ()))
        for package in include:
            if not isinstance(package, str) or not schema.PACKAGE.fullmatch(package):
                raise self.error((*path, "include"), f"{package!r} is not a package name")
        return include

    def suite(self, value: str, where: str) -> str:
        if not schema.SUITE.fullmatch(value):
            raise ProjectError(
                where, f"{value!r} is not a suite", 'a release of the distribution, such as "trixie"'
            )
        return value

    def reference(self, value: object, where: str) -> str:
        if not isinstance(value, str) or not schema.REFERENCE.fullmatch(value):
            raise ProjectError(
                where, f"{value!r} is not an image", 'a reference, such as "debian:trixie-slim"'
            )
        return value

    def stage(self, name: str) -> Stage:
        path = ("stages", name)
        if name in schema.RESERVED:
            hint = "the word has a meaning of its own; choose another"
            raise self.error(path, f"a stage cannot be called {name!r}", hint)
        table = self.stages[name]
        self.check_recipe(table, path)
        for need in table.get("needs", ()):
            if not isinstance(need, str) or need not in self.stages:
                what = f"stage {name} needs {need!r}, which is no stage"
                raise self.error((*path, "needs"), what, nearest(str(need), self.stages))
        for key in table.get("platforms", {}):
            self.check_platform(key, (*path, "platforms"), f"stage {name}")
            self.check_recipe(
                self.table((*path, "platforms", key), "stage on a platform"), (*path, "platforms", key)
            )
        for key in self.named((*path, "alternatives")):
            where = (*path, "alternatives", key)
            self.check_recipe(self.table(where, "alternative"), where)
        recipes = {platform.name: self.recipe(name, table, platform) for platform in self.platforms.values()}
        names = tuple(table.get("names", ()))
        for other in names:
            if not isinstance(other, str) or not schema.REFERENCE.fullmatch(other):
                hint = 'a reference, such as "ros:jazzy-ros-core"'
                raise self.error((*path, "names"), f"stage {name}: {other!r} is not an image", hint)
        return Stage(
            name,
            table.get("description", ""),
            recipes,
            self.lines.where(*path),
            names=names,
        )

    def image(self, name: str) -> Image:
        path = ("images", name)
        table = self.table(path, "image")
        if name in schema.RESERVED:
            raise self.error(path, f"an image cannot be called {name!r}", "the word has a meaning of its own")
        stack = self.stack(name, table)
        stage = stacks.name(stack)
        if name in self.stages and name not in (stage, stack[-1]):
            what = f"image {name} has the name of a stage that is not its own ({stage})"
            raise self.error(path, what, "rename one of the two")
        platforms = table.get("platforms", list(self.platforms))
        for platform in platforms:
            if not isinstance(platform, str) or platform not in self.platforms:
                what = f"image {name}: unknown platform {platform!r}"
                raise self.error((*path, "platforms"), what, nearest(str(platform), self.platforms))
        if len(set(platforms)) != len(platforms) or not platforms:
            raise self.error((*path, "platforms"), f"image {name}: each platform once, and at least one")
        description = table.get("description") or self.stages[stack[-1]].get("description", "")
        test = f"{name}-test" if "test" in table else ""
        if test in self.stages or (test and not schema.NAME.fullmatch(test)):
            raise self.error((*path, "test"), f"the test's stage needs the name {test}", "rename the other")
        default = table.get("default", True)
        return Image(name, stage, description, tuple(platforms), test, self.lines.where(*path), default)

    def check_tags(self, images: Iterable[Image]) -> None:
        """Tags that images get by default, and names that they are published by, are theirs alone."""
        taken: dict[str, str] = {}
        for image in images:
            tags = {f"{image.name}-{platform}": f"{image.name}:{platform}" for platform in image.platforms}
            for tag, what in {image.name: f"{image.name} as it is published", **tags}.items():
                if tag in taken:
                    said = f"image {image.name}: {what} would be called {tag}, as {taken[tag]} is"
                    raise self.error(("images", image.name), said, "rename the image, or a platform")
                taken[tag] = what

    def stack(self, image: str, table: Mapping[str, Any]) -> tuple[str, ...]:
        """The stages of an image, each on the one before; kept in ``stacks``."""
        key = "stack" if "stack" in table else "stage"
        where: KeyPath = ("images", image, key)
        if len({"stack", "stage"} & table.keys()) > 1:
            raise self.error(where, f"image {image} has a stage and a stack", "remove one of the two")
        stack = tuple(table.get("stack", [table.get("stage", image)]))
        if not stack:
            raise self.error(where, f"image {image}: the stack is empty", "the lowest stage comes first")
        for place, stage in enumerate(stack):
            if stage == BASE:
                hint = "name a stage that is FROM base"
                raise self.error(where, f"image {image}: base is no stage of a stack", hint)
            if not isinstance(stage, str) or stage not in self.stages:
                what = f"image {image}: no stage {stage!r}"
                raise self.error(where, what, nearest(str(stage), self.stages))
            if stage in stack[:place]:
                raise self.error(where, f"image {image}: stage {stage} stands in the stack twice")
            for need in self.stages[stage].get("needs", ()):
                if need not in stack[:place]:
                    raise self.error(where, f"image {image}: {stage} needs {need} before it in the stack")
        self.stacks[image] = stack
        return stack

    def check_stacks(self, tests: Container[str]) -> None:
        """What stands on another image in one stack cannot be the lowest of another, or alone.

        The stages that stacks come to need names of their own, also among the stages that are ``tests``.
        """
        made: dict[str, tuple[str, ...]] = {}
        on_others = {stage: image for image, stack in self.stacks.items() for stage in stack[1:]}
        for image, stack in self.stacks.items():
            if other := on_others.get(stack[0]):
                what = f"image {other}: {stack[0]} stands on others here, and is the lowest of image {image}"
                hint = "the lowest comes first; what is FROM ${BASE_IMAGE} stands on others, always"
                raise self.error(("images", other, "stack"), what, hint)
            for part in stacks.prefixes(stack):
                name = stacks.name(part)
                taken = name in self.stages or made.setdefault(name, part) != part
                taken = taken or self.stacks.get(name, part) != part or name in tests
                if taken or not schema.NAME.fullmatch(name):
                    what = f"image {image}: a stage of its stack would be called {name}"
                    hint = "rename the other, or use shorter names"
                    raise self.error(("images", image, "stack"), what, hint)

    def test(self, image: Image) -> Stage:
        """The stage that tests an image: its folder's Dockerfile may say ``FROM ${IMAGE}``."""
        path = ("images", image.name)
        table = self.table(path, "image")
        context = self.folder(table["test"], (*path, "test"))
        self.check_dockerfile(context, "Dockerfile", (*path, "test"))
        timeout = table.get("test_timeout", TEST_TIMEOUT)
        self.check_timeout(table, path, "test_timeout")
        defaults = self.args(self.defaults, ("defaults",))
        where = self.lines.where(*path, "test")
        recipes = {
            name: StageConfig(
                context=context,
                network=self.defaults.get("network", "default"),
                args=defaults | dict(self.platforms[name].args) | {"IMAGE": image.stage},
                timeout=timeout,
                contexts=self.contexts(self.tables, ()),
                own_frontend=self.defaults.get("frontend") == "builder",
                declared_at=where,
            )
            for name in image.platforms
        }
        return Stage(image.test, f"the test of image {image.name}", recipes, where)

    def secret(self, name: str) -> Secret:
        table = self.table(("secrets", name), "secret")
        if len(table) != 1:
            raise self.error(("secrets", name), f"secret {name} needs either file or env")
        if "env" in table and not schema.VARIABLE.fullmatch(table["env"]):
            raise self.error(("secrets", name, "env"), f"{table['env']!r} is not the name of a variable")
        return Secret(**table)


def _repositories(head: Mapping[str, Any], ci: object, settings: Settings) -> frozenset[str]:
    """The names that the repository of final images has, in their short form.

    The registry of ``[ci]`` counts, too: a name must mean here what it means in its jobs.
    """
    repos = {str(head["repo"]) if "repo" in head else settings.repo, settings.repo}
    own = [table.get("registry", "") for table in (head, ci) if isinstance(table, dict)]
    hosts = {*(str(host).removesuffix("/") for host in own), settings.registry, ""}
    return frozenset(familiar(f"{host}/{repo}" if host else repo) for repo in repos for host in hosts)
