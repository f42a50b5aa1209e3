"""A box that edits application data, as gateways for FTP or SIP do (RFC 2663, section 2.9)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import msgspec

from testbed.middlebox.base import Middlebox
from testbed.middlebox.kind import Kind, Options, Site
from testbed.packet.address import Flow
from testbed.packet.codec import header_length, split
from testbed.packet.options import Option, Sack
from testbed.packet.segment import ACK, SYN, Segment
from testbed.packet.sequence import BITS_32, expand


class RewritePayloadOptions(Options, frozen=True, kw_only=True):
    """Puts one text in place of another in what goes to the node ``toward``."""

    find: Annotated[str, msgspec.Meta(min_length=1, description="The text to replace.")]
    replace: Annotated[str, msgspec.Meta(description="The replacement, of any length.")]
    toward: Annotated[str, msgspec.Meta(description="The node that receives the changed stream.")]
    after: Annotated[
        int,
        msgspec.Meta(
            ge=0, description="The number of octets at the start of the stream that pass unchanged."
        ),
    ] = 0


class RewritePayload(Middlebox):
    """Replaces a string by another one, if a segment of new data has it as a whole.

    If that changes the length of the stream, the box translates the sequence numbers for both ends.
    It changes retransmitted octets in the same way, also if their segments have other borders.

    :param toward: the only direction of which the data is changed.
    :param after: how many octets of the stream pass unchanged.
    :param mtu: the size above which a changed packet is split to pieces with the same options, or
        ``None`` if there is no limit.
    """

    def __init__(
        self,
        find: bytes,
        replace: bytes,
        *,
        toward: str,
        after: int = 0,
        mtu: int | None = None,
    ) -> None:
        self._mtu = mtu
        self._find = find
        self._replace = replace
        self._changed = toward
        self._after = after
        self._streams: dict[Flow, _Stream] = {}

    def process(self, segment: Segment, toward: str, now: int) -> Iterable[Segment]:
        """Return the segment with the changed payload, or with translated acknowledgments."""
        there = toward == self._changed
        ends = (segment.source, segment.destination)
        stream = self._streams.get(Flow(*(ends if there else ends[::-1])))
        if there and segment.flags & SYN:
            first = (segment.seq + 1) & BITS_32
            if stream is None or stream.first != first:
                stream = _Stream(first, self._find, self._replace, self._after)
                self._streams[Flow(*ends)] = stream
            return (segment,)
        if stream is None:
            return (segment,)
        if not there:
            return (stream.back(segment),)
        made = stream.there(segment)
        room = len(made.payload) if self._mtu is None else self._mtu - header_length(made)
        if len(made.payload) <= room:
            return (made,)
        return split(msgspec.structs.replace(made, gso_size=room))


class _Stream:
    """One direction of a connection. Positions are those of the original stream.

    :param first: the sequence number of the first octet.
    """

    def __init__(self, first: int, find: bytes, replace: bytes, after: int) -> None:
        self.first = first
        self._find = find
        self._replace = replace
        self._edits: list[int] = []  # positions of the string
        self._seen = after  # the search continues at this position

    def there(self, segment: Segment) -> Segment:
        start = expand((segment.seq - self.first) & BITS_32, self._seen)
        payload = segment.payload
        at = payload.find(self._find, max(0, self._seen - start))
        while at >= 0:
            self._edits.append(start + at)
            at = payload.find(self._find, at + len(self._find))
        self._seen = max(self._seen, start + len(payload))
        if not self._edits:
            return segment
        return msgspec.structs.replace(
            segment,
            seq=(self.first + self._moved(start)) & BITS_32,
            payload=self._edited(start, payload),
        )

    def back(self, segment: Segment) -> Segment:
        if not self._edits:
            return segment
        options = tuple(map(self._sacked, segment.options))
        ack = self._original(segment.ack, up=True) if segment.flags & ACK else segment.ack
        return msgspec.structs.replace(segment, ack=ack, options=options)

    def _edited(self, start: int, payload: bytes) -> bytes:
        """Return the changed octets. An edit may begin before them, or end after them."""
        parts, at = [], start
        end = start + len(payload)
        for edit in self._edits:
            past = edit + len(self._find)
            if past <= at or edit >= end:
                continue
            parts.append(payload[at - start : max(at, edit) - start])
            first, last = max(at, edit), min(end, past)
            parts.append(self._replace[self._made(first - edit) : self._made(last - edit)])
            at = last
        return b"".join((*parts, payload[at - start :]))

    def _made(self, octets: int) -> int:
        """Return how many octets replace the first octets of the string."""
        whole = octets >= len(self._find)
        return len(self._replace) if whole else min(octets, len(self._replace))

    def _moved(self, position: int) -> int:
        """Return the position in the changed stream for an original position."""
        moved = position
        for edit in self._edits:
            octets = min(position - edit, len(self._find))
            if octets > 0:
                moved += self._made(octets) - octets
        return moved

    def _original(self, number: int, *, up: bool) -> int:
        """Return the sender's sequence number for one of the receiver.

        :param up: whether to return the last of several possible numbers, not the first.
        """
        wanted = expand((number - self.first) & BITS_32, self._moved(self._seen))
        growth = len(self._edits) * abs(len(self._replace) - len(self._find))
        low, high = wanted - growth, wanted + growth
        while low < high:
            middle = (low + high + up) // 2
            if up:
                low, high = (middle, high) if self._moved(middle) <= wanted else (low, middle - 1)
            else:
                low, high = (low, middle) if self._moved(middle) >= wanted else (middle + 1, high)
        return (self.first + low) & BITS_32

    def _sacked(self, option: Option) -> Option:
        if not isinstance(option, Sack):
            return option
        return Sack(
            tuple(
                (self._original(left, up=False), self._original(right, up=True))
                for left, right in option.blocks
            )
        )


def _make(chosen: RewritePayloadOptions, site: Site) -> Middlebox:
    find, replace = chosen.find.encode(), chosen.replace.encode()
    return RewritePayload(
        find, replace, toward=site.end(chosen.toward), after=chosen.after, mtu=site.mtu
    )


KIND = Kind(options=RewritePayloadOptions, make=_make)
