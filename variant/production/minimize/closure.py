"""The files to keep, each with all files that it needs at run time."""

import posixpath
from collections.abc import Callable
from pathlib import Path

from minimize.elf import ElfObject, read_elf
from minimize.errors import MinimizeError
from minimize.loader import Loader
from minimize.rootfs import Rootfs

# Where programs are looked up. The same as PATH in the image that results.
PATH = ("/opt/venv/bin", "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
# The kernel reads no more of a script's first line: BINPRM_BUF_SIZE, execve(2).
MAX_FIRST_LINE = 256


def script_interpreters(script: Path) -> list[str]:
    """Return the programs that the first line of a script names, execve(2).

    These are the interpreter and, if that is env(1), the program that env starts. Return nothing if the file
    does not start with ``#!``.
    """
    with script.open("rb") as file:
        line = file.read(MAX_FIRST_LINE).split(b"\n")[0]
    if not line.startswith(b"#!"):
        return []
    interpreter, *rest = line[2:].decode(errors="replace").split() or [""]
    if posixpath.basename(interpreter) != "env":
        return [interpreter] if interpreter else []
    # Options of env and its NAME=VALUE settings come before the program.
    commands = [word for word in rest if not word.startswith("-") and "=" not in word]
    return [interpreter, *commands[:1]]


class Closure:
    """The paths to keep.

    ``warn`` takes one line of text about a file that is kept but will not run.
    """

    def __init__(self, rootfs: Rootfs, warn: Callable[[str], None] = print) -> None:
        self.rootfs = rootfs
        self.loader = Loader(rootfs)
        self.paths: set[str] = set()
        self._warn = warn

    def add(self, path: str, needed_by: str = "", *, required: bool = True) -> None:
        """Add a file with the files that it needs, a link with its target, or a folder with its files.

        ``required`` is False for a file that was added with its folder. If such a file is a script and its
        interpreter is not in the image, this is a warning: the script did not run before either.

        Raise MinimizeError if the path, or a file that it needs, is not in the image.
        """
        real, links = self.rootfs.resolve(path)
        self.paths.update(links)
        if real in self.paths:
            return
        host_path = self.rootfs.host_path(real)
        if not host_path.exists():
            raise MinimizeError(
                f"{path} is not in the image" + (f"; {needed_by} needs it" if needed_by else "")
            )
        self.paths.add(real)
        if host_path.is_dir():
            for inner in self.rootfs.walk(real):
                if self.rootfs.exists(inner):  # a dangling link is left out
                    self.add(inner, required=False)
        elif host_path.is_file():
            self._add_dependencies(real, host_path, required)

    def add_libraries(self, pattern: str) -> None:
        """Add the libraries that match a pattern, in all folders that serve all programs.

        Raise MinimizeError if there is none.
        """
        folders = self.loader.folders
        found = [path for folder in folders for path in self.rootfs.glob(f"{folder}/{pattern}")]
        if not found:
            raise MinimizeError(f"no library {pattern} in the image (LIBRARIES)")
        for path in found:
            self.add(path)

    def add_files(self, pattern: str) -> None:
        """Add the files and folders that match a pattern. Raise MinimizeError if there is none."""
        found = self.rootfs.glob(pattern)
        if not found:
            raise MinimizeError(f"no file {pattern} in the image (FILES)")
        for path in found:
            self.add(path)

    def find_program(self, name: str) -> str | None:
        """Return the path of a program, given as a path or as a name on PATH; None if there is none."""
        paths = [name] if name.startswith("/") else [f"{folder}/{name}" for folder in PATH]
        return next((path for path in paths if self.rootfs.exists(path)), None)

    def program(self, name: str) -> str:
        """Return the path of a program. Raise MinimizeError if it is not in the image."""
        path = self.find_program(name)
        if not path:
            raise MinimizeError(f"no program {name} in the image (PROGRAMS)")
        return path

    def _add_dependencies(self, path: str, host_path: Path, required: bool) -> None:
        elf = read_elf(host_path)
        if elf:
            self._add_libraries_of(path, elf)
        elif host_path.stat().st_mode & 0o111:
            for interpreter in script_interpreters(host_path):
                found = self.find_program(interpreter)
                if found:
                    self.add(found, path)
                elif required:
                    raise MinimizeError(f"{path} is a script for {interpreter}, which is not in the image")
                else:
                    self._warn(f"minimize: {path}: no {interpreter} in the image; it will not run")

    def _add_libraries_of(self, path: str, elf: ElfObject) -> None:
        if elf.interpreter:
            self.add(elf.interpreter, path)
        for name in elf.needed:
            library = self.loader.find(name, path, elf)
            if not library:
                raise MinimizeError(f"{path} needs {name}, which is in no folder where the loader looks")
            self.add(library, path)
