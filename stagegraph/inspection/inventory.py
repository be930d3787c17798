"""What a finished image holds, read from its layers and the Dockerfiles it came from: nothing is run.

Three sources: the distribution's package database, the metadata of Python's packages, and the source archives
that Dockerfiles pin. They are what a bill of materials lists.
"""

from __future__ import annotations

import email
import posixpath
import re
from typing import TYPE_CHECKING, NamedTuple

from . import dpkg, layer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from ..dockerfile.instructions import Instruction
    from ..store.layout import LayoutStore

#: dpkg's database, and the folder that images without dpkg have in its place, a file a package.
_STATUS, _STATUS_FOLDER = dpkg.STATUS, "/var/lib/dpkg/status.d"

#: Core metadata of an installed distribution (packaging.python.org, "Recording installed projects").
_METADATA = re.compile(r".*/([^/]+)\.dist-info/METADATA")

_OS_RELEASE = ("/usr/lib/os-release", "/etc/os-release")

#: Whiteouts (image-spec, "Image Layer Filesystem Changeset").
_GONE, _OPAQUE = ".wh.", ".wh..wh..opq"

_ARCHIVE = r"[\w+~][\w.+~-]*\.(?:tar(?:\.\w+)?|tgz|zip|whl|deb)"

#: An archive and its digest: ``NAME SHA256``, or ``SHA256  NAME`` as for sha256sum and ``ADD --checksum``.
_PINNED = (
    re.compile(rf"(?<![\w/.+~$}}-])(?P<file>{_ARCHIVE})\s+(?:\S+[=:])?(?P<sha256>[0-9a-f]{{64}})\b"),
    re.compile(rf"\b(?P<sha256>[0-9a-f]{{64}})[ ]+\*?(?:\S*/)?(?P<file>{_ARCHIVE})(?![\w.])"),
)


class Debian(NamedTuple):
    name: str
    arch: str
    version: str


class PythonPackage(NamedTuple):
    name: str
    version: str


class Source(NamedTuple):
    """An archive that a Dockerfile takes by name and sha256; ``version`` is "" where the name tells none."""

    name: str
    version: str
    file: str
    sha256: str


class Contents(NamedTuple):
    """``distribution`` and ``release`` are ID and VERSION_ID of os-release(5), ``debian`` and ``13`` for
    example, "" where there are none."""

    distribution: str
    release: str
    debian: tuple[Debian, ...]
    python: tuple[PythonPackage, ...]


def read(layout: LayoutStore, manifest: Mapping[str, Any]) -> Contents:
    """Packages in the layers of an image, upper layers before lower. Raises ``StoreError``."""
    found = _files(layout, manifest)
    status = found.pop(_STATUS, "")
    distribution = release = ""
    debian: set[Debian] = {*_debian(status, installed_only=True)}
    python: set[PythonPackage] = set()
    for path, text in found.items():
        if path in _OS_RELEASE:
            said = dict(re.findall(r"""^(ID|VERSION_ID)=["']?([^"'\n]*)""", text, re.MULTILINE))
            distribution, release = said.get("ID", distribution), said.get("VERSION_ID", release)
        elif path.startswith(f"{_STATUS_FOLDER}/"):
            debian.update(_debian(text, installed_only=False))
        else:
            metadata = email.message_from_string(text)
            if metadata["Name"] and metadata["Version"]:
                python.add(PythonPackage(metadata["Name"], metadata["Version"]))
    return Contents(distribution, release, tuple(sorted(debian)), tuple(sorted(python)))


def _files(layout: LayoutStore, manifest: Mapping[str, Any]) -> dict[str, str]:
    """The files that are looked at, as the topmost layer that has them or has deleted them says."""
    found: dict[str, str] = {}
    hidden: set[str] = set()
    for blob in reversed(manifest["layers"] or ()):
        here: set[str] = set()
        with layer.opened(layout.blobs.path(blob["digest"])) as archive:
            for item in archive:
                path = layer.path_in(item)
                folder, name = posixpath.split(path)
                if name == _OPAQUE:
                    here.add(folder)
                elif name.startswith(_GONE):
                    here.add(posixpath.join(folder, name.removeprefix(_GONE)))
                elif item.isreg() and _wanted(path) and path not in found and not _below(path, hidden):
                    file = archive.extractfile(item)
                    found[path] = file.read().decode(errors="replace") if file else ""
        hidden |= here
    return found


def _wanted(path: str) -> bool:
    return (
        path in (_STATUS, *_OS_RELEASE)
        or posixpath.dirname(path) == _STATUS_FOLDER
        or _METADATA.fullmatch(path) is not None
    )


def _below(path: str, hidden: set[str]) -> bool:
    while path != "/":
        if path in hidden:
            return True
        path = posixpath.dirname(path)
    return False


def _debian(status: str, *, installed_only: bool) -> Iterable[Debian]:
    for line in dpkg.parse(status, installed_only=installed_only):
        package, version = line.split("=", 1)
        name, arch = package.rsplit(":", 1)
        yield Debian(name, arch, version)


def sources(instructions: Iterable[Instruction]) -> list[Source]:
    """Archives that instructions name together with their sha256, sorted."""
    found = set()
    for instruction in instructions:
        for pattern in _PINNED:
            for match in pattern.finditer(instruction.original):
                file = match["file"]
                name, _, rest = file.partition("_")  # as Debian names sources
                version = re.split(r"\.(?:orig|debian)\b|\.(?:tar|tgz|zip|whl|deb)\b", rest)[0]
                found.add(Source(name if version else file, version, file, match["sha256"]))
    return sorted(found)
