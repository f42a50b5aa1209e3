"""The transmission control block: the state of a connection (RFC 9293, section 3.3.1).

The functions of ``input``, ``output`` and ``timers`` operate on it. Applications see it as
:class:`~testbed.stack.tcp.connection.TcpConnection`.
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


# Ends for which RFC 4022 defines counters.
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
        """The memory by which receive windows may grow."""

    def wake(self, connection: Any) -> None:
        """Schedule a request for its segments and its timer."""

    def report(self, connection: Any, event: Event) -> None:
        """Report an event to the application."""

    def count(self, name: str) -> None:
        """Increment a MIB counter."""

    def fast_open_told(self, connection: Any, syn_ack: Segment, now: int) -> None:
        """Record what the answer to a SYN says about the server's TCP Fast Open."""


class Numbers(NamedTuple):
    """Numbers that must be unpredictable: initial sequence number and timestamp offset."""

    isn: int
    timestamp_offset: int


class Tcb:
    """The variables of one connection, and its state changes.

    :ivar accepted: whether the peer opened it.
    :ivar early: its TCP Fast Open state, if it is used.
    :ivar orphaned: whether its user has closed it.
    :ivar soft_error: the last soft ICMP error since the last progress. It is the reported reason if
        the connection times out.
    :ivar told: whether its end was reported to its user.
    :ivar black_hole: the detection of PMTUD black holes, or ``None``.
    :ivar limited: whether it has a user timeout, a limit of unsent data, or black hole detection.
    """

    __slots__ = ("_answers", "_challenges", "accepted", "black_hole", "chronograph", "close_at",
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
        wanted = config.grants_ecn if accepted else config.ecn
        self.ecn = Ecn(wanted=wanted, accurate=getattr(control, "needs_ecn", False))
        self.sender = Sender((numbers.isn + 1) & BITS_32, config, control, self.ecn)
        self.receiver = Receiver(config)
        self.chronograph = Chronograph()
        self.accepted = accepted
        self.early: Early | None = None
        # The handshake negotiates this.  Before, it holds the offered value.
        self.timestamps = Timestamping(numbers.timestamp_offset, offered=config.timestamps)
        self.sack = config.sack
        self.window_scaling = config.window_scaling
        self.keepalive = KeepAlive(config)
        self.user_timeout = UserTimeout(config.user_timeout_ns, config.advertised_timeout_ns)
        self.black_hole = BlackHole() if config.mtu_probing else None
        self.limited = _limited(config)
        self._challenges: AckLimit | None = None
        self._answers: AckLimit | None = None
        self.reset = False  # whether RST must be sent
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
        """Open the connection actively (RFC 9293, section 3.10.1)."""
        self.sender.timer.begin(self.config.syn_linear_timeouts)
        self.keepalive.begin(now)
        self.early = early
        self.transition(Trigger.ACTIVE_OPEN)

    def accept(self, syn: Segment, early: Early | None, now: int) -> None:
        """Open the connection passively for a SYN.

        If the SYN/ACK carries a cookie beside the options of an extension, there is no room for
        timestamps (RFC 8684, appendix B.1).
        """
        self.keepalive.begin(now)
        self.early = early
        if early is not None and early.grants and self.extension is not None:
            self.timestamps.leave_out()
        self.negotiate(syn)
        self.transition(Trigger.SYN)
        if early is not None and early.accepted:
            self.sender.window.begin(syn.window, -1)  # the window of a SYN is never scaled
            self._start()

    def negotiate(self, syn: Segment) -> None:
        """Process the options of the peer's SYN. An option is used if both sides offer it."""
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
        """Enter ESTABLISHED, in which data can flow."""
        self.transition(trigger)
        if self.early is None or not self.early.accepted:
            self._start()
        self.keepalive.start(now)
        if self.sender.closing:  # shutdown() was called during the handshake
            self.transition(Trigger.CLOSE)

    def _start(self) -> None:
        """Start loss recovery and congestion control (RFC 5681, section 3.1).

        As in Linux one lost SYN has no effect.
        """
        sender = self.sender
        sender.recovery.start(sender.mss, sack=self.sack, small=sender.total_resent > 1)
        self.owner.report(self, Connected())

    def user_timeout_heard(self, segment: Segment) -> None:
        """Process the user timeout option of a segment (RFC 5482), if it is in use."""
        if self.config.advertised_timeout_ns:
            option = find(segment.options, UserTimeoutOption)
            self.user_timeout.take(option, self.config.rto_max_ns)

    def go_by(self, config: TcpConfig) -> None:
        """Apply another configuration. Negotiated values stay."""
        old, self.config = self.config, config
        if _buffer(config) != _buffer(old):
            self.receiver.resize(config.receive_buffer)
        begun = self.state not in HANDSHAKE and self.state not in OVER
        self.keepalive.configure(config, established=begun)
        self.user_timeout.limit(config.user_timeout_ns, config.advertised_timeout_ns)
        self.limited = _limited(config)
        self.owner.wake(self)

    # State changes.

    def transition(self, trigger: Trigger) -> None:
        """Change the state by the table."""
        old = self.state
        self.state = new = TRANSITIONS[old, trigger]
        if new is State.CLOSED and old in _COUNTED_ENDS:
            self.owner.count(_COUNTED_ENDS[old])
        if self.extension is not None:
            self.extension.state_changed(old, new)

    def end(self, failure: ConnectionFailure | None, trigger: Trigger = Trigger.DELETE) -> None:
        """Close the connection, and report it."""
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
        """Close the connection; send RST if the peer knows it."""
        knows_no_end = self.state in SHUT and self.sender.finished is None
        # A RST that is already due still leaves.
        self.reset |= self.state in RESETTABLE or knows_no_end
        if self.reset:
            self.receiver.buffer.clear()
        self.end(failure)

    def report_error(self, error: ConnectionFailure) -> None:
        """Report a delivery problem to the application, if it knows the connection (MUST-47).

        Nothing follows the report of the end.
        """
        if not self.told and not (self.accepted and self.state in HANDSHAKE):
            self.owner.report(self, ErrorReport(error))

    def give_up(self, detail: str) -> None:
        """End the connection, as the peer does not answer."""
        self.owner.count("TcpExtTCPAbortOnTimeout")
        failure = self.soft_error or ConnectionFailure(ErrorKind.TIMED_OUT, detail)
        self.end(failure)

    def enter_time_wait(self, trigger: Trigger, now: int) -> None:
        """Enter TIME-WAIT. The application can expect nothing more, but the peer may."""
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
        """Restart the wait of 2 MSL."""
        self.close_at = now + self.config.time_wait_ns

    def linger(self, now: int) -> None:
        """Limit the wait for the peer's FIN, as the user has closed the connection."""
        if self.state is State.FIN_WAIT_2 and self.close_at == NEVER:
            self.close_at = now + self.config.fin_timeout_ns

    def waited(self) -> None:
        """Close after the wait for the peer."""
        self.end(None, Trigger.TIMEOUT if self.state is State.TIME_WAIT else Trigger.DELETE)

    def crash(self, error: Exception) -> bool:
        """Close the connection after an exception in it.

        Its state may be inconsistent, so nothing of it is used, not even the table of states or the
        extension. Return whether its user does not know the end yet.
        """
        self.state = State.CLOSED
        self.reset = False
        self.failure = ConnectionFailure.internal(error)
        news, self.told = not self.told, True
        if news:
            self.receiver.fail()
        return news

    def drop(self) -> None:
        """Break the cycles of references, so that the connection leaves no garbage.

        The endpoint calls it after the last segment and the last event.
        """
        self.extension = None
        self.sender.board.drop()

    def _tell(self, failure: ConnectionFailure | None) -> None:
        self.told = True
        self.owner.report(self, Closed(failure))

    def reset_sent(self) -> None:
        """Record that RST is sent."""
        self.reset = False

    def data_acknowledged(self) -> None:
        """Report an acknowledgment to the extension and the application."""
        self.soft_error = None
        if self.extension is not None:
            self.extension.acked(self.sender.acknowledged)
        if self.wants_room:
            self.report_room()

    def report_room(self) -> None:
        """Report room to write to an application that waits for it."""
        config, sender = self.config, self.sender
        if sender.unsent > config.send_buffer * 3 // 4:
            return
        if not config.notsent_lowat or sender.queue.octets * 2 < config.notsent_lowat:
            self.wants_room = False
            self.owner.report(self, Writable())

    def report_urgent(self) -> None:
        """Report new urgent data to the application (MUST-32)."""
        if not self.urgent_reported and not self.reading_closed:
            self.urgent_reported = True
            self.owner.report(self, Urgent())

    def event_taken(self, event: Event) -> None:
        """Record that the application got an event: the next one of its kind is reported."""
        if type(event) is Readable:
            self.readable_reported = False
        elif type(event) is Urgent:
            self.urgent_reported = False

    def report_readable(self) -> None:
        """Report readable data or the end of the stream to the application."""
        if not self.readable_reported and not self.reading_closed:
            self.readable_reported = True
            self.owner.report(self, Readable())

    @property
    def receiving(self) -> bool:
        """Whether the peer may still send data."""
        return self.state in RECEIVING

    def may_challenge(self, now: int) -> bool:
        """Take a challenge ACK from its limit; return whether there was one."""
        if self._challenges is None:
            self._challenges = AckLimit(self.config.challenge_acks_per_second)
        return self._challenges.allows(now)

    def may_answer(self, now: int) -> bool:
        """Take an answer to a keep-alive or window probe from its limit, as above."""
        if self._answers is None:
            self._answers = AckLimit(self.config.challenge_acks_per_second)
        return self._answers.allows(now)

    # Output.

    @property
    def headers(self) -> int:
        """The size of IP and TCP header without options in octets."""
        return headers_of(self.flow)

    @property
    def advertised_mss(self) -> int:
        """The value of the MSS option to send."""
        return advertised_mss(self.flow, self.config)

    def negotiated_mss(self, peers: int | None) -> None:
        """Process the peer's MSS option; ``None`` if it sent none (RFC 9293, section 3.7.1).

        A router may already have limited the path.
        """
        limit = min(peers_mss(self.flow, peers), self.advertised_mss)
        self.limit_segments(min(limit, self.sender.segment_limit or limit))

    def limit_segments(self, limit: int) -> None:
        """Limit the payload and options of segments."""
        self.sender.set_segment_limit(limit, TIMESTAMPS_LENGTH if self.timestamps.used else 0)

    def answer_black_hole(self, now: int) -> None:
        """Use smaller segments if unanswered ones may be too large for the path."""
        sender, headers = self.sender, self.headers
        if self.black_hole is None or self.state in HANDSHAKE:
            return
        record = sender.board.records[0]
        mtu = sender.segment_limit + headers
        packet = min(len(record.payload), record.piece) + headers
        version = ip_version(self.flow)
        smaller = self.black_hole.shrink(mtu, packet, version, sender.timer.unanswered + 1, now)
        if smaller < mtu:
            self.limit_segments(smaller - headers)
            sender.path_changed()

    def retry_large(self) -> None:
        """Use the segment size from before the detection of a black hole."""
        if self.black_hole is not None:
            self.limit_segments(self.black_hole.retry() - self.headers)
            self.sender.path_changed()

    def position_of(self, segment: Segment) -> int:
        """Return the position of a segment in the peer's stream; -1 for SYN."""
        return expand((segment.seq - self.receiver.base) & BITS_32, self.receiver.buffer.next)

    # Deadlines.

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
