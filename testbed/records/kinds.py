"""The records, one class for each probe."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from testbed.records.sockets import MptcpInfo, TcpInfo
from testbed.registry import Registry
from testbed.topology.operations import WIRE
from testbed.wire.netem import WireCounters


class Record(msgspec.Struct, frozen=True, kw_only=True, tag_field="probe", omit_defaults=True):
    """Base of all records; each probe's own are subclasses whose tag is the probe's name.

    :param t_ns: nanoseconds: when the value was read, or the event was seen.  A probe writes
        CLOCK_MONOTONIC, a result folder holds times from the start of the workload.
    :param node: the node it is about.
    """

    t_ns: int
    node: str


class SocketRecord(Record, frozen=True, kw_only=True):
    """Base of what is said about one connection; a simulated one is no process's.

    :param process: at most 15 characters.
    :param inode: tells sockets apart for as long as they live.
    :param local: ``10.0.1.1:5001`` or ``[fd00::1]:5001``.
    """

    pid: int | None = None
    process: str | None = None
    inode: int | None = None
    local: str
    remote: str


class TcpInfoRecord(SocketRecord, frozen=True, kw_only=True, tag="tcp_info"):
    """One plain TCP connection, seen from one end."""

    tcp: TcpInfo


class MptcpInfoRecord(SocketRecord, frozen=True, kw_only=True, tag="mptcp_info"):
    """One MPTCP connection, seen from one end."""

    mptcp: MptcpInfo


class NstatRecord(Record, frozen=True, kw_only=True, tag="nstat"):
    """Counters such as ``TcpRetransSegs``, ``TcpExtTCPTimeouts``, ``MPTcpExtMPCapableSYNRX``.

    :param span: what ``values`` are: ``absolute`` for the counters themselves, at the start;
        ``sample`` for what changed since the record before; ``total`` for what changed since
        the start, at the end.  What did not change is left out.
    :param own: a program's own stack has counted them, beside what the kernel has; there is a
        ``total`` alone then.  In simulations all are of our stacks, and this is not set.
    """

    span: str
    values: dict[str, int]
    own: bool = False


class CpuRecord(Record, frozen=True, kw_only=True, tag="cpu"):
    """``cpu_ns`` is user and system time of all its threads since it was started."""

    pid: int
    process: str
    cpu_ns: int


class PmEventRecord(Record, frozen=True, kw_only=True, tag="pm_events"):
    """One event; ``t_ns`` is when it was read, which is soon after it happened.

    :param event: created, established, closed, announced, removed, sub_established, sub_closed,
        sub_priority, listener_created or listener_closed; a number where we have no name.
    :param token: the connection's, as this end knows it; in ``mptcp_info`` it is ``token``.
    """

    event: str
    token: int | None = None
    local: str | None = None  # "10.0.1.1:5001"; port 0 where the event has none
    remote: str | None = None
    local_id: int | None = None
    remote_id: int | None = None
    backup: bool | None = None
    error: int | None = None  # errno
    interface: int | None = None  # index
    server_side: bool | None = None
    reset_reason: int | None = None  # RFC 8684, section 3.6
    reset_flags: int | None = None


class WireRecord(Record, frozen=True, kw_only=True, tag="wire"):
    """The counters of one direction of a wire.

    Only the holder of the sandbox can ask wires, so it writes these, and not the sampler.

    :param netem: the options in force, if they are not those of the record before.
    """

    node: str = WIRE
    link: str
    toward: str  # the node the frames travel to
    counters: WireCounters
    netem: str | None = None


class PacketsRecord(Record, frozen=True, kw_only=True, tag="packets"):
    """All packets of a simulated run, summed up at its end.

    :param frames: how many were sent and arrived, added up over all links.
    :param digest: SHA-256 in hexadecimal, see :class:`testbed.sim.digest.Digest`.
    """

    node: str = WIRE
    frames: int
    digest: str


class PcapRecord(Record, frozen=True, kw_only=True, tag="pcap"):
    """One file, when it was complete.

    :param file: its name in the folder.
    :param realtime_offset_ns: what to take from the packets' times, which are CLOCK_REALTIME, to
        have CLOCK_MONOTONIC.
    :param dropped: packets that came faster than they were read, and are not in the file.
    """

    interface: str
    file: str
    realtime_offset_ns: int
    captured: int
    dropped: int


class PauseRecord(Record, frozen=True, kw_only=True, tag="pause"):
    """One of the longest times in which a workload's end at ``node`` read nothing.

    :param t_ns: its end.
    :param flow: the flow, where a run has several.
    """

    length_ns: int
    flow: str | None = None


class WorkloadRecord(Record, frozen=True, kw_only=True, tag="workload"):
    """Octets that a workload's end at ``node`` read in the interval that ends at ``t_ns``.

    :param flow: the flow, where a run has several.
    """

    received: int
    flow: str | None = None


_OURS: Final[tuple[type[Record], ...]] = (
    CpuRecord,
    MptcpInfoRecord,
    NstatRecord,
    PacketsRecord,
    PauseRecord,
    PcapRecord,
    PmEventRecord,
    TcpInfoRecord,
    WireRecord,
    WorkloadRecord,
)


_BY_NAME: Final = {str(kind.__struct_config__.tag): kind for kind in _OURS}


def record_of(name: str, probe: Any) -> type[Record]:
    """Return what a probe of another package writes.

    :raises TypeError: it does not say so, or its records are not those of a probe of this name.
    """
    record = getattr(probe, "record", None)
    if not isinstance(record, type) or not issubclass(record, Record):
        raise TypeError(f"its `record` is {record!r}, no subclass of Record")
    if record.__struct_config__.tag != name:
        raise TypeError(f"the tag of its record is {record.__struct_config__.tag!r}, not its name")
    if name in _BY_NAME:
        raise TypeError(f"there are records {name!r} already")
    return record


# Those of other packages are found by their probes, each of which says what it writes.
KINDS: Final[Registry[type[Record]]] = Registry("record", "testbed.probes", _BY_NAME, record_of)
