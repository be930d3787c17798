"""A stage to be, as another tool or a folder describes it, and what a Dockerfile says of it. Values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..dockerfile.analysis import BuildOptions, analyse
from ..dockerfile.arguments import declared_args
from ..dockerfile.instructions import parse
from ..errors import DockerfileError
from ..oci.platform import host_platform
from ..system import bounded

if TYPE_CHECKING:
    from ..dockerfile.dependencies import DockerfileAnalysis
    from ..oci.platform import OciPlatform


class Note(NamedTuple):
    """A fact that the user must know: ``where`` names the Dockerfile, target or service."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclass(frozen=True)
class Source:
    """A stage to be.

    - ``origin``: its name for messages (``app/Dockerfile``, ``target app``). ``name``: unique, not yet valid.
    - ``path`` and ``dockerfile`` are those of ``[stages.NAME]``, ``options`` its other keys.
    - ``parents``: other sources by the names that the Dockerfile has for them.
    - ``is_image``: it gets a final tag. ``default``: it is built when the user names nothing.
    - ``tags``: references that it is published by. ``platforms``: () for all of the project.
    """

    origin: str
    name: str
    path: str
    dockerfile: str = "Dockerfile"
    options: Mapping[str, Any] = field(default_factory=dict)
    parents: Mapping[str, str] = field(default_factory=dict)
    is_image: bool = False
    default: bool = True
    tags: tuple[str, ...] = ()
    platforms: tuple[OciPlatform, ...] = ()


class Reading(NamedTuple):
    """What a Dockerfile says. ``declared`` are its arguments, None if only the build knows all of them.

    ``unpinned``: it fetches a URL without a checksum. ``error``: why it cannot be read, None if it can.
    """

    analysis: DockerfileAnalysis | None
    declared: frozenset[str] | None = None
    unpinned: bool = False
    error: DockerfileError | None = None


def read(root: Path, source: Source) -> Reading:
    """Read the Dockerfile of a source, for the first of its platforms."""
    name = (Path(source.path) / source.dockerfile).as_posix()
    try:
        text = bounded.read_path(root / name).decode("utf-8")
    except UnicodeDecodeError as error:
        return Reading(None, error=DockerfileError(name, f"is not UTF-8: {error}"))
    except OSError as error:
        return Reading(None, error=DockerfileError(name, f"cannot be read: {error.strerror}"))
    for unpinned in (False, True):
        options = BuildOptions(
            docker=source.platforms[0] if source.platforms else host_platform(),
            build_platform=host_platform(),
            args=tuple(source.options.get("args", {}).items()),
            target=source.options.get("target", ""),
            allow_unpinned=unpinned,
        )
        try:
            analysis = analyse(text, name, options)
        except DockerfileError as error:
            failure = error
        else:
            declared = declared_args(parse(text, name)[0])
            return Reading(analysis, None if declared is None else frozenset(declared), unpinned)
    return Reading(None, error=failure)
