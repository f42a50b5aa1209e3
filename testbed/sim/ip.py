"""The IP layer of a node."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from typing import Protocol

import msgspec

from testbed.driver.device import Packet
from testbed.packet import codec
from testbed.packet.address import Flow
from testbed.packet.icmp import IcmpError, IcmpKind
from testbed.packet.segment import HOP_LIMIT, Segment
from testbed.sim.channel import Channel
from testbed.sim.frame import Frame
from testbed.sim.frames import size_of
from testbed.topology.forwarding import family_of
from testbed.topology.model import Family
from testbed.wire.netem import ETHERNET_HEADER


class Way(Protocol):
    """A route of a node."""

    @property
    def channel(self) -> Channel:
        """The direction of the link that leads away from the node."""

    @property
    def ethernet(self) -> bytes:
        """The Ethernet header of frames to the next node."""


class Routing(Protocol):
    """Looks up routes in the present network."""

    def ways(self, node: str, source: str, destination: str) -> Sequence[Way]:
        """Return the equal-cost routes of a packet at a node, or nothing."""


class Upper(Protocol):
    """The layer above IP."""

    def take(self, packet: Packet) -> None:
        """Process a packet for this node."""


class Ip:
    """Sends, receives and, on a router, forwards.

    :param forwards: the address families that the node forwards.
    """

    def __init__(
        self, node: str, routing: Routing, upper: Upper, *, forwards: Collection[Family]
    ) -> None:
        self._node = node
        self._routing = routing
        self._upper = upper
        self._forwards = forwards
        self._ways: dict[tuple[str, str], Sequence[Way]] = {}
        self._chosen: dict[tuple[str, int, str, int], int] = {}  # for each flow: a number
        self._own: tuple[str, ...] = ()

    def configure(self, own: Collection[str]) -> None:
        """Set the node's addresses, and forget cached routes."""
        self._own = tuple(own)
        self._ways.clear()

    def send(self, segment: Segment, now: int) -> None:
        """Send a segment of this node. Errors return through ``take``."""
        if segment.source.host in self._own:
            if segment.ext is not None:  # such a segment is for this node only
                segment = msgspec.structs.replace(segment, ext=None)
            self._output(segment, segment.source.host, segment.destination.host, now)

    def arrive(self, frame: Frame, now: int) -> None:
        """Process a frame from a link."""
        if frame.broken is not None:
            return
        if frame.source in self._own and family_of(frame.source) is Family.IPV4:
            return  # a martian: RFC 1812, section 5.3.7
        if frame.destination in self._own:
            self._upper.take(frame.packet)
        elif family_of(frame.destination) in self._forwards:
            self._forward(frame, now)

    def _output(self, packet: Packet, source: str, destination: str, now: int) -> None:
        if destination in self._own:
            self._upper.take(packet)
            return
        way = self._way(packet, source, destination)
        if way is None:
            self._refuse(packet, IcmpKind.UNREACHABLE, now)
            return
        hops = packet.hop_limit if isinstance(packet, Segment) else HOP_LIMIT
        for piece in _pieces(packet, way.channel):
            frame = Frame(piece, size_of(piece), source, destination, way.ethernet, hops)
            self._transmit(frame, way.channel, now)

    def _forward(self, frame: Frame, now: int) -> None:
        packet = frame.packet
        addresses = frame.source, frame.destination
        way = self._way(packet, *addresses)
        if frame.hops <= 1:
            self._refuse(packet, IcmpKind.TIME_EXCEEDED, now)
        elif way is None:
            self._refuse(packet, IcmpKind.UNREACHABLE, now)
        else:
            for piece in _pieces(packet, way.channel):
                size = frame.size if piece is packet else size_of(piece)
                self._transmit(
                    Frame(piece, size, *addresses, way.ethernet, frame.hops - 1), way.channel, now
                )

    def _transmit(self, frame: Frame, channel: Channel, now: int) -> None:
        if frame.size - ETHERNET_HEADER > channel.mtu and not channel.offload:
            self._refuse(frame.packet, IcmpKind.TOO_BIG, now, mtu=channel.mtu)
        else:
            channel.send(frame, now)

    def _refuse(self, packet: Packet, kind: IcmpKind, now: int, mtu: int = 0) -> None:
        """Send an ICMP error to the sender, unless the packet is one (RFC 1122, section 3.2.2)."""
        if isinstance(packet, Segment):
            flow = Flow(packet.source, packet.destination)
            error = IcmpError(kind=kind, flow=flow, seq=packet.seq, mtu=mtu)
            source = self._address(ipv6=":" in packet.source.host)
            if source is not None:
                self._output(error, source, packet.source.host, now)

    def _address(self, *, ipv6: bool) -> str | None:
        return next((each for each in self._own if (":" in each) is ipv6), None)

    def _way(self, packet: Packet, source: str, destination: str) -> Way | None:
        key = source, destination
        try:
            ways = self._ways[key]
        except KeyError:
            ways = self._ways[key] = self._routing.ways(self._node, source, destination)
        if len(ways) > 1:
            return ways[self._number(packet, source, destination) % len(ways)]
        return ways[0] if ways else None

    def _number(self, packet: Packet, source: str, destination: str) -> int:
        """Return the ECMP hash of the node and the flow."""
        ports = (0, 0)
        if isinstance(packet, Segment):
            ports = packet.source.port, packet.destination.port
        flow = source, ports[0], destination, ports[1]
        if flow not in self._chosen:
            text = f"{self._node} {flow}".encode()
            self._chosen[flow] = int.from_bytes(hashlib.blake2b(text, digest_size=4).digest())
        return self._chosen[flow]


def _pieces(packet: Packet, channel: Channel) -> Iterable[Packet]:
    """Split a packet for a link without offload."""
    if isinstance(packet, Segment) and packet.gso_size and not channel.offload:
        return codec.split(packet)
    return (packet,)
