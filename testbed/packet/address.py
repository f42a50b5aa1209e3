"""The addresses of a segment."""

from __future__ import annotations

import functools
import ipaddress
from typing import Final, NamedTuple

_MAPPED: Final = "::ffff:"
_BROADCAST: Final = ipaddress.IPv4Address(0xFFFF_FFFF)


class Address(NamedTuple):
    """A numeric IP address, in the form of RFC 5952 if it is IPv6, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Flow(NamedTuple):
    """The two ends of a connection, from the view of one of them."""

    local: Address
    remote: Address

    def __str__(self) -> str:
        return f"{self.local} -> {self.remote}"


@functools.lru_cache(maxsize=4096)
def pack(host: str) -> bytes:
    """Return the 4 or 16 octets of an address. Raises ValueError."""
    return ipaddress.ip_address(host).packed


@functools.lru_cache(maxsize=4096)
def unpack(octets: bytes) -> str:
    """Return the text of an address of 4 or 16 octets. Raises ValueError for other lengths."""
    address = ipaddress.ip_address(octets)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    # Python writes these so from 3.13 on (RFC 5952, section 5).
    return str(address) if mapped is None else f"{_MAPPED}{mapped}"


@functools.lru_cache(maxsize=4096)
def address_of(octets: bytes, port: int) -> Address:
    """Return an Address from 4 or 16 octets and a port. Raises ValueError for other lengths."""
    return Address(unpack(octets), port)


@functools.lru_cache(maxsize=4096)
def is_unicast(host: str) -> bool:
    """Return whether an address can be an end of a connection (RFC 9293, section 3.9.2.3).

    Subnet broadcast addresses cannot be recognised here.
    """
    address = ipaddress.ip_address(unmapped(host))
    return not (address.is_multicast or address.is_unspecified or address == _BROADCAST)


def is_loopback(host: str) -> bool:
    """Return whether an address never leaves its host (RFC 1122, section 3.2.1.3; RFC 4291)."""
    return ipaddress.ip_address(unmapped(host)).is_loopback


def unmapped(host: str) -> str:
    """Return the IPv4 address of an IPv4-mapped one (RFC 4291, section 2.5.5.2).

    On the wire it is IPv4 for both kinds of socket. Other addresses are returned unchanged.
    """
    return host.removeprefix(_MAPPED) if host.startswith(_MAPPED) and "." in host else host
