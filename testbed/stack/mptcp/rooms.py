"""The octets that subflows can send at once, while a connection distributes data."""

from __future__ import annotations

from collections.abc import Sequence

from testbed.stack.mptcp.subflow import Subflow


class Rooms:
    """The room of each subflow in octets, read once and then counted down.

    Nothing else changes it while a connection distributes data.

    :param working: the subflows in use.
    """

    __slots__ = ("_left", "working")

    def __init__(self, working: Sequence[Subflow]) -> None:
        self.working = working
        self._left = {one: _room(one) for one in working}

    def ready(self, wanted: int) -> dict[Subflow, int]:
        """Return the subflows that can send a full segment, or all wanted octets, at once.

        The values are their rooms in octets.
        """
        return {
            one: left
            for one, left in self._left.items()
            if left and (left >= wanted or left >= one.segment_size)
        }

    def given(self, subflow: Subflow, octets: int) -> None:
        """Record that a subflow was given octets."""
        self._left[subflow] = max(0, self._left[subflow] - octets)


def _room(subflow: Subflow) -> int:
    """Return how many octets a subflow could send at once by its windows and its buffer.

    After a fallback there is no choice of a subflow, so only TCP's buffer counts.
    """
    tcp = subflow.tcp
    return tcp.room if subflow.fallback else tcp.room_at_once
