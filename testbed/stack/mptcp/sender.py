"""Giving data to subflows: scheduling (RFC 8684, section 3.3.8) and reinjection (section 3.3.6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from testbed.stack.mptcp.mapping import MAX_LENGTH, Mapping
from testbed.stack.mptcp.scheduler import Scheduler
from testbed.stack.mptcp.streams import SendStream
from testbed.stack.mptcp.subflow import Subflow
from testbed.stack.ranges import Ranges

_RETRY_NS: Final = 1_000_000_000  # when no round-trip time is known
_MAX_RETRY_NS: Final = 60_000_000_000


class Sender:
    """Spreads one stream over the subflows.

    Data is given to a subflow only when it can leave at once, so that the choice is made as late
    as possible; each piece with its mapping.
    """

    def __init__(
        self, stream: SendStream, subflows: Sequence[Subflow], scheduler: Scheduler
    ) -> None:
        self._stream = stream
        self._subflows = subflows
        self._scheduler = scheduler
        self._hurried = -1  # the position that was reinjected last because the window was full
        self._una = 0
        self._retry_ns: int | None = None
        self._backoff = 0
        self.reinjected = 0  # octets

    def give(self) -> None:
        """Give subflows whatever they and the peer's window have room for."""
        self._drop_acknowledged()
        self._repair()
        while self._give_again():
            pass
        while self._stream.sendable and self._give_next():
            pass
        self._hurry()

    def next_retry(self, now: int) -> int | None:
        """Return when data must be sent again although no subflow has complained.

        A subflow may have acknowledged what the connection has not: a middlebox answered for the
        peer, or the peer could not use it (section 3.3.6).
        """
        outstanding = self._stream.next > self._stream.una
        if not outstanding or self._una != self._stream.una or self._retry_ns is None:
            self._backoff = 0
            self._retry_ns = now + self._interval() if outstanding else None
        self._una = self._stream.una
        return self._retry_ns

    def retry(self, now: int) -> None:
        """Send again what the peer has not acknowledged and no subflow is still at work on.

        A peer that acknowledges without a Data ACK has fallen back, which we have not noticed: to
        it, what is sent again would be new data.  That subflow is reset (section 3.7).
        """
        self._backoff += 1
        self._retry_ns = now + min(self._interval() << self._backoff, _MAX_RETRY_NS)
        for subflow in self._subflows:
            if subflow.usable and not (subflow.tcp.in_flight or subflow.tcp.queued):
                if subflow.mute and not subflow.fallback:
                    subflow.tcp.abort()
                else:
                    subflow.carried.clear()
        self._reinject((self._stream.una, self._stream.next))

    def lost(self, subflow: Subflow) -> None:
        """Reinject what a subflow carried: it is gone."""
        for lost in subflow.carried:
            self._reinject(lost)
        subflow.carried.clear()

    def _interval(self) -> int:
        times = [one.tcp.rto_ns for one in self._subflows if one.usable]
        return max(2 * max(times, default=0), _RETRY_NS)

    def _drop_acknowledged(self) -> None:
        for subflow in self._subflows:
            subflow.carried.remove_before(self._stream.una)

    def _repair(self) -> None:
        """Reinject what subflows carry whose retransmission timer has expired."""
        for subflow in self._subflows:
            if subflow.retransmitted:
                subflow.retransmitted = False
                for start, end in subflow.carried:
                    self._reinject((start, end))

    def _reinject(self, what: tuple[int, int]) -> None:
        """Mark data to be given again, unless a subflow in good health carries it already."""
        missing = Ranges()
        missing.add(max(what[0], self._stream.una), what[1])
        for subflow in self._subflows:
            if subflow.usable and not subflow.stale:
                for start, end in subflow.carried:
                    missing.remove(start, end)
        for start, end in missing:
            self._stream.again.add(start, end)

    def _give_again(self) -> bool:
        """Give the first octets that are to be reinjected to a subflow that does not carry them."""
        first = self._stream.again.first()
        if first is None:
            return False
        start, end = first
        others = [one for one in self._ready(end - start) if not _carries(one, start)]
        if not others:
            return False
        sent = self._send(self._scheduler.select(others), start, end - start)
        self.reinjected += sent
        self._stream.again.remove(start, start + sent)
        return True

    def _give_next(self) -> bool:
        """Give new data to the subflow the scheduler wants to have it."""
        ready = self._ready(self._stream.sendable)
        if not ready:
            return False
        start = self._stream.next
        self._stream.next += self._send(self._scheduler.select(ready), start, self._stream.sendable)
        return True

    def _hurry(self) -> None:
        """Reinject what holds the whole window up, if a faster subflow idles (section 3.3.6).

        The window is full, so nothing new can be sent until the oldest data is acknowledged; it is
        on a subflow that is slower than one with room.
        """
        stream = self._stream
        if stream.sendable or stream.next < stream.edge or stream.una == self._hurried:
            return
        if stream.una == stream.next:
            return
        others = [one for one in self._ready(1) if not _carries(one, stream.una)]
        if others:
            self._hurried = stream.una
            chosen = self._scheduler.select(others)
            end = min(stream.next, stream.una + chosen.segment_size)
            self.reinjected += self._send(chosen, stream.una, end - stream.una)

    def _ready(self, wanted: int) -> list[Subflow]:
        """Return the subflows that can send a full segment, or all that is wanted, at once.

        Backups only if there is nothing else that works (section 3.3.8).
        """
        usable = [one for one in self._subflows if one.usable]
        healthy = [one for one in usable if not one.stale] or usable
        chosen = [one for one in healthy if not one.backup] or healthy
        return [one for one in chosen if room(one) >= min(wanted, one.segment_size)]

    def _send(self, subflow: Subflow, start: int, most: int) -> int:
        """Give octets to a subflow, in whole segments if there are more; return how many."""
        size, free = subflow.segment_size, room(subflow)
        length = min(most, free, MAX_LENGTH)
        in_capable = not subflow.confirmed and self._stream.next == 0
        if in_capable:
            length = min(length, size)
        elif length < most and length > size:
            length -= length % size
        data = self._stream.peek(start, length)
        position = subflow.given
        mapping = Mapping(data=start, subflow=position, length=len(data), in_capable=in_capable)
        subflow.tcp.send(data, None if subflow.fallback else mapping)
        subflow.given += len(data)
        subflow.carried.add(start, start + len(data))
        return len(data)


def room(subflow: Subflow) -> int:
    """Return the octets a subflow could send at once: congestion window, window, buffer."""
    tcp = subflow.tcp
    queued = tcp.queued
    windows = min(tcp.cwnd - tcp.in_flight, tcp.send_window)
    return max(0, min(windows - queued, tcp.room))


def _carries(subflow: Subflow, position: int) -> bool:
    return any(start <= position < end for start, end in subflow.carried)
