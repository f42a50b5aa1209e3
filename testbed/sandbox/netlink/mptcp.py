"""The in-kernel MPTCP path manager: limits and endpoints (linux/mptcp_pm.h, ip-mptcp(8))."""

from __future__ import annotations

import errno
import ipaddress
import socket
from typing import Any, Final

from pyroute2.netlink import CTRL_CMD_GETFAMILY, GENL_ID_CTRL, NLA_F_NESTED, ctrlmsg
from pyroute2.netlink.generic.mptcp import (
    MPTCP_GENL_NAME,
    MPTCP_PM_CMD_ADD_ADDR,
    MPTCP_PM_CMD_DEL_ADDR,
    MPTCP_PM_CMD_GET_ADDR,
    MPTCP_PM_CMD_GET_LIMITS,
    MPTCP_PM_CMD_SET_LIMITS,
    mptcp_msg,
)

from testbed.netlink.attributes import OwnMap, attributes
from testbed.netlink.transport import Netlink, Request, decode, encode
from testbed.topology.model import Endpoint, EndpointFlag, Limits

_VERSION: Final = 1  # MPTCP_PM_VER
_FLAGS: Final = {  # MPTCP_PM_ADDR_FLAG_*
    EndpointFlag.SIGNAL: 1,
    EndpointFlag.SUBFLOW: 2,
    EndpointFlag.BACKUP: 4,
    EndpointFlag.FULLMESH: 8,
}


class PathManagerMessage(OwnMap, mptcp_msg):  # type: ignore[misc]
    """pyroute2's message with the interface index as the number it is."""

    nla_map = mptcp_msg.nla_map

    class pm_addr(OwnMap, mptcp_msg.pm_addr):  # type: ignore[misc] # noqa: N801 - pyroute2's name
        """One endpoint."""

        nla_map = (
            *mptcp_msg.pm_addr.nla_map[:-1],
            ("MPTCP_PM_ADDR_ATTR_IF_IDX", "int32"),
        )


def family_number(netlink: Netlink) -> int | None:
    """Return the generic netlink number of the path manager; None: this kernel has none."""
    request = encode(
        ctrlmsg(),
        GENL_ID_CTRL,
        cmd=CTRL_CMD_GETFAMILY,
        version=1,
        attrs=[("CTRL_ATTR_FAMILY_NAME", MPTCP_GENL_NAME)],
    )
    try:
        answer = decode(ctrlmsg, netlink.get(request))
    except OSError as error:
        if error.errno == errno.ENOENT:
            return None
        raise
    return int(answer.get_attr("CTRL_ATTR_FAMILY_ID"))


def set_limits(family: int, limits: Limits) -> Request:
    """Return the request that sets both limits."""
    return _message(
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
    body = netlink.get(_message(family, MPTCP_PM_CMD_GET_LIMITS, []))
    answer = decode(PathManagerMessage, body)
    return Limits(
        subflows=answer.get_attr("MPTCP_PM_ATTR_SUBFLOWS"),
        add_addr_accepted=answer.get_attr("MPTCP_PM_ATTR_RCV_ADD_ADDRS"),
    )


def read_endpoints(netlink: Netlink, family: int, names: dict[int, str]) -> tuple[Endpoint, ...]:
    """Return the endpoints of the socket's namespace."""
    bodies = netlink.dump(_message(family, MPTCP_PM_CMD_GET_ADDR, []))
    found = (decode(PathManagerMessage, body).get_attr("MPTCP_PM_ATTR_ADDR") for body in bodies)
    return tuple(_read(attributes(each), names) for each in found)


def _read(attrs: dict[str, Any], names: dict[int, str]) -> Endpoint:
    flags = attrs.get("MPTCP_PM_ADDR_ATTR_FLAGS", 0)
    address = attrs.get("MPTCP_PM_ADDR_ATTR_ADDR4") or attrs["MPTCP_PM_ADDR_ATTR_ADDR6"]
    return Endpoint(
        address=address,
        id=attrs["MPTCP_PM_ADDR_ATTR_ID"],
        interface=names.get(attrs.get("MPTCP_PM_ADDR_ATTR_IF_IDX", 0), ""),
        flags=tuple(flag for flag in EndpointFlag if flags & _FLAGS[flag]),
        port=attrs.get("MPTCP_PM_ADDR_ATTR_PORT") or None,
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
    return _message(family, command, [nested])


def _message(family: int, command: int, attrs: list[tuple[Any, ...]]) -> Request:
    return encode(PathManagerMessage(), family, cmd=command, version=_VERSION, attrs=attrs)
