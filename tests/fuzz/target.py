"""An endpoint with an established connection, whose reaction to each packet is measured."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from testbed.packet import mptcp
from testbed.packet.options import Option
from testbed.packet.segment import ACK, Segment
from testbed.stack.connection import Connected
from testbed.stack.mptcp.connection import MptcpConnection
from tests.fuzz.cost import GROUP, Cost, Meter
from tests.fuzz.world import BITS, World

_BUFFER = 4 << 20


class Target:
    """The endpoint under attack.

    :param meter: measures the packets.
    :param most: the most packets of an attack.
    :ivar answers: how many segments the endpoint has sent.
    """

    def __init__(self, meter: Meter | None = None, most: int = 1 << 32) -> None:
        self.meter = meter or Meter()
        self.answers = 0
        self._most = most
        self.world = World(buffer=_BUFFER)
        self.path = self.world.paths[0]
        self.keys = self.world.keys
        ack = mptcp.Dss(data_ack=self.keys.incoming.number(0))
        self.world.inject(self.path, ACK, self.path.next, self.path.expected, 0xFFFF, (ack,))

    @property
    def connection(self) -> MptcpConnection:
        """The connection that is attacked."""
        first = self.world.connections[0]
        assert isinstance(first, MptcpConnection)
        return first

    def packets(self, wanted: int) -> int:
        """Return how many packets an attack that wants this many has."""
        return min(wanted, self._most)

    def segment(
        self, flags: int, *options: Option, seq: int = 0, ack: int = 0, payload: bytes = b""
    ) -> Segment:
        """Return a segment of the connection; numbers count from the next ones."""
        return Segment(
            source=self.path.flow.remote,
            destination=self.path.flow.local,
            seq=(self.path.next + seq) & BITS,
            ack=(self.path.expected + ack) & BITS,
            flags=flags,
            window=0xFFFF,
            options=options,
            payload=payload,
        )

    def mapping(self, data: int, subflow: int, length: int, *, fin: bool = False) -> mptcp.Dss:
        """Return a mapping of a position of the subflow's stream to one of the data stream."""
        return mptcp.Dss(
            data_ack=self.keys.incoming.number(0),
            dsn=self.keys.outgoing.number(data),
            subflow_seq=(subflow + 1) & BITS,
            length=length + fin,
            data_fin=fin,
        )

    def end_both_streams(self) -> None:
        """Send DATA_FIN in both directions, and acknowledge ours."""
        self.connection.shutdown()
        self.world.pump()
        fin = mptcp.Dss(
            data_ack=self.keys.incoming.number(1),
            dsn=self.keys.outgoing.number(0),
            subflow_seq=0,
            length=1,
            data_fin=True,
        )
        self.take(self.segment(ACK, fin))

    def feed(self, segments: Iterable[Segment], *, tick_ns: int = 10_000, bound: int = 0) -> Cost:
        """Let segments arrive; return what one of them costs.

        :param bound: see :meth:`Meter.cost`.
        """
        coming = iter(segments)
        while group := list(itertools.islice(coming, GROUP)):
            with self.meter.group(len(group)):
                for segment in group:
                    self.take(segment, tick_ns)
        return self.meter.cost(bound)

    def take(self, segment: Segment, tick_ns: int = 10_000) -> None:
        """Let a segment arrive, and let the endpoint and its program answer."""
        endpoint, world = self.world.endpoint, self.world
        world.now += tick_ns
        endpoint.receive(segment, world.now)
        while sent := endpoint.segments_to_send(world.now):
            self.answers += len(sent)
        while (found := endpoint.next_event()) is not None:
            if isinstance(found[1], Connected):
                world.connections.append(found[0])

    def delivers(self) -> bool:
        """Return whether the attacked connection still takes data."""
        connection, path = self.connection, self.path
        before = connection.incoming.next
        position = (path.next - path.isn - 1) & BITS
        option = self.mapping(before, position, 4)
        self.world.inject(path, ACK, path.next, path.expected, 0xFFFF, (option,), b"live")
        return connection.incoming.next == before + 4 and connection.failure is None
