"""TCP_INFO of every connected TCP socket of every process in the nodes."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

from testbed import sockinfo
from testbed.probe.probes import Probe
from testbed.probe.records import SocketRecord
from testbed.probe.sockets import connected


class TcpInfoRecord(SocketRecord, frozen=True, kw_only=True, tag="tcp_info"):
    """One socket; see :func:`testbed.sockinfo.tcp_info` for the units."""

    tcp: dict[str, int]


class TcpInfo(Probe):
    """Plain TCP sockets; those under MPTCP are in ``mptcp_info``."""

    def sample(self) -> Iterator[TcpInfoRecord]:
        """Look at the sockets there are."""
        return connected(self.nodes, socket.IPPROTO_TCP, _record)


def _record(sock: socket.socket, about: dict[str, Any]) -> TcpInfoRecord:
    return TcpInfoRecord(tcp=sockinfo.tcp_info(sock), **about)


PROBE = TcpInfo
