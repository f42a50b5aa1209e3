"""Two endpoints, and a network that loses, repeats, reorders and forges, as hypothesis drives them.

Other than a pair (``pairs.py``), which follows from a seed, each step is chosen by hypothesis: it
finds short sequences by itself, and makes those that fail smaller.
"""

from __future__ import annotations

from collections import deque
from random import Random
from typing import Any, Final

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from testbed.packet import mptcp
from testbed.packet.address import Address
from testbed.packet.options import Option
from testbed.packet.segment import ACK, FIN, RST, SYN, Segment
from testbed.stack.connection import Connected, Connection
from tests.fuzz import invariants
from tests.fuzz.finding import Finding
from tests.fuzz.invariants import expect
from tests.unit.stack.mptcp.network import Host, Network, S

_MOST: Final = 256  # segments on the way: a network has a buffer, too
_END_S: Final = 2000  # time for the remaining connections after an abort, in virtual time
_BITS: Final = 0xFFFF_FFFF
_sides: Final = st.sampled_from((0, 1))
_places: Final = st.integers(0, 7)
_signals: Final[tuple[Option, ...]] = (
    mptcp.MpPrio(backup=True),
    mptcp.RemoveAddr(address_ids=(0, 1, 2)),
    mptcp.MpFastclose(receiver_key=7),
    mptcp.AddAddr(address_id=9, address="10.0.9.9", hmac=bytes(8)),
    mptcp.MpTcprst(reason=1),
)


class Conversation(RuleBasedStateMachine):
    """One connection of MPTCP with two paths.

    Forged segments have no octets and no mappings, so what arrives is always a prefix of what was
    sent.
    """

    def __init__(self) -> None:
        super().__init__()
        self.network = Network(2)
        self.hosts: tuple[Host, Host] = (self.network.client, self.network.server)
        self.network.server.endpoint.listen(Address("0.0.0.0", 80))
        self.now = S
        self.way: tuple[deque[Segment], deque[Segment]] = (deque(), deque())  # to client, server
        self.ends: list[Connection | None] = [None, None]
        self.sent = [bytearray(), bytearray()]
        self.came = [bytearray(), bytearray()]
        self.random = Random(1)

    @initialize(established=st.booleans())
    def connect(self, established: bool) -> None:
        """Open the connection; mostly it is established before anything is lost."""
        self.ends[0] = self.network.connect()
        self._pump()
        for _ in range(12 if established else 0):
            self._deliver_all()

    @rule(side=_sides, octets=st.sampled_from((1, 100, 1400, 30_000)))
    def write(self, side: int, octets: int) -> None:
        """Let a program write."""
        end = self.ends[side]
        if end is None or end.closed:
            return
        data = self.random.randbytes(octets)
        try:
            taken = end.send(data)
        except BrokenPipeError:
            return
        self.sent[side] += data[:taken]
        self._pump()

    @rule(side=_sides)
    def read(self, side: int) -> None:
        """Let a program read all there is."""
        end = self.ends[side]
        if end is not None:
            self.came[side] += end.read(1 << 20)
            self._pump()

    @rule(side=_sides, how=st.sampled_from(("shutdown", "close", "abort")))
    def end(self, side: int, how: str) -> None:
        """Let a program close."""
        found = self.ends[side]
        if found is not None:
            getattr(found, how)()
            self._pump()

    @rule(side=_sides, at=_places, how=st.sampled_from(("arrive", "lose", "repeat")))
    def one(self, side: int, at: int, how: str) -> None:
        """Let one segment arrive, be lost, or arrive and stay: in any order."""
        way = self.way[side]
        if not way:
            return
        at %= len(way)
        segment = way[at]
        if how != "repeat":
            del way[at]
        if how != "lose":
            self._arrive(side, segment)

    @rule()
    def deliver(self) -> None:
        """Let all that is on the way arrive in order."""
        self._deliver_all()

    @rule(ms=st.sampled_from((1, 40, 300, 5_000)))
    def wait(self, ms: int) -> None:
        """Let time pass, while nothing arrives."""
        until = self.now + ms * 1_000_000
        for _ in range(1000):
            due = [host.endpoint.next_timer() for host in self.hosts]
            first = min((each for each in due if each is not None), default=until)
            if first >= until:
                break
            self.now = max(self.now, first)
            self._timers()
        else:
            raise Finding("timers expire without end")
        self.now = until
        self._timers()

    @rule(
        side=_sides,
        at=_places,
        flags=st.sampled_from((ACK, ACK, ACK, RST, RST | ACK, SYN, FIN | ACK)),
        seq=st.sampled_from((0, 1, -1, 1400, -70_000, 1 << 31)),
        ack=st.sampled_from((0, 1, -1, 1400, -70_000)),
        signal=st.sampled_from((None, *_signals)),
    )
    def forge(
        self, side: int, at: int, flags: int, seq: int, ack: int, signal: Option | None
    ) -> None:
        """Let a segment arrive that resembles one on the way, without its octets."""
        way = self.way[side]
        if not way:
            return
        like = way[at % len(way)]
        kept = tuple(one for one in like.options if not isinstance(one, mptcp.MptcpOption))
        if flags & FIN:  # a false end of the stream: octets are no longer checked
            flags &= ~FIN
        forged = msgspec.structs.replace(
            like,
            payload=b"",
            gso_size=0,
            flags=flags,
            seq=(like.seq + seq) & _BITS,
            ack=(like.ack + ack) & _BITS,
            options=(*kept, *((signal,) if signal else ())),
        )
        self._arrive(side, forged)

    @rule(side=_sides, host=st.sampled_from((0, 1)), gone=st.booleans())
    def address(self, side: int, host: int, gone: bool) -> None:
        """Let an address go or come back."""
        endpoint = self.hosts[side].endpoint
        address = f"10.0.{host + 1}.{side + 1}"
        (endpoint.address_removed if gone else endpoint.address_added)(address, self.now)
        self._pump()

    @invariant()
    def nothing_is_wrong(self) -> None:
        """Check both endpoints, and what has come."""
        for side, host in enumerate(self.hosts):
            end = self.ends[side]
            if end is not None:
                invariants.check(end)
                self.came[side] += end.read(1 << 20) if end.closed else b""
            expect(not host.tracer.count("fault"), "fault in the stack", host.tracer.events[-1:])
            sent = self.sent[1 - side]
            expect(sent.startswith(self.came[side]), "octets arrive that were not sent")
            if end is not None and end.at_eof and end.failure is None:
                expect(len(self.came[side]) == len(sent), "the end comes before the octets")

    def teardown(self) -> None:
        """Abort what is left: nothing of it stays."""
        for end in self.ends:
            if end is not None and not end.closed:
                end.abort()
        self._pump()
        self._deliver_all()
        until = self.now + _END_S * S
        for _ in range(5000):
            due = [host.endpoint.next_timer() for host in self.hosts]
            first = min((each for each in due if each is not None), default=until)
            if first >= until:
                break
            self.now = max(self.now, first)
            self._timers()
            self._deliver_all()
        for host in self.hosts:
            expect(host.endpoint.connections == 0, "tokens stay", host.endpoint.connections)
            expect(host.endpoint.next_timer() is None, "a timer is left when nothing is")

    def _timers(self) -> None:
        for host in self.hosts:
            host.endpoint.handle_timer(self.now)
        self._pump()

    def _arrive(self, side: int, segment: Segment) -> None:
        self.now += 10_000
        self.hosts[side].endpoint.receive(segment, self.now)
        self._pump()

    def _deliver_all(self) -> None:
        for side in (1, 0):
            for _ in range(len(self.way[side])):
                self._arrive(side, self.way[side].popleft())

    def _pump(self) -> None:
        """Let both endpoints send and report until they are quiet."""
        for side, host in enumerate(self.hosts):
            for _ in range(200):
                segments = host.endpoint.segments_to_send(self.now)
                room = _MOST - len(self.way[1 - side])
                self.way[1 - side].extend(segments[: max(0, room)])
                events: list[Any] = []
                while (found := host.endpoint.next_event()) is not None:
                    events.append(found)
                    if isinstance(found[1], Connected) and self.ends[side] is None:
                        self.ends[side] = found[0]
                if not (segments or events):
                    break
            else:
                raise Finding("an endpoint never gets quiet")
