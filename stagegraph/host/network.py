"""The network of an engine in its own folder: a bridge, addresses, and iptables rules.

The bridge's address tells ``remove`` which rules belong to it.
"""

from __future__ import annotations

import re

from .messages import SetupError, Status
from .system import call

#: The networks that engines use: 10.199.0.0/24 to 10.199.255.0/24.
_NETWORKS = [f"10.199.{number}" for number in range(256)]


def create(bridge: str) -> None:
    """Create the bridge if it does not exist, and its rules. Raises ``SetupError``."""
    network = network_of(bridge)
    if not network:
        network = _free_network()
        _must("ip", "link", "add", bridge, "type", "bridge")
        _must("ip", "addr", "add", f"{network}.1/24", "dev", bridge)
    _must("ip", "link", "set", bridge, "up")
    for table, rule in rules(bridge, f"{network}.0/24"):
        if not _exists(table, rule):
            _must("iptables", "-w", "-t", table, "-I", *rule)


def remove(bridge: str) -> None:
    """Remove the bridge and its rules, if it exists. Raises ``SetupError``."""
    network = network_of(bridge)
    if not network:
        return
    for table, rule in rules(bridge, f"{network}.0/24"):
        if _exists(table, rule):
            _must("iptables", "-w", "-t", table, "-D", *rule)
    _must("ip", "link", "delete", bridge)


def network_of(bridge: str) -> str:
    """The first three numbers of the bridge's network (``10.199.7``); "" if there is no such bridge."""
    found = re.search(r" (10\.199\.\d+)\.1/", call("ip", "-4", "-o", "addr", "show", "dev", bridge).stdout)
    return found[1] if found else ""


def rules(bridge: str, subnet: str) -> list[tuple[str, list[str]]]:
    """The iptables rules of a bridge: for each a table, a chain and what follows."""
    accepted = "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
    return [
        ("filter", f"FORWARD -i {bridge} -j ACCEPT".split()),
        ("nat", f"POSTROUTING -s {subnet} ! -o {bridge} -j MASQUERADE".split()),
        ("filter", f"FORWARD -o {bridge} {accepted}".split()),
    ]


def _free_network() -> str:
    taken = call("ip", "-4", "route", "show").stdout + call("ip", "-4", "-o", "addr", "show").stdout
    used = {found[1] for found in re.finditer(r"(?:^|\s)(10\.199\.\d+)\.", taken)}
    for network in _NETWORKS:
        if network not in used:
            return network
    raise SetupError(
        Status.STEP_FAILED,
        "no addresses are left for the engine: this machine has a route or an address in each 10.199.N.0/24",
        "free one (ip route, ip addr), or use the default engine, without STAGEGRAPH_ENGINE_DIR",
    )


def _exists(table: str, rule: list[str]) -> bool:
    return call("iptables", "-w", "-t", table, "-C", *rule).returncode == 0


def _must(*command: str) -> None:
    done = call(*command)
    if done.returncode != 0:
        raise SetupError(Status.STEP_FAILED, f"failed: {' '.join(command)}", done.stderr.strip())
