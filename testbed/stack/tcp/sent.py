"""One unacknowledged transmission."""

from __future__ import annotations

import enum
from typing import Any, Final

from testbed.packet.segment import FIN, PSH


class Fate(enum.Enum):
    """The state of a record."""

    IN_FLIGHT = enum.auto()
    LOST = enum.auto()  # lost and not retransmitted since
    SACKED = enum.auto()


# A connection's state when a record was sent (see ``DeliveryRate``): octets delivered, when the
# last of them were, when the newest was sent, and whether the application is the limit; octets in
# flight, the record's own among them, and octets found lost so far.
Progress = tuple[int, int, int, bool, int, int]
NO_PROGRESS: Final[Progress] = (0, 0, 0, False, 0, 0)


class Sent:
    """One transmission. ``payload`` is at ``start``. SYN and FIN take one position each.

    Records in flight form a ring, in the order of their last transmission. ``older`` and ``newer``
    are the neighbours in the ring.

    :ivar piece: the payload of each segment on the wire in octets. It is smaller than ``payload``
        if the network interface segments it.
    :ivar resent: whether it was retransmitted.
    """

    __slots__ = ("end", "ext", "fate", "flags", "newer", "older", "payload", "piece", "progress",
                 "resent", "sent_ns", "start")  # fmt: skip
    __deletable__ = ("newer", "older")  # mypyc needs this for ``del``
    older: Sent
    newer: Sent

    def __init__(
        self,
        start: int,
        end: int,
        payload: bytes,
        ext: Any,
        flags: int,
        sent_ns: int,
        progress: Progress,
        piece: int,
    ) -> None:
        self.start = start
        self.end = end
        self.payload = payload
        self.ext = ext
        self.flags = flags
        self.sent_ns = sent_ns
        self.progress = progress
        self.piece = piece
        self.fate = Fate.IN_FLIGHT
        self.resent = False

    @classmethod
    def ring(cls) -> Sent:
        """Return the sentinel of a ring. Its newer neighbour is the oldest record."""
        end = cls(0, 0, b"", None, 0, 0, NO_PROGRESS, 0)
        end.older = end.newer = end
        return end

    def again(self, now: int, progress: Progress, piece: int) -> None:
        """Record a retransmission."""
        self.fate = Fate.IN_FLIGHT
        self.resent = True
        self.sent_ns = now
        self.progress = progress
        self.piece = piece

    def becomes(self, fate: Fate) -> None:
        """Change the state."""
        self.fate = fate

    def cut(self, position: int) -> Sent:
        """Split the record at ``position``; return the second part."""
        length = position - self.start
        rest = Sent(
            position,
            self.end,
            self.payload[length:],
            self.ext,
            self.flags,
            self.sent_ns,
            self.progress,
            self.piece,
        )
        rest.fate, rest.resent = self.fate, self.resent
        self.end = position
        self.payload = self.payload[:length]
        self.flags &= ~(FIN | PSH)
        return rest

    def follow(self, older: Sent) -> None:
        """Insert the record into the ring after another one."""
        newer = older.newer
        self.older, self.newer = older, newer
        older.newer = newer.older = self

    def unlink(self) -> None:
        """Remove the record from the ring."""
        older, newer = self.older, self.newer
        older.newer, newer.older = newer, older
        del self.older, self.newer  # a cycle would keep it
