"""Switches: frames take the shortest way to their destination interface."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from testbed.sim.channel import Channel
from testbed.sim.frame import Frame
from testbed.sim.frames import mac_octets
from testbed.topology.model import Interface, Kind, Topology
from testbed.wire.netem import ETHERNET_HEADER

Place = tuple[str, str]  # an interface: node and name
Table = Mapping[bytes, Place]
Port = tuple[Place, Interface]  # a port of a bridge, and the interface at the other end of its link


class Bridge:
    """Forwards frames.

    :param table: for each MAC address, the port of the bridge towards it.
    :param away: returns the direction of a link that leads away from an interface.
    """

    def __init__(self, table: Table, away: Mapping[Place, Channel]) -> None:
        self._table = table
        self._away = away

    def arrive(self, frame: Frame, now: int) -> None:
        """Forward a frame from a link; drop it, as in Linux, if it exceeds the next MTU."""
        port = self._table.get(frame.ethernet[:6])
        if port is None:
            return
        channel = self._away[port]
        if channel.offload or frame.size - ETHERNET_HEADER <= channel.mtu:
            channel.send(frame, now)


def bridge_tables(topology: Topology) -> dict[str, Table]:
    """Return the forwarding table of each switch in a network without loops."""
    switches = [node.name for node in topology.nodes if node.kind is Kind.SWITCH]
    ports: dict[str, list[Port]] = {name: [] for name in switches}
    for link in topology.links:
        for near, far in ((link.a, link.b), (link.b, link.a)):
            if near.node in ports:
                ports[near.node].append(((near.node, near.name), far))
    return {name: _table(name, ports) for name in switches}


def _table(start: str, ports: Mapping[str, list[Port]]) -> Table:
    """Search breadth first from a switch."""
    table: dict[bytes, Place] = {}
    seen = {start}
    queue = deque(ports[start])
    while queue:
        first, far = queue.popleft()
        if far.node not in ports:
            table.setdefault(mac_octets(far.mac), first)
        elif far.node not in seen:
            seen.add(far.node)
            queue.extend((first, beyond) for _, beyond in ports[far.node])
    return table
