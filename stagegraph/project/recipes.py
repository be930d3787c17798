"""How stages are built: layers of ``stages.toml`` merged into one recipe for each stage and platform.

Later ones win: ``[defaults]``, platform, stage, stage on an OCI platform, stage on a platform, alternative.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from ..errors import ProjectError, nearest
from ..oci.reference import familiar
from . import schema
from .model import Platform, StageConfig
from .tables import KeyPath, TableReader

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from .positions import SourceMap
    from .settings import SettingSources


_FRONTEND_HINT = '"syntax": the image that the # syntax= line names; "builder": the builder\'s own'

_CONTEXT_HINT = 'write "debian:trixie" = "mirror.example.com/debian:trixie", or the name of a stage'


class Recipes(TableReader):
    """TableReader of which recipes are made."""

    def __init__(self, root: Path, tables: dict[str, Any], lines: SourceMap, said: SettingSources) -> None:
        super().__init__(tables, lines)
        self.root, self.said = root, said
        self.defaults = self.table(("defaults",), "defaults")
        # what was looked at and found good: every platform asks again
        self.folders: dict[str, str] = {}
        self.dockerfiles: set[tuple[str, str]] = set()

    def check_recipe(self, table: Mapping[str, Any], path: KeyPath) -> None:
        """What one layer says, by itself."""
        if table.get("network", "none") not in ("default", "none"):
            raise self.error((*path, "network"), 'network must be "default" or "none"')
        if table.get("unpinned", "allow") != "allow":
            raise self.error((*path, "unpinned"), 'unpinned can only be "allow"')
        if (native := table.get("native", "")) and native not in schema.DOCKER_PLATFORMS:
            hint = nearest(native, schema.DOCKER_PLATFORMS)
            raise self.error((*path, "native"), f"native = {native!r} is not an OCI platform", hint)
        if (frontend := table.get("frontend", "syntax")) not in schema.FRONTENDS:
            raise self.error((*path, "frontend"), f"unknown frontend {frontend!r}", _FRONTEND_HINT)
        self.check_timeout(table, path, "timeout")
        if "path" in table:
            self.folder(table["path"], (*path, "path"))

    def recipe(self, name: str, table: Mapping[str, Any], platform: Platform) -> StageConfig:
        """Merge the layers that speak of this stage on this platform."""
        path = ("stages", name)
        layers: list[tuple[Mapping[str, Any], KeyPath]] = [(table, path)]
        for key in (platform.docker, platform.name):
            if key in table.get("platforms", {}):
                layers.append((table["platforms"][key], (*path, "platforms", key)))
        alternative = self.alternative(name, layers)
        if alternative:
            layers.append((table["alternatives"][alternative], (*path, "alternatives", alternative)))
        if all("path" not in layer for layer, _ in layers):
            raise self.error(path, f"stage {name} has no path", f'write path = "stock/{name}"')
        return self.merged(layers, platform, alternative)

    def merged(
        self, layers: list[tuple[Mapping[str, Any], KeyPath]], platform: Platform, alternative: str = ""
    ) -> StageConfig:
        """One recipe out of layers, of which later ones win; one of them has a path."""
        merged: dict[str, Any] = {
            "network": self.defaults.get("network", "default"),
            "frontend": self.defaults.get("frontend", "syntax"),
        }
        contexts = self.contexts(self.tables, ())
        args = self.args(self.defaults, ("defaults",)) | dict(platform.args)
        own: set[str] = set()
        where: dict[str, KeyPath] = {}
        for layer, layer_path in layers:
            merged |= layer
            where |= dict.fromkeys(layer, layer_path)
            given = self.args(layer, layer_path)
            args |= given
            own |= set(given)
            contexts |= self.contexts(layer, layer_path)
        context = self.folder(merged["path"], (*where["path"], "path"))
        dockerfile = merged.get("dockerfile", "Dockerfile")
        self.check_dockerfile(context, dockerfile, where.get("dockerfile", where["path"]))
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
            own_frontend=merged["frontend"] == "builder",
            alternative=alternative,
            declared_at=self.lines.where(*layers[0][1]),
        )

    def contexts(self, table: Mapping[str, Any], path: KeyPath) -> dict[str, str]:
        """The stand-ins of one table, by the reference in its short form."""
        found: dict[str, str] = {}
        given = table.get("contexts", {})
        if not isinstance(given, dict):
            raise self.error((*path, "contexts"), "contexts must be a table")
        for reference, value in given.items():
            where = (*path, "contexts", reference)
            if not schema.REFERENCE.fullmatch(reference):
                raise self.error(where, f"{reference!r} is not an image", _CONTEXT_HINT)
            if not isinstance(value, str) or not schema.REFERENCE.fullmatch(value):
                raise self.error(where, f"{value!r} is neither an image nor a stage", _CONTEXT_HINT)
            if familiar(reference) in found:
                raise self.error(where, f"{reference} has two stand-ins", "remove one of the two")
            found[familiar(reference)] = value
        return found

    def alternative(self, name: str, layers: list[tuple[Mapping[str, Any], KeyPath]]) -> str:
        """The one in force, "" for none: command line, environment, then the last layer that has one."""
        value, where = self.said.setting(name)
        if value is None:
            said = [(layer["alternative"], path) for layer, path in layers if "alternative" in layer]
            value, path = said[-1] if said else ("default", layers[0][1])
            where = self.lines.where(*path, "alternative")
        known = layers[0][0].get("alternatives", {})
        if value == "default":
            return ""
        if value not in known:
            raise ProjectError(
                where, f"stage {name} has no alternative {value!r}", nearest(value, ["default", *known])
            )
        return value

    def folder(self, given: str, where: KeyPath) -> str:
        """A stage's folder relative to the project, which it must not leave."""
        if given not in self.folders:
            self.folders[given] = self.checked_folder(given, where)
        return self.folders[given]

    def checked_folder(self, given: str, where: KeyPath) -> str:
        root = self.root.resolve()
        if not given or "\0" in given:
            raise self.error(where, f"path {given!r} is no folder")
        try:
            folder = (self.root / given).resolve()
            folder.stat()
        except FileNotFoundError:
            pass  # said below
        except (OSError, RuntimeError) as error:  # a loop of links, a name that is too long
            raise self.error(where, f"path {given!r} cannot be followed: {error}") from None
        if not folder.is_relative_to(root):
            hint = "a stage's folder lies inside the project"
            raise self.error(where, f"path {given!r} leaves the project folder", hint)
        if not folder.is_dir():
            raise self.error(where, f"no folder {given!r}", "make it, with a Dockerfile in it")
        return folder.relative_to(root).as_posix()

    def check_dockerfile(self, context: str, name: str, where: KeyPath) -> None:
        if (context, name) in self.dockerfiles:
            return
        pure = PurePosixPath(name)
        if not name or "\0" in name or pure.is_absolute() or ".." in pure.parts or str(pure) != name:
            hint = "a plain path inside the stage's folder"
            raise self.error((*where, "dockerfile"), f"dockerfile {name!r} cannot be used", hint)
        if not _is_file(self.root / context / name):
            raise self.error((*where, "path"), f"no {name} in {context!r}")
        self.dockerfiles.add((context, name))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long
        return False
