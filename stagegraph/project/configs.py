"""Layers of ``stages.toml`` -> one ``StageConfig`` for each stage and platform.

Later layers win: ``[defaults]``, platform, stage, stage on an OCI platform, stage on a platform, alternative.
A glob is below its stage; ``families`` has joined the two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import ProjectError, nearest
from ..oci.reference import familiar
from . import options, schema
from .folders import Folders
from .model import StageConfig

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from .model import Platform
    from .settings import SettingSources
    from .tables import KeyPath, TableReader

    Layer = tuple[Mapping[str, Any], KeyPath]

#: Seconds that an image's test may take unless the project sets another limit; it may run emulated.
TEST_TIMEOUT = 1800

_FRONTEND_HINT = '"syntax": the image that the # syntax= line names; "builder": the builder\'s own'

_CONTEXT_HINT = 'write "debian:trixie" = "mirror.example.com/debian:trixie", or the name of a stage'


class ConfigReader:
    """Merges the layers of each stage. All methods raise ``ProjectError`` for a value that is wrong."""

    def __init__(self, root: Path, reader: TableReader, sources: SettingSources) -> None:
        self._reader, self._sources = reader, sources
        self._folders = Folders(root, reader)
        self._defaults = reader.table(("defaults",), "defaults")
        self.check_layer(self._defaults, ("defaults",))

    def check_layer(self, layer: Mapping[str, Any], path: KeyPath) -> None:
        """Check the values of one layer."""
        error = self._reader.error
        if layer.get("network", "none") not in schema.NETWORKS:
            raise error((*path, "network"), 'network must be "default", "none" or "host"')
        if layer.get("unpinned", "allow") != "allow":
            raise error((*path, "unpinned"), 'unpinned can only be "allow"')
        if (native := layer.get("native", "")) and native not in schema.DOCKER_PLATFORMS:
            hint = nearest(native, schema.DOCKER_PLATFORMS)
            raise error((*path, "native"), f"native = {native!r} is not an OCI platform", hint)
        if (frontend := layer.get("frontend", "syntax")) not in schema.FRONTENDS:
            raise error((*path, "frontend"), f"unknown frontend {frontend!r}", _FRONTEND_HINT)
        self._reader.check_timeout(layer, path, "timeout")
        self._contexts(layer, path)
        options.labels(self._reader, layer, path)
        options.run_options(self._reader, layer, path)
        if "path" in layer:
            self._folders.folder(layer["path"], (*path, "path"))

    def stage(self, name: str, table: Mapping[str, Any], platform: Platform) -> StageConfig:
        """Merge the layers of the stage ``name`` for a platform."""
        path = ("stages", name)
        layers: list[Layer] = [(table, path)]
        for key in (platform.docker, platform.name):
            if key in table.get("platforms", {}):
                layers.append((table["platforms"][key], (*path, "platforms", key)))
        alternative, chosen_at = self._alternative(name, layers)
        if alternative:
            layers.append((table["alternatives"][alternative], (*path, "alternatives", alternative)))
        if all("path" not in layer for layer in (self._defaults, *(layer for layer, _ in layers))):
            raise self._reader.error(path, f"stage {name} has no path", 'write its folder: path = "FOLDER"')
        config = self.merged(layers, platform, alternative)
        if chosen_at and alternative:
            own, where = layers[-1]
            chosen = {key: f"{line}, {chosen_at}" for key, line in self._lines_of(where, own)}
            config = config._replace(set_at={**config.set_at, **chosen})
        return config

    def merged(self, layers: Sequence[Layer], platform: Platform, alternative: str = "") -> StageConfig:
        """Merge layers with ``[defaults]`` and the platform; one of all these has a path."""
        merged = {"network": "default", "frontend": "syntax", **self._defaults}
        contexts = self._contexts(self._reader.tables, ())
        args = self._args(platform)
        labels = options.labels(self._reader, self._defaults, ("defaults",))
        own: set[str] = set()
        where: dict[str, KeyPath] = dict.fromkeys(self._defaults, ("defaults",))
        for layer, path in layers:
            merged |= layer
            where |= dict.fromkeys(layer, path)
            own_args = self._reader.args(layer, path)
            args |= own_args
            own |= set(own_args)
            contexts |= self._contexts(layer, path)
            labels |= options.labels(self._reader, layer, path)
        context = self._folders.folder(merged["path"], (*where["path"], "path"))
        dockerfile = merged.get("dockerfile", "Dockerfile")
        self._folders.check_dockerfile(context, dockerfile, where.get("dockerfile", where["path"]))
        return StageConfig(
            context=context,
            dockerfile=dockerfile,
            target=merged.get("target", ""),
            network=merged["network"],
            args=args,
            # an alternative shares the stage's arguments without having to declare each of them
            own_args=frozenset() if alternative else frozenset(own),
            unpinned="unpinned" in merged,
            installs_packages=merged.get("archive", False),
            timeout=merged.get("timeout", 0),
            native=merged.get("native", ""),
            contexts=contexts,
            labels=labels,
            run_options=options.run_options(self._reader, merged, layers[0][1]),
            own_frontend=merged["frontend"] == "builder",
            alternative=alternative,
            declared_at=self._reader.lines.where(*layers[0][1]),
            set_at=self._set_at(layers, platform),
        )

    def _set_at(self, layers: Sequence[Layer], platform: Platform) -> dict[str, str]:
        """Return the line of each value that is in force; arguments and labels are ``args.NAME``."""
        set_at = dict(self._lines_of(("defaults",), self._defaults))
        set_at |= self._lines_of(("platforms", platform.name), {"args": platform.args})
        for layer, path in layers:
            set_at |= self._lines_of(path, layer)
        return set_at

    def _lines_of(self, path: KeyPath, table: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        where = self._reader.lines.where
        for key, value in table.items():
            if key in ("args", "labels"):
                yield from ((f"{key}.{name}", where(*path, key, name)) for name in value)
            elif key not in ("platforms", "alternatives", "path", "description"):
                yield key, where(*path, key)

    def test(self, stage: str, table: Mapping[str, Any], path: KeyPath, platform: Platform) -> StageConfig:
        """Return the config of the test in an image's table. Its Dockerfile may say ``FROM ${IMAGE}``.

        Nobody uses the image of a test, so it gets no labels.
        """
        context = self._folders.folder(table["test"], (*path, "test"))
        self._folders.check_dockerfile(context, "Dockerfile", (*path, "test"))
        self._reader.check_timeout(table, path, "test_timeout")
        return StageConfig(
            context=context,
            network=self._defaults.get("network", "default"),
            args=self._args(platform) | {"IMAGE": stage},
            timeout=table.get("test_timeout", TEST_TIMEOUT),
            contexts=self._contexts(self._reader.tables, ()),
            run_options=options.run_options(self._reader, self._defaults, ("defaults",)),
            own_frontend=self._defaults.get("frontend") == "builder",
            declared_at=self._reader.lines.where(*path, "test"),
            set_at=self._set_at((), platform),
        )

    def _args(self, platform: Platform) -> dict[str, str]:
        return self._reader.args(self._defaults, ("defaults",)) | dict(platform.args)

    def _contexts(self, table: Mapping[str, Any], path: KeyPath) -> dict[str, str]:
        """Return the stand-ins of one table, by the short form of the reference."""
        error, contexts = self._reader.error, dict[str, str]()
        written = table.get("contexts", {})
        if not isinstance(written, dict):
            raise error((*path, "contexts"), "contexts must be a table")
        for reference, value in written.items():
            where = (*path, "contexts", reference)
            if not schema.REFERENCE.fullmatch(reference):
                raise error(where, f"{reference!r} is not an image", _CONTEXT_HINT)
            if not isinstance(value, str) or not schema.REFERENCE.fullmatch(value):
                raise error(where, f"{value!r} is neither an image nor a stage", _CONTEXT_HINT)
            if familiar(reference) in contexts:
                raise error(where, f"{reference} has two stand-ins", "remove one of the two")
            contexts[familiar(reference)] = value
        return contexts

    def _alternative(self, stage: str, layers: Sequence[Layer]) -> tuple[str, str]:
        """Return the alternative in force, "" for none; and what chose it, "" for ``stages.toml``.

        The command line comes first, then the environment, then the last layer that names one.
        """
        value, where = self._sources.setting(stage)
        chosen_at = "" if value is None else f"{stage}={value} ({where})"
        if value is None:
            declared = [(layer["alternative"], path) for layer, path in layers if "alternative" in layer]
            value, path = declared[-1] if declared else ("default", layers[0][1])
            where = self._reader.lines.where(*path, "alternative")
        alternatives = layers[0][0].get("alternatives", {})
        if value == "default":
            return "", chosen_at
        if value not in alternatives:
            hint = nearest(value, ["default", *alternatives])
            raise ProjectError(where, f"stage {stage} has no alternative {value!r}", hint)
        return value, chosen_at
