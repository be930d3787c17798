"""The keys of a stage for its image and its RUN instructions -> labels and ``RunOptions``.

The forms of the values are those of ``docker buildx build``
(https://docs.docker.com/reference/cli/docker/buildx/build/). Each value gets one normal form: two spellings
of the same value give the same key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import nearest
from . import schema
from .model import RunOptions

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Iterator, Mapping

    from .tables import KeyPath, TableReader

    #: Takes the key of a value, and the message.
    Refuse = Callable[[str, str, str], Exception]

_SSH_HINT = 'write "default", "NAME", or "NAME=PATH" of a socket or key'

_HOST_HINT = 'write "NAME:ADDRESS", or "NAME:host-gateway" for the builder\'s machine'

_ULIMIT_HINT = f'write "nofile=1024" or "nofile=1024:2048"; limits: {", ".join(schema.ULIMITS)}'

_SIZE_HINT = 'write bytes, or a unit of 1024: "64m", "1g"'

_UNITS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


def labels(reader: TableReader, table: Mapping[str, Any], path: KeyPath) -> dict[str, str]:
    """Return the labels of a table. Raises ``ProjectError``."""
    found = reader.strings(table, path, "labels", "label")
    for name in found:
        where = (*path, "labels", name)
        if not schema.LABEL.fullmatch(name):
            hint = 'use letters, digits and signs without spaces and "="'
            raise reader.error(where, f"{name!r} is not the name of a label", hint)
        if name in schema.CHANGING_LABELS:
            what = f"label {name}: each new value would build the image and all that start from it again"
            hint = "remove it: doit publish puts the commit and the date beside the image, as annotations"
            raise reader.error(where, what, hint)
    return found


def run_options(reader: TableReader, table: Mapping[str, Any], path: KeyPath) -> RunOptions:
    """Return the options that a table has; defaults for all others. Raises ``ProjectError``."""

    def refuse(key: str, what: str, hint: str) -> Exception:
        return reader.error((*path, key), what, hint)

    return RunOptions(
        ssh=_ssh(table, refuse),
        allow=_allow(table, refuse),
        extra_hosts=_extra_hosts(table, refuse),
        shm_size=_shm_size(table, refuse),
        ulimits=_ulimits(table, refuse),
        cgroup_parent=_cgroup_parent(table, refuse),
    )


def _matches(
    table: Mapping[str, Any], key: str, form: re.Pattern[str], noun: str, hint: str, refuse: Refuse
) -> Iterator[re.Match[str]]:
    """The items of the list at ``key``, matched against their form."""
    for item in table.get(key, ()):
        match = form.fullmatch(item) if isinstance(item, str) else None
        if match is None:
            raise refuse(key, f"{item!r} is not {noun}", hint)
        yield match


def _ssh(table: Mapping[str, Any], refuse: Refuse) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for match in _matches(table, "ssh", schema.SSH, "a way to an SSH agent", _SSH_HINT, refuse):
        name, paths = match[1], tuple(match[2].split(",")) if match[2] else ()
        if name in found:
            raise refuse("ssh", f"ssh has {name!r} twice", "keep one of them")
        if any(path.startswith("$") for path in paths):
            hint = f'variables are not expanded; "{name}" alone is the agent of SSH_AUTH_SOCK'
            raise refuse("ssh", f"{match[0]!r} is not a path", hint)
        found[name] = paths
    return found


def _allow(table: Mapping[str, Any], refuse: Refuse) -> frozenset[str]:
    for item in table.get("allow", ()):
        if item not in schema.ENTITLEMENTS:
            raise refuse("allow", f"unknown entitlement {item!r}", nearest(str(item), schema.ENTITLEMENTS))
    return frozenset(table.get("allow", ()))


def _extra_hosts(table: Mapping[str, Any], refuse: Refuse) -> tuple[tuple[str, str], ...]:
    """Return hosts and addresses, sorted by host; addresses of one host stay in their order."""
    found: list[tuple[str, str]] = []
    for match in _matches(
        table, "extra_hosts", schema.EXTRA_HOST, "a host with its address", _HOST_HINT, refuse
    ):
        try:
            # BuildKit takes hosts in lower case
            pair = match[1].lower(), _address(match[2].strip("[]"))
        except ValueError:
            raise refuse("extra_hosts", f"{match[0]!r} has no valid address", _HOST_HINT) from None
        if pair in found:
            raise refuse("extra_hosts", f"extra_hosts has {match[0]!r} twice", "keep one of them")
        found.append(pair)
    return tuple(sorted(found, key=lambda pair: pair[0]))


def _address(text: str) -> str:
    """Return an IP address in its shortest form, IPv4 also where it is written as IPv6. As Go's net.IP does.

    Raises ``ValueError``.
    """
    if text == "host-gateway":
        return text
    from ipaddress import IPv6Address, ip_address  # most projects need none

    address = ip_address(text)
    return str((isinstance(address, IPv6Address) and address.ipv4_mapped) or address)


def _shm_size(table: Mapping[str, Any], refuse: Refuse) -> int:
    if "shm_size" not in table:
        return 0
    match = schema.SIZE.fullmatch(table["shm_size"])
    size = int(match[1]) * 1024 ** _UNITS[match[2].lower()] if match else 0
    if not 0 < size < 2**63:
        raise refuse("shm_size", f"{table['shm_size']!r} is not a size", _SIZE_HINT)
    return size


def _ulimits(table: Mapping[str, Any], refuse: Refuse) -> tuple[tuple[str, str], ...]:
    found: dict[str, str] = {}
    for match in _matches(table, "ulimits", schema.ULIMIT, "a limit", _ULIMIT_HINT, refuse):
        name, soft = match[1], int(match[2])
        hard = int(match[3]) if match[3] else soft
        if hard != -1 and not 0 <= soft <= hard:
            raise refuse("ulimits", f"{match[0]!r}: the soft limit is above the hard one", _ULIMIT_HINT)
        if name in found:
            raise refuse("ulimits", f"ulimits has {name!r} twice", "keep one of them")
        found[name] = f"{soft}:{hard}"
    return tuple(sorted(found.items()))


def _cgroup_parent(table: Mapping[str, Any], refuse: Refuse) -> str:
    parent: str = table.get("cgroup_parent", "")
    if "cgroup_parent" in table and not schema.CGROUP.fullmatch(parent):
        raise refuse("cgroup_parent", f"{parent!r} is not a control group", 'write "docker/builds"')
    return parent
