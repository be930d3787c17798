"""``stages.toml`` and settings -> ``model.Project``: read, parse and validate.

``families`` first writes out entries that stand for several stages or images. The tables have a module each:
``platforms``, ``bases``, ``images``, ``groups``; ``configs`` merges the layers of a stage.
``stacks`` puts stages on one another, ``settings`` reads the command line and the environment, ``claims``
checks that each name has one meaning.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from ..errors import ProjectError, nearest
from ..system import bounded
from . import claims, families, platforms, schema, stacks, tags, trust
from .bases import BaseReader
from .configs import ConfigReader
from .folders import Disk
from .groups import GroupReader
from .images import ImageReader
from .model import BASE, DEFAULT_EPOCH, TIME_OF_COMMIT, Project, Secret, Stage
from .positions import SourceMap
from .settings import SettingSources
from .tables import TableReader

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from .model import Platform


FILE = "stages.toml"

#: The text of a number that may have more than 64 bits.
_LONG_NUMBER = re.compile(r"[0-9][0-9_]{18}|0[xob][0-9A-Fa-f_]{16}")


def read(root: Path) -> str:
    """Return the text of ``stages.toml``. Raises ``ProjectError``."""
    try:
        return bounded.read_text(root / FILE, encoding="utf-8-sig")
    except FileNotFoundError:
        hint = "a project is a folder with a stages.toml"
        raise ProjectError(str(root / FILE), "no such file", hint) from None
    except UnicodeDecodeError as error:
        raise ProjectError(str(root / FILE), f"is not UTF-8: {error}") from None
    except OSError as error:
        raise ProjectError(str(root / FILE), f"cannot be read: {error.strerror}") from None


def parse(text: str) -> tuple[dict[str, Any], SourceMap]:
    """Return the tables of a TOML text, and the lines of their keys. Raises ``ProjectError``."""
    import tomllib

    lines = SourceMap(text, FILE)
    try:
        tables = tomllib.loads(text)
    except ValueError as error:  # tomllib's own, and of numbers that are too long
        message, _, place = str(error).partition(" (at line ")
        line = place.partition(",")[0] if place else str(text.rstrip().count("\n") + 1)
        raise ProjectError(f"{FILE}:{line}", f"not valid TOML: {message}") from None
    except RecursionError:
        raise ProjectError(FILE, "not valid TOML: nested too deep") from None
    if _LONG_NUMBER.search(text):
        _check_numbers(tables, lines)
    return tables, lines


def _check_numbers(value: object, lines: SourceMap, *path: str) -> None:
    """Raise ``ProjectError`` for a whole number beyond 64 bits, which is all that TOML promises.

    Python does not write numbers of some thousand digits, so that nothing could name them.
    """
    if isinstance(value, dict):
        for key, item in value.items():
            _check_numbers(item, lines, *path, key)
    elif isinstance(value, list):
        for item in value:
            _check_numbers(item, lines, *path)
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ProjectError(
            lines.where(*path),
            "a whole number has more than 64 bits",
            "write a smaller one, or put it in quotes",
        )


def load(
    root: Path,
    cli: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    *,
    text: str | None = None,
) -> Project:
    """Read, parse and validate the project in ``root``.

    ``cli`` holds the ``NAME=VALUE`` words of the command line; ``env`` is the environment, by default this
    process's. ``text`` takes the place of the file. Raises ``ProjectError`` with the line and the nearest
    known word.
    """
    if {"\n", "\r"} & set(str(root)):
        name = str(root).encode("unicode_escape").decode()
        raise ProjectError(name, "the folder's name has a line break, which the builder does not accept")
    sources = SettingSources(dict(cli or {}), os.environ if env is None else env)
    tables, lines = parse(read(root) if text is None else text)
    plain = families.expand(tables, lines, Disk(root))
    return _ProjectLoader(root, TableReader(*plain), sources).project()


class _ProjectLoader:
    """Builds the project of one file. All methods raise ``ProjectError`` for a value that is wrong."""

    def __init__(self, root: Path, reader: TableReader, sources: SettingSources) -> None:
        self._root, self._reader, self._sources = root, reader, sources
        for key in reader.tables:
            if key not in schema.TOP:
                raise reader.error((key,), f"unknown table [{key}]", nearest(key, schema.TOP))
        self._head = reader.table(("project",), "project")
        self._configs = ConfigReader(root, reader, sources)
        self._platforms = platforms.read(reader, self._head, sources)

    def project(self) -> Project:
        reader = self._reader
        tables = {name: reader.table(("stages", name), "stage") for name in reader.named(("stages",))}
        self._sources.check(tables)
        epoch = self._epoch()
        declared = {name: self._stage(name, tables) for name in tables}
        settings = self._sources.settings(self._head, reader.lines)
        on = {name: stage.configs.keys() for name, stage in declared.items()}
        image_reader = ImageReader(reader, self._configs, self._platforms, tables, on, settings.registry)
        images = image_reader.images()
        tests = {image.test: image_reader.test(image) for image in images.values() if image.test}
        image_reader.check_stacks(tests)
        bases = BaseReader(reader, self._configs, self._platforms).bases(self._sources)
        stacked = ((image_reader.stacks[image.name], image.platforms) for image in images.values())
        stages = stacks.expand(declared, stacked) | tests
        project = Project(
            root=self._root,
            settings=settings,
            platforms=self._platforms,
            bases=bases,
            stages=stages,
            images=images,
            epoch=epoch,
            secrets={name: self._secret(name) for name in reader.named(("secrets",), schema.SECRET)},
            groups=GroupReader(reader, images, {**declared, **stages}, self._platforms).groups(),
            version=self._version(),
            trust=trust.read(reader, (BASE, *declared, *stages)),
        )
        declared_repo = str(self._head.get("repo", settings.repo))
        project = project._replace(
            repositories=tags.repositories(project, declared_repo, self._hosts(settings.registry))
        )
        tags.check(project)
        claims.check(project, reader.tables, reader.lines)
        return project

    def _hosts(self, registry: str) -> set[str]:
        """Return the registries of final images; "" for none.

        The registry of ``[ci]`` counts too, so that a name means the same here and in CI jobs.
        """
        own = (self._head, self._reader.tables.get("ci"))
        named = {str(table.get("registry", "")).removesuffix("/") for table in own if isinstance(table, dict)}
        return {*named, registry, ""}

    def _version(self) -> str:
        version: str = self._head.get("version", "")
        if "version" in self._head and not schema.VERSION.fullmatch(version):
            what, hint = f"version = {version!r} cannot be in a tag", 'write "1.2", or "git"'
            raise self._reader.error(("project", "version"), what, hint)
        return version

    def _epoch(self) -> int:
        path = ("project", "source_date_epoch")
        epoch: int | str = self._head.get("source_date_epoch", DEFAULT_EPOCH)
        if epoch == schema.COMMIT:
            return TIME_OF_COMMIT
        if isinstance(epoch, str):
            hint = f'write seconds since 1970, or "{schema.COMMIT}" for the time of the last commit'
            raise self._reader.error(path, f"source_date_epoch is {epoch!r}", hint)
        if epoch < 0:
            raise self._reader.error(path, "source_date_epoch is before 1970")
        if epoch > schema.LAST_EPOCH:
            raise self._reader.error(path, "source_date_epoch is after the year 9999", "write seconds")
        return epoch

    def _stage(self, name: str, tables: Mapping[str, Mapping[str, Any]]) -> Stage:
        """Return the stage ``name``; ``tables`` are those of all stages."""
        path, table = ("stages", name), tables[name]
        if name in schema.RESERVED:
            hint = "[base] declares it" if name == BASE else "the word is reserved; choose another"
            raise self._reader.error(path, f"a stage cannot be called {name!r}", hint)
        self._configs.check_layer(table, path)
        for need in table.get("needs", ()):
            if not isinstance(need, str) or need not in tables:
                what = f"stage {name} needs {need!r}, which is not a stage"
                raise self._reader.error((*path, "needs"), what, nearest(str(need), tables))
        for key in table.get("platforms", {}):
            platforms.check(self._reader, self._platforms, key, (*path, "platforms"), f"stage {name}")
            self._check_layer((*path, "platforms", key), "stage on a platform")
        for key in self._reader.named((*path, "alternatives")):
            self._check_layer((*path, "alternatives", key), "alternative")
        on = self._only(name, table)
        configs = {p.name: self._configs.stage(name, table, p) for p in on}
        names = tuple(table.get("names", ()))
        for other in names:
            if not isinstance(other, str) or not schema.REFERENCE.fullmatch(other):
                hint = 'write a reference, such as "ros:jazzy-ros-core"'
                what = f"stage {name}: {other!r} is not an image"
                raise self._reader.error((*path, "names"), what, hint)
        where = self._reader.lines.where(*path)
        alternatives = tuple(table.get("alternatives", ()))
        return Stage(
            name, table.get("description", ""), configs, where, names=names, alternatives=alternatives
        )

    def _only(self, name: str, table: Mapping[str, Any]) -> Iterable[Platform]:
        """Return the platforms of a stage, by default all."""
        if "only" not in table:
            return self._platforms.values()
        path, what = ("stages", name, "only"), f"stage {name}"
        names = platforms.only(self._reader, self._platforms, table["only"], path, what)
        return [self._platforms[each] for each in names]

    def _check_layer(self, path: tuple[str, ...], kind: str) -> None:
        self._configs.check_layer(self._reader.table(path, kind), path)

    def _secret(self, name: str) -> Secret:
        path = ("secrets", name)
        table = self._reader.table(path, "secret")
        if len(table) != 1:
            raise self._reader.error(path, f"secret {name} needs either file or env")
        if "env" in table and not schema.VARIABLE.fullmatch(table["env"]):
            what = f"{table['env']!r} is not the name of a variable"
            raise self._reader.error((*path, "env"), what)
        if "\0" in table.get("file", ""):
            raise self._reader.error((*path, "file"), f"{table['file']!r} is not the path of a file")
        return Secret(**table)
