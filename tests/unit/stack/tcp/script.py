"""Segments in and segments out, by hand: one endpoint, and a test that plays its peer."""

from __future__ import annotations

from typing import Any

from testbed.packet.address import Address, Flow
from testbed.packet.options import (
    MaximumSegmentSize,
    Option,
    Sack,
    SackPermitted,
    Timestamps,
    WindowScale,
    find,
)
from testbed.packet.segment import ACK, CWR, ECE, FIN, PSH, RST, SYN, URG, Segment
from testbed.stack.connection import Closed, Event
from testbed.stack.tcp.config import TcpConfig
from testbed.stack.tcp.connection import TcpConnection
from testbed.stack.tcp.endpoint import TcpEndpoint

from .riding import RIDING

MS = 1_000_000
SECOND = 1_000_000_000
HERE = Address("10.0.0.1", 1000)
PEER = Address("10.0.0.2", 2000)
FLOW = Flow(HERE, PEER)
PEER_ISN = 0xFFFF_FF00  # the peer's numbers wrap early
MSS = 1460

_BITS = {"S": SYN, "F": FIN, "R": RST, "P": PSH, ".": ACK, "U": URG, "E": ECE, "W": CWR}
_BARE = TcpConfig(timestamps=False, sack=False, window_scaling=False, delayed_ack_ns=40 * MS)


def bare(**settings: Any) -> TcpConfig:
    """Return a configuration without options but MSS, changed by ``settings``."""
    return TcpConfig(**{
        "timestamps": False, "sack": False, "window_scaling": False, **settings
    })  # fmt: skip


class Script:
    """An endpoint and its peer's side of one connection.

    Sequence numbers are relative: 0 is SYN on both sides, 1 the first octet.
    """

    def __init__(self, config: TcpConfig | None = None, *, flow: Flow = FLOW) -> None:
        self.endpoint = TcpEndpoint(config or _BARE, b"k" * 16)
        self.flow = flow
        self.now = 100 * SECOND
        self.base: int | None = None  # our ISN, once seen
        self.events: list[Event] = []
        self.last: list[Segment] = []
        self.options: tuple[Option, ...] = ()  # options of each segment of the peer

    def ending(self) -> Closed | None:
        """Return how the connection has ended; None: it has not."""
        found = [event for event in self.events if isinstance(event, Closed)]
        assert len(found) <= 1
        return found[0] if found else None

    # The peer

    def inject(
        self,
        flags: str,
        seq: int,
        ack: int | None = None,
        payload: bytes = b"",
        *,
        win: int = 65535,
        options: tuple[Option, ...] | None = None,
        ecn: int = 0,
        gso_size: int = 0,
        urgent: int = 0,
        take: bool = True,
    ) -> list[str]:
        """Have a segment arrive and return what leaves for it, unless it is not taken yet."""
        bits = 0
        for letter in flags:
            bits |= _BITS[letter]
        segment = Segment(
            source=self.flow.remote,
            destination=self.flow.local,
            seq=(PEER_ISN + seq) & 0xFFFF_FFFF,
            ack=0 if ack is None else ((self.base or 0) + ack) & 0xFFFF_FFFF,
            flags=bits,
            window=win,
            options=self.options if options is None else options,
            payload=payload,
            ecn=ecn,
            gso_size=gso_size,
            urgent=urgent,
        )
        self.endpoint.receive(segment, self.now)
        return self.out() if take else []

    # This side

    def out(self) -> list[str]:
        """Return what can leave now, as ``"flags seq:end ack"``, like tcpdump."""
        self.last = list(self.endpoint.segments_to_send(self.now))
        RIDING.transcript += [f"{self.now} {segment} {segment.gso_size}" for segment in self.last]
        while (found := self.endpoint.next_event()) is not None:
            self.events.append(found[1])
        return [self._text(segment) for segment in self.last]

    def _text(self, segment: Segment) -> str:
        if self.base is None and segment.flags & SYN:
            self.base = segment.seq
        flags = "".join(letter for letter, bit in _BITS.items() if segment.flags & bit)
        seq = (segment.seq - (self.base or 0)) & 0xFFFF_FFFF
        seq -= (seq >> 31) << 32
        text = f"{flags} {seq}:{seq + len(segment.payload)}"
        if segment.flags & ACK:
            text += f" {(segment.ack - PEER_ISN) & 0xFFFF_FFFF}"
        return text

    def wait(self, duration: int) -> list[str]:
        """Let time pass and return what leaves meanwhile."""
        end = self.now + duration
        seen = []
        while (timer := self.endpoint.next_timer()) is not None and timer <= end:
            self.now = max(self.now, timer)
            self.endpoint.handle_timer(self.now)
            seen += self.out()
        self.now = end
        return seen

    def times(self, duration: int) -> list[tuple[int, str]]:
        """Let time pass and return what leaves meanwhile, and after how many milliseconds."""
        start, seen = self.now, []
        end = start + duration
        while (timer := self.endpoint.next_timer()) is not None and timer <= end:
            self.now = max(self.now, timer)
            self.endpoint.handle_timer(self.now)
            seen += [((self.now - start) // MS, text) for text in self.out()]
        self.now = end
        return seen

    @property
    def connection(self) -> TcpConnection:
        found = self.endpoint.connection(self.flow)
        assert found is not None
        return found

    # Usual beginnings

    def connect(self, options: tuple[Option, ...] = (), *, win: int = 65535) -> TcpConnection:
        """Open a connection actively; a round trip takes 50 ms."""
        connection = self.open()
        self.out()
        self.now += 50 * MS
        self.inject("S.", 0, 1, options=(MaximumSegmentSize(MSS), *options), win=win)
        return connection

    def open(self) -> TcpConnection:
        """Begin to open a connection."""
        return self.endpoint.connect(self.flow, self.now, RIDING.extension())

    def listen(self, backlog: int = 16) -> None:
        """Open the port."""
        self.endpoint.listen(self.flow.local, RIDING.acceptor(), backlog)

    def accept(self, options: tuple[Option, ...] = (), *, win: int = 65535) -> TcpConnection:
        """Have the peer open a connection; a round trip takes 50 ms."""
        self.listen()
        self.inject("S", 0, options=(MaximumSegmentSize(MSS), *options), win=win)
        self.now += 50 * MS
        timestamps = find(options, Timestamps)
        self.inject(".", 1, 1, win=win, options=(timestamps,) if timestamps else ())
        return self.connection

    def sack(self, *blocks: tuple[int, int]) -> tuple[Option, ...]:
        """Return a SACK option of blocks in our sequence space."""
        base = self.base or 0
        return (
            Sack(tuple(((base + a) & 0xFFFF_FFFF, (base + b) & 0xFFFF_FFFF) for a, b in blocks)),
        )

    def sacked(self) -> list[tuple[int, int]]:
        """Return the SACK blocks of the last segment that left, in the peer's sequence space."""
        option = find(self.last[-1].options, Sack)
        blocks = option.blocks if option is not None else ()
        return [tuple((edge - PEER_ISN) & 0xFFFF_FFFF for edge in block) for block in blocks]


SACK_PERMITTED = (SackPermitted(),)
SCALED = (WindowScale(7),)
