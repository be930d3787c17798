"""The one rule for programs of other processors: does this machine run them, in containers too?

Linux runs a foreign program through an interpreter, here QEMU, that is registered with the kernel. Containers
have their own file systems, so the kernel must hold the interpreter open (flag F).
Source: https://docs.kernel.org/admin-guide/binfmt-misc.html
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ..oci.platform import OciPlatform, family, host_platform, parts

if TYPE_CHECKING:
    from collections.abc import Iterable

#: An OCI platform, as the caller types it.
_Platform = TypeVar("_Platform", bound=str)

__all__ = ["BINFMT", "entries", "host_platform", "missing", "processor", "registered"]

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

_USABLE = re.compile(r"enabled\n(.*\n)*flags: *\w*F")


def processor(platform: str) -> str:
    """QEMU's name of an OCI platform's processor: ``linux/arm64`` -> ``aarch64``; "" if QEMU has none."""
    return _QEMU.get(parts(OciPlatform(platform)).architecture, "")


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


def missing(platforms: Iterable[_Platform], machine: str) -> list[_Platform]:
    """Those of ``platforms`` whose programs this machine does not run. ``machine`` is its own platform.

    It can be known on Linux alone: on other systems, Docker runs in a virtual machine. A platform for which
    there is no QEMU counts as running.
    """
    if not sys.platform.startswith("linux"):
        return []
    return [
        platform
        for platform in platforms
        if family(OciPlatform(platform)) != family(OciPlatform(machine))
        and processor(platform)
        and not registered(platform)
    ]
