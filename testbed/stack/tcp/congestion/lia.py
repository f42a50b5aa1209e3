"""LIA, linked increases: RFC 6356.

D. Wischik, C. Raiciu, A. Greenhalgh, M. Handley, "Design, implementation and evaluation of
congestion control for multipath TCP", NSDI 2011.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from mypy_extensions import mypyc_attr

from testbed.stack.tcp.congestion.coupled import Coupled


@mypyc_attr(allow_interpreted_subclasses=True)
class Lia(Coupled):
    """All subflows together are as aggressive as one TCP on the best path.

    For b acknowledged octets on path i the window grows (section 3, equations 1 and 2) by::

        min(alpha b MSS_i / cwnd_total, b MSS_i / cwnd_i)
        alpha = cwnd_total max(cwnd_p / rtt_p^2) / (sum of cwnd_p / rtt_p)^2

    In this quotient cwnd_total cancels out, so the code has no alpha. A loss halves the window.
    """

    least_segments = 2

    __slots__ = ()

    def gain(self, paths: Sequence[Self]) -> float:
        """Return the increase of section 3."""
        total = best = 0.0
        for path in paths:
            rate = path.rate
            total += rate
            best = max(best, rate / path.rtt)
        return min(best / (total * total), 1 / self.window)
