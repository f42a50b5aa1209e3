"""The names of hosts inside a network: the text of its hosts(5) file.  Pure."""

from __future__ import annotations

from collections.abc import Iterator

from testbed.topology.forwarding import host
from testbed.topology.model import Kind, Topology

LOCALHOST = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n"


def hosts_file(topology: Topology, own: str = "") -> str:
    """Return the file: each address of a node by NODE and by NODE-INTERFACE.

    A name has the addresses in the order of the node's links, IPv4 first; getaddrinfo(3) prefers
    those that can be reached.

    :param own: the name of this machine, which programs look up, too.
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
