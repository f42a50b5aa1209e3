"""Network address and port translation (RFC 3022)."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from testbed.packet.address import Address
from testbed.packet.segment import Segment
from testbed.sim.middlebox.base import Middlebox


class Nat(Middlebox):
    """Gives everything from the inside one public address and a port for each inner one.

    What is of the other address family passes as it is.

    :param public: an address outside, which routes lead to this link.
    :param outside: the end of the link, ``a`` or ``b``, that is outside.
    """

    def __init__(self, public: str, *, outside: str, first_port: int = 20_000) -> None:
        self._public = public
        self._outside = outside
        self._next = first_port
        self._outer: dict[Address, Address] = {}
        self._inner: dict[Address, Address] = {}

    def process(self, segment: Segment, toward: str, now: int) -> Iterable[Segment]:
        """Return the segment with the other address; nothing if it is for nobody inside."""
        if (":" in segment.source.host) != (":" in self._public):
            return (segment,)
        if toward == self._outside:
            return (msgspec.structs.replace(segment, source=self._of(segment.source)),)
        inner = self._inner.get(segment.destination)
        return () if inner is None else (msgspec.structs.replace(segment, destination=inner),)

    def _of(self, inner: Address) -> Address:
        outer = self._outer.get(inner)
        if outer is None:
            outer = self._outer[inner] = Address(self._public, self._next)
            self._inner[outer] = inner
            self._next += 1
        return outer
