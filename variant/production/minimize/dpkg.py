"""Read the package database of Debian: dpkg(1), section FILES, and deb822(5)."""

import functools
import posixpath
import re
from collections.abc import Iterable

from minimize.rootfs import Rootfs

STATUS = "/var/lib/dpkg/status"


def read_status(text: str) -> dict[tuple[str, str], str]:
    """Return the stanzas of a status file, by package and architecture.

    The architecture "" stands for the first stanza of a package. An empty line ends a stanza, deb822(5).
    """
    stanzas: dict[tuple[str, str], str] = {}
    for stanza in text.strip().split("\n\n"):
        fields = dict(re.findall(r"^(Package|Architecture): (\S+)", stanza, re.MULTILINE))
        for architecture in (fields.get("Architecture", ""), ""):
            stanzas.setdefault((fields.get("Package", ""), architecture), stanza)
    return stanzas


def packages_of(rootfs: Rootfs, paths: Iterable[str]) -> dict[str, str]:
    """Return the stanzas of the Debian packages that at least one of the paths is from.

    The key is the package's name; with ``:ARCHITECTURE`` for each further architecture of the same package.
    Folders do not count, since many packages share them. An image without dpkg has no packages.
    """
    if not rootfs.exists(STATUS):
        return {}
    stanzas = read_status(rootfs.host_path(STATUS).read_text())
    files = {path for path in paths if _is_file(rootfs, path)}

    @functools.cache
    def real_folder(folder: str) -> str:
        return rootfs.resolve(folder or "/")[0]

    found: dict[str, str] = {}
    for path in rootfs.glob("/var/lib/dpkg/info/*.list"):
        # NAME.list, or NAME:ARCHITECTURE.list if several architectures can be installed (Multi-Arch: same)
        name, _, architecture = posixpath.basename(path).removesuffix(".list").partition(":")
        if (name, architecture) not in stanzas:
            continue
        for line in rootfs.host_path(path).read_text().splitlines():
            # dpkg lists /bin/sh, where /bin is a link to /usr/bin
            folder, _, last = line.rpartition("/")
            if posixpath.join(real_folder(folder), last) in files:
                found[f"{name}:{architecture}" if name in found else name] = stanzas[name, architecture]
                break
    return found


def _is_file(rootfs: Rootfs, path: str) -> bool:
    host_path = rootfs.host_path(path)
    return host_path.is_symlink() or not host_path.is_dir()
