"""Messages of the in-kernel MPTCP path manager (linux/mptcp_pm.h, ip-mptcp(8))."""

from __future__ import annotations

import errno
from typing import Any, Final

import msgspec
from pyroute2.netlink import CTRL_CMD_GETFAMILY, GENL_ID_CTRL, ctrlmsg
from pyroute2.netlink.generic.mptcp import (
    MPTCP_GENL_NAME,
    MPTCP_PM_CMD_GET_ADDR,
    MPTCP_PM_CMD_GET_LIMITS,
    mptcp_msg,
)

from testbed.netlink.attributes import OwnMap, attributes
from testbed.netlink.transport import Netlink, Request, decode, encode

# MPTCP_PM_ADDR_FLAG_*
SIGNAL: Final = 1
SUBFLOW: Final = 2
BACKUP: Final = 4
FULLMESH: Final = 8
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


def read_endpoints(netlink: Netlink, family: int) -> tuple[KernelEndpoint, ...]:
    """Return the namespace's endpoints."""
    bodies = netlink.dump(message(family, MPTCP_PM_CMD_GET_ADDR, []))
    found = (decode(PathManagerMessage, body).get_attr("MPTCP_PM_ATTR_ADDR") for body in bodies)
    return tuple(_endpoint(attributes(each)) for each in found)


def _endpoint(attrs: dict[str, Any]) -> KernelEndpoint:
    return KernelEndpoint(
        address=attrs.get("MPTCP_PM_ADDR_ATTR_ADDR4") or attrs["MPTCP_PM_ADDR_ATTR_ADDR6"],
        id=attrs["MPTCP_PM_ADDR_ATTR_ID"],
        flags=attrs.get("MPTCP_PM_ADDR_ATTR_FLAGS", 0),
        interface=attrs.get("MPTCP_PM_ADDR_ATTR_IF_IDX", 0),
        port=attrs.get("MPTCP_PM_ADDR_ATTR_PORT") or 0,
    )
