"""A subflow's own part in going on as plain TCP (RFC 8684, section 3.7)."""

from __future__ import annotations

from testbed.stack.mptcp.mapping import Mapping

_PLAIN = Mapping(data=0, subflow=0, length=1)  # tells octets from an ACK without any


class Fallback:
    """Where a subflow begins to be plain TCP.

    :ivar changed: it is since data was changed on the way.
    :ivar beginning: the infinite mapping, until octets go with it.
    """

    __slots__ = ("_shift", "beginning", "changed")

    def __init__(self) -> None:
        self.changed = False
        self.beginning: Mapping | None = None
        self._shift = 0  # from the positions of our stream here to those of data

    def announce(self) -> None:
        """Say with the next octets that this is plain TCP from the first octet on (section 3.7).

        No Data ACK has come: the path drops options, but maybe those of the peer alone.
        """
        self.beginning = Mapping(data=0, subflow=0, length=0)

    def begin_after_change(self, una: int, shift: int) -> None:
        """Fall back where data was damaged: the next octets go with an infinite mapping.

        It acts retroactively: it says where the first octet without Data ACK is, the last place
        where both sides know that the streams go together.

        :param una: that octet's position in the data stream.
        :param shift: what a position in the data stream is more than in the subflow's.
        """
        self._shift = shift
        self.beginning = Mapping(data=una, subflow=una - shift, length=0)
        self.changed = True

    def next_mapping(self) -> Mapping | None:
        """Return what goes with the next octets."""
        mapping, self.beginning = self.beginning or (_PLAIN if self.changed else None), None
        return mapping

    def data_at(self, position: int) -> int:
        """Return the position in the data stream of one in the subflow's."""
        return position + self._shift
