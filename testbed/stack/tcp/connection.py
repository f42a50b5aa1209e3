"""A TCP connection: the interface for applications and for protocols above it."""

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
from testbed.stack.tcp.path_mtu import reported_mtu
from testbed.stack.tcp.segment_size import ip_version
from testbed.stack.tcp.state import HANDSHAKE, OVER, RESETTABLE, State, Trigger
from testbed.stack.tcp.tcb import Tcb

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

    :class:`~testbed.stack.tcp.endpoint.TcpEndpoint` creates it. No call here sends or waits. The
        resulting segments leave with the endpoint's next ``segments_to_send``.
    """

    __slots__ = ()

    # The application's calls (RFC 9293, section 3.9.1).

    def send(self, data: bytes | memoryview, ext: Any = None, *, eor: bool = False) -> int:
        """Queue octets to send, and return how many the buffer took.

        :param data: see :meth:`testbed.stack.connection.Connection.send`, as for ``eor``.
        :param ext: passed to the extension with each segment that has octets of ``data``. No
            segment has octets of two different ones.
        :raises BrokenPipeError: the sending side or the connection is closed.
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
        """Queue urgent data (RFC 9293, section 3.8.5), and return how many octets the buffer took.

        Each segment carries the end of urgent data until the peer has received it. The octets stay
        in their place in the stream. New applications should not use this (SHLD-13).

        :raises BrokenPipeError: as for :meth:`send`.
        """
        taken = self.send(data)
        if taken:
            self.sender.queue_urgent()
        return taken

    def read(self, limit: int) -> bytes:
        """Return at most ``limit`` octets that have arrived in order; ``b""`` if there are none."""
        data = self.receiver.buffer.read(limit)
        self._window_opened(data)
        return data

    def take(self, limit: int) -> bytes:
        """Return some of the octets of :meth:`read`: a large received piece without a copy."""
        data = self.receiver.buffer.take(limit)
        self._window_opened(data)
        return data

    def _window_opened(self, data: bytes) -> None:
        receiver = self.receiver
        if data and self._own_window and self.receiving and receiver.window_update_due():
            receiver.must_ack()
            self.owner.wake(self)

    def shutdown(self) -> None:
        """Close the sending side after the queued data (RFC 9293, section 3.10.4)."""
        sender = self.sender
        if sender.closing or self.state is State.CLOSED:
            return
        sender.close()
        # In a handshake, this waits until the connection is established.
        if self.state not in HANDSHAKE:
            self.transition(Trigger.CLOSE)
        self.owner.wake(self)

    def close(self) -> None:
        """Close both directions; with unread octets, reset (RFC 9293, section 3.6.1).

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
            self.abort_with(ConnectionFailure(ErrorKind.ABORTED, "closed with unread octets"))
            return
        self.shutdown()
        self.owner.wake(self)

    def finish(self) -> None:
        """Close both directions without a RST for unread octets.

        The caller got these octets elsewhere.
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
        """Reset the connection (RFC 9293, section 3.10.5)."""
        self.abort_with(ConnectionFailure(ErrorKind.ABORTED, "by this side"))

    def forget_data(self) -> None:
        """Drop all queued data: neither transmit nor retransmit it."""
        self.sender.clear()

    def set_options(self, options: SocketOptions) -> None:
        """Change options of this connection.

        :raises ValueError: an option has a value that is not allowed, or can no longer be changed.
        """
        options.require_later()
        if options.nodelay:
            self.sender.push()  # as in Linux, this also sends corked data
        self.go_by(self.config.with_options(options))

    def request_ack(self, *, last: bool = False) -> None:
        """Send a pure ACK with the next segments, even if TCP needs none.

        It is sent even if another segment carries the same acknowledgment.

        :param last: whether it follows the other segments, or precedes them.
        """
        self.receiver.request_ack(last=last)
        self.owner.wake(self)

    def probe(self) -> None:
        """Send a keep-alive probe with the next segments. A reachable peer answers it."""
        self.keepalive.ask()
        self.owner.wake(self)

    def slow_down(self, now: int) -> None:
        """Reduce the congestion window as for a loss, at most once in a round trip."""
        self.sender.recovery.slowed_down(self.sender.una, self.sender.next, now)

    # Properties.

    @property
    def heard_ns(self) -> int:
        """The time of the last acceptable segment."""
        return self.keepalive.heard_ns

    @property
    def probing(self) -> bool:
        """Whether a keep-alive is unanswered."""
        return self.keepalive.probes > 0

    def expects(self, start: int) -> bool:
        """Return whether the present segment proves to come from the peer.

        An attacker that does not see the segments must guess the exact next sequence number, or a
        timestamp that this side sent within the last minute (compare RFC 5961, section 3).

        :param start: the position of its first octet in the peer's stream.
        """
        return start == self.receiver.next or self.timestamps.echo_fresh

    @property
    def closed(self) -> bool:
        """Whether the connection has ended. The endpoint may still keep it in TIME-WAIT."""
        return self.state in OVER

    @property
    def delivered(self) -> bool:
        """Whether the peer has acknowledged everything, including FIN."""
        return self.sender.fin_acknowledged

    @property
    def readable(self) -> int:
        """How many octets in order are unread."""
        return self.receiver.buffer.readable

    @property
    def urgent_left(self) -> int:
        """The distance from the read position to the end of urgent data, or 0 (MUST-33).

        Some of these octets may not have arrived.
        """
        return self.receiver.urgent_left

    @property
    def at_eof(self) -> bool:
        """Whether the peer has closed its side and all its data was read."""
        receiver = self.receiver
        return receiver.finished == receiver.buffer.next and not receiver.buffer.readable

    @property
    def room(self) -> int:
        """How many octets ``send`` would take now."""
        if self.sender.closing or self.state in OVER:
            return 0
        room = max(0, self.config.send_buffer - self.sender.unsent)
        if not self.limited or not self.config.notsent_lowat:
            return room
        return min(room, room_below(self.config.notsent_lowat, self.queued, self.mss))

    @property
    def room_at_once(self) -> int:
        """How many of these octets both windows would also allow to leave now."""
        sender, recovery = self.sender, self.sender.recovery
        left = min(recovery.window - recovery.in_flight, sender.window_left) - sender.queue.octets
        return min(left, self.room) if left > 0 else 0

    @property
    def unsent(self) -> int:
        """How many octets of ``send`` the peer has not acknowledged."""
        return self.sender.unsent

    @property
    def user_timeout_ns(self) -> int:
        """The user timeout now, set by the program or the peer; 0 without a limit."""
        return self.user_timeout.limit_ns

    @property
    def queued(self) -> int:
        """How many octets of ``send`` were never transmitted."""
        return self.sender.queue.octets

    @property
    def acknowledged(self) -> int:
        """The position up to which the peer has acknowledged the stream."""
        return self.sender.acknowledged

    @property
    def idle(self) -> bool:
        """Whether nothing is queued and nothing is unacknowledged."""
        return not self.sender.queue.octets and not self.sender.board.records

    @property
    def smoothed_rtt_ns(self) -> int | None:
        """SRTT of RFC 6298, ``None`` before a sample."""
        return self.sender.rtt.smoothed

    @property
    def min_rtt_ns(self) -> int | None:
        """The shortest recent round-trip time, ``None`` before a sample."""
        return self.sender.rtt.minimum

    @property
    def receive_rtt_ns(self) -> int | None:
        """The round-trip time measured from received data, or ``None``."""
        return None if self.receiver.rtt is None else self.receiver.rtt.value

    @property
    def rtt_variance_ns(self) -> int:
        """RTTVAR of RFC 6298, 0 before a sample."""
        return self.sender.rtt.variance

    @property
    def rto_ns(self) -> int:
        """The retransmission timeout with its backoff."""
        return self.sender.timer.timeout_ns

    @property
    def backoffs(self) -> int:
        """How many times the timeout was doubled since the last sample of the round-trip time."""
        return self.sender.timer.backoffs

    @property
    def cwnd(self) -> int:
        """The congestion window in octets."""
        return self.sender.recovery.window

    @property
    def in_flight(self) -> int:
        """How many sent octets are neither acknowledged, selectively or not, nor lost."""
        return self.sender.recovery.in_flight

    @property
    def mss(self) -> int:
        """The payload of a segment with the usual options in octets; 0 before the handshake."""
        return self.sender.mss

    @property
    def path_mtu(self) -> int:
        """The largest IP packet to send in octets."""
        return (self.sender.segment_limit or self.advertised_mss) + self.headers

    @property
    def window_shift(self) -> int:
        """The window scale of this side. Advertised windows are rounded down to it."""
        return self.receiver.shift

    @property
    def send_window(self) -> int:
        """How many octets the peer's window still allows."""
        return self.sender.window_left

    @property
    def recovering(self) -> bool:
        """Whether there is loss recovery."""
        return self.sender.recovery.recovering

    @property
    def congestion(self) -> CongestionControl:
        """The congestion control, which determines ``cwnd``."""
        return self.sender.recovery.control

    def info(self) -> dict[str, Any]:
        """Return the fields of TCP_INFO with the names of :mod:`testbed.sockinfo`."""
        return info.tcp_info(self)

    @property
    def _own_window(self) -> bool:
        """Whether TCP's buffer determines the window, instead of an extension."""
        return self.extension is None or self.extension.window() is None

    # Methods for the endpoint.

    def receive(self, segment: Segment, now: int) -> None:
        """Process a segment of this connection."""
        self.segments_received += 1
        segment_arrives(self, segment, now)

    def segments_to_send(self, now: int) -> list[Segment]:
        """Return the segments to send now."""
        out = output.segments_to_send(self, now)
        if self.limited:
            self._watch_limits(now)
        self.segments_sent += len(out)
        self.chronograph.look(self.sender, now, starved=self.wants_room)
        return out

    def _watch_limits(self, now: int) -> None:
        """Update the user timeout, and report room to write."""
        if self.wants_room:
            self.report_room()
        sent, una = bool(self.sender.board.records), self.sender.una
        waiting = sent or self.sender.blocked
        self.user_timeout.watch(now, waiting=waiting, una=una, sent=sent)

    def handle_timers(self, now: int) -> list[Segment]:
        """Handle the expired timers; return the probes to send."""
        out = timers.handle_timers(self, now)
        self.segments_sent += len(out)
        return out

    def receive_icmp(self, error: IcmpError) -> None:
        """Process an ICMP error about a segment of this connection (RFC 5927).

        An error whose sequence number is not outstanding is ignored (section 4.1). A hard error
        ends a connection that is not synchronised. Otherwise it counts as a soft error, because any
        host could send it (section 5.2; RFC 5461), and is reported to the application (RFC 9293,
        section 3.9.2.2).
        """
        sender = self.sender
        position = expand((error.seq - sender.base) & BITS_32, max(sender.una, 0))
        if not sender.una <= position < max(sender.next, sender.una + 1):
            self.owner.count("TcpExtOutOfWindowIcmps")
            return
        if error.kind is IcmpKind.TOO_BIG:
            # No path drops a segment without data for its size.
            if sender.next > max(sender.una, 0):
                self.path_shrinks(reported_mtu(error.mtu, self.path_mtu, ip_version(self.flow)))
            return
        failure = ConnectionFailure(_FAILURES[error.kind], f"ICMP: {error.kind.value}")
        if self.state in HANDSHAKE and error.kind not in SOFT:
            self.end(failure)
        elif failure != self.soft_error:
            self.soft_error = failure
            self.report_error(failure)

    def path_shrinks(self, mtu: int) -> None:
        """Use smaller segments, and retransmit what was too large (RFC 1191, section 6.4)."""
        if mtu >= self.path_mtu or self.state is State.CLOSED:
            return
        self.limit_segments(mtu - self.headers)
        if self.state not in HANDSHAKE:
            if self.black_hole is not None:
                self.black_hole.forget()
            self.sender.path_changed()
        elif self.state is State.SYN_SENT:
            self.sender.syn_too_big()
        self.owner.wake(self)


def room_below(lowat: int, unsent: int, segment: int) -> int:
    """Return how many octets may be written under a limit of unsent data.

    As in Linux a whole segment may be written while the unsent data is below the limit: otherwise a
    small limit would cause small segments.

    :param lowat: TCP_NOTSENT_LOWAT. ``unsent`` is the present number of unsent octets.
    :param segment: the size of a segment in octets.
    """
    return 0 if unsent >= lowat else max(lowat - unsent, segment)
