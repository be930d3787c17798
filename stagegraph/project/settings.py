"""Settings of a call: from the command line, then the environment, then ``[project]``.

Each is checked, and an error names its source.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import ProjectError, nearest
from ..waits.waiting import LEAST, MOST, PATIENCE
from . import schema, tags
from .model import Settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .model import Platform
    from .positions import SourceMap

ENV_PREFIX = "STAGEGRAPH_"


class SettingSources(NamedTuple):
    """The sources of settings outside the project: ``NAME=VALUE`` words (``cli``) and the environment."""

    cli: Mapping[str, str]
    env: Mapping[str, str]

    def check(self, stages: Iterable[str]) -> None:
        """Raise ``ProjectError`` for a word of the command line that is neither a setting nor a stage.

        A variable of the environment is an error only if it is similar to one: it may be another program's.
        """
        known = [*schema.SETTINGS, *stages]
        for name, value in self.cli.items():
            if name not in known:
                raise ProjectError("command line", f"unknown setting {name}={value}", nearest(name, known))
        variables = {_variable(name): name for name in (*known, *schema.ENV_ONLY_SETTINGS)}
        for variable in self.env:
            if not variable.startswith(ENV_PREFIX) or variable in variables:
                continue
            name = variable.removeprefix(ENV_PREFIX).lower().replace("_", "-")
            if (hint := nearest(name, variables.values())).startswith("did you mean"):
                raise ProjectError(variable, "is not a setting", hint)

    def setting(self, name: str) -> tuple[str | None, str]:
        """Return a setting from the command line or the environment, and its source; None if it is not set.

        An empty value counts on the command line, but not in the environment.
        """
        if name in self.cli:
            return self.cli[name], "command line"
        variable = _variable(name)
        return self.env.get(variable) or None, variable

    def settings(self, head: Mapping[str, Any], lines: SourceMap) -> Settings:
        """Return all settings, checked. ``head`` is the table ``[project]``. Raises ``ProjectError``."""

        def chosen(name: str) -> tuple[str, str]:
            return self._chosen(name, head, lines)

        repo, where = chosen("repo")
        if not repo:
            hint = 'write repo = "example/atom" under [project], or pass repo=...'
            raise ProjectError(where, "no repository for images", hint)
        if not schema.REPO.fullmatch(repo):
            raise ProjectError(where, f"{repo!r} is not a repository name", schema.repo_hint(repo))
        tag, where = chosen("tag")
        if tag and not tags.TAG.fullmatch(tag):
            raise ProjectError(where, f"{tag!r} is not a tag", tags.TAG_HINT)
        registry, where = chosen("registry")
        if registry and not schema.is_registry(registry):
            hint = "HOST, HOST:PORT or HOST/PATH, without https://"
            raise ProjectError(where, f"{registry!r} is not a registry", hint)
        if registry and schema.has_host(repo):
            what = f"repo has a host ({repo}), and registry={registry} is another"
            raise ProjectError(where, what, "write the repository without its host")
        locked, where = chosen("locked")
        if locked.lower() not in schema.BOOLEANS:
            raise ProjectError(where, f"locked={locked} is neither true nor false", "locked=1 or locked=0")
        push, where = chosen("push")
        if push not in ("", *schema.PUSH):
            raise ProjectError(where, f"invalid value push={push}", nearest(push, schema.PUSH))
        self._check_patience()
        is_locked = schema.BOOLEANS[locked.lower()]
        return Settings(repo, tag, registry.removesuffix("/"), is_locked, push or "built")

    def _check_patience(self) -> None:
        with contextlib.suppress(ValueError):
            if LEAST <= float(self.env.get(PATIENCE) or 1) <= MOST:
                return
        what = f"{self.env[PATIENCE]!r} is not a number from {LEAST:g} to {MOST:g}"
        raise ProjectError(PATIENCE, what, f"{PATIENCE}=2")

    def builders(self, platforms: Iterable[Platform]) -> dict[str, tuple[str, ...]]:
        """Return the builders that the call names, by platform; the preferred one comes first.

        ``NAME,NAME`` is for all platforms. ``PLATFORM:NAME`` is for one, named here or by its OCI platform,
        and replaces those for all. An empty value means buildx's current builder. A platform without any is
        left out. Raises ``ProjectError``.
        """
        value, where = self.setting("builder")
        if value is None:
            return {}
        named: dict[str, list[str]] = {}
        for word in value.split(",") if value else ():
            platform, colon, name = word.strip().rpartition(":")
            if colon and not platform:
                what = f"builder={value}: no platform before the colon"
                raise ProjectError(where, what, "write builder=PLATFORM:NAME or builder=NAME")
            named.setdefault(platform, []).append(check_builder(name, where))
        platforms = list(platforms)
        known = [name for p in platforms for name in (p.name, p.docker)]
        for platform in named:
            if platform and platform not in known:
                what, hint = f"builder={value}: unknown platform {platform!r}", nearest(platform, known)
                raise ProjectError(where, what, hint)
        if not value:
            named[""] = []
        chosen = {p.name: named.get(p.name, named.get(p.docker, named.get(""))) for p in platforms}
        return {name: tuple(names) for name, names in chosen.items() if names is not None}

    def _chosen(self, name: str, head: Mapping[str, Any], lines: SourceMap) -> tuple[str, str]:
        """Return a setting's value, ``[project]`` included, and its source."""
        value, where = self.setting(name)
        return (head.get(name, ""), lines.where("project", name)) if value is None else (value, where)


def check_builder(name: object, where: str) -> str:
    """Return the name of a buildx builder. Raises ``ProjectError`` for a value that cannot be one."""
    if not isinstance(name, str) or not schema.BUILDER.fullmatch(name):
        hint = "write the name of a builder (docker buildx ls); on the command line NAME or PLATFORM:NAME"
        raise ProjectError(where, f"{name!r} is not a builder", hint)
    return name


def _variable(name: str) -> str:
    """Return the variable for a setting or stage: ``blas-api`` -> ``STAGEGRAPH_BLAS_API``."""
    return ENV_PREFIX + name.upper().replace("-", "_").replace(".", "_")
