"""The transmission control block: all that is known of a connection (RFC 9293, section 3.3.1).

What arrives (``input``), what leaves (``output``) and what is due (``timers``) are functions on
it; applications see it as :class:`~testbed.stack.tcp.connection.TcpConnection`.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple, Protocol

from testbed.packet.address import Flow
from testbed.packet.options import (
    MaximumSegmentSize,
    SackPermitted,
    Timestamps,
    WindowScale,
    find,
)
from testbed.packet.options import UserTimeout as UserTimeoutOption
from testbed.packet.segment import ACK, Segment
from testbed.packet.sequence import BITS_32, expand
from testbed.stack.connection import (
    Closed,
    Connected,
    ConnectionFailure,
    ErrorKind,
    ErrorReport,
    Event,
    Readable,
    Urgent,
    Writable,
)
from testbed.stack.deadlines import NEVER
from testbed.stack.tcp.black_hole import BlackHole
from testbed.stack.tcp.challenge import AckLimit
from testbed.stack.tcp.chronograph import Chronograph
from testbed.stack.tcp.config import TcpConfig
from testbed.stack.tcp.congestion.control import CongestionControl
from testbed.stack.tcp.ecn import Ecn
from testbed.stack.tcp.extension import Extension
from testbed.stack.tcp.fast_open import Early
from testbed.stack.tcp.keepalive import KeepAlive
from testbed.stack.tcp.receiver import Receiver
from testbed.stack.tcp.right_sizing import WindowMemory
from testbed.stack.tcp.segment_size import (
    TIMESTAMPS_LENGTH,
    advertised_mss,
    headers_of,
    ip_version,
    peers_mss,
)
from testbed.stack.tcp.sender import Sender
from testbed.stack.tcp.state import (
    HANDSHAKE,
    OVER,
    RECEIVING,
    RESETTABLE,
    SHUT,
    TRANSITIONS,
    State,
    Trigger,
)
from testbed.stack.tcp.timestamps import Timestamping
from testbed.stack.tcp.user_timeout import UserTimeout

_MAX_SHIFT = 14  # RFC 7323, section 2.3


# Ends that RFC 4022 has counters for.
_COUNTED_ENDS: Final = {
    State.SYN_SENT: "TcpAttemptFails",
    State.SYN_RECEIVED: "TcpAttemptFails",
    State.ESTABLISHED: "TcpEstabResets",
    State.CLOSE_WAIT: "TcpEstabResets",
}


class Owner(Protocol):
    """The services of the endpoint that a connection needs."""

    @property
    def memory(self) -> WindowMemory:
        """What windows grow by."""

    def wake(self, connection: Any) -> None:
        """Ask it for segments and for its timer before long."""

    def report(self, connection: Any, event: Event) -> None:
        """Tell the application."""

    def count(self, name: str) -> None:
        """Count an event, by the name of its MIB counter."""

    def fast_open_told(self, connection: Any, syn_ack: Segment, now: int) -> None:
        """Learn from the answer to a SYN what the server knows of TCP Fast Open."""


class Numbers(NamedTuple):
    """Values that an attacker must not guess: the first sequence number, the clock's offset."""

    isn: int
    timestamp_offset: int


class Tcb:
    """The variables of one connection, and how its state changes.

    :ivar challenges: limits challenge ACKs; ``answers`` those to keep-alives and window probes.
    :ivar accepted: the peer opened it.
    :ivar early: what it does of TCP Fast Open, if anything.
    :ivar orphaned: its user has closed it.
    :ivar soft_error: of ICMP, since the last progress: why it ends, if no answer ever comes.
    :ivar told: its user has been told that nothing more happens.
    :ivar black_hole: looks for paths that drop large packets; ``None``: that is not done.
    :ivar limited: it has a user timeout, a limit of unsent data, or looks for black holes.
    """

    __slots__ = ("accepted", "answers", "black_hole", "challenges", "chronograph", "close_at",
                 "config", "early", "ecn", "extension", "failure", "flow", "keepalive", "limited",
                 "orphaned", "owner",
                 "readable_reported", "reading_closed", "receiver", "reset", "sack",
                 "segments_received", "segments_sent", "sender", "soft_error", "state",
                 "timestamps", "told", "urgent_reported", "user_timeout", "wants_room",
                 "window_scaling")  # fmt: skip

    def __init__(
        self,
        flow: Flow,
        config: TcpConfig,
        owner: Owner,
        control: CongestionControl,
        extension: Extension | None,
        numbers: Numbers,
        *,
        accepted: bool,
    ) -> None:
        self.flow = flow
        self.config = config
        self.owner = owner
        self.extension = extension
        self.state = State.LISTEN if accepted else State.CLOSED
        self.failure: ConnectionFailure | None = None
        self.soft_error: ConnectionFailure | None = None
        self.ecn = Ecn(wanted=config.ecn, accurate=getattr(control, "needs_ecn", False))
        self.sender = Sender((numbers.isn + 1) & BITS_32, config, control, self.ecn)
        self.receiver = Receiver(config)
        self.chronograph = Chronograph()
        self.accepted = accepted
        self.early: Early | None = None
        # Negotiated in the handshake; until then, what is offered.
        self.timestamps = Timestamping(numbers.timestamp_offset, offered=config.timestamps)
        self.sack = config.sack
        self.window_scaling = config.window_scaling
        self.keepalive = KeepAlive(config)
        self.user_timeout = UserTimeout(config.user_timeout_ns, config.advertised_timeout_ns)
        self.black_hole = BlackHole() if config.mtu_probing else None
        self.limited = _limited(config)
        self.challenges = AckLimit(config.challenge_acks_per_second)
        self.answers = AckLimit(config.challenge_acks_per_second)
        self.reset = False  # RST is to be sent
        self.reading_closed = False
        self.orphaned = False
        self.told = False
        self.wants_room = False
        self.readable_reported = False
        self.urgent_reported = False
        self.segments_sent = 0
        self.segments_received = 0
        self.close_at = NEVER  # TIME-WAIT's end, or that of an orphan's FIN-WAIT-2

    # The handshake.

    def open(self, now: int, early: Early | None = None) -> None:
        """Open it actively (RFC 9293, section 3.10.1)."""
        self.sender.timer.begin(self.config.syn_linear_timeouts)
        self.keepalive.begin(now)
        self.early = early
        self.transition(Trigger.ACTIVE_OPEN)

    def accept(self, syn: Segment, early: Early | None, now: int) -> None:
        """Open it passively, for a SYN.

        Where a cookie is granted to an extension, there is no room for timestamps beside its own
        options (RFC 8684, appendix B.1).
        """
        self.keepalive.begin(now)
        self.early = early
        if early is not None and early.grants and self.extension is not None:
            self.timestamps.leave_out()
        self.negotiate(syn)
        self.transition(Trigger.SYN)
        if early is not None and early.accepted:
            self.sender.window.begin(syn.window, -1)  # never scaled
            self._start()

    def negotiate(self, syn: Segment) -> None:
        """Take the options of the peer's SYN: only what both sides offer is used."""
        self.timestamps.negotiate(find(syn.options, Timestamps))
        scale = find(syn.options, WindowScale)
        self.window_scaling = self.config.window_scaling and scale is not None
        if self.window_scaling:
            self.sender.window.scale(min(scale.shift, _MAX_SHIFT))
        self.receiver.synchronize(syn.seq, self.config.window_shift if self.window_scaling else 0)
        self.sack = self.config.sack and find(syn.options, SackPermitted) is not None
        mss = find(syn.options, MaximumSegmentSize)
        self.user_timeout_heard(syn)
        self.negotiated_mss(None if mss is None else mss.mss)
        self.ecn.negotiate(syn, answer=bool(syn.flags & ACK))

    def establish(self, trigger: Trigger, now: int) -> None:
        """Be established: data can flow."""
        self.transition(trigger)
        if self.early is None or not self.early.accepted:
            self._start()
        self.keepalive.start(now)
        if self.sender.closing:  # shutdown() was called during the handshake
            self.transition(Trigger.CLOSE)

    def _start(self) -> None:
        """Let data flow.  RFC 5681, section 3.1; as in Linux one lost SYN is forgiven."""
        sender = self.sender
        sender.recovery.start(sender.mss, sack=self.sack, small=sender.total_resent > 1)
        self.owner.report(self, Connected())

    def user_timeout_heard(self, segment: Segment) -> None:
        """Take what a segment says of the peer's user timeout (RFC 5482), if that counts."""
        if self.config.advertised_timeout_ns:
            option = find(segment.options, UserTimeoutOption)
            self.user_timeout.take(option, self.config.rto_max_ns)

    def go_by(self, config: TcpConfig) -> None:
        """Take another configuration; what was negotiated stays."""
        old, self.config = self.config, config
        if _buffer(config) != _buffer(old):
            self.receiver.resize(config.receive_buffer)
        begun = self.state not in HANDSHAKE and self.state not in OVER
        self.keepalive.configure(config, established=begun)
        self.user_timeout.limit(config.user_timeout_ns, config.advertised_timeout_ns)
        self.limited = _limited(config)
        self.owner.wake(self)

    # How its state changes.

    def transition(self, trigger: Trigger) -> None:
        """Go where the table says."""
        old = self.state
        self.state = new = TRANSITIONS[old, trigger]
        if new is State.CLOSED and old in _COUNTED_ENDS:
            self.owner.count(_COUNTED_ENDS[old])
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
        self.receiver.stop()
        self.keepalive.stop()
        self.user_timeout.stop()
        if self.black_hole is not None:
            self.black_hole.forget()
        self.close_at = NEVER
        if not over:
            self._tell(failure)
        self.owner.wake(self)

    def abort_with(self, failure: ConnectionFailure) -> None:
        """Send RST if the peer knows of the connection, and be closed."""
        knows_no_end = self.state in SHUT and self.sender.finished is None
        # One that is due already still leaves.
        self.reset |= self.state in RESETTABLE or knows_no_end
        if self.reset:
            self.receiver.buffer.clear()
        self.end(failure)

    def report_error(self, error: ConnectionFailure) -> None:
        """Tell the application, if it knows the connection, what hinders delivery (MUST-47)."""
        if not (self.accepted and self.state in HANDSHAKE):
            self.owner.report(self, ErrorReport(error))

    def give_up(self, detail: str) -> None:
        """End: the peer does not answer any more."""
        self.owner.count("TcpExtTCPAbortOnTimeout")
        failure = self.soft_error or ConnectionFailure(ErrorKind.TIMED_OUT, detail)
        self.end(failure)

    def enter_time_wait(self, trigger: Trigger, now: int) -> None:
        """Enter TIME-WAIT: the application has nothing more to expect, the peer may have."""
        self.transition(trigger)
        self.sender.clear()
        self.receiver.release()
        self.keepalive.stop()
        self.user_timeout.stop()
        if self.black_hole is not None:
            self.black_hole.forget()
        self.restart_time_wait(now)
        self.report_readable()
        self._tell(None)

    def restart_time_wait(self, now: int) -> None:
        """Wait 2 MSL from now on."""
        self.close_at = now + self.config.time_wait_ns

    def linger(self, now: int) -> None:
        """Wait for the peer's FIN, of which no user would take notice, only so long."""
        if self.orphaned and self.state is State.FIN_WAIT_2 and self.close_at == NEVER:
            self.close_at = now + self.config.fin_timeout_ns

    def waited(self) -> None:
        """Be closed: the wait for the peer is over."""
        self.end(None, Trigger.TIMEOUT if self.state is State.TIME_WAIT else Trigger.DELETE)

    def crash(self, error: Exception) -> bool:
        """Be closed by a fault of ours: an exception has happened in it.

        Nothing of it is relied on any more, the table of states and the extension included.  Tell
        whether its user does not know yet that it is over.
        """
        self.state = State.CLOSED
        self.reset = False
        self.failure = ConnectionFailure.internal(error)
        news, self.told = not self.told, True
        if news:
            self.receiver.fail()
        return news

    def _tell(self, failure: ConnectionFailure | None) -> None:
        self.told = True
        self.owner.report(self, Closed(failure))

    def take_reset(self) -> bool:
        """Tell whether RST is to leave, which it does now."""
        reset, self.reset = self.reset, False
        return reset

    def data_acknowledged(self) -> None:
        """Tell extension and application that the peer has got more."""
        self.soft_error = None
        if self.extension is not None:
            self.extension.acked(self.sender.acknowledged)
        if self.wants_room:
            self.report_room()

    def report_room(self) -> None:
        """Tell an application that waits for room to write that there is enough."""
        config, sender = self.config, self.sender
        if sender.unsent > config.send_buffer * 3 // 4:
            return
        if not config.notsent_lowat or sender.queue.octets * 2 < config.notsent_lowat:
            self.wants_room = False
            self.owner.report(self, Writable())

    def report_urgent(self) -> None:
        """Tell the application that there is urgent data, or more of it (MUST-32)."""
        if not self.urgent_reported and not self.reading_closed:
            self.urgent_reported = True
            self.owner.report(self, Urgent())

    def event_taken(self, event: Event) -> None:
        """Note that the application has seen an event: the next of its kind is news."""
        if type(event) is Readable:
            self.readable_reported = False
        elif type(event) is Urgent:
            self.urgent_reported = False

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
        return headers_of(self.flow)

    @property
    def advertised_mss(self) -> int:
        """The MSS option to send."""
        return advertised_mss(self.flow, self.config)

    def negotiated_mss(self, peers: int | None) -> None:
        """Take the peer's MSS option, ``None`` if it sent none (RFC 9293, section 3.7.1)."""
        self.limit_segments(min(peers_mss(self.flow, peers), self.advertised_mss))

    def limit_segments(self, limit: int) -> None:
        """Make segments of at most so many octets of payload and options."""
        self.sender.set_segment_limit(limit, TIMESTAMPS_LENGTH if self.timestamps.used else 0)

    def answer_black_hole(self, now: int) -> None:
        """Make smaller segments if what stays without an answer may be too large for the path."""
        sender, headers = self.sender, self.headers
        if self.black_hole is None or self.state in HANDSHAKE:
            return
        record = sender.board.records[0]
        mtu = sender.segment_limit + headers
        packet = min(len(record.payload), record.piece) + headers
        version = ip_version(self.flow)
        smaller = self.black_hole.shrink(mtu, packet, version, sender.timer.backoffs + 1, now)
        if smaller < mtu:
            self.limit_segments(smaller - headers)
            sender.path_changed()

    def retry_large(self) -> None:
        """Make segments as large as before a black hole was found."""
        if self.black_hole is not None:
            self.limit_segments(self.black_hole.retry() - self.headers)
            self.sender.path_changed()

    def position_of(self, segment: Segment) -> int:
        """Return the position in the peer's stream of a segment's first octet; of SYN, -1."""
        return expand((segment.seq - self.receiver.base) & BITS_32, self.receiver.buffer.next)

    # When it is due.

    def next_timer(self) -> int:
        """Return the earliest deadline."""
        sender = self.sender
        timer, recovery = sender.timer, sender.recovery
        due = min(timer.at, sender.probe.at, recovery.look_at, recovery.pacer.at, timer.persist_at,
                  self.receiver.ack_at, self.keepalive.at, self.close_at)  # fmt: skip
        if not self.limited:
            return due
        black_hole = self.black_hole
        return min(due, self.user_timeout.at, NEVER if black_hole is None else black_hole.at)


def _buffer(config: TcpConfig) -> tuple[int, int]:
    return config.receive_buffer, config.receive_buffer_initial


def _limited(config: TcpConfig) -> bool:
    return bool(
        config.user_timeout_ns
        or config.advertised_timeout_ns
        or config.notsent_lowat
        or config.mtu_probing
    )
