"""The probes of a simulated run, on the virtual clock."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from testbed.experiment.spec import PACKETS
from testbed.experiment.wire_changes import WireChanges
from testbed.records import (
    MptcpInfoRecord,
    NstatRecord,
    PacketsRecord,
    Record,
    TcpInfoRecord,
    View,
)
from testbed.sim.network import Network
from testbed.stack.connection import Connection
from testbed.stack.mptcp.connection import MptcpConnection
from testbed.workload.transfer import now_ns

NSTAT: Final = "nstat"
INTERVAL_NS: Final = 100_000_000


def view(connection: Connection) -> dict[str, Any]:
    """Return a connection's state, under the name of the probe for its protocol."""
    probe = "mptcp_info" if isinstance(connection, MptcpConnection) else "tcp_info"
    return {probe: connection.info()}


class SimulatedSampling:
    """Samples connections and wires at equal intervals.

    :param nodes: the nodes of the connections.
    :param probes: the names of the probes. Those that need a kernel (``cpu`` and ``pm_events``)
        have no records. ``nstat`` has the counters of our stacks, by the kernel's names.
        ``packets`` exists only in simulations.
    """

    def __init__(self, network: Network, nodes: Sequence[str], probes: Sequence[str]) -> None:
        self.records: list[Record] = []
        self._network = network
        self._nodes = nodes
        self._probes = probes
        self._wires = WireChanges()
        self._counters: dict[str, dict[str, int]] = {node: {} for node in nodes}
        self._digest = network.digest() if PACKETS in probes else None

    @contextlib.asynccontextmanager
    async def beside(self) -> AsyncIterator[None]:
        """Sample until the context ends, and once at its end."""
        self._note_counters("absolute", {})
        task = asyncio.create_task(self._poll())
        try:
            yield
        finally:
            task.cancel()
            self._sample()
            self._note_counters("total", {})

    def end(self) -> None:
        """Add the records that are complete only after the last packet has arrived."""
        if self._digest is not None:
            self.records.append(
                PacketsRecord(
                    t_ns=now_ns(), frames=self._digest.frames, digest=self._digest.hexdigest()
                )
            )

    async def _poll(self) -> None:
        while True:
            self._sample()
            await asyncio.sleep(INTERVAL_NS / 1e9)

    def _sample(self) -> None:
        for node in self._nodes:
            for stack in self._network.stacks(node):
                for connection in stack.streams.connections:
                    self._look(node, connection)
        if "wire" in self._probes:
            self._count()
        self._note_counters("sample", self._counters)

    def _look(self, node: str, connection: Connection) -> None:
        about: dict[str, Any] = {
            "t_ns": now_ns(),
            "node": node,
            "local": str(connection.flow.local),
            "remote": str(connection.flow.remote),
        }
        seen = msgspec.convert(view(connection), View)
        if seen.mptcp_info is not None and "mptcp_info" in self._probes:
            self.records.append(MptcpInfoRecord(mptcp=seen.mptcp_info, **about))
        if seen.tcp_info is not None and "tcp_info" in self._probes:
            self.records.append(TcpInfoRecord(tcp=seen.tcp_info, **about))

    def _note_counters(self, span: str, before: Mapping[str, Mapping[str, int]]) -> None:
        """Record the changes of the nodes' MIB counters."""
        if NSTAT not in self._probes:
            return
        for node in self._nodes:
            now: Counter[str] = Counter()
            for stack in self._network.stacks(node):
                now.update(stack.endpoint.counters)
            old = before.get(node, {})
            moved = {name: value - old.get(name, 0) for name, value in now.items()}
            values = {name: by for name, by in moved.items() if by}
            if values or span != "sample":
                self.records.append(NstatRecord(t_ns=now_ns(), node=node, span=span, values=values))
            self._counters[node] = dict(now)

    def _count(self) -> None:
        """Record the wires that have changed."""
        for wire in self._network.wires().wires:
            toward = self._network.node_at(wire.link, wire.toward)
            record = self._wires.note(wire, toward, now_ns())
            if record is not None:
                self.records.append(record)
