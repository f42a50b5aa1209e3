"""OLIA, opportunistic linked increases: draft-khalili-mptcp-congestion-control.

R. Khalili, N. Gast, M. Popovic, J.-Y. Le Boudec, "MPTCP is not Pareto-optimal: performance issues
and a possible solution", IEEE/ACM Transactions on Networking 21 (2013); CoNEXT 2012.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from mypy_extensions import mypyc_attr

from testbed.stack.tcp.congestion.control import Group, Sample
from testbed.stack.tcp.congestion.coupled import Coupled


@mypyc_attr(allow_interpreted_subclasses=True)
class Olia(Coupled):
    """Balances congestion like the fully coupled control, and still probes each path.

    For b acknowledged octets on path r, with windows w, the window grows by::

        b MSS_r ( (w_r / rtt_r^2) / (sum of w_p / rtt_p)^2 + alpha_r / w_r )

    Let l_p be the octets delivered between the last two losses of a path, or since the last one if
    that is more. The best paths are those with the largest l_p / rtt_p^2, where a TCP would be
    fastest. The n paths have::

        alpha_r =  1 / (n |C|)   r in C: a best path whose window is not the largest
        alpha_r = -1 / (n |M|)   r in M, those with the largest window, where C is not empty
        alpha_r =  0             else

    A loss halves the window, down to one segment.
    """

    __slots__ = ("_between", "_lost_before", "_since")

    def __init__(self, group: Group) -> None:
        super().__init__(group)
        self._between = 0  # octets delivered between the last two losses
        self._since = 0  # octets delivered since the last loss
        self._lost_before = (0, 0)

    @property
    def quality(self) -> float:
        """The expected rate of a TCP on this path, as l / rtt^2; for comparisons only."""
        return max(self._between, self._since) / (self.rtt * self.rtt)

    def on_ack(self, sample: Sample) -> None:
        """Count the octets between losses."""
        self._since += sample.delivered
        super().on_ack(sample)

    def gain(self, paths: Sequence[Self]) -> float:
        """Return the increase. It is negative if a better path must get the window."""
        total = best = 0.0
        largest = 0
        for path in paths:
            total += path.rate
            best = max(best, path.quality)
            largest = max(largest, path.used)
        linked = self.rate / self.rtt / (total * total)
        collected = [path for path in paths if path.quality == best and path.used < largest]
        if not collected:
            return linked
        if self.used == largest:
            maximal = sum([path.used == largest for path in paths])
            return linked - 1 / (len(paths) * maximal * self.window)
        if self in collected:
            return linked + 1 / (len(paths) * len(collected) * self.window)
        return linked

    def on_loss(self, used: int, now: int) -> None:
        """Halve, and start to count again."""
        self._lost_before = (self._between, self._since)
        self._between, self._since = self._since, 0
        super().on_loss(used, now)

    def on_undo(self) -> None:
        """Restore the counts before the loss."""
        super().on_undo()
        between, since = self._lost_before
        self._between, self._since = between, since + self._since
