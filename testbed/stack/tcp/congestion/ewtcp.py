"""EWTCP, equally weighted TCP: M. Honda et al., "Multipath congestion control", PFLDNeT 2009.

M. Honda, Y. Nishida, L. Eggert, P. Sarolahti, H. Tokuda, "Multipath congestion control for shared
bottleneck"; Wischik et al., NSDI 2011, section 2.1, gave it its name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from mypy_extensions import mypyc_attr

from testbed.stack.tcp.congestion.coupled import Coupled


@mypyc_attr(allow_interpreted_subclasses=True)
class Ewtcp(Coupled):
    """Each of n subflows takes 1/n of a TCP's share. It is fair but does not shift traffic.

    For b acknowledged octets the window grows by a b MSS / w, and a loss halves it. In equilibrium
    the window is proportional to the root of a, so a weight of 1/n needs a = 1/n^2.
    """

    least_segments = 2

    __slots__ = ()

    def gain(self, paths: Sequence[Self]) -> float:
        """Return the weighted increase."""
        return 1 / (len(paths) ** 2 * self.window)
