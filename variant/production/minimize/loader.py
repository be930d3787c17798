"""Find a library as the dynamic loader of the image finds it, ld.so(8)."""

import posixpath
import re

from minimize.elf import ElfObject, read_elf
from minimize.rootfs import Rootfs

# ld.so(8): the folders that come last; those with 64 are for 64-bit libraries.
DEFAULT_FOLDERS = ("/lib", "/usr/lib", "/lib64", "/usr/lib64")


def library_folders(rootfs: Rootfs) -> list[str]:
    """Return the folders that serve all programs: those of /etc/ld.so.conf, then the default ones.

    The loader reads /etc/ld.so.cache, which ldconfig(8) writes from the configured folders. This function
    reads the configuration itself. Its ``include`` lines are not read: Debian includes
    /etc/ld.so.conf.d/*.conf and nothing else.
    """
    folders = []
    for path in ("/etc/ld.so.conf", *rootfs.glob("/etc/ld.so.conf.d/*.conf")):
        if rootfs.exists(path):
            lines = rootfs.real_path(path).read_text().splitlines()
            folders += [line.strip() for line in lines if line.startswith("/")]
    return [*folders, *DEFAULT_FOLDERS]


class Loader:
    """The dynamic loader of an image."""

    def __init__(self, rootfs: Rootfs) -> None:
        self.rootfs = rootfs
        self.folders = library_folders(rootfs)

    def find(self, name: str, user_path: str, user: ElfObject) -> str | None:
        """Return the path of a library that ``user``, the object at ``user_path``, needs; or None.

        The order is that of ld.so(8) and of the System V ABI, chapter 5, Shared Object Dependencies:

        1. A name with a slash is a path already.
        2. The folders of DT_RUNPATH or else DT_RPATH. ``$ORIGIN`` is the folder of ``user``.
        3. The folders that serve all programs.

        The environment (LD_LIBRARY_PATH) does not count, nor does DT_RPATH of the objects that load ``user``.
        A library for another machine is passed over, as glibc does (open_verify in elf/dl-load.c).
        """
        if "/" in name:
            return name
        origin = posixpath.dirname(user_path)
        own = [re.sub(r"\$(ORIGIN|\{ORIGIN\})", origin, folder) for folder in user.search_folders]
        for folder in [*own, *self.folders]:
            path = posixpath.normpath(f"{folder}/{name}")
            if self.rootfs.exists(path):
                library = read_elf(self.rootfs.real_path(path))
                if library and library.machine == user.machine:
                    return path
        return None
