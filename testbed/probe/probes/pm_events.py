"""What the in-kernel MPTCP path manager announces on netlink, with the kernel's names.

Source: ``Documentation/netlink/specs/mptcp_pm.yaml``, ``include/uapi/linux/mptcp_pm.h``.
"""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Final

from pyroute2.netlink import (
    CTRL_CMD_GETFAMILY,
    GENL_ID_CTRL,
    NETLINK_ADD_MEMBERSHIP,
    NETLINK_GENERIC,
    SOL_NETLINK,
    ctrlmsg,
    genlmsg,
)
from pyroute2.netlink.generic.mptcp import MPTCP_GENL_NAME

from testbed import sockinfo
from testbed.errors import PlatformError, SandboxError
from testbed.netlink.attributes import decode, encode
from testbed.netlink.transport import Netlink
from testbed.probe.nodes import Nodes
from testbed.probe.probes import Probe
from testbed.records import PmEventRecord, Record

GROUP: Final = "mptcp_pm_events"
EVENTS: Final = {
    1: "created",
    2: "established",
    3: "closed",
    6: "announced",
    7: "removed",
    10: "sub_established",
    11: "sub_closed",
    13: "sub_priority",
    15: "listener_created",
    16: "listener_closed",
}
_RECEIVE: Final = 1 << 16
_QUEUE: Final = 1 << 20  # octets of events the kernel may hold for us


class Event(genlmsg):  # type: ignore[misc]
    """The message, for pyroute2 to decode."""

    nla_map = (
        ("MPTCP_ATTR_UNSPEC", "none"),
        ("MPTCP_ATTR_TOKEN", "uint32"),
        ("MPTCP_ATTR_FAMILY", "uint16"),
        ("MPTCP_ATTR_LOC_ID", "uint8"),
        ("MPTCP_ATTR_REM_ID", "uint8"),
        ("MPTCP_ATTR_SADDR4", "ip4addr"),
        ("MPTCP_ATTR_SADDR6", "ip6addr"),
        ("MPTCP_ATTR_DADDR4", "ip4addr"),
        ("MPTCP_ATTR_DADDR6", "ip6addr"),
        ("MPTCP_ATTR_SPORT", "be16"),
        ("MPTCP_ATTR_DPORT", "be16"),
        ("MPTCP_ATTR_BACKUP", "uint8"),
        ("MPTCP_ATTR_ERROR", "uint8"),
        ("MPTCP_ATTR_FLAGS", "uint16"),
        ("MPTCP_ATTR_TIMEOUT", "uint32"),
        ("MPTCP_ATTR_IF_IDX", "int32"),
        ("MPTCP_ATTR_RESET_REASON", "uint32"),
        ("MPTCP_ATTR_RESET_FLAGS", "uint32"),
        ("MPTCP_ATTR_SERVER_SIDE", "uint8"),
    )


class PmEvents(Probe):
    """One netlink socket per node, read as soon as something is there."""

    record = PmEventRecord

    def __init__(self, nodes: Nodes, options: Mapping[str, object]) -> None:
        super().__init__(nodes, options)
        self._sockets: dict[str, socket.socket] = {}

    def start(self) -> tuple[Record, ...]:
        """Join the group of events in every node."""
        group = _group()
        for node in self.nodes.names:
            with self.nodes.inside(node):
                sock = socket.socket(
                    socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_GENERIC
                )
            self._sockets[node] = sock
            sock.settimeout(0)
            sock.bind((0, 0))  # a socket without a port number gets no multicast
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _QUEUE)
            sock.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group)
        return ()

    def watched(self) -> dict[int, Callable[[], Iterable[Record]]]:
        """Return the sockets."""
        return {sock.fileno(): partial(self._read, node) for node, sock in self._sockets.items()}

    def stop(self) -> Iterator[PmEventRecord]:
        """Read what is left."""
        for node, sock in self._sockets.items():
            yield from self._read(node)
            sock.close()

    def _read(self, node: str) -> Iterator[PmEventRecord]:
        while True:
            try:
                data = self._sockets[node].recv(_RECEIVE)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                raise SandboxError(f"too many events at once in {node}: some are lost") from error
            yield event(data, t_ns=time.monotonic_ns(), node=node)


def event(data: bytes, *, t_ns: int, node: str) -> PmEventRecord:
    """Decode one netlink message."""
    message = decode(Event, data)
    found: dict[str, Any] = {
        name.removeprefix("MPTCP_ATTR_").lower(): value for name, value in message["attrs"]
    }
    backup, server_side = found.get("backup"), found.get("server_side")
    return PmEventRecord(
        t_ns=t_ns,
        node=node,
        event=EVENTS.get(message["cmd"], str(message["cmd"])),
        token=found.get("token"),
        local=_address(found, "s"),
        remote=_address(found, "d"),
        local_id=found.get("loc_id"),
        remote_id=found.get("rem_id"),
        backup=None if backup is None else bool(backup),
        error=found.get("error"),
        interface=found.get("if_idx"),
        server_side=None if server_side is None else bool(server_side),
        reset_reason=found.get("reset_reason"),
        reset_flags=found.get("reset_flags"),
    )


def _address(found: Mapping[str, Any], end: str) -> str | None:
    """Return the address and port of one end: ``s`` is the local, ``d`` the remote one."""
    address = found.get(f"{end}addr4", found.get(f"{end}addr6"))
    return None if address is None else sockinfo.address_text((address, found.get(f"{end}port", 0)))


def _group() -> int:
    """Return the number of the group, which is the same in every namespace."""
    request = encode(
        ctrlmsg(),
        GENL_ID_CTRL,
        cmd=CTRL_CMD_GETFAMILY,
        version=1,
        attrs=[("CTRL_ATTR_FAMILY_NAME", MPTCP_GENL_NAME)],
    )
    try:
        with Netlink(NETLINK_GENERIC) as netlink:
            answer = decode(ctrlmsg, netlink.get(request))
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise
        raise PlatformError(
            "this kernel has no MPTCP path manager",
            why="the probe pm_events listens to it",
            instead="use a kernel with CONFIG_MPTCP=y, or leave the probe out",
        ) from error
    groups = {
        group.get_attr("CTRL_ATTR_MCAST_GRP_NAME"): group.get_attr("CTRL_ATTR_MCAST_GRP_ID")
        for group in answer.get_attr("CTRL_ATTR_MCAST_GROUPS") or ()
    }
    if GROUP not in groups:
        raise PlatformError(
            "this kernel's MPTCP announces no events",
            why="the probe pm_events listens to them",
            instead="use a kernel of version 5.12 or later, or leave the probe out",
        )
    return int(groups[GROUP])
