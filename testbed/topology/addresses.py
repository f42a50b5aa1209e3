"""Addresses: the check of explicit ones, and the assignment of others from pools.

Every segment has one subnet per family for automatic addresses: that of its first explicit address,
or else the next free /24 (or a larger subnet if it has more members) or /64 of the pool. Members
are numbered from 1 in the order of the file. Explicit addresses may belong to further subnets that
two ends share.
"""

from __future__ import annotations

import functools
import ipaddress
import itertools
from typing import Final

import msgspec

from testbed.document import join_path
from testbed.errors import all_of
from testbed.topology.ends import AUTOMATIC, End, Segment
from testbed.topology.forwarding import unfit
from testbed.topology.model import Family
from testbed.topology.skeleton import Skeleton

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

_LENGTH: Final = {Family.IPV4: 24, Family.IPV6: 64}
MIN_IPV6_MTU: Final = 1280  # octets; RFC 8200, section 5


class Address(msgspec.Struct, frozen=True):
    """An address on a subnet, with its texts, which are used often."""

    family: Family
    host: str  # "10.0.1.1"
    length: int  # the length of the prefix
    network: str  # "10.0.1.0/24"

    @property
    def text(self) -> str:
        """The address with its prefix length."""
        return f"{self.host}/{self.length}"


class Addressing(msgspec.Struct, frozen=True):
    """The addresses of every end, and the subnets of every segment."""

    of: dict[End, tuple[Address, ...]]
    subnets: list[dict[Family, tuple[str, ...]]]  # by the segment's index; the first is main


def assign(skeleton: Skeleton) -> Addressing:
    """Assign addresses to every end of a host or router. Raises InputError."""
    explicit: _Explicit = {end: [] for segment in skeleton.segments for end in segment.ends}

    def add_explicit(end: End, index: int) -> None:
        explicit[end].append(_parse(skeleton, end, index))

    all_of(
        *(
            functools.partial(add_explicit, end, index)
            for end in explicit
            for index, text in enumerate(end.spec.addresses or ())
            if text not in AUTOMATIC
        )
    )
    _check_explicit(skeleton, explicit)
    of: dict[End, list[Address]] = {end: [] for end in explicit}
    subnets: list[dict[Family, tuple[str, ...]]] = [{} for _ in skeleton.segments]
    for family in Family:
        pool = _Pool(skeleton, family, explicit)
        for segment in skeleton.segments:
            subnets[segment.index][family] = _number(segment, family, pool, explicit, of)
    _check_mtu(skeleton, of)
    return Addressing({end: tuple(found) for end, found in of.items()}, subnets)


class _Given(msgspec.Struct, frozen=True):
    """An address in the file, with its path."""

    ip: IpAddress
    network: IpNetwork
    path: str

    @property
    def family(self) -> Family:
        return _family(self.network)


_Explicit = dict[End, list[_Given]]


def _family(network: IpNetwork) -> Family:
    return Family.IPV4 if network.version == 4 else Family.IPV6


def _parse(skeleton: Skeleton, end: End, index: int) -> _Given:
    text = (end.spec.addresses or [])[index]
    path = f"{end.path}.addresses[{index}]"
    error = skeleton.document.error
    if "/" not in text:
        hint = "write for example 10.1.0.1/24, or ipv4 or ipv6 for an automatic address"
        raise error(f"{text!r} is not an address with a prefix length", path, hint)
    try:
        value = ipaddress.ip_interface(text)
    except ValueError:
        raise error(f"{text!r} is not an address with a prefix length", path) from None
    if reason := unfit(value):
        raise error(f"{text} {reason}", path)
    return _Given(value.ip, value.network, path)


class _Use(msgspec.Struct, frozen=True):
    """An explicit subnet at an end; ``order`` is its place in the file."""

    order: int
    network: IpNetwork
    segment: Segment
    path: str

    @property
    def range(self) -> tuple[int, int, int]:
        """The sort key, which puts an enclosing subnet right before those it encloses."""
        first, last = self.network.network_address, self.network.broadcast_address
        return self.network.version, int(first), -int(last)


def _check_explicit(skeleton: Skeleton, explicit: _Explicit) -> None:
    """Refuse duplicates, a subnet in two segments, and ends that share no subnet."""
    holder: dict[IpAddress, End] = {}
    uses: list[_Use] = []
    for segment in skeleton.segments:
        for end in segment.ends:
            for given in explicit[end]:
                if given.ip in holder:
                    message = f"{given.ip} is already an address of {holder[given.ip].node!r}"
                    raise skeleton.document.error(message, given.path)
                holder[given.ip] = end
                uses.append(_Use(len(uses), given.network, segment, given.path))
        for family in Family:
            _check_shared(skeleton, segment, family, explicit)
    _check_overlap(skeleton, uses)


def _check_overlap(skeleton: Skeleton, uses: list[_Use]) -> None:
    uses.sort(key=lambda use: use.range)
    for one, two in itertools.pairwise(uses):
        same = one.network == two.network and one.segment is two.segment
        if same or one.network.version != two.network.version:
            continue
        if two.network.network_address > one.network.broadcast_address:  # type: ignore[operator]
            continue
        first, second = sorted((one, two), key=lambda use: use.order)
        message = f"{second.network} overlaps {first.network} of link {first.segment.name!r}"
        hint = "give each link a subnet of its own, or join the links with a switch"
        if first.segment is second.segment:
            hint = "use the same prefix length at all ends"
        raise skeleton.document.error(message, second.path, hint)


def _check_shared(
    skeleton: Skeleton, segment: Segment, family: Family, explicit: _Explicit
) -> None:
    """Check that each end shares a subnet with another end, or has the first subnet."""
    networks = {
        end: {value.network for value in explicit[end] if value.family is family}
        for end in segment.ends
    }
    first = next((v.network for end in networks for v in explicit[end] if v.family is family), None)
    for end, own in networks.items():
        others = set().union(*(each for other, each in networks.items() if other is not end))
        if own and first not in own and not own & others:
            network = next(v.network for v in explicit[end] if v.family is family)
            message = f"{network} is not the subnet of the other end, {first}"
            raise skeleton.document.error(message, f"{end.path}.addresses")


class _Pool:
    """The free subnets of one family, in order and aligned. They avoid the explicit ones."""

    def __init__(self, skeleton: Skeleton, family: Family, explicit: _Explicit) -> None:
        text = getattr(skeleton.spec.addressing, family.value)
        self.path = join_path("addressing", family.value)
        self.document = skeleton.document
        self.network = None if text is None else self._parse(text, family)
        self.length = _LENGTH[family]
        self._taken = sorted(
            (int(value.network.network_address), int(value.network.broadcast_address))
            for values in explicit.values()
            for value in values
            if value.family is family
        )
        if self.network is not None:
            # Skip number 0, so that link 1 has 10.0.1.0/24, unless it is the only subnet.
            block = 1 << (self.network.max_prefixlen - self.length)
            skip = block if self.network.prefixlen < self.length else 0
            self._next = int(self.network.network_address) + skip

    def _parse(self, text: str, family: Family) -> IpNetwork:
        try:
            network = ipaddress.ip_network(text)
        except ValueError as error:
            raise self.document.error(f"{text!r} is not a prefix: {error}", self.path) from None
        if _family(network) is not family:
            raise self.document.error(f"{text} is not an {family} prefix", self.path)
        return network

    def take(self, members: int) -> tuple[int, int] | None:
        """Return (network number, prefix length) of the next subnet, or None without a pool."""
        if self.network is None:
            return None
        bits = self.network.max_prefixlen
        length = min(self.length, bits - (members + 1).bit_length())
        size = 1 << (bits - length)
        start = -(-self._next // size) * size
        for first, last in self._taken:
            if first < start + size and last >= start:
                start = -(-(last + 1) // size) * size
        if start + size - 1 > int(self.network.broadcast_address):
            message = f"the pool {self.network} has too few /{length} subnets for all links"
            raise self.document.error(message, self.path, "give a larger pool")
        self._next = start + size
        return start, length


def _number(
    segment: Segment,
    family: Family,
    pool: _Pool,
    explicit: _Explicit,
    of: dict[End, list[Address]],
) -> tuple[str, ...]:
    """Fill in the addresses of one segment and return its subnets."""
    own = {
        end: [value for value in explicit[end] if value.family is family] for end in segment.ends
    }
    automatic = [end for end in segment.ends if family in end.addresses]
    subnets = list(dict.fromkeys(v.network for values in own.values() for v in values))
    for end, values in own.items():
        of[end].extend(
            Address(family, str(v.ip), v.network.prefixlen, str(v.network)) for v in values
        )
    alone = not subnets and len(automatic) < min(2, len(segment.ends))
    if alone or not automatic:  # no host could reach a single automatic address
        return tuple(map(str, subnets))
    if subnets:
        first, length = int(subnets[0].network_address), subnets[0].prefixlen
    else:
        taken = pool.take(len(automatic))
        if taken is None:
            return ()
        first, length = taken
    used = {int(given.ip) for values in own.values() for given in values}
    network = _count(automatic, family, (first, length), used, pool, of)
    return tuple(dict.fromkeys((network, *map(str, subnets))))


def _count(
    ends: list[End],
    family: Family,
    subnet: tuple[int, int],
    used: set[int],
    pool: _Pool,
    of: dict[End, list[Address]],
) -> str:
    """Assign each end the next free address of a subnet (its number, its prefix length)."""
    first, length = subnet
    make = ipaddress.IPv4Address if family is Family.IPV4 else ipaddress.IPv6Address
    network = f"{make(first)}/{length}"
    last = first + (1 << (make(0).max_prefixlen - length)) - (1 if family is Family.IPV4 else 0)
    free = (number for number in range(first + 1, last) if number not in used)
    for end in ends:
        number = next(free, None)
        if number is None:
            raise pool.document.error(f"{network} has no address left for {end.node!r}", end.path)
        of[end].append(Address(family, str(make(number)), length, network))
    return network


def _check_mtu(skeleton: Skeleton, of: dict[End, list[Address]]) -> None:
    for end, addresses in of.items():
        if end.mtu < MIN_IPV6_MTU and any(a.family is Family.IPV6 for a in addresses):
            message = (
                f"an MTU of {end.mtu} octets is too small for IPv6, which needs {MIN_IPV6_MTU}"
            )
            raise skeleton.document.error(
                message, end.mtu_path, "set a larger mtu, or addressing: {ipv6: null}"
            )
