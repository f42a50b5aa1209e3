"""Attacks on an endpoint: each is a stream of packets, and a look at what they have achieved.

The name of an attack is the beginning of its row in the table of ``docs/security.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from testbed.packet import mptcp
from testbed.packet.address import Address
from testbed.packet.options import MaximumSegmentSize, Option, Sack, SackPermitted
from testbed.packet.segment import ACK, RST, SYN, Segment
from testbed.stack.mptcp import crypto
from testbed.stack.mptcp.inbound import MOST_MESSAGES
from testbed.stack.mptcp.received_mappings import MOST_MAPPINGS
from testbed.stack.reassembly import MOST_PIECES
from testbed.stack.tcp.listener import DEFAULT_BACKLOG
from testbed.stack.tcp.scoreboard import MOST_RECORDS
from tests.fuzz.cost import GROUP, LAST, Cost
from tests.fuzz.target import Target
from tests.fuzz.world import BITS, HOSTS, PEER_KEY, PORT, S

ROUNDED: Final = 1 << 14  # a window may exceed its buffer by this: its edge is rounded up


class Result(msgspec.Struct, frozen=True):
    """The effect of an attack.

    :param name: the beginning of its row.
    :param cost: of a packet.
    :param effect: in words; ``harmless`` says whether it is as it must be.
    """

    name: str
    cost: Cost
    effect: str
    harmless: bool


def ordinary_data(target: Target) -> Result:
    """No attack: segments of 1000 octets in order, for comparison."""
    connection = target.connection

    def segments() -> Iterator[Segment]:
        for at in range(0, 1000 * target.packets(4000), 1000):
            yield target.segment(ACK, target.mapping(at, at, 1000), seq=at, payload=bytes(1000))
            connection.read(1 << 20)

    cost = target.feed(segments())
    return Result("Ordinary data (no attack)", cost, "delivered", connection.failure is None)


def mappings_from_behind(target: Target) -> Result:
    """One octet every two, from behind: as many mappings and pieces as are kept, and more."""
    cost = target.feed(
        (
            target.segment(ACK, target.mapping(at, at, 1), seq=at, payload=b"x")
            for at in range(2 * target.packets(40_000), 0, -2)
        ),
        bound=MOST_MAPPINGS,
    )
    kept = len(target.connection.subflows[0].inbound.mappings)
    return Result("One-octet mappings", cost, f"{kept} mappings kept", kept <= MOST_MAPPINGS)


def pieces_of_data(target: Target) -> Result:
    """In order on the subflow, one octet every two in the data stream; then DATA_FIN again."""
    count = target.packets(40_000)

    def segments() -> Iterator[Segment]:
        for at in range(count):
            yield target.segment(ACK, target.mapping(2 + 2 * at, at, 1), seq=at, payload=b"x")
        for _ in range(target.packets(2 * LAST)):
            yield target.segment(ACK, target.mapping(2 * count + 9, -1, 0, fin=True), seq=count)

    cost = target.feed(segments(), bound=MOST_PIECES)
    held = target.connection.incoming.out_of_order
    effect = f"{held} octets held out of order"
    return Result("One-octet pieces of data", cost, effect, held <= MOST_PIECES)


def pieces_of_tcp(target: Target) -> Result:
    """One octet every two of TCP's stream, without any option."""
    last = 2 * target.packets(40_000)
    cost = target.feed(
        (target.segment(ACK, seq=at, payload=b"x") for at in range(2, last, 2)), bound=MOST_PIECES
    )
    held = target.connection.subflows[0].tcp.receiver.buffer.out_of_order
    effect = f"{held} octets held out of order"
    return Result("One-octet pieces of TCP", cost, effect, held <= MOST_PIECES)


def sack_of_crumbs(target: Target) -> Result:
    """SACK blocks of one octet, every two, in all that is in flight."""
    connection, path, world = target.connection, target.path, target.world
    first = path.expected
    for _ in range(target.packets(400)):  # acknowledge until much is in flight
        if connection.subflows[0].tcp.in_flight > 8 * target.packets(1 << 20):
            break
        connection.send(bytes(1 << 20))
        world.pump()
        ack = mptcp.Dss(data_ack=target.keys.incoming.number((path.expected - first) & BITS))
        world.inject(path, ACK, path.next, path.expected, 0xFFFF, (ack,))
        world.wait(1_000_000)
    in_flight = connection.subflows[0].tcp.in_flight

    def segments() -> Iterator[Segment]:
        base = (path.expected - in_flight) & BITS
        for at in range(1, min(in_flight - 6, 6 * target.packets(10_000)), 6):
            blocks = tuple((base + at + more & BITS, base + at + more + 1 & BITS)
                           for more in (0, 2, 4))  # fmt: skip
            yield target.segment(ACK, Sack(blocks), ack=-in_flight)

    cost = target.feed(segments())
    records = len(connection.subflows[0].tcp.sender.board.records)
    effect = f"{records} records of {in_flight} octets in flight"
    return Result("One-octet SACK blocks", cost, effect, records <= MOST_RECORDS)


def signals_after_the_end(target: Target) -> Result:
    """ADD_ADDR without end, after both sides of the data stream have closed."""
    target.end_both_streams()
    local, remote = target.keys.pair()
    hmac = crypto.add_addr_hmac(local, remote, 3, "10.0.3.2", None)
    option = mptcp.AddAddr(address_id=3, address="10.0.3.2", hmac=hmac)
    cost = target.feed(target.segment(ACK, option) for _ in range(target.packets(20_000)))
    kept = sum(len(one.inbound.messages) for one in target.connection.subflows)
    return Result("Signals after the end of data", cost, f"{kept} kept", kept <= MOST_MESSAGES)


def data_after_the_end(target: Target) -> Result:
    """Data in order after DATA_FIN of both sides."""
    target.end_both_streams()
    cost = target.feed(
        target.segment(ACK, target.mapping(at + 1, at, 1000), seq=at, payload=bytes(1000))
        for at in range(0, 1000 * target.packets(20_000), 1000)
    )
    connection = target.connection
    kept = connection.incoming.readable + connection.incoming.out_of_order
    kept += sum(one.tcp.readable for one in connection.subflows)
    return Result("Data after the end of both streams", cost, f"{kept} octets kept", not kept)


def data_without_its_beginning(target: Target) -> Result:
    """Data in order on the subflow whose first octet is missing, until the window is full."""
    window = target.connection.incoming.capacity
    cost = target.feed(
        target.segment(ACK, target.mapping(at + 1, at, 1000), seq=at, payload=bytes(1000))
        for at in range(0, 1000 * target.packets(10_000), 1000)
    )
    held, limit = target.connection.incoming.out_of_order, target.connection.incoming.capacity
    effect = f"{held} octets held, the window has grown from {window} to {limit}"
    return Result("Data without its first octet", cost, effect, held <= limit + ROUNDED)


def ends_in_wrong_places(target: Target) -> Result:
    """DATA_FIN at ever other positions."""
    count = target.packets(20_000)
    cost = target.feed(
        target.segment(ACK, target.mapping(at * 7, -1, 0, fin=True)) for at in range(count, 0, -1)
    )
    few = target.answers <= 2 * count
    return Result("DATA_FIN in the wrong place", cost, f"{target.answers} answers", few)


def addresses_without_end(target: Target) -> Result:
    """Valid ADD_ADDR and REMOVE_ADDR of all ids, over and over."""
    local, remote = target.keys.pair()

    def segments() -> Iterator[Segment]:
        for number in range(target.packets(20_000)):
            host = f"10.1.{number // 250 % 250}.{number % 250 + 1}"
            address_id = 1 + number % 255
            hmac = crypto.add_addr_hmac(local, remote, address_id, host, None)
            yield target.segment(ACK, mptcp.AddAddr(address_id=address_id, address=host, hmac=hmac))
            if number % 3 == 0:
                yield target.segment(ACK, mptcp.RemoveAddr(address_ids=(address_id,)))

    cost = target.feed(segments())
    known = len(target.connection.paths.remotes)
    effect = f"{known} addresses kept"
    return Result("Addresses announced and withdrawn", cost, effect, known <= 256)


def refused_before_the_keys(target: Target) -> Result:
    """SYN with MP_CAPABLE, then RST with ADD_ADDR: 20,000 pairs."""
    option = mptcp.AddAddr(address_id=3, address="10.0.3.2", hmac=bytes(8))

    def segments() -> Iterator[Segment]:
        for number in range(target.packets(20_000)):
            source = Address(f"10.9.{number // 250}.{number % 250 + 1}", 1234)
            common = {"source": source, "destination": Address(HOSTS[0], PORT), "window": 1000}
            yield Segment(seq=7, flags=SYN, options=(mptcp.MpCapable(),), **common)
            yield Segment(seq=8, flags=RST, options=(option,), **common)

    cost = target.feed(segments())
    left = target.world.endpoint.connections
    harmless = left == 1 and target.delivers()
    return Result("SYN, then RST with a signal", cost, f"{left - 1} tokens stay", harmless)


def syn_flood(target: Target) -> Result:
    """SYNs with MP_CAPABLE from everywhere; a client comes in between."""

    def segments() -> Iterator[Segment]:
        for number in range(target.packets(50_000)):
            source = Address(f"10.{number // 62500 + 9}.{number // 250 % 250}.{number % 250}", 999)
            yield Segment(source=source, destination=Address(HOSTS[0], PORT), seq=number,
                          flags=SYN, window=1000, options=(mptcp.MpCapable(),))  # fmt: skip

    cost = target.feed(segments())
    world = target.world
    kept, before = world.endpoint.connections, len(world.connections)
    path = world.open_path(
        Address(HOSTS[0], PORT), Address("10.77.0.1", 7), mptcp.MpCapable(flags=1)
    )
    third = mptcp.MpCapable(sender_key=PEER_KEY, receiver_key=target.keys.remote)
    world.inject(path, ACK, path.next, path.expected, 0xFFFF, (third,))
    comes = len(world.connections) > before
    effect = f"{kept} half-open kept, a client {'gets' if comes else 'does not get'} in"
    return Result("SYN flood", cost, effect, comes and kept <= DEFAULT_BACKLOG + 1)


def half_open_joins(target: Target) -> Result:
    """MP_JOIN with the right token and no key, 20,000 of them; then the peer joins."""
    token = target.keys.remote_token

    def segments() -> Iterator[Segment]:
        for number in range(target.packets(20_000)):
            source = Address(f"10.9.{number // 250}.{number % 250 + 1}", 1234)
            join = mptcp.MpJoinSyn(address_id=9, token=token, nonce=number)
            yield Segment(source=source, destination=Address(HOSTS[1], PORT), seq=number,
                          flags=SYN, window=1000, options=(join,))  # fmt: skip

    cost = target.feed(segments())
    kept = len(target.world.endpoint.tcp._connections) - 1
    seen = len(target.connection.subflows) - 1
    effect = f"{kept} half-open kept, {seen} looked at"
    harmless = kept <= DEFAULT_BACKLOG and not seen and target.delivers()
    return Result("Half-open joins", cost, effect, harmless)


def blind_signals(target: Target) -> Result:
    """REMOVE_ADDR, MP_PRIO and MP_FAIL on a grid of sequence numbers, ports and addresses known."""
    signals = (
        mptcp.RemoveAddr(address_ids=(0, 1, 2)),
        mptcp.MpPrio(backup=True),
        mptcp.MpFail(dsn=target.keys.incoming.number(0)),
    )
    name = "REMOVE_ADDR, MP_PRIO, MP_FAIL at guessed sequence numbers"
    return _blind(target, name, lambda number: (signals[number % 3],))


def blind_infinite_mappings(target: Target) -> Result:
    """Infinite mappings on a grid of sequence numbers, of data that the peer may not use."""

    def options(number: int) -> tuple[Option, ...]:
        dsn = target.keys.outgoing.number(number << 40)
        return (mptcp.Dss(dsn=dsn, subflow_seq=number * 65_536 + 2 & BITS, length=0),)

    return _blind(target, "Infinite mapping at guessed sequence numbers", options)


def blind_forms(target: Target) -> Result:
    """Mappings with a checksum that was not agreed on, and ACKs without an option, in turns."""

    def options(number: int) -> tuple[Option, ...]:
        wrong = mptcp.Dss(dsn=number, subflow_seq=1, length=10, checksum=5)
        return (wrong,) if number % 2 else ()

    return _blind(target, "Mappings with a checksum that was not agreed on", options)


def _blind(target: Target, name: str, options: Callable[[int], tuple[Option, ...]]) -> Result:
    """Carry out an attack by options at every 65,536th sequence number."""
    cost = target.feed(
        target.segment(ACK, *options(number), seq=number * 65_536 + 1)
        for number in range(1, target.packets(60_000))
    )
    target.world.wait(120 * S)
    (subflow,) = target.connection.subflows
    harmless = not (subflow.backup or subflow.fallback) and target.delivers()
    return Result(name, cost, "no effect" if harmless else "an effect", harmless)


def failures_again(target: Target) -> Result:
    """MP_FAIL with the right data sequence number, over and over."""
    option = mptcp.MpFail(dsn=target.keys.incoming.number(0))
    cost = target.feed(target.segment(ACK, option) for _ in range(target.packets(20_000)))
    connection = target.connection
    harmless = connection.fallback and connection.failure is None and target.answers < 50
    effect = f"plain TCP, {target.answers} answers"
    return Result("MP_FAIL with the right DSN", cost, effect, harmless)


def blind_resets(target: Target) -> Result:
    """RST and SYN at every 65,536th sequence number."""
    cost = target.feed(
        target.segment(flags, seq=number * 65_536 + 1)
        for number in range(1, target.packets(60_000) // 2)
        for flags in (RST, SYN)
    )
    alive = target.connection.failure is None and target.delivers()
    name = "RST and SYN at guessed sequence numbers"
    return Result(name, cost, "no effect" if alive else "reset", alive)


def idle_connections(target: Target) -> Result:
    """15,000 connections whose keep-alives all come in one second; blind RSTs to one of them."""
    count = target.packets(15_000)
    peers = [Address(f"10.9.{at // 250}.{at % 250 + 1}", 1234) for at in range(count)]
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
    answered = 0
    for at in range(0, count, GROUP):
        group = peers[at : at + GROUP]
        with target.meter.group(len(group)):
            answered += sum(len(exchange(peer, ACK, 7, numbers[peer])) == 1 for peer in group)
    effect = f"{count - answered} of {count} unanswered"
    name = "RSTs that use up the limit of ACKs"
    return Result(name, target.meter.cost(), effect, answered == count)


ATTACKS: Final[tuple[Callable[[Target], Result], ...]] = (
    refused_before_the_keys,
    syn_flood,
    half_open_joins,
    blind_signals,
    blind_infinite_mappings,
    blind_forms,
    blind_resets,
    idle_connections,
    mappings_from_behind,
    pieces_of_data,
    pieces_of_tcp,
    sack_of_crumbs,
    addresses_without_end,
    signals_after_the_end,
    failures_again,
    data_after_the_end,
    data_without_its_beginning,
    ends_in_wrong_places,
)
