"""A box that drops segments above a rate, without a queue (RFC 2475, section 2.3.3.3)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final

import msgspec

from testbed.errors import InputError
from testbed.middlebox.base import Middlebox
from testbed.middlebox.kind import Kind, Options, Site, Toward
from testbed.packet.codec import header_length
from testbed.packet.segment import Segment
from testbed.units import parse_rate, parse_size

_NS_BITS: Final = 8 * 10**9  # the time for a token of one octet at 1 bit/s, in nanoseconds


class PolicerOptions(Options, frozen=True, kw_only=True):
    """Drops segments that exceed a rate; each direction has its own."""

    rate: Annotated[
        str | int, msgspec.Meta(description="The rate of IP packets, in tc's grammar: 10mbit.")
    ]
    burst: Annotated[
        str | int, msgspec.Meta(description="The size of the bucket in octets, for example 32kb.")
    ] = "32kb"
    toward: Toward = None

    def __post_init__(self) -> None:
        if not self.bits_per_second:
            raise InputError("rate: must be more than 0")
        if not self.octets:
            raise InputError("burst: must be more than 0")

    @property
    def bits_per_second(self) -> int:
        """The rate.  Raises InputError."""
        return parse_rate(str(self.rate))

    @property
    def octets(self) -> int:
        """The burst.  Raises InputError."""
        return parse_size(str(self.burst))


class Policer(Middlebox):
    """A token bucket for each direction.

    :param bits_per_second: the rate at which a bucket fills.
    :param burst: the size of a bucket in octets.
    :param toward: the only direction in which the box acts, or ``None`` for both.
    """

    def __init__(self, bits_per_second: int, burst: int, toward: str | None = None) -> None:
        self.toward = toward
        self._rate = bits_per_second
        # Tokens are counted in units of time, so that there is no rounding.
        self._depth = burst * _NS_BITS
        self._level = {"a": self._depth, "b": self._depth}
        self._seen = {"a": 0, "b": 0}

    def process(self, segment: Segment, toward: str, now: int) -> Iterable[Segment]:
        """Return the segment if there are enough tokens for it."""
        come = (now - self._seen[toward]) * self._rate
        self._seen[toward] = now
        level = min(self._depth, self._level[toward] + come)
        cost = (header_length(segment) + len(segment.payload)) * _NS_BITS
        passes = cost <= level
        self._level[toward] = level - cost if passes else level
        return (segment,) if passes else ()


def _make(chosen: PolicerOptions, site: Site) -> Middlebox:
    if chosen.octets < site.mtu:
        raise InputError(
            f"burst: {chosen.octets} octets never let a full packet of the link pass",
            hint=f"its MTU is {site.mtu}",
        )
    return Policer(chosen.bits_per_second, chosen.octets, site.toward(chosen.toward))


KIND = Kind(options=PolicerOptions, make=_make)
