"""The in-kernel MPTCP path manager's limits and endpoints as topologies have them (ip-mptcp(8))."""

from __future__ import annotations

import ipaddress
import socket
from typing import Final

from pyroute2.netlink import NLA_F_NESTED
from pyroute2.netlink.generic.mptcp import (
    MPTCP_PM_CMD_ADD_ADDR,
    MPTCP_PM_CMD_DEL_ADDR,
    MPTCP_PM_CMD_SET_LIMITS,
)

from testbed.netlink import mptcp
from testbed.netlink.mptcp import message
from testbed.netlink.transport import Netlink, Request
from testbed.topology.model import Endpoint, EndpointFlag, Limits

_FLAGS: Final = {
    EndpointFlag.SIGNAL: mptcp.SIGNAL,
    EndpointFlag.SUBFLOW: mptcp.SUBFLOW,
    EndpointFlag.BACKUP: mptcp.BACKUP,
    EndpointFlag.FULLMESH: mptcp.FULLMESH,
}


def set_limits(family: int, limits: Limits) -> Request:
    """Return the request that sets both limits."""
    return message(
        family,
        MPTCP_PM_CMD_SET_LIMITS,
        [
            ("MPTCP_PM_ATTR_RCV_ADD_ADDRS", limits.add_addr_accepted),
            ("MPTCP_PM_ATTR_SUBFLOWS", limits.subflows),
        ],
    )


def add_endpoint(family: int, endpoint: Endpoint, index: int) -> Request:
    """Return the request for an endpoint bound to the interface with that index; 0: to none."""
    attrs: list[tuple[str, object]] = [
        *_address(endpoint.address),
        ("MPTCP_PM_ADDR_ATTR_ID", endpoint.id),
        ("MPTCP_PM_ADDR_ATTR_FLAGS", sum(_FLAGS[flag] for flag in endpoint.flags)),
        ("MPTCP_PM_ADDR_ATTR_IF_IDX", index),
    ]
    if endpoint.port is not None:
        attrs.append(("MPTCP_PM_ADDR_ATTR_PORT", endpoint.port))
    return _endpoint(family, MPTCP_PM_CMD_ADD_ADDR, attrs)


def remove_endpoint(family: int, number: int) -> Request:
    """Return the request that removes the endpoint with that id (1 to 255)."""
    return _endpoint(family, MPTCP_PM_CMD_DEL_ADDR, [("MPTCP_PM_ADDR_ATTR_ID", number)])


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
        for each in mptcp.read_endpoints(netlink, family)
    )


def _address(text: str) -> list[tuple[str, object]]:
    if ipaddress.ip_address(text).version == 4:
        return [
            ("MPTCP_PM_ADDR_ATTR_FAMILY", socket.AF_INET),
            ("MPTCP_PM_ADDR_ATTR_ADDR4", text),
        ]
    return [
        ("MPTCP_PM_ADDR_ATTR_FAMILY", socket.AF_INET6),
        ("MPTCP_PM_ADDR_ATTR_ADDR6", text),
    ]


def _endpoint(family: int, command: int, attrs: list[tuple[str, object]]) -> Request:
    nested = ("MPTCP_PM_ATTR_ADDR", {"attrs": attrs}, NLA_F_NESTED)
    return message(family, command, [nested])
