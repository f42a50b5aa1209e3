"""MPTCP limits and endpoints: the input of the kernel's own path manager (ip-mptcp(8)).

By default a host with several interfaces is told to use them all: one that is named first in at
least half of its links opens subflows from each address, any other announces each address.
Endpoints are of one family, as a connection over IPv6 would take up the IPv4 ones too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from testbed.document import join_path, nearest
from testbed.topology.addresses import Addressing
from testbed.topology.model import Endpoint, EndpointFlag, Family, Kind, Limits
from testbed.topology.skeleton import End, Skeleton
from testbed.topology.spec import (
    MAX_SUBFLOWS,
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
    """Flags for the addresses of one end, and where the file says so; None: it does not."""

    end: End
    spec: EndpointSpec
    path: str | None


def families(skeleton: Skeleton, addressing: Addressing, family: Family | None) -> list[Family]:
    """Return the families endpoints are made of."""
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
    """Return the limits of a host; None leaves the kernel's own."""
    spec = skeleton.nodes[node]
    if spec.kind is not Kind.HOST or spec.mptcp is False:
        return None
    wanted = spec.mptcp.limits if isinstance(spec.mptcp, NodeMptcpSpec) else LimitsSpec()
    return Limits(subflows=wanted.subflows, add_addr_accepted=wanted.add_addr_accepted)


def endpoints(
    skeleton: Skeleton, addressing: Addressing, node: str, wanted: Sequence[Family]
) -> tuple[Endpoint, ...]:
    """Return the endpoints of a host.  Raises InputError."""
    spec = skeleton.nodes[node]
    if spec.kind is not Kind.HOST or spec.mptcp is False:
        return ()
    found: list[Endpoint] = []
    by_source = spec.policy_routing and len(skeleton.ends[node]) > 1
    used = {item.spec.id for item in _per_end(skeleton, node)}
    free = (number for number in range(1, 256) if number not in used)
    for item in _per_end(skeleton, node):
        if item.path is not None:
            _check(skeleton, item.spec, item.path)
        if not item.spec.flags:
            continue
        own = [a for a in addressing.of[item.end] if a.family in wanted]
        for index, address in enumerate(own):
            if len(found) == MAX_SUBFLOWS:
                if item.path is None:
                    return tuple(found)
                message = f"{node!r} has more than {MAX_SUBFLOWS} endpoints"
                raise skeleton.document.error(message, item.path, "older kernels take no more")
            number = item.spec.id if item.spec.id is not None and index == 0 else next(free)
            found.append(
                Endpoint(
                    address=address.host,
                    id=number,
                    interface="" if by_source else item.end.name,
                    flags=tuple(EndpointFlag(flag) for flag in item.spec.flags),
                    port=item.spec.port,
                )
            )
    _check_ids(skeleton, node, found)
    return tuple(found)


def _per_end(skeleton: Skeleton, node: str) -> Iterator[_Wanted]:
    """Yield the flags for each end: its own, else those of its node, else the default."""
    spec = skeleton.nodes[node].mptcp
    entries = spec.endpoints if isinstance(spec, NodeMptcpSpec) else []
    path = join_path("nodes", node, "mptcp", "endpoints")
    named = _named(skeleton, node, entries, path)
    flags = _flags(entries)
    for end in skeleton.ends[node]:
        own = end.spec.endpoint
        if own is not None:
            yield _Wanted(end, _spec(end, [] if own == "none" else own), f"{end.path}.endpoint")
        elif end.name in named:
            yield named[end.name]
        elif flags is not None:
            yield _Wanted(end, _spec(end, flags), path)
        elif not named:
            yield _Wanted(end, _spec(end, _default(skeleton, node)), None)


def _named(
    skeleton: Skeleton, node: str, entries: str | list[FlagName | EndpointSpec], path: str
) -> dict[str, _Wanted]:
    ends = {end.name: end for end in skeleton.ends[node]}
    named: dict[str, _Wanted] = {}
    for index, entry in enumerate(entries):
        if not isinstance(entry, EndpointSpec):
            continue
        where = f"{path}[{index}]"
        if entry.interface not in ends:
            message = f"{node!r} has no interface {entry.interface!r}"
            hint = nearest(entry.interface, ends)
            raise skeleton.document.error(message, f"{where}.interface", hint)
        if entry.interface in named:
            raise skeleton.document.error(f"{entry.interface!r} stands here twice", where)
        named[entry.interface] = _Wanted(ends[entry.interface], entry, where)
    return named


def _flags(entries: str | list[FlagName | EndpointSpec]) -> list[FlagName] | None:
    if isinstance(entries, str):
        return _SETS[entries]
    flags: list[FlagName] = [entry for entry in entries if not isinstance(entry, EndpointSpec)]
    return flags or None


def _default(skeleton: Skeleton, node: str) -> list[FlagName]:
    ends = skeleton.ends[node]
    if len(ends) < 2:
        return []
    first = sum(skeleton.links[end.link][0] is end for end in ends)
    return ["subflow"] if 2 * first >= len(ends) else ["signal"]


def _spec(end: End, flags: list[FlagName]) -> EndpointSpec:
    return EndpointSpec(interface=end.name, flags=flags)


def _check(skeleton: Skeleton, spec: EndpointSpec, path: str) -> None:
    """Refuse what ``mptcp_pm_nl_add_addr_doit`` refuses, and what could have no effect."""
    flags = set(spec.flags)
    message = None
    if {"signal", "fullmesh"} <= flags:
        message = "signal and fullmesh exclude each other"
    elif "fullmesh" in flags and "subflow" not in flags:
        message = "fullmesh has no effect without subflow"
    elif spec.port is not None and not ("signal" in flags and "subflow" not in flags):
        message = "a port needs signal and excludes subflow: it is announced with the address"
    elif len(flags) < len(spec.flags):
        message = "a flag stands here twice"
    if message:
        raise skeleton.document.error(message, path)


def _check_ids(skeleton: Skeleton, node: str, found: list[Endpoint]) -> None:
    ids = [endpoint.id for endpoint in found]
    for number in ids:
        if ids.count(number) > 1:
            path = join_path("nodes", node, "mptcp", "endpoints")
            raise skeleton.document.error(f"two endpoints have the id {number}", path)
