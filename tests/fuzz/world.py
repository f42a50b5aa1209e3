"""One endpoint, and a peer that has every key and sends anything."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any, Final

from testbed.packet import mptcp
from testbed.packet.address import Address, Flow
from testbed.packet.codec import emit, parse
from testbed.packet.icmp import IcmpError, IcmpKind
from testbed.packet.options import (
    FastOpen,
    MaximumSegmentSize,
    Option,
    Sack,
    SackPermitted,
    Timestamps,
    UnknownOption,
    WindowScale,
    find,
)
from testbed.packet.segment import ACK, FIN, RST, SYN, Segment
from testbed.stack.connection import Connected, Connection
from testbed.stack.mptcp import crypto
from testbed.stack.mptcp.config import MptcpConfig
from testbed.stack.mptcp.connection import MptcpConnection
from testbed.stack.mptcp.endpoint import MptcpEndpoint
from testbed.stack.mptcp.keys import Keys
from testbed.stack.mptcp.path_manager.base import PathEndpoint
from testbed.stack.tcp.config import TcpConfig
from tests.fuzz import invariants
from tests.fuzz.finding import Finding
from tests.fuzz.invariants import expect

S: Final = 1_000_000_000
BITS: Final = 0xFFFF_FFFF
HOSTS: Final = ("10.0.1.1", "10.0.2.1", "fd00::1")
PORT: Final = 80
PEER_KEY: Final = 0x0102030405060708
_ROUNDS: Final = 200  # limit of rounds in one pump
_EARLY: Final = 900  # octets that go with a SYN
_ANSWERS: Final = 12  # pure ACKs to one segment
_LAST_TIMERS: Final = 20_000  # until everything has ended


class Path:
    """One TCP connection of the peer."""

    def __init__(self, flow: Flow, isn: int) -> None:
        self.flow = flow  # the flow from the endpoint's side
        self.isn = isn
        self.next = (isn + 1) & BITS
        self.expected = 0  # next number of the endpoint
        self.echo = 0  # the endpoint's last timestamp
        self.answer: tuple[Option, ...] = ()  # options of the endpoint's SYN or SYN,ACK


class World:
    """The endpoint under test.  It listens on port 80 and has two addresses and one of IPv6.

    :param initiator: the endpoint opens the connection.
    :param plain: the peer does not speak MPTCP.
    :param half: the peer leaves the last segment of the handshake out.
    :param early: data goes with the SYN (RFC 7413).
    """

    def __init__(
        self,
        *,
        initiator: bool = False,
        plain: bool = False,
        half: bool = False,
        timestamps: bool = False,
        checksum: bool = False,
        gso: bool = False,
        path_manager: str = "kernel_like",
        buffer: int = 60_000,
        seed: int = 1,
        early: bool = False,
    ) -> None:
        self.now = S
        self.hosts: Sequence[str] = HOSTS
        self.random = Random(seed)
        self.timestamps = timestamps
        tcp = TcpConfig(timestamps=timestamps, gso=gso, send_buffer=buffer, receive_buffer=buffer,
                        fast_open=early)  # fmt: skip
        endpoints = tuple(
            PathEndpoint(host=host, id=number, subflow=initiator, signal=not initiator)
            for number, host in enumerate(HOSTS, 1)
        )
        config = MptcpConfig(
            tcp=tcp,
            checksum=checksum,
            send_buffer=buffer,
            receive_buffer=buffer,
            endpoints=endpoints,
            path_manager=path_manager,
            early_answer=bool(seed & 1),
        )
        self.faults = invariants.FaultFinder()
        self.endpoint = MptcpEndpoint(
            config, Random(seed + 1), b"sixteen octets..", self, tracer=self.faults
        )
        self.listener = self.endpoint.listen(Address("0.0.0.0", PORT))
        self.keys = Keys(PEER_KEY, checksum=checksum)
        self.connections: list[Connection] = []
        self.paths: list[Path] = []
        self.steps = 0
        self._by_flow: dict[tuple[Address, Address], Path] = {}
        self._port = 40_000
        self._half = half
        self._early = bytes(_EARLY if early else 0)
        (self._dial if initiator else self._accept)(plain=plain)

    # Methods for the endpoint.

    def source_for(self, remote_host: str) -> str | None:
        """Return an address of the same family."""
        return next((one for one in HOSTS if (":" in one) == (":" in remote_host)), None)

    def port_for(self, local_host: str, remote: Address) -> int:
        """Return the next port."""
        self._port += 1
        return self._port

    def release_port(self, local: Address) -> None:
        """Forget it."""

    # Actions of the peer.

    def open_path(
        self, local: Address, remote: Address, *options: Option, payload: bytes = b""
    ) -> Path:
        """Send a SYN and take what is answered."""
        path = self._path(Flow(local, remote))
        more: list[Option] = [MaximumSegmentSize(1460), WindowScale(4), *options]
        if self.timestamps:
            more.append(Timestamps(1, 0))
        else:
            more.append(SackPermitted())
        self.inject(path, SYN, path.isn, 0, 0xFFFF, tuple(more), payload)
        return path

    def inject(
        self,
        path: Path,
        flags: int,
        seq: int,
        ack: int,
        window: int,
        options: tuple[Option, ...] = (),
        payload: bytes = b"",
    ) -> None:
        """Let a segment arrive, and check everything afterwards."""
        segment = Segment(
            source=path.flow.remote,
            destination=path.flow.local,
            seq=seq & BITS,
            ack=ack & BITS if flags & ACK else 0,
            flags=flags,
            window=window,
            options=options,
            payload=payload,
        )
        self.endpoint.receive(segment, self.now)
        if (seq & BITS) == path.next and not flags & SYN:
            path.next = (path.next + segment.length) & BITS
        answers = self.pump()
        pure = sum(not one.payload and not one.flags & (SYN | FIN | RST) for one in answers)
        expect(pure <= _ANSWERS, "one segment has many answers", pure)

    def icmp(self, path: Path, kind: IcmpKind, mtu: int) -> None:
        """Let an ICMP error arrive about the last segment that was acknowledged, or the next."""
        seq = (path.expected - self.random.choice((0, 1, 1000))) & BITS
        self.endpoint.receive_icmp(IcmpError(kind=kind, flow=path.flow, seq=seq, mtu=mtu), self.now)
        self.pump()

    def pump(self) -> list[Segment]:
        """Let the endpoint send and report until it is quiet; check it; return what it sent."""
        sent: list[Segment] = []
        for _ in range(_ROUNDS):
            segments = self.endpoint.segments_to_send(self.now)
            for segment in segments:
                self._take(segment)
            sent += segments
            events = 0
            while (found := self.endpoint.next_event()) is not None:
                events += 1
                if isinstance(found[1], Connected):
                    self.connections.append(found[0])
            if not (segments or events):
                break
        else:
            raise Finding("the endpoint never gets quiet")
        for connection in self.connections:
            invariants.check(connection)
        self.faults.check()
        self.steps += 1
        return sent

    def wait(self, ns: int, most: int = 5_000) -> None:
        """Let time pass."""
        end = self.now + ns
        while (due := self.endpoint.next_timer()) is not None and due <= end:
            self.now = max(self.now, due)
            self.endpoint.handle_timer(self.now)
            self.pump()
            most -= 1
            expect(most > 0, "timers expire without end")
        self.now = end

    def finish(self) -> None:
        """Close everything: it ends by itself within a day, though no peer helps."""
        self.listener.close()
        for connection in self.connections:
            connection.close()
        self.pump()
        self.wait(86_400 * S, _LAST_TIMERS)
        expect(all(one.closed for one in self.connections), "a closed connection does not end")
        expect(self.endpoint.connections == 0, "tokens stay", self.endpoint.connections)
        expect(self.endpoint.next_timer() is None, "a timer is left when nothing is")

    def option(self, name: str, first: int, second: int, path: Path) -> Option:
        """Return an option with numbers that are near to what is expected."""
        option: Option = _OPTIONS[name](self, first, second, path)
        return option

    @property
    def received(self) -> int:
        """Octets of data that the first connection has."""
        first = self.connections[0] if self.connections else None
        return first.incoming.next if isinstance(first, MptcpConnection) else 0

    def _accept(self, *, plain: bool) -> None:
        said: tuple[Option, ...] = () if plain else (mptcp.MpCapable(flags=1),)
        local, remote = Address(HOSTS[0], PORT), Address("10.0.1.2", 4000)
        if self._early:
            said += (self.endpoint.tcp._open_ports._grants.grant(Flow(local, remote)),)
        path = self.open_path(local, remote, *said, payload=self._early)
        path.next = (path.next + len(self._early)) & BITS
        if self._half:
            return
        third: tuple[Option, ...] = self.stamp(path)
        if not plain and self.keys.remote is not None:
            third += (mptcp.MpCapable(sender_key=PEER_KEY, receiver_key=self.keys.remote),)
        self.inject(path, ACK, path.next, path.expected, 0xFFFF, third)

    def _dial(self, *, plain: bool) -> None:
        flow = Flow(Address(HOSTS[0], 4000), Address("10.0.1.2", PORT))
        if self._early:
            self.endpoint.tcp._servers.answered(flow, FastOpen(bytes(8)), 1460)
        self.connections.append(self.endpoint.connect(flow, self.now, data=self._early))
        path = self._path(flow)
        self.pump()
        if self._half:
            return
        options: tuple[Option, ...] = (MaximumSegmentSize(1460), *self.stamp(path))
        if not plain:
            options += (mptcp.MpCapable(flags=1, sender_key=PEER_KEY),)
        acked = path.expected - self.random.choice((0, 1, 1)) * len(self._early)
        self.inject(path, SYN | ACK, path.isn, acked, 0xFFFF, options)

    def stamp(self, path: Path) -> tuple[Option, ...]:
        """Return the timestamp of the peer's next segment, where there are timestamps."""
        return (Timestamps(2, path.echo),) if self.timestamps else ()

    def _path(self, flow: Flow) -> Path:
        path = Path(flow, self.random.getrandbits(32))
        self.paths.append(path)
        self._by_flow[flow.local, flow.remote] = path
        return path

    def _take(self, segment: Segment) -> None:
        """Look at a segment of the endpoint."""
        self.steps += 1
        if not self.steps & 15:
            written = parse(emit(segment), gso_size=segment.gso_size)
            expect(written.payload == segment.payload, "a segment does not survive the codec")
        path = self._by_flow.get((segment.source, segment.destination))
        if path is None:  # the endpoint opens a subflow
            path = self._path(Flow(segment.source, segment.destination))
        if segment.flags & SYN:
            capable = find(segment.options, mptcp.MpCapable)
            if capable is not None and capable.sender_key is not None:
                self.keys.learn(capable.sender_key)
            path.expected = segment.seq
            path.answer = segment.options
        capable = find(segment.options, mptcp.MpCapable)
        if capable is not None and capable.receiver_key == PEER_KEY and capable.sender_key:
            self.keys.learn(capable.sender_key)
        stamp = find(segment.options, Timestamps)
        if stamp is not None:
            path.echo = stamp.value
        end = (segment.seq + segment.length) & BITS
        if (end - path.expected) & BITS < 1 << 31:
            path.expected = end


def _dss(world: World, first: int, second: int, path: Path) -> Option:
    """Return a mapping with a Data ACK: mostly of the next octets, often of far too many."""
    return mptcp.Dss(
        data_ack=world.keys.incoming.number(second if second > 3 else 0),
        dsn=world.keys.outgoing.number(world.received + (first if first > 3 else 0)),
        subflow_seq=(path.next - path.isn + second % 7 // 6) & BITS,
        length=1400 if second < 4 else 1 + second % 1500,
        checksum=second & 0xFFFF if world.keys.checksum else None,
        data_fin=first % 41 == 40,
    )


def _far_dss(world: World, first: int, second: int, path: Path) -> Option:
    """Return a mapping of anything to anything."""
    return mptcp.Dss(
        data_ack=None if second & 1 else first,
        dsn=world.keys.outgoing.number(first - second),
        wide_dsn=True,
        subflow_seq=(second * 97) & BITS,
        length=first & 0xFFFF,
        checksum=None if second & 2 else 0,
        data_fin=bool(second & 4),
    )


def _add_addr(world: World, first: int, second: int, path: Path) -> Option:
    host = f"10.0.{first % 4}.{2 + second % 3}" if second & 1 else f"fd00::{2 + first % 9:x}"
    port = None if second & 2 else first & 0xFFFF
    number = first & 0xFF
    if second & 12 == 12 or world.keys.remote is None:
        hmac = None if second & 16 else bytes(8)
    else:
        hmac = crypto.add_addr_hmac(*world.keys.pair(), number, host, port)
    return mptcp.AddAddr(address_id=number, address=host, port=port, hmac=hmac)


def _join_ack(world: World, first: int, second: int, path: Path) -> Option:
    return mptcp.MpJoinAck(hmac=first.to_bytes(8, "big") + bytes(12))


def _sack(world: World, first: int, second: int, path: Path) -> Option:
    left = (path.expected - first % 30_000) & BITS
    return Sack(((left, (left + second % 5_000) & BITS), (second & BITS, first & BITS)))


_OPTIONS: Final[dict[str, Any]] = {
    "dss": _dss,
    "far dss": _far_dss,
    "data ack": lambda world, first, second, path: mptcp.Dss(
        data_ack=world.keys.incoming.number(first)
    ),
    "infinite": lambda world, first, second, path: mptcp.Dss(
        dsn=world.keys.outgoing.number(first), subflow_seq=1 + second % 3, length=0
    ),
    "add_addr": _add_addr,
    "remove_addr": lambda world, first, second, path: mptcp.RemoveAddr(
        address_ids=(first & 3, second & 0xFF)
    ),
    "mp_prio": lambda world, first, second, path: mptcp.MpPrio(backup=bool(first & 1)),
    "mp_fail": lambda world, first, second, path: mptcp.MpFail(
        dsn=world.keys.incoming.number(first) if second & 3 else second
    ),
    "mp_fastclose": lambda world, first, second, path: mptcp.MpFastclose(
        receiver_key=(world.keys.remote or 0) if not second & 15 else first
    ),
    "mp_tcprst": lambda world, first, second, path: mptcp.MpTcprst(reason=first & 0xFF),
    "mp_capable": lambda world, first, second, path: mptcp.MpCapable(
        flags=first & 0xFF,
        sender_key=PEER_KEY if second & 1 else None,
        receiver_key=(world.keys.remote or 1) if second & 1 else None,
        data_length=first & 0xFFFF if second & 3 == 3 else None,
    ),
    "mp_join": lambda world, first, second, path: mptcp.MpJoinSyn(
        address_id=first & 0xFF, token=world.keys.remote_token, nonce=second & BITS
    ),
    "mp_join answer": lambda world, first, second, path: mptcp.MpJoinSynAck(
        address_id=first & 0xFF, hmac=bytes(8), nonce=second & BITS
    ),
    "mp_join ack": _join_ack,
    "timestamps": lambda world, first, second, path: Timestamps(
        (3 + first) & BITS, (path.echo - second % 3) & BITS
    ),
    "sack": _sack,
    "mss": lambda world, first, second, path: MaximumSegmentSize(first & 0xFFFF),
    "window scale": lambda world, first, second, path: WindowScale(first & 0xFF),
    "unknown": lambda world, first, second, path: UnknownOption(
        30 if second & 1 else 99, first.to_bytes(8, "big")[: 1 + second % 8]
    ),
}
OPTION_NAMES: Final = tuple(_OPTIONS)
