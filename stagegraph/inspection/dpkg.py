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
                    return parse_status(layer.text(file, STATUS)) if file else ()
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
    return [
        f"{name} {was} -> {now}" if was and now else f"{name} {was} removed" if was else f"{name} {now} added"
        for name, was, now in version_changes(before, after)
    ]


def version_changes(old: Mapping[str, str], new: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """The names whose versions differ, sorted, with the old and the new one; "" where there is none."""
    changes = ((name, old.get(name, ""), new.get(name, "")) for name in sorted({*old, *new}))
    return [(name, was, now) for name, was, now in changes if was != now]
