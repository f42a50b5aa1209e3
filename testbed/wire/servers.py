"""Servers, which let frames leave one by one: a rate, or the opportunities of a trace."""

from __future__ import annotations

from typing import Final, Protocol

from testbed.wire.medium import Side
from testbed.wire.netem import ETHERNET_HEADER, Rate
from testbed.wire.opportunities import TraceLink

_NS_PER_S: Final = 10**9


class Server(Protocol):
    """The source of departures: a rate, or a trace of opportunities."""

    def begin(self, from_ns: int) -> int | None:
        """Return the first time from ``from_ns`` on at which a frame may leave.

        None means that none may leave until a change.
        """

    def take(self, size: int, at_ns: int) -> int:
        """Let a frame of ``size`` octets leave at ``at_ns`` or later; return when it has left."""


class TokenBucket:
    """The rate of tc-htb(8). The bucket is full at the start."""

    def __init__(self, rate: Rate, now_ns: int) -> None:
        self._rate = rate
        # When nothing of the rate is taken up any more; the burst is what was saved since.
        self._free_ns = now_ns - rate.burst * 8 * _NS_PER_S // rate.bits_per_second
        self._held_ns: int | None = None  # since when nothing may leave

    def begin(self, from_ns: int) -> int | None:
        """See :class:`Server`."""
        return None if self._held_ns is not None else max(from_ns, self._free_ns)

    def take(self, size: int, at_ns: int) -> int:
        """See :class:`Server`."""
        saved_ns = self._rate.burst * 8 * _NS_PER_S // self._rate.bits_per_second
        self._free_ns = max(self._free_ns, at_ns - saved_ns) + packet_time_ns(size, self._rate)
        return at_ns

    def hold(self, now_ns: int, *, held: bool) -> None:
        """Stop or resume the rate."""
        if held and self._held_ns is None:
            self._held_ns = now_ns
        elif not held and self._held_ns is not None:
            self._free_ns = max(self._free_ns, self._held_ns) + now_ns - self._held_ns
            self._held_ns = None

    def change(self, rate: Rate, now_ns: int) -> None:
        """Change the rate, also for the rest of the present frame."""
        since_ns = now_ns if self._held_ns is None else self._held_ns
        left_ns = max(0, self._free_ns - since_ns)
        scaled_ns = left_ns * self._rate.bits_per_second // rate.bits_per_second
        self._free_ns = min(self._free_ns, since_ns) + scaled_ns
        self._rate = rate


class SharedRate(TokenBucket):
    """A rate on a medium that both directions share."""

    def __init__(self, rate: Rate, now_ns: int, side: Side) -> None:
        super().__init__(rate, now_ns)
        self._side = side

    def begin(self, from_ns: int) -> int | None:
        """See :class:`Server`."""
        return None if self._held_ns is not None else self._side.turn(from_ns)

    def take(self, size: int, at_ns: int) -> int:
        """See :class:`Server`."""
        self._side.sent(at_ns, packet_time_ns(size, self._rate))
        return at_ns


class Opportunities:
    """The opportunities of a trace."""

    def __init__(self, trace: TraceLink) -> None:
        self._trace = trace

    def begin(self, from_ns: int) -> int:
        """See :class:`Server`."""
        return from_ns

    def take(self, size: int, at_ns: int) -> int:
        """See :class:`Server`."""
        return self._trace.deliver(size - ETHERNET_HEADER, at_ns)


def packet_time_ns(size: int, rate: Rate) -> int:
    """Return the transmission time of a frame of ``size`` octets (netem's ``packet_time_ns``)."""
    octets = max(0, size + rate.packet_overhead)
    if rate.cell_size:
        cells = -(-octets // rate.cell_size)
        octets = cells * (rate.cell_size + rate.cell_overhead)
    return octets * _NS_PER_S // (rate.bits_per_second // 8)
