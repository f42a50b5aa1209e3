"""The hosts file of a network."""

from __future__ import annotations

from testbed.topology.load import loads_topology
from testbed.topology.names import hosts_file
from testbed.topology.resolve import resolve


def test_each_address_has_the_names_of_its_node_and_interface() -> None:
    topology = resolve(
        loads_topology(
            "nodes: {client: {}, lan: {kind: switch}, server: {}}\n"
            "links: {up: {between: [client, lan]}, down: {between: [lan, server]}}\n"
        )
    )
    lines = hosts_file(topology, "machine").splitlines()
    assert lines == [
        "127.0.0.1 localhost",
        "::1 localhost ip6-localhost ip6-loopback",
        "127.0.1.1 machine",
        "10.0.1.1 client client-up",
        "fd00:0:0:1::1 client client-up",
        "10.0.1.2 server server-down",
        "fd00:0:0:1::2 server server-down",
    ]
    assert "127.0.1.1" not in hosts_file(topology, "server")
