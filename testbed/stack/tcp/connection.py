"""A TCP connection, as applications and the protocols above it see it."""

from __future__ import annotations

from typing import Any, Final

from testbed.packet.icmp import SOFT, IcmpError, IcmpKind
from testbed.packet.segment import Segment
from testbed.packet.sequence import BITS_32, expand
from testbed.stack.connection import ConnectionFailure, ErrorKind
from testbed.stack.options import SocketOptions
from testbed.stack.tcp import info, output, timers
from testbed.stack.tcp.congestion.control import CongestionControl
from testbed.stack.tcp.input import segment_arrives
from testbed.stack.tcp.state import HANDSHAKE, OVER, RESETTABLE, State, Trigger
from testbed.stack.tcp.tcb import Tcb

_LEAST_MTU: Final = {4: 68, 6: 1280}  # RFC 1191, section 3; RFC 8201, section 4
# RFC 1191, section 7.1: what to try where a router does not say what fits.
_PLATEAUS: Final = (32_000, 17_914, 8166, 4352, 2002, 1492, 1006, 508, 296, 68)
_FAILURES: Final = {
    IcmpKind.NO_ROUTE: ErrorKind.UNREACHABLE,
    IcmpKind.UNREACHABLE: ErrorKind.UNREACHABLE,
    IcmpKind.PORT_UNREACHABLE: ErrorKind.REFUSED,
    IcmpKind.PROHIBITED: ErrorKind.UNREACHABLE,
    IcmpKind.TIME_EXCEEDED: ErrorKind.UNREACHABLE,
    IcmpKind.PARAMETER_PROBLEM: ErrorKind.PROTOCOL,
}


class TcpConnection(Tcb):
    """Implements :class:`~testbed.stack.connection.Connection`.

    Made by :class:`~testbed.stack.tcp.endpoint.TcpEndpoint`.  None of the calls here sends or
    waits: what they cause leaves with the endpoint's next ``segments_to_send``.
    """

    __slots__ = ()

    # The application's calls (RFC 9293, section 3.9.1).

    def send(self, data: bytes | memoryview, ext: Any = None, *, eor: bool = False) -> int:
        """Take octets to send and return how many there was room for.

        :param data: as ``eor``, see :meth:`testbed.stack.connection.Connection.send`.
        :param ext: goes to the extension with each segment that has some of these octets.  No
            segment has octets with another one besides.
        :raises BrokenPipeError: the sending side is closed, or the connection is.
        """
        sender = self.sender
        if sender.closing or self.state in OVER:
            raise BrokenPipeError(str(self.failure or "the sending side is closed"))
        room = self.room
        if len(data) > room:
            self.wants_room = True
            data, eor = data[:room], False
        elif self.config.eor:
            eor = True
        if data:
            sender.queue.append(data, ext, eor=eor)
            self.owner.wake(self)
        return len(data)

    def send_urgent(self, data: bytes) -> int:
        """Take octets to send, the last of which are urgent (RFC 9293, section 3.8.5).

        The peer's TCP is told with each segment, until it has them, where urgent data ends.  They
        stay in their place in the stream.  New applications should not use this (SHLD-13).

        :raises BrokenPipeError: as of :meth:`send`.
        """
        taken = self.send(data)
        if taken:
            self.sender.queue_urgent()
        return taken

    def read(self, limit: int) -> bytes:
        """Return at most ``limit`` octets that have arrived, ``b""`` if there are none now."""
        data = self.receiver.buffer.read(limit)
        self._window_opened(data)
        return data

    def take(self, limit: int) -> bytes:
        """Return some of what :meth:`read` would: a large piece alone, as it came."""
        data = self.receiver.buffer.take(limit)
        self._window_opened(data)
        return data

    def _window_opened(self, data: bytes) -> None:
        receiver = self.receiver
        if data and self.receiving and self._own_window and receiver.window_update_due():
            receiver.must_ack()
            self.owner.wake(self)

    def shutdown(self) -> None:
        """Close the sending side, after what was sent (RFC 9293, section 3.10.4)."""
        sender = self.sender
        if sender.closing or self.state is State.CLOSED:
            return
        sender.close()
        if self.state not in HANDSHAKE:  # else it is done when the connection is established
            self.transition(Trigger.CLOSE)
        self.owner.wake(self)

    def close(self) -> None:
        """Close both sides; with octets unread, end it with RST (RFC 9293, section 3.6.1).

        One that does not linger goes on nevertheless where both sides are closed and everything
        was sent, as in Linux.
        """
        if self.state in OVER or self.orphaned:
            return
        if self.state is State.SYN_SENT:
            self.end(None)
            return
        self.reading_closed = self.orphaned = True
        shut = self.state not in RESETTABLE and not self.sender.queue.octets
        if self.config.linger and not self.config.linger_ns and not shut:
            self.owner.count("TcpExtTCPAbortOnData")
            self.abort()
            return
        if self.receiver.buffer.readable:
            self.owner.count("TcpExtTCPAbortOnClose")
            self.abort_with(ConnectionFailure(ErrorKind.ABORTED, "closed with octets unread"))
            return
        self.shutdown()
        self.owner.wake(self)

    def finish(self) -> None:
        """Close both sides, of a stream whose octets are all known from elsewhere.

        Those that are unread, or come yet, are no reason for a RST.
        """
        if self.state in OVER or self.orphaned:
            return
        if self.state is State.SYN_SENT:
            self.end(None)
            return
        self.orphaned = True
        self.shutdown()
        self.owner.wake(self)

    def abort(self) -> None:
        """End it at once, with RST (RFC 9293, section 3.10.5)."""
        self.abort_with(ConnectionFailure(ErrorKind.ABORTED, "by this side"))

    def forget_data(self) -> None:
        """Send nothing more of what was given to it, be it for the first time or again."""
        self.sender.clear()

    def set_options(self, options: SocketOptions) -> None:
        """Change options of this connection.

        :raises ValueError: one cannot have its value, or cannot be changed any more.
        """
        options.require_later()
        if options.nodelay:
            self.sender.push()  # as in Linux, also under a cork
        self.go_by(self.config.with_options(options))

    def request_ack(self, *, last: bool = False) -> None:
        """Have a pure ACK leave with the next segments, even if TCP has no reason for one.

        It is never left out because another segment acknowledges as much.

        :param last: after the others; if not, before them.
        """
        self.receiver.request_ack(last=last)
        self.owner.wake(self)

    def probe(self) -> None:
        """Have a keep-alive probe leave with the next segments: a living peer answers it."""
        self.keepalive.ask()
        self.owner.wake(self)

    def slow_down(self, now: int) -> None:
        """Reduce the congestion window as for a loss, at most once in a round trip."""
        self.sender.recovery.slowed_down(self.sender.una, self.sender.next, now)

    # What can be known of it.

    @property
    def heard_ns(self) -> int:
        """When an acceptable segment last came."""
        return self.keepalive.heard_ns

    @property
    def probing(self) -> bool:
        """Whether a keep-alive has remained without an answer."""
        return self.keepalive.probes > 0

    def expects(self, start: int) -> bool:
        """Tell whether the segment at hand can be believed to come from the peer itself.

        A host that does not see its segments has to guess: the very next sequence number,
        or a timestamp that left this side within the last minute (compare RFC 5961, section 3).

        :param start: position of its first octet in the peer's stream.
        """
        return start == self.receiver.next or self.timestamps.echo_fresh

    @property
    def closed(self) -> bool:
        """Whether nothing more happens; the endpoint may keep it in TIME-WAIT yet."""
        return self.state in OVER

    @property
    def delivered(self) -> bool:
        """Whether the peer has acknowledged all that was sent, FIN included."""
        return self.sender.fin_acknowledged

    @property
    def readable(self) -> int:
        """Octets in order that have not been read."""
        return self.receiver.buffer.readable

    @property
    def urgent_left(self) -> int:
        """How far the end of urgent data is from what has been read; 0: there is none (MUST-33).

        Some of these octets may not have arrived.
        """
        return self.receiver.urgent_left

    @property
    def at_eof(self) -> bool:
        """Whether the peer has closed its side and all it sent has been read."""
        receiver = self.receiver
        return receiver.finished == receiver.buffer.next and not receiver.buffer.readable

    @property
    def room(self) -> int:
        """Octets ``send`` would take now."""
        if self.sender.closing or self.state in OVER:
            return 0
        room = max(0, self.config.send_buffer - self.sender.unsent)
        if not self.limited or not self.config.notsent_lowat:
            return room
        return min(room, room_below(self.config.notsent_lowat, self.queued, self.mss))

    @property
    def room_at_once(self) -> int:
        """Octets of those that could also leave now, by both windows, but for the pacer."""
        sender, recovery = self.sender, self.sender.recovery
        left = min(recovery.window - recovery.in_flight, sender.window_left) - sender.queue.octets
        return min(left, self.room) if left > 0 else 0

    @property
    def unsent(self) -> int:
        """Octets taken by ``send`` that the peer has not acknowledged."""
        return self.sender.unsent

    @property
    def user_timeout_ns(self) -> int:
        """How long data may wait now, by the program's choice or the peer's; 0: for ever."""
        return self.user_timeout.limit_ns

    @property
    def queued(self) -> int:
        """Octets taken by ``send`` that have not been transmitted once."""
        return self.sender.queue.octets

    @property
    def acknowledged(self) -> int:
        """Octets of the stream that the peer has acknowledged: a position."""
        return self.sender.acknowledged

    @property
    def idle(self) -> bool:
        """Whether nothing is queued and nothing unacknowledged."""
        return not self.sender.queue.octets and not self.sender.board.records

    @property
    def smoothed_rtt_ns(self) -> int | None:
        """SRTT of RFC 6298, ``None`` before a sample."""
        return self.sender.rtt.smoothed

    @property
    def min_rtt_ns(self) -> int | None:
        """The shortest round trip of late, ``None`` before a sample."""
        return self.sender.rtt.minimum

    @property
    def receive_rtt_ns(self) -> int | None:
        """The round-trip time by what comes; ``None`` if nothing has, or no window grows by it."""
        return None if self.receiver.rtt is None else self.receiver.rtt.value

    @property
    def rtt_variance_ns(self) -> int:
        """RTTVAR of RFC 6298, 0 before a sample."""
        return self.sender.rtt.variance

    @property
    def delivery_rate(self) -> int:
        """Octets per second the path has delivered of late, 0 before a sample."""
        return self.sender.rate.per_second

    @property
    def rto_ns(self) -> int:
        """The retransmission timeout, backed off."""
        return self.sender.timer.timeout_ns

    @property
    def backoffs(self) -> int:
        """Expiries of the retransmission timer in a row without an answer."""
        return self.sender.timer.backoffs

    @property
    def cwnd(self) -> int:
        """Octets that may be in flight now."""
        return self.sender.recovery.window

    @property
    def in_flight(self) -> int:
        """Octets sent and neither acknowledged, selectively or not, nor lost."""
        return self.sender.recovery.in_flight

    @property
    def mss(self) -> int:
        """Octets of payload in a segment with the usual options; 0 before the handshake."""
        return self.sender.mss

    @property
    def window_shift(self) -> int:
        """By how many bits the windows this side advertises are shifted; they are rounded down."""
        return self.receiver.shift

    @property
    def send_window(self) -> int:
        """Octets the peer's window still allows."""
        return self.sender.window_left

    @property
    def recovering(self) -> bool:
        """Whether losses are being repaired."""
        return self.sender.recovery.recovering

    @property
    def congestion(self) -> CongestionControl:
        """The congestion control, which decides on ``cwnd``."""
        return self.sender.recovery.control

    def info(self) -> dict[str, Any]:
        """Return what TCP_INFO tells, by the names of :mod:`testbed.sockinfo`."""
        return info.tcp_info(self)

    @property
    def _own_window(self) -> bool:
        """Whether TCP's buffer makes the window; an extension knows when to tell of its own."""
        return self.extension is None or self.extension.window() is None

    # The endpoint's calls.

    def receive(self, segment: Segment, now: int) -> None:
        """Take a segment of this connection."""
        self.segments_received += 1
        segment_arrives(self, segment, now)

    def segments_to_send(self, now: int) -> list[Segment]:
        """Return what can leave now."""
        out = output.segments_to_send(self, now)
        if self.limited:
            self._watch_limits(now)
        self.segments_sent += len(out)
        self.chronograph.look(self.sender, now, starved=self.wants_room)
        return out

    def _watch_limits(self, now: int) -> None:
        """Look at the user timeout, and at whether there is room to write."""
        if self.wants_room:
            self.report_room()
        sent, una = bool(self.sender.board.records), self.sender.una
        waiting = sent or self.sender.blocked
        self.user_timeout.watch(now, waiting=waiting, una=una, sent=sent)

    def handle_timers(self, now: int) -> list[Segment]:
        """Do what is due, and return the probes that leave for it."""
        out = timers.handle_timers(self, now)
        self.segments_sent += len(out)
        return out

    def receive_icmp(self, error: IcmpError) -> None:
        """Take an ICMP error about a segment of this connection (RFC 5927).

        One whose sequence number is not outstanding is not believed (section 4.1).  A hard one ends
        what is not synchronised yet.  In others any host could send it, so it counts as a soft
        one (section 5.2; RFC 5461): the application is told (RFC 9293, section 3.9.2.2).
        """
        sender = self.sender
        position = expand((error.seq - sender.base) & BITS_32, max(sender.una, 0))
        if not sender.una <= position < max(sender.next, sender.una + 1):
            return
        if error.kind is IcmpKind.TOO_BIG:
            self._packet_too_big(error.mtu)
            return
        failure = ConnectionFailure(_FAILURES[error.kind], f"ICMP: {error.kind.value}")
        if self.state in HANDSHAKE and error.kind not in SOFT:
            self.end(failure)
        elif failure != self.soft_error:
            self.soft_error = failure
            self.report_error(failure)

    def _packet_too_big(self, mtu: int) -> None:
        """Make smaller segments, and send again what was too large (RFC 1191, RFC 8201)."""
        sender = self.sender
        least = _LEAST_MTU[6 if ":" in self.flow.local.host else 4]
        if not mtu:
            now = sender.segment_limit + self.headers
            mtu = next((plateau for plateau in _PLATEAUS if plateau < now), least)
        limit = max(mtu, least) - self.headers
        if self.state in HANDSHAKE or limit >= sender.segment_limit:
            return
        if self.black_hole is not None:
            self.black_hole.forget()
        self.limit_segments(limit)
        sender.path_changed()
        self.owner.wake(self)


def room_below(lowat: int, unsent: int, segment: int) -> int:
    """Return how much may be written of a stream with a limit of what has not been sent.

    As in Linux a whole segment may be written while there is less than the limit: otherwise a small
    limit would make small segments.

    :param lowat: TCP_NOTSENT_LOWAT; ``unsent`` octets wait already.
    :param segment: octets of one.
    """
    return 0 if unsent >= lowat else max(lowat - unsent, segment)
