"""Pairs: two real endpoints over two paths, and somebody on the way who changes what passes.

One connection is attacked; another one between the same endpoints is left alone and has to go on.
A case is a value: it follows from its seed, and is made smaller by taking changes away.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Final

import msgspec

from testbed.errors import PacketError
from testbed.packet import mptcp
from testbed.packet.address import Address, Flow
from testbed.packet.codec import emit, parse
from testbed.packet.options import Option
from testbed.packet.segment import ACK, FIN, RST, SYN, URG, Segment
from testbed.stack.connection import Connection
from testbed.stack.mptcp.connection import MptcpConnection
from testbed.stack.mptcp.scheduler import SCHEDULERS
from testbed.stack.tcp.config import TcpConfig
from tests.fuzz import invariants, octets
from tests.fuzz.finding import Finding
from tests.fuzz.invariants import expect
from tests.unit.stack.mptcp.network import Network, S

CHANGES: Final = 40  # the number of changes of a pair
_SIZE: Final = 150_000  # octets each way
_EARLY: Final = 900  # octets of them that go with the SYN
_SEGMENTS: Final = 400  # among which the changed ones are
_STORM: Final = 20_000  # segments of both connections together: a sound pair has some 1000
_LIMIT_S: Final = 1200  # in virtual time: longer than all retransmissions of a segment
_END_S: Final = 300  # time for the remaining connections after an abort
_BITS: Final = 0xFFFF_FFFF
_SIGNALS: Final = (
    "add_addr", "remove_addr", "mp_prio", "mp_fail", "mp_fastclose", "mp_tcprst", "data_fin",
    "data_ack")  # fmt: skip
_HOWS: Final = ("bits", "bits", "flags", "twice", "without", "turned", "replay", "lost", "ack",
                "window", "signal", "signal", "forge", "cut")  # fmt: skip


class Change(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What happens to one segment.

    :param at: which segment of the attacked connection, counted on the way.
    :param first: says, with ``second``, what exactly.
    :param instead: the changed segment comes instead of the sound one, not before it.
    """

    at: int = 0
    how: str = "bits"
    first: int = 0
    second: int = 0
    instead: bool = False


class Pair(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """See the module.

    :param plain: options of MPTCP are taken away from the SYN.
    :param early: data goes with the SYN, and is answered before the handshake is over.
    """

    seed: int = 1
    plain: bool = False
    checksum: bool = False
    timestamps: bool = True
    gso: bool = False
    buffer: int = 4 << 20
    scheduler: str = "earliest"
    changes: tuple[Change, ...] = ()
    early: bool = False


def pair(seed: int) -> Pair:
    """Return the pair of a seed."""
    rng = Random(f"pair {seed}")
    return Pair(
        seed=rng.getrandbits(16),
        plain=rng.random() < 0.25,
        checksum=rng.random() < 0.3,
        timestamps=rng.random() < 0.6,
        gso=rng.random() < 0.3,
        buffer=rng.choice((5_000, 60_000, 4 << 20)),
        scheduler=rng.choice(SCHEDULERS.own()),
        changes=tuple(
            Change(
                at=rng.randrange(_SEGMENTS),
                how=rng.choice(_HOWS),
                first=rng.getrandbits(16),
                second=rng.getrandbits(16),
                instead=rng.random() < 0.3,
            )
            for _ in range(CHANGES)
        ),
        early=rng.random() < 0.3,
    )


class _Way:
    """The filter of all paths."""

    def __init__(self, case: Pair, watched: Network, other: MptcpConnection) -> None:
        self.forged = False  # data may be misplaced: octets are no longer checked
        self.begun = False
        self._case = case
        self._network = watched
        self._other = other
        self._spared: set[Flow] = set()
        self._changes: dict[int, list[Change]] = {}
        for change in case.changes:
            self._changes.setdefault(change.at, []).append(change)
        self._seen: list[Segment] = []
        self._carried = 0

    def carry(self, segment: Segment) -> Sequence[Segment]:
        """Return what arrives instead of a segment; check both endpoints."""
        self._carried += 1
        expect(self._carried < _STORM, "segments without end", self._carried)
        self.check()
        if self._is_spared(segment):
            return (segment,)
        if not self.begun:
            return (_without_mptcp(segment) if self._case.plain else segment,)
        self._seen.append(segment)
        came: list[Segment] = []
        sound = True
        for change in self._changes.get(len(self._seen) - 1, ()):
            came += self._changed(change, segment)
            sound = sound and not change.instead
        return [*came, segment] if sound else came

    def _is_spared(self, segment: Segment) -> bool:
        """Tell whether it is of the other connection, perhaps of a subflow that is no more."""
        self._spared.update(subflow.tcp.flow for subflow in self._other.subflows)
        ends = segment.source, segment.destination
        return not self._spared.isdisjoint((Flow(*ends), Flow(*ends[::-1])))

    def check(self) -> None:
        """Check every connection of both endpoints."""
        for host in (self._network.client, self._network.server):
            for connection in host.connections:
                invariants.check(connection)
            expect(not host.tracer.count("fault"), "fault in the stack", host.tracer.events[-3:])

    def _changed(self, change: Change, segment: Segment) -> list[Segment]:
        if change.how == "lost":
            return []
        if change.how == "replay":
            return [self._seen[change.first % len(self._seen)]]
        if change.how == "cut":
            return [msgspec.structs.replace(segment, payload=b"")]
        if change.how in ("bits", "forge"):
            return self._damaged(change, segment)
        changed = msgspec.structs.replace(segment, **_fields(change, segment))
        size = sum((option.size + 3) & ~3 for option in changed.options)
        return [changed] if size <= 40 else []

    def _damaged(self, change: Change, segment: Segment) -> list[Segment]:
        """Flip bits of the header; without octets of data, unless the case forges."""
        forge = change.how == "forge" and change.second % 4 == 0
        if not forge:
            options = tuple(one for one in segment.options if not _maps(one))
            segment = msgspec.structs.replace(segment, payload=b"", options=options)
        found = bytearray(emit(segment))
        start = 20 if found[0] >> 4 == 4 else 40
        header = len(found) - len(segment.payload) - start
        rng = Random(f"{change.first} {change.second}")
        for _ in range(1 + change.first % 4):
            bit = rng.randrange(4 * 8, header * 8)
            found[start + bit // 8] ^= 1 << bit % 8
        try:
            changed = parse(octets.with_right_sums(bytes(found)))
        except PacketError:
            return []
        self.forged |= forge or bool(changed.payload) or any(map(_maps, changed.options))
        return [changed]


def _maps(option: Option) -> bool:
    return isinstance(option, mptcp.Dss) and option.dsn is not None


def _without_mptcp(segment: Segment) -> Segment:
    options = tuple(one for one in segment.options if not isinstance(one, mptcp.MptcpOption))
    return msgspec.structs.replace(segment, options=options)


def _fields(change: Change, segment: Segment) -> dict[str, object]:
    """Return the fields that a change sets."""
    options, first = segment.options, change.first
    at = first % len(options) if options else 0
    match change.how:
        case "flags":
            flag = (SYN, FIN, RST, URG, ACK)[first % 5]
            return {"flags": segment.flags ^ flag}
        case "twice":
            return {"options": (*options, *options[at : at + 1])}
        case "without":
            return {"options": options[:at] + options[at + 1 :]}
        case "turned":
            return {"options": options[::-1]}
        case "ack":
            return {"ack": (segment.ack + first - 0x8000) & _BITS}
        case "window":
            return {"window": first}
        case _:
            signal = _signal(change, segment)
            return {"options": (signal,), "payload": b"", "flags": ACK}


def _signal(change: Change, segment: Segment) -> Option:
    """Return a signal as somebody sends it who has seen this segment, but has no keys."""
    first, second = change.first, change.second
    dss = next((one for one in segment.options if isinstance(one, mptcp.Dss)), mptcp.Dss())
    match _SIGNALS[first % len(_SIGNALS)]:
        case "add_addr":
            hmac = None if second & 1 else second.to_bytes(8, "big")
            return mptcp.AddAddr(address_id=second & 0xFF, address="10.0.2.2", hmac=hmac)
        case "remove_addr":
            return mptcp.RemoveAddr(address_ids=(second & 3,))
        case "mp_prio":
            return mptcp.MpPrio(backup=bool(second & 1))
        case "mp_fail":
            return mptcp.MpFail(dsn=(dss.data_ack or 0) + second % 3)
        case "mp_fastclose":
            return mptcp.MpFastclose(receiver_key=second)
        case "mp_tcprst":
            return mptcp.MpTcprst(reason=second & 0xFF)
        case "data_fin":
            dsn = dss.dsn if dss.dsn is not None else second
            return mptcp.Dss(dsn=dsn, subflow_seq=0, length=1, data_fin=True)
        case _:
            return mptcp.Dss(data_ack=(dss.data_ack or 0) + second - 0x4000 & (1 << 64) - 1)


class _Streams:
    """The data of the connections: the attacked one first, in each direction."""

    def __init__(self, network: Network, seed: int) -> None:
        rng = Random(seed)
        self._network = network
        self._there, self._back = ([rng.randbytes(_SIZE) for _ in range(2)] for _ in range(2))
        self._opened: list[MptcpConnection] = []
        self._ports: list[int] = []

    def open(self, *, early: int) -> MptcpConnection:
        """Open both connections; return the one that is left alone.

        :param early: octets that the first segment of each may carry.
        """
        self._network.make_known()
        self._early = early
        self._opened = [self._network.connect(data=data[:early]) for data in self._there]
        self._ports = [one.flow.local.port for one in self._opened]
        return self._opened[1]

    def start(self) -> None:
        """Let data flow, when both connections are established."""
        network = self._network
        network.run(10, lambda: len(network.server.connections) == 2)
        for connection in network.server.connections:
            network.server.send(connection, self._back[self._number(connection)])
        for connection, data in zip(self._opened, self._there, strict=True):
            network.client.send(connection, data[self._early :])

    def check(self, *, forged: bool) -> None:
        """Compare what has come with what was sent."""
        network = self._network
        pairs = [(network.client, one, self._back[at]) for at, one in enumerate(self._opened)]
        pairs += [
            (network.server, one, self._there[self._number(one)])
            for one in network.server.connections
        ]
        for host, connection, sent in pairs:
            came = bytes(host.received.get(connection, b""))
            if self._number(connection) == 1:
                expect(came == sent, "the other connection is short of data", len(came))
                expect(host.failure(connection) == "", "the other connection fails",
                       host.failure(connection))  # fmt: skip
            elif not forged and not sent.startswith(came):
                raise Finding(f"octets arrive that were not sent: {len(came)}",
                              *_circumstances(connection, sent, came))  # fmt: skip

    def end(self) -> None:
        """Abort what is left of the attacked connection: nothing of it stays."""
        network = self._network
        for connection in (*self._opened, *network.server.connections):
            if not connection.closed:
                connection.abort()
        network.run(_END_S)
        for host in (network.client, network.server):
            expect(host.endpoint.connections == 0, "tokens stay", host.endpoint.connections)
            expect(host.endpoint.next_timer() is None, "a timer is left when nothing is")

    def _number(self, connection: Connection) -> int:
        flow = connection.flow
        return max(self._ports.index(one.port) for one in (flow.local, flow.remote)
                   if one.port in self._ports)  # fmt: skip


def _circumstances(connection: Connection, sent: bytes, came: bytes) -> tuple[str, ...]:
    """Tell faults apart by which all end in octets at a wrong place."""
    at = next((at for at, (one, other) in enumerate(zip(came, sent, strict=False))
               if one != other), len(sent))  # fmt: skip
    there = sent.find(came[at : at + 64])
    place = "from nowhere" if there < 0 else "early" if there > at else "again"
    if not isinstance(connection, MptcpConnection):
        return (place, "plain TCP")
    fallback = "fallback" if connection.fallback else "MPTCP"
    checksum = "checksums" if connection.keys.checksum else "no checksums"
    return (place, fallback, checksum, "opened" if connection.initiator else "accepted")


def play(case: Pair) -> None:
    """Let both connections carry data while one is attacked.

    :raises Finding: an invariant does not hold; or any exception that the stack lets through.
    """
    tcp = TcpConfig(timestamps=case.timestamps, gso=case.gso, keepalive=True,
                    keepalive_idle_ns=60 * S, fast_open=case.early)  # fmt: skip
    network = Network(2, seed=case.seed, tcp=tcp, checksum=case.checksum,
                      scheduler=case.scheduler, early_answer=True, send_buffer=case.buffer,
                      receive_buffer=case.buffer)  # fmt: skip
    listening = network.server.endpoint.listen(Address("0.0.0.0", 80))
    streams = _Streams(network, case.seed)
    way = _Way(case, network, streams.open(early=_EARLY if case.early else 0))
    for path in network.paths.values():
        path.filter = way.carry
    streams.start()
    way.begun = True
    network.run(_LIMIT_S)
    way.check()
    streams.check(forged=way.forged)
    listening.close()
    streams.end()
