"""The sending half: its variables, what ACKs do to them, and its timers' deadlines."""

from __future__ import annotations

from testbed.stack.deadlines import NEVER
from testbed.stack.tcp.config import TcpConfig
from testbed.stack.tcp.congestion import CongestionControl
from testbed.stack.tcp.rack import probe_timeout
from testbed.stack.tcp.rate import DeliveryRate
from testbed.stack.tcp.recovery import Acknowledgment, Phase, Recovery
from testbed.stack.tcp.rtt import RttEstimator
from testbed.stack.tcp.scoreboard import Fate, Scoreboard, Sent
from testbed.stack.tcp.send_queue import SendQueue


class Sender:
    """SND.UNA, SND.NXT, SND.WND and what follows from them.  Positions: SYN is -1.

    :ivar base: sequence number of position 0, ISS + 1.
    :ivar window: SND.WND in octets; ``max_window`` the largest there was.
    :ivar segment_limit: payload and options of a segment (RFC 6691).
    :ivar mss: payload of a segment with the usual options.
    :ivar closing: FIN is to follow the last octet; ``finished`` is its position once sent.
    :ivar small_end: end of the last segment sent that was not full-sized (for Nagle).
    :ivar backoffs: expiries of the RTO, or probes of a closed window, without any answer.
    """

    __slots__ = (
        "_flight_at_most",
        "_usage_end",
        "_used_up",
        "backoffs",
        "base",
        "board",
        "closing",
        "finished",
        "last_sent_ns",
        "max_window",
        "mss",
        "next",
        "octets_resent",
        "persist_at",
        "probe_at",
        "probe_end",
        "probe_resent",
        "queue",
        "rate",
        "recovery",
        "rto_at",
        "rtt",
        "segment_limit",
        "shift",
        "small_end",
        "timeouts",
        "total_resent",
        "una",
        "window",
        "window_ack",
        "window_seq",
    )  # fmt: skip

    def __init__(self, config: TcpConfig, congestion: CongestionControl) -> None:
        self.base = 0
        self.una = -1
        self.next = -1
        self.shift = 0
        self.window = 0
        self.max_window = 0
        self.window_seq = -1  # SND.WL1
        self.window_ack = -1  # SND.WL2
        self.segment_limit = 0
        self.mss = 0
        self.closing = False
        self.finished: int | None = None
        self.small_end = 0
        self._used_up = False  # the congestion window, in the round trip up to _usage_end
        self._usage_end = 0
        self._flight_at_most = 0
        self.last_sent_ns = 0
        self.backoffs = 0
        self.timeouts = 0
        self.total_resent = 0
        self.octets_resent = 0
        self.queue = SendQueue()
        self.board = Scoreboard()
        self.rtt = RttEstimator(config)
        self.rate = DeliveryRate()
        self.recovery = Recovery(self.board, self.rtt, congestion)
        self.rto_at = NEVER
        self.persist_at = NEVER
        self.probe_at = NEVER  # tail loss probe
        self.probe_end: int | None = None  # TLP.end_seq while a probe is out
        self.probe_resent = False  # TLP.is_retrans

    @property
    def unsent(self) -> int:
        """Octets taken that have not been acknowledged."""
        outstanding = self.next - max(self.una, 0)
        if self.finished is not None and self.una <= self.finished:
            outstanding -= 1
        return self.queue.octets + max(0, outstanding)

    @property
    def acknowledged(self) -> int:
        """SND.UNA without SYN and FIN: the octets of the stream the peer has got."""
        return max(0, self.una - self.fin_acknowledged)

    @property
    def window_left(self) -> int:
        """Octets the peer's window still allows."""
        return max(0, self.una + self.window - self.next)

    @property
    def blocked(self) -> bool:
        """Whether nothing is outstanding, so that no ACK will let out what waits."""
        waiting = self.queue.octets or (self.closing and self.finished is None)
        return bool(waiting) and not self.board.records

    @property
    def fin_acknowledged(self) -> bool:
        """Whether the peer has got the whole stream and its end."""
        return self.finished is not None and self.una > self.finished

    def note_sent(self, record: Sent) -> None:
        """Note a record that leaves for the first time."""
        self.rate.sent(record, record.sent_ns, idle=not self.board.in_flight)
        self.board.add(record)

    def note_sent_again(self, record: Sent, now: int) -> None:
        """Note a record that leaves again."""
        self.rate.sent(record, now, idle=not self.board.in_flight)
        self.board.resend(record, now)
        self.total_resent += 1
        self.octets_resent += len(record.payload)

    def set_segment_limit(self, limit: int, usual_options: int) -> None:
        """Set how large segments are, payload and options."""
        self.segment_limit = limit
        self.mss = limit - usual_options

    def take_window(self, window: int, seq: int, ack: int) -> bool:
        """Update the send window (RFC 9293, 3.10.7.4, fifth); tell whether it has changed."""
        if not (
            self.window_seq < seq
            or (self.window_seq == seq and self.window_ack <= ack)
            or (ack >= self.window_ack and window > self.window)
        ):
            return False
        changed = window != self.window
        self.window_seq, self.window_ack = seq, ack
        self.window = window
        if window > self.max_window:
            self.max_window = window
        if window and self.persist_at != NEVER:
            self.persist_at = NEVER
            self.backoffs = 0
        return changed

    def syn_acknowledged(self, now: int, echo_sent_ns: int | None) -> None:
        """Take the ACK of our SYN."""
        delivered = self.board.acknowledge(0)
        self.una = 0
        self._measure(delivered, now, echo_sent_ns)
        if self.backoffs and self.rtt.smoothed is None:
            self.rtt.handshake_timed_out()
        self.backoffs = 0
        self.rearm(now)

    def acknowledge(
        self,
        position: int,
        blocks: list[tuple[int, int]],
        now: int,
        echo_sent_ns: int | None,
    ) -> None:
        """Take an ACK up to ``position`` and SACK ``blocks`` between that and SND.NXT.

        :param echo_sent_ns: see :class:`Acknowledgment`.
        """
        octets = position - self.una
        board = self.board
        delivered = board.acknowledge(position) if octets else []
        sacked = board.sack(blocks) if blocks else []
        self.una = position
        if octets:
            self.backoffs = 0
            if delivered:
                self._measure(delivered, now, echo_sent_ns)
        elif not sacked:
            return
        self.rate.acknowledged((*delivered, *sacked), now, self.rtt.minimum)
        ack = Acknowledgment(
            position, octets, self.next, delivered, sacked, self._limited, echo_sent_ns
        )
        self.recovery.acknowledged(ack, now)
        if octets:
            self._probe_acknowledged(now)
            self.rearm(now)

    def _measure(self, delivered: list[Sent], now: int, echo_sent_ns: int | None) -> None:
        """Measure a round trip: the longest this ACK tells of, a delayed ACK included.

        If any of what it acknowledges was sent twice, that may have been missing while the rest
        waited at the peer: then only a timestamp tells (Karn's algorithm; RFC 7323, section 4).
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

    def window_used(self, *, used_up: bool) -> None:
        """Note after sending how much of the congestion window is used, as Linux does.

        For a whole round trip what was seen at the moment of the fullest use counts.
        """
        flight = self.next - self.una
        if (
            used_up
            or self.una >= self._usage_end
            or (not self._used_up and flight > self._flight_at_most)
        ):
            self._used_up, self._flight_at_most, self._usage_end = used_up, flight, self.next

    @property
    def _limited(self) -> bool:
        """Whether the congestion window may grow: it is what keeps the sender back (RFC 7661).

        In slow start it may do so already when half of it is used.
        """
        if self._used_up:
            return True
        congestion = self.recovery.congestion
        if congestion.cwnd >= congestion.ssthresh:
            return False
        return congestion.cwnd < 2 * self._flight_at_most

    def _probe_acknowledged(self, now: int) -> None:
        """Tell what became of a tail loss probe (RFC 8985, section 7.4.2).

        If the probe was a retransmission and the peer never said that it had got both, the
        original was lost: that is a signal of congestion though nothing is left to repair.
        """
        end = self.probe_end
        if end is None or self.una < end or (self.probe_resent and self.una == end):
            return
        if self.probe_resent and not self.recovery.recovering:
            self.recovery.congestion_echoed(self.una, self.next, now)
        self.probe_end = None

    def probe_duplicate(self, end: int) -> None:
        """Take a DSACK that ends at ``end``: the probe was not needed."""
        if end == self.probe_end:
            self.probe_end = None

    def start_timer(self, now: int) -> None:
        """Start the retransmission timer if it is not running (RFC 6298, section 5.1)."""
        if self.rto_at == NEVER:
            self.rto_at = now + self.rtt.backed_off(self.backoffs)

    def rearm(self, now: int) -> None:
        """Set the timers after an ACK of new data (RFC 6298, 5.2 and 5.3; RFC 8985, 7.2)."""
        if not self.board.records:
            self.rto_at = self.probe_at = NEVER
            return
        self.rto_at = now + self.rtt.backed_off(self.backoffs)
        self.arm_probe(now)

    def arm_probe(self, now: int) -> None:
        """Start or restart the tail loss probe's timer if a probe may be sent."""
        recovery = self.recovery
        if not recovery.sack or recovery.phase != Phase.OPEN or self.probe_end is not None:
            self.probe_at = NEVER
            return
        flight = self.next - self.una
        timeout = now + probe_timeout(self.rtt, one_segment=flight <= self.mss)
        self.probe_at = min(timeout, self.rto_at)

    def path_changed(self) -> None:
        """Send again, in smaller segments, what does not fit the path any more."""
        for record in list(self.board.records):
            if record.fate is Fate.IN_FLIGHT and len(record.payload) > self.mss:
                self.board.mark_lost(record)
        self.recovery.start(self.mss, sack=self.recovery.sack)

    def clear(self) -> None:
        """Throw everything away: the connection is over."""
        self.queue.clear()
        self.board.clear()
        self.rto_at = self.persist_at = self.probe_at = self.recovery.look_at = NEVER
