"""A simulated network whose hosts only note what arrives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from testbed import document
from testbed.packet.address import Address
from testbed.packet.icmp import IcmpError
from testbed.packet.segment import ACK, Segment
from testbed.sim.loop import VirtualLoop
from testbed.sim.network import Network
from testbed.stack.mptcp.local_network import LocalNetwork
from testbed.topology.model import Node, Topology
from testbed.topology.resolve import resolve
from testbed.topology.spec import TopologySpec


class NotingEndpoint:
    """Sends what the test gives it, and notes what comes and when."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.outgoing: list[Segment] = []
        self.arrived: list[tuple[int, Segment]] = []
        self.errors: list[IcmpError] = []
        self.told: list[tuple[str, str]] = []

    def receive(self, segment: Segment, now: int) -> None:
        self.arrived.append((now, segment))

    def receive_icmp(self, error: IcmpError, now: int) -> None:
        self.errors.append(error)

    def handle_timer(self, now: int) -> None:
        raise AssertionError("there is no timer")

    def next_timer(self) -> None:
        return None

    def segments_to_send(self, now: int) -> Sequence[Segment]:
        outgoing, self.outgoing = self.outgoing, []
        return outgoing

    def next_event(self) -> None:
        return None

    def address_added(self, host: str, now: int) -> None:
        self.told.append(("added", host))

    def address_removed(self, host: str, now: int) -> None:
        self.told.append(("removed", host))

    def carrier_lost(self, host: str, now: int) -> None:
        self.told.append(("silent", host))

    def carrier_returned(self, host: str, now: int) -> None:
        self.told.append(("heard", host))


class Laboratory:
    """A network, its clock, and shorthands."""

    def __init__(self, topology: Topology, seed: int = 0) -> None:
        self.topology = topology
        self.loop = VirtualLoop()
        self.network = Network(topology, self._endpoint, loop=self.loop, seed=seed)

    def _endpoint(self, node: Node, random: Random, local: LocalNetwork) -> Any:
        return NotingEndpoint(node)

    def at(self, node: str) -> NotingEndpoint:
        endpoint: Any = self.network.hosts[node].endpoint
        return endpoint

    def address(self, node: str, link: str, *, ipv6: bool = False) -> str:
        for interface in self.topology.node(node).interfaces:
            if interface.link == link:
                return next(a for a in interface.addresses if (":" in a) is ipv6).split("/")[0]
        raise KeyError(link)

    def segment(self, source: str, destination: str, **fields: Any) -> Segment:
        values: dict[str, Any] = {"seq": 0, "flags": ACK, **fields}
        return Segment(source=Address(source, 1000), destination=Address(destination, 80), **values)

    def send(self, node: str, *segments: Segment) -> None:
        self.at(node).outgoing += segments
        self.network.hosts[node].wake()

    def run(self, seconds: float = 1.0) -> None:
        self.loop.advance(seconds)

    def payloads(self, node: str) -> list[bytes]:
        return [segment.payload for _, segment in self.at(node).arrived]


@pytest.fixture
def laboratory() -> Iterator[Any]:
    """Build a network from a topology written out as YAML values, or from a file of ours."""
    made: list[Laboratory] = []

    def build(spec: dict[str, Any] | str, seed: int = 0) -> Laboratory:
        if isinstance(spec, str):
            raw = document.load(Path("topologies") / f"{spec}.yaml", TopologySpec)
        else:
            raw = document.convert(spec, TopologySpec, document.Positions({}), "test")
        made.append(Laboratory(resolve(raw), seed))
        return made[-1]

    yield build
    for each in made:
        each.loop.close()
