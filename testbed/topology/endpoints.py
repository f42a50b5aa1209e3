"""MPTCP limits and endpoints: the input of the kernel's own path manager (ip-mptcp(8)).

By default a host with several interfaces uses them all: a host that is named first in at least half
of its links opens subflows from each address, any other host announces each address. Endpoints have
one family, because a connection over IPv6 would also use the IPv4 ones.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from testbed.document import join_path
from testbed.hints import nearest
from testbed.topology.addresses import Addressing
from testbed.topology.ends import End
from testbed.topology.model import Endpoint, EndpointFlag, Family, Limits
from testbed.topology.skeleton import Skeleton
from testbed.topology.spec import (
    MAX_SUBFLOWS,
    MOST_SUBFLOWS,
    EndpointSpec,
    FlagName,
    LimitsSpec,
    NodeMptcpSpec,
)

_SETS: Final[dict[str, list[FlagName]]] = {
    "subflow": ["subflow"],
    "signal": ["signal"],
    "fullmesh": ["subflow", "fullmesh"],
    "none": [],
}


class _Wanted(msgspec.Struct, frozen=True):
    """Flags for the addresses of an end, and their path, or None if they are defaults.

    Without an end they are for the address in ``spec``, and with one if ``spec`` has an address.
    """

    end: End | None
    spec: EndpointSpec
    path: str | None


def families(skeleton: Skeleton, addressing: Addressing, family: Family | None) -> list[Family]:
    """Return the address families of endpoints."""
    if family is not None:
        return [family]
    chosen = skeleton.spec.mptcp.family
    if chosen == "both":
        return list(Family)
    if chosen is not None:
        return [Family(chosen)]
    has_ipv4 = any(a.family is Family.IPV4 for found in addressing.of.values() for a in found)
    return [Family.IPV4 if has_ipv4 else Family.IPV6]


def limits(skeleton: Skeleton, node: str) -> Limits | None:
    """Return the limits of a host, or None for the kernel's defaults."""
    spec = skeleton.nodes[node]
    if not spec.kind.is_end or spec.mptcp is False:
        return None
    wanted = spec.mptcp.limits if isinstance(spec.mptcp, NodeMptcpSpec) else LimitsSpec()
    return Limits(subflows=wanted.subflows, add_addr_accepted=wanted.add_addr_accepted)


def endpoints(
    skeleton: Skeleton, addressing: Addressing, node: str, wanted: Sequence[Family]
) -> tuple[Endpoint, ...]:
    """Return the endpoints of a host.  Raises InputError."""
    spec = skeleton.nodes[node]
    if not spec.kind.is_end or spec.mptcp is False:
        return ()
    found: list[Endpoint] = []
    used = {item.spec.id for item in _wanted(skeleton, node)}
    free = (number for number in range(1, 256) if number not in used)
    for item in _wanted(skeleton, node):
        if item.path is not None:
            _check(skeleton, item.spec, item.path)
        if not item.spec.flags:
            continue
        for index, address in enumerate(_addresses(addressing, item, wanted)):
            if len(found) == MAX_SUBFLOWS and item.path is None:
                return tuple(found)
            if len(found) == MOST_SUBFLOWS:
                message = f"{node!r} has more than {MOST_SUBFLOWS} endpoints"
                raise skeleton.document.error(message, item.path or "", "no kernel accepts more")
            number = item.spec.id if item.spec.id is not None and index == 0 else next(free)
            found.append(_endpoint(skeleton, node, item, address, number))
    _check_distinct(skeleton, node, found)
    return tuple(found)


def _addresses(addressing: Addressing, item: _Wanted, wanted: Sequence[Family]) -> list[str]:
    if item.spec.address is not None:
        return [str(ipaddress.ip_address(item.spec.address))]
    found = addressing.of[item.end] if item.end is not None else ()
    return [each.host for each in found if each.family in wanted]


def _endpoint(skeleton: Skeleton, node: str, item: _Wanted, address: str, number: int) -> Endpoint:
    by_source = skeleton.nodes[node].policy_routing and len(skeleton.ends[node]) > 1
    return Endpoint(
        address=address,
        id=number,
        interface="" if by_source or item.end is None else item.end.name,
        flags=tuple(EndpointFlag(flag) for flag in item.spec.flags),
        port=item.spec.port,
    )


def _wanted(skeleton: Skeleton, node: str) -> Iterator[_Wanted]:
    """Yield the flags for each end (its own, its node's, or the default), then for addresses.

    The first that is set applies.
    """
    spec = skeleton.nodes[node].mptcp
    entries = spec.endpoints if isinstance(spec, NodeMptcpSpec) else []
    path = join_path("nodes", node, "mptcp", "endpoints")
    written = _written(skeleton, node, entries, path)
    named = {it.end.name: it for it in written if it.end is not None and it.spec.address is None}
    flags = _flags(entries)
    for end in skeleton.ends[node]:
        own = end.spec.endpoint
        if own is not None:
            yield _Wanted(end, _spec(end, [] if own == "none" else own), f"{end.path}.endpoint")
        elif end.name in named:
            yield named[end.name]
        elif flags is not None:
            yield _Wanted(end, _spec(end, flags), path)
        elif not written:
            yield _Wanted(end, _spec(end, _default(skeleton, node)), None)
    yield from (it for it in written if it.spec.address is not None)


def _written(
    skeleton: Skeleton, node: str, entries: str | list[FlagName | EndpointSpec], path: str
) -> list[_Wanted]:
    """Return the entries that name an interface or an address."""
    ends = {end.name: end for end in skeleton.ends[node]}
    found: list[_Wanted] = []
    seen: set[str] = set()
    for index, entry in enumerate(entries):
        if not isinstance(entry, EndpointSpec):
            continue
        where = f"{path}[{index}]"
        _check(skeleton, entry, where)
        name = entry.interface
        if name is not None and name not in ends:
            message = f"{node!r} has no interface {name!r}"
            raise skeleton.document.error(message, f"{where}.interface", nearest(name, ends))
        key = entry.address or name
        if key is not None and key in seen:
            raise skeleton.document.error(f"{key!r} appears twice", where)
        seen.add(key or "")
        found.append(_Wanted(None if name is None else ends[name], entry, where))
    return found


def _flags(entries: str | list[FlagName | EndpointSpec]) -> list[FlagName] | None:
    if isinstance(entries, str):
        return _SETS[entries]
    flags: list[FlagName] = [entry for entry in entries if not isinstance(entry, EndpointSpec)]
    return flags or None


def _default(skeleton: Skeleton, node: str) -> list[FlagName]:
    ends = skeleton.ends[node]
    if len(ends) < 2:
        return []
    first = sum(end.first for end in ends)
    return ["subflow"] if 2 * first >= len(ends) else ["signal"]


def _spec(end: End, flags: list[FlagName]) -> EndpointSpec:
    return EndpointSpec(interface=end.name, flags=flags)


def _check(skeleton: Skeleton, spec: EndpointSpec, path: str) -> None:
    message = spec.problem
    if message:
        raise skeleton.document.error(message, path)


def _check_distinct(skeleton: Skeleton, node: str, found: list[Endpoint]) -> None:
    path = join_path("nodes", node, "mptcp", "endpoints")
    ids = [endpoint.id for endpoint in found]
    places = [(endpoint.address, endpoint.port) for endpoint in found]
    for endpoint in found:
        if ids.count(endpoint.id) > 1:
            raise skeleton.document.error(f"two endpoints have the id {endpoint.id}", path)
        if places.count((endpoint.address, endpoint.port)) > 1:
            raise skeleton.document.error(f"two endpoints have {endpoint.address}", path)
