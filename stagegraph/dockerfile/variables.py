"""The variables of a Dockerfile: predefined ones, and their values at one point.

Pure. A value that only the build knows is unknown here, never guessed. Rules are BuildKit's and the
Dockerfile reference's (https://docs.docker.com/reference/dockerfile/#environment-replacement).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from . import words
from .words import Piece

_TARGET_ARGS = ("TARGETPLATFORM", "TARGETOS", "TARGETARCH", "TARGETVARIANT")

_BUILD_ARGS = ("BUILDPLATFORM", "BUILDOS", "BUILDARCH", "BUILDVARIANT")

#: Arguments that BuildKit sets for each build (Dockerfile reference, "Automatic platform ARGs in the global
#: scope").
AUTOMATIC_ARGS = frozenset((*_TARGET_ARGS, *_BUILD_ARGS))

#: Arguments that only some versions of BuildKit set for each build (frontend/dockerfile/dockerfile2llb,
#: ``platform.go`` of 0.17 and 0.20). Their values are never known.
LATER_ARGS = frozenset(("TARGETSTAGE", "TARGETOSVERSION", "BUILDOSVERSION"))

#: Arguments that every build has without an ARG. A key never holds their values (Dockerfile reference,
#: "Predefined ARGs").
PROXY_ARGS = frozenset(
    name
    for word in ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
    for name in (word, word.lower())
)

#: Arguments whose values a key does not hold as arguments: proxies; the epoch, which is an input of its own;
#: those that BuildKit keeps out of the environment (``nonEnvArgs``).
EXCLUDED_FROM_KEY = PROXY_ARGS | {
    "SOURCE_DATE_EPOCH",
    "BUILDKIT_SBOM_SCAN_CONTEXT",
    "BUILDKIT_SBOM_SCAN_STAGE",
}

_VARIABLE = re.compile(r"\$\{?(\w+)")


@dataclass
class Scope:
    """The variables at one point of a Dockerfile.

    ``values`` are known, ``unknown`` are names whose values only the build knows. ``sealed``: no other
    variable is set; otherwise the environment of an image may set more. ``environment`` is set by ENV so far
    and becomes part of the image; None is a value that only the build knows.
    """

    values: dict[str, str] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)
    sealed: bool = False
    environment: dict[str, str | None] = field(default_factory=dict)

    @classmethod
    def scratch(cls) -> Scope:
        """Return the variables of a build stage that is FROM scratch: BuildKit sets only PATH."""
        return cls(unknown={"PATH"}, sealed=True)

    def copy(self) -> Scope:
        return Scope(dict(self.values), set(self.unknown), self.sealed, dict(self.environment))

    def child(self) -> Scope:
        """Return the variables at the start of a build stage that is FROM this one, as it is at its end.

        BuildKit takes over the state of the stage, in which ARG and ENV are one list and the last of a name
        wins. Then it adds each variable of the image's configuration (``toDispatchState``, "initialize base
        metadata from image conf"; the same from 0.12 to 0.32). So arguments stay visible, and ENV is set
        again over an ARG of its name, whichever came last. The configuration also has the variables of the
        image below. Where these are not known, an ARG of the same name may lose to one of them.
        """
        scope = self.copy()
        if not self.sealed:
            for name in self.values.keys() - self.environment.keys():
                scope.set(name, None)
        for name, value in self.environment.items():
            scope.set(name, value)
        return scope

    def set(self, name: str, value: str | None) -> None:
        """Set a variable; None for a value that only the build knows."""
        if value is None:
            self.values.pop(name, None)
            self.unknown.add(name)
        else:
            self.values[name] = value
            self.unknown.discard(name)

    def lookup(self, name: str) -> Piece | None:
        """Return a variable's value; None if it is not set."""
        if name in self.values:
            return Piece(self.values[name])
        return None if self.sealed and name not in self.unknown else Piece(known=False)


def variables(word: str) -> list[str]:
    """Return the names of the variables that a word may use."""
    return _VARIABLE.findall(word)


def expand(word: str, scope: Scope, escape: str, *, quotes: bool = True) -> str | None:
    """Return ``word`` with variables and quotes resolved, or None where only the build knows the result.

    ``quotes``: remove them; otherwise they are ordinary characters. Raises ``ValueError`` for a word that
    BuildKit's lexer refuses, ``EndsBuilderError`` for one at which a builder may end.
    """
    if not any(char in word for char in ("$", "'", '"', escape)):
        return word
    piece = words.process(word, scope.lookup, escape, quotes=quotes)
    return piece.text if piece.known else None
