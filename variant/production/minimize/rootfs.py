"""The files of an image that is unpacked in a folder."""

import fnmatch
import os
import posixpath
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from minimize.errors import MinimizeError

# The limit of the Linux kernel, path_resolution(7).
MAX_LINKS = 40


class Rootfs:
    """A root file system in a folder of this machine.

    All paths are absolute and are meant inside the root. Links are followed inside the root too, as chroot(2)
    does: an absolute target starts at the root, and ``..`` never leaves it.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def host_path(self, path: str) -> Path:
        """Return the path on this machine, without following any link."""
        return Path(self.folder + path)

    def resolve(self, path: str) -> tuple[str, list[str]]:
        """Return the path behind all links, and the links on the way, path_resolution(7).

        The path does not have to exist. Raise MinimizeError if there are more than 40 links.
        """
        resolved, rest, links = "/", deque(path.split("/")), list[str]()
        while rest:
            part = rest.popleft()
            here = posixpath.normpath(posixpath.join(resolved, part))
            if part and self.host_path(here).is_symlink():
                if len(links) == MAX_LINKS:
                    raise MinimizeError(f"{path}: more than {MAX_LINKS} links, perhaps in a circle")
                links.append(here)
                target = str(self.host_path(here).readlink())
                resolved = "/" if target.startswith("/") else resolved
                rest.extendleft(reversed(target.split("/")))
            else:
                resolved = here
        return resolved, links

    def real_path(self, path: str) -> Path:
        """Return the path on this machine behind all links."""
        return self.host_path(self.resolve(path)[0])

    def exists(self, path: str) -> bool:
        """Return True if the path leads to a file or a folder."""
        return self.real_path(path).exists()

    def names(self, folder: str) -> list[str]:
        """Return the sorted names in a folder; no names if it is not a folder."""
        real = self.real_path(folder or "/")
        return sorted(path.name for path in real.iterdir()) if real.is_dir() else []

    def glob(self, pattern: str) -> list[str]:
        """Return the existing paths that match a pattern, in order, glob(7).

        ``*`` and ``?`` do not match ``/``. Unlike in a shell, they match a leading dot.
        """
        found = [""]
        for part in pattern.strip("/").split("/"):
            if any(sign in part for sign in "*?["):
                found = [
                    f"{folder}/{name}"
                    for folder in found
                    for name in self.names(folder)
                    if fnmatch.fnmatch(name, part)
                ]
            else:
                found = [f"{folder}/{part}" for folder in found]
        return [path for path in found if self.exists(path)]

    def walk(self, folder: str) -> Iterator[str]:
        """Yield the files and links below a folder. A link to a folder is yielded, not entered."""
        for host_folder, folders, files in os.walk(self.host_path(folder)):
            folders.sort()
            inside = host_folder.removeprefix(self.folder)
            links = [name for name in folders if Path(host_folder, name).is_symlink()]
            yield from (f"{inside}/{name}" for name in sorted([*files, *links]))
