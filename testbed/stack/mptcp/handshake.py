"""The common part of the two handshakes: MP_CAPABLE (``capable.py``) and MP_JOIN (``join.py``)."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Protocol

from testbed.packet.options import Option
from testbed.packet.segment import Segment
from testbed.stack.mptcp.mapping import Mapping


class Outcome(enum.Enum):
    """The state of a handshake after a segment."""

    PENDING = enum.auto()
    ACCEPTED = enum.auto()  # the peer uses MPTCP; it may not know yet that we do
    CONFIRMED = enum.auto()  # both sides know: the handshake is complete
    FALLBACK = enum.auto()  # this connection is plain TCP (section 3.7)
    IGNORED = enum.auto()  # the segment must be dropped: TCP retransmits its data
    REFUSED = enum.auto()  # the subflow must be reset


class Handshake(Protocol):
    """One side of an MP_CAPABLE or MP_JOIN handshake."""

    reason: str  # the reason of a failure
    counter: str  # the MPTcpExt counter of the failure, if there is one
    peer_backup: bool  # the peer asks not to use the subflow while there are others
    peer_id: int | None  # the id of the peer's address, if the peer has sent it
    join_denied: bool  # the peer accepts no join to its address of this subflow
    swallowed: bool  # the path answered only the SYN without the option

    def options(self, flags: int, mapping: Mapping | None) -> Sequence[Option] | None:
        """Return the options of a segment, or ``None`` if the handshake does not determine them.

        :param mapping: the mapping of the payload, if there is one.
        """

    def received(self, segment: Segment) -> Outcome:
        """Process a received segment of the subflow."""
