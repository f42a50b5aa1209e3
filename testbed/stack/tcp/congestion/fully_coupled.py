"""Fully coupled: F. Kelly and T. Voice (2005), H. Han et al. (2006), as in NSDI 2011, section 2.2.

F. Kelly, T. Voice, "Stability of end-to-end algorithms for joint routing and rate control", CCR 35;
D. Wischik, C. Raiciu, A. Greenhalgh, M. Handley, NSDI 2011, where it is called COUPLED.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from mypy_extensions import mypyc_attr

from testbed.stack.tcp.congestion.coupled import Coupled


@mypyc_attr(allow_interpreted_subclasses=True)
class FullyCoupled(Coupled):
    """Shifts all traffic to the least congested path. The others keep one segment.

    For b acknowledged octets the window grows by b MSS / w_total, and a loss reduces it by w_total
    / 2, down to one segment. It is optimal in a static network. It returns slowly to a path that it
    has left, and it flaps between equal paths.
    """

    __slots__ = ()

    def gain(self, paths: Sequence[Self]) -> float:
        """Return the increase, which is the same on each path."""
        return 1 / sum([path.used for path in paths])

    def on_loss(self, used: int, now: int) -> None:
        """Reduce this window by half of the sum of all windows."""
        self._remember()
        others = sum([path.used for path in self.paths(now) if path is not self])
        self._reduce_to(used - (used + others) // 2)
