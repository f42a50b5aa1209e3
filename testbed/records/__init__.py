"""The records that probes write and others read back: one JSON object a line.

Each record has a time, a probe and a node.  Writers and readers share these types, so nothing looks
into a line by the names of its keys.
"""

from __future__ import annotations

from testbed.records.kinds import (
    CpuRecord,
    MptcpInfoRecord,
    NstatRecord,
    PacketsRecord,
    PauseRecord,
    PcapRecord,
    PmEventRecord,
    Record,
    SocketRecord,
    TcpInfoRecord,
    WireRecord,
    WorkloadRecord,
)
from testbed.records.reading import encode, read
from testbed.records.sockets import (
    Connection,
    End,
    MptcpFields,
    MptcpInfo,
    Subflow,
    TcpInfo,
    View,
    ends,
)

__all__ = [
    "Connection",
    "CpuRecord",
    "End",
    "MptcpFields",
    "MptcpInfo",
    "MptcpInfoRecord",
    "NstatRecord",
    "PacketsRecord",
    "PauseRecord",
    "PcapRecord",
    "PmEventRecord",
    "Record",
    "SocketRecord",
    "Subflow",
    "TcpInfo",
    "TcpInfoRecord",
    "View",
    "WireRecord",
    "WorkloadRecord",
    "encode",
    "ends",
    "read",
]
