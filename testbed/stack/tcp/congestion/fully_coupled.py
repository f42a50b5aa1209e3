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
    """All traffic goes to the least congested path; the others get one segment.

    For b octets acknowledged the window grows by b MSS / w_total, and a loss takes off w_total / 2,
    down to one segment.  It is optimal where nothing changes: on a path that it has left it sees
    little, so it is slow to come back, and between equal paths it flaps.
    """

    __slots__ = ()

    def gain(self, paths: Sequence[Self]) -> float:
        """Return the increase, which is the same on each path."""
        return 1 / sum([path.used for path in paths])

    def on_loss(self, used: int, now: int) -> None:
        """Take off half of all windows from this one."""
        self._remember()
        others = sum([path.used for path in self.paths(now) if path is not self])
        self._reduce_to(used - (used + others) // 2)
