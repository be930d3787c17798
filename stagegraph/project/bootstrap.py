"""A base image from the distribution's packages: the arguments for mmdebstrap, and the image's Dockerfile.

Pure; ``build`` runs it. Everything here is part of the base's key, and so is the package date. mmdebstrap
runs on this machine; package scripts of foreign platforms run under QEMU.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import ProjectError, nearest

if TYPE_CHECKING:
    from ..oci.platform import OciPlatform
    from .model import Bootstrap

#: The Dockerfile that makes an image of the root file system.
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

#: Folders below /usr/share that dpkg leaves out, now and in later installations: documentation.
_EXCLUDE = ("doc", "info", "lintian", "locale", "man")

#: Files that differ between runs, and files that Docker supplies itself.
_VOLATILE = (
    "var/log/apt var/log/dpkg.log var/log/alternatives.log var/log/bootstrap.log "
    "var/cache/ldconfig/aux-cache var/cache/debconf/*-old var/lib/dpkg/*-old "
    "etc/machine-id etc/hostname etc/resolv.conf"
)

_DPKG = "etc/dpkg/dpkg.cfg.d/99mmdebstrap"


def arguments(boot: Bootstrap, docker: OciPlatform) -> list[str]:
    """Return the arguments for mmdebstrap, without the name of the tar to write.

    Raises ``ProjectError`` for an OCI platform without a Debian architecture.
    """
    if docker not in _DEBIAN:
        raise ProjectError(
            boot.declared_at, f"no base can be bootstrapped for {docker}", nearest(docker, _DEBIAN)
        )
    return [
        "--variant=minbase",
        "--format=tar",
        f"--arch={_DEBIAN[docker]}",
        *([f"--include={','.join(sorted(boot.include))}"] if boot.include else []),
        *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in _EXCLUDE),
        "--dpkgopt=path-include=/usr/share/doc/*/copyright",
        # only while mmdebstrap runs: the file system is discarded if the machine stops
        "--dpkgopt=force-unsafe-io",
        f'--customize-hook=sed -i /force-unsafe-io/d "$1/{_DPKG}"',
        f'--customize-hook=cd "$1" && rm -rf {_VOLATILE}',
        boot.suite,
    ]
