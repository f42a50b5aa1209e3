"""Two hosts with several paths between them, on a clock that jumps from event to event."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from testbed.packet.address import Address, Flow
from testbed.packet.codec import emit, parse, split
from testbed.packet.icmp import IcmpError, IcmpKind
from testbed.packet.segment import Segment
from testbed.stack.connection import Closed, Connected, Connection, Event
from testbed.stack.mptcp.config import MptcpConfig
from testbed.stack.mptcp.connection import MptcpConnection
from testbed.stack.mptcp.endpoint import MptcpEndpoint
from testbed.stack.mptcp.path_manager.base import PathEndpoint

from .recorder import Recorder

MS = 1_000_000
S = 1_000_000_000

Filter = Callable[[Segment], Sequence[Segment]]


class Path:
    """One direction between two addresses."""

    def __init__(self, delay_ns: int, rate: int | None, loss: float) -> None:
        self.delay_ns = delay_ns
        self.rate = rate  # bit/s
        self.loss = loss
        self.limit_ns = 200 * MS  # limit of the queue
        self.up = True
        self.filter: Filter | None = None
        self.free_ns = 0


class Host:
    """An endpoint, what happened at it, and what its application does."""

    def __init__(self, network: Network, addresses: Sequence[str], config: MptcpConfig) -> None:
        self.hosts = list(addresses)
        self.network = network
        self.tracer = Recorder()
        self.endpoint = MptcpEndpoint(
            config,
            random.Random(addresses[0]),
            b"secret of " + addresses[0].encode(),
            self,
            tracer=self.tracer,
        )
        self.connections: list[Connection] = []
        self.events: list[tuple[Connection, Event]] = []
        self.received: dict[Connection, bytearray] = {}
        self.to_send: dict[Connection, bytes] = {}
        self.closes: set[Connection] = set()
        self.reads = True
        self._port = 50_000

    def source_for(self, remote_host: str) -> str | None:
        """Return our address on the path to another."""
        return next(
            (a for a, b in self.network.paths if b == remote_host and a in self.hosts), None
        )

    def port_for(self, local_host: str, remote: Address) -> int:
        """Return an unused port."""
        assert local_host in self.hosts
        assert remote.port
        self._port += 1
        return self._port

    def release_port(self, local: Address) -> None:
        """Forget it."""
        assert local.port <= self._port

    def send(self, connection: Connection, data: bytes, *, close: bool = True) -> None:
        """Send all of it, and close the sending side after that."""
        self.to_send[connection] = data
        if close:
            self.closes.add(connection)

    def failure(self, connection: Connection) -> str | None:
        """Return how a connection ended: ``None`` if it has not, ``""`` if in order."""
        for found, event in self.events:
            if found is connection and isinstance(event, Closed):
                return str(event.failure) if event.failure else ""
        return None

    def work(self) -> bool:
        """Do what the application would; tell whether anything had happened."""
        before = len(self.events)
        while (found := self.endpoint.next_event()) is not None:
            connection, event = found
            self.events.append(found)
            if isinstance(event, Connected):
                self.connections.append(connection)
        for connection in self.connections:
            if self.reads and (data := connection.read(1 << 20)):
                self.received.setdefault(connection, bytearray()).extend(data)
            if connection.closed:
                continue
            if rest := self.to_send.get(connection):
                self.to_send[connection] = rest[connection.send(rest) :]
            elif connection in self.closes:
                self.closes.discard(connection)
                connection.shutdown()
        return len(self.events) > before


class Network:
    """Both hosts and the paths between them.

    :param server: options that only the server has.
    """

    def __init__(
        self,
        paths: int,
        *,
        seed: int = 1,
        family: int = 4,
        server: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        self.now = 0
        self.random = random.Random(seed)
        self.sent: list[Segment] = []
        text = "10.0.{}.{}" if family == 4 else "fd00:0:0:{}::{}"
        client = [text.format(number, 1) for number in range(1, paths + 1)]
        hosts = [text.format(number, 2) for number in range(1, paths + 1)]
        self.paths: dict[tuple[str, str], Path] = {}
        for a, b in zip(client, hosts, strict=True):
            for pair in ((a, b), (b, a)):
                self.paths[pair] = Path(10 * MS, 20_000_000, 0.0)
        config = MptcpConfig(**options)
        self.client = Host(self, client, _with(config, client, "subflow"))
        config = msgspec.structs.replace(config, **(server or {}))
        self.server = Host(self, hosts, _with(config, hosts, "signal"))
        self._heap: list[tuple[int, int, Host, Segment]] = []
        self._count = 0
        self._port = 40_000

    def path(self, number: int) -> tuple[Path, Path]:
        """Return both directions of a path, counted from 0."""
        pair = self.client.hosts[number], self.server.hosts[number]
        return self.paths[pair], self.paths[pair[::-1]]

    def connect(self, port: int = 80, data: bytes = b"") -> MptcpConnection:
        """Open a connection over the first path."""
        self._port += 1
        flow = Flow(Address(self.client.hosts[0], self._port), Address(self.server.hosts[0], port))
        return self.client.endpoint.connect(flow, self.now, data=data)

    def make_known(self) -> None:
        """Give the client a cookie of the server for TCP Fast Open."""
        flow = Flow(Address(self.client.hosts[0], 1), Address(self.server.hosts[0], 1))
        cookie = self.server.endpoint.tcp._open_ports._grants.grant(Flow(flow.remote, flow.local))
        self.client.endpoint.tcp._servers.answered(flow, cookie, 1460)

    def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        """Let time pass, at most so much, and at most until something is true."""
        end = self.now + int(seconds * S)
        while not until():
            self._pump()
            times = [host.endpoint.next_timer() for host in (self.client, self.server)]
            times.append(self._heap[0][0] if self._heap else None)
            now = min((time for time in times if time is not None), default=end)
            if now >= end:
                self.now = end
                break
            self.now = max(self.now, now)
            while self._heap and self._heap[0][0] <= self.now:
                _, _, host, segment = heapq.heappop(self._heap)
                host.endpoint.receive(segment, self.now)
                host.work()
            for host in (self.client, self.server):
                host.endpoint.handle_timer(self.now)
        self._pump()

    def _pump(self) -> None:
        busy = True
        while busy:
            busy = False
            for host in (self.client, self.server):
                host.work()
                for segment in host.endpoint.segments_to_send(self.now):
                    busy = True
                    for piece in split(segment):
                        self._carry(host, msgspec.structs.replace(piece, ext=None))
                busy |= host.work()

    def _carry(self, host: Host, segment: Segment) -> None:
        self.sent.append(segment)
        path = self.paths.get((segment.source.host, segment.destination.host))
        if path is None:
            flow = Flow(segment.source, segment.destination)
            error = IcmpError(kind=IcmpKind.UNREACHABLE, flow=flow, seq=segment.seq)
            host.endpoint.receive_icmp(error, self.now)
            return
        if not path.up or self.random.random() < path.loss:
            return
        other = self.server if host is self.client else self.client
        for one in path.filter(segment) if path.filter else (segment,):
            octets = emit(one)
            arrival = max(self.now, path.free_ns)
            if path.rate:
                if arrival > self.now + path.limit_ns:
                    continue
                path.free_ns = arrival = arrival + len(octets) * 8 * S // path.rate
            self._count += 1
            item = (arrival + path.delay_ns, self._count, other, parse(octets))
            heapq.heappush(self._heap, item)


def _with(config: MptcpConfig, hosts: Sequence[str], flag: str) -> MptcpConfig:
    if config.endpoints:
        return config
    endpoints = tuple(
        PathEndpoint(host=host, id=number, **{flag: True}) for number, host in enumerate(hosts, 1)
    )
    return msgspec.structs.replace(config, endpoints=endpoints)
