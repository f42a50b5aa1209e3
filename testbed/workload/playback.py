"""A video player without a network: its buffer, and the rule that selects the bit rate.

The rule is BBA-0, of Huang, Johari, McKeown, Trunnell and Watson, "A Buffer-Based Approach to Rate
Adaptation: Evidence from a Large Video Streaming Service", SIGCOMM 2014 (Algorithm 1). It uses only
the buffer level.
"""

from __future__ import annotations

from collections.abc import Sequence


class Playback:
    """The buffer level, and the stalls.

    Playback starts, and resumes after a stall, as soon as a segment has arrived.

    :ivar stalls_ns: the length of each stall.
    """

    def __init__(self, segment_ns: int) -> None:
        self._segment_ns = segment_ns
        self._empty_at_ns: int | None = None  # no segment has arrived yet
        self.stalls_ns: list[int] = []

    def level_ns(self, now_ns: int) -> int:
        """Return the buffer level: the remaining play time."""
        return 0 if self._empty_at_ns is None else max(0, self._empty_at_ns - now_ns)

    def add(self, now_ns: int) -> None:
        """Add a segment that has arrived."""
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

    The rate map is linear over the cushion. The bit rate does not change until the map reaches the
    next higher or lower one.

    :param ladder: the bit rates in bit/s, the lowest first.
    :param before: the index for the previous segment.
    :param reservoir_ns: the buffer level up to which the lowest bit rate is chosen.
    :param cushion_ns: how far above the reservoir the highest bit rate is chosen.
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
