"""The Debian packages of an image, read from its layers: nothing is run, no engine is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import layer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from ..store.layout import LayoutStore

#: The database of dpkg, which every installation rewrites completely (dpkg(1), "FILES").
STATUS = "/var/lib/dpkg/status"


def installed(layout: LayoutStore, manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """``NAME:ARCHITECTURE=VERSION`` of every installed package, sorted; nothing if dpkg is not used.

    The versions only explain builds; they decide nothing, so a database that is a link is ignored. Raises
    ``StoreError`` for a layer that cannot be read.
    """
    for blob in reversed(manifest["layers"] or ()):
        with layer.opened(layout.blobs.path(blob["digest"])) as archive:
            for item in archive:
                if layer.path_in(item) == STATUS:
                    file = archive.extractfile(item) if item.isreg() else None
                    return parse_status(file.read().decode(errors="replace")) if file else ()
    return ()


def parse_status(status: str, *, installed_only: bool = True) -> tuple[str, ...]:
    """The packages in the text of dpkg's database: those completely installed, or all with a version."""
    packages = []
    for stanza in status.split("\n\n"):
        # continuation lines start with a space and have none of these fields
        fields = dict(line.split(": ", 1) for line in stanza.splitlines() if ": " in line[1:])
        name, arch, version = (fields.get(field, "") for field in ("Package", "Architecture", "Version"))
        counts = not installed_only or fields.get("Status", "").endswith(" installed")
        if counts and name and arch and version:
            packages.append(f"{name}:{arch}={version}")
    return tuple(sorted(packages))


def package_changes(old: Iterable[str], new: Iterable[str]) -> list[str]:
    """The differences between two lists: ``libc6:arm64 2.41-12 -> 2.41-13``, ``bash:arm64 5.2 removed``."""
    before, after = (dict(package.split("=", 1) for package in packages) for packages in (old, new))
    changes = []
    for name in sorted({*before, *after}):
        was, now = before.get(name), after.get(name)
        if was is None or now is None:
            changes.append(f"{name} {was} removed" if now is None else f"{name} {now} added")
        elif was != now:
            changes.append(f"{name} {was} -> {now}")
    return changes
