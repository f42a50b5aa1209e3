"""TCP_INFO of every connected TCP socket of every process in the nodes."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import msgspec

from testbed import records, sockinfo
from testbed.probe.probes import Probe
from testbed.probe.sockets import connected


class TcpInfo(Probe):
    """Samples plain TCP sockets. The probe ``mptcp_info`` samples subflows."""

    record = records.TcpInfoRecord

    def sample(self) -> Iterator[records.TcpInfoRecord]:
        """Sample all sockets."""
        return connected(self.nodes, socket.IPPROTO_TCP, _record)


def _record(sock: socket.socket, about: dict[str, Any]) -> records.TcpInfoRecord:
    return records.TcpInfoRecord(
        tcp=msgspec.convert(sockinfo.tcp_info(sock), records.TcpInfo), **about
    )
