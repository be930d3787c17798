"""OCI platforms: ``os/architecture[/variant]``, normalized as containerd does (``platforms.Normalize``)."""

from __future__ import annotations

import platform as host

_ARCHITECTURES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "armhf": "arm", "i386": "386"}


def normal_platform(platform: str) -> str:
    """An OCI platform as ``stages.toml`` writes it (containerd's platforms.Normalize)."""
    parts = platform.lower().split("/")
    if len(parts) == 1:
        parts = ["linux", *parts]
    parts[1] = _ARCHITECTURES.get(parts[1], parts[1])
    if parts[1:] in (["arm64", "v8"], ["amd64", "v1"]):
        parts.pop()
    if parts[1:] == ["arm"]:
        parts.append("v7")
    return "/".join(parts)


def platform_args(prefix: str, docker: str) -> dict[str, str]:
    if not docker:
        return {}
    system, arch, variant = (*docker.split("/"), "")[:3]
    return {
        f"{prefix}PLATFORM": docker,
        f"{prefix}OS": system,
        f"{prefix}ARCH": arch,
        f"{prefix}VARIANT": variant,
    }


_MACHINES = {
    "x86_64": "linux/amd64",
    "AMD64": "linux/amd64",
    "aarch64": "linux/arm64",
    "arm64": "linux/arm64",
}


def host_platform() -> str:
    """The OCI platform of this machine's processor, for ``BUILDPLATFORM`` and for defaults."""
    return _MACHINES.get(host.machine(), f"linux/{host.machine()}")
