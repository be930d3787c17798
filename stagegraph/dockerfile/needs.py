"""What steps of a Dockerfile need from the machine that builds: secrets, SSH agents, entitlements.

Pure. Rules are BuildKit's (frontend/dockerfile/dockerfile2llb, ``convert_secrets.go`` and ``convert_ssh.go``;
frontend/dockerfile/instructions, ``commands_runnetwork.go`` and ``commands_runsecurity.go``). No key holds
any of this.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Literal, NamedTuple

from .instructions import mounts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from .instructions import Instruction

    #: Returns a word with its variables resolved, None where only the build knows the result.
    Expand = Callable[[str], str | None]

#: Go's ``strconv.ParseBool``; a ``required`` without a value is true.
_TRUE = ("", "1", "t", "T", "TRUE", "true", "True")

_SSH_URL = re.compile(r"ssh://|[\w.-]+@[\w.-]+:")

_ENTITLEMENTS = {
    ("network", "host"): "network.host",
    ("security", "insecure"): "security.insecure",
}


class Need(NamedTuple):
    """One thing that a step needs.

    ``name`` is the id of a secret or SSH agent, or an entitlement. ``required``: the step fails without it.
    ``step`` is what the step says, ``where`` the file and line, for messages.
    """

    kind: Literal["secret", "ssh", "entitlement"]
    name: str
    required: bool
    step: str
    where: str


def needs_of_run(run: Instruction, expand: Expand) -> Iterator[Need]:
    """The needs of a RUN.

    A mount whose id only the build knows counts by the id as it is written. Raises ``DockerfileError`` for a
    word that BuildKit refuses.
    """
    where = f"{run.file}:{run.line}"
    for (flag, value), entitlement in _ENTITLEMENTS.items():
        if run.flag(flag) == value:
            yield Need("entitlement", entitlement, True, f"RUN --{flag}={value}", where)
    for written in mounts(run):
        mount = {key: _resolved(word, expand) for key, word in written.items()}
        kind = mount.get("type", "").lower()
        if kind == "secret":
            yield Need("secret", _secret_id(mount), _is_required(mount), "RUN --mount=type=secret", where)
        elif kind == "ssh":
            name = mount.get("id") or "default"
            yield Need("ssh", name, _is_required(mount), "RUN --mount=type=ssh", where)


def needs_of_add(add: Instruction, expand: Expand) -> Iterator[Need]:
    """The needs of an ADD: BuildKit fetches a git repository over SSH with the agent "default"."""
    for source in add.sources:
        if _SSH_URL.match(_resolved(source, expand)):
            yield Need("ssh", "default", True, f"ADD {source}", f"{add.file}:{add.line}")


def needs_of_trigger(trigger: Instruction) -> Iterator[Need]:
    """The needs of an ONBUILD's instruction, whose variables only the child's build knows."""
    if trigger.cmd == "RUN":
        yield from needs_of_run(trigger, lambda word: word)
    elif trigger.cmd == "ADD":
        yield from needs_of_add(trigger, lambda word: word)


def _resolved(word: str, expand: Expand) -> str:
    value = expand(word)
    return word if value is None else value


def _secret_id(mount: Mapping[str, str]) -> str:
    return mount.get("source") or mount.get("id") or posixpath.basename(mount.get("target", ""))


def _is_required(mount: Mapping[str, str]) -> bool:
    return "required" in mount and mount["required"] in _TRUE
