"""What an attack costs the attacker, and what it costs us: ``python -m tests.fuzz attacks``.

Each attack is a stream of packets to an endpoint.  The cost of a packet is the processor time that
this endpoint takes: the lower quartile of groups of fifty, as other work on the machine only adds.
It is told for the packets that come when all is there that the attack can build up (the *bound*),
with the growth since there was a tenth of it: a structure of linear cost has 10.  Ordinary data is
timed again before each attack, and the ratio is to that.  What the attack achieves is asked of the
endpoint afterwards.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import msgspec

from testbed.packet import mptcp
from testbed.packet.address import Address
from testbed.packet.options import MaximumSegmentSize, Option, Sack, SackPermitted
from testbed.packet.segment import ACK, RST, SYN, Segment
from testbed.stack.connection import Connected
from testbed.stack.mptcp import crypto
from testbed.stack.mptcp.connection import MptcpConnection
from testbed.stack.mptcp.inbound import MOST_MESSAGES
from testbed.stack.mptcp.received_mappings import MOST_MAPPINGS
from testbed.stack.reassembly import MOST_PIECES
from testbed.stack.tcp.listener import DEFAULT_BACKLOG
from testbed.stack.tcp.scoreboard import MOST_RECORDS
from tests.fuzz.world import BITS, HOSTS, PEER_KEY, PORT, S, World

LAST: Final = 1000  # packets that are timed at a time
_GROUP: Final = 50
MOST_US: Final = 50.0  # that one of them may take
_BUFFER: Final = 4 << 20


class Cost(msgspec.Struct, frozen=True):
    """What one packet takes of the processor.

    :param us: at the bound or at the end, whatever is more, in microseconds.
    :param growth: how often it is what it was at a tenth of the bound.
    """

    us: float
    growth: float


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What an attack has come to.

    :param cost: of a packet.
    :param effect: in words; ``harmless`` says whether it is what it should be.
    """

    name: str
    packets: int
    cost: Cost
    effect: str
    harmless: bool


class Target:
    """An endpoint with an established connection, timed."""

    def __init__(self) -> None:
        self.world = World(buffer=_BUFFER)
        self.path = self.world.paths[0]
        self._send(ACK, mptcp.Dss(data_ack=self.world.keys.incoming.number(0)))

    @property
    def connection(self) -> MptcpConnection:
        """The connection that is attacked."""
        first = self.world.connections[0]
        assert isinstance(first, MptcpConnection)
        return first

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
            data_ack=self.world.keys.incoming.number(0),
            dsn=self.world.keys.outgoing.number(data),
            subflow_seq=(subflow + 1) & BITS,
            length=length + fin,
            data_fin=fin,
        )

    def feed(
        self, segments: Iterable[Segment], *, tick_ns: int = 10_000, bound: int = 0
    ) -> tuple[int, Cost]:
        """Let segments arrive; return how many there were, and what one of them cost.

        :param bound: after how many all is there that can be; by default after the last one.
        """
        taken: list[float] = []
        coming = iter(segments)
        while group := list(itertools.islice(coming, _GROUP)):
            began = time.thread_time_ns()
            for segment in group:
                self._take(segment, tick_ns)
            taken += [(time.thread_time_ns() - began) / len(group)] * len(group)
        return len(taken), _cost(taken, bound or len(taken))

    def _take(self, segment: Segment, tick_ns: int) -> None:
        endpoint, world = self.world.endpoint, self.world
        world.now += tick_ns
        endpoint.receive(segment, world.now)
        while endpoint.segments_to_send(world.now):
            pass
        while (found := endpoint.next_event()) is not None:
            if isinstance(found[1], Connected):
                world.connections.append(found[0])

    def _send(self, flags: int, *options: Option) -> None:
        self.world.inject(self.path, flags, self.path.next, self.path.expected, 0xFFFF, options)


def ordinary_data() -> Result:
    """No attack: segments of 1000 octets in order, for comparison."""
    target = Target()
    connection = target.connection

    def segments() -> Iterator[Segment]:
        for at in range(0, 4_000_000, 1000):
            yield target.segment(ACK, target.mapping(at, at, 1000), seq=at, payload=bytes(1000))
            connection.read(1 << 20)

    packets, cost = target.feed(segments())
    return _result(
        "ordinary data (no attack)", packets, cost, "delivered", connection.failure is None
    )


def mappings_from_behind() -> Result:
    """One octet every two, from behind: as many mappings and pieces as are kept, and more."""
    target = Target()
    count = 40_000
    packets, cost = target.feed(
        (
            target.segment(ACK, target.mapping(at, at, 1), seq=at, payload=b"x")
            for at in range(2 * count, 0, -2)
        ),
        bound=MOST_MAPPINGS,
    )
    kept = len(target.connection.subflows[0].inbound.mappings)
    return _result("one-octet mappings from behind", packets, cost, f"{kept} mappings kept",
                   kept <= MOST_MAPPINGS)  # fmt: skip


def pieces_of_data() -> Result:
    """In order on the subflow, one octet every two in the data stream; then DATA_FIN again."""
    target = Target()
    count = 40_000

    def segments() -> Iterator[Segment]:
        for at in range(count):
            yield target.segment(ACK, target.mapping(2 + 2 * at, at, 1), seq=at, payload=b"x")
        for _ in range(2 * LAST):
            yield target.segment(ACK, target.mapping(2 * count + 9, -1, 0, fin=True), seq=count)

    packets, cost = target.feed(segments(), bound=MOST_PIECES)
    held = target.connection.incoming.out_of_order
    return _result("one-octet pieces of data, and DATA_FIN", packets, cost,
                   f"{held} octets held out of order", held <= MOST_PIECES)  # fmt: skip


def pieces_of_tcp() -> Result:
    """One octet every two of TCP's stream, without any option."""
    target = Target()
    packets, cost = target.feed(
        (target.segment(ACK, seq=at, payload=b"x") for at in range(2, 80_000, 2)),
        bound=MOST_PIECES,
    )
    held = target.connection.subflows[0].tcp.receiver.buffer.out_of_order
    return _result("one-octet pieces of TCP", packets, cost, f"{held} octets held out of order",
                   held <= MOST_PIECES)  # fmt: skip


def sack_of_crumbs() -> Result:
    """SACK blocks of one octet, every two, in all that is in flight."""
    target = Target()
    connection, path = target.connection, target.path
    first = path.expected
    for _ in range(400):  # acknowledge until much is in flight
        connection.send(bytes(1 << 20))
        target.world.pump()
        acked = (path.expected - first) & BITS
        ack = mptcp.Dss(data_ack=target.world.keys.incoming.number(acked))
        target.world.inject(path, ACK, path.next, path.expected, 0xFFFF, (ack,))
        target.world.wait(1_000_000)
    in_flight = connection.subflows[0].tcp.in_flight

    def segments() -> Iterator[Segment]:
        end = path.expected
        base = (end - in_flight) & BITS
        for at in range(1, min(in_flight, 60_000) - 6, 6):
            blocks = tuple((base + at + more & BITS, base + at + more + 1 & BITS)
                           for more in (0, 2, 4))  # fmt: skip
            yield target.segment(ACK, Sack(blocks), ack=-in_flight)

    packets, cost = target.feed(segments())
    records = len(connection.subflows[0].tcp.sender.board.records)
    return _result("SACK blocks of one octet", packets, cost,
                   f"{records} records of {in_flight} octets in flight",
                   records <= MOST_RECORDS)  # fmt: skip


def signals_after_the_end() -> Result:
    """ADD_ADDR without end, after both sides of the data stream have closed."""
    target = Target()
    connection = target.connection
    connection.shutdown()
    target.world.pump()
    fin = msgspec.structs.replace(
        target.mapping(0, -1, 0, fin=True), data_ack=target.world.keys.incoming.number(1)
    )
    target.feed([target.segment(ACK, fin)])
    local, remote = target.world.keys.pair()
    hmac = crypto.add_addr_hmac(local, remote, 3, "10.0.3.2", None)
    option = mptcp.AddAddr(address_id=3, address="10.0.3.2", hmac=hmac)
    packets, cost = target.feed(target.segment(ACK, option) for _ in range(20_000))
    kept = sum(len(one.inbound._messages) for one in connection.subflows)
    return _result(
        "signals after the end of data", packets, cost, f"{kept} kept", kept <= MOST_MESSAGES
    )


def addresses_without_end() -> Result:
    """Valid ADD_ADDR and REMOVE_ADDR of all ids, over and over."""
    target = Target()
    local, remote = target.world.keys.pair()

    def segments() -> Iterator[Segment]:
        for number in range(20_000):
            host = f"10.1.{number // 250 % 250}.{number % 250 + 1}"
            address_id = 1 + number % 255
            hmac = crypto.add_addr_hmac(local, remote, address_id, host, None)
            yield target.segment(ACK, mptcp.AddAddr(address_id=address_id, address=host, hmac=hmac))
            if number % 3 == 0:
                yield target.segment(ACK, mptcp.RemoveAddr(address_ids=(address_id,)))

    packets, cost = target.feed(segments())
    known = len(target.connection.paths.remotes)
    return _result("addresses announced and withdrawn", packets, cost, f"{known} addresses kept",
                   known <= 256)  # fmt: skip


def refused_before_the_keys() -> Result:
    """SYN with MP_CAPABLE, then RST with ADD_ADDR: 20,000 pairs."""
    target = Target()
    option = mptcp.AddAddr(address_id=3, address="10.0.3.2", hmac=bytes(8))

    def segments() -> Iterator[Segment]:
        for number in range(20_000):
            source = Address(f"10.9.{number // 250}.{number % 250 + 1}", 1234)
            common = {"source": source, "destination": Address(HOSTS[0], PORT), "window": 1000}
            yield Segment(seq=7, flags=SYN, options=(mptcp.MpCapable(),), **common)
            yield Segment(seq=8, flags=RST, options=(option,), **common)

    packets, cost = target.feed(segments())
    left = target.world.endpoint.connections
    alive = _delivers(target)
    return _result("SYN, and RST with a signal", packets, cost,
                   f"{left - 1} tokens stay", left == 1 and alive)  # fmt: skip


def syn_flood() -> Result:
    """SYNs with MP_CAPABLE from everywhere; a client comes in between."""
    target = Target()

    def segments() -> Iterator[Segment]:
        for number in range(50_000):
            source = Address(f"10.{number // 62500 + 9}.{number // 250 % 250}.{number % 250}", 999)
            yield Segment(source=source, destination=Address(HOSTS[0], PORT), seq=number,
                          flags=SYN, window=1000, options=(mptcp.MpCapable(),))  # fmt: skip

    packets, cost = target.feed(segments())
    kept = target.world.endpoint.connections
    before = len(target.world.connections)
    world = target.world
    path = world.open_path(
        Address(HOSTS[0], PORT), Address("10.77.0.1", 7), mptcp.MpCapable(flags=1)
    )
    key = world.keys.remote
    third = mptcp.MpCapable(sender_key=PEER_KEY, receiver_key=key)
    world.inject(path, ACK, path.next, path.expected, 0xFFFF, (third,))
    comes = len(world.connections) > before
    return _result("SYN flood", packets, cost,
                   f"{kept} half-open kept, a client {'gets' if comes else 'does not get'} in",
                   comes and kept <= DEFAULT_BACKLOG + 1)  # fmt: skip


def half_open_joins() -> Result:
    """MP_JOIN with the right token and no key, 20,000 of them; then the peer joins."""
    target = Target()
    token = target.world.keys.remote_token

    def segments() -> Iterator[Segment]:
        for number in range(20_000):
            source = Address(f"10.9.{number // 250}.{number % 250 + 1}", 1234)
            join = mptcp.MpJoinSyn(address_id=9, token=token, nonce=number)
            yield Segment(source=source, destination=Address(HOSTS[1], PORT), seq=number,
                          flags=SYN, window=1000, options=(join,))  # fmt: skip

    packets, cost = target.feed(segments())
    kept = len(target.world.endpoint.tcp._connections) - 1
    seen = len(target.connection.subflows) - 1
    return _result("half-open joins", packets, cost, f"{kept} half-open kept, {seen} looked at",
                   kept <= DEFAULT_BACKLOG and not seen and _delivers(target))  # fmt: skip


def blind_signals() -> Result:
    """REMOVE_ADDR, MP_PRIO and MP_FAIL on a grid of sequence numbers, ports and addresses known."""
    target = Target()
    signals = (
        mptcp.RemoveAddr(address_ids=(0, 1, 2)),
        mptcp.MpPrio(backup=True),
        mptcp.MpFail(dsn=target.world.keys.incoming.number(0)),
    )

    def segments() -> Iterator[Segment]:
        for number in range(1, 60_000):
            yield target.segment(ACK, signals[number % 3], seq=number * 65_536 + 1)

    packets, cost = target.feed(segments())
    target.world.wait(120 * S)
    (subflow,) = target.connection.subflows
    harmless = not (subflow.backup or subflow.fallback) and _delivers(target)
    return _result(
        "blind signals", packets, cost, "no effect" if harmless else "an effect", harmless
    )


def blind_resets() -> Result:
    """RST and SYN at every 65,536th sequence number."""
    target = Target()
    packets, cost = target.feed(
        target.segment(flags, seq=number * 65_536 + 1)
        for number in range(1, 30_000)
        for flags in (RST, SYN)
    )
    alive = target.connection.failure is None and _delivers(target)
    return _result("blind RST and SYN", packets, cost, "no effect" if alive else "reset", alive)


def idle_connections() -> Result:
    """15,000 connections whose keep-alives all come in one second; blind RSTs to one of them."""
    target = Target()
    peers = [Address(f"10.9.{at // 250}.{at % 250 + 1}", 1234) for at in range(15_000)]
    endpoint, now = target.world.endpoint, target.world.now
    numbers: dict[Address, int] = {}
    server = Address(HOSTS[0], PORT)

    def exchange(source: Address, flags: int, seq: int, ack: int) -> list[Segment]:
        options = (MaximumSegmentSize(1460), SackPermitted()) if flags & SYN else ()
        endpoint.receive(Segment(source=source, destination=server, seq=seq, ack=ack, flags=flags,
                                 window=1000, options=options), now)  # fmt: skip
        sent = list(endpoint.segments_to_send(now))
        while endpoint.next_event() is not None:
            pass
        return sent

    for peer in peers:
        (answer,) = exchange(peer, SYN, 7, 0)
        numbers[peer] = (answer.seq + 1) & BITS
        exchange(peer, ACK, 8, numbers[peer])
    for number in range(1000):
        exchange(peers[0], RST, 9 + number, 0)
    taken: list[float] = []
    answered = 0
    for at in range(0, len(peers), _GROUP):
        group = peers[at : at + _GROUP]
        began = time.thread_time_ns()
        answered += sum(len(exchange(peer, ACK, 7, numbers[peer])) == 1 for peer in group)
        taken += [(time.thread_time_ns() - began) / len(group)] * len(group)
    cost = _cost(taken, len(taken))
    return _result("keep-alives of 15,000 connections", len(peers), cost,
                   f"{len(peers) - answered} unanswered", answered == len(peers))  # fmt: skip


def _delivers(target: Target) -> bool:
    """Tell whether the attacked connection still takes data."""
    connection, path = target.connection, target.path
    before = connection.incoming.next
    position = (path.next - path.isn - 1) & BITS
    option = target.mapping(before, position, 4)
    target.world.inject(path, ACK, path.next, path.expected, 0xFFFF, (option,), b"live")
    return connection.incoming.next == before + 4 and connection.failure is None


def _cost(taken: list[float], bound: int) -> Cost:
    """Return the cost of a packet, given what each took, in nanoseconds."""
    early, full, last = (_quartile(taken, end) for end in (bound // 10, bound, len(taken)))
    return Cost(max(full, last) / 1000, max(full, last) / early)


def _quartile(taken: list[float], end: int) -> float:
    """Return what one of the LAST packets before the ``end``-th one took."""
    some = sorted(taken[max(0, end - LAST) : max(1, end)])
    return some[len(some) // 4]


def _result(name: str, packets: int, cost: Cost, effect: str, harmless: bool) -> Result:
    return Result(name=name, packets=packets, cost=cost, effect=effect, harmless=harmless)


ATTACKS: Final[tuple[Callable[[], Result], ...]] = (
    ordinary_data,
    mappings_from_behind,
    pieces_of_data,
    pieces_of_tcp,
    sack_of_crumbs,
    signals_after_the_end,
    addresses_without_end,
    refused_before_the_keys,
    syn_flood,
    half_open_joins,
    blind_signals,
    blind_resets,
    idle_connections,
)


def report() -> int:
    """Carry out all attacks; print what each came to; return 1 if one does harm or costs much."""
    bad = 0
    print(f"{'attack':40} {'packets':>8} {'us/packet':>9} {'ratio':>6} {'growth':>6}  effect")
    for attack in ATTACKS:
        plain = ordinary_data().cost.us
        result = attack()
        us = result.cost.us
        dear = us > MOST_US and attack is not ordinary_data
        bad |= dear or not result.harmless
        mark = " (too much)" if dear else "" if result.harmless else " (HARM)"
        figures = f"{result.packets:8} {us:9.1f} {us / plain:6.2f} {result.cost.growth:6.2f}"
        print(f"{result.name:40} {figures}  {result.effect}{mark}", flush=True)
    return int(bad)
