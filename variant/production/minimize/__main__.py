"""python3 -m minimize ROOT OUT: copy the part of ROOT that is needed at run time to the new folder OUT.

ROOT is an image that is unpacked in a folder. The environment says what is needed; each variable holds words:

  PROGRAMS    programs, by name or path
  MODULES     Python packages, with the packages that they import and the standard library; empty: no Python
  WITHOUT     Python modules to leave out, with all modules below them
  LIBRARIES   patterns of libraries
  FILES       patterns of other files and folders
  WITH_SHELL  1: /bin/sh too
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from minimize.closure import Closure
from minimize.dpkg import packages_of
from minimize.errors import MinimizeError
from minimize.output import copy_paths, strip_symbols, total_size, write_system_files
from minimize.python import Python
from minimize.rootfs import Rootfs

# glibc loads it at run time, without DT_NEEDED, for pthread_cancel(3) and pthread_exit(3).
ALWAYS = ("libgcc_s.so.1",)
# Kept if the image has them: the name of the system (scanners read debian_version), settings, licences.
KEPT = (
    *("/etc/os-release", "/etc/debian_version", "/etc/lsb-release", "/etc/ld.so.cache", "/etc/nsswitch.conf"),
    *("/etc/ssl/certs", "/etc/localtime", "/usr/local/share/licenses"),
)


@dataclass(frozen=True)
class Request:
    """The variables of the environment that say what is needed."""

    programs: list[str]
    packages: list[str]
    left_out: list[str]
    libraries: list[str]
    files: list[str]
    with_shell: bool

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> "Request":
        """Return the request that the variables hold. A missing variable is empty."""

        def words(name: str) -> list[str]:
            return environment.get(name, "").split()

        return cls(
            programs=words("PROGRAMS"),
            packages=words("MODULES"),
            left_out=words("WITHOUT"),
            libraries=words("LIBRARIES"),
            files=words("FILES"),
            with_shell=environment.get("WITH_SHELL", "0") not in ("", "0"),
        )


def collect(rootfs: Rootfs, request: Request) -> Closure:
    """Return the files that the request needs. Raise MinimizeError if one is not in the image."""
    closure = Closure(rootfs)
    for path in KEPT:
        if rootfs.exists(path):
            closure.add(path)
    for name in request.programs:
        closure.add(closure.program(name))
    if request.packages:
        Python(closure).add(request.packages, request.left_out)
    for pattern in (*ALWAYS, *request.libraries):
        closure.add_libraries(pattern)
    for pattern in request.files:
        closure.add_files(pattern)
    if request.with_shell:
        closure.add("/bin/sh")
    return closure


def minimize(root: str, out: Path, request: Request) -> None:
    """Copy the files that the request needs from ``root`` to ``out``, and print their number and size.

    Raise MinimizeError if a file is not in the image.
    """
    rootfs = Rootfs(root.rstrip("/"))
    closure = collect(rootfs, request)
    packages = packages_of(rootfs, closure.paths)
    for name in packages:
        licence = f"/usr/share/doc/{name.partition(':')[0]}/copyright"
        if rootfs.exists(licence):
            closure.add(licence, required=False)
    out.mkdir(parents=True, exist_ok=True)
    copy_paths(rootfs, closure.paths, out)
    strip_symbols(out, closure.paths)
    write_system_files(out, packages, with_shell="/usr/bin/sh" in closure.paths)
    print(f"minimize: {len(closure.paths)} files, {total_size(out) / 1e6:.0f} MB")


def main(arguments: list[str], environment: Mapping[str, str]) -> None:
    """Run the command line. An error ends the process with status 1 and the error's text."""
    if len(arguments) != 2:
        sys.exit(__doc__)
    try:
        minimize(arguments[0], Path(arguments[1]), Request.read(environment))
    except MinimizeError as error:
        sys.exit(f"minimize: {error}")


if __name__ == "__main__":
    main(sys.argv[1:], os.environ)
