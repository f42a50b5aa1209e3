"""The records, one class for each probe."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from testbed.records.sockets import MptcpInfo, TcpInfo
from testbed.registry import Registry
from testbed.topology.operations import WIRE
from testbed.wire.netem import WireCounters


class Record(msgspec.Struct, frozen=True, kw_only=True, tag_field="probe", omit_defaults=True):
    """Base class of all records. The tag of a subclass is the name of its probe.

    :param t_ns: when the value was read or the event was seen, in nanoseconds. A probe writes
        CLOCK_MONOTONIC; times in a result folder count from the start of the workload.
    :param node: the observed node.
    """

    t_ns: int
    node: str


class SocketRecord(Record, frozen=True, kw_only=True):
    """Base class of records about one connection. A simulated connection has no process.

    :param process: the name of the process, at most 15 characters.
    :param inode: the inode of the socket, unique during its lifetime.
    :param local: the local address, ``10.0.1.1:5001`` or ``[fd00::1]:5001``.
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

    :param span: the meaning of ``values``: ``absolute``: the counters at the start; ``sample``: the
        changes since the previous record; ``total``: the changes from start to end. Unchanged
        counters are omitted.
    :param own: whether the stack of a program counted them, in addition to the kernel's counters.
        Then there is only a ``total``. In simulations our stacks count everything, and this is not
        set.
    """

    span: str
    values: dict[str, int]
    own: bool = False


class CpuRecord(Record, frozen=True, kw_only=True, tag="cpu"):
    """The user and system time of all threads of a process since its start."""

    pid: int
    process: str
    cpu_ns: int


class PmEventRecord(Record, frozen=True, kw_only=True, tag="pm_events"):
    """One event; ``t_ns`` is the time of the read, shortly after the event.

    :param event: created, established, closed, announced, removed, sub_established, sub_closed,
        sub_priority, listener_created or listener_closed; a number for an event without a name
        here.
    :param token: the token of the connection at this end, equal to ``token`` in ``mptcp_info``.
    """

    event: str
    token: int | None = None
    local: str | None = None  # "10.0.1.1:5001"; port 0 if the event has none
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

    Only the process that owns the sandbox can query wires, so it writes these records. The sampler
    does not.

    :param netem: the options in force, if they differ from those of the previous record.
    """

    node: str = WIRE
    link: str
    toward: str  # the node the frames travel to
    counters: WireCounters
    netem: str | None = None


class PacketsRecord(Record, frozen=True, kw_only=True, tag="packets"):
    """A summary of all packets of a simulated run, written at its end.

    :param frames: how many frames were sent and arrived, the sum over all links.
    :param digest: SHA-256 in hexadecimal, see :class:`testbed.sim.digest.Digest`.
    """

    node: str = WIRE
    frames: int
    digest: str


class PcapRecord(Record, frozen=True, kw_only=True, tag="pcap"):
    """A capture file, recorded when the file was complete.

    :param file: the name of the file in the folder.
    :param realtime_offset_ns: the difference to subtract from the packets' times (CLOCK_REALTIME)
        to get CLOCK_MONOTONIC.
    :param dropped: packets that arrived faster than they were read. The file lacks them.
    """

    interface: str
    file: str
    realtime_offset_ns: int
    captured: int
    dropped: int


class PauseRecord(Record, frozen=True, kw_only=True, tag="pause"):
    """One of the longest intervals in which a workload's end at ``node`` read nothing.

    :param t_ns: the end of the interval.
    :param flow: the flow, if a run has several.
    """

    length_ns: int
    flow: str | None = None


class WorkloadRecord(Record, frozen=True, kw_only=True, tag="workload"):
    """Octets that a workload's end at ``node`` read in the interval that ends at ``t_ns``.

    :param flow: the flow, if a run has several.
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
    """Return the record class of a probe of another package.

    :raises TypeError: the probe has no record class, or the tag of the class is not the probe's
        name, or the name is taken.
    """
    record = getattr(probe, "record", None)
    if not isinstance(record, type) or not issubclass(record, Record):
        raise TypeError(f"its `record` is {record!r}, which is not a subclass of Record")
    if record.__struct_config__.tag != name:
        raise TypeError(f"the tag of its record is {record.__struct_config__.tag!r}, not its name")
    if name in _BY_NAME:
        raise TypeError(f"the records {name!r} already exist")
    return record


# Other packages register their records by their probes: each probe has a record class.
KINDS: Final[Registry[type[Record]]] = Registry("record", "testbed.probes", _BY_NAME, record_of)
