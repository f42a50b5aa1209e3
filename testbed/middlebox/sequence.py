"""A box that hides the initial sequence numbers of hosts."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Final

import msgspec

from testbed.middlebox.base import Middlebox
from testbed.middlebox.kind import Kind, Options, Site
from testbed.packet.address import Address
from testbed.packet.options import Option, Sack
from testbed.packet.segment import ACK, Segment

_MASK: Final = 0xFFFF_FFFF


class RewriteSequenceOptions(Options, frozen=True, kw_only=True):
    """Shifts the sequence numbers of each direction of a connection; there is nothing to choose."""


class RewriteSequence(Middlebox):
    """Shifts the sequence numbers of each direction of a connection by its own number.

    Acknowledgments and SACK blocks are shifted back.

    :param seed: the seed of the numbers.
    """

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed

    def process(self, segment: Segment, toward: str, now: int) -> Iterable[Segment]:
        """Return the segment with shifted numbers."""
        there = self._shift(segment.source, segment.destination)
        back = self._shift(segment.destination, segment.source)
        options = segment.options
        if any(isinstance(each, Sack) for each in options):
            options = tuple(_shifted(each, -back) for each in options)
        return (
            msgspec.structs.replace(
                segment,
                seq=segment.seq + there & _MASK,
                ack=segment.ack - back & _MASK if segment.flags & ACK else segment.ack,
                options=options,
            ),
        )

    def _shift(self, source: Address, destination: Address) -> int:
        return zlib.crc32(f"{self._seed} {source} {destination}".encode())


def _shifted(option: Option, by: int) -> Option:
    if not isinstance(option, Sack):
        return option
    return Sack(tuple((left + by & _MASK, right + by & _MASK) for left, right in option.blocks))


def _make(_: RewriteSequenceOptions, site: Site) -> Middlebox:
    return RewriteSequence(site.random.getrandbits(32))


KIND = Kind(options=RewriteSequenceOptions, make=_make)
