"""When BBR probes for bandwidth, and what it goes back to if a loss was none.

draft-ietf-ccwg-bbr-06, sections 5.3.3.8 and 5.5.11.
"""

from __future__ import annotations

import enum
from typing import Final

from testbed.stack.tcp.congestion.bbr.bounds import INFINITE, LongTerm, ShortTerm

_NS: Final = 1_000_000_000
_MS: Final = 1_000_000
_WAIT_NS: Final = 2 * _NS  # and up to a second more
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
    """The news of ACKs for probes for bandwidth: ack_phase (section 2.14)."""

    NONE = enum.auto()
    REFILLING = enum.auto()
    STARTING = enum.auto()
    COMING = enum.auto()
    STOPPING = enum.auto()


class ProbeWait:
    """How long a cycle waits before it probes: by the clock, or by Reno's (section 5.3.3.8).

    The draft asks for random numbers, so that flows do not probe in step.  The stack has none: the
    time at which an ACK comes, in nanoseconds, is as good.
    """

    __slots__ = ("_ends", "_round")

    def __init__(self) -> None:
        self._ends = 0
        self._round = 0  # from which on round trips are counted

    def begin(self, now: int, rounds: int) -> None:
        """Wait from now on (PickProbeWait); so many round trips are over."""
        digits = (now * _MIXING & _BITS) >> 32
        self._round = rounds - digits % 2
        self._ends = now + _WAIT_NS + (digits >> 1) % 1000 * _MS

    def over(self, now: int, rounds: int, segments: int) -> bool:
        """Tell whether it is time to probe (IsTimeToProbeBW).

        :param segments: in flight, as Reno would have them: one more in each round trip.
        """
        return now > self._ends or rounds - self._round >= min(segments, _RENO_ROUNDS)


class Memory:
    """The state before losses, for the case that there were none (section 5.5.11.1).

    :ivar window: the last one that was good (SaveCwnd).
    :ivar left: the state that losses have ended, if they did.
    """

    __slots__ = ("_bounds", "left", "window")

    def __init__(self) -> None:
        self.window = 0
        self.left: State | None = None
        self._bounds = (INFINITE, INFINITE, INFINITE)

    def keep_window(self, window: int, *, reduced: bool) -> None:
        """Keep a window; one that is reduced counts only if it is larger (SaveCwnd)."""
        self.window = max(self.window, window) if reduced else window

    def keep(self, short: ShortTerm, long: LongTerm) -> None:
        """Keep the bounds: loss recovery begins (SaveStateUponLoss)."""
        self.left = None
        self._bounds = (short.rate, short.inflight, long.inflight)

    def leave(self, state: State) -> None:
        """Note that losses have ended a state."""
        self.left = state

    def restore(self, short: ShortTerm, long: LongTerm) -> State | None:
        """Put the bounds back; return the state that losses have ended."""
        rate, inflight, long_term = self._bounds
        short.raise_to(rate, inflight)
        long.raise_to(long_term)
        left, self.left = self.left, None
        return left
