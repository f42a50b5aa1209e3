"""The common part of the two handshakes: MP_CAPABLE (``capable.py``) and MP_JOIN (``join.py``)."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Protocol

from testbed.packet.options import Option
from testbed.packet.segment import Segment
from testbed.stack.mptcp.mapping import Mapping


class Outcome(enum.Enum):
    """How far a handshake is after a segment."""

    PENDING = enum.auto()
    ACCEPTED = enum.auto()  # the peer speaks MPTCP; whether it knows that we do is not yet sure
    CONFIRMED = enum.auto()  # both know: the handshake has nothing more to say
    FALLBACK = enum.auto()  # this connection is plain TCP (section 3.7)
    IGNORED = enum.auto()  # the segment must be dropped: TCP retransmits what it held
    REFUSED = enum.auto()  # the subflow must be reset


class Handshake(Protocol):
    """One side of one of the two."""

    reason: str  # why the outcome was not good
    counter: str  # of that, if MPTcpExt has one for it
    peer_backup: bool  # the peer asks not to use the subflow while there are others
    join_denied: bool  # the peer takes no join to the address of its end of the subflow
    swallowed: bool  # SYNs with its option had no answer, and the first one without it had

    def options(self, flags: int, mapping: Mapping | None) -> Sequence[Option] | None:
        """Return the options a segment must carry, ``None`` if the handshake has no say in it.

        :param mapping: of its payload, if it has any.
        """

    def received(self, segment: Segment) -> Outcome:
        """Look at a segment of the subflow."""
