"""The fallback of one subflow to plain TCP (RFC 8684, section 3.7)."""

from __future__ import annotations

from testbed.stack.mptcp.mapping import Mapping

_PLAIN = Mapping(data=0, subflow=0, length=1)  # marks a segment with data


class Fallback:
    """The position at which a subflow becomes plain TCP.

    :ivar changed: whether the reason is that the path changed data.
    :ivar beginning: the infinite mapping, until octets were sent with it.
    """

    __slots__ = ("_shift", "beginning", "changed")

    def __init__(self) -> None:
        self.changed = False
        self.beginning: Mapping | None = None
        self._shift = 0  # position in the data stream less position in the subflow

    def announce(self, una: int) -> None:
        """Send an infinite mapping that starts at the first octet without a Data ACK (section 3.7).

        This is for a path that drops the peer's options. It may still pass our options.

        :param una: the position of that octet, which is the same in both streams.
        """
        self.beginning = Mapping(data=una, subflow=una, length=0)

    def begin_after_change(self, una: int, shift: int) -> None:
        """Fall back after damaged data: send an infinite mapping with the next octets.

        The mapping starts in the past, at the first octet without a Data ACK. Up to there both
        sides know that the two streams run in parallel.

        :param una: the position of that octet in the data stream.
        :param shift: a position in the data stream less the same octet's position in the subflow's
            stream.
        """
        self._shift = shift
        self.beginning = Mapping(data=una, subflow=una - shift, length=0)
        self.changed = True

    def next_mapping(self) -> Mapping | None:
        """Return the mapping for the next octets."""
        mapping, self.beginning = self.beginning or (_PLAIN if self.changed else None), None
        return mapping

    def data_at(self, position: int) -> int:
        """Convert a position in the subflow's stream to one in the data stream."""
        return position + self._shift
