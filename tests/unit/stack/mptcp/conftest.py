"""Two hosts with several paths between them, on a clock that jumps from event to event."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest

from testbed.stack.connection import Closed, Connected, Connection, Event
from testbed.stack.mptcp import crypto
from testbed.stack.mptcp.config import MptcpConfig
from testbed.stack.mptcp.connection import MptcpConnection
from testbed.stack.mptcp.endpoint import MptcpEndpoint
from testbed.stack.mptcp.keys import Keys
from testbed.stack.mptcp.path_manager import PathEndpoint
from testbed.stack.packet.address import Address, Flow
from testbed.stack.packet.codec import emit, parse, split
from testbed.stack.packet.icmp import IcmpError, IcmpKind
from testbed.stack.packet.mptcp import Dss, MpCapable, MpJoinAck, MpJoinSyn, MpJoinSynAck
from testbed.stack.packet.options import MaximumSegmentSize, Option, find
from testbed.stack.packet.segment import ACK, FIN, SYN, Segment
from testbed.stack.tcp.config import TcpConfig

MS = 1_000_000
S = 1_000_000_000

Filter = Callable[[Segment], Sequence[Segment]]


class Path:
    """One direction between two addresses."""

    def __init__(self, delay_ns: int, rate: int | None, loss: float) -> None:
        self.delay_ns = delay_ns
        self.rate = rate  # bit/s
        self.loss = loss
        self.limit_ns = 200 * MS  # of queue
        self.up = True
        self.filter: Filter | None = None
        self.free_ns = 0


class Recorder:
    """Keeps the names of events."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def event(self, name: str, now: int, fields: dict[str, Any]) -> None:
        assert now >= 0
        self.events.append((name, fields))

    def count(self, name: str) -> int:
        return sum(found == name for found, _ in self.events)


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
        """Return a port nobody has used."""
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

    def work(self) -> None:
        """Do what the application would."""
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


class Network:
    """Both hosts and the paths between them."""

    def __init__(self, paths: int, *, seed: int = 1, family: int = 4, **options: Any) -> None:
        self.now = 0
        self.random = random.Random(seed)
        self.sent: list[Segment] = []
        text = "10.0.{}.{}" if family == 4 else "fd00:0:0:{}::{}"
        client = [text.format(number, 1) for number in range(1, paths + 1)]
        server = [text.format(number, 2) for number in range(1, paths + 1)]
        self.paths: dict[tuple[str, str], Path] = {}
        for a, b in zip(client, server, strict=True):
            for pair in ((a, b), (b, a)):
                self.paths[pair] = Path(10 * MS, 20_000_000, 0.0)
        config = MptcpConfig(**options)
        self.client = Host(self, client, _with(config, client, "subflow"))
        self.server = Host(self, server, _with(config, server, "signal"))
        self._heap: list[tuple[int, int, Host, Segment]] = []
        self._count = 0
        self._port = 40_000

    def path(self, number: int) -> tuple[Path, Path]:
        """Return both directions of a path, counted from 0."""
        pair = self.client.hosts[number], self.server.hosts[number]
        return self.paths[pair], self.paths[pair[::-1]]

    def connect(self, port: int = 80) -> MptcpConnection:
        """Open a connection over the first path."""
        self._port += 1
        flow = Flow(Address(self.client.hosts[0], self._port), Address(self.server.hosts[0], port))
        return self.client.endpoint.connect(flow, self.now)

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


@pytest.fixture
def network() -> type[Network]:
    """The class, to make one with options of a test's own."""
    return Network


LOCAL, REMOTE = Address("10.0.1.1", 80), Address("10.0.1.2", 4000)
LOCAL_2, REMOTE_2 = Address("10.0.2.1", 80), Address("10.0.2.2", 4001)
PEER_KEY = 0x0102030405060708
_ANY = Address("0.0.0.0", 80)


class Subpeer:
    """One TCP connection of a peer whose segments a test makes by hand.

    Sequence numbers given and shown are relative: 1 is the first octet after SYN.
    """

    def __init__(self, script: Script, local: Address, remote: Address) -> None:
        self.script = script
        self.flow = Flow(local, remote)  # as the endpoint sees it
        self.isn = script.random.getrandbits(32)
        self.endpoint_isn = 0
        self.seq = 1  # next to send
        self.ack = 1  # next expected
        self.window = 0xFFFF

    def send(
        self,
        flags: int,
        *options: Option,
        payload: bytes = b"",
        seq: int | None = None,
        ack: int | None = None,
    ) -> list[Segment]:
        """Send a segment, and return what comes back on this connection."""
        seq = self.seq if seq is None else seq
        self.script.inject(
            Segment(
                source=self.flow.remote,
                destination=self.flow.local,
                seq=(self.isn + seq) & 0xFFFFFFFF,
                ack=(self.endpoint_isn + (self.ack if ack is None else ack)) & 0xFFFFFFFF
                if flags & ACK
                else 0,
                flags=flags,
                window=self.window,
                options=options,
                payload=payload,
            )
        )
        if seq == self.seq:
            self.seq += len(payload) + bool(flags & FIN)
        return self.take()

    def take(self) -> list[Segment]:
        """Return what has come on this connection since the last call; acknowledge it."""
        here, rest = [], []
        for segment in self.script.out:
            mine = segment.source == self.flow.local and segment.destination == self.flow.remote
            (here if mine else rest).append(segment)
        self.script.out = rest
        for segment in here:
            if segment.flags & SYN:
                self.endpoint_isn = segment.seq
            end = self.relative(segment) + segment.length
            self.ack = max(self.ack, end)
        return here

    def relative(self, segment: Segment) -> int:
        """Return the relative sequence number of a segment that came."""
        return (segment.seq - self.endpoint_isn) & 0xFFFFFFFF

    def syn(self, *options: Option) -> list[Segment]:
        """Send a SYN."""
        self.seq = 0
        out = self.send(SYN, MaximumSegmentSize(1460), *options)
        self.seq = 1
        return out


class Script:
    """An endpoint that listens on :data:`LOCAL`, and a peer made by hand."""

    def __init__(self, **options: Any) -> None:
        self.now = S
        self.random = random.Random(3)
        self.out: list[Segment] = []
        self.hosts: Sequence[str] = (LOCAL.host, LOCAL_2.host)
        self.tracer = Recorder()
        tcp = TcpConfig(timestamps=False, window_scaling=False, delayed_ack_ns=0)
        self.endpoint = MptcpEndpoint(
            MptcpConfig(tcp=tcp, **options),
            random.Random(4),
            b"sixteen octets..",
            self,
            tracer=self.tracer,
        )
        self.endpoint.listen(_ANY)
        self.connections: list[Connection] = []
        self.events: list[Event] = []
        self.keys = Keys(PEER_KEY)  # as the peer has them

    def source_for(self, remote_host: str) -> str | None:
        """Return the address on the same path."""
        return LOCAL.host if remote_host == REMOTE.host else LOCAL_2.host

    def port_for(self, local_host: str, remote: Address) -> int:
        """Return a fixed port."""
        assert local_host in self.hosts
        return remote.port + 1000

    def release_port(self, local: Address) -> None:
        """Forget it."""
        assert local.port

    @property
    def connection(self) -> MptcpConnection:
        """The connection the listener has accepted."""
        (only,) = self.connections
        assert isinstance(only, MptcpConnection)
        return only

    def inject(self, segment: Segment) -> None:
        """Let a segment arrive."""
        self.endpoint.receive(parse(emit(segment)), self.now)
        self.pump()

    def pump(self) -> None:
        """Take events and segments until there are no more."""
        while True:
            while (found := self.endpoint.next_event()) is not None:
                self.events.append(found[1])
                if isinstance(found[1], Connected):
                    self.connections.append(found[0])
            segments = self.endpoint.segments_to_send(self.now)
            if not segments:
                return
            self.out += [piece for segment in segments for piece in split(segment)]

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + int(seconds * S)
        while (due := self.endpoint.next_timer()) is not None and due <= end:
            self.now = max(self.now, due)
            self.endpoint.handle_timer(self.now)
            self.pump()
        self.now = end

    def subpeer(self, local: Address = LOCAL, remote: Address = REMOTE) -> Subpeer:
        """Return a connection of the peer, not yet opened."""
        return Subpeer(self, local, remote)

    def open(self, **flags: Any) -> Subpeer:
        """Open a connection with MP_CAPABLE, as its initiator, up to the third ACK."""
        peer = self.subpeer()
        (answer,) = peer.syn(MpCapable(**flags))
        option = find(answer.options, MpCapable)
        assert option.sender_key is not None
        self.keys.learn(option.sender_key)
        peer.send(ACK, MpCapable(sender_key=PEER_KEY, receiver_key=option.sender_key))
        return peer

    def join(self, peer: Subpeer, *, address_id: int = 2, nonce: int = 77) -> list[Segment]:
        """Join the connection with an open subflow more; return the answer to the third ACK."""
        syn = MpJoinSyn(address_id=address_id, token=self.keys.remote_token, nonce=nonce)
        (answer,) = peer.syn(syn)
        option = find(answer.options, MpJoinSynAck)
        local, remote = self.keys.pair()
        theirs = crypto.join_hmac(remote, local, option.nonce, nonce)
        assert option.hmac == theirs[:8]
        ours = crypto.join_hmac(local, remote, nonce, option.nonce)
        return peer.send(ACK, MpJoinAck(hmac=ours[:20]))

    def data(self, position: int, length: int, subflow: int, **more: Any) -> Dss:
        """Return the DSS for data at a position of the peer's stream."""
        return Dss(
            data_ack=self.keys.incoming.number(more.pop("acked", 0)),
            dsn=self.keys.outgoing.number(position),
            subflow_seq=subflow,
            length=length,
            **more,
        )

    def ack(self, acked: int = 0) -> Dss:
        """Return the DSS that acknowledges data up to a position of the endpoint's stream."""
        return Dss(data_ack=self.keys.incoming.number(acked))


@pytest.fixture
def script() -> type[Script]:
    """The class, to make one with options of a test's own."""
    return Script
