"""The outdated Debian packages of a finished image, as its own apt lists them in a container."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from ..docker import containers
from ..errors import NetworkError, StagegraphError, ToolError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..oci.platform import OciPlatform

NO_APT, NO_SOURCES, NO_LISTS = 90, 91, 92

#: Standard output is that of ``apt list``; the output of all other commands goes to standard error. Only the
#: script itself exits with one of the statuses above. apt has an index target for each list that it has.
SCRIPT = f"""\
export LC_ALL=C
command -v apt >/dev/null && command -v apt-get >/dev/null || exit {NO_APT}
set -- -q -o Acquire::Languages=none -o Acquire::Retries=2 -o APT::Update::Error-Mode=any
apt-get "$@" update >&2 || exit {NO_LISTS}
[ -n "$(apt-get indextargets)" ] || exit {NO_SOURCES}
apt list --upgradable
"""

# libc6/trixie-security,trixie-updates 2.41-12+deb13u1 amd64 [upgradable from: 2.41-12]
_LINE = re.compile(r"([^\s/]+)/(\S+) (\S+) (\S+) \[upgradable from: (\S+)\]")

# Before version 2.1, apt exits with 0 even if it could not get its lists.
_FAILED = re.compile(r"^(?:E: |W: (?:Failed to fetch|Some index files failed)).*", re.MULTILINE)


class Package(NamedTuple):
    """An installed package with a newer version in the archives. ``suites`` have the newer version."""

    name: str
    arch: str
    installed: str
    available: str
    suites: tuple[str, ...]

    @property
    def security(self) -> bool:
        return any("security" in suite for suite in self.suites)


def outdated(reference: str, docker: OciPlatform, timeout: float) -> list[Package]:
    """The outdated packages of an image that the engine has, those in security archives first.

    Raises ``ToolError`` if the image has no apt, ``NetworkError`` if apt cannot get its lists, and the errors
    of ``run_script``.
    """
    try:
        result = containers.run_script(reference, docker, SCRIPT, timeout)
    except ToolError:  # no shell either
        raise _no_apt(reference) from None
    return read(reference, result)


def read(reference: str, result: containers.ContainerResult) -> list[Package]:
    """The packages in the output of ``SCRIPT``. Raises the errors of ``outdated``."""
    if result.status == NO_APT:
        raise _no_apt(reference)
    if result.status == NO_SOURCES:
        hint = "it has nothing in /etc/apt/sources.list and sources.list.d"
        raise ToolError(reference, "its apt has no package archives", hint)
    failed = _FAILED.findall(result.errors)
    if result.status == NO_LISTS or (result.status == 0 and failed):
        lines = "\n  ".join(dict.fromkeys(failed or result.errors.strip().splitlines()[-3:]))
        raise NetworkError(reference, "its apt could not read the package lists", f"it said: {lines}")
    if result.status:
        output = (result.errors or result.output).strip()[-500:]
        raise StagegraphError(reference, f"apt failed with status {result.status}", f"it said: {output}")
    return ordered(parse(result.output))


def _no_apt(reference: str) -> ToolError:
    return ToolError(reference, "the image has no apt", "only images that are based on Debian have it")


def parse(text: str) -> list[Package]:
    """Read the output of ``apt list --upgradable``."""
    matches = (_LINE.fullmatch(line.strip()) for line in text.splitlines())
    return [
        Package(m[1], m[4], m[5], m[3], tuple(s for s in m[2].split(",") if s != "now")) for m in matches if m
    ]


def ordered(packages: Iterable[Package]) -> list[Package]:
    return sorted(packages, key=lambda package: (not package.security, package.name, package.arch))
