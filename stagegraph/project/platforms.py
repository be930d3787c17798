"""``[platforms]`` of ``stages.toml`` -> platforms, each with its builders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import nearest
from . import schema
from .model import Platform
from .settings import check_builder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .settings import SettingSources
    from .tables import KeyPath, TableReader


def read(reader: TableReader, head: Mapping[str, Any], sources: SettingSources) -> dict[str, Platform]:
    """Return the platforms by name. ``head`` is the table ``[project]``. Raises ``ProjectError``."""
    platforms = {name: _platform(reader, name, head) for name in reader.named(("platforms",))}
    if not platforms:
        hint = 'write [platforms.amd64] with docker = "linux/amd64"'
        raise reader.error(("platforms",), "no platform is declared", hint)
    for name, builders in sources.builders(platforms.values()).items():
        platforms[name] = platforms[name]._replace(builders=builders)
    return platforms


def check(reader: TableReader, platforms: Mapping[str, Platform], key: str, path: KeyPath, what: str) -> None:
    """Raise ``ProjectError`` unless ``key`` is a platform of the project or an OCI platform."""
    if key not in platforms and key not in schema.DOCKER_PLATFORMS:
        hint = nearest(key, _words(platforms))
        raise reader.error((*path, key), f"{what}: unknown platform {key!r}", hint)


def only(
    reader: TableReader, platforms: Mapping[str, Platform], words: Sequence[Any], path: KeyPath, what: str
) -> list[str]:
    """Return the platforms that ``words`` name: by their names, or by their OCI platforms.

    Raises ``ProjectError`` for a word that is neither, or that is no platform of this project.
    """
    wanted: set[str] = set()
    for word in words:
        found = [each.name for each in platforms.values() if word in (each.name, each.docker)]
        if not found:
            hint = nearest(str(word), _words(platforms))
            raise reader.error(path, f"{what}: unknown platform {word!r}", hint)
        wanted.update(found)
    if not wanted:
        raise reader.error(path, f"{what} is for no platform", "remove it for all platforms")
    return [name for name in platforms if name in wanted]


def _words(platforms: Mapping[str, Platform]) -> dict[str, None]:
    """Return the words that mean platforms: their names and OCI platforms."""
    return dict.fromkeys([*platforms, *(platform.docker for platform in platforms.values())])


def _platform(reader: TableReader, name: str, head: Mapping[str, Any]) -> Platform:
    path = ("platforms", name)
    table = reader.table(path, "platform")
    docker = table.get("docker", "")
    if docker not in schema.DOCKER_PLATFORMS:
        what = f"platform {name}: docker = {docker!r} is not an OCI platform"
        raise reader.error((*path, "docker"), what, nearest(docker, schema.DOCKER_PLATFORMS))
    own = _builders(reader, table, path) if "builder" in table else _builders(reader, head, ("project",))
    return Platform(name, docker, reader.args(table, path), own)


def _builders(reader: TableReader, table: Mapping[str, Any], path: KeyPath) -> tuple[str, ...]:
    """Return the builders that a table names, the preferred one first."""
    value, where = table.get("builder", ""), reader.lines.where(*path, "builder")
    names = [value] if isinstance(value, str) and value else list(value)
    return tuple(check_builder(name, where) for name in names)
