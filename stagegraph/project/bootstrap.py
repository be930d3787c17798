"""A base image from the distribution's archive: what mmdebstrap is told, and how its result becomes an image.

A stage like any other: all that is said here is part of its key, and so is the archive's stamp. Pure;
``build`` runs it. The root file system is made on this machine; foreign platforms run their package scripts
under QEMU.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import ProjectError, nearest

if TYPE_CHECKING:
    from ..oci.platform import OciPlatform
    from .model import Bootstrap

#: Turns the root file system into an image.
DOCKERFILE = 'FROM scratch\nADD rootfs.tar /\nCMD ["bash"]\n'

_DEBIAN = {
    "linux/amd64": "amd64",
    "linux/arm64": "arm64",
    "linux/arm/v7": "armhf",
    "linux/386": "i386",
    "linux/ppc64le": "ppc64el",
    "linux/riscv64": "riscv64",
    "linux/s390x": "s390x",
}

#: Left out, now and when packages are installed later: what nobody reads in a container.
_EXCLUDE = ("doc", "info", "lintian", "locale", "man")

#: What differs from one run to the next, and what Docker supplies itself.
_VOLATILE = (
    "var/log/apt var/log/dpkg.log var/log/alternatives.log var/log/bootstrap.log "
    "var/cache/ldconfig/aux-cache var/cache/debconf/*-old var/lib/dpkg/*-old "
    "etc/machine-id etc/hostname etc/resolv.conf"
)

_DPKG = "etc/dpkg/dpkg.cfg.d/99mmdebstrap"


def arguments(boot: Bootstrap, docker: OciPlatform) -> list[str]:
    """mmdebstrap's arguments, but for the name of the tar that it writes.

    Raises ``ProjectError`` for an OCI platform that Debian has no architecture for.
    """
    if docker not in _DEBIAN:
        raise ProjectError(boot.source, f"no base can be bootstrapped for {docker}", nearest(docker, _DEBIAN))
    return [
        "--variant=minbase",
        "--format=tar",
        f"--arch={_DEBIAN[docker]}",
        *([f"--include={','.join(sorted(boot.include))}"] if boot.include else []),
        *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in _EXCLUDE),
        "--dpkgopt=path-include=/usr/share/doc/*/copyright",
        # only while it is made: the file system is thrown away if the machine stops
        "--dpkgopt=force-unsafe-io",
        f'--customize-hook=sed -i /force-unsafe-io/d "$1/{_DPKG}"',
        f'--customize-hook=cd "$1" && rm -rf {_VOLATILE}',
        boot.suite,
    ]
