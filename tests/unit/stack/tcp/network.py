"""A network for tests: two endpoints, virtual time, and a wire with configured faults."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable

from testbed.packet.address import Address, Flow
from testbed.packet.codec import split
from testbed.packet.segment import Segment
from testbed.stack.connection import Closed, Connected, Event
from testbed.stack.tcp.config import TcpConfig
from testbed.stack.tcp.connection import TcpConnection
from testbed.stack.tcp.endpoint import TcpEndpoint
from testbed.stack.tcp.extension import Acceptor, Extension

from .riding import RIDING

MS = 1_000_000
SECOND = 1_000_000_000
CLIENT = Address("10.0.0.1", 40000)
SERVER = Address("10.0.0.2", 80)
FLOW = Flow(CLIENT, SERVER)

Filter = Callable[[Segment], bool]  # whether a segment gets through


class Network:
    """Two endpoints and a wire between them.

    :param delay: one way, nanoseconds; ``jitter`` is added at random and so reorders.
    :param loss: probability that a segment vanishes; ``duplication`` that it comes twice.
    :param keep: further segments are dropped if this says so; it sees each segment once.
    """

    def __init__(
        self,
        config: TcpConfig | None = None,
        server_config: TcpConfig | None = None,
        *,
        seed: int = 1,
        delay: int = 10 * MS,
        jitter: int = 0,
        loss: float = 0.0,
        duplication: float = 0.0,
        rate: int = 0,
        queue: int = 100,
        keep: Filter | None = None,
    ) -> None:
        self.rng = random.Random(seed)
        config = config or TcpConfig()
        self.client = TcpEndpoint(config, b"c" * 16)
        self.server = TcpEndpoint(server_config or config, b"s" * 16)
        self.now = SECOND
        self.delay, self.jitter, self.loss = delay, jitter, loss
        self.duplication, self.rate, self.queue = duplication, rate, queue
        self.keep = keep
        self.transcript: list[tuple[int, Segment]] = []
        self.events: dict[TcpEndpoint, list[tuple[TcpConnection, Event]]] = {
            self.client: [],
            self.server: [],
        }
        self.on_event: Callable[[TcpEndpoint, TcpConnection, Event], None] | None = None
        self._wire: list[tuple[int, int, TcpEndpoint, Segment]] = []
        self._count = 0
        self._free_at = {self.client: 0, self.server: 0}

    def step(self) -> bool:
        """Go on to the next thing that happens; ``False`` if nothing will."""
        self.flush()
        times = [
            time
            for time in (
                self._wire[0][0] if self._wire else None,
                self.client.next_timer(),
                self.server.next_timer(),
            )
            if time is not None
        ]
        if not times:
            return False
        self.now = max(self.now, min(times))
        while self._wire and self._wire[0][0] <= self.now:
            _, _, endpoint, segment = heapq.heappop(self._wire)
            endpoint.receive(segment, self.now)
        for endpoint in (self.client, self.server):
            timer = endpoint.next_timer()
            if timer is not None and timer <= self.now:
                endpoint.handle_timer(self.now)
        self.flush()
        return True

    def run(self, until: Callable[[], bool] | None = None, limit: int = 3600 * SECOND) -> None:
        """Go on until something is true, nothing happens any more, or time is up."""
        end = self.now + limit
        while not (until and until()):
            if not self.step():
                assert until is None, "nothing happens any more"
                return
            assert self.now <= end or until is None, "it takes too long"
            if self.now > end:
                return

    def run_for(self, duration: int) -> None:
        """Go on for a time."""
        end = self.now + duration
        self.flush()
        while True:
            times = [time for time in (self.client.next_timer(), self.server.next_timer()) if time]
            times += [self._wire[0][0]] if self._wire else []
            if not times or min(times) > end:
                break
            self.step()
        self.now = end

    def flush(self) -> None:
        """Put on the wire what can leave, and take events."""
        progress = True
        while progress:
            progress = False
            for endpoint, peer in ((self.client, self.server), (self.server, self.client)):
                for segment in endpoint.segments_to_send(self.now):
                    progress = True
                    for piece in split(segment):
                        self._transmit(piece, endpoint, peer)
                while (found := endpoint.next_event()) is not None:
                    progress = True
                    self.events[endpoint].append(found)
                    if self.on_event is not None:
                        self.on_event(endpoint, *found)

    def _transmit(self, segment: Segment, source: TcpEndpoint, peer: TcpEndpoint) -> None:
        self.transcript.append((self.now, segment))
        RIDING.transcript.append(f"{self.now} {segment}")
        if self.keep is not None and not self.keep(segment):
            return
        for _ in range(2 if self.rng.random() < self.duplication else 1):
            if self.rng.random() < self.loss:
                continue
            at = self.now
            if self.rate:
                duration = (len(segment.payload) + 66) * 8 * SECOND // self.rate
                if self._free_at[source] > at + self.queue * 1514 * 8 * SECOND // self.rate:
                    continue  # the queue is full
                at = self._free_at[source] = max(at, self._free_at[source]) + duration
            at += self.delay + (self.rng.randrange(self.jitter) if self.jitter else 0)
            self._count += 1
            heapq.heappush(self._wire, (at, self._count, peer, segment))

    def connect(
        self,
        extension: Extension | None = None,
        acceptor: Acceptor | None = None,
        flow: Flow = FLOW,
    ) -> tuple[TcpConnection, TcpConnection]:
        """Open a connection and return its client and its server side."""
        self.server.listen(flow.remote, acceptor or RIDING.acceptor())
        client = self.client.connect(flow, self.now, extension or RIDING.extension())
        self.run(lambda: bool(self.of(client, Connected)) and self.accepted(flow) is not None)
        server = self.accepted(flow)
        assert server is not None
        return client, server

    def accepted(self, flow: Flow = FLOW) -> TcpConnection | None:
        """Return the server's side of a connection once it is established."""
        for connection, event in self.events[self.server]:
            if isinstance(event, Connected) and connection.flow.remote == flow.local:
                return connection
        return None

    def of(self, connection: TcpConnection, kind: type[Event]) -> list[Event]:
        """Return the events of a kind that a connection has reported."""
        return [
            event
            for events in self.events.values()
            for source, event in events
            if source is connection and isinstance(event, kind)
        ]

    def ended(self, connection: TcpConnection) -> Closed | None:
        """Return a connection's last event."""
        found = self.of(connection, Closed)
        assert len(found) <= 1
        return found[0] if found else None  # type: ignore[return-value]


class Pump:
    """An application: sends all it has, reads all there is, then closes."""

    def __init__(self, network: Network, connection: TcpConnection, data: bytes) -> None:
        self.connection = connection
        self.data = data
        self.sent = 0
        self.received = bytearray()
        self._network = network

    def work(self) -> None:
        """Do what can be done now."""
        while self.sent < len(self.data) and not self.connection.closed:
            taken = self.connection.send(self.data[self.sent : self.sent + 65536])
            if not taken:
                break
            self.sent += taken
        if self.sent == len(self.data):
            self.connection.shutdown()
        while data := self.connection.read(1 << 20):
            self.received += data


def transfer(
    network: Network, there: bytes, back: bytes = b"", limit: int = 3600 * SECOND
) -> tuple[Pump, Pump]:
    """Send octets both ways at once over a new connection, and wait until both ends are closed."""
    client, server = network.connect()
    pumps = Pump(network, client, there), Pump(network, server, back)

    def done() -> bool:
        for pump in pumps:
            pump.work()
        network.flush()
        return all(pump.connection.at_eof and pump.connection.idle for pump in pumps)

    network.run(done, limit)
    return pumps
