"""Pacing: what leaves is spread over time where the congestion control gives a rate."""

from __future__ import annotations

from typing import Final

from testbed.stack.deadlines import NEVER

_NS: Final = 1_000_000_000
_BURST_NS: Final = 1_000_000  # what may leave at once, as Linux has it: a millisecond's worth


class Pacer:
    """When the next segment may leave.

    :ivar at: when the sender goes on; ``NEVER`` while nothing waits for that.
    """

    __slots__ = ("_free_ns", "at")

    def __init__(self) -> None:
        self.at = NEVER
        self._free_ns = 0  # when all that has left would have left at the rate

    def holds(self, now: int) -> bool:
        """Tell whether the next segment must wait; then ``at`` says until when."""
        if self.at <= now:
            self.at = NEVER
        elif self.at == NEVER and self._free_ns >= now + _BURST_NS:
            self.at = self._free_ns
        return self.at != NEVER

    def sent(self, octets: int, rate: int, now: int) -> None:
        """Note octets that leave at ``rate`` octets per second."""
        self._free_ns = max(self._free_ns, now) + octets * _NS // rate

    def stop(self) -> None:
        """Wait for nothing any more."""
        self.at = NEVER
