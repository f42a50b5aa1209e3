"""The records of probes: one JSON object per line.

Each record has a time, a probe and a node. Writers and readers share these types, so no code
accesses a line by its keys.
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
