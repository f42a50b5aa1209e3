"""The names of hosts inside a network: the text of its hosts(5) file.  Pure."""

from __future__ import annotations

from collections.abc import Iterator

from testbed.topology.forwarding import host
from testbed.topology.model import Kind, Topology

LOCALHOST = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n"


def hosts_file(topology: Topology, own: str = "") -> str:
    """Return the file, with the names NODE and NODE-INTERFACE for each address of a node.

    The addresses of a name are in the order of the node's links, IPv4 first; getaddrinfo(3) prefers
    the reachable ones.

    :param own: the name of this machine, which programs also look up.
    """
    machine = (
        f"127.0.1.1 {own}\n" if own and not any(own == it.name for it in topology.nodes) else ""
    )
    return LOCALHOST + machine + "".join(_lines(topology))


def _lines(topology: Topology) -> Iterator[str]:
    for node in topology.nodes:
        if node.kind is not Kind.SWITCH:
            for interface in node.interfaces:
                for address in interface.addresses:
                    yield f"{host(address)} {node.name} {node.name}-{interface.name}\n"
