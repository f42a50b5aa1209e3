"""Boxes that change the borders of segments."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final

import msgspec

from testbed.errors import InputError
from testbed.middlebox.base import Middlebox
from testbed.middlebox.kind import Kind, Options, Site, Toward
from testbed.packet import codec
from testbed.packet.address import Flow
from testbed.packet.segment import ACK, FIN, PSH, Segment

_MERGEABLE: Final = ACK | PSH | FIN  # segments with other bits are not merged
HOLD_NS: Final = 1_000_000
_HEADERS: Final = 40  # octets: the minimum size of an IPv4 and a TCP header


class SegmentOptions(Options, frozen=True, kw_only=True):
    """Changes where segments end."""

    size: Annotated[
        int,
        msgspec.Meta(
            ge=1,
            le=65_535,
            description="The largest payload of a segment behind the box, in octets.",
        ),
    ]
    toward: Toward = None


class Split(Middlebox):
    """Splits payloads into pieces of at most ``size`` octets. Each has the options of the whole."""

    def __init__(self, size: int, toward: str | None = None) -> None:
        self._size = size
        self.toward = toward

    def process(self, segment: Segment, toward: str, now: int) -> Iterable[Segment]:
        """Return the pieces."""
        if len(segment.payload) <= self._size:
            return (segment,)
        return codec.split(msgspec.structs.replace(segment, gso_size=self._size))


class Coalesce(Middlebox):
    """Merges consecutive payloads, with the options of the first segment.

    A segment waits for the next one for at most a millisecond.

    :param limit: the maximum octets of payload of one segment.
    :param toward: the only direction in which the box acts, or ``None`` for both.
    :param mtu: the MTU of the link, the maximum size of a packet.
    """

    def __init__(self, limit: int, toward: str | None = None, mtu: int | None = None) -> None:
        self._limit = limit
        self.toward = toward
        self._mtu = mtu
        self._held: dict[Flow, tuple[int, str, Segment]] = {}

    def process(self, segment: Segment, toward: str, now: int) -> Iterable[Segment]:
        """Return the segments that need not wait, such as one that the next does not continue."""
        flow = Flow(segment.source, segment.destination)
        out: list[Segment] = []
        held = self._held.pop(flow, None)
        if held is not None:
            due, _, before = held
            if self._fits(before, segment):
                flags = before.flags | segment.flags
                payload = before.payload + segment.payload
                joined = msgspec.structs.replace(
                    segment, seq=before.seq, flags=flags, payload=payload, options=before.options
                )
                self._held[flow] = due, toward, joined
                return out
            out.append(before)
        if segment.payload and not segment.flags & ~_MERGEABLE:
            self._held[flow] = now + HOLD_NS, toward, segment
        else:
            out.append(segment)
        return out

    def next_timer(self) -> int | None:
        """Return the time to send the segment that was held longest."""
        return min((due for due, _, _ in self._held.values()), default=None)

    def handle_timer(self, now: int) -> Iterable[tuple[str, Segment]]:
        """Return the segments that have waited long enough."""
        late = {flow: held for flow, held in self._held.items() if held[0] <= now}
        for flow in late:
            del self._held[flow]
        return [(toward, segment) for _, toward, segment in late.values()]

    def _fits(self, before: Segment, segment: Segment) -> bool:
        return (
            not segment.flags & ~_MERGEABLE
            and not before.flags & FIN
            and segment.seq == before.seq + len(before.payload) & 0xFFFF_FFFF
            and 0 < len(segment.payload) <= self._room(before)
            and segment.ecn == before.ecn
        )

    def _room(self, before: Segment) -> int:
        """Return how many more octets fit into a segment."""
        limit = self._limit
        if self._mtu is not None:  # options take room, too
            limit = min(limit, self._mtu - codec.header_length(before))
        return limit - len(before.payload)


def _split(chosen: SegmentOptions, site: Site) -> Middlebox:
    return Split(chosen.size, site.toward(chosen.toward))


def _coalesce(chosen: SegmentOptions, site: Site) -> Middlebox:
    most = site.mtu - _HEADERS
    if chosen.size > most:
        raise InputError(
            f"size: {chosen.size} octets and their headers do not fit into the link's MTU",
            hint=f"at most {most}, as the MTU is {site.mtu}",
        )
    return Coalesce(chosen.size, site.toward(chosen.toward), site.mtu)


SPLIT = Kind(options=SegmentOptions, make=_split)
COALESCE = Kind(options=SegmentOptions, make=_coalesce)
