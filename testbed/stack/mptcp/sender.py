"""Scheduling (RFC 8684, section 3.3.8) and reinjection (section 3.3.6) of data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import heappop, heappush
from typing import Final

from testbed.packet.mptcp import ResetReason
from testbed.stack.mptcp.config import MptcpConfig
from testbed.stack.mptcp.mapping import MAX_LENGTH
from testbed.stack.mptcp.rooms import Rooms
from testbed.stack.mptcp.scheduler import SCHEDULERS
from testbed.stack.mptcp.scheduler.base import Scheduler, View
from testbed.stack.mptcp.streams import SendStream
from testbed.stack.mptcp.subflow import Subflow
from testbed.stack.ranges import Ranges

_RETRY_NS: Final = 1_000_000_000  # the retry interval while no round-trip time is known
_MAX_RETRY_NS: Final = 60_000_000_000
_PIECE: Final = 1024  # octets of memory that a receiver may use for a tiny segment


class Sender:
    """Distributes the data stream over the subflows.

    Data goes to a subflow only when it can be sent at once, so that the choice is made as late as
    possible, unless the scheduler lets it wait in a subflow. Each piece has its mapping.

    :param config: the reaction to a full window, and whether TCP_CORK is set.
    """

    __slots__ = ("_corked", "_hurried", "_largest", "_opportunistic", "_penalising", "_pieces",
                 "_probing", "_pushed", "_scheduler", "_stream", "_subflows", "_una", "_wait_ns",
                 "reinjected", "retransmissions", "retry_ns", "tries")  # fmt: skip

    def __init__(
        self, stream: SendStream, subflows: Sequence[Subflow], config: MptcpConfig
    ) -> None:
        self._stream = stream
        self._subflows = subflows
        self._scheduler: Scheduler = SCHEDULERS[config.scheduler]()
        self._opportunistic = config.opportunistic_retransmission
        self._penalising = config.penalisation
        self._wait_ns = config.data_acks.wait_ns
        self._corked = config.tcp.cork  # TCP_CORK: less than a segment waits for more data
        self._pushed = 0  # data before this position does not wait
        self._hurried = 0  # the data before this position was reinjected for blocking the window
        self._una = 0
        self._largest = 0  # the largest window of the peer so far
        self._probing = False
        self._pieces: list[int] = []  # a heap: ends of what was less than a segment, from una on
        self.retry_ns: int | None = None  # when ``retry`` is to be called
        self.tries = 0  # retries since the last Data ACK of anything new
        self.reinjected = 0  # octets reinjected
        self.retransmissions = 0  # how many times a subflow got reinjected octets

    def give(self, now: int) -> None:
        """Give subflows the data that they and the peer's window have room for."""
        self._largest = max(self._largest, self._stream.edge - self._stream.una)
        if self._stream.una != self._una:
            self._drop_acknowledged()
        self._repair()
        working = self._working() if self._stream.una < self._stream.end else []
        if working:
            rooms = Rooms(working)
            while self._give_again(rooms):
                pass
            while self._give_next(rooms):
                pass
            if self._opportunistic or self._penalising:
                self._hurry(rooms, now)
        if self._probing:
            self._probing = False
            self._probe()
        self._watch(now, works=bool(working))

    def cork(self, *, corked: bool) -> None:
        """Set or clear TCP_CORK, which holds back less than a segment."""
        self._corked = corked

    def push(self) -> None:
        """Hold back nothing of what was written until now, as TCP_NODELAY does under a cork."""
        self._pushed = self._stream.end

    @property
    def blocked(self) -> bool:
        """Whether the shared window or the window of a subflow's TCP is closed."""
        return self._stream.edge <= self._stream.una or any(
            one.tcp.queued and not one.tcp.send_window for one in self._subflows if one.usable
        )

    def handle_timer(self, now: int) -> None:
        """Reinject in the next step the data without a Data ACK.

        Data that a subflow still transmits or retransmits is left out, but not if its window is
        closed and that of another one is not: the path may have closed it (section 3.3.5).
        """
        if self.retry_ns is None or self.retry_ns > now:
            return
        self.tries += 1
        self.retry_ns = now + min(self._interval() << self.tries, _MAX_RETRY_NS)
        usable = [one for one in self._subflows if one.usable]
        is_open = any(one.tcp.send_window for one in usable)
        for subflow in usable:
            if is_open and _shut(subflow):
                subflow.carried.time_out()
            elif not _busy(subflow):
                if subflow.inbound.bare and not subflow.fallback:
                    # This peer would take data that is sent again as new data.
                    subflow.reset(ResetReason.MIDDLEBOX)
                else:
                    subflow.carried.clear()
        self._reinject([(self._stream.una, self._stream.next)])
        self._probing = True

    def lost(self, subflow: Subflow) -> None:
        """Reinject the data of a subflow that has ended."""
        lost = list(subflow.carried)
        subflow.carried.clear()
        self._reinject(lost)

    def _watch(self, now: int, *, works: bool) -> None:
        """Set the timer for data without a Data ACK although no subflow has failed.

        TCP may have acknowledged data that has no Data ACK: a middlebox answered for the peer, or
        the peer dropped the data (section 3.3.6). Or the window is closed, and the ACK that opened
        it was lost.

        :param works: whether there is such data, and a subflow for it.
        """
        una = self._stream.una
        if not works:
            self.retry_ns = None
            self.tries = 0
        elif una != self._una or self.retry_ns is None:
            self.retry_ns = now + self._interval()
            self.tries = 0
        self._una = una

    def _probe(self) -> None:
        """Give an idle subflow data that is too small to be sent, or one octet beyond the window.

        The closed window may be its own or the shared one. TCP sends the octet at once or as a
        window probe. Either way the answer has the window.
        """
        usable = [one for one in self._subflows if one.usable]
        if not usable or any(_busy(one) for one in usable):
            return
        chosen = self._scheduler.select(usable)
        first = self._stream.marked
        start, end = first or self._stream.fresh
        length = 1 if first else max(1, min(end - start, chosen.segment_size))
        if start < self._stream.end:
            sent = self._send(chosen, start, length)
            self._stream.unmark(start, start + sent)

    def _interval(self) -> int:
        """Return the time to wait for a Data ACK. A closed window is probed after the RTO.

        This is SHOULD-29 of RFC 9293 (section 3.8.6.1). TCP_CORK holds data back no longer than
        this, as in Linux.
        """
        rto = max((one.tcp.rto_ns for one in self._subflows if one.usable), default=0)
        corked = self._corked and self._stream.next == self._stream.una
        if rto and (corked or self._stream.edge <= self._stream.una):
            return rto
        return self._wait_ns or max(2 * rto, _RETRY_NS)

    def _drop_acknowledged(self) -> None:
        for subflow in self._subflows:
            subflow.carried.drop_before(self._stream.una)
        while self._pieces and self._pieces[0] <= self._stream.una:
            heappop(self._pieces)

    def _repair(self) -> None:
        """Reinject the data of subflows whose retransmission timer has expired."""
        for subflow in self._subflows:
            if subflow.carried.timed_out:
                subflow.carried.take_time_out()
                self._reinject(subflow.carried)

    def _reinject(self, lost: Iterable[tuple[int, int]]) -> None:
        """Mark data for reinjection, unless a working subflow carries it already."""
        missing = Ranges()
        for start, end in lost:
            missing.add(max(start, self._stream.una), end)
        for subflow in self._subflows:
            if subflow.usable and not subflow.carried.stale:
                for start, end in subflow.carried:
                    missing.remove(start, end)
        for start, end in missing:
            self._stream.mark(start, end)

    def _give_again(self, rooms: Rooms) -> bool:
        """Give the first marked octets to a subflow that does not carry them."""
        first = self._stream.marked
        if first is None:
            return False
        start, end = first
        ready = rooms.ready(end - start)
        others = [one for one in ready if not one.carried.holds(start)]
        if not others:
            return False
        chosen = self._scheduler.select(others)
        length = _fitting(chosen.segment_size, ready[chosen], end - start, end - start)
        sent = self._send(chosen, start, length)
        rooms.given(chosen, sent)
        self.reinjected += sent
        self.retransmissions += 1
        self._stream.unmark(start, start + sent)
        return sent > 0

    def _give_next(self, rooms: Rooms) -> bool:
        """Execute the next grant of the scheduler."""
        stream = self._stream
        ready = rooms.ready(stream.sendable or MAX_LENGTH)
        grant = self._scheduler.assign(self._view(ready, rooms.working))
        if grant is None:
            return False
        chosen, start, most = grant
        size = chosen.segment_size
        start = max(start, stream.una)
        if chosen.fallback or not stream.next:
            start = stream.fresh[0]  # plain TCP and MP_CAPABLE allow no other order
        end, limit = stream.piece(start)
        most = min(max(most, size), limit - start)
        length = _fitting(size, ready.get(chosen) or chosen.tcp.room, most, end - start)
        holds = self._corked and start + length > self._pushed
        if holds and self._may_become_more(start + length):
            length -= length % size
        if length <= 0 or not self._worth_sending(size, length, end - start):
            return False
        small = length < size and start >= stream.next and not chosen.fallback
        if small and not self._bearable(length):
            return False
        sent = self._send(chosen, start, length)
        rooms.given(chosen, sent)
        if small and sent:
            heappush(self._pieces, start + sent)
        stream.unmark(start, start + sent)
        return sent > 0

    def _view(self, ready: dict[Subflow, int], working: Sequence[Subflow]) -> View[Subflow]:
        stream = self._stream
        return View(
            list(ready),
            [one for one in working if one not in ready],
            una=stream.una,
            next=stream.next,
            end=stream.end,
            edge=stream.edge,
            window=self._largest,
            gaps=list(stream.gaps) if stream.gaps else (),
        )

    def _worth_sending(self, size: int, length: int, left: int) -> bool:
        """Avoid the silly window syndrome of the shared window (RFC 9293, section 3.8.6.2.1).

        A full segment may leave, or all data, or half of the largest window so far. Less waits
        until the window opens or the timer expires.

        :param size: the size of a full segment. ``left`` is the number of octets to send.
        """
        return length >= size or length == left or length * 2 >= self._largest

    def _may_become_more(self, end: int) -> bool:
        """Return whether more data may follow a position."""
        return end == self._stream.end and not self._stream.closed

    def _bearable(self, length: int) -> bool:
        """Return whether the peer has memory for one more small segment, judged by its window.

        A small segment needs far more memory than its octets, and the receiver holds all segments
        that follow a lost one. When that memory is used up, Linux drops even the missing octets,
        and the connection stalls for ever. So data is collected as by Nagle's algorithm, but with
        many segments in flight.
        """
        stream = self._stream
        needed = stream.next - stream.una + (len(self._pieces) + 1) * _PIECE
        return not self._pieces or needed <= self._largest or length * 2 >= self._largest

    def _hurry(self, rooms: Rooms, now: int) -> None:
        """Reinject the data that blocks the whole window on a faster subflow (section 3.3.6).

        The window has room for less than a segment, so nothing new can be sent until the oldest
        data is acknowledged. That data is sent again once, and only on a subflow that is faster
        than all that carry it and uses less than half of its window: elsewhere the copy would not
        arrive earlier. The subflows that carry the data may be slowed down.
        """
        stream = self._stream
        start = max(stream.una, self._hurried)
        left = stream.edge - stream.next
        if left >= MAX_LENGTH or stream.next == stream.end or start >= stream.next:
            return
        ready = rooms.ready(1)
        if not ready or left >= min(one.segment_size for one in ready):
            return
        carriers = [one for one in self._subflows if one.carried.holds(start)]
        bound = min((one.smoothed_rtt_ns or 0 for one in carriers), default=0)
        idle = [one for one in ready if one.tcp.in_flight < ready[one]]
        faster = [one for one in idle if 0 < (one.smoothed_rtt_ns or 0) < bound]
        if not faster:
            return
        octets = min(one.carried.end_of(start) for one in carriers) - start
        if self._penalising:
            for one in carriers:
                one.tcp.slow_down(now)
        if self._opportunistic:
            chosen = self._scheduler.select(faster)
            length = _fitting(chosen.segment_size, ready[chosen], octets, octets)
            octets = self._send(chosen, start, length)
            self.reinjected += octets
            self.retransmissions += 1
        self._hurried = start + octets

    def _working(self) -> list[Subflow]:
        """Return the subflows in use: backups only if nothing else works (section 3.3.8)."""
        usable = [one for one in self._subflows if one.usable]
        healthy = [one for one in usable if not one.carried.stale] or usable
        return [one for one in healthy if not one.backup] or healthy

    def _send(self, subflow: Subflow, start: int, length: int) -> int:
        """Give octets of one record to a subflow with their mapping; return how many."""
        length = min(length, self._stream.record_end(start) - start)
        in_capable = not subflow.confirmed and self._stream.next == 0
        if in_capable or subflow.one_segment_due:  # its data is one segment
            length = min(length, subflow.segment_size)
        given = subflow.give(start, length, in_capable=in_capable)
        self._stream.give(start, given)
        return given


def _fitting(size: int, room: int, most: int, left: int) -> int:
    """Return how many of ``left`` octets to give a subflow: all, or whole segments.

    :param size: the size of its segments. ``room`` is what it can send at once.
    """
    length = min(most, room, MAX_LENGTH)
    return length - length % size if size < length < left else length


def _shut(subflow: Subflow) -> bool:
    """Return whether a closed window keeps TCP from sending anything."""
    tcp = subflow.tcp
    return bool(tcp.queued) and not tcp.in_flight and not tcp.send_window


def _busy(subflow: Subflow) -> bool:
    """Return whether TCP has unsent or unacknowledged data."""
    return not subflow.tcp.idle
