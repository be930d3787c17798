"""Settings: command line, then environment, then ``[project]``, each checked where it was said."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import ProjectError, nearest
from . import schema
from .model import Settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .model import Platform
    from .positions import SourceMap

ENV_PREFIX = "STAGEGRAPH_"


class SettingSources(NamedTuple):
    """What a call says: ``NAME=VALUE`` words of its command line, and its environment."""

    cli: Mapping[str, str]
    env: Mapping[str, str]

    def check(self, stages: Iterable[str]) -> None:
        """Raises ``ProjectError`` for a word of the command line that is neither a setting nor a stage.

        In the environment only what looks like a slip is one.
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
                raise ProjectError(variable, "is no setting", hint)
            # else it may be for another program

    def setting(self, name: str) -> tuple[str | None, str]:
        """Command line, then environment, with where it was said; None where neither says.

        On the command line an empty value counts, in the environment it does not.
        """
        if name in self.cli:
            return self.cli[name], "command line"
        variable = _variable(name)
        return self.env.get(variable) or None, variable

    def settings(self, head: Mapping[str, Any], lines: SourceMap) -> Settings:
        """What is set, checked. ``head`` is the table ``[project]``. Raises ``ProjectError``."""

        def chosen(name: str) -> tuple[str, str]:
            return self._chosen(name, head, lines)

        repo, where = chosen("repo")
        if not repo:
            hint = 'write repo = "example/atom" under [project], or give repo=...'
            raise ProjectError(where, "no repository for images", hint)
        if not schema.REPO.fullmatch(repo):
            hint = "lower case, without a tag: elementaryrobotics/atom"
            raise ProjectError(where, f"{repo!r} is not a repository name", hint)
        tag, where = chosen("tag")
        if tag and not schema.TAG.fullmatch(tag):
            raise ProjectError(
                where, f"{tag!r} is not a tag", "letters, digits, '_', '.' and '-', at most 128"
            )
        registry, where = chosen("registry")
        if registry and not schema.is_registry(registry):
            hint = "HOST, HOST:PORT or HOST/PATH, without https://"
            raise ProjectError(where, f"{registry!r} is not a registry", hint)
        if registry and re.fullmatch(r"localhost|.*[.:].*", repo.partition("/")[0]) and "/" in repo:
            what = f"repo names a host already ({repo}), and registry={registry} another"
            raise ProjectError(where, what, "write the repository without its host")
        locked, where = chosen("locked")
        if locked.lower() not in schema.BOOLEANS:
            raise ProjectError(where, f"locked={locked} is neither true nor false", "locked=1 or locked=0")
        push, where = chosen("push")
        if push not in ("", *schema.PUSH):
            raise ProjectError(where, f"push={push} is no such setting", nearest(push, schema.PUSH))
        truth = schema.BOOLEANS[locked.lower()]
        return Settings(repo, tag, registry.removesuffix("/"), truth, push or "built")

    def builders(self, platforms: Iterable[Platform]) -> dict[str, tuple[str, ...]]:
        """Builders by platform as the call names them, the first preferred; without those it says nothing of.

        ``NAME,NAME`` is for all platforms, ``PLATFORM:NAME`` for one, by its name or its OCI platform, and
        comes before what is for all. Nothing at all is buildx's current builder. Raises ``ProjectError``.
        """
        value, where = self.setting("builder")
        if value is None:
            return {}
        said: dict[str, list[str]] = {}
        for word in value.split(",") if value else ():
            platform, colon, name = word.strip().rpartition(":")
            if colon and not platform:
                what = f"builder={value}: no platform before the colon"
                raise ProjectError(where, what, "builder=PLATFORM:NAME, or builder=NAME")
            said.setdefault(platform, []).append(check_builder(name, where))
        platforms = list(platforms)
        known = [name for p in platforms for name in (p.name, p.docker)]
        for platform in said:
            if platform and platform not in known:
                what, hint = f"builder={value}: unknown platform {platform!r}", nearest(platform, known)
                raise ProjectError(where, what, hint)
        if not value:
            said[""] = []
        chosen = {p.name: said.get(p.name, said.get(p.docker, said.get(""))) for p in platforms}
        return {name: tuple(names) for name, names in chosen.items() if names is not None}

    def _chosen(self, name: str, head: Mapping[str, Any], lines: SourceMap) -> tuple[str, str]:
        """A setting's value and where it was said, ``[project]`` included."""
        value, where = self.setting(name)
        return (head.get(name, ""), lines.where("project", name)) if value is None else (value, where)


def check_builder(name: object, where: str) -> str:
    """The name of a buildx builder. Raises ``ProjectError`` for what can be none."""
    if not isinstance(name, str) or not schema.BUILDER.fullmatch(name):
        hint = "the name of a builder (docker buildx ls); NAME, or PLATFORM:NAME on the command line"
        raise ProjectError(where, f"{name!r} is not a builder", hint)
    return name


def _variable(name: str) -> str:
    """The environment's name of a setting or stage: ``blas-api`` -> ``STAGEGRAPH_BLAS_API``."""
    return ENV_PREFIX + name.upper().replace("-", "_").replace(".", "_")
