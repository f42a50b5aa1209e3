"""Generic receive offload: segments of one flow that follow one another become one.

It is what the kernel's GRO does (net/core/gro.c, net/ipv4/tcp_offload.c), and the opposite of
:func:`testbed.stack.packet.codec.split`: cutting what was merged gives the same segments again.  So
a merged segment holds all that its parts held, and a connection handles far fewer segments.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from testbed.stack.packet.address import Address
from testbed.stack.packet.segment import ACK, CWR, ECE, FIN, PSH, Segment

MOST: Final = 65_000  # octets of payload: with headers it is still a packet
_ENDING: Final = FIN | PSH  # on the last piece only
_MERGEABLE: Final = _ENDING | ACK | ECE | CWR


class _Run:
    """Segments that are going to be one."""

    __slots__ = ("flags", "head", "next_seq", "octets", "open", "pieces", "size")

    def __init__(self, head: Segment) -> None:
        self.head = head
        self.size = self.octets = len(head.payload)
        self.pieces = [head.payload]
        self.flags = head.flags
        self.next_seq = (head.seq + self.size) & 0xFFFF_FFFF
        self.open = bool(self.size) and not (
            head.flags & _ENDING or head.flags & ~_MERGEABLE or head.gso_size
        )

    def take(self, segment: Segment) -> bool:
        """Add a segment if it goes on where the run ends and differs in nothing else."""
        head, size = self.head, len(segment.payload)
        if not (
            self.open
            and segment.seq == self.next_seq
            and 0 < size <= self.size
            and self.octets + size <= MOST
            and segment.flags & ~_ENDING == head.flags & ~CWR
            and segment.ack == head.ack
            and segment.window == head.window
            and segment.ecn == head.ecn
            and segment.traffic_class == head.traffic_class
            and segment.hop_limit == head.hop_limit
            and not segment.gso_size
            and segment.options == head.options
        ):
            return False
        self.pieces.append(segment.payload)
        self.octets += size
        self.flags |= segment.flags
        self.next_seq = (segment.seq + size) & 0xFFFF_FFFF
        self.open = size == self.size and not segment.flags & _ENDING
        return True

    def merged(self) -> Segment:
        """Return the run as one segment."""
        if len(self.pieces) == 1:
            return self.head
        return msgspec.structs.replace(
            self.head, payload=b"".join(self.pieces), gso_size=self.size, flags=self.flags
        )


def merge(segments: Iterable[Segment]) -> list[Segment]:
    """Merge what can be; the order within each flow stays."""
    runs: list[_Run] = []
    last: dict[tuple[Address, Address], _Run] = {}
    for segment in segments:
        flow = segment.source, segment.destination
        run = last.get(flow)
        if run is None or not run.take(segment):
            last[flow] = run = _Run(segment)
            runs.append(run)
    return [run.merged() for run in runs]
