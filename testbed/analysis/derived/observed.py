"""The observations of a run in order: flows, their connections, and subflows over time."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence

from testbed.records import (
    MptcpInfo,
    MptcpInfoRecord,
    PauseRecord,
    Record,
    SocketRecord,
    TcpInfo,
    TcpInfoRecord,
    WireRecord,
    ends,
)
from testbed.results.model import WORKLOAD, FlowRecord, RunRecord

_Pair = tuple[str, str]  # local, remote


class SubflowSeen:
    """A subflow or a TCP connection, seen from one end.

    :ivar link: the link of its local address; ``None`` if it is not known.
    :ivar samples: TCP_INFO at each time in nanoseconds from the start of the workload.
    :ivar last: the last sample.
    """

    def __init__(self, link: str | None) -> None:
        self.link = link
        self.samples: list[tuple[int, TcpInfo]] = []
        self.last = TcpInfo()

    def see(self, t_ns: int, info: TcpInfo) -> None:
        """Add a sample."""
        self.samples.append((t_ns, info))
        self.last = info


class ConnectionSeen:
    """A connection, seen from one end.

    :ivar subflows: the subflows by local and remote address; for plain TCP the connection itself.
    :ivar samples: MPTCP_INFO at each time; empty for plain TCP.
    """

    def __init__(self) -> None:
        self.subflows: dict[_Pair, SubflowSeen] = {}
        self.samples: list[tuple[int, MptcpInfo]] = []

    @property
    def acked(self) -> int:
        """Octets that the peer has acknowledged on all subflows."""
        return sum(subflow.last.bytes_acked or 0 for subflow in self.subflows.values())


class EndSeen:
    """The connections of a flow at one of its ends."""

    def __init__(self, node: str, links: dict[str, str]) -> None:
        self.node = node
        self._links = links
        self._connections: dict[_Pair, ConnectionSeen] = {}

    @property
    def connections(self) -> Sequence[ConnectionSeen]:
        """All connections, in the order of their first samples."""
        return tuple(self._connections.values())

    @property
    def subflows(self) -> Sequence[SubflowSeen]:
        """The subflows of all connections."""
        return [flow for it in self._connections.values() for flow in it.subflows.values()]

    @property
    def acked(self) -> int:
        """Octets from this end that were acknowledged."""
        return sum(connection.acked for connection in self._connections.values())

    def see_tcp(self, t_ns: int, pair: _Pair, info: TcpInfo) -> None:
        """Add a sample of a plain TCP connection."""
        self._subflow(self._connection(pair), pair).see(t_ns, info)

    def see_mptcp(self, t_ns: int, pair: _Pair, info: MptcpInfo) -> None:
        """Add a sample of an MPTCP connection."""
        connection = self._connection(pair)
        connection.samples.append((t_ns, info))
        for subflow in (*info.ended, *info.subflows):
            self._subflow(connection, (subflow.local, subflow.remote)).see(t_ns, subflow.tcp)

    def finish(self, t_ns: int, mptcp: MptcpInfo | None, tcp: TcpInfo | None) -> None:
        """Add the end's own last view of its last connection, which is exact."""
        known = list(self._connections)
        if mptcp is not None and mptcp.subflows:
            first = mptcp.subflows[0]
            pair = first.local, first.remote
            sharing = [key for key in known if pair in self._connections[key].subflows]
            self.see_mptcp(t_ns, (sharing or [pair])[-1], mptcp)
        if tcp is not None and len(known) == 1:
            self.see_tcp(t_ns, known[0], tcp)

    def _connection(self, pair: _Pair) -> ConnectionSeen:
        found = self._connections.get(pair)
        if found is None:
            found = self._connections[pair] = ConnectionSeen()
        return found

    def _subflow(self, connection: ConnectionSeen, pair: _Pair) -> SubflowSeen:
        found = connection.subflows.get(pair)
        if found is None:
            link = self._links.get(_host(pair[0]))
            found = connection.subflows[pair] = SubflowSeen(link)
        return found


class FlowSeen:
    """A flow of a run.

    :ivar name: the name of the flow; empty if the experiment names no flows.
    :ivar pauses: (end, length) in nanoseconds of the longest intervals in which its ends read
        nothing.
    """

    def __init__(self, name: str, record: FlowRecord, links: dict[str, str]) -> None:
        self.name = name
        self.record = record
        self.source = EndSeen(record.source, links)
        self.target = EndSeen(record.target, links)
        self.pauses: list[tuple[int, int]] = []

    @property
    def sender(self) -> EndSeen:
        """The end that sent more; the source if that is not known."""
        return self.target if self.target.acked > self.source.acked else self.source

    @property
    def receiver(self) -> EndSeen:
        """The end that is not the sender."""
        return self.source if self.sender is self.target else self.target


class Observed:
    """The observations of a run: its record, and those of its probes in the order of time.

    :param series: the records of the probes. Times are in nanoseconds from the start of the
        workload.
    """

    def __init__(self, record: RunRecord, series: Iterable[Record]) -> None:
        self.record = record
        self.series = tuple(series)

    @functools.cached_property
    def flows(self) -> tuple[FlowSeen, ...]:
        """The flows with their observations."""
        record = self.record
        named = list(record.flows) != [WORKLOAD]
        flows = [
            FlowSeen(name if named else "", flow, record.addresses)
            for name, flow in record.flows.items()
        ]
        for each in self.series:
            if isinstance(each, SocketRecord):
                for flow in flows:
                    _take(flow, each, alone=len(flows) == 1)
            elif isinstance(each, PauseRecord):
                for flow in flows:
                    if (each.flow or "") == flow.name:
                        flow.pauses.append((each.t_ns, each.length_ns))
        for flow in flows:
            self._finish(flow)
        return tuple(flows)

    @functools.cached_property
    def wires(self) -> dict[tuple[str, str], list[WireRecord]]:
        """The records of each direction of each wire, by link and by the node it leads to."""
        found: dict[tuple[str, str], list[WireRecord]] = {}
        for each in self.series:
            if isinstance(each, WireRecord):
                found.setdefault((each.link, each.toward), []).append(each)
        return found

    @property
    def end_ns(self) -> int:
        """The time of the last record."""
        return self.series[-1].t_ns if self.series else 0

    def metric(self, flow: FlowSeen, name: str) -> float | None:
        """Return a metric that the workload of a flow reported."""
        return self.record.metrics.get(f"{flow.name}.{name}" if flow.name else name)

    def _finish(self, flow: FlowSeen) -> None:
        for end in ends(flow.record.details):
            for seen in (flow.source, flow.target):
                if seen.node == end.node:
                    seen.finish(self.end_ns, end.view.mptcp_info, end.view.tcp_info)


def _take(flow: FlowSeen, record: SocketRecord, *, alone: bool) -> None:
    """Add a sample to its end of a flow. All connections belong to a flow that is ``alone``."""
    port = flow.record.port
    for end, address in ((flow.source, record.remote), (flow.target, record.local)):
        if end.node == record.node and (alone or _port(address) == port):
            pair = record.local, record.remote
            if isinstance(record, MptcpInfoRecord):
                end.see_mptcp(record.t_ns, pair, record.mptcp)
            elif isinstance(record, TcpInfoRecord):
                end.see_tcp(record.t_ns, pair, record.tcp)
            return


def _host(address: str) -> str:
    return address.rpartition(":")[0].strip("[]")


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])
