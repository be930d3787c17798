"""``[base]`` of ``stages.toml`` -> the base of each platform: bootstrapped, an image or a stage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import ProjectError
from . import platforms, schema
from .model import Base, Bootstrap, ExternalBase

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .configs import ConfigReader
    from .model import Platform
    from .settings import SettingSources
    from .tables import KeyPath, TableReader


class BaseReader:
    """Reads the bases. All methods raise ``ProjectError`` for a value that is wrong."""

    def __init__(
        self, reader: TableReader, configs: ConfigReader, declared_platforms: Mapping[str, Platform]
    ) -> None:
        self._reader, self._configs, self._platforms = reader, configs, declared_platforms

    def bases(self, sources: SettingSources) -> dict[str, Base]:
        """Return the bases by the name of the platform; the setting ``base`` overrides the file."""
        table = self._reader.table(("base",), "base")
        override, where = sources.setting("base")
        if override:
            return dict.fromkeys(self._platforms, self._overridden(override, where, table))
        if not {"bootstrap", "image"} & table.keys():
            hint = 'write [base] with bootstrap = "trixie" or image = "debian:trixie-slim"'
            raise self._reader.error(("base",), "no base is declared", hint)
        self._check_platforms(table)
        return {platform.name: self._base(table, platform) for platform in self._platforms.values()}

    def _overridden(self, value: str, where: str, table: Mapping[str, Any]) -> Base:
        if value.startswith("bootstrap:"):
            suite = _suite(value.removeprefix("bootstrap:"), where)
            return Bootstrap(suite, self._include(table, ("base",)), where)
        return ExternalBase(_reference(value, where), where)

    def _check_platforms(self, table: Mapping[str, Any]) -> None:
        used = {*self._platforms, *(platform.docker for platform in self._platforms.values())}
        for key in table.get("platforms", {}):
            platforms.check(self._reader, self._platforms, key, ("base", "platforms"), "base")
            path = ("base", "platforms", key)
            if key not in used:
                what, hint = f"base: {key} is not a platform of this project", "declare it under [platforms]"
                raise self._reader.error(path, what, hint)
            self._configs.check_layer(self._reader.table(path, "base on a platform"), path)

    def _base(self, table: Mapping[str, Any], platform: Platform) -> Base:
        """Return the base for a platform: its own, else that of its OCI platform, else that of all."""
        path: KeyPath = ("base",)
        for key in (platform.docker, platform.name):
            if key in table.get("platforms", {}):
                path = ("base", "platforms", key)
        own = table["platforms"][path[-1]] if len(path) > 1 else table
        kind = self._kind(own, path)
        include, where = self._include(own, path), self._reader.lines.where(*path, kind)
        if kind == "bootstrap":
            return Bootstrap(_suite(own["bootstrap"], where), include, where)
        if "include" in own:
            raise self._reader.error((*path, "include"), "include is only for a bootstrapped base")
        if kind == "image":
            return ExternalBase(_reference(own["image"], where), where)
        return self._configs.merged([(own, path)], platform)

    def _kind(self, own: Mapping[str, Any], path: KeyPath) -> str:
        """Return the key that the base is declared by: bootstrap, image or path."""
        kinds = sorted({"bootstrap", "image", "path"} & own.keys())
        if len(kinds) != 1:
            what = "the base needs exactly one of bootstrap, image and path"
            hint = f"there are {' and '.join(kinds)}" if kinds else "there is none"
            raise self._reader.error((*path, *kinds[-1:]), what, hint)
        if kinds != ["path"] and (idle := own.keys() - {"bootstrap", "image", "include", "platforms"}):
            key = min(idle)
            what = f"{key} is only for a base that is a stage"
            raise self._reader.error((*path, key), what, f"write path, or remove {key}")
        return kinds[0]

    def _include(self, table: Mapping[str, Any], path: KeyPath) -> tuple[str, ...]:
        """Return the packages that a bootstrapped base has besides the smallest set."""
        include = tuple(table.get("include", ()))
        for package in include:
            if not isinstance(package, str) or not schema.PACKAGE.fullmatch(package):
                raise self._reader.error((*path, "include"), f"{package!r} is not a package name")
        return include


def _suite(value: str, where: str) -> str:
    if not schema.SUITE.fullmatch(value):
        hint = 'write a release of the distribution, such as "trixie"'
        raise ProjectError(where, f"{value!r} is not a suite", hint)
    return value


def _reference(value: object, where: str) -> str:
    if not isinstance(value, str) or not schema.REFERENCE.fullmatch(value):
        hint = 'write a reference, such as "debian:trixie-slim"'
        raise ProjectError(where, f"{value!r} is not an image", hint)
    return value
