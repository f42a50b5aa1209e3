"""Network address and port translation (RFC 3022, RFC 5382)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Annotated, Final

import msgspec

from testbed.errors import InputError
from testbed.middlebox.base import Middlebox
from testbed.middlebox.kind import Kind, Options, Site
from testbed.packet.address import Address
from testbed.packet.segment import Segment
from testbed.units import parse_time

FIRST_PORT: Final = 20_000
_LAST_PORT: Final = 65_535
_TIMEOUT: Final = "7440s"  # RFC 5382, REQ-5: at least 2 hours and 4 minutes
_TIMEOUT_NS: Final = parse_time(_TIMEOUT)


class NatOptions(Options, frozen=True, kw_only=True):
    """Translates addresses and ports."""

    public: Annotated[str, msgspec.Meta(description="The public address, which hosts outside see.")]
    outside: Annotated[str, msgspec.Meta(description="The node at the outside end of the link.")]
    timeout: Annotated[
        str,
        msgspec.Meta(description="How long an unused translation is kept, for example 30s."),
    ] = _TIMEOUT
    first_port: Annotated[
        int, msgspec.Meta(ge=1, le=_LAST_PORT, description="The lowest port that it assigns.")
    ] = FIRST_PORT

    def __post_init__(self) -> None:
        _ = self.timeout_ns
        try:
            address = ipaddress.ip_address(self.public)
        except ValueError:
            raise InputError(f"{self.public!r} is not an address") from None
        if (
            "%" in self.public  # a zone
            or address.is_multicast
            or address.is_unspecified
            or address.is_loopback
            or address.is_link_local
        ):
            raise InputError(f"{self.public!r} is not an address of one host that others can reach")

    @property
    def timeout_ns(self) -> int:
        """The time-out in nanoseconds.  Raises InputError."""
        found = parse_time(self.timeout)
        if not found:
            raise InputError("timeout: must be more than 0")
        return found


class _Translation:
    """An inner address and port, and the outer address and port that replace it."""

    __slots__ = ("inner", "outer", "used")

    def __init__(self, inner: Address, outer: Address, used: int) -> None:
        self.inner = inner
        self.outer = outer
        self.used = used


class Nat(Middlebox):
    """Gives all inner hosts one public address, with a port for each inner address and port.

    The port does not depend on the destination (RFC 5382, REQ-1). Of the segments from outside,
    only those to such a port pass. Segments of the other address family pass unchanged.

    :param public: an outer address, with routes to this link.
    :param outside: the end of the link, ``a`` or ``b``, that is outside.
    :param timeout_ns: how long to keep a translation that no segment uses.
    """

    def __init__(
        self,
        public: str,
        *,
        outside: str,
        first_port: int = FIRST_PORT,
        timeout_ns: int = _TIMEOUT_NS,
    ) -> None:
        self._public = public
        self._outside = outside
        self._ports = range(first_port, _LAST_PORT + 1)
        self._next = 0  # index of the next port to try
        self._timeout_ns = timeout_ns
        self._outer: dict[Address, _Translation] = {}
        self._inner: dict[Address, _Translation] = {}

    def process(self, segment: Segment, toward: str, now: int) -> Iterable[Segment]:
        """Return the translated segment, or nothing if it has no translation."""
        if (":" in segment.source.host) != (":" in self._public):
            return (segment,)
        if toward == self._outside:
            found = self._known(self._outer, segment.source, now)
            found = found or self._new(segment.source, now)
            if found is None:
                return ()
            return (msgspec.structs.replace(segment, source=found.outer),)
        found = self._known(self._inner, segment.destination, now)
        if found is None:
            return ()
        return (msgspec.structs.replace(segment, destination=found.inner),)

    def _known(
        self, by: dict[Address, _Translation], address: Address, now: int
    ) -> _Translation | None:
        found = by.get(address)
        if found is None:
            return None
        if now - found.used > self._timeout_ns:
            self._forget(found)
            return None
        found.used = now
        return found

    def _new(self, inner: Address, now: int) -> _Translation | None:
        """Return a translation with a free port, or ``None`` if all ports are in use."""
        for _ in self._ports:
            outer = Address(self._public, self._ports[self._next])
            self._next = (self._next + 1) % len(self._ports)
            holder = self._inner.get(outer)
            if holder is not None and now - holder.used <= self._timeout_ns:
                continue
            if holder is not None:
                self._forget(holder)
            made = _Translation(inner, outer, now)
            self._outer[inner] = self._inner[outer] = made
            return made
        return None

    def _forget(self, translation: _Translation) -> None:
        del self._outer[translation.inner]
        del self._inner[translation.outer]


def _make(chosen: NatOptions, site: Site) -> Middlebox:
    return Nat(
        chosen.public,
        outside=site.end(chosen.outside),
        first_port=chosen.first_port,
        timeout_ns=chosen.timeout_ns,
    )


def _addresses(chosen: NatOptions, site: Site) -> Iterable[tuple[str, str]]:
    return ((site.end(chosen.outside), chosen.public),)


KIND = Kind(options=NatOptions, make=_make, addresses=_addresses)
