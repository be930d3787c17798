"""The network of an engine in its own folder."""

from __future__ import annotations

import pytest
from fake_machine import Machine

from stagegraph.host import network
from stagegraph.host.messages import SetupError, Status

pytestmark = pytest.mark.unit

ROUTE, SHOW = "'-4 route show'", "'-4 -o addr show'"


def shows(machine: Machine, routes: str = "", addresses: str = "", bridge: str = "") -> None:
    """Set what ``ip`` prints about the machine and the bridge sg-1. Without text, there is no bridge."""
    for name, text in {"routes": routes, "addresses": addresses, "bridge": bridge}.items():
        (machine.folder / name).write_text(text)
    own = f"cat {machine.folder}/bridge; test -s {machine.folder}/bridge"
    machine.stub(
        "ip",
        f'case "$*" in\n{ROUTE}) cat {machine.folder}/routes ;;\n{SHOW}) cat {machine.folder}/addresses ;;\n'
        f"*'show dev sg-1') {own} ;;\nesac",
    )
    machine.stub("iptables", "case \"$*\" in *' -C '*) exit 1 ;; esac")


def changes(machine: Machine) -> list[str]:
    return [call for call in machine.calls if " show" not in call and " -C " not in call]


def test_a_bridge_and_its_rules_are_created(machine: Machine) -> None:
    shows(machine)
    network.create("sg-1")
    assert changes(machine) == [
        "ip link add sg-1 type bridge",
        "ip addr add 10.199.0.1/24 dev sg-1",
        "ip link set sg-1 up",
        "iptables -w -t filter -I FORWARD -i sg-1 -j ACCEPT",
        "iptables -w -t nat -I POSTROUTING -s 10.199.0.0/24 ! -o sg-1 -j MASQUERADE",
        "iptables -w -t filter -I FORWARD -o sg-1 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
    ]


def test_a_bridge_that_exists_keeps_its_addresses(machine: Machine) -> None:
    shows(machine, bridge="7: sg-1    inet 10.199.42.1/24 scope global sg-1\n")
    machine.stub("iptables")  # the rules exist
    network.create("sg-1")
    assert changes(machine) == ["ip link set sg-1 up"]


def test_a_bridge_and_its_rules_are_removed(machine: Machine) -> None:
    shows(machine)
    network.remove("sg-1")
    assert changes(machine) == []
    shows(machine, bridge="7: sg-1    inet 10.199.42.1/24 scope global sg-1\n")
    machine.stub("iptables")
    network.remove("sg-1")
    assert [call.split()[4] for call in changes(machine)[:3]] == ["-D", "-D", "-D"]
    assert changes(machine)[-1] == "ip link delete sg-1"


@pytest.mark.parametrize(
    "line",
    [
        "10.199.0.0/24 via 192.0.2.1 dev eth0",
        "blackhole 10.199.0.0/24",
        "10.199.0.7 dev tun0",
        "10.199.1.0/24 dev other scope link src 10.199.0.1",
    ],
)
def test_addresses_of_a_route_are_not_used(machine: Machine, line: str) -> None:
    shows(machine, routes=f"{line}\n")
    network.create("sg-1")
    expected = "10.199.2" if "199.1" in line else "10.199.1"
    assert f"ip addr add {expected}.1/24 dev sg-1" in machine.calls


def test_the_network_of_an_address_is_not_used(machine: Machine) -> None:
    shows(machine, routes="110.199.0.0/24 dev x\n", addresses="3: x    inet 10.199.0.9/32 scope global x\n")
    network.create("sg-1")
    assert "ip addr add 10.199.1.1/24 dev sg-1" in machine.calls


def test_having_no_addresses_left_is_an_error(machine: Machine) -> None:
    shows(machine, routes="".join(f"10.199.{n}.0/24 via 192.0.2.1 dev eth0\n" for n in range(256)))
    with pytest.raises(SetupError, match="no addresses are left") as caught:
        network.create("sg-1")
    assert caught.value.status is Status.STEP_FAILED and changes(machine) == []


def test_a_call_that_fails_is_named(machine: Machine) -> None:
    machine.stub("ip", "test \"$2\" != add || { echo 'Operation not permitted' >&2; exit 2; }")
    with pytest.raises(SetupError) as caught:
        network.create("sg-1")
    assert caught.value.lines == ("failed: ip link add sg-1 type bridge", "Operation not permitted")
