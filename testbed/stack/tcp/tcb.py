"""The transmission control block: all that is known of a connection (RFC 9293, section 3.3.1).

What arrives (``input``), what leaves (``output``) and what is due (``timers``) are functions on
it; applications see it as :class:`~testbed.stack.tcp.connection.TcpConnection`.
"""

from __future__ import annotations

from typing import Any, Protocol

from testbed.stack.connection import Closed, ConnectionFailure, ErrorKind, Event, Readable
from testbed.stack.deadlines import NEVER
from testbed.stack.packet.address import Flow
from testbed.stack.packet.segment import Segment
from testbed.stack.packet.sequence import BITS_32, expand
from testbed.stack.tcp.challenge import ChallengeLimit
from testbed.stack.tcp.config import MILLISECOND, TcpConfig
from testbed.stack.tcp.congestion import CongestionControl
from testbed.stack.tcp.extension import Extension
from testbed.stack.tcp.receiver import Receiver
from testbed.stack.tcp.sender import Sender
from testbed.stack.tcp.state import OVER, RECEIVING, RESETTABLE, TRANSITIONS, State, Trigger

_IPV4_AND_TCP = 40
_IPV6_AND_TCP = 60
_DEFAULT_MSS = {4: 536, 6: 1220}  # RFC 9293, section 3.7.1
_TIMESTAMPS_LENGTH = 12


class Owner(Protocol):
    """What a connection asks of its endpoint."""

    challenges: ChallengeLimit

    def wake(self, connection: Any) -> None:
        """Ask it for segments and for its timer before long."""

    def report(self, connection: Any, event: Event) -> None:
        """Tell the application."""


class Tcb:
    """The variables of one connection, and how its state changes."""

    __slots__ = (
        "accepted",
        "backlogged",
        "close_at",
        "config",
        "ecn",
        "ecn_reduced",
        "extension",
        "failure",
        "flow",
        "keepalive_at",
        "last_received_ns",
        "nagle",
        "orphaned",
        "owner",
        "probes",
        "pure_ack",
        "readable_reported",
        "reading_closed",
        "receiver",
        "reset",
        "sack",
        "segments_received",
        "segments_sent",
        "sender",
        "soft_error",
        "state",
        "timestamp_offset",
        "timestamps",
        "ts_recent",
        "ts_recent_ns",
        "wants_room",
        "window_scaling",
    )

    def __init__(
        self,
        flow: Flow,
        config: TcpConfig,
        owner: Owner,
        congestion: CongestionControl,
        extension: Extension | None,
        state: State,
    ) -> None:
        self.flow = flow
        self.config = config
        self.owner = owner
        self.extension = extension
        self.state = state
        self.failure: ConnectionFailure | None = None
        self.soft_error: ConnectionFailure | None = None
        self.sender = Sender(config, congestion)
        self.receiver = Receiver(config)
        self.accepted = state is State.LISTEN
        self.backlogged: Any = None  # the listener whose backlog it takes a place of
        # Negotiated in the handshake; until then, what is offered.
        self.timestamps = config.timestamps
        self.sack = config.sack
        self.window_scaling = config.window_scaling
        self.ecn = config.ecn
        self.ecn_reduced = False  # CWR is to be set on the next new data
        self.nagle = config.nagle
        self.timestamp_offset = 0
        self.ts_recent = 0
        self.ts_recent_ns = 0
        self.pure_ack = False  # asked for by the extension's owner
        self.reset = False  # RST is to be sent
        self.reading_closed = False
        self.orphaned = False
        self.wants_room = False
        self.readable_reported = False
        self.probes = 0  # of keep-alive, unanswered
        self.last_received_ns = 0
        self.segments_sent = 0
        self.segments_received = 0
        self.close_at = NEVER  # TIME-WAIT's end, or that of an orphan's FIN-WAIT-2
        self.keepalive_at = NEVER

    # How its state changes.

    def transition(self, trigger: Trigger) -> None:
        """Go where the table says."""
        old = self.state
        self.state = new = TRANSITIONS[old, trigger]
        if self.extension is not None:
            self.extension.state_changed(old, new)

    def end(self, failure: ConnectionFailure | None, trigger: Trigger = Trigger.DELETE) -> None:
        """Be closed from now on, and say so."""
        if self.state is State.CLOSED:
            return
        over = self.state in OVER
        self.failure = failure
        self.transition(trigger)
        self.sender.clear()
        self.receiver.ack_at = self.close_at = self.keepalive_at = NEVER
        self.receiver.ack_now = self.pure_ack = False
        if not over:
            self.owner.report(self, Closed(failure))
        self.owner.wake(self)

    def abort_with(self, failure: ConnectionFailure) -> None:
        """Send RST if the peer knows of the connection, and be closed."""
        self.reset |= self.state in RESETTABLE  # one that is due already still leaves
        if self.reset:
            self.receiver.buffer.clear()
        self.end(failure)

    def give_up(self, detail: str) -> None:
        """End: the peer does not answer any more."""
        failure = self.soft_error or ConnectionFailure(ErrorKind.TIMED_OUT, detail)
        self.end(failure)

    def enter_time_wait(self, trigger: Trigger, now: int) -> None:
        """Enter TIME-WAIT: the application has nothing more to expect, the peer may have."""
        self.transition(trigger)
        self.sender.clear()
        self.keepalive_at = NEVER
        self.close_at = now + self.config.time_wait_ns
        self.report_readable()
        self.owner.report(self, Closed())

    def report_readable(self) -> None:
        """Tell the application that there is something to read, the end of the stream included."""
        if not self.readable_reported and not self.reading_closed:
            self.readable_reported = True
            self.owner.report(self, Readable())

    @property
    def receiving(self) -> bool:
        """Whether the peer may still send data."""
        return self.state in RECEIVING

    # What goes on the wire.

    @property
    def headers(self) -> int:
        """Octets of IP and TCP header, options excluded."""
        return _IPV6_AND_TCP if ":" in self.flow.local.host else _IPV4_AND_TCP

    @property
    def advertised_mss(self) -> int:
        """The MSS option to send."""
        return self.config.mtu - self.headers

    def negotiated_mss(self, peers: int | None) -> None:
        """Take the peer's MSS option, ``None`` if it sent none (RFC 9293, section 3.7.1)."""
        if peers is None:
            peers = _DEFAULT_MSS[6 if ":" in self.flow.local.host else 4]
        self.limit_segments(min(max(peers, 88), self.advertised_mss))

    def limit_segments(self, limit: int) -> None:
        """Make segments of at most so many octets of payload and options."""
        self.sender.set_segment_limit(limit, _TIMESTAMPS_LENGTH if self.timestamps else 0)

    def timestamp(self, now: int) -> int:
        """Return TSval: milliseconds, from an offset of the connection's own."""
        return (now // MILLISECOND + self.timestamp_offset) & BITS_32

    def echoed_ns(self, echo: int, now: int) -> int | None:
        """Return when TSval was ``echo``, or ``None`` if that never was."""
        if not echo:
            return None
        age = (self.timestamp(now) - echo) & BITS_32
        sent_ns = (now // MILLISECOND - age) * MILLISECOND
        return sent_ns if age < 1 << 31 and sent_ns >= 0 else None

    def position_of(self, segment: Segment) -> int:
        """Return the position in the peer's stream of a segment's first octet; of SYN, -1."""
        return expand((segment.seq - self.receiver.base) & BITS_32, self.receiver.next)

    # When it is due.

    def next_timer(self) -> int:
        """Return the earliest deadline."""
        sender = self.sender
        return min(
            sender.rto_at,
            sender.probe_at,
            sender.recovery.look_at,
            sender.persist_at,
            self.receiver.ack_at,
            self.keepalive_at,
            self.close_at,
        )
