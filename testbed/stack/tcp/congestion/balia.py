"""BALIA, balanced linked adaptation: draft-walid-mptcp-congestion-control.

Q. Peng, A. Walid, J. Hwang, S. Low, "Multipath TCP: analysis, design, and implementation",
IEEE/ACM Transactions on Networking 24 (2016).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Self

from mypy_extensions import mypyc_attr

from testbed.stack.tcp.congestion.coupled import Coupled

_MOST: Final = 1.5


@mypyc_attr(allow_interpreted_subclasses=True)
class Balia(Coupled):
    """A compromise of LIA and OLIA: friendly to TCP, and responsive.

    With x_p = w_p / rtt_p and a = max(x_p) / x_r, the window of path r grows for b acknowledged
    octets, and shrinks at a loss, by::

        b MSS_r  x_r / (rtt_r (sum of x_p)^2)  (1 + a)/2  (4 + a)/5
        w_r / 2  min(a, 1.5)
    """

    __slots__ = ()

    def gain(self, paths: Sequence[Self]) -> float:
        """Return the increase."""
        total = best = 0.0
        for path in paths:
            rate = path.rate
            total += rate
            best = max(best, rate)
        own = self.rate
        a = best / own
        return own / (self.rtt * total * total) * (1 + a) / 2 * (4 + a) / 5

    def on_loss(self, used: int, now: int) -> None:
        """Reduce by a half on the fastest path, and by up to three quarters on others."""
        self._remember()
        a = 1.0
        if self.rtt:
            a = min(max(path.rate for path in self.paths(now)) / self.rate, _MOST)
        self._reduce_to(int(used * (1 - a / 2)))
