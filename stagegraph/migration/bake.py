"""What ``docker buildx bake --print`` prints -> sources and secrets. Pure.

https://docs.docker.com/build/bake/reference/ describes the file.
"""

from __future__ import annotations

import csv
import json
import os.path
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import ProjectError
from ..oci.platform import host_platform, normalized
from ..project import schema
from . import options
from .source import Note, Source

if TYPE_CHECKING:
    from ..oci.platform import OciPlatform

#: The keys of a target that are not in the table of options.
_OWN = ("context", "dockerfile", "contexts", "tags", "platforms", "secret", "name")

#: How a context begins that is no folder.
_NO_FOLDER = ("oci-layout:", "git:", "git@", "http:", "https:", "ssh:", "target:", "docker-image:")


class Imported(NamedTuple):
    """Sources, groups of their names, secrets by id, and notes."""

    sources: list[Source]
    groups: dict[str, list[str]]
    secrets: dict[str, dict[str, str]]
    notes: list[Note]


def is_bake(text: str, where: str) -> bool:
    """Return True for a bake file in JSON, False for what may be a Compose file, which may be JSON, too.

    Raises ``ProjectError`` for a bake file in HCL.
    """
    if where.endswith(".hcl"):
        hint = "docker buildx bake --print | stagegraph import -"
        raise ProjectError(where, "is HCL, which only bake can read; let it print JSON", hint)
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return text.lstrip().startswith("{")
    return isinstance(data, dict) and not ("services" in data and "target" not in data)


def parse(text: str, where: str) -> dict[str, Any]:
    """Return the file as JSON. Raises ``ProjectError`` for other text."""
    hint = "give what `docker buildx bake --print` prints, or a Compose file"
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ProjectError(where, f"not valid JSON: {error}", hint) from None
    except RecursionError:
        raise ProjectError(where, "not valid JSON: nested too deep", hint) from None
    if not isinstance(value, dict) or not isinstance(value.get("target"), dict) or not value["target"]:
        raise ProjectError(where, "declares no target", hint)
    return value


def sources(data: Mapping[str, Any], where: str, root: Path, *, kind: str = "target") -> Imported:
    """Return the sources of a bake file whose paths are relative to ``root``.

    ``kind`` is the word for a target in notes. Raises ``ProjectError`` for a value of a wrong type.
    """
    try:
        json.dumps(data, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError:  # JSON and YAML can name half of a surrogate pair (RFC 8259, 8.2)
        what = "has a \\u escape that is half of a character"
        raise ProjectError(where, what, "write both halves, or the character itself") from None
    return _Importer(data, where, root, kind).imported()


class _Importer:
    """Reads one bake file. All methods raise ``ProjectError`` for a value of a wrong type."""

    def __init__(self, data: Mapping[str, Any], where: str, root: Path, kind: str) -> None:
        self._data, self._where, self._root, self._kind = data, where, root, kind
        self._targets: dict[str, Mapping[str, Any]] = {
            name: self._typed(table, dict, f"{kind} {name}") for name, table in data["target"].items()
        }
        self._groups = {
            name: self._strings(self._typed(group, dict, f"group {name}").get("targets", []), f"group {name}")
            for name, group in self._typed(data.get("group", {}), dict, "group").items()
        }
        self._notes: list[Note] = []
        self._secrets: dict[str, dict[str, str]] = {}

    def imported(self) -> Imported:
        found = [self._source(name, table) for name, table in self._targets.items()]
        kept = self._complete({source.name: source for source in found if source is not None})
        for name in sorted(self._data.keys() & {"variable", "function"}):
            what = "is not read: give the import what `docker buildx bake --print` prints"
            self._notes.append(Note(name, what))
        there = {source.name for source in kept}
        groups = {name: [m for m in self._members(name) if m in there] for name in self._groups}
        groups = {name: members for name, members in groups.items() if members and name != "default"}
        return Imported(kept, groups, self._secrets, self._notes)

    def _complete(self, found: dict[str, Source]) -> list[Source]:
        """Return the sources without those that are based on one that is left out."""
        while True:
            lost = {n: min(lost) for n, s in found.items() if (lost := {*s.parents.values()} - found.keys())}
            if not lost:
                return list(found.values())
            for name, parent in lost.items():
                what = f"is left out: it is based on {parent}, which is left out"
                self._notes.append(Note(found.pop(name).origin, what))

    # -- one target ------------------------------------------------------------------------------

    def _source(self, name: str, table: Mapping[str, Any]) -> Source | None:
        origin = f"{self._kind} {name}"
        if table.get("dockerfile-inline"):
            what = "is left out: its Dockerfile is written in this file; write it to a file of its own"
            self._notes.append(Note(origin, what))
            return None
        folder = self._folder(self._typed(table.get("context") or ".", str, origin), origin)
        dockerfile = self._typed(table.get("dockerfile") or "Dockerfile", str, origin)
        if folder is None or (dockerfile := self._dockerfile(folder, dockerfile, origin)) is None:
            return None
        others = sorted(table.keys() - set(_OWN), key=options.place)
        keys = dict(filter(None, (self._option(origin, key, table[key]) for key in others)))
        if keys.get("network") == "host":  # bake asks for this on the command line, and Compose never
            keys["allow"] = sorted({*keys.get("allow", ()), "network.host"})
        parents, images = self._contexts(origin, self._typed(table.get("contexts", {}), dict, origin))
        if images:
            keys["contexts"] = images
        self._secret(origin, table.get("secret", []))
        tags = tuple(self._strings(table.get("tags", []), origin))
        wanted, used = self._members("default"), self._used()
        in_group = any(name in self._members(group) for group in self._groups)
        return Source(
            origin, name, folder, dockerfile, keys, parents,
            is_image=bool(tags) or in_group or name not in used,
            default=not wanted or name in wanted,
            tags=tags,
            platforms=self._platforms(origin, table),
        )  # fmt: skip

    def _folder(self, context: str, origin: str) -> str | None:
        """Return the folder of a context, relative to the project; None if it is not in there."""
        if context.startswith(_NO_FOLDER) or context == "-":
            what = f"is left out: its context {context} is no folder of this project; copy it here"
            self._notes.append(Note(origin, what))
            return None
        root = self._root.resolve()
        folder = Path(os.path.normpath(root / context))
        if not folder.is_relative_to(root):
            what = f"is left out: its context {context} is outside of {root.name}/; call it above"
            self._notes.append(Note(origin, what))
            return None
        return folder.relative_to(root).as_posix()

    def _dockerfile(self, folder: str, written: str, origin: str) -> str | None:
        """Return the path of a Dockerfile, relative to its context; None if it is not in there."""
        context = self._root.resolve() / folder
        path = Path(os.path.normpath(context / written))
        if not path.is_relative_to(context):
            what = f"is left out: its Dockerfile {written} is outside of its context {folder}; move it there"
        elif not path.is_file():
            what = f"is left out: {folder} has no {written}"
        else:
            return path.relative_to(context).as_posix()
        self._notes.append(Note(origin, what))
        return None

    def _option(self, origin: str, key: str, value: Any) -> tuple[str, Any] | None:
        if value in (None, {}, [], "", False):
            return None
        try:
            found = options.read(key, value)
        except options.Inexpressible as reason:
            self._notes.append(Note(origin, str(reason)))
            return (key, reason.kept) if reason.kept else None
        except (AttributeError, TypeError, ValueError):
            raise ProjectError(self._where, f"{origin}: {key} has a value of a wrong type") from None
        unset = [name for name, item in value.items() if item is None] if isinstance(value, dict) else []
        for name in unset:
            self._notes.append(Note(origin, f"{key}: {name} has no value here; give it one in stages.toml"))
        return found if found[1] else None

    def _contexts(self, origin: str, contexts: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
        """Return the named contexts that are targets, and those that are images."""
        parents, images = dict[str, str](), dict[str, str]()
        for name, value in contexts.items():
            kind, colon, rest = self._typed(value, str, f"{origin}: contexts").partition(":")
            if colon and kind == "target" and rest in self._targets:
                parents[name] = rest
            elif colon and kind == "docker-image":
                images[name] = rest.removeprefix("//")
            else:
                what = f"context {name} = {value} is left out: make it a stage (FROM scratch, then COPY . /)"
                self._notes.append(Note(origin, what))
        return parents, images

    def _platforms(self, origin: str, table: Mapping[str, Any]) -> tuple[OciPlatform, ...]:
        """Return the platforms of a target. One without any is for this machine's."""
        wanted = [normalized(p) for p in self._strings(table.get("platforms", []), origin) if p != "local"]
        for platform in wanted:
            if platform not in schema.DOCKER_PLATFORMS:
                self._notes.append(
                    Note(origin, f"platform {platform} is left out: stagegraph does not know it")
                )
        known = tuple(p for p in wanted if p in schema.DOCKER_PLATFORMS)
        return known or (host_platform(),)

    def _secret(self, origin: str, secrets: Any) -> None:
        for written in self._typed(secrets, list, f"{origin}: secret"):
            fields = self._fields(written, origin)
            name, file, env = (
                fields.get("id", ""),
                fields.get("src") or fields.get("source"),
                fields.get("env"),
            )
            own = {"env": env} if env else {"file": file or name} if file or not env else {}
            if not file and not env:  # buildx: the variable of that name, else the file
                own = {"env": name} if schema.VARIABLE.fullmatch(name) else own
            if not schema.SECRET.fullmatch(name):
                self._notes.append(Note(origin, f"secret {name!r} is left out: its id is not a name"))
            elif self._secrets.setdefault(name, own) != own:
                what = (
                    f"secret {name} differs from that of another {self._kind}; a project has one of each id"
                )
                self._notes.append(Note(origin, what))

    # -- groups ----------------------------------------------------------------------------------

    def _members(self, group: str) -> list[str]:
        """Return the targets of a group, also of groups in it."""
        waiting, seen, found = [group], set[str](), dict[str, None]()
        while waiting:
            name = waiting.pop(0)
            if name in self._groups and name not in seen:
                seen.add(name)
                waiting = [*self._groups[name], *waiting]
            elif name in self._targets:
                found[name] = None
        return list(found)

    def _used(self) -> set[str]:
        """Return the targets that are a context of another."""
        contexts = (table.get("contexts") or {} for table in self._targets.values())
        return {str(value).removeprefix("target:") for each in contexts for value in each.values()}

    def _fields(self, written: Any, origin: str) -> Mapping[str, Any]:
        """Return the fields of an option, an object or in the form ``id=token,src=file``."""
        if not isinstance(written, str):
            fields: Mapping[str, Any] = self._typed(written, dict, origin)
            return fields
        try:
            row = next(csv.reader([written]), [])
        except csv.Error as error:
            raise ProjectError(self._where, f"{origin}: {written!r} cannot be read: {error}") from None
        return {key: value for key, _, value in (word.partition("=") for word in row)}

    # -- types -----------------------------------------------------------------------------------

    def _typed(self, value: Any, kind: type, what: str) -> Any:
        if not isinstance(value, kind):
            words: dict[type, str] = {dict: "an object", list: "a list", str: "a string"}
            raise ProjectError(self._where, f"{what} is not {words[kind]}")
        return value

    def _strings(self, value: Any, what: str) -> list[str]:
        return [self._typed(each, str, what) for each in self._typed(value, list, what)]
