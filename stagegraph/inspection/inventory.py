"""The contents of a finished image, read from its layers and from the Dockerfiles that it was built from.

Nothing is run. The sources are the distribution's package database, the metadata of Python packages, and the
archives that Dockerfiles pin by checksum. A bill of materials lists them.
"""

from __future__ import annotations

import email
import posixpath
import re
from typing import TYPE_CHECKING, NamedTuple

from ..system import bounded
from . import dpkg, layer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from ..dockerfile.instructions import Instruction
    from ..store.layout import LayoutStore

#: The database of dpkg; and the folder that images without dpkg have instead, with one file per package.
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


class DebianPackage(NamedTuple):
    name: str
    arch: str
    version: str


class PythonPackage(NamedTuple):
    name: str
    version: str


class PinnedArchive(NamedTuple):
    """An archive that a Dockerfile names with its sha256. ``version`` is "" if the name has none."""

    name: str
    version: str
    file: str
    sha256: str


class Inventory(NamedTuple):
    """The packages of an image. ``distribution`` and ``release`` are ID and VERSION_ID of os-release(5):
    ``debian`` and ``13``, for example; "" if the image has none."""

    distribution: str
    release: str
    debian: tuple[DebianPackage, ...]
    python: tuple[PythonPackage, ...]


def read_inventory(layout: LayoutStore, manifest: Mapping[str, Any]) -> Inventory:
    """The packages in the layers of an image; upper layers hide lower ones. Raises ``StoreError``."""
    files = _files(layout, manifest)
    status = files.pop(_STATUS, "")
    distribution = release = ""
    debian: set[DebianPackage] = {*_debian(status, installed_only=True)}
    python: set[PythonPackage] = set()
    for path, text in files.items():
        if path in _OS_RELEASE:
            release_fields = dict(re.findall(r"""^(ID|VERSION_ID)=["']?([^"'\n]*)""", text, re.MULTILINE))
            distribution = release_fields.get("ID", distribution)
            release = release_fields.get("VERSION_ID", release)
        elif path.startswith(f"{_STATUS_FOLDER}/"):
            debian.update(_debian(text, installed_only=False))
        else:
            metadata = email.message_from_string(text)
            if metadata["Name"] and metadata["Version"]:
                python.add(PythonPackage(metadata["Name"], metadata["Version"]))
    return Inventory(distribution, release, tuple(sorted(debian)), tuple(sorted(python)))


def _files(layout: LayoutStore, manifest: Mapping[str, Any]) -> dict[str, str]:
    """The texts of the needed files by path, from the topmost layer that has or deletes each."""
    files: dict[str, str] = {}
    hidden: set[str] = set()
    total = 0
    for blob in reversed(manifest["layers"] or ()):
        deleted: set[str] = set()
        with layer.opened(layout.blobs.path(blob["digest"])) as archive:
            for item in archive:
                path = layer.path_in(item)
                folder, name = posixpath.split(path)
                if name == _OPAQUE:
                    deleted.add(folder)
                elif name.startswith(_GONE):
                    deleted.add(posixpath.join(folder, name.removeprefix(_GONE)))
                elif item.isreg() and _is_needed(path) and path not in files and not _is_below(path, hidden):
                    file = archive.extractfile(item)
                    files[path] = layer.text(file, path) if file else ""
                    if (total := total + len(files[path])) > bounded.MAX_PACKED_SUM:
                        raise bounded.TooLargeError("lists of packages", bounded.MAX_PACKED_SUM)
        hidden |= deleted
    return files


def _is_needed(path: str) -> bool:
    return (
        path in (_STATUS, *_OS_RELEASE)
        or posixpath.dirname(path) == _STATUS_FOLDER
        or _METADATA.fullmatch(path) is not None
    )


def _is_below(path: str, folders: set[str]) -> bool:
    while path != "/":
        if path in folders:
            return True
        path = posixpath.dirname(path)
    return False


def _debian(status: str, *, installed_only: bool) -> Iterable[DebianPackage]:
    for line in dpkg.parse_status(status, installed_only=installed_only):
        package, version = line.split("=", 1)
        name, arch = package.rsplit(":", 1)
        yield DebianPackage(name, arch, version)


def pinned_archives(instructions: Iterable[Instruction]) -> list[PinnedArchive]:
    """The archives that instructions name together with their sha256, sorted."""
    archives = set()
    for instruction in instructions:
        for pattern in _PINNED:
            for match in pattern.finditer(instruction.original):
                file = match["file"]
                name, _, rest = file.partition("_")  # as Debian names sources
                version = re.split(r"\.(?:orig|debian)\b|\.(?:tar|tgz|zip|whl|deb)\b", rest)[0]
                archives.add(PinnedArchive(name if version else file, version, file, match["sha256"]))
    return sorted(archives)
