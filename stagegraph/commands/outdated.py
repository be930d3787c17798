"""``doit outdated``: which packages of a finished image have newer versions now."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from ..errors import NetworkError, ProjectError
from ..tools import run
from .base import Command, print_json

if TYPE_CHECKING:
    from ..model import Node
    from ..session import Session

#: Seconds for the archive's index and the question; under QEMU it takes its time.
_TIMEOUT = 900

_ASK = "apt-get update -qq >&2 && apt list --upgradable 2>/dev/null"
_LINE = re.compile(r"(?P<name>\S+?)/(?P<suites>\S+) (?P<new>\S+) \S+ \[upgradable from: (?P<old>\S+)\]")


class Package(NamedTuple):
    """A package of an image that the archive has a newer version of."""

    name: str
    old: str
    new: str
    security: bool


def packages(listing: str) -> list[Package]:
    """What ``apt list --upgradable`` says, security updates first."""
    found = [
        Package(match["name"], match["old"], match["new"], "-security" in match["suites"])
        for match in map(_LINE.match, listing.splitlines())
        if match
    ]
    return sorted(found, key=lambda package: (not package.security, package.name))


class Outdated(Command):
    doc_purpose = "list packages of an image that have newer versions now"
    doc_description = (
        "Asks the finished image itself, in a container with network: security updates come first. "
        "`doit lock archive` then makes the next build take them."
    )

    def answer(self, session: Session, goals: list[Node], *, as_json: bool) -> None:
        facts = []
        for node in goals:
            found = self._ask(session, node)
            facts.append({"node": str(node), "packages": [package._asdict() for package in found]})
            if not as_json:
                count = sum(package.security for package in found)
                print(f"{node}: {len(found)} newer packages, {count} of them for security")
                for package in found:
                    mark = "security" if package.security else ""
                    print(f"  {mark:<8}  {package.name}  {package.old} -> {package.new}")
        if as_json:
            print_json({"schema": 1, "nodes": facts})

    def _ask(self, session: Session, node: Node) -> list[Package]:
        with session.loaded(node) as (tag, record):
            options = ["--rm", "--entrypoint=sh", f"--platform={record.docker}"]
            done = run(["docker", "run", *options, tag, "-c", _ASK], timeout=_TIMEOUT)
        if done.returncode in (126, 127):
            raise ProjectError(
                str(node), "there is no shell or no apt in this image", "ask an image that has"
            )
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().splitlines()
            raise NetworkError(str(node), f"apt could not ask the archive: {said[-1] if said else ''}")
        return packages(done.stdout.decode())
