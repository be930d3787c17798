"""Which Debian packages of a finished image have newer versions now: its own apt is asked, in a container."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from ..docker import containers
from ..errors import NetworkError, StagegraphError, ToolError

if TYPE_CHECKING:
    from collections.abc import Iterable

NO_APT, NO_SOURCES, NO_LISTS = 90, 91, 92

#: Standard output is what ``apt list`` says, standard error what went before. Only its own commands end it
#: with one of the statuses above. apt lists as index targets what it has a file of.
SCRIPT = f"""\
export LC_ALL=C
command -v apt >/dev/null && command -v apt-get >/dev/null || exit {NO_APT}
set -- -q -o Acquire::Languages=none -o Acquire::Retries=2 -o APT::Update::Error-Mode=any
apt-get "$@" update >&2 || exit {NO_LISTS}
[ -n "$(apt-get indextargets)" ] || exit {NO_SOURCES}
apt list --upgradable
"""

# libc6/trixie-security,trixie-updates 2.41-12+deb13u1 amd64 [upgradable from: 2.41-12]
_LINE = re.compile(r"(\S+?)/(\S+) (\S+) (\S+) \[upgradable from: (\S+)\]")

# Before version 2.1, apt ends well without the lists that it could not get.
_FAILED = re.compile(r"^(?:E: |W: (?:Failed to fetch|Some index files failed)).*", re.MULTILINE)


class Package(NamedTuple):
    """An installed package that the archives have in a newer version. ``suites`` are where."""

    name: str
    arch: str
    installed: str
    available: str
    suites: tuple[str, ...]

    @property
    def security(self) -> bool:
        return any("security" in suite for suite in self.suites)


def outdated(reference: str, docker: str, timeout: float) -> list[Package]:
    """Outdated packages of an image that the engine has, those of security archives first.

    Raises ``ToolError`` where the image has no apt, ``NetworkError`` where that does not get its lists, and
    what ``run_in_container`` raises.
    """
    try:
        answer = containers.run_in_container(reference, docker, SCRIPT, timeout)
    except ToolError:  # no shell either
        raise _no_apt(reference) from None
    return read(reference, answer)


def read(reference: str, answer: containers.ContainerResult) -> list[Package]:
    """The packages that ``SCRIPT`` told. Raises as ``outdated`` does."""
    if answer.status == NO_APT:
        raise _no_apt(reference)
    if answer.status == NO_SOURCES:
        hint = "it has nothing in /etc/apt/sources.list and sources.list.d"
        raise ToolError(reference, "its apt knows no package archives", hint)
    failed = _FAILED.findall(answer.errors)
    if answer.status == NO_LISTS or (answer.status == 0 and failed):
        said = "\n  ".join(dict.fromkeys(failed or answer.errors.strip().splitlines()[-3:]))
        raise NetworkError(reference, "its apt could not read the package lists", f"it said: {said}")
    if answer.status:
        said = (answer.errors or answer.output).strip()[-500:]
        raise StagegraphError(reference, f"apt ended with status {answer.status}", f"it said: {said}")
    return ordered(parse(answer.output))


def _no_apt(reference: str) -> ToolError:
    return ToolError(reference, "the image has no apt to ask", "only images of Debian and its kin have")


def parse(text: str) -> list[Package]:
    """What ``apt list --upgradable`` prints."""
    found = (_LINE.fullmatch(line.strip()) for line in text.splitlines())
    return [
        Package(m[1], m[4], m[5], m[3], tuple(s for s in m[2].split(",") if s != "now")) for m in found if m
    ]


def ordered(packages: Iterable[Package]) -> list[Package]:
    return sorted(packages, key=lambda package: (not package.security, package.name, package.arch))
