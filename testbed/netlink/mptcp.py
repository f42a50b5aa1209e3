"""Messages of the in-kernel MPTCP path manager (linux/mptcp_pm.h, ip-mptcp(8))."""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Iterable
from typing import Any, Final

import msgspec
from pyroute2.netlink import CTRL_CMD_GETFAMILY, GENL_ID_CTRL, NLA_F_NESTED, ctrlmsg
from pyroute2.netlink.generic.mptcp import (
    MPTCP_GENL_NAME,
    MPTCP_PM_CMD_ADD_ADDR,
    MPTCP_PM_CMD_DEL_ADDR,
    MPTCP_PM_CMD_GET_ADDR,
    MPTCP_PM_CMD_GET_LIMITS,
    MPTCP_PM_CMD_SET_FLAGS,
    mptcp_msg,
)

from testbed.netlink.attributes import OwnMap, attributes
from testbed.netlink.transport import Netlink, Request, decode, encode

# MPTCP_PM_ADDR_FLAG_*
SIGNAL: Final = 1
SUBFLOW: Final = 2
BACKUP: Final = 4
FULLMESH: Final = 8
IMPLICIT: Final = 16
LAMINAR: Final = 32

_VERSION: Final = 1  # MPTCP_PM_VER


class KernelEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint as the kernel has it.

    :param flags: :data:`SIGNAL` and so on.
    :param interface: index, or 0: any.
    :param port: 0: that of the connection.
    """

    address: str
    id: int
    flags: int
    interface: int
    port: int


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


def message(family: int, command: int, attrs: list[tuple[Any, ...]]) -> Request:
    """Return a request to the path manager."""
    return encode(PathManagerMessage(), family, cmd=command, version=_VERSION, attrs=attrs)


def read_limits(netlink: Netlink, family: int) -> tuple[int, int]:
    """Return the namespace's limits: further subflows, and ADD_ADDRs that are taken up."""
    body = netlink.get(message(family, MPTCP_PM_CMD_GET_LIMITS, []))
    answer = decode(PathManagerMessage, body)
    return (
        answer.get_attr("MPTCP_PM_ATTR_SUBFLOWS"),
        answer.get_attr("MPTCP_PM_ATTR_RCV_ADD_ADDRS"),
    )


def dump_endpoints(netlink: Netlink, family: int) -> list[bytes]:
    """Return the namespace's endpoints as the kernel encodes them."""
    return list(netlink.dump(message(family, MPTCP_PM_CMD_GET_ADDR, [])))


def read_endpoints(bodies: Iterable[bytes]) -> tuple[KernelEndpoint, ...]:
    """Return the endpoints of :func:`dump_endpoints`."""
    found = (decode(PathManagerMessage, body).get_attr("MPTCP_PM_ATTR_ADDR") for body in bodies)
    return tuple(_endpoint(attributes(each)) for each in found)


def add_endpoint(family: int, endpoint: KernelEndpoint) -> Request:
    """Return the request for an endpoint."""
    attrs: list[tuple[str, object]] = [
        *_address(endpoint.address),
        ("MPTCP_PM_ADDR_ATTR_ID", endpoint.id),
        ("MPTCP_PM_ADDR_ATTR_FLAGS", endpoint.flags),
        ("MPTCP_PM_ADDR_ATTR_IF_IDX", endpoint.interface),
    ]
    if endpoint.port:
        attrs.append(("MPTCP_PM_ADDR_ATTR_PORT", endpoint.port))
    return _about(family, MPTCP_PM_CMD_ADD_ADDR, attrs)


def change_endpoint(family: int, number: int, flags: int) -> Request:
    """Return the request that gives the endpoint with that id the flags BACKUP and FULLMESH."""
    attrs: list[tuple[str, object]] = [
        ("MPTCP_PM_ADDR_ATTR_ID", number),
        ("MPTCP_PM_ADDR_ATTR_FLAGS", flags & (BACKUP | FULLMESH)),
    ]
    return _about(family, MPTCP_PM_CMD_SET_FLAGS, attrs)


def remove_endpoint(family: int, number: int) -> Request:
    """Return the request that removes the endpoint with that id (1 to 255)."""
    return _about(family, MPTCP_PM_CMD_DEL_ADDR, [("MPTCP_PM_ADDR_ATTR_ID", number)])


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


def _about(family: int, command: int, attrs: list[tuple[str, object]]) -> Request:
    nested = ("MPTCP_PM_ATTR_ADDR", {"attrs": attrs}, NLA_F_NESTED)
    return message(family, command, [nested])


def _endpoint(attrs: dict[str, Any]) -> KernelEndpoint:
    return KernelEndpoint(
        address=attrs.get("MPTCP_PM_ADDR_ATTR_ADDR4") or attrs["MPTCP_PM_ADDR_ATTR_ADDR6"],
        id=attrs["MPTCP_PM_ADDR_ATTR_ID"],
        flags=attrs.get("MPTCP_PM_ADDR_ATTR_FLAGS", 0),
        interface=attrs.get("MPTCP_PM_ADDR_ATTR_IF_IDX", 0),
        port=attrs.get("MPTCP_PM_ADDR_ATTR_PORT") or 0,
    )
