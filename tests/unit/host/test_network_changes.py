"""Messages of the kernel about interfaces and addresses."""

from __future__ import annotations

import contextlib
import select
import socket
import subprocess

import pytest

from testbed.driver.device import Change
from testbed.host.devices.network import Network
from testbed.packet.address import Address
from tests.isolation import isolated

A, B = "10.9.0.1", "10.9.1.1"


def ip(command: str) -> None:
    subprocess.run(["ip", *command.split()], check=True)


def after(network: Network, seen: list[Change], *commands: str) -> Change:
    """Return the reported changes for some commands."""
    seen.clear()
    for command in commands:
        ip(command)
    while not seen:
        ready, _, _ = select.select([network], [], [], 10)
        assert ready, "the kernel tells nothing"
        network.handle_events()
    (change,) = seen
    return change


def none(**told: str) -> Change:
    return Change(**{name: (host,) for name, host in told.items()})


@pytest.mark.sandbox
@isolated
def test_an_address_counts_while_it_is_there_with_or_without_a_carrier() -> None:
    ip("link add v0 type veth peer name v1")
    ip("link set v0 addrgenmode none")
    ip("link set v0 up")
    ip(f"address add {A}/24 dev v0")
    seen: list[Change] = []
    with contextlib.closing(Network(seen.append, lambda: None)) as network:
        assert network.is_local(A)  # another interface may bring packets for it
        assert list(network.hosts) == [A]
        assert after(network, seen, "link set v1 up") == none(heard=A)
        assert after(network, seen, "link set v1 down") == none(silent=A)
        assert after(network, seen, f"address add {B}/24 dev v0") == none(added=B)
        assert after(network, seen, f"address del {A}/24 dev v0") == none(removed=A)
        assert not network.is_local(A)


@pytest.mark.sandbox
@isolated
def test_a_subflow_may_be_bound_to_an_interface() -> None:
    """As a socket's, its packets leave there, though routing would take another way."""
    for number, name in enumerate(("v", "w")):
        ip(f"link add {name}0 type veth peer name {name}1")
        for end in (f"{name}0", f"{name}1"):
            ip(f"link set {end} up")
        ip(f"address add 10.9.{number}.1/24 dev {name}0")
        ip(f"neighbour add 10.9.0.2 lladdr 02:00:00:00:00:0{number + 1} dev {name}0")
    with contextlib.closing(Network(lambda _: None, lambda: None)) as network:
        index = {name: number for number, name in socket.if_nameindex()}
        bound, free = Address(B, 1000), Address(B, 1001)
        network.bind_hosts({B: index["w0"]})
        network.bind(bound)
        names = [network.path(local, "10.9.0.2").interface.name for local in (bound, free)]
        assert names == ["w0", "v0"]
        network.unbind(bound)
        assert network.path(bound, "10.9.0.2").interface.name == "v0"


@pytest.mark.requirement("RFC 9293", "MUST-44")
@pytest.mark.sandbox
@isolated
def test_the_source_of_a_connection_is_that_of_the_route() -> None:
    """RFC 9293, MUST-44: without a local address, IP chooses one."""
    ip("link add v0 type veth peer name v1")
    ip("link set v1 up")
    ip("link set v0 up")
    ip(f"address add {A}/24 dev v0")
    ip(f"address add {B}/24 dev v0")
    ip(f"route add 192.0.2.0/24 dev v0 src {B}")
    with contextlib.closing(Network(lambda _: None, lambda: None)) as network:
        assert network.source_for("10.9.0.2") == A
        assert network.source_for("192.0.2.1") == B
        assert network.source_for("198.51.100.1") is None
