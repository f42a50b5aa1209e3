"""Loss recovery: the detection of losses, and the amount of data to send meanwhile.

With SACK, RACK detects losses (RFC 8985, with the threshold of RFC 6675). Without SACK, three
duplicate ACKs do (RFC 5681, RFC 6582). In recovery, proportional rate reduction (RFC 9937, formerly
6937) spreads the data over the ACKs.
"""

from __future__ import annotations

import enum

from testbed.stack.deadlines import NEVER
from testbed.stack.tcp.ack import Acknowledgment
from testbed.stack.tcp.config import MILLISECOND
from testbed.stack.tcp.congestion.control import INITIAL_SEGMENTS, CongestionControl, Sample
from testbed.stack.tcp.ecn import Ecn
from testbed.stack.tcp.pacer import Pacer, quantum, window_rate
from testbed.stack.tcp.prr import ProportionalRate
from testbed.stack.tcp.rack import DUPLICATE_THRESHOLD, Rack
from testbed.stack.tcp.rate import DeliveryRate
from testbed.stack.tcp.rtt import RttEstimator
from testbed.stack.tcp.scoreboard import Scoreboard
from testbed.stack.tcp.sent import Fate, Sent
from testbed.stack.tcp.usage import WindowUse


class Phase(enum.IntEnum):
    """The phases, with the numbers of ``ca_state`` in TCP_INFO."""

    OPEN = 0
    DISORDER = 1
    REDUCING = 2  # reduction after ECN; CWR in Linux
    RECOVERY = 3
    LOSS = 4  # after an RTO


class Recovery:
    """The state of loss recovery of one connection.

    :ivar window: how many octets may be in flight now.
    :ivar point: the position whose acknowledgment ends the recovery (RecoveryPoint of RFC 6675).
    :ivar recoveries: the number of fast recoveries.
    :ivar undone: the numbers of undone reductions by MIB counter.
    :ivar usage: how much of the congestion window is used. It is to be noted after sending.
    :ivar look_at: when to check again for losses (RACK's reordering timer).
    """

    __slots__ = ("_duplicate_acks", "_lost_before", "_paced", "_prr", "_rate", "_undo_after",
                 "_undo_ends", "board", "control", "ecn", "look_at", "mss", "pacer", "phase",
                 "point", "rack", "rate", "recoveries", "rtt", "sack", "spurious", "undone",
                 "usage", "window")  # fmt: skip

    def __init__(
        self,
        board: Scoreboard,
        rtt: RttEstimator,
        rate: DeliveryRate,
        control: CongestionControl,
        ecn: Ecn,
        *,
        paced: bool,
    ) -> None:
        self.board = board
        self.rtt = rtt
        self.rate = rate
        self.control = control
        self.ecn = ecn
        self.rack = Rack()
        self.pacer = Pacer()
        self.sack = False
        self.mss = 0
        self.phase = Phase.OPEN
        self.point = 0
        self.window = 0
        self.look_at = NEVER
        self.spurious = 0
        self.recoveries = 0
        self.undone: dict[str, int] | None = None  # usually ``None``
        self._paced = paced  # whether every congestion control is paced
        self._rate = 0  # the rate while pacing
        self.usage = WindowUse()
        self._lost_before = 0  # octets lost when the last sample was made
        self._duplicate_acks = 0
        self._prr: ProportionalRate | None = None  # state of the last reduction
        self._undo_after = -1
        self._undo_ends: set[int] | None = None  # ends of data sent again in this recovery

    def start(self, mss: int, *, sack: bool, small: bool) -> None:
        """Start after the handshake.

        :param small: start with one segment, as the handshake met congestion.
        """
        self.mss = mss
        self.sack = sack
        self.control.start(mss, 1 if small else INITIAL_SEGMENTS)
        self._set_window(0)

    def resize(self, mss: int) -> None:
        """Use another segment size."""
        self.mss = mss
        self.control.resize(mss)
        self._set_window(0)

    def stop(self) -> None:
        """Stop at the end of the connection."""
        self.look_at = NEVER
        self.pacer.stop()

    @property
    def recovering(self) -> bool:
        """Whether there is loss recovery."""
        return self.phase >= Phase.RECOVERY

    @property
    def in_flight(self) -> int:
        """The octets in flight. Without SACK each duplicate ACK takes one segment off."""
        if not self._duplicate_acks:
            return self.board.in_flight
        return max(0, self.board.in_flight - self._duplicate_acks * self.mss)

    def acknowledged(self, ack: Acknowledgment, now: int) -> None:
        """Process an ACK that advances SND.UNA or has new SACK blocks."""
        limited = self.usage.limits(self.control.window, self.control.threshold)
        further_loss = ack.advanced > 0 and not self.sack and self._partial_or_full(ack)
        if self.sack:
            for records in (ack.delivered, ack.sacked):
                if records:
                    self.rack.delivered(records, now, self.rtt, ack.echo_sent_ns)
        octets = sum([record.end - record.start for record in ack.delivered])
        octets += sum([record.end - record.start for record in ack.sacked])
        if ack.advanced and ack.echo_sent_ns is not None and self._undo_after >= 0:
            self._undo_if_spurious(ack.echo_sent_ns)
        if octets:
            growable = limited and self._may_grow(ack)
            self.control.on_ack(self._sample(ack, octets, now, growable=growable))
        if self.phase >= Phase.REDUCING and ack.una >= self.point:
            self._finish()
        if self.sack and (self.board.sacked or self.recovering):
            further_loss = self.detect_losses(ack.una, ack.end, now, octets)
        elif not self.board.records:
            self.look_at = NEVER
        self._set_phase_open_or_disorder()
        self._set_window(octets, safe=ack.advanced > 0 and not further_loss)

    def duplicate(self, position: int, end: int, now: int) -> None:
        """Process a duplicate ACK on a connection without SACK (RFC 6582, section 3.2)."""
        self._duplicate_acks += 1
        if self._duplicate_acks >= DUPLICATE_THRESHOLD and not self.recovering:
            self._lose_first()
            self._enter_recovery(position, end, now)
        self._set_phase_open_or_disorder()
        self._set_window(self.mss)

    def detect_losses(self, position: int, end: int, now: int, delivered: int = 0) -> bool:
        """Mark the losses that RACK finds and enter recovery; return whether there are any.

        :param delivered: the octets that the present ACK reports as delivered.
        """
        lost, self.look_at = self.rack.detect_losses(
            self.board, self.rtt, now, recovering=self.recovering, segment=self.mss
        )
        for record in lost:
            self.board.mark_lost(record)
        if lost and not self.recovering:
            self._enter_recovery(position, end, now, delivered)
            self._set_window(0)
        return bool(lost)

    def congestion_echoed(self, position: int, end: int, now: int) -> None:
        """Reduce after ECN-Echo, once per window of data (RFC 3168, section 6.1.2)."""
        self._begin_reduction(position, end, now)
        self.phase = Phase.REDUCING

    def slowed_down(self, position: int, end: int, now: int) -> None:
        """Reduce without a loss, unless there was a reduction in this round trip."""
        if self.phase < Phase.REDUCING:
            self._begin_reduction(position, end, now)
            self.ecn.withdraw()  # the peer did not ask for this reduction
            self.phase = Phase.REDUCING

    def timed_out(self, position: int, end: int, now: int) -> None:
        """Process the expiry of the retransmission timer (RFC 6298, section 5; RFC 6675, 5.1)."""
        again = self.phase == Phase.LOSS and position < self.point
        if not self.recovering:
            self._remember_for_undo(now)
        self.control.on_timeout(self._used(position, end), now, again=again)
        self.ecn.reduced()
        self.phase = Phase.LOSS
        self.point = end
        self._duplicate_acks = 0
        self.look_at = NEVER
        self.board.mark_all_lost()
        self._set_window(0)

    def idled(self, rtos: int, now: int) -> None:
        """Process a silence of this many timeouts (RFC 5681, section 4.1)."""
        self.control.on_idle(rtos, now)
        self._set_window(0)

    def held_back(self, octets: int, now: int) -> bool:
        """Return whether this many octets must wait for the window or the pacer.

        While nothing is in flight, a segment may always leave, however small the window is.
        """
        in_flight = self.in_flight if self._duplicate_acks else self.board.in_flight
        if in_flight and in_flight + octets > self.window:
            return True
        return (self.control.pacing_rate or self._rate) > 0 and self.pacer.holds(now)

    @property
    def room(self) -> int:
        """The room in the window in octets, at least one segment.

        With pacing it is at most the burst of the pacer.
        """
        in_flight = self.in_flight if self._duplicate_acks else self.board.in_flight
        room = max(self.window - in_flight, self.mss)
        rate = self.control.pacing_rate or self._rate
        return min(room, quantum(rate, self.mss)) if rate else room

    def sent(self, octets: int, now: int) -> None:
        """Record sent octets."""
        if self.phase >= Phase.REDUCING and self._prr is not None:
            self._prr.sent(octets)
        control = self.control
        control.on_sent(octets, self.board.in_flight, now)
        rate = control.pacing_rate or self._rate
        if rate:
            self.pacer.sent(octets, rate, now)

    def sent_again(self, record: Sent, now: int) -> None:
        """Record the retransmission of a record."""
        self.sent(record.end - record.start, now)
        if self.recovering:
            self._undo_ends = self._undo_ends or set()
            self._undo_ends.add(record.end)

    def look(self, position: int, end: int, now: int) -> None:
        """Check for losses after the expiry of the reordering timer."""
        self.look_at = NEVER
        self.detect_losses(position, end, now)

    def duplicate_reported(self, end: int) -> None:
        """Process a DSACK for duplicate data that ends at ``end`` (RFC 2883, RFC 3708).

        If all retransmitted data is reported so, nothing was lost. A report about data that was not
        retransmitted is ignored: the network duplicated it.
        """
        self.spurious += 1
        if self._undo_ends and end in self._undo_ends:
            self.rack.duplicate_reported()
            self._undo_ends.remove(end)
            if not self._undo_ends and self._undo_after >= 0:
                self._undo("TcpExtTCPDSACKUndo")

    def _sample(self, ack: Acknowledgment, octets: int, now: int, *, growable: bool) -> Sample:
        """Return the sample of an ACK for the congestion control."""
        board, rtt, rate = self.board, self.rtt, self.rate
        lost = board.total_lost - self._lost_before
        self._lost_before = board.total_lost
        return Sample(
            now,
            octets,
            lost,
            growable,
            ack.end - ack.una,
            self.in_flight,
            rtt.latest,
            rtt.smoothed,
            rtt.minimum,
            rate.latest,
            rate.rounds,
            rate.app_limited,
            rate.delivered,
            rate.prior,
            rate.tx_in_flight,
            board.total_lost - rate.tx_lost,
            board.take_losses() if lost else (),
            self.usage.used_up,
            self.phase >= Phase.RECOVERY,
            self.sack,
            octets if ack.marked else 0,
        )

    def _may_grow(self, ack: Acknowledgment) -> bool:
        """Return whether the data that an ACK reports may open the congestion window.

        Out-of-order data may mean a loss, so only an advance of SND.UNA counts (RFC 5681, section
        3.1). As in Linux this does not apply to a path known to reorder, where most data arrives
        out of order.
        """
        if self.phase in (Phase.REDUCING, Phase.RECOVERY):
            return False
        return ack.advanced > 0 or self.rack.reordering_seen

    def _partial_or_full(self, ack: Acknowledgment) -> bool:
        """Process an advance of SND.UNA without SACK (RFC 6582, section 3.2, step 3).

        Return whether it is a partial one, which reports another loss.
        """
        if self.phase == Phase.RECOVERY and ack.una < self.point:
            left = ack.advanced // self.mss - 1  # segments that the duplicate ACKs had reported
            self._duplicate_acks = max(0, self._duplicate_acks - max(0, left))
            self._lose_first()
            return True
        self._duplicate_acks = 0
        return False

    def _lose_first(self) -> None:
        """Mark the first unacknowledged segment as lost."""
        if not self.board.records:
            return
        record = self.board.records[0]
        if record.fate is not Fate.IN_FLIGHT:
            return
        if len(record.payload) > record.piece:
            self.board.cut(record, record.piece)
        self.board.mark_lost(record)

    def _enter_recovery(self, position: int, end: int, now: int, delivered: int = 0) -> None:
        if self.phase != Phase.REDUCING or position >= self.point:
            self._begin_reduction(position, end, now, delivered)
        self.point = end
        self.phase = Phase.RECOVERY
        self.recoveries += 1

    def _begin_reduction(self, position: int, end: int, now: int, delivered: int = 0) -> None:
        self._remember_for_undo(now)
        self.point = end
        # RecoverFS excludes selectively acknowledged data: it is not delivered again.
        flight = end - position - self.board.sacked + delivered
        self._prr = ProportionalRate(max(flight, self.mss))
        self.control.on_loss(self._used(position, end), now)
        self.ecn.reduced()

    def _used(self, position: int, end: int) -> int:
        """Return how many octets of the congestion window were in use recently."""
        return self.usage.octets(self.control.window, end - position)

    def _remember_for_undo(self, now: int) -> None:
        self._undo_after = now
        self._undo_ends = None

    def _undo_if_spurious(self, echo_sent_ns: int) -> None:
        """Undo the reduction if an ACK answers an original transmission (RFC 3522, Eifel).

        In fast recovery one late segment proves nothing while other retransmissions are in flight.
        As in Linux, the decision waits for them.
        """
        if echo_sent_ns < self._undo_after - MILLISECOND and self._undo_ends:
            if self.phase == Phase.LOSS:
                self._undo("TcpExtTCPLossUndo")
            elif not self.board.resent_in_flight:
                self._undo("TcpExtTCPFullUndo")
        elif self.phase == Phase.LOSS:
            self._undo_after = -1  # the first ACK after a timeout decides

    def _undo(self, counter: str) -> None:
        self.undone = self.undone or {}
        self.undone[counter] = self.undone.get(counter, 0) + 1
        self._undo_after = -1
        self.control.on_undo()
        self.ecn.withdraw()
        self.board.mark_all_in_flight()
        self.phase = Phase.OPEN
        self._set_window(0)

    def _finish(self) -> None:
        """Leave recovery, as all data that was outstanding at its start is acknowledged."""
        if self.phase == Phase.RECOVERY:
            self.rack.recovered()
        self._duplicate_acks = 0
        self.phase = Phase.OPEN

    def _set_phase_open_or_disorder(self) -> None:
        if self.phase <= Phase.DISORDER:
            disorder = self.board.sacked or self._duplicate_acks
            self.phase = Phase.DISORDER if disorder else Phase.OPEN

    def _set_window(self, delivered: int, *, safe: bool = False) -> None:
        control, prr = self.control, self._prr
        reducing = self.phase in (Phase.REDUCING, Phase.RECOVERY)
        if prr is not None and reducing and control.proportional:
            flight, mss = self.in_flight, self.mss
            # Without SACK, a partial ACK permits the next segment (RFC 6582, section 3.2, step 3).
            at_least = mss if not self.sack and self.board.lost else 0
            self.window = flight + prr.allowed(
                delivered, flight, control.threshold, mss, safe=safe, at_least=at_least
            )
        else:
            self.window = control.window
        if self._paced:
            starting = control.window < control.threshold // 2
            self._rate = window_rate(control.window, self.rtt.smoothed, starting=starting)
