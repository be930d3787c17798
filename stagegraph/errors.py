"""Every error that a user can see, and its exit status.

A message says where (file and line, or stage), what is wrong, and what to do next. The other packages raise
these errors; ``cli`` prints them and ends the process with the status. ``./run`` has statuses of its own
(``host.messages``).
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable


class StagegraphError(Exception):
    """Base of all errors shown to a user as one message.

    ``where`` is a file with line (``stages.toml:12``), a node (``blas:aarch64``) or a tool; ``what``
    is the fault; ``hint`` is what to do. ``node`` is the node whose own files or images are the cause, where
    the graph found it; "" elsewhere.
    """

    exit_status: ClassVar[int] = 1

    def __init__(self, where: str, what: str, hint: str = "") -> None:
        super().__init__(where, what, hint)
        self.where, self.what, self.hint = where, what, hint
        self.node = ""

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}\n  {self.hint}" if self.hint else text


class BuildError(StagegraphError):
    """A build step failed: its own command, not its surroundings."""

    exit_status = 1


class TestError(StagegraphError):
    """An image was built, but its test failed."""

    exit_status = 15


class ProjectError(StagegraphError):
    """``stages.toml`` or a setting on the command line is wrong."""

    exit_status = 10


class DockerfileError(StagegraphError):
    """A Dockerfile does not parse or asks for something that cannot be keyed."""

    exit_status = 11


class ContextError(StagegraphError):
    """A file that a Dockerfile reaches is missing, outside the stage's folder, or of a refused kind."""

    exit_status = 12


class LockError(StagegraphError):
    """``stages.lock`` lacks a needed entry and may not be written, or does not parse."""

    exit_status = 13


class ResolveError(StagegraphError):
    """An external image cannot be resolved to a digest."""

    exit_status = 14


class EngineError(StagegraphError):
    """No Docker engine answers, or it lacks what is needed."""

    exit_status = 20


class AccessError(EngineError):
    """The engine cannot be reached as things are set up here: its address is wrong, or a permission lacks."""


class SilentError(EngineError):
    """The engine or a builder is there, but does not answer within its time."""


class LostCacheError(EngineError):
    """The builder's own cache names a layer that it no longer has, or may do so: it failed by itself."""


class UnreadableImageError(EngineError):
    """The engine has an image under this tag that it cannot read. Until it is removed, it lists no images."""


class BuilderError(EngineError):
    """No builder that is named can be used: there is none of that name, or it does not answer."""


class EmulationError(StagegraphError):
    """The builder cannot run programs of the asked platform."""

    exit_status = 21


class RegistryError(StagegraphError):
    """The registry does not answer or answers with an error."""

    exit_status = 22


class RefusedError(RegistryError):
    """A call of the registry cannot succeed as things are set up here: a certificate, a helper, a file."""


class LoginError(StagegraphError):
    """The registry wants a login."""

    exit_status = 23


class DiskFullError(StagegraphError):
    """No space is left where a store, the engine, or a temporary file is."""

    exit_status = 24


class NetworkError(StagegraphError):
    """A pull, or a fetch inside a build, found no network, no name, or an unknown certificate authority."""

    exit_status = 25


class OutOfMemoryError(StagegraphError):
    """Memory ran out in a build, or something killed one of its processes (status 137).

    Or this machine gives the program no more memory or threads.
    """

    exit_status = 26


class ThreadError(OutOfMemoryError):
    """A thread cannot be started."""


class StoreError(StagegraphError):
    """A store cannot be read or written."""

    exit_status = 27


class LockedError(StoreError):
    """A process that was stopped (SIGSTOP) has a lock for too long."""


class LinkError(StoreError):
    """A folder below ``cache/`` is a link, or something else that is no folder."""


class TrustError(StagegraphError):
    """A key cannot be used for signing, or an image cannot be trusted."""

    exit_status = 29


#: The errors that resolving an external image may raise: it does not exist, it is not pinned, or its registry
#: needs a login or does not answer.
UNRESOLVED = (ResolveError, LockError, LoginError, RegistryError)


class ToolError(StagegraphError):
    """A program that this one calls is not installed."""

    exit_status = 28


#: Words that a hint lists.
_SHOWN = 24


def nearest(word: str, known: Iterable[str]) -> str:
    """Sentence naming the nearest known word, or the known ones when none is near; not more than a line."""
    words = sorted(known)
    close = get_close_matches(word, words, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    if not words:
        return "none is declared"
    if len(words) <= _SHOWN + 1:  # "and 1 more" would be as long as the word
        return f"known here: {', '.join(words)}"
    return f"known here: {', '.join(words[:_SHOWN])} and {len(words) - _SHOWN} more"
