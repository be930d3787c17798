"""A public family: its clone, its declarations, and its state at a commit."""

from __future__ import annotations

import copy
import hashlib
import io
import itertools
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import toml
import yaml
from replay import truth
from replay.ci import RULES, Rule, releases

from stagegraph.project import families, loader
from stagegraph.project.folders import Disk

_ARCHIVE = "2026-01-01"


@dataclass(frozen=True)
class State:
    """The family at one commit.

    ``tables`` are the declarations as plain entries, without the stages that the commit lacks. ``folders``
    are the stages as ``truth`` reads them, ``names`` the stages by the names that Dockerfiles use.
    """

    tables: dict[str, Any]
    folders: dict[str, truth.Folder]
    names: dict[str, str]

    @property
    def platforms(self) -> dict[str, str]:
        """The OCI platforms by their names."""
        return {name: table["docker"] for name, table in self.tables["platforms"].items()}

    def declarations(self, *, names: bool) -> str:
        """Return ``stages.toml`` of the commit, with or without ``names``."""
        stages = {
            stage: {key: value for key, value in table.items() if names or key != "names"}
            for stage, table in self.tables["stages"].items()
        }
        return toml.dumps({**self.tables, "stages": stages})

    def lock(self) -> str:
        """Return ``stages.lock``: every external image has a digest that follows from its name."""
        images = {}
        for name in {name for folder in self.folders.values() for name in folder.parents}:
            digest = f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"
            images[name] = dict.fromkeys(("index", *self.platforms.values()), digest)
        return toml.dumps({"archive": _ARCHIVE, "images": images})


class Family:
    """A clone, and a file of declarations. Raises ``OSError`` or ``ProjectError`` for the file."""

    def __init__(self, clone: Path, file: Path) -> None:
        self._clone, self._file = clone, file
        self._tables, self._lines = loader.parse(file.read_text())

    @property
    def ci(self) -> Rule | None:
        """The rule of the family's own CI, if it is known."""
        return RULES.get(self._file.stem)

    @property
    def lines(self) -> int:
        """The number of lines of the declarations, without comments and empty lines."""
        lines = (line.strip() for line in self._file.read_text().splitlines())
        return sum(bool(line) and not line.startswith("#") for line in lines)

    def git(self, *arguments: str) -> bytes:
        """Return what git prints. Raise ``SystemExit`` if git fails."""
        done = subprocess.run(["git", "-C", str(self._clone), *arguments], capture_output=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"git {arguments[0]} in {self._clone}: {done.stderr.decode().strip()}")
        return done.stdout

    def commits(self, count: int) -> list[str]:
        """Return the newest commits of the main line that trigger the CI, and the one before, oldest first.

        If the CI is unknown, every commit counts.
        """
        paths = self.ci.paths if self.ci else ()
        # without HEAD, git takes the paths for revisions in a bare clone
        found = self.git("log", "--first-parent", "--format=%H", "HEAD", "--", *paths).decode().split()
        commits = [*itertools.islice(filter(self._triggers, found), count)][::-1]
        before = self.git("log", "--first-parent", "-n2", "--format=%H", commits[0]).decode().split()[1:]
        return before + commits

    def _triggers(self, commit: str) -> bool:
        """Return false if a commit only touches releases that the CI of its time does not build."""
        if not self.ci or not self.ci.releases:
            return True
        built = {f"ros/{one['release']}" for one in self._releases(commit)}
        paths = {*self.ci.paths} - {"ros"} | built
        return bool(self.git("log", "--first-parent", "-n1", "--format=%H", f"{commit}^!", "--", *paths))

    def _releases(self, commit: str) -> list[dict[str, str]]:
        """Return the releases that the CI builds at a commit."""
        if not self.ci or not self.git("ls-tree", commit, "--", self.ci.releases):
            return []
        return releases(self.git("show", f"{commit}:{self.ci.releases}").decode())

    def _declared(self, commit: str) -> dict[str, Any]:
        """Return the declarations, with the releases that the CI builds at a commit."""
        if not self.ci or not self.ci.releases:
            return self._tables
        tables = copy.deepcopy(self._tables)
        for table in (*tables["stages"].values(), *tables["images"].values()):
            if "ros" in table.get("matrix", {}):
                table["matrix"]["ros"] = self._releases(commit)
        return tables

    def state(self, commit: str, root: Path) -> State:
        """Write the files of a commit into a folder, and return the family's state there.

        Raises ``ProjectError`` if the declarations do not fit the commit.
        """
        with tarfile.open(fileobj=io.BytesIO(self.git("archive", commit))) as tar:
            tar.extractall(root, filter="data")
        tables, _ = families.expand(self._declared(commit), self._lines, Disk(root))
        stages = {
            stage: table
            for stage, table in tables["stages"].items()
            if (root / table["path"] / "Dockerfile").is_file()
        }
        images = {
            image: table
            for image, table in tables.get("images", {}).items()
            if table.get("stage", image) in stages
        }
        blobs = self._blobs(commit)
        read = {stage: _read(root / table["path"], table, blobs) for stage, table in stages.items()}
        stages = {stage: {**table, "args": read[stage].args} for stage, table in stages.items()}
        tables = {**tables, "stages": stages, "images": images}
        return State(tables, read, _names(tables))

    def _blobs(self, commit: str) -> dict[str, str]:
        """Return a word for the content and the mode of each file of a commit."""
        listed = self.git("ls-tree", "-r", "-z", commit).decode()
        return {path: word for word, _, path in (line.partition("\t") for line in listed.split("\0"))}


def _read(folder: Path, table: Mapping[str, Any], blobs: Mapping[str, str]) -> truth.Folder:
    """Read a stage at a commit. It gets those of its arguments that the Dockerfile declares there.

    home-assistant had arguments in ``build.yaml`` before 2026. Only its own builder knew this file. Then the
    benchmark adds them, as ``stages.toml`` of that time would have.
    """
    own = folder / "build.yaml"
    args = yaml.safe_load(own.read_text()).get("args", {}) if own.is_file() else {}
    args = {name: str(value) for name, value in args.items()} | table.get("args", {})
    return truth.read((folder / "Dockerfile").read_text(), _below(f"{table['path']}/", blobs), args)


def _below(folder: str, blobs: Mapping[str, str]) -> dict[str, str]:
    return {path[len(folder) :]: word for path, word in blobs.items() if path.startswith(folder)}


def _names(tables: Mapping[str, Any]) -> dict[str, str]:
    """Return the stages by the names that Dockerfiles use: tags of images, and further names."""
    project = tables["project"]
    names = {name: stage for stage, table in tables["stages"].items() for name in table.get("names", ())}
    for image, table in tables["images"].items():
        repo = table.get("repo", project["repo"]).replace("{image}", image)
        for tag in table.get("tags", [image]):
            for prefix in ("", f"{project['registry']}/") if "registry" in project else ("",):
                names[f"{prefix}{repo}:{tag}"] = table.get("stage", image)
                if tag == "latest":
                    names[f"{prefix}{repo}"] = table.get("stage", image)
    return names
