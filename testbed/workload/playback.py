"""A video player without a network: its buffer, and the rule that chooses the next bit rate.

The rule is BBA-0, of Huang, Johari, McKeown, Trunnell and Watson, "A Buffer-Based Approach to Rate
Adaptation: Evidence from a Large Video Streaming Service", SIGCOMM 2014 (Algorithm 1).  It looks at
the buffer alone.
"""

from __future__ import annotations

from collections.abc import Sequence


class Playback:
    """The contents of the buffer, and the times without any.

    Playing begins, and goes on after a stall, as soon as a segment is there.

    :ivar stalls_ns: how long each stall took.
    """

    def __init__(self, segment_ns: int) -> None:
        self._segment_ns = segment_ns
        self._empty_at_ns: int | None = None  # nothing has come yet
        self.stalls_ns: list[int] = []

    def level_ns(self, now_ns: int) -> int:
        """Return how much is left to play."""
        return 0 if self._empty_at_ns is None else max(0, self._empty_at_ns - now_ns)

    def add(self, now_ns: int) -> None:
        """Take a segment that has arrived."""
        if self._empty_at_ns is None:
            self._empty_at_ns = now_ns
        elif self._empty_at_ns < now_ns:
            self.stalls_ns.append(now_ns - self._empty_at_ns)
            self._empty_at_ns = now_ns
        self._empty_at_ns += self._segment_ns


def bba0(
    ladder: Sequence[int], before: int, level_ns: int, reservoir_ns: int, cushion_ns: int
) -> int:
    """Return the index in the ladder of the next segment's bit rate.

    The rate map is linear over the cushion.  The bit rate stays as it is until the map reaches the
    next one up or down.

    :param ladder: bit rates in bit/s, the lowest first.
    :param before: the index for the segment before.
    :param reservoir_ns: up to this level of the buffer the lowest bit rate is chosen.
    :param cushion_ns: from so much above the reservoir on the highest one is chosen.
    """
    top = len(ladder) - 1
    if level_ns <= reservoir_ns:
        return 0
    if level_ns >= reservoir_ns + cushion_ns:
        return top
    share = (level_ns - reservoir_ns) / cushion_ns
    mapped = ladder[0] + share * (ladder[top] - ladder[0])
    if mapped >= ladder[min(before + 1, top)]:
        return max(index for index, rate in enumerate(ladder) if rate < mapped or index == 0)
    if mapped <= ladder[max(before - 1, 0)]:
        return min(index for index, rate in enumerate(ladder) if rate > mapped or index == top)
    return before
