"""The limits and endpoints of the in-kernel path manager as types of topologies (ip-mptcp(8))."""

from __future__ import annotations

from typing import Final

from testbed.netlink import codec, mptcp
from testbed.netlink.codec import Request
from testbed.netlink.transport import Netlink
from testbed.topology.model import Endpoint, EndpointFlag, Limits

_FLAGS: Final = {
    EndpointFlag.SIGNAL: mptcp.SIGNAL,
    EndpointFlag.SUBFLOW: mptcp.SUBFLOW,
    EndpointFlag.BACKUP: mptcp.BACKUP,
    EndpointFlag.FULLMESH: mptcp.FULLMESH,
    EndpointFlag.LAMINAR: mptcp.LAMINAR,
}


def set_limits(family: int, limits: Limits) -> Request:
    """Return the request that sets both limits."""
    return mptcp.message(
        family,
        mptcp.SET_LIMITS,
        codec.u32(mptcp.RCV_ADD_ADDRS, limits.add_addr_accepted),
        codec.u32(mptcp.SUBFLOWS, limits.subflows),
    )


def add_endpoint(family: int, endpoint: Endpoint, index: int) -> Request:
    """Return the request that adds an endpoint on the interface with an index (0 means none)."""
    return mptcp.add_endpoint(
        family,
        mptcp.KernelEndpoint(
            address=endpoint.address,
            id=endpoint.id,
            flags=sum(_FLAGS[flag] for flag in endpoint.flags),
            interface=index,
            port=endpoint.port or 0,
        ),
    )


def change_endpoint(family: int, endpoint: Endpoint) -> Request:
    """Return the request that sets or clears the backup flag of an endpoint."""
    return mptcp.change_endpoint(family, endpoint.id, sum(_FLAGS[flag] for flag in endpoint.flags))


def remove_endpoint(family: int, number: int) -> Request:
    """Return the request that removes the endpoint with an id (1 to 255)."""
    return mptcp.remove_endpoint(family, number)


def read_limits(netlink: Netlink, family: int) -> Limits:
    """Return the limits of the socket's namespace."""
    subflows, add_addr_accepted = mptcp.read_limits(netlink, family)
    return Limits(subflows=subflows, add_addr_accepted=add_addr_accepted)


def read_endpoints(netlink: Netlink, family: int, names: dict[int, str]) -> tuple[Endpoint, ...]:
    """Return the endpoints of the socket's namespace."""
    return tuple(
        Endpoint(
            address=each.address,
            id=each.id,
            interface=names.get(each.interface, ""),
            flags=tuple(flag for flag in EndpointFlag if each.flags & _FLAGS[flag]),
            port=each.port or None,
        )
        for each in mptcp.read_endpoints(mptcp.dump_endpoints(netlink, family))
    )
