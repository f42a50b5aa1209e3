"""Snapshots of a running sandbox: its wires, and the connections over them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from typing import Final

import msgspec

from testbed import moments
from testbed.experiment.launcher import Launcher
from testbed.probe.client import Sampler, command
from testbed.probe.job import Job
from testbed.records import MptcpInfoRecord, Record, TcpInfo, TcpInfoRecord, read
from testbed.sandbox import Sandbox
from testbed.topology.model import Topology
from testbed.topology.operations import WIRE
from testbed.wire.report import Wire, WireReport

PROBES: Final = ("mptcp_info", "tcp_info")
_RECORDS_FD: Final = 3
_LISTEN, _CLOSE, _TIME_WAIT = 10, 7, 6  # include/net/tcp_states.h

_Key = tuple[str, str, str]


class WireRow(msgspec.Struct, frozen=True, kw_only=True):
    """One direction of a wire.

    :param state: ``up``, ``down`` or ``blackhole``.
    :param throughput: bit/s that it let through since the last snapshot.
    :param lost: packets that were lost or dropped for lack of room since then.
    """

    link: str
    toward: str  # the node it leads to
    state: str
    engine: str
    netem: str
    throughput: float
    lost: int
    queued_packets: int
    queued_bytes: int


class FlowRow(msgspec.Struct, frozen=True, kw_only=True):
    """One subflow, or one plain TCP connection, seen from one end.

    :param protocol: ``mptcp``, ``tcp``, or ``fallback`` for MPTCP that goes on as TCP.
    :param token: the identifier of an MPTCP connection; None for plain TCP.
    :param rtt: the smoothed round-trip time in seconds.
    :param sent: bit/s that were acknowledged since the last snapshot.
    :param received: bit/s that arrived since then.
    """

    node: str
    process: str
    protocol: str
    token: int | None
    local: str
    remote: str
    rtt: float | None
    cwnd: int | None
    retransmitted: int | None
    sent: float
    received: float


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a sandbox at ``time``, in seconds since the epoch."""

    time: float
    wires: tuple[WireRow, ...]
    flows: tuple[FlowRow, ...]


class Meter:
    """Computes rates from the counters of two consecutive snapshots.

    :param topology: the topology of the sandbox.
    """

    def __init__(self, topology: Topology) -> None:
        self._toward = {
            (link.name, side): end.node
            for link in topology.links
            for side, end in (("a", link.a), ("b", link.b))
        }
        self._wires: dict[tuple[str, str], tuple[int, int, int]] = {}
        self._flows: dict[_Key, tuple[int, int, int]] = {}

    def wires(self, report: WireReport, states: dict[str, str], now_ns: int) -> tuple[WireRow, ...]:
        """Return a row for each direction of each wire."""
        return tuple(self._wire(wire, states.get(wire.link, "up"), now_ns) for wire in report.wires)

    def flows(self, records: Iterable[Record]) -> tuple[FlowRow, ...]:
        """Return a row for each subflow of the observed sockets, from their last record."""
        rows: dict[_Key, FlowRow] = {}
        for record in records:
            if isinstance(record, MptcpInfoRecord):
                kind = "fallback" if record.mptcp.fallback else "mptcp"
                for each in record.mptcp.subflows:
                    self._flow(rows, record, kind, each.local, each.remote, each.tcp)
            elif isinstance(record, TcpInfoRecord):
                self._flow(rows, record, "tcp", record.local, record.remote, record.tcp)
        self._flows = {key: each for key, each in self._flows.items() if key in rows}
        return tuple(rows[key] for key in sorted(rows))

    def _wire(self, wire: Wire, state: str, now_ns: int) -> WireRow:
        key, counters = (wire.link, wire.toward), wire.counters
        lost = counters.dropped_loss + counters.dropped_limit
        before_ns, octets, lost_before = self._wires.get(
            key, (now_ns, counters.forwarded_bytes, lost)
        )
        self._wires[key] = now_ns, counters.forwarded_bytes, lost
        return WireRow(
            link=wire.link,
            toward=self._toward.get(key, wire.toward),
            state=state,
            engine=wire.engine,
            netem=wire.netem.to_tc(),
            throughput=_rate(counters.forwarded_bytes - octets, now_ns - before_ns),
            lost=lost - lost_before,
            queued_packets=counters.queued_packets,
            queued_bytes=counters.queued_bytes,
        )

    def _flow(
        self,
        rows: dict[_Key, FlowRow],
        record: MptcpInfoRecord | TcpInfoRecord,
        protocol: str,
        local: str,
        remote: str,
        tcp: TcpInfo,
    ) -> None:
        if tcp.state in (_LISTEN, _CLOSE, _TIME_WAIT):
            return
        key = (record.node, local, remote)
        sent, received = tcp.bytes_acked or 0, tcp.bytes_received or 0
        before_ns, sent_before, received_before = self._flows.get(key, (0, 0, 0))
        span_ns = record.t_ns - before_ns if before_ns else 0
        self._flows[key] = record.t_ns, sent, received
        rows[key] = FlowRow(
            node=record.node,
            process=record.process or "",
            protocol=protocol,
            token=record.mptcp.info.token if isinstance(record, MptcpInfoRecord) else None,
            local=local,
            remote=remote,
            rtt=None if not tcp.rtt else tcp.rtt / 1e6,
            cwnd=tcp.snd_cwnd,
            retransmitted=tcp.total_retrans,
            sent=_rate(sent - sent_before, span_ns),
            received=_rate(received - received_before, span_ns),
        )


def _rate(octets: int, span_ns: int) -> float:
    return octets * 8e9 / span_ns if span_ns > 0 else 0.0


async def snapshots(sandbox: Sandbox, interval_ns: int) -> AsyncGenerator[Snapshot, None]:
    """Yield a snapshot of a sandbox at every multiple of the interval, until the caller stops.

    :raises SandboxError: the sandbox was not built from a topology, or ended.
    """
    description = await sandbox.describe()
    meter = Meter(description.topology or Topology(name="", nodes=(), links=()))
    nodes = tuple(name for name in description.namespaces if name != WIRE)
    async with Launcher(sandbox) as launcher, _sampling(launcher, nodes, interval_ns) as records:
        while True:
            await moments.until(moments.next_multiple(interval_ns, after_ns=interval_ns // 4))
            description = await sandbox.describe()
            report = await sandbox.wires()
            states: dict[str, str] = dict(description.states)
            yield Snapshot(
                time=time.time(),
                wires=meter.wires(report, states, time.monotonic_ns()),
                flows=meter.flows(records.take()),
            )


class _Records:
    """The lines of the sampler since the last snapshot. A line may arrive in pieces."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe
        self._part = b""

    def take(self) -> Iterator[Record]:
        """Yield the records that have arrived."""
        data = [self._part]
        with contextlib.suppress(BlockingIOError):
            while piece := os.read(self._pipe, 1 << 16):
                data.append(piece)
        whole, newline, self._part = b"".join(data).rpartition(b"\n")
        yield from read(whole + newline)


@contextlib.asynccontextmanager
async def _sampling(
    launcher: Launcher, nodes: tuple[str, ...], interval_ns: int
) -> AsyncIterator[_Records]:
    """Run the sampler on the sandbox's sockets."""
    ours, theirs = os.pipe()
    os.set_blocking(ours, False)
    try:
        process = await launcher.spawn(WIRE, command(_RECORDS_FD), pass_fds={_RECORDS_FD: theirs})
        sampler = await Sampler.start(
            process, Job(probes=PROBES, nodes=nodes, interval_ns=interval_ns)
        )
    finally:
        os.close(theirs)
    try:
        yield _Records(ours)
    finally:
        os.close(ours)
        with contextlib.suppress(Exception):
            await asyncio.wait_for(sampler.stop(), 5)
