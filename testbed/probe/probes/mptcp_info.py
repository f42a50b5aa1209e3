"""MPTCP_INFO of every connected MPTCP socket of every process in the nodes, and its subflows."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import msgspec

from testbed import records, sockinfo
from testbed.probe.probes import Probe
from testbed.probe.sockets import connected


class MptcpInfo(Probe):
    """Samples MPTCP sockets, also those that fell back to TCP."""

    record = records.MptcpInfoRecord

    def sample(self) -> Iterator[records.MptcpInfoRecord]:
        """Sample all sockets."""
        return connected(self.nodes, sockinfo.IPPROTO_MPTCP, _record)


def _record(sock: socket.socket, about: dict[str, Any]) -> records.MptcpInfoRecord:
    return records.MptcpInfoRecord(mptcp=_typed(sockinfo.mptcp_info(sock)), **about)


def _typed(info: sockinfo.MptcpInfo) -> records.MptcpInfo:
    return msgspec.convert(info, records.MptcpInfo, from_attributes=True)
