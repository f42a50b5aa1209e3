"""The announcements of the in-kernel MPTCP path manager on netlink, by the kernel's names.

Source: ``Documentation/netlink/specs/mptcp_pm.yaml``, ``include/uapi/linux/mptcp_pm.h``.
"""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Final

from testbed import sockinfo
from testbed.errors import PlatformError, SandboxError
from testbed.netlink import mptcp
from testbed.netlink.codec import NETLINK_GENERIC
from testbed.netlink.transport import NETLINK_ADD_MEMBERSHIP, SOL_NETLINK, Netlink
from testbed.probe.nodes import Nodes
from testbed.probe.probes import Probe
from testbed.records import PmEventRecord, Record

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
_QUEUE: Final = 1 << 20  # octets of events that the kernel may queue


class PmEvents(Probe):
    """Reads events from one netlink socket per node as they arrive."""

    record = PmEventRecord

    def __init__(self, nodes: Nodes, options: Mapping[str, object]) -> None:
        super().__init__(nodes, options)
        self._sockets: dict[str, socket.socket] = {}

    def start(self) -> tuple[Record, ...]:
        """Join the multicast group of events in every node."""
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
        """Return the sockets, each with a function that reads its events."""
        return {sock.fileno(): partial(self._read, node) for node, sock in self._sockets.items()}

    def stop(self) -> Iterator[PmEventRecord]:
        """Read the remaining events."""
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
                raise SandboxError(
                    f"{node} had too many path-manager events at once: some are lost"
                ) from error
            yield event(data, t_ns=time.monotonic_ns(), node=node)


def event(data: bytes, *, t_ns: int, node: str) -> PmEventRecord:
    """Decode one netlink message."""
    found = mptcp.read_event(data)
    return PmEventRecord(
        t_ns=t_ns,
        node=node,
        event=EVENTS.get(found.command, str(found.command)),
        token=found.token,
        local=None if found.local is None else sockinfo.address_text(found.local),
        remote=None if found.remote is None else sockinfo.address_text(found.remote),
        local_id=found.local_id,
        remote_id=found.remote_id,
        backup=found.backup,
        error=found.error,
        interface=found.interface,
        server_side=found.server_side,
        reset_reason=found.reset_reason,
        reset_flags=found.reset_flags,
    )


def _group() -> int:
    """Return the number of the multicast group, which is the same in every namespace."""
    with Netlink(NETLINK_GENERIC) as netlink:
        groups = mptcp.groups(netlink)
    if groups is None:
        raise PlatformError(
            "this kernel has no MPTCP path manager",
            why="the probe pm_events listens to it",
            instead="use a kernel with CONFIG_MPTCP=y, or remove the probe",
        )
    if mptcp.EVENTS_GROUP not in groups:
        raise PlatformError(
            "this kernel reports no MPTCP events",
            why="the probe pm_events listens to them",
            instead="use Linux 5.12 or later, or remove the probe",
        )
    return groups[mptcp.EVENTS_GROUP]
