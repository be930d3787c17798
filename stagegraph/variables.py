"""Variables of a Dockerfile: which there are without being declared, and what a word that uses them means.

Pure. Values that only the build knows are unknown here, never guessed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_TARGET_ARGS = ("TARGETPLATFORM", "TARGETOS", "TARGETARCH", "TARGETVARIANT")
_BUILD_ARGS = ("BUILDPLATFORM", "BUILDOS", "BUILDARCH", "BUILDVARIANT")

#: What BuildKit sets for each build (Dockerfile reference, "Automatic platform ARGs in the global scope").
AUTOMATIC_ARGS = frozenset((*_TARGET_ARGS, *_BUILD_ARGS))
#: Arguments that every build has without declaring them; their values are never part of a key
#: (Dockerfile reference, "Predefined ARGs").
PROXY_ARGS = frozenset(
    name
    for word in ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
    for name in (word, word.lower())
)
# Values that are not among the arguments: those above, and the epoch, which is an input of its own.
APART = PROXY_ARGS | {"SOURCE_DATE_EPOCH"}

_VARIABLE = re.compile(r"\$\{?(\w+)")
_ARCHITECTURES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "armhf": "arm", "i386": "386"}


@dataclass
class Scope:
    """Variables at one point. ``closed``: nothing but these is set, no parent's environment can add to it."""

    values: dict[str, str] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)
    closed: bool = False

    def copy(self) -> Scope:
        return Scope(dict(self.values), set(self.unknown), self.closed)

    def set(self, name: str, value: str | None) -> None:
        """``None`` is a value that only the build knows."""
        if value is None:
            self.values.pop(name, None)
            self.unknown.add(name)
        else:
            self.values[name] = value
            self.unknown.discard(name)


def variables(word: str) -> list[str]:
    """Names of the variables that a word could use."""
    return _VARIABLE.findall(word)


def expand(word: str, scope: Scope, escape: str) -> str | None:
    """``word`` with variables and quotes resolved, or None where only the build can tell.

    Raises ``ValueError`` for a word that BuildKit's lexer refuses.
    """
    if not any(char in word for char in ("$", "'", '"', escape)):
        return word
    for used in variables(word):
        # what is not set here may come from the parent's environment
        if used in scope.unknown or (used not in scope.values and not scope.closed):
            return None
    from e2b_dockerfile_utils.lexer import ShellLex

    return ShellLex(escape, env=scope.values, skip_unset_env=False).process_word(word)


def normal_platform(platform: str) -> str:
    """An OCI platform as ``stages.toml`` writes it (containerd's platforms.Normalize)."""
    parts = platform.lower().split("/")
    if len(parts) == 1:
        parts = ["linux", *parts]
    parts[1] = _ARCHITECTURES.get(parts[1], parts[1])
    if parts[1:] in (["arm64", "v8"], ["amd64", "v1"]):
        parts.pop()
    if parts[1:] == ["arm"]:
        parts.append("v7")
    return "/".join(parts)


def platform_args(prefix: str, docker: str) -> dict[str, str]:
    if not docker:
        return {}
    system, arch, variant = (*docker.split("/"), "")[:3]
    return {
        f"{prefix}PLATFORM": docker,
        f"{prefix}OS": system,
        f"{prefix}ARCH": arch,
        f"{prefix}VARIANT": variant,
    }
