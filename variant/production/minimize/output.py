"""Write the files to keep into a new root, with the files that every image has."""

import os
import posixpath
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from minimize.elf import read_elf
from minimize.rootfs import Rootfs

# The user of the image that results.
USER_ID = 1000
# Debian's own files have no debug symbols; files below these folders may have some.
STRIPPED_FOLDERS = ("/usr/local/", "/opt/")


def copy_paths(rootfs: Rootfs, paths: Iterable[str], out: Path) -> None:
    """Copy the paths with their modes and owners, and the folders above them."""
    for path in sorted(paths):
        source, target = rootfs.host_path(path), out / path.lstrip("/")
        _copy_folder(rootfs, posixpath.dirname(path), out)
        if source.is_symlink():
            target.symlink_to(source.readlink())
        elif source.is_dir():
            target.mkdir(exist_ok=True)
        else:
            shutil.copyfile(source, target)
        _copy_attributes(source, target)


def strip_symbols(out: Path, paths: Iterable[str]) -> None:
    """Remove the symbols that are not needed at run time, strip(1). Raise CalledProcessError if it fails."""
    for path in sorted(paths):
        target = out / path.lstrip("/")
        if (
            path.startswith(STRIPPED_FOLDERS)
            and not target.is_symlink()
            and target.is_file()
            and read_elf(target)
        ):
            subprocess.run(["strip", "--strip-unneeded", target], check=True)


def write_system_files(out: Path, packages: Mapping[str, str], *, with_shell: bool) -> None:
    """Write accounts, a folder for temporary files, a home, and the names of the Debian packages.

    ``packages`` are stanzas by package. They are written to /var/lib/dpkg/status.d, where scanners look in an
    image without dpkg. The format of the accounts: passwd(5), group(5).
    """
    for folder, mode, owner in (
        ("tmp", 0o1777, 0),
        ("home/atom", 0o755, USER_ID),
        ("var/lib/dpkg/status.d", 0o755, 0),
    ):
        (out / folder).mkdir(parents=True, exist_ok=True)
        (out / folder).chmod(mode)
        os.chown(out / folder, owner, owner)
    etc = out / "etc"
    etc.mkdir(exist_ok=True)
    shell = "/bin/sh" if with_shell else "/usr/sbin/nologin"
    accounts = f"root:x:0:0:root:/root:{shell}\natom:x:{USER_ID}:{USER_ID}::/home/atom:{shell}\n"
    (etc / "passwd").write_text(accounts)
    (etc / "group").write_text(f"root:x:0:\natom:x:{USER_ID}:\n")
    for name, stanza in packages.items():
        (out / "var/lib/dpkg/status.d" / name).write_text(f"{stanza}\n")


def total_size(out: Path) -> int:
    """Return the bytes in all files below a folder."""
    return sum(path.lstat().st_size for path in out.rglob("*") if path.is_file() and not path.is_symlink())


def _copy_folder(rootfs: Rootfs, folder: str, out: Path) -> None:
    target = out / folder.lstrip("/")
    if not target.exists():
        _copy_folder(rootfs, posixpath.dirname(folder), out)
        target.mkdir()
        _copy_attributes(rootfs.host_path(folder), target)


def _copy_attributes(source: Path, target: Path) -> None:
    facts = source.lstat()
    os.chown(target, facts.st_uid, facts.st_gid, follow_symlinks=False)
    if not target.is_symlink():
        target.chmod(facts.st_mode & 0o7777)
