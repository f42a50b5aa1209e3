"""The sending side: its variables, and their changes by transmissions and ACKs."""

from __future__ import annotations

from typing import Any, Final

from testbed.packet.segment import FIN, PSH, SYN
from testbed.stack.tcp.ack import Acknowledgment
from testbed.stack.tcp.config import TcpConfig
from testbed.stack.tcp.congestion.control import CongestionControl
from testbed.stack.tcp.ecn import Ecn
from testbed.stack.tcp.rack import probe_timeout
from testbed.stack.tcp.rate import DeliveryRate
from testbed.stack.tcp.recovery import Phase, Recovery
from testbed.stack.tcp.retransmission import RetransmissionTimer, TailProbe
from testbed.stack.tcp.rtt import RttEstimator
from testbed.stack.tcp.scoreboard import Scoreboard
from testbed.stack.tcp.send_queue import SendQueue
from testbed.stack.tcp.send_window import SendWindow
from testbed.stack.tcp.sent import Fate, Sent

# The wait for the answer of a busy peer to a tail loss probe.  Linux delays an ACK for as long.
_LEAST_PATIENCE_NS: Final = 40_000_000


class Sender:
    """SND.UNA, SND.NXT and the variables that depend on them. SYN has position -1.

    :ivar base: the sequence number of position 0, ISS + 1.
    :ivar segment_limit: the greatest size of payload and options of a segment (RFC 6691).
    :ivar mss: the payload of a segment with the usual options.
    :ivar closing: whether FIN follows the last octet. ``finished`` is its position once sent.
    :ivar urgent: SND.UP: the position after the last octet of urgent data.
    :ivar idle_restarts: silences after which the congestion window was made smaller.
    :ivar pushed: what is before it is not held back by a cork.
    :ivar small_end: the end of the last sent segment that was not full-sized (for Nagle).
    """

    __slots__ = ("_restarted_after", "base", "board", "closing", "finished", "idle_restarts",
                 "last_sent_ns", "mss", "next", "octets_resent", "probe", "pushed",
                 "queue", "rate", "recovery", "rtt", "segment_limit", "small_end", "timer",
                 "total_resent", "una", "urgent", "window")  # fmt: skip

    def __init__(self, base: int, config: TcpConfig, control: CongestionControl, ecn: Ecn) -> None:
        self.base = base
        self.una = -1
        self.next = -1
        self.segment_limit = 0
        self.mss = 0
        self.closing = False
        self.finished: int | None = None
        self.small_end = 0
        self.pushed = -1
        self.urgent = -1
        self.last_sent_ns = 0
        self.total_resent = 0
        self.octets_resent = 0
        self.idle_restarts = 0
        self._restarted_after = 0
        self.queue = SendQueue()
        self.board = Scoreboard()
        self.rtt = RttEstimator(config)
        self.rate = DeliveryRate()
        self.recovery = Recovery(self.board, self.rtt, self.rate, control, ecn, paced=config.pacing)
        self.timer = RetransmissionTimer(self.rtt)
        self.probe = TailProbe()
        self.window = SendWindow()

    @property
    def unsent(self) -> int:
        """How many queued or sent octets are not acknowledged."""
        outstanding = self.next - max(self.una, 0)
        if self.finished is not None and self.una <= self.finished:
            outstanding -= 1
        return self.queue.octets + max(0, outstanding)

    @property
    def acknowledged(self) -> int:
        """SND.UNA without SYN and FIN: the position up to which the peer has the stream."""
        return max(0, self.una - self.fin_acknowledged)

    @property
    def window_left(self) -> int:
        """How many octets the peer's window still allows."""
        return max(0, self.una + self.window.size - self.next)

    @property
    def blocked(self) -> bool:
        """Whether nothing is outstanding, so that no ACK will release waiting data."""
        waiting = self.queue.octets or (self.closing and self.finished is None)
        return bool(waiting) and not self.board.records

    @property
    def fin_acknowledged(self) -> bool:
        """Whether the peer has acknowledged the whole stream and its end."""
        return self.finished is not None and self.una > self.finished

    # Output.

    def set_segment_limit(self, limit: int, usual_options: int) -> None:
        """Set the size of segments, for payload and options.

        A segment has at least one octet of payload, even if options leave no room.
        """
        self.segment_limit = limit
        self.mss = max(1, limit - usual_options)

    def push(self) -> None:
        """Let all queued data leave, also under a cork."""
        self.pushed = self.next + self.queue.octets + (self.next < 0)

    def queue_urgent(self) -> None:
        """Mark all queued data as urgent."""
        self.urgent = self.next + self.queue.octets + (self.next < 0)

    def close(self) -> None:
        """Queue FIN after the queued data."""
        self.closing = True

    def send_syn(self, now: int) -> bool:
        """Return whether SYN must be sent or retransmitted, and record that."""
        if self.next < 0:
            self._add(-1, 0, b"", None, SYN, now, 0)
            self.next = 0
        elif self.board.lost and self.board.records[0].fate is Fate.LOST:
            self._resend(self.board.records[0], now, 0)
        else:
            return False
        self.timer.restart(now)
        return True

    def send_early(self, limit: int, now: int) -> bytes:
        """Take octets from the queue that leave with the SYN (RFC 7413)."""
        if not limit or not self.queue.octets:
            return b""
        ext = self.queue.ext
        payload = self.queue.take(self.queue.run(limit))
        self.next = len(payload)
        self._add(0, self.next, payload, ext, PSH, now, self.next)
        return payload

    def syn_too_big(self) -> None:
        """Retransmit SYN without its data if that is in flight."""
        if self.next > 0 and self.board.records[-1].fate is Fate.IN_FLIGHT:
            self.board.mark_all_lost()

    def syns_cross(self, *, keep: bool) -> None:
        """Retransmit SYN as SYN/ACK. Its data is sent again after the handshake.

        :param keep: whether to keep queued data.
        """
        if not keep:
            self.queue.clear()
        self.board.mark_all_lost()

    def take_back_early(self, *, keep: bool) -> None:
        """Treat unacknowledged data of the SYN as unsent.

        :param keep: whether to send it before the queued data. Otherwise both are dropped.
        """
        self.next = self.una
        taken = self.board.take_back(self.next)
        if not keep:
            self.queue.clear()
        elif taken:
            self.queue.put_back(b"".join(one.payload for one in taken), taken[0].ext)

    def syn_was_sent(self) -> None:
        """Record that a SYN/ACK without state (a cookie) was sent."""
        self.next = 0

    def send_data(self, ext: Any, size: int, fits: int, now: int) -> Sent:
        """Take at most ``size`` octets from the queue, which are sent now.

        FIN goes with the last octets if the peer's window has room for it, but not before the ACK
        of our SYN.

        :param ext: the ``ext`` of the queue. The octets have no other.
        :param fits: the payload of one segment on the wire.
        """
        payload = self.queue.take(size)
        start = self.next
        end = start + len(payload)
        if self.queue.octets:
            flags = PSH if self.queue.ended_record else 0
        else:
            flags = PSH
            if self.closing and self.una >= 0 and self.una + self.window.size > end:
                flags |= FIN
                self.finished = end
                end += 1
        if len(payload) < fits:
            self.small_end = end
        record = self._add(start, end, payload, ext, flags, now, fits)
        self.next = end
        self.recovery.sent(end - start, now)
        return record

    def send_fin(self, now: int) -> int:
        """Record that FIN is sent without data; return its position."""
        self.finished = start = self.next
        self._add(start, start + 1, b"", None, FIN, now, 0)
        self.next = start + 1
        return start

    def send_again(self, record: Sent, fits: int, limit: int, now: int) -> None:
        """Record the retransmission of at most ``limit`` octets of a record."""
        if len(record.payload) > limit:
            self.board.cut(record, limit)
        self._resend(record, now, fits)
        self.recovery.sent_again(record, now)
        self.last_sent_ns = now
        self.timer.start(now)

    def sent_new(self, now: int) -> None:
        """Set the timers of new data."""
        self.last_sent_ns = now
        self.timer.start(now)
        self.arm_probe(now)

    def _add(
        self, start: int, end: int, payload: bytes, ext: Any, flags: int, now: int, piece: int
    ) -> Sent:
        board = self.board
        progress = self.rate.at_departure(end - start, board.in_flight, board.total_lost, now)
        record = Sent(start, end, payload, ext, flags, now, progress, piece)
        board.add(record)
        return record

    def _resend(self, record: Sent, now: int, piece: int) -> None:
        board = self.board
        # A record that is not lost is a probe.
        octets = record.end - record.start if record.fate is Fate.LOST else 0
        progress = self.rate.at_departure(octets, board.in_flight, board.total_lost, now)
        board.resend(record, now, progress, piece)
        self.total_resent += 1
        self.octets_resent += len(record.payload)

    # ACKs.

    def take_window(self, window: int, seq: int, ack: int) -> bool:
        """Update the send window (RFC 9293, 3.10.7.4, fifth); return whether it has changed."""
        before = self.window.size
        if not self.window.take(window, seq, ack):
            return False
        if window:
            self.timer.window_opened()
        return window != before

    def syn_acknowledged(self, position: int, now: int, echo_sent_ns: int | None) -> None:
        """Process the ACK of our SYN and of its data before ``position``."""
        delivered = self.board.acknowledge(position)
        self.una = position
        if delivered:
            self._measure(delivered, now, echo_sent_ns)
        if self.timer.backoffs and self.rtt.smoothed is None:
            self.rtt.handshake_timed_out()
        self.timer.answered()
        self.timer.collapse()
        self.rearm(now)

    def acknowledge(
        self,
        position: int,
        blocks: list[tuple[int, int]],
        now: int,
        echo_sent_ns: int | None,
        *,
        marked: bool,
    ) -> None:
        """Process an ACK up to ``position`` and SACK ``blocks`` between that and SND.NXT.

        :param echo_sent_ns: see :class:`Acknowledgment`, as for ``marked``.
        """
        octets = position - self.una
        board = self.board
        delivered = board.acknowledge(position) if octets else []
        sacked = board.sack(blocks) if blocks else []
        self.una = position
        if octets:
            self.timer.answered()
            if delivered:
                self._measure(delivered, now, echo_sent_ns)
        elif not sacked:
            return
        self.rate.acknowledged((*delivered, *sacked), now, self.rtt.minimum)
        ack = Acknowledgment(position, octets, self.next, delivered, sacked, echo_sent_ns, marked)
        self.recovery.acknowledged(ack, now)
        if octets:
            if self.probe.acknowledged(position) and not self.recovery.recovering:
                self.recovery.congestion_echoed(position, self.next, now)
            self.rearm(now)

    def _measure(self, delivered: list[Sent], now: int, echo_sent_ns: int | None) -> None:
        """Measure the longest round trip of this ACK, including its delay.

        If it acknowledges retransmitted data, the rest may have waited at the peer for that data.
        Then only a timestamp can measure it (Karn's algorithm; RFC 7323, section 4).
        """
        latest = now - delivered[-1].sent_ns
        longest = now - delivered[0].sent_ns
        for record in delivered:
            if record.resent:
                if echo_sent_ns is None:
                    return
                latest = longest = now - echo_sent_ns
                break
        self.rtt.sample(max(longest, 1), max(latest, 1), now, self.una, self.next)
        if self.timer.backoffs:
            self.timer.collapse()

    def rearm(self, now: int) -> None:
        """Set the timers after an ACK of new data (RFC 6298, 5.2 and 5.3; RFC 8985, 7.2)."""
        if not self.board.records:
            self.timer.stop()
            self.probe.stop()
            return
        self.timer.restart(now)
        self.arm_probe(now)

    def arm_probe(self, now: int) -> None:
        """Start or restart the tail loss probe's timer if a probe may be sent."""
        recovery = self.recovery
        if recovery.sack and recovery.phase == Phase.OPEN:
            self.probe.arm(now, self.rtt, self.next - self.una, self.mss, self.timer.at)
        else:
            self.probe.stop()

    def await_answer(self, now: int, *, resent: bool) -> None:
        """Record a tail loss probe.

        :param resent: whether it is a retransmission.
        """
        patience = probe_timeout(self.rtt, one_segment=self.next - self.una <= self.mss)
        self.probe.sent(self.next, now + max(patience, _LEAST_PATIENCE_NS), resent=resent)

    def path_changed(self) -> None:
        """Retransmit in smaller segments the data that exceeds the new path MTU."""
        for record in list(self.board.records):
            if record.fate is Fate.IN_FLIGHT and len(record.payload) > self.mss:
                self.board.mark_lost(record)
        self.recovery.resize(self.mss)

    # Timers.

    def idled(self, now: int) -> None:
        """Reduce the congestion window after a long silence (RFC 5681, section 4.1)."""
        idle = now - self.last_sent_ns
        if self.last_sent_ns and idle > self.rtt.rto:
            before = self.recovery.control.window
            self.recovery.idled(idle // self.rtt.rto, now)
            if self.recovery.control.window < before:
                self.idle_restarts += self._restarted_after != self.last_sent_ns
                self._restarted_after = self.last_sent_ns

    def timed_out(self, now: int, *, established: bool) -> None:
        """Process the expiry of the retransmission timer (RFC 6298, sections 5.4 to 5.7)."""
        self.timer.expire()
        self.probe.forget()
        if not established:
            self.board.mark_all_lost()
            return
        self.recovery.timed_out(self.una, self.next, now)
        self.timer.restart(now)

    def clear(self) -> None:
        """Drop everything at the end of the connection."""
        self.queue.clear()
        self.board.clear()
        self.timer.stop()
        self.timer.stop_persisting()
        self.probe.stop()
        self.recovery.stop()
