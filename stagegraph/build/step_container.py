"""The container that stands in for a step: the options of ``docker create`` that give it what the step had.

Some of it cannot be given. That is said, never left out in silence.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..docker import config
from . import ssh
from .command import network
from .secrets import source

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ..dockerfile.partial import Partial
    from ..keys.spec import NodeSpec
    from ..project.model import Secret


@dataclass
class StepContainer:
    """Options of ``docker create``, variables for its environment, and notes for people.

    A variable's value is not among the options: these are seen by all users of the machine.
    """

    options: list[str] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def set(self, name: str, value: str) -> None:
        self.options.append(f"--env={name}")
        self.variables[name] = value


def container_of(
    spec: NodeSpec, partial: Partial, secrets: Mapping[str, Secret], root: Path, folder: Path
) -> StepContainer:
    """Return the container of a step. ``folder`` is a private folder for the values of secrets.

    Paths of ``secrets`` are relative to ``root``.
    """
    made = StepContainer()
    _network(made, spec, partial)
    for name, value in partial.arguments.items():
        made.set(name, value)
    for name in partial.unknown:
        if name == "SOURCE_DATE_EPOCH":
            made.set(name, str(spec.epoch))
        else:
            made.notes.append(f"the argument {name} is not set: only the build knows its value")
    for mount in partial.mounts:
        match mount.get("type", "bind").lower():
            case "secret":
                _secret(made, mount, secrets, root, folder)
            case "ssh":
                _ssh(made, mount, spec, root)
            case "cache" | "tmpfs" as kind:
                _empty(made, mount, kind)
            case _:
                made.notes.append(f"{mount.get('target', '/')} is a copy of what the step mounts there")
    return made


def _network(made: StepContainer, spec: NodeSpec, partial: Partial) -> None:
    options = spec.config.run_options
    mode = partial.step.flag("network") or network(spec)
    if mode in ("none", "host"):
        made.options.append(f"--network={mode}")
    made.options += [f"--add-host={host}:{address}" for host, address in options.extra_hosts]
    if options.shm_size:
        made.options.append(f"--shm-size={options.shm_size}")
    made.options += [f"--ulimit={name}={limits}" for name, limits in options.ulimits]
    if partial.step.flag("security") == "insecure":
        made.options.append("--privileged")


def _empty(made: StepContainer, mount: Mapping[str, str], kind: str) -> None:
    """A mount of a cache or a tmpfs: an empty folder in memory."""
    target = mount.get("target", "/")
    fields = {"exec": "", "mode": mount.get("mode") or "0755"}
    fields |= {name: mount[name] for name in ("uid", "gid", "size") if mount.get(name)}
    written = ",".join(f"{name}={value}" if value else name for name, value in fields.items())
    made.options.append(f"--tmpfs={target}:{written}")
    if kind == "cache":
        made.notes.append(f"the cache mount {target} is empty here: only the builder can read it")


def _secret(
    made: StepContainer, mount: Mapping[str, str], secrets: Mapping[str, Secret], root: Path, folder: Path
) -> None:
    name = mount.get("source") or mount.get("id") or posixpath.basename(mount.get("target", ""))
    found = source(secrets.get(name), root)
    if found.lack:
        made.notes.append(f"the secret {name} is not there: {found.lack}")
        return
    value = os.environ[found.env].encode() if found.env else (root / found.file).read_bytes()
    if variable := mount.get("env"):
        made.set(variable, value.decode(errors="surrogateescape"))
    target = mount.get("target") or ("" if variable else f"/run/secrets/{name}")
    if target and not _is_local():
        made.notes.append(f"the secret {name} is not there: the engine is on another machine")
    elif target:
        file = folder / f"secret-{len(made.options)}"
        file.write_bytes(value)
        file.chmod(int(mount.get("mode") or "0400", 8))
        with contextlib.suppress(PermissionError):  # only root may give files to others
            os.chown(file, int(mount.get("uid") or 0), int(mount.get("gid") or 0))
        made.options.append(f"--mount=type=bind,source={file},target={target},readonly")


def _ssh(made: StepContainer, mount: Mapping[str, str], spec: NodeSpec, root: Path) -> None:
    name = mount.get("id") or "default"
    paths, socket = spec.config.run_options.ssh.get(name), os.environ.get(ssh.AGENT, "")
    why = "the stage declares no such agent" if paths is None else ssh.lack(paths, root)
    if paths:
        why = "it is a key, and only an agent can be given: ssh-add the key"
    elif not why and not _is_local():
        why = "the engine is on another machine"
    if why:
        made.notes.append(f"the SSH agent {name} is not there: {why}")
        return
    target = mount.get("target") or "/run/buildkit/ssh_agent.0"
    made.options.append(f"--mount=type=bind,source={socket},target={target}")
    made.set(ssh.AGENT, target)


def _is_local() -> bool:
    """Return whether the engine sees the files of this machine."""
    return config.host().startswith("unix:")
