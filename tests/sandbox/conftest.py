"""Small plans, written by hand, for the tests of the sandbox."""

from __future__ import annotations

import types

import pytest

from testbed.topology.model import Neighbour
from testbed.topology.operations import (
    WIRE,
    AddAddress,
    AddNamespace,
    AddNeighbour,
    AddVeth,
    AddWire,
    AnyOperation,
    VethEnd,
)
from testbed.wire.netem import Netem

MACS = {"client": "02:00:00:00:00:01", "server": "02:00:00:00:00:02"}
ADDRESSES = {"client": "10.0.0.1", "server": "10.0.0.2"}


def direct(*, offload: bool = False) -> list[AnyOperation]:
    """Client and server, joined by one veth pair called eth0 at both."""
    return [
        AddNamespace(namespace="client"),
        AddNamespace(namespace="server"),
        AddVeth(a=_end("client", offload=offload), b=_end("server", offload=offload)),
        *_addresses(),
    ]


def wired(
    toward_server: str = "", toward_client: str = "", engine: str = "emulator"
) -> list[AnyOperation]:
    """Client and server, joined by the wire "link"; side b is the server's."""
    return [
        AddNamespace(namespace="client"),
        AddNamespace(namespace="server"),
        *(
            AddVeth(
                a=_end(node),
                b=VethEnd(
                    namespace=WIRE, interface=f"w0{side}", mac=f"06:00:00:00:00:0{side}", mtu=1500
                ),
            )
            for node, side in (("client", "a"), ("server", "b"))
        ),
        *_addresses(),
        AddWire(
            link="link",
            a="w0a",
            b="w0b",
            mtu=1500,
            toward_b=Netem.parse(toward_server),
            toward_a=Netem.parse(toward_client),
            engine=engine,
        ),
    ]


def _end(node: str, *, offload: bool = False) -> VethEnd:
    return VethEnd(namespace=node, interface="eth0", mac=MACS[node], mtu=1500, offload=offload)


def _addresses() -> list[AnyOperation]:
    operations: list[AnyOperation] = []
    for node, peer in (("client", "server"), ("server", "client")):
        operations += [
            AddAddress(namespace=node, interface="eth0", address=f"{ADDRESSES[node]}/24"),
            AddNeighbour(
                namespace=node,
                neighbour=Neighbour(interface="eth0", address=ADDRESSES[peer], mac=MACS[peer]),
            ),
        ]
    return operations


@pytest.fixture(scope="session")
def plans() -> types.SimpleNamespace:
    """``direct()`` and ``wired()`` return operations for a client and a server."""
    return types.SimpleNamespace(direct=direct, wired=wired, addresses=ADDRESSES)
