"""What subflows can send at once, while they are given data."""

from __future__ import annotations

from collections.abc import Sequence

from testbed.stack.mptcp.subflow import Subflow


class Rooms:
    """Octets that each subflow has room for: asked once, and counted down from then on.

    Nothing else changes them while a connection gives data to its subflows.

    :param working: the subflows that are in use.
    """

    __slots__ = ("_left", "working")

    def __init__(self, working: Sequence[Subflow]) -> None:
        self.working = working
        self._left = {one: _room(one) for one in working}

    def ready(self, wanted: int) -> dict[Subflow, int]:
        """Return the subflows that can send a full segment, or all that is wanted, at once.

        Each with the octets it has room for.
        """
        return {
            one: left
            for one, left in self._left.items()
            if left and (left >= wanted or left >= one.segment_size)
        }

    def given(self, subflow: Subflow, octets: int) -> None:
        """Take that a subflow was given so many octets."""
        self._left[subflow] = max(0, self._left[subflow] - octets)


def _room(subflow: Subflow) -> int:
    """Return the octets a subflow could send at once: congestion window, window, buffer.

    After a fallback there is no choice to be made late: TCP gets what it takes.
    """
    tcp = subflow.tcp
    return tcp.room if subflow.fallback else tcp.room_at_once
