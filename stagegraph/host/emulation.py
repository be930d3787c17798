"""The one rule for programs of other processors: does this machine run them, in containers too?

Linux runs a foreign program through an interpreter, here QEMU, that is registered with the kernel. Containers
have their own file systems, so the kernel must hold the interpreter open (flag F).
Source: https://docs.kernel.org/admin-guide/binfmt-misc.html
"""

from __future__ import annotations

import platform as uname
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

#: The kernel's list of interpreters, a file for each.
BINFMT = Path("/proc/sys/fs/binfmt_misc")

#: QEMU's name of a processor by its name in OCI platforms. Debian and others name the entries after it.
_QEMU = {
    "amd64": "x86_64",
    "386": "i386",
    "arm64": "aarch64",
    "arm": "arm",
    "ppc64le": "ppc64le",
    "riscv64": "riscv64",
    "s390x": "s390x",
    "mips64le": "mips64el",
}

#: Names in OCI platforms, by the names that kernels give to processors.
_ARCHITECTURES = {"x86_64": "amd64", "AMD64": "amd64", "aarch64": "arm64"}

_USABLE = re.compile(r"enabled\n(.*\n)*flags: *\w*F")


def processor(platform: str) -> str:
    """QEMU's name of an OCI platform's processor: ``linux/arm64`` -> ``aarch64``; "" if QEMU has none."""
    return _QEMU.get(platform.split("/")[1], "")


def kind(platform: str) -> str:
    """The processor behind an OCI platform: 64-bit ones run the 32-bit programs of their kind themselves."""
    arch = platform.split("/")[1]
    return {"386": "amd64", "arm": "arm64"}.get(arch, arch)


def entries(name: str) -> list[Path]:
    """The places where the kernel may list QEMU for a processor: Fedora adds ``-static`` to the name."""
    return [BINFMT / f"qemu-{name}{suffix}" for suffix in ("", "-static")]


def registered(platform: str) -> bool:
    """True if QEMU for an OCI platform is enabled and usable in containers (flag F)."""
    for entry in entries(processor(platform)):
        try:
            if _USABLE.match(entry.read_text()):
                return True
        except OSError:
            continue
    return False


def missing(platforms: Iterable[str], machine: str) -> list[str]:
    """Those of ``platforms`` whose programs this machine does not run. ``machine`` is its own platform.

    It can be known on Linux alone: on other systems, Docker runs in a virtual machine. A platform for which
    there is no QEMU counts as running.
    """
    if not sys.platform.startswith("linux"):
        return []
    return [
        platform
        for platform in platforms
        if kind(platform) != kind(machine) and processor(platform) and not registered(platform)
    ]


def host_platform() -> str:
    """The OCI platform of this machine's processor."""
    name = uname.machine()
    return f"linux/{_ARCHITECTURES.get(name, name)}"
