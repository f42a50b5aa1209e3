"""MPTCP_INFO of every connected MPTCP socket of every process in the nodes, and its subflows."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

from testbed import sockinfo
from testbed.probe.probes import Probe
from testbed.probe.records import SocketRecord
from testbed.probe.sockets import connected


class MptcpInfoRecord(SocketRecord, frozen=True, kw_only=True, tag="mptcp_info"):
    """One connection, seen from one end."""

    mptcp: sockinfo.MptcpInfo


class MptcpInfo(Probe):
    """MPTCP sockets, also those that fell back to TCP."""

    def sample(self) -> Iterator[MptcpInfoRecord]:
        """Look at the sockets there are."""
        return connected(self.nodes, sockinfo.IPPROTO_MPTCP, _record)


def _record(sock: socket.socket, about: dict[str, Any]) -> MptcpInfoRecord:
    return MptcpInfoRecord(mptcp=sockinfo.mptcp_info(sock), **about)


PROBE = MptcpInfo
