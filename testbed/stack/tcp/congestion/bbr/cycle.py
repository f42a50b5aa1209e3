"""When BBR probes for bandwidth, and what it goes back to if a loss was none.

draft-ietf-ccwg-bbr-06, sections 5.3.3.8 and 5.5.11.
"""

from __future__ import annotations

import enum
from typing import Final

from testbed.stack.tcp.congestion.bbr.bounds import INFINITE, LongTerm, ShortTerm

_NS: Final = 1_000_000_000
_MS: Final = 1_000_000
_WAIT_NS: Final = 2 * _NS  # the least wait; up to a second is added
_RENO_ROUNDS: Final = 63
_MIXING: Final = 0x9E3779B97F4A7C15  # 2**64 over the golden ratio: spreads numbers evenly
_BITS: Final = (1 << 64) - 1


class State(enum.Enum):
    """The states (section 5.1.1)."""

    STARTUP = enum.auto()
    DRAIN = enum.auto()
    DOWN = enum.auto()
    CRUISE = enum.auto()
    REFILL = enum.auto()
    UP = enum.auto()
    PROBE_RTT = enum.auto()


class Feedback(enum.Enum):
    """The part of a bandwidth probe that ACKs reflect: ack_phase (section 2.14)."""

    NONE = enum.auto()
    REFILLING = enum.auto()
    STARTING = enum.auto()
    COMING = enum.auto()
    STOPPING = enum.auto()


class ProbeWait:
    """The wait of a cycle before its probe, by time or by the growth of Reno (section 5.3.3.8).

    The draft requires random numbers, so that flows do not probe at the same time. The stack uses
    the arrival times of ACKs in nanoseconds instead.
    """

    __slots__ = ("_ends", "_round")

    def __init__(self) -> None:
        self._ends = 0
        self._round = 0  # the round trip at which counting starts

    def begin(self, now: int, rounds: int) -> None:
        """Start the wait (PickProbeWait) after a number of round trips."""
        digits = (now * _MIXING & _BITS) >> 32
        self._round = rounds - digits % 2
        self._ends = now + _WAIT_NS + (digits >> 1) % 1000 * _MS

    def over(self, now: int, rounds: int, segments: int) -> bool:
        """Return whether it is time to probe (IsTimeToProbeBW).

        :param segments: the segments in flight. Reno would add one in each round trip.
        """
        return now > self._ends or rounds - self._round >= min(segments, _RENO_ROUNDS)


class Memory:
    """The state before losses, in case that they are spurious (section 5.5.11.1).

    :ivar window: the last window without a loss (SaveCwnd).
    :ivar left: the state that losses have ended, or ``None``.
    """

    __slots__ = ("_bounds", "left", "window")

    def __init__(self) -> None:
        self.window = 0
        self.left: State | None = None
        self._bounds = (INFINITE, INFINITE, INFINITE)

    def keep_window(self, window: int, *, reduced: bool) -> None:
        """Save a window. A reduced one is saved only if it is larger (SaveCwnd)."""
        self.window = max(self.window, window) if reduced else window

    def keep(self, short: ShortTerm, long: LongTerm) -> None:
        """Save the bounds at the start of loss recovery (SaveStateUponLoss)."""
        self.left = None
        self._bounds = (short.rate, short.inflight, long.inflight)

    def leave(self, state: State) -> None:
        """Record that losses have ended a state."""
        self.left = state

    def restore(self, short: ShortTerm, long: LongTerm) -> State | None:
        """Restore the bounds; return the state that losses have ended."""
        rate, inflight, long_term = self._bounds
        short.raise_to(rate, inflight)
        long.raise_to(long_term)
        left, self.left = self.left, None
        return left
