"""The ``build`` sections of a Compose file -> the same as a bake file has. Pure.

https://docs.docker.com/reference/compose-file/build/ describes them. ``bake`` reads the result.
"""

from __future__ import annotations

import os.path
from collections.abc import Callable, Mapping
from typing import Any

import yaml

from ..errors import ProjectError
from .interpolation import Interpolation
from .source import Note


class _TextLoader(yaml.SafeLoader):
    """Reads every scalar as the text that is written: ``3.10`` stays ``3.10``. ``null`` is None."""


_TextLoader.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in resolvers if tag.rpartition(":")[2] in ("merge", "null")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def parse(text: str, where: str) -> dict[str, Any]:
    """Return the file as a table. Raises ``ProjectError`` for text that is no Compose file."""
    try:
        value = yaml.load(text, _TextLoader)  # noqa: S506 - it is a SafeLoader
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ProjectError(f"{where}{line}", f"not valid YAML: {error.problem}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ProjectError(where, f"not valid YAML: {type(error).__name__}") from None
    if not isinstance(value, dict) or not isinstance(value.get("services"), dict):
        hint = "give a Compose file, or what `docker buildx bake --print` prints"
        raise ProjectError(where, "declares no services", hint)
    return value


def as_bake(
    data: Mapping[str, Any], where: str, folder: str, variables: Mapping[str, str]
) -> tuple[dict[str, Any], list[Note]]:
    """Return the file as bake has it, and notes.

    ``folder`` is the file's folder, relative to the project. ``variables`` are those of the environment and
    of ``.env``. Raises ``ProjectError``.
    """
    interpolation = Interpolation(variables, where)
    try:
        return _Converter(data, where, folder, interpolation).converted()
    except RecursionError:
        raise ProjectError(where, "an alias of YAML contains itself") from None


class _Converter:
    """Converts one file. All methods raise ``ProjectError`` for a value of a wrong type."""

    def __init__(
        self, data: Mapping[str, Any], where: str, folder: str, interpolation: Interpolation
    ) -> None:
        self._where, self._folder, self._interpolation = where, folder, interpolation
        self._services: dict[str, Any] = data["services"]
        self._secrets = interpolation.tree(data.get("secrets") or {})
        self._notes = [
            Note(key, "is left out: stagegraph reads one file") for key in ("include",) if data.get(key)
        ]

    def converted(self) -> tuple[dict[str, Any], list[Note]]:
        built = {
            n: s for n, s in self._services.items() if isinstance(s, dict) and s.get("build") is not None
        }
        if not built:
            raise ProjectError(self._where, "no service has a `build`", "there is nothing to import")
        targets = {name: self._target(name, self._interpolation.tree(s)) for name, s in built.items()}
        for name in self._interpolation.used:
            value = self._interpolation.used[name]
            self._notes.append(Note(self._where, f"variable {name}: its value {value!r} is written"))
        for name in sorted(self._interpolation.unset):
            self._notes.append(Note(self._where, f"variable {name} is not set: nothing is written for it"))
        return {"group": {"default": {"targets": [*targets]}}, "target": targets}, self._notes

    def _target(self, name: str, service: Mapping[str, Any]) -> dict[str, Any]:
        origin, build = f"service {name}", service["build"]
        build = {"context": build} if isinstance(build, str) else build
        if not isinstance(build, dict):
            raise ProjectError(self._where, f"{origin}: build is neither a folder nor a table")
        if "extends" in service:
            self._notes.append(
                Note(origin, "extends is left out: print the file with `docker compose config`")
            )
        if "x-bake" in build:
            what = "x-bake is left out: give the import what `docker buildx bake --print` prints"
            self._notes.append(Note(origin, what))
        target: dict[str, Any] = {}
        for key, value in build.items():
            if key.startswith("x-") or value is None:
                continue
            own, read = _KEYS.get(key, (key.replace("_", "-"), _text))
            target[own] = read(self, value, f"{origin}: {key}")
        target["context"] = self._context(target.get("context", "."))
        tags = [*target.get("tags", []), *([service["image"]] if service.get("image") else [])]
        platforms = target.get("platforms") or ([service["platform"]] if service.get("platform") else [])
        return target | {"tags": list(dict.fromkeys(tags)), "platforms": platforms}

    def _context(self, written: str) -> str:
        """Return a context relative to the project; that of Compose is relative to its file."""
        if "://" in written or written.startswith("git@"):
            return written
        return os.path.normpath(os.path.join(self._folder, written))  # noqa: PTH118 - it is text

    # -- forms of values -------------------------------------------------------------------------

    def pairs(self, value: Any, what: str) -> dict[str, Any]:
        """Return a table that may be written as a list of ``NAME=VALUE``."""
        if isinstance(value, list):
            words = (str(each).partition("=") for each in value)
            return {name: text if equals else None for name, equals, text in words}
        if isinstance(value, dict):
            return dict(value)
        raise ProjectError(self._where, f"{what} is neither a table nor a list")

    def arguments(self, value: Any, what: str) -> dict[str, Any]:
        """Return arguments. One without a value has that of the variable of its name."""
        pairs = self.pairs(value, what)
        for name in [name for name, text in pairs.items() if text is None]:
            pairs[name] = self._interpolation.text(f"${{{name}}}") or None
        return pairs

    def contexts(self, value: Any, what: str) -> dict[str, str]:
        """Return named contexts; ``service:NAME`` is a target."""
        found = {}
        for name, text in self.pairs(value, what).items():
            kind, colon, rest = str(text).partition(":")
            found[name] = f"target:{rest}" if colon and kind == "service" else str(text)
        return found

    def hosts(self, value: Any, what: str) -> dict[str, Any]:
        """Return hosts, which a list may write as ``NAME=IP`` or ``NAME:IP``."""
        if isinstance(value, list):
            value = [word if "=" in word else word.replace(":", "=", 1) for word in map(str, value)]
        return self.pairs(value, what)

    def secrets(self, value: Any, what: str) -> list[dict[str, str]]:
        """Return secrets, each with the file or the variable that the file's own table names."""
        found = []
        for each in self.strings_or_tables(value, what):
            source = each if isinstance(each, str) else str(each.get("source", ""))
            declared = self._secrets.get(source) or {}
            if not {"file", "environment"} & declared.keys():
                note = f"secret {source} is left out: it has neither file nor environment"
                self._notes.append(Note(what.partition(":")[0], note))
                continue
            own = {"env": declared["environment"]} if "environment" in declared else {
                "src": self._context(declared["file"])
            }  # fmt: skip
            found.append({"id": source, **own})
        return found

    def ulimits(self, value: Any, what: str) -> list[str]:
        """Return limits in the form of bake: ``nofile=1024:2048``."""
        limits = []
        for name, limit in self.pairs(value, what).items():
            both = (
                f"{limit.get('soft')}:{limit.get('hard')}" if isinstance(limit, dict) else f"{limit}:{limit}"
            )
            limits.append(f"{name}={both}")
        return limits

    def strings_or_tables(self, value: Any, what: str) -> list[Any]:
        """Return a list."""
        if not isinstance(value, list) or not all(isinstance(each, (str, dict)) for each in value):
            raise ProjectError(self._where, f"{what} is not a list")
        return value

    def ssh(self, value: Any, what: str) -> list[Any]:
        """Return the agents and keys of ssh: ``default``, ``ID=PATH``."""
        pairs = self.pairs(value, what)
        return [f"{name}={path}" if path else name for name, path in pairs.items()]


def _text(_: _Converter, value: Any, __: str) -> Any:
    return value if value != "false" else False


#: How the value of an option is read, and its word in bake. For others it is the same, with ``-`` for ``_``.
_KEYS: dict[str, tuple[str, Callable[[_Converter, Any, str], Any]]] = {
    "args": ("args", _Converter.arguments),
    "labels": ("labels", _Converter.pairs),
    "additional_contexts": ("contexts", _Converter.contexts),
    "extra_hosts": ("extra-hosts", _Converter.hosts),
    "secrets": ("secret", _Converter.secrets),
    "ssh": ("ssh", _Converter.ssh),
    "ulimits": ("ulimits", _Converter.ulimits),
    "tags": ("tags", _Converter.strings_or_tables),
    "platforms": ("platforms", _Converter.strings_or_tables),
    "cache_from": ("cache-from", _Converter.strings_or_tables),
    "cache_to": ("cache-to", _Converter.strings_or_tables),
    "entitlements": ("entitlements", _Converter.strings_or_tables),
}
