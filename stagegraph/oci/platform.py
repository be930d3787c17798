"""OCI platforms: ``os/architecture[/variant]`` (OCI image specification, image-index.md, "platform").

A platform is a plain string at run time; the type keeps it apart from other text. Normal forms are those of
containerd (``platforms.Normalize``).
"""

from __future__ import annotations

import platform as host
from typing import NamedTuple, NewType

#: An OCI platform such as ``linux/arm64``. "" where there is none, as of an edge on the node's own platform.
OciPlatform = NewType("OciPlatform", str)

#: The platform where none is named.
NO_PLATFORM = OciPlatform("")

#: Other names of processors -> the OCI name: what people and kernels (``uname -m``) call them.
_ARCHITECTURES = {
    "x86_64": "amd64",
    "x86-64": "amd64",
    "aarch64": "arm64",
    "armhf": "arm",
    "i386": "386",
}

#: 32-bit architectures -> the 64-bit one whose processors mostly run their programs, too.
_FAMILIES = {"386": "amd64", "arm": "arm64"}


class Parts(NamedTuple):
    """A platform taken apart. ``variant`` is "" where it has none."""

    os: str
    architecture: str
    variant: str = ""


def parts(platform: OciPlatform) -> Parts:
    """Split a platform into its parts."""
    system, architecture, variant = (*platform.split("/"), "")[:3]
    return Parts(system, architecture, variant)


def joined(system: str, architecture: str, variant: str = "") -> OciPlatform:
    """The platform with these parts; the reverse of ``parts``. Empty parts are left out."""
    return OciPlatform("/".join(filter(None, (system, architecture, variant))))


def as_indexed(system: str, architecture: str, variant: str = "") -> OciPlatform:
    """The platform of an entry of an image index. ``v8``, the only variant of arm64, is left out."""
    return joined(system, architecture, "" if (architecture, variant) == ("arm64", "v8") else variant)


def normalized(text: str) -> OciPlatform:
    """Parse a platform as people write it, into the form of containerd's ``platforms.Normalize``."""
    words = text.lower().split("/")
    if len(words) == 1:
        words = ["linux", *words]
    words[1] = _ARCHITECTURES.get(words[1], words[1])
    if words[1:] in (["arm64", "v8"], ["amd64", "v1"]):
        words.pop()
    if words[1:] == ["arm"]:
        words.append("v7")
    return OciPlatform("/".join(words))


def tag_part(platform: OciPlatform) -> str:
    """The platform without its system, in the characters of a tag: ``arm64``, ``arm-v7``."""
    return platform.removeprefix("linux/").replace("/", "-")


def family(platform: OciPlatform) -> str:
    """The 64-bit architecture whose processors run programs of this platform: ``arm64`` for ``linux/arm``."""
    architecture = parts(platform).architecture
    return _FAMILIES.get(architecture, architecture)


def index_entry(platform: OciPlatform) -> dict[str, str]:
    """The value of ``platform`` in an entry of an image index."""
    system, architecture, variant = parts(platform)
    return {"os": system, "architecture": architecture} | ({"variant": variant} if variant else {})


def build_args(prefix: str, platform: OciPlatform) -> dict[str, str]:
    """BuildKit's arguments for a platform; none where it is "".

    ``prefix`` is ``BUILD`` or ``TARGET`` (Dockerfile reference, "Automatic platform ARGs in the global
    scope").
    """
    if not platform:
        return {}
    system, architecture, variant = parts(platform)
    return {
        f"{prefix}PLATFORM": platform,
        f"{prefix}OS": system,
        f"{prefix}ARCH": architecture,
        f"{prefix}VARIANT": variant,
    }


def host_platform() -> OciPlatform:
    """The OCI platform of this machine's processor, for ``BUILDPLATFORM`` and for defaults."""
    machine = host.machine().lower()
    return OciPlatform(f"linux/{_ARCHITECTURES.get(machine, machine)}")
